"""The player holds the whole episode, small, and a browser plays it from one file; without one there are words."""

import base64
import html
import json
import os
import re
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from roadsense.episodes.trajectory import load_trajectory
from roadsense.pictures.episode import plot_episode
from roadsense.pictures.player import (
    ABSENT,
    find_critical_row,
    find_spans,
    pack_episode,
    player_html,
    player_page,
    summarise_episode,
)
from roadsense.widgets.player import show_episode
from tests.small_training import wait_until
from tests.widgets.episodes import make_episode

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


def unpack(text):
    return np.frombuffer(base64.b64decode(text), "<i2")


def test_positions_come_back_to_the_centimetre_and_absence_stays_absence():
    episode = make_episode()
    packed = pack_episode(episode)
    table = unpack(packed["x"]).reshape(episode.x_m.shape)
    assert ((table == ABSENT) == np.isnan(episode.x_m)).all()
    x_m = packed["x0"] + table * packed["metre"]
    here = ~np.isnan(episode.x_m)
    assert np.abs(x_m - episode.x_m)[here].max() <= packed["metre"]
    assert packed["metre"] <= 0.01
    assert (packed["ego"], packed["convoy"], packed["senders"]) == (0, [0, 1], [1])


def test_a_road_too_long_for_centimetres_still_fits():
    episode = make_episode()
    episode.x_m[-1, 1] = 40_000.0
    packed = pack_episode(episode)
    assert packed["x0"] + unpack(packed["x"]).max() * packed["metre"] == pytest.approx(40_000.0, abs=1.0)


def test_headings_beyond_a_turn_are_the_same_heading():
    episode = make_episode()
    episode.heading_rad[:, 0] = 3 * np.pi - 0.25
    packed = pack_episode(episode)
    assert unpack(packed["heading"])[0] * packed["radian"] == pytest.approx(np.pi - 0.25, abs=1e-4)


@pytest.mark.parametrize(("collides", "row"), [(False, 70), (True, 100)])
def test_the_critical_moment_is_the_collision_or_else_the_smallest_ttc(collides, row):
    assert find_critical_row(make_episode(collides=collides)) == row


@pytest.mark.parametrize(("was_struck", "partner"), [(False, 1), (True, 2)])
def test_a_collision_has_its_moment_and_says_who_struck_whom(was_struck, partner):
    found = pack_episode(make_episode(collides=True, was_struck=was_struck))["collision"]
    assert found == {"time_s": 10.0, "partner": partner, "was_struck": was_struck}
    assert pack_episode(make_episode())["collision"] is None


def test_without_any_approach_the_smallest_gap_is_the_critical_moment():
    episode = make_episode()
    episode.ego["ttc_s"][:] = np.inf
    assert find_critical_row(episode) == 100
    assert "time to collision" not in summarise_episode(episode)


def test_spans_are_the_stretches_above_zero():
    assert find_spans(np.array([np.nan, 1, 1, 0, 0, 1])) == [(1, 2), (5, 5)]
    assert find_spans(np.zeros(3)) == []


def test_the_summary_tells_the_episode_in_words():
    words = summarise_episode(make_episode())
    assert words.startswith("Made up </script>. The smallest gap is 5.5 m, 10.0 s after the start.")
    assert "The smallest time to collision is 1.2 s, 7.0 s after the start." in words
    assert "braking from 6.0 s on, in 11% of the steps" in words
    assert words.endswith("10 of 101 radio messages are lost.")
    episode = make_episode()
    episode.ego["gap_m"][70] = -0.04
    assert "The smallest gap is 0.0 m" in summarise_episode(episode)


def test_fifty_seconds_with_forty_cars_are_small_and_hold_no_link():
    page = player_html(make_episode(n_rows=501, n_others=38))
    assert len(page.encode()) < 1_000_000
    inside = html.unescape(re.search(r'srcdoc="([^"]*)"', page)[1])
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//|fetch\(|XMLHttpRequest|import\s", inside)
    assert inside.count("</script>") == 1


def test_a_scenario_may_be_called_like_a_place_in_the_page():
    page = player_page(replace(make_episode(), scenario="__DATA__ __SCRIPT__"))
    assert "<title>Replay of __DATA__ __SCRIPT__</title>" in page


def test_a_saved_episode_is_shown_with_a_picture_for_where_nothing_can_run(tmp_path):
    path = make_episode().save(tmp_path / "episode.npz")
    bundle = show_episode(path)._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["text/plain"] == summarise_episode(load_trajectory(path))
    assert bundle["text/html"].startswith("<iframe")
    json.dumps(bundle)


def test_the_still_picture_has_units_and_the_moment():
    figure = plot_episode(make_episode())
    labels = [axes.get_ylabel() for axes in figure.axes[1:]]
    assert labels == ["gap [m]", "TTC [s]", "speed [m/s]", "action [-]", "radio"]
    assert figure.texts[0].get_text() == "straight_road, 7.0 s after the start"
    assert all(axes.lines[-1].get_xdata()[0] == pytest.approx(7.0) for axes in figure.axes[1:])


def test_an_episode_without_radio_or_figures_is_shown_all_the_same():
    episode = make_episode()
    for values in episode.ego.values():
        values[:] = np.nan
    silent = type(episode)(**{**vars(episode), **{f"message_{name}": np.zeros(0, np.int32) for name in
                              ("sender", "sent_step", "heard_step")}})  # fmt: skip
    assert len(plot_episode(silent).axes) == 5
    assert json.loads(json.dumps(pack_episode(silent), allow_nan=False))["senders"] == []


IN_BROWSER = pytest.mark.skipif(not Path(CHROMIUM).is_file(), reason=f"no Chromium at {CHROMIUM}")


@contextmanager
def open_browser(**options):
    """An empty page of a browser."""
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 900}, **options)
        page.set_default_timeout(15_000)
        yield page
        browser.close()


@IN_BROWSER
def test_a_browser_plays_it_from_one_file_with_keys_and_mouse(tmp_path):
    (tmp_path / "page.html").write_text(f"<h1>Report</h1>{player_html(make_episode())}", encoding="utf-8")
    with open_browser() as page:
        errors, asked = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        frame = page.frame_locator("iframe")
        player, canvas = frame.locator(".player[data-ready]"), frame.locator("[data-part=canvas]")
        assert player.get_attribute("data-time") == "4.00"  # three seconds before the critical moment
        canvas.press("c")
        assert (
            frame.locator("[data-part=words]")
            .inner_text()
            .startswith(
                "7.0 s, gap 11.6 m, time to collision 1.2 s, speed 20.0 m/s, action 0.50, 1 of 1 messages heard, hazard"
            )
        )
        canvas.press("End")
        assert player.get_attribute("data-time") == "10.00"
        canvas.press(" ")  # at the end it begins again
        wait_until(lambda: 0.3 < float(player.get_attribute("data-time")) < 9)
        canvas.press(" ")
        box = canvas.bounding_box()
        page.mouse.click(box["x"] + 92 + (box["width"] - 150) / 2, box["y"] + box["height"] - 60)
        assert float(player.get_attribute("data-time")) == pytest.approx(5.0, abs=0.2)
        assert page.locator("iframe").bounding_box()["height"] < 760  # it has fitted itself
    assert errors == []
    assert all(url.startswith(("file:", "about:")) for url in asked)


@IN_BROWSER
def test_a_page_of_its_own_hears_keys_before_any_click(tmp_path):
    (tmp_path / "page.html").write_text(player_page(make_episode()), encoding="utf-8")
    with open_browser() as page:
        page.goto((tmp_path / "page.html").as_uri())
        player = page.locator(".player[data-ready]")
        assert player.get_attribute("data-time") == "4.00"
        page.keyboard.press("End")
        assert player.get_attribute("data-time") == "10.00"
        page.keyboard.press(" ")
        wait_until(lambda: 0.3 < float(player.get_attribute("data-time")) < 9)


SHADE = "() => getComputedStyle(document.body).backgroundColor"


@IN_BROWSER
def test_it_follows_a_dark_theme_of_the_browser_and_of_jupyterlab(tmp_path):
    """A frame in JupyterLab follows the page around it, whatever the browser's own theme is."""
    (tmp_path / "alone.html").write_text(player_page(make_episode()), encoding="utf-8")
    (tmp_path / "lab.html").write_text(
        f'<body data-jp-theme-light="true">{player_html(make_episode())}</body>', encoding="utf-8"
    )
    with open_browser(color_scheme="dark") as page:
        page.goto((tmp_path / "alone.html").as_uri())
        page.locator(".player[data-ready]").wait_for()
        assert page.evaluate(SHADE) == "rgb(17, 17, 17)"
        corner = page.evaluate("[...document.querySelector('canvas').getContext('2d').getImageData(2, 2, 1, 1).data]")
        assert max(corner[:3]) < 60
        page.emulate_media(color_scheme="light")
        page.wait_for_function(f"({SHADE})() === 'rgb(255, 255, 255)'")
        page.goto((tmp_path / "lab.html").as_uri())
        page.frame_locator("iframe").locator(".player[data-ready]").wait_for()
        frame = page.frames[1]
        page.emulate_media(color_scheme="dark")
        assert frame.evaluate(SHADE) == "rgb(255, 255, 255)"
        page.evaluate("document.body.dataset.jpThemeLight = 'false'")
        frame.wait_for_function("document.documentElement.dataset.theme === 'dark'")


@IN_BROWSER
def test_the_player_names_the_other_car_of_a_collision(tmp_path):
    (tmp_path / "page.html").write_text(player_page(make_episode(collides=True, was_struck=True)), encoding="utf-8")
    with open_browser() as page:
        page.goto((tmp_path / "page.html").as_uri())
        page.locator(".player[data-ready]").wait_for()
        page.locator("[data-part=critical]").click()
        words = page.locator("[data-part=words]").inner_text()
        assert words.endswith("collision: runs into the ego (car.0)")


@IN_BROWSER
def test_a_simulation_plays_at_once_but_not_for_people_who_want_no_motion(tmp_path):
    (tmp_path / "page.html").write_text(player_page(make_episode(), plays=True), encoding="utf-8")
    with open_browser() as page:
        page.goto((tmp_path / "page.html").as_uri())
        player = page.locator(".player[data-ready]")
        page.get_by_role("button", name="Pause").wait_for()
        wait_until(lambda: float(player.get_attribute("data-time")) > 0.3)
        page.emulate_media(reduced_motion="reduce")
        page.reload()
        page.get_by_role("button", name="Play").wait_for()
