"""SUMO as a program: for one-off simulations in a process of their own, where a crash harms nobody."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import sumo

from roadsense.errors import SimulationError

TIMEOUT_S = 300.0


def run_sumo(config_path: Path, options: Sequence[str] = (), timeout_s: float = TIMEOUT_S) -> str:
    """Runs a scenario to its end with the `sumo` program.

    Args:
        config_path: the scenario's `.sumocfg`.
        options: further command line options; they win over the configuration's.
        timeout_s: the program is ended after this many seconds.

    Returns:
        What SUMO printed on standard error: empty if it had nothing to warn of.

    Raises:
        SimulationError: if SUMO ends with an error, crashes or takes too long.
    """
    command = [str(Path(sumo.SUMO_HOME) / "bin" / "sumo"), "-c", str(config_path), *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise SimulationError(f"{config_path}: SUMO was not done after {timeout_s:.0f} s.") from error
    if done.returncode != 0:
        raise SimulationError(f"{config_path}: SUMO ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stderr.strip()
