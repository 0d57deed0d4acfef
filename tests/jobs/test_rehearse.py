"""A rehearsal: the real notebook in the real runner, interrupted and resumed; and rehearsals that have to fail."""

import json
from dataclasses import replace

import nbformat
import pytest

from roadsense.cli import main
from roadsense.errors import InputError
from roadsense.jobs.inside.heartbeat import read_beat
from roadsense.jobs.inside.layout import JobLayout
from roadsense.jobs.local import rehearse as module
from roadsense.jobs.local.rehearse import DifferenceError, rehearse, shorten
from roadsense.jobs.spec import JobSpec, check_spec
from roadsense.jobs.target import JobError

TRAINING_PARAMETERS = 'run_dir: str = ""  # new folder\nresume: str = ""  # to go on with'
FORGETFUL = """
import io, os, pathlib, time, zipfile
folder = pathlib.Path(run_dir)
(folder / "checkpoints").mkdir(parents=True)
(folder / "checkpoints" / "checkpoint_1.pt").touch()
weights = io.BytesIO()
with zipfile.ZipFile(weights, "w") as archive:
    archive.writestr("policy/data/0", os.urandom(8))
with zipfile.ZipFile(folder / "model.zip", "w") as archive:
    archive.writestr("policy.pth", weights.getvalue())
print("roadsense_metric timesteps=1", flush=True)
time.sleep(5)
"""
"""Takes new weights from the air at each start, and gives time to interrupt it."""
STEPS = {"total_timesteps": 3072, "imitation_timesteps": 64, "n_workers": 2}


@pytest.fixture
def spec(small_dataset):
    return check_spec(JobSpec("01_train", parameters=STEPS, dataset=str(small_dataset.folder)))


@pytest.fixture
def notebook(tmp_path):
    """Writes a notebook of one cell behind its parameters, and returns the spec of a job that runs it."""

    def write(source, parameters="seconds: int = 1  # to sleep"):
        cells = [
            nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(source),
        ]
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, tmp_path / "mine.ipynb")
        return check_spec(JobSpec(str(tmp_path / "mine.ipynb")))

    return write


def test_a_training_is_run_stopped_and_resumed_to_the_same_policy(small_dataset, tmp_path, capsys):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"notebook": "01_train", "dataset": str(small_dataset.folder), "parameters": STEPS}))
    assert main(["job", "rehearse", "--bare", "--keep", str(tmp_path / "kept"), str(path)]) == 0
    said = capsys.readouterr().out
    assert "bytes of weights as if never stopped" in said
    assert "The rehearsal passed." in said
    broken = JobLayout(tmp_path / "kept" / "rehearsal-broken")
    assert read_beat(broken.state_path).state == "done"
    log = (tmp_path / "kept" / "rehearsal-broken" / "run.log").read_text()
    assert "SIGTERM: the notebook is asked to stop" in log
    assert "Resuming the run" in log
    assert main(["job", "rehearse", "--bare", "--keep", str(tmp_path / "kept"), str(path)]) == InputError.exit_code


def test_a_resume_that_ends_in_another_policy_fails_the_rehearsal(notebook, tmp_path):
    spec = notebook(FORGETFUL, TRAINING_PARAMETERS)
    with pytest.raises(DifferenceError, match="but 1 differ"):
        rehearse(spec, tmp_path / "rehearsal", "local")
    assert "SIGTERM" in (tmp_path / "rehearsal" / "rehearsal-broken" / "run.log").read_text()


def test_a_training_that_keeps_no_checkpoint_fails_the_rehearsal(notebook, tmp_path):
    spec = notebook(FORGETFUL.replace("checkpoint_1.pt", "nothing"), TRAINING_PARAMETERS)
    with pytest.raises(JobError, match="left no checkpoint"):
        rehearse(spec, tmp_path / "rehearsal", "local")


def test_a_notebook_that_trains_nothing_is_run_and_not_interrupted(notebook, tmp_path, capsys):
    assert rehearse(notebook("print('slept', seconds)"), tmp_path / "rehearsal", "local") == 0
    assert "it was not interrupted" in capsys.readouterr().out
    assert "slept 1" in (tmp_path / "rehearsal" / "rehearsal-whole" / "run.log").read_text()


def test_a_notebook_that_fails_fails_the_rehearsal_and_its_log_is_shown(notebook, tmp_path):
    with pytest.raises(JobError, match=r"it is failed.*no such road"):
        rehearse(notebook("raise ValueError('no such road')"), tmp_path / "rehearsal", "local")


def test_a_training_that_ends_before_it_can_be_stopped_fails_the_rehearsal(notebook, tmp_path):
    spec = notebook("pass", TRAINING_PARAMETERS)
    with pytest.raises(JobError, match=r"expected it to be|it printed no figure"):
        rehearse(spec, tmp_path / "rehearsal", "local")


def test_a_start_that_takes_too_long_is_ended(notebook, tmp_path):
    spec = notebook("import time; time.sleep(seconds * 600)")
    with pytest.raises(JobError, match="it did not end in 4 s"):
        rehearse(spec, tmp_path / "rehearsal", "local", max_s=4.0)


def test_a_job_is_made_short_and_never_longer(spec):
    assert shorten(replace(spec, parameters={})).parameters["total_timesteps"] == module.SHORT["total_timesteps"]
    assert shorten(replace(spec, parameters={"total_timesteps": 50_000_000})).parameters["total_timesteps"] < 10_000
    assert shorten(spec).parameters == {**STEPS}
    assert shorten(replace(spec, parameters={"n_workers": 0})).parameters["n_workers"] == module.SHORT["n_workers"]
    assert shorten(replace(spec, parameters={"v2v": "bursty"})).parameters["v2v"] == "bursty"
