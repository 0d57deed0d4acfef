"""Unpacks and checks archives of scenarios from untrusted sources, completely or not at all."""

import gzip
import re
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from roadsense.errors import InputError, ScenarioError
from roadsense.scenarios.scenario import find_scenarios, open_scenario
from roadsense.utils.files import is_of_machine
from roadsense.utils.safe_xml import MAX_FILE_BYTES
from roadsense.utils.scratch import arriving

MAX_ARCHIVE_BYTES = 256 * 2**20
MAX_ENTRIES = 20_000
MAX_UNPACKED_BYTES = 2**30
MAX_RATIO = 200
"""Largest number of unpacked bytes for each byte of the archive: XML has about 10, a zip bomb about 1000."""

FREE_BYTES = 10 * 2**20
"""Unpacked size that is always allowed, even for a very small archive."""

MAX_NAME_CHARS = 200
MAX_DEPTH = 16
MAX_CONFIGS_IN_FOLDER = 10

_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
_RESERVED = re.compile(r"CON|PRN|AUX|NUL|COM\d|LPT\d", re.IGNORECASE)
"""Names that Windows reserves for devices, with any ending."""
_CHUNK_BYTES = 2**16
BROKEN = (OSError, EOFError, ValueError, RuntimeError, struct.error, zlib.error, tarfile.TarError, zipfile.BadZipFile)
"""Errors of the standard library for a file that is no archive, is cut short, encrypted or malicious."""


class _Entry(NamedTuple):
    name: str
    source: IO[bytes] | None  # None for a folder
    refusal: str = ""  # its kind, if it is neither file nor folder


def unpack_scenarios(archive: Path, folder: Path) -> list[Path]:
    """Unpacks a `.zip` or `.tar.gz` of scenarios into a new folder, after the checks of `open_scenario` on each.

    It is unpacked beside the folder and then renamed: after an error nothing is left. Links, devices, names that lead
    out of the folder or differ only in case, and more files or bytes than a dataset has are refused; an archive
    within it stays packed.

    Args:
        archive: path of the archive; its content decides which of the two formats it has.
        folder: folder to unpack into, new or empty; its parent exists.

    Returns:
        The path of each `.sumocfg`, sorted.

    Raises:
        InputError: if the archive or the folder's parent is missing, or the folder exists and is not empty.
        ScenarioError: if the archive or one of its scenarios is refused; it names the entry and the reason.
    """
    if not folder.parent.is_dir():
        raise InputError(f"Expected the folder {folder.parent} for {folder.name}, found none. Make it first.")
    if not archive.is_file():
        raise InputError(f"Expected an archive, but {archive} is no file. Check the path.")
    with arriving(folder, "the scenarios") as part:
        inner = part.resolve()
        _extract(archive, inner)
        _check_scenarios(archive, inner)
    return find_scenarios(folder)


def _check_scenarios(archive: Path, folder: Path) -> None:
    try:
        paths = find_scenarios(folder)
        crowded = [path for path, n in Counter(path.parent for path in paths).items() if n > MAX_CONFIGS_IN_FOLDER]
        if crowded:
            raise ScenarioError(f"{crowded[0]}: more than {MAX_CONFIGS_IN_FOLDER} .sumocfg in one folder. Split it.")
        for path in paths:
            open_scenario(path)
    except ScenarioError as error:
        # The folder will be removed: name the file by its path in the archive.
        reason = str(error).replace(f"{folder}/", "").replace(str(folder), "the archive")
        raise ScenarioError(f"{archive}: {reason}") from error


def _extract(archive: Path, folder: Path) -> None:
    n_packed = archive.stat().st_size
    if n_packed > MAX_ARCHIVE_BYTES:
        raise ScenarioError(f"{archive}: {n_packed} bytes; at most {MAX_ARCHIVE_BYTES} are opened. Split it.")
    limit = min(MAX_UNPACKED_BYTES, FREE_BYTES + MAX_RATIO * n_packed)
    try:
        entries = _zip_entries(archive) if zipfile.is_zipfile(archive) else _tar_entries(archive, limit)
        with closing(entries):
            _write(archive, entries, folder, limit)
    except _Overflow as error:
        raise ScenarioError(
            f"{archive}: {error}unpacks to more than it may: {MAX_FILE_BYTES} bytes a file, {limit} in all "
            f"({MAX_RATIO} times its own size). Pack fewer scenarios together."
        ) from error
    except BROKEN as error:
        if is_of_machine(error):
            raise
        raise ScenarioError(
            f"{archive}: not a .zip or .tar.gz that can be unpacked ({error}). Pack it again."
        ) from error


def _write(archive: Path, entries: Generator[_Entry], folder: Path, limit: int) -> None:
    names: dict[str, str] = {}
    for n_entries, entry in enumerate(entries, start=1):
        if n_entries > MAX_ENTRIES:
            raise ScenarioError(f"{archive}: more than {MAX_ENTRIES} entries. Split it.")
        target = folder / _check_name(archive, entry, names)
        if entry.source is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            limit -= _copy(entry.source, target, min(limit, MAX_FILE_BYTES))


class _Overflow(Exception):
    """The archive is larger than allowed; the text names the entry, if it is known."""


def _copy(source: IO[bytes], target: Path, limit: int) -> int:
    n_bytes = 0
    with target.open("xb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            n_bytes += len(chunk)
            if n_bytes > limit:
                raise _Overflow(f"{target.name!r} ")
            file.write(chunk)
    return n_bytes


def _check_name(archive: Path, entry: _Entry, names: dict[str, str]) -> PurePosixPath:
    # Returns a name that is safe below a folder, or refuses it. `names` holds the names so far, by their key.
    where = f"{archive}: entry {entry.name[:80]!r}"
    if entry.refusal:
        raise ScenarioError(f"{where} is {entry.refusal}; only files and folders are unpacked. Leave it out.")
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts or not all(_is_plain(part) for part in path.parts):
        raise ScenarioError(f"{where} does not name a place in the archive's own folder. Rename it.")
    if len(entry.name.encode(errors="replace")) > MAX_NAME_CHARS or len(path.parts) > MAX_DEPTH:
        raise ScenarioError(f"{where}: more than {MAX_NAME_CHARS} characters or {MAX_DEPTH} folders deep. Shorten it.")
    # Each parent folder counts as named; a folder may be named again, a file may not.
    for place in (path, *path.parents):
        spelled = str(place) if place == path and entry.source else f"{place}/"
        key = unicodedata.normalize("NFKC", str(place)).casefold()
        if key in names and (names[key] != spelled or not spelled.endswith("/")):
            raise ScenarioError(f"{where} is already there, on some computers at least, as {names[key]!r}. Rename it.")
        names[key] = spelled
    return path


def _is_plain(name: str) -> bool:
    """Returns whether a name means and looks the same on every computer: no hidden or reserved characters or words."""
    hidden = any(unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") for char in name)
    is_reserved = _RESERVED.fullmatch(name.partition(".")[0]) is not None
    return not (hidden or is_reserved or _NOT_IN_NAMES.search(name) or name.endswith((".", " ")))


def _zip_entries(archive: Path) -> Generator[_Entry]:
    with zipfile.ZipFile(archive) as bundle:
        for info in bundle.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                yield _Entry(info.orig_filename, None, "a link or a device")
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                yield _Entry(info.orig_filename, None, "packed in a rare way")
            elif info.orig_filename.endswith("/"):
                yield _Entry(info.orig_filename, None)
            else:
                with bundle.open(info) as source:
                    yield _Entry(info.orig_filename, source)


def _tar_entries(archive: Path, limit: int) -> Generator[_Entry]:
    # As a stream: skipped bytes count too, and the reader never moves back.
    with gzip.open(archive) as packed:
        bounded = cast(IO[bytes], _Bounded(packed, limit))
        bundle = tarfile.open(fileobj=bounded, mode="r|")
        for member in bundle:
            if member.isdir():
                yield _Entry(member.name, None)
            elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.sparse:
                yield _Entry(member.name, bundle.extractfile(member))
            else:
                yield _Entry(member.name, None, "a link or a device")
        while bounded.read(_CHUNK_BYTES):  # to its end, where its checksum is
            pass


class _Bounded:
    # A stream that raises an error after a number of bytes; a tar has up to 1 kB of headers for each file.

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self.stream, self.left = stream, limit + 2 * MAX_ENTRIES * tarfile.BLOCKSIZE

    def read(self, size: int) -> bytes:
        chunk = self.stream.read(size)
        self.left -= len(chunk)
        if self.left < 0:
            raise _Overflow("")
        return chunk
