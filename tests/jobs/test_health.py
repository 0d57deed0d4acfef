"""The health check of a container."""

from datetime import UTC, datetime, timedelta

import pytest

from roadsense.jobs.health import find_ailment, main
from roadsense.jobs.heartbeat import Heartbeat, JobBeat

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def beat(state, age_s, reason=""):
    return JobBeat(state, reason, at=(NOW - timedelta(seconds=age_s)).strftime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.mark.parametrize(
    ("said", "ailment"),
    [
        (None, ""),
        (beat("running", 30), ""),
        (beat("running", 300), "silent for 300 s"),
        (beat("done", 300), ""),
        (beat("stopped", 300), ""),
        (beat("failed", 1, "no such dataset"), "failed: no such dataset"),
    ],
    ids=str,
)
def test_a_job_is_well_if_it_spoke_lately_or_ended_well(said, ailment):
    assert find_ailment(said, NOW) == ailment


def test_the_check_reads_what_the_runner_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ROADSENSE_JOB_ROOT", str(tmp_path))
    assert main() == 0
    heart = Heartbeat(tmp_path / "output" / "state.json")
    heart.write("running")
    assert main() == 0
    heart.write("failed", "out of memory")
    assert main() == 1
    assert "out of memory" in capsys.readouterr().err
