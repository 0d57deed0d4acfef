"""Network files, plain or gzip'd as SUMO takes them: what is looked up in them, and their copies for wet roads."""

import gzip
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import BinaryIO

from roadsense.augment.edits.friction import scale_friction

_GZIP_MAGIC = b"\x1f\x8b"


def read_edge_length_m(network_path: Path, edge: str) -> float:
    """Returns the length of an edge's shortest lane; 0 if there is no such edge. The network has passed the checks."""
    with _open_plain(network_path) as file:
        for _, element in ET.iterparse(file):  # noqa: S314 -- checked as the base was opened
            if element.tag == "edge":
                if element.get("id") == edge:
                    return min((float(lane.get("length", "0")) for lane in element.findall("lane")), default=0.0)
                element.clear()
    return 0.0


def write_wet_network(network_path: Path, target: Path, friction: float) -> None:
    """Writes a copy of a network with the friction of every lane times a factor; packed if the original is."""
    with _open_plain(network_path) as file:
        content = scale_friction(file.read(), friction)
    target.write_bytes(gzip.compress(content, mtime=0) if _is_packed(network_path) else content)


def _open_plain(path: Path) -> BinaryIO:
    return gzip.open(path) if _is_packed(path) else path.open("rb")  # type: ignore[return-value] # reads alike


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
