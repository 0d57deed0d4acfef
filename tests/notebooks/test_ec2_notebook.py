"""From dataset to fetched results: without AWS the notebook says what is missing, on this machine it goes the way."""

import nbformat
import pytest

from roadsense.errors import NotebookError
from roadsense.jobs.runner import run_notebook
from roadsense.runs.run import open_run
from tests.jobs.conftest import no_aws  # noqa: F401
from tests.jobs.small_notebooks import ROOT, printed

NOTEBOOK = ROOT / "notebooks" / "04_ec2.ipynb"
SETTINGS = {"imitation_timesteps": 0, "n_workers": 2, "total_timesteps": 1024}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("notebooks", "scenarios"):
        (tmp_path / name).symlink_to(ROOT / name)


@pytest.mark.usefixtures("no_aws")
def test_without_aws_it_shows_the_requests_and_says_what_is_missing(tmp_path):
    text = printed(run_notebook(NOTEBOOK, tmp_path / "executed.ipynb", {"dataset": "nowhere"}))
    for name in ("output", "image", "region", "dataset", "credentials"):
        assert f"Missing: {name}: " in text
    assert "RunInstances" in text
    assert "at most" in text  # the price
    assert "A dry run: nothing was started." in text
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("no_aws")
def test_it_submits_nothing_that_lacks_something(tmp_path):
    with pytest.raises(NotebookError, match=r"Missing: .*output: a bucket"):
        run_notebook(NOTEBOOK, tmp_path / "executed.ipynb", {"dry_run": False})


def test_a_wrong_parameter_of_the_job_ends_it_at_once(tmp_path):
    given = {"parameters": {"total_timestep": 3}, "target": "local", "dataset": ""}
    with pytest.raises(NotebookError, match="Did you mean 'total_timesteps'"):
        run_notebook(NOTEBOOK, tmp_path / "executed.ipynb", given)


@pytest.mark.slow
def test_on_this_machine_it_goes_from_dataset_to_fetched_results(tmp_path, small_dataset):
    given = {"target": "local", "dry_run": False, "dataset": str(small_dataset.folder), "parameters": SETTINGS}
    executed = run_notebook(NOTEBOOK, tmp_path / "executed.ipynb", given)
    text = printed(executed)
    assert "Nothing is missing." in text
    assert "roadsense_metric timesteps=1024" in text
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.name != "jobs")
    run = open_run(folder / "model")
    assert run.read_manifest()["dataset_digest"] == small_dataset.digest
    outputs = [out for cell in nbformat.read(executed, 4).cells for out in cell.get("outputs", [])]
    assert any("image/png" in out.get("data", {}) for out in outputs)
