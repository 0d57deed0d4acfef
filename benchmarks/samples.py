"""Executed notebooks, made small enough to be published: `make samples`.

First they are executed at the size of the defaults: a dataset of 112 + 28 scenarios, the default training, its
evaluation and export, and dry runs of the notebooks of jobs. What is there already is kept: a training that is finished
(`--run_dir` names it) is not repeated, and a command that was broken off continues. `--from_dir` takes notebooks that
were executed elsewhere.

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
from roadsense.jobs.runner import run_notebook
from roadsense.runs.run import Run
from roadsense.utils.command import run_with_options
from roadsense.utils.files import write_atomically

MAX_WIDTH_PX, N_COLOURS, N_ROUNDS = 1000, 256, 3
PAGE = re.compile(r'<iframe class="roadsense-replay"[^>]*srcdoc="([^"]*)"', re.DOTALL)
KEPT_METADATA = ("kernelspec", "language_info")


@dataclass(frozen=True)
class SamplesConfig:
    """Settings of the samples.

    Attributes:
        from_dir: folder of executed notebooks, as a demo leaves it; by default they are executed first.
        to_dir: where the samples go; those of the same name are replaced.
        run_dir: folder of the run; if it holds a trained one, that is evaluated and exported.
        n_train: number of scenarios to train on.
        n_eval: number of held-out scenarios.
    """

    from_dir: Path | None = None
    to_dir: Path = Path("docs/notebooks")
    run_dir: str = "runs/samples"
    n_train: int = 112
    n_eval: int = 28


def make_samples(config: SamplesConfig) -> list[Path]:
    """Writes a sample of each executed notebook, and a page for each replay; returns their paths.

    Raises:
        InputError: if the folder holds no notebook, or one that wasn't executed.
        NotebookError: if a cell of a notebook fails.
    """
    from_dir = execute_all(config) if config.from_dir is None else config.from_dir
    sources = sorted(from_dir.glob("*.ipynb"))
    if not sources:
        raise InputError(f"Expected executed notebooks in {from_dir}, found none. Run `roadsense demo`.")
    config.to_dir.mkdir(parents=True, exist_ok=True)
    return [path for source in sources for path in _make_sample(source, config.to_dir)]


def execute_all(config: SamplesConfig) -> Path:
    """Executes every notebook that was not executed yet, and returns the folder of the executed ones."""
    folder = Path(config.run_dir).with_name(f"{Path(config.run_dir).name}_notebooks")
    given: dict[str, dict[str, Any]] = {
        "00_augment": {"n_train": config.n_train, "n_eval": config.n_eval},
        "01_train": {"preset": "default", "run_dir": config.run_dir},
        "02_evaluate": {"run_dir": config.run_dir},
        "03_export": {"run_dir": config.run_dir},
    }
    for notebook in sorted(Path("notebooks").glob("*.ipynb")):
        is_trained = notebook.stem == "01_train" and Run(Path(config.run_dir)).model_path.is_file()
        if not (folder / notebook.name).exists() and not is_trained:
            run_notebook(notebook, folder / notebook.name, given.get(notebook.stem, {}))
    return folder


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
        shown.pop("application/javascript", None)  # it follows the theme of a live notebook
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
    # Rare colours, such as the convoy's, keep their own entry, and k-means moves each to the middle of its pixels.
    few = picture.quantize(N_COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=N_ROUNDS, dither=Image.Dither.NONE)
    few.save(file, "PNG", optimize=True)
    return min(base64.b64encode(file.getvalue()).decode("ascii"), png, key=len)


def make_and_print(config: SamplesConfig) -> None:
    """Makes samples of executed notebooks for `docs/notebooks`, and prints their sizes."""
    for path in make_samples(config):
        sys.stdout.write(f"{path}: {path.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    sys.exit(run_with_options(make_and_print, SamplesConfig, "python -m benchmarks.samples"))
