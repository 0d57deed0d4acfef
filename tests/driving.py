"""Episodes with a hazard, driven with any policy."""

import numpy as np


def drive(env, policy, seed, scenario):
    """Returns a policy's actions over an episode with a hazard, and whether it ended in a collision."""
    observation, _ = env.reset(seed=seed, options={"scenario": scenario, "hazard": True})
    actions, terminated, truncated = [], False, False
    while not (terminated or truncated):
        action = policy({name: values[None] for name, values in observation.items()})[0]
        actions.append(action.item())
        observation, _, terminated, truncated, _ = env.step(action)
    return np.array(actions), terminated
