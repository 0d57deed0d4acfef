"""Settings of an evaluation."""

from dataclasses import dataclass
from pathlib import Path

from roadsense.envs.config import EnvConfig
from roadsense.errors import InputError
from roadsense.policies.trained import TFLITE_SUFFIX
from roadsense.utils.bounds import MAX_SEED, MAX_WORKERS, bounded, check_bounds
from roadsense.utils.workspace import resolve


@dataclass(frozen=True)
class EvalConfig:
    """Settings of an evaluation; the command line and a notebook's parameters are these fields.

    Attributes:
        run_dir: the run whose policy is judged, and in which the evaluation is written.
        dataset_dir: folder; every `.sumocfg` below it is driven.
        episodes_per_scenario: episodes of each scenario, each with a seed of its own.
        calm_share: share of them, rounded, in which no car is made to brake hard; they measure false braking.
        n_steps: steps until an episode is cut.
        v2v: radio preset; each episode draws its own radio around it.
        seed: of everything random.
        workers: worker processes, one SUMO each; 0 for one a core. The results don't depend on it.
        sumo_checks: whether SUMO's safe-speed check protects the ego; then the figures say little of the policy.
        policy: a `.tflite` to be judged instead of the run's model.
        beside: other runs, or `.tflite` files, that drive the same episodes to be compared with: the same training
            without augmentation, say. One is called by its name; `NAME=PATH` gives it another.
        checks_column: whether every episode is driven again with SUMO's checks on, for a second column.
        split_episodes: episodes on each other split of the dataset, to see what is lost on roads it was not trained
            on; 0 for none.
        curve_episodes: episodes at each loss and latency of the radio, for the degradation curves; 0 for none.
        gallery_size: how many of the worst episodes are recorded.
        claimed_rate: the collision rate below which the policy is wanted to be, above 0 and below 1.
        trust: whether the code in policies that cannot be opened without may run; their SHA-256 are printed.

    Example:
        >>> import roadsense as rs
        >>> config = rs.EvalConfig("runs/first", "scenarios/small/eval", v2v="scenario")
        >>> config.episodes_per_scenario
        15
    """

    run_dir: str
    dataset_dir: str = "scenarios/dataset_v1/eval"
    episodes_per_scenario: int = bounded(15, 1, 1_000_000)
    calm_share: float = bounded(0.2, 0.0, 1.0)
    n_steps: int = bounded(500, 1, 1_000_000)
    v2v: str = "esp_now"
    seed: int = bounded(0, 0, MAX_SEED)
    workers: int = bounded(0, 0, MAX_WORKERS)
    sumo_checks: bool = False
    policy: str | None = None
    beside: tuple[str, ...] = ()
    checks_column: bool = True
    split_episodes: int = bounded(100, 0, 1_000_000)
    curve_episodes: int = bounded(40, 0, 1_000_000)
    gallery_size: int = bounded(6, 0, 1000)
    claimed_rate: float = bounded(0.01, 1e-9, 1 - 1e-9)
    trust: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.policy is not None and Path(self.policy).suffix != TFLITE_SUFFIX:
            raise InputError(f"policy: expected a {TFLITE_SUFFIX} file, got {self.policy!r}.")
        for name in ("run_dir", "policy"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, str(resolve(getattr(self, name))))
        object.__setattr__(self, "beside", tuple(self.beside))  # a list, from a notebook or a file
        self.env_config()

    def env_config(self) -> EnvConfig:
        """Returns the environment's settings."""
        return EnvConfig(
            n_steps=self.n_steps, v2v=self.v2v, sumo_checks=self.sumo_checks, step_info=False, watch_behind=True
        )
