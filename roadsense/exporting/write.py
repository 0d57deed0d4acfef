"""Writes what an export has made into its folder, and opens a folder that was made before."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from roadsense.errors import RunError
from roadsense.exporting.c_source import (
    GOLDEN_HEADER,
    OBSERVATION_HEADER,
    C,
    write_c_policy,
    write_golden_header,
    write_observation_header,
    write_places_headers,
    write_skeleton,
)
from roadsense.exporting.card import Card, clean, shorten, write_card
from roadsense.exporting.closed_loop import compare_driving
from roadsense.exporting.config import Export, ExportConfig
from roadsense.exporting.firmware import (
    FLOAT32_TOLERANCE,
    PolicyFile,
    choose_golden,
    find_tolerance,
    write_golden_json,
    write_policy_header,
)
from roadsense.exporting.micro import align, measure_arena
from roadsense.exporting.observations import take_rows
from roadsense.exporting.parity import MICRO, TRAINED, Evidence, refuse_changed
from roadsense.policies.actor import Actor
from roadsense.policies.tflite import TflitePolicy, embed_card, find_output_step
from roadsense.utils.files import check_object, hash_file, read_json, reading, record_sum
from roadsense.utils.workspace import resolve

CARD_NAME, CARD_TEXT_NAME = "model_card.json", "model_card.md"
OBSERVATIONS_NAME, EPISODES_NAME = "observations.npz", "episodes.csv"
FIRMWARE_NAME, GOLDEN_NAME = "firmware", "golden.json"
SETTINGS_NAME = "settings.json"


def finish_policies(paths: Mapping[str, Path], card: Card, evidence: Evidence) -> list[PolicyFile]:
    """Writes the card into the files, aligns them, and checks that they act as before.

    Args:
        paths: paths of the files, by variant.
        card: card without the facts about the final files.
        evidence: actions of the files before.

    Raises:
        ExportError: if a file acts differently, or no arena is found for it.
    """
    files = []
    for variant, path in paths.items():
        embed_card(path, shorten(card) | {"variant": variant})
        align(path)
        files.append(PolicyFile(variant, path, TflitePolicy(path).input_names, measure_arena(path)))
    refuse_changed(paths, evidence)
    for path in paths.values():
        record_sum(path)
    return files


def describe_files(files: list[PolicyFile]) -> Card:
    """Returns the part of the card about the final files, by their names."""
    return {
        file.path.name: {
            "variant": file.variant,
            "size_bytes": file.path.stat().st_size,
            "arena_bytes": file.arena.chip_bytes,
            "arena_bytes_64_bit": file.arena.recommended_bytes,
            "sha256": hash_file(file.path),
        }
        for file in files
    }


def write_firmware(folder: Path, files: list[PolicyFile], evidence: Evidence) -> None:
    """Writes the headers of the files and the golden vectors into a new folder."""
    folder.mkdir()
    rows = choose_golden(evidence.trained)
    golden, trained = take_rows(evidence.observations, rows), evidence.trained[rows]
    actions = {C: trained, **{name: values[rows] for name, values in evidence.micro.items()}}
    tolerances = {C: FLOAT32_TOLERANCE, **{file.variant: find_tolerance(find_output_step(file.path)) for file in files}}
    sources = {f"policy_{file.variant}.h": write_policy_header(file) for file in files}
    sources[OBSERVATION_HEADER] = write_observation_header()
    sources |= write_places_headers()
    sources[GOLDEN_HEADER] = write_golden_header(golden, actions, tolerances)
    sources[GOLDEN_NAME] = write_golden_json(golden, {TRAINED: trained, **actions}, tolerances)
    for name, text in sources.items():
        (folder / name).write_text(text)


def write_c_firmware(folder: Path, actor: Actor, model_sha256: str) -> None:
    """Writes the policy in plain C, and a firmware around it, into the folder of the headers."""
    write_skeleton(folder)
    for name, text in write_c_policy(actor, model_sha256).items():
        (folder / name).write_text(text)


def write_results(folder: Path, card: Card, evidence: Evidence, episodes: pd.DataFrame) -> None:
    """Writes the card, the observations with every policy's action on them, and the episodes if there are any."""
    (folder / CARD_NAME).write_text(json.dumps(clean(card), indent=2, allow_nan=False) + "\n")
    (folder / CARD_TEXT_NAME).write_text(write_card(clean(card)))
    actions = {f"action_{name}": values for name, values in {TRAINED: evidence.trained, **evidence.micro}.items()}
    arrays = {**evidence.observations, **actions}
    np.savez_compressed(folder / OBSERVATIONS_NAME, **arrays)  # type: ignore[arg-type]
    if not episodes.empty:
        episodes.to_csv(folder / EPISODES_NAME, index=False)


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
