"""A small town as OpenStreetMap writes it: a main road through a roundabout, side roads, a cycleway and a footway."""

import subprocess
from pathlib import Path

import sumo

from benchmarks.osm_like import write_osm

_PLACES_M = {
    "a": (0, 0), "b": (600, 0), "c": (1300, 0), "d": (1500, 0), "f": (2600, 0),
    "west": (1380, 0), "south": (1400, -20), "east": (1420, 0), "north": (1400, 20),
    "p": (600, -300), "q": (600, 300), "r": (1400, 400), "t": (1400, -300),
}  # fmt: skip
_WAYS = (
    ("a b c west", {"highway": "primary", "maxspeed": "60", "lanes": "2", "name": "Main Road"}),
    ("east d f", {"highway": "primary", "maxspeed": "60", "lanes": "2", "name": "Main Road"}),
    ("west south east north west", {"highway": "secondary", "junction": "roundabout", "maxspeed": "30"}),
    ("p b q", {"highway": "residential", "maxspeed": "30"}),
    ("north r", {"highway": "tertiary", "maxspeed": "50"}),
    ("south t", {"highway": "living_street"}),
    ("q r", {"highway": "cycleway"}),
    ("p t", {"highway": "footway"}),
)


def import_town(folder: Path) -> Path:
    """Writes the town as `town.osm`, imports it with netconvert and returns the path of the packed network."""
    ways = [(places.split(), tags) for places, tags in _WAYS]
    write_osm(folder / "town.osm", _PLACES_M, ways, lights={"b"})
    command = [Path(sumo.SUMO_HOME) / "bin" / "netconvert", "--osm-files", "town.osm", "-o", "town.net.xml.gz"]
    options = ["--roundabouts.guess", "--sidewalks.guess", "--geometry.remove"]
    subprocess.run([*command, *options], cwd=folder, check=True, capture_output=True)
    return folder / "town.net.xml.gz"
