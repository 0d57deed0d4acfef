"""The figures of notebook 01: how a training, or an experiment of several seeds, learned."""

from matplotlib.figure import Figure

from roadsense.runs import figures
from roadsense.runs.experiment import is_experiment
from roadsense.runs.run import Run, read_seeds


def plot_learning(run: Run) -> Figure:
    """Draws how the policy of a run learned: its training episodes, and the held-out ones.

    If the run is one of an experiment: the seeds of the experiment, their median and range.
    """
    experiment = run.folder.parent
    if is_experiment(experiment):
        return figures.plot_learning_of_seeds(read_seeds(experiment))
    return figures.plot_learning(run.read_metrics())
