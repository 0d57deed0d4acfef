"""RoadSense: from a few hand-made SUMO roads to a tested convoy brake assist on a microcontroller.

`import roadsense as rs` has all that notebooks and programs need; each name is imported when it is first used.
`docs/reference/api.md` says which names are stable.
"""

import importlib
import sys
from importlib.metadata import version

from roadsense.utils.compiled import choose_code
from roadsense.utils.lazy import import_lazily

choose_code()

_HOMES = {
    "BASELINES": "roadsense.policies.rules",
    "BaseConfig": "roadsense.drives.base",
    "CompareConfig": "roadsense.drives.compare",
    "ConvoyEnv": "roadsense.envs.convoy_env",
    "Dataset": "roadsense.scenarios.dataset",
    "EnvConfig": "roadsense.envs.config",
    "EvalConfig": "roadsense.evaluation.config",
    "ExportConfig": "roadsense.exporting.config",
    "GenConfig": "roadsense.augment.config",
    "Job": "roadsense.jobs.job",
    "JobSpec": "roadsense.jobs.spec",
    "JudgeConfig": "roadsense.drives.judge",
    "RoadSenseError": "roadsense.errors",
    "Scenario": "roadsense.scenarios.scenario",
    "TrainConfig": "roadsense.training.train_config",
    "compare_log": "roadsense.drives.compare",
    "evaluate_policy": "roadsense.evaluate",
    "export_policy": "roadsense.export",
    "find_runs": "roadsense.runs.run",
    "generate_dataset": "roadsense.augment.generate",
    "judge_log": "roadsense.drives.judge",
    "load_policy": "roadsense.policies.trained",
    "make_base": "roadsense.drives.base",
    "make_env": "roadsense.envs.make",
    "make_vec_env": "roadsense.training.vec.env",
    "open_run": "roadsense.runs.run",
    "read_drive": "roadsense.drives.drive",
    "record_episode": "roadsense.training.live_episode",
    "show_episode": "roadsense.widgets.player",
    "train_policy": "roadsense.train_convoy",
}
__all__ = sorted(_HOMES)
__version__ = version("roadsense")
__getattr__, __dir__ = import_lazily(__name__, _HOMES)

if "gymnasium" in sys.modules:  # nobody else waits for Gymnasium's import
    importlib.import_module("roadsense.envs")  # registers roadsense/Convoy-v0
