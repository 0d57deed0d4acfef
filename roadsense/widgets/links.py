"""A link to a file of results, for the end of a notebook."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.utils.progress import is_headless
from roadsense.utils.workspace import resolve


@dataclass(frozen=True)
class Link:
    """A link that opens a file in JupyterLab; where there is no JupyterLab, its path.

    Attributes:
        path: path of the file.
    """

    path: Path

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        plain = {"text/plain": str(self.path)}
        place = os.path.relpath(self.path).replace(os.sep, "/").replace(" ", "%20")
        return plain if is_headless() else {"text/markdown": f"[{self.path.name}](<{place}>)", **plain}


def link_to(path: str | Path) -> Link:
    """Returns a link to a file; a relative path is resolved from the project's folder."""
    return Link(resolve(path))
