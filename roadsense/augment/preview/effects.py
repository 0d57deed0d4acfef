"""Effect of a variation: simulates a base at its lowest and highest value, with all others at their middle."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from roadsense.augment.bases.base import read_bases
from roadsense.augment.draws.variations import VariationRanges, draw_variations
from roadsense.augment.validation.scenario_files import write_scenario
from roadsense.errors import InputError
from roadsense.scenarios.checks import read_xml
from roadsense.scenarios.records import CONFIG_NAME
from roadsense.scenarios.scenario import open_scenario
from roadsense.scenarios.sumo_program import run_sumo
from roadsense.utils.progress import progress_bar
from roadsense.utils.scratch import scratch_folder

ENDS = ("lowest", "highest")
DURATION_S = 60.0
"""Simulated time after the convoy's departure."""

PERIOD_S = 0.5
SEED = 0
_OPTIONS = (
    *("--no-warnings", "true", "--no-step-log", "true", "--duration-log.disable", "true"),
    *("--time-to-teleport", "-1", "--xml-validation", "never", "--collision.action", "warn"),
    *("--device.fcd.period", str(PERIOD_S), "--fcd-output.attributes", "speed,acceleration,x,y"),
)


def measure_effects(base_dir: str | Path, variations: Sequence[str], ranges: VariationRanges) -> pd.DataFrame:
    """Simulates a base scenario at both ends of each variation's range, by plain SUMO with the same seed.

    Args:
        base_dir: folder of one base scenario.
        variations: fields of `ranges` with a lowest and a highest value, for example `density`.
        ranges: ranges whose ends are simulated.

    Returns:
        A row for each vehicle and half second: `variation`, `end` (`lowest` or `highest`), `setting` (the value),
        `time_s`, `vehicle`, `is_convoy`, `speed_mps`, `acceleration_mps2`, and `way_m`, the distance driven since it
        entered; for a convoy car, the distance from where the ego entered.

    Raises:
        InputError: if `ranges` has no such range.
        ScenarioError: if the base scenario cannot be varied.
        SimulationError: if SUMO fails.
    """
    cases = list(product(variations, ENDS))
    settings = [pin_ranges(ranges, name, end) for name, end in cases]
    tables = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress_bar(len(cases), "simulating effects", "run") as bar:
        for table in pool.map(lambda pinned: _simulate(Path(base_dir), pinned), settings):
            tables.append(table)
            bar.update()
    return pd.concat(
        [
            table.assign(variation=name, end=end, setting=getattr(pinned, name)[0])
            for (name, end), pinned, table in zip(cases, settings, tables, strict=True)
        ],
        ignore_index=True,
    )


def pin_ranges(ranges: VariationRanges, name: str, end: str) -> VariationRanges:
    """Returns ranges of one value each: the lowest or highest of one range, the middle of all the others.

    Raises:
        InputError: if `ranges` has no range of that name.
    """
    spans = _read_spans(ranges)
    if name not in spans:
        raise InputError(f"Expected a variation of {sorted(spans)}, got {name!r}.")
    values = {field: _middle(*span) for field, span in spans.items()} | {name: spans[name][ENDS.index(end)]}
    pinned: dict[str, Any] = {field: (value, value) for field, value in values.items()}
    return replace(ranges, **pinned)


def list_ranges(ranges: VariationRanges) -> list[str]:
    """Returns the names of all ranges whose lowest and highest value differ."""
    return [name for name, (low, high) in _read_spans(ranges).items() if low < high]


def _read_spans(ranges: VariationRanges) -> dict[str, tuple[Any, Any]]:
    found = {field.name: getattr(ranges, field.name) for field in fields(ranges)}
    return {name: value for name, value in found.items() if _is_range(value)}


def _is_range(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(end, int | float) for end in value)


def _middle(low: float, high: float) -> float:
    return (low + high) // 2 if isinstance(low, int) and isinstance(high, int) else (low + high) / 2


def _simulate(base_dir: Path, pinned: VariationRanges) -> pd.DataFrame:
    pinned = replace(pinned, wet_share=1.0)  # else a pinned friction would apply only by chance
    (base,) = read_bases(base_dir, pinned)
    (variation,) = draw_variations(1, base.traffic, pinned, np.random.default_rng(SEED))
    with scratch_folder("roadsense_effects_") as outer:
        folder, trace = outer / "scenario", outer / "fcd.xml"
        write_scenario(base, variation, folder)
        scenario = open_scenario(folder / CONFIG_NAME)
        end_s = base.scenario.convoy_depart_s + DURATION_S
        run_sumo(scenario.config_path, [*_OPTIONS, "--fcd-output", str(trace), "--end", str(end_s)])
        rows = pd.DataFrame(_read_trace(read_xml(trace, "fcd-export")))
    rows["is_convoy"] = rows["vehicle"].isin(scenario.convoy_ids)
    return _add_way(rows, scenario.ego_id).drop(columns=["x", "y"])


def _read_trace(root: ET.Element) -> Iterator[dict[str, Any]]:
    for step in root.iter("timestep"):
        for car in step.iter("vehicle"):
            x, y, speed, acceleration = (float(car.get(key, "nan")) for key in ("x", "y", "speed", "acceleration"))
            yield {
                "time_s": float(step.get("time", "nan")),
                "vehicle": car.get("id", ""),
                "speed_mps": speed,
                "acceleration_mps2": acceleration,
                "x": x,
                "y": y,
            }


def _add_way(rows: pd.DataFrame, ego_id: str) -> pd.DataFrame:
    driven = rows["speed_mps"] * PERIOD_S
    way_m = driven.groupby(rows["vehicle"]).cumsum()
    first = rows.groupby("vehicle")[["x", "y"]].first()
    lead_m = np.hypot(*(first - first.loc[ego_id]).to_numpy().T) if ego_id in first.index else 0.0
    offsets = pd.Series(lead_m, index=first.index).where(rows.groupby("vehicle")["is_convoy"].first(), 0.0)
    return rows.assign(way_m=way_m + rows["vehicle"].map(offsets))
