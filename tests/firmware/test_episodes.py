"""The firmware, built for this machine, decides as the policy does in the environment, step by step."""

from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import observe
from roadsense.utils.compiled import is_compiled
from tests.driving import drive
from tests.firmware.host import VERSION, Step, play

BASES = Path(__file__).parents[2] / "scenarios" / "base"
N_EPISODES, N_STEPS = 20, 200


class Recorder:
    """Stands before `observe` and notes down what it is given, as a board would see it."""

    def __init__(self):
        self.steps, self._known = [], []

    def __call__(self, row, ego, pedals_mps2, channels, step):
        messages = [message for channel in channels for message in channel.messages]
        if step == 0:
            self.steps, self._known = [], [None] * len(messages)
        arrived = []
        for place, (message, known) in enumerate(zip(messages, self._known, strict=True)):
            if message != known:
                sent_step, x_m, y_m, *rest = message
                arrived.append((x_m, y_m, 100 * sent_step, sent_step, *rest, place + 2, VERSION))
        self._known = messages
        self.steps.append(Step(100 * step, (*ego, pedals_mps2[0]), arrived))
        observe(row, ego, pedals_mps2, channels, step)


@pytest.mark.skipif(is_compiled(), reason="compiled code calls `observe` itself: run with ROADSENSE_PURE=1")
def test_the_firmware_acts_as_the_environment_step_by_step(policy, firmware, monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr("roadsense.envs.episode.observe", recorder)
    config = EnvConfig(n_steps=N_STEPS, surroundings="cars_behind", sensors="mixed", step_info=False)
    env = ConvoyEnv(scenario_dir=BASES, config=config)
    n_steps = n_heard = n_acting = 0
    try:
        for seed in range(N_EPISODES):
            scenario = env.scenario_paths[seed % len(env.scenario_paths)]
            actions, _ = drive(env, policy, seed, scenario)
            steps = recorder.steps[: len(actions)]  # the last one is acted on no more
            found = play(firmware, steps)
            np.testing.assert_allclose(found[:, 0], actions, rtol=0, atol=1e-5)
            assert found[-1, 2:].tolist() == [0, 0]
            n_steps += len(steps)
            n_heard += sum(len(step.messages) for step in steps)
            n_acting += ((actions > 0) & (actions < 1)).sum()
    finally:
        env.close()
    assert (n_steps > 0.5 * N_EPISODES * N_STEPS, n_heard > n_steps, n_acting > 0.1 * n_steps) == (True, True, True)
