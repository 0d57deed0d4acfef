"""Samplers: what PLR makes of errors, episode by episode."""

import numpy as np
import pytest

from roadsense.errors import InputError
from roadsense.training.samplers import PlrSampler, UniformSampler

NAMES = ["a", "b", "c", "d"]


def errors(*columns):
    return np.array(columns, dtype=np.float32).T


def test_uniform_has_no_weights():
    assert UniformSampler().weights() is None


def test_all_are_alike_before_anything_is_known_and_weights_are_probabilities():
    sampler = PlrSampler(NAMES, 1)
    assert sampler.weights().tolist() == [0.25] * 4
    sampler.update(errors([1, 1]), [(1, 0, "a")])
    weights = sampler.weights()
    assert weights.sum() == pytest.approx(1)
    assert weights[1:].tolist() == pytest.approx([0.25] * 3)


def test_what_is_learned_worst_comes_most_often():
    sampler = PlrSampler(NAMES, 2)
    sampler.update(errors([1, 1, -5, 5], [0.1, 0.1, 2, 2]), [(1, 0, "a"), (1, 1, "b"), (3, 0, "c"), (3, 1, "d")])
    weights = sampler.weights()
    assert weights[2] > 0.5
    assert weights.argmin() == 3  # the latest; the older ones come again for their age


def test_an_episode_over_two_rollouts_has_one_score():
    parted, whole = PlrSampler(NAMES, 1), PlrSampler(NAMES, 1)
    parted.update(errors([1, 2]), [])
    parted.update(errors([6, 9]), [(0, 0, "a")])
    whole.update(errors([1, 2, 6, 9]), [(2, 0, "a")])
    assert parted.state()["scores"][0] == whole.state()["scores"][0] == 3.0
    assert parted.state()["sums"] == whole.state()["sums"] == [9.0]


def test_an_episode_that_was_cut_off_is_forgotten():
    sampler = PlrSampler(NAMES, 1)
    sampler.update(errors([100, 100]), [])
    sampler.begin()
    sampler.update(errors([1, 1]), [(1, 0, "a")])
    assert sampler.state()["scores"][0] == 1.0


def test_an_episode_that_broke_off_counts_for_nothing():
    sampler = PlrSampler(NAMES, 1)
    sampler.update(errors([100, 1, 1]), [(0, 0, ""), (2, 0, "a")])
    assert sampler.state()["scores"][0] == 1.0
    assert sampler.state()["n_episodes"] == 1


def test_what_was_not_seen_for_long_comes_again():
    sampler = PlrSampler(NAMES, 1)
    sampler.update(errors([1, 1, 1, 1]), [(row, 0, name) for row, name in enumerate(NAMES)])
    before = sampler.weights()[3]
    sampler.update(errors([1] * 20), [(row, 0, NAMES[row % 3]) for row in range(20)])
    assert sampler.weights()[3] > before


def test_its_state_is_all_it_knows():
    sampler, other = PlrSampler(NAMES, 2), PlrSampler(NAMES, 2)
    sampler.update(errors([1, 2, 3], [4, 5, 6]), [(1, 0, "b"), (2, 1, "c")])
    other.restore(sampler.state())
    for each in (sampler, other):
        each.update(errors([1, 2], [3, 4]), [(0, 0, "a")])
    assert other.weights().tolist() == sampler.weights().tolist()


def test_scenarios_of_the_same_name_are_refused():
    with pytest.raises(InputError, match="doubles"):
        PlrSampler(["a", "a"], 1)
