"""The command `roadsense job register`: a policy into SageMaker's model registry, with where it comes from.

Without `--submit` it only shows what would be sent.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from roadsense.errors import InputError
from roadsense.jobs.registry import plan_package, register_package
from roadsense.jobs.registry_request import GROUP_START
from roadsense.runs.run import open_run
from roadsense.training.lineage import read_origin
from roadsense.utils.command import run_command


@dataclass(frozen=True)
class RegisterConfig:
    """Settings of `roadsense job register`.

    Attributes:
        model: name of a SageMaker training job that is done, or the folder of a run that was fetched from one; of the
            run's evaluations the newest one of this policy is registered with it.
        group: of the model's versions; made if it is missing. Its name begins with `roadsense`.
        region: of AWS; by default the configured one.
        submit: register it; without, only show it.
    """

    model: tyro.conf.Positional[str]
    group: str = GROUP_START
    region: str | None = None
    submit: bool = False


def main(arguments: Sequence[str]) -> int:
    """Runs `roadsense job register`; returns its exit code."""
    return run_command(
        lambda: _register(tyro.cli(RegisterConfig, args=arguments, prog="roadsense job register", description=__doc__))
    )


def _register(config: RegisterConfig) -> None:
    folder = find_run_folder(config.model)
    job = read_job_name(folder) if folder else config.model
    plan = plan_package(job, folder, config.group, config.region)
    if plan.package.report is None:
        sys.stderr.write("note: no evaluation of this policy is here, so none is registered.\n")
    if not config.submit:
        sys.stdout.write(json.dumps(plan.describe(), indent=2) + "\n")
        sys.stderr.write("Nothing was sent. With --submit it is.\n")
        return
    sys.stdout.write(f"{register_package(plan)}\n")
    sys.stderr.write("It waits for approval: PendingManualApproval.\n")


def find_run_folder(model: str) -> Path | None:
    """Returns the folder of the run that is meant, or None if a job's name is: of fetched results, that is `model`."""
    folder = Path(model)
    if not folder.is_dir():
        return None
    return folder / "model" if (folder / "model" / "config.json").is_file() else folder


def read_job_name(folder: Path) -> str:
    """Returns the name of the training job that made a run.

    Raises:
        InputError: if it was made by none of SageMaker.
        RunError: if it holds no policy, no manifest or no settings.
    """
    manifest, _ = read_origin(open_run(folder))
    job = manifest.get("job") or {}
    if job.get("target") != "sagemaker" or not job.get("name"):
        raise InputError(
            f"Expected a run that a training job on SageMaker made, whose artefact is on S3, but {folder} was made "
            f"{'by a job of the target ' + job['target'] if job.get('target') else 'by no job'}."
        )
    return job["name"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
