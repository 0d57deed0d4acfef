"""The search for the baselines' settings: every setting drives the same episodes, and the best score is on top."""

from pathlib import Path

import pandas as pd
import pytest

from roadsense.cli import main
from roadsense.errors import InputError
from roadsense.evaluation import tune_baselines as tuning
from roadsense.evaluation.tune_baselines import GRIDS, TuneConfig, list_settings, tune_baselines
from roadsense.policies.rules import BASELINES, HeardBrakingRule
from roadsense.scenarios.dataset import Dataset

ROOT = Path(__file__).parents[2]


def test_settings_are_those_of_the_grids() -> None:
    settings = list(list_settings())
    assert len({name for name, *_ in settings}) == len(settings)
    by_words = {words: rule for _, _, words, rule in settings}
    assert by_words["threshold_mps2 1.5, gain 1"] == HeardBrakingRule(1.5, 1.0)
    assert set(GRIDS) == {name for name in BASELINES if name.startswith("heard_")}


def test_each_setting_drives_the_same_episodes(
    small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    grid = {"heard_braking_rule": (HeardBrakingRule(), {"threshold_mps2": (0.1, 7.9), "gain": (1.0,)})}
    monkeypatch.setattr(tuning, "GRIDS", grid)
    config = TuneConfig(str(small_dataset.folder / "train"), n_episodes=2, workers=1, output=tmp_path / "table.md")
    table = tune_baselines(config)
    assert table["score"].is_monotonic_decreasing
    assert table["episodes"].eq(2).all()
    share = table.set_index("settings")["needless_mps2"]
    assert share["threshold_mps2 0.1, gain 1"] > share["threshold_mps2 7.9, gain 1"]  # one brakes at every bit of noise
    pd.testing.assert_frame_equal(table, tune_baselines(config))
    command = [
        "--dataset_dir",
        config.dataset_dir,
        "--n_episodes",
        "1",
        "--workers",
        "1",
        "--output",
        str(config.output),
    ]
    assert main(["tune-baselines", *command]) == 0
    text = config.output.read_text()
    assert all(f"| heard_braking_rule | {settings} | 1 |" in text for settings in share.index)


def test_the_committed_settings_are_the_best_of_the_committed_table() -> None:
    text = (ROOT / "docs" / "reference" / "baselines.md").read_text()
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| heard_")
    ]
    settings = {(rule, words): policy for _, rule, words, policy in list_settings()}
    assert {(rule, words) for rule, words, *_ in lines} == set(settings)
    for name in GRIDS:
        best = max((line for line in lines if line[0] == name), key=lambda line: float(line[-1]))
        assert settings[name, best[1]] == BASELINES[name]


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(InputError, match="n_episodes"):
        TuneConfig(n_episodes=0)
