"""The program `roadsense`, with a benchmark of few short episodes, and less patience with workers that stand still."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from roadsense.cli import main

PATIENCE_S = 60.0
DIES_AT = "ROADSENSE_CHAOS_DIES_AT"
"""Environment variable: pattern of the file or folder after whose naming the program is killed."""


def change_settings() -> None:
    """Makes the commands that drive episodes quicker."""
    from roadsense.episodes import run
    from roadsense.evaluation import benchmark

    whole = benchmark.open_set(benchmark.NEWEST)
    two = dict(list(whole.scenarios.items())[:2])
    conditions = {name: whole.conditions[name] for name in ("the convoy alone", "bursts of loss")}
    small = replace(whole, scenarios=two, n_seeds=2, n_steps=40, conditions=conditions)
    benchmark.open_set = lambda name: small
    run.EPISODE_LIMIT_S = PATIENCE_S


def die_after_naming(pattern: str) -> None:
    """Kills the program as soon as a file or folder of a name has got it."""

    def deadly(rename):
        def call(source, target, **options):
            rename(source, target, **options)
            if Path(target).match(pattern):
                os.kill(os.getpid(), signal.SIGKILL)

        return call

    os.rename, os.replace = deadly(os.rename), deadly(os.replace)


if __name__ == "__main__":
    if os.environ.get(DIES_AT):
        die_after_naming(os.environ[DIES_AT])
    if sys.argv[1] in ("evaluate", "benchmark", "export"):
        change_settings()
    sys.exit(main())
