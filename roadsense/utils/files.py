"""Files: written so that they are whole or not there, and hashed."""

import hashlib
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


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
