"""The model card as Markdown text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from roadsense.exporting.card import warn_of_size
from roadsense.utils.markdown import markdown_table

Card = Mapping[str, Any]


def write_card(card: Card) -> str:
    """Returns a card as Markdown; warnings come first.

    Args:
        card: content of `model_card.json`.
    """
    said = [*(found["in_words"] for found in _warned(card)), *(f"WARNING: {one}" for one in warn_of_size(dict(card)))]
    warnings = [f"> **{one}**\n" for one in said]
    sections = (
        _list("What it is for", card["made_for"]),
        _list("What it is not for", card["not_made_for"]),
        _origin(card),
        _files(card),
        _chips(card),
        _parity(card),
        _driving(card),
        _evaluation(card),
        _latency(card),
        _list("Versions", [f"{name} {version}" for name, version in card["versions"].items()]),
    )
    return "\n".join([f"# {card['name']}\n", *warnings, *sections])


def _warned(card: Card) -> list[Card]:
    driving = card["closed_loop"]
    return [driving["comparisons"][variant] for variant in driving["worse"]]


def _list(title: str, items: Iterable[str]) -> str:
    return f"## {title}\n\n" + "".join(f"- {item}\n" for item in items)


def _table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    return markdown_table(headings, [[_say(value) for value in row] for row in rows]) + "\n"


def _say(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _origin(card: Card) -> str:
    training = card["training"]
    names = ("run", "model", "algorithm", "timesteps", "dataset_digest", "train_digest", "git_commit", "model_sha256")
    rows = [(name.replace("_", " "), training[name]) for name in names]
    rows += [("observation version", card["observation_version"])]
    settings = ", ".join(f"{name} {value}" for name, value in training["config"].items())
    return f"## Where it comes from\n\n{_table(('', ''), rows)}\nSettings: {settings or 'not known'}.\n"


def _files(card: Card) -> str:
    rows = [
        (name, found["size_bytes"], found["arena_bytes"], found["arena_bytes_64_bit"], f"`{found['sha256']}`")
        for name, found in card["files"].items()
    ]
    operators = [f"{name}: {', '.join(sorted(found))}" for name, found in card["operators"].items()]
    return (
        "## Files\n\n"
        + _table(("file", "bytes", "arena on 32 bits [bytes]", "on 64 bits [bytes]", "SHA-256"), rows)
        + f"\nOperators of {'; of '.join(operators)}. Inputs and output are float32.\n"
    )


def _chips(card: Card) -> str:
    found = card.get("c")
    if found is None:
        return ""
    difference = found["difference"]
    words = f"at most {difference['max']:.2g}" if difference else "not compared: there was no C compiler"
    columns = ("instructions", "most_instructions", "stack_bytes", "flash_bytes", "ram_bytes")
    rows = [(name, *(chip[column] for column in columns)) for name, chip in found["chips"].items()]
    table = _table(("core", *(column.replace("_", " ") for column in columns)), rows) if rows else ""
    return (
        "## Plain C\n\nDifference of `policy.c`'s action to the trained policy's: "
        f"{words}. On emulated cores, {found['chips_origin'] or 'not measured'}:\n\n{table}"
    )


def _parity(card: Card) -> str:
    rows = [
        (variant, runtime, found["rms"], found["p99"], found["max"])
        for variant, part in card["parity"].items()
        for runtime, found in part["differences"].items()
    ]
    rows += [(variant, "let through", *part["bounds"].values()) for variant, part in card["parity"].items()]
    some = next(iter(card["parity"].values()))
    calibration = card["calibration"]
    words = (
        f"\nInt8 is calibrated on {calibration['n_observations']} observations ({calibration['origin']}); in "
        f"{calibration['hazard_share']:.0%} of them a car ahead is heard to brake hard.\n"
        if calibration
        else ""
    )
    return (
        f"## Parity\n\nDifference of the action (0 to 1) to the trained policy's, on {some['n_observations']} recorded "
        f"observations, in {some['n_within_bounds']} of which the action is not cut to a bound.\n\n"
        + _table(("policy", "runtime", "rms", "p99", "max"), rows)
        + words
    )


def _driving(card: Card) -> str:
    driving = card["closed_loop"]
    if not driving["comparisons"]:
        return "## Driving\n\nThe exported policy was not driven: nothing is known of how it drives.\n"
    where = {True: "held out from the training", False: "some of which it was trained on"}.get(
        driving["held_out"], "of which it is not known whether it was trained on them"
    )
    rows = []
    for variant, found in driving["comparisons"].items():
        rows.append((variant, "collision rate", *_interval(found["collision_rate"])))
        rows += [(variant, name.replace("_", " "), *_interval(one)) for name, one in found["figures"].items()]
    words = "".join(f"- {found['in_words']}\n" for found in driving["comparisons"].values())
    return (
        f"## Driving\n\nThe exported files drove the same episodes as the trained policy, on {driving['n_scenarios']} "
        f"scenarios, {where}.\n\n{words}\nExported minus trained, with 95 % intervals; lower is better:\n\n"
        + _table(("policy", "figure", "difference", "from", "to"), rows)
    )


def _interval(found: Card) -> tuple[Any, Any, Any]:
    return found["value"], found["low"], found["high"]


def _evaluation(card: Card) -> str:
    found = card["evaluation"]
    if not found:
        return "## Evaluation\n\nThe trained policy was not evaluated before it was exported.\n"
    columns = list(found["rows"][0])
    rows = [[row[name] for name in columns] for row in found["rows"]]
    return "## Evaluation\n\nOf the trained policy; `low` and `high` are the ends of 95 % intervals.\n\n" + _table(
        [name.replace("_", " ") for name in columns], rows
    )


def _latency(card: Card) -> str:
    rows = [(name, found["p50_us"], found["p99_us"]) for name, found in card["latency"].items()]
    return (
        "## Latency\n\nOf one action on the machine of the export, one core; a microcontroller is not this machine.\n\n"
        + _table(("", "median [us]", "99th percentile [us]"), rows)
    )
