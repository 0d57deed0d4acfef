"""The card of a dataset: one page and one picture that describe it, made only from its manifest."""

import io
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import style

from roadsense.augment.card.dataset_tables import tabulate_difficulty, tabulate_draws, tabulate_refusals
from roadsense.augment.card.plots import plot_draws
from roadsense.augment.draws.variations import VariationRanges
from roadsense.episodes.difficulty import STANDARD_DRIVER, STANDARD_HAZARD
from roadsense.scenarios.dataset import CARD_NAMES, MANIFEST_NAME, Dataset, record_sums
from roadsense.scenarios.records import DENSITY_WORDS, DRIVER_WORDS
from roadsense.utils.files import write_atomically
from roadsense.utils.tables import markdown_table

PICTURE_DPI = 110

USE = """## Verify and load it

```
roadsense verify DATASET
```

compares every file with `manifest.json`; with `--rebuild` it makes the dataset again and compares byte by byte.

```python
from roadsense.scenarios.dataset import Dataset
from roadsense.envs.convoy_env import ConvoyEnv

dataset = Dataset.open("DATASET")  # this folder
env = ConvoyEnv(dataset.scenario_paths("train"))
```

Every scenario is a folder of its own that plain SUMO runs: `sumo -c train/<scenario>/scenario.sumocfg`."""

LIMITS = """## Limits

- Simulated, not recorded: vehicles behave as SUMO's car-following and lane-change models do.
- Lanes, curves and lights are those of the base scenarios: traffic and drivers vary, geometry doesn't.
- `sparse` to `dense` and `cautious` to `aggressive` are thirds of the ranges above, relative to each base road.
- The gate runs each scenario with SUMO's own driver checks on and without a hazard, up to 60 s from the convoy's
  departure: it proves that a scenario works, not that it is hard or true to life."""
SAME_ROADS = (
    "- Held-out scenarios lie on roads that are trained on, too: they ask for unseen traffic, not for unseen roads."
)


def write_card(folder: Path) -> None:
    """Writes `README.md` and `coverage.png` into a dataset's folder, over older ones; equal datasets give equal files.

    Their sums go into the manifest.

    Args:
        folder: the dataset's folder.

    Raises:
        DatasetError: if the folder holds no dataset.
    """
    dataset = Dataset.open(folder)
    picture = io.BytesIO()
    # Neither a style that somebody set nor matplotlib's version number changes the picture.
    with style.context("default"):
        plot_draws(tabulate_draws(dataset)).savefig(picture, dpi=PICTURE_DPI, metadata={"Software": None})
    readme, coverage = (Path(folder) / name for name in CARD_NAMES)
    write_atomically(coverage, picture.getvalue())
    write_atomically(readme, format_card(dataset))
    record_sums(Path(folder))


def format_card(dataset: Dataset) -> str:
    """Returns the text of a dataset's card, in Markdown."""
    roads = {
        split: {record.base for record in dataset.scenarios if record.split == split} for split in _splits(dataset)
    }
    trained = roads.pop("train", set())
    limits = [LIMITS, SAME_ROADS] if any(own & trained for own in roads.values()) else [LIMITS]
    sections = (
        *(_introduce(dataset), _origin(dataset), _counts(dataset), _ranges(dataset), _notes(dataset)),
        *(_gate(dataset), _difficulty(dataset), USE, "\n".join(limits)),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _introduce(dataset: Dataset) -> str:
    n_bases = len({record.base for record in dataset.scenarios})
    counts = ", ".join(
        f"{sum(record.split == split for record in dataset.scenarios)} {split}" for split in _splits(dataset)
    )
    versions = ", ".join(f"{name} {version}" for name, version in dataset.versions.items())
    return f"""# A RoadSense dataset

{len(dataset.scenarios)} SUMO scenarios ({counts}) drawn from {n_bases} base roads. In each a convoy drives through \
traffic; its last car, `V001`, is the one that a brake assist is trained for. Each was run by plain SUMO before it \
came in.

| | |
|---|---|
| digest | `{dataset.digest}` |
| seed | {dataset.seed} |
| made with | {versions} |"""


def _origin(dataset: Dataset) -> str:
    chosen = dataset.settings.get("chosen", {})
    by_hand = f"\n\nAdded afterwards, with values chosen by hand: {', '.join(chosen)}." if chosen else ""
    return f"""## How it was made

```
{_command(dataset.settings)}
```

`BASES` is the folder of base scenarios whose hashes `{MANIFEST_NAME}` lists under `bases`. The same versions, bases \
and settings give the same files, byte for byte. `{MANIFEST_NAME}` holds every drawn value, every edited attribute \
with its original, what the gate measured in its simulation, and the hash of every file.{by_hand}"""


def _command(settings: Mapping[str, Any]) -> str:
    # Ranges at their defaults are left out: the card shows the version above, and the values in a table.
    usual = vars(VariationRanges())
    options = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    for name, value in settings.get("ranges", {}).items():
        if _plain(value) != _plain(usual.get(name)):
            options[name] = value
    words = ["roadsense gen-scenarios --base_dir BASES --output_dir DATASET"]
    words += [_option(name, value) for name, value in options.items() if value not in (None, [], ())]
    return " \\\n    ".join(words)


def _option(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    parts = value if isinstance(value, list | tuple) else [value]
    return " ".join([f"--{name}", *(shlex.quote(str(part)) for part in parts)])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _counts(dataset: Dataset) -> str:
    splits = _splits(dataset)
    table = pd.DataFrame([vars(record) for record in dataset.scenarios])
    by_base = table.groupby(["base", "split"]).size().unstack(fill_value=0)[splits]
    rows = [[base, *map(str, row), str(sum(row))] for base, row in zip(by_base.index, by_base.to_numpy(), strict=True)]
    rows.append(["all", *map(str, by_base.sum()), str(len(table))])
    words = table.groupby(["density", "driver", "split"]).size()
    cells = [
        [
            density,
            *(" + ".join(str(words.get((density, driver, split), 0)) for split in splits) for driver in DRIVER_WORDS),
        ]
        for density in DENSITY_WORDS
    ]
    return f"""## What is in it

{markdown_table(["base road", *splits, "all"], rows)}

By density word and driver word, {" + ".join(splits)}:

{markdown_table(["", *DRIVER_WORDS], cells)}"""


def _ranges(dataset: Dataset) -> str:
    rows = [[f"`{name}`", _show(value)] for name, value in dataset.settings.get("ranges", {}).items()]
    return f"""## What is varied

{markdown_table(["setting", "range or value"], rows)}

Values are drawn evenly over their ranges by Latin hypercube, for each base and split apart. A flow is shifted by its \
own mean headway at the most, so long shifts are rarer; types of the convoy share one mean speed and spread less.

![The drawn values by split]({CARD_NAMES[1]})

{_distances(dataset)}"""


def _distances(dataset: Dataset) -> str:
    least = dataset.settings.get("min_split_distance")
    lines = []
    for split in _splits(dataset)[1:]:
        known = [record for record in dataset.scenarios if record.split == split and record.train_distance is not None]
        if known:
            nearest = min(known, key=lambda record: record.train_distance or 0.0)
            lines.append(
                f"The {split} draw nearest to a train draw is {nearest.name}, {nearest.train_distance:.3f} away."
            )
    if not lines:
        return "No held-out scenario has a train scenario of its base to be near to."
    explained = f"Distance is root mean square, ranges scaled to 1; at least {_show(least)} was asked for."
    return "\n".join([*lines, explained])


def _notes(dataset: Dataset) -> str:
    lines = [f"- {base}: {line}" for base, found in dataset.notes.items() for line in found]
    return "\n".join(["## Notes on the base roads", "", *lines]) if lines else ""


def _gate(dataset: Dataset) -> str:
    if not dataset.refusals:
        return "## The gate\n\nNo draw was refused."
    rows = tabulate_refusals(dataset).astype(str).to_numpy().tolist()
    return f"""## The gate

Draws that were refused and drawn again: {len(dataset.refusals)}. Of reasons that differ in numbers only, one is shown.

{markdown_table(["base road", "draws", "reason"], rows)}"""


def _difficulty(dataset: Dataset) -> str:
    table = tabulate_difficulty(dataset, measure=False)
    if table.empty:
        return ""
    rows = [_difficulty_row(split, table[table["split"] == split]) for split in _splits(dataset)]
    names = ["split", "scenarios", "no hazard", "collisions", "hardest tenth", "median", "easiest tenth"]
    return f"""## Difficulty

The smallest time to collision, in s, of a standard driver without an assist (reacts after \
{STANDARD_DRIVER.reaction_time_s:g} s, keeps {STANDARD_DRIVER.time_headway_s:g} s) whose leader in the convoy brakes \
to standstill with {STANDARD_HAZARD.deceleration_mps2:g} m/s2, {STANDARD_HAZARD.onset_s:g} s after the start. Smaller \
is harder; "no hazard" counts scenarios in which that car was never fast enough to brake.

{markdown_table(names, rows)}"""


def _difficulty_row(split: str, own: pd.DataFrame) -> list[str]:
    ttc_s = own["min_ttc_s"].astype(float).dropna()
    known = [f"{ttc_s.quantile(share):.2f}" if len(ttc_s) else "-" for share in (0.1, 0.5, 0.9)]
    n_calm = int(own["hazard_onset_s"].isna().sum()) if "hazard_onset_s" in own else 0
    return [split, str(len(own)), str(n_calm), f"{own['collision'].sum():.0f}", *known]


def _splits(dataset: Dataset) -> list[str]:
    return list(dict.fromkeys(record.split for record in dataset.scenarios))


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " to ".join(map(_show, value)) if len(value) == 2 else ", ".join(map(_show, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
