"""Fitting a radio: what is known comes back within statistical bounds, and a log that cannot be right is refused."""

import json
import math
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadsense.cli import main
from roadsense.envs.radio.fit import (
    BANDS,
    MIN_MESSAGES,
    MIN_VALUES,
    MOST_LOSS,
    fit_channel,
)
from roadsense.envs.radio.log import QUANTITIES, read_log
from roadsense.envs.radio.presets import (
    ESP_NOW,
    PRESETS,
    V2vPreset,
    get_preset,
    preset_from_json,
    preset_to_json,
    randomise,
)
from roadsense.errors import InputError
from tests.envs.radio.simulated_log import write_log

RADIOS = ("esp_now", "bursty", "blocked_antenna")
N_SIGMAS = 4
"""A correct fit leaves these bounds once in 16,000 figures; seeds are fixed."""


@pytest.fixture(scope="module", params=[(name, seed) for name in RADIOS for seed in (0, 1)], ids=str)
def known(request, tmp_path_factory):
    """A preset, the log of a convoy that talks over it, and its fit."""
    name, seed = request.param
    path = tmp_path_factory.mktemp("known") / "log.csv"
    write_log(path, get_preset(name), np.random.default_rng(seed), n_steps=4000)
    return get_preset(name), read_log(path), fit_channel(path)


def write_columns(path, **columns):
    """Writes a log of these columns; the rest of a row as if one car stood 10 m ahead and all was heard."""
    n_rows = max(len(values) for values in columns.values() if values is not None)
    table = {"sender": ["V002"] * n_rows, "sequence": range(n_rows), "distance_m": [10.0] * n_rows}
    table |= {"received": [1] * n_rows} | columns
    table = {name: values for name, values in table.items() if values is not None}
    rows = zip(*table.values(), strict=True)
    path.write_text("\n".join([",".join(table), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.fixture
def log(tmp_path):
    """Writes columns as a log and returns its path."""
    return lambda **columns: write_columns(tmp_path / "log.csv", **columns)


# What is known comes back.


def test_losses_come_back_in_every_band(known):
    preset, _, fit = known
    for share, fitted, n in zip(preset.loss, fit.preset.loss, fit.n_messages, strict=True):
        # Losses in bursts are correlated: the variance of a two-state chain's mean is (1 + r) / (1 - r) the binomial's.
        memory = 1 - 1 / preset.burst_mean - share / (1 - share) / preset.burst_mean
        error = math.sqrt(share * (1 - share) / n * (1 + memory) / (1 - memory))
        assert n > 1500
        assert abs(fitted - share) < N_SIGMAS * error


def test_the_mean_burst_comes_back(known):
    preset, log, fit = known
    mean = preset.burst_mean
    n_bursts = (~log.received & (log.distance_m < 300)).sum() / mean
    assert abs(fit.preset.burst_mean - mean) < N_SIGMAS * math.sqrt(mean * (mean - 1) / n_bursts)


def test_latency_comes_back(known):
    preset, log, fit = known
    n = log.received.sum()
    mean_error, std_error = (preset.latency_std_s / math.sqrt(n), preset.latency_std_s / math.sqrt(2 * n))
    assert abs(fit.preset.latency_mean_s - preset.latency_mean_s) < N_SIGMAS * mean_error + 1e-6
    assert abs(fit.preset.latency_std_s - preset.latency_std_s) < N_SIGMAS * std_error + 1e-6


def test_noise_comes_back(known):
    preset, log, fit = known
    n = log.received.sum()
    for field, n_errors in (
        ("position_std_m", 2 * n), ("speed_std_mps", n), ("acceleration_std_mps2", n), ("heading_std_rad", n),
    ):  # fmt: skip
        # The scaled median of absolute errors has 2.7 times the variance of a standard deviation, 1 / (2 n).
        error = math.sqrt(2.72 / (2 * n_errors))
        assert getattr(fit.preset, field) == pytest.approx(getattr(preset, field), rel=N_SIGMAS * error + 1e-3), field


def test_the_range_comes_back_and_nothing_needs_a_note(known):
    preset, log, fit = known
    heard = log.distance_m[log.received]
    assert heard.max() < fit.preset.range_m <= preset.range_m
    assert fit.preset.range_m > preset.range_m - 3
    assert fit.preset.stale_after_s == 2.0
    assert fit.notes == ()
    assert sum(fit.n_messages) == (log.distance_m < fit.preset.range_m).sum()


def test_an_ideal_radio_comes_back_exactly(tmp_path):
    path = write_log(tmp_path / "log.csv", PRESETS["ideal"], np.random.default_rng(0))
    assert fit_channel(path).preset == PRESETS["ideal"]


def test_a_fitted_radio_can_be_used_and_fitted_again(tmp_path):
    first = fit_channel(write_log(tmp_path / "a.csv", PRESETS["bursty"], np.random.default_rng(0))).preset
    assert isinstance(randomise(first, np.random.default_rng(0)), V2vPreset)
    second = fit_channel(write_log(tmp_path / "b.csv", first, np.random.default_rng(1))).preset
    assert second.burst_mean == pytest.approx(first.burst_mean, rel=0.2)


def test_the_same_generator_writes_the_same_file_and_another_does_not(tmp_path):
    first, same, other = (
        write_log(tmp_path / f"{index}.csv", ESP_NOW, np.random.default_rng(seed), n_steps=50).read_bytes()
        for index, seed in enumerate((3, 3, 4))
    )
    assert first == same != other


def test_a_written_log_covers_all_bands_and_beyond_the_range_and_leaves_lost_cells_empty(tmp_path):
    path = write_log(tmp_path / "log.csv", ESP_NOW, np.random.default_rng(0), n_peers=3, n_steps=2400)
    log = read_log(path)
    assert len(log.received) == 3 * 2400
    assert log.distance_m.min() < 10
    assert log.distance_m.max() > 300
    assert not log.received[log.distance_m > 300].any()
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    for row in rows[:500]:
        cells = dict(zip(header, row, strict=True))
        heard = [cells["received_s"], *(cells[f"heard_{name}"] for name in QUANTITIES)]
        assert all(heard) if cells["received"] == "1" else not any(heard)


# Bursts.


def test_bursts_are_counted_by_their_ends(log):
    received = ([1] * 5 + [0] * 3) * 25 + [1]
    assert fit_channel(log(received=received)).preset.burst_mean == 3.0


def test_bursts_cut_off_by_the_log_dont_shorten_the_mean(log):
    """300 senders of 12 messages each: the complete bursts alone would have a mean of about 4."""
    rng, burst, n_senders, n_each = np.random.default_rng(0), 8.0, 300, 12
    received = np.empty((n_senders, n_each), int)
    for row in received:
        lost = rng.uniform() < 0.5
        for index in range(n_each):
            row[index] = not lost
            lost = rng.uniform() < (1 - 1 / burst if lost else 1 / burst)
    sender = np.repeat(np.arange(n_senders), n_each)
    sequence = np.tile(np.arange(n_each), n_senders)
    fit = fit_channel(log(sender=sender, sequence=sequence, received=received.ravel()))
    n_ends = (np.diff(received, axis=1) == 1).sum()
    assert abs(fit.preset.burst_mean - burst) < N_SIGMAS * math.sqrt(burst * (burst - 1) / n_ends)
    assert fit.preset.loss[0] == pytest.approx(0.5, abs=0.06)


def test_a_burst_doesnt_run_on_from_one_sender_to_the_next(log):
    received = [1] * 30 + [0] * 2 + [0] * 2 + [1] * 30
    sender = ["V002"] * 32 + ["V003"] * 32
    # One chance to end in V002, not taken, two in V003, one taken.
    assert fit_channel(log(sender=sender, received=received)).preset.burst_mean == 3.0


@pytest.mark.parametrize("clock", ["sequence", "sent_s"])
def test_nothing_is_concluded_across_missing_rows(log, clock):
    received = ([1] * 5 + [0, 0]) * 30
    count = np.arange(len(received)) + 10 * (np.arange(len(received)) // 7)
    columns = {"sequence": count} if clock == "sequence" else {"sequence": None, "sent_s": count / 10}
    fit = fit_channel(log(received=received, **columns))
    assert fit.preset.loss[0] == pytest.approx(2 / 7, abs=1e-4)
    assert any("missing in 29 places" in note for note in fit.notes)
    assert any("only 0 bursts" in note for note in fit.notes)


def test_bursts_are_as_long_as_the_loss_needs(log):
    received = [1] * 20 + [0] * 180
    fit = fit_channel(log(received=received))
    assert fit.preset.loss[0] == 0.9
    assert fit.preset.burst_mean == pytest.approx(9.0)
    assert any("the losses need it" in note for note in fit.notes)


def test_a_band_that_loses_everything_doesnt_make_all_bursts_endless(log):
    distance_m = [10.0] * 1000 + [30.0] * 100 + [70.0] * 1000
    received = ([1] * 9 + [0]) * 100 + [0] * 100 + ([1] * 9 + [0]) * 100
    fit = fit_channel(log(distance_m=distance_m, received=received))
    assert fit.preset.loss == (0.1, MOST_LOSS, 0.1, 0.1)
    assert fit.preset.burst_mean == pytest.approx(MOST_LOSS / (1 - MOST_LOSS))
    assert any("endless" in note for note in fit.notes)


@settings(max_examples=60, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60), st.floats(0, 400)), min_size=1, max_size=12),
    n_first=st.integers(MIN_MESSAGES, 80),
)
def test_whatever_was_heard_the_fit_is_a_radio(runs, n_first):
    received = [1] * n_first + [cell for n_heard, n_lost, _ in runs for cell in [1] * n_heard + [0] * n_lost]
    distance_m = [10.0] * n_first + [metres for n_heard, n_lost, metres in runs for _ in range(n_heard + n_lost)]
    with tempfile.TemporaryDirectory() as folder:
        fit = fit_channel(write_columns(Path(folder) / "log.csv", received=received, distance_m=distance_m))
    assert preset_from_json(preset_to_json(fit.preset)) == fit.preset
    assert all(0 <= share < 1 for share in fit.preset.loss)


# Bands and range.


def test_a_band_with_too_few_messages_takes_its_neighbours_loss_and_says_so(log):
    n_few = MIN_MESSAGES - 1
    distance_m = [10.0] * 100 + [30.0] * n_few + [70.0] * 100
    received = ([1] * 9 + [0]) * 10 + [1] * n_few + ([1] * 4 + [0]) * 20
    fit = fit_channel(log(distance_m=distance_m, received=received))
    assert fit.n_messages == (100, n_few, 100, 0)
    # Of two neighbours, the one that loses more.
    assert fit.preset.loss == (0.1, 0.2, 0.2, 0.2)
    assert any(f"20 to 50 m: only {n_few} messages" in note and "50 to 100 m" in note for note in fit.notes)
    assert any("beyond 100 m: only 0 messages" in note for note in fit.notes)


def test_bands_change_where_the_channels_do(log):
    distance_m = np.repeat([19.99, 20.0, 49.99, 50.0, 99.99, 100.0], 100)
    assert fit_channel(log(distance_m=distance_m, received=[1] * 600)).n_messages == (100, 200, 200, 100)


def test_losses_beyond_the_range_dont_count(log):
    distance_m = [110.0] * 100 + [120.5] * 100 + [130.0] * 1000
    received = ([1] * 4 + [0]) * 40 + [0] * 1000
    fit = fit_channel(log(distance_m=distance_m, received=received))
    assert fit.preset.range_m == 121.0
    assert fit.n_messages == (0, 0, 0, 200)
    assert fit.preset.loss == (0.2,) * 4
    assert fit.preset.burst_mean == 1.0


def test_coming_back_into_range_ends_no_burst(log):
    received = ([1] * 5 + [0] * 3 + [1] * 5 + [0] * 10) * 25 + [1]
    distance_m = ([10.0] * 13 + [200.0] * 10) * 25 + [10.0]
    preset = fit_channel(log(distance_m=distance_m, received=received)).preset
    assert preset.burst_mean == 3.0
    assert preset.loss == (0.2301,) * 4  # 75 of the 326 within range


def test_a_range_that_was_never_reached_is_said_to_be_the_logs(log):
    fit = fit_channel(log(distance_m=[60.0] * 100))
    assert fit.preset.range_m == 61.0
    assert any("may reach further" in note for note in fit.notes)


# Values.


def test_gps_jumps_hardly_change_the_noise(log):
    rng, n = np.random.default_rng(0), 4000
    error = rng.normal(0, 3, n)
    jumps = np.where(rng.uniform(size=n) < 0.05, rng.normal(0, 500, n), 0)
    columns = {f"true_{axis}_m": np.zeros(n) for axis in "xy"} | {f"heard_{axis}_m": error + jumps for axis in "xy"}
    fit = fit_channel(log(**columns))
    assert 2.9 < fit.preset.position_std_m < 3.4
    assert (error + jumps).std() > 50


def test_headings_are_compared_around_the_circle(log):
    rng, n = np.random.default_rng(0), 4000
    heard = rng.normal(0, 5, n) % 360
    fit = fit_channel(log(true_heading_deg=np.where(np.arange(n) % 2, 0, 360), heard_heading_deg=heard))
    assert math.degrees(fit.preset.heading_std_rad) == pytest.approx(5, rel=N_SIGMAS * 1.17 / math.sqrt(n))


def test_a_constant_offset_is_noise_and_noted(log):
    n = 400
    heard = np.random.default_rng(0).normal(2, 0.1, n)
    fit = fit_channel(log(true_speed_mps=np.zeros(n), heard_speed_mps=heard))
    assert fit.preset.speed_std_mps == pytest.approx(1.4826 * 2, rel=0.02)
    assert any("one sign" in note for note in fit.notes)


def test_values_rounded_so_that_most_errors_vanish_are_noted(log):
    fit = fit_channel(log(true_speed_mps=[20] * 90, heard_speed_mps=[20] * 60 + [21] * 15 + [19] * 15))
    assert fit.preset.speed_std_mps == 0
    assert any("rounded" in note for note in fit.notes)


def test_what_the_log_cannot_tell_is_the_defaults_with_a_note_each(log):
    path = log(received=[1] * 100)
    for default in (ESP_NOW, PRESETS["ideal"]):
        fit = fit_channel(path, default)
        kept = ("latency_mean_s", "latency_std_s", "position_std_m", "speed_std_mps", "acceleration_std_mps2")
        for field in (*kept, "heading_std_rad", "stale_after_s"):
            assert getattr(fit.preset, field) == getattr(default, field)
        for word in ("latency", "x_m and y_m", "speed_mps", "acceleration_mps2", "heading_deg"):
            assert any(word in note and "default's" in note for note in fit.notes)


def test_a_few_values_are_not_enough(log):
    n = MIN_VALUES - 1
    cells = [1.0] * n + [""] * (100 - n)
    fit = fit_channel(log(true_speed_mps=[0.0] * 100, heard_speed_mps=cells))
    assert fit.preset.speed_std_mps == ESP_NOW.speed_std_mps
    assert any(f"Only {n} true and heard values of speed_mps" in note for note in fit.notes)


def test_what_a_lost_message_would_have_said_is_not_read(log):
    received = [1, 0] * 100
    fit = fit_channel(log(received=received, true_speed_mps=[0.0] * 200, heard_speed_mps=[0.0, 99.0] * 100))
    assert fit.preset.speed_std_mps == 0


def test_latency_is_the_time_between_sending_and_hearing(log):
    sent_s = np.arange(100) / 10
    late_s = np.tile([0.002, 0.004], 50)
    received_s = [f"{sent + late:.6f}" for sent, late in zip(sent_s, late_s, strict=True)]
    preset = fit_channel(log(sequence=None, sent_s=sent_s, received=None, received_s=received_s)).preset
    assert (preset.latency_mean_s, preset.latency_std_s) == (0.003, 0.001)


# The format.


def test_order_of_columns_and_mixture_of_senders_and_further_columns_dont_matter(tmp_path):
    path = write_log(tmp_path / "log.csv", ESP_NOW, np.random.default_rng(0), n_steps=400)
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    rows.sort(key=lambda row: row[0], reverse=True)
    turned = [",".join([f" {cell} " for cell in reversed(row)] + ["-60 dBm"]) for row in [header, *rows]]
    other = tmp_path / "other.csv"
    other.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(turned).encode() + b"\r\n\r\n")
    assert fit_channel(other).preset == fit_channel(path).preset


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";").replace(".", ","),
        lambda text: text.replace(",", "\t"),
        lambda text: "sep=;\n" + text.replace(",", ";"),
        lambda text: text.replace("\n", ",\n"),
        lambda text: "# a drive in May\n" + text.upper().replace("E-", "e-"),
        lambda text: re.sub(r"(?m)^((?:[^,]+,){4})1,", r"\1True,", text),
    ],
    ids=["decimal commas", "tabs", "sep", "commas at the end", "title and capitals", "words"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_spreadsheets_and_scripts_may_have_written_it(tmp_path, change, encoding):
    path = write_log(tmp_path / "log.csv", ESP_NOW, np.random.default_rng(0), n_steps=400)
    other = tmp_path / "other.csv"
    other.write_text(change(path.read_text()), encoding=encoding)
    assert other.read_text(encoding=encoding) != path.read_text()
    assert fit_channel(other).preset == fit_channel(path).preset


def broken(**columns):
    """Columns of a log of 60 messages in which the row of line 42 is replaced by what is given."""
    good = {"sent_s": [f"{index / 10:.1f}" for index in range(60)], "true_speed_mps": [20] * 60}
    good |= {"sender": ["V002"] * 60, "sequence": list(range(60)), "distance_m": [10] * 60, "received": [1] * 60}
    good |= {"received_s": [f"{index / 10 + 0.01:.2f}" for index in range(60)], "heard_speed_mps": [21] * 60}
    for name, cell in columns.items():
        good[name] = [*good[name][:40], cell, *good[name][41:]]
    return good


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"distance_m": -3}, "at least 0 m, got distance_m '-3'"),
        ({"distance_m": ""}, "a number in every row, got distance_m ''"),
        ({"distance_m": "far"}, "a finite number, got distance_m 'far'"),
        ({"distance_m": "inf"}, "a finite number, got distance_m 'inf'"),
        ({"heard_speed_mps": "fast"}, "a finite number, got heard_speed_mps 'fast'"),
        ({"received": 2}, "1 for heard or 0 for lost, got received '2'"),
        ({"received": 0}, "received and received_s to agree, got received_s '4.01'"),
        ({"received_s": ""}, "received and received_s to agree, got received_s ''"),
        ({"received_s": 3.9}, "not before sent_s, got received_s '3.9'"),
        ({"sequence": 39}, "sequence to rise from row to row of a sender, got sequence '39'"),
        ({"sequence": 39.5}, "a whole number, got sequence '39.5'"),
        ({"sent_s": 3.85, "received_s": 9}, "sent_s to rise from row to row of a sender, got sent_s '3.85'"),
        ({"sender": ""}, "the name of the car that sent, got sender ''"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(f"{name}={cell}" for name, cell in value.items()),
)
def test_a_row_that_cannot_be_is_refused_with_its_line(log, columns, expected):
    with pytest.raises(InputError) as error:
        fit_channel(log(**broken(**columns)))
    assert expected in str(error.value)
    assert "in line 42 of " in str(error.value)
    assert str(error.value).endswith(".")


def test_lines_are_counted_as_an_editor_does(log):
    path = log(**broken(distance_m=-1))
    path.write_text(path.read_text().replace("\n", "\n\n", 3))
    with pytest.raises(InputError, match="in line 45 of"):
        read_log(path)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (["sender"], "a column sender, got"),
        (["distance_m"], "a column distance_m, got"),
        (["sequence", "sent_s"], "a column sequence or sent_s, got"),
        (["received", "received_s"], "a column received or received_s, got"),
        (["heard_speed_mps"], "a column heard_speed_mps, got"),
        (["true_speed_mps", "sender"], "a column sender, and a column true_speed_mps, got"),
    ],
)
def test_a_missing_column_is_named(log, missing, expected):
    with pytest.raises(InputError, match=expected):
        fit_channel(log(**broken() | dict.fromkeys(missing)))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "a row per message, got 0 lines"),
        (b"sender,sequence,distance_m,received\n", "a row per message, got 1 lines"),
        (b"sender;sequence;distance;received\nV002;0;10;1\n", "a column distance_m, got"),
        (b"sender,sequence,distance_m,received\nV002,0,10,1\n", "at least 50 messages .* got .1, 0, 0, 0"),
        (b"sender,sequence,distance_m,received\nV002,0,10,0\n", "a message that was heard, got 1 lost ones"),
        (b"sender,sequence,distance_m,received\nV002,0,10\n", "4 cells, .* got 3 in line 2"),
        (b"sender,sequence,distance_m,received\nV002,0,10,1,1\n", "4 cells, .* got 5 in line 2"),
        (b"sender,sequence,distance_m,sequence\nV002,0,10,1\n", "each column once"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "a column sender, .* got"),
    ],
    ids=["empty", "header", "names", "one", "lost", "short", "long", "double", "picture"],
)
def test_a_file_that_is_no_log_is_refused(tmp_path, content, expected):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected):
        fit_channel(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="a CSV file of messages, got"):
            fit_channel(path)


# JSON.

AMOUNTS = [st.floats(0, highest) for highest in (10, 10, 1000, 100, 100, math.pi, 1e5, 60)]
"""From latency to `stale_after_s`, within the bounds of a preset."""


@settings(max_examples=200)
@given(
    burst_mean=st.floats(1, 1000),
    portions=st.tuples(*[st.floats(0, 0.999)] * 4),
    amounts=st.tuples(*AMOUNTS),
)
def test_a_preset_comes_back_from_json_as_it_was(burst_mean, portions, amounts):
    near, middle, far, beyond = (portion * burst_mean / (1 + burst_mean) for portion in portions)
    preset = V2vPreset((near, middle, far, beyond), burst_mean, *amounts)
    assert preset_from_json(preset_to_json(preset)) == preset


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_named_preset_comes_back_from_json(name):
    assert preset_from_json(preset_to_json(PRESETS[name])) == PRESETS[name]


def test_whole_numbers_may_be_written_without_a_point():
    text = json.dumps(asdict(ESP_NOW) | {"range_m": 300, "burst_mean": 2})
    assert preset_from_json(text) == replace(ESP_NOW, burst_mean=2.0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"range_m": None}, "as range_m, got None"),
        ({"range_m": "300"}, "as range_m, got '300'"),
        ({"range_m": True}, "as range_m, got True"),
        ({"range_m": math.nan}, "as range_m, got nan"),
        ({"range_m": 10**400}, "as range_m, got inf"),
        ({"latency_std_s": -1}, "as latency_std_s, got -1"),
        ({"loss": [0.1, 0.1, 0.1]}, "a loss for each of 4 distance bands"),
        ({"loss": 0.1}, "a loss for each of 4 distance bands"),
        ({"loss": [0.1, 0.1, 0.1, "0.1"]}, "as loss, got '0.1'"),
        ({"loss": [0.1, 0.1, 0.1, 0.9]}, "a loss from 0 to"),
        ({"burst_mean": 0.5}, "burst_mean to be a number from 1 to 1000"),
        ({"antenna": 1}, "with the fields"),
    ],
)
def test_json_that_is_no_preset_is_refused(change, expected):
    with pytest.raises(InputError, match=expected):
        preset_from_json(json.dumps(asdict(ESP_NOW) | change))


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", '{"loss": [0, 0, 0, 0]}'])
def test_text_that_is_no_preset_is_refused(text):
    with pytest.raises(InputError, match="Expected a V2V preset"):
        preset_from_json(text)


def test_a_figure_that_json_has_not_is_refused():
    with pytest.raises(InputError, match="got inf"):
        preset_to_json(replace(ESP_NOW, range_m=math.inf))


# The command.


def test_the_command_prints_the_preset_alone_and_its_notes_beside(log, capsys):
    path = log(received=[1] * 100)
    assert main(["fit-channel", str(path), "--default", "ideal"]) == 0
    out, err = capsys.readouterr()
    assert preset_from_json(out) == fit_channel(path, PRESETS["ideal"]).preset
    assert err.splitlines()[: len(BANDS)] == [
        f"{band}: {n} messages within range" for band, n in zip(BANDS, (100, 0, 0, 0), strict=True)
    ]
    assert "note: 20 to 50 m: only 0 messages" in err


def test_the_command_runs_by_itself_and_needs_nothing_that_trains(tmp_path):
    path = write_log(tmp_path / "log.csv", ESP_NOW, np.random.default_rng(0), n_steps=500)
    code = "import sys; from roadsense.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "fit-channel", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert preset_from_json(done.stdout) == fit_channel(path).preset


def test_wrong_input_ends_the_command_with_its_reason(tmp_path, capsys):
    assert main(["fit-channel", str(tmp_path / "none.csv")]) == InputError.exit_code
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: Expected a CSV file of messages")
