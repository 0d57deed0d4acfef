"""Every command against every fault: what is tried in the short form, what in the long form, and what cannot happen."""

SHORT, LONG = "short", "long"
FAULTS = (
    "killed",
    "signalled",
    "disk full",
    "read-only",
    "second writer",
    "flipped byte",
    "not a number",
    "worker lost",
)
"""The process gets SIGKILL; SIGTERM, SIGINT or SIGHUP; the target's disk is full; it cannot be written to; two do the
same work at once; a byte of the input was changed; a number is NaN; a worker process is killed or stopped."""
QUICK = "ends within seconds and writes nothing: run it again"
READS = "reads and prints only"
ITS_OWN = "covered by the tests of jobs, on stand-ins for the services"
OF_STEPS = "runs the commands above, each with its own row"


def row(short: str = "", long: str = "", otherwise: str = QUICK) -> dict[str, str]:
    """Returns a command's cells: the faults of the short form, those of the long form, and a reason for the others."""
    forms = dict.fromkeys(FAULTS, otherwise)
    forms |= dict.fromkeys((fault for fault in long.split(", ") if fault), LONG)
    return forms | dict.fromkeys((fault for fault in short.split(", ") if fault), SHORT)


TABLE: dict[str, dict[str, str]] = {
    "gen-scenarios": row("killed, read-only, not a number", "signalled, disk full, second writer"),
    "train": row(
        "signalled, disk full, read-only, flipped byte, not a number",
        "killed, second writer",
        "covered by tests/training/vec: workers die in every way",
    ),
    "evaluate": row(
        "killed, read-only, flipped byte, not a number, worker lost", "signalled, disk full, second writer"
    ),
    "export": row("read-only, flipped byte, not a number", "killed, signalled, disk full, second writer, worker lost"),
    "search": row("not a number", "killed", OF_STEPS),
    "verify": row("flipped byte", otherwise=READS),
    "unpack": row("flipped byte, read-only"),
    "replay": row(otherwise="reads, and compares with the evaluation what it drives"),
    "repeat": row(otherwise="the same command as replay"),
    "compare": row(otherwise=READS),
    "tune-baselines": row("not a number"),
    "fit-channel": row(otherwise="reads one log, whose numbers tests/envs/radio checks"),
    "run": row(otherwise=OF_STEPS),
    "job": row(otherwise=ITS_OWN),
    "runs": row(otherwise=READS),
    "watch": row(otherwise=READS),
    "doctor": row(otherwise=READS),
    "workstation": row(otherwise=ITS_OWN),
    "init": row(),
    "demo": row(otherwise=OF_STEPS),
}


def cells(fault: str) -> list[tuple[str, str]]:
    """Returns the commands that a fault is tried on, each with its form."""
    return [(command, forms[fault]) for command, forms in TABLE.items() if forms[fault] in (SHORT, LONG)]
