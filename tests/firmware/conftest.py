"""The skeleton around a policy that spreads its actions, built for this machine."""

import pytest

from roadsense.exporting.c_source import write_skeleton
from roadsense.policies.actor import read_actor
from roadsense.policies.actor_policy import NumpyActor
from tests.exporting.models import MODELS
from tests.exporting.test_c_policy import write_tested_sources
from tests.firmware.host import COMPILER, build_firmware


@pytest.fixture(scope="session")
def policy():
    return NumpyActor(read_actor(MODELS["ppo_sees_ego"]()))


@pytest.fixture(scope="session")
def export_folder(tmp_path_factory):
    folder = write_tested_sources(tmp_path_factory.mktemp("firmware"))
    write_skeleton(folder)
    return folder


@pytest.fixture(scope="session")
def firmware(export_folder, tmp_path_factory):
    if COMPILER is None:
        pytest.skip("no C compiler on this machine")
    return build_firmware(export_folder, tmp_path_factory.mktemp("program") / "program")
