"""The golden scenes for the firmware's choice of senders try the rule, and a wrong rule fails them."""

import subprocess

import numpy as np
import pytest

from roadsense.envs.observation import MAX_PEERS
from roadsense.exporting.c_source import (
    N_SCENES,
    N_SENDERS,
    PLACES_HEADER,
    draw_scenes,
    write_observation_header,
    write_places_headers,
)
from tests.exporting.test_c_policy import COMPILER, STRICT

MAIN = '#include "golden_places.h"\nint main(void) { return (int)roadsense_test_places(); }\n'


def test_the_scenes_are_crowded_and_differ():
    cars, senders, seen = draw_scenes()
    assert (cars.shape, senders.shape) == ((N_SCENES, 5), (N_SCENES, N_SENDERS, 7))
    n_seen = seen["peer_mask"].sum(axis=1)
    assert n_seen.max() == MAX_PEERS
    assert n_seen.min() < MAX_PEERS
    assert np.isnan(senders[..., 5]).any()


@pytest.mark.skipif(COMPILER is None, reason="no C compiler on this machine")
@pytest.mark.parametrize(
    ("old", "new", "passes"),
    [
        ("", "", True),
        ("#define ROADSENSE_TURN_RAD 2.0f", "#define ROADSENSE_TURN_RAD 4.0f", False),
        ("#define ROADSENSE_ASIDE_M 6.0f", "#define ROADSENSE_ASIDE_M 60.0f", False),
        ("ahead_m <= 0.0f", "false", False),
        ("way_m < ahead_m[place - 1U]", "way_m > ahead_m[place - 1U]", False),
    ],
)
def test_the_self_test_passes_and_a_wrong_rule_fails_it(tmp_path, old, new, passes):
    sources = {**write_places_headers(), "observation.h": write_observation_header(), "main.c": MAIN}
    assert old in sources[PLACES_HEADER]
    sources[PLACES_HEADER] = sources[PLACES_HEADER].replace(old, new, 1) if old else sources[PLACES_HEADER]
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    command = [COMPILER, *STRICT, "-Wno-unused-function", tmp_path / "main.c", "-o", tmp_path / "test", "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (subprocess.run([tmp_path / "test"], check=False).returncode == 0) == passes
