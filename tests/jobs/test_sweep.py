"""A sweep: variants and seeds as real local jobs, and one table with intervals of what they reached."""

import json

import pytest

from roadsense.errors import InputError
from roadsense.jobs import sweep
from roadsense.jobs.sweep import SweepConfig, main, read_sweep, run_sweep
from roadsense.jobs.sweep_table import NOT_JUDGED, SweepRow, make_table
from roadsense.statistics import binomial_interval
from tests.jobs.small_notebooks import write_notebook

PARAMETERS = 'run_dir: str = ""\nresume: str = ""\nseed: int = 0\nn_collisions: int = 1\nfails: bool = False'
# Stands for a training: what matters here is what a job leaves in its run folder.
TRAIN = """
import json, pathlib
folder = pathlib.Path(run_dir)
folder.mkdir(parents=True)
(folder / "config.json").write_text("{}")
early = {"eval_collisions": 50, "eval_episodes": 100, "eval_false_braking_share": 0.5}
last = {"eval_collisions": n_collisions + seed, "eval_episodes": 100, "eval_false_braking_share": 0.01}
(folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in ({}, early, last, {})))
assert not fails
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "LOOK_EVERY_S", 0.2)
    notebook = write_notebook(tmp_path, TRAIN, parameters=PARAMETERS)
    content = {
        "job": {"notebook": str(notebook), "name": "sweep"},
        "seeds": [0, 2],
        "variants": {"good": {}, "bad": {"parameters": {"n_collisions": 30}}},
    }
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(content))
    return path


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_jobs_are_every_variant_with_every_seed(file):
    members = read_sweep(file)
    assert [member.folder_name for member in members] == ["good_seed_0", "good_seed_2", "bad_seed_0", "bad_seed_2"]
    assert members[0].spec.name == "sweep-good-0"
    assert members[3].spec.parameters == {"n_collisions": 30, "seed": 2}


def test_results_of_all_jobs_are_one_table_with_intervals(file, tmp_path):
    path = run_sweep(SweepConfig(file, tmp_path / "results", n_parallel=2))
    rows = {(row["variant"], row["seed"]): row for row in json.loads(path.with_suffix(".json").read_text())}
    assert rows["good", "2"]["n_collisions"] == 3
    pooled = rows["good", "all"]
    assert (pooled["n_collisions"], pooled["n_episodes"]) == (4, 200)
    interval = binomial_interval(4, 200)
    assert f"0.020 ({interval.low:.3f} to {interval.high:.3f})" in path.read_text()
    assert rows["bad", "all"]["n_collisions"] == 62
    # Again: nothing is submitted twice, and nothing changes.
    assert run_sweep(SweepConfig(file, tmp_path / "results")).read_text() == path.read_text()


def test_a_job_that_fails_has_a_row_that_says_so(file, tmp_path):
    change(file, seeds=[0], variants={"broken": {"parameters": {"fails": True}}})
    text = run_sweep(SweepConfig(file, tmp_path / "results")).read_text()
    assert "AssertionError" in text


def test_a_variant_that_was_never_judged_says_so(tmp_path):
    rows = make_table({"none_seed_0": tmp_path / "nothing"}, {"none_seed_0": "done"})
    assert rows[0] == SweepRow("none", "0", 0, 0, None, f"done, {NOT_JUDGED}")
    assert rows[1].as_line().startswith("| none | all | | 0 |")


def test_dry_run_shows_every_request(file, capsys):
    assert main([str(file), "--dry_run"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"good_seed_0", "good_seed_2", "bad_seed_0", "bad_seed_2"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": [1, 1]}, "differ"),
        ({"variants": {}}, "variants"),
        ({"variants": {"a": {"colour": "red"}}}, "colour"),
        ({"variants": {"a": {"target": "ec2"}}}, "target"),
        ({"variants": {"a" * 70: {}}}, "longer"),
        ({"variants": {"a": {"parameters": {"speed": 1}}}}, "speed"),
    ],
)
def test_what_is_no_sweep_is_refused(file, changes, said):
    change(file, **changes)
    with pytest.raises(InputError, match=said):
        read_sweep(file)
