"""Makes the environment in one call, for code with its own learning algorithm."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.scenarios.scenario import find_scenarios


def make_env(
    scenarios: str | Path | Sequence[str | Path],
    config: EnvConfig | Mapping[str, Any] | None = None,
    render_mode: str | None = None,
) -> ConvoyEnv:
    """Returns a `ConvoyEnv` over scenarios. A process holds one at a time, because libsumo holds one simulation.

    Args:
        scenarios: a folder, below which every `.sumocfg` is used, or the paths of `.sumocfg` files.
        config: settings of the environment, also as a mapping; None for the defaults.
        render_mode: `human` shows every step in SUMO's window; with `rgb_array`, `render` returns pictures.

    Raises:
        InputError: for another render mode.
        ScenarioError: if the folder holds no scenario.

    Examples:
        >>> import roadsense as rs
        >>> with rs.make_env("scenarios/base") as env:
        ...     observation, info = env.reset(seed=1, options={"hazard": True})
        ...     observation, reward, terminated, truncated, info = env.step(env.action_space.high)
        >>> observation["peers"].shape
        (8, 8)
    """
    return ConvoyEnv(list_paths(scenarios), config=config, render_mode=render_mode)


def list_paths(scenarios: str | Path | Sequence[str | Path]) -> list[Path]:
    """Returns the paths of all `.sumocfg` files below a folder, of a list, or the one that is named.

    Raises:
        ScenarioError: if the folder holds none.
    """
    if not isinstance(scenarios, str | Path):
        return [Path(path) for path in scenarios]
    return [Path(scenarios)] if Path(scenarios).is_file() else find_scenarios(scenarios)
