"""The figures of notebook 01: the course of a training, or of an experiment of several seeds."""

from matplotlib.figure import Figure

from roadsense.runs import figures
from roadsense.runs.experiment import is_experiment
from roadsense.runs.run import Run, read_seeds


def plot_learning(run: Run) -> Figure:
    """Draws the progress of a run over its training episodes and its held-out ones.

    If the run belongs to an experiment, it draws the experiment's seeds, their median and range.
    """
    experiment = run.folder.parent
    if is_experiment(experiment):
        return figures.plot_learning_of_seeds(read_seeds(experiment))
    return figures.plot_learning(run.read_metrics())
