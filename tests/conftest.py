"""Small real roads, built with netconvert, and a small real dataset drawn from them."""

import shutil
import signal
import subprocess
from pathlib import Path

import hypothesis
import pytest
import sumo

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset
from roadsense.scenarios.dataset import Dataset

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under `nohup` or in the background, the tests would ignore them
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes says what else the machine does, not whether it is right.
hypothesis.settings.register_profile("roadsense", deadline=None)
hypothesis.settings.load_profile("roadsense")

TYPES = """
    <vType id="ego" length="4.5" sigma="0" speedFactor="normc(1,0.02,0.9,1.1)" lcSpeedGain="0"/>
    <vType id="convoy_car" length="4.5" sigma="0.2" speedFactor="normc(1,0.02,0.9,1.1)" lcSpeedGain="0"/>
    <vType id="car" length="4.5" sigma="0.3" speedFactor="1.0" speedDev="0.1"/>
    <vType id="truck" vClass="truck" length="12" maxSpeed="25"/>
    <route id="through" edges="west east"/>
"""
FLOWS = """
    <flow id="cars" type="car" route="through" begin="0" end="100" vehsPerHour="600"
        departLane="1" departPos="0" departSpeed="desired"/>
    <flow id="trucks" type="truck" route="through" begin="0" end="100" vehsPerHour="200"
        departLane="1" departPos="1000" departSpeed="desired"/>
"""
CONFIG = """<configuration>
    <input><net-file value="network.net.xml"/><route-files value="routes.rou.xml"/></input>
    <time><begin value="0"/><end value="120"/><step-length value="0.1"/></time>
    <processing><eager-insert value="true"/></processing>
</configuration>
"""


def convoy(spacing_m: float = 40.0, n_cars: int = 3, depart_s: float = 10.0, speed: str = "20") -> str:
    """The route file's lines of a convoy whose ego is 300 m down the road."""
    return "".join(
        f'<vehicle id="V{i + 1:03d}" type="{"ego" if i == 0 else "convoy_car"}" route="through" '
        f'depart="{depart_s:.2f}" departLane="0" departPos="{300 + i * spacing_m:g}" departSpeed="{speed}"/>\n'
        for i in reversed(range(n_cars))
    )


def write_base(folder: Path, network: Path, traffic: str | None = None, config: str = CONFIG) -> Path:
    """Writes a base scenario on a network and returns the path of its `.sumocfg`."""
    folder.mkdir(parents=True)
    (folder / "network.net.xml").write_bytes(network.read_bytes())
    (folder / "routes.rou.xml").write_text(f"<routes>{TYPES}{traffic or FLOWS + convoy()}</routes>")
    (folder / "scenario.sumocfg").write_text(config)
    return folder / "scenario.sumocfg"


def build_network(folder: Path, end_m: float, speed_mps: float, oncoming: bool = False) -> Path:
    """Builds a two-lane road, `west` and `east` of a bend 1,500 m from its start; on request `-east`, `-west` too."""
    ways = {"west": "ab", "east": "bc"} | ({"-east": "cb", "-west": "ba"} if oncoming else {})
    nodes = f"<nodes><node id='a' x='0' y='0'/><node id='b' x='1500' y='0'/><node id='c' x='{end_m}' y='60'/></nodes>"
    edges = "".join(
        f"<edge id='{name}' from='{ends[0]}' to='{ends[1]}' numLanes='2' speed='{speed_mps}'/>"
        for name, ends in ways.items()
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "road.nod.xml").write_text(nodes)
    (folder / "road.edg.xml").write_text(f"<edges>{edges}</edges>")
    command = [Path(sumo.SUMO_HOME) / "bin" / "netconvert", "-n", "road.nod.xml", "-e", "road.edg.xml"]
    subprocess.run([*command, "-o", "road.net.xml"], cwd=folder, check=True, capture_output=True)
    return folder / "road.net.xml"


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_network(tmp_path_factory.mktemp("network"), 3500, 25.0)


@pytest.fixture(scope="session")
def tiny_bases(tmp_path_factory: pytest.TempPathFactory, network: Path) -> Path:
    """Two base scenarios: a fast road, and a slow one with two flows fewer."""
    folder = tmp_path_factory.mktemp("bases")
    slow = build_network(tmp_path_factory.mktemp("slow"), 2800, 14.0)
    write_base(folder / "fast_road", network)
    write_base(folder / "slow_road", slow, FLOWS.split("/>")[0] + "/>" + convoy(30.0, 4, speed="10"))
    return folder


@pytest.fixture(scope="session")
def small_config(tiny_bases: Path, tmp_path_factory: pytest.TempPathFactory) -> GenConfig:
    output_dir = tmp_path_factory.mktemp("small") / "dataset"
    return GenConfig(tiny_bases, output_dir, seed=0, n_train=4, n_eval=2, workers=2)


@pytest.fixture(scope="session")
def small_dataset(small_config: GenConfig) -> Dataset:
    """Four train and two eval scenarios. Tests that change files copy the folder first."""
    return generate_dataset(small_config)


@pytest.fixture
def dataset_copy(small_dataset: Dataset, tmp_path: Path) -> Path:
    """A copy of the small dataset, to be changed."""
    return shutil.copytree(small_dataset.folder, tmp_path / "copy")
