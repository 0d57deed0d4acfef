"""The view of a training: from the folder alone, while it runs and after; its buttons ask, and the training answers."""

import json
import threading
import time

import pytest

from roadsense.cli import main
from roadsense.errors import RunError
from roadsense.jobs.inside.heartbeat import read_progress as read_job_progress
from roadsense.runs.progress import PRICE_VARIABLE, PhaseWriter, describe_progress, read_progress
from roadsense.runs.run import Run, create_run
from roadsense.runs.state import RunningMark
from roadsense.training.train_config import TrainConfig
from roadsense.utils.progress import HEADLESS_VARIABLE
from roadsense.widgets.training_view import TrainingView, watch_training

LINES = [
    {"timesteps": 250, "elapsed_s": 60.0, "steps_per_s": 4.2, "reward_mean": -1.0, "collision_rate": 0.25, "eta_s": 90},
    {"timesteps": 500, "eval_timesteps": 400, "eval_collision_rate": 0.1, "eval_collision_rate_low": 0.01,
     "eval_collision_rate_high": 0.3, "eval_score": 0.7},
    {"timesteps": 600, "elapsed_s": 7200.0, "min_ttc_median_s": float("inf"), "memory_main_mb": 400.0},
]  # fmt: skip


@pytest.fixture
def run(tmp_path):
    made = create_run(tmp_path / "run", TrainConfig(total_timesteps=1000), {})
    made.metrics_path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return made


def words(run, **price):
    return dict(describe_progress(read_progress(run, run.read_metrics(), **price)))


def test_the_newest_value_of_each_figure_is_shown(run):
    shown = words(run)
    assert shown["steps"] == "600 of 1,000 (60.0%)"
    assert shown["held out"] == "10.0% collisions (1.0% to 30.0%), score 0.700, policy of 400 steps"
    assert (shown["collisions in training"], shown["elapsed"], shown["smallest TTC, median"]) == (
        "25.0%", "2 h 00 min", "none",
    )  # fmt: skip
    assert shown["checkpoint"] == "none yet"
    assert "left" not in shown  # nothing runs
    with RunningMark(run.folder):
        assert words(run)["left"] == "1 min 30 s"
    (run.checkpoint_dir).mkdir()
    (run.checkpoint_dir / "checkpoint_000000000512.pt").touch()
    assert words(run)["checkpoint"] == "at 512 steps"


def test_the_total_is_what_whole_rollouts_of_all_workers_make(tmp_path, capsys):
    asked = {"total_timesteps": 6000, "n_workers": 4}
    folders = {name: tmp_path / name for name in ("ppo", "sac")}
    for name, folder in folders.items():
        create_run(folder, TrainConfig(algorithm=name, **asked), {})
        (folder / "metrics.jsonl").write_text(json.dumps({"timesteps": 6144 if name == "ppo" else 6000}) + "\n")
    assert words(Run(folders["ppo"]))["steps"] == "6,144 of 6,144 (100.0%)"
    assert words(Run(folders["sac"]))["steps"] == "6,000 of 6,000 (100.0%)"
    assert read_job_progress(folders["ppo"]) == (6144, 6144)
    assert main(["watch", str(folders["ppo"])]) == main(["runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "6,144 steps (100.0%)" in shown
    assert "6,144 of 6,144" in shown


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "experiment.json"])
def test_a_damaged_file_of_a_training_does_not_end_its_job(name, run):
    assert read_job_progress(run.folder)[1]
    (run.folder / name).write_text("{\n")
    assert read_job_progress(run.folder) == (None, None)


def test_cost_is_shown_where_a_machine_bills(run, monkeypatch):
    assert "cost so far" not in words(run)
    assert words(run, usd_per_hour=1.5)["cost so far"] == "3.00 USD"
    monkeypatch.setenv(PRICE_VARIABLE, "0.5")
    assert words(run)["cost so far"] == "1.00 USD"


def test_buttons_ask_a_training_that_runs_and_nobody_else(run):
    view = TrainingView(run.folder)
    with RunningMark(run.folder):
        view.refresh()
        view._checkpoint.click()
        assert (run.folder / "checkpoint").exists()
        assert view._checkpoint.disabled
        view._stop.click()
        assert (run.folder / "stop").exists()
    view.refresh()
    assert view._stop.disabled
    (run.folder / "stop").unlink()
    view._stop.click()
    assert not (run.folder / "stop").exists()


def test_a_view_waits_for_a_run_follows_it_and_ends_with_it(tmp_path):
    view = TrainingView(tmp_path / "run")
    assert view.refresh() is None
    assert "Waiting" in view._figures.value
    view.follow()
    run = create_run(tmp_path / "run", TrainConfig(total_timesteps=1000), {})
    with RunningMark(run.folder):
        run.metrics_path.write_text(json.dumps(LINES[0]) + "\n")
        _wait(lambda: "running" in view._figures.value and view._painted[1] > 0)
    _wait(lambda: not view._thread.is_alive())
    assert "trained" in view._figures.value
    assert view._bar.value == 0.25
    assert threading.active_count() < 20


def test_the_first_minutes_have_phases_and_a_placeholder_for_the_curves(tmp_path):
    run = create_run(tmp_path / "run", TrainConfig(total_timesteps=1000), {})
    view, phases = TrainingView(run.folder), PhaseWriter(run.folder)
    with RunningMark(run.folder):
        phases.enter("starting 8 workers")
        view.refresh()
        assert "starting 8 workers" in view._figures.value
        assert bytes(view._curves.value).startswith(b"\x89PNG")
        phases.enter("imitation: the rule drives", total=400)
        phases._written_s = 0.0
        phases.advance(100)
        view.refresh()
        assert view._bar.value == 0.25
        assert "imitation: the rule drives, 25%, 0 min 0" in view._figures.value  # goes on with every refresh
    assert "phase" not in words(run)


def test_a_run_that_nobody_watches_gets_figures_and_curves(run, monkeypatch):
    view = "application/vnd.jupyter.widget-view+json"
    with RunningMark(run.folder):
        live = watch_training(run.folder)
        assert {view, "image/png", "text/plain"} == set(live._repr_mimebundle_())
        live.close()
        monkeypatch.setenv(HEADLESS_VARIABLE, "1")
        assert view not in watch_training(run.folder)._repr_mimebundle_()
    still = watch_training(run.folder)._repr_mimebundle_()
    assert {"text/plain", "text/html", "image/png"} == set(still)
    assert "steps: 600 of 1,000 (60.0%)" in still["text/plain"]


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"config\.json"):
        watch_training(tmp_path)
    assert "no run" in TrainingView(Run(tmp_path).folder)._repr_mimebundle_()["text/plain"]


def _wait(happened, seconds=20.0):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)
