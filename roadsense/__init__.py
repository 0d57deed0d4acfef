"""RoadSense: from a few hand-made SUMO roads to a proven convoy brake assist on a microcontroller."""

from gymnasium.envs.registration import register, registry

from roadsense.errors import RoadSenseError

__all__ = ["RoadSenseError"]

if "roadsense/Convoy-v0" not in registry:
    register("roadsense/Convoy-v0", entry_point="roadsense.envs.convoy_env:ConvoyEnv", disable_env_checker=True)
