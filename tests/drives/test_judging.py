"""A policy that runs along on a recorded drive: it sees what it saw in the environment, and is judged by the truth."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from roadsense.cli import main
from roadsense.drives import sampling
from roadsense.drives.answers import compare_answers, list_onsets, tabulate_brakings, tabulate_needless
from roadsense.drives.compare import CompareConfig, compare_log
from roadsense.drives.drive import read_drive
from roadsense.drives.judge import JudgeConfig, judge_log
from roadsense.drives.judgement import judge_drive, try_out
from roadsense.drives.motion import Braking, find_brakings, follow_cars, needed_mps2
from roadsense.drives.report import choose_parts, make_trajectory
from roadsense.drives.steps import ASSIST, find_spans, make_steps, run_policy
from roadsense.envs.assist import assist_deceleration_mps2
from roadsense.envs.observation import EGO_SCALE, split_observation
from roadsense.episodes.trajectory import LOST, load_trajectory
from roadsense.evaluation.policies import RULES
from roadsense.policies.rules import BASELINES, AlwaysBrake, Unassisted
from roadsense.utils import progress


@pytest.fixture(scope="module")
def judged(dirty):
    return judge_drive(read_drive(dirty), BASELINES["cautious_rule"], "cautious_rule")


def with_demands(steps, actions):
    """The observations with the policy's last demand in them, as it saw them."""
    rows = steps.observations.copy()
    demands = np.array([assist_deceleration_mps2(action) for action in actions.tolist()])
    before = np.r_[0.0, demands[:-1]] * np.r_[False, steps.is_judged[:-1]]
    rows[:, ASSIST] = np.where(steps.is_judged, before / EGO_SCALE[ASSIST], 0.0)
    return rows


def test_an_episode_written_as_a_log_gives_the_same_observations_back(record, perfect):
    steps = make_steps(read_drive(perfect))
    actions = run_policy(BASELINES["cautious_rule"], steps)
    assert len(steps) == len(record.observations)
    assert np.abs(actions - record.actions).max() < 1e-6
    assert record.actions.max() > 0.2
    mine = split_observation(with_demands(steps, actions))
    for name in ("ego", "peers", "peer_mask"):
        theirs = np.concatenate([one[name] for one in record.observations])
        assert np.abs(mine[name] - theirs).max() < 2e-6, name


def test_the_order_of_its_own_actions_is_fed_back_only_where_it_matters(perfect):
    steps = make_steps(read_drive(perfect))
    asked = []

    def rule(observation):
        asked.append(len(observation["ego"]))
        return BASELINES["heard_drac_rule"](observation)

    run_policy(rule, steps)
    assert max(asked) == len(steps)
    assert len(asked) <= 3


def test_nothing_is_judged_where_the_ego_slept(perfect, tmp_path):
    shutil.copytree(perfect, tmp_path / "copy")
    path = tmp_path / "copy" / "V001_tx.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:101] + lines[161:]))
    steps = make_steps(read_drive(tmp_path / "copy"))
    ((first, last),) = find_spans(~steps.is_judged)
    assert steps.time_s[first] == pytest.approx(10.5, abs=0.11)
    assert steps.time_s[last] == pytest.approx(15.9, abs=0.11)
    assert not run_policy(AlwaysBrake(), steps)[first : last + 1].any()


def test_the_real_braking_is_found_when_it_was(record, judged):
    true = -record.states[:, 1, 3]
    onset_s = 0.1 * np.flatnonzero(true > 1.0)[0]
    own = judged.events[judged.events["car"] == "V002"].iloc[0]
    assert own["onset_s"] == pytest.approx(onset_s, abs=0.4)
    assert own["peak_mps2"] == pytest.approx(np.sort(true)[-10:].mean(), abs=0.6)
    assert 0 < own["heard"] <= own["sent"] <= 16
    assert 0 <= own["policy_s"] <= 1.5


def test_gaps_are_those_of_the_truth(record, judged):
    leader = judged.cars["V002"]
    true = np.hypot(*(record.states[:, 1, :2] - record.states[:, 0, :2]).T) - 4.5
    n = min(len(true), len(leader.gap_m))
    error = (leader.gap_m[:n] - true[:n])[np.isfinite(leader.gap_m[:n])]
    assert len(error) > 400
    assert np.median(np.abs(error)) < 2.5


def steps_of(perfect):
    drive = read_drive(perfect)
    return drive, make_steps(drive)


def test_needless_braking_is_counted_by_onset_share_and_place(perfect):
    drive, steps = steps_of(perfect)
    n = len(steps)
    actions = np.zeros(n)
    actions[[*range(20, 30), *range(35, 40), *range(80, 90)]] = 0.5  # two brakings 0.5 s apart are one
    needed = np.zeros(n)
    needed[80:90] = 3.0  # this one is justified
    steps.driver_mps2[:] = 0.0
    answers = compare_answers(steps, {"policy": actions, "idle": np.zeros(n)}, needed, [])
    table = tabulate_needless(answers).set_index("policy")
    assert table.loc["policy", "onsets"] == 1
    assert table.loc["policy", "braking_share"] == pytest.approx(15 / (n - 10))
    assert table.loc["policy", "onsets_per_h"] == pytest.approx(3600 / (0.1 * (n - 10)), rel=1e-6)
    assert table.loc["idle", "slowed_mps_per_min"] == 0
    (onset,) = list_onsets(drive, steps, answers, "policy").to_dict("records")
    assert onset["time_s"] == pytest.approx(2.0)
    assert onset["lasts_s"] == pytest.approx(2.0)
    assert abs(onset["latitude_deg"] - 52) < 0.1


def test_answers_are_timed_from_the_onset(perfect):
    drive, steps = steps_of(perfect)
    actions = np.zeros(len(steps))
    actions[57:] = 0.6
    braking = Braking("V002", 50, 80, float(steps.time_s[50]), 5.0, 20.0, 10.0)
    answers = compare_answers(steps, {"policy": actions, "idle": 0 * actions}, 0 * actions, [braking])
    assert not answers.calm[50:130].any()
    row = tabulate_brakings(drive, steps, answers, follow_cars(drive, steps), [braking]).iloc[0]
    assert row["policy_s"] == pytest.approx(0.7)
    assert np.isnan(row["idle_s"])
    assert (row["sent"], row["heard"]) == (15, 15)


def test_needed_braking_follows_the_leader(record, perfect):
    drive, steps = steps_of(perfect)
    cars = follow_cars(drive, steps)
    needed = needed_mps2(steps, cars, drive.n_ahead)
    (braking, *_) = find_brakings(steps, cars, drive.n_ahead)
    assert np.nanmax(needed[braking.first : braking.last + 30]) > 2
    assert np.nanmax(needed[: braking.first - 5]) < 2


def test_the_what_if_of_nothing_is_what_happened(perfect):
    drive, steps = steps_of(perfect)
    cars = follow_cars(drive, steps)
    brakings = find_brakings(steps, cars, drive.n_ahead)
    same = try_out(drive, steps, cars, brakings, Unassisted())
    assert len(same) == len(brakings) > 0
    assert np.allclose(same["gap_m"], same["gap_with_m"], atol=1e-6)
    assert (same["lasts_s"] <= 8.0 + 1e-9).all()
    harder = try_out(drive, steps, cars, brakings, AlwaysBrake(6.0))
    assert (harder["gap_with_m"] >= harder["gap_m"]).all()
    assert harder["slowed_mps"].max() > 2


def test_it_says_that_it_is_open_loop_and_names_the_person(judged):
    sentences = judged.sentences()
    assert sentences[0].startswith("Open loop: the recorded car did not brake with the policy")
    assert any("the person" in one for one in sentences)
    assert set(judged.needless["policy"]) == {"policy", *RULES}


def test_a_part_of_the_drive_plays_with_messages_and_the_persons_braking(judged):
    part = make_trajectory(judged, 10, 210, what="a part")
    assert part.vehicle_ids == ("V001", "V002", "V003")
    assert part.n_rows == 201
    assert (part.message_heard_step[part.message_heard_step != LOST] >= 0).all()
    assert (part.message_heard_step == LOST).sum() > 5
    assert np.isfinite(part.ego["driver_mps2"]).mean() > 0.9
    assert len(part.lanes) == 3


def test_of_brakings_along_a_convoy_one_is_played(judged):
    assert len(judged.brakings) > 1
    shown = [span[0] for _, span, what in choose_parts(judged) if "brakes" in what]
    assert all(abs(one - other) > 100 for place, one in enumerate(shown) for other in shown[:place])


def test_from_log_to_report_in_one_command(dirty, tmp_path, capsys):
    output = tmp_path / "judged"
    assert main(["drive", "judge", str(dirty), "--policy", "heard_braking_rule", "--output", str(output)]) == 0
    assert f"Report: {output / 'report.html'}" in capsys.readouterr().out
    page = (output / "report.html").read_text()
    for text in ("Open loop", "Braking for nothing", "Quality of the log", "in the middle of a line", "iframe"):
        assert text in page
    assert "prefers-color-scheme: dark" in page
    heads = re.findall("<th>(.*?)</th>", page)
    assert "person answers after [s]" in heads
    assert not [head for head in heads if "mps" in head or "_" in head]
    assert json.loads((output / "summary.json").read_text())["open_loop"]
    assert len(pd.read_csv(output / "quality.csv")) > 10
    assert load_trajectory(output / "part_1.npz").n_rows > 50
    assert main(["drive", "judge", str(dirty), "--policy", "heard_braking_rule", "--output", str(output)]) == 2
    assert "holds something" in capsys.readouterr().err


def test_a_wrong_command_or_policy_names_the_right_ones(dirty, capsys):
    assert main(["drive", "jugde", "x"]) == 2
    assert "Did you mean 'judge'?" in capsys.readouterr().err
    assert main(["drive"]) == 0
    assert "simulate" in capsys.readouterr().out
    assert main(["drive", "judge", str(dirty), "--policy", "nothing_of_that_name"]) == 2
    assert "or a rule (unassisted" in capsys.readouterr().err


def test_a_notebook_shows_what_is_being_done(perfect, tiny_bases, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv(progress.HEADLESS_VARIABLE, raising=False)
    monkeypatch.setattr(progress, "_is_kernel", lambda: True)
    for module in (progress, sampling):
        monkeypatch.setattr(module, "SHORT_S", 0.0)  # as if each took long
    judge_log(JudgeConfig(str(perfect), "cautious_rule", output=tmp_path / "judged"))
    compare_log(CompareConfig(str(perfect), tiny_bases, episodes=1))
    told = capsys.readouterr().out
    for work in ("reading the drive", "judging the drive", "drawing the report", "driving: 100%"):
        assert work in told
