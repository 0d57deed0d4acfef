"""Settings of an evaluation."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import tyro

from roadsense.envs.config import EnvConfig
from roadsense.envs.driver_profile import POPULATIONS
from roadsense.errors import InputError
from roadsense.policies.source import refuse_other_forms
from roadsense.utils.bounds import MAX_SEED, MAX_WORKERS, bounded, check_bounds
from roadsense.utils.workspace import resolve


@dataclass(frozen=True)
class EvalConfig:
    """Settings of an evaluation; the command line and a notebook's parameters are these fields.

    Attributes:
        run_dir: folder of the run whose policy is judged; the evaluation is written into it. Also any other policy,
            see `policy`; empty for the newest trained run.
        dataset_dir: folder of scenarios; every `.sumocfg` below it is driven.
        episodes_per_scenario: number of episodes of each scenario, each with its own seed.
        calm_share: share of episodes without a hazard, rounded, 0 to 1; they measure false braking.
        n_steps: number of steps after which an episode ends.
        v2v: radio preset; each episode draws its own radio around it.
        surroundings: who else has a radio and what is relayed, a name in `roadsense.envs.surroundings.SURROUNDINGS`; or
            `scenario`, as in trainings: what each scenario asks for.
        penetration: least share of the other traffic that carries a radio, 0 to 1, whatever the surroundings.
        sensors: what the cars measure with, a name in `roadsense.envs.sensors.SENSORS`, or a `.json` file; or
            `scenario`, likewise.
        drivers: population of the ego's driver: `tailgaters`, as in trainings, or `mixed`, attentive to tailgating.
        seed: seed of all random draws, 0 or more.
        workers: number of worker processes, one SUMO each; 0: one for each core. It does not change the results.
        sumo_checks: whether SUMO's safe-speed check protects the ego; if so, the figures say little about the policy.
        policy: policy to judge instead of the run's: a run folder, a `.zip` of Stable-Baselines3, a `.tflite`,
            `module:name`, `default` or a rule's name, see `load_policy`. Without a run the evaluation is written into
            `runs/policies`.
        beside: other policies, named as `policy` is, to compare with on the same episodes, for example the same
            training without augmentation. Each is called by its file or run; `NAME=POLICY` gives it another name.
        checks_column: whether to drive every episode again with SUMO's checks on, for a second column.
        split_episodes: number of episodes on each other split of the dataset, and on the roads of `scenarios/unseen`,
            which no training has seen; 0: none.
        curve_episodes: number of episodes at each loss and latency of the radio, for the degradation curves; 0: none.
        surroundings_episodes: number of episodes of each policy in each other condition: surroundings, decoys, sensors,
            radios (`roadsense.evaluation.conditions`); 0: none.
        gallery_size: number of worst episodes to record.
        claimed_rate: claimed upper limit of the policy's collision rate, above 0 and below 1.
        trust: whether code inside policy files may run, if a policy cannot be opened without; prints their SHA-256.

    Examples:
        >>> import roadsense as rs
        >>> config = rs.EvalConfig("runs/first", "scenarios/small/eval", v2v="scenario")
        >>> config.episodes_per_scenario
        15
    """

    FIRST: ClassVar[str] = "run_dir"

    run_dir: str = ""
    dataset_dir: str = "scenarios/dataset_v1/eval"
    episodes_per_scenario: int = bounded(15, 1, 1_000_000)
    calm_share: float = bounded(0.2, 0.0, 1.0)
    n_steps: Annotated[int, tyro.conf.arg(name="episode_steps")] = bounded(500, 1, 1_000_000)
    v2v: str = "esp_now"
    surroundings: str = "scenario"
    penetration: float = bounded(0.0, 0.0, 1.0)
    sensors: str = "scenario"
    drivers: str = "tailgaters"
    seed: int = bounded(0, 0, MAX_SEED)
    workers: int = bounded(0, 0, MAX_WORKERS)
    sumo_checks: bool = False
    policy: str | None = None
    beside: tuple[str, ...] = ()
    checks_column: bool = True
    split_episodes: int = bounded(100, 0, 1_000_000)
    curve_episodes: int = bounded(40, 0, 1_000_000)
    surroundings_episodes: int = bounded(40, 0, 1_000_000)
    gallery_size: int = bounded(6, 0, 1000)
    claimed_rate: float = bounded(0.01, 1e-9, 1 - 1e-9)
    trust: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.drivers not in POPULATIONS:
            raise InputError(f"drivers: expected one of {sorted(POPULATIONS)}, got {self.drivers!r}.")
        if self.policy is not None:
            refuse_other_forms(self.policy)
        if self.run_dir and resolve(self.run_dir).exists():
            object.__setattr__(self, "run_dir", str(resolve(self.run_dir)))
        self.env_config()

    def env_config(self) -> EnvConfig:
        """Returns the environment's settings."""
        return EnvConfig(
            n_steps=self.n_steps,
            v2v=self.v2v,
            surroundings=self.surroundings,
            penetration=self.penetration,
            sensors=self.sensors,
            drivers=POPULATIONS[self.drivers],
            sumo_checks=self.sumo_checks,
            step_info=False,
            watch_behind=True,
        )

    def describe_conditions(self) -> str:
        """Returns the conditions that change the results, in one or two sentences."""
        drivers = POPULATIONS[self.drivers]
        closeness = "He follows closer than he reacts: a tailgater." if self.drivers == "tailgaters" else ""
        return (
            f"Radio {self.v2v}; surroundings {self.surroundings}, at least {self.penetration:.0%} of the other traffic "
            f"with a radio; sensors {self.sensors}; SUMO's checks "
            f"{'on' if self.sumo_checks else 'off'}; {self.n_steps} steps an episode; {self.calm_share:.0%} of the "
            f"episodes without a hazard. The driver keeps {drivers.time_headway_min_s:g} to "
            f"{drivers.time_headway_max_s:g} s and reacts in {drivers.reaction_time_min_s:g} to "
            f"{drivers.reaction_time_max_s:g} s. {closeness}".strip()
        )
