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
from roadsense.policies.tflite import TflitePolicy
TflitePolicy(sys.argv[1])
print({"torch", "tensorflow"} & set(sys.modules))
"""


@pytest.fixture(scope="module")
def policy():
    pytest.importorskip("ai_edge_litert")
    from roadsense.policies.tflite import TflitePolicy

    return TflitePolicy(FOLDER / "policy.tflite")


def test_it_acts_as_in_pytorch(policy):
    with np.load(FOLDER / "driven.npz") as driven:
        observation = {name: driven[name] for name in ("ego", "peers", "peer_mask")}
        expected = driven["action"]
    assert expected.std() > 0.1
    np.testing.assert_allclose(policy(observation), expected, atol=TOLERANCE)


def test_a_file_that_gives_no_action_is_told_from_a_policy(tmp_path):
    flatbuffers = pytest.importorskip("flatbuffers")
    from ai_edge_litert import schema_py_generated as schema

    from roadsense.errors import InputError
    from roadsense.policies.tflite import TflitePolicy

    model = schema.ModelT.InitFromPackedBuf((FOLDER / "policy.tflite").read_bytes(), 0)
    for tensor in model.subgraphs[0].tensors:
        buffer = model.buffers[tensor.buffer]
        if tensor.type == schema.TensorType.FLOAT32 and buffer.data is not None and len(buffer.data):
            buffer.data = np.full(len(buffer.data) // 4, np.nan, np.float32).view(np.uint8)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "other.tflite").write_bytes(builder.Output())
    with np.load(FOLDER / "driven.npz") as driven:
        observation = {name: driven[name] for name in ("ego", "peers", "peer_mask")}
    with pytest.raises(InputError, match="expected actions from 0 to 1, got nan"):
        TflitePolicy(tmp_path / "other.tflite")(observation)


def test_opening_it_imports_nothing_that_learns(policy):
    words = [sys.executable, "-c", CODE, str(policy.path)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == "set()"
