"""The generation of a dataset as a job on several machines: its settings as words, its base scenarios on S3."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import tyro

from roadsense.augment.config import GenConfig
from roadsense.cloud.checksums import TransferError
from roadsense.cloud.s3_transfer import find_files
from roadsense.cloud.storage import download_folder, upload_folder
from roadsense.errors import InputError
from roadsense.utils.files import hash_file
from roadsense.utils.scratch import scratch_folder

BASES = "bases"
RANGES_NAME = "ranges.toml"
"""The file of ranges, beside the folder of base scenarios: a dataset's manifest holds its text."""
OF_THE_MACHINE = ("base_dir", "output_dir", "n_shards", "shard", "shards", "ranges_file", "ranges")
"""Settings that a machine finds out by itself; `ranges_file` has become `ranges` by then."""


def spell_settings(config: GenConfig) -> list[str]:
    """Returns the settings of a dataset as words of `roadsense gen-scenarios`, those that are not at their default.

    `read_settings` turns them back. Where the dataset is made, of which files, and in how many parts isn't among them.
    """
    words: list[str] = []
    for settings, left_out in ((config, OF_THE_MACHINE), (config.ranges, ())):
        default = type(settings)()
        for name in (field.name for field in fields(settings) if field.name not in left_out):
            value = getattr(settings, name)
            if value != getattr(default, name):
                values = value if isinstance(value, list | tuple) else [value]
                words += [f"--{name}", *map(str, values)]
    return words


def read_settings(words: Sequence[str]) -> GenConfig:
    """Returns the settings that `spell_settings` spelt.

    Raises:
        InputError: if they are none.
    """
    try:
        return tyro.cli(GenConfig, args=list(words), prog="roadsense gen-scenarios", console_outputs=False)
    except SystemExit as error:
        raise InputError(f"Expected options of gen-scenarios, got {' '.join(words)!r}.") from error


def list_inputs(config: GenConfig) -> dict[str, Path]:
    """Returns the files a dataset is made of, by their paths on S3 below its base scenarios' place.

    Raises:
        InputError: if there are none.
    """
    folder = Path(config.base_dir)
    files = {f"{BASES}/{name}": path for name, path in find_files(folder).items()} if folder.is_dir() else {}
    if not files:
        raise InputError(f"Expected a folder of base scenarios at {folder}, found no file. Give --base_dir.")
    if config.ranges_file is not None:
        files[RANGES_NAME] = Path(config.ranges_file)
    return files


def hash_inputs(files: Mapping[str, Path]) -> str:
    """Returns the digest of files by path: the SHA-256 of their paths and their SHA-256, in hexadecimal."""
    content = {name: hash_file(path) for name, path in files.items()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def find_inputs_url(config: GenConfig, url: str) -> str:
    """Returns where `publish_inputs` puts the files a dataset is made of, by their digest; nothing is sent."""
    return f"{url.rstrip('/')}/{BASES}/{hash_inputs(list_inputs(config))}"


def publish_inputs(config: GenConfig, url: str, region: str | None = None) -> str:
    """Sends what S3 lacks of the files a dataset is made of to `bases/<digest>` below a URL; returns their URL."""
    place = find_inputs_url(config, url)
    with scratch_folder("roadsense_bases_") as scratch:
        for name, path in list_inputs(config).items():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, scratch / name)
        upload_folder(scratch, place, region)
    return place


def fetch_inputs(url: str, folder: Path, config: GenConfig, region: str | None = None) -> GenConfig:
    """Brings the files a dataset is made of into a folder; returns the settings with their places.

    Raises:
        TransferError: if they are not those their digest stands for.
    """
    download_folder(url, folder, region)
    return check_inputs(folder, url.rstrip("/").rsplit("/", 1)[-1], config)


def check_inputs(folder: Path, digest: str, config: GenConfig) -> GenConfig:
    """Checks the files of a folder against their digest; returns the settings with their places.

    Raises:
        TransferError: if they are not those their digest stands for.
    """
    found = hash_inputs(find_files(folder))
    if found != digest:
        raise TransferError(f"{folder} holds other base scenarios (digest {found}) than were sent ({digest}).")
    ranges = folder / RANGES_NAME
    changes: dict[str, Any] = {"base_dir": folder / BASES}
    if ranges.is_file():
        changes["ranges_file"] = ranges
    return replace(config, **changes)
