"""Several seeds as one job: the real runner, stopped within a seed, and started again to the end of all."""

import json

from roadsense.cloud.checksums import check_checksums
from roadsense.runs.experiment import find_best_folder, is_trained
from roadsense.runs.run import open_run
from tests.jobs.small_notebooks import start_job
from tests.jobs.test_job_runner import TINY, TRAIN

TEXTS = {**TINY, "total_timesteps": "2048", "seeds": "[3, 4]"}


def test_an_experiment_that_is_stopped_goes_on_with_its_seeds(tmp_path):
    job = start_job(tmp_path / "ml", TRAIN, TEXTS)
    job.wait_for(lambda: "roadsense_metric timesteps=" in job.read())
    job.process.terminate()
    code, output = job.end()
    assert code == 0, output
    assert job.state["state"] == "stopped"
    assert job.state["of_timesteps"] == 2 * 2048
    kept = job.layout.run_dir("job-1")
    assert any((kept / "seed_3" / "checkpoints").iterdir())
    assert not is_trained(kept)

    job = start_job(tmp_path / "ml", TRAIN, TEXTS)
    code, output = job.end()
    assert code == 0, output
    assert job.state["state"] == "done"
    assert (job.state["timesteps"], job.state["of_timesteps"]) == (2 * 2048, 2 * 2048)
    assert is_trained(job.layout.model_dir)
    assert not list(job.layout.model_dir.rglob("checkpoints"))
    assert check_checksums(job.layout.root)
    seeds = [open_run(job.layout.model_dir / f"seed_{seed}").read_config()["seed"] for seed in (3, 4)]
    assert seeds == [3, 4]
    assert find_best_folder(job.layout.model_dir).name == "seed_3"  # without held-out scenarios, the first
    assert json.loads((job.layout.model_dir / "experiment.json").read_text())["seeds"] == [3, 4]
