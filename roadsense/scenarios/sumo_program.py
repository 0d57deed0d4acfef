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
"""Number of runs that may be killed or hang before this counts as an error of the machine."""
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
        SimulationError: if SUMO ends with an error.
        MachineError: if it is killed or takes too long, `N_TRIES` times.
    """
    command = [str(Path(sumo.SUMO_HOME) / "bin" / "sumo"), "-c", str(config_path), *options]
    reason = ""
    for _ in range(N_TRIES):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout_s, check=False, env=_ENVIRONMENT
            )
        except subprocess.TimeoutExpired:
            reason = f"was not done after {timeout_s:.0f} s"
            continue
        if done.returncode > 0:
            raise SimulationError(f"{config_path}: SUMO ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        if done.returncode == 0:
            return done.stderr.strip()
        reason = f"was ended by {signal.Signals(-done.returncode).name}"
    raise MachineError(
        f"{config_path}: SUMO {reason}, {N_TRIES} times. Free some memory or use fewer workers, and run the same "
        "command again; if it always is this scenario, leave it out."
    )
