"""`python -m roadsense.replay SCENARIO EPISODE`, see `roadsense.episodes.replay`."""

import sys

from roadsense.episodes.replay import ReplayConfig, replay_and_print
from roadsense.utils.command import run_with_options

if __name__ == "__main__":
    sys.exit(run_with_options(replay_and_print, ReplayConfig, "python -m roadsense.replay"))
