"""The settings of a search: many trainings on SageMaker, each with other settings."""

from dataclasses import dataclass

from roadsense.errors import InputError
from roadsense.runs.experiment import MEAN_SCORE, WORST_SCORE
from roadsense.utils.bounds import check_bounds

MOST_TRIALS = 50
STRATEGIES = ("Bayesian", "Random", "Hyperband")
OBJECTIVE = "eval_score"
OVER_SEEDS = (MEAN_SCORE, WORST_SCORE)
"""Objectives of trials with several seeds: one value over all seeds."""


@dataclass(frozen=True)
class TuningConfig:
    """A search for settings by many trainings on SageMaker.

    Attributes:
        n_trials: number of settings to try, 1 to 50; 1 means a single training, no search.
        n_parallel: number of trials that run at the same time, 1 to `n_trials`.
        strategy: `Bayesian`, `Random` or `Hyperband`.
        objective: figure to maximise, one of those in a job's log; by default the score on held-out scenarios, with
            several seeds its mean over the seeds (`experiment_score`).
        seeds: seeds of each trial; it trains with all of them and gets one score over them. By default one seed. Time
            and cost of a trial grow with their number.
        early_stopping: whether SageMaker stops trials that fall behind; `Hyperband` has its own rule.
        warm_start_from: name of an earlier search whose trials this search uses.
        search_seed: seed of the search's random draws, at least 1: the `sagemaker` package drops a 0. None lets
            SageMaker choose.
    """

    n_trials: int = 1
    n_parallel: int = 1
    strategy: str = "Bayesian"
    objective: str | None = None
    seeds: tuple[int, ...] = ()
    early_stopping: bool = True
    warm_start_from: str | None = None
    search_seed: int | None = None

    def __post_init__(self) -> None:
        check_bounds(self)
        if not 1 <= self.n_trials <= MOST_TRIALS:
            raise InputError(f"Expected n_trials of 1 to {MOST_TRIALS}, got {self.n_trials}.")
        if not 1 <= self.n_parallel <= self.n_trials:
            raise InputError(f"Expected n_parallel of 1 to n_trials ({self.n_trials}), got {self.n_parallel}.")
        if self.strategy not in STRATEGIES:
            raise InputError(f"Expected strategy of {', '.join(STRATEGIES)}, got {self.strategy!r}.")
        if self.search_seed is not None and self.search_seed < 1:
            raise InputError(f"Expected search_seed of at least 1, got {self.search_seed}.")
        if len(set(self.seeds)) < len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise InputError(f"Expected seeds that differ, each of at least 0, got {self.seeds}.")

    @property
    def is_search(self) -> bool:
        """Whether there is more than one trial."""
        return self.n_trials > 1

    @property
    def figure(self) -> str:
        """The figure to maximise.

        Raises:
            InputError: if seeds are given and the figure is not one over all seeds, or the other way round.
        """
        chosen = self.objective or (MEAN_SCORE if self.seeds else OBJECTIVE)
        if bool(self.seeds) != (chosen in OVER_SEEDS):
            kind = f"one over all seeds ({', '.join(OVER_SEEDS)})" if self.seeds else "that of a single training"
            raise InputError(f"Expected objective to be {kind} for seeds {self.seeds}, got {chosen!r}.")
        return chosen

    @property
    def n_trainings(self) -> int:
        """Number of trainings in all trials, each seed counted."""
        return self.n_trials * max(len(self.seeds), 1)
