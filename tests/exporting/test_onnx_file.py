"""The policy as ONNX acts as the trained one on ONNX Runtime."""

import numpy as np
import pytest

from roadsense.exporting.onnx_file import run_onnx, write_onnx
from roadsense.policies.actor import read_actor
from roadsense.policies.models import as_model_input
from tests.exporting.models import MODELS, draw

onnx = pytest.importorskip("onnx", reason="no onnx on this machine: install roadsense[onnx]")
pytest.importorskip("onnxruntime", reason="no onnxruntime on this machine: install roadsense[onnx]")


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_network_acts_as_it_was_trained(name):
    model, observations = MODELS[name](), draw(1000)
    content = write_onnx(read_actor(model))
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    expected, _ = model.predict(as_model_input(model, observations), deterministic=True)
    np.testing.assert_allclose(run_onnx(content, observations), expected, rtol=0, atol=1e-5)
    one = {key: values[:1] for key, values in observations.items()}
    np.testing.assert_allclose(run_onnx(content, one), expected[:1], rtol=0, atol=1e-5)
