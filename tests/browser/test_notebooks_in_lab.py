"""What a person does with the notebooks, done in a real JupyterLab: sliders, replays, a training seen and stopped."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from roadsense.runs.run import CHECKPOINTS, Run
from roadsense.scenarios.dataset import Dataset
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
WIDGET = "application/vnd.jupyter.widget-view+json"
FILTER = "picture => getComputedStyle(picture).filter"
LONG_MS = 180_000
"""For what a kernel has to load libraries, or a training to come to its next step, on a machine with other work."""
pytestmark = pytest.mark.slow


def test_the_overview_leads_to_the_notebooks(lab, page, shoot):
    page.goto(f"{lab.url}/lab/tree/notebooks/README.md?token={lab.token}&reset")
    overview = page.locator(".jp-MarkdownViewer")
    expect(overview.get_by_role("heading", name="RoadSense: the notebooks")).to_be_visible()
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    shoot("overview")
    overview.get_by_role("link", name="00 Augment").click()
    expect(page.locator(f"{PANEL} .jp-Cell").first).to_be_visible()


def test_the_image_s_health_check_sees_whether_the_lab_answers(lab):
    dockerfile = (Path(__file__).parents[2] / "docker" / "Dockerfile").read_text()
    command = json.loads(re.search(r"^HEALTHCHECK .*\\\n +CMD (.*)$", dockerfile, re.MULTILINE)[1])
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for port, is_well in ((lab.url.rpartition(":")[2], True), ("9", False)):
        environment = {**os.environ, "PATH": path, "ROADSENSE_PORT": port}
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert (done.returncode == 0) == is_well


def test_a_terminal_of_the_lab_has_the_program(lab, page):
    page.goto(f"{lab.url}/lab?token={lab.token}&reset")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.wait_for_function("jupyterapp.commands.hasCommand('terminal:create-new')")
    page.evaluate("jupyterapp.commands.execute('terminal:create-new')")
    terminal = page.locator(".jp-Terminal .xterm-screen")
    terminal.wait_for()
    page.wait_for_timeout(3000)  # its shell starts
    terminal.click()
    found = lab.root / "version.txt"
    page.keyboard.type(f"roadsense --version > {found}", delay=20)
    page.keyboard.press("Enter")
    wait_until(lambda: found.is_file() and "roadsense" in found.read_text())


@pytest.fixture(scope="module")
def augment(lab, page):
    """The notebook 00, run to its end."""
    notebook = NotebookPage(page, lab, "notebooks/00_augment.ipynb")
    notebook.set_parameters(**SMALL_DATASET)
    notebook.run_all()
    notebook.wait(240)
    return notebook


def test_a_draw_is_tried_simulated_and_kept(augment, lab, page, shoot):
    cell = augment.show("preview = widgets.PreviewWidget")
    picture, slider = cell.locator("img").first, cell.get_by_role("slider").first
    expect(picture).to_be_visible()
    shoot("preview")
    assert cell.get_by_role("slider", name="density").count() == 1
    assert cell.locator("[title=null]").count() == 0
    assert cell.locator("img:not([alt])").count() == 0
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
    expect(cell.get_by_text(re.compile("^Added ")).first).to_be_visible(timeout=180_000)
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


def test_figures_and_players_follow_the_dark_theme(augment, page, shoot):
    figure = augment.show("figures.plot_difficulty").locator("img").first
    expect(figure).to_be_visible()
    assert figure.evaluate(FILTER) == "none"
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    expect(figure).to_have_css("filter", re.compile("invert"))
    shoot("dark_figure")
    player = augment.show("preview.simulate()").frame_locator("iframe")
    expect(player.locator(":root")).to_have_attribute("data-theme", "dark")
    shoot("dark_player")
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'true'")
    expect(player.locator(":root")).to_have_attribute("data-theme", "light")


def test_it_runs_twice_and_what_is_saved_shows_pictures_without_a_kernel(augment, lab, page, shoot):
    augment.run_all()
    page.wait_for_timeout(1500)
    augment.wait(240)
    augment.save_and_shut_down()
    outputs = [output for cell in json.loads((lab.root / augment.path).read_text())["cells"]
               for output in cell.get("outputs", [])]  # fmt: skip
    live = [output["data"] for output in outputs if WIDGET in output.get("data", {})]
    assert len(live) == 1
    assert all({"image/png", "text/html"} & set(shown) for shown in live)
    again = NotebookPage(page, lab, augment.path, has_kernel=False)
    cell = again.show("preview = widgets.PreviewWidget")
    expect(cell.locator("img").first).to_be_visible()
    shoot("saved_and_opened_again")
    assert page.get_by_text("Error displaying widget").count() == 0


def test_a_stop_is_one_sentence_that_says_how_to_go_on(lab, page, shoot):
    notebook = NotebookPage(page, lab, "notebooks/01_train.ipynb")
    notebook.set_parameters(**ENDLESS | {"run_dir": "runs/stopped", "imitation_timesteps": 20_000})
    notebook.run_all()
    run = Run(lab.root / "runs" / "stopped")
    wait_until(run.config_path.is_file)
    cell = notebook.show("with widgets.TrainingView")
    phase = cell.get_by_text(re.compile("^(starting 2 workers|imitation)")).first
    expect(phase).to_be_visible(timeout=LONG_MS)
    assert cell.locator("img").first.evaluate("picture => picture.naturalWidth") > 0
    shoot("training_first_seconds")
    wait_until(lambda: timesteps_of(run) > 0)
    cell.get_by_role("button", name="Stop after checkpoint").click()
    wait_until(lambda: notebook.state["errors"])
    output = notebook.show("with widgets.TrainingView").locator(".jp-OutputArea-output", has_text="StoppedError")
    expect(output).to_have_text(re.compile(r"^StoppedError: Stopped by [^\n]*resume[^\n]*\n?$"))
    shoot("training_stopped_here")


def test_a_training_is_stopped_and_seen_again_from_another_kernel(lab, page, shoot):
    (lab.root / "notebooks" / "look.ipynb").write_text(json.dumps(LOOK))
    notebook = NotebookPage(page, lab, "notebooks/01_train.ipynb")
    notebook.set_parameters(**ENDLESS)
    notebook.run_all()
    run = Run(lab.root / "runs" / "watched")
    wait_until(run.config_path.is_file)
    cell = notebook.show("with widgets.TrainingView")
    expect(cell.get_by_text("running", exact=True)).to_be_visible(timeout=LONG_MS)
    wait_until(lambda: timesteps_of(run) > 0)
    before = read_newest(run)
    cell.get_by_role("button", name="Checkpoint now").click()  # while this very kernel trains
    wait_until(lambda: read_newest(run) > before)
    other = NotebookPage(page, lab, "notebooks/look.ipynb")  # the first one's page is closed by this
    other.run_all()
    view = other.show("watch_training")
    expect(view.locator("img").first).to_be_visible(timeout=LONG_MS)
    expect(view.get_by_text(re.compile(r"at [1-9][\d,]* steps")).first).to_be_visible()
    shoot("training_view")
    view.get_by_role("button", name="Stop after checkpoint").click()
    expect(view.get_by_text(re.compile(r"^stopped \(Stopped by stop file")).first).to_be_visible(timeout=LONG_MS)
    shoot("training_stopped")
    assert run.read_state().name == "stopped"


def read_newest(run):
    """Steps of the newest checkpoint."""
    return max((int(path.stem.split("_")[1]) for path in run.checkpoint_dir.glob(CHECKPOINTS)), default=-1)


LOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "look",
            "metadata": {},
            "outputs": [],
            "source": "from roadsense.widgets import watch_training\n\nwatch_training('runs/watched')",
        }
    ],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
"""A notebook that only looks at a run."""
