"""The roads that turn back are those of their script, turn as much as they say, and a convoy drives on them."""

from pathlib import Path

import numpy as np
import pytest
import sumolib

import roadsense as rs
from benchmarks.bent_roads import BentRoadsConfig, make_networks
from roadsense.augment.validation.unvaried import simulate_unvaried
from roadsense.utils.safe_xml import open_unpacked

BENDS_DIR = Path(__file__).parents[2] / "scenarios" / "bends"
TURN_RAD = {"mountain_pass": 7 * np.pi, "ring_road": 4 * np.pi}
"""Sum of all bends of the convoy's way: seven hairpins; two rounds."""


def test_script_makes_the_kept_networks_again(tmp_path: Path) -> None:
    for path in make_networks(BentRoadsConfig(tmp_path)):
        kept = BENDS_DIR / path.relative_to(tmp_path)
        with open_unpacked(path) as made, open_unpacked(kept) as wanted:
            assert made.read() == wanted.read()


def test_files_are_small() -> None:
    assert sum(path.stat().st_size for path in BENDS_DIR.rglob("*") if path.is_file()) < 300_000


@pytest.fixture(scope="module")
def bases() -> list:
    return rs.GenConfig(base_dir=BENDS_DIR).read_bases()


def test_unvaried_convoys_of_five_stay_in_order(bases: list) -> None:
    assert {base.name for base in bases} == TURN_RAD.keys()
    for base in bases:
        _, report = simulate_unvaried(base)
        assert (report.refusals, report.in_order) == ((), True)
        assert report.ego_time_s > 60
        assert base.scenario.convoy_ids == ("V001", "V002", "V003", "V004", "V005")
        assert (base.notes, base.warnings) == ((), frozenset())


def test_convoys_drive_through_all_bends(bases: list) -> None:
    for base in bases:
        net = sumolib.net.readNet(str(base.scenario.network_path))
        [(_, root)] = base.read_routes()
        edges = next(iter(root.iter("route"))).get("edges").split()
        lines = [np.array(net.getEdge(edge).getShape()) for edge in edges]
        if base.name == "ring_road":
            lines = lines[:-1]  # the arm on which the convoy leaves the ring
        steps = [step for line in lines for step in np.diff(line, axis=0)]
        headings = np.unwrap([np.arctan2(y, x) for x, y in steps])
        turned_rad = np.abs(np.diff(headings)).sum()
        assert turned_rad >= 0.9 * TURN_RAD[base.name]


def test_a_dataset_is_made_of_them(tmp_path: Path) -> None:
    config = rs.GenConfig(base_dir=BENDS_DIR, output_dir=tmp_path / "made", n_train=2, n_eval=2)
    dataset = rs.generate_dataset(config)
    assert [len(dataset.scenario_paths(split)) for split in ("train", "eval")] == [2, 2]
    assert {record.base for record in dataset.scenarios} == TURN_RAD.keys()
