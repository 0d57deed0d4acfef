"""Networks from OpenStreetMap extracts on a drive's plane, by netconvert, and their lanes to draw."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sumo
import sumolib
from numpy.typing import NDArray

from roadsense.drives.plane import Plane
from roadsense.errors import DriveError
from roadsense.utils.safe_xml import read_xml
from roadsense.utils.scratch import scratch_folder

NETCONVERT_S = 300.0
OSM_OPTIONS = (
    "--geometry.remove", "--roundabouts.guess", "--ramps.guess", "--junctions.join", "--tls.guess-signals",
    "--keep-edges.by-vclass", "passenger", "--remove-edges.isolated", "--no-turnarounds",
    "--offset.disable-normalization",
)  # fmt: skip


@dataclass(frozen=True)
class Lanes:
    """Lanes to draw: their middles, widths and the junctions' outlines, on the drive's plane."""

    middles: tuple[NDArray[np.float32], ...]
    widths_m: NDArray[np.float32]
    junctions: tuple[NDArray[np.float32], ...] = ()


def convert_osm(osm: Path, network: Path, plane: Plane) -> None:
    """Writes the network of an OpenStreetMap extract, its coordinates those of a drive's plane.

    Raises:
        DriveError: if the extract is no XML of OpenStreetMap, or netconvert refuses it.
    """
    read_xml(osm, "osm")  # bounded, without entities
    run_netconvert(["--osm-files", str(osm), "--proj", plane.definition, *OSM_OPTIONS], network, osm)


def run_netconvert(arguments: list[str], network: Path, source: Path) -> None:
    """Runs netconvert.

    Raises:
        DriveError: if it fails; with its own reason.
    """
    command = [
        str(Path(sumo.SUMO_HOME) / "bin" / "netconvert"),
        *arguments,
        "-o",
        str(network),
        "--no-warnings",
        "true",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NETCONVERT_S)
    except subprocess.TimeoutExpired as error:
        raise DriveError(f"{source}: netconvert took more than {NETCONVERT_S:g} s. Cut the extract smaller.") from error
    if done.returncode or not network.is_file():
        reason = (done.stderr.strip() or done.stdout.strip())[-400:]
        raise DriveError(f"{source}: netconvert made no network of it: {reason}")


def read_lanes(osm: Path, plane: Plane) -> Lanes:
    """Returns the lanes of an OpenStreetMap extract on a drive's plane.

    Raises:
        DriveError: if netconvert refuses it.
    """
    with scratch_folder("roadsense_lanes_") as folder:
        convert_osm(osm, folder / "map.net.xml", plane)
        net = sumolib.net.readNet(str(folder / "map.net.xml"), withInternal=True)
    lanes = [lane for edge in net.getEdges(withInternal=True) for lane in edge.getLanes()]
    outlines = [node.getShape() for node in net.getNodes() if len(node.getShape()) > 2]
    return Lanes(
        tuple(np.array(lane.getShape(), np.float32)[:, :2] for lane in lanes),
        np.array([lane.getWidth() for lane in lanes], np.float32),
        tuple(np.array(line, np.float32)[:, :2] for line in outlines),
    )
