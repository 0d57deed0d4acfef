"""The learner's threads: measured where it matters, recorded in the run, and kept by a resumed run."""

import json
import math

import pytest
import torch

from roadsense.training.learning import LEARNER_THREADS, choose_learner_threads, measure_steps
from roadsense.training.train_config import TrainConfig
from tests.small_training import stop_tiny, train_policy


@pytest.mark.parametrize("changes", [{"batch_size": 512}, {"total_timesteps": 10_000}, {"algorithm": "sac"}], ids=str)
def test_small_trainings_learn_on_one_thread_without_a_measurement(changes):
    assert choose_learner_threads(TrainConfig(**changes)) == 1


def test_a_number_that_is_too_slow_is_given_up_early():
    n_calls = 0

    def step():
        nonlocal n_calls
        n_calls += 1

    assert measure_steps(step, 1, limit_s=0.0) == math.inf
    assert n_calls == 2  # one that is not counted, and one


def test_a_measurement_leaves_one_thread_and_takes_no_random_numbers():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert choose_learner_threads(TrainConfig(n_units=8, net_width=8)) >= 1
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.rand(1), expected)


def test_a_resumed_run_learns_on_the_threads_that_it_began_with(tmp_path):
    run = stop_tiny(tmp_path / "run", at_least=128)
    manifest = run.read_manifest()
    assert manifest[LEARNER_THREADS] == 1
    run.manifest_path.write_text(json.dumps({**manifest, LEARNER_THREADS: 2}))
    train_policy(TrainConfig(resume=str(run.folder)))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
