"""A policy that was exported once, on LiteRT alone: neither PyTorch nor TensorFlow is needed to drive with it.

`policy.tflite` is `convert_float32` of the policy in `run_of_0_1_0`, and `driven.npz` what that policy did, in PyTorch,
on 64 observations of three base scenarios, 40 of them those in which it braked hardest.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "data" / "export_of_0_1_0"
TOLERANCE = 1e-5
CODE = """
import sys
from roadsense.policies.tflite_policy import TflitePolicy
TflitePolicy(sys.argv[1])
print({"torch", "tensorflow"} & set(sys.modules))
"""


@pytest.fixture(scope="module")
def policy():
    pytest.importorskip("ai_edge_litert")
    from roadsense.policies.tflite_policy import TflitePolicy

    return TflitePolicy(FOLDER / "policy.tflite")


def test_it_acts_as_in_pytorch(policy):
    with np.load(FOLDER / "driven.npz") as driven:
        observation = {name: driven[name] for name in ("ego", "peers", "peer_mask")}
        expected = driven["action"]
    assert expected.std() > 0.1
    np.testing.assert_allclose(policy(observation), expected, atol=TOLERANCE)


def test_opening_it_imports_nothing_that_learns(policy):
    words = [sys.executable, "-c", CODE, str(policy.path)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == "set()"
