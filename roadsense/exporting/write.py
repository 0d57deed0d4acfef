"""Writes the files of an export into a folder that is moved into place when it is complete."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from roadsense.exporting.card import Card, clean, shorten
from roadsense.exporting.card_text import write_card
from roadsense.exporting.firmware import OBSERVATION_HEADER, PolicyFile, write_observation_header, write_policy_header
from roadsense.exporting.golden import choose_golden, find_tolerance, write_golden_header, write_golden_json
from roadsense.exporting.micro import align, measure_arena
from roadsense.exporting.observations import take_rows
from roadsense.exporting.parity import TRAINED, Evidence, refuse_changed
from roadsense.policies.tflite_file import embed_card, find_output_step
from roadsense.policies.tflite_policy import TflitePolicy
from roadsense.utils.files import hash_file, record_sum

CARD_NAME, CARD_TEXT_NAME = "model_card.json", "model_card.md"
OBSERVATIONS_NAME, EPISODES_NAME = "observations.npz", "episodes.csv"
FIRMWARE_NAME, GOLDEN_NAME = "firmware", "golden"


def finish_policies(paths: Mapping[str, Path], card: Card, evidence: Evidence) -> list[PolicyFile]:
    """Writes the card into the files, aligns them, and checks that they act as before.

    Args:
        paths: paths of the files, by variant.
        card: the card without the facts of the final files.
        evidence: their actions before.

    Raises:
        ExportError: if they act otherwise, or no arena is found for one.
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
    """Returns the part of the card that says what the final files are, by their names."""
    return {
        file.path.name: {
            "variant": file.variant,
            "size_bytes": file.path.stat().st_size,
            "arena_bytes": file.arena.recommended_bytes,
            "smallest_arena_bytes": file.arena.smallest_bytes,
            "sha256": hash_file(file.path),
        }
        for file in files
    }


def write_firmware(folder: Path, files: list[PolicyFile], evidence: Evidence) -> None:
    """Writes the headers and golden vectors into a new folder."""
    folder.mkdir()
    (folder / OBSERVATION_HEADER).write_text(write_observation_header())
    for file in files:
        (folder / f"policy_{file.variant}.h").write_text(write_policy_header(file))
    rows = choose_golden(evidence.trained)
    golden = take_rows(evidence.observations, rows)
    actions = {TRAINED: evidence.trained[rows], **{name: values[rows] for name, values in evidence.micro.items()}}
    tolerances = {file.variant: find_tolerance(find_output_step(file.path)) for file in files}
    (folder / f"{GOLDEN_NAME}.json").write_text(write_golden_json(golden, actions, tolerances))
    (folder / f"{GOLDEN_NAME}.h").write_text(write_golden_header(golden, actions, tolerances))


def write_results(folder: Path, card: Card, evidence: Evidence, episodes: pd.DataFrame) -> None:
    """Writes the card, the observations with every policy's action on them, and the episodes if there are any."""
    (folder / CARD_NAME).write_text(json.dumps(clean(card), indent=2, allow_nan=False) + "\n")
    (folder / CARD_TEXT_NAME).write_text(write_card(clean(card)))
    actions = {f"action_{name}": values for name, values in {TRAINED: evidence.trained, **evidence.micro}.items()}
    arrays = {**evidence.observations, **actions}
    np.savez_compressed(folder / OBSERVATIONS_NAME, **arrays)  # type: ignore[arg-type]
    if not episodes.empty:
        episodes.to_csv(folder / EPISODES_NAME, index=False)
