"""SageMaker's contract, held by the image itself: its folders and files, its words, its signal, its exit codes.

The containers start as SageMaker starts them: the image's own entrypoint and the word `train`, `/opt/ml` mounted and
belonging to root, no network.
"""

import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from roadsense.cloud.checksums import check_checksums
from roadsense.jobs.inside.layout import JobLayout
from roadsense.jobs.local.engine import Engine
from tests.jobs.small_notebooks import write_notebook

GRACE_S = 120
"""What SageMaker gives between SIGTERM and SIGKILL."""
JSON_SPELLING = {
    "total_timesteps": "10000000",
    "n_workers": "2",
    "rollout_steps": "256",
    "v2v_randomised": "false",
    "v2v": "muted",
}
PYTHON_SPELLING = {"imitation_timesteps": "0", "hazard_probability": "0.5", "allow_other_dataset": "True"}


@dataclass
class SageMakerContainer:
    """A container that runs: its process and its name."""

    engine: Engine
    process: subprocess.Popen
    name: str

    def read_log(self) -> str:
        words = [self.engine.program, "logs", self.name]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout

    def wait_for(self, words: str, max_s: float = 180) -> None:
        end_s = time.monotonic() + max_s
        while words not in self.read_log():
            assert self.process.poll() is None, self.read_log()[-3000:]
            assert time.monotonic() < end_s, self.read_log()[-3000:]
            time.sleep(0.3)


@contextmanager
def started(engine: Engine, root: Path, name: str, *words: str, **environment: str):
    """Starts a container as SageMaker does; it is removed at the end."""
    options = ["--network=none", f"--name={name}", f"--volume={root}:/opt/ml"]
    variables = [f"--env={key}={value}" for key, value in environment.items()]
    command = [engine.program, "run", *options, *variables, *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield SageMakerContainer(engine, process, name)
        finally:
            subprocess.run([engine.program, "rm", "--force", name], capture_output=True, check=False)


def lay_out(root: Path, texts: dict[str, str], dataset: Path | None = None) -> JobLayout:
    layout = JobLayout(root)
    layout.hyperparameters_path.parent.mkdir(parents=True)
    layout.hyperparameters_path.write_text(json.dumps(texts))
    if dataset is not None:
        shutil.copytree(dataset, layout.dataset_dir)
    return layout


def test_a_training_reads_both_spellings_and_answers_sigterm_with_a_checkpoint(engine, small_dataset, tmp_path):
    layout = lay_out(tmp_path / "ml", JSON_SPELLING | PYTHON_SPELLING, small_dataset.folder)
    name = f"contract-{tmp_path.name}"
    job = {"TRAINING_JOB_NAME": "contract", "ROADSENSE_NOTEBOOK": "01_train"}
    with started(engine, layout.root, name, "roadsense:run", "train", **job) as container:
        container.wait_for("roadsense_metric timesteps=")
        begin_s = time.monotonic()
        engine.run(["stop", f"--time={GRACE_S}", name])
        assert container.process.wait(10) == 0, container.read_log()[-3000:]
        assert time.monotonic() - begin_s < GRACE_S / 2
    config = json.loads((layout.model_dir / "config.json").read_text())
    expected = {"total_timesteps": 10_000_000, "n_workers": 2, "v2v_randomised": False, "v2v": "muted",
                "imitation_timesteps": 0, "hazard_probability": 0.5, "allow_other_dataset": True}  # fmt: skip
    assert {key: config[key] for key in expected} == expected
    assert config["dataset_dir"] == "/opt/ml/input/data/dataset/train"
    assert list((layout.checkpoint_root / "contract" / "checkpoints").glob("*.pt"))
    assert json.loads(layout.state_path.read_text())["state"] == "stopped"
    assert check_checksums(layout.model_dir) > 3
    assert not layout.failure_path.exists()


def test_a_failing_notebook_leaves_its_reason_and_its_exit_code(engine, tmp_path):
    layout = lay_out(tmp_path / "ml", {"n_steps": "7", "quick": "True"})
    notebook = write_notebook(tmp_path, "raise ValueError(f'no gap after {n_steps} steps, {quick}')")
    mount = f"--volume={notebook}:/opt/roadsense/notebooks/small.ipynb:ro"
    name = f"contract-{tmp_path.name}"
    with started(engine, layout.root, name, mount, "roadsense:run", "train", ROADSENSE_NOTEBOOK="small") as container:
        assert container.process.wait(120) == 1
    assert "ValueError: no gap after 7 steps, True" in layout.failure_path.read_text()
    assert (layout.model_dir / "small.ipynb").is_file()
    assert check_checksums(layout.model_dir) == 1
