"""Writes the files of an export into a folder that gets its final name when it is complete."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

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
from roadsense.exporting.card import Card, clean, shorten
from roadsense.exporting.card_text import write_card
from roadsense.exporting.firmware import PolicyFile, write_policy_header
from roadsense.exporting.golden import FLOAT32_TOLERANCE, choose_golden, find_tolerance, write_golden_json
from roadsense.exporting.micro import align, measure_arena
from roadsense.exporting.observations import take_rows
from roadsense.exporting.parity import TRAINED, Evidence, refuse_changed
from roadsense.policies.actor import Actor
from roadsense.policies.tflite_file import embed_card, find_output_step
from roadsense.policies.tflite_policy import TflitePolicy
from roadsense.utils.files import hash_file, record_sum

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
