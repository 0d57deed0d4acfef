"""The pages of the documentation that are made from the code; `make site` checks that all pages fit together."""

import importlib.util
import json
import re
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest

from roadsense.augment.draws.ranges import VariationRanges
from roadsense.cli import COMMANDS
from roadsense.drives.cli import COMMANDS as DRIVE_COMMANDS
from roadsense.evaluation.schema import COLUMNS
from roadsense.jobs.cli import COMMANDS as JOB_COMMANDS
from roadsense.runs.metric_lines import MEANINGS

ROOT = Path(__file__).parents[1]


def _load_hook():
    spec = importlib.util.spec_from_file_location("gen_reference", ROOT / "docs" / "site" / "gen_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hook = _load_hook()
WRITERS = hook.WRITERS


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("drive_log", ["time_s", "from_vehicle_id", "heading_deg"]),
        ("episodes", [column.name for column in COLUMNS]),
        ("metrics", [name for name in MEANINGS if not name.endswith("_")]),
        ("ranges", [each.name for each in fields(VariationRanges)]),
        ("run_folder", ["config.json", "metrics.jsonl", "model.zip", "best_model.zip"]),
    ],
)
def test_a_page_has_a_row_for_each_name(page, names):
    text = WRITERS[f"reference/{page}.md"]()
    assert not [name for name in names if f"`{name}`" not in text]


def test_every_command_has_its_help():
    text = WRITERS["reference/commands.md"]()
    parts = [f"{name} {part}" for name, table in (("job", JOB_COMMANDS), ("drive", DRIVE_COMMANDS)) for part in table]
    assert not [name for name in (*COMMANDS, *parts) if f"### roadsense {name}\n" not in text]
    assert "number of environment steps to learn from" in text


def test_an_executed_notebook_shows_its_replays(tmp_path):
    cell = {"cell_type": "markdown", "metadata": {}, "source": ["# Train"]}
    path = tmp_path / "01_train.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    (tmp_path / "01_train_replay_1.html").touch()
    text, _ = hook.convert_notebook(path)
    assert text.startswith("# Train")
    assert '<iframe class="replay" src="01_train_replay_1.html"' in text


def test_every_page_is_in_the_navigation():
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    notebooks = {f"notebooks/{path.stem}.md" for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    named = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert {*named} == pages | notebooks | {*WRITERS}


def test_no_page_hides_behind_the_heading_of_its_section():
    assert "navigation.indexes" not in (ROOT / "mkdocs.yml").read_text()  # it takes any README.md for the section's own


def test_the_page_of_results_has_the_table_of_the_readme():
    text = (ROOT / "docs" / "explanation" / "results.md").read_text()
    page = SimpleNamespace(file=SimpleNamespace(src_uri="explanation/results.md"))
    assert "| the worst sensors |" in hook.on_page_markdown(text, page)


def test_a_link_out_of_the_documentation_becomes_a_name():
    page = SimpleNamespace(file=SimpleNamespace(src_uri="how-to/drives.md"))
    text = hook.on_page_markdown("[log](../../CHANGELOG.md) [one](../glossary.md) [01](01_train.ipynb)", page)
    assert text == "log (`CHANGELOG.md`) [one](../glossary.md) [01](01_train.md)"
