"""Recorded observations: decided by their seed, with braking and with the extremes of every field."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np

from roadsense.exporting.observations import take_rows
from roadsense.policies.rules import HeardBrakingRule
from tests.exporting.models import DEEP_SETS, build_ppo, draw

BASES = Path(__file__).parents[2] / "scenarios" / "base"
RECORD = """
import sys
from pathlib import Path
import numpy as np
from roadsense.exporting.observations import record_observations
from roadsense.scenarios.scenario import find_scenarios
paths = find_scenarios(sys.argv[2])
for name, n, seed in (("first", 60, 3), ("second", 60, 3), ("other", 60, 4), ("many", 500, 3)):
    np.savez(Path(sys.argv[3]) / name, **record_observations(Path(sys.argv[1]), paths, n, seed))
"""


def test_the_same_seed_records_the_same_and_extremes_and_braking_are_kept(tmp_path):
    # In a process of its own: other tests may hold this one's simulation.
    model = build_ppo(**DEEP_SETS)
    model.policy.action_net.bias.data.fill_(50.0)  # it brakes all the time, which makes no hazard
    model.save(tmp_path / "model.zip")
    command = [sys.executable, "-c", RECORD, str(tmp_path / "model.zip"), str(BASES / "highway_fast"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    made = {name: dict(np.load(tmp_path / f"{name}.npz")) for name in ("first", "second", "other", "many")}
    digests = {
        name: hashlib.sha256(b"".join(part.tobytes() for part in one.values())).hexdigest()
        for name, one in made.items()
    }
    assert digests["first"] == digests["second"] != digests["other"]
    assert made["first"]["peers"].shape == (60, 8, 8)
    # Of the same episodes: what few observations hold of a field, many don't exceed.
    for name in ("ego", "peers"):
        few, many = (made[size][name].reshape(-1, made[size][name].shape[-1]) for size in ("first", "many"))
        np.testing.assert_array_equal(few.min(axis=0), many.min(axis=0))
        np.testing.assert_array_equal(few.max(axis=0), many.max(axis=0))
    assert (HeardBrakingRule()(made["many"]) > 0).mean() > 0.3
    assert not made["many"]["peers"][made["many"]["peer_mask"] == 0].any()


def test_rows_are_taken_of_every_part():
    observations = draw(10)
    some = take_rows(observations, slice(2, 5))
    assert [len(values) for values in some.values()] == [3, 3, 3]
    np.testing.assert_array_equal(take_rows(observations, np.array([4]))["ego"], observations["ego"][[4]])
