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
from roadsense.exporting.golden import choose_golden
from roadsense.exporting.micro import MicroPolicy
from roadsense.policies.tflite_file import count_operators
from roadsense.policies.tflite_policy import TflitePolicy

ROOT = Path(__file__).parents[2]
EXAMPLE, DOUBLE = ROOT / "docs" / "firmware", Path(__file__).with_name("micro_double")
VARIANTS = {"float32": "policy.tflite", "int8": "policy_int8.tflite"}
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")

PRINT_CONSTANTS = """
#include <cstdint>
#include <cstdio>
#include "golden.h"
#include "policy_VARIANT.h"
namespace policy = roadsense::policy_VARIANT;
int main() {
  std::printf("%s %zu %zu %u %d %d %d %d\\n", policy::kSha256, policy::kModelBytes, policy::kArenaBytes,
              policy::kOperatorCount, policy::kInputEgo, policy::kInputPeers, policy::kInputPeerMask,
              static_cast<int>(reinterpret_cast<std::uintptr_t>(policy::kModel) % 16));
  std::printf("%d %d %d %d %d\\n", roadsense::kObservationVersion, roadsense::kEgoShape[1], roadsense::kPeersShape[1],
              roadsense::kPeersShape[2], roadsense::kPeerMaskShape[1]);
  std::printf("%.9g %.9g %.9g %.9g\\n", roadsense::Scale(15.0f, roadsense::kEgoScale[0]),
              roadsense::Scale(-1e9f, roadsense::kPeerScale[0]), roadsense::DecelerationMps2(0.04f),
              roadsense::DecelerationMps2(0.6f));
  std::fwrite(policy::kModel, 1, policy::kModelBytes, stderr);
}
"""
TEST_ACTIONS = """
#include <cstdio>
#include "golden.h"
int main() {  // actions come on standard input, in the order in which the observations are asked for
  const auto act = [](const float*, const float*, const float*) {
    float action;
    return std::scanf("%f", &action) == 1 ? action : -1.0f;
  };
  const auto result =
      roadsense::SelfTest(act, roadsense::kGoldenActionVARIANT, roadsense::kGoldenToleranceVARIANT);
  std::printf("%zu %zu %g\\n", result.failures, result.worst_row, static_cast<double>(result.worst_difference));
}
"""


def build(source, folder, *options):
    program = folder / "program"
    if not isinstance(source, Path):
        (folder / "source.cpp").write_text(source)
        source = folder / "source.cpp"
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    done = subprocess.run(
        ["g++", *strict, *options, source, "-o", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return program


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
    arena_bytes = exported.card["files"][path.name]["arena_bytes"]
    assert list(map(int, numbers)) == [path.stat().st_size, arena_bytes, len(count_operators(path)), *places, 0]
    shapes = [length for space in observation_space().values() for length in space.shape]
    assert list(map(int, second.split())) == [OBSERVATION_VERSION, *shapes]
    scaled = [15 / EGO_SCALE[0], -BOUND, assist_deceleration_mps2(0.04), assist_deceleration_mps2(0.6)]
    np.testing.assert_allclose(list(map(float, third.split())), scaled, rtol=1e-5)


def test_golden_vectors_are_what_tflite_micro_gives_and_spread_over_the_actions(exported, golden):
    assert golden["observation_version"] == OBSERVATION_VERSION
    observations = Observation(**{name: np.array(v, np.float32) for name, v in golden["observations"].items()})
    assert observations["ego"].shape == (100, len(EGO_SCALE))
    for variant, name in VARIANTS.items():
        path = exported.folder / name
        actions = MicroPolicy(path, TflitePolicy(path).input_names)(observations)
        np.testing.assert_array_equal(actions[:, 0], np.array(golden["actions"][variant], np.float32))
    trained = np.array(golden["actions"]["trained"])
    assert (trained.min(), trained.std() > 0.1) == (0.0, True)
    assert golden["tolerances"]["float32"] == pytest.approx(1e-5)
    # Two of the steps into which int8 cuts the range of the actions that this policy gives: more than one of them.
    assert trained.max() / 256 < golden["tolerances"]["int8"] < 2 / 100


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_self_test_passes_on_right_actions_and_names_the_worst_of_wrong_ones(exported, golden, tmp_path, variant):
    source = TEST_ACTIONS.replace("VARIANT", variant.capitalize())
    program = build(source, tmp_path, f"-I{exported.folder / 'firmware'}")
    right = np.array(golden["actions"][variant])
    tolerance = golden["tolerances"][variant]

    def test(actions):
        done = run(program, input=" ".join(f"{action:.9g}" for action in actions).encode())
        failures, worst_row, worst = done.stdout.split()
        return int(failures), int(worst_row), float(worst)

    assert test(right) == (0, 0, 0.0)
    assert test(right + 0.9 * tolerance)[0] == 0
    wrong = right.copy()
    wrong[[7, 40]] += [2 * tolerance, 3 * tolerance]
    failures, worst_row, worst = test(wrong)
    assert (failures, worst_row) == (2, 40)
    assert worst == pytest.approx(3 * tolerance, rel=0.02)
    wrong[13] = np.nan
    assert test(wrong)[:2] == (3, 13)


def test_the_example_finds_every_input_and_brakes_only_when_its_self_test_passes(exported, tmp_path):
    includes = [f"-I{folder}" for folder in (exported.folder / "firmware", EXAMPLE, DOUBLE)]
    done = run(build(EXAMPLE / "main.cpp", tmp_path, *includes))
    assert (done.returncode, done.stdout.decode().splitlines()) == (
        0,
        ["0 of 100 golden vectors failed; largest difference 0", "brake with 8.0 m/s2"],
    )
    done = run(build(EXAMPLE / "main.cpp", tmp_path, *includes, "-DGOLDEN_OFFSET=2e-5f"))
    assert done.returncode == 1
    assert b"brake" not in done.stdout


def test_golden_rows_spread_over_few_and_many_observations():
    actions = np.linspace(0, 1, 1000, dtype=np.float32)[:, None]
    rows = choose_golden(np.random.default_rng(0).permutation(actions))
    assert len(set(rows.tolist())) == 100
    assert choose_golden(actions[:7]).tolist() == list(range(7))
