"""Executed notebooks, made small enough to be published: `python -m benchmarks.samples --from_dir runs/demo/notebooks`.

Pictures get fewer colours, and each replay becomes a page of its own beside the notebook, with its picture left in it:
where notebooks are only rendered, as on a code host, scripts don't run.
"""

import base64
import html
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

from roadsense.errors import InputError
from roadsense.utils.command import run_with_options
from roadsense.utils.files import write_atomically

MAX_WIDTH_PX, N_COLOURS = 1000, 128
PAGE = re.compile(r'<iframe class="roadsense-replay"[^>]*srcdoc="([^"]*)"', re.DOTALL)
KEPT_METADATA = ("kernelspec", "language_info")


@dataclass(frozen=True)
class SamplesConfig:
    """Settings of the samples.

    Attributes:
        from_dir: folder of executed notebooks, as a demo leaves it.
        to_dir: where the samples go; those of the same name are replaced.
    """

    from_dir: Path
    to_dir: Path = Path("docs/notebooks")


def make_samples(config: SamplesConfig) -> list[Path]:
    """Writes a sample of each executed notebook, and a page for each replay; returns their paths.

    Raises:
        InputError: if the folder holds no notebook, or one that wasn't executed.
    """
    sources = sorted(config.from_dir.glob("*.ipynb"))
    if not sources:
        raise InputError(f"Expected executed notebooks in {config.from_dir}, found none. Run `roadsense demo`.")
    config.to_dir.mkdir(parents=True, exist_ok=True)
    return [path for source in sources for path in _make_sample(source, config.to_dir)]


def _make_sample(source: Path, folder: Path) -> list[Path]:
    notebook = nbformat.read(source, as_version=4)
    if not any(cell.get("execution_count") for cell in notebook.cells):
        raise InputError(f"Expected an executed notebook, but {source} was not run. Run `roadsense demo`.")
    paths = [folder / source.name]
    notebook.metadata = {name: value for name, value in notebook.metadata.items() if name in KEPT_METADATA}
    for cell in notebook.cells:
        cell.metadata = {name: value for name, value in cell.metadata.items() if name == "tags"}
    for shown in _bundles(notebook):
        page = PAGE.search(shown.get("text/html", ""))
        if page:
            paths.append(folder / f"{source.stem}_replay_{len(paths)}.html")
            write_atomically(paths[-1], html.unescape(page[1]))
            del shown["text/html"]
        if "image/png" in shown:
            shown["image/png"] = shrink_picture(shown["image/png"])
            if "<img" in shown.get("text/html", ""):  # the same picture twice
                del shown["text/html"]
    text = nbformat.writes(notebook).replace(f"{Path.cwd()}/", "")
    write_atomically(paths[0], text if text.endswith("\n") else text + "\n")
    return paths


def _bundles(notebook: Any) -> Iterator[dict[str, Any]]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "data" in output:
                yield output["data"]


def shrink_picture(png: str) -> str:
    """Returns a PNG in base64 with few colours and of no more than `MAX_WIDTH_PX`; as it is, if that is smaller."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    if picture.width > MAX_WIDTH_PX:
        picture = picture.resize((MAX_WIDTH_PX, round(picture.height * MAX_WIDTH_PX / picture.width)))
    file = io.BytesIO()
    picture.quantize(N_COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return min(base64.b64encode(file.getvalue()).decode("ascii"), png, key=len)


def make_and_print(config: SamplesConfig) -> None:
    """Makes samples of executed notebooks for `docs/notebooks`, and prints their sizes."""
    for path in make_samples(config):
        sys.stdout.write(f"{path}: {path.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    sys.exit(run_with_options(make_and_print, SamplesConfig, "python -m benchmarks.samples"))
