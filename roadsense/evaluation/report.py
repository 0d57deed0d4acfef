"""The report of an evaluation: one HTML file that needs no other, with everything escaped."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from roadsense.episodes.plan import POLICY
from roadsense.evaluation.gallery import Exhibit
from roadsense.evaluation.generalisation import LEADER_BRAKING
from roadsense.evaluation.policies import label_policy
from roadsense.evaluation.results import Evaluation
from roadsense.evaluation.styled import tabulate_conditions, tabulate_pairs, tabulate_policies, tabulate_rates
from roadsense.evaluation.summary import EXPLANATION, format_rows
from roadsense.pictures.player import player_html
from roadsense.scenarios.dataset import MANIFEST_NAME, Dataset
from roadsense.utils.files import write_atomically

Table = tuple[list[str], list[list[str]]]
"""Headings and lines of a table, as texts."""

TEMPLATE_NAME, CSS_NAME = "report.html.j2", "simple.min.css"
FIGURES = {
    "collision_rate": ("Collisions", "Episodes with a collision, the safest policy on top."),
    "differences": ("Differences in pairs", "The policy beside each other one, on the same episodes."),
    "trade_off": ("The price of safety", "Collisions against speed taken off and time lost. The lower left is best."),
    "minimum_ttc": ("Near misses", "Share of episodes whose smallest time to collision is below a value."),
    "outcomes_by_scenario": ("By road", "Collisions on each base road."),
    "factors": ("By variation", "Unsafe episodes by what was varied between scenarios."),
    "degradation": ("Worse radios", "Collisions as messages are lost or come late."),
}
"""Heading and caption of each figure, in the order of the page."""
COMPARED = ("label", "second", "first_mean", "second_mean", "difference", "low", "high", "better", "worse", "equal",
            "p_adjusted", "improvement", "verdict", "more_pairs")  # fmt: skip


def write_report(
    evaluation: Evaluation, figures: dict[str, bytes], gallery: Sequence[tuple[Exhibit, bytes]], path: Path
) -> None:
    """Writes the report.

    Args:
        evaluation: evaluation to report; the commands that replay an episode name its folder.
        figures: PNG contents by the names of `draw_figures`.
        gallery: worst episodes, each with its figure as PNG.
        path: path of the HTML file.
    """
    loader = jinja2.PackageLoader("roadsense.evaluation", ".")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=loader)
    shown = [(name, *FIGURES[name], _encode(figures[name])) for name in FIGURES if name in figures]
    sections = {
        "unseen": _policy_tables(evaluation.unseen),
        "elsewhere": _condition_tables(evaluation),
        "leader": _leader_table(evaluation.factors),
        "comparisons": _pair_tables(evaluation.comparisons),
        "checks_on": _policy_tables(evaluation.checks_on),
        "splits": _split_table(evaluation),
        "gallery": [_exhibit(one, picture, evaluation.folder) for one, picture in gallery],
    }
    text = environment.get_template(TEMPLATE_NAME).render(
        css=(Path(__file__).parent / CSS_NAME).read_text(),
        title=f"Evaluation of {Path(evaluation.config.run_dir).name}",
        subtitle=_describe_origin(evaluation),
        tiles=_make_tiles(evaluation.summary),
        contents=_list_contents(sections, shown),
        verdicts=evaluation.verdicts,
        policies=_policy_tables(evaluation.summary),
        explanation=EXPLANATION.replace("`", ""),
        figures=shown,
        conditions=evaluation.config.describe_conditions(),
        config=asdict(evaluation.config),
        origin={name: _plain(value) for name, value in evaluation.origin.items()},
        dataset=_describe_dataset(evaluation.config.dataset_dir),
        **sections,
    )
    write_atomically(path, text)


def _describe_origin(evaluation: Evaluation) -> str:
    """Returns date, dataset and policy in a line."""
    config, digest = evaluation.config, evaluation.origin.get("dataset_digest")
    own = evaluation.held_out[evaluation.held_out["policy"] == POLICY]
    policy = config.policy or f"policy of {config.run_dir}"
    dataset = f"dataset {digest[:12]} ({config.dataset_dir})" if digest else config.dataset_dir
    return f"{datetime.now(UTC):%Y-%m-%d}, {policy}, on {dataset}, {len(own):,} held-out episodes of each policy"


def _make_tiles(summary: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Returns name, value and interval of the policy's key figures."""
    own = summary[summary["policy"] == POLICY]
    if own.empty:
        return []
    texts = tabulate_policies(own).drop(columns=["policy", "episodes"]).iloc[0]
    pairs = ((str(name), *str(text).partition(" (")[::2]) for name, text in texts.items())
    return [(name, value, f"95 %: {interval.rstrip(')')}" if interval else "") for name, value, interval in pairs]


def _list_contents(sections: Mapping[str, Any], figures: Sequence[tuple[str, str, str, str]]) -> list[tuple[str, str]]:
    """Returns the anchor and the heading of each part of the page, in its order."""
    found = [("verdicts", "What the episodes show"), ("policies", "All policies")]
    found += [("unseen", "On roads that no training has seen")] if sections["unseen"] else []
    found += [("conditions", "In other surroundings")] if sections["elsewhere"] else []
    found += [("leader", "By the leader's deceleration")] if sections["leader"] else []
    found += [("pairs", "Compared in pairs")] if sections["comparisons"] else []
    found += [(name, heading) for name, heading, *_ in figures]
    optional = (("checks_on", "checks", "With SUMO's checks on"), ("splits", "splits", "Other splits"),
                ("gallery", "worst", "The worst episodes"))  # fmt: skip
    found += [(anchor, heading) for name, anchor, heading in optional if sections[name]]
    return [*found, ("origin", "Dataset, settings and origin")]


def _policy_tables(summary: pd.DataFrame) -> tuple[Table, Table] | None:
    """Returns the table of the main figures of each policy, and the one of all; None if there are no policies."""
    return None if summary.empty else (_texts(tabulate_policies(summary)), format_rows(_named(summary)))


def _pair_tables(comparisons: pd.DataFrame) -> tuple[Table, Table] | None:
    """Returns the table of the collisions compared in pairs, and the one of all figures."""
    if comparisons.empty:
        return None
    lines = [[_cell(value) for value in row] for row in comparisons[list(COMPARED)].itertuples(index=False)]
    return _texts(tabulate_pairs(comparisons)), ([name.replace("_", " ") for name in COMPARED], lines)


def _split_table(evaluation: Evaluation) -> Table | None:
    return None if evaluation.splits.empty else _texts(tabulate_rates(evaluation.splits, {"part": "scenarios"}))


def _condition_tables(evaluation: Evaluation) -> tuple[Table, Table] | None:
    """Returns the table of the policy and the driver alone in each condition, and the one of all with all columns."""
    if evaluation.conditions.empty:
        return None
    few = tabulate_conditions(evaluation.conditions[evaluation.conditions["policy"].isin([POLICY, "unassisted"])])
    return _texts(few), format_rows(_named(evaluation.conditions))


def _leader_table(factors: pd.DataFrame) -> Table | None:
    rows = factors[(factors["factor"] == LEADER_BRAKING) & factors["policy"].isin([POLICY, "unassisted"])]
    if rows.empty:
        return None
    return _texts(tabulate_rates(rows.sort_values(["policy", "value"]), {"value": "leader's deceleration [m/s2]"}))


def _texts(table: pd.DataFrame) -> Table:
    return [str(name) for name in table.columns], table.to_numpy().tolist()


def _named(summary: pd.DataFrame) -> pd.DataFrame:
    return summary.assign(policy=summary["policy"].map(label_policy))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:.0f}" if value.is_integer() or abs(value) >= 100 else f"{value:.3g}"
    return label_policy(str(value)) if value is not None else "-"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=1)


def _exhibit(one: Exhibit, picture: bytes, folder: Path) -> dict[str, str]:
    return {"description": one.trajectory.description, "command": one.command(folder), "picture": _encode(picture),
            "player": player_html(one.trajectory), "file": f"gallery/{one.name}.npz"}  # fmt: skip


def _encode(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def _describe_dataset(dataset_dir: str) -> dict[str, str]:
    """Returns a short form of the dataset's card; empty if the scenarios belong to no dataset."""
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
