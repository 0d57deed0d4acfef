"""Jobs: a notebook, its parameters and a machine. What the notebooks of jobs need beside `rs.Job` has its name here."""

from roadsense.utils.lazy import import_lazily

_HOMES = {
    "as_model_trainer": "roadsense.jobs.aws.sagemaker.bridge",
    "as_tuner": "roadsense.jobs.aws.sagemaker.bridge",
    "enter_workspace": "roadsense.utils.workspace",
    "plot_learning": "roadsense.runs.figures",
    "shorten": "roadsense.jobs.shown",
    "tabulate_trials": "roadsense.jobs.aws.sagemaker.trials",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = import_lazily(__name__, _HOMES)
