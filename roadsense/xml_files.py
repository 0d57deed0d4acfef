"""XML files as SUMO takes them, plain or gzip'd, with the comments people wrote."""

import gzip
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path
from typing import Any

from roadsense.errors import ScenarioError

_GZIP_MAGIC = b"\x1f\x8b"


class CommentKeeper(ET.TreeBuilder):
    """Builds a tree with its comments; those before the root become the root's first children."""

    def __init__(self) -> None:
        super().__init__(insert_comments=True)
        self._before_root: list[str | None] = []
        self._in_root = False

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        """Opens an element."""
        element = super().start(tag, attrs)
        if not self._in_root:
            self._in_root = True
            element.extend(ET.Comment(text) for text in self._before_root)
        return element

    def comment(self, text: str | None, /) -> Any:
        """Keeps a comment."""
        if self._in_root:
            return super().comment(text)
        self._before_root.append(text)
        return None


def read_content(path: Path, most_bytes: int) -> bytes:
    """Returns what a file holds, unpacked if it is gzip'd: like SUMO, by its first bytes, whatever its name is.

    Raises:
        ScenarioError: if it is missing, damaged, or holds more than `most_bytes`.
    """
    if not path.is_file():
        raise ScenarioError(f"{path}: expected a file, found none. Check the path.")
    if path.stat().st_size > most_bytes:
        raise ScenarioError(f"{path}: {path.stat().st_size} bytes; at most {most_bytes} are opened.")
    with path.open("rb") as file:
        if file.read(2) != _GZIP_MAGIC:
            return path.read_bytes()
    try:
        with gzip.open(path) as unpacked:
            content = unpacked.read(most_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ScenarioError(f"{path}: damaged gzip ({error}). Pack the file again.") from error
    if len(content) > most_bytes:
        raise ScenarioError(f"{path}: more than {most_bytes} bytes when unpacked; at most so many are opened.")
    return content


def write_xml(root: ET.Element, path: Path) -> None:
    """Writes a tree, indented; gzip'd if the name ends in `.gz`. The same tree gives the same bytes."""
    ET.indent(root, "    ")
    content = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
