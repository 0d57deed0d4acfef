"""A made-up episode for the tests: nothing of it comes from SUMO, so every number is known."""

import numpy as np

from roadsense.episodes.trajectory import EGO_SERIES, LOST, Trajectory

STEP_S = 0.1


def make_episode(n_rows=101, n_others=3, collides=False, was_struck=False):
    """A convoy of two and some traffic on a straight road, all at 20 m/s; the leader brakes from row 50 on."""
    names = ("V001", "V002", *(f"car.{place}" for place in range(n_others)))
    times = np.arange(n_rows) * STEP_S
    ahead_m = np.array([0.0, 30.0, *(100.0 + 12.0 * place for place in range(n_others))])
    x = (20.0 * times[:, None] + ahead_m).astype(np.float32)
    x[:50, 2:] = np.nan  # the traffic comes later
    flat = np.where(np.isnan(x), np.nan, 0.0).astype(np.float32)
    ego = {name: np.full(n_rows, np.nan, np.float32) for name in EGO_SERIES}
    ego["gap_m"][1:] = np.linspace(25.5, 5.5, n_rows - 1)
    ego["ttc_s"][1:] = np.inf
    ego["ttc_s"][60:71] = np.linspace(4.0, 1.2, 11)
    ego["speed_mps"][:] = ego["leader_speed_mps"][:] = 20.0
    ego["action"][1:] = 0.0
    ego["action"][60:71] = 0.5
    ego["hazard_active"][1:] = 0.0
    ego["hazard_active"][50:80] = 1.0
    ego["collision"][1:] = 0.0
    if collides:
        ego["collision"][-1] = 1.0
    sent = np.arange(n_rows, dtype=np.int32)
    heard = np.where(sent % 10 == 9, LOST, sent).astype(np.int32)
    lane = np.array([[-100.0, 0.0], [5000.0, 0.0]], np.float32)
    n = len(names)
    partner = "car.0" if was_struck else "V002"
    facts = {"outcome": {"collision_partner": partner, "was_struck": was_struck}} if collides else {}
    return Trajectory(
        "straight_road", "Made up </script>.", facts, STEP_S, names, ("car",) * n, np.full(n, 4.5, np.float32),
        np.full(n, 1.8, np.float32), x, flat.copy(), flat.copy(), flat + np.float32(20.0), ego,
        np.ones(n_rows, np.int32), sent, heard, (lane,), np.array([3.2], np.float32), (),
    )  # fmt: skip
