"""`roadsense drive judge`: what a policy would have done in a recorded car, and the report of it."""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from roadsense.drives.drive import read_drive
from roadsense.drives.judgement import Judgement, judge_drive
from roadsense.drives.report import write_report
from roadsense.drives.steps import STEP_S
from roadsense.policies.trained import load_policy
from roadsense.utils.files import find_free
from roadsense.utils.progress import working
from roadsense.utils.scratch import arriving
from roadsense.utils.workspace import resolve, resolve_fields


@dataclass(frozen=True)
class JudgeConfig:
    """Settings of `roadsense drive judge`.

    Attributes:
        log: folder of the drive.
        policy: folder of a run, a `.zip` or `.tflite`, `default`, `module:name`, or a rule such as cautious_rule.
        output: new folder for the report; by default the drive's name in `runs/drives`, or the next free one.
        mapping: TOML file that maps the log's columns, or the name of a shipped one; empty: `drive.toml` in the folder,
            or the shipped one that fits.
        ego: name of the ego; empty: as the mapping says, else V001.
        osm: OpenStreetMap extract whose lanes are drawn.
        trust: whether to run the code in a zip that cannot be opened otherwise.

    Examples:
        >>> import roadsense as rs
        >>> rs.JudgeConfig("drives/sample", "cautious_rule").mapping
        ''
    """

    log: tyro.conf.Positional[Path]
    policy: str
    output: Path | None = None
    mapping: str = ""
    ego: str = ""
    osm: Path | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        resolve_fields(self, "output", "osm")


def judge_log(config: JudgeConfig) -> Judgement:
    """Judges a policy on a log and writes the report.

    Raises:
        DriveError: if the log cannot be read.
        InputError: if the policy cannot be opened, or the output folder holds something.

    Examples:
        >>> import roadsense as rs
        >>> judgement = rs.judge_log(rs.JudgeConfig("drives/sample", "cautious_rule"))
        >>> judgement.sentences()[0].startswith("Open loop")
        True
    """
    folder = config.output or find_free(resolve("runs") / "drives" / Path(config.log).resolve().name)
    with arriving(folder, "the report") as part:
        drive = read_drive(config.log, config.mapping, config.ego)
        with working("judging the drive"):
            judgement = judge_drive(drive, load_policy(config.policy, config.trust), config.policy)
        with working("drawing the report"):
            write_report(judgement, part, config.osm)
    return replace(judgement, folder=folder)


def judge_and_print(config: JudgeConfig) -> None:
    """Judges what a policy would have done on a recorded drive, beside the person and the rules; writes report.html."""
    started_s = time.monotonic()
    judgement = judge_log(config)
    drive, folder = judgement.drive, judgement.folder or Path()
    judged_s = judgement.steps.is_judged.sum() * STEP_S
    lines = [f"{drive.name}: {drive.duration_s:.0f} s, of which {judged_s:.0f} s can be judged"]
    lines += [f"  {sentence}" for sentence in judgement.sentences()]
    lines += [f"  quality: {len(drive.findings)} findings, see the report", f"Report: {folder / 'report.html'}"]
    sys.stdout.write("\n".join(lines) + f"\njudged in {time.monotonic() - started_s:.1f} s\n")
