"""What is wrong with a log: each kind of dirt is counted, and said with what was done about it. Pure."""

from dataclasses import dataclass, field

KINDS = {
    "cut_off": "the file ends in the middle of a line",
    "byte_order_mark": "the file begins with a byte order mark",
    "not_text": "bytes that are no UTF-8 text",
    "broken_line": "lines with another number of cells than the first one",
    "header_again": "lines that repeat the column names",
    "not_a_number": "rows without a time, or with words where numbers belong",
    "other_form": "figures with a decimal comma, a unit or a hemisphere, and times as a date or a time of day",
    "no_car": "rows of a car that the file hardly names",
    "wrong_time": "single rows whose time is far from their neighbours'",
    "restarted": "rows of another start of the board, whose clock began anew",
    "out_of_order": "rows that come later in the file than their time says",
    "duplicate": "rows that are there twice",
    "relayed_again": "messages heard again through a relay",
    "own_frame": "the car's own messages among those heard",
    "gap": "gaps between rows",
    "slept": "gaps of more than 5 s: the board slept or was off",
    "no_fix": "rows without a position: latitude or longitude are 0, missing or none on Earth",
    "impossible": "rows with values that no car can have",
    "stuck": "rows of a moving car whose position stands still",
    "kmh": "speeds that are in km/h",
    "zero_clock": "clocks that begin at zero, so the time of day is not known",
    "drift": "clocks that run at another rate",
    "turned_board": "accelerations that do not fit the changes of speed: another axis fits better",
    "no_clock": "cars whose clock cannot be set by the ego's: no message with their time was heard",
    "not_used": "files that are neither what a car sensed nor what it heard",
    "others_heard": "files of what other cars heard",
    "unused_column": "columns that are not used",
}
"""Kinds of findings in the order of a report, in words."""


@dataclass(frozen=True)
class Finding:
    """One kind of dirt in one file.

    Attributes:
        kind: one of `KINDS`.
        file: name of the file, or of the car.
        count: number of rows, lines or gaps.
        done: what was done about it, in a few words.
        line: line of the first one in the file; 0 if it has none.
        seconds: time that is concerned, from 0.
    """

    kind: str
    file: str
    count: int
    done: str
    line: int = 0
    seconds: float = 0.0

    def in_words(self) -> str:
        """Returns the finding as a sentence."""
        where = f", first in line {self.line}" if self.line else ""
        long = f", {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.file}: {self.count} x {KINDS[self.kind]}{where}{long}: {self.done}."


@dataclass
class Findings:
    """Findings while a drive is read; nothing is dropped without one."""

    found: list[Finding] = field(default_factory=list)

    def note(self, kind: str, file: str, count: int, done: str, line: int = 0, seconds: float = 0.0) -> None:
        """Adds a finding, unless its count is 0."""
        if count:
            self.found.append(Finding(kind, file, int(count), done, int(line), float(seconds)))

    def in_order(self) -> list[Finding]:
        """Returns all findings in the order of `KINDS`, then by file."""
        places = {kind: place for place, kind in enumerate(KINDS)}
        return sorted(self.found, key=lambda one: (places[one.kind], one.file))
