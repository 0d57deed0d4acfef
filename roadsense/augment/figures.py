"""Figures and tables of notebook 00: roads, effects of the variations, and coverage of a dataset."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from roadsense.augment.card import dataset_tables, plots
from roadsense.augment.config import GenConfig
from roadsense.augment.draws.ranges import AROUND
from roadsense.augment.preview.effects import list_ranges, measure_effects
from roadsense.pictures.road import plot_scenario
from roadsense.pictures.style import BLUE
from roadsense.pictures.tables import left_aligned
from roadsense.scenarios.dataset import Dataset
from roadsense.scenarios.scenario import find_scenarios
from roadsense.utils.progress import progress_bar
from roadsense.utils.workspace import Folders, find_folders

MEASURED = {
    "n_collisions": "collisions",
    "n_inserted": "vehicles",
    "ego_mean_speed_mps": "ego's mean speed [m/s]",
    "max_spacing_m": "largest spacing in the convoy [m]",
}
"""Heading of each measurement of the gate that is shown."""


def plot_roads(base_dir: Folders, time_s: float = 30.0) -> list[Figure]:
    """Draws each base road below a folder, or folders, with its cars after `time_s` seconds of simulation.

    Raises:
        ScenarioError: if there is no base scenario or one is broken.
    """
    paths = find_scenarios(*find_folders(base_dir))
    with progress_bar(len(paths), "drawing", "road") as bar:
        figures = []
        for path in paths:
            figures.append(plot_scenario(path, time_s))
            bar.update()
        return figures


def plot_effects(config: GenConfig, variations: Sequence[str] = (), base: str | None = None) -> Figure:
    """Simulates a base road at both ends of each variation, with all others at their middle, and draws the effects.

    Args:
        config: settings with the base folder and the ranges.
        variations: fields of `VariationRanges`; by default all with two different ends that change the traffic: who
            has a radio does not.
        base: name of the base road; None for the first.

    Raises:
        ScenarioError: if there is no such base.
    """
    folders = [path.parent for path in find_scenarios(*config.base_dir)]
    folder = next((one for one in folders if base in (one.name, None)), config.base_dir[0] / str(base))
    of_traffic = [name for name in list_ranges(config.ranges) if name not in AROUND]
    return plots.plot_effects(measure_effects(folder, variations or of_traffic, config.ranges))


def plot_coverage(dataset: Dataset) -> Figure:
    """Draws every drawn value of a dataset, train and held-out."""
    return plots.plot_draws(dataset_tables.tabulate_draws(dataset))


def plot_difficulty(dataset: Dataset) -> Figure:
    """Draws the smallest time to collision of one standard driver in every scenario of a dataset."""
    return plots.plot_difficulty(dataset_tables.tabulate_difficulty(dataset))


def count_scenarios(dataset: Dataset) -> Styler:
    """Returns the number of scenarios by split, density word and driver word, a shaded column for each base road."""
    counts = dataset.table().set_index(["split", "density", "driver", "base"])["scenarios"]
    table = counts.unstack("base", fill_value=0)
    most = max(int(table.to_numpy().max(initial=0)), 1)
    return table.style.map(lambda count: f"background: {BLUE}{round(0x60 * count / most):02x}")


def count_refusals(dataset: Dataset) -> Styler:
    """Returns the number of rejected draws by base road and reason; empty if every draw was accepted."""
    return left_aligned(dataset_tables.tabulate_refusals(dataset), ["base", "reason"])


def summarise_proofs(dataset: Dataset) -> Styler:
    """Returns the smallest, median and largest value of the gate's measurements, by base road."""
    table = dataset.proofs().groupby("base")[list(MEASURED)].agg(["min", "median", "max"])
    return table.rename(columns=MEASURED).style.format("{:.3g}")
