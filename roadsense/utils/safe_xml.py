"""Reads XML from untrusted sources (plain or gzip'd, bounded, no document type, no entities), and writes XML.

Tags and attributes keep their written prefixes, as in SUMO: a default namespace hides no element.
"""

import gzip
import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

from roadsense.errors import ScenarioError

MAX_FILE_BYTES = 100 * 2**20
"""Largest size of a file and of its unpacked content, bytes."""

MAX_ELEMENTS = 1_000_000
MAX_DEPTH = 32
MAX_ATTRIBUTES = 256
"""Largest number of attributes of an element; SUMO's reading time grows with the square of this number."""
MAX_ATTRIBUTE_CHARS = 2**20
ENCODINGS = (
    "utf-8 utf8 us-ascii ascii utf-16 iso-8859-1 iso8859-1 iso_8859-1 latin1 latin-1 iso-8859-2 iso-8859-15 "
    "windows-1250 windows-1251 windows-1252 cp1250 cp1251 cp1252"
).split()
"""Encodings that this reader and SUMO decode to the same text."""
_SHORT_NAME = re.compile(rb"""(<\?xml[^>]*encoding\s*=\s*["'])utf8(?=["'])""", re.IGNORECASE)
"""A name of UTF-8 that expat does not know."""

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 2**16

RootTag = str | tuple[str, ...] | None
OnStart = Callable[[str, dict[str, str], int], object]
"""Function of an element's tag, attributes and line."""


class Element(ET.Element):
    """An element with its line in the file; 0 if it was not read from a file."""

    line = 0


def locate(path: Path, element: ET.Element) -> str:
    """Returns `path:line` of an element, or the path alone if its line is not known."""
    line = getattr(element, "line", 0)
    return f"{path}:{line}" if line else str(path)


def read_xml(path: Path, root_tag: RootTag, keep_comments: bool = False) -> ET.Element:
    """Returns the root element of an XML file, each element with its `line`.

    Args:
        path: the file, plain or gzip'd.
        root_tag: allowed tag or tags of the root; None for any.
        keep_comments: whether comments become part of the tree; those before the root become its first children.

    Raises:
        ScenarioError: if the file is missing, too large, not XML, has a document type or an entity, or has
            another root than `root_tag`; naming the line if it is known.
    """
    builder = ET.TreeBuilder(element_factory=Element, insert_comments=keep_comments)

    before_root: list[str] = []

    def start(tag: str, attributes: dict[str, str], line: int) -> None:
        element = builder.start(tag, attributes)
        element.line = line  # type: ignore[attr-defined] # it is an `Element`, by the builder's factory
        element.extend(ET.Comment(before_root.pop(0)) for _ in tuple(before_root))

    def comment(text: str) -> None:
        if scanner.depth:
            builder.comment(text)
        elif not scanner.n_elements:
            before_root.append(text)

    scanner = _Scanner(path, root_tag, start)
    scanner.parser.CharacterDataHandler = builder.data
    scanner.on_end = builder.end
    if keep_comments:
        scanner.parser.CommentHandler = comment
    scanner.run()
    root: ET.Element = builder.close()
    return root


def scan_xml(path: Path, root_tag: RootTag, on_start: OnStart) -> None:
    """Calls `on_start` for every element of an XML file and keeps none in memory: for large files.

    Raises:
        ScenarioError: in the same cases as `read_xml`.
    """
    _Scanner(path, root_tag, on_start).run()


def write_xml(root: ET.Element, path: Path) -> None:
    """Writes a tree, indented; gzip'd if the name ends in `.gz`. The same tree gives the same bytes."""
    ET.indent(root, "    ")
    content = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


class _Scanner:
    # One pass of expat over a file. Without a document type there are only XML's own five entities.

    def __init__(self, path: Path, root_tag: RootTag, on_start: OnStart) -> None:
        self.path, self.root_tag, self.on_start = path, root_tag, on_start
        self.on_end: Callable[[str], object] | None = None
        self.n_elements = self.depth = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self._check_declaration
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start_root
        self.parser.EndElementHandler = self._end

    def run(self) -> None:
        try:
            if not self.path.is_file():
                raise ScenarioError(f"{self.path}: expected a file, found none. Check the path.")
            with open_unpacked(self.path) as file:
                self._feed(file)
        except expat.ExpatError as error:
            raise self._error(f"not well-formed XML ({error}). Mend or regenerate the file.", error.lineno) from error
        except (OSError, EOFError, zlib.error) as error:
            raise ScenarioError(f"{self.path}: cannot be read ({error}). Mend or regenerate the file.") from error

    def _feed(self, file: BinaryIO) -> None:
        n_bytes = 0
        while chunk := file.read(_CHUNK_BYTES):
            n_bytes += len(chunk)
            if n_bytes > MAX_FILE_BYTES:
                raise ScenarioError(f"{self.path}: unpacks to more bytes than the {MAX_FILE_BYTES} that are read.")
            if n_bytes == len(chunk):
                chunk = _SHORT_NAME.sub(rb"\1utf-8", chunk, count=1)
            self.parser.Parse(chunk, False)
        self.parser.Parse(b"", True)

    def _start_root(self, tag: str, attributes: dict[str, str]) -> None:
        roots = (self.root_tag,) if isinstance(self.root_tag, str) else self.root_tag
        if roots is not None and tag not in roots:
            raise self._error(f"expected the root <{'> or <'.join(roots)}>, got <{tag}>.")
        self.parser.StartElementHandler = self._start
        self._start(tag, attributes)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.n_elements += 1
        self.depth += 1
        if self.n_elements > MAX_ELEMENTS:
            raise self._error(f"more than {MAX_ELEMENTS} elements. Leave out what the scenario does not need.")
        if self.depth > MAX_DEPTH:
            raise self._error(f"elements within elements, more than {MAX_DEPTH} deep. Mend the file.")
        if len(attributes) > MAX_ATTRIBUTES:
            raise self._error(f"<{tag}> has {len(attributes)} attributes, more than {MAX_ATTRIBUTES}. Leave some out.")
        if len("".join(attributes.values())) > MAX_ATTRIBUTE_CHARS:
            raise self._error(f"<{tag}> has attributes of more than {MAX_ATTRIBUTE_CHARS} characters. Shorten them.")
        self.on_start(tag, attributes, self.parser.CurrentLineNumber)

    def _end(self, tag: str) -> None:
        self.depth -= 1
        if self.on_end:
            self.on_end(tag)

    def _check_declaration(self, version: str, encoding: str | None, _standalone: int) -> None:
        if version != "1.0" or (encoding or "utf-8").lower() not in ENCODINGS:
            raise self._error(
                f"expected XML 1.0 in one of {', '.join(ENCODINGS)}, got {version} in {encoding}. Save it as UTF-8."
            )

    def _refuse_doctype(self, name: str, *_: object) -> None:
        raise self._error(f"XML with a document type or entities is not opened (DOCTYPE {name!r}). Remove it.")

    def _error(self, reason: str, line: int | None = None) -> ScenarioError:
        return ScenarioError(f"{self.path}:{line or self.parser.CurrentLineNumber}: {reason}")


def open_unpacked(path: Path) -> BinaryIO:
    """Opens a file, plain or gzip'd, to read its unpacked bytes.

    Raises:
        ScenarioError: if the file is too large.
    """
    n_bytes = path.stat().st_size
    if n_bytes > MAX_FILE_BYTES:
        raise ScenarioError(f"{path}: {n_bytes} bytes; at most {MAX_FILE_BYTES} are opened.")
    return gzip.open(path) if is_gzip(path) else path.open("rb")  # type: ignore[return-value] # a GzipFile reads alike


def is_gzip(path: Path) -> bool:
    """Returns whether a file is gzip'd, judged by its content, as SUMO does, and not by its name."""
    with path.open("rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
