"""The report and the tables for notebooks: the answer first, few columns, every link leads somewhere."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.policies import RULES, label_policy
from roadsense.evaluation.report import write_report
from roadsense.evaluation.results import Evaluation, conclude
from roadsense.evaluation.styled import (
    CONDITION_COLUMNS,
    show_conditions,
    show_policies,
    show_splits,
    show_verdicts,
    tabulate_policies,
)
from tests.evaluation.made_up import crashes, made_up

PNG = b"\x89PNG"
FIGURES = dict.fromkeys(CONDITION_COLUMNS, 0.1)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """A policy without a collision in 300 episodes, and the driver alone with 30; the same on train scenarios."""
    brakes = {"hazard_car": 0, "hazard_deceleration_mps2": [3.5, 7.5]}
    own, alone = made_up("policy", 300, **brakes), crashes("unassisted", 300, 30, **brakes)
    train = [table.assign(part="train") for table in (own, alone)]
    return conclude(Path("runs/first/evaluation"), EvalConfig("runs/first"), {}, pd.concat([own, alone, *train]))


@pytest.fixture(scope="module")
def page(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(evaluation, {"collision_rate": PNG, "factors": PNG}, [], path)
    return path.read_text()


def test_the_first_screen_has_the_answer_and_the_key_figures(page: str, evaluation: Evaluation) -> None:
    first = page.partition('<nav class="contents">')[0]
    assert f'class="headline {evaluation.verdicts[0].mark}"' in first
    tiles = dict(re.findall(r"<small>(.*?)</small><b>(.*?)</b>", first))
    assert tiles["collisions"] == "0.0 %"
    assert "300 held-out episodes of each policy" in first
    assert "95 %: 0.0 to 1.2" in first


def test_the_text_of_the_page_has_no_marks_of_markdown(page: str) -> None:
    assert "see roadsense.episodes.score." in page


def test_every_entry_of_the_contents_leads_to_a_heading(page: str) -> None:
    targets = re.findall(r'href="#([^"]+)"', page)
    assert {"policies", "leader", "collision_rate", "factors", "splits", "origin"} <= set(targets)
    assert all(f'<h2 id="{target}"' in page for target in targets)


def test_the_leaders_braking_has_its_table(page: str) -> None:
    table = page.partition('<h2 id="leader">')[2].partition("<h2")[0]
    cells = [re.findall(r"<td>(.*?)</td>", line)[:3] for line in table.split("<tr>")[2:]]
    assert cells == [
        ["3 to 4", "policy", "150"], ["7 to 8", "policy", "150"],
        ["3 to 4", "driver alone", "150"], ["7 to 8", "driver alone", "150"],
    ]  # fmt: skip


def test_tables_on_the_page_are_narrow_and_all_columns_are_a_click_away(page: str) -> None:
    shown = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    heads = re.findall(r"<thead>(.*?)</thead>", shown, re.DOTALL)
    assert len(heads) >= 4
    assert all(head.count("<th>") <= 12 for head in heads)
    assert page.count("<summary>All columns</summary>") >= 2
    pairs = shown.partition('<h2 id="pairs">')[2].partition("<h2")[0]
    cells = re.findall(r"<td>(.*?)</td>", pairs)
    assert [re.sub("<.*?>", "", cell) for cell in cells] == [
        "driver alone", "0.0 %", "10.0 %", "-10.0 % (-13.9 to -7.1)", "30", "0", "270", "better",
    ]  # fmt: skip


def test_the_page_follows_a_dark_theme_prints_on_a4_and_needs_no_other_file(page: str) -> None:
    assert "prefers-color-scheme:dark" in page
    assert "size: A4" in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)


def test_the_tables_of_a_notebook_have_the_intervals_and_colours(evaluation: Evaluation) -> None:
    table = tabulate_policies(evaluation.summary).set_index("policy")
    assert table.loc["driver alone", "collisions"] == "10.0 % (6.8 to 14.0)"
    lost = evaluation.summary.assign(time_lost_s=-0.001, time_lost_s_low=-0.003, time_lost_s_high=0.02)
    assert set(tabulate_policies(lost)["time lost [s]"]) == {"0.00 (0.00 to 0.02)"}  # no figure is minus zero
    verdicts = show_verdicts(evaluation).to_html()
    assert evaluation.verdicts[0].text in verdicts.replace("&#x27;", "'")
    assert "background" in verdicts
    policies = show_policies(evaluation).to_html().replace("\N{NO-BREAK SPACE}", "_")
    assert "linear-gradient" in policies
    assert "10.0_% (6.8_to_14.0)" in policies  # the interval may stand below its figure, so that the table fits a page
    assert "nowrap" not in policies
    assert "train" in show_splits(evaluation).to_html()
    many = pd.DataFrame({"label": "radio: bursty", "policy": ["policy", *RULES], "episodes": 10, **FIGURES})
    shown = show_conditions(replace(evaluation, conditions=many)).to_html()
    assert [label_policy(name) in shown for name in ("heard_braking_rule", "confirmed_rule")] == [False, True]
    bare = replace(evaluation, conditions=evaluation.conditions.iloc[:0], splits=evaluation.splits.iloc[:0])
    for table in (show_conditions(bare), show_splits(bare)):
        assert "No such episodes were driven" in table.to_html()
