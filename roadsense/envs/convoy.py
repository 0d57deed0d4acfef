"""The convoy in the simulation: reads its true state, and drives ego and hazard through SUMO."""

import math
from typing import Final

from roadsense.envs.assist import apply_brake_mps2, arbitrate_mps2
from roadsense.envs.draw import EpisodeDraw
from roadsense.envs.driver import Driver, road_mps2
from roadsense.envs.hazard_control import HazardControl
from roadsense.envs.metrics import required_deceleration_mps2
from roadsense.envs.sumo.connection import (
    SPEED_MODE_DRIVER_DECIDES,
    SPEED_MODE_HARD_BRAKING,
    SumoConnection,
)
from roadsense.envs.world import NO_LEADER, Collision, State
from roadsense.errors import NoRoomError, SimulationError
from roadsense.scenarios.scenario import Scenario

CAR_LENGTH_M: Final = 4.5
INSERTION_LIMIT_S: Final = 5.0
INTERVENTION_MPS: Final = 0.1
"""SUMO would have intervened if its planned speed is this much below the commanded one."""


LOADS: Final = 3
"""Most loads of a scenario, each with the next SUMO seed, until its convoy finds room."""


def start_convoy(
    connection: SumoConnection, scenario: Scenario, draw: EpisodeDraw, sumo_checks: bool
) -> tuple["Convoy", State]:
    """Loads a scenario and returns its convoy, on the road, and the ego's state.

    Where traffic leaves the convoy no room under the drawn SUMO seed, the next ones are tried.

    Args:
        connection: connection to SUMO.
        scenario: scenario to load.
        draw: all random draws of the episode.
        sumo_checks: whether SUMO's safe-speed check binds the ego.

    Raises:
        SimulationError: if SUMO refuses the scenario.
        NoRoomError: if the convoy finds no room with any of `LOADS` seeds.
    """
    for attempt in range(LOADS):
        seed = draw.sumo_seed + attempt
        connection.reload(scenario.run_path, seed)
        convoy = Convoy(connection, scenario, draw, seed)
        try:
            return convoy, convoy.enter(sumo_checks)
        except NoRoomError as error:
            refusal = error
    connection.close()
    raise refusal


class Convoy:
    """The convoy of a loaded scenario over one episode.

    Attributes:
        states: true state of each car of the convoy, the ego first; None for a car that has left the road.
        leader: vehicle ahead of the ego; `NO_LEADER` if there is none.
        driver_mps2: acceleration that the ego's driver asks for now.
        assist_mps2: deceleration that the assist asked for in the last step, from 0.
        added_mps2: acceleration that the assist took off the driver's in the last step, the pedal's included, from 0.
        jerk_mps3: jerk of the ego over the last step.
        collided: whether the ego touches a car.
        collision: partner and impact of the ego's collision; None before there is one.
        overtook_leader: whether the ego has come ahead of the next car of its convoy.
        sumo_interventions: steps so far in which SUMO's checks would have lowered the commanded speed.

    Args:
        connection: connection that has just loaded the scenario.
        scenario: scenario that runs.
        draw: all random draws of the episode.
        sumo_seed: SUMO seed that the scenario was loaded with.
    """

    def __init__(self, connection: SumoConnection, scenario: Scenario, draw: EpisodeDraw, sumo_seed: int):
        self.sumo_seed = sumo_seed
        self._connection = connection
        self._scenario = scenario
        self._step_length_s = connection.step_length_s
        self._driver = Driver(draw.driver, self._step_length_s, draw.gap_errors)
        self._applied_mps2 = self._command_mps = 0.0
        self.hazard = HazardControl(connection, scenario.convoy_ids, draw.hazard)
        self.states: list[State | None] = []
        self.leader = NO_LEADER
        self.driver_mps2 = self.assist_mps2 = self.added_mps2 = self.jerk_mps3 = 0.0
        self.speed_mps = self.acceleration_mps2 = 0.0
        self.collided = False
        self.collision: Collision | None = None
        self.overtook_leader = False
        self._lead_m = math.inf
        self.sumo_interventions = 0

    def enter(self, sumo_checks: bool) -> State:
        """Runs the simulation until the whole convoy is on the road, takes the ego over and returns its state.

        Args:
            sumo_checks: whether SUMO's safe-speed check binds the ego.

        Raises:
            NoRoomError: if a car is not on the road within `INSERTION_LIMIT_S` after its departure.
        """
        connection, scenario = self._connection, self._scenario
        connection.run_until(scenario.convoy_depart_s)
        while None in connection.read_states(scenario.convoy_ids):
            if connection.time_s > scenario.convoy_depart_s + INSERTION_LIMIT_S:
                raise NoRoomError(
                    f"{scenario.config_path}: expected all of {scenario.convoy_ids} on the road "
                    f"{INSERTION_LIMIT_S:.0f} s after {scenario.convoy_depart_s:.1f} s. Give them more room: check "
                    "departPos, departSpeed and the traffic there."
                )
            connection.step()
        mode = SPEED_MODE_HARD_BRAKING if sumo_checks else SPEED_MODE_DRIVER_DECIDES
        connection.set_speed_mode(scenario.ego_id, mode)
        connection.expect_quick_reaction(scenario.ego_id)
        ego = self.sense()
        if ego is None:
            raise SimulationError(f"{scenario.config_path}: the ego left the road as soon as it was on it.")
        self._lead_m = self._measure_lead_m(ego)
        return ego

    def sense(self) -> State | None:
        """Reads the true states and lets the driver see them; returns the ego's state, None if it has left the road."""
        connection, ego = self._connection, self._scenario.ego_id
        self.states = connection.read_states(self._scenario.convoy_ids)
        state = self.states[0]
        if state is None:
            return None
        _, _, speed_mps, acceleration_mps2, _ = state
        ahead = self.states[1]
        if ahead is not None:
            self._lead_m += (ahead[2] - speed_mps) * self._step_length_s
            self.overtook_leader = self.overtook_leader or self._lead_m < 0.0
        self.jerk_mps3 = (acceleration_mps2 - self.acceleration_mps2) / self._step_length_s
        self.speed_mps, self.acceleration_mps2 = speed_mps, acceleration_mps2
        self.sumo_interventions += connection.planned_speed_mps(ego) < self._command_mps - INTERVENTION_MPS
        self.leader = connection.find_leader(ego)
        self.collided = ego in connection.colliding_ids() or self.leader.gap_m <= 0
        if self.collided:
            touched = Collision("", False, max(0.0, speed_mps - self.leader.speed_mps))
            self.collision = connection.find_collision(ego) or touched
        road = connection.look_ahead(ego)
        allowed_mps2 = road_mps2(self._driver.profile, speed_mps, road, self.leader.gap_m)
        self.driver_mps2 = self._driver.accelerate(speed_mps, self.leader, (road.limit_mps, allowed_mps2))
        return state

    def _measure_lead_m(self, ego: State) -> float:
        """Returns how far the next car of the convoy is ahead of the ego, front to front."""
        ahead = self.states[1]
        if ahead is None:
            return math.inf
        lead_m = self._connection.way_m(self._scenario.ego_id, self._scenario.convoy_ids[1])
        return lead_m if lead_m > 0.0 else math.hypot(ahead[0] - ego[0], ahead[1] - ego[1])

    def drive(self, assist_mps2: float) -> None:
        """Commands the ego's next speed: its driver's or its assist's braking, through the brake.

        Args:
            assist_mps2: deceleration that the assist asks for, from 0.
        """
        self.assist_mps2 = assist_mps2
        self.added_mps2 = max(0.0, self.driver_mps2 + assist_mps2) if assist_mps2 > 0 else 0.0
        wanted_mps2 = arbitrate_mps2(self.driver_mps2, assist_mps2)
        self._applied_mps2 = apply_brake_mps2(wanted_mps2, self._applied_mps2, self._step_length_s)
        command_mps = max(0.0, self.speed_mps + self._applied_mps2 * self._step_length_s)
        self._command_mps = command_mps
        self._connection.command_speed(self._scenario.ego_id, command_mps)

    def advance_hazard(self, time_s: float) -> str:
        """Drives the hazard one step on; returns its kind in the step in which it begins, else "".

        Args:
            time_s: time since the episode's start.
        """
        return self.hazard.advance(time_s, self.states, self.leader)

    def needed_mps2(self, required_mps2: float) -> float:
        """Returns the hardest braking that is justified: what the leader requires, and more during a hazard.

        While a hazard is active, braking as hard as any car ahead brakes, or enough to avoid it, is justified too. The
        convoy drives in a queue, so the lengths of the cars between the ego and the one that brakes are taken off the
        distance. A car that is not slower than the ego gives no reason to brake.

        Args:
            required_mps2: deceleration that keeps the ego from hitting its leader, from 0.
        """
        ego, *ahead = self.states
        needed_mps2 = required_mps2
        if ego is None or not self.hazard.active:
            return needed_mps2
        for place, state in enumerate(ahead, start=1):
            if state is not None and state[2] < ego[2]:
                gap_m = math.hypot(state[0] - ego[0], state[1] - ego[1]) - place * CAR_LENGTH_M
                required = required_deceleration_mps2(max(gap_m, 1.0), ego[2], (state[2], state[3]))
                needed_mps2 = max(needed_mps2, required, -state[3])
        return needed_mps2
