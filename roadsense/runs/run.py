"""The run folder: its files, how to make one, and how to open it again from any process.

A run never overwrites a run. Files appear complete: each is written under another name and then renamed.
"""

import importlib.metadata
import json
import math
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from roadsense.envs.observation import OBSERVATION_VERSION
from roadsense.errors import RunError
from roadsense.policies.source import CONFIG_NAME, KEPT_NAME, PolicySource, advise, refuse_other_version
from roadsense.runs.metric_lines import read_metric_lines
from roadsense.runs.state import RunState, read_state
from roadsense.utils.files import is_stray, part_name, read_json, reading, refuse_existing, write_atomically
from roadsense.utils.git_state import read_git_state
from roadsense.utils.workspace import resolve

COMMIT_VARIABLE = "ROADSENSE_GIT_COMMIT"
"""Environment variable with the commit that a container image was built from; the image holds no git checkout."""
JOB_PREFIX = "ROADSENSE_JOB_"
JOB_VARIABLES = {"name": "TRAINING_JOB_NAME", "arn": "TRAINING_JOB_ARN"}
"""Environment variables that identify a job; those with the prefix are kept under the rest of their name."""
CHECKPOINTS = "checkpoint_*.pt"
"""Names of the files in a run's folder of checkpoints."""
PACKAGES = ("roadsense", "eclipse-sumo", "libsumo", "gymnasium", "stable-baselines3", "torch", "numpy")


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        folder: path of the folder.
    """

    folder: Path

    @property
    def config_path(self) -> Path:
        """Settings of the training, JSON."""
        return self.folder / CONFIG_NAME

    @property
    def manifest_path(self) -> Path:
        """Origin of the run: data, code, versions, command. JSON."""
        return self.folder / "manifest.json"

    @property
    def metrics_path(self) -> Path:
        """Progress of the training, one JSON object per line."""
        return self.folder / "metrics.jsonl"

    @property
    def model_path(self) -> Path:
        """The trained policy, Stable-Baselines3's zip."""
        return self.folder / "model.zip"

    @property
    def best_model_path(self) -> Path:
        """The policy with the best held-out score during training, if there were evaluations."""
        return self.folder / "best_model.zip"

    @property
    def checkpoint_dir(self) -> Path:
        """Folder of the checkpoints from which it can resume."""
        return self.folder / "checkpoints"

    @property
    def heldout_dir(self) -> Path:
        """Folder of the policies that were evaluated during training."""
        return self.folder / "heldout"

    @property
    def deaths_path(self) -> Path:
        """Worker processes that died, one JSON object per line."""
        return self.folder / "deaths.jsonl"

    @property
    def evaluation_dir(self) -> Path:
        """Folder of the evaluation's tables and figures."""
        return self.folder / "evaluation"

    @property
    def export_dir(self) -> Path:
        """Folder of the exported policy."""
        return self.folder / "export"

    def read_config(self) -> dict[str, Any]:
        """Returns the training's settings."""
        return read_json(self.config_path, "the settings of a run", RunError)

    def read_total_timesteps(self) -> int:
        """Returns the number of environment steps of the whole training.

        It learns from whole rollouts of all its workers, so these are those asked for or a few more.
        """
        config = read_json(self.config_path, "the settings of a run", RunError, total_timesteps=int)
        with reading(self.config_path, "the settings of a run", RunError):
            rollout_steps = config.get("rollout_steps", 1) if config.get("algorithm", "ppo") == "ppo" else 1
            per_update = max(int(rollout_steps) * int(config.get("n_workers", 1)), 1)
            return math.ceil(config["total_timesteps"] / per_update) * per_update

    def read_manifest(self) -> dict[str, Any]:
        """Returns the origin of the run."""
        return read_json(self.manifest_path, "the manifest of a run", RunError)

    def read_observation_version(self) -> Any:
        """Returns the version of the observation it was trained on: 1 in old manifests, None without a manifest."""
        return self.read_manifest().get("observation_version", 1) if self.manifest_path.is_file() else None

    def read_metrics(self) -> pd.DataFrame:
        """Returns the training's progress, one row per logged line; empty if there is none yet."""
        return pd.DataFrame(read_metric_lines(self.metrics_path))

    def count_timesteps(self) -> int:
        """Returns the number of environment steps it has learned from, as far as they were logged."""
        table = self.read_metrics()
        return 0 if table.empty else int(table["timesteps"].max())

    def read_state(self) -> RunState:
        """Returns its state: running, trained, stopped or failed."""
        return read_state(self.folder)


def create_run(folder: str | Path, config: Any, facts: Mapping[str, Any]) -> Run:
    """Makes a new run folder with its settings and its manifest.

    Args:
        folder: path of the folder; it must be new or empty.
        config: settings, a dataclass of JSON-like values.
        facts: facts for the manifest besides command, versions and git commit, for example the dataset's digest.

    Raises:
        RunError: if the folder is not empty.
    """
    folder = resolve(folder)
    run = Run(folder)
    names = run.config_path.name, run.manifest_path.name
    refuse_existing(folder, "the run", RunError, (CONFIG_NAME, *map(part_name, names)))
    if not is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"Expected a dataclass, got {config!r}.")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(run.config_path, json.dumps(asdict(config), indent=2, default=str) + "\n")
    write_atomically(run.manifest_path, json.dumps({**describe_origin(), **facts}, indent=2) + "\n")
    return run


def open_run(folder: str | Path | None = None, trained: bool = True) -> Run:
    """Opens a run folder, from any process.

    Args:
        folder: folder of the run, or of a fetched job that trained it; None for the newest run below `runs`, with
            `trained` the newest trained one.
        trained: whether it must hold a trained policy; False also opens a run that is still training.

    Raises:
        RunError: if it is no run, or holds no policy although `trained` is set.

    Examples:
        >>> import roadsense as rs
        >>> run = rs.open_run("runs/first")
        >>> run.read_config()["algorithm"]
        'ppo'
    """
    if folder is None:
        return newest_run(trained)
    run = Run(_find_inside(resolve(folder)))
    if not trained and not run.config_path.is_file():
        raise RunError(f"Expected the folder of a run with {run.config_path.name}, found none in {folder}.")
    if trained and not run.model_path.is_file():
        raise RunError(f"Expected a run with {run.model_path.name} in {folder}, found none. {advise(run.folder)}")
    return run


def refuse_other_observation(run: Run, is_resumed: bool = False) -> None:
    """Checks that a run's policy was trained on a version of the observation with which it still drives.

    Raises:
        RunError: if its manifest names another version, even if the shapes are the same; for a run that is resumed, any
            but the current one.
    """
    version = run.read_observation_version()
    if is_resumed and version != OBSERVATION_VERSION:
        raise RunError(
            f"{run.folder}: expected a run of observation version {OBSERVATION_VERSION} to resume, got {version}. "
            "Train it again, or resume it with the roadsense that began it."
        )
    refuse_other_version(run.folder)


def _find_inside(folder: Path) -> Path:
    """Returns a run folder, or `model` in it, where a fetched job has the run."""
    kept = folder / KEPT_NAME
    return kept if (kept / CONFIG_NAME).is_file() and not (folder / CONFIG_NAME).is_file() else folder


def find_runs(folder: str | Path = "runs") -> list[Run]:
    """Returns the runs at any depth below a folder, the oldest first; of the copies that a job leaves, one.

    Hidden folders, as JupyterLab's and a file manager's, and what archive programs leave hold none.

    Examples:
        >>> import roadsense as rs
        >>> [run.folder.name for run in rs.find_runs()]
        ['first']
    """
    folder = resolve(folder)
    found = [path for path in folder.rglob("manifest.json") if not is_stray(path.relative_to(folder))]
    paths = sorted(found, key=lambda path: path.stat().st_mtime)
    copies: dict[str, list[Run]] = {}
    for run in (Run(path.parent) for path in paths if (path.parent / CONFIG_NAME).is_file()):
        copies.setdefault(_name_training(run), []).append(run)
    return [max(same, key=lambda run: (run.model_path.is_file(), -len(run.folder.parts))) for same in copies.values()]


def _name_training(run: Run) -> str:
    """Returns what all copies of a job's run have in common; for any other run, its folder."""
    try:
        job = run.read_manifest().get("job")
        return json.dumps([job, run.read_config()]) if job else str(run.folder)
    except RunError:  # a damaged run is found too; opening it raises the error
        return str(run.folder)


def newest_run(trained: bool = False) -> Run:
    """Returns the newest run below `runs`; with `trained`, the newest that holds a trained policy.

    Raises:
        RunError: if there is none.
    """
    found = [run for run in find_runs() if run.model_path.is_file() or not trained]
    if not found:
        what = "a trained run" if trained else "a run"
        raise RunError(f"Expected {what} below {resolve('runs')}, found none. Train one with `roadsense train`.")
    return found[-1]


def read_seeds(folder: str | Path) -> pd.DataFrame:
    """Returns the progress of all runs of an experiment, one after the other, with the seed of each in `seed`."""
    runs = [run for run in find_runs(folder) if run.metrics_path.is_file()]
    return pd.concat([run.read_metrics().assign(seed=run.read_config()["seed"]) for run in runs], ignore_index=True)


def describe_origin() -> dict[str, Any]:
    """Returns the origin for a manifest: command, Python, versions, git commit."""
    state = read_git_state()
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "git_commit": state.commit or os.environ.get(COMMIT_VARIABLE),
        "git_clean": state.is_clean,
        "job": _read_job(),
        "observation_version": OBSERVATION_VERSION,
    }


def _read_job() -> dict[str, str]:
    """Returns the facts from a job's environment variables; none outside of a job."""
    facts = {name: os.environ[variable] for name, variable in JOB_VARIABLES.items() if os.environ.get(variable)}
    named = {
        name.removeprefix(JOB_PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(JOB_PREFIX) and name != "ROADSENSE_JOB_ROOT" and value
    }
    return facts | named


POLICIES_DIR = "runs/policies"


def choose_folder(source: PolicySource) -> Path:
    """Returns the folder of the run that a policy belongs to, else one by its name and digest, which is made.

    Args:
        source: where the policy comes from, see `roadsense.policies.source.find_policy`.
    """
    if source.run_dir is not None:
        return source.run_dir
    folder = resolve(POLICIES_DIR) / f"{source.name}-{source.digest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
