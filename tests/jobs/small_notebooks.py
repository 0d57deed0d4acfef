"""Small real notebooks, and jobs of them run by the real runner in a process of its own."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from roadsense.jobs.inside.layout import NAME_VARIABLE, NOTEBOOK_VARIABLE, ROOT_VARIABLE, JobLayout

ROOT = Path(__file__).parents[2]
PARAMETERS = "n_steps: int = 3\nrate: float = 0.5\nname: str = 'plain'\nquick: bool = False\nlengths: list = [1, 2]"


def write_notebook(folder, *cells, parameters=PARAMETERS):
    notebook = new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    )
    notebook.cells = [
        new_markdown_cell("# Small"),
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        *(new_code_cell(cell) for cell in cells),
    ]
    path = Path(folder) / "small.ipynb"
    nbformat.write(notebook, path)
    return path


def printed(executed):
    cells = nbformat.read(executed, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


@dataclass
class StartedJob:
    """A job that runs as a process: its layout, the process and the file of its output."""

    layout: JobLayout
    process: subprocess.Popen
    output: Path

    def wait_for(self, happened, seconds=300.0):
        end = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > end or self.process.poll() is not None:
                self.process.kill()  # its kernel ends with it
                raise AssertionError(f"waited in vain: {self.read()}")
            time.sleep(0.02)

    def end(self, seconds=400.0):
        try:
            return self.process.wait(seconds), self.read()
        finally:
            self.process.kill()

    def read(self):
        return self.output.read_text()

    @property
    def state(self):
        return json.loads(self.layout.state_path.read_text())


def start_job(root, notebook, texts, job="job-1", words=("train",)):
    """Lays out a job as SageMaker does, every value a text, and starts the runner."""
    layout = JobLayout(Path(root))
    layout.hyperparameters_path.parent.mkdir(parents=True, exist_ok=True)
    layout.hyperparameters_path.write_text(json.dumps(texts))
    own = {ROOT_VARIABLE: str(root), NOTEBOOK_VARIABLE: str(notebook), NAME_VARIABLE: job}
    output = Path(root) / "run.log"
    with output.open("a") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "roadsense.jobs.runner", *words],
            env={**os.environ, **own},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    return StartedJob(layout, process, output)
