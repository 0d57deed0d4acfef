"""Builds the firmware for this machine, and plays drives to it."""

import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.exporting.test_c_policy import COMPILER, STRICT

BOARD = Path(__file__).with_name("board_host.c")
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
OWN, MESSAGE = struct.Struct("<2d4f"), struct.Struct("<2d2I3f2H")
VERSION = 1


@dataclass
class Step:
    """A step of a drive.

    Attributes:
        now_ms: time of the step.
        own: x, y, speed, acceleration, heading, and what the driver asks for.
        messages: that arrive: x, y, time sent, sequence, speed, acceleration, heading, sender, version.
    """

    now_ms: int
    own: tuple[float, ...]
    messages: list[tuple] = field(default_factory=list)

    def pack(self):
        messages = b"".join(MESSAGE.pack(*message) for message in self.messages)
        return (
            struct.pack("<I", self.now_ms % 2**32)
            + OWN.pack(*self.own)
            + struct.pack("<I", len(self.messages))
            + messages
        )


def build_firmware(export_folder, program):
    """Compiles the skeleton with a board that plays drives; `export_folder` holds `policy.c` and `platformio`."""
    skeleton = export_folder / "platformio" / "src"
    sources = [skeleton / "firmware.c", skeleton / "peers.c", export_folder / "policy.c", BOARD]
    flags = [*STRICT, *SANITIZERS, "-O1", f"-I{export_folder}", f"-I{skeleton}"]
    done = subprocess.run(
        [COMPILER, *flags, *sources, "-o", program, "-lm"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return program


def play(program, steps):
    """Returns for each step the action, the deceleration asked for, and the counts of refused and dropped so far."""
    drive = b"".join(step.pack() for step in steps)
    done = subprocess.run([program], input=drive, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    return np.array([line.split() for line in done.stdout.decode().splitlines()], float).reshape(-1, 4)
