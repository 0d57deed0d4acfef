"""Videos of recorded episodes: the frames of `roadsense.envs.frames`, one for each step, at the speed of real time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from roadsense.envs.frames.camera import Film
from roadsense.envs.frames.canvas import Frame
from roadsense.envs.frames.moment import Car, Moment
from roadsense.episodes.trajectory import Trajectory
from roadsense.errors import InputError
from roadsense.scenarios.road_shape import RoadShape
from roadsense.utils.scratch import scratch_folder

MP4, GIF = ".mp4", ".gif"
GIF_COLOURS = 64


def write_video(trajectory: Trajectory, path: Path, start_s: float = 0.0, end_s: float | None = None) -> Path:
    """Writes a video of an episode, completely or not at all; returns its path.

    Args:
        trajectory: the episode.
        path: new file; `.mp4` needs the packages of `roadsense[video]`, `.gif` none.
        start_s: time of the first frame since the episode's start, from 0.
        end_s: time of the last frame; None for the end of the episode.

    Raises:
        InputError: for another kind of file, an empty span, or if the packages are missing.
    """
    if path.suffix not in (MP4, GIF):
        raise InputError(f"Expected a video that ends in {MP4} or {GIF}, got {path}.")
    frames = draw_frames(trajectory, start_s, end_s)
    fps = 1 / trajectory.step_length_s
    with scratch_folder(".video.", path.resolve().parent) as folder:
        waiting = folder / path.name
        _write_gif(waiting, frames, fps) if path.suffix == GIF else _write_mp4(waiting, frames, fps)
        waiting.rename(path)
    return path


def draw_frames(trajectory: Trajectory, start_s: float = 0.0, end_s: float | None = None) -> Iterator[Frame]:
    """Yields the frame of each step in a span of time, (height, width, 3).

    Raises:
        InputError: if there is no step in the span.
    """
    end_s = trajectory.time_s[-1] if end_s is None else end_s
    shown = (trajectory.time_s >= start_s - 1e-6) & (trajectory.time_s <= end_s + 1e-6)
    if not shown.any():
        raise InputError(f"Expected a span within 0 and {trajectory.time_s[-1]:.1f} s, got {start_s:g} to {end_s:g} s.")
    road = RoadShape(trajectory.lanes, trajectory.lane_width_m, trajectory.junctions)
    film = Film(road, trajectory.scenario, float(trajectory.time_s[-1]), trajectory.step_length_s)
    return _film(film, trajectory, shown.tolist())


def _film(film: Film, trajectory: Trajectory, shown: list[bool]) -> Iterator[Frame]:
    for row, is_shown in enumerate(shown):
        film.add(_moment(trajectory, row))
        if is_shown:
            yield film.draw()


def _moment(trajectory: Trajectory, row: int) -> Moment:
    here = np.flatnonzero(np.isfinite(trajectory.x_m[row])).tolist()
    states = (trajectory.x_m, trajectory.y_m, trajectory.heading_rad, trajectory.speed_mps)
    sizes = (trajectory.vehicle_length_m, trajectory.vehicle_width_m)
    names = trajectory.vehicle_ids
    cars = tuple(
        Car(names[i], *(float(one[row, i]) for one in states), *(float(one[i]) for one in sizes)) for i in here
    )
    sent = np.flatnonzero(trajectory.message_sent_step == row).tolist()
    messages = tuple((names[trajectory.message_sender[k]], bool(trajectory.message_heard_step[k] >= 0)) for k in sent)
    figures = {name: float(values[row]) for name, values in trajectory.ego.items()}
    flags = {name: figures[name] > 0 for name in ("hazard_active", "collision")}  # NaN in the first row
    return Moment(cars, messages, figures | flags)


def _write_gif(path: Path, frames: Iterator[Frame], fps: float) -> None:
    """Writes a GIF that repeats; all frames have the colours of the last one, which shows the most."""
    images = [Image.fromarray(frame) for frame in frames]
    palette = images[-1].quantize(GIF_COLOURS, dither=Image.Dither.NONE)
    first, *others = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images)
    first.save(path, save_all=True, append_images=others, duration=round(1000 / fps), loop=0, optimize=True)


def _write_mp4(path: Path, frames: Iterator[Frame], fps: float) -> None:
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg as _encoder  # noqa: F401
    except ImportError as error:
        raise InputError(f"Writing {path.name} needs imageio ({error}). Install `roadsense[video]`.") from error
    imageio.mimwrite(path, list(frames), fps=fps, quality=8)
