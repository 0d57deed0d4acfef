"""The acting network in NumPy beside the one in torch that it is read from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from torch import nn

from roadsense.envs.config import EnvConfig
from roadsense.envs.observation import observation_space
from roadsense.errors import InputError
from roadsense.policies.actor import LINEAR, read_actor
from roadsense.policies.actor_policy import ActorPolicy
from roadsense.policies.deep_sets import DeepSetsExtractor

N = 200


def build(n_units, net_arch, activation, sees_ego=False):
    import gymnasium as gym

    import roadsense  # noqa: F401, registers the environment

    policy = {
        "features_extractor_class": DeepSetsExtractor,
        "features_extractor_kwargs": {"n_units": n_units, "sees_ego": sees_ego},
        "net_arch": net_arch,
        "activation_fn": activation,
        "ortho_init": False,
    }
    env = gym.make("roadsense/Convoy-v0", scenario_list=["nowhere.sumocfg"], config=EnvConfig())
    return PPO("MultiInputPolicy", env, device="cpu", policy_kwargs=policy, seed=1)


def draw(rng):
    """Draws observations as the environment has them; in the first nobody is heard, in the second everybody."""
    seen = {key: rng.uniform(-2, 2, (N, *box.shape)).astype(np.float32) for key, box in observation_space().items()}
    seen["peer_mask"] = (rng.random((N, 8)) < 0.5).astype(np.float32)
    seen["peer_mask"][0], seen["peer_mask"][1] = 0, 1
    seen["peers"] *= seen["peer_mask"][..., np.newaxis]
    return seen


@pytest.mark.parametrize("sees_ego", [True, False])
@pytest.mark.parametrize(
    ("n_units", "net_arch", "activation"), [(32, [64, 64], nn.Tanh), (16, [24], nn.ReLU), (8, [], nn.Tanh)]
)
def test_its_mean_is_that_of_the_network_one_observation_at_a_time(n_units, net_arch, activation, sees_ego):
    model = build(n_units, net_arch, activation, sees_ego)
    seen = draw(np.random.default_rng(0))
    with torch.no_grad():
        tensors = {key: torch.from_numpy(value) for key, value in seen.items()}
        wanted = model.policy.get_distribution(tensors).distribution.mean[:, 0].numpy()
    policy = ActorPolicy(read_actor(model))
    found = [policy({key: value[row] for key, value in seen.items()}) for row in range(N)]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)
    assert np.ptp(wanted) > 0.05


def test_a_network_that_it_cannot_run_is_refused():
    actor = read_actor(build(16, [16], nn.Tanh))
    linear = replace(actor.peer_layers[-1], activation=LINEAR)
    with pytest.raises(InputError, match="ends in relu"):
        ActorPolicy(replace(actor, peer_layers=(actor.peer_layers[0], linear)))


def test_a_call_leaves_what_it_was_given_and_nothing_of_it_stays():
    policy = ActorPolicy(read_actor(build(16, [16], nn.Tanh)))
    seen = draw(np.random.default_rng(1))
    kept = {key: value.copy() for key, value in seen.items()}
    first = [policy({key: value[row] for key, value in seen.items()}) for row in range(N)]
    again = [policy({key: value[row] for key, value in seen.items()}) for row in reversed(range(N))]
    assert first == again[::-1]
    assert all(np.array_equal(seen[key], kept[key]) for key in seen)
