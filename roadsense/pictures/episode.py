"""The still picture of an episode: the road at its critical moment, and the ego's figures over time."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from roadsense.episodes.score import CRITICAL_TTC_S
from roadsense.episodes.trajectory import LOST, Trajectory
from roadsense.pictures.player import GAP_AXIS_M, find_critical_row, find_spans
from roadsense.pictures.road import ASPHALT, GROUND
from roadsense.pictures.style import BLUE, GREY, INK, RED, TTC_AXIS_S, clean_axes
from roadsense.pictures.vehicles import DrawnVehicle, draw_vehicles, find_convoy_box
from roadsense.scenarios.scenario import CONVOY_ID

WIDTH_IN, ROAD_IN, STRIP_IN, TITLE_IN = 9.6, 2.0, 0.72, 0.36
POINTS_PER_IN = 72.0


def plot_episode(trajectory: Trajectory) -> Figure:
    """Draws an episode: the road at the critical moment, and below it gap, TTC, speed, action and radio over time."""
    senders = [i for i in np.unique(trajectory.message_sender) if CONVOY_ID.fullmatch(trajectory.vehicle_ids[i])]
    n_strips = 4 + bool(senders)
    height = TITLE_IN + ROAD_IN + n_strips * STRIP_IN + 0.55
    figure = Figure(figsize=(WIDTH_IN, height), facecolor="white")
    row = find_critical_row(trajectory)
    road = figure.add_axes((0.0, 1 - (TITLE_IN + ROAD_IN) / height, 1.0, ROAD_IN / height))
    _draw_road(road, trajectory, row)
    title = f"{trajectory.scenario}, {trajectory.time_s[row]:.1f} s after the start"
    figure.text(0.012, 1 - TITLE_IN / 2 / height, title, fontsize=11, fontweight="bold", color=INK, va="center")
    strips = []
    for place in range(n_strips):
        bottom = 0.45 + (n_strips - 1 - place) * STRIP_IN
        strips.append(figure.add_axes((0.1, bottom / height, 0.87, 0.8 * STRIP_IN / height)))
    _draw_figures(strips[:4], trajectory)
    if senders:
        _draw_radio(strips[4], trajectory, senders)
    for axes in strips:
        axes.axvline(float(trajectory.time_s[row]), color=INK, linewidth=0.9)
        axes.set_xlim(0, max(float(trajectory.time_s[-1]), trajectory.step_length_s))
        axes.tick_params(labelbottom=axes is strips[-1])
    strips[-1].set_xlabel("time [s]; vertical line: the moment above; shaded: hazard; dashed: the leader's speed")
    return figure


def _draw_road(axes: Axes, trajectory: Trajectory, row: int) -> None:
    cars = [_vehicle(trajectory, row, i) for i in np.flatnonzero(np.isfinite(trajectory.x_m[row])).tolist()]
    box = find_convoy_box(cars, ROAD_IN / WIDTH_IN) if cars else Rectangle((0, 0), 1, ROAD_IN / WIDTH_IN)
    (x0, y0), (x1, y1) = box.get_bbox().get_points()
    scale = WIDTH_IN * POINTS_PER_IN / (x1 - x0)  # points per metre
    widths = [scale * float(width) for width in trajectory.lane_width_m]
    for colour, more in (("#c7cbc8", 1.0), (ASPHALT, -0.6)):
        own = [width + more for width in widths]
        axes.add_collection(LineCollection(list(trajectory.lanes), colors=colour, linewidths=own, capstyle="butt"))
    axes.add_collection(PolyCollection(list(trajectory.junctions), facecolor=ASPHALT, edgecolor=ASPHALT))
    axes.set(xlim=(x0, x1), ylim=(y0, y1), xticks=[], yticks=[], aspect="equal", facecolor=GROUND)
    axes.spines[:].set_visible(False)
    draw_vehicles(axes, cars, top_mps=max(float(np.nanmax(trajectory.speed_mps, initial=1.0)), 1.0), scale=1.25)


def _vehicle(trajectory: Trajectory, row: int, index: int) -> DrawnVehicle:
    return DrawnVehicle(
        trajectory.vehicle_ids[index],
        float(trajectory.x_m[row, index]),
        float(trajectory.y_m[row, index]),
        90.0 - float(np.degrees(trajectory.heading_rad[row, index])),
        float(trajectory.speed_mps[row, index]),
        float(trajectory.vehicle_length_m[index]),
        float(trajectory.vehicle_width_m[index]),
    )


def _draw_figures(strips: list[Axes], trajectory: Trajectory) -> None:
    ego, times = trajectory.ego, trajectory.time_s
    for axes in strips:
        clean_axes(axes)
        for first, last in find_spans(ego["hazard_active"]):
            axes.axvspan(times[first], times[last], color=RED, alpha=0.13, linewidth=0)
    gap, ttc, speed, action = strips
    gap.plot(times, _within(ego["gap_m"], GAP_AXIS_M), color=BLUE)
    gap.set(ylabel="gap [m]", ylim=(0, GAP_AXIS_M))
    ttc.plot(times, _within(ego["ttc_s"], TTC_AXIS_S), color=BLUE)
    ttc.axhline(CRITICAL_TTC_S, color=RED, linewidth=0.8, linestyle=(0, (2, 2)))
    ttc.set(ylabel="TTC [s]", ylim=(0, TTC_AXIS_S))
    speed.plot(times, ego["leader_speed_mps"], color=GREY, linestyle="--", linewidth=1.1)
    speed.plot(times, ego["speed_mps"], color=BLUE)
    speed.set(ylabel="speed [m/s]", ylim=(0, None))
    action.plot(times, ego["action"], color=RED)
    action.set(ylabel="action [-]", ylim=(0, 1.02))
    for axes in strips:
        axes.yaxis.label.set_fontsize(8)


def _within(values: NDArray[np.float32], high: float) -> NDArray[np.float32]:
    return np.where(values <= high, values, np.nan)  # larger values are outside the frame


def _draw_radio(axes: Axes, trajectory: Trajectory, senders: list[int]) -> None:
    clean_axes(axes)
    axes.grid(visible=False)
    sent_s = trajectory.message_sent_step * trajectory.step_length_s
    for place, sender in enumerate(senders):
        own = trajectory.message_sender == sender
        lost = own & (trajectory.message_heard_step == LOST)
        axes.plot(sent_s[own & ~lost], np.full((own & ~lost).sum(), place), "|", color=BLUE, markersize=4)
        axes.plot(sent_s[lost], np.full(lost.sum(), place), "_", color=RED, markersize=4, markeredgewidth=1.6)
    names = [f"car {trajectory.vehicle_ids[i].lstrip('V0')}" for i in senders]
    axes.set_yticks(range(len(senders)), names, fontsize=6.5)
    axes.set(ylim=(len(senders) - 0.4, -0.6))
    axes.set_ylabel("radio", fontsize=8)
    axes.text(1.0, 1.02, "| heard  _ lost", transform=axes.transAxes, fontsize=7, color=INK, ha="right", va="bottom")
