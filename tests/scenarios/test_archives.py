"""Archives of scenarios: unpacked whole, or refused with nothing left behind."""

import gzip
import io
import os
import random
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadsense.cli import main
from roadsense.errors import InputError, RoadSenseError, ScenarioError
from roadsense.scenarios import archives
from roadsense.scenarios.archives import MAX_DEPTH, MAX_NAME_CHARS, unpack_scenarios
from roadsense.scenarios.scenario import open_scenario

Files = Iterable[tuple[str, bytes]]
ZEROS = bytes(40 * 2**20)
CONFIG_NAME = "fast_road/scenario.sumocfg"


@pytest.fixture
def files(tiny_bases: Path) -> list[tuple[str, bytes]]:
    """The names and contents of two good scenarios."""
    paths = sorted(path for path in tiny_bases.rglob("*") if path.is_file())
    return [(path.relative_to(tiny_bases).as_posix(), path.read_bytes()) for path in paths]


def make_zip(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in files:
            bundle.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def make_tar(path: Path, files: Files) -> Path:
    with tarfile.open(path, "w:gz") as bundle:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            bundle.addfile(info, io.BytesIO(content))
    return path


MAKERS = {"zip": make_zip, "tar.gz": make_tar}


def refuse(archive: Path, reason: str) -> None:
    """Checks that an archive is refused for a reason, and that the folder beside it is as before."""
    beside = archive.parent / "beside"
    beside.mkdir()
    with pytest.raises(ScenarioError, match=reason):
        unpack_scenarios(archive, beside / "new")
    assert list(beside.iterdir()) == []
    assert sorted(path.name for path in archive.parent.iterdir()) == sorted([archive.name, "beside"])


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_good_archive_is_unpacked_whole(make: Callable[..., Path], files: list, tmp_path: Path) -> None:
    packed = [("fast_road/more.zip", b"PK\x05\x06" + bytes(18)), ("README.md", b"Two roads.")]
    paths = unpack_scenarios(make(tmp_path / "a", [*files, *packed]), tmp_path / "new")
    assert paths == [tmp_path / "new" / name / "scenario.sumocfg" for name in ("fast_road", "slow_road")]
    assert all((tmp_path / "new" / name).read_bytes() == content for name, content in [*files, *packed])
    assert len([path for path in (tmp_path / "new").rglob("*") if path.is_file()]) == len(files) + 2
    assert open_scenario(paths[0]).name == "fast_road"
    assert sorted(os.listdir(tmp_path)) == ["a", "new"]


def test_folders_may_be_named_too(tiny_bases: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as bundle:
        bundle.add(tiny_bases, arcname=".")
    assert len(unpack_scenarios(tmp_path / "a.tar.gz", tmp_path / "new")) == 2


def test_the_command_unpacks_and_says_so(files: list, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    make_zip(tmp_path / "a.zip", files)
    assert main(["unpack", str(tmp_path / "a.zip"), str(tmp_path / "new")]) == 0
    assert "2 scenarios unpacked" in capsys.readouterr().out
    assert main(["unpack", str(tmp_path / "a.zip"), str(tmp_path / "new")]) == 2
    assert "Expected a new folder" in capsys.readouterr().err


NAMES = {
    "parent": ("../evil.sh", "does not name a place"),
    "parent within": ("a/../../evil.sh", "does not name a place"),
    "absolute": ("/tmp/evil.sh", "does not name a place"),
    "drive": ("C:/evil.sh", "does not name a place"),
    "backslash": ("..\\evil.sh", "does not name a place"),
    "text that runs backwards": ("a\u202egpj.exe", "does not name a place"),
    "character without width": ("a\u200bb", "does not name a place"),
    "device of Windows": ("fast_road/CON", "does not name a place"),
    "device with an ending": ("nul.txt", "does not name a place"),
    "dot at the end": ("fast_road./x", "does not name a place"),
    "space at the end": ("x ", "does not name a place"),
    "control character": ("a\x1b[2Jb", "does not name a place"),
    "the same name": (CONFIG_NAME, "is already there"),
    "another case": (CONFIG_NAME.upper(), "is already there"),
    "another folder's case": ("Fast_Road/notes.txt", "is already there"),
    "another form of a letter": ("\uff46ast_road/notes.txt", "is already there"),
    "a file as a folder": (f"{CONFIG_NAME}/notes.txt", "is already there"),
    "a folder as a file": ("fast_road", "is already there"),
    "long": ("a" * (MAX_NAME_CHARS + 1), "Shorten it"),
    "deep": ("a/" * MAX_DEPTH + "a", "Shorten it"),
    "too much": ("zeros", "unpacks to more than it may"),
    "nothing": ("", "that can be unpacked|is already there"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(("name", "reason"), NAMES.values(), ids=NAMES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_with_an_unsafe_name_or_size_is_refused(
    make: Callable[..., Path], files: list, tmp_path: Path, name: str, reason: str
) -> None:
    content = ZEROS if name == "zeros" else b"x"
    refuse(make(tmp_path / "a", [*files, (name, content)]), reason)


TAR_TYPES = {
    "link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
}


@pytest.mark.parametrize("kind", TAR_TYPES.values(), ids=TAR_TYPES)
def test_links_and_devices_in_a_tar_are_refused(files: list, tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a", "w:gz") as bundle:
        info = tarfile.TarInfo("fast_road/x")
        info.type, info.linkname = kind, "/etc/passwd"
        bundle.addfile(info)
    refuse(tmp_path / "a", "a link or a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("fast_road/x")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a", "w") as bundle:
        bundle.writestr(info, "/etc/passwd")
    refuse(tmp_path / "a", "a link or a device")


def test_a_link_and_a_file_through_it_write_nothing_outside(files: list, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a", "w:gz") as bundle:
        info = tarfile.TarInfo("out")
        info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path)
        bundle.addfile(info)
        bundle.addfile(tarfile.TarInfo("out/evil"))
    refuse(tmp_path / "a", "a link or a device")


def test_a_rare_packing_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_LZMA) as bundle:
        bundle.writestr("x", "x")
    refuse(tmp_path / "a", "packed in a rare way")


def test_an_encrypted_zip_is_refused(files: list, tmp_path: Path) -> None:
    content = bytearray(make_zip(tmp_path / "a", files[:1]).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[6] |= 1
    (tmp_path / "a").write_bytes(content)
    refuse(tmp_path / "a", "encrypted")


def test_a_size_that_is_a_lie_is_refused(tmp_path: Path) -> None:
    content = bytearray(make_zip(tmp_path / "a", [("zeros", ZEROS)]).read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = struct.pack("<I", 9)
    (tmp_path / "a").write_bytes(content)
    refuse(tmp_path / "a", "that can be unpacked")


def test_a_tar_whose_headers_are_the_bomb_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 60 * 2**20
    with gzip.open(tmp_path / "a", "wb", compresslevel=9) as file:
        file.write(header.tobuf())
        file.write(bytes(header.size))
    refuse(tmp_path / "a", "unpacks to more than it may")


def test_a_tar_of_headers_upon_headers_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2
    with gzip.open(tmp_path / "a", "wb") as file:
        file.write((header.tobuf() + b"x".ljust(512, b"\0")) * 5000)
    refuse(tmp_path / "a", "that can be unpacked")


def test_a_tar_with_a_negative_size_is_refused(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("x").tobuf())
    header[124:136] = b"\xff" * 12
    checksum = sum(header[:148]) + 8 * 32 + sum(header[156:])
    header[148:156] = f"{checksum:06o}\0 ".encode()
    (tmp_path / "a").write_bytes(gzip.compress(bytes(header) * 3 + bytes(1024)))
    refuse(tmp_path / "a", "is already there|that can be unpacked")


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_more_entries_than_a_dataset_has_are_refused(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 20)
    refuse(make(tmp_path / "a", [(str(i), b"") for i in range(21)]), "more than 20 entries")


def test_an_archive_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    os.truncate(tmp_path / "a", archives.MAX_ARCHIVE_BYTES + 1)
    refuse(tmp_path / "a", "at most 268435456 are opened")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x1f\x8b", b"Hello", bytes(2048)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    refuse(tmp_path / "a", r"not a \.zip or \.tar\.gz")


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_an_archive_cut_short_is_refused(make: Callable[..., Path], files: list, tmp_path: Path) -> None:
    content = make(tmp_path / "a", files).read_bytes()
    (tmp_path / "a").write_bytes(content[: len(content) // 2])
    refuse(tmp_path / "a", r"not a \.zip or \.tar\.gz")


def test_a_tar_with_a_wrong_checksum_is_refused(files: list, tmp_path: Path) -> None:
    content = bytearray(make_tar(tmp_path / "a", files).read_bytes())
    content[-6] ^= 255
    (tmp_path / "a").write_bytes(content)
    refuse(tmp_path / "a", "CRC")


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_an_archive_without_a_scenario_is_refused(make: Callable[..., Path], tmp_path: Path) -> None:
    refuse(make(tmp_path / "a", [("README.md", b"none")]), r"at least one \.sumocfg below the archive")


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_one_unsafe_scenario_refuses_the_whole_archive(make: Callable[..., Path], files: list, tmp_path: Path) -> None:
    unsafe = [
        (name, content.replace(b"<routes>", b'<routes>\n<include href="/etc/hosts"/>'))
        if name.startswith("slow_road/routes")
        else (name, content)
        for name, content in files
    ]
    refuse(make(tmp_path / "a", unsafe), r"a: slow_road/routes\.rou\.xml:2: <include>")


def test_a_folder_crowded_with_configurations_is_refused(files: list, tmp_path: Path) -> None:
    config = dict(files)[CONFIG_NAME]
    refuse(make_zip(tmp_path / "a", [*files, *((f"fast_road/{i}.sumocfg", config) for i in range(10))]), "more than 10")


def test_the_target_must_be_new_and_its_parent_there(files: list, tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", files)
    (tmp_path / "dead").symlink_to("nowhere")
    for folder, reason in (
        (tmp_path, "Expected a new folder"),
        (tmp_path / "dead", "Expected a new folder"),
        (tmp_path / "no" / "new", "Expected the folder"),
    ):
        with pytest.raises(InputError, match=reason):
            unpack_scenarios(archive, folder)
    with pytest.raises(InputError, match="Expected an archive"):
        unpack_scenarios(tmp_path / "b.zip", tmp_path / "new")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.randoms(use_true_random=False), kind=st.sampled_from(sorted(MAKERS)), packed=st.booleans())
def test_damaged_archives_are_unpacked_whole_or_refused(
    files: list, tmp_path_factory: pytest.TempPathFactory, draw: random.Random, kind: str, packed: bool
) -> None:
    outer = tmp_path_factory.mktemp("damaged")
    content = bytearray(MAKERS[kind](outer / "a", files).read_bytes())
    if kind == "tar.gz" and not packed:
        content = bytearray(gzip.decompress(content))
    for _ in range(draw.randrange(1, 6)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    (outer / "a").write_bytes(gzip.compress(content) if kind == "tar.gz" and not packed else content)
    try:
        assert len(unpack_scenarios(outer / "a", outer / "new")) > 0
    except RoadSenseError:
        assert os.listdir(outer) == ["a"]
