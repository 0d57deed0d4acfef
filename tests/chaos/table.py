"""Every command against every fault: what is tried in the short form, what in the long form, and what cannot happen."""

SHORT, LONG = "short", "long"
FAULTS = {
    "killed": "test_a_killed_command_is_continued_by_the_same",
    "killed at its end": "test_a_command_that_is_killed_when_its_result_has_its_name_makes_no_second_one",
    "signalled": "test_a_signal_stops_a_command_in_order",
    "disk full": "test_a_full_disk_is_one_line_and_a_true_state",
    "read-only": "test_a_target_that_cannot_be_written_to_is_said_before_the_work",
    "second writer": "test_of_two_at_once_one_wins_and_the_other_loses_nothing",
    "flipped byte": "test_a_changed_byte_of_the_input_is_noticed",
    "not a number": "test_a_number_that_is_none_is_refused_by_name",
    "worker lost": "test_a_lost_worker_costs_its_episode_only",
}
"""The test of each fault: the process gets SIGKILL; it gets it just after its result has its name; SIGTERM, SIGINT or
SIGHUP; the target's disk is full; it cannot be written to; two do the same work at once; a byte of the input was
changed; a number is NaN; a worker is killed or stopped."""
WENT_ON, REFUSED = "went on", "refused"
ENDS = {"disk full": REFUSED, "read-only": REFUSED, "not a number": REFUSED}
"""How a try of a fault ends: the command went on to the undisturbed result (unless it is named here), or refused in one
line and left everything as it was."""
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
    "gen-scenarios": row(
        "killed, killed at its end, read-only, not a number", "signalled, disk full, second writer, flipped byte"
    ),
    "train": row(
        "signalled, disk full, read-only, flipped byte, not a number",
        "killed, killed at its end, second writer",
        "covered by tests/training/vec: workers die in every way",
    ),
    "evaluate": row(
        "killed at its end, read-only, flipped byte, not a number, worker lost",
        "killed, signalled, disk full, second writer",
    ),
    "benchmark": row(
        "read-only, flipped byte, not a number",
        "killed, killed at its end, signalled, disk full, second writer, worker lost",
    ),
    "enjoy": row(
        "read-only, not a number",
        "killed, killed at its end, signalled, disk full, second writer, flipped byte",
        "drives one episode, without workers; refuses files that are there",
    ),
    "export": row(
        "read-only, flipped byte, not a number",
        "killed, killed at its end, signalled, disk full, second writer, worker lost",
    ),
    "search": row("not a number", "killed", OF_STEPS),
    "check-base": row(otherwise=READS),
    "verify": row("flipped byte", otherwise=READS),
    "unpack": row("killed at its end, disk full, flipped byte, read-only", "killed, second writer"),
    "replay": row(otherwise="reads, and compares with the evaluation what it drives"),
    "repeat": row(otherwise="the same command as replay"),
    "compare": row(otherwise=READS),
    "tune-baselines": row("not a number"),
    "fit-channel": row(otherwise="reads one log, whose numbers tests/envs/radio checks"),
    "drive": row(
        "read-only",
        "killed, killed at its end, signalled, disk full, second writer, flipped byte",
        "tests/drives tries each of its words",
    ),
    "run": row(otherwise=OF_STEPS),
    "job": row("read-only", "killed, signalled, disk full, second writer", ITS_OWN),
    "runs": row(otherwise=READS),
    "watch": row(otherwise=READS),
    "doctor": row(otherwise=READS),
    "workstation": row(otherwise=ITS_OWN),
    "init": row(),
    "completion": row(otherwise=READS),
    "demo": row(otherwise=OF_STEPS),
}


def cells(fault: str) -> list[tuple[str, str]]:
    """Returns the commands that a fault is tried on, each with its form."""
    return [(command, forms[fault]) for command, forms in TABLE.items() if forms[fault] in (SHORT, LONG)]
