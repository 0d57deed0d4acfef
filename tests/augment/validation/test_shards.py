"""A dataset proven in parts is the one that is made at once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset, prove_shard
from roadsense.augment.validation.shards import SHARD_NAME
from roadsense.errors import DatasetError, InputError
from roadsense.gen_scenarios import main
from tests.test_gen_scenarios import files_of


@pytest.fixture(scope="module")
def shards(tiny_bases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    config = GenConfig(tiny_bases, folder / "whole", seed=0, n_train=4, n_eval=2, workers=2)
    parts = [
        prove_shard(replace(config, output_dir=folder / f"part_{number}", shard=number, n_shards=2))
        for number in range(2)
    ]
    return config, parts


def test_parts_put_together_are_the_dataset_made_at_once(shards, small_dataset, tmp_path):
    config, parts = shards
    merged = generate_dataset(replace(config, output_dir=tmp_path / "merged", shards=tuple(parts)))
    assert merged.digest == small_dataset.digest
    assert files_of(merged.folder) == files_of(small_dataset.folder)
    assert merged.verify() == []


def test_each_part_proves_its_share(shards):
    _, parts = shards
    names = [{path.name for path in (part / "dataset").glob("*/*")} for part in parts]
    assert [len(each) for each in names] == [3, 3]
    assert not names[0] & names[1]


def test_a_part_that_is_missing_is_proven_at_the_end(shards, small_dataset, tmp_path):
    config, parts = shards
    merged = generate_dataset(replace(config, output_dir=tmp_path / "merged", shards=tuple(parts[:1])))
    assert merged.digest == small_dataset.digest


def test_parts_of_other_settings_are_refused(shards, tmp_path):
    config, parts = shards
    with pytest.raises(DatasetError, match="other settings"):
        generate_dataset(replace(config, seed=1, output_dir=tmp_path / "merged", shards=tuple(parts)))


def test_a_part_that_was_ended_early_is_refused(shards, tmp_path):
    config, _ = shards
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=SHARD_NAME):
        generate_dataset(replace(config, output_dir=tmp_path / "merged", shards=(tmp_path / "empty",)))


def test_command_makes_a_part(tiny_bases, tmp_path, capsys):
    words = f"--base_dir {tiny_bases} --output_dir {tmp_path / 'part'} --n_train 2 --n_eval 1 --n_shards 3 --shard 1"
    assert main(words.split()) == 0
    assert "shard 1 of 3" in capsys.readouterr().out
    assert json.loads((tmp_path / "part" / SHARD_NAME).read_text())["n_shards"] == 3


@pytest.mark.parametrize("settings", [{"shard": 2, "n_shards": 2}, {"n_shards": 2, "shards": (Path("part"),)}])
def test_settings_that_do_not_go_together_are_refused(settings):
    with pytest.raises(InputError, match="shard"):
        GenConfig(**settings)


def test_held_out_draws_that_come_too_near_to_other_parts_train_draws_are_proven_at_the_end(
    tiny_bases, tmp_path, monkeypatch
):
    config = GenConfig(tiny_bases, tmp_path / "whole", n_train=6, n_eval=2, min_split_distance=0.37, workers=2)
    whole = generate_dataset(config)
    assert any("train draw" in reason for row in whole.refusals for reason in row["reasons"])
    with monkeypatch.context() as apart:  # as if the others' train draws had been drawn again
        apart.setattr("roadsense.augment.validation.proving.train_places", lambda *_: {})
        parts = [
            prove_shard(replace(config, output_dir=tmp_path / f"part_{number}", shard=number, n_shards=2))
            for number in range(2)
        ]
    merged = generate_dataset(replace(config, output_dir=tmp_path / "merged", shards=tuple(parts)))
    assert files_of(merged.folder) == files_of(whole.folder)
