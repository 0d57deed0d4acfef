"""A film of an episode: it is told one moment after the other, and draws the last one on demand."""

from roadsense.envs.frames.canvas import INK, WHITE, Canvas, Frame
from roadsense.envs.frames.moment import Moment
from roadsense.envs.frames.scene import Scene
from roadsense.envs.frames.strips import HEIGHT_PX, Strips
from roadsense.scenarios.road_shape import RoadShape

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
