"""Bases of every form people have: drawn from, written, proven by SUMO, opened and driven."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from roadsense.augment.bases.base import Base, read_bases
from roadsense.augment.bases.convoy_naming import ConvoyNaming
from roadsense.augment.config import GenConfig
from roadsense.augment.draws.variations import VariationRanges, draw_variations
from roadsense.augment.generate import generate_dataset
from roadsense.augment.rebuild import rebuild_differences
from roadsense.augment.validation.gate import run_gate
from roadsense.augment.validation.scenario_files import write_scenario
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.pictures.road import RoadMap, plot_scenario
from roadsense.scenarios.scenario import open_scenario
from roadsense.scenarios.sumo_program import run_sumo
from tests.conftest import CONFIG, FLOWS, TYPES, convoy
from tests.osm_town import import_town

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation='
HEAD = f'<routes {XSI}"http://sumo.dlr.de/xsd/routes_file.xsd">'
FOREIGN = ConvoyNaming("4711", ("bus_17", "lead"))
TRAFFIC = 'route="through" begin="0" end="100" departSpeed="desired"'


@dataclass(frozen=True)
class Form:
    """What one form of base changes on the small road of the tests."""

    routes: str = FLOWS + convoy()
    types: str = TYPES
    head: str = "<routes>"
    config: str = CONFIG
    files: tuple[tuple[str, str], ...] = ()
    naming: ConvoyNaming | None = None
    packed: bool = False

    def write(self, folder: Path, network: Path) -> None:
        """Writes the base."""
        folder.mkdir(parents=True)
        road = network.read_bytes()
        is_packed = network.suffix == ".gz"
        texts = {
            "routes.rou.xml": f'<?xml version="1.0" encoding="UTF-8"?>\n{self.head}{self.types}{self.routes}</routes>',
            "scenario.sumocfg": self.config,
            **dict(self.files),
        }
        for name, text in texts.items():
            (folder / name).write_text(text)
        if self.packed:
            (folder / "routes.rou.xml.gz").write_bytes(gzip.compress((folder / "routes.rou.xml").read_bytes()))
            (folder / "routes.rou.xml").unlink()
        target = folder / ("network.net.xml.gz" if self.packed or is_packed else "network.net.xml")
        target.write_bytes(gzip.compress(road) if self.packed and not is_packed else road)


def foreign_convoy(tag: str = "vehicle", route: str = 'route="through"') -> str:
    """The convoy of the tests under the ids of `FOREIGN`."""
    text = convoy().replace("<vehicle", f"<{tag}").replace('route="through"', route)
    for number, car in enumerate(FOREIGN.cars, start=1):
        text = text.replace(f"V00{number}", car)
    return text


RATES = ('vehsPerHour="120"', 'perHour="120"', 'probability="0.03"', 'period="30"', 'period="exp(0.03)"', 'number="4"')
PEOPLE = '<person id="walker" depart="0"><walk edges="west" arrivalPos="90"/></person>'
ADDITIONAL = '<additional-files value="types.add.xml"/><route-files value="routes.rou.xml, more.rou.xml"/>'
WIZARD = f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- made by a wizard -->
<sumoConfiguration {XSI}"http://sumo.dlr.de/xsd/sumoConfiguration.xsd">
    <input><net-file value="network.net.xml"/><route-files value="routes.rou.xml"/></input>
    <output><tripinfo-output value="tripinfos.xml"/></output>
    <processing><ignore-route-errors value="true"/></processing>
    <report><verbose value="true"/><duration-log.statistics value="true"/><no-step-log value="true"/></report>
    <!-- looks --><gui_only><gui-settings-file value="view.xml"/></gui_only>
</sumoConfiguration>
"""
FORMS = {
    "gzip'd": Form(
        config=CONFIG.replace(".net.xml", ".net.xml.gz").replace(".rou.xml", ".rou.xml.gz"),
        packed=True,
    ),
    "every rate": Form(
        "".join(
            f'<flow id="f{number}" type="car" {TRAFFIC} {rate} departLane="1" departPos="{190 * number}"/>'
            for number, rate in enumerate(RATES)
        )
        + convoy()
    ),
    "trips": Form(
        '<trip id="lone" type="car" from="west" to="east" depart="2" departLane="1" departPos="700"/>'
        + FLOWS
        + foreign_convoy("trip", 'from="west" to="east"'),
        naming=FOREIGN,
    ),
    "distributions": Form(
        FLOWS.replace('type="car"', 'type="mixed"').replace('type="truck"', 'type="nested"')
        + convoy().replace('type="convoy_car"', 'type="platoon"'),
        TYPES
        + '<vTypeDistribution id="mixed" vTypes="car truck" probabilities="0.7 0.3"/>'
        + '<vTypeDistribution id="nested"><vType id="van" length="6" probability="1"/></vTypeDistribution>'
        + '<vTypeDistribution id="platoon" vTypes="convoy_car"/>',
    ),
    "several files": Form(
        FLOWS,
        "",
        config=CONFIG.replace('<route-files value="routes.rou.xml"/>', ADDITIONAL),
        files=(
            ("types.add.xml", f"<additional>{TYPES}</additional>"),
            ("more.rou.xml", f"<routes>{convoy()}</routes>"),
        ),
    ),
    "all in an additional file": Form(config=CONFIG.replace("route-files", "additional-files")),
    "namespaces and comments": Form("<!-- traffic -->" + FLOWS + convoy(), head=f"<!-- mine -->{HEAD}"),
    "no types": Form(
        '<flow id="cars" route="through" begin="0" end="100" vehsPerHour="400" departLane="1" departPos="0"/>'
        + foreign_convoy().replace('type="ego"', "").replace('type="convoy_car"', ""),
        '<route id="through" edges="west east"/>',
        naming=FOREIGN,
    ),
    "a wizard's": Form(config=WIZARD),
    "begins at seven, in whole steps": Form(
        (FLOWS.replace('begin="0" end="100"', 'begin="25100" end="25400"') + convoy(depart_s=25210.0)).replace(
            'id="trucks" type="truck" route="through" begin="25100"', 'id="trucks" type="truck" route="through"'
        ),
        config=CONFIG.replace(
            '<begin value="0"/><end value="120"/><step-length value="0.1"/>', '<begin value="25200"/>'
        ),
    ),
    "no flow": Form(convoy()),
    "what can't be counted": Form(
        FLOWS
        + '<flow id="spread" type="car" route="through" begin="0" number="3" departLane="1"/>'
        + '<vehicle id="later" type="car" route="through" depart="triggered"/>'
        + convoy()
        + PEOPLE
    ),
    "random places": Form(FLOWS.replace('departPos="0"', 'departPos="random_free"') + convoy()),
}
SIGNALS = (
    f'<tlLogic id="2" type="static" programID="own" offset="0"><phase duration="90" state="{"G" * 16}"/></tlLogic>'
)
TOWN = Form(
    '<flow id="ahead" type="car" from="100#0" to="101" begin="0" end="100" vehsPerHour="200" departSpeed="desired"/>'
    '<flow id="side" type="bike" from="104" to="-104" begin="0" end="100" number="3"/>'
    '<flow id="oncoming" type="car" from="-101" to="-100#0" begin="0" end="100" period="20" departSpeed="desired"/>'
    + foreign_convoy("trip", 'from="100#1" to="101"').replace('departSpeed="20"', 'departSpeed="13"'),
    TYPES.replace('<route id="through" edges="west east"/>', '<vType id="bike" vClass="bicycle"/>'),
    head=HEAD,
    config=CONFIG.replace(".net.xml", ".net.xml.gz").replace(
        "<route-files", '<additional-files value="signals.add.xml"/><route-files'
    ),
    files=(("signals.add.xml", f"<additional>{SIGNALS}</additional>"),),
    naming=FOREIGN,
)


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_town(tmp_path_factory.mktemp("town"))


@pytest.fixture
def make_base(tmp_path: Path, network: Path, town: Path) -> Callable[[Form], Base]:
    """Writes a form as a base and reads it."""

    def make(form: Form) -> Base:
        form.write(tmp_path / "bases" / "road", town if form is TOWN else network)
        (base,) = read_bases(tmp_path / "bases", VariationRanges(), form.naming)
        return base

    return make


def write_draws(base: Base, folder: Path, n: int = 2, most: int = 6) -> list[Path]:
    """Writes draws of a base until n of them passed the gate; returns the paths of their `.sumocfg`."""
    draws = draw_variations(most, base.traffic, VariationRanges(), np.random.default_rng(3))
    passed: list[Path] = []
    refusals = []
    for number, draw in enumerate(draws):
        write_scenario(base, draw, folder / str(number))
        report = run_gate(folder / str(number) / "scenario.sumocfg")
        refusals += report.refusals
        passed += [] if report.refusals else [folder / str(number) / "scenario.sumocfg"]
        if len(passed) == n:
            return passed
    pytest.fail(f"{len(passed)} of {most} draws passed: {refusals}")


@pytest.mark.parametrize("form", [*FORMS.values(), TOWN], ids=[*FORMS, "imported from OpenStreetMap"])
def test_a_base_of_this_form_gives_scenarios_that_pass_the_gate_and_can_be_driven(
    make_base: Callable[[Form], Base], tmp_path: Path, form: Form
) -> None:
    base = make_base(form)
    paths = write_draws(base, tmp_path / "out")
    for path in paths:
        ids = open_scenario(path).convoy_ids
        assert ids == tuple(f"V{number:03d}" for number in range(1, len(ids) + 1))
        assert abs(open_scenario(path).convoy_depart_s - base.scenario.convoy_depart_s) <= 3.0
        assert "rror" not in run_sumo(path, ("--end", str(base.scenario.convoy_depart_s + 5)))
    assert len(RoadMap.read(open_scenario(paths[0]).network_path).surfaces) >= 3
    env = ConvoyEnv(scenario_list=paths)
    for path in paths:
        env.reset(seed=1, options={"scenario": path})
        assert all(not env.step(np.zeros(1, np.float32))[3] for _ in range(20))
    env.close()


def test_a_warning_of_a_traffic_lights_program_is_counted_and_blamed_on_no_draw(
    make_base: Callable[[Form], Base], tmp_path: Path
) -> None:
    (path,) = write_draws(make_base(TOWN), tmp_path / "out", n=1)
    assert "Unsafe green phase" in run_sumo(path, ("--end", "1"))
    assert run_gate(path).n_warnings >= 1


def test_a_dataset_of_gzipped_bases_is_made_rebuilt_and_drawn(tmp_path: Path, network: Path) -> None:
    FORMS["gzip'd"].write(tmp_path / "bases" / "road", network)
    dataset = generate_dataset(GenConfig(tmp_path / "bases", tmp_path / "out", n_train=2, n_eval=1))
    assert dataset.verify() == []
    assert rebuild_differences(dataset, tmp_path / "bases") == []
    assert plot_scenario(dataset.scenario_paths("train")[0], 20.0).axes


def test_namespaces_survive_in_what_is_written(make_base: Callable[[Form], Base], tmp_path: Path) -> None:
    base = make_base(FORMS["namespaces and comments"])
    (path,) = write_draws(base, tmp_path / "out", n=1)
    text = (path.parent / "routes.rou.xml").read_text()
    assert f'{XSI}"http://sumo.dlr.de/xsd/routes_file.xsd"' in text
    assert [text.count(f"<!-- {word} -->") for word in ("mine", "traffic")] == [1, 1]
