"""A notebook's parameters: read without running it, checked, and turned from texts in both spellings."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import papermill
import pytest

from roadsense.errors import InputError
from roadsense.jobs.parameters import (
    check_parameters,
    decode_parameters,
    encode_value,
    known_parameters,
    pack_parameters,
    read_parameters,
    read_values,
)
from roadsense.training.train_config import TrainConfig
from tests.jobs.small_notebooks import ROOT, write_notebook

TRAIN = ROOT / "notebooks" / "01_train.ipynb"

KINDS = """n_steps: int = 3  # how many
rate: float = 0.5
name: str = "042"
quick: bool = False
lengths: list = [1, 2]
limit: float | None = None  # none for none
place: str | None = None
words: dict = {"a": 1}
sizes: tuple[int, ...] = (1,)
plain = 7
anything = None"""


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_it_reads_what_papermill_reads(path):
    ours, theirs = read_parameters(path), papermill.inspect_notebook(str(path))
    optional = {name for name, parameter in ours.items() if len(parameter.kinds) > 1}  # papermill leaves these out
    assert [name for name in ours if name not in optional] == list(theirs)
    for name, told in theirs.items():
        assert ours[name].explanation == told["help"]
        assert ours[name].kinds == (told["inferred_type_name"],)


def test_names_types_defaults_and_explanations(tmp_path):
    known = read_parameters(write_notebook(tmp_path, parameters=KINDS))
    assert {name: parameter.kinds for name, parameter in known.items()} == {
        "n_steps": ("int",),
        "rate": ("float",),
        "name": ("str",),
        "quick": ("bool",),
        "lengths": ("list",),
        "limit": ("float", "None"),
        "place": ("str", "None"),
        "words": ("dict",),
        "sizes": ("tuple",),
        "plain": ("int",),
        "anything": (),
    }
    assert known["n_steps"].explanation == "how many"
    assert known["name"].default == "042"
    assert known["sizes"].default == (1,)


SPELLINGS = [
    ({"quick": "True"}, True),
    ({"quick": "true"}, True),
    ({"quick": "False"}, False),
    ({"limit": "None"}, None),
    ({"limit": "null"}, None),
    ({"limit": "3"}, 3),
    ({"rate": "3e-4"}, 3e-4),
    ({"rate": "0.0003"}, 0.0003),
    ({"n_steps": "12"}, 12),
    ({"n_steps": "1_000"}, 1000),
    ({"n_steps": '"512"'}, 512),
    ({"quick": '"true"'}, True),
    ({"lengths": "[1, 2]"}, [1, 2]),
    ({"lengths": "['a', True]"}, ["a", True]),
    ({"words": '{"b": null}'}, {"b": None}),
    ({"name": "042"}, "042"),
    ({"name": "True"}, "True"),
    ({"name": "null"}, "null"),
    ({"place": "None"}, None),
    ({"place": "null"}, None),
    ({"place": "7"}, "7"),
    ({"sizes": "[3, 4]"}, [3, 4]),
    ({"n_steps": "1e3"}, 1000),
    ({"n_steps": "12.0"}, 12),
    ({"quick": "yes"}, True),
    ({"lengths": "1,2"}, [1, 2]),
    ({"lengths": "mlflow"}, ["mlflow"]),
]


@pytest.mark.parametrize(("texts", "value"), SPELLINGS, ids=str)
def test_texts_are_read_in_both_spellings_and_stay_texts_where_texts_are_expected(tmp_path, texts, value):
    notebook = write_notebook(tmp_path, parameters=KINDS)
    (found,) = decode_parameters(notebook, texts).values()
    assert found == value
    assert type(found) is type(value)
    check_parameters(notebook, decode_parameters(notebook, texts))


def test_values_of_python_and_of_files_are_read_too(tmp_path):
    notebook = write_notebook(tmp_path, parameters=KINDS)
    given = {
        "n_steps": np.int64(3),
        "plain": 1e3,
        "rate": "0.5",
        "name": Path("a"),
        "lengths": np.arange(2),
        "place": None,
    }
    values = read_values(notebook, given)
    assert json.dumps(values) == (
        '{"n_steps": 3, "plain": 1000, "rate": 0.5, "name": "a", "lengths": [0, 1], "place": null}'
    )
    check_parameters(notebook, values)


def test_what_is_sent_comes_back(tmp_path):
    notebook = write_notebook(tmp_path, parameters=KINDS)
    values = {
        "n_steps": 5, "rate": 1e-7, "name": "true", "quick": True, "lengths": [1.5, None, "x"], "limit": None,
        "place": None, "words": {"a": [True]}, "plain": -3,
    }  # fmt: skip
    texts = {name: encode_value(value) for name, value in values.items()}
    assert all(isinstance(text, str) for text in texts.values())
    assert decode_parameters(notebook, json.loads(json.dumps(texts))) == values


def test_an_unknown_one_is_named_with_the_nearest_known_and_all_of_them(tmp_path):
    with pytest.raises(InputError, match=r"got 'n_step'\. Did you mean 'n_steps'") as caught:
        check_parameters(write_notebook(tmp_path, parameters=KINDS), {"n_step": 3})
    assert all(name in str(caught.value) for name in ("rate", "anything", "words"))


@pytest.mark.parametrize(
    ("value", "is_right"), [(None, True), (2, True), (2.5, True), ("2", False), (True, False), ([], False)]
)
def test_either_type_of_two_is_taken(tmp_path, value, is_right):
    notebook = write_notebook(tmp_path, parameters=KINDS)
    if is_right:
        check_parameters(notebook, {"limit": value})
    else:
        with pytest.raises(InputError, match="limit to be float or None"):
            check_parameters(notebook, {"limit": value})


def test_every_field_of_the_settings_can_be_given_to_the_training_notebook():
    known = known_parameters(TRAIN)
    assert {field.name for field in fields(TrainConfig)} <= known.keys()
    texts = {"gamma": "0.98", "seeds": "[1, 2]", "eval_dir": "None", "v2v_randomised": "false", "n_epochs": "3"}
    given = decode_parameters(TRAIN, texts)
    assert given == {"gamma": 0.98, "seeds": [1, 2], "eval_dir": None, "v2v_randomised": False, "n_epochs": 3}
    check_parameters(TRAIN, given)
    with pytest.raises(InputError, match="n_epochs to be int"):
        check_parameters(TRAIN, {"n_epochs": 2.5})


def test_fields_without_a_line_of_their_own_are_packed():
    assert pack_parameters(TRAIN, {"seed": 3, "gamma": 0.98}) == {"seed": 3, "further": {"gamma": 0.98}}
    assert pack_parameters(ROOT / "notebooks" / "02_evaluate.ipynb", {"seed": 3}) == {"seed": 3}


def test_a_preset_wins_over_the_notebooks_defaults_and_loses_to_what_is_given():
    packed = pack_parameters(TRAIN, {"preset": "overnight", "seed": 5, "imitation_timesteps": 7})
    further = packed.pop("further")
    config = TrainConfig(**packed, **further)
    assert (config.total_timesteps, config.net_width) == (50_000_000, 128)
    assert (config.seed, config.imitation_timesteps) == (5, 7)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("n = 3\nif n: pass", "line 2"),
        ("n = 3 * 4\nm = n", "malformed"),
        ("n, m = 1, 2", "plain name"),
        ("n =", "syntax"),
    ],
)
def test_a_cell_of_anything_but_constants_is_refused(tmp_path, cell, said):
    with pytest.raises(InputError, match=said):
        read_parameters(write_notebook(tmp_path, parameters=cell))


@pytest.mark.parametrize("n_cells", [0, 2])
def test_not_one_cell_of_parameters_is_refused(tmp_path, n_cells):
    path = write_notebook(tmp_path)
    notebook = json.loads(path.read_text())
    tagged = notebook["cells"][1]
    notebook["cells"][1:2] = [tagged] * n_cells
    path.write_text(json.dumps(notebook))
    with pytest.raises(InputError, match=f"exactly one cell.*found {n_cells}"):
        read_parameters(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cells": [3]}'])
def test_what_is_no_notebook_is_refused(tmp_path, text):
    path = tmp_path / "some.ipynb"
    path.write_text(text)
    with pytest.raises(InputError, match=r"some\.ipynb"):
        read_parameters(path)
