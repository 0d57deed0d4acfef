"""The report of an evaluation as a browser shows and prints it: light, dark, and black on white on paper."""

from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page

from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.figures import plot_collision_rates
from roadsense.evaluation.report import write_report
from roadsense.evaluation.results import conclude
from tests.evaluation.made_up import crashes, made_up

STYLES = """() => {
  const of = element => getComputedStyle(element), picture = document.querySelector("main img");
  return { page: of(document.body).backgroundColor, text: of(document.body).color, picture: of(picture).filter };
}"""
SHADES = """colour => colour.match(/\\d+/g).slice(0, 3).map(Number).reduce((sum, part) => sum + part) / 3"""

WIDTHS = """table => table.checkVisibility() && [table.offsetWidth, table.parentElement.clientWidth]"""
"""Widths of a table that is shown and of the box around it."""

A4_PX = (703, 1017)
"""What a sheet of A4 holds within the page's margins, in CSS pixels of 1/96 inch."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    own, alone = made_up("policy", 60), crashes("unassisted", 60, 6)
    names = ("policy_other_messages", "heard_braking_rule", "cautious_rule")
    rules = [made_up(name, 60, time_lost_s=12.25) for name in names]
    other = [table.assign(part=part) for table in (own, alone) for part in ("unseen", "checks_on")]
    episodes = pd.concat([own, alone, *rules, *other])
    evaluation = conclude(folder, EvalConfig("runs/first"), {}, episodes)
    plot_collision_rates(evaluation.summary).savefig(folder / "figure.png")
    figures = {"collision_rate": (folder / "figure.png").read_bytes()}
    write_report(evaluation, figures, [], folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize(
    ("theme", "media", "is_dark"), [("light", "screen", False), ("dark", "screen", True), ("dark", "print", False)]
)
def test_page_and_figures_have_the_shades_of_the_theme(report, page: Page, shoot, theme, media, is_dark) -> None:
    page.emulate_media(color_scheme=theme, media=media)
    page.goto(report.as_uri())
    found = page.evaluate(STYLES)
    shade, ink = (page.evaluate(SHADES, found[name]) for name in ("page", "text"))
    assert (shade < 60, ink > 180) == (is_dark, is_dark)
    assert ("invert" in found["picture"]) == is_dark
    shoot(f"report_{theme}_{media}")


def test_a_sheet_of_paper_holds_whole_figures_and_whole_tables(report, page: Page) -> None:
    page.emulate_media(color_scheme="light", media="print")
    page.set_viewport_size({"width": A4_PX[0], "height": A4_PX[1]})
    page.goto(report.as_uri())
    for kind in ("main img", "main table"):
        boxes = [box for one in page.locator(kind).all() if one.is_visible() and (box := one.bounding_box())]
        assert boxes
        assert max(box["x"] + box["width"] for box in boxes) <= A4_PX[0]
        assert max(box["height"] for box in boxes) <= A4_PX[1]
    assert page.locator("nav.contents").is_hidden()


def test_tables_fit_a_screen_and_scroll_in_boxes_of_their_own_on_a_phone(report, page: Page) -> None:
    page.emulate_media(color_scheme="light", media="screen")
    page.goto(report.as_uri())
    for width_px in (1200, 390):
        page.set_viewport_size({"width": width_px, "height": 900})
        widths = [widths for table in page.locator("main table").all() if (widths := table.evaluate(WIDTHS))]
        assert len(widths) >= 4
        assert all(box_px <= width_px for _, box_px in widths)
        assert all(table_px <= box_px for table_px, box_px in widths) or width_px < 500
    page.locator("#pairs ~ details").first.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_fits_the_width_of_a_phone_and_of_a_sheet(report, page: Page) -> None:
    page.emulate_media(color_scheme="light", media="screen")
    page.goto(report.as_uri())
    for width_px in (420, 1400):
        page.set_viewport_size({"width": width_px, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width_px
