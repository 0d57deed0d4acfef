"""A real training on a stage: taken back by a spot notice in the middle, finished by the next machine."""

from pathlib import Path

import boto3
import pytest

from roadsense.cloud.storage import publish_dataset
from roadsense.jobs.aws.ec2.folder import JobFolder
from roadsense.jobs.aws.ec2.user_data import encode_parameters
from roadsense.jobs.target import JobState
from roadsense.runs.run import open_run
from roadsense.scenarios.dataset import Dataset
from tests.jobs.stage import Stage, stage, wait_for
from tests.jobs.test_machine import place, script

__all__ = ["place", "stage"]

PARAMETERS = {
    "total_timesteps": "80000",  # the rest takes longer than the notice
    "imitation_timesteps": "512",
    "n_workers": "2",
}
LONG_S = 400


@pytest.mark.slow
def test_a_training_that_is_taken_back_is_finished_by_the_next_machine(
    stage: Stage, place: JobFolder, small_dataset: Dataset, tmp_path: Path
) -> None:
    url = publish_dataset(small_dataset.folder, "s3://cars/rs")
    text = script(Path("01_train"), spot="yes", dataset=url, parameters=encode_parameters(PARAMETERS), sync_every_s=2)
    process = stage.start(text)
    wait_for(lambda: "roadsense_metric timesteps=" in (place.read_text("run.log") or ""), LONG_S)
    (stage.folder / "notice").write_text("{}")
    code, said = stage.finish(process, LONG_S)
    assert code == 0, said
    assert place.read_status().reason == "spot interruption"
    listed = boto3.client("s3").list_objects_v2(Bucket="cars", Prefix="rs/jobs/a-job/checkpoints/")["Contents"]
    assert any("checkpoint_" in row["Key"] for row in listed)

    code, said = Stage(tmp_path / "next", dict(stage.environment)).run(text, LONG_S)
    assert code == 0, said
    assert "Resuming the run" in (place.read_text("run.log") or "")
    assert (place.read_status().state, place.read_status().reason) == (JobState.DONE, "")
    run = open_run(place.fetch(tmp_path / "fetched") / "model")
    assert run.read_state().name == "trained"
    assert run.count_timesteps() >= int(PARAMETERS["total_timesteps"])
