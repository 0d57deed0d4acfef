"""The acting network is read layer by layer, and a part that is not known is named."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3 import SAC
from torch import nn

from roadsense.errors import InputError, RunError
from roadsense.policies.actor import RELU, TANH, read_actor
from roadsense.policies.deep_sets import DeepSetsExtractor
from roadsense.policies.models import as_model_input, load_model
from roadsense.policies.trained import load_policy
from tests.exporting.models import DEEP_SETS, MODELS, OtherSpaces, build_off_policy, build_ppo, draw


class OtherExtractor(DeepSetsExtractor):
    pass


def with_a_nan():
    model = build_ppo(**DEEP_SETS)
    with torch.no_grad():
        model.policy.action_net.weight[0, 0] = torch.nan
    return model


def with_a_peer_network_that_ends_in_tanh():
    model = build_ppo(**DEEP_SETS)
    model.policy.pi_features_extractor.peer_network[3] = nn.Tanh()
    return model


def test_layers_of_deep_sets_are_read_in_order():
    actor = read_actor(build_ppo(**DEEP_SETS, net_arch=[16, 8], activation_fn=nn.ReLU))
    assert [layer.weight.shape for layer in actor.peer_layers] == [(8, 32), (32, 32)]
    assert [layer.weight.shape for layer in actor.policy_layers] == [(36, 16), (16, 8), (8, 1)]
    assert [layer.activation for layer in actor.policy_layers] == [RELU, RELU, "linear"]
    assert read_actor(build_ppo(**DEEP_SETS)).policy_layers[0].activation == TANH
    assert not actor.is_squashed
    assert not actor.sees_ego


def test_a_peer_network_that_takes_the_ego_too_is_told_from_one_that_does_not():
    actor = read_actor(build_ppo(**DEEP_SETS, features_extractor_kwargs={"sees_ego": True}))
    assert (actor.sees_ego, actor.peer_layers[0].weight.shape) == (True, (12, 32))
    odd = replace(actor.peer_layers[0], weight=actor.peer_layers[0].weight[:11])
    with pytest.raises(InputError, match="a peer network of 8 inputs, or of 4 more, got one of 11"):
        replace(actor, peer_layers=(odd, actor.peer_layers[1]))


def test_a_plain_network_and_a_squashed_one_are_told_apart():
    plain, squashed = read_actor(build_ppo()), read_actor(build_off_policy(SAC))
    assert (plain.peer_layers, plain.policy_layers[0].weight.shape) == ((), (76, 64))
    assert squashed.is_squashed
    assert len(squashed.peer_layers) == 2


@pytest.mark.parametrize(
    ("build", "part"),
    [
        (lambda: build_ppo(**DEEP_SETS, activation_fn=nn.ELU), r"ELU.* as layer 1 of the policy network"),
        (lambda: build_ppo(features_extractor_class=OtherExtractor), "OtherExtractor as the features extractor"),
        (lambda: build_off_policy(SAC, use_sde=True), "StateDependentNoiseDistribution as the actor's `action_dist`"),
        (with_a_peer_network_that_ends_in_tanh, "ends in ReLU.* got tanh"),
        (with_a_nan, "NaN"),
    ],
)
def test_a_part_that_is_not_known_is_named(build, part):
    with pytest.raises(InputError, match=part):
        read_actor(build())


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_is_loaded_and_drives_as_it_predicts(tmp_path, name):
    model, observations = MODELS[name](), draw(50)
    model.save(tmp_path / "model.zip")
    loaded = load_model(tmp_path / "model.zip")
    expected, _ = model.predict(as_model_input(model, observations), deterministic=True)
    got, _ = loaded.predict(as_model_input(loaded, observations), deterministic=True)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_allclose(load_policy(tmp_path / "model.zip")(observations), expected, atol=5e-6)


def test_a_model_over_other_spaces_is_refused(tmp_path):
    build_ppo(OtherSpaces, **DEEP_SETS).save(tmp_path / "model.zip")
    with pytest.raises(RunError, match="expected a policy over"):
        load_model(tmp_path / "model.zip")
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    with pytest.raises(RunError, match="expected a policy of PPO"):
        load_model(tmp_path / "broken.zip")
