"""Films the episodes of an environment: a film is given one moment after the other, and draws the last one."""

from collections.abc import Callable, Mapping
from typing import Any

from roadsense.envs.frames.canvas import INK, WHITE, Canvas, Frame
from roadsense.envs.frames.moment import Car, Moment
from roadsense.envs.frames.scene import Scene
from roadsense.envs.frames.strips import HEIGHT_PX, Strips
from roadsense.envs.step_info import Snapshot
from roadsense.errors import SimulationError
from roadsense.scenarios.road_shape import RoadShape, read_road_shape
from roadsense.scenarios.scenario import Scenario

WIDTH_PX, SCENE_PX = 960, 294
HEIGHT = SCENE_PX + HEIGHT_PX
"""Height of a frame; like its width a multiple of 16, as video codecs want it."""


class Film:
    """The frames of an episode.

    Args:
        road: shape of the road.
        title: text over the road, such as the scenario's name.
        end_s: time at the end of the episode, if nothing ends it earlier.
        step_s: time between two moments.
    """

    def __init__(self, road: RoadShape, title: str, end_s: float, step_s: float):
        self._title, self._step_s = title, step_s
        self._scene = Scene(road, (WIDTH_PX, SCENE_PX))
        self._strips = Strips(WIDTH_PX, SCENE_PX, end_s, step_s)
        self._moments: list[Moment] = []

    def add(self, moment: Moment) -> None:
        """Notes the next moment."""
        self._moments.append(moment)

    def draw(self) -> Frame:
        """Returns the frame of the last moment, (height, width, 3)."""
        canvas, moment = Canvas(WIDTH_PX, HEIGHT), self._moments[-1]
        self._scene.draw(canvas, moment)
        canvas.box((0, SCENE_PX), (WIDTH_PX, HEIGHT), WHITE)
        time_s = (len(self._moments) - 1) * self._step_s
        words = f"{self._title}   {time_s:.1f} s"
        words += "   COLLISION" if moment.figures.get("collision") else ""
        words += "   hazard" if moment.figures.get("hazard_active") else ""
        canvas.text((14, 22), words, INK, 14)
        self._strips.draw(canvas, self._moments)
        return canvas.finish()


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
