"""Judges all policies of a sweep together, and the driver alone, on the same held-out episodes."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadsense.errors import InputError, RoadSenseError

if TYPE_CHECKING:
    from roadsense.evaluation.results import Evaluation

OWN = ("run_dir", "beside", "policy")
"""Settings of an evaluation that the sweep fills in."""


def check_judging(settings: Mapping[str, Any]) -> None:
    """Checks the evaluation settings of a sweep before anything is trained.

    Args:
        settings: fields of `EvalConfig`, with `dataset_dir`.

    Raises:
        InputError: if a setting cannot be used; it names the setting.
    """
    from roadsense.evaluation.config import EvalConfig

    known = {each.name for each in fields(EvalConfig)} - set(OWN)
    unknown = sorted(set(settings) - known)
    if unknown or "dataset_dir" not in settings:
        raise InputError(
            f"judge: expected dataset_dir and fields of {sorted(known)}, got {unknown or 'no dataset_dir'}."
        )
    EvalConfig(run_dir="", **settings)
    if not Path(settings["dataset_dir"]).is_dir():
        raise InputError(f"judge: expected held-out scenarios in {settings['dataset_dir']}, found no such folder.")


def judge_together(runs: Mapping[str, Path], settings: Mapping[str, Any]) -> "Evaluation":
    """Drives every run's policy on the same episodes and returns the evaluation, which is in the first run's folder.

    It runs in a separate process, so the process that runs jobs loads no evaluation code.

    Args:
        runs: folders of trained runs, by name.
        settings: fields of `EvalConfig`, checked.

    Raises:
        RoadSenseError: if it failed; its output says why.
    """
    from roadsense.evaluation.results import find_evaluations, open_evaluation

    first, *others = runs.items()
    command = [sys.executable, "-m", "roadsense.evaluate", f"--run_dir={first[1]}"]
    command += [_spell(name, value) for name, value in settings.items()]
    command += ["--beside", *(f"{name}={folder}" for name, folder in others)] if others else []
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        raise RoadSenseError(f"The sweep's policies could not be judged on {settings['dataset_dir']}; see above.")
    return open_evaluation(find_evaluations(first[1])[-1])


def name_policies(names: Sequence[str]) -> dict[str, str]:
    """Returns the name of each run in the evaluation of `judge_together`; the first is the judged policy."""
    from roadsense.episodes.plan import POLICY

    return {name: POLICY if place == 0 else name for place, name in enumerate(names)}


def _spell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={value}"
