"""The model card: the purpose of an exported policy, its origin, and the evidence about it."""

import importlib.metadata
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from roadsense.envs.observation import OBSERVATION_VERSION
from roadsense.episodes.plan import POLICY
from roadsense.errors import RunError
from roadsense.evaluation.results import ORIGIN_NAME, find_evaluations
from roadsense.exporting.closed_loop import Comparison
from roadsense.runs.run import Run
from roadsense.utils.files import hash_file, read_json, reading

SCHEMA_VERSION = 1
APP_BYTES = 1 << 20
"""What ESP-IDF's default partition table leaves for a program on 4 MB of flash."""
SUMMARY_NAME = "summary.csv"
PACKAGES = (
    "roadsense", "stable-baselines3", "torch", "ai-edge-litert", "tflite-micro", "numpy", "libsumo",
)  # fmt: skip
MADE_FOR = (
    "Brake assist of the last car of a convoy with a person at the wheel, over V2V messages at 10 Hz, on roads and "
    "radios like those of its dataset.",
    "Research on such assists, in simulation and on closed roads.",
)
NOT_MADE_FOR = (
    "Driving without a person: it only brakes, and knows only cars that send.",
    "Standing in for a certified emergency brake: it was shown in simulation, not on a road.",
    "Radios, cars or observations other than those it was trained on; another observation version.",
)
EVALUATION_COLUMNS = (
    "policy", "episodes", "failed", "collisions", "collision_rate", "collision_rate_low", "collision_rate_high",
    "hazards", "missed", "assist_reaction_s", "assist_reaction_s_low", "assist_reaction_s_high", "false_brakings_per_h",
    "false_brakings_per_h_low", "false_brakings_per_h_high", "min_ttc_s", "min_ttc_s_low", "min_ttc_s_high",
)  # fmt: skip

Card = dict[str, Any]


def describe_policy(run: Run, model_path: Path) -> Card:
    """Returns the part of a card about the policy's purpose and origin.

    Args:
        run: run that trained the policy.
        model_path: path of the policy's file.
    """
    manifest = run.read_manifest() if run.manifest_path.is_file() else {}
    config = run.read_config() if run.config_path.is_file() else {}
    return {
        "name": "RoadSense brake assist",
        "schema_version": SCHEMA_VERSION,
        "observation_version": OBSERVATION_VERSION,
        "made_for": MADE_FOR,
        "not_made_for": NOT_MADE_FOR,
        "training": {
            "run": run.folder.resolve().name,
            "model": model_path.name,
            "model_sha256": hash_file(model_path),
            "algorithm": config.get("algorithm"),
            "timesteps": run.count_timesteps() or None if model_path == run.model_path else None,
            **{name: manifest.get(name) for name in ("dataset_digest", "train_digest", "git_commit")},
            # Paths of folders mean nothing on another machine.
            "config": {
                name: value for name, value in config.items() if not name.endswith("_dir") and value is not None
            },
        },
        "evaluation": _find_evaluation(run, model_path),
        "versions": {name: importlib.metadata.version(name) for name in (*PACKAGES, _tensorflow())},
    }


def describe_driving(comparisons: list[Comparison], held_out: bool | None, n_scenarios: int) -> Card:
    """Returns the part of a card about the driving of the exported policies, or that they did not drive."""
    return {
        "held_out": held_out,
        "n_scenarios": n_scenarios if comparisons else 0,
        "worse": [found.variant for found in comparisons if found.is_warning()],
        "comparisons": {found.variant: asdict(found) | {"in_words": found.in_words()} for found in comparisons},
    }


def warn_of_size(card: Card) -> list[str]:
    """Returns a sentence for each file, plain C included, that a small chip's flash does not hold beside the rest.

    Args:
        card: card with `files`, and `c` if plain C was exported.
    """
    sizes = {name: found["size_bytes"] for name, found in card["files"].items()}
    if card.get("c"):
        sizes["policy.c"] = card["c"].get("weight_bytes", 0)
    return [
        f"{name} takes {size:,} bytes: it does not fit into the {APP_BYTES:,} bytes that an ESP32 with 4 MB of flash "
        "has for a program by default. Train a smaller network, or take a chip with more flash."
        for name, size in sizes.items()
        if size > APP_BYTES
    ]


def shorten(card: Card) -> Card:
    """Returns the short card that is written into a policy's file, which takes flash; the full card is beside it.

    It names the model by its digest: names of runs are the trainer's own.
    """
    known = {name: card[name] for name in ("name", "observation_version")}
    return known | {"model_sha256": card["training"]["model_sha256"]}


def clean(value: Any) -> Any:
    """Returns a value for JSON: numbers that are not finite as None, others with six digits."""
    if isinstance(value, dict):
        return {str(name): clean(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


def _tensorflow() -> str:
    # Several distributions contain the same package: tensorflow, tensorflow-cpu.
    return importlib.metadata.packages_distributions()["tensorflow"][0]


def _find_evaluation(run: Run, model_path: Path) -> Card | None:
    # The newest evaluation of exactly this model, not of an exported file or of a model trained further.
    sha256 = hash_file(model_path)
    for folder in reversed(find_evaluations(run.folder)):
        origin_path, summary_path = folder / ORIGIN_NAME, folder / SUMMARY_NAME
        if not (origin_path.exists() and summary_path.exists()):
            continue
        origin = read_json(origin_path, "the origin of an evaluation", RunError, policy_sha256=dict)
        if origin["policy_sha256"].get(POLICY) == sha256:
            with reading(summary_path, "the summary of an evaluation", RunError):
                table = pd.read_csv(summary_path)
            columns = [name for name in EVALUATION_COLUMNS if name in table]
            return {"folder": folder.name, "rows": table[columns].to_dict("records")}
    return None
