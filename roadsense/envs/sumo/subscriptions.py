"""SUMO's readings as they arrive with every step over the socket, under the names libsumo has for them.

The first reading of a vehicle subscribes to it; a reload ends all subscriptions.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from traci import TraCIException
from traci import constants as tc

from roadsense.envs.sumo.road import SIGHT_M

Ask = Callable[..., Any]

MOTION = (tc.VAR_POSITION, tc.VAR_ANGLE, tc.VAR_SPEED, tc.VAR_ACCELERATION)
"""Variables read of every vehicle."""

ROAD_AHEAD = (
    *MOTION,
    tc.VAR_LANE_ID,
    tc.VAR_LANEPOSITION,
    tc.VAR_NEXT_LINKS,
    tc.VAR_LEADER,
    tc.VAR_MINGAP,
    tc.VAR_SPEED_WITHOUT_TRACI,
)
"""Variables read of a vehicle that looks ahead: the ego."""


def _reading(variable: int) -> Callable[["VehicleReadings", str], Any]:
    """Returns the method that reads a variable of a vehicle."""
    wanted = MOTION if variable in MOTION else ROAD_AHEAD

    def read(self: "VehicleReadings", name: str) -> Any:
        values = self.results.get(name)
        if values is None or variable not in values:
            values = self.subscribe(name, wanted)
        return values[variable]

    return read


class VehicleReadings:
    """Vehicles: readings of every step arrive with it, all others are requested when needed.

    Attributes:
        ask: function that calls a function of the connection.
        results: values of the last step by vehicle and variable; the client fills it.
    """

    getPosition = _reading(tc.VAR_POSITION)
    getAngle = _reading(tc.VAR_ANGLE)
    getSpeed = _reading(tc.VAR_SPEED)
    getAcceleration = _reading(tc.VAR_ACCELERATION)
    getLaneID = _reading(tc.VAR_LANE_ID)
    getLanePosition = _reading(tc.VAR_LANEPOSITION)
    getNextLinks = _reading(tc.VAR_NEXT_LINKS)
    getMinGap = _reading(tc.VAR_MINGAP)
    getSpeedWithoutTraCI = _reading(tc.VAR_SPEED_WITHOUT_TRACI)

    _read_leader = _reading(tc.VAR_LEADER)

    def __init__(self, ask: Ask):
        self.ask = ask
        self.results: dict[str, dict[int, Any]] = {}

    def __getattr__(self, function: str) -> Callable[..., Any]:
        """Returns any other reading or command, as a function that calls SUMO at once."""
        if function.startswith("_"):
            raise AttributeError(function)
        return partial(self.ask, f"vehicle.{function}")

    def getLeader(self, name: str, sight_m: float) -> tuple[str, float] | None:
        """Returns the vehicle ahead and its distance minus `name`'s minGap."""
        if sight_m != SIGHT_M:
            return self.ask("vehicle.getLeader", name, sight_m)
        return self._read_leader(name)

    def subscribe(self, name: str, variables: tuple[int, ...]) -> dict[int, Any]:
        """Subscribes to variables of a vehicle and returns their values now.

        Raises:
            TraCIException: if SUMO does not know the vehicle.
        """
        sight = {tc.VAR_LEADER: SIGHT_M} if tc.VAR_LEADER in variables else None
        self.ask("vehicle.subscribe", name, variables, parameters=sight)
        values = self.results.get(name, {})
        if not values.keys() >= set(variables):
            raise TraCIException(f"Expected all readings of vehicle {name!r}, got {sorted(values)}.")
        return values


class SimulationReadings:
    """The simulation as a whole, as of the last step.

    Attributes:
        ask: function that calls a function of the connection.
        results: values of the last step by variable, under the empty name; the client fills it.
    """

    def __init__(self, ask: Ask):
        self.ask = ask
        self.results: dict[str, dict[int, Any]] = {}

    def getTime(self) -> float:
        """Returns the simulation time in s."""
        return self._read(tc.VAR_TIME)

    def getOption(self, name: str) -> str:
        """Returns the value of an option."""
        return self.ask("simulation.getOption", name)

    def getCollidingVehiclesIDList(self) -> tuple[str, ...]:
        """Returns the ids of the vehicles that collide in this step."""
        return self._read(tc.VAR_COLLIDING_VEHICLES_IDS)

    def _read(self, variable: int) -> Any:
        if "" not in self.results:
            self.ask("simulation.subscribe", (tc.VAR_TIME, tc.VAR_COLLIDING_VEHICLES_IDS))
        return self.results[""][variable]


class LaneReadings:
    """Lanes: each is read once, so by single requests."""

    def __init__(self, ask: Ask):
        self.ask = ask

    def getLength(self, lane: str) -> float:
        """Returns the length in m."""
        return self.ask("lane.getLength", lane)

    def getMaxSpeed(self, lane: str) -> float:
        """Returns the limit in m/s."""
        return self.ask("lane.getMaxSpeed", lane)
