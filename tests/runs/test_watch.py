"""Following a run, and what the list of runs says of it."""

import threading

import pytest

from roadsense.cli import main
from roadsense.errors import RunError
from roadsense.runs.run import create_run, open_run, read_seeds
from roadsense.runs.state import RunningMark
from roadsense.runs.stopping import StoppedError
from roadsense.training.train_config import TrainConfig

LINE = '{"timesteps": %d, "steps_per_s": 1234.5, "collision_rate": 0.25, "eta_s": 60.0}\n'
JUDGED = (
    '{"timesteps": 500, "eval_timesteps": 500, "eval_collision_rate": 0.1, "eval_collision_rate_low": 0.01, '
    '"eval_collision_rate_high": 0.3, "eval_score": 0.7}\n'
)


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path / "run", TrainConfig(total_timesteps=1000), {})


def test_a_run_is_followed_until_it_ends(run, capsys):
    running, written = threading.Event(), threading.Event()

    def _train():
        mark = RunningMark(run.folder)
        mark.__enter__()
        running.set()
        run.metrics_path.write_text(LINE % 250)
        written.wait(5)
        run.metrics_path.write_text(LINE % 250 + LINE % 500 + JUDGED)
        mark.__exit__(StoppedError, StoppedError("Stopped by SIGTERM."), None)

    thread = threading.Thread(target=_train)
    thread.start()
    running.wait(5)
    threading.Timer(0.3, written.set).start()
    assert main(["watch", str(run.folder)]) == 0
    thread.join()
    lines = capsys.readouterr().out.splitlines()
    assert "250 steps (25.0%)" in lines[0]
    assert "1,234 steps/s  collisions 25.0%  60 s left" in lines[0]
    assert "held out at 500: collisions 10.0% (1.0% to 30.0%), score 0.700" in lines[2]
    assert lines[3].endswith("stopped (Stopped by SIGTERM.)")


def test_a_line_that_is_half_written_is_waited_for(run):
    run.metrics_path.write_text(LINE % 250 + '{"timeste')
    assert run.read_metrics()["timesteps"].tolist() == [250]
    assert main(["watch", str(run.folder)]) == 0


def test_an_experiment_is_followed_run_by_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("roadsense.runs.watch.BEGIN_LIMIT_S", 0.2)
    folder = tmp_path / "experiment"
    folder.mkdir()
    (folder / "experiment.json").write_text('{"seeds": [3, 4, 5]}')
    for seed in (3, 4):
        run = create_run(folder / f"seed_{seed}", TrainConfig(total_timesteps=1000), {})
        run.metrics_path.write_text(LINE % (100 * seed))
        with RunningMark(run.folder):
            pass
    assert main(["watch", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["300 steps" in lines[0], "seed_3: trained" in lines[1], "400 steps" in lines[2]] == [True] * 3
    assert [lines[3].endswith("seed_4: trained"), lines[4].endswith("seed_5: not begun")] == [True, True]


def test_watching_what_is_no_run_is_wrong_input(tmp_path, capsys):
    assert main(["watch", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err


def test_the_list_says_what_each_run_is_doing(run, tmp_path, capsys):
    run.metrics_path.write_text(LINE % 250)
    with RunningMark(run.folder):
        assert main(["runs", str(tmp_path)]) == 0
    with pytest.raises(ValueError, match="broken"), RunningMark(run.folder):
        raise ValueError("broken")
    assert main(["runs", str(tmp_path)]) == 0
    with RunningMark(run.folder):
        pass
    assert main(["runs", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    headings, running, _, failed, _, trained = lines
    assert headings.split() == ["run", "state", "since", "steps", "held-out", "collisions"]
    assert running.index("running") == headings.index("state")
    assert "250 of 1,000" in running
    assert "failed (ValueError: broken)" in failed
    assert "trained" in trained


def test_a_run_is_trained_by_one_process_at_a_time(run):
    with RunningMark(run.folder), pytest.raises(RunError, match="is running"), RunningMark(run.folder):
        pass


def test_a_run_that_is_not_trained_yet_can_be_opened(run, tmp_path):
    assert open_run(run.folder, trained=False) == run
    with pytest.raises(RunError, match="roadsense train"):
        open_run(run.folder)
    with pytest.raises(RunError, match=r"config\.json"):
        open_run(tmp_path, trained=False)


def test_the_progress_of_seeds_is_one_table(tmp_path):
    for seed in (3, 4):
        run = create_run(tmp_path / f"seed_{seed}", TrainConfig(seed=seed), {})
        run.metrics_path.write_text(LINE % 250 + LINE % 500)
    table = read_seeds(tmp_path)
    assert table["seed"].tolist() == [3, 3, 4, 4]
