"""An observation that cannot be right brakes nobody and is counted, whoever drives."""

import shutil

import numpy as np
import pytest

from roadsense.envs.observation import BOUND, Observation
from roadsense.errors import InputError
from roadsense.exporting.convert import convert_float32
from roadsense.exporting.micro import MicroPolicy
from roadsense.policies.actor import read_actor
from roadsense.policies.actor_policy import NumpyActor
from roadsense.policies.guard import refused
from roadsense.policies.rules import BASELINES, AlwaysBrake, Unassisted
from roadsense.policies.tflite import TflitePolicy
from roadsense.policies.trained import Sb3Policy
from roadsense.utils.files import record_sum
from roadsense.utils.side_process import side_processes
from tests.exporting.models import DEEP_SETS, build_ppo, draw

WRONG = {
    "NaN in ego": ("ego", (0, 0), np.nan),
    "infinite speed": ("ego", (0, 0), np.inf),
    "beyond the bounds": ("peers", (0, 0, 0), np.float32(BOUND * 1.01)),
    "below the bounds": ("peers", (0, 7, 5), -np.inf),
    "NaN in a place that is not heard": ("peers", (0, 7, 0), np.nan),
    "NaN in the mask": ("peer_mask", (0, 0), np.nan),
    "negative mask": ("peer_mask", (0, 0), -1.0),
    "mask of 2": ("peer_mask", (0, 0), 2.0),
    "half a mask": ("peer_mask", (0, 0), 0.5),
}


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    """Everybody who reads observations; the trained ones brake all the time."""
    model = build_ppo(**DEEP_SETS)
    model.policy.action_net.bias.data.fill_(50.0)
    actor = read_actor(model)
    path = tmp_path_factory.mktemp("policies") / "policy.tflite"
    with side_processes("conversion") as (converter,):
        path.write_bytes(converter.take(converter.start(convert_float32, actor)))
    micro = MicroPolicy(path, TflitePolicy(path).input_names)
    rules = {name: rule for name, rule in BASELINES.items() if not isinstance(rule, AlwaysBrake | Unassisted)}
    return {
        **rules,
        "numpy": NumpyActor(actor),
        "sb3": Sb3Policy(path, model),
        "tflite": TflitePolicy(path),
        "micro": micro,
    }


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_right_is_answered_with_0_and_counted(policies, name):
    part, place, value = WRONG[name]
    for policy in policies.values():
        good = draw(3)
        wrong = Observation(**{key: values.copy() for key, values in good.items()})
        wrong[part][place] = value
        before = refused[type(policy).__name__]
        actions = policy(wrong)
        assert actions[0, 0] == 0
        np.testing.assert_array_equal(actions[1:], policy(good)[1:])
        assert refused[type(policy).__name__] == before + 1


def test_an_export_that_was_changed_since_it_was_made_is_refused(policies, tmp_path):
    path = shutil.copy(policies["tflite"].path, tmp_path / "policy.tflite")
    record_sum(path)
    assert (TflitePolicy(path)(draw(3)) == 1).all()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="changed since"):
        TflitePolicy(path)


def test_what_is_right_is_acted_on(policies):
    for name in ("numpy", "sb3", "tflite", "micro"):
        assert (policies[name](draw(20)) == 1).all()


def test_without_the_guard_the_kernels_of_a_microcontroller_brake_on_nan(policies):
    broken = draw(1)
    broken["ego"][0, 0] = np.nan
    assert MicroPolicy.__call__.__wrapped__(policies["micro"], broken) == 1
    assert policies["micro"](broken) == 0
