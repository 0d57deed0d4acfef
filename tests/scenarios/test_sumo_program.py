"""SUMO as a program: only its own verdict is a scenario's fault."""

from pathlib import Path

import pytest
import sumo

from roadsense.augment.validation.gate import run_gate
from roadsense.errors import MachineError, SimulationError
from roadsense.scenarios.sumo_program import run_sumo

SCENARIO = Path(__file__).parents[2] / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
SHORT = ("--end", "1", "--no-step-log", "true")


@pytest.fixture
def ill_sumo(tmp_path, monkeypatch):
    """Returns a function that lets the first runs of SUMO do something else first."""
    real = Path(sumo.SUMO_HOME)

    def make(n_runs: int, does: str) -> Path:
        home = tmp_path / "sumo"
        (home / "bin").mkdir(parents=True)
        (home / "data").symlink_to(real / "data")
        runs = tmp_path / "runs"
        (home / "bin" / "sumo").write_text(
            f'#!/bin/bash\necho run >> "{runs}"\n'
            f'if [ $(wc -l < "{runs}") -le {n_runs} ]; then {does}; fi\nexec "{real}/bin/sumo" "$@"\n'
        )
        (home / "bin" / "sumo").chmod(0o755)
        monkeypatch.setattr(sumo, "SUMO_HOME", str(home))
        return runs

    return make


@pytest.mark.parametrize("does", ["kill -9 $$", "kill -SEGV $$", "exec sleep 30"])
def test_a_run_that_the_machine_ends_is_run_again(ill_sumo, does):
    runs = ill_sumo(1, does)
    assert run_sumo(SCENARIO, SHORT, timeout_s=5.0) == ""
    assert runs.read_text().count("run") == 2


def test_a_machine_that_always_fails_is_an_error_of_the_machine_and_no_refusal(ill_sumo):
    ill_sumo(9, "kill -9 $$")
    with pytest.raises(MachineError, match="ended by SIGKILL, 3 times"):
        run_gate(SCENARIO)


def test_the_verdict_of_sumo_counts_at_once(ill_sumo):
    runs = ill_sumo(9, "echo no road >&2; exit 1")
    with pytest.raises(SimulationError, match="ended with 1: no road"):
        run_sumo(SCENARIO, SHORT)
    assert runs.read_text().count("run") == 1


def test_a_scenario_that_always_crashes_sumo_is_rejected_and_ends_nothing(ill_sumo):
    runs = ill_sumo(9, "kill -SEGV $$")
    assert "SUMO crashes on it: it was ended by SIGSEGV, 3 times" in run_gate(SCENARIO).refusals[0]
    assert runs.read_text().count("run") == 3


def test_no_memory_is_the_machines_fault_however_sumo_ends(ill_sumo):
    ill_sumo(9, "echo std::bad_alloc >&2; kill -ABRT $$")
    with pytest.raises(MachineError, match="found no memory, 3 times"):
        run_sumo(SCENARIO, SHORT)
