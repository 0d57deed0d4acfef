"""The report of an evaluation: one HTML file that needs no other, with everything escaped."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from roadsense.evaluation.gallery import Exhibit
from roadsense.evaluation.policies import label_policy
from roadsense.evaluation.report_template import TEMPLATE
from roadsense.evaluation.results import Evaluation
from roadsense.evaluation.summary import EXPLANATION, format_rows
from roadsense.pictures.player import player_html
from roadsense.scenarios.dataset import MANIFEST_NAME, Dataset
from roadsense.utils.files import write_atomically

CAPTIONS = {
    "collision_rate": "Episodes with a collision, the safest policy on top.",
    "differences": "The policy beside each other one, on the same episodes.",
    "trade_off": "Safety has a price: collisions against speed taken off and time lost. The lower left is best.",
    "minimum_ttc": "How near it came: share of episodes whose smallest time to collision is below a value.",
    "outcomes_by_scenario": "By base road.",
    "factors": "By what was varied between scenarios.",
    "degradation": "As the radio gets worse.",
}
COMPARED = ("label", "second", "first_mean", "second_mean", "difference", "low", "high", "better", "worse", "equal",
            "p_adjusted", "improvement", "verdict", "more_pairs")  # fmt: skip


def write_report(
    evaluation: Evaluation, figures: dict[str, bytes], gallery: Sequence[tuple[Exhibit, bytes]], path: Path
) -> None:
    """Writes the report.

    Args:
        evaluation: the evaluation; the commands that replay an episode name its folder.
        figures: PNG files by the names of `draw_figures`.
        gallery: the worst episodes, each with its figure as PNG.
        path: of the file.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    text = environment.from_string(TEMPLATE).render(
        title=f"{Path(evaluation.config.run_dir).name}: evaluation",
        verdicts=evaluation.verdicts,
        summary=format_rows(_named(evaluation.summary)),
        explanation=EXPLANATION,
        checks_on=format_rows(_named(evaluation.checks_on)) if len(evaluation.checks_on) else None,
        comparisons=_table(evaluation.comparisons, COMPARED),
        splits=_table(evaluation.splits),
        figures=[(CAPTIONS[name], _encode(figures[name])) for name in CAPTIONS if name in figures],
        gallery=[_exhibit(one, picture, evaluation.folder) for one, picture in gallery],
        config=asdict(evaluation.config),
        origin={name: _plain(value) for name, value in evaluation.origin.items()},
        dataset=_describe_dataset(evaluation.config.dataset_dir),
    )
    write_atomically(path, text)


def _named(summary: pd.DataFrame) -> pd.DataFrame:
    return summary.assign(policy=summary["policy"].map(label_policy))


def _table(table: pd.DataFrame, columns: Sequence[str] | None = None) -> tuple[list[str], list[list[str]]] | None:
    if table.empty:
        return None
    chosen = table[list(columns)] if columns else table
    lines = [[_cell(value) for value in row] for row in chosen.itertuples(index=False)]
    return [str(name).replace("_", " ") for name in chosen.columns], lines


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:.0f}" if value.is_integer() else f"{value:.3g}"
    return label_policy(str(value)) if value is not None else "-"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=1)


def _exhibit(one: Exhibit, picture: bytes, folder: Path) -> dict[str, str]:
    return {"description": one.trajectory.description, "command": one.command(folder), "picture": _encode(picture),
            "player": player_html(one.trajectory), "file": f"gallery/{one.name}.npz"}  # fmt: skip


def _encode(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def _describe_dataset(dataset_dir: str) -> dict[str, str]:
    """Returns the dataset's card in short; empty if the scenarios are of no dataset."""
    folder = Path(dataset_dir).resolve().parent
    if not (folder / MANIFEST_NAME).is_file():
        return {}
    dataset = Dataset.open(folder)
    counts = dataset.table().groupby("split")["scenarios"].sum()
    return {
        "digest": dataset.digest,
        "scenarios": ", ".join(f"{split}: {n}" for split, n in counts.items()),
        "bases": ", ".join(dataset.bases),
        "seed": str(dataset.seed),
        "ranges": json.dumps(dataset.settings.get("ranges"), indent=1),
        "draws refused": str(len(dataset.refusals)),
        "least distance of a held-out draw to a train draw": f"{dataset.min_train_distance}",
        "versions": json.dumps(dict(dataset.versions)),
    }
