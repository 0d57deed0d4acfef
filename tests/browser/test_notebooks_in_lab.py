"""What a person does with the notebooks, done in a real JupyterLab: sliders, replays, a training seen and stopped."""

import json
import re

import pytest
from playwright.sync_api import expect

from roadsense.runs.run import Run
from roadsense.scenarios.dataset import Dataset
from roadsense.training.checkpoints import PATTERN
from tests.browser.notebook_page import PANEL, NotebookPage
from tests.small_training import timesteps_of, wait_until

SMALL_DATASET = {"n_train": 5, "n_eval": 5, "output_dir": "scenarios/small"}
ENDLESS = {
    "dataset_dir": "scenarios/base/highway_fast",
    "run_dir": "runs/watched",
    "total_timesteps": 50_000_000,
    "imitation_timesteps": 0,
    "n_workers": 2,
}
pytestmark = pytest.mark.slow


def test_the_overview_leads_to_the_notebooks(lab, page, shoot):
    page.goto(f"{lab.url}/lab/tree/notebooks/README.md?token={lab.token}&reset")
    overview = page.locator(".jp-MarkdownViewer")
    expect(overview.get_by_role("heading", name="RoadSense: the notebooks")).to_be_visible()
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    shoot("overview")
    overview.get_by_role("link", name="00 Augment").click()
    expect(page.locator(f"{PANEL} .jp-Cell").first).to_be_visible()


@pytest.fixture(scope="module")
def augment(lab, page):
    """The notebook 00, run to its end."""
    notebook = NotebookPage(page, lab, "notebooks/00_augment.ipynb")
    notebook.set_parameters(**SMALL_DATASET)
    notebook.run_all()
    notebook.wait(240)
    return notebook


def test_a_draw_is_tried_simulated_and_kept(augment, lab, page, shoot):
    cell = augment.show("preview = PreviewWidget")
    picture, slider = cell.locator("img").first, cell.get_by_role("slider").first
    expect(picture).to_be_visible()
    shoot("preview")
    before = picture.get_attribute("src")
    slider.focus()
    page.evaluate("window.pressed = performance.now()")
    slider.press("ArrowLeft")
    page.wait_for_function("([image, old]) => image.src !== old", arg=[picture.element_handle(), before], polling=10)
    answered_ms = page.evaluate("performance.now() - window.pressed")
    print(f"a slider answers after {answered_ms:.0f} ms in the browser")
    cell.get_by_role("button", name="Simulate 30 s").click()
    player = cell.frame_locator("iframe").locator(".player[data-ready]")
    expect(player).to_be_visible()
    cell.get_by_role("button", name="Add to train").click()
    expect(cell.get_by_text(re.compile("^Added ")).first).to_be_visible()
    dataset = Dataset.open(lab.root / "scenarios" / "small")
    assert dataset.verify() == []
    (chosen,) = dataset.settings["chosen"].values()
    assert chosen["values"]["density"] == pytest.approx(1.19)
    player.scroll_into_view_if_needed()
    shoot("preview_simulated")


def test_a_replay_is_played_by_keys_and_told_in_words(augment, shoot):
    cell = augment.show("preview.simulate()")
    frame = cell.frame_locator("iframe")
    player, canvas = frame.locator(".player[data-ready]"), frame.locator("[data-part=canvas]")
    player.wait_for()
    canvas.focus()
    for key, at in (("Home", "0.00"), ("ArrowRight", "0.10"), ("ArrowUp", "1.10"), ("ArrowDown", "0.10")):
        canvas.press(key)
        expect(player).to_have_attribute("data-time", at)
    expect(frame.locator("[data-part=words]")).to_have_text(re.compile(r"^0\.1 s, gap .* messages heard"))
    canvas.press(" ")
    wait_until(lambda: float(player.get_attribute("data-time")) > 0.8)
    canvas.press(" ")
    expect(frame.get_by_role("button", name="Play")).to_be_visible()
    shoot("replay")


def test_a_training_is_stopped_and_seen_again_from_another_kernel(lab, page, shoot):
    (lab.root / "notebooks" / "look.ipynb").write_text(json.dumps(LOOK))
    notebook = NotebookPage(page, lab, "notebooks/01_train.ipynb")
    notebook.set_parameters(**ENDLESS)
    notebook.run_all()
    run = Run(lab.root / "runs" / "watched")
    cell = notebook.show("with TrainingView")
    expect(cell.get_by_text("running", exact=True)).to_be_visible()
    wait_until(lambda: timesteps_of(run) > 0)
    before = read_newest(run)
    cell.get_by_role("button", name="Checkpoint now").click()  # while this very kernel trains
    wait_until(lambda: read_newest(run) > before)
    other = NotebookPage(page, lab, "notebooks/look.ipynb")  # the first one's page is closed by this
    other.run_all()
    view = other.show("watch_training")
    expect(view.locator("img").first).to_be_visible()
    expect(view.get_by_text(re.compile(r"at [1-9][\d,]* steps")).first).to_be_visible()
    shoot("training_view")
    view.get_by_role("button", name="Stop after checkpoint").click()
    expect(view.get_by_text(re.compile(r"^stopped \(Stopped by stop file")).first).to_be_visible()
    shoot("training_stopped")
    assert run.read_state().name == "stopped"


def read_newest(run):
    """Steps of the newest checkpoint."""
    return max((int(path.stem.split("_")[1]) for path in run.checkpoint_dir.glob(PATTERN)), default=-1)


LOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "look",
            "metadata": {},
            "outputs": [],
            "source": "from roadsense.widgets.training_view import watch_training\n"
            "from roadsense.utils.workspace import enter_workspace\n\n"
            "enter_workspace()\nwatch_training('runs/watched')",
        }
    ],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
"""A notebook that only looks at a run."""
