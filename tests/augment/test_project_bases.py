"""The user with six short roads of real drives: one command to scenarios, then a training and a report."""

from pathlib import Path

import pytest

from roadsense.augment.bases.base import Base, name_base
from roadsense.augment.config import GenConfig
from roadsense.augment.draws.traffic import LEVELS
from roadsense.augment.generate import generate_dataset
from roadsense.augment.validation.unvaried import check_unvaried
from roadsense.evaluate import evaluate_policy
from roadsense.evaluation.config import EvalConfig
from roadsense.scenarios.dataset import Dataset
from tests.augment.project_bases import BASES, write_project_bases
from tests.small_training import train_tiny

NAMES = {name_base(Path(name) / "drive.sumocfg") for name in BASES}


@pytest.fixture(scope="module")
def bases_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project_bases(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def bases(bases_dir: Path) -> dict[str, Base]:
    return {base.name: base for base in check_unvaried(GenConfig(bases_dir).read_bases())}


@pytest.fixture(scope="module")
def dataset(bases_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("drives") / "dataset"
    return generate_dataset(GenConfig(bases_dir, out, n_train=6, n_eval=6))


def test_every_base_passes_as_it_is(bases: dict[str, Base]) -> None:
    assert bases.keys() == NAMES
    for base in bases.values():
        assert "density" not in [level for level in LEVELS if base.traffic.supports(level)]
        assert any("device.ssm.measures" in note for note in base.notes)
        assert any("held in its lane" in note for note in base.notes)


def test_limits_of_a_base_are_found_and_said(bases: dict[str, Base]) -> None:
    assert bases["quarry_785m"].horizon_s < 60.0
    assert any("convoy_shift_s is 0 to 3 here" in note for note in bases["starts_at_0"].notes)
    assert any("departSpeed of the convoy is" in note for note in bases["six_cars"].notes)


def test_every_road_gives_scenarios_with_the_first_command(dataset: Dataset) -> None:
    assert {record.base for record in dataset.scenarios if record.split == "train"} == NAMES
    assert {record.base for record in dataset.scenarios if record.split == "eval"} == NAMES
    assert dataset.verify() == []
    assert {record.density for record in dataset.scenarios} == {"fixed"}


def test_a_training_and_a_report_follow(dataset: Dataset, tmp_path: Path) -> None:
    train_tiny(tmp_path / "run", dataset_dir=str(dataset.folder / "train"), total_timesteps=64, eval_interval=0)
    config = EvalConfig(
        tmp_path / "run",
        dataset.folder / "eval",
        episodes_per_scenario=1,
        n_steps=60,
        curve_episodes=0,
        split_episodes=0,
        surroundings_episodes=0,
        gallery_size=0,
        workers=1,
        checks_column=False,
    )
    evaluate_policy(config)
    assert (tmp_path / "run" / "evaluation" / "report.html").is_file()
