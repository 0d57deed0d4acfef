"""The model card: what is known of an exported policy, as JSON and as Markdown."""

import importlib.metadata
import math
from collections.abc import Iterable, Sequence
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
from roadsense.utils.tables import markdown_table

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


def write_card(card: Card) -> str:
    """Returns a card as Markdown; warnings come first.

    Args:
        card: content of `model_card.json`.
    """
    said = [*(found["in_words"] for found in _warned(card)), *(f"WARNING: {one}" for one in warn_of_size(dict(card)))]
    warnings = [f"> **{one}**\n" for one in said]
    sections = (
        _list("What it is for", card["made_for"]),
        _list("What it is not for", card["not_made_for"]),
        _origin(card),
        _files(card),
        _chips(card),
        _parity(card),
        _driving(card),
        _evaluation(card),
        _latency(card),
        _list("Versions", [f"{name} {version}" for name, version in card["versions"].items()]),
    )
    return "\n".join([f"# {card['name']}\n", *warnings, *sections])


def _warned(card: Card) -> list[Card]:
    driving = card["closed_loop"]
    return [driving["comparisons"][variant] for variant in driving["worse"]]


def _list(title: str, items: Iterable[str]) -> str:
    return f"## {title}\n\n" + "".join(f"- {item}\n" for item in items)


def _table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    return markdown_table(headings, [[_say(value) for value in row] for row in rows]) + "\n"


def _say(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _origin(card: Card) -> str:
    training = card["training"]
    names = ("run", "model", "algorithm", "timesteps", "dataset_digest", "train_digest", "git_commit", "model_sha256")
    rows = [(name.replace("_", " "), training[name]) for name in names]
    rows += [("observation version", card["observation_version"])]
    settings = ", ".join(f"{name} {value}" for name, value in training["config"].items())
    return f"## Where it comes from\n\n{_table(('', ''), rows)}\nSettings: {settings or 'not known'}.\n"


def _files(card: Card) -> str:
    rows = [
        (name, found["size_bytes"], found["arena_bytes"], found["arena_bytes_64_bit"], f"`{found['sha256']}`")
        for name, found in card["files"].items()
    ]
    operators = [f"{name}: {', '.join(sorted(found))}" for name, found in card["operators"].items()]
    return (
        "## Files\n\n"
        + _table(("file", "bytes", "arena on 32 bits [bytes]", "on 64 bits [bytes]", "SHA-256"), rows)
        + f"\nOperators of {'; of '.join(operators)}. Inputs and output are float32.\n"
    )


def _chips(card: Card) -> str:
    found = card.get("c")
    if found is None:
        return ""
    difference = found["difference"]
    words = f"at most {difference['max']:.2g}" if difference else "not compared: there was no C compiler"
    columns = ("instructions", "most_instructions", "stack_bytes", "flash_bytes", "ram_bytes")
    rows = [(name, *(chip[column] for column in columns)) for name, chip in found["chips"].items()]
    table = _table(("core", *(column.replace("_", " ") for column in columns)), rows) if rows else ""
    return (
        "## Plain C\n\nDifference of `policy.c`'s action to the trained policy's: "
        f"{words}. On emulated cores, {found['chips_origin'] or 'not measured'}:\n\n{table}"
    )


def _parity(card: Card) -> str:
    rows = [
        (variant, runtime, found["rms"], found["p99"], found["max"])
        for variant, part in card["parity"].items()
        for runtime, found in part["differences"].items()
    ]
    rows += [(variant, "let through", *part["bounds"].values()) for variant, part in card["parity"].items()]
    some = next(iter(card["parity"].values()))
    calibration = card["calibration"]
    words = (
        f"\nInt8 is calibrated on {calibration['n_observations']} observations ({calibration['origin']}); in "
        f"{calibration['hazard_share']:.0%} of them a car ahead is heard to brake hard.\n"
        if calibration
        else ""
    )
    return (
        f"## Parity\n\nDifference of the action (0 to 1) to the trained policy's, on {some['n_observations']} recorded "
        f"observations, in {some['n_within_bounds']} of which the action is not cut to a bound.\n\n"
        + _table(("policy", "runtime", "rms", "p99", "max"), rows)
        + words
    )


def _driving(card: Card) -> str:
    driving = card["closed_loop"]
    if not driving["comparisons"]:
        return "## Driving\n\nThe exported policy was not driven: nothing is known of how it drives.\n"
    where = {True: "held out from the training", False: "some of which it was trained on"}.get(
        driving["held_out"], "of which it is not known whether it was trained on them"
    )
    rows = []
    for variant, found in driving["comparisons"].items():
        rows.append((variant, "collision rate", *_interval(found["collision_rate"])))
        rows += [(variant, name.replace("_", " "), *_interval(one)) for name, one in found["figures"].items()]
    words = "".join(f"- {found['in_words']}\n" for found in driving["comparisons"].values())
    return (
        f"## Driving\n\nThe exported files drove the same episodes as the trained policy, on {driving['n_scenarios']} "
        f"scenarios, {where}.\n\n{words}\nExported minus trained, with 95 % intervals; lower is better:\n\n"
        + _table(("policy", "figure", "difference", "from", "to"), rows)
    )


def _interval(found: Card) -> tuple[Any, Any, Any]:
    return found["value"], found["low"], found["high"]


def _evaluation(card: Card) -> str:
    found = card["evaluation"]
    if not found:
        return "## Evaluation\n\nThe trained policy was not evaluated before it was exported.\n"
    columns = list(found["rows"][0])
    rows = [[row[name] for name in columns] for row in found["rows"]]
    return "## Evaluation\n\nOf the trained policy; `low` and `high` are the ends of 95 % intervals.\n\n" + _table(
        [name.replace("_", " ") for name in columns], rows
    )


def _latency(card: Card) -> str:
    rows = [(name, found["p50_us"], found["p99_us"]) for name, found in card["latency"].items()]
    return (
        "## Latency\n\nOf one action on the machine of the export, one core; a microcontroller is not this machine.\n\n"
        + _table(("", "median [us]", "99th percentile [us]"), rows)
    )
