"""Opens an export that was made with the same settings, so that a notebook may be run again."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from roadsense.errors import RunError
from roadsense.exporting.card import Card
from roadsense.exporting.closed_loop import compare_driving
from roadsense.exporting.config import Export, ExportConfig
from roadsense.exporting.parity import MICRO
from roadsense.exporting.write import CARD_NAME, EPISODES_NAME, OBSERVATIONS_NAME, SETTINGS_NAME
from roadsense.utils.files import check_object, hash_file, read_json, reading
from roadsense.utils.workspace import resolve

_NO_SETTINGS = ("run_dir", "workers", "trust")
_FOLDERS = ("dataset_dir", "eval_dir")


def describe_settings(config: ExportConfig, model_path: Path) -> dict[str, Any]:
    """Returns all that decides what an export holds, JSON-like: its settings and the SHA-256 of the trained policy."""
    settings = {name: value for name, value in asdict(config).items() if name not in _NO_SETTINGS}
    settings |= {name: str(resolve(settings[name])) for name in _FOLDERS if settings[name]}
    known: dict[str, Any] = json.loads(json.dumps(settings | {"model_sha256": hash_file(model_path)}))
    return known


def open_existing(folder: Path, config: ExportConfig, model_path: Path) -> Export | None:
    """Opens the export in a folder if it was made with these settings; None if there is none yet.

    Args:
        folder: folder of the export.
        config: settings to compare.
        model_path: trained policy that would be exported now.

    Raises:
        RunError: if it was made with other settings or from another policy (it names them), if a file of it was
            changed, or if the folder holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / SETTINGS_NAME).is_file():
        raise RunError(f"Expected no export yet, but {folder} holds something. Move it away to export again.")
    theirs = read_json(folder / SETTINGS_NAME, "the settings of an export", RunError)
    mine = describe_settings(config, model_path)
    differing = [f"{name} {theirs.get(name)}, not {value}" for name, value in mine.items() if theirs.get(name) != value]
    if differing:
        raise RunError(f"{folder} was made with {', '.join(differing)}. Move it away to export again.")
    return _read(folder, config.seed)


def _read(folder: Path, seed: int) -> Export:
    card = _read_card(folder)
    with reading(folder / OBSERVATIONS_NAME, "the observations of an export", RunError):
        with np.load(folder / OBSERVATIONS_NAME) as arrays:
            actions = {name.removeprefix("action_"): arrays[name][:, 0] for name in arrays if name.startswith("action")}
    episodes, comparisons = pd.DataFrame(), []
    if (folder / EPISODES_NAME).exists():
        with reading(folder / EPISODES_NAME, "the episodes of an export", RunError):
            episodes = pd.read_csv(folder / EPISODES_NAME, dtype={"error": str}).fillna({"error": ""})
            rng = np.random.default_rng(seed)
            comparisons = [compare_driving(episodes, found["variant"], rng) for found in card["files"].values()]
    return Export(folder, card, pd.DataFrame(actions), episodes, tuple(comparisons))


def _read_card(folder: Path) -> Card:
    card = read_json(folder / CARD_NAME, "the card of an export", RunError, files=dict, parity=dict, latency=dict)
    with reading(folder / CARD_NAME, "the card of an export", RunError):
        for name, found in card["files"].items():
            check_object(found, variant=str, sha256=str, size_bytes=int, arena_bytes=int)
            check_object(card["parity"][found["variant"]]["differences"][MICRO], rms=float, max=float)
            if hash_file(folder / name) != found["sha256"]:
                raise RunError(
                    f"{folder / name} is not the file that was exported. Move {folder} away to export again."
                )
    return card
