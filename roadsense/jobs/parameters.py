"""Reads a notebook's parameters from its `parameters` cell, checks them, and converts them to and from strings.

The cell is read as text. papermill can do this too, but takes two seconds to import.
"""

import ast
import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from roadsense.errors import InputError
from roadsense.utils.values import convert
from roadsense.utils.workspace import project_folder

TAG = "parameters"
FURTHER = "further"
"""Name of the parameter that takes all fields of the notebook's settings without a line of their own."""
CONFIGS: Mapping[str, str] = {
    "00_augment": "roadsense.gen_scenarios:GenConfig",
    "01_train": "roadsense.training.train_config:TrainConfig",
}
"""Settings class of each notebook whose settings can be built without importing training or evaluation."""
TYPES: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "list": (list, tuple),
    "tuple": (list, tuple),
    "dict": (dict,),
    "None": (type(None),),
}
"""Types of the values that a parameter of each type accepts."""
_SEVERAL = tuple[Any, ...]
_CONVERTED = {"int": int, "float": float, "bool": bool, "str": str, "list": _SEVERAL, "tuple": _SEVERAL}
WORDS: Mapping[str, Any] = {"True": True, "False": False, "None": None}
"""Values that Python's `str` writes differently from JSON."""
NOTEBOOK_DIR = "notebooks"
UNCHECKED = ("output_dir", "base_dir", "ranges_file", "run_dir", "resume")
"""Parameters that name a file or folder; it may exist only on the machine that runs the job."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a notebook.

    Attributes:
        name: name of the parameter.
        kinds: names of its types, from `TYPES`; empty if it accepts any value.
        default: its value in the notebook.
        explanation: the comment after it.
    """

    name: str
    kinds: tuple[str, ...]
    default: Any
    explanation: str

    def takes(self, value: Any) -> bool:
        """Returns whether a value has its type. A whole number is also a `float`; a bool is not a number."""
        if not self.kinds:
            return True
        if isinstance(value, bool):
            return "bool" in self.kinds
        return isinstance(value, tuple(kind for name in self.kinds for kind in TYPES[name]))

    def read(self, value: Any) -> Any:
        """Returns a value as the notebook takes it: a text decoded, 1e6 for a whole number as an `int`, a path as text.

        What is of another type stays as it is; `check_parameters` refuses it.
        """
        if isinstance(value, str) and "str" not in self.kinds:
            value = self.decode(value)
        names = [name for name in self.kinds if name != "None"]
        kind = _CONVERTED.get(names[0]) if len(names) == 1 else None
        if kind is None or value is None:
            return value
        try:
            found = convert(value, kind)
        except ValueError:
            return value
        # NumPy's numbers are not JSON's.
        return [one.item() if hasattr(one, "item") else one for one in found] if kind is _SEVERAL else found

    def decode(self, text: str) -> Any:
        """Returns the value that a string holds, in JSON or Python; a parameter for texts keeps the string."""
        if "str" in self.kinds:
            return None if "None" in self.kinds and text in ("None", "null") else _unquote(text)
        text = _unquote(text) if self.kinds else text  # a tuner may quote its choices, numbers too
        if text in WORDS:
            return WORDS[text]
        try:
            return json.loads(text)
        except ValueError:
            return _read_literal(text)


def encode_value(value: Any) -> str:
    """Returns a value as a string that `Parameter.decode` reads back."""
    is_plain = isinstance(value, str) and value[:1] + value[-1:] != '""'
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """Reads the parameters of a notebook, by name and in their order.

    Raises:
        InputError: if the file is missing, is not a notebook, does not have exactly one cell tagged `parameters`, or
            that cell holds anything but plain assignments of constants.
    """
    source = _read_cell(notebook)
    explanations = {line.split("=")[0].split(":")[0].strip(): line.partition("#")[2].strip() for line in source}
    try:
        statements = ast.parse("\n".join(source)).body
        found = [_read_assignment(statement) for statement in statements]
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"{notebook}: expected assignments of constants in its cell tagged {TAG!r}, one a line; {error}."
        ) from error
    return {name: Parameter(name, kinds, default, explanations.get(name, "")) for name, kinds, default in found}


def known_parameters(notebook: Path) -> dict[str, Parameter]:
    """Returns all that a notebook accepts: its parameters, and with `further` also all fields of its settings."""
    own = read_parameters(notebook)
    if FURTHER not in own or notebook.stem not in CONFIGS:
        return own
    others = {}
    for field in fields(load_config(notebook)):
        kind = ast.parse(inspect.formatannotation(field.type), mode="eval").body
        others[field.name] = Parameter(field.name, _read_annotation(kind), field.default, "")
    return others | own


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> dict[str, Parameter]:
    """Checks names and types of values for a notebook's parameters, and returns all parameters it accepts.

    Raises:
        InputError: naming the parameter, the expected type and the given value.
    """
    known = known_parameters(notebook)
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{notebook.name}: expected parameters of {sorted(known)}, got {name!r}.{hint}")
        if not known[name].takes(value):
            expected = " or ".join(known[name].kinds)
            raise InputError(f"{notebook.name}: expected {name} to be {expected}, got {value!r}.")
    return known


def decode_parameters(notebook: Path, texts: Mapping[str, str]) -> dict[str, Any]:
    """Returns a notebook's parameter values, read from strings; `check_parameters` refuses unknown names."""
    known = known_parameters(notebook)
    values = {name: known[name].decode(text) if name in known else text for name, text in texts.items()}
    return read_values(notebook, values)


def read_values(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values as a notebook takes them, see `Parameter.read`; `check_parameters` refuses unknown names."""
    known = known_parameters(notebook)
    return {name: known[name].read(value) if name in known else value for name, value in given.items()}


def pack_parameters(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns checked values as the notebook's cell takes them; values without a line there go into `further`."""
    own = read_parameters(notebook)
    if FURTHER not in own or notebook.stem not in CONFIGS:
        return dict(given)
    packed = {name: value for name, value in given.items() if name in own}
    further = {name: value for name, value in given.items() if name not in own}
    return packed | {FURTHER: {**packed.get(FURTHER, {}), **further}}


def load_config(notebook: Path) -> Any:
    """Returns the settings class of a notebook in `CONFIGS`."""
    module, name = CONFIGS[notebook.stem].split(":")
    return getattr(importlib.import_module(module), name)


def find_notebook(notebook: str | Path) -> Path:
    """Returns the path of a notebook, given its path or its name in `notebooks`.

    Raises:
        InputError: if there is none.
    """
    path = Path(notebook)
    name = f"{path.name.removesuffix('.ipynb')}.ipynb"
    places = [Path(NOTEBOOK_DIR), project_folder() / NOTEBOOK_DIR] if path.parent == Path() else []
    for candidate in (path, *(place / name for place in places)):
        if candidate.is_file():
            return candidate
    known = sorted({found.stem for place in places for found in place.glob("*.ipynb")})
    raise InputError(f"Expected a notebook{f' of {known}' if known else ''} or its path, found none at {notebook}.")


def check_settings(notebook: Path, given: Mapping[str, Any]) -> None:
    """Builds a notebook's settings from its parameters, so that unusable values are refused before it runs.

    Raises:
        InputError: if the settings refuse a value.
    """
    if notebook.stem not in CONFIGS:
        return
    config = load_config(notebook)
    known = {field.name for field in fields(config)} - set(UNCHECKED)
    packed = pack_parameters(notebook, given)
    values = {name: parameter.default for name, parameter in read_parameters(notebook).items()} | packed
    values |= values.pop(FURTHER, {})
    settings = {name: value for name, value in values.items() if name in known and value is not None}
    try:
        config(**settings)
    except InputError as error:
        wrong = [name for name in given if name in known and _is_usable(config, settings, name)]
        raise InputError(f"{notebook.name}, {' or '.join(wrong) or 'its parameters'}: {error}") from error


def _read_cell(notebook: Path) -> list[str]:
    if not notebook.is_file():
        raise InputError(f"Expected a notebook at {notebook}, found none. Check the path.")
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = [cell["source"] for cell in cells if TAG in cell.get("metadata", {}).get("tags", [])]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{notebook}: not a notebook ({type(error).__name__}: {error}).") from error
    if len(tagged) != 1:
        raise InputError(f"{notebook}: expected exactly one cell tagged {TAG!r}, found {len(tagged)}.")
    return "".join(tagged[0]).splitlines()


def _read_assignment(statement: ast.stmt) -> tuple[str, tuple[str, ...], Any]:
    kinds: tuple[str, ...] | None = None
    target: ast.expr
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value, kinds = statement.target, statement.value, _read_annotation(statement.annotation)
    elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    else:
        raise ValueError(f"line {statement.lineno} is none")
    if not isinstance(target, ast.Name):
        raise ValueError(f"line {statement.lineno} assigns to no plain name")
    default = ast.literal_eval(value)
    if kinds is None:
        kinds = () if default is None else (type(default).__name__,)
    return target.id, kinds, default


def _read_annotation(node: ast.expr) -> tuple[str, ...]:
    """Returns the type names in an annotation; none if one of them isn't checked."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        left, right = _read_annotation(node.left), _read_annotation(node.right)
        return (*left, *right) if left and right else ()
    if isinstance(node, ast.Subscript):
        return _read_annotation(node.value)
    if isinstance(node, ast.Constant) and node.value is None:
        return ("None",)
    return (node.id,) if isinstance(node, ast.Name) and node.id in TYPES else ()


def _unquote(text: str) -> str:
    """Returns a text without the JSON quotation marks that AWS's SDK puts around it."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


def _read_literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _is_usable(config: Callable[..., object], settings: Mapping[str, Any], without: str) -> bool:
    try:
        config(**{name: value for name, value in settings.items() if name != without})
    except InputError:
        return False
    return True
