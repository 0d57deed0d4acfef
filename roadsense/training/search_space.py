"""The settings that are searched, and their ranges, for the local search and for tuning jobs."""

from dataclasses import dataclass, fields

from roadsense.errors import InputError
from roadsense.training.train_config import TrainConfig

Value = int | float | str


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Attributes:
        low: smallest value.
        high: largest value.
        log: whether to draw the logarithm uniformly.
        whole: whether to draw only whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise InputError(f"Expected low below high, and above 0 for log, got {self.low} and {self.high}.")


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Attributes:
        values: values to choose from.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise InputError("Expected values to choose from, got none.")


Searched = Range | Choice | None


@dataclass(frozen=True)
class SearchSpace:
    """A range for each setting that is searched; each is a field of `TrainConfig`, and None leaves it as it is.

    Attributes:
        learning_rate: learning rate of Adam at the start; see `TrainConfig` for all fields.
        schedule: schedule of the learning rate.
        rollout_steps: number of steps of each worker between two updates.
        batch_size: number of samples in a gradient step.
        n_epochs: number of passes over each rollout.
        gamma: discount per step.
        gae_lambda: decay of the advantage estimate.
        clip_range: clip range of PPO.
        entropy_weight: weight of the entropy in the loss.
        log_std_init: logarithm of the action's standard deviation at the start.
        n_units: width of the network over peers.
        net_width: width of the two hidden layers behind it.
        hazard_probability: share of episodes with a hazard.
        stopped_share: share of hazards that are a standing vehicle.
    """

    learning_rate: Searched = Range(1e-4, 2e-3, log=True)
    schedule: Searched = None
    rollout_steps: Searched = Choice((256, 512, 1024))
    batch_size: Searched = Choice((512, 1024, 2048))
    n_epochs: Searched = Range(3, 10, whole=True)
    gamma: Searched = Choice((0.98, 0.99, 0.995))
    gae_lambda: Searched = Range(0.85, 0.97)
    clip_range: Searched = Range(0.1, 0.3)
    entropy_weight: Searched = Range(1e-6, 1e-3, log=True)
    log_std_init: Searched = Range(-3.5, -2.0)
    n_units: Searched = None
    net_width: Searched = None
    hazard_probability: Searched = None
    stopped_share: Searched = None

    def __post_init__(self) -> None:
        known = {field.name for field in fields(TrainConfig)}
        unknown = set(self.ranges()) - known
        if unknown or not self.ranges():
            raise InputError(f"Expected ranges of settings of TrainConfig, got {sorted(unknown) or 'none'}.")

    def ranges(self) -> dict[str, Range | Choice]:
        """Returns the range of each setting that is searched."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value is not None}
