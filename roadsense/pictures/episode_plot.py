"""One episode as strips over time: speeds, gap, messages heard and lost, pedals, time to collision."""

from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from roadsense.episodes.trajectory import LOST, Trajectory
from roadsense.pictures.style import BLUE, CRITICAL_TTC_S, GREY, INK, ORANGE, RED, SKY, new_grid
from roadsense.scenarios.scenario import CONVOY_ID, EGO_ID

TTC_AXIS_S = 8.0
TITLE_WIDTH = 110
"""Characters of the title that fit into a line."""


def draw_episode(trajectory: Trajectory) -> Figure:
    """Draws an episode: what the cars did, what was heard, what driver and assist asked for, how near it came."""
    figure, grid = new_grid(5, width=9.0, height=1.75, n_columns=1)
    drawers = (_draw_speeds, _draw_gap, _draw_messages, _draw_pedals, _draw_ttc)
    for axes, draw in zip(grid, drawers, strict=True):
        draw(axes, trajectory)
        _shade_hazard(axes, trajectory)
        axes.set_xlim(0, trajectory.time_s[-1])
        if len(axes.get_legend_handles_labels()[1]):
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    grid[-1].set_xlabel("time [s]; shaded: hazard active")
    figure.suptitle("\n".join(wrap(trajectory.description, TITLE_WIDTH)), fontsize=9.5, x=0.01, ha="left")
    return figure


def convoy_of(trajectory: Trajectory) -> list[int]:
    """Returns the places of the convoy's cars in `vehicle_ids`, the ego first, going forward."""
    cars = sorted((name, place) for place, name in enumerate(trajectory.vehicle_ids) if CONVOY_ID.fullmatch(name))
    return [place for _, place in cars]


def _draw_speeds(axes: Axes, trajectory: Trajectory) -> None:
    for place in convoy_of(trajectory)[::-1]:
        name = trajectory.vehicle_ids[place]
        is_ego = name == EGO_ID
        color = BLUE if is_ego else GREY
        axes.plot(
            trajectory.time_s, trajectory.speed_mps[:, place], color=color, linewidth=2.0 if is_ego else 1.0,
            label="ego" if is_ego else "cars ahead" if name == "V002" else None,
        )  # fmt: skip
    axes.set_ylabel("speed [m/s]")


def _draw_gap(axes: Axes, trajectory: Trajectory) -> None:
    gap_m = np.where(np.isfinite(trajectory.ego["gap_m"]), trajectory.ego["gap_m"], np.nan)
    axes.plot(trajectory.time_s, gap_m, color=BLUE, label="gap")
    axes.axhline(0, color=RED, linewidth=0.8)
    axes.set_ylabel("gap [m]")


def _draw_messages(axes: Axes, trajectory: Trajectory) -> None:
    senders = sorted(set(trajectory.message_sender.tolist()), key=lambda place: trajectory.vehicle_ids[place])
    lost = trajectory.message_heard_step == LOST
    for height, sender in enumerate(senders):
        own = trajectory.message_sender == sender
        for chosen, color, label in ((own & ~lost, SKY, "heard"), (own & lost, RED, "lost")):
            at_s = trajectory.message_sent_step[chosen] * trajectory.step_length_s
            axes.plot(at_s, np.full(len(at_s), height), "|", color=color, markersize=8, label=None if height else label)
    axes.set_yticks(range(len(senders)), [trajectory.vehicle_ids[sender] for sender in senders])
    axes.set_ylim(-0.7, max(len(senders) - 0.3, 0.7))
    axes.set_ylabel("messages")


def _draw_pedals(axes: Axes, trajectory: Trajectory) -> None:
    ego, time_s = trajectory.ego, trajectory.time_s
    axes.plot(time_s, ego["driver_mps2"], color=GREY, linewidth=1.2, label="driver asks")
    axes.plot(time_s, -ego["assist_mps2"], color=ORANGE, linewidth=1.6, label="assist asks\n(the action)")
    axes.plot(time_s, ego["acceleration_mps2"], color=BLUE, linewidth=1.2, label="car does")
    axes.set_ylabel("acceleration [m/s2]")


def _draw_ttc(axes: Axes, trajectory: Trajectory) -> None:
    ttc_s = np.minimum(np.nan_to_num(trajectory.ego["ttc_s"], nan=TTC_AXIS_S, posinf=TTC_AXIS_S), TTC_AXIS_S)
    axes.fill_between(trajectory.time_s, ttc_s, TTC_AXIS_S, color=RED, alpha=0.35, linewidth=0, step="mid")
    axes.axhline(CRITICAL_TTC_S, color=INK, linewidth=0.8)
    axes.set_ylim(0, TTC_AXIS_S)
    axes.set_ylabel("time to\ncollision [s]")


def _shade_hazard(axes: Axes, trajectory: Trajectory) -> None:
    active = np.nan_to_num(trajectory.ego["hazard_active"]) > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(int), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        axes.axvspan(
            first * trajectory.step_length_s, last * trajectory.step_length_s, color=ORANGE, alpha=0.12, linewidth=0
        )
