"""SageMaker's contract, held by the image itself: its folders and files, its words, its signal, its exit codes.

The containers start as SageMaker starts them: the image's own entrypoint and the word `train` for a training, an
entrypoint of the request's for a Processing job, `/opt/ml` mounted and belonging to root, no network.
"""

import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from roadsense.augment.config import GenConfig
from roadsense.cloud.checksums import check_checksums
from roadsense.jobs.engine import Engine
from roadsense.jobs.generated import merge_shards
from roadsense.jobs.generation import hash_inputs, list_inputs, spell_settings
from roadsense.jobs.layout import JobLayout
from roadsense.jobs.processing_request import ENTRYPOINT
from roadsense.jobs.shard_layout import DIGEST_VARIABLE, ShardLayout, name_shard
from tests.jobs.small_notebooks import write_notebook
from tests.test_gen_scenarios import files_of

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
    options = ["--network=none", "--user=0", f"--name={name}", f"--volume={root}:/opt/ml"]
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


def lay_out_shard(root: Path, config: GenConfig, host: str, hosts: list[str]) -> ShardLayout:
    layout = ShardLayout(root)
    layout.resources_path.parent.mkdir(parents=True)
    layout.resources_path.write_text(json.dumps({"current_host": host, "hosts": hosts}))
    shutil.copytree(config.base_dir, layout.input_dir / "bases")
    layout.output_dir.mkdir(parents=True)
    return layout


def started_shard(engine: Engine, layout: ShardLayout, config: GenConfig, name: str):
    entry, *words = ENTRYPOINT
    told = {DIGEST_VARIABLE: hash_inputs(list_inputs(config))}
    return started(
        engine, layout.root, name, f"--entrypoint={entry}", "roadsense:run", *words, *spell_settings(config), **told
    )


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


def test_shards_proven_in_the_image_are_put_together_here_to_the_dataset_made_here(
    engine, small_config, small_dataset, tmp_path
):
    config, hosts = replace(small_config, output_dir=tmp_path / "merged"), ["algo-2", "algo-1"]
    layouts = [lay_out_shard(tmp_path / host, config, host, hosts) for host in sorted(hosts)]
    for layout in layouts:
        with started_shard(engine, layout, config, f"{layout.root.name}-{tmp_path.name}") as container:
            assert container.process.wait(180) == 0, container.read_log()[-3000:]
    shards = tuple(layout.output_dir / name_shard(number) for number, layout in enumerate(layouts))
    assert [check_checksums(shard) > 9 for shard in shards] == [True, True]
    merged = merge_shards(replace(config, shards=shards))
    assert merged.digest == small_dataset.digest
    assert files_of(merged.folder) == files_of(small_dataset.folder)


def test_a_shard_that_is_told_to_stop_says_so_and_leaves_none(engine, small_config, tmp_path):
    config, name = replace(small_config, n_train=400), f"contract-{tmp_path.name}"
    layout = lay_out_shard(tmp_path / "ml", config, "algo-1", ["algo-1"])
    with started_shard(engine, layout, config, name) as container:
        container.wait_for("proofs at a time")
        begin_s = time.monotonic()
        engine.run(["stop", f"--time={GRACE_S}", name])
        assert container.process.wait(10) == 143, container.read_log()[-3000:]
        assert time.monotonic() - begin_s < GRACE_S / 2
    assert layout.message_path.read_text().startswith("shard 0 of 1: stopped by SIGTERM")
    assert not (layout.output_dir / name_shard(0)).exists()
