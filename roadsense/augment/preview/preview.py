"""Preview of a chosen draw: shows it at once, simulates it in a worker process, or adds it to the dataset."""

from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from typing import Any

from matplotlib.figure import Figure

from roadsense.augment.bases.base import Base
from roadsense.augment.config import GenConfig
from roadsense.augment.draws.chosen_draw import ChosenDraw, draw_chosen, fit_to_ranges
from roadsense.augment.draws.traffic import convoy_sizes
from roadsense.augment.draws.variations import Variation
from roadsense.augment.preview.expected_traffic import RoadNetwork, expect_traffic
from roadsense.augment.preview.preview_plots import DrawnDraw, PreviewPicture
from roadsense.augment.preview.simulate_draw import simulate_draw
from roadsense.augment.validation.additions import Addition, add_scenario
from roadsense.episodes.record import take_trajectory
from roadsense.episodes.trajectory import Trajectory
from roadsense.errors import InputError
from roadsense.pictures.road import RoadMap
from roadsense.scenarios.dataset import Dataset
from roadsense.scenarios.records import ScenarioRecord
from roadsense.utils.worker_processes import ignore_interrupts, start_pool

MAX_DURATION_S = 60


class DrawPreview:
    """Shows, simulates and adds chosen draws; each base is read once.

    Args:
        config: settings of the dataset that draws are previewed for and added to.

    Raises:
        ScenarioError: if there is no base scenario or one is broken.
    """

    def __init__(self, config: GenConfig):
        self.config = config
        self.bases: dict[str, Base] = {base.name: base for base in config.read_bases()}
        self._pool: ProcessPoolExecutor | None = None
        self._picture = lru_cache(maxsize=8)(self._make_picture)
        self._network = lru_cache(maxsize=8)(self._read_network)

    def fit(self, base: str, **values: Any) -> ChosenDraw:
        """Returns the choice nearest to these values that the base and the ranges allow."""
        own = self._base(base)
        return fit_to_ranges(values, own.traffic, self.config.ranges_of(own))

    def bounds(self, base: str, convoy_size: int) -> dict[str, tuple[float, float]]:
        """Returns the smallest and largest value that a base allows, by name; equal if it allows only one value.

        Args:
            base: name of the base.
            convoy_size: number of cars in the convoy; it limits their distances.
        """
        traffic, ranges = self._base(base).traffic, self.config.ranges
        found = {"heavy_share": ranges.heavy_share if traffic.supports("heavy_share") else (1.0, 1.0)}
        if not traffic.most_spacing:
            return {**found, "convoy_size": (convoy_size, convoy_size), "convoy_spacing": (1.0, 1.0)}
        sizes = convoy_sizes(traffic, ranges)
        most = traffic.most_spacing[min(sizes, key=lambda size: abs(size - convoy_size))] or 1.0
        low, high = ranges.convoy_spacing
        return {
            **found,
            "convoy_size": (sizes[0], sizes[-1]),
            "convoy_spacing": (min(low, most), max(min(high, most), min(low, most))),
        }

    def draw(self, base: str, chosen: ChosenDraw) -> Variation:
        """Returns the draw with the chosen levels.

        Raises:
            InputError: if there is no such base, or a value is outside its range.
        """
        own = self._base(base)
        return draw_chosen(chosen, own.traffic, self.config.ranges_of(own))

    def paint(self, base: str, chosen: ChosenDraw, after_s: float) -> bytes:
        """Returns the picture of a draw, a PNG, some seconds after its convoy's departure; takes about 0.1 s."""
        return self._picture(base).paint(self._see(base, chosen, after_s))

    def plot(self, base: str, chosen: ChosenDraw, after_s: float) -> Figure:
        """Returns the same picture as a figure of its own."""
        return self._make_picture(base).show(self._see(base, chosen, after_s))

    def start_simulation(self, base: str, chosen: ChosenDraw, duration_s: int = 30) -> Future[Trajectory]:
        """Simulates a draw in a worker process, with its radio and without assist or hazard; a crash stays there.

        Raises:
            InputError: if there is no such base, a value is outside its range, or the duration is not valid.
        """
        if not 1 <= duration_s <= MAX_DURATION_S:
            raise InputError(f"duration_s: expected 1 to {MAX_DURATION_S}, got {duration_s}.")
        work = self._base(base), self.draw(base, chosen), chosen.seed, duration_s
        try:
            return self._workers().submit(simulate_draw, *work)
        except BrokenProcessPool:  # the last simulation crashed its process
            self.close()
            return self._workers().submit(simulate_draw, *work)

    def simulate(self, base: str, chosen: ChosenDraw, duration_s: int = 30) -> Trajectory:
        """Simulates a draw and returns the episode.

        Raises:
            InputError: as `start_simulation`.
            SimulationError: if SUMO refuses the draw, fails in it or crashes.
        """
        return take_trajectory(self.start_simulation(base, chosen, duration_s))

    def add(self, base: str, chosen: ChosenDraw, split: str) -> tuple[Dataset, ScenarioRecord]:
        """Adds a draw to the dataset with its values; see `add_scenario`."""
        return add_scenario(self.config.output_dir, self.config.base_dir, Addition(base, chosen, split))

    def close(self) -> None:
        """Ends the worker process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = start_pool(1, [simulate_draw.__module__], ignore_interrupts)
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
