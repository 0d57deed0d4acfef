"""A dataset's card says what its manifest says, the same each time, and nothing of the machine it was made on."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from matplotlib import style

from roadsense.augment.card.dataset_card import CARD_NAMES, format_card, write_card
from roadsense.augment.card.dataset_tables import tabulate_refusals
from roadsense.cli import main
from roadsense.errors import DatasetError
from roadsense.scenarios.dataset import Dataset
from tests.scenarios.test_dataset import edit_manifest


def read_card(folder: Path) -> str:
    write_card(folder)
    return (folder / "README.md").read_text()


def test_the_card_holds_what_the_manifest_says(dataset_copy: Path, small_dataset: Dataset) -> None:
    card = read_card(dataset_copy)
    assert small_dataset.digest in card
    assert "6 SUMO scenarios (4 train, 2 eval) drawn from 2 base roads" in card
    assert "| fast_road | 2 | 1 | 3 |" in card
    assert "| all | 4 | 2 | 6 |" in card
    assert "| `density` | 0.7 to 1.3 |" in card
    nearest = min(record.train_distance for record in small_dataset.scenarios if record.train_distance is not None)
    assert f"{nearest:.3f} away" in card
    assert "unseen traffic, not for unseen roads" in card


def test_two_files_are_written_and_nothing_else_is_touched(dataset_copy: Path, small_dataset: Dataset) -> None:
    for name in CARD_NAMES:
        (dataset_copy / name).unlink(missing_ok=True)
    before = set(dataset_copy.rglob("*"))
    write_card(dataset_copy)
    assert set(dataset_copy.rglob("*")) - before == {dataset_copy / name for name in CARD_NAMES}
    assert (dataset_copy / "coverage.png").read_bytes().startswith(b"\x89PNG")
    assert (dataset_copy / "manifest.json").read_bytes() == (small_dataset.folder / "manifest.json").read_bytes()


def test_the_card_is_the_same_each_time_and_wherever_the_dataset_lies(dataset_copy: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(dataset_copy, tmp_path / "moved")
    write_card(dataset_copy)
    with style.context("ggplot"):
        write_card(moved)
    for name in CARD_NAMES:
        assert (dataset_copy / name).read_bytes() == (moved / name).read_bytes()
    assert str(tmp_path) not in (moved / "README.md").read_text()
    assert "/tmp" not in (moved / "README.md").read_text()


def test_the_command_makes_the_dataset_again(dataset_copy: Path, tiny_bases: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"```\nroadsense gen-scenarios (.*?)\n```", read_card(dataset_copy), re.DOTALL)
    words = block.replace("\\\n", " ").split()
    places = {"BASES": str(tiny_bases), "DATASET": str(tmp_path / "again")}
    assert main(["gen-scenarios", *[places.get(word, word) for word in words]]) == 0
    assert Dataset.open(tmp_path / "again").digest == Dataset.open(dataset_copy).digest


def test_the_command_names_ranges_that_are_not_the_usual_ones(dataset_copy: Path) -> None:
    edit_manifest(dataset_copy, lambda manifest: manifest["settings"]["ranges"].update(sigma=[0.1, 0.9]))
    card = read_card(dataset_copy)
    assert "--sigma 0.1 0.9" in card
    assert "--density" not in card


def test_the_command_leaves_out_what_is_not_set(dataset_copy: Path) -> None:
    edit_manifest(dataset_copy, lambda manifest: manifest["settings"].update(ego=None, convoy=[], n_train=7))
    card = read_card(dataset_copy)
    assert "--n_train 7" in card
    assert "--ego" not in card
    assert "--convoy" not in card


def describe_with(dataset: Dataset, difficulty: dict[str, dict[str, Any] | None]) -> str:
    for record in dataset.scenarios:  # as a dataset is read whose manifest has it, by split
        object.__setattr__(record, "difficulty", difficulty.get(record.split))
    return format_card(dataset)


def test_difficulty_is_told_by_split_if_it_was_measured(dataset_copy: Path) -> None:
    dataset = Dataset.open(dataset_copy)
    figures = {"hazard_onset_s": 8.0, "min_ttc_s": 0.5, "collision": 1.0}
    calm = {"hazard_onset_s": None, "min_ttc_s": None, "collision": 0.0}
    assert "## Difficulty" not in describe_with(dataset, {})
    card = describe_with(dataset, {"train": figures, "eval": calm})
    assert "| train | 4 | 0 | 4 | 0.50 | 0.50 | 0.50 |" in card
    assert "| eval | 2 | 2 | 0 | - | - | - |" in card


def test_refusals_are_counted_by_base_and_kind_of_reason(dataset_copy: Path) -> None:
    reasons = [["3 collisions"], ["12 collisions"], ["emergency braking of V003", "1 collisions"]]
    rows = [{"name": "x", "split": "train", "base": "fast_road", "reasons": reason} for reason in reasons]
    edit_manifest(dataset_copy, lambda manifest: manifest.update(refusals=rows))
    table = tabulate_refusals(Dataset.open(dataset_copy))
    assert table.to_numpy().tolist() == [
        ["fast_road", 3, "3 collisions"],
        ["fast_road", 1, "emergency braking of V003"],
    ]
    card = read_card(dataset_copy)
    assert "drawn again: 3." in card
    assert "| fast_road | 3 | 3 collisions |" in card
    edit_manifest(dataset_copy, lambda manifest: manifest.update(refusals=[]))
    assert "No draw was refused." in read_card(dataset_copy)


def test_notes_on_bases_are_told_if_the_manifest_has_them(dataset_copy: Path) -> None:
    edit_manifest(dataset_copy, lambda manifest: manifest.update(notes={}))
    assert "## Notes" not in read_card(dataset_copy)
    notes = {"fast_road": ["has no lights", "is long"], "slow_road": ["is slow"]}
    edit_manifest(dataset_copy, lambda manifest: manifest.update(notes=notes))
    card = read_card(dataset_copy)
    assert "- fast_road: has no lights\n- fast_road: is long\n- slow_road: is slow" in card


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"Expected a dataset with a manifest\.json"):
        write_card(tmp_path)
    assert not list(tmp_path.iterdir())
