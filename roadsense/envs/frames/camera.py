"""Films the episodes of an environment while it is driven."""

from collections.abc import Callable, Mapping
from typing import Any

from roadsense.envs.frames.canvas import Frame
from roadsense.envs.frames.film import Film
from roadsense.envs.frames.moment import Car, Moment
from roadsense.envs.step_info import Snapshot
from roadsense.errors import SimulationError
from roadsense.scenarios.road_shape import read_road_shape
from roadsense.scenarios.scenario import Scenario


class Camera:
    """Films one episode after the other.

    Args:
        describe_vehicle: function from a vehicle's id to its type, length and width in m.
    """

    def __init__(self, describe_vehicle: Callable[[str], tuple[str, float, float]]):
        self._describe = describe_vehicle
        self._sizes: dict[str, tuple[float, float]] = {}
        self._film: Film | None = None

    def start(self, scenario: Scenario, n_steps: int, step_s: float, snapshot: Snapshot) -> None:
        """Begins the film of an episode of at most `n_steps`; the last one's is forgotten."""
        self._sizes.clear()
        self._film = Film(read_road_shape(scenario.network_path), scenario.name, n_steps * step_s, step_s)
        self.note(snapshot, {})

    def note(self, snapshot: Snapshot, figures: Mapping[str, Any]) -> None:
        """Notes the road after a step, and the figures of the step."""
        if self._film is not None:
            cars = tuple(self._car(name, state) for name, state in snapshot.states.items())
            messages = tuple((sender, heard >= 0) for sender, heard in snapshot.messages)
            self._film.add(Moment(cars, messages, figures))

    def shoot(self) -> Frame:
        """Returns the picture of the last step noted, (height, width, 3).

        Raises:
            SimulationError: if no episode was started.
        """
        if self._film is None:
            raise SimulationError("No episode was started. Call reset() before render().")
        return self._film.draw()

    def _car(self, name: str, state: tuple[float, float, float, float, float]) -> Car:
        x_m, y_m, speed_mps, _, heading_rad = state
        if name not in self._sizes:
            self._sizes[name] = self._describe(name)[1:]
        return Car(name, x_m, y_m, heading_rad, speed_mps, *self._sizes[name])
