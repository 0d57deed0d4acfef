"""What a check of an installation or of an account found."""

from dataclasses import dataclass

OK, NOTE, MISSING, UNKNOWN = "ok", "note", "missing", "unknown"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        what: name of the checked thing.
        level: `ok`, `note` (some features don't work without it), `missing` (nothing works without it), or `unknown` if
            the credentials do not allow the check.
        words: what was found, and what to do.
    """

    what: str
    level: str
    words: str
