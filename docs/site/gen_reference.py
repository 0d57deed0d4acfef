"""A hook of MkDocs: makes the pages that are read out of the code, and fits the others into the site.

Pages made: the command line, `ranges.toml`, the run folder, `metrics.jsonl`, the log of a drive, the table of episodes,
the executed notebooks. Links that leave `docs` become names of files.
"""

import ast
import contextlib
import inspect
import io
import itertools
import json
import os
import re
import tomllib
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

from roadsense.utils.tables import markdown_table

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HELP_COLUMNS = "100"
COMMAND_NOTES = """What `roadsense COMMAND --help` prints. Options may be written with `_` or `-`. Relative paths
count from the project's folder.

| exit code | means |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong input |
| 3 | an error of the machine: disk, permission |
| 130 | interrupted |
| 143 | stopped by a signal, with a checkpoint |
"""
RESULTS = "<!-- The site shows the table of the README here. -->"
OUTSIDE = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)#]*)[^)]*\)")


def write_commands() -> str:
    """Returns the page of all commands, with what `--help` prints."""
    from roadsense.cli import COMMANDS, GROUPS
    from roadsense.drives.cli import COMMANDS as DRIVE
    from roadsense.jobs.cli import COMMANDS as JOB

    parts = {"job": JOB, "drive": DRIVE}
    lines = [f"# Command line\n\n{COMMAND_NOTES}\n"]
    for group in GROUPS:
        lines += [f"## {group.capitalize()}", ""]
        for name in (name for name, command in COMMANDS.items() if command.group == group):
            for words in [[name], *([name, part] for part in parts.get(name, ()))]:
                lines += [f"### roadsense {' '.join(words)}", "", "```text", read_help(words), "```", ""]
    return "\n".join(lines)


def read_help(words: list[str]) -> str:
    """Returns what a command prints for `--help`."""
    from roadsense.cli import main

    os.environ["COLUMNS"] = HELP_COLUMNS
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue()).strip()


def write_ranges() -> str:
    """Returns the page of the names in a file of ranges."""
    from roadsense.augment.draws import ranges

    (body,) = (
        node.body
        for node in ast.parse(inspect.getsource(ranges)).body
        if isinstance(node, ast.ClassDef) and node.name == "VariationRanges"
    )
    texts = {
        line.target.id: text.value.value
        for line, text in itertools.pairwise(body)
        if isinstance(line, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
    defaults = ranges.VariationRanges()
    values = {one.name: json.dumps(getattr(defaults, one.name)) for one in fields(defaults)}
    rows = [(f"`{name}`", f"`{value}`", texts[name]) for name, value in values.items()]
    head = (
        "# ranges.toml\n\n`roadsense gen-scenarios --ranges_file ranges.toml` reads it. A line is "
        "`name = [lowest, highest]`, and may be left out. A table such as `[my_hairpin]` has ranges of one base. "
        "`roadsense init` writes an example."
    )
    return f"{head}\n\n{markdown_table(('name', 'default', 'meaning'), rows)}\n"


def write_run_folder() -> str:
    """Returns the page of the files in a run folder."""
    from roadsense.runs.run import Run

    run = Run(Path())
    paths = {name: one for name, one in vars(Run).items() if isinstance(one, property)}
    rows = [(f"`{getattr(run, name)}`", f"`{name}`", one.__doc__) for name, one in paths.items()]
    head = "# Run folder\n\n`rs.open_run(RUN)` opens it; each file is a property of the run."
    return f"{head}\n\n{markdown_table(('file', 'property', 'holds'), rows)}\n\n::: roadsense.runs.state.RunState\n"


def write_episodes() -> str:
    """Returns the page of the columns of `episodes.parquet`."""
    from roadsense.evaluation.schema import SCHEMA_VERSION, describe_schema

    head = "# Table of episodes\n\n`roadsense evaluate` writes `episodes.parquet` with a row for each episode; "
    return f"{head}its schema has version {SCHEMA_VERSION}.\n\n{describe_schema()}"


def write_metrics() -> str:
    """Returns the page of the figures in `metrics.jsonl`."""
    from roadsense.runs.metric_lines import MEANINGS

    head = "# metrics.jsonl\n\nOne JSON object a line while a training runs. A line has those figures that are known."
    rows = [(f"`{name}...`" if name.endswith("_") else f"`{name}`", text) for name, text in MEANINGS.items()]
    return f"{head}\n\n{markdown_table(('name', 'meaning'), rows)}\n"


def write_drive_log() -> str:
    """Returns the page of the columns of a drive's files."""
    from roadsense.drives.mapping import NEEDED, QUANTITIES, SHIPPED

    texts = (resources.files("roadsense.drives") / "mappings" / f"{name}.toml" for name in SHIPPED)
    mappings = [tomllib.loads(each.read_text(encoding="utf-8")) for each in texts]
    lines = ["# Log of a drive", "", "[Recorded drives](../how-to/drives.md) says what each column holds.", ""]
    for part, needed in NEEDED.items():
        rows = [
            (f"`{quantity}`", *(_name(one[part].get(quantity)) for one in mappings), ", ".join(filter(None, units)),
             "yes" if quantity in needed else "")
            for quantity, units in QUANTITIES.items()
            if any(quantity in one[part] for one in mappings)
        ]  # fmt: skip
        head = ("quantity", *(f"column in `{name}`" for name in SHIPPED), "units, the usual first", "needed")
        lines += [f"## Files of {part}", "", markdown_table(head, rows), ""]
    return "\n".join(lines)


def _name(column: Any) -> str:
    return f"`{column['column'] if isinstance(column, dict) else column}`" if column else ""


WRITERS = {
    "reference/commands.md": write_commands,
    "reference/drive_log.md": write_drive_log,
    "reference/episodes.md": write_episodes,
    "reference/metrics.md": write_metrics,
    "reference/ranges.md": write_ranges,
    "reference/run_folder.md": write_run_folder,
}
"""The pages that are made, and what makes them."""


def convert_notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """Returns an executed notebook as Markdown, with its replays in frames, and its pictures by name."""
    from nbconvert import MarkdownExporter

    text, found = MarkdownExporter().from_filename(
        str(path), resources={"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
    )
    text = re.sub(r"<style scoped>.*?</style>", "", text, flags=re.DOTALL).replace(' border="1" class="dataframe"', "")
    replays = sorted(path.parent.glob(f"{path.stem}_replay_*.html"))
    frames = [f'<iframe class="replay" src="{each.name}" title="{each.stem}"></iframe>' for each in replays]
    heading = ["", "## Replays", "", *frames, ""] if frames else []
    return text + "\n".join(heading), found["outputs"]


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are made to those that MkDocs found."""
    from mkdocs.structure.files import File

    for name, write in WRITERS.items():
        files.append(File.generated(config, name, content=write()))
    for path in sorted((DOCS / "notebooks").glob("*.ipynb")):
        text, pictures = convert_notebook(path)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Returns a page's text with the README's results, links to notebooks' pages, and names of files for links out."""
    folder = Path(config_path(page)).parent

    def name_file(link: re.Match[str]) -> str:
        path = (DOCS / folder / link[2]).resolve()
        if path.is_relative_to(DOCS):
            return link[0]
        name = f"`{path.relative_to(ROOT)}`"
        return name if link[1] in (path.name, str(path.relative_to(ROOT))) else f"{link[1]} ({name})"

    markdown = re.sub(r"\((\d\d_\w+)\.ipynb\)", r"(\1.md)", OUTSIDE.sub(name_file, markdown))
    return markdown.replace(RESULTS, read_results()) if RESULTS in markdown else markdown


def read_results() -> str:
    """Returns the README's table of results and what it says of it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.partition("<!-- results: begin -->")[2].partition("<!-- results: end -->")[0].strip()


def on_post_page(output: str, **_: Any) -> str:
    """Returns a page without the marks of the command line in types."""
    return re.sub(r'<span title="tyro\.conf\.Suppress">Suppress</span>\[(.*)\]</code>', r"\1</code>", output)


def config_path(page: Any) -> str:
    """Returns a page's path from `docs`."""
    return page.file.src_uri
