"""Writing files so that they are whole or not there."""

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file under another name in the same folder and renames it into place."""
    waiting = path.with_name(f".{path.name}.part")
    try:
        waiting.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(waiting, path)
    finally:
        waiting.unlink(missing_ok=True)
