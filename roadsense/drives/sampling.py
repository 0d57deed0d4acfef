"""What the ego of a drive, and of a training's episodes, drove, sensed and heard, quantity by quantity."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadsense.drives.drive import Drive
from roadsense.drives.motion import follow_cars, smooth
from roadsense.drives.steps import Steps, make_steps
from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, PEER_FIELDS, PEER_SCALE, Observation, split_observation
from roadsense.envs.radio.presets import DISTANCE_EDGES_M
from roadsense.episodes.drive import drive as drive_episode
from roadsense.policies.rules import Unassisted
from roadsense.scenarios.scenario import find_scenarios
from roadsense.utils.progress import SHORT_S, progress_bar
from roadsense.utils.workspace import find_file

Floats = NDArray[np.float64]
Samples = dict[str, Floats]

STANDING_MPS, MOVING_MPS = 0.3, 3.0
LEAST_MESSAGES = 20
"""A loss from fewer messages is not reported."""
BANDS = ("0 to 20 m", "20 to 50 m", "50 to 100 m", "beyond 100 m")


def sample_drive(drive: Drive) -> Samples:
    """Returns what the ego of a drive drove, sensed and heard, by quantity."""
    steps = make_steps(drive)
    found = _sample_rows(split_observation(steps.observations[steps.is_judged]))
    moving, standing = steps.states[:, 2] > MOVING_MPS, steps.states[:, 2] < STANDING_MPS
    noise = _noise(steps.states[:, 3])
    found["acceleration noise, standing"] = noise[standing & steps.is_judged]
    found["acceleration noise, moving"] = noise[moving & steps.is_judged]
    found["acceleration noise, heard"] = _heard_noise(drive)
    if drive.n_ahead:
        leader = next(iter(follow_cars(drive, steps).values()))
        ahead = steps.is_judged & (leader.gap_m > 0)
        found["gap"] = leader.gap_m[ahead]
        found["leader's relative speed"] = (leader.speed_mps - steps.states[:, 2])[ahead]
    found |= _where_heard(drive, steps)
    return found | _loss(*count_messages(drive, steps))


def sample_training(dataset: Path, env_config: EnvConfig, episodes: int, seed: int) -> Samples:
    """Returns what the ego of a training's episodes drove, sensed and heard, by quantity; the driver alone drives.

    It opens its own simulation: call it in a process without one.

    Args:
        dataset: folder of scenarios, or of a dataset, whose train scenarios are driven then.
        env_config: settings of the environment.
        episodes: number of episodes.
        seed: seed of the first one.

    Raises:
        ScenarioError: if the dataset has no scenarios.
    """
    folder = find_file(dataset)
    folder = folder / "train" if (folder / "train").is_dir() else folder
    parts: list[Samples] = []
    bar = progress_bar(episodes, "driving", "episode", SHORT_S)
    with bar, ConvoyEnv(find_scenarios(folder), config=env_config) as env:
        for episode in range(episodes):
            parts.append(_sample_episode(env, seed + episode))
            bar.update()
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}


def count_messages(drive: Drive, steps: Steps) -> tuple[Floats, NDArray[np.bool_]]:
    """Returns distance and delivery of each message of the cars that logged what they sent."""
    distances, delivered = [np.zeros(0)], [np.zeros(0, bool)]
    for place, car in enumerate(drive.peers):
        log = drive.sensors.get(car)
        if log is None:
            continue
        own = (
            np.interp(log.time_s, steps.time_s, steps.states[:, 0]),
            np.interp(log.time_s, steps.time_s, steps.states[:, 1]),
        )
        away_m = np.hypot(log.x_m - own[0], log.y_m - own[1])
        within = np.isfinite(away_m) & (log.time_s >= 0) & (log.time_s <= drive.duration_s)
        distances.append(away_m[within])
        delivered.append(np.isin(log.key, drive.heard.of(place).key)[within])
    return np.concatenate(distances), np.concatenate(delivered)


def _sample_rows(observation: Observation) -> Samples:
    ego, peers = observation["ego"] * EGO_SCALE, observation["peers"] * PEER_SCALE
    heard = observation["peer_mask"] > 0
    column = {name: place for place, name in enumerate(EGO_FIELDS)}
    return {
        "speed": ego[:, column["speed_mps"]],
        "own braking": np.maximum(-ego[:, column["acceleration_mps2"]], 0.0),
        "message age": peers[..., PEER_FIELDS.index("age_s")][heard],
        "cars heard": heard.sum(axis=1).astype(float),
    }


def _where_heard(drive: Drive, steps: Steps) -> Samples:
    """Returns how far ahead, beside (within 10 m) and behind the ego senders were when they were heard."""
    heard = drive.heard
    at = np.clip(np.searchsorted(steps.time_s, heard.heard_s), 0, len(steps) - 1)
    dx, dy = heard.x_m - steps.states[at, 0], heard.y_m - steps.states[at, 1]
    return _split_ways(dx, dy, steps.states[at, 4])


def _split_ways(dx: Floats, dy: Floats, heading_rad: Floats) -> Samples:
    forward = dx * np.cos(heading_rad) + dy * np.sin(heading_rad)
    forward = forward[np.isfinite(forward)]
    beside = np.abs(forward) <= 10.0
    return {
        "heard ahead": forward[~beside & (forward > 0)],
        "heard beside": np.abs(forward[beside]),
        "heard behind": -forward[~beside & (forward < 0)],
    }


def _sample_episode(env: ConvoyEnv, seed: int) -> Samples:
    observation, _ = env.reset(seed=seed)
    rows, gaps, relative, ways, away, delivered = [], [], [], [], [], []
    for step in drive_episode(env, Unassisted(), observation):
        rows.append(step.observation)
        if "gap_m" not in step.info:
            break
        if np.isfinite(step.info["gap_m"]):
            gaps.append(step.info["gap_m"])
            relative.append(step.info["leader_speed_mps"] - step.info["speed_mps"])
        snapshot = env.snapshot()
        own = snapshot.states["V001"]
        for car, heard_step in snapshot.messages:
            x_m, y_m = snapshot.states[car][:2]
            away.append(np.hypot(x_m - own[0], y_m - own[1]))
            delivered.append(heard_step >= 0)
            if heard_step >= 0:
                ways.append((x_m - own[0], y_m - own[1], own[4]))
    seen = Observation(**{name: np.concatenate([row[name] for row in rows]) for name in ("ego", "peers", "peer_mask")})  # type: ignore[typeddict-item]
    found = _sample_rows(seen)
    ego = seen["ego"] * EGO_SCALE
    speed, noise = ego[:, 0], _noise(ego[:, 1])
    found["acceleration noise, standing"], found["acceleration noise, moving"] = (
        noise[speed < STANDING_MPS],
        noise[speed > MOVING_MPS],
    )
    found["acceleration noise, heard"] = _peer_noise(seen, speed)
    found |= {"gap": np.array(gaps), "leader's relative speed": np.array(relative)}
    if ways:
        found |= _split_ways(*np.array(ways).T)
    return found | _loss(np.array(away), np.array(delivered, bool))


def _noise(acceleration_mps2: Floats) -> Floats:
    """Returns how far each acceleration is from the mean over half a second around it."""
    return np.abs(acceleration_mps2 - smooth(acceleration_mps2))


def _peer_noise(seen: Observation, speed: Floats) -> Floats:
    first = (seen["peers"][:, 0] * PEER_SCALE)[:, PEER_FIELDS.index("acceleration_mps2")]
    heard = (seen["peer_mask"][:, 0] > 0) & (speed > MOVING_MPS)
    return _noise(np.where(heard, first, np.nan))[heard]


def _heard_noise(drive: Drive) -> Floats:
    parts = [np.zeros(0)]
    for place in range(len(drive.peers)):
        messages = drive.heard.of(place)
        parts.append(_noise(messages.acceleration_mps2)[messages.speed_mps > MOVING_MPS])
    return np.concatenate(parts)


def _loss(away_m: Floats, delivered: NDArray[np.bool_]) -> Samples:
    band = np.searchsorted(DISTANCE_EDGES_M, away_m, side="right")
    found = {}
    for number, name in enumerate(BANDS):
        within = (band == number) & (away_m < 300.0)
        if within.sum() >= LEAST_MESSAGES:
            found[f"loss {name}"] = np.array([1.0 - delivered[within].mean()])
    return found
