"""A chosen draw before it is made: drawn at once, simulated in a process of its own, kept if it pleases."""

from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from roadsense.augment.additions import Addition, add_scenario
from roadsense.augment.bases import Base, read_bases
from roadsense.augment.chosen_draw import ChosenDraw, draw_chosen, fit_to_ranges
from roadsense.augment.convoy_naming import ConvoyNaming
from roadsense.augment.expected_traffic import RoadNetwork, expect_traffic
from roadsense.augment.offers import add_offers
from roadsense.augment.preview_plots import DrawnDraw, PreviewPicture
from roadsense.augment.ranges import VariationRanges
from roadsense.augment.records import ScenarioRecord
from roadsense.augment.scenario_files import CONFIG_NAME, write_scenario
from roadsense.augment.variations import Variation
from roadsense.dataset import Dataset
from roadsense.envs.episode import EnvConfig
from roadsense.errors import InputError, SimulationError
from roadsense.road_drawing import RoadMap
from roadsense.scratch import scratch_folder
from roadsense.trajectory import Trajectory
from roadsense.worker_processes import start_pool

STEPS_PER_S = 10
MAX_DURATION_S = 60


@dataclass(frozen=True)
class PreviewConfig:
    """What draws are previewed of.

    Attributes:
        base_dir: folder of base scenarios.
        dataset_dir: the dataset that draws may be added to; it need not be there yet.
        ranges: of the values.
        ego: id of the ego in the bases, where it isn't V001; with `convoy`.
        convoy: ids of the cars ahead of it, going forward.
    """

    base_dir: Path = Path("scenarios/base")
    dataset_dir: Path = Path("scenarios/dataset_v1")
    ranges: VariationRanges = field(default_factory=VariationRanges)
    ego: str | None = None
    convoy: tuple[str, ...] = ()


class DrawPreview:
    """Draws, simulates and adds chosen draws; what a base needs for it is read once.

    Args:
        config: settings.

    Raises:
        ScenarioError: if there is no base scenario or one is broken.
    """

    def __init__(self, config: PreviewConfig):
        self.config = config
        naming = ConvoyNaming(config.ego, config.convoy) if config.ego else None
        bases = read_bases(Path(config.base_dir), config.ranges, naming)
        self.bases: dict[str, Base] = {base.name: add_offers(base, config.ranges) for base in bases}
        self._pool: ProcessPoolExecutor | None = None
        self._picture = lru_cache(maxsize=8)(self._make_picture)
        self._network = lru_cache(maxsize=8)(self._read_network)

    def fit(self, base: str, **values: Any) -> ChosenDraw:
        """Returns the choice nearest to these values that the base and the ranges allow."""
        return fit_to_ranges(values, self._base(base).traffic, self.config.ranges)

    def draw(self, base: str, chosen: ChosenDraw) -> Variation:
        """Returns the draw that a choice stands for.

        Raises:
            InputError: if there is no such base, or a value lies outside its range.
        """
        return draw_chosen(chosen, self._base(base).traffic, self.config.ranges)

    def paint(self, base: str, chosen: ChosenDraw, after_s: float) -> bytes:
        """Returns the picture of a draw, a PNG, some seconds after its convoy's departure; takes about 0.1 s."""
        return self._picture(base).paint(self._see(base, chosen, after_s))

    def plot(self, base: str, chosen: ChosenDraw, after_s: float) -> Figure:
        """Returns the same picture as a figure of its own."""
        return self._make_picture(base).show(self._see(base, chosen, after_s))

    def start_simulation(self, base: str, chosen: ChosenDraw, duration_s: int = 30) -> Future[Trajectory]:
        """Simulates a draw in a worker process, with its radio and without assist or hazard; a crash stays there.

        Raises:
            InputError: if there is no such base, a value lies outside its range, or the duration is none.
        """
        if not 1 <= duration_s <= MAX_DURATION_S:
            raise InputError(f"duration_s: expected 1 to {MAX_DURATION_S}, got {duration_s}.")
        work = self._base(base), self.draw(base, chosen), chosen.seed, duration_s
        try:
            return self._workers().submit(_simulate, *work)
        except BrokenProcessPool:  # the last simulation took its process with it
            self.close()
            return self._workers().submit(_simulate, *work)

    def simulate(self, base: str, chosen: ChosenDraw, duration_s: int = 30) -> Trajectory:
        """Simulates a draw and returns the episode.

        Raises:
            InputError: as `start_simulation`.
            SimulationError: if SUMO refuses the draw, fails in it or crashes.
        """
        return take_result(self.start_simulation(base, chosen, duration_s))

    def add(self, base: str, chosen: ChosenDraw, split: str) -> tuple[Dataset, ScenarioRecord]:
        """Adds a draw to the dataset with its values; see `add_scenario`."""
        return add_scenario(self.config.dataset_dir, self.config.base_dir, Addition(base, chosen, split))

    def close(self) -> None:
        """Ends the worker process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = start_pool(1, [__name__])
        return self._pool

    def _base(self, name: str) -> Base:
        if name not in self.bases:
            raise InputError(f"Expected a base of {', '.join(self.bases)}, got {name!r}.")
        return self.bases[name]

    def _see(self, base: str, chosen: ChosenDraw, after_s: float) -> DrawnDraw:
        variation = self.draw(base, chosen)
        traffic = expect_traffic(self.bases[base], self._network(base), variation, after_s)
        return DrawnDraw(base, variation, traffic, after_s)

    def _read_network(self, base: str) -> RoadNetwork:
        return RoadNetwork(self._base(base).scenario.network_path)

    def _make_picture(self, base: str) -> PreviewPicture:
        road = RoadMap.read(self._base(base).scenario.network_path)
        return PreviewPicture(self.bases[base], road, self.config.ranges)


def take_result(future: Future[Trajectory]) -> Trajectory:
    """Returns the episode of a simulation once it is there.

    Raises:
        SimulationError: if SUMO refused the draw, failed in it or crashed.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise SimulationError("The simulation's process died; notebook and kernel are unharmed. Try again.") from error


def _simulate(base: Base, variation: Variation, seed: int, duration_s: int) -> Trajectory:
    from roadsense.episodes import Plan
    from roadsense.policies.controllers import BASELINES
    from roadsense.trajectory_recording import record_trajectory

    with scratch_folder("roadsense_preview_") as outer:
        folder = outer / base.name
        write_scenario(base, variation, folder)
        plan = Plan("unassisted", folder / CONFIG_NAME, seed, hazard=False)
        config = EnvConfig(n_steps=duration_s * STEPS_PER_S, v2v="scenario", v2v_randomised=False)
        words = f"A draw of {base.name}: {variation.density_word} traffic, {variation.driver_word} drivers, no hazard"
        return record_trajectory(plan, BASELINES["unassisted"], config, words)
