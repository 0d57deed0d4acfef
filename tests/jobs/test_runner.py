"""Notebooks run headless: parameters checked before, the executed copy kept whatever happens."""

import nbformat
import pytest

from roadsense.errors import InputError
from roadsense.jobs.inside.results import gather_run
from roadsense.jobs.parameters import check_parameters
from roadsense.jobs.runner import NotebookError, run_notebook
from tests.jobs.small_notebooks import printed, write_notebook

SHOW = "import sys\nprint('told', n_steps, rate, name, quick, lengths)\nprint('aside', file=sys.stderr)"
MARK_RUN = "from pathlib import Path\nPath(mark).write_text(f'{n_steps} {name}')"


def test_parameters_arrive_and_output_is_shown_and_kept(tmp_path, capfd):
    notebook = write_notebook(tmp_path, SHOW)
    source = notebook.read_bytes()
    given = {"n_steps": 7, "rate": 2, "name": "it's", "quick": True, "lengths": [4]}
    executed = run_notebook(notebook, tmp_path / "deep" / "executed.ipynb", given)
    assert executed == tmp_path / "deep" / "executed.ipynb"
    assert "told 7 2 it's True [4]" in printed(executed)
    shown = capfd.readouterr()
    assert "told 7 2 it's True [4]" in shown.out
    assert "aside" in shown.err
    assert notebook.read_bytes() == source


def test_what_is_not_given_keeps_its_default(tmp_path):
    executed = run_notebook(write_notebook(tmp_path, SHOW), tmp_path / "executed.ipynb", {"n_steps": 4})
    assert "told 4 0.5 plain False [1, 2]" in printed(executed)


WRONG = [
    ({"n_step": 7}, "n_step"),
    ({"n_steps": 7, "speed": 1}, "speed"),
    ({"n_steps": "seven"}, "int"),
    ({"n_steps": 7.5}, "int"),
    ({"n_steps": True}, "int"),
    ({"rate": False}, "float"),
    ({"rate": "fast"}, "float"),
    ({"name": 3}, "str"),
    ({"quick": 2}, "bool"),
    ({"quick": "perhaps"}, "bool"),
]


@pytest.mark.parametrize(("given", "named"), WRONG, ids=str)
def test_wrong_parameters_are_refused_before_anything_runs(tmp_path, given, named):
    mark = tmp_path / "ran"
    notebook = write_notebook(tmp_path, MARK_RUN.replace("mark", repr(str(mark))))
    with pytest.raises(InputError, match=named):
        run_notebook(notebook, tmp_path / "out" / "executed.ipynb", given)
    assert sorted(tmp_path.iterdir()) == [notebook]


def test_none_is_refused_where_a_number_is_expected(tmp_path):
    with pytest.raises(InputError, match="n_steps"):
        check_parameters(write_notebook(tmp_path), {"n_steps": None})


def test_a_failing_cell_names_itself_and_its_reason_and_the_copy_is_kept(tmp_path):
    notebook = write_notebook(tmp_path, "print('before')", "raise ValueError('the gap is negative')", "print('after')")
    executed = tmp_path / "executed.ipynb"
    with pytest.raises(NotebookError, match="the gap is negative") as caught:
        run_notebook(notebook, executed, {})
    message = str(caught.value)
    assert "small.ipynb" in message
    assert "ValueError" in message
    assert str(executed) in message
    assert caught.value.exit_code == 1
    kept = printed(executed)
    assert "before" in kept
    assert "after" not in kept
    outputs = [output for cell in nbformat.read(executed, 4).cells for output in cell.get("outputs", [])]
    assert any(output.output_type == "error" and output.evalue == "the gap is negative" for output in outputs)


@pytest.mark.parametrize("given", [{}, {"n_steps": 1}], ids=str)
def test_the_cell_named_is_the_one_that_failed_in_the_executed_copy(tmp_path, given):
    notebook = write_notebook(tmp_path, "x = 1", "raise KeyError('here')", "y = 1")
    with pytest.raises(NotebookError) as caught:
        run_notebook(notebook, tmp_path / "executed.ipynb", given)
    number = int(str(caught.value).split("In [")[1].split("]")[0])
    cells = nbformat.read(tmp_path / "executed.ipynb", 4).cells
    assert [cell.source for cell in cells if cell.get("execution_count") == number] == ["raise KeyError('here')"]


def test_a_kernel_that_dies_is_our_error_too(tmp_path):
    notebook = write_notebook(tmp_path, "print('before', flush=True)", "import os\nos._exit(3)")
    with pytest.raises(NotebookError):
        run_notebook(notebook, tmp_path / "executed.ipynb", {})
    assert (tmp_path / "executed.ipynb").exists()


def test_an_executed_copy_is_never_overwritten(tmp_path):
    mark, executed = tmp_path / "ran", tmp_path / "executed.ipynb"
    notebook = write_notebook(tmp_path, MARK_RUN.replace("mark", repr(str(mark))))
    executed.write_text("mine")
    with pytest.raises(InputError, match="new file"):
        run_notebook(notebook, executed, {})
    assert executed.read_text() == "mine"
    assert not mark.exists()


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        run_notebook(tmp_path / "nowhere.ipynb", tmp_path / "executed.ipynb", {})


def test_what_sagemaker_puts_beside_checkpoints_is_no_result(tmp_path):
    run_dir = tmp_path / "run"
    (run_dir / "heldout_plots").mkdir(parents=True)
    for name in ("config.json", "heldout_plots/one.png"):
        for end in ("", ".sagemaker-uploading", ".sagemaker-uploaded"):
            (run_dir / f"{name}{end}").write_text(name)
    gather_run(run_dir, tmp_path / "model")
    kept = [path.relative_to(tmp_path / "model").as_posix() for path in (tmp_path / "model").rglob("*.*")]
    assert sorted(kept) == ["config.json", "heldout_plots/one.png"]
