"""Writes an evaluation's folder, all at once: tables, figures, gallery, report."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from roadsense.errors import RunError
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.figures import draw_figures
from roadsense.evaluation.gallery import Exhibit
from roadsense.evaluation.report import write_report
from roadsense.evaluation.results import (
    CONFIG_NAME,
    EPISODES_NAME,
    JOURNAL,
    ORIGIN_NAME,
    Evaluation,
    find_evaluations,
    open_evaluation,
    summary_json,
)
from roadsense.evaluation.schema import write_episodes
from roadsense.evaluation.styled import tabulate_conditions
from roadsense.evaluation.summary import write_markdown, write_table
from roadsense.pictures.episode import plot_episode
from roadsense.runs.products import record_product
from roadsense.runs.run import Run
from roadsense.utils.files import find_free, hash_file, hold, read_json
from roadsense.utils.scratch import remove_abandoned, scratch_folder
from roadsense.utils.tables import markdown_table

DPI = 120
LOCK_NAME = ".evaluation.lock"
"""Lock file, held while an evaluation chooses its folder and is written."""
SCRATCH = ".evaluation."
GALLERY_DIR, REPORT_NAME = "gallery", "report.html"


def write_evaluation(evaluation: Evaluation, gallery: Sequence[Exhibit] = ()) -> Evaluation:
    """Writes an evaluation into a new folder of its run and returns it with this folder; see `evaluate`."""
    run = Run(Path(evaluation.config.run_dir))
    with hold(run.folder / LOCK_NAME), scratch_folder(SCRATCH, run.folder) as outer:
        waiting = outer / "evaluation"
        waiting.mkdir()
        final = find_free(run.evaluation_dir)
        placed = replace(evaluation, folder=final)
        _write_tables(placed, waiting)
        pictures = _write_figures(draw_figures(placed), waiting)
        shown = []
        for one in gallery:
            (waiting / GALLERY_DIR).mkdir(exist_ok=True)
            one.trajectory.save(waiting / GALLERY_DIR / f"{one.name}.npz")
            drawn = _write_figures({one.name: plot_episode(one.trajectory)}, waiting / GALLERY_DIR)
            shown.append((one, drawn[one.name]))
        write_report(placed, pictures, shown, waiting / REPORT_NAME)
        waiting.rename(final)
        record_product(final)
    return placed


def find_made(folder: Path, config: EvalConfig, journal_path: Path) -> Evaluation | None:
    """Returns the evaluation of a run that has its name already, although its journal is left: its process died.

    Args:
        folder: folder of the run.
        config: settings of the evaluation.
        journal_path: path of its journal; without one there is no such evaluation.
    """
    journal = hash_file(journal_path) if journal_path.is_file() else None
    for made in find_evaluations(folder) if journal else []:
        origin = read_json(made / ORIGIN_NAME, "the origin of an evaluation", RunError)
        if origin.get(JOURNAL) == journal:
            evaluation = open_evaluation(made)
            if replace(evaluation.config, workers=config.workers) == config:
                remove_abandoned(folder, SCRATCH)
                record_product(made)
                return evaluation
    return None


def _write_tables(evaluation: Evaluation, folder: Path) -> None:
    write_episodes(evaluation.episodes, folder / EPISODES_NAME)
    for name, table in evaluation.tables().items():
        if len(table):
            table.to_csv(folder / f"{name}.csv", index=False)
    words = "".join(f"- {verdict.text}\n" for verdict in evaluation.verdicts)
    conditions = evaluation.config.describe_conditions()
    unseen = (
        f"On roads that no training has seen:\n\n{write_table(evaluation.unseen)}\n\n" if len(evaluation.unseen) else ""
    )
    elsewhere = write_conditions(evaluation.conditions) if len(evaluation.conditions) else ""
    text = f"{conditions}\n\n{write_markdown(evaluation.summary)}\n{unseen}{elsewhere}{words}"
    (folder / "summary.md").write_text(text)
    for name, content in {
        CONFIG_NAME: asdict(evaluation.config),
        ORIGIN_NAME: evaluation.origin,
        "summary.json": summary_json(evaluation),
    }.items():
        (folder / name).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_conditions(conditions: pd.DataFrame) -> str:
    """Returns the table of conditions as Markdown, with its heading."""
    table = tabulate_conditions(conditions)
    return f"In other surroundings:\n\n{markdown_table([str(name) for name in table], table.to_numpy().tolist())}\n\n"


def _write_figures(figures: dict[str, Figure], folder: Path) -> dict[str, bytes]:
    """Writes figures as PNG and SVG; returns the PNG's contents, for the report, because drawing is slow."""
    contents = {}
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=DPI)
        figure.savefig(folder / f"{name}.svg")
        contents[name] = (folder / f"{name}.png").read_bytes()
    return contents
