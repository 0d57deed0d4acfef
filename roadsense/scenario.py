"""A scenario: a folder that SUMO can run, its name, and how it is opened."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from roadsense.errors import ScenarioError
from roadsense.scenario_checks import INPUTS, check_network, check_options, named_files, read_xml, refuse_file_names

EGO_ID = "V001"
"""The last car of the convoy; the cars ahead of it are V002, V003, ... going forward."""

CONVOY_ID = re.compile(r"V\d{3}")
DENSITY_WORDS = ("sparse", "medium", "dense")
DRIVER_WORDS = ("cautious", "normal", "aggressive")
_NUMBER = "[0-9]{3}|[1-9][0-9]{3,}"
_NAME = re.compile(rf"scenario_({_NUMBER})_(\w+)_({'|'.join(DENSITY_WORDS)})_({'|'.join(DRIVER_WORDS)})")


@dataclass(frozen=True)
class ScenarioName:
    """The parts of a scenario folder's name, as in `scenario_001_highway_dense_aggressive`.

    Attributes:
        number: position in the dataset, from 1.
        base: name of the base scenario it was drawn from.
        density: one of `DENSITY_WORDS`.
        driver: one of `DRIVER_WORDS`.
    """

    number: int
    base: str
    density: str
    driver: str

    def __str__(self) -> str:
        return f"scenario_{self.number:03d}_{self.base}_{self.density}_{self.driver}"

    @classmethod
    def parse(cls, text: str) -> "ScenarioName":
        """Returns the parts of a folder name; the inverse of `str`.

        Raises:
            ScenarioError: if `text` is not of the form `str` gives.
        """
        match = _NAME.fullmatch(text)
        if not match:
            raise ScenarioError(f"Expected a name like scenario_001_highway_fast_dense_normal, got {text!r}.")
        number, base, density, driver = match.groups()
        return cls(int(number), base, density, driver)


@dataclass(frozen=True)
class Scenario:
    """A scenario that passed the checks of `open_scenario`.

    Attributes:
        name: name of its folder.
        config_path: absolute path of its `.sumocfg`.
        network_path: absolute path of its network.
        route_paths: absolute paths of its route files.
        additional_paths: absolute paths of its additional files.
        convoy_ids: the cars of the convoy from the last to the first, so `convoy_ids[0]` is the ego.
        convoy_depart_s: when the ego is to be inserted.
    """

    name: str
    config_path: Path
    network_path: Path
    route_paths: tuple[Path, ...]
    additional_paths: tuple[Path, ...]
    convoy_ids: tuple[str, ...]
    convoy_depart_s: float

    @property
    def ego_id(self) -> str:
        """Id of the car that carries the brake assist."""
        return self.convoy_ids[0]


def open_scenario(config_path: str | Path) -> Scenario:
    """Reads a `.sumocfg`, checks that it and what it names are safe for SUMO, and returns the scenario.

    The checks are those whose failure SUMO answers with a crash, a silent surprise or a file written
    somewhere: XML without document type or entities, every named file present and inside the folder, no
    option or element that reads or writes another one, a network with a `version` (libsumo ends the process
    without one), a convoy `V001`, `V002`, ... in the routes. A scenario is read again only when a file in its
    folder has changed.

    Args:
        config_path: path of the `.sumocfg`.

    Raises:
        ScenarioError: naming the file and the reason.
    """
    path = Path(config_path).resolve()
    files = sorted(path.parent.iterdir()) if path.is_file() else []
    stats = [(file.name, file.lstat()) for file in files]  # of links themselves: one may lead nowhere
    return _open_once(path, tuple((name, stat.st_mtime_ns, stat.st_ino) for name, stat in stats))


@lru_cache(maxsize=4096)
def _open_once(path: Path, _stamps: tuple[tuple[str, int, int], ...]) -> Scenario:
    config = read_xml(path, root_tag="configuration")
    check_options(path, config)
    networks, routes, additional = (named_files(path, config, name) for name in INPUTS)
    check_network(networks[0])
    for file in additional:
        refuse_file_names(file, read_xml(file, root_tag="additional"))
    convoy, depart_s = _read_convoy(routes)
    return Scenario(path.parent.name, path, networks[0], routes, additional, convoy, depart_s)


def find_scenarios(folder: str | Path) -> list[Path]:
    """Returns every `.sumocfg` at any depth below `folder`, sorted by path.

    Raises:
        ScenarioError: if the folder is not there or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ScenarioError(f"Expected a folder of scenarios, but {folder} is not there. Check the path.")
    paths = sorted(folder.rglob("*.sumocfg"))
    if not paths:
        raise ScenarioError(
            f"Expected at least one .sumocfg below {folder}, found none. "
            "Make a dataset with `roadsense gen-scenarios`, or check the path."
        )
    return paths


def _read_convoy(route_paths: tuple[Path, ...]) -> tuple[tuple[str, ...], float]:
    departs: dict[str, str] = {}
    for path in route_paths:
        root = read_xml(path, root_tag="routes")
        refuse_file_names(path, root)
        departs |= {element.get("id", ""): element.get("depart", "") for element in root.iter("vehicle")}
    convoy = tuple(sorted(name for name in departs if CONVOY_ID.fullmatch(name)))
    if len(convoy) < 2 or convoy[0] != EGO_ID:
        raise ScenarioError(
            f"{route_paths[0]}: expected vehicles {EGO_ID} (ego), V002, ... going forward, "
            f"got {sorted(departs)[:8]}. Rename the convoy's cars."
        )
    try:
        return convoy, float(departs[EGO_ID])
    except ValueError:
        raise ScenarioError(
            f"{route_paths[0]}: expected the depart time of {EGO_ID} in seconds, got {departs[EGO_ID]!r}."
        ) from None
