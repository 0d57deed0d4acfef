"""A policy is seen at the wheel: in the player and in a video, whatever policy it is."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadsense.cli import main
from roadsense.envs.frames.camera import HEIGHT, WIDTH_PX
from roadsense.episodes.plan import Plan
from roadsense.episodes.record import record_trajectory
from roadsense.errors import InputError
from roadsense.evaluation.enjoy import EnjoyConfig, enjoy
from roadsense.pictures.video import draw_frames, write_video
from roadsense.policies.rules import BASELINES

WATCH = """
import sys
from roadsense.cli import main
from roadsense.envs.sumo.over_socket import VIEW, TraciBackend

advance = TraciBackend.advance
def watched(backend, time_s):
    advance(backend, time_s)
    if time_s == 0.0 and backend.ask("gui.getTrackedVehicle", VIEW):
        print(backend.ask("gui.getTrackedVehicle", VIEW))
TraciBackend.advance = watched
sys.exit(main(sys.argv[1:]))
"""
"""Runs a command and prints which car SUMO's window follows in each step."""


@pytest.fixture(scope="module")
def scenario(small_dataset):
    return next((small_dataset.folder / "eval").rglob("*.sumocfg"))


@pytest.fixture(scope="module")
def episode(scenario):
    from roadsense.envs.config import EnvConfig

    return record_trajectory(Plan("rule", scenario, 1, True), BASELINES["cautious_rule"], EnvConfig(n_steps=12))


def test_a_gif_plays_every_step_of_its_span(episode, tmp_path):
    path = write_video(episode, tmp_path / "a.gif", 0.5, 1.0)
    frames = list(draw_frames(episode, 0.5, 1.0))
    with Image.open(path) as gif:
        assert (gif.n_frames, gif.size, gif.info["duration"], gif.info["loop"]) == (6, (WIDTH_PX, HEIGHT), 100, 0)
        for number, frame in enumerate(frames):
            gif.seek(number)
            assert np.abs(np.asarray(gif.convert("RGB")).astype(int) - frame).mean() < 4
    assert [one.name for one in tmp_path.iterdir()] == ["a.gif"]


def test_an_mp4_has_every_step(episode, tmp_path):
    imageio = pytest.importorskip("imageio.v2")
    pytest.importorskip("imageio_ffmpeg")
    reader = imageio.get_reader(write_video(episode, tmp_path / "a.mp4"))
    assert sum(1 for _ in reader) == episode.n_rows
    assert reader.get_meta_data()["fps"] == 10


def test_a_span_outside_the_episode_is_refused(episode, tmp_path):
    with pytest.raises(InputError, match=r"within 0 and 1\.2 s"):
        write_video(episode, tmp_path / "a.gif", 5.0)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_player_and_video(scenario, tmp_path, capsys):
    files = {"video": tmp_path / "a.gif", "html": tmp_path / "a.html"}
    words = [f"--{name}={path}" for name, path in files.items()]
    words += ["--scenario", str(scenario), "--episode_steps=10", "--end_s=0.3"]
    assert main(["enjoy", "heard_drac_rule", *words]) == 0
    printed = capsys.readouterr().out
    assert "heard_drac_rule: drives 1.0 s" in printed
    assert all(str(path) in printed for path in files.values())
    assert "play(document" in files["html"].read_text()
    assert main(["enjoy", "heard_drac_rule", *words]) == 2
    assert "there already" in capsys.readouterr().err


def test_without_a_choice_the_player_is_written_and_nothing_overwritten(scenario, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = EnjoyConfig("unassisted", str(scenario), episode_steps=5)
    pages = [enjoy(config) for _ in range(2)]
    stem = f"unassisted_{scenario.parent.name}_0"
    assert pages == [[Path(f"runs/enjoy/{stem}.html")], [Path(f"runs/enjoy/{stem}_2.html")]]


@pytest.mark.parametrize("display", ["", ":7777"])
def test_without_a_screen_the_window_is_refused_with_what_works(scenario, monkeypatch, display):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(InputError, match="--html or --video"):
        enjoy(EnjoyConfig("unassisted", str(scenario), episode_steps=5, gui=True))


def test_with_a_screen_the_window_shows_the_episode(scenario, tmp_path):
    if shutil.which("xvfb-run") is None:
        pytest.skip("no xvfb-run on this machine")
    words = ["enjoy", "unassisted", "--gui", "--scenario", str(scenario), "--episode_steps=5"]
    command = ["xvfb-run", "-a", sys.executable, "-c", WATCH, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, set(done.stdout.split())) == (0, {"V001"}), done.stderr
    assert len(done.stdout.split()) >= 5


@pytest.mark.parametrize("wrong", [{"video": Path("a.avi")}, {"html": Path("a.txt")}, {"episode_steps": 0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InputError, match="xpected"):
        EnjoyConfig(**wrong)
