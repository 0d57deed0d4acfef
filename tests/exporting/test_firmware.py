"""The headers compile, hold the file bit for bit, and the self-test passes on right actions alone."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.assist import assist_deceleration_mps2
from roadsense.envs.observation import BOUND, EGO_SCALE, OBSERVATION_VERSION, Observation, observation_space
from roadsense.exporting.firmware import choose_golden
from roadsense.exporting.micro import MicroPolicy
from roadsense.policies.tflite import TflitePolicy, count_operators
from tests.firmware.host import VERSION, Step, play

DOUBLE = Path(__file__).with_name("micro_double")
BOARD = Path(__file__).parents[1] / "firmware" / "board_host.c"
VARIANTS = {"float32": "policy.tflite", "int8": "policy_int8.tflite"}
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic"]
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")

PRINT_CONSTANTS = """
#include <cstdint>
#include <cstdio>
#include "policy_VARIANT.h"
namespace policy = roadsense::policy_VARIANT;
int main() {
  std::printf("%s %zu %zu %u %d %d %d %d\\n", policy::kSha256, policy::kModelBytes, policy::kArenaBytes,
              policy::kOperatorCount, policy::kInputEgo, policy::kInputPeers, policy::kInputPeerMask,
              static_cast<int>(reinterpret_cast<std::uintptr_t>(policy::kModel) % 16));
  std::printf("%d %d %d %d %d\\n", ROADSENSE_OBSERVATION_VERSION, ROADSENSE_N_EGO, ROADSENSE_N_PEERS,
              ROADSENSE_N_PEER_FIELDS, ROADSENSE_N_PEERS);
  std::printf("%.9g %.9g %.9g %.9g\\n", roadsense_scale(15.0f, roadsense_ego_scale[0]),
              roadsense_scale(-1e9f, roadsense_peer_scale[0]), roadsense_deceleration_mps2(0.04f),
              roadsense_deceleration_mps2(0.6f));
  std::fwrite(policy::kModel, 1, policy::kModelBytes, stderr);
}
"""
TEST_ACTIONS = """
#include <cstdio>
#include "policy_VARIANT.h"
namespace policy = roadsense::policy_VARIANT;
bool act(const roadsense_observation*, float* action) {  // on standard input, in the order of the observations
  return std::scanf("%f", action) == 1;
}
int main() {
  const roadsense_self_test_result found = roadsense_self_test(act, policy::kGoldenAction, policy::kGoldenTolerance);
  std::printf("%zu %zu %g\\n", found.n_failures, found.worst_row, static_cast<double>(found.worst_difference));
}
"""


def compile_sources(program, *arguments):
    return subprocess.run(["g++", *STRICT, *arguments, "-o", program], capture_output=True, text=True, check=False)


def build(source, folder, *options):
    (folder / "source.cpp").write_text(source)
    done = compile_sources(folder / "program", "-std=c++17", *options, folder / "source.cpp")
    assert done.returncode == 0, done.stderr
    return folder / "program"


def run(program, **options):
    return subprocess.run([program], capture_output=True, check=False, timeout=60, **options)


@pytest.fixture
def golden(exported):
    return json.loads((exported.folder / "firmware" / "golden.json").read_text())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_header_holds_the_file_and_what_is_needed_to_run_it(exported, tmp_path, variant):
    include = f"-I{exported.folder / 'firmware'}"
    done = run(build(PRINT_CONSTANTS.replace("VARIANT", variant), tmp_path, include))
    path = exported.folder / VARIANTS[variant]
    assert done.stderr == path.read_bytes()
    first, second, third = done.stdout.decode().splitlines()
    sha256, *numbers = first.split()
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    order = TflitePolicy(path).input_names
    places = [order.index(name) for name in ("ego", "peers", "peer_mask")]
    arena_bytes = exported.card["files"][path.name]["arena_bytes_64_bit"]
    assert list(map(int, numbers)) == [path.stat().st_size, arena_bytes, len(count_operators(path)), *places, 0]
    shapes = [length for space in observation_space().values() for length in space.shape]
    assert list(map(int, second.split())) == [OBSERVATION_VERSION, *shapes]
    scaled = [15 / EGO_SCALE[0], -BOUND, assist_deceleration_mps2(0.04), assist_deceleration_mps2(0.6)]
    np.testing.assert_allclose(list(map(float, third.split())), scaled, rtol=1e-5)


def test_golden_vectors_are_what_each_policy_gives_and_spread_over_the_actions(exported, golden):
    assert golden["observation_version"] == OBSERVATION_VERSION
    observations = Observation(**{name: np.array(v, np.float32) for name, v in golden["observations"].items()})
    assert observations["ego"].shape == (20, len(EGO_SCALE))
    for variant, name in VARIANTS.items():
        path = exported.folder / name
        actions = MicroPolicy(path, TflitePolicy(path).input_names)(observations)
        np.testing.assert_array_equal(actions[:, 0], np.array(golden["actions"][variant], np.float32))
    trained = np.array(golden["actions"]["trained"])
    assert golden["actions"]["c"] == golden["actions"]["trained"]
    assert (trained.min(), trained.std() > 0.1) == (0.0, True)
    assert golden["tolerances"]["float32"] == golden["tolerances"]["c"] == pytest.approx(1e-5)
    # Two of the steps into which int8 cuts the range of the actions that this policy gives: more than one of them.
    assert trained.max() / 256 < golden["tolerances"]["int8"] < 2 / 100


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_self_test_passes_on_right_actions_and_names_the_worst_of_wrong_ones(exported, golden, tmp_path, variant):
    program = build(TEST_ACTIONS.replace("VARIANT", variant), tmp_path, f"-I{exported.folder / 'firmware'}")
    right = np.array(golden["actions"][variant])
    tolerance = golden["tolerances"][variant]

    def test(actions):
        done = run(program, input=" ".join(f"{action:.9g}" for action in actions).encode())
        failures, worst_row, worst = done.stdout.split()
        return int(failures), int(worst_row), float(worst)

    assert test(right) == (0, 0, 0.0)
    assert test(right + 0.9 * tolerance)[0] == 0
    wrong = right.copy()
    wrong[[7, 14]] += [2 * tolerance, 3 * tolerance]
    failures, worst_row, worst = test(wrong)
    assert (failures, worst_row) == (2, 14)
    assert worst == pytest.approx(3 * tolerance, rel=0.02)
    wrong[17] = np.nan
    assert test(wrong)[0] == 3


def build_with_tflm(exported, program, *options):
    """Builds the skeleton around TFLite Micro's declarations; its double answers as the golden vectors say, else 1."""
    folder = exported.folder / "firmware"
    skeleton = folder / "platformio" / "src"
    includes = [f"-I{path}" for path in (folder, skeleton, DOUBLE)]
    objects = []
    for source in (skeleton / "firmware.c", skeleton / "peers.c", BOARD, skeleton / "policy_tflm.cpp"):
        language = ["-std=c++17"] if source.suffix == ".cpp" else ["-x", "c", "-std=c99"]
        objects.append(program.with_name(f"{source.stem}.o"))
        done = compile_sources(objects[-1], "-DROADSENSE_TFLM", *options, *includes, *language, "-c", source)
        if done.returncode:
            return done
    return compile_sources(program, *objects)


STATIC = "-DTF_LITE_STATIC_MEMORY"


def test_the_firmware_on_tflite_micro_acts_if_its_self_test_passes_and_refuses_nan(exported, tmp_path):
    program = tmp_path / "program"
    assert build_with_tflm(exported, program, STATIC).returncode == 0
    own = (0.0, 0.0, 20.0, 0.0, 0.0, 0.0)
    heard = (30.0, 0.0, 0, 0, 15.0, -6.0, 0.0, 2, VERSION)
    broken = (0.0, 0.0, np.nan, 0.0, 0.0, 0.0)
    found = play(program, [Step(0, own, [heard]), Step(100, broken), Step(200, own)])
    assert found[:, 0].tolist() == [1.0, 0.0, 1.0]
    assert found[:, 2].tolist() == [0, 1, 1]


@pytest.mark.parametrize("place", range(len(EGO_SCALE)))
def test_without_the_refusal_the_runtime_turns_nan_into_full_braking(exported, place):
    path = exported.folder / "policy.tflite"
    policy = MicroPolicy(path, TflitePolicy(path).input_names)
    broken = Observation(**{name: np.zeros((1, *one.shape), np.float32) for name, one in observation_space().items()})
    broken["ego"][0, place] = np.nan
    unguarded = MicroPolicy.__call__.__wrapped__
    assert (unguarded(policy, broken).item(), policy(broken).item()) == (1.0, 0.0)


def test_the_firmware_on_tflite_micro_stays_off_if_an_action_is_wrong(exported, tmp_path):
    program = tmp_path / "program"
    assert build_with_tflm(exported, program, STATIC, "-DGOLDEN_OFFSET=2e-5f").returncode == 0
    assert run(program, input=b"\0\0\0\0").returncode == 2


def test_one_name_chooses_int8_with_its_golden_actions(exported, tmp_path):
    program = tmp_path / "program"
    done = build_with_tflm(exported, program, STATIC, "-DROADSENSE_TFLM_INT8")
    assert done.returncode == 0, done.stderr
    assert run(program, input=b"\0\0\0\0").returncode == 0


def test_a_build_that_would_not_fit_the_runtime_is_refused(exported, tmp_path):
    done = build_with_tflm(exported, tmp_path / "program")
    assert done.returncode
    assert "Define TF_LITE_STATIC_MEMORY" in done.stderr


def test_the_script_that_checks_the_runtimes_source_builds_what_it_finds_and_fails_with_it(exported, tmp_path):
    script = Path(__file__).parents[2] / "docs" / "firmware" / "check_tflm.sh"
    checkout = shutil.copytree(DOUBLE, tmp_path / "checkout")
    for name in ("kernels", "tflite_bridge", "memory_planner", "arena_allocator"):
        (checkout / "tensorflow" / "lite" / "micro" / name).mkdir()
    for name in ("lite/core", "lite/kernels", "compiler"):
        (checkout / "tensorflow" / name).mkdir(parents=True)
    (checkout / "tensorflow" / "lite" / "core" / "one.cc").write_text("int one() { return 1; }\n")
    words = [script, checkout, exported.folder / "firmware"]
    for options in ([], ["-DROADSENSE_TFLM_INT8"]):
        done = subprocess.run([*words, *options], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "The self-test passed.\n", "")
    done = subprocess.run([*words, "-DGOLDEN_OFFSET=2e-5f"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert subprocess.run([script], capture_output=True, check=False).returncode == 2


def test_golden_rows_spread_over_few_and_many_observations():
    actions = np.linspace(0, 1, 1000, dtype=np.float32)[:, None]
    rows = choose_golden(np.random.default_rng(0).permutation(actions))
    assert len(set(rows.tolist())) == 20
    assert choose_golden(actions[:7]).tolist() == list(range(7))
