"""The roads that no training has seen are those of the stated seed, and can be driven."""

from pathlib import Path

from benchmarks.unseen_roads import UnseenConfig, make_unseen
from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import Plan
from roadsense.episodes.run import Worker
from roadsense.utils.safe_xml import open_unpacked

UNSEEN_DIR = Path(__file__).parents[2] / "scenarios" / "unseen"


def unpacked(path: Path) -> bytes:
    with open_unpacked(path) as file:
        return file.read()


def test_seed_1_makes_the_kept_roads_again(tmp_path: Path) -> None:
    paths = make_unseen(UnseenConfig(tmp_path))
    assert [path.parent.name for path in paths] == [
        f"unseen_{kind}" for kind in ("random", "town", "spider", "grid", "hairpin", "ring", "old_town")
    ]
    for path in paths:
        for file in path.parent.iterdir():
            kept = UNSEEN_DIR / path.parent.name / file.name
            assert unpacked(file) == unpacked(kept), file


def test_every_road_can_be_driven_with_a_hazard() -> None:
    worker = Worker(EnvConfig(step_info=False))
    rows = [worker.run(Plan("unassisted", path, 1, True)) for path in sorted(UNSEEN_DIR.rglob("*.sumocfg"))]
    worker.close()
    assert len(rows) == 7
    assert [row["error"] for row in rows] == [""] * 7
    assert all(row["hazard"] and row["distance_m"] > 100 for row in rows)
