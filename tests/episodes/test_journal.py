"""A long evaluation that is broken off goes on where it was."""

import json
from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.episodes.journal import Journal, name_journal
from roadsense.episodes.plan import Plan
from roadsense.episodes.run import Worker, run_plans
from roadsense.errors import RunError

SCENARIO = Path(__file__).parents[2] / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
PLANS = [Plan("unassisted", SCENARIO, seed, hazard=True) for seed in range(4)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The rows of all plans, and their journal."""
    path = tmp_path_factory.mktemp("journal") / "rows.jsonl"
    return run_plans(PLANS, Worker(EnvConfig(n_steps=20, step_info=False)), 2, path), path


def test_the_rows_are_those_without_a_journal(whole):
    rows = run_plans(PLANS, Worker(EnvConfig(n_steps=20, step_info=False)), 1)
    np.testing.assert_equal(whole[0], rows)


def test_what_is_in_the_journal_is_not_driven_again(whole, tmp_path):
    lines = whole[1].read_text().splitlines(keepends=True)
    index, row = json.loads(lines[0])
    (tmp_path / "rows.jsonl").write_text(json.dumps([index, row | {"seed": -1}]) + "\n" + lines[1][:40])
    rows = run_plans(PLANS, Worker(EnvConfig(n_steps=20, step_info=False)), 2, tmp_path / "rows.jsonl")
    assert rows[index]["seed"] == -1
    others = [place for place in range(len(PLANS)) if place != index]
    np.testing.assert_equal([rows[place] for place in others], [whole[0][place] for place in others])


def test_the_same_work_is_done_by_one_process_and_other_work_has_another_journal(tmp_path):
    path = name_journal(tmp_path, ("a", 1))
    assert path != name_journal(tmp_path, ("a", 2))
    with Journal(path):
        with pytest.raises(RunError, match="Another process"), Journal(path):
            pass
