"""Streets as OpenStreetMap writes them: nodes in degrees, ways with tags; SUMO's netconvert makes the network."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

LATITUDE, LONGITUDE, M_PER_DEGREE = 52.0, 13.0, 111_320.0
IMPORT = ("--geometry.remove", "--roundabouts.guess", "--ramps.guess", "--junctions.join", "--tls.discard-simple",
          "--keep-edges.by-vclass", "passenger", "--no-turnarounds")  # fmt: skip
"""Options that SUMO's documentation recommends for networks from OpenStreetMap, for cars."""
N_COLUMNS, N_ROWS, BLOCK_M, JITTER_M = 7, 6, 190.0, 45.0
MAIN_ROW, MAIN_COLUMN = 2, 3
LEFT_OUT, ONE_WAY = 0.12, 0.2
"""Shares of the side streets that are not built, and that have one direction."""
MAIN = {"highway": "primary", "maxspeed": "60", "lanes": "2"}
SECOND = {"highway": "secondary", "maxspeed": "50", "lanes": "2"}
SIDE = {"highway": "residential", "maxspeed": "30"}

Point = tuple[float, float]
Way = tuple[Sequence[str], Mapping[str, str]]


def draw_old_town(rng: np.random.Generator) -> tuple[dict[str, Point], list[Way], set[str]]:
    """Returns an old town: crooked streets, two main roads that meet in a roundabout, lights, gaps, one-way streets.

    Returns:
        Places in metres east and north by name, ways along them with their tags, and the places with traffic lights.
    """
    places: dict[str, Point] = {}
    for column in range(N_COLUMNS):
        for row in range(N_ROWS):
            east, north = rng.uniform(-JITTER_M, JITTER_M, 2).tolist()
            places[_name(column, row)] = (BLOCK_M * column + east, BLOCK_M * row + north)
    centre = _name(MAIN_COLUMN, MAIN_ROW)
    ways: list[Way] = []
    for start, end, tags in _list_streets():
        if tags is SIDE and rng.random() < LEFT_OUT:
            continue
        bend = f"{start}_{end}"
        places[bend] = _bent(places[start], places[end], rng)
        one_way = {"oneway": "yes"} if tags is SIDE and rng.random() < ONE_WAY else {}
        stops = [_beside_circle(one, bend, places) if one == centre else one for one in (start, end)]
        ways.append(([stops[0], bend, stops[1]], {**tags, **one_way}))
    ways.append(_make_circle(centre, places))
    lights = {_name(column, MAIN_ROW) for column in (1, 5)} | {_name(MAIN_COLUMN, row) for row in (0, 4)}
    return places, ways, lights


def write_osm(path: Path, places: Mapping[str, Point], ways: Sequence[Way], lights: Collection[str] = ()) -> None:
    """Writes an OpenStreetMap file.

    Args:
        path: path of the file.
        places: metres east and north of each place, by name.
        ways: names of the places along each way, and its tags.
        lights: names of the places with traffic lights.
    """
    numbers = {place: number for number, place in enumerate(places, start=1)}
    m_per_degree_east = M_PER_DEGREE * math.cos(math.radians(LATITUDE))
    nodes = [
        f'<node id="{numbers[place]}" lat="{LATITUDE + north / M_PER_DEGREE:.7f}" '
        f'lon="{LONGITUDE + east / m_per_degree_east:.7f}">'
        + ('<tag k="highway" v="traffic_signals"/>' if place in lights else "")
        + "</node>"
        for place, (east, north) in places.items()
    ]
    lines = [
        f'<way id="{100 + number}">'
        + "".join(f'<nd ref="{numbers[place]}"/>' for place in along)
        + "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
        + "</way>"
        for number, (along, tags) in enumerate(ways)
    ]
    path.write_text(f'<osm version="0.6">{"".join(nodes + lines)}</osm>')


def _name(column: int, row: int) -> str:
    return f"c{column}r{row}"


def _list_streets() -> Iterator[tuple[str, str, dict[str, str]]]:
    for column in range(N_COLUMNS):
        for row in range(N_ROWS):
            if column + 1 < N_COLUMNS:
                yield _name(column, row), _name(column + 1, row), MAIN if row == MAIN_ROW else SIDE
            if row + 1 < N_ROWS:
                yield _name(column, row), _name(column, row + 1), SECOND if column == MAIN_COLUMN else SIDE


def _bent(start: Point, end: Point, rng: np.random.Generator) -> Point:
    """Returns a point near the middle of a street, up to a tenth of its length beside the straight line."""
    aside = float(rng.uniform(-0.1, 0.1))
    east, north = end[0] - start[0], end[1] - start[1]
    return (start[0] + east / 2 - aside * north, start[1] + north / 2 + aside * east)


def _beside_circle(centre: str, towards: str, places: Mapping[str, Point]) -> str:
    """Returns the place of the roundabout on the side of another place."""
    east, north = (there - here for there, here in zip(places[towards], places[centre], strict=True))
    side = ("e" if east > 0 else "w") if abs(east) > abs(north) else ("n" if north > 0 else "s")
    return f"circle_{side}"


def _make_circle(centre: str, places: dict[str, Point]) -> Way:
    """Adds a roundabout with a radius of 18 m around a place, instead of the place, and returns its way."""
    east, north = places.pop(centre)
    for side, x_m, y_m in (("e", 18, 0), ("n", 0, 18), ("w", -18, 0), ("s", 0, -18)):
        places[f"circle_{side}"] = (east + x_m, north + y_m)
    tags = {"highway": "secondary", "junction": "roundabout", "maxspeed": "30"}
    return [f"circle_{side}" for side in "enwse"], tags
