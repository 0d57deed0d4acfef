"""The plain C policy on emulated microcontrollers: its self-test, and the cost of an action there."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from roadsense.errors import ExportError
from roadsense.exporting.c_source import POLICY_SOURCE, SOURCES
from roadsense.utils.scratch import scratch_folder

TIMEOUT_S = 60.0
RAM_BYTES = FLASH_BYTES = 0x400000
SPECS = "picolibc.specs"
FLAGS = (f"--specs={SPECS}", "-std=c99", "-O2", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
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
    command = [f"{chip.prefix}gcc", *chip.flags, *FLAGS, *options, *symbols, f"-I{folder}", *sources, "-o"]
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
