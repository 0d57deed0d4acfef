"""The tables of results: what is driven, and what the README and the training log show of it."""

import re
from pathlib import Path

import pytest

from benchmarks.results import ROWS, ResultsConfig, drive_all, write_tables
from roadsense.errors import InputError
from roadsense.scenarios.dataset import Dataset

ROOT = Path(__file__).parents[2]


def rows_of(text: str) -> list[list[str]]:
    """The cells of a table's rows, heading and rule left out."""
    lines = [line.strip("| ").split(" | ") for line in text.strip().splitlines() if line.startswith("|")]
    return lines[2:]


@pytest.mark.slow
def test_all_policies_drive_the_same_episodes(small_dataset: Dataset) -> None:
    config = ResultsConfig("confirmed_rule", small_dataset.folder / "eval", ("home", "bursty"), 1, 2, workers=1)
    episodes = drive_all(config)
    assert len(episodes) == 2 * 3 * 3
    judged, rule = (episodes[episodes["policy"] == name] for name in ("judged", "confirmed_rule"))
    for column in ("seed", "collision", "min_ttc_s", "false_braking_s"):
        assert judged[column].tolist() == rule[column].tolist()
    tables = re.split(r"\n(?=Training log)", write_tables(config, episodes))
    assert [len(rows_of(table)) for table in tables] == [2, 2, 2]
    for _, *cells in rows_of(tables[0]):
        assert cells[0] == cells[1]  # the judged policy is the rule


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(InputError, match=r"home.*got mars"):
        ResultsConfig(rows=("mars",))


def test_the_readme_has_the_rows_that_are_driven_by_default() -> None:
    text = (
        (ROOT / "README.md").read_text().partition("<!-- results: begin -->")[2].partition("<!-- results: end -->")[0]
    )
    assert [row[0] for row in rows_of(text)] == [ROWS[name][0] for name in ResultsConfig().rows]
