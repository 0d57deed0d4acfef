"""Policies that see something else than their car does."""

import numpy as np

from roadsense.envs.observation import ACCELERATION_MPS2, EGO_FIELDS, Observation
from roadsense.episodes.run import NoisyAcceleration


def test_noise_is_on_the_own_acceleration_alone_and_the_same_from_the_same_seed() -> None:
    seen: list[Observation] = []

    def policy(observation: Observation) -> np.ndarray:
        seen.append(observation)
        return np.zeros((1, 1), np.float32)

    shown = Observation(ego=np.ones((1, 4), np.float32), peers=np.ones((1, 8, 6)), peer_mask=np.ones((1, 8)))
    for _ in range(2):
        noisy = NoisyAcceleration(policy, 2.0, seed=5)
        for _ in range(2000):
            noisy(shown)
    egos = np.array([observation["ego"][0] for observation in seen])
    np.testing.assert_array_equal(egos[:2000], egos[2000:])
    place = EGO_FIELDS.index("acceleration_mps2")
    assert abs((egos[:2000, place].std() * ACCELERATION_MPS2) - 2.0) < 0.1
    assert abs(egos[:2000, place].mean() - 1.0) < 0.02
    assert (np.delete(egos, place, axis=1) == 1).all()
    assert (shown["ego"] == 1).all()  # what the caller holds stays as it is
