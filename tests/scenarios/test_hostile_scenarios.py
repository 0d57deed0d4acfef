"""Hostile and broken scenarios: refused by name, file and line, or stopped in a process of SUMO's own.

Nothing may be written outside the gate's own folder, and no error may be other than RoadSense's own.
"""

import contextlib
import gzip
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadsense.augment.validation import gate
from roadsense.augment.validation.gate import GateReport, run_gate
from roadsense.errors import RoadSenseError, ScenarioError
from roadsense.scenarios.scenario import open_scenario
from roadsense.scenarios.sumo_program import run_sumo
from roadsense.utils.safe_xml import MAX_ATTRIBUTE_CHARS, MAX_ATTRIBUTES, MAX_DEPTH, read_xml
from tests.conftest import CONFIG, write_base

ROUTES, NETWORK, SETTINGS, EXTRA = "routes.rou.xml", "network.net.xml", "scenario.sumocfg", "extra.add.xml"
Change = Callable[[Path], object]
DETECTOR = '<inductionLoop id="d" lane="west_0" pos="9" period="10" file="{}"/>'
CAR = '<vType id="car" length="4.5"'


def edit(name: str, old: str, new: str) -> Change:
    """Replaces a text of one file, where it comes first."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def put(name: str, content: str | bytes) -> Change:
    """Writes a file."""
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def both(*changes: Change) -> Change:
    """Makes one change after the other."""
    return lambda folder: [change(folder) for change in changes]


def add(elements: str) -> Change:
    """Adds an additional file with these elements from its second line on."""
    naming = edit(SETTINGS, "<route-files", f'<additional-files value="{EXTRA}"/><route-files')
    return both(naming, put(EXTRA, f"<additional>\n{elements}</additional>"))


def option(text: str) -> Change:
    """Adds an option to the configuration's third line."""
    return edit(SETTINGS, "<time>", f"<time>{text}")


def param(key: str, value: str = "x.xml") -> Change:
    """Adds a parameter to the type `car`, in the routes' fourth line."""
    whole = f'{CAR} sigma="0.3" speedFactor="1.0" speedDev="0.1"'
    return edit(ROUTES, f"{whole}/>", f'{whole}><param key="{key}" value="{value}"/></vType>')


def flow(rate: str) -> Change:
    """Gives the flow `cars`, in the routes' eighth line, another rate."""
    return edit(ROUTES, 'vehsPerHour="600"', rate)


def names(old: str, new: str) -> Change:
    """Changes a file's name in the configuration's second line."""
    return edit(SETTINGS, f'value="{old}"', f'value="{new}"')


def pack(name: str, content: Callable[[Path], bytes]) -> Change:
    """Writes a file that is computed from the folder."""
    return lambda folder: (folder / name).write_bytes(content(folder))


def link(name: str, to: str) -> Change:
    """Puts a link in a file's place."""
    return lambda folder: ((folder / name).unlink(missing_ok=True), (folder / name).symlink_to(to))


BOMB = gzip.compress(b"<routes>" + b" " * (101 * 2**20), compresslevel=9)
DEEP = "<a>" * MAX_DEPTH
LEFT_OUT: dict[str, Change] = {
    "output": option('<fcd-output value="f.xml"/>'),
    "output in the text": option("<fcd-output>f.xml</fcd-output>"),
    "log": option('<log value="f.txt"/>'),
    "settings of the window": option('<gui-settings-file value="view.xml"/>'),
    "ssm device": param("has.ssm.device", "true"),
    "ssm file": param("device.ssm.file"),
    "ssm by a chance of one": param("device.ssm.probability", "1"),
    "reference that hides a key": param("device.ssm.&#102;ile"),
    "fcd device": param("has.fcd.device", "true"),
    "toc file": param("device.toc.file"),
    "detector": add(DETECTOR.format("/tmp/o.xml")),
    "edge data": add('<edgeData id="e" file="o.xml"/>'),
    "edges from a file": add('<edgeData id="e" file="NUL" edgesFile="/etc/hosts"/>'),
    "calibrator": add('<calibrator id="c" edge="west" pos="0" output="/tmp/c.xml"/>'),
    "timed event": add('<timedEvent type="SaveTLSStates" source="b" dest="o"/>'),
    "probe": add('<routeProbe id="p" edge="west" file="o.xml"/>'),
    "lights that write": add('<tlLogic id="b" type="actuated"><param key="file" value="o"/></tlLogic>'),
}


HOSTILE: dict[str, tuple[Change, str, str]] = {
    # name: what is changed, the file and line that are blamed, words of the reason
    "doctype in the config": (edit(SETTINGS, "<conf", "<!DOCTYPE a><conf"), f"{SETTINGS}:1", "document type"),
    "doctype from the web": (edit(ROUTES, "<r", '<!DOCTYPE r SYSTEM "http://h/d"><r'), f"{ROUTES}:1", "document type"),
    "entity in the network": (
        edit(NETWORK, "<net version", '<!DOCTYPE n [<!ENTITY a "b">]>\n<net version'),
        f"{NETWORK}:",
        "document type or entities",
    ),
    "external entity": (
        edit(ROUTES, "<routes>", '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><routes>&a;'),
        f"{ROUTES}:1",
        "document type",
    ),
    "undeclared entity": (edit(ROUTES, "<routes>", "<routes>\n&a;"), f"{ROUTES}:2", "undefined entity"),
    "truncated": (edit(ROUTES, "</routes>", ""), f"{ROUTES}:", "not well-formed"),
    "empty network": (put(NETWORK, ""), f"{NETWORK}:1", "no element found"),
    "binary": (put(ROUTES, b"\x00\xff" * 99), f"{ROUTES}:1", "not well-formed"),
    "encoding that hides tags": (
        put(ROUTES, '<?xml version="1.0" encoding="utf-7"?><routes/>'),
        f"{ROUTES}:1",
        "unknown encoding|expected XML 1.0",
    ),
    "ebcdic": (put(ROUTES, '<?xml version="1.0" encoding="cp037"?><routes/>'), f"{ROUTES}:1", "expected XML 1.0|enc"),
    "xml of the future": (put(ROUTES, '<?xml version="1.1"?><routes/>'), f"{ROUTES}:1", "expected XML 1.0"),
    "another root": (
        edit(NETWORK, "<net version", "<routes version"),
        f"{NETWORK}:",
        "mismatched|expected the root <net>",
    ),
    "deep": (edit(ROUTES, "<routes>", f"<routes>\n{DEEP}"), f"{ROUTES}:2", f"more than {MAX_DEPTH} deep"),
    "many attributes": (
        edit(ROUTES, "<routes>", "<routes " + " ".join(f'a{i}="1"' for i in range(MAX_ATTRIBUTES + 1)) + ">"),
        f"{ROUTES}:1",
        f"more than {MAX_ATTRIBUTES}",
    ),
    "long attribute": (
        edit(ROUTES, "<routes>", f'<routes a="{"x" * (MAX_ATTRIBUTE_CHARS + 1)}">'),
        f"{ROUTES}:1",
        "Shorten",
    ),
    "gzip bomb": (put(ROUTES, BOMB), ROUTES, "unpacks to more bytes"),
    "gzip cut short": (pack(ROUTES, lambda f: gzip.compress((f / ROUTES).read_bytes())[:-20]), ROUTES, "cannot be rea"),
    "gzip and more": (pack(ROUTES, lambda f: gzip.compress((f / ROUTES).read_bytes()) + b"<a/>"), ROUTES, "cannot be"),
    "gzip that hides a file": (
        pack(
            NETWORK,
            lambda f: gzip.compress(
                (f / NETWORK).read_bytes().replace(b"</net>", DETECTOR.format("o").encode() + b"</net>")
            ),
        ),
        f"{NETWORK}:",
        "<inductionLoop> may not name a file",
    ),
    "utf-16 that hides a file": (
        pack(
            NETWORK,
            lambda f: (
                re.sub(r"<\?xml.*?\?>", "", (f / NETWORK).read_text())
                .replace("</net>", '<include href="a"/></net>')
                .encode("utf-16")
            ),
        ),
        f"{NETWORK}:",
        "<include> may not name a file",
    ),
    "default namespace that hides a file": (
        edit(ROUTES, "<routes>", '<routes>\n<include xmlns="u" href="/etc/hosts"/>'),
        f"{ROUTES}:2",
        "<include> may not name a file",
    ),
    "parent folder": (names(NETWORK, f"../{NETWORK}"), f"{SETTINGS}:2", "outside its folder"),
    "absolute path": (names(ROUTES, "/etc/hostname"), f"{SETTINGS}:2", "outside its folder"),
    "web address": (names(ROUTES, "http://example.com/a.rou.xml"), f"{SETTINGS}:2", "Rename it"),
    "variable": (names(ROUTES, "${HOME}/a.rou.xml"), f"{SETTINGS}:2", "variable of the environment"),
    "home folder": (names(ROUTES, "~root/a.rou.xml"), f"{SETTINGS}:2", "Rename it"),
    "percent": (names(ROUTES, "%2e%2e/a.rou.xml"), f"{SETTINGS}:2", "outside its folder"),
    "space that is none": (names(ROUTES, f"{ROUTES},\u00a0b.rou.xml"), f"{SETTINGS}:2", "Rename it"),
    "backslash": (names(ROUTES, "..\\a.rou.xml"), f"{SETTINGS}:2", "Rename it"),
    "long name": (names(ROUTES, "a" * 5000), f"{SETTINGS}:2", "cannot be opened"),
    "two networks": (names(NETWORK, f"{NETWORK},{ROUTES}"), f"{SETTINGS}:2", "more than are opened"),
    "many route files": (names(ROUTES, ",".join(f"{i}.xml" for i in range(101))), f"{SETTINGS}:2", "101 files"),
    "the same file again": (names(ROUTES, f"{ROUTES},./{ROUTES}"), f"{SETTINGS}:2", "more than once"),
    "a folder": (both(lambda f: (f / "sub").mkdir(), names(ROUTES, "sub")), f"{SETTINGS}:2", "not there"),
    "a pipe": (both(lambda f: os.mkfifo(f / "pipe"), names(ROUTES, "pipe")), f"{SETTINGS}:2", "not there"),
    "link out": (link(ROUTES, "/etc/hostname"), f"{SETTINGS}:2", "outside its folder"),
    "link to itself": (link(ROUTES, ROUTES), f"{SETTINGS}:2", "cannot be opened|not there"),
    "link to nothing": (link(ROUTES, "nothing"), f"{SETTINGS}:2", "not there"),
    "output around an element": (option("<fcd-output><a/>f.xml</fcd-output>"), f"{SETTINGS}:3", "expected no text"),
    "option of the root": (edit(SETTINGS, "<configuration", '<configuration value="a"'), f"{SETTINGS}:1", "bare"),
    "server": (option('<remote-port value="8813"/>'), f"{SETTINGS}:3", "may not set <remote-port>"),
    "python": (option('<python-script value="a.py"/>'), f"{SETTINGS}:3", "may not set <python-script>"),
    "schema from the web": (option('<xml-validation.net value="always"/>'), f"{SETTINGS}:3", "expected <xml-valid"),
    "replayed tracks": (param("device.fcd-replay.file"), f"{ROUTES}:4", "<param> may not name a file"),
    "picture": (edit(ROUTES, CAR, f'{CAR} imgFile="/etc/hosts"'), f"{ROUTES}:4", "<vType> may not name a file"),
    "speed sign": (
        add('<variableSpeedSign id="s" lanes="west_0" file="/etc/hosts"/>'),
        f"{EXTRA}:2",
        "<variableSpeedSign> may not name a file",
    ),
    "rerouter": (add('<rerouter id="r" edges="west" file="/etc/hosts"/>'), f"{EXTRA}:2", "<rerouter> may not name"),
    "picture of a polygon": (add('<poly id="p" shape="0,0" imgFile="a"/>'), f"{EXTRA}:2", "<poly> may not name"),
    "detector in the network": (
        edit(NETWORK, "</net>", DETECTOR.format("o.xml") + "</net>"),
        f"{NETWORK}:",
        "<inductionLoop> may not name a file",
    ),
    "projection from a file": (
        edit(NETWORK, 'projParameter="!"', 'projParameter="+proj=utm +nadgrids=/etc/hosts"'),
        f"{NETWORK}:",
        "a projection may not name a file",
    ),
    "network without a version": (edit(NETWORK, 'version="1.20"', ""), f"{NETWORK}:", "rebuild it"),
    "network with an empty version": (edit(NETWORK, 'version="1.20"', 'version=""'), f"{NETWORK}:", "rebuild it"),
    "network with no number": (edit(NETWORK, 'speed="25.00"', 'speed="nan"'), f"{NETWORK}:", "finite numbers"),
    "endless traffic": (flow('vehsPerHour="1e12"'), f"{ROUTES}:8", "vehsPerHour from 0 to 36000"),
    "no period": (flow('period="1e-9"'), f"{ROUTES}:8", "period from 0.1"),
    "random period of nothing": (flow('period="exp(1e9)"'), f"{ROUTES}:8", "period from 0.1"),
    "endless number": (flow('number="1000000000"'), f"{ROUTES}:8", "number from 0 to 100000"),
    "rate that is no number": (flow('vehsPerHour="nan"'), f"{ROUTES}:8", "vehsPerHour from 0"),
    "rate in another base": (flow('vehsPerHour="0x10"'), f"{ROUTES}:8", "vehsPerHour from 0"),
    "chance above one": (flow('probability="2"'), f"{ROUTES}:8", "probability from 0 to 1"),
    "end of days": (edit(ROUTES, 'depart="10.00"', 'depart="1e12"'), f"{ROUTES}:", "depart from 0 to 100000"),
    "endless route": (
        edit(ROUTES, 'edges="west east"', 'edges="west east" repeat="1000000000"'),
        f"{ROUTES}:6",
        "repeat from 0 to 1000",
    ),
    "type of no number": (edit(ROUTES, CAR, f'{CAR} tau="nan"'), f"{ROUTES}:4", "finite numbers in <vType>"),
    "spread of no number": (
        edit(ROUTES, 'speedFactor="1.0"', 'speedFactor="normc(1,INF,0,2)"'),
        f"{ROUTES}:4",
        "finite numbers in <vType>",
    ),
    "tiny steps": (edit(SETTINGS, 'th value="0.1"', 'th value="1e-9"'), f"{SETTINGS}:3", "step-length from 0.01"),
    "endless end": (edit(SETTINGS, '"120"', '"1e15"'), f"{SETTINGS}:3", "end from -1 to 1e"),
    "endless scale": (option('<scale value="1e9"/>'), f"{SETTINGS}:3", "scale from 0 to 10"),
    "option of no number": (option('<max-depart-delay value="nan"/>'), f"{SETTINGS}:3", "finite numbers"),
}

STOPPED_BY_SUMO: dict[str, tuple[Change, str]] = {
    "unknown edge": (edit(ROUTES, 'edges="west east"', 'edges="west north"'), "north"),
    "unknown type": (edit(ROUTES, 'type="truck"', 'type="tank"'), "tank"),
    "unknown model": (edit(ROUTES, CAR, f'{CAR} carFollowModel="Nope"'), "Nope"),
    "negative length": (edit(ROUTES, CAR, '<vType id="car" length="-4"'), "length"),
    "detector on no lane": (add(DETECTOR.format("NUL").replace("west_0", "north_0")), "north_0"),
    "detector with no period": (add(DETECTOR.format("NUL").replace('period="10"', 'period="0"')), "frequency"),
    "network without edges": (put(NETWORK, '<net version="1.20"/>'), "'west' .* is not known"),
    "network of junk": (put(NETWORK, '<net version="1.20"><edge/><lane/><junction/></net>'), "'id' is missing"),
    "two cars of a name": (edit(ROUTES, 'id="V002"', 'id="V003"'), "Another vehicle"),
    "unsorted": (edit(ROUTES, 'depart="10.00"', 'depart="90.00"'), "never inserted"),
}


@pytest.fixture
def watched(tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A scenario's folder; whatever is written beside it or where one stands fails the test."""
    folder = write_base(tmp_path / "watch" / "scenario", network).parent
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield folder
    assert {path.name for path in tmp_path.rglob("*")} - {path.name for path in folder.rglob("*")} == {
        *("watch", "scenario", "here"),
    }


@pytest.mark.parametrize(("change", "where", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_scenario_is_refused_by_file_and_line(watched: Path, change: Change, where: str, reason: str) -> None:
    open_scenario(watched / SETTINGS)
    change(watched)
    with pytest.raises(ScenarioError, match=f"(?s){re.escape(where)}.*({reason})"):
        open_scenario(watched / SETTINGS)


@pytest.mark.parametrize("change", LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_would_write_is_left_out_of_what_sumo_runs(watched: Path, change: Change) -> None:
    change(watched)
    scenario = open_scenario(watched / SETTINGS)
    assert len(scenario.left_out) == 1
    assert scenario.run_path.parent != watched
    before = snapshot(watched)
    run_gate(watched / SETTINGS)
    assert snapshot(watched) == before


@pytest.mark.parametrize(("change", "reason"), STOPPED_BY_SUMO.values(), ids=STOPPED_BY_SUMO)
def test_what_passes_the_checks_is_stopped_in_a_process_of_its_own(watched: Path, change: Change, reason: str) -> None:
    change(watched)
    before = snapshot(watched)
    assert re.search(reason, " ".join(run_gate(watched / SETTINGS).refusals))
    assert snapshot(watched) == before


WORKER = """
import sys
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.errors import RoadSenseError, SimulationError
for path in sys.argv[1:]:
    try:
        ConvoyEnv([path]).reset(seed=0)
    except RoadSenseError as error:
        print(SimulationError.__name__ if isinstance(error, SimulationError) else type(error).__name__)
"""


def test_a_worker_names_what_stopped_each_of_them_and_goes_on(tmp_path: Path, network: Path) -> None:
    paths = [write_base(tmp_path / str(i) / "scenario", network) for i, _ in enumerate(STOPPED_BY_SUMO)]
    for path, (change, _) in zip(paths, STOPPED_BY_SUMO.values(), strict=True):
        change(path.parent)
    before = snapshot(tmp_path)
    done = subprocess.run([sys.executable, "-c", WORKER, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.split() == ["SimulationError"] * len(paths)
    assert snapshot(tmp_path) == before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


HARMLESS: dict[str, Change] = {
    "schema": edit(
        ROUTES,
        "<routes>",
        '<routes xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="http://sumo.dlr.de/xsd/routes_file.xsd">',
    ),
    "detector that writes nowhere": add(DETECTOR.format("NUL")),
    "polygons, points and lights": add(
        '<poly id="p" type="forest" color="0,1,0" shape="0,0 9,9 9,0"/><poi id="q" x="1" y="2" type="Nan &amp; Inf"/>'
        '<variableSpeedSign id="s" lanes="west_0"><step time="0" speed="25"/></variableSpeedSign>'
    ),
    "distribution": edit(ROUTES, "<route ", '<vTypeDistribution id="mix" vTypes="car truck"/><route '),
    "device that writes nothing": param("has.rerouting.device", "true"),
    "validation at home": option('<xml-validation value="local"/>'),
    "times in hours": edit(SETTINGS, '<end value="120"/>', '<end value="0:02:00"/>'),
    "spaces between names": both(put("b.rou.xml", "<routes/>"), names(ROUTES, f"{ROUTES}, b.rou.xml")),
    "folder below": both(
        lambda f: (f / "sub").mkdir(), put("sub/b.rou.xml", "<routes/>"), names(ROUTES, f"{ROUTES},./sub/b.rou.xml")
    ),
    "dead link beside the files": link("unused", "nothing"),
    "gzip'd network": both(
        pack("n.net.xml.gz", lambda f: gzip.compress((f / NETWORK).read_bytes())), names(NETWORK, "n.net.xml.gz")
    ),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_is_harmless_stays_allowed_and_runs(watched: Path, change: Change) -> None:
    change(watched)
    before = snapshot(watched)
    assert run_gate(watched / SETTINGS).refusals == ()
    assert snapshot(watched) == before


def test_elements_know_their_lines_and_comments_are_kept_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text('<a xmlns:x="u">\n<!-- one -->\n  <b/>text\n</a>')
    assert [(element.tag, element.line) for element in read_xml(path, "a").iter()] == [("a", 1), ("b", 3)]
    assert "one" in str(read_xml(path, "a", keep_comments=True)[0].text)
    assert read_xml(path, "a")[0].tail == "text\n"
    with pytest.raises(ScenarioError, match="expected a file, found none"):
        read_xml(tmp_path / "b.xml", "a")


def test_more_elements_than_a_scenario_needs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadsense.utils.safe_xml.MAX_ELEMENTS", 9)
    (tmp_path / "a.xml").write_text("<a>\n" + "<b/>\n" * 9 + "</a>")
    with pytest.raises(ScenarioError, match=r"a\.xml:10: more than 9 elements"):
        read_xml(tmp_path / "a.xml", "a")


WORDS = [
    "",
    "nan",
    "-1",
    "0",
    "1e9",
    "1e300",
    "99999999999999999999",
    "-0.0001",
    "inf",
    "west",
    "V001",
    "../x",
    "\u2028",
]
TAGS = [
    "vehicle",
    "flow",
    "vType",
    "route",
    "person",
    "trip",
    "stop",
    "param",
    "include",
    "junction",
    "lane",
    "calibrator",
]


def mutate(text: str, draw: random.Random) -> str:
    """Returns an XML text with one thing wrong: a value, a tag, a name, an element twice, elsewhere or gone, a byte."""
    pieces = re.split(r"(<[^>]*>)", text)
    tags = [i for i, piece in enumerate(pieces) if piece.startswith("<")]
    here, there = draw.choice(tags), draw.choice(tags)
    attributes = list(re.finditer(r'([\w.:]+)="([^"]*)"', pieces[here]))
    kind = draw.choice(["value", "value", "value", "name", "tag", "twice", "gone", "moved", "cut", "byte", "rename"])
    if kind == "value" and attributes:
        one = draw.choice(attributes)
        pieces[here] = pieces[here][: one.start(2)] + draw.choice(WORDS) + pieces[here][one.end(2) :]
    elif kind == "name" and attributes:
        one = draw.choice(attributes)
        pieces[here] = pieces[here][: one.start()] + pieces[here][one.end() :]
    elif kind == "rename" and attributes:
        one, other = draw.choice(attributes), draw.choice(["id", "file", "depart", "number", "period", "type", "edges"])
        pieces[here] = pieces[here][: one.start(1)] + other + pieces[here][one.end(1) :]
    elif kind == "tag":
        pieces[here] = re.sub(r"^<\w+", f"<{draw.choice(TAGS)}", pieces[here])
    elif kind == "twice":
        pieces.insert(there, pieces[here])
    elif kind == "gone":
        del pieces[here]
    elif kind == "moved":
        pieces[here], pieces[there] = pieces[there], pieces[here]
    mutated = "".join(pieces)
    at = draw.randrange(len(mutated))
    if kind == "cut":
        return mutated[:at]
    return mutated[:at] + chr(draw.randrange(1, 300)) + mutated[at + 1 :] if kind == "byte" else mutated


@settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(draw=st.randoms(use_true_random=False), n_changes=st.integers(1, 3))
def test_a_mutated_scenario_ends_in_a_report_or_a_named_error(
    network: Path, monkeypatch: pytest.MonkeyPatch, draw: random.Random, n_changes: int
) -> None:
    monkeypatch.setattr(gate, "run_sumo", partial(run_sumo, timeout_s=10.0))
    with tempfile.TemporaryDirectory() as outer:
        folder = write_base(Path(outer) / "scenario", network, config=CONFIG).parent
        (folder / NETWORK).write_text(re.sub("(?s)<!--.*?-->", "", (folder / NETWORK).read_text()))
        (Path(outer) / "here").mkdir()
        monkeypatch.chdir(Path(outer) / "here")
        for _ in range(n_changes):
            path = folder / draw.choice([ROUTES, ROUTES, ROUTES, NETWORK, SETTINGS])
            path.write_text(mutate(path.read_text(), draw) if path.stat().st_size > 9 else "")
        before = snapshot(Path(outer))
        with contextlib.suppress(RoadSenseError):
            assert isinstance(run_gate(folder / SETTINGS), GateReport)
        assert snapshot(Path(outer)) == before
        monkeypatch.undo()
