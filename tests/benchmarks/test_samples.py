"""Samples of executed notebooks: small, whole, with pages for the replays, and nothing of this machine in them."""

import base64
import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from benchmarks.samples import SamplesConfig, make_and_print
from roadsense.errors import InputError
from roadsense.widgets.player import EpisodePlayer
from tests.widgets.episodes import make_episode


def picture(width=1600):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (200, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def executed(tmp_path):
    shown = EpisodePlayer(make_episode())._repr_mimebundle_()
    outputs = [
        new_output("display_data", data=shown),
        new_output("display_data", data={"image/png": picture(), "text/plain": "<Figure>"}),
        new_output("stream", text=f"{tmp_path}/runs/demo/model.zip\n"),
    ]
    cell = new_code_cell("show()", execution_count=1, outputs=outputs, metadata={"papermill": {"duration": 1}})
    (tmp_path / "runs").mkdir()
    nbformat.write(new_notebook(cells=[cell], metadata={"papermill": {}}), tmp_path / "runs" / "01_train.ipynb")
    return tmp_path / "runs"


def test_a_sample_is_small_and_its_replay_a_page_of_its_own(executed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_and_print(SamplesConfig(executed, Path("docs")))
    sample = nbformat.read(tmp_path / "docs" / "01_train.ipynb", as_version=4)
    nbformat.validate(sample)
    replay, figure, stream = sample.cells[0].outputs
    assert set(replay.data) == {"image/png", "text/plain"}
    shrunk = Image.open(io.BytesIO(base64.b64decode(figure.data["image/png"])))
    assert shrunk.size == (1000, 125)
    assert len(figure.data["image/png"]) < len(picture()) / 3
    assert stream.text == "runs/demo/model.zip\n"
    assert not sample.metadata
    assert not sample.cells[0].metadata
    page = (tmp_path / "docs" / "01_train_replay_1.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "play(document.querySelector" in page
    assert "01_train_replay_1.html" in capsys.readouterr().out


def test_what_was_not_run_is_no_sample(tmp_path):
    with pytest.raises(InputError):
        make_and_print(SamplesConfig(tmp_path))
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), tmp_path / "00.ipynb")
    with pytest.raises(InputError, match="was not run"):
        make_and_print(SamplesConfig(tmp_path, tmp_path / "docs"))
