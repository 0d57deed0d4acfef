"""The policy in plain C acts as the trained one, refuses broken observations, and is clean to every checker."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.observation import BOUND, N_VALUES, Observation, split_observation
from roadsense.errors import ExportError
from roadsense.exporting.c_proof import CPolicy, find_compiler
from roadsense.exporting.c_source import (
    OBSERVATION_HEADER,
    C,
    write_c_policy,
    write_golden_header,
    write_observation_header,
    write_places_headers,
    write_skeleton,
)
from roadsense.policies.actor import read_actor
from roadsense.policies.models import as_model_input
from tests.exporting.models import MODELS, draw

FUZZ = Path(__file__).with_name("fuzz_policy.c")
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Werror"]
COMPILER = find_compiler()
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler on this machine")


def write_sources(folder, model):
    folder.mkdir(exist_ok=True)
    (folder / OBSERVATION_HEADER).write_text(write_observation_header())
    for name, text in {**write_places_headers(), **write_c_policy(read_actor(model), "0" * 64)}.items():
        (folder / name).write_text(text)
    return folder


def write_tested_sources(folder):
    """A policy that sees the ego, with the vectors of its self-test."""
    model, observations = MODELS["ppo_sees_ego"](), draw(20)
    write_sources(folder, model)
    actions, _ = model.predict(as_model_input(model, observations), deterministic=True)
    (folder / "golden.h").write_text(write_golden_header(observations, {C: actions}, {C: 1e-5}))
    return folder


def compile_strictly(folder, *options, out="policy.o"):
    command = [COMPILER, *STRICT, f"-I{folder}", *options, folder / "policy.c", "-o", folder / out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / out


@pytest.fixture(scope="module")
def eager(tmp_path_factory):
    """Sources of a policy that brakes fully whatever it sees, so that a refusal shows."""
    model = MODELS["ppo_sees_ego"]()
    model.policy.action_net.bias.data.fill_(1e4)
    return write_sources(tmp_path_factory.mktemp("eager"), model)


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_network_acts_as_it_was_trained(tmp_path, name):
    model = MODELS[name]()
    folder = write_sources(tmp_path, model)
    compile_strictly(folder, "-c", "-O2")
    observations = draw(1000)
    expected, _ = model.predict(as_model_input(model, observations), deterministic=True)
    actions, accepted = CPolicy(folder, COMPILER).act(observations)
    assert accepted.all()
    assert ((expected > 0) & (expected < 1)).sum() > 40
    np.testing.assert_allclose(actions, expected, rtol=0, atol=1e-5)


def test_order_of_the_peers_and_values_in_empty_slots_change_nothing(tmp_path):
    policy = CPolicy(write_sources(tmp_path, MODELS["ppo_sees_ego"]()), COMPILER)
    observations = draw(300)
    actions = policy(observations)
    peers, mask = observations["peers"].copy(), observations["peer_mask"]
    peers[mask == 0] = BOUND
    np.testing.assert_array_equal(policy({**observations, "peers": peers}), actions)
    order = np.random.default_rng(0).permutation(8)
    np.testing.assert_array_equal(
        policy({**observations, "peers": peers[:, order], "peer_mask": mask[:, order]}), actions
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.nextafter(np.float32(BOUND), np.float32(9)), -6.0])
def test_a_broken_value_anywhere_is_refused_and_brakes_nothing(eager, value):
    flat = np.zeros((N_VALUES + 1, N_VALUES), np.float32)
    flat[np.arange(N_VALUES), np.arange(N_VALUES)] = value  # one in each row; the last row is whole
    observations = split_observation(flat)
    actions, accepted = CPolicy(eager, COMPILER).act(observations)
    assert accepted.tolist() == [False] * N_VALUES + [True]
    assert actions[:, 0].tolist() == [0.0] * N_VALUES + [1.0]


@pytest.mark.parametrize("value", [np.inf, -6.0])
def test_without_the_refusal_a_broken_value_brakes_fully(eager, tmp_path, value):
    folder = shutil.copytree(eager, tmp_path / "eager")
    text, refusal = (folder / "policy.c").read_text(), "if (!roadsense_is_valid(observation))"
    assert text.count(refusal) == 1
    (folder / "policy.c").write_text(text.replace(refusal, "if (false)"))
    flat = np.zeros((1, N_VALUES), np.float32)
    flat[0, 0] = value
    actions, accepted = CPolicy(folder, COMPILER).act(split_observation(flat))
    assert (actions.item(), accepted.item()) == (1.0, True)


@pytest.mark.parametrize("mask", [0.5, -1.0, 2.0, np.nan])
def test_a_mask_that_is_neither_0_nor_1_is_refused(eager, mask):
    observations = draw(1)
    observations["peer_mask"][0, 3] = mask
    actions, accepted = CPolicy(eager, COMPILER).act(observations)
    assert (actions.item(), accepted.item()) == (0.0, False)


def test_values_at_the_bounds_are_accepted(eager):
    observations = Observation(
        ego=np.full((1, 4), -BOUND, np.float32),
        peers=np.full((1, 8, 8), BOUND, np.float32),
        peer_mask=np.ones((1, 8), np.float32),
    )
    assert CPolicy(eager, COMPILER)(observations).item() == 1.0


def test_random_bits_find_no_fault_of_memory_or_arithmetic(tmp_path):
    folder = write_sources(tmp_path, MODELS["ppo_sees_ego"]())
    sanitizers = "-fsanitize=address,undefined,float-cast-overflow,float-divide-by-zero"
    program = compile_strictly(folder, "-O1", "-g", sanitizers, "-fno-sanitize-recover=all", FUZZ, "-lm", out="fuzz")
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    n_accepted, n_refused = map(int, done.stdout.split())
    assert min(n_accepted, n_refused) > 1000


@pytest.mark.skipif(shutil.which("cppcheck") is None, reason="no cppcheck on this machine")
def test_cppcheck_finds_nothing(tmp_path):
    folder = write_sources(tmp_path, MODELS["sac_deep_sets"]())
    write_skeleton(folder)
    checks = ["--enable=warning,style,performance,portability", "--inconclusive", "--error-exitcode=1", "--quiet"]
    sources = [folder / "policy.c", *(folder / "platformio" / "src" / name for name in ("firmware.c", "peers.c"))]
    done = subprocess.run(
        ["cppcheck", "--std=c99", *checks, f"-I{folder}", *sources], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_arithmetic_that_ignores_nan_is_refused_by_the_header(eager, tmp_path):
    command = [COMPILER, "-ffast-math", "-c", eager / "policy.c", "-o", tmp_path / "policy.o"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "-ffast-math removes the checks for NaN" in done.stderr


def test_source_that_does_not_compile_is_said(tmp_path):
    (tmp_path / "policy.c").write_text("no C\n")
    with pytest.raises(ExportError, match=r"failed\. It said:(.|\n)*policy\.c"):
        CPolicy(tmp_path, COMPILER)
