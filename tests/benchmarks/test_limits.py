"""What a training is measured against steps as fast as SUMO does."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("kind", ["step_bare", "step_env"])
def test_a_step_takes_a_plausible_time(kind, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))  # its modules import each other as scripts do
    limits = importlib.import_module("limits")
    monkeypatch.setattr(limits.os, "sched_getaffinity", lambda pid: {0})
    stepping = limits.OnAllCores(getattr(limits, kind))
    try:
        steps_per_s, cpu_us = stepping.take_turn()
    finally:
        stepping.close()
    assert 10 < cpu_us < 5_000
    assert 0 < steps_per_s * cpu_us <= 1.1e6  # one core gives no more than a second of CPU time a second
