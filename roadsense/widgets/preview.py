"""The preview of a draw in a notebook: sliders, picture, simulation, and a button that adds the draw to the dataset."""

import base64
import html
from concurrent.futures import Future
from typing import Any

import ipywidgets as widgets

from roadsense.augment.config import GenConfig
from roadsense.augment.draws.chosen_draw import ChosenDraw
from roadsense.augment.preview.preview import DrawPreview
from roadsense.episodes.record import take_trajectory
from roadsense.episodes.trajectory import Trajectory
from roadsense.errors import RoadSenseError
from roadsense.pictures.player import player_html
from roadsense.utils.progress import is_headless
from roadsense.widgets.player import EpisodePlayer

SLIDERS = {
    "density": ("density", 0.01, "factor on the flows' rates"),
    "sigma": ("sigma", 0.01, "the drivers' imperfection"),
    "speed_mean": ("speedFactor", 0.01, "mean of the desired speeds, as a multiple of the limit"),
    "convoy_shift_s": ("convoy later [s]", 0.1, "the convoy departs later by"),
    "background_shift_s": ("flows later [s]", 0.5, "flows begin later by up to"),
    "heavy_share": ("heavy share", 0.05, "factor on the share of trucks and buses"),
    "friction": ("friction", 0.01, "of the road; 1 is dry"),
    "tau": ("tau", 0.01, "factor on the time headways"),
    "accel": ("accel", 0.01, "factor on the accelerations"),
    "decel": ("decel", 0.01, "factor on the decelerations"),
    "min_gap": ("minGap", 0.01, "factor on the gaps at standstill"),
    "convoy_spacing": ("convoy spacing", 0.01, "factor on the distances in the convoy"),
}
"""Label, step and explanation of each value with a range."""

AFTER_S, MAX_AFTER_S, MAX_SEED = 15, 60, 9999
DURATION_S = 30


class PreviewWidget:
    """The preview that a notebook shows, as the last value of a cell.

    A headless run shows the picture of the first draw.

    Args:
        config: settings of the dataset that draws are previewed for and added to; it need not exist yet.
        base: name of the base scenario at the start; by default the first.
        values: values of `ChosenDraw` at the start.
    """

    def __init__(self, config: GenConfig | None = None, base: str | None = None, **values: Any):
        self.preview = DrawPreview(config or GenConfig())
        self._start = base or next(iter(self.preview.bases))
        first = self.preview.fit(self._start, **values)
        self.controls = self._build_controls(first)
        self._picture = widgets.Image(format="png", layout=widgets.Layout(width="100%", max_width="960px"))
        self._replay, self._status = widgets.HTML(tooltip=""), widgets.HTML(tooltip="")
        self._buttons = {
            "simulate": self._button(f"Simulate {DURATION_S} s", "in a process of its own", self._simulate),
            "train": self._button("Add to train", "keep this draw in the dataset", lambda _: self._add("train")),
            "eval": self._button("Add to eval", "keep it as a held-out scenario", lambda _: self._add("eval")),
        }
        self._limits = widgets.HTML(tooltip="")
        self._bound_sliders()
        for name, control in self.controls.items():
            if name in ("base", "convoy_size"):
                control.observe(self._bound_sliders, names="value")
            control.observe(self._redraw, names="value")
        self.view = self._lay_out()
        self._redraw()

    @property
    def base(self) -> str:
        """Name of the chosen base scenario."""
        return str(self.controls["base"].value)

    @property
    def chosen(self) -> ChosenDraw:
        """The chosen values, as far as the base allows them."""
        values = {name: control.value for name, control in self.controls.items() if name not in ("base", "after_s")}
        # A slider moved by keys gives 1.1499999999999999.
        return self.preview.fit(self.base, **{n: round(v, 4) if isinstance(v, float) else v for n, v in values.items()})

    @property
    def status(self) -> str:
        """The last status line, as plain text."""
        return html.unescape(self._status.value.partition(">")[2].rpartition("<")[0])

    def simulate(self, duration_s: int = DURATION_S) -> EpisodePlayer:
        """Simulates the chosen draw in a worker process and returns its player."""
        return EpisodePlayer(self.preview.simulate(self.base, self.chosen, duration_s))

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        png = self.preview.paint(self.base, self.chosen, self.controls["after_s"].value)
        still = {"image/png": base64.b64encode(png).decode(), "text/plain": f"{self.base}: {self.chosen}"}
        return still if is_headless() else {**self.view._repr_mimebundle_(**options), **still}

    def _build_controls(self, first: ChosenDraw) -> dict[str, Any]:
        style, layout = {"description_width": "110px"}, widgets.Layout(width="300px")
        common: dict[str, Any] = {"style": style, "layout": layout}
        controls: dict[str, Any] = {"base": widgets.Dropdown(options=list(self.preview.bases), value=self._start,
                                                             description="road", tooltip="base scenario",
                                                             **common)}  # fmt: skip
        for name, (label, step, tooltip) in SLIDERS.items():
            low, high = getattr(self.preview.config.ranges, name)
            high = 1.0 if name == "friction" else high
            value = getattr(first, name)
            controls[name] = widgets.FloatSlider(value, min=low, max=high, step=step, description=label,
                                                 tooltip=tooltip, readout_format=".2f", **common)  # fmt: skip
        low, high = self.preview.config.ranges.convoy_size
        controls["convoy_size"] = widgets.IntSlider(
            first.convoy_size, min=low, max=high, description="convoy cars", tooltip="the ego included", **common
        )
        radios = self.preview.config.ranges.v2v
        radio = {"description": "radio", "tooltip": "the convoy's radio"}
        controls["v2v"] = widgets.Dropdown(options=radios, value=first.v2v, **radio, **common)
        seed = {"description": "seed", "tooltip": "seed of what has no slider"}
        controls["seed"] = widgets.IntSlider(first.seed, min=0, max=MAX_SEED, **seed, **common)
        after = {"description": "seen after [s]", "tooltip": "seconds after the convoy's departure"}
        controls["after_s"] = widgets.IntSlider(AFTER_S, min=0, max=MAX_AFTER_S, **after, **common)
        return controls

    def _button(self, label: str, tooltip: str, action: Any) -> widgets.Button:
        button = widgets.Button(description=label, tooltip=tooltip)
        button.on_click(action)
        return button

    def _lay_out(self) -> widgets.VBox:
        grid = widgets.Layout(grid_template_columns="repeat(auto-fill, 305px)", width="100%")
        return widgets.VBox([
            widgets.GridBox(list(self.controls.values()), layout=grid), self._limits,
            self._picture, widgets.HBox(list(self._buttons.values())), self._status, self._replay,
        ])  # fmt: skip

    def _bound_sliders(self, _change: Any = None) -> None:
        """Gives the sliders the bounds of the chosen road, and shows what the road does not allow."""
        for name, (low, high) in self.preview.bounds(self.base, self.controls["convoy_size"].value).items():
            slider = self.controls[name]
            slider.max = max(slider.max, high)  # the smallest value must never be above the largest
            slider.min, slider.max = low, high
            slider.disabled = low == high
        self._limits.value = "".join(f"<p>{html.escape(note)}</p>" for note in self.preview.bases[self.base].notes)

    def _redraw(self, _change: Any = None) -> None:
        self._picture.value = self.preview.paint(self.base, self.chosen, self.controls["after_s"].value)

    def _simulate(self, _button: Any) -> None:
        self._say("Simulating ...")
        self._buttons["simulate"].disabled = True
        try:
            self.preview.start_simulation(self.base, self.chosen, DURATION_S).add_done_callback(self._show)
        except RoadSenseError as error:
            self._buttons["simulate"].disabled = False
            self._say(str(error))

    def _show(self, future: "Future[Trajectory]") -> None:
        # Called from the pool's own thread: the sliders respond while SUMO works.
        try:
            self._replay.value = player_html(take_trajectory(future), plays=True)
            self._say("Simulated: it plays below. Space stops it, once the player has the focus.")
        except RoadSenseError as error:
            self._say(str(error))
        finally:
            self._buttons["simulate"].disabled = False

    def _add(self, split: str) -> None:
        self._say("Proving ...")
        try:
            dataset, record = self.preview.add(self.base, self.chosen, split)
        except RoadSenseError as error:
            self._say(str(error))
            return
        where = dataset.folder / split / record.name
        self._say(f"Added {where}. The dataset has {len(dataset.scenarios)} scenarios, digest {dataset.digest[:16]}.")

    def _say(self, text: str) -> None:
        self._status.value = f'<p role="status">{html.escape(text)}</p>'
