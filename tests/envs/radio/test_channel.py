"""The radio: how much is lost, in what bursts, how noisy, how late, and that nothing is known before its time."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.presets import ESP_NOW, PRESETS, V2vPreset, get_preset, preset_to_json, randomise
from roadsense.errors import InputError
from tests.envs.channel_arrays import exchange, heard, heard_step, observed

STEP_S = 0.1
ORIGIN = np.zeros(2)
PROMPT = replace(ESP_NOW, latency_mean_s=0.0, latency_std_s=0.0)
"""ESP-NOW without latency: what is sent in a step and not lost is heard in the same step."""


def at_distance(distance_m, n_peers=1):
    """States of peers that stand in all directions at one distance from the origin."""
    angle = np.linspace(0, 2 * math.pi, n_peers, endpoint=False)
    states = np.zeros((n_peers, 5))
    states[:, 0], states[:, 1] = distance_m * np.cos(angle), distance_m * np.sin(angle)
    return states


def lost_messages(preset, distance_m, n_steps=2000, n_peers=50, seed=0):
    """(n_steps, n_peers): which messages of a prompt radio were lost."""
    channel = V2vChannel(preset, n_peers, n_steps, STEP_S, np.random.default_rng(seed))
    states = at_distance(distance_m, n_peers)
    lost = np.empty((n_steps, n_peers), bool)
    for step in range(n_steps):
        exchange(channel, step, states, ORIGIN)
        lost[step] = heard_step(channel) != step
    return lost


def burst_lengths(lost):
    """Lengths of all runs of lost messages that begin and end within the record."""
    lengths = []
    for column in lost.T:
        edges = np.flatnonzero(np.diff(column.astype(int)))
        starts = [edge for edge in edges if not column[edge]]
        ends = [edge for edge in edges if column[edge]]
        lengths += [end - start for start in starts for end in [e for e in ends if e > start][:1]]
    return np.array(lengths)


BANDS = ((10.0, 0), (35.0, 1), (75.0, 2), (200.0, 3))


@pytest.mark.parametrize("name", ["esp_now", "bursty", "blocked_antenna"])
@pytest.mark.parametrize(("distance_m", "band"), BANDS)
def test_the_share_lost_is_the_presets_in_every_distance_band(name, distance_m, band):
    preset = replace(get_preset(name), latency_mean_s=0.0, latency_std_s=0.0)
    lost = lost_messages(preset, distance_m)[100:]
    share, burst = preset.loss[band], preset.burst_mean
    # Losses in bursts are correlated: the variance of a two-state chain's mean is (1 + r) / (1 - r) the binomial's.
    memory = 1 - 1 / burst - share / (1 - share) / burst
    error = math.sqrt(share * (1 - share) / lost.size * (1 + memory) / (1 - memory))
    assert abs(lost.mean() - share) < 4 * error


@pytest.mark.parametrize(("name", "burst"), [("esp_now", 1.6), ("bursty", 6.0), ("blocked_antenna", 7.0)])
def test_messages_are_lost_in_bursts_of_the_presets_mean_length(name, burst):
    preset = replace(get_preset(name), latency_mean_s=0.0, latency_std_s=0.0)
    lengths = burst_lengths(lost_messages(preset, 35.0, n_steps=1500, n_peers=40))
    geometric_std = math.sqrt(burst * (burst - 1))
    # Runs cut off by the end of the record are left out, which shortens the mean a little.
    assert abs(lengths.mean() - burst) < 4 * geometric_std / math.sqrt(len(lengths)) + 0.01 * burst


def test_cars_lose_their_messages_independently():
    lost = lost_messages(PROMPT, 35.0, n_peers=4)
    correlation = np.corrcoef(lost.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.1


def test_noise_has_the_presets_standard_deviation_in_every_quantity():
    n_steps, n_peers = 1000, 50
    channel = V2vChannel(PROMPT, n_peers, n_steps, STEP_S, np.random.default_rng(1))
    states = at_distance(10.0, n_peers)
    states[:, 2:] = 20.0, -1.0, 0.3
    errors = []
    for step in range(n_steps):
        exchange(channel, step, states, ORIGIN)
        errors.append((heard(channel) - states)[heard_step(channel) == step])
    errors = np.concatenate(errors)
    expected = np.array([2.96, 2.96, 0.43, 0.39, math.radians(4.7)])
    n = len(errors)
    np.testing.assert_array_less(np.abs(errors.mean(axis=0)), 4 * expected / math.sqrt(n))
    # The standard deviation's own relative error is 1 / sqrt(2 n).
    np.testing.assert_allclose(errors.std(axis=0), expected, rtol=4 / math.sqrt(2 * n))
    assert np.abs(np.corrcoef(errors.T) - np.eye(5)).max() < 4 / math.sqrt(n)


@pytest.mark.parametrize(("latency_s", "steps_late"), [(0.0, 0), (0.004, 1), (0.1, 1), (0.1001, 2), (0.25, 3)])
def test_a_message_is_heard_at_the_first_step_not_before_its_arrival(latency_s, steps_late):
    preset = replace(PRESETS["ideal"], latency_mean_s=latency_s)
    channel = V2vChannel(preset, 1, 20, STEP_S, np.random.default_rng(0))
    for step in range(20):
        exchange(channel, step, np.full((1, 5), float(step)), ORIGIN)
        if step < steps_late:
            assert heard_step(channel)[0] < 0
        else:
            assert heard_step(channel)[0] == step - steps_late
            assert (heard(channel)[0] == step - steps_late).all()


class RecordedLatency:
    """A generator that keeps the latencies drawn from it: the first draw a channel makes from a normal distribution."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)
        self.latency_s = None

    def normal(self, mean, std, shape):
        drawn = self._rng.normal(mean, std, shape)
        self.latency_s = np.maximum(drawn, 0.0) if self.latency_s is None else self.latency_s
        return drawn

    def __getattr__(self, name):
        return getattr(self._rng, name)


@settings(max_examples=60, deadline=None)
@given(
    mean_s=st.floats(0.0, 0.7),
    std_s=st.floats(0.0, 0.4),
    loss=st.floats(0.0, 0.5),
    n_peers=st.integers(1, 8),
    step_s=st.sampled_from([0.05, 0.1, 0.2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_nothing_is_heard_before_it_arrives_and_nothing_old_after_something_new(
    mean_s, std_s, loss, n_peers, step_s, seed
):
    n_steps = 40
    preset = replace(PRESETS["ideal"], loss=(loss,) * 4, burst_mean=2.0, latency_mean_s=mean_s, latency_std_s=std_s)
    rng = RecordedLatency(seed)
    channel = V2vChannel(preset, n_peers, n_steps, step_s, rng)
    sent = np.random.default_rng(seed).uniform(-100, 100, (n_steps, n_peers, 5))
    before = heard_step(channel)
    for step in range(n_steps):
        exchange(channel, step, sent[step], ORIGIN)
        assert (heard_step(channel) >= before).all()
        before = heard_step(channel)
        for peer in np.flatnonzero(heard_step(channel) >= 0):
            sent_step = heard_step(channel)[peer]
            np.testing.assert_array_equal(heard(channel)[peer], sent[sent_step, peer])
            assert sent_step * step_s + rng.latency_s[sent_step, peer] <= step * step_s + 1e-6


@settings(max_examples=30, deadline=None)
@given(mean_s=st.floats(0.0, 0.5), std_s=st.floats(0.0, 0.3), seed=st.integers(0, 2**32 - 1))
def test_without_loss_the_newest_message_that_has_arrived_is_the_one_heard(mean_s, std_s, seed):
    n_steps, n_peers = 40, 3
    preset = replace(PRESETS["ideal"], latency_mean_s=mean_s, latency_std_s=std_s)
    rng = RecordedLatency(seed)
    channel = V2vChannel(preset, n_peers, n_steps, STEP_S, rng)
    arrives = np.arange(n_steps)[:, None] + np.ceil(rng.latency_s / STEP_S - 1e-9)
    for step in range(n_steps):
        exchange(channel, step, np.zeros((n_peers, 5)), ORIGIN)
        for peer in range(n_peers):
            arrived = np.flatnonzero(arrives[: step + 1, peer] <= step)
            assert max(heard_step(channel)[peer], -1) == (arrived.max() if len(arrived) else -1)


def test_nothing_is_heard_beyond_the_range():
    preset = replace(PRESETS["ideal"], range_m=120.0)
    channel = V2vChannel(preset, 4, 10, STEP_S, np.random.default_rng(0))
    states = np.zeros((4, 5))
    states[:, 0] = 119.0, 121.0, -119.0, -5000.0
    for step in range(10):
        exchange(channel, step, states, ORIGIN)
    assert (heard_step(channel) >= 0).tolist() == [True, False, True, False]


def test_a_range_inside_a_band_cuts_it():
    preset = replace(PRESETS["ideal"], range_m=30.0)
    assert not lost_messages(preset, 29.0, n_steps=20).any()
    assert lost_messages(preset, 31.0, n_steps=20).all()


def test_a_peer_that_is_gone_is_never_heard_and_the_others_are():
    channel = V2vChannel(PRESETS["ideal"], 3, 10, STEP_S, np.random.default_rng(0))
    states = at_distance(20.0, 3)
    states[1] = np.nan
    for step in range(10):
        exchange(channel, step, states, ORIGIN)
    assert (heard_step(channel) >= 0).tolist() == [True, False, True]
    assert np.isfinite(heard(channel)).all()


def test_a_peer_that_leaves_is_remembered_for_two_seconds_and_then_forgotten():
    channel = V2vChannel(PRESETS["ideal"], 1, 40, STEP_S, np.random.default_rng(0))
    present, gone = at_distance(20.0), np.full((1, 5), np.nan)
    ages = {}
    for step in range(40):
        exchange(channel, step, present if step <= 8 else gone, ORIGIN)
        seen = observed((0.0,) * 5, (0.0, 0.0), channel, step)
        if step >= 8:
            ages[step - 8] = seen["peer_mask"][0]
    assert [ages[age] for age in (0, 4, 20)] == [1, 1, 1]
    assert [ages[age] for age in (21, 22, 31)] == [0, 0, 0]


@pytest.mark.parametrize("step_length_s", [0.05, 0.1, 0.2])
def test_stale_means_two_seconds_whatever_the_step(step_length_s):
    channel = V2vChannel(ESP_NOW, 1, 1, step_length_s, np.random.default_rng(0))
    assert channel.stale_steps * step_length_s == pytest.approx(2.0)


def test_the_age_of_a_message_is_the_time_since_it_was_sent():
    preset = replace(PRESETS["ideal"], latency_mean_s=0.25)
    channel = V2vChannel(preset, 1, 20, STEP_S, np.random.default_rng(0))
    for step in range(10):
        exchange(channel, step, at_distance(20.0), ORIGIN)
    seen = observed((0.0,) * 5, (0.0, 0.0), channel, 9)
    assert seen["peers"][0, 5] == pytest.approx(0.3)


def test_silence_is_the_age_of_the_newest_message_and_goes_on_behind_the_memory():
    channel = V2vChannel(PRESETS["ideal"], 1, 40, STEP_S, np.random.default_rng(0))
    assert channel.silence_s(0, 7) == pytest.approx(0.7)  # nothing was heard since the start
    silences = []
    for step in range(30):
        exchange(channel, step, at_distance(20.0) if step < 5 else [[np.nan] * 5], ORIGIN)
        silences.append(channel.silence_s(0, step))
    assert silences[:8] == pytest.approx([0, 0, 0, 0, 0, 0.1, 0.2, 0.3])
    assert silences[24:26] == pytest.approx([2.0, 2.1])


def test_muted_hears_nothing_even_from_beside():
    assert lost_messages(PRESETS["muted"], 0.0, n_steps=50).all()


def test_ideal_is_exact_and_immediate():
    channel = V2vChannel(get_preset("ideal"), 8, 50, STEP_S, np.random.default_rng(0))
    states = np.random.default_rng(1).uniform(-100, 100, (50, 8, 5))
    for step in range(50):
        exchange(channel, step, states[step], ORIGIN)
        np.testing.assert_array_equal(heard(channel), states[step])
        assert (heard_step(channel) == step).all()


def test_presets_are_the_measured_ones():
    radio = get_preset("esp_now")
    assert radio.loss == (0.058, 0.116, 0.124, 0.186)
    assert (radio.burst_mean, radio.latency_mean_s, radio.latency_std_s) == (1.6, 0.00384, 0.00104)
    assert radio.stale_after_s == 2.0
    assert set(get_preset("blocked_antenna").loss) == {0.85}
    assert get_preset("bursty").burst_mean == 6.0
    with pytest.raises(InputError, match="telepathy"):
        get_preset("telepathy")


@pytest.mark.parametrize("loss", [0.62, 1.0, 1.2, -0.1, math.nan])
def test_a_loss_that_bursts_of_this_length_cannot_give_is_refused(loss):
    with pytest.raises(InputError, match="burst"):
        replace(ESP_NOW, loss=(0.1, 0.1, 0.1, loss))


def test_the_highest_possible_loss_is_kept():
    most = 1.6 / 2.6 - 1e-9
    preset = replace(PROMPT, loss=(most,) * 4)
    assert lost_messages(preset, 35.0)[100:].mean() == pytest.approx(most, abs=0.01)


def test_bursts_shorter_than_one_message_are_refused():
    with pytest.raises(InputError, match="burst"):
        replace(ESP_NOW, loss=(0.1,) * 4, burst_mean=0.5)


def test_randomising_esp_now_stays_in_its_stated_ranges_and_fills_them():
    rng = np.random.default_rng(0)
    radios = [randomise(ESP_NOW, rng) for _ in range(2000)]
    loss = np.array([radio.loss[:3] for radio in radios])
    latency = np.array([radio.latency_mean_s for radio in radios])
    position = np.array([radio.position_std_m for radio in radios])
    for drawn, low, high in ((loss, 0.029, 0.25), (latency, 0.0019, 0.0077), (position, 0.5, 4.4)):
        assert low - 1e-4 <= drawn.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < drawn.max() <= high + 1e-4
    jitter = np.array([radio.latency_std_s for radio in radios])
    np.testing.assert_allclose(jitter / latency, ESP_NOW.latency_std_s / ESP_NOW.latency_mean_s)
    for radio in radios[:50]:
        assert replace(radio, position_std_m=ESP_NOW.position_std_m).speed_std_mps == ESP_NOW.speed_std_mps
        assert (radio.range_m, radio.stale_after_s, radio.burst_mean) == (300.0, 2.0, 1.6)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_can_be_randomised(name):
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert isinstance(randomise(get_preset(name), rng), V2vPreset)


def test_same_generator_gives_the_same_channel_and_another_does_not():
    def hear(seed):
        channel = V2vChannel(ESP_NOW, 5, 30, STEP_S, np.random.default_rng(seed))
        for step in range(30):
            exchange(channel, step, at_distance(35.0, 5), ORIGIN)
        return heard(channel)

    np.testing.assert_array_equal(hear(4), hear(4))
    assert not np.array_equal(hear(4), hear(5))


def test_what_is_heard_of_one_peer_does_not_depend_on_where_the_others_are():
    def hear(second_m):
        channel = V2vChannel(ESP_NOW, 2, 60, STEP_S, np.random.default_rng(0))
        states = np.zeros((2, 5))
        states[:, 0] = 30.0, second_m
        record = []
        for step in range(60):
            exchange(channel, step, states, ORIGIN)
            record.append(heard(channel)[0].copy())
        return np.array(record)

    np.testing.assert_array_equal(hear(60.0), hear(1000.0))


def test_a_preset_may_come_from_a_file(tmp_path):
    (tmp_path / "mine.json").write_text(preset_to_json(PRESETS["bursty"]))
    assert get_preset(str(tmp_path / "mine.json")) == PRESETS["bursty"]
    with pytest.raises(InputError, match="fit-channel"):
        get_preset(str(tmp_path / "nowhere.json"))


def test_what_became_of_each_message_is_known():
    late = replace(PROMPT, loss=(0.3, 0.3, 0.3, 0.3), latency_mean_s=0.15)
    channel = V2vChannel(late, 3, 400, STEP_S, np.random.default_rng(5))
    states = at_distance(30.0, 3)
    states[2] = np.nan  # never there
    arrivals = []
    for step in range(400):
        exchange(channel, step, states)
        arrivals.append(heard_step(channel)[:2].tolist())
        sent = channel.delivery_steps(step)
        assert sent[2] is None
        assert set(sent[:2]) <= {step + 2, -1}  # 0.15 s are two steps
    for step in range(300):
        for peer, at in enumerate(channel.delivery_steps(step)[:2]):
            if at == -1:
                assert all(row[peer] != step for row in arrivals)
            else:
                assert arrivals[at][peer] == step
                assert arrivals[at - 1][peer] < step
    heard_count, lost_count = channel.count_messages(400)
    assert heard_count + lost_count == 800
    assert lost_count / 800 == pytest.approx(0.3, abs=0.06)
    assert sum(channel.count_messages(10)) == 20
