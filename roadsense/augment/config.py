"""Settings for the generation of a dataset."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import tyro

from roadsense.augment.bases.base import Base, read_bases
from roadsense.augment.bases.convoy_naming import ConvoyNaming
from roadsense.augment.bases.demand import MAX_ADDED_VPH
from roadsense.augment.draws.ranges import VariationRanges, read_ranges
from roadsense.augment.edits.network_files import hash_road
from roadsense.errors import DatasetError, InputError
from roadsense.scenarios.dataset import MANIFEST_NAME, Dataset
from roadsense.utils.bounds import check_bounds
from roadsense.utils.files import refuse_existing
from roadsense.utils.workspace import find_folders, resolve

Kind = TypeVar("Kind")
_NONE = object()
WIDE_FACTOR = 1.5
"""Factor on the widths of all ranges in the split eval_wide."""

CHOSEN = "chosen"
"""Name of the setting that lists scenarios added by hand: split, base and values, by scenario name."""

_LEAST = {"seed": 0, "n_train": 0, "n_eval": 1, "n_eval_wide": 0, "workers": 0, "max_refusals_per_base": 0}
_NO_SETTINGS = ("base_dir", "output_dir", "workers", "ranges_file")
_LEFT_OUT_AT = {"hold_lane": True, "add_traffic": 0.0, "base_ranges": {}}
"""Settings that older datasets don't have; a setting with the value given here is left out."""


@dataclass(frozen=True)
class GenConfig:
    """Which dataset to make. The same seed and base files give the same dataset, byte for byte.

    Examples:
        >>> import roadsense as rs
        >>> config = rs.GenConfig(output_dir="scenarios/large", n_train=800, n_eval=200)
        >>> config.ranges.sigma
        (0.0, 0.5)
    """

    base_dir: tuple[Path, ...] = (Path("scenarios/base"), Path("scenarios/bends"))
    """Folders of base scenarios: every folder with a .sumocfg below one of them is one."""
    output_dir: Path = Path("scenarios/dataset_v1")
    """Output folder; must be new or empty. An interrupted generation resumes when it is started again."""
    seed: int = 0
    """Seed of all random draws, 0 or more."""
    n_train: int = 80
    """Number of train scenarios, shared evenly among the bases; 0 for a dataset only for evaluation."""
    n_eval: int = 20
    """Number of held-out scenarios, shared evenly among the bases."""
    n_eval_wide: int = 0
    """Number of additional held-out scenarios in eval_wide, drawn from ranges 1.5 times as wide."""
    hold_out_base: str | None = None
    """Name of the base of all held-out scenarios; it gives no train scenarios. Bases whose networks have the same lanes
    are held out with it."""
    ego: str | None = None
    """Id of the ego in the bases if it isn't V001; needs `convoy`."""
    convoy: tuple[str, ...] = ()
    """Ids of the cars ahead of the ego, going forward."""
    workers: int = 0
    """Number of scenarios simulated at the same time; 0: one for each core. It does not change the dataset."""
    max_refusals_per_base: int = 50
    """Number of draws of one base that the gate may reject before the generation fails."""
    min_split_distance: float = 0.15
    """Smallest allowed distance of a held-out draw to the train draws of its base: root mean square over the varied
    levels, each counted once, ranges scaled to 1."""
    ranges_file: Path | None = None
    """TOML file with ranges, by the names of the options below; an option given here wins over the file. A table
    [NAME] holds ranges for the base of that name."""
    hold_lane: bool = True
    """Whether the convoy's cars change lane only where their route needs it, so that they don't overtake each other."""
    add_traffic: float = 0.0
    """Traffic to add to each base, in vehicles per hour, on all routes through its network; 0 to 10000."""
    base_ranges: tyro.conf.Suppress[tyro.conf.Fixed[Mapping[str, VariationRanges]]] = field(default_factory=dict)
    """Ranges of single bases, by base name; from the tables of `ranges_file`."""
    ranges: tyro.conf.OmitArgPrefixes[VariationRanges] = field(default_factory=VariationRanges)
    """What is varied, and how far."""

    def __post_init__(self) -> None:
        """Refuses settings that cannot give a dataset, and reads the ranges file.

        Raises:
            InputError: if a setting is wrong; it names the setting, what was expected and what was given.
        """
        check_bounds(self)
        object.__setattr__(self, "base_dir", find_folders(self.base_dir))
        object.__setattr__(self, "output_dir", resolve(self.output_dir))
        if not self.base_dir:
            raise InputError("base_dir: expected a folder of base scenarios or several, got none.")
        for name, lowest in _LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < lowest:
                raise InputError(f"{name}: expected a whole number of {lowest} or more, got {value!r}.")
        if not 0.0 <= self.min_split_distance < 0.4:
            raise InputError(
                f"min_split_distance: expected 0 to 0.4 (random draws are about 0.4 apart), "
                f"got {self.min_split_distance}."
            )
        if bool(self.ego) != bool(self.convoy):
            raise InputError(f"ego and convoy: expected both or none, got {self.ego!r} and {self.convoy}.")
        if self.ranges_file is not None:
            object.__setattr__(self, "ranges_file", resolve(self.ranges_file))
            ranges, of_bases = read_ranges(self.ranges_file, self.ranges)
            object.__setattr__(self, "ranges", ranges)
            object.__setattr__(self, "base_ranges", of_bases)
        if not 0.0 <= self.add_traffic <= MAX_ADDED_VPH:
            raise InputError(f"add_traffic: expected 0 to {MAX_ADDED_VPH:g} vehicles an hour, got {self.add_traffic}.")

    @classmethod
    def from_settings(
        cls, settings: Mapping[str, Any], base_dir: Sequence[Path], output_dir: Path, workers: int = 0
    ) -> "GenConfig":
        """Returns the config of a dataset with these settings, without the scenarios added by hand.

        Raises:
            DatasetError: if another version made the dataset, with settings that this one does not have.
        """
        own = {name: value for name, value in settings.items() if name != CHOSEN}
        own["ranges"] = build_known(VariationRanges, own.get("ranges", {}))
        of_bases = own.get("base_ranges", {}).items()
        own["base_ranges"] = {name: build_known(VariationRanges, ranges) for name, ranges in of_bases}
        places = {"base_dir": tuple(base_dir), "output_dir": output_dir, "workers": workers}
        return build_known(cls, own | places)

    @classmethod
    def read_default(cls, arguments: Sequence[str] | None) -> "GenConfig":
        """Returns the config with the ranges of the file named on the command line; other options override it."""
        first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        first.add_argument("--ranges_file", "--ranges-file", type=Path)
        return cls(ranges_file=first.parse_known_args(arguments)[0].ranges_file)

    def open_existing(self) -> Dataset | None:
        """Opens the dataset in `output_dir` if it was made with these settings; None if there is none yet.

        Raises:
            DatasetError: if it was made with other settings (it names them), or if the folder holds something else.
        """
        if not (self.output_dir / MANIFEST_NAME).is_file():
            refuse_existing(self.output_dir, "the dataset", DatasetError)
            return None
        dataset = Dataset.open(self.output_dir)
        theirs, mine = (_flatten(values) for values in (dataset.settings, json.loads(json.dumps(self.settings))))
        differing = [f"{name} {theirs.get(name)}, not {mine[name]}" for name in mine if theirs.get(name) != mine[name]]
        if differing:
            raise DatasetError(f"{self.output_dir} was made with {', '.join(differing)}. Name another output_dir.")
        return dataset

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that decide the dataset, besides the base files."""
        settings = {name: value for name, value in asdict(self).items() if name not in _NO_SETTINGS}
        return {name: value for name, value in settings.items() if _LEFT_OUT_AT.get(name, _NONE) != value}

    @property
    def naming(self) -> ConvoyNaming | None:
        """The convoy's cars in the bases; None: V001, V002, ..."""
        return ConvoyNaming(self.ego, self.convoy) if self.ego else None

    def read_bases(self) -> list[Base]:
        """Returns the base scenarios, read and checked; see `read_bases`.

        Raises:
            ScenarioError: if there is none, or some cannot be varied.
            InputError: if a setting names a base that does not exist.
        """
        bases = read_bases(self.base_dir, self.ranges, self.naming, self.hold_lane, self.add_traffic)
        names = [base.name for base in bases]
        if self.hold_out_base is not None and len(self.held_out(bases)) not in range(1, len(bases)):
            raise InputError(
                f"hold_out_base: expected one of several bases, on two roads or more, {names}; "
                f"got {self.hold_out_base!r}."
            )
        unknown = sorted(self.base_ranges.keys() - set(names))
        if unknown:
            raise InputError(f"ranges_file: expected tables of bases, {names}; got {unknown}. Correct the names.")
        return bases

    def held_out(self, bases: Sequence[Base]) -> frozenset[str]:
        """Returns the names of the bases that give only held-out scenarios: `hold_out_base` and those on its road."""
        roads = {base.name: hash_road(base.scenario.network_path) for base in bases} if self.hold_out_base else {}
        road = roads.get(self.hold_out_base or "")
        return frozenset(name for name in roads if roads[name] == road)

    def ranges_of(self, base: Base, split: str = "train") -> VariationRanges:
        """Returns the ranges of a base's draws for a split, within the base's limits."""
        ranges = self.base_ranges.get(base.name, self.ranges)
        return base.narrow(ranges.widened(WIDE_FACTOR) if split == "eval_wide" else ranges)


def build_known(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Returns a dataclass with values from a manifest.

    Raises:
        DatasetError: if it has no field of some name, as in a dataset that another version made.
    """
    unknown = sorted(values.keys() - {each.name for each in fields(kind)})  # type: ignore[arg-type] # a dataclass
    if unknown:
        raise DatasetError(
            f"The dataset was made with {', '.join(unknown)}, which this version of RoadSense does not have. Use the "
            "version that made it, or generate a new one; `roadsense verify` without --rebuild compares its files."
        )
    return kind(**values)


def _flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "ranges"} | settings.get("ranges", {})
