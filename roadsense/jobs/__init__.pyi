from roadsense.jobs.aws.sagemaker.bridge import as_model_trainer as as_model_trainer
from roadsense.jobs.aws.sagemaker.bridge import as_tuner as as_tuner
from roadsense.jobs.aws.sagemaker.trials import tabulate_trials as tabulate_trials
from roadsense.jobs.shown import shorten as shorten
from roadsense.runs.figures import plot_learning as plot_learning
from roadsense.utils.workspace import enter_workspace as enter_workspace
