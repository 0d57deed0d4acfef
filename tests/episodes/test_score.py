"""The score: what the episodes show for sure, less what the policy costs."""

import pytest

from roadsense.episodes.score import SCORED, is_unsafe, score_episodes
from tests.evaluation.made_up import made_up


def test_a_collision_or_a_small_time_to_collision_is_unsafe() -> None:
    assert is_unsafe([True, False, False], [3.0, 1.4, 1.5]).tolist() == [True, True, False]


def test_score_is_the_lower_end_of_the_safe_share_less_the_cost() -> None:
    table = made_up("policy", 10, min_ttc_s=[1.0] + [3.0] * 9, needless_speed_loss_mps=2.5)
    score = score_episodes({name: table[name] for name in SCORED})
    assert (score.n_episodes, score.n_unsafe, score.needless_mps2) == (10, 1, 0.05)
    assert score.value == pytest.approx(1 - 0.445016 - 0.05, abs=1e-6)
