"""The sources for a real board compile against the declarations that they use, for both frameworks."""

import configparser
import re
import subprocess
from pathlib import Path

import pytest

from tests.firmware.host import COMPILER

DECLARATIONS = Path(__file__).with_name("esp32")
IDF = {"4.4": "ESP_IDF_VERSION_VAL(4,4,7)", "5.1": "ESP_IDF_VERSION_VAL(5,1,4)"}
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler on this machine")


def compile_for_esp32(export_folder, name, *options):
    source = export_folder / "platformio" / "src" / name
    language = ["-x", "c++", "-std=c++17"] if source.suffix == ".cpp" else ["-x", "c", "-std=c99"]
    includes = [f"-I{export_folder}", f"-I{source.parent}", f"-isystem{DECLARATIONS}"]
    command = [COMPILER, "-fsyntax-only", *WARNINGS, *includes, *options, *language, source]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", IDF)
@pytest.mark.parametrize("name", ["board_esp32.c", "firmware.c", "peers.c", "main.cpp"])
@pytest.mark.parametrize("framework", ["espidf", "arduino"])
def test_every_source_compiles_for_both_frameworks(export_folder, name, framework, version):
    options = [f"-DESP_IDF_VERSION={IDF[version]}", *(["-DARDUINO=10812"] if framework == "arduino" else [])]
    done = compile_for_esp32(export_folder, name, *options)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("esp_now_add_peer", "esp_now_add_pear"),
        ("all.ifidx", "all.ifx"),
        ("const esp_now_recv_info_t *sender", "int x"),
    ],
)
def test_a_typo_would_be_found(export_folder, tmp_path, old, new):
    folder = tmp_path / "platformio" / "src"
    folder.mkdir(parents=True)
    source = (export_folder / "platformio" / "src" / "board_esp32.c").read_text()
    assert old in source
    (folder / "board_esp32.c").write_text(source.replace(old, new))
    options = [f"-DESP_IDF_VERSION={IDF['5.1']}", f"-I{export_folder}", f"-I{export_folder / 'platformio' / 'src'}"]
    assert compile_for_esp32(tmp_path, "board_esp32.c", *options).returncode


def test_the_project_names_every_source_and_folder_as_it_is(export_folder):
    project = export_folder / "platformio"
    settings = configparser.ConfigParser()
    settings.read(project / "platformio.ini")
    assert {"env", "env:arduino", "env:espidf"} == set(settings.sections())
    for word in settings["env"]["build_flags"].split():
        assert not word.startswith("-I") or (project / word[2:]).is_dir()
    (outside,) = re.findall(r"\+<(\.\./.*)>", settings["env:arduino"]["build_src_filter"])
    assert (project / "src" / outside).is_file()
    listed = re.search(r"SRCS (.*)", (project / "src" / "CMakeLists.txt").read_text()).group(1).split()
    assert all((project / "src" / name).is_file() for name in listed)
    own = {path.name for path in (project / "src").iterdir() if path.suffix in (".c", ".cpp")}
    assert own - {Path(name).name for name in listed} == set()
