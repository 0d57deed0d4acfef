"""Policies are compared by their numbers, whatever else their files say."""

import shutil
import zipfile

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from roadsense.jobs.local.rehearse import DifferenceError, compare_weights, read_records
from tests.small_training import train_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return train_tiny(tmp_path_factory.mktemp("weights") / "run", total_timesteps=64).model_path


def test_every_number_that_was_learned_is_read(model):
    parameters = PPO.load(model, device="cpu").get_parameters()
    # The extractor appears under several names; the numbers are one and the same.
    weights = {weight.data_ptr(): weight.nbytes for weight in parameters["policy"].values()}
    optimiser = parameters["policy.optimizer"]["state"].values()
    moments = [value.nbytes for entry in optimiser for value in entry.values() if torch.is_tensor(value)]
    assert len(moments) > len(weights) > 10
    assert sum(map(len, read_records(model).values())) == sum(weights.values()) + sum(moments)


def test_a_copy_is_the_same_although_its_zip_is_not(model, tmp_path):
    copy = tmp_path / "copy.zip"
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert copy.read_bytes() != model.read_bytes()
    assert compare_weights(model, copy) > 10_000


def test_one_weight_that_differs_by_the_least_is_found(model, tmp_path):
    policy = PPO.load(model, device="cpu")
    with torch.no_grad():
        weight = next(policy.policy.parameters()).view(-1)
        weight[0] = float(np.nextafter(weight[0].numpy(), np.float32(np.inf)))
    policy.save(tmp_path / "other.zip")
    with pytest.raises(DifferenceError, match=r"but 1 differ: \['policy.pth:data/"):
        compare_weights(model, tmp_path / "other.zip")


def test_what_is_no_policy_is_not_the_same_as_anything(model, tmp_path):
    (tmp_path / "text").write_text("no zip")
    with pytest.raises(DifferenceError, match="Expected a policy"):
        compare_weights(model, tmp_path / "text")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("data", "{}")
    shutil.copy(tmp_path / "empty.zip", tmp_path / "twin.zip")
    with pytest.raises(DifferenceError, match="found none"):
        compare_weights(tmp_path / "empty.zip", tmp_path / "twin.zip")
