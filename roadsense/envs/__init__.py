"""The convoy environment. Importing this package registers `roadsense/Convoy-v0` with Gymnasium.

Gymnasium imports it by itself for `gymnasium.make("roadsense.envs:roadsense/Convoy-v0")`.
"""

from gymnasium.envs.registration import register, registry

if "roadsense/Convoy-v0" not in registry:
    register("roadsense/Convoy-v0", entry_point="roadsense.envs.convoy_env:ConvoyEnv", disable_env_checker=True)
