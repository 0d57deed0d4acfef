"""Runs SUMO as a program: for single simulations in a separate process, where a crash does no harm."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import sumo

from roadsense.errors import MachineError, SimulationError

TIMEOUT_S = 300.0
"""If a simulation of a few seconds takes this long, the machine hangs; the scenario is not the cause."""
N_TRIES = 3
"""Number of runs that may be killed, crash or hang before this counts as an error."""
CRASHES = {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}
"""Signals by which a program ends through its own fault; any other comes from the machine or a person."""
_OUT_OF_MEMORY = "bad_alloc"
_ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8"}
"""SUMO reads names with letters beyond ASCII only in a UTF-8 locale."""


def run_sumo(config_path: Path, options: Sequence[str] = (), timeout_s: float = TIMEOUT_S) -> str:
    """Runs a scenario to its end with the `sumo` program.

    Args:
        config_path: path of the scenario's `.sumocfg`.
        options: further command line options; they win over the configuration's.
        timeout_s: wall time after which the program is ended and run again. It is no limit for a scenario: limit the
            simulated time with `--end`.

    Returns:
        SUMO's text on standard error: empty if there was no warning.

    Raises:
        SimulationError: if SUMO ends with an error, or crashes in each of `N_TRIES` runs.
        MachineError: if it is killed, finds no memory or takes too long, and never ends in `N_TRIES` runs.
    """
    command = [str(Path(sumo.SUMO_HOME) / "bin" / "sumo"), "-c", str(config_path), *options]
    reason, n_crashes = "", 0
    for _ in range(N_TRIES):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout_s, check=False, env=_ENVIRONMENT
            )
        except subprocess.TimeoutExpired:
            reason = f"was not done after {timeout_s:.0f} s"
            continue
        messages = done.stderr.strip()
        if done.returncode == 0:
            return messages
        if _OUT_OF_MEMORY in messages:
            reason = "found no memory"
        elif done.returncode > 0:
            said = messages.removesuffix("Quitting (on error).").strip()[-500:]
            raise SimulationError(f"{config_path}: SUMO ended with {done.returncode}: {said}")
        else:
            n_crashes += -done.returncode in CRASHES
            reason = f"was ended by {signal.Signals(-done.returncode).name}"
    if n_crashes == N_TRIES:
        raise SimulationError(f"{config_path}: SUMO crashes on it: it {reason}, {N_TRIES} times.")
    raise MachineError(
        f"{config_path}: SUMO {reason}, {N_TRIES} times. Free some memory or use fewer workers, and run the same "
        "command again; if it always is this scenario, leave it out."
    )
