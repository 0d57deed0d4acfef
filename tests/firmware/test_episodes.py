"""The firmware, built for this machine, decides as the policy does in the environment, step by step."""

from pathlib import Path

import numpy as np

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from tests.firmware.host import VERSION, Step, play

BASES = Path(__file__).parents[2] / "scenarios" / "base"
N_EPISODES, N_STEPS = 20, 200


def look(env, step, known):
    """What the car knows at this step, and the messages that came since the last: `known` is brought up to date."""
    own, channel = env._convoy.states[0], env._channel
    messages = []
    for place, message in enumerate(channel.messages):
        if message is not None and message != known.get(place):
            known[place] = message
            sent_step, x_m, y_m, *rest = message
            messages.append((x_m, y_m, 100 * sent_step, sent_step, *rest, place + 2, VERSION))
    return Step(100 * step, (*own, env._convoy.driver_mps2), messages)


def drive(env, policy, seed, scenario):
    """Returns the steps of an episode, as a board sees them, and the policy's actions."""
    observation, _ = env.reset(seed=seed, options={"scenario": scenario, "hazard": True})
    n_convoy, known, steps, actions, over = len(env._channel.messages), {}, [], [], False
    while not over:
        steps.append(look(env, len(steps), known))
        action = policy({name: values[None] for name, values in observation.items()})[0]
        actions.append(action.item())
        observation, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    return n_convoy, steps, np.array(actions)


def test_the_firmware_acts_as_the_environment_step_by_step(policy, firmware):
    env = ConvoyEnv(scenario_dir=BASES, config=EnvConfig(n_steps=N_STEPS, step_info=False))
    n_steps = n_heard = n_acting = 0
    try:
        for seed in range(N_EPISODES):
            scenario = env.scenario_paths[seed % len(env.scenario_paths)]
            n_convoy, steps, actions = drive(env, policy, seed, scenario)
            found = play(firmware, n_convoy, steps)
            np.testing.assert_allclose(found[:, 0], actions, rtol=0, atol=1e-5)
            assert found[-1, 2:].tolist() == [0, 0]
            n_steps += len(steps)
            n_heard += sum(len(step.messages) for step in steps)
            n_acting += ((actions > 0) & (actions < 1)).sum()
    finally:
        env.close()
    assert (n_steps > 0.5 * N_EPISODES * N_STEPS, n_heard > n_steps, n_acting > 0.1 * n_steps) == (True, True, True)
