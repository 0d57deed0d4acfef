"""Logs are read as they lie on the card: held against the truth of a simulated drive, all dirt counted."""

import contextlib
import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadsense.drives import table as table_module
from roadsense.drives.clocks import fit_clock
from roadsense.drives.drive import read_drive
from roadsense.drives.findings import Findings
from roadsense.drives.mapping import Board, read_mapping
from roadsense.drives.motion import smooth
from roadsense.drives.table import Table
from roadsense.drives.units import forward_mps2
from roadsense.errors import DriveError
from tests.drives.conftest import to_esp32


def counts(drive):
    return {(one.kind, one.file): one.count for one in drive.findings}


def truth_of(folder):
    with np.load(folder / "truth" / "states.npz") as arrays:
        return json.loads((folder / "truth" / "truth.json").read_text()), arrays["states"]


def test_every_kind_of_dirt_is_counted_as_it_was_made(dirty):
    drive, (facts, _) = read_drive(dirty), truth_of(dirty)
    found = counts(drive)
    used = {"V001_tx.csv", "V002_tx.csv", "V003_tx.csv", "V001_rx.csv"}
    for kind, files in facts["dirt"].items():
        for file, count in files.items():
            if file in used and kind != "kmh":
                assert found[kind, file] == count, (kind, file)
    assert found["kmh", "V003_tx.csv"] == drive.n_rows["V003_tx.csv"]
    assert ("kmh", "V001_rx.csv: V003") in found
    assert ("zero_clock", "V001_tx.csv") in found
    assert all(one.done for one in drive.findings)


def test_states_are_those_of_the_truth(dirty):
    drive, (_, states) = read_drive(dirty), truth_of(dirty)
    shift = np.zeros(2)  # the plane's origin is another one
    for place, car in enumerate(("V001", "V002", "V003")):
        log = drive.sensors[car]
        step = np.rint(log.time_s / 0.1).astype(int)
        good = np.isfinite(log.x_m) & ~log.is_stuck & (step >= 0) & (step < len(states))
        true = states[step[good], place]
        if place == 0:
            shift = np.median(np.column_stack([log.x_m, log.y_m])[good] - true[:, :2], axis=0)
        assert np.median(np.hypot(*(np.column_stack([log.x_m, log.y_m])[good] - shift - true[:, :2]).T)) < 3.5
        assert np.median(np.abs(log.speed_mps[good] - true[:, 2])) < 0.15
        assert np.median(np.abs(log.acceleration_mps2[good] - true[:, 3])) < 0.2


def test_clocks_are_set_to_a_millisecond(dirty):
    drive, (facts, _) = read_drive(dirty), truth_of(dirty)
    own = facts["clocks"]["V001"]
    for car in ("V002", "V003"):
        theirs, clock = facts["clocks"][car], drive.clocks[car]
        for true_s in (0.0, 60.0):
            read = clock.to_ego(theirs["offset_s"] + theirs["rate"] * true_s)
            error_s = read - own["offset_s"] - own["rate"] * true_s
            assert abs(error_s - facts["latency_mean_s"]) < 0.004


def test_a_clock_is_fitted_below_all_latencies():
    rng = np.random.default_rng(0)
    sent = np.sort(rng.uniform(0, 600, 5000))
    heard = 12.5 + (1 + 30e-6) * sent + rng.gamma(2, 0.004, 5000) + 0.02 * (rng.uniform(size=5000) < 0.1)
    heard[100] += 40.0  # a message with a wrong time
    clock = fit_clock(sent, heard)
    assert clock.drift_ppm == pytest.approx(30, abs=2)
    assert clock.offset_s == pytest.approx(12.5, abs=0.0015)
    assert fit_clock(sent[:5], heard[:5]) is None


def test_messages_are_counted_once(dirty):
    drive, (facts, _) = read_drive(dirty), truth_of(dirty)
    assert drive.peers == ("V002", "V003")
    assert drive.n_ahead == 2
    n = np.bincount(drive.heard.sender)
    assert n[0] >= facts["heard_directly_by_the_ego"]["V002"]
    assert n[0] <= facts["sent"]["V002"]
    assert (drive.heard.heard_s >= drive.heard.sent_s - 0.001).all()


def test_foreign_columns_need_no_rewriting(dirty, tmp_path):
    ours = read_drive(dirty)
    theirs = read_drive(to_esp32(dirty, tmp_path / "esp32"))
    assert theirs.mapping == "esp32_v2v"
    assert theirs.peers == ours.peers
    assert theirs.duration_s == pytest.approx(ours.duration_s, abs=0.01)
    assert np.nanmax(np.abs(theirs.own.x_m - ours.own.x_m)) < 0.02
    assert np.median(np.abs(theirs.own.acceleration_mps2 - ours.own.acceleration_mps2)) < 0.1
    words = " ".join(one.in_words() for one in theirs.findings)
    assert "6 x columns that are not used: gyro_x, gyro_y, gyro_z, mag_x, mag_y, mag_z" in words
    assert "V002_rx.csv, V003_rx.csv: 2 x files of what other cars heard: only what the ego heard counts" in words


def test_a_turned_board_is_found_and_turned_back(dirty, tmp_path):
    folder = to_esp32(dirty, tmp_path / "turned", turn=(1, 0, 2), signs=(1, -1, 1))
    before = read_drive(folder)
    (finding,) = [one for one in before.findings if (one.kind, one.file) == ("turned_board", "V001_tx.csv")]
    assert 'forward = "-y"' in finding.done
    (folder / "drive.toml").write_text('like = "esp32_v2v"\n[board]\nforward = "-y"\n')
    after = read_drive(folder)
    assert not [one for one in after.findings if one.kind == "turned_board"]
    straight = read_drive(dirty).own.acceleration_mps2
    assert np.median(np.abs(after.own.acceleration_mps2 - straight)) < 0.1


def test_lines_of_joined_files_are_counted_on(dirty, tmp_path):
    folder = to_esp32(dirty, tmp_path / "parts")
    path = folder / "V002_tx.csv"
    whole = {one.kind: one.line for one in read_drive(folder).findings if one.file == "V002_tx.csv"}
    head, *lines = path.read_text().splitlines()
    (folder / "V002_tx_001.csv").write_text("\n".join([head, *lines[:100]]) + "\n")
    (folder / "V002_tx_002.csv").write_text("\n".join([head, *lines[100:]]) + "\n")
    path.unlink()
    parts = {one.kind: one for one in read_drive(folder).findings if one.file.startswith("V002_tx")}
    assert parts["stuck"].file == "V002_tx_001.csv to V002_tx_002.csv"
    assert parts["stuck"].line == whole["stuck"] + 1  # the second file's head is a line, too


def scaled(folder, copy, column, factor, file="V001_tx.csv"):
    """A copy of a drive with a column of a file multiplied."""
    shutil.copytree(folder, copy)
    head, *lines = (copy / file).read_text(encoding="utf-8-sig").splitlines()
    place, rows = head.split(",").index(column), [head]
    for line in lines:
        cells = line.split(",")
        if len(cells) > place:
            cells[place] = repr(float(cells[place]) * factor)
        rows.append(",".join(cells))
    (copy / file).write_text("\n".join(rows) + "\n")
    return copy


@pytest.mark.parametrize(
    ("column", "factor", "message"),
    [
        ("time_s", 1000, r"V001_tx\.csv: expected a row every 0\.002 to 5 s, got one every 100 s"),
        ("latitude_deg", 1e7, "expected a latitude within 90 degrees"),
        ("speed_mps", 2.237, r"V001_tx\.csv: expected speeds near those of the positions, got 2\.2\d times"),
        ("heading_deg", 0.01745, "expected headings of a compass"),
        ("acceleration_z_mps2", 1 / 9.80665, "gravity in g"),
    ],
)
def test_a_unit_that_cannot_be_right_is_named(perfect, tmp_path, column, factor, message):
    with pytest.raises(DriveError, match=message):
        read_drive(scaled(perfect, tmp_path / "copy", column, factor))


def test_a_restart_and_a_wrong_time_are_named_and_not_used(perfect, tmp_path):
    shutil.copytree(perfect, tmp_path / "copy")
    path = tmp_path / "copy" / "V002_tx.csv"
    head, *lines = path.read_text().splitlines()
    lines[50] = "9999" + lines[50]
    again = [line.split(",", 1)[1] for line in lines[:30]]
    lines += [f"{0.1 * place:.4f},{rest}" for place, rest in enumerate(again)]
    path.write_text("\n".join([head, *lines]) + "\n")
    found = counts(read_drive(tmp_path / "copy"))
    assert found["restarted", "V002_tx.csv"] == 30
    assert found["wrong_time", "V002_tx.csv"] == 1


def test_the_ego_is_named_or_found(perfect, tmp_path):
    assert read_drive(perfect, ego="V002").ego == "V002"
    with pytest.raises(DriveError, match="expected what the ego V009 sensed"):
        read_drive(perfect, ego="V009")
    with pytest.raises(DriveError, match="Expected the folder of a drive"):
        read_drive(tmp_path / "nowhere")


def test_unknown_columns_are_shown_with_the_way_out(tmp_path):
    (tmp_path / "a.csv").write_text("when,where\n1,2\n")
    with pytest.raises(DriveError, match=r"got a\.csv: when, where\. Write which column is which into drive\.toml"):
        read_drive(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tx]\nspeed = 3", "expected a column's name"),
        ('[tx]\nspeed = {column = "v", unit = "furlong"}', "expected a unit of 'm/s', 'km/h', 'mph', 'kn'"),
        ('[board]\nforward = "w"', 'expected forward as "x"'),
        ('[board]\nforward = "x"\nleft = "x"\nup = "z"', "three different axes"),
        ('car = "("', "regular expression"),
        ("speed = 1", "expected keys of"),
        ('like = "mine"', "expected like as one of roadsense, esp32_v2v"),
        ("[tx", "Expected a mapping of columns in TOML"),
        ('[tx]\ntime = "t"', "are missing"),
    ],
)
def test_a_wrong_mapping_is_refused(tmp_path, text, message):
    path = tmp_path / "drive.toml"
    path.write_text(text)
    with pytest.raises(DriveError, match=message):
        read_mapping(path)


@pytest.mark.parametrize("n_rows", [1, 2, 3, 6, 7, 8])
def test_a_few_rows_without_an_axis_have_as_many_accelerations(n_rows):
    time_s = 0.1 * np.arange(n_rows)
    rows = Table("V001_rx.csv", np.arange(n_rows), {"time": time_s, "speed": 20.0 - 2.0 * time_s}, {})
    found = forward_mps2(rows, Board(), Findings([]))
    assert found.shape == (n_rows,)
    np.testing.assert_allclose(smooth(np.full(n_rows, 3.0)), 3.0)


def test_sizes_are_bounded(perfect, monkeypatch):
    monkeypatch.setattr(table_module, "MAX_FILE_BYTES", 1000)
    with pytest.raises(DriveError, match=r"V001_rx\.csv: expected at most 1000 bytes"):
        read_drive(perfect)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_read_or_refused_with_a_reason(perfect, tmp_path_factory, data):
    """Bytes changed, cut out and put in anywhere never end in another error than a named one."""
    folder = tmp_path_factory.mktemp("fuzz")
    for name in ("V001_tx.csv", "V001_rx.csv", "V002_tx.csv"):
        content = bytearray((perfect / name).read_bytes()[: data.draw(st.integers(0, 6000))])
        for _ in range(data.draw(st.integers(0, 6))):
            place = data.draw(st.integers(0, len(content)))
            content[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=12))
        (folder / name).write_bytes(content)
    if data.draw(st.booleans()):
        (folder / "drive.toml").write_bytes(data.draw(st.binary(max_size=60)))
    with contextlib.suppress(DriveError):
        drive = read_drive(folder)
        assert len(drive.own.time_s) == len(drive.own.x_m)
