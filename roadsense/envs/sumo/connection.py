"""The one connection to SUMO: the environment imports libsumo and traci only in this folder.

Inside this process, readings use single getters and no subscription: measured with libsumo 1.28, a getter
costs 0.25 us, while subscriptions for the five cars of a convoy add 20 us to every step. `states.cpp`, if it is
compiled, reads all states in one call, which takes two fifths of the time of the getters.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from roadsense.envs.sumo.backend import make_backend
from roadsense.envs.sumo.road import SIGHT_M, RoadReader
from roadsense.envs.world import NO_FOLLOWER, NO_LEADER, Collision, Follower, Leader, RoadAhead, State
from roadsense.errors import SimulationError
from roadsense.scenarios.sumo_program import run_sumo

DEGREE: Final = math.pi / 180
HALF_TURN: Final = math.pi
INVALID: Final = -(2.0**30)
"""SUMO's value for the position of a vehicle that is not on the road."""

FOREVER_S: Final = 1e4
ASIDE_MPS: Final = 8.0
ASIDE_MPS2: Final = 100.0
"""Lateral speed and acceleration with which a car is in the next lane within 0.3 s; faster ones swing back."""
ROOM_BEHIND_M: Final = 8.0
"""A car that is added has at least this much room behind its front bumper."""
SPEED_MODE_ALL_CHECKS: Final = 31
SPEED_MODE_DRIVER_DECIDES: Final = 24
"""SUMO's plan still obeys right of way and red lights; safe speed and limits of acceleration do not bind."""
SPEED_MODE_HARD_BRAKING: Final = 27
"""All checks but the vehicle's own limit of deceleration."""

OPTIONS: tuple[str, ...] = (
    "--no-step-log", "true", "--no-warnings", "true", "--duration-log.disable", "true", "--xml-validation", "never",
    "--collision.action", "warn", "--collision.mingap-factor", "0", "--collision.check-junctions", "true",
    "--time-to-teleport", "-1",
)  # fmt: skip


class SumoConnection:
    """One SUMO simulation, reloaded for every episode. SUMO starts with the first `reload`.

    Both backends give the same trajectories, to the last bit. libsumo holds one simulation a process, so a second
    connection is refused while one is open; with traci there may be several.

    Args:
        step_length_s: length of a simulation step.
        backend: `libsumo` for SUMO inside this process, `traci` for SUMO as a separate program.
        gui: whether to show SUMO's window (traci only).

    Raises:
        InputError: for another backend, or a window with libsumo.
    """

    def __init__(self, step_length_s: float = 0.1, backend: str = "libsumo", gui: bool = False):
        self.step_length_s = step_length_s
        self._backend = make_backend(backend, step_length_s, gui)
        self._vehicle, self._simulation = self._backend.vehicle, self._backend.simulation
        vehicle = self._vehicle
        self._read_position, self._read_angle = vehicle.getPosition, vehicle.getAngle
        self._read_speed, self._read_acceleration = vehicle.getSpeed, vehicle.getAcceleration
        self._read_leader, self._read_plan = vehicle.getLeader, vehicle.getSpeedWithoutTraCI
        reader = self._backend.reader
        self._read_states_at_once = None if reader is None else reader.read_states
        self._read_leader_at_once = None if reader is None else reader.read_leader
        self._read_colliding, self._set_speed = self._simulation.getCollidingVehiclesIDList, vehicle.setSpeed
        self._road = RoadReader(self._backend.vehicle, self._backend.lane)
        self._min_gaps: dict[str, float] = {}
        self._config_path: Path | None = None

    @property
    def is_open(self) -> bool:
        """Whether a simulation is loaded."""
        return self._backend.is_open

    def reload(self, config_path: Path, seed: int) -> None:
        """Loads a scenario in place of the present simulation.

        Args:
            config_path: path of the `.sumocfg` to run.
            seed: SUMO's random seed, from 0.

        Raises:
            SimulationError: if another connection holds this process's simulation, or SUMO refuses the scenario; then
                the connection is closed and can be reloaded.
        """
        arguments = [
            "-c",
            str(config_path),
            "--seed",
            str(seed),
            "--step-length",
            str(self.step_length_s),
            *OPTIONS,
        ]
        self._backend.claim()
        try:
            self._backend.load(arguments)
        except self._backend.ERRORS as error:
            self.close()
            raise SimulationError(_explain_refusal(config_path, error)) from error
        self._road.forget()
        self._min_gaps.clear()
        self._config_path = config_path

    def close(self) -> None:
        """Ends the simulation, if this connection has one. A second call does nothing."""
        self._backend.close()

    def step(self) -> None:
        """Advances by one step.

        Raises:
            SimulationError: if nothing is loaded, or SUMO stops with an error.
        """
        self.run_until(0.0)

    def run_until(self, time_s: float) -> None:
        """Advances to a simulation time in one go; 0 means one step.

        Raises:
            SimulationError: if nothing is loaded, or SUMO stops with an error.
        """
        if not self._backend.is_open:
            raise SimulationError("No simulation is loaded. Call reload() (or the environment's reset()) first.")
        try:
            self._backend.advance(time_s)
        except self._backend.ERRORS as error:
            self.close()
            raise SimulationError(f"{self._config_path}: SUMO stopped: {error}") from error

    @property
    def time_s(self) -> float:
        """Simulation time."""
        return float(self._simulation.getTime())

    def vehicle_ids(self) -> Sequence[str]:
        """Ids of the vehicles on the road."""
        return self._vehicle.getIDList()

    def colliding_ids(self) -> Sequence[str]:
        """Ids of the vehicles that collide in this step; empty in nearly all steps."""
        return self._read_colliding()

    def find_collision(self, vehicle_id: str) -> Collision | None:
        """Returns a vehicle's collision in this step as SUMO records it; None if there is none."""
        for record in self._simulation.getCollisions():
            if vehicle_id in (record.collider, record.victim):
                was_struck = vehicle_id == record.victim
                partner = record.collider if was_struck else record.victim
                return Collision(partner, was_struck, abs(record.colliderSpeed - record.victimSpeed))
        return None

    def read_states(self, ids: Sequence[str]) -> list[State | None]:
        """Returns the state of each vehicle; None for one that is not on the road."""
        if self._read_states_at_once is not None:
            return self._read_states_at_once(ids)
        states: list[State | None] = []
        for name in ids:
            try:
                position_m: tuple[float, float] = self._read_position(name)
                x_m, y_m = position_m
                speed_mps: float = self._read_speed(name)
                acceleration_mps2: float = self._read_acceleration(name)
                angle_deg: float = self._read_angle(name)
            except self._backend.NOT_THERE:
                states.append(None)
                continue
            if x_m == INVALID:  # it has left the road, or waits for its insertion
                states.append(None)
            else:  # SUMO's angle is a compass's
                states.append((x_m, y_m, speed_mps, acceleration_mps2, HALF_TURN / 2 - angle_deg * DEGREE))
        return states

    def find_leader(self, vehicle_id: str) -> Leader:
        """Returns the vehicle ahead on the route of `vehicle_id` within `SIGHT_M`, or `NO_LEADER`."""
        read = self._read_leader_at_once
        found: tuple[float, float, float] | None = (self._ask_leader if read is None else read)(vehicle_id, SIGHT_M)
        if found is None:
            return NO_LEADER
        distance_m, speed_mps, acceleration_mps2 = found
        # SUMO subtracts the follower's minGap from the distance. This call is quicker than `Leader(...)`.
        return tuple.__new__(Leader, (distance_m + self._min_gap_m(vehicle_id), speed_mps, acceleration_mps2))

    def _ask_leader(self, vehicle_id: str, sight_m: float) -> tuple[float, float, float] | None:
        found: tuple[str, float] | None = self._read_leader(vehicle_id, sight_m)
        if not found or not found[0] or found[1] > sight_m:
            return None
        name, distance_m = found
        return distance_m, self._read_speed(name), self._read_acceleration(name)

    def find_follower(self, vehicle_id: str) -> Follower:
        """Returns the vehicle behind on the lane of `vehicle_id` within `SIGHT_M`, or `NO_FOLLOWER`."""
        vehicle = self._vehicle
        name, distance_m = vehicle.getFollower(vehicle_id, SIGHT_M)
        if not name or distance_m > SIGHT_M:
            return NO_FOLLOWER
        # SUMO subtracts the follower's minGap from the distance.
        return Follower(distance_m + self._min_gap_m(name), vehicle.getSpeed(name))

    def _min_gap_m(self, vehicle_id: str) -> float:
        """Returns a vehicle's minGap, which never changes."""
        known = self._min_gaps.get(vehicle_id)
        if known is None:
            known = self._min_gaps[vehicle_id] = float(self._vehicle.getMinGap(vehicle_id))
        return known

    def describe_vehicle(self, vehicle_id: str) -> tuple[str, float, float]:
        """Returns a vehicle's type, length in m and width in m."""
        vehicle = self._vehicle
        return vehicle.getTypeID(vehicle_id), vehicle.getLength(vehicle_id), vehicle.getWidth(vehicle_id)

    def look_ahead(self, vehicle_id: str) -> RoadAhead:
        """Returns the speed limits and stop lines within `SIGHT_M` on a vehicle's route."""
        return self._road.look_ahead(vehicle_id)

    def command_speed(self, vehicle_id: str, speed_mps: float) -> None:
        """Sets the speed of a vehicle after the next step, as far as its speed mode allows."""
        self._set_speed(vehicle_id, speed_mps)

    def expect_quick_reaction(self, vehicle_id: str) -> None:
        """Makes SUMO's safe speed assume a reaction within one step: only the last moment to brake binds."""
        self._vehicle.setTau(vehicle_id, self.step_length_s)

    def set_speed_mode(self, vehicle_id: str, mode: int) -> None:
        """Sets which of SUMO's checks bind a commanded speed (see the `SPEED_MODE_*` constants)."""
        self._vehicle.setSpeedMode(vehicle_id, mode)

    def release(self, vehicle_id: str) -> None:
        """Gives a vehicle back to SUMO's driver, with all checks on."""
        self._vehicle.setSpeed(vehicle_id, -1.0)
        self._vehicle.setSpeedMode(vehicle_id, SPEED_MODE_ALL_CHECKS)

    def speed_mps(self, vehicle_id: str) -> float | None:
        """Returns a vehicle's speed; None if it is not on the road."""
        try:
            speed_mps = float(self._vehicle.getSpeed(vehicle_id))
        except self._backend.NOT_THERE:
            return None
        return speed_mps if speed_mps > INVALID else None

    def way_m(self, vehicle_id: str, other_id: str) -> float:
        """Returns the distance from a vehicle to another along its route, front to front; -1 if it never gets there."""
        vehicle = self._vehicle
        edge, lane = vehicle.getRoadID(other_id), vehicle.getLaneIndex(other_id)
        return max(-1.0, float(vehicle.getDrivingDistance(vehicle_id, edge, vehicle.getLanePosition(other_id), lane)))

    def find_cars_beside(self, vehicle_id: str) -> list[tuple[str, float]]:
        """Returns the next cars ahead on the lanes beside a vehicle's, each with its distance, bumper to bumper."""
        min_gap_m = self._min_gap_m(vehicle_id)  # SUMO subtracts it
        beside = [*self._vehicle.getNeighbors(vehicle_id, 2), *self._vehicle.getNeighbors(vehicle_id, 3)]
        return sorted(((car, distance_m + min_gap_m) for car, distance_m in beside), key=lambda found: found[1])

    def force_into_lane_of(self, vehicle_id: str, other_id: str) -> None:
        """Makes a vehicle change to another's lane at once, even if that is not free, and stay in it."""
        self._vehicle.setLaneChangeMode(vehicle_id, 0)
        if float(self._simulation.getOption("lateral-resolution")) > 0.0:
            # SUMO's sublane model moves a car aside bit by bit: too late for one that cuts in, or never.
            self._vehicle.setMaxSpeedLat(vehicle_id, ASIDE_MPS)
            self._vehicle.setParameter(vehicle_id, "laneChangeModel.lcAccelLat", str(ASIDE_MPS2))
        self._vehicle.changeLane(vehicle_id, self._vehicle.getLaneIndex(other_id), FOREVER_S)

    def add_standing(self, vehicle_id: str, behind_id: str, ahead_m: float) -> bool:
        """Puts a standing car on a vehicle's lane, at a distance ahead of it; returns False if the lane is too short.

        Args:
            vehicle_id: id of the new car.
            behind_id: id of the vehicle whose lane and route it gets.
            ahead_m: distance from front bumper to front bumper.
        """
        lane = self._vehicle.getLaneID(behind_id)
        position_m = self._vehicle.getLanePosition(behind_id) + ahead_m
        if position_m > self._road.describe_lane(lane)[0]:
            return False
        self._vehicle.add(vehicle_id, self._vehicle.getRouteID(behind_id), departSpeed="0")
        self._vehicle.setSpeed(vehicle_id, 0.0)
        self._vehicle.setLaneChangeMode(vehicle_id, 0)
        self._vehicle.moveTo(vehicle_id, lane, position_m)
        return True

    def add_behind(self, vehicle_id: str, ahead_id: str, behind_m: float) -> bool:
        """Puts a car on a vehicle's lane behind it, of its type, at its speed; returns False if there is no room.

        Args:
            vehicle_id: id of the new car.
            ahead_id: id of the vehicle whose lane, route and type it gets.
            behind_m: distance from front bumper to front bumper.
        """
        vehicle = self._vehicle
        position_m = vehicle.getLanePosition(ahead_id) - behind_m
        if position_m < ROOM_BEHIND_M or self.find_follower(ahead_id).gap_m < behind_m + ROOM_BEHIND_M:
            return False
        speed_mps = vehicle.getSpeed(ahead_id)
        # A vehicle with a value of its own, as the ego's tau, has a type of its own, `type@vehicle`. Sharing that ends
        # the process at the next load.
        kind = vehicle.getTypeID(ahead_id).split("@")[0]
        vehicle.add(vehicle_id, vehicle.getRouteID(ahead_id), typeID=kind, departSpeed="0")
        vehicle.moveTo(vehicle_id, vehicle.getLaneID(ahead_id), position_m)
        vehicle.setPreviousSpeed(vehicle_id, speed_mps)
        return True

    def remove(self, vehicle_id: str) -> None:
        """Removes a vehicle, if it is on the road."""
        with suppress(self._backend.NOT_THERE):
            self._vehicle.remove(vehicle_id)

    def planned_speed_mps(self, vehicle_id: str) -> float:
        """Returns the speed that SUMO's checks would have chosen in place of the one commanded for the last step."""
        return float(self._read_plan(vehicle_id))


def _explain_refusal(config_path: Path, error: Exception) -> str:
    # libsumo's exception says only "Process Error"; the program gives the reason, and cannot crash this process.
    try:
        reason = run_sumo(config_path, ("--end", "0", "--no-step-log", "true"), timeout_s=60)
    except SimulationError as told:
        return str(told)
    return f"{config_path}: SUMO refused the scenario ({error}). {reason}"
