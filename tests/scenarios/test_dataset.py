"""The manifest read back, refused when it is not one, and held against the files."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roadsense.augment.card.dataset_card import write_card
from roadsense.errors import DatasetError
from roadsense.scenarios.dataset import Dataset


def edit_manifest(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))


def test_the_manifest_says_where_everything_came_from(small_dataset: Dataset) -> None:
    assert small_dataset.seed == 0
    assert small_dataset.settings["n_train"] == 4
    assert small_dataset.settings["ranges"]["density"] == [0.7, 1.3]
    assert set(small_dataset.versions) == {"roadsense", "sumo", "python"}
    assert set(small_dataset.bases) == {"fast_road", "slow_road"}
    for record in small_dataset.scenarios:
        assert record.gate["n_collisions"] == 0
        assert set(record.variation["types"]) == {"ego", "convoy_car", "car", "truck"}
        assert len(record.files) == 3


def test_nothing_of_the_machine_is_in_the_manifest(small_dataset: Dataset) -> None:
    text = (small_dataset.folder / "manifest.json").read_text()
    assert str(small_dataset.folder.parent) not in text
    assert "workers" not in text
    assert "/tmp" not in text


def test_paths_are_given_by_split(small_dataset: Dataset) -> None:
    assert len(small_dataset.scenario_paths("train")) == 4
    assert len(small_dataset.scenario_paths("eval")) == 2
    assert small_dataset.scenario_paths("eval_wide") == []
    assert all(path.is_file() for path in small_dataset.scenario_paths("eval"))
    with pytest.raises(DatasetError, match="train, eval, eval_wide, got 'test'"):
        small_dataset.scenario_paths("test")


def test_a_dataset_may_be_moved(dataset_copy: Path, small_dataset: Dataset) -> None:
    moved = Dataset.open(str(dataset_copy))
    assert moved.digest == small_dataset.digest
    assert moved.verify() == []
    assert all(dataset_copy in path.parents for path in moved.scenario_paths("train"))


def test_verify_names_what_is_changed_missing_and_extra(dataset_copy: Path) -> None:
    changed, missing = Dataset.open(dataset_copy).scenario_paths("train")[:2]
    changed.write_text(changed.read_text().replace("value=", "value ="))
    missing.unlink()
    (dataset_copy / "eval" / "extra.txt").write_text("")
    assert Dataset.open(dataset_copy).verify() == [
        f"missing: {missing.relative_to(dataset_copy)}",
        "extra: eval/extra.txt",
        f"changed: {changed.relative_to(dataset_copy)}",
    ]


def test_the_card_and_the_whole_manifest_are_verified_too(dataset_copy: Path) -> None:
    digest = Dataset.open(dataset_copy).digest
    (dataset_copy / "README.md").write_text("changed")
    (dataset_copy / "coverage.png").unlink()
    edit_manifest(dataset_copy, lambda manifest: manifest["scenarios"][0].update(difficulty={"min_ttc_s": 1.5}))
    (dataset_copy / "train" / "README.md").write_text("")
    changed = Dataset.open(dataset_copy)
    assert changed.verify() == [
        "missing: coverage.png", "extra: train/README.md", "changed: README.md", "changed: manifest.json",
    ]  # fmt: skip
    assert changed.digest == digest
    (dataset_copy / "train" / "README.md").unlink()
    write_card(dataset_copy)
    assert Dataset.open(dataset_copy).verify() == []


def test_a_manifest_of_an_older_version_has_no_sums_to_verify(dataset_copy: Path) -> None:
    edit_manifest(dataset_copy, lambda manifest: manifest.pop("sums"))
    (dataset_copy / "README.md").write_text("changed")
    assert Dataset.open(dataset_copy).verify() == []


def test_a_link_is_a_difference_whatever_it_leads_to(dataset_copy: Path, tmp_path: Path) -> None:
    file = next((dataset_copy / "train").rglob("*.rou.xml"))
    file.rename(tmp_path / "elsewhere.xml")
    file.symlink_to(tmp_path / "elsewhere.xml")
    (dataset_copy / "more").symlink_to(tmp_path, target_is_directory=True)
    assert Dataset.open(dataset_copy).verify() == ["link: more", f"link: {file.relative_to(dataset_copy)}"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda manifest: manifest["settings"].update(seed=5),
        lambda manifest: manifest["scenarios"][0]["variation"]["levels"].update(convoy_shift_s=0.5),
        lambda manifest: manifest["scenarios"].pop(),
        lambda manifest: manifest.update(digest="0" * 64),
    ],
)
def test_verify_sees_a_manifest_that_was_edited(dataset_copy: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    edit_manifest(dataset_copy, edit)
    assert any("manifest.json" in line for line in Dataset.open(dataset_copy).verify())


def test_the_table_counts_every_scenario(small_dataset: Dataset) -> None:
    table = small_dataset.table()
    assert list(table.columns) == ["split", "base", "density", "driver", "scenarios"]
    assert table["scenarios"].sum() == 6
    assert table.groupby(["split", "base"])["scenarios"].sum().to_dict() == {
        ("train", "fast_road"): 2,
        ("train", "slow_road"): 2,
        ("eval", "fast_road"): 1,
        ("eval", "slow_road"): 1,
    }


def escape(manifest: dict[str, Any]) -> None:
    manifest["scenarios"][0]["files"]["../../secret"] = "0"


BROKEN = {
    "schema": (lambda m: m.update(schema_version=99), "expected schema_version 2, got 99"),
    "old": (lambda m: m.update(schema_version=1), "expected schema_version 2, got 1.*generate it again"),
    "key": (lambda m: m.pop("refusals"), "expected 'refusals' to be a list, got None"),
    "kind": (lambda m: m.update(scenarios={}), "expected 'scenarios' to be a list"),
    "seed": (lambda m: m["settings"].pop("seed"), "expected 'seed' to be a int"),
    "record": (lambda m: m["scenarios"].append(3), "expected 'name' to be a str, got 3"),
    "name": (lambda m: m["scenarios"][0].update(name="mine"), "Expected a name like"),
    "words": (lambda m: m["scenarios"][0].update(base="other"), "its name and its values disagree"),
    "split": (lambda m: m["scenarios"][0].update(split="test"), "its name and its values disagree"),
    "path": (escape, "expected files in train/"),
}


@pytest.mark.parametrize(("edit", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_manifest_is_refused_with_the_reason(
    dataset_copy: Path, edit: Callable[[dict[str, Any]], object], reason: str
) -> None:
    edit_manifest(dataset_copy, edit)
    with pytest.raises(DatasetError, match=reason) as caught:
        Dataset.open(dataset_copy)
    assert "manifest.json" in str(caught.value)


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"Expected a dataset with a manifest\.json"):
        Dataset.open(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DatasetError, match="the file is damaged"):
        Dataset.open(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(DatasetError, match="expected an object"):
        Dataset.open(tmp_path)


def test_proofs_are_a_table_of_all_scenarios(small_dataset: Dataset) -> None:
    proofs = small_dataset.proofs()
    assert list(proofs["name"]) == [record.name for record in small_dataset.scenarios]
    assert (proofs["n_collisions"] == 0).all()


def test_opening_a_manifest_loads_no_simulator_and_no_scipy() -> None:
    code = "import sys, roadsense.scenarios.dataset; print(sorted({'scipy', 'sumolib', 'numpy'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
