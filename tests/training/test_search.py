"""The search: what it draws, its trials for real and tiny, and how it goes on."""

import json
import threading

import optuna
import pytest

from roadsense.errors import InputError
from roadsense.runs.experiment import read_last_score
from roadsense.runs.run import Run
from roadsense.runs.stopping import StoppedError
from roadsense.training import search as searching
from roadsense.training.search import SearchConfig, search, settle_defaults, suggest
from roadsense.training.search_space import Choice, Range, SearchSpace
from roadsense.training.train_config import TrainConfig
from tests.small_training import BASE_DIR, wait_until

SMALL = SearchSpace(
    rollout_steps=Choice((32,)), batch_size=Choice((32,)), n_epochs=Range(1, 2, whole=True), gamma=None,
    gae_lambda=None, clip_range=None, entropy_weight=None, log_std_init=None,
)  # fmt: skip


def test_what_is_drawn_makes_settings_within_their_ranges():
    study, space = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)), SearchSpace()
    for _ in range(20):
        settings = suggest(study.ask(), space)
        config = TrainConfig(**settings)
        assert 1e-4 <= config.learning_rate <= 2e-3
        assert config.n_epochs in range(3, 11)
        assert config.gamma in (0.98, 0.99, 0.995)


def test_the_first_trial_has_the_defaults_or_what_comes_next_to_them():
    settings = settle_defaults(SearchSpace(rollout_steps=Choice((256, 1024)), n_epochs=None))
    assert settings["learning_rate"] == TrainConfig().learning_rate
    assert settings["entropy_weight"] == 1e-6 > TrainConfig().entropy_weight
    assert settings["rollout_steps"] == 256
    assert settings.keys() == SearchSpace(n_epochs=None).ranges().keys()


@pytest.mark.parametrize("wrong", [(2, 1), (1, 1)], ids=str)
def test_empty_ranges_are_refused(wrong):
    with pytest.raises(InputError, match="low below high"):
        Range(*wrong)
    with pytest.raises(InputError, match="above 0"):
        Range(0, 1, log=True)
    with pytest.raises(InputError, match="none"):
        Choice(())


def test_without_held_out_scenarios_there_is_nothing_to_judge_by(tmp_path):
    with pytest.raises(InputError, match="held-out"):
        search(SearchConfig(tmp_path / "search", dataset_dir=str(BASE_DIR)))
    assert not (tmp_path / "search").exists()


def test_a_trial_of_several_seeds_is_one_experiment_with_one_score(small_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(searching, "LOOK_EVERY_S", 0.05)
    config = SearchConfig(
        tmp_path / "search", str(small_dataset.folder), n_trials=1, total_timesteps=64, n_evaluations=1,
        eval_episodes=2, n_workers=2, space=SMALL, imitation_timesteps=0, seeds=(3, 4),
    )  # fmt: skip
    table = search(config)
    assert "1 trials of 2 seeds each are 2 trainings" in capsys.readouterr().err
    scores = [read_last_score(config.search_dir / "trial_000" / f"seed_{seed}") for seed in (3, 4)]
    assert table["value"].tolist() == [pytest.approx(sum(scores) / 2)]
    assert search(config).equals(table)


def test_a_search_that_was_stopped_goes_on_with_its_trial(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "LOOK_EVERY_S", 0.05)
    config = SearchConfig(
        tmp_path / "search", str(small_dataset.folder), n_trials=2, n_parallel=2, total_timesteps=60_000,
        n_evaluations=1, eval_episodes=2, n_workers=2, space=SMALL, imitation_timesteps=0,
    )  # fmt: skip
    run = Run(config.search_dir / "trial_000")

    def _stop():
        wait_until(lambda: run.folder.is_dir() and any(run.checkpoint_dir.glob("*.pt")))
        (config.search_dir / "stop").touch()

    threading.Thread(target=_stop, daemon=True).start()
    with pytest.raises(StoppedError, match="stop file"):
        search(config)
    assert run.read_state().name == "stopped"
    for trial in sorted(config.search_dir.glob("trial_*")):
        path = trial / "config.json"  # the rest of the way is short
        path.write_text(path.read_text().replace("60000", str(Run(trial).count_timesteps() + 64)))
    table = search(config)
    assert table["state"].tolist() == ["COMPLETE", "COMPLETE"]
    best = json.loads((config.search_dir / "best.json").read_text())
    assert best["score"] == table["value"].max()
    assert set(best["settings"]) == set(SMALL.ranges())
    assert table["params_learning_rate"][0] == TrainConfig().learning_rate
    assert search(config).equals(table)
