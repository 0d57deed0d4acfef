"""Files are whole or not there."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from roadsense.errors import InputError
from roadsense.utils.files import refuse_existing, write_atomically


@pytest.mark.parametrize(("content", "kept"), [("grün\n", "grün\n".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_what_is_written_is_there_and_nothing_beside_it(tmp_path, content, kept):
    path = tmp_path / "config.json"
    write_atomically(path, content)
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]


def test_writing_again_replaces(tmp_path):
    path = tmp_path / "config.json"
    write_atomically(path, "a long first text")
    write_atomically(path, "short")
    assert path.read_text() == "short"


def write_with_a_full_disk(path):
    """Writes 100 kB in a process whose files may have 10 kB, which fails half-way like a full disk."""
    code = (
        "import resource, sys; from pathlib import Path; from roadsense.utils.files import write_atomically;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000));"
        "write_atomically(Path(sys.argv[1]), 'x' * 100_000)"
    )
    return subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)


def test_a_write_that_fails_half_way_leaves_the_old_content(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("old")
    assert "OSError" in write_with_a_full_disk(path).stderr
    assert path.read_text() == "old"


def test_a_first_write_that_fails_half_way_leaves_no_file_of_that_name(tmp_path):
    path = tmp_path / "config.json"
    assert write_with_a_full_disk(path).returncode != 0
    assert not path.exists()


@pytest.mark.parametrize("failure", ["full disk", "name taken by a folder"])
def test_a_failed_write_leaves_nothing_beside_it(tmp_path, failure):
    path = tmp_path / "config.json"
    if failure == "full disk":
        write_with_a_full_disk(path)
    else:
        path.mkdir()
        with pytest.raises(OSError, match="directory"):
            write_atomically(path, "new")
    assert not list(tmp_path.glob(".*"))


def test_of_two_that_write_the_same_file_each_writes_it_whole(tmp_path):
    path = tmp_path / "state.json"
    contents = [letter * 200_000 for letter in "ab"]
    found = set()

    def write_often(content):
        for _ in range(100):
            write_atomically(path, content)
            found.add(path.read_text())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write_often, contents))
    assert found <= set(contents)
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "nowhere" / "config.json", "text")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: (path.mkdir(), (path / "a").touch()), "holds something"),
        (lambda path: path.touch(), "is a file or a link"),
        (lambda path: path.symlink_to("nowhere"), "is a file or a link"),
        (lambda path: path.parent.touch(), "cannot be made in"),
    ],
)
def test_a_folder_to_make_must_be_new(tmp_path, make, reason):
    folder = tmp_path / "runs" / "new"
    if reason != "cannot be made in":
        folder.parent.mkdir()
    make(folder)
    with pytest.raises(InputError, match=reason):
        refuse_existing(folder, "the run")


def test_a_folder_to_make_may_be_missing_or_empty(tmp_path):
    refuse_existing(tmp_path / "runs" / "new", "the run")
    refuse_existing(tmp_path, "the run")
