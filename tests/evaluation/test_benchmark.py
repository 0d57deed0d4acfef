"""The frozen benchmark: the same episodes for everybody, and figures that are those of the episodes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from roadsense.cli import main
from roadsense.errors import DatasetError, InputError
from roadsense.evaluation import benchmark
from roadsense.evaluation.benchmark import ALL, BenchmarkConfig, describe_line, list_sets, open_set, run_benchmark
from roadsense.training.splits import hash_scenario


@pytest.mark.parametrize("name", list_sets())
def test_the_scenarios_of_a_set_are_those_it_was_made_of(name):
    chosen = open_set(name)
    plans = chosen.plans()
    assert len(plans) == len(chosen.scenarios) * chosen.n_seeds
    assert [plan.seed for plan in chosen.plans()] == [plan.seed for plan in plans]
    assert len(chosen.plans(quick=True)) == len(plans) // 5
    for some in (plans, chosen.plans(quick=True)):
        for name in chosen.scenarios:
            calm = [not plan.hazard for plan in some if name in str(plan.config_path)]
            assert 0.1 < sum(calm) / len(calm) < 0.3
    assert all(chosen.env_config(condition).n_steps == chosen.n_steps for condition in chosen.conditions)


def test_a_scenario_that_was_changed_is_no_longer_the_set():
    chosen = open_set("convoy-1")
    folder = next(iter(chosen.scenarios))
    with pytest.raises(DatasetError, match="was changed"):
        replace(chosen, scenarios={folder: "0" * 64}).plans()
    with pytest.raises(InputError, match="expected one of convoy-1"):
        open_set("convoy-0")


def rest(observation):
    """A policy of one's own that never brakes."""
    return 0.0


@pytest.fixture
def tiny(tmp_path, monkeypatch, small_dataset):
    """A set of two scenarios and four short episodes in each condition; the driver alone is enough for them."""
    paths = sorted((small_dataset.folder / "eval").rglob("scenario.sumocfg"))
    scenarios = {str(path.parent): hash_scenario(path) for path in paths}
    conditions = {"good": {"v2v": "esp_now"}, "none": {"v2v": "muted"}}
    chosen = replace(
        open_set("convoy-1"), name="tiny", scenarios=scenarios, n_seeds=2, n_steps=15, conditions=conditions
    )
    monkeypatch.setattr(benchmark, "open_set", lambda name: chosen)
    monkeypatch.chdir(tmp_path)
    return chosen


def test_the_figures_are_those_of_the_episodes_whoever_drives_them(tiny, tmp_path):
    rows = run_benchmark(BenchmarkConfig("always_brake", workers=1))
    assert [row.condition for row in rows] == ["good", "none", ALL]
    assert [row.episodes + row.failed for row in rows] == [4, 4, 8]
    assert rows[2].collisions == rows[0].collisions + rows[1].collisions
    assert rows[0].needless_mps2 > 0.2  # it brakes for nothing
    with pytest.raises(InputError, match="pickled"):
        run_benchmark(BenchmarkConfig(workers=2), lambda observation: 0.0)
    assert run_benchmark(BenchmarkConfig(workers=2), rest)[0].needless_mps2 == 0
    (path,) = tmp_path.glob("runs/policies/always_brake-*/benchmark_tiny_*.json")
    assert json.loads(path.read_text())["rows"][2]["score"] == pytest.approx(rows[2].score)


def test_the_command_prints_the_line_of_the_leaderboard(tiny, capsys):
    assert main(["benchmark", "unassisted", "--workers", "1", "--quick"]) == 0
    printed = capsys.readouterr().out
    rows = run_benchmark(BenchmarkConfig("unassisted", quick=True, workers=1))
    digest = next(word for word in printed.split("`") if len(word) == 12)
    assert describe_line("unassisted", digest, rows) in printed
    assert "no entry" in printed


def test_the_leaderboard_has_the_columns_of_a_line():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "leaderboard.md").read_text()
    heading = next(line for line in page.splitlines() if line.startswith("| policy"))
    rows = [benchmark.BenchmarkRow(ALL, 1, 0, 0, 0.0, 0.975, 0, 0.0, 0.025)]
    assert heading.count("|") == describe_line("name", "0" * 64, rows).count("|")
