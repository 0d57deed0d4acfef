"""Every notebook: clean as a source, and run in order with tiny parameters."""

import ast
import base64
import dataclasses
import io
import json
import statistics
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from roadsense.augment.config import GenConfig
from roadsense.demo import NOTEBOOKS, DemoConfig, run_demo
from roadsense.drives.base import BaseConfig
from roadsense.drives.compare import CompareConfig
from roadsense.drives.judge import JudgeConfig
from roadsense.evaluate import EvalConfig
from roadsense.export import ExportConfig
from roadsense.jobs.parameters import read_parameters
from roadsense.jobs.runner import run_notebook
from roadsense.jobs.spec import JobSpec
from roadsense.jobs.tuning import TuningConfig
from roadsense.runs.run import open_run
from roadsense.train_convoy import TrainConfig

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CONFIGS = {
    "00_augment": GenConfig,
    "01_train": TrainConfig,
    "02_evaluate": EvalConfig,
    "03_export": ExportConfig,
    "04_ec2": JobSpec,
    "05_sagemaker": JobSpec,
    "06_tune": (JobSpec, TuningConfig, EvalConfig),
    "07_drives": (JudgeConfig, CompareConfig, BaseConfig),
}
ON_AWS = ("04_ec2", "05_sagemaker", "06_tune")
ON_DRIVES = "07_drives"
BESIDE_THE_SETTINGS = {"further", "dry_run", "effects_base", "resumes", "show_trainer"}
N_PICTURES = {"00_augment": 12, "01_train": 2, "02_evaluate": 9, "03_export": 4}


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_the_demo_runs_all_notebooks_that_need_no_aws():
    others = (*ON_AWS, ON_DRIVES)
    assert [path.stem for path in PATHS if path.stem not in others] == list(NOTEBOOKS)


def test_a_source_holds_no_trace_of_a_run(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}
    for cell in code_cells(path):
        assert not cell.outputs
        assert cell.execution_count is None
        assert not any(place in cell.source for place in ("/home/", "/root/", "/work/", "/tmp/", "s3://"))


def test_cells_are_short_and_define_nothing(path):
    lengths = [len(cell.source.splitlines()) for cell in code_cells(path)]
    assert max(lengths) <= 25
    assert statistics.median(lengths) < 8
    for cell in code_cells(path):
        source = cell.source.replace("%matplotlib inline", "")
        kinds = {type(node) for node in ast.walk(ast.parse(source))}
        assert not kinds & {ast.FunctionDef, ast.ClassDef, ast.Lambda}


def test_they_import_the_face_the_widgets_and_one_module_of_figures(path):
    """Nothing deeper: what a notebook needs of the package is public."""
    code = "\n".join(cell.source for cell in code_cells(path)).replace("%matplotlib inline", "")
    froms, plain = set(), set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            froms |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            plain |= {(alias.name, alias.asname) for alias in node.names}
    ours = {name for name in froms if name.startswith("roadsense")}
    assert ("roadsense", "rs") in plain
    figures = {name for name in ours if name.endswith(".figures")}
    assert len(figures) <= 1
    assert ours - figures <= {"roadsense.widgets", *(("roadsense.jobs",) if path.stem in ON_AWS else ())}


def test_one_cell_holds_typed_and_explained_parameters_that_are_fields_of_the_settings(path):
    tagged = [cell for cell in code_cells(path)[:6] if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    configs = CONFIGS[path.stem] if isinstance(CONFIGS[path.stem], tuple) else (CONFIGS[path.stem],)
    fields = {field.name for config in configs for field in dataclasses.fields(config)} | BESIDE_THE_SETTINGS
    for name, parameter in read_parameters(path).items():
        assert name in fields
        assert parameter.kinds
        assert parameter.explanation


def test_prose_stands_before_each_step(path):
    kinds = [cell.cell_type for cell in nbformat.read(path, as_version=4).cells]
    assert kinds[0] == "markdown"
    assert kinds.count("markdown") >= kinds.count("code") // 2


def test_each_ends_with_its_result_in_three_lines_and_what_comes_next(path):
    *_, heading, result, last = nbformat.read(path, as_version=4).cells
    assert heading.source.startswith("## Result")
    assert result.source.count("print(") == 3
    assert "**Next:**" in last.source


def assert_nothing_is_blank(notebook):
    """Every output shows something where there is no kernel: no bare widget, no name of an object, no empty picture."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        shown = output.get("data", {})
        if not shown:
            continue
        assert "application/vnd.jupyter.widget-view+json" not in shown
        assert set(shown) & {"image/png", "text/html"} or not shown["text/plain"].startswith("<"), shown
        if "image/png" in shown:
            picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["image/png"]))).convert("L"))
            assert picture.std() > 5
        if "iframe" in shown.get("text/html", ""):
            assert "data-part=canvas" in shown["text/html"].replace("&quot;", "").replace('"', "")
            assert len(shown["text/html"]) < 1_000_000


@pytest.mark.slow
def test_a_drive_is_judged_compared_and_made_a_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("notebooks", "scenarios", "drives"):
        (tmp_path / name).symlink_to(ROOT / name)
    given = {"episodes": 2, "folder": str(tmp_path / "bases" / "sample")}
    executed = run_notebook(ROOT / "notebooks" / f"{ON_DRIVES}.ipynb", tmp_path / "executed.ipynb", given)
    notebook = nbformat.read(executed, as_version=4)
    assert_nothing_is_blank(notebook)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in shown) >= 6
    text = "".join(output.get("text", "") for output in shown)
    assert "Open loop" in text
    assert "own trace" in text
    assert (tmp_path / "runs" / "drives" / "sample" / "report.html").is_file()
    assert (tmp_path / "bases" / "sample" / "scenario.sumocfg").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_whole_way_leaves_everything_it_promises(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    folder = run_demo(
        DemoConfig(run_dir=str(tmp_path / "demo"), n_train=5, n_eval=5, total_timesteps=2000, episodes_per_scenario=1)
    )
    run = open_run(folder / "run")
    manifest = json.loads((folder / "dataset" / "manifest.json").read_text())
    assert run.read_manifest()["dataset_digest"] == manifest["digest"]
    assert (run.evaluation_dir / "summary.md").is_file()
    assert (run.evaluation_dir / "collision_rate.png").stat().st_size > 5000
    assert (run.export_dir / "policy.tflite").stat().st_size > 5000
    assert (run.export_dir / "firmware" / "policy_int8.h").stat().st_size > 5000
    for name in NOTEBOOKS:
        executed = nbformat.read(folder / "notebooks" / f"{name}.ipynb", as_version=4)
        assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
        figures = [output for cell in executed.cells for output in cell.get("outputs", []) if "data" in output]
        assert_nothing_is_blank(executed)
        n_pictures = sum("image/png" in output.data for output in figures)
        assert n_pictures == N_PICTURES[name]
    assert str(run.model_path) in capsys.readouterr().out
