"""Compares the plain C policy with the trained one on this machine, and measures it on emulated microcontrollers."""

import ctypes
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.errors import ExportError
from roadsense.exporting.c_source import POLICY_SOURCE, SOURCES, C
from roadsense.exporting.card import Card
from roadsense.exporting.parity import Bounds, Evidence, compare_actions, refuse_unequal
from roadsense.policies.actor import Actor
from roadsense.utils.scratch import scratch_folder

HOST_FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-shared", "-fPIC")
"""Without contraction, sums are rounded in the same way on every processor."""


def find_compiler() -> str | None:
    """Returns the path of this machine's C compiler, None if it has none."""
    return shutil.which("cc")


class CPolicy:
    """Runs `policy.c`, one observation after the other.

    Args:
        folder: folder with `policy.c` and its headers.
        compiler: path of a C compiler.

    Raises:
        ExportError: if it cannot be compiled.
    """

    def __init__(self, folder: Path, compiler: str):
        with scratch_folder(".c.") as scratch:
            library = scratch / "policy.so"
            _run([compiler, *HOST_FLAGS, str(folder / POLICY_SOURCE), "-o", str(library), "-lm"])
            self._act = ctypes.CDLL(str(library)).roadsense_act
        self._act.restype = ctypes.c_bool

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation of a batch, shape (n, 1)."""
        return self.act(observation)[0]

    def act(self, observation: Observation) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Returns an action for each observation of a batch, shape (n, 1), and whether it was accepted, shape (n,)."""
        n_rows = len(observation["ego"])
        parts = (observation["ego"], observation["peers"], observation["peer_mask"])
        rows = np.concatenate([part.reshape(n_rows, -1) for part in parts], axis=1, dtype=np.float32)
        actions, accepted = np.empty((n_rows, 1), np.float32), np.empty(n_rows, np.bool_)
        for row, values in enumerate(rows):
            accepted[row] = self._act(ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(actions[row].ctypes.data))
        return actions, accepted


TIMEOUT_S = 60.0
RAM_BYTES = FLASH_BYTES = 0x400000
SPECS = "picolibc.specs"
CHIP_FLAGS = (f"--specs={SPECS}", "-std=c99", "-O2", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
EMULATOR_FLAGS = (
    "-icount", "shift=0", "-display", "none", "-monitor", "none", "-serial", "none", "-chardev", "stdio,id=out",
    "-semihosting-config", "enable=on,target=native,chardev=out",
)  # fmt: skip


@dataclass(frozen=True)
class Chip:
    """A processor core, its cross compiler and its emulator, as Debian has them.

    Attributes:
        name: name of the core.
        prefix: prefix of its compiler's programs.
        flags: flags of the compiler for this core.
        emulator: command that starts a machine with this core.
        flash_address: address at which the machine's program memory begins.
        ram_address: address at which its working memory begins.
    """

    name: str
    prefix: str
    flags: tuple[str, ...]
    emulator: tuple[str, ...]
    flash_address: int
    ram_address: int


CHIPS = (
    Chip(
        "Cortex-M4F",
        "arm-none-eabi-",
        ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
        ("qemu-system-arm", "-M", "mps2-an386"),
        0,
        0x20000000,
    ),
    Chip(  # the instructions of an ESP32-C3, without a floating-point unit
        "RV32IMC",
        "riscv64-unknown-elf-",
        ("-march=rv32imc", "-mabi=ilp32"),
        ("qemu-system-riscv32", "-M", "virt", "-bios", "none"),
        0x80000000,
        0x80400000,
    ),
)


@dataclass(frozen=True)
class ChipFigures:
    """Cost of the plain C policy on a core.

    Attributes:
        instructions: number of instructions of one action, mean over the golden vectors.
        most_instructions: number of instructions of one action in which every peer is heard.
        stack_bytes: largest stack of one action.
        flash_bytes: program memory of the smallest program with the policy in it.
        ram_bytes: working memory of that program, without its stack.
    """

    instructions: int
    most_instructions: int
    stack_bytes: int
    flash_bytes: int
    ram_bytes: int


MEASURED_ON = "2026-11-30"
KNOWN = {
    "Cortex-M4F": ChipFigures(88_360, 133_640, 160, 34_360, 984),
    "RV32IMC": ChipFigures(2_396_062, 3_452_547, 396, 40_680, 984),
}
"""Figures of the default network (peers 32, 32; policy 64, 64), used where an export finds no emulators."""


def find_chips() -> tuple[Chip, ...]:
    """Returns the chips whose compiler, C library and emulator this machine has."""
    return tuple(chip for chip in CHIPS if shutil.which(chip.emulator[0]) and _has_compiler(chip))


def measure_chip(chip: Chip, folder: Path) -> ChipFigures:
    """Runs the policy on an emulated chip.

    Args:
        chip: one of `find_chips`.
        folder: folder with `policy.c`, its headers and `golden.h`.

    Raises:
        ExportError: if it does not compile, fails its self-test or acts on NaN there.
    """
    with scratch_folder(".chip.") as scratch:
        program = _build(chip, folder, "chip_test", scratch, "--crt0=hosted", "--oslib=semihost")
        said = _run([*chip.emulator, *EMULATOR_FLAGS, "-kernel", str(program)])
        found = {name: int(number) for name, number in (line.split() for line in said.splitlines())}
        if found.pop("n_failures") or found.pop("n_broken_accepted"):
            raise ExportError(f"The plain C policy fails its self-test on an emulated {chip.name}: {said}")
        sizes = _read_sizes(chip, _build(chip, folder, "minimal", scratch))
    return ChipFigures(
        **found, flash_bytes=sizes[".init"] + sizes[".text"] + sizes[".data"], ram_bytes=sizes[".data"] + sizes[".bss"]
    )


def _has_compiler(chip: Chip) -> bool:
    compiler = shutil.which(f"{chip.prefix}gcc")
    return compiler is not None and _run([compiler, f"-print-file-name={SPECS}"]).strip() != SPECS


def _build(chip: Chip, folder: Path, name: str, scratch: Path, *options: str) -> Path:
    memory = {
        "__flash": chip.flash_address,
        "__flash_size": FLASH_BYTES,
        "__ram": chip.ram_address,
        "__ram_size": RAM_BYTES,
        "__stack_size": 0x8000,
    }
    symbols = [f"-Wl,--defsym={name}={value:#x}" for name, value in memory.items()]
    sources = [str(SOURCES / f"{name}.c"), str(folder / POLICY_SOURCE)]
    program = scratch / f"{name}.elf"
    command = [f"{chip.prefix}gcc", *chip.flags, *CHIP_FLAGS, *options, *symbols, f"-I{folder}", *sources, "-o"]
    _run([*command, str(program), "-lm"])
    return program


def _read_sizes(chip: Chip, program: Path) -> dict[str, int]:
    lines = [line.split() for line in _run([f"{chip.prefix}size", "-A", str(program)]).splitlines()]
    return {parts[0]: int(parts[1]) for parts in lines if len(parts) == 3 and parts[0].startswith(".")}


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{command[0]} did not end within {TIMEOUT_S:g} s.") from error
    if done.returncode:
        raise ExportError(f"{command[0]} failed. It said:\n{done.stderr[-2000:]}")
    return done.stdout


DEFAULT_WIDTHS = ((32, 32), (64, 64, 1))
"""Widths of the peer network's and the policy network's layers, in the policies whose figures are `KNOWN`."""


def prove_c(folder: Path, actor: Actor, evidence: Evidence, bounds: Bounds) -> Card:
    """Returns the part of the card about the plain C policy.

    A value is None if this machine lacks the compiler or emulator for it; the figures of chips are then those that
    were measured before, for networks of the default size.

    Args:
        folder: folder of the firmware.
        actor: network of the policy.
        evidence: the trained policy's actions on recorded observations.
        bounds: largest allowed differences.

    Raises:
        ExportError: if it acts differently from the trained policy, does not compile, or fails on an emulated chip.
    """
    chips = {chip.name: measure_chip(chip, folder) for chip in find_chips()}
    figures, origin = (chips, "measured with this policy") if chips else _find_known(actor)
    layers = (*actor.peer_layers, *actor.policy_layers)
    return {
        "weight_bytes": sum(layer.weight.nbytes + layer.bias.nbytes for layer in layers),
        "difference": _compare(folder, evidence, bounds),
        "chips": {name: asdict(found) for name, found in figures.items()},
        "chips_origin": origin,
    }


def _compare(folder: Path, evidence: Evidence, bounds: Bounds) -> Card | None:
    compiler = find_compiler()
    if compiler is None:
        return None
    difference = compare_actions(CPolicy(folder, compiler)(evidence.observations), evidence.trained)
    refuse_unequal(C, {"this machine": difference}, bounds, len(evidence.trained))
    return asdict(difference)


def _find_known(actor: Actor) -> tuple[dict[str, ChipFigures], str | None]:
    widths = tuple(tuple(layer.bias.size for layer in layers) for layers in (actor.peer_layers, actor.policy_layers))
    if widths != DEFAULT_WIDTHS or not actor.sees_ego:
        return {}, None
    return KNOWN, f"measured on {MEASURED_ON} with a network of this size"
