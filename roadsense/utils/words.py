"""The words of a command line as people write them: `--Seeds=1,2`, `--trust false`, `--total_timesteps 1e6`."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_origin

import tyro

from roadsense.errors import InputError
from roadsense.utils.values import NOTHING, TRUTHS, convert, kinds_of, split_none, split_texts

DASHES = "--"
_NAMED: Any = type(tyro.conf.arg())


def tidy_words(kind: type[Any], words: Sequence[str], prog: str) -> list[str]:
    """Returns words in which the options of a settings class, and their values, are spelled as the parser takes them.

    Names may have hyphens, underscores and capitals. A truth value may follow an option that has none, a whole number
    may be `1e6`, and several values may be one word, as `1,2` or `[1,2]`.

    Args:
        kind: class of the settings.
        words: words of the command line.
        prog: name of the command for messages.

    Raises:
        InputError: for an option that there is not, or a number that is none; it names the option and what was given.
    """
    known = dict(_options(kind))
    tidied: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.partition("=")
        key = name.removeprefix(DASHES).lower().replace("-", "_")
        base = key if key in known else key.removeprefix("no_")
        if not name.startswith(DASHES) or base not in known:
            _refuse_unknown(name, key, known, prog)
            tidied.append(word)
            continue
        if has_value:
            tidied += _spell(key, base, known[base], [value], "=")
            continue
        values = []
        while rest and not rest[0].startswith(DASHES):
            values.append(rest.pop(0))
        tidied += _spell(key, base, known[base], values, "")
    return tidied


def take_pairs(words: Sequence[str], option: str = "-p") -> tuple[dict[str, str], list[str]]:
    """Takes every `-p NAME VALUE` or `-p NAME=VALUE` out of the words of a command line.

    A value may begin with any character: argparse takes a value such as `-from_date=2026-01-01` for an option.

    Returns:
        The values by name (the last value wins), and the remaining words.

    Raises:
        InputError: if a name or a value is missing.
    """
    pairs, rest = dict[str, str](), list(words)
    while option in rest:
        place = rest.index(option)
        rest[place + 1 : place + 2] = rest[place + 1].split("=", 1) if len(rest) > place + 1 else []
        if len(rest) < place + 3:
            raise InputError(f"Expected {option} NAME VALUE, got {' '.join(rest[place:])!r}.")
        _, name, value = rest[place : place + 3]
        pairs[name] = value
        del rest[place : place + 3]
    return pairs, rest


def _refuse_unknown(name: str, key: str, known: Collection[str], prog: str) -> None:
    if not name.startswith(DASHES) or "." in key or key.startswith(("help", "tyro_")) or not key:
        return
    within = [one for one in known if len(key) > 2 and key in one]
    near = [f"{DASHES}{one}" for one in (within or get_close_matches(key, known))[:3]]
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise InputError(f"Expected an option of {prog}, got {name}. {hint}`{prog} --help` lists them.")


def _options(kind: Any) -> Iterator[tuple[str, Any]]:
    """Yields the name of each option and its kind; options of a class inside have the names of its fields."""
    for name, hint in kinds_of(kind, True).items():
        inner, _ = split_none(hint)
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            yield from _options(inner)
        else:
            extras = getattr(hint, "__metadata__", ())
            names = [one.name for one in extras if isinstance(one, _NAMED) and one.name]
            yield (names or [name])[0], get_args(hint)[0] if extras else hint


def _spell(key: str, base: str, kind: Any, values: list[str], joint: str) -> list[str]:
    option = DASHES + key.replace("_", "-")
    first = values[0].strip().lower() if values else ""
    if kind is bool and first in TRUTHS and (joint or not first.isdigit()):
        is_on = TRUTHS[first] == (key == base)
        return [f"{DASHES}{'' if is_on else 'no-'}{base.replace('_', '-')}", *values[1:]]
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return [option, *(_read(base, part, inner) for value in values for part in split_texts(value))]
    if values:
        values = [_read(base, values[0], kind), *values[1:]]
    return [f"{option}={values[0]}"] if joint else [option, *values]


def _read(name: str, value: Any, kind: Any) -> str:
    kind, can_be_none = split_none(kind)
    if can_be_none and str(value).strip().lower() in NOTHING:
        return "None"
    if kind not in (int, float):
        return str(value)
    try:
        convert(value, kind)
    except ValueError as error:
        raise InputError(f"Expected {name} to be {error}, got {value!r}.") from None
    return str(convert(value, kind)) if kind is int else str(value)
