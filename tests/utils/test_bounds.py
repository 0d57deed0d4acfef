"""Numbers of settings are checked against the bounds beside them, and none is NaN."""

import dataclasses
import math

import pytest

from roadsense.envs.config import EnvConfig, RewardWeights
from roadsense.envs.driver_profile import DriverRanges
from roadsense.envs.hazard import HazardRanges
from roadsense.envs.radio.presets import ESP_NOW, V2vPreset
from roadsense.errors import InputError
from roadsense.utils.bounds import bounded, check_bounds


@dataclasses.dataclass(frozen=True)
class Settings:
    count: int = bounded(1, 1, 10)
    share: float = bounded(0.5, 0.0, 1.0)
    free: float = 0.0


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"count": 11}, {"count": 2.5}, {"count": True}, {"share": 1.1}, {"share": "one"},
              {"share": math.nan}, {"free": math.nan}], ids=str
)  # fmt: skip
def test_what_is_out_of_bounds_is_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        check_bounds(Settings(**wrong))


def test_both_ends_are_allowed_and_a_whole_number_is_a_number():
    for right in ({"count": 1}, {"count": 10}, {"share": 0}, {"share": 1.0}, {"free": math.inf}):
        check_bounds(Settings(**right))


@pytest.mark.parametrize("kind", [EnvConfig, DriverRanges, HazardRanges, V2vPreset, RewardWeights])
def test_no_number_of_the_environment_may_be_nan(kind):
    required = dataclasses.asdict(ESP_NOW) if kind is V2vPreset else {}
    for each in dataclasses.fields(kind):
        if each.type is float:
            with pytest.raises(InputError, match="nan"):
                kind(**{**required, each.name: math.nan})


def test_a_radio_that_would_never_send_is_refused():
    with pytest.raises(InputError, match="latency_mean_s to be a number from 0 to 10"):
        dataclasses.replace(ESP_NOW, latency_mean_s=1e12)
