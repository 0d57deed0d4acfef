"""The model in the box: small, opened by its name, and as good as its card says."""

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.pack_model import (
    EPISODES_NAME,
    MAX_BYTES,
    N_EPISODES,
    PackConfig,
    drive_again,
    pack_model,
    slim,
    sum_up,
)
from roadsense.errors import InputError, RunError
from roadsense.policies.models import as_model_input, load_model
from roadsense.policies.source import find_policy
from roadsense.policies.tflite import read_card
from roadsense.policies.trained import load_policy
from roadsense.utils.workspace import project_folder
from tests.exporting.models import DEEP_SETS, build_ppo, draw

FOLDER = Path(__file__).parents[2] / "models" / "default"


def test_a_slim_zip_acts_the_same_and_holds_no_optimizer(tmp_path):
    model = build_ppo(**DEEP_SETS)
    whole = io.BytesIO()
    model.save(whole)
    small = slim(whole.getvalue())
    assert len(small) < len(whole.getvalue())
    assert slim(whole.getvalue()) == small
    with zipfile.ZipFile(io.BytesIO(small)) as content:
        assert not [name for name in content.namelist() if "optimizer" in name]
    (tmp_path / "model.zip").write_bytes(small)
    again = load_model(tmp_path / "model.zip")
    expected = model.predict(as_model_input(model, draw(9)), deterministic=True)[0]
    np.testing.assert_array_equal(again.predict(as_model_input(again, draw(9)), deterministic=True)[0], expected)


def test_a_run_that_is_not_exported_is_refused(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    build_ppo(**DEEP_SETS).save(run / "model.zip")
    with pytest.raises(RunError, match="Export the run first"):
        pack_model(PackConfig(run, tmp_path / "model"))
    with pytest.raises(InputError, match="workers"):
        PackConfig(run, workers=0)


def test_the_model_in_the_box_is_small_complete_and_opened_by_its_name():
    names = {path.name for path in FOLDER.iterdir()}
    wanted = {"model.zip", "policy.tflite", "policy_int8.tflite", "model_card.json", "evaluation.json", "README.md"}
    assert names == wanted | {"checksums.json", EPISODES_NAME}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MAX_BYTES
    assert (project_folder() / "models").resolve() == FOLDER.parent
    assert find_policy("default").name == "default"
    observations = draw(30)
    own = load_policy("default")(observations)
    assert np.abs(load_policy(FOLDER / "policy.tflite")(observations) - own).max() < 1e-4
    # Int8 is calibrated on driving; these observations are from all over the space, far beyond it.
    assert np.abs(load_policy(FOLDER / "policy_int8.tflite")(observations) - own).mean() < 0.15


def test_the_model_in_the_box_names_no_run_and_no_folder_of_its_author():
    card = json.loads((FOLDER / "model_card.json").read_text())
    assert card["training"]["run"] == "default"
    for variant in ("policy.tflite", "policy_int8.tflite"):
        embedded = read_card(FOLDER / variant)
        assert embedded["model_sha256"] == card["training"]["model_sha256"]
        assert set(embedded) == {"name", "observation_version", "model_sha256", "variant"}
    for path in FOLDER.iterdir():
        assert not re.search(rb"/(home|root|tmp|work|Users)/", path.read_bytes()), path


def test_the_model_in_the_box_drives_as_its_card_says(tmp_path):
    card = json.loads((FOLDER / "model_card.json").read_text())["driven"]
    episodes = drive_again(FOLDER / "model.zip", 2)
    pd.testing.assert_frame_equal(episodes, pd.read_csv(FOLDER / EPISODES_NAME), rtol=1e-3, atol=1e-3)
    found = sum_up(episodes)
    assert found["episodes"] == card["episodes"] == N_EPISODES
    assert (found["collisions"], found["unsafe"]) == (card["collisions"], card["unsafe"])
    assert found["distance_m"] == pytest.approx(card["distance_m"], rel=1e-4)
    assert found["needless_mps2"] == pytest.approx(card["needless_mps2"], abs=1e-3)
