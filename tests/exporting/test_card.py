"""The model card says where a policy comes from and what was shown of it, in the file and beside it."""

import json
import shutil
import subprocess

import pytest

from roadsense.exporting.card import clean, describe_policy, warn_of_size, write_card
from roadsense.policies.tflite import read_card
from roadsense.runs.run import open_run
from roadsense.utils.files import hash_file


def test_each_file_says_what_it_is_and_the_card_where_it_comes_from(exported):
    manifest = json.loads((exported.run_dir / "manifest.json").read_text())
    for name, found in exported.card["files"].items():
        card = read_card(exported.folder / name)
        assert card == {
            "name": exported.card["name"],
            "observation_version": exported.card["observation_version"],
            "model_sha256": exported.card["training"]["model_sha256"],
            "variant": found["variant"],
        }
    training = exported.card["training"]
    for name in ("dataset_digest", "train_digest", "git_commit"):
        assert training[name] == manifest[name] is not None
    assert training["model_sha256"] == hash_file(exported.run_dir / "model.zip")
    assert training["config"]["imitation_timesteps"] == 4000
    assert training["algorithm"] == "ppo"


def test_no_path_of_this_machine_is_in_what_is_handed_on(exported):
    handed_on = [*exported.folder.glob("policy*"), *exported.folder.glob("model_card*")]
    handed_on += [path for path in (exported.folder / "firmware").rglob("*") if path.is_file()]
    assert len(handed_on) > 15
    for path in handed_on:
        assert str(exported.run_dir.parent).encode() not in path.read_bytes(), path


def test_the_text_says_everything_and_hashes_are_those_of_the_files(exported):
    text = (exported.folder / "model_card.md").read_text()
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "What it is for", "What it is not for", "Where it comes from", "Files", "Plain C", "Parity", "Driving",
        "Evaluation", "Latency", "Versions",
    ]  # fmt: skip
    for name in ("policy.tflite", "policy_int8.tflite"):
        done = subprocess.run(["sha256sum", exported.folder / name], capture_output=True, text=True, check=True)
        assert done.stdout.split()[0] in text
    assert exported.card["training"]["dataset_digest"] in text
    assert "held out from the training" in text
    assert "was not evaluated before" in text
    assert exported.card["closed_loop"]["comparisons"]["int8"]["in_words"] in text


def test_a_warning_comes_first(exported):
    card = json.loads(json.dumps(exported.card))
    card["closed_loop"]["worse"] = ["int8"]
    card["closed_loop"]["comparisons"]["int8"]["in_words"] = "WARNING: int8 drives worse."
    assert write_card(card).splitlines()[2] == "> **WARNING: int8 drives worse.**"


def test_plain_c_that_is_too_large_for_a_small_chip_is_said(exported):
    card = json.loads(json.dumps(exported.card))
    assert 10_000 < card["c"]["weight_bytes"] < 100_000
    assert not warn_of_size(card)
    card["c"]["weight_bytes"] = 3 << 20
    (sentence,) = warn_of_size(card)
    assert sentence.startswith("policy.c takes 3,145,728 bytes")
    assert f"> **WARNING: {sentence}**" in write_card(card)


def test_the_newest_evaluation_of_the_trained_model_is_in_it(exported, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(exported.run_dir, run_dir, ignore=shutil.ignore_patterns("export", "checkpoints"))
    ours = hash_file(run_dir / "model.zip")
    for name, sha256, episodes in (("evaluation", "0" * 64, 7), ("evaluation_2", ours, 300), ("evaluation_3", "1", 20)):
        folder = run_dir / name
        folder.mkdir()
        (folder / "episodes.parquet").touch()
        (folder / "origin.json").write_text(json.dumps({"policy_sha256": {"policy": sha256}}))
        (folder / "summary.csv").write_text(
            "policy,episodes,collisions,collision_rate,collision_rate_low,collision_rate_high,impact_speed_mps\n"
            f"policy,{episodes},3,0.01,0.002,0.03,\nunassisted,{episodes},40,0.13,0.1,0.18,4\n"
        )
    card = clean({**exported.card, **describe_policy(open_run(run_dir), run_dir / "model.zip")})
    found = card["evaluation"]
    assert (found["folder"], [row["episodes"] for row in found["rows"]]) == ("evaluation_2", [300, 300])
    assert found["rows"][0]["collision_rate_high"] == 0.03
    assert "| policy | 300 | 3 | 0.01 | 0.002 | 0.03 |" in write_card(card)


def test_what_is_not_finite_is_written_as_nothing():
    cleaned = clean({"a": (float("nan"), float("inf"), 1 / 3), "b": {"c": None, "d": True}})
    assert cleaned == {"a": [None, None, 0.333333], "b": {"c": None, "d": True}}
    json.dumps(cleaned, allow_nan=False)


def test_a_run_that_says_nothing_of_itself_has_a_card_as_well(exported, tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    shutil.copy(exported.run_dir / "model.zip", run_dir)
    card = clean({**exported.card, **describe_policy(open_run(run_dir), run_dir / "model.zip")})
    assert card["training"]["git_commit"] is None
    assert "Settings: not known." in write_card(card)
    with pytest.raises(KeyError):
        write_card({})
