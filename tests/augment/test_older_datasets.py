"""Datasets that another version made end in a sentence that says what to do, not in a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset
from roadsense.augment.rebuild import rebuild_differences
from roadsense.errors import DatasetError
from roadsense.scenarios.dataset import MANIFEST_NAME, Dataset

Change = Callable[[dict[str, Any]], object]
VALUES = {"base": "fast_road", "values": {"slope": 1}, "split": "train"}

OTHER_VERSIONS: dict[str, tuple[Change, str]] = {
    "a range that is gone": (lambda m: m["settings"]["ranges"].update(slope=[0, 1]), "slope, which this version"),
    "a base's range that is gone": (
        lambda m: m["settings"].update(base_ranges={"fast_road": {"slope": [0, 1]}}),
        "slope, which this version",
    ),
    "a setting that is gone": (lambda m: m["settings"].update(ticks=3), "ticks, which this version"),
    "a range that is new": (lambda m: m["settings"]["ranges"].pop("friction"), "made before friction could be varied"),
    "no ranges": (lambda m: m["settings"].pop("ranges"), "made before accel, .* could be varied"),
    "a base that is gone": (lambda m: m["bases"].update(old_road={}), "old_road is not there. Name their folders"),
    "another schema": (lambda m: m.update(schema_version=1), "expected schema_version 2, got 1. Open it with"),
}


def changed(folder: Path, change: Change) -> Path:
    """A dataset's folder after a change to its manifest."""
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    change(manifest)
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(("change", "reason"), OTHER_VERSIONS.values(), ids=OTHER_VERSIONS)
def test_what_cannot_be_made_again_is_named(dataset_copy: Path, tiny_bases: Path, change: Change, reason: str) -> None:
    folder = changed(dataset_copy, change)
    with pytest.raises(DatasetError, match=reason):
        rebuild_differences(Dataset.open(folder), tiny_bases)


def test_scenarios_chosen_by_values_that_are_gone_are_named(dataset_copy: Path, tiny_bases: Path) -> None:
    folder = changed(dataset_copy, lambda m: m["settings"].update(chosen={"scenario_007": VALUES}))
    with pytest.raises(DatasetError, match="slope, which this version"):
        rebuild_differences(Dataset.open(folder), tiny_bases)


def test_a_difference_names_both_versions(dataset_copy: Path, tiny_bases: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["versions"]["sumo"] = "1.18.0"
        manifest["digest"] = "0" * 64

    *_, last = rebuild_differences(Dataset.open(changed(dataset_copy, change)), tiny_bases)
    assert last.startswith("made with ")
    assert "sumo 1.18.0" in last.partition("rebuilt with")[0]


@pytest.mark.parametrize("lost", ["ranges", "n_eval_wide"])
def test_other_settings_are_named_when_it_is_generated_again(
    dataset_copy: Path, small_config: GenConfig, lost: str
) -> None:
    folder = changed(dataset_copy, lambda m: m["settings"].pop(lost))
    config = GenConfig(small_config.base_dir, folder, seed=0, n_train=4, n_eval=2)
    with pytest.raises(DatasetError, match=r"was made with .* None, not .*Name another output_dir"):
        generate_dataset(config)
