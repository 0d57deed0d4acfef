"""The origin of a run's policy: data, code, image and job; and the commands that make it again."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from roadsense.errors import InputError, RunError
from roadsense.runs.progress import describe_held_out, read_progress
from roadsense.runs.run import Run, find_runs, open_run
from roadsense.training.train_config import PRESETS, TrainConfig
from roadsense.utils.files import hash_file, reading
from roadsense.utils.tables import print_table
from roadsense.utils.workspace import resolve

UNKNOWN = "not recorded"
PLACES = ("run_dir", "resume", "allow_other_dataset")
"""Settings that say where a run is written; they do not change its result."""


@dataclass(frozen=True)
class RunsConfig:
    """Settings of `roadsense runs`.

    Attributes:
        words: folder of runs to list, by default `runs`; or `lineage RUN`, which prints the origin of a run's policy;
            or `reproduce RUN`, which prints the commands that make the run again. Without RUN it is the newest.
    """

    words: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER | lineage RUN | reproduce RUN")
    ] = ("runs",)


def show_runs(config: RunsConfig) -> None:
    """Lists the runs below a folder with their states, or prints a run's lineage, or how to reproduce it.

    Raises:
        InputError: if more than one folder is given.
        RunError: if there is no such run.
    """
    question, *folders = config.words or ("runs",)
    is_trace = question in ("lineage", "reproduce")
    if len(folders) > is_trace:
        raise InputError(f"Expected one folder, or lineage RUN, or reproduce RUN, got {' '.join(config.words)!r}.")
    if is_trace:
        sys.stdout.write("".join(f"{line}\n" for line in _trace(question, *folders)))
    elif rows := _list(question):
        print_table(("run", "state", "since", "steps", "held-out collisions"), rows)
    else:
        sys.stdout.write(f"No run below {resolve(question)}. Train one with `roadsense train`.\n")


def _trace(question: str, folder: str | None = None) -> list[str]:
    run = open_run(folder, trained=False)
    with reading(run.manifest_path, "the origin of a run, here and in its settings", RunError):
        if question == "reproduce":
            return list(list_commands(run))
        return [f"{link:10}{what}" for link, what in trace_lineage(run).items()]


def _list(folder: str) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for found in find_runs(folder):
        progress = read_progress(found, found.read_metrics())
        state = progress.state
        reason = state.reason.partition(". ")[0]
        name = f"{state.name} ({reason})" if reason else state.name
        steps = f"{progress.timesteps:,} of {progress.total:,}"
        rows.append((str(found.folder), name, state.since, steps, describe_held_out(progress.latest)))
    return rows


def trace_lineage(run: Run) -> dict[str, str]:
    """Returns the chain from a run's policy back to its scenarios, by link.

    Raises:
        RunError: if it has no manifest or no settings.
    """
    manifest, config = run.read_manifest(), run.read_config()
    job = manifest.get("job") or {}
    clean = {True: ", nothing changed", False: ", with changes that are not in it", None: ""}[manifest.get("git_clean")]
    return {
        "policy": f"{run.model_path} (sha256 {hash_file(run.model_path)})" if run.model_path.is_file() else "none yet",
        "settings": f"{run.config_path} (sha256 {hash_file(run.config_path)})",
        "seeds": _spell(config.get("seeds") or config.get("seed")),
        "dataset": f"{job.get('dataset_url') or config.get('dataset_dir')} (digest {_spell(find_digest(manifest))})",
        "code": f"git commit {_spell(manifest.get('git_commit'))}{clean}",
        "image": _spell(job.get("image")),
        "job": _spell(job.get("arn") or job.get("name")),
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items()),
    }


def list_commands(run: Run) -> list[str]:
    """Returns the commands that make a run's policy again, from a checkout of the project.

    Raises:
        RunError: if it has no manifest or no settings, or its code is not known.
    """
    manifest, config = run.read_manifest(), run.read_config()
    commit = manifest.get("git_commit")
    if not commit:
        raise RunError(f"{run.folder} does not say which code it was made with, so it cannot be made again exactly.")
    lines = [f"git checkout {commit}", "make setup"]
    if manifest.get("git_clean") is False:
        lines.insert(
            0, "# The checkout held changes that are not in this commit: what follows may differ from the run."
        )
    job = manifest.get("job") or {}
    dataset = job.get("dataset_url") or config.get("dataset_dir", "")
    lines.append(f"# The dataset needs the digest {find_digest(manifest) or UNKNOWN}.")
    if job.get("dataset_url"):
        config = {**config, "dataset_dir": f"{dataset.rstrip('/')}/train"}
    settings = [f"--{name} {_spell_option(value)}" for name, value in list_changed(config).items()]
    lines.append(" ".join([".venv/bin/roadsense train", *settings, "--run_dir runs/reproduced"]))
    return lines


def find_digest(manifest: Mapping[str, Any]) -> Any:
    """Returns the digest of the dataset a run was trained on, or None if its manifest has none."""
    return manifest.get("dataset_digest") or manifest.get("train_digest")


def list_changed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that differ from the defaults, including those that the preset sets."""
    defaults = {each.name: each.default for each in fields(TrainConfig)}
    defaults |= dict(PRESETS.get(config.get("preset", "default"), {}))
    return {
        name: value
        for name, value in config.items()
        if name not in PLACES and name in defaults and value != defaults[name] and value not in (None, [], ())
    }


def _spell_option(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(shlex.quote(str(item)) for item in value)
    return shlex.quote(str(Path(value)) if isinstance(value, Path) else str(value))


def _spell(value: Any) -> str:
    return UNKNOWN if value in (None, "", [], ()) else str(value)
