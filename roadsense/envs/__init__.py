"""The convoy environment: driver, hazards, observation, reward and outcome; `sumo` runs SUMO, `radio` is the radio.

Not here: scenarios (`roadsense.scenarios`), policies (`policies`) and learning (`training`). Importing this package
registers `roadsense/Convoy-v0` with Gymnasium; `gymnasium.make("roadsense.envs:roadsense/Convoy-v0")` imports it.
"""

from gymnasium.envs.registration import register, registry

if "roadsense/Convoy-v0" not in registry:
    register("roadsense/Convoy-v0", entry_point="roadsense.envs.convoy_env:ConvoyEnv", disable_env_checker=True)
