"""Models of every kind that is exported, and observations from all over the space."""

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC

from roadsense.envs.observation import Observation, observation_space
from roadsense.policies.deep_sets import DeepSetsExtractor
from roadsense.policies.models import as_model_input


class Spaces(gym.Env):
    """Enough of an environment to build a model on."""

    observation_space = observation_space()
    action_space = spaces.Box(0.0, 1.0, (1,), np.float32)


class FlatSpaces(Spaces):
    observation_space = spaces.flatten_space(observation_space())


class OtherSpaces(Spaces):
    observation_space = spaces.Dict({**observation_space().spaces, "ego": spaces.Box(-5.0, 5.0, (3,), np.float32)})


DEEP_SETS = {"features_extractor_class": DeepSetsExtractor}


def spread(model, layer, mean, std):
    """Scales and shifts a head: what it gives has this mean and standard deviation over the observations of `draw`."""
    given = []
    hook = layer.register_forward_hook(lambda _, __, output: given.append(output.detach()))
    model.predict(as_model_input(model, draw(500)), deterministic=True)
    hook.remove()
    with torch.no_grad():
        scale = std / given[0].std()
        layer.weight.mul_(scale)
        layer.bias.sub_(given[0].mean()).mul_(scale).add_(mean)


def build_ppo(env=Spaces, use_sde=False, **policy):
    kind = "MultiInputPolicy" if isinstance(env.observation_space, spaces.Dict) else "MlpPolicy"
    kwargs = {"net_arch": [64, 64], **policy}
    model = PPO(kind, env(), n_steps=64, seed=0, device="cpu", use_sde=use_sde, policy_kwargs=kwargs)
    if env is not OtherSpaces:
        spread(model, model.policy.action_net, 0.5, 0.6)  # then cut to 0..1
    return model


def build_off_policy(kind, use_sde=False, **policy):
    kwargs = {"net_arch": [64, 64], **DEEP_SETS, **policy}
    model = kind(
        "MultiInputPolicy", Spaces(), buffer_size=10, seed=0, device="cpu", use_sde=use_sde, policy_kwargs=kwargs
    )
    if not use_sde:
        spread(model, model.actor.mu, 0.0, 1.0)  # then squashed by tanh
    return model


MODELS = {
    "ppo_deep_sets": lambda: build_ppo(**DEEP_SETS),
    "ppo_other_widths": lambda: build_ppo(
        **DEEP_SETS,
        net_arch={"pi": [24, 16, 8], "vf": [8]},
        features_extractor_kwargs={"n_units": 12},
        activation_fn=torch.nn.ReLU,
    ),
    "ppo_sees_ego": lambda: build_ppo(**DEEP_SETS, features_extractor_kwargs={"sees_ego": True}),
    "ppo_plain": lambda: build_ppo(),
    "ppo_flat": lambda: build_ppo(FlatSpaces),
    "sac_deep_sets": lambda: build_off_policy(SAC),
    "tqc_deep_sets": lambda: build_off_policy(TQC),
}


def draw(n, seed=0):
    """Observations with 0 to 8 peers heard in any of the slots."""
    rng = np.random.default_rng(seed)
    spaces_of = observation_space()
    n_peers, n_fields = spaces_of["peers"].shape
    peers = rng.uniform(-5, 5, (n, n_peers, n_fields))
    peer_mask = rng.random((n, n_peers)) < rng.random((n, 1))
    return Observation(
        ego=rng.uniform(-5, 5, (n, *spaces_of["ego"].shape)).astype(np.float32),
        peers=(peers * peer_mask[..., None]).astype(np.float32),
        peer_mask=peer_mask.astype(np.float32),
    )
