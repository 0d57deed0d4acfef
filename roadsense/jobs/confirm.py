"""Shows a request and asks for confirmation before something that costs money starts."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from roadsense.errors import InputError

SHOWN = 60
"""Number of characters shown of a text in a request."""


def confirm(request: Mapping[str, Any], is_confirmed: bool) -> None:
    """Shows a request and its price, and asks whether to start it.

    Args:
        request: the request, as `Plan.describe` returns it.
        is_confirmed: whether `--yes` gave the answer.

    Raises:
        InputError: if the answer is no, or there is no terminal to ask in.
    """
    sys.stderr.write(json.dumps(shorten(request), indent=2, default=str) + f"\nPrice: {request['price']}\n")
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise InputError("Expected --yes to start what costs money, got none and no terminal to ask in.")
    sys.stderr.write("Start it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("Nothing was started.")


def shorten(value: Any, length: int = SHOWN) -> Any:
    """Returns JSON-like values with long texts shortened."""
    if isinstance(value, Mapping):
        return {name: shorten(item, length) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shorten(item, length) for item in value]
    is_long = isinstance(value, str) and len(value) > length
    return f"{value[:length]}... ({len(value)} characters)" if is_long else value
