"""Values of settings as people write them: `1e6` steps, "false", a NumPy number, a path, several values in one text.

One set of rules for the command line, notebooks, files of settings and Python.
"""

import dataclasses
import json
import numbers
import os
import re
import types
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from roadsense.errors import InputError

TRUTHS: Mapping[str, bool] = {
    "true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip
NOTHING = ("none", "null")
"""Texts that stand for None, where None is allowed."""
_GROUPED = re.compile(r"[-+]?\d{1,3}([,_]\d{3})+")
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}


def convert(value: Any, kind: Any) -> Any:
    """Returns a value as a field of some kind holds it; of a kind that is not known here, the value itself.

    Args:
        value: for example `1e6`, `"1e6"` or `numpy.int64(1000000)` for an `int`; `"false"` for a `bool`; `"1,2"` or a
            single value for a tuple; `"None"` for what may be None; a mapping for a dataclass.
        kind: type in the field's annotation.

    Raises:
        ValueError: if it is no value of this kind; the message says what was expected.
    """
    kind, can_be_none = split_none(kind)
    if can_be_none and (value is None or (isinstance(value, str) and value.strip().lower() in NOTHING)):
        return None
    if kind in _READERS:
        return _READERS[kind](value)
    if get_origin(kind) is tuple:
        return _read_several(value, get_args(kind)[0])
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and not isinstance(value, kind):
        return make_settings(kind, value)
    if get_origin(kind) in (dict, Mapping) and not isinstance(value, Mapping):
        raise ValueError("a mapping of names to values")
    return value


def make_settings(kind: type[Any], values: Any) -> Any:
    """Returns the settings with these values by name.

    Raises:
        InputError: if a name is none of its fields.
        ValueError: if the values have no names.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"a {kind.__name__} or a mapping of its settings")
    known = [field.name for field in dataclasses.fields(kind)]
    if unknown := [name for name in values if name not in known]:
        raise InputError(f"Expected settings of {kind.__name__}, {known}, got {unknown}. Check the names.")
    return kind(**values)


@cache
def kinds_of(kind: Any, include_extras: bool = False) -> dict[str, Any]:
    """Returns the types of a dataclass's fields, by name; with the extras also what `Annotated` adds to them."""
    hints = get_type_hints(kind, include_extras=include_extras)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def split_none(kind: Any) -> tuple[Any, bool]:
    """Returns a kind without `Annotated` and None, and whether it may be None."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, types.UnionType):
        return kind, False
    others = [one for one in get_args(kind) if one is not type(None)]
    return (others[0] if len(others) == 1 else kind), len(others) < len(get_args(kind))


def _read_whole(value: Any) -> int:
    if isinstance(value, str):
        text = value.strip()
        value = re.sub("[,_]", "", text) if _GROUPED.fullmatch(text) else text
        try:
            value = int(value) if re.fullmatch(r"[-+]?\d+", value) else float(value)
        except ValueError:
            raise ValueError(_KINDS[int]) from None
    if _is_truth(value) or not isinstance(value, numbers.Real) or float(value) % 1 != 0:
        raise ValueError(_KINDS[int])
    return int(value)  # type: ignore[call-overload]


def _read_number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise ValueError(_KINDS[float]) from None
    if _is_truth(value) or not isinstance(value, numbers.Real):
        raise ValueError(_KINDS[float])
    return value if isinstance(value, int) else float(value)


def _read_truth(value: Any) -> bool:
    read = TRUTHS.get(value.strip().lower()) if isinstance(value, str) else value
    if not _is_truth(read) and not (isinstance(read, int) and read in (0, 1)):
        raise ValueError(_KINDS[bool])
    return bool(read)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")  # NumPy's, in both its versions


def _read_text(value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{_KINDS[str]}, module:name for what is in your code" if callable(value) else _KINDS[str])
    return str(os.fspath(value))


def _read_path(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise ValueError(_KINDS[Path])
    return Path(value).expanduser()


_READERS: Mapping[Any, Any] = {
    int: _read_whole, float: _read_number, bool: _read_truth, str: _read_text, Path: _read_path,
}  # fmt: skip


def _read_several(value: Any, kind: Any) -> tuple[Any, ...]:
    if value is None or (isinstance(value, str) and value.strip().lower() in NOTHING):
        return ()
    if isinstance(value, str):
        value = split_texts(value)
    several = value if isinstance(value, Iterable) and not isinstance(value, os.PathLike | Mapping) else [value]
    try:
        return tuple(convert(one, kind) for one in several)
    except ValueError as error:
        raise ValueError(f"{error} each") from None


def split_texts(text: str) -> list[Any]:
    """Returns the values in a text such as `1,2`, `[1, 2]` or `["a", "b"]`; a path that exists is one value."""
    bare = text.strip()
    if bare[:1] + bare[-1:] in ("[]", "()"):
        try:
            return list(json.loads(f"[{bare[1:-1]}]"))
        except ValueError:
            bare = bare[1:-1]
    elif os.path.exists(text):
        return [text]
    return [part.strip().strip("'\"") for part in bare.split(",") if part.strip()]
