"""Difficulty is the scenario's alone: the same whoever measures it, ordered as it should be, and honest about gaps."""

import json
import re
from pathlib import Path

import pytest

from roadsense.episodes.difficulty import STANDARD_HAZARD, measure_difficulty
from roadsense.errors import MachineError, ScenarioError
from roadsense.scenarios.dataset import Dataset
from tests.conftest import FLOWS, convoy, write_base

LIGHT = '<stop lane="west_0" endPos="{end_m}" duration="500"/></vehicle>'


def stopping_convoy() -> str:
    """A convoy whose cars stop one behind the other within seven seconds, and stand for the rest of the episode."""
    lines = convoy(spacing_m=30.0, speed="6").splitlines()
    cars = [
        line.replace("/>", ">") + LIGHT.format(end_m=400 + 30 * place)
        for place, line in zip((2, 1, 0), lines, strict=True)
    ]
    return "".join(cars)


def test_figures_do_not_depend_on_the_number_of_workers_nor_on_the_company(small_dataset: Dataset) -> None:
    paths = small_dataset.scenario_paths("train")
    alone = measure_difficulty(paths, workers=1)
    assert measure_difficulty(paths, workers=2) == alone
    assert measure_difficulty(paths[::-1], workers=2) == alone[::-1]
    assert measure_difficulty(paths[2:3]) == alone[2:3]


def test_every_figure_is_a_number_that_json_knows_or_none(small_dataset: Dataset) -> None:
    for figures in measure_difficulty(small_dataset.scenario_paths("train"), workers=2):
        assert json.loads(json.dumps(figures, allow_nan=False)) == figures
        assert figures["hazard_onset_s"] == pytest.approx(STANDARD_HAZARD.onset_s, abs=0.11)
        assert figures["collision"] in (0.0, 1.0)
        assert figures["min_ttc_s"] is not None
        assert figures["min_gap_m"] is not None
        assert 0.0 <= figures["min_ttc_s"] < 10.0


def test_a_convoy_that_departs_closer_at_speed_is_harder(tmp_path: Path, network: Path) -> None:
    paths = [
        write_base(tmp_path / name, network, FLOWS + convoy(spacing_m, speed="22").replace("convoy_car", "ego"))
        for name, spacing_m in (("close", 30.0), ("wide", 120.0))
    ]
    close, wide = measure_difficulty(paths, workers=1)
    assert close["min_ttc_s"] is not None
    assert wide["min_ttc_s"] is not None
    assert close["min_ttc_s"] < wide["min_ttc_s"]


def test_a_leader_that_stands_when_it_should_brake_gives_none_and_the_reason(tmp_path: Path, network: Path) -> None:
    (figures,) = measure_difficulty([write_base(tmp_path / "standing", network, FLOWS + stopping_convoy())])
    assert figures == {
        "hazard_onset_s": None,
        "min_ttc_s": None,
        "min_gap_m": None,
        "impact_speed_mps": None,
        "collision": 0.0,
    }


def test_nothing_is_measured_of_nothing() -> None:
    assert measure_difficulty([]) == []


def test_a_scenario_that_kills_its_process_is_named(small_dataset: Dataset, tmp_path: Path, network: Path) -> None:
    deadly = write_base(tmp_path / "deadly", network)
    broken = deadly.parent / "network.net.xml"
    broken.write_text(re.sub("<connection [^>]*>", "", broken.read_text()))  # a segmentation fault of SUMO 1.28
    good = small_dataset.scenario_paths("train")
    with pytest.raises(MachineError, match=re.escape(f"died or stood still over {deadly}: SUMO crashed")):
        measure_difficulty([*good[:2], deadly, *good[2:]], workers=2)


def test_a_scenario_that_is_not_there_is_named(small_dataset: Dataset) -> None:
    missing = small_dataset.folder / "train" / "nothing" / "scenario.sumocfg"
    with pytest.raises(ScenarioError, match=re.escape(str(missing))):
        measure_difficulty([*small_dataset.scenario_paths("eval"), missing], workers=2)
