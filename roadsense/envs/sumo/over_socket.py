"""SUMO as a separate program, driven over a socket: any number at once, with or without a window.

A request over the socket costs 30 us (measured with traci 1.28), and an environment needs some 30 readings in a step.
So it subscribes to them, and they arrive with the step. How much slower it is than SUMO in this process depends on
the scenario and the machine: `python benchmarks/env.py` measures both.
"""

import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import sumo
import traci

from roadsense.envs.sumo.subscriptions import LaneReadings, SimulationReadings, VehicleReadings
from roadsense.errors import SimulationError
from roadsense.scenarios.scenario import EGO_ID

START_LIMIT_S, CLOSE_LIMIT_S = 60.0, 5.0
CONNECT_PAUSE_S = 0.003
"""Pause between two tries to connect. The client's own pause is a second."""

WINDOW_OPTIONS = ("--start", "true", "--quit-on-end", "true", "--delay", "0", "--window-size", "1200,700")
"""Run at once, close with the connection. We set the pace: SUMO's delay would also slow the time before the convoy."""


VIEW, SHOWN_M = "View #0", 70.0
"""The window's view, and how far around the ego it shows the road."""


class TraciBackend:
    """A simulation in a child process; see `roadsense.envs.sumo.backend.SumoBackend`.

    The child does not outlive this process, even after a crash: SUMO ends by itself when its socket closes, at the
    latest when it has reached the last requested time. (PR_SET_PDEATHSIG would also kill it when only the thread that
    started it ends.) Only a process killed within the 50 ms between start and connection leaves one.

    Args:
        step_length_s: length of a simulation step.
        gui: whether to run `sumo-gui`, which needs a display. Single steps then run in real time, and the view
            follows the ego.
    """

    ERRORS: tuple[type[Exception], ...] = (traci.TraCIException, SimulationError)
    NOT_THERE: type[Exception] = traci.TraCIException
    reader: ModuleType | None = None

    def __init__(self, step_length_s: float, gui: bool = False):
        self._step_length_s, self._gui, self._shown_s = step_length_s, gui, 0.0
        self._is_followed = False
        self._child: subprocess.Popen[bytes] | None = None
        self._messages: IO[bytes] | None = None
        self._link: Any = None
        self.vehicle = VehicleReadings(self.ask)
        self.simulation = SimulationReadings(self.ask)
        self.lane = LaneReadings(self.ask)

    @property
    def is_open(self) -> bool:
        """Whether a simulation is loaded."""
        return self._link is not None

    @property
    def pid(self) -> int | None:
        """Process id of the child, if there is one."""
        return self._child.pid if self._child else None

    def claim(self) -> None:
        """Does nothing: there is always room for one more."""

    def load(self, arguments: Sequence[str]) -> None:
        """Replaces the simulation, or starts the first.

        Args:
            arguments: SUMO's command line.

        Raises:
            SimulationError: if SUMO refuses it; then the child has ended.
        """
        if self._gui:
            arguments = [*arguments, *WINDOW_OPTIONS]
        if self._child and self._child.poll() is not None:
            self._end_child()
        if self._link is None:
            self._start(arguments)
        else:
            self._forget_messages()
            self.ask("load", list(arguments))
        # SUMO answers before it loads; the next answer comes after the load.
        self.ask("getVersion")
        self.vehicle.results = self.ask("vehicle.getAllSubscriptionResults")
        self.simulation.results = self.ask("simulation.getAllSubscriptionResults")
        self.vehicle.results.clear()
        self.simulation.results.clear()
        self._is_followed = False

    def advance(self, time_s: float) -> None:
        """Steps to a simulation time; 0 means one step."""
        self.ask("simulationStep", time_s)
        if self._gui and time_s == 0.0:
            self._follow_ego()
            due_s = self._shown_s + self._step_length_s
            time.sleep(max(0.0, due_s - time.monotonic()))
            self._shown_s = max(due_s, time.monotonic())

    def _follow_ego(self) -> None:
        """Lets the view show the ego and its surroundings as soon as it is on the road, not the whole network."""
        if not self._is_followed and EGO_ID in self.ask("vehicle.getIDList"):
            x_m, y_m = self.ask("vehicle.getPosition", EGO_ID)
            self.ask("gui.setSchema", VIEW, "real world")
            self.ask("gui.setBoundary", VIEW, x_m - SHOWN_M, y_m - SHOWN_M, x_m + SHOWN_M, y_m + SHOWN_M)
            self.ask("gui.trackVehicle", VIEW, EGO_ID)
            self._is_followed = True

    def ask(self, function: str, *arguments: Any, **keywords: Any) -> Any:
        """Calls a function of the connection by its name, such as `vehicle.getSpeed`, and returns the answer.

        Raises:
            traci.TraCIException: if SUMO answers with an error.
            SimulationError: if it does not answer; then the child has ended.
        """
        if self._link is None:
            raise SimulationError("No simulation is loaded. Call reload() (or the environment's reset()) first.")
        answered = False
        try:
            answer = _find(self._link, function)(*arguments, **keywords)
            answered = True
            return answer
        except traci.TraCIException:
            answered = True
            raise
        except (traci.FatalTraCIError, OSError) as error:
            raise SimulationError(f"{error} {self._explain_end()}") from error
        finally:
            if not answered:  # also after an interrupt: the next call would read this answer
                self._end_child()

    def close(self) -> None:
        """Asks SUMO to end, and ends it if it does not. A second call does nothing."""
        if self._link is not None and self._child is not None:
            try:
                self._link._socket.settimeout(CLOSE_LIMIT_S)
                self._link.close(wait=False)
                self._child.wait(CLOSE_LIMIT_S)
            except (traci.FatalTraCIError, traci.TraCIException, OSError, subprocess.TimeoutExpired):
                pass  # it has ended already, or does not answer
        self._end_child()

    def _start(self, arguments: Sequence[str]) -> None:
        """Starts the program and connects to it as soon as it listens."""
        program = Path(sumo.SUMO_HOME) / "bin" / ("sumo-gui" if self._gui else "sumo")
        with socket.socket() as reserved:
            # Bound here until SUMO listens on it too, so that no other process is given the same port.
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(("", 0))
            port = reserved.getsockname()[1]
            self._messages = tempfile.TemporaryFile("a+b")
            try:
                self._child = subprocess.Popen(
                    [str(program), *arguments, "--remote-port", str(port)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._messages,
                    process_group=0,  # Ctrl-C is for this process
                )
                self._link = self._connect(port)
            finally:
                if self._link is None:
                    self._end_child()

    def _connect(self, port: int) -> Any:
        limit_s = time.monotonic() + START_LIMIT_S
        while time.monotonic() < limit_s:
            try:
                return traci.connect(port, numRetries=0, host="127.0.0.1", proc=self._child)
            except traci.FatalTraCIError:
                time.sleep(CONNECT_PAUSE_S)
            except traci.TraCIException as error:
                raise SimulationError(f"SUMO ended before it could be reached. {self._explain_end()}") from error
        raise SimulationError(f"SUMO could not be reached within {START_LIMIT_S:.0f} s.")

    def _forget_messages(self) -> None:
        if self._messages:
            self._messages.truncate(0)

    def _explain_end(self) -> str:
        """Returns how the child ended and its last output."""
        if self._child is None or self._messages is None:
            return ""
        try:
            code = self._child.wait(CLOSE_LIMIT_S)
        except subprocess.TimeoutExpired:
            return "It is still running."
        self._messages.seek(0)
        return f"It ended with {code}: {self._messages.read().decode(errors='replace').strip()[-500:]}"

    def _end_child(self) -> None:
        child, link, messages = self._child, self._link, self._messages
        self._child = self._link = self._messages = None
        self.vehicle.results, self.simulation.results = {}, {}
        if child is not None:
            child.kill()
            child.wait()
        if link is not None and link._socket is not None:
            link._socket.close()
        if messages is not None:
            messages.close()


def _find(link: Any, function: str) -> Callable[..., Any]:
    domain, _, name = function.rpartition(".")
    return getattr(getattr(link, domain) if domain else link, name)
