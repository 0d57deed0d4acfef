"""A small town as OpenStreetMap writes it: a main road through a roundabout, side roads, a cycleway and a footway."""

import math
import subprocess
from pathlib import Path

import sumo

_LATITUDE, _LONGITUDE, _M_PER_DEGREE = 52.0, 13.0, 111_320.0
_PLACES_M = {
    "a": (0, 0), "b": (600, 0), "c": (1300, 0), "d": (1500, 0), "f": (2600, 0),
    "west": (1380, 0), "south": (1400, -20), "east": (1420, 0), "north": (1400, 20),
    "p": (600, -300), "q": (600, 300), "r": (1400, 400), "t": (1400, -300),
}  # fmt: skip
_SIGNALS = '<tag k="highway" v="traffic_signals"/>'
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
    numbers = {place: number for number, place in enumerate(_PLACES_M, start=1)}
    m_per_degree_east = _M_PER_DEGREE * math.cos(math.radians(_LATITUDE))
    nodes = [
        f'<node id="{numbers[place]}" lat="{_LATITUDE + y / _M_PER_DEGREE:.7f}" '
        f'lon="{_LONGITUDE + x / m_per_degree_east:.7f}">{_SIGNALS if place == "b" else ""}</node>'
        for place, (x, y) in _PLACES_M.items()
    ]
    ways = [
        f'<way id="{100 + number}">'
        + "".join(f'<nd ref="{numbers[place]}"/>' for place in places.split())
        + "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
        + "</way>"
        for number, (places, tags) in enumerate(_WAYS)
    ]
    (folder / "town.osm").write_text(f'<osm version="0.6">{"".join(nodes + ways)}</osm>')
    command = [Path(sumo.SUMO_HOME) / "bin" / "netconvert", "--osm-files", "town.osm", "-o", "town.net.xml.gz"]
    options = ["--roundabouts.guess", "--sidewalks.guess", "--geometry.remove"]
    subprocess.run([*command, *options], cwd=folder, check=True, capture_output=True)
    return folder / "town.net.xml.gz"
