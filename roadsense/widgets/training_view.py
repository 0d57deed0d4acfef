"""A training in a notebook while it runs: figures, curves and two buttons, read only from the run folder.

The same view opens again from any notebook, after the browser was closed or the kernel restarted. A headless run
shows the final figures and curves.
"""

import base64
import html
import io
import threading
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import ipywidgets as widgets
import pandas as pd
from IPython.display import display

from roadsense.pictures.style import GREY, new_figure
from roadsense.runs.experiment import find_current_folder, is_experiment, is_trained, list_seed_folders
from roadsense.runs.figures import plot_learning
from roadsense.runs.progress import (
    RunProgress,
    ask_for_checkpoint,
    ask_to_stop,
    describe_progress,
    read_progress,
)
from roadsense.runs.run import Run, open_run
from roadsense.training.train_config import TrainConfig, name_run
from roadsense.utils.progress import is_headless
from roadsense.utils.workspace import resolve

REFRESH_S, REDRAW_S = 1.0, 4.0
"""Time between two reads of the folder, and least time between two drawings of the curves: drawing slows a training in
the same kernel."""

DPI = 80


class TrainingView:
    """The view of a training in a notebook, as the last value of a cell or around the training itself.

        with TrainingView(config) as view:
            run = train_policy(view.config)

    Args:
        training: settings of a training that will begin, or the folder of a run or of an experiment, of which the
            latest run is shown; the folder need not exist yet.
        usd_per_hour: price of its machine, US dollars an hour; None: the value in the job's environment.

    Attributes:
        config: settings with the name of the run folder; None if a folder was given.
    """

    def __init__(self, training: TrainConfig | str | Path, usd_per_hour: float | None = None):
        self.config = name_run(training) if isinstance(training, TrainConfig) else None
        folder = (self.config.resume or self.config.run_dir or "") if self.config else str(training)
        self._folder, self._opened_s = resolve(folder), time.monotonic()
        self._run, self._usd_per_hour = Run(self._folder), usd_per_hour
        self._bar = widgets.FloatProgress(min=0.0, max=1.0, layout=widgets.Layout(width="100%", max_width="860px"))
        self._figures, self._news = widgets.HTML(tooltip=""), widgets.HTML(tooltip="")
        self._curves = widgets.Image(value=_draw_placeholder(), format="png")
        self._curves.layout = widgets.Layout(width="100%", max_width="860px")
        self._checkpoint = widgets.Button(description="Checkpoint now", tooltip="write one and go on")
        self._stop = widgets.Button(description="Stop after checkpoint", tooltip="the run can be resumed")
        self._stop.layout.width = "190px"
        self._checkpoint.on_click(lambda _: self._ask(ask_for_checkpoint, "A checkpoint is asked for."))
        self._stop.on_click(lambda _: self._ask(ask_to_stop, "The training is asked to stop, with a checkpoint."))
        for button in (self._checkpoint, self._stop):
            answer_while_busy(button)  # the training may run in this very kernel
        buttons = widgets.HBox([self._checkpoint, self._stop])
        self.view = widgets.VBox([self._bar, self._figures, buttons, self._news, self._curves])
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._shown: Any = None
        self._painted: tuple[float, int] = (0.0, -1)

    def refresh(self, repaint: bool = False) -> RunProgress | None:
        """Reads the folder and shows the progress; returns it, or None if there is no run yet."""
        with self._lock:  # buttons and `follow` run in different threads
            return self._refresh(repaint)

    def _refresh(self, repaint: bool) -> RunProgress | None:
        self._run = Run(find_current_folder(self._folder))
        if not self._run.config_path.is_file():
            waited = f"{time.monotonic() - self._opened_s:.0f} s"
            self._figures.value = f"<p>Waiting for a run in {html.escape(str(self._run.folder))} ... {waited}</p>"
            return None
        metrics = self._run.read_metrics()
        progress = read_progress(self._run, metrics, self._usd_per_hour)
        self._bar.value = progress.share
        self._figures.value = self._tell_seed() + _as_table(progress)
        self._checkpoint.disabled = not progress.is_running or progress.is_checkpoint_wanted
        self._stop.disabled = not progress.is_running or progress.is_stop_wanted
        if not (progress.is_running and (progress.is_checkpoint_wanted or progress.is_stop_wanted)):
            self._news.value = ""
        self._paint(metrics, repaint)
        return progress

    def follow(self) -> None:
        """Refreshes in the background until the run ends, or the view is closed."""
        if self._thread is None or not self._thread.is_alive():
            self._ended.clear()
            self._thread = threading.Thread(target=self._refresh_until_end, name="training view", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends refreshing; the picture stays."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> "TrainingView":
        if not is_headless():
            self._shown = display(self.view, display_id=True)
            self.follow()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._shown is None:
            display(self)
        else:
            self._shown.update(self)  # without buttons; a picture stays in the saved notebook

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        progress = self.refresh(repaint=True)
        rows = describe_progress(progress) if progress else [("state", f"no run in {self._run.folder} yet")]
        still = {"text/plain": "\n".join(f"{name}: {words}" for name, words in rows)}
        if self._painted[1] > 0:
            still["image/png"] = base64.b64encode(self._curves.value).decode("ascii")
        if is_headless() or (progress and not progress.is_running and progress.timesteps):
            picture = f'<img alt="learning curves" src="data:image/png;base64,{still.get("image/png", "")}">'
            still["text/html"] = self._figures.value + (picture if "image/png" in still else "")
            return still
        self.follow()
        return {**self.view._repr_mimebundle_(**options), **still}

    def _refresh_until_end(self) -> None:
        while not self._ended.is_set():
            progress = self.refresh()
            goes_on = is_experiment(self._folder) and not is_trained(self._folder)
            if progress is not None and not progress.is_running and progress.timesteps and not goes_on:
                break
            self._ended.wait(REFRESH_S)

    def _tell_seed(self) -> str:
        if not is_experiment(self._folder):
            return ""
        names = [folder.name for folder in list_seed_folders(self._folder)]
        name = self._run.folder.name
        return f"<p>{html.escape(name)}, {names.index(name) + 1} of {len(names)}</p>" if name in names else ""

    def _paint(self, metrics: pd.DataFrame, now: bool) -> None:
        painted_s, n_rows = self._painted
        is_new = len(metrics) != n_rows and time.monotonic() - painted_s >= REDRAW_S
        if len(metrics) and (now or is_new) and "reward_mean" in metrics:
            file = io.BytesIO()
            plot_learning(metrics).savefig(file, format="png", dpi=DPI)
            self._curves.value = file.getvalue()
            self._painted = (time.monotonic(), len(metrics))

    def _ask(self, action: Any, words: str) -> None:
        if self._run.read_state().name == "running":
            action(self._run)
            self._news.value = f'<p role="status">{words}</p>'
        self.refresh()


def watch_training(run_dir: str | Path, usd_per_hour: float | None = None) -> TrainingView:
    """Returns the view of an existing run, as the last value of a cell.

    Raises:
        RunError: if the folder holds no run.
    """
    return TrainingView(open_run(run_dir, trained=False).folder, usd_per_hour)


@cache
def _draw_placeholder() -> bytes:
    """Returns the picture that is shown until there are curves, a PNG."""
    figure, axes = new_figure(9.0, 2.0)
    axes.set_axis_off()
    axes.text(0.5, 0.5, "The curves appear after the first rollout.", ha="center", va="center", color=GREY)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def _as_table(progress: RunProgress) -> str:
    cells = (
        f'<div style="padding:2px 18px 2px 0"><span style="color:#6a7077">{html.escape(name)}</span><br>'
        f'<b style="font-variant-numeric:tabular-nums">{html.escape(words)}</b></div>'
        for name, words in describe_progress(progress)
    )
    return f'<div style="display:flex;flex-wrap:wrap;line-height:1.4">{"".join(cells)}</div>'


def answer_while_busy(widget: widgets.Widget) -> None:
    """Lets a widget respond while the kernel runs a cell; without subshells nothing changes.

    JupyterLab sends a widget's events to a subshell, a thread of its own in the kernel. ipykernel 7.4 gives them to the
    loop that last used the widget, which is the busy one. With this they stay in the subshell. The handlers must be
    safe beside the running cell; touching a file is safe.
    """
    if widget.comm is not None and hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = _as_sent


def _as_sent(_data: Any, subshell_id: str | None) -> str | None:
    return subshell_id
