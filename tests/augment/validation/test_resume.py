"""A run that is killed goes on and ends in the same dataset; two runs never write the same one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset
from roadsense.errors import DatasetError
from roadsense.scenarios.dataset import Dataset
from tests.test_gen_scenarios import files_of


@pytest.fixture
def config(tiny_bases: Path, tmp_path: Path) -> GenConfig:
    return GenConfig(tiny_bases, tmp_path / "out", seed=5, n_train=10, n_eval=4, workers=2)


def start(config: GenConfig) -> subprocess.Popen[bytes]:
    options = ("output_dir", "seed", "n_train", "n_eval", "workers")
    arguments = [text for name in options for text in (f"--{name}", str(getattr(config, name)))]
    arguments += ["--base_dir", *map(str, config.base_dir)]
    command = [sys.executable, "-m", "roadsense.gen_scenarios", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def outcomes(config: GenConfig) -> dict[str, int]:
    found = config.output_dir.parent.glob(".out.making/*/outcomes/*.json")
    return {path.name: path.stat().st_mtime_ns for path in found}


def wait_for(happened: Callable[[], bool], run: subprocess.Popen[bytes]) -> None:
    while not happened() and run.poll() is None:
        time.sleep(0.005)


def kill(run: subprocess.Popen[bytes]) -> None:
    os.kill(run.pid, signal.SIGKILL)
    run.wait()


def test_a_run_killed_again_and_again_ends_in_the_same_bytes(config: GenConfig, tmp_path: Path) -> None:
    unbroken = generate_dataset(replace(config, output_dir=tmp_path / "unbroken"))
    before: dict[str, int] = {}
    for n_more in (1, 4, 3):
        run = start(config)
        enough = len(before) + n_more
        wait_for(lambda enough=enough: len(outcomes(config)) >= enough, run)
        kill(run)
        assert run.returncode == -signal.SIGKILL
        assert not config.output_dir.exists()
        after = outcomes(config)
        assert len(after) >= enough
        assert before.items() <= after.items()  # what was proven is not proven again
        before = after
    assert start(config).wait() == 0
    assert files_of(config.output_dir) == files_of(unbroken.folder)
    assert Dataset.open(config.output_dir).digest == unbroken.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "unbroken"]


@pytest.mark.parametrize("delay_s", [0.0, 0.4])
def test_a_run_killed_while_it_ends_leaves_all_or_nothing(config: GenConfig, delay_s: float) -> None:
    config = replace(config, n_train=2, n_eval=1)
    while not config.output_dir.exists():
        run = start(config)
        wait_for(lambda: len(outcomes(config)) >= 3, run)
        time.sleep(delay_s)
        kill(run)
        delay_s += 0.8
    assert Dataset.open(config.output_dir).verify() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_end_by_an_error_is_continued_too(
    config: GenConfig, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def stop(*_: object) -> None:
        raise error

    config = replace(config, n_train=2, n_eval=1)
    monkeypatch.setattr("roadsense.augment.generate.write_manifest", stop)
    with pytest.raises(error):
        generate_dataset(config)
    monkeypatch.undo()
    assert not config.output_dir.exists()
    proven = outcomes(config)
    assert len(proven) >= 3
    monkeypatch.setattr("roadsense.augment.validation.generation.run_gate", stop)  # nothing is left to prove
    assert generate_dataset(config).verify() == []


def test_a_half_written_scenario_is_written_again(config: GenConfig) -> None:
    run = start(config)
    wait_for(lambda: len(outcomes(config)) >= 4, run)
    kill(run)
    (making,) = config.output_dir.parent.glob(".out.making/*/dataset")
    for half in sorted((making / "train").iterdir())[:2]:
        number = int(half.name.split("_")[1])
        for outcome in making.parent.glob(f"outcomes/{number}_*.json"):
            outcome.unlink()
        (half / "routes.rou.xml").write_text("<rou")
        (half / "stray.xml").write_text("")
    (making / ".manifest.json.part").write_text("{")
    assert generate_dataset(config).verify() == []


def test_two_runs_of_one_target_do_not_meet(config: GenConfig) -> None:
    run = start(config)
    wait_for(lambda: len(outcomes(config)) >= 1, run)
    for other in (config, replace(config, seed=6)):
        with pytest.raises(DatasetError, match="is being made by another run"):
            generate_dataset(other)
    assert run.wait() == 0
    made = Dataset.open(config.output_dir)
    assert made.verify() == []
    assert generate_dataset(config) == made  # opened, not made again
    with pytest.raises(DatasetError, match="made with seed 5, not 6"):
        generate_dataset(replace(config, seed=6))


def test_what_runs_with_other_settings_left_is_not_touched(config: GenConfig, tmp_path: Path) -> None:
    run = start(config)
    wait_for(lambda: len(outcomes(config)) >= 2, run)
    kill(run)
    left = outcomes(config)
    dataset = generate_dataset(replace(config, seed=6, n_train=2, n_eval=1))
    assert dataset.seed == 6
    assert left.items() <= outcomes(config).items()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.making", "out"]
