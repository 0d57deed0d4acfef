"""Samples of executed notebooks: small, whole, with pages for the replays, and nothing of this machine in them."""

import base64
import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib import colormaps
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from benchmarks import samples
from benchmarks.samples import SamplesConfig, execute_all, make_and_print, shrink_picture
from roadsense.errors import InputError
from roadsense.widgets.player import EpisodePlayer
from tests.widgets.episodes import make_episode

CONVOY_RGB = (255, 127, 14)


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


def test_the_convoy_keeps_its_own_colour_beside_a_colour_bar():
    pixels = np.full((200, 600, 3), 233, np.uint8)
    pixels[:100] = (colormaps["viridis"](np.linspace(0, 1, 600))[:, :3] * 255).astype(np.uint8)
    pixels[150:154, 300:310] = CONVOY_RGB
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    shrunk = Image.open(io.BytesIO(base64.b64decode(shrink_picture(base64.b64encode(file.getvalue()).decode()))))
    error = np.abs(np.asarray(shrunk.convert("RGB")).astype(int) - pixels)
    assert error[150:154, 300:310].max() <= 2
    assert error.max() <= 12


def test_full_size_samples_are_of_the_defaults_and_keep_what_is_there(tmp_path, monkeypatch):
    """A run that is trained is not trained again, and an executed notebook not executed again."""
    (tmp_path / "notebooks").mkdir()
    for name in ("00_augment", "01_train", "02_evaluate", "04_ec2"):
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text("{}")
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "model.zip").write_bytes(b"")
    (tmp_path / "runs" / "mine_notebooks").mkdir()
    (tmp_path / "runs" / "mine_notebooks" / "04_ec2.ipynb").write_text("{}")
    monkeypatch.chdir(tmp_path)
    called = []
    monkeypatch.setattr(samples, "run_notebook", lambda source, executed, given: called.append((source.stem, given)))
    assert execute_all(SamplesConfig(run_dir="runs/mine")) == Path("runs/mine_notebooks")
    assert called == [("00_augment", {"n_train": 112, "n_eval": 28}), ("02_evaluate", {"run_dir": "runs/mine"})]


def test_what_was_not_run_is_no_sample(tmp_path):
    with pytest.raises(InputError):
        make_and_print(SamplesConfig(tmp_path))
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), tmp_path / "00.ipynb")
    with pytest.raises(InputError, match="was not run"):
        make_and_print(SamplesConfig(tmp_path, tmp_path / "docs"))
