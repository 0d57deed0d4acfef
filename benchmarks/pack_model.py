"""Packs an exported and evaluated run as the model that comes with RoadSense: `python -m benchmarks.pack_model RUN`."""

import io
import json
import shlex
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import tyro

from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import POLICY, Plan, is_calm
from roadsense.episodes.run import Worker, run_plans
from roadsense.episodes.score import score_episodes
from roadsense.errors import InputError, RunError
from roadsense.policies.source import DEFAULT, DEFAULT_DIR, MODEL_NAME
from roadsense.policies.trained import load_policy
from roadsense.runs.run import Run, open_run
from roadsense.scenarios.scenario import find_scenarios
from roadsense.training.lineage import list_changed
from roadsense.utils.bounds import MAX_WORKERS, bounded, check_bounds
from roadsense.utils.command import run_with_options
from roadsense.utils.files import hash_file, record_sum, refuse_existing, write_atomically
from roadsense.utils.scratch import scratch_folder
from roadsense.utils.workspace import find_file

MAX_BYTES = 300_000
"""Largest size of the packed folder."""
CARD_NAME, SUMMARY_NAME, NOTES_NAME = "model_card.json", "evaluation.json", "README.md"
EPISODES_NAME = "episodes.csv"
NOT_FOR_ACTING = ("optimizer.pth", "pytorch_variables.pth", "system_info.txt")
"""Parts of the zip that acting does not need: what was learned with, and on which machine."""
OUTCOMES = ("collision", "min_ttc_s", "duration_s", "needless_speed_loss_mps", "distance_m")
N_EPISODES, N_STEPS, SEED, ROADS = 60, 150, 7, "scenarios/base"
"""The episodes whose figures the card and `EPISODES_NAME` hold, so that anybody can drive them again in a minute."""


@dataclass(frozen=True)
class PackConfig:
    """Settings of the packing.

    Attributes:
        run: folder of an exported run.
        folder: new folder of the model.
        workers: number of processes that drive the card's episodes.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    folder: Path = DEFAULT_DIR
    workers: int = bounded(1, 1, MAX_WORKERS)

    def __post_init__(self) -> None:
        check_bounds(self)


def pack_model(config: PackConfig) -> Path:
    """Writes the folder of the model, all at once: zip, float32 and int8 `.tflite`, card, evaluation, the commands.

    Raises:
        RunError: if the run is not exported, or the folder holds something.
        InputError: if the packed folder would be larger than `MAX_BYTES`.
    """
    run = open_run(config.run)
    exported = sorted(run.export_dir.glob("policy*.tflite"))
    if len(exported) < 2:
        raise RunError(
            f"Expected float32 and int8 in {run.export_dir}, got {len(exported)} files. Export the run first."
        )
    evaluation = _find_evaluation(run)
    refuse_existing(config.folder, "the model", RunError)
    with scratch_folder(".model.", config.folder.resolve().parent) as outer:
        waiting = outer / "model"
        waiting.mkdir()
        (waiting / MODEL_NAME).write_bytes(slim(run.model_path.read_bytes()))
        for path in exported:
            (waiting / path.name).write_bytes(path.read_bytes())
        for path in (waiting / MODEL_NAME, *(waiting / path.name for path in exported)):
            record_sum(path)
        episodes = drive_again(waiting / MODEL_NAME, config.workers)
        card = _describe(run, waiting, sum_up(episodes))
        write_atomically(waiting / EPISODES_NAME, episodes.to_csv(index=False))
        (waiting / CARD_NAME).write_text(json.dumps(card, indent=2) + "\n")
        (waiting / SUMMARY_NAME).write_text(json.dumps(evaluation, indent=2) + "\n")
        (waiting / NOTES_NAME).write_text(_tell(run, card))
        size = sum(path.stat().st_size for path in waiting.iterdir())
        if size > MAX_BYTES:
            raise InputError(f"Expected a model of at most {MAX_BYTES:,} bytes, got {size:,}. Train a smaller network.")
        if config.folder.is_dir():
            config.folder.rmdir()
        waiting.rename(config.folder)
    return config.folder


def slim(content: bytes) -> bytes:
    """Returns a zip of Stable-Baselines3 without the parts that only learning needs, compressed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as small:
        for name in sorted(whole.namelist()):
            if not name.endswith(NOT_FOR_ACTING):
                small.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), whole.read(name), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def drive_again(policy: Path, n_workers: int) -> pd.DataFrame:
    """Returns plans and outcomes of the card's episodes (`N_EPISODES` on the base roads), driven with a policy."""
    roads = find_scenarios(find_file(ROADS))
    plans = [Plan(POLICY, roads[n % len(roads)].resolve(), SEED + n, not is_calm(n)) for n in range(N_EPISODES)]
    worker = Worker(EnvConfig(n_steps=N_STEPS, step_info=False), load_policy(policy))
    rows = [{name: row[name] for name in OUTCOMES} for row in run_plans(plans, worker, n_workers)]
    planned = [{"road": plan.config_path.parent.name, "seed": plan.seed, "hazard": plan.hazard} for plan in plans]
    return pd.concat([pd.DataFrame(planned), pd.DataFrame(rows)], axis=1)


def sum_up(episodes: pd.DataFrame) -> dict[str, Any]:
    """Returns the figures of the card, from the outcomes of its episodes."""
    score = score_episodes({name: episodes[name].tolist() for name in OUTCOMES})
    return {
        "episodes": len(episodes),
        "collisions": int(episodes["collision"].sum()),
        "unsafe": score.n_unsafe,
        "needless_mps2": score.needless_mps2,
        "distance_m": float(episodes["distance_m"].sum()),
    }


def _describe(run: Run, folder: Path, driven: dict[str, Any]) -> dict[str, Any]:
    exported = json.loads((run.export_dir / "model_card.json").read_text())
    known = ("name", "observation_version", "made_for", "not_made_for", "training", "closed_loop", "versions")
    files = {path.name: {"bytes": path.stat().st_size, "sha256": hash_file(path)} for path in sorted(folder.iterdir())}
    exported["training"]["run"] = DEFAULT
    return {
        **{name: exported[name] for name in known if name in exported},
        "files": files,
        "driven": driven,
        "commands": _list_commands(run),
    }


def _list_commands(run: Run) -> list[str]:
    """Returns the commands that make the model again, with the usual names of the folders."""
    manifest, changed = run.read_manifest(), list_changed(run.read_config())
    settings = [f"--{name} {shlex.quote(str(one))}" for name, one in changed.items() if not name.endswith("_dir")]
    sizes = f"--n_train {manifest['n_scenarios']} --n_eval {manifest['n_eval_scenarios']}"
    return [
        f"roadsense gen-scenarios --output_dir scenarios/dataset_v1 {sizes}",
        " ".join(["roadsense train --dataset_dir scenarios/dataset_v1/train --run_dir runs/default", *settings]),
        "roadsense evaluate runs/default --dataset_dir scenarios/dataset_v1/eval",
        "roadsense export runs/default",
        "python -m benchmarks.pack_model runs/default",
    ]


def _find_evaluation(run: Run) -> dict[str, Any]:
    """Returns verdicts, summary, settings and dataset of the run's evaluation, and its figures in the benchmark."""
    path = run.evaluation_dir / "summary.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    known = {name: found[name] for name in ("verdicts", "summary", "unseen") if name in found}
    if known:
        known["dataset_digest"] = found["origin"]["dataset_digest"]
        known["settings"] = {name: value for name, value in found["config"].items() if not name.endswith("_dir")}
    driven = {path.stem: json.loads(path.read_text())["rows"] for path in sorted(run.folder.glob("benchmark_*.json"))}
    if not known and not driven:
        raise RunError(f"Expected an evaluation or a benchmark in {run.folder}, found none. Evaluate the run first.")
    return known | driven


def _tell(run: Run, card: dict[str, Any]) -> str:
    config, driven = run.read_config(), card["driven"]
    commands = "\n".join(_list_commands(run))
    return (
        "# The model that comes with RoadSense\n\n"
        f'`rs.load_policy("default")`, `roadsense enjoy default`. Trained with {config["algorithm"].upper()} for '
        f"{config['total_timesteps']:,} steps between two imitations of {config['imitation_timesteps']:,}. "
        f"`{CARD_NAME}` has its origin, its limits and the figures of {driven['episodes']} short episodes: "
        f"{driven['collisions']} collisions, {driven['unsafe']} unsafe. `{EPISODES_NAME}` has each of them, "
        f"`{SUMMARY_NAME}` its evaluation.\n\n"
        f"Made again by:\n\n```\n{commands}\n```\n"
    )


def pack_and_print(config: PackConfig) -> None:
    """Packs an exported run as the model that comes with RoadSense, and prints where it is."""
    sys.stdout.write(f"{pack_model(config)}\n")


if __name__ == "__main__":
    sys.exit(run_with_options(pack_and_print, PackConfig, "python -m benchmarks.pack_model"))
