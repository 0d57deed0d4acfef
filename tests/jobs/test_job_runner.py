"""The runner as a job: a process of its own, real notebooks, real signals, everything in the layout of SageMaker."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import boto3
import nbformat
import pytest
from stable_baselines3 import PPO

from roadsense.cloud.checksums import check_checksums
from roadsense.cloud.s3_transfer import S3Place, S3Transfer, find_files
from roadsense.errors import NotebookError
from roadsense.jobs.inside.execution import Execution
from roadsense.runs.metric_lines import PATTERN
from roadsense.runs.run import Run, open_run
from roadsense.runs.stopping import StoppedError
from tests.jobs.small_notebooks import ROOT, printed, start_job, write_notebook
from tests.small_training import BASE_DIR, assert_same_weights

TRAIN = ROOT / "notebooks" / "01_train.ipynb"
TINY = {
    "dataset_dir": str(BASE_DIR / "highway_fast"),
    "total_timesteps": "4608",
    "imitation_timesteps": "0",
    "n_workers": "2",
    "rollout_steps": "256",
    "episode_steps": "50",
    "n_epochs": "2",
}
WAIT = "import time\nprint('waiting', flush=True)\ntime.sleep(300)"


def test_texts_become_values_output_is_live_and_everything_is_where_it_belongs(tmp_path):
    show = "print('told', n_steps, rate, name, quick, lengths, flush=True)"
    notebook = write_notebook(tmp_path, show, "import time\ntime.sleep(4)")
    texts = {"n_steps": "7", "name": "042", "quick": "True", "lengths": "[4]", "_tuning_objective_metric": "eval_score"}
    job = start_job(tmp_path / "ml", notebook, texts)
    job.wait_for(lambda: "told 7 0.5 042 True [4]" in job.read())
    assert job.state["state"] == "running"
    code, _ = job.end()
    assert code == 0
    assert job.state["state"] == "done"
    assert "told 7" in printed(job.layout.output_data_dir / "small.ipynb")
    assert (job.layout.model_dir / "small.ipynb").is_file()
    assert not job.layout.failure_path.exists()
    assert check_checksums(job.layout.root) == 4
    assert check_checksums(job.layout.model_dir) == 1


def test_a_failing_cell_fails_the_job_with_its_reason_and_keeps_what_ran(tmp_path):
    job = start_job(tmp_path / "ml", write_notebook(tmp_path, "print('before')", "raise ValueError('no gap')"), {})
    code, output = job.end()
    assert code == 1
    reason = job.layout.failure_path.read_text()
    assert re.match(r"small\.ipynb, In \[\d\]: ValueError: no gap\.", reason)
    assert reason.strip() in output
    assert job.state["state"] == "failed"
    assert job.state["reason"] == reason.strip()
    kept = nbformat.read(job.layout.model_dir / "small.ipynb", 4)
    assert any(out.output_type == "error" for cell in kept.cells for out in cell.get("outputs", []))
    assert check_checksums(job.layout.root) > 0
    assert check_checksums(job.layout.model_dir) > 0


WRONG = [
    ("small", {"n_step": "7"}, 2, "got 'n_step'"),
    ("small", {"n_steps": "many"}, 2, "n_steps to be int"),
    ("nowhere", {}, 2, "found none at nowhere"),
]


@pytest.mark.parametrize(("name", "texts", "code", "said"), WRONG, ids=str)
def test_what_cannot_start_fails_with_its_reason(tmp_path, name, texts, code, said):
    notebook = write_notebook(tmp_path) if name == "small" else name
    job = start_job(tmp_path / "ml", notebook, texts)
    assert job.end()[0] == code
    assert said in job.layout.failure_path.read_text()
    assert job.state["state"] == "failed"


def test_an_error_nobody_expected_is_written_down_too(tmp_path):
    root = tmp_path / "ml"
    (root / "model" / "small.ipynb").mkdir(parents=True)  # in the way of the executed copy
    job = start_job(root, write_notebook(tmp_path), {})
    code, output = job.end()
    assert code == 1
    assert "IsADirectoryError" in job.layout.failure_path.read_text()
    assert "Traceback" in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_notebook_that_trains_nothing_is_interrupted_and_leaves_what_there_is(tmp_path, number):
    notebook = write_notebook(tmp_path, WAIT, "print('after')")
    job = start_job(tmp_path / "ml", notebook, {})
    job.wait_for(lambda: "waiting" in job.read())
    job.process.send_signal(number)
    started_s = time.monotonic()
    code, _ = job.end()
    assert time.monotonic() - started_s < 60
    assert code == 0
    assert job.state["state"] == "stopped"
    assert job.layout.stop_path.read_text() == number.name
    assert "waiting" in printed(job.layout.model_dir / "small.ipynb")
    assert "after" not in printed(job.layout.model_dir / "small.ipynb")


def test_a_signal_that_comes_before_the_notebook_is_not_lost(tmp_path):
    mark = tmp_path / "ran"
    notebook = write_notebook(tmp_path, WAIT, f"open({str(mark)!r}, 'w')")
    job = start_job(tmp_path / "ml", notebook, {})
    job.wait_for(job.layout.state_path.exists)  # it has only begun to load papermill
    job.process.send_signal(signal.SIGTERM)
    code, _ = job.end()
    assert code == 0
    assert job.state["state"] == "stopped"
    assert not mark.exists()


def test_a_notebook_that_does_not_hear_the_signal_is_killed_and_counts_as_stopped(tmp_path):
    mark = tmp_path / "runs"
    deaf = f"import signal, time\nsignal.signal(2, signal.SIG_IGN)\nopen({str(mark)!r}, 'w')\ntime.sleep(99)"

    def _stop(execution):
        if mark.exists():
            execution.interrupt()
            execution.kill()

    with pytest.raises(StoppedError, match="did not end by itself and was killed"):
        Execution(write_notebook(tmp_path, deaf), tmp_path / "executed.ipynb", {}).run(_stop)
    assert (tmp_path / "executed.ipynb").is_file()


def test_a_kernel_that_dies_by_itself_while_it_stops_has_failed(tmp_path):
    mark = tmp_path / "runs"
    dies = (
        f"import os, time\nopen({str(mark)!r}, 'w')\ntry:\n    time.sleep(99)\n"
        "except KeyboardInterrupt:\n    os.kill(os.getpid(), 9)"
    )
    asked = []

    def _stop(execution):
        if mark.exists() and not asked and execution.interrupt():
            asked.append(True)

    with pytest.raises(NotebookError, match="its kernel died"):
        Execution(write_notebook(tmp_path, dies), tmp_path / "executed.ipynb", {}).run(_stop)


def test_paths_of_the_layout_are_given_to_a_notebook_that_asks_for_them(tmp_path, small_dataset):
    parameters = 'dataset_dir: str = "scenarios/some/eval"\noutput_dir: str = "scenarios/mine"\nseed: int = 0'
    write = "from pathlib import Path\nPath(output_dir).mkdir()\n(Path(output_dir) / 'x').write_text(dataset_dir)"
    notebook = write_notebook(tmp_path, write, parameters=parameters)
    root = tmp_path / "ml"
    shutil.copytree(small_dataset.folder, root / "input" / "data" / "dataset")
    assert start_job(root, notebook, {"seed": "3"}).end()[0] == 0
    assert (root / "model" / "mine" / "x").read_text() == str(root / "input/data/dataset/eval")
    assert start_job(root, notebook, {"dataset_dir": "elsewhere", "output_dir": "deep/other"}).end()[0] == 0
    assert (root / "model" / "other" / "x").read_text() == "elsewhere"
    assert sorted(path.name for path in (root / "output" / "data").iterdir()) == ["small.1.ipynb", "small.ipynb"]
    assert check_checksums(root / "model") == 3  # of both starts, and not of the first one's checksums


def test_what_the_notebook_made_is_gathered_and_what_lay_there_before_is_not(tmp_path):
    run = tmp_path / "run"
    (run / "evaluation").mkdir(parents=True)
    (run / "evaluation" / "old").touch()
    write = (
        "from pathlib import Path\nfrom roadsense.runs.products import record_product\n"
        "made = Path(run_dir, 'evaluation_2')\nmade.mkdir()\n(made / 'new').touch()\nrecord_product(made)"
    )
    notebook = write_notebook(tmp_path, write, parameters='run_dir: str = ""')
    job = start_job(tmp_path / "ml", notebook, {"run_dir": str(run)})
    assert job.end()[0] == 0
    assert (job.layout.model_dir / "evaluation_2" / "new").is_file()
    assert not (job.layout.model_dir / "evaluation").exists()


def test_a_run_on_s3_is_brought_to_the_notebook_that_works_on_it(aws, tmp_path):
    boto3.client("s3").create_bucket(Bucket="runs", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.zip").write_bytes(b"a policy")
    S3Transfer(S3Place("runs", "jobs/one/model")).send(run, find_files(run))
    look = "from pathlib import Path\nprint('found', Path(run_dir, 'model.zip').read_text(), flush=True)"
    notebook = write_notebook(tmp_path, look, parameters='run_dir: str = ""')
    code, output = start_job(tmp_path / "ml", notebook, {"run_dir": "s3://runs/jobs/one/model"}).end()
    assert code == 0, output
    assert "found a policy" in output


def test_a_dataset_that_arrived_damaged_fails_the_job_before_it_starts(tmp_path, dataset_copy):
    root = tmp_path / "ml"
    shutil.copytree(dataset_copy, root / "input" / "data" / "dataset")
    route = next((root / "input" / "data" / "dataset").glob("train/*/*.rou.xml"))
    route.write_bytes(route.read_bytes()[:-1])
    notebook = write_notebook(tmp_path, parameters='dataset_dir: str = "scenarios/some/train"')
    job = start_job(root, notebook, {})
    assert job.end()[0] == 2
    assert f"{route.name}" in job.layout.failure_path.read_text()
    assert not list(job.layout.output_data_dir.iterdir())


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A training as a job that nothing interrupts."""
    job = start_job(tmp_path_factory.mktemp("unbroken"), TRAIN, TINY, "unbroken")
    code, output = job.end()
    assert code == 0, output
    return job


def test_a_training_leaves_a_run_and_lines_a_regular_expression_reads(unbroken):
    output = unbroken.read()
    table = Run(unbroken.layout.run_dir("unbroken")).read_metrics()
    for name in ("timesteps", "reward_mean", "collision_rate"):
        told = [float(text) for text in re.findall(f"^{PATTERN.format(name=name)}$", output, re.MULTILINE)]
        assert told == pytest.approx(table[name].tolist(), rel=1e-6)
    assert len(table) >= 2
    assert not re.search(r"roadsense_metric .*(inf|nan)", output)
    run = open_run(unbroken.layout.model_dir)
    assert run.read_state().name == "trained"
    assert not run.checkpoint_dir.exists()
    assert unbroken.state["timesteps"] == 4608


@pytest.mark.slow
def test_a_training_that_is_stopped_keeps_a_checkpoint_and_goes_on_as_if_it_had_not_been(tmp_path, unbroken):
    root, run = tmp_path / "ml", Run(tmp_path / "ml" / "checkpoints" / "drill")
    job = start_job(root, TRAIN, TINY, "drill")
    job.wait_for(lambda: run.count_timesteps() > 0)
    job.process.send_signal(signal.SIGTERM)
    code, output = job.end()
    assert code == 0, output
    assert job.state["state"] == "stopped"
    assert list(run.checkpoint_dir.glob("*.pt"))
    assert not run.model_path.exists()
    assert (job.layout.model_dir / "metrics.jsonl").is_file()
    again = start_job(root, TRAIN, TINY, "drill")
    code, output = again.end()
    assert code == 0, output
    assert "Resuming the run" in output
    assert again.state["state"] == "done"
    assert not again.layout.stop_path.exists()
    assert_same_weights(run, Run(unbroken.layout.run_dir("unbroken")), PPO)
    assert (again.layout.output_data_dir / "01_train.1.ipynb").is_file()


def test_a_job_whose_training_had_ended_is_done_at_once(unbroken):
    before = json.loads((unbroken.layout.model_dir / "state.json").read_text())
    again = start_job(unbroken.layout.root, TRAIN, TINY, "unbroken")
    code, output = again.end()
    assert code == 0
    assert "trained to its end" in output
    assert json.loads((unbroken.layout.model_dir / "state.json").read_text()) == before


def test_run_by_hand_the_same_signal_keeps_a_checkpoint(tmp_path):
    words = [word for name, text in (TINY | {"run_dir": str(tmp_path / "run")}).items() for word in ("-p", name, text)]
    command = [sys.executable, "-m", "roadsense.cli", "run", str(TRAIN), "--output", str(tmp_path / "x.ipynb"), *words]
    run = Run(tmp_path / "run")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        end = time.monotonic() + 120
        while run.count_timesteps() == 0 and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 143, output
    assert "roadsense_metric" not in output
    assert run.read_state().name == "stopped"
    assert list(run.checkpoint_dir.glob("*.pt"))
