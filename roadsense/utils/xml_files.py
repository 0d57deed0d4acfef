"""XML files as they are written: indented, gzip'd if their names say so, the same bytes for the same tree."""

import gzip
import xml.etree.ElementTree as ET
from pathlib import Path


def write_xml(root: ET.Element, path: Path) -> None:
    """Writes a tree, indented; gzip'd if the name ends in `.gz`. The same tree gives the same bytes."""
    ET.indent(root, "    ")
    content = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
