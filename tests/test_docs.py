"""What README and the docs name exists: modules, files, commands; links lead somewhere; the snippets run."""

import ast
import functools
import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

import roadsense as rs
from roadsense.cli import COMMANDS
from roadsense.evaluation.policies import POLICIES
from roadsense.jobs.cli import COMMANDS as JOB_COMMANDS
from roadsense.utils.command import OTHER_NAMES
from tests.test_site import WRITERS, hook

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "notebooks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "infra").rglob("*.md")),
]
NAMES = re.compile(r"(?<![\w/.-])roadsense(?:\.[a-z_0-9]+)+(?:\.[A-Z]\w*)?")
FILES = re.compile(r"(?<![\w/.:-])(?:roadsense|docs|docker|benchmarks|infra|lab|scenarios/base|install)/[\w./-]*[\w-]")
LINKS = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
SNIPPETS = re.compile(r"^( *)```python\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
NO_MODULES = ("roadsense.template",)
FORMER = [f"--{name.replace('_', '-')}" for name in OTHER_NAMES]


@pytest.fixture(params=PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def page(request):
    return request.param


def exists(name):
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            spec = importlib.util.find_spec(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        if spec is not None:
            if n == len(parts):
                return True
            found = importlib.import_module(".".join(parts[:n]))
            return n == len(parts) - 1 and hasattr(found, parts[-1])
    return False


def test_every_module_that_is_named_exists(page):
    names = {name for name in NAMES.findall(page.read_text()) if not name.startswith(NO_MODULES)}
    assert not {name for name in names if not exists(name)}


def test_every_file_that_is_named_exists(page):
    text = re.sub(r"https?://\S+", "", page.read_text())
    assert not {name for name in FILES.findall(text) if not (ROOT / name).exists()}


def test_links_lead_to_files(page):
    made = {(ROOT / "docs" / name) for name in WRITERS}
    targets = {target: (page.parent / target).resolve() for target in LINKS.findall(page.read_text())}
    assert not {target for target, path in targets.items() if not path.is_file() and path not in made}


def test_every_command_that_is_named_exists(page):
    text = page.read_text()
    named = re.findall(r"(?:bin/|`|^|&& )roadsense ([a-z-]+)", text, re.MULTILINE)
    assert not set(named) - set(COMMANDS)
    named = re.findall(r"roadsense job ([a-z]+)(?=[ `\n])", text)
    assert not set(named) - set(JOB_COMMANDS)


def test_every_option_that_is_named_exists(page):
    text = re.sub(r'"[^"\n]*"', "", page.read_text().replace("\\\n", " "))
    for command, rest in re.findall(r"(?:bin/|`|^)roadsense ((?:job |drive )?[a-z-]+)\b([^`\n#]*)", text, re.MULTILINE):
        options = {option.replace("_", "-") for option in re.findall(r" (--[a-z][a-z_-]*)", rest)}
        known = {*re.findall(r"--[a-z][a-z-]*", read_help(command)), "--help", "--debug", *FORMER}
        assert not options - known, command


def test_the_first_tutorial_names_the_number_of_episodes_that_are_driven():
    text = (ROOT / "docs" / "tutorial" / "first_policy.md").read_text()
    n_eval, each = (int(re.search(rf"--{name} (\d+)", text)[1]) for name in ("n_eval", "episodes_per_scenario"))
    n_policies = len(POLICIES)
    assert f"{n_policies} policies drive the same {n_eval * each} episodes, {n_policies * n_eval * each} in all" in text


@functools.cache
def read_help(command):
    return hook.read_help(command.split())


def test_python_snippets_can_be_read_and_import_what_is_there(page):
    for indent, code in SNIPPETS.findall(page.read_text()):
        tree = ast.parse(re.sub(rf"^{indent}", "", code, flags=re.MULTILINE))
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), page.name, "exec"), {})


@pytest.fixture
def notebook_folder(tmp_path, tiny_bases, monkeypatch):
    """The folder in which a kernel starts, in a workspace with base roads and a run with a recorded episode."""
    shutil.copytree(tiny_bases, tmp_path / "scenarios" / "base")
    run = shutil.copytree(ROOT / "tests" / "data" / "run_of_0_1_0", tmp_path / "runs" / "first")
    config = json.loads((run / "config.json").read_text()) | {"dataset_dir": "scenarios/base"}
    (run / "config.json").write_text(json.dumps(config))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    episode = rs.record_episode(rs.open_run("runs/first"), "scenarios/base")
    (run / "evaluation" / "gallery").mkdir(parents=True)
    episode.save(run / "evaluation" / "gallery" / "episode_00027.npz")
    return tmp_path / "notebooks"


@pytest.mark.usefixtures("notebook_folder")
def test_snippets_run_from_a_notebooks_folder():
    snippets = [
        (page.name, re.sub(rf"^{indent}", "", code, flags=re.MULTILINE))
        for page in (ROOT / "README.md", ROOT / "notebooks" / "README.md", ROOT / "docs" / "reference" / "api.md")
        for indent, code in SNIPPETS.findall(page.read_text())
    ]
    assert len(snippets) == 5
    for _, code in snippets:
        compiled = compile(code, "snippet", "exec")
        if "train_policy" not in code:  # hours; the same calls are in the examples of the names
            exec(compiled, {})


def test_every_error_on_the_page_of_errors_is_one_of_ours():
    page = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text()
    sources = [*(ROOT / "roadsense").rglob("*.py"), ROOT / "install" / "install.sh"]
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in sources))
    parts = [part.strip() for text in re.findall(r"^### `(.*)`$", page, re.MULTILINE) for part in text.split("...")]
    assert len(parts) >= 20
    assert not [part for part in parts if part not in code]
