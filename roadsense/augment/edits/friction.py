"""Road friction: written into a scenario's own copy of the network.

SUMO heeds it only in vehicles with a friction device, and then in every car-following model alike: it lowers the
fastest speed on the lane, by 10 % at a friction of 0.7, and leaves braking alone
(https://sumo.dlr.de/docs/Simulation/Friction.html, and measured with 1.28).
"""

import re

DECIMALS = 4
_LANE = re.compile(rb"<lane\b[^>]*>")
_FRICTION = re.compile(rb"""\bfriction\s*=\s*["']([^"']*)["']""")
_CURVE = (-0.3491, 0.8922, 0.4493)
"""Speed factor as a parabola of friction, from SUMO's documentation; at 1 SUMO leaves the speed as it is."""


def speed_share(friction: float) -> float:
    """Returns by which factor a friction lowers the fastest speed on a lane."""
    square, linear, constant = _CURVE
    return 1.0 if friction >= 1.0 else square * friction**2 + linear * friction + constant


def scale_friction(network: bytes, factor: float) -> bytes:
    """Returns a network with the friction of every lane times a factor."""

    def _scale_lane(match: re.Match[bytes]) -> bytes:
        lane = match[0]
        own = _FRICTION.search(lane)
        value = round(float(own[1] if own else b"1") * factor, DECIMALS)
        bare = lane if own is None else lane[: own.start()].rstrip() + lane[own.end() :]
        return bare.replace(b"<lane", b'<lane friction="%a"' % value, 1)

    return _LANE.sub(_scale_lane, network)
