from roadsense.augment.config import GenConfig as GenConfig
from roadsense.augment.generate import generate_dataset as generate_dataset
from roadsense.envs.config import EnvConfig as EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv as ConvoyEnv
from roadsense.envs.make import make_env as make_env
from roadsense.errors import RoadSenseError as RoadSenseError
from roadsense.evaluate import evaluate_policy as evaluate_policy
from roadsense.evaluation.config import EvalConfig as EvalConfig
from roadsense.export import export_policy as export_policy
from roadsense.exporting.config import ExportConfig as ExportConfig
from roadsense.jobs.job import Job as Job
from roadsense.jobs.spec import JobSpec as JobSpec
from roadsense.policies.baselines import BASELINES as BASELINES
from roadsense.policies.trained import load_policy as load_policy
from roadsense.runs.run import find_runs as find_runs
from roadsense.runs.run import open_run as open_run
from roadsense.scenarios.dataset import Dataset as Dataset
from roadsense.scenarios.scenario import Scenario as Scenario
from roadsense.train_convoy import train_policy as train_policy
from roadsense.training.live_episode import record_episode as record_episode
from roadsense.training.train_config import TrainConfig as TrainConfig
from roadsense.training.vec.make import make_vec_env as make_vec_env
from roadsense.widgets.player import show_episode as show_episode

__version__: str
