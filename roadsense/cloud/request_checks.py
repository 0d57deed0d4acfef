"""Checks every request against the patterns, enumerations and lengths of the service's own model.

botocore ships them, but checks only types, required members and minimums; a mock server checks nothing. So an invalid
name, such as one with an underscore, is found here before anything is sent. An unknown value of an enumeration is only
a warning: AWS adds machine types faster than users update botocore.
"""

import re
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

UNICODE_CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{Zs}": r"\s"}
"""Python's regular expression for each Unicode class in the models; each allows at least the same characters."""
NO_LIMIT = 10**12


def check_requests(client: Any) -> None:
    """Makes a boto3 client raise `botocore.exceptions.ParamValidationError` if its model does not allow a request."""
    client.meta.events.register("before-parameter-build", _check)


def find_violations(shape: Any, value: Any, path: str = "") -> Iterator[str]:
    """Yields one line for each violation of a shape of a botocore model, with the member's path.

    Args:
        shape: a `botocore.model.Shape`.
        value: the request, or a part of it. botocore itself checks the types.
        path: path of `value` in the request.
    """
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, member in value.items():
            if name in shape.members:
                yield from find_violations(shape.members[name], member, f"{path}.{name}")
    elif shape.type_name == "list" and isinstance(value, list | tuple):
        yield from _find_wrong_length(shape, len(value), path, "items")
        for index, item in enumerate(value):
            yield from find_violations(shape.member, item, f"{path}[{index}]")
    elif shape.type_name == "map" and isinstance(value, dict):
        yield from _find_wrong_length(shape, len(value), path, "entries")
        for key, item in value.items():
            yield from find_violations(shape.key, key, f"{path}<{key}>")
            yield from find_violations(shape.value, item, f"{path}.{key}")
    elif shape.type_name == "string" and isinstance(value, str):
        yield from _find_wrong_text(shape, value, path)
    elif shape.type_name in ("integer", "long") and isinstance(value, int):
        yield from _find_wrong_length(shape, value, path, "as value")


def _check(params: dict[str, Any], model: Any, **_: Any) -> None:
    from botocore.exceptions import ParamValidationError

    violations = list(find_violations(model.input_shape, params)) if model.input_shape else []
    if violations:
        raise ParamValidationError(report="\n".join(f"{model.name}{violation}" for violation in violations))


def _find_wrong_length(shape: Any, length: int, path: str, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min", -NO_LIMIT), shape.metadata.get("max", NO_LIMIT)
    if not low <= length <= high:
        allowed = f"at least {low}" if high == NO_LIMIT else f"{max(low, 0)} to {high}"
        yield f"{path}: expected {allowed} {what}, got {length}"


def _find_wrong_text(shape: Any, text: str, path: str) -> Iterator[str]:
    yield from _find_wrong_length(shape, len(text), path, "characters")
    allowed = shape.metadata.get("enum")
    if allowed and text not in allowed:
        warnings.warn(f"{path}: {text!r} is new to this version of botocore. AWS may refuse it.", stacklevel=2)
    pattern = _compile(shape.metadata.get("pattern", ""))
    if pattern and not pattern.fullmatch(text):
        yield f"{path}: {text!r} does not match {shape.metadata['pattern']}"


@lru_cache(maxsize=512)
def _compile(pattern: str) -> re.Pattern[str] | None:
    """Returns a model's pattern for Python, or None if Python cannot read it."""
    for theirs, ours in UNICODE_CLASSES.items():
        pattern = pattern.replace(theirs, ours)
    try:
        return re.compile(pattern, re.DOTALL) if pattern else None
    except re.error:
        return None
