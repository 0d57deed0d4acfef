"""The exported policy acts like the trained one, and an export is whole or not there."""

import json
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO, SAC
from torch import nn

from roadsense.envs.observation import Observation, observation_space
from roadsense.errors import InputError, RunError, ScenarioError
from roadsense.export import ExportConfig, ExportError, export_policy, main
from roadsense.policies.actor import RELU, TANH, read_actor
from roadsense.policies.controllers import HeardBrakingRule
from roadsense.policies.deep_sets import DeepSetsExtractor
from roadsense.policies.tflite_policy import TflitePolicy

BASES = Path(__file__).parents[1] / "scenarios" / "base"


class _Spaces(gym.Env):
    # Enough of an environment to build a model on.
    observation_space = observation_space()
    action_space = spaces.Box(0.0, 1.0, (1,), np.float32)


class _OtherSpaces(_Spaces):
    observation_space = spaces.Dict({**observation_space().spaces, "ego": spaces.Box(-5.0, 5.0, (3,), np.float32)})


class _OtherExtractor(DeepSetsExtractor):
    pass


def _build_model(env: type[gym.Env] = _Spaces, extractor: Any = DeepSetsExtractor, **policy: Any) -> PPO:
    # The head is scaled up, so that actions spread over 0..1 and beyond both ends before they are cut.
    kwargs = {"features_extractor_class": extractor, "net_arch": [64, 64], **policy}
    model = PPO("MultiInputPolicy", env(), n_steps=64, seed=0, device="cpu", policy_kwargs=kwargs)
    with torch.no_grad():
        model.policy.action_net.weight.mul_(200.0)
        model.policy.action_net.bias.fill_(0.3)
    return model


def _save_run(folder: Path, model: Any) -> Path:
    folder.mkdir()
    model.save(folder / "model.zip")
    return folder


def _draw(n: int, seed: int = 0) -> Observation:
    # All over the space, with 0 to 8 peers heard in any of the slots.
    rng = np.random.default_rng(seed)
    peers = rng.uniform(-5, 5, (n, 8, 6))
    peer_mask = rng.random((n, 8)) < rng.random((n, 1))
    return Observation(
        ego=rng.uniform(-5, 5, (n, 4)).astype(np.float32),
        peers=(peers * peer_mask[..., None]).astype(np.float32),
        peer_mask=peer_mask.astype(np.float32),
    )


@dataclass(frozen=True)
class _Exported:
    model: PPO
    folder: Path
    policy: TflitePolicy
    printed: str
    report: dict[str, Any]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> _Exported:
    model = _build_model()
    run_dir = _save_run(tmp_path_factory.mktemp("export") / "run", model)
    command = [sys.executable, "-m", "roadsense.export", "--run_dir", str(run_dir), "--dataset_dir", str(BASES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    folder = run_dir / "export"
    report = json.loads((folder / "parity.json").read_text())
    return _Exported(model, folder, TflitePolicy(folder / "policy.tflite"), done.stdout, report)


def test_command_prints_what_it_made(exported: _Exported) -> None:
    path = exported.folder / "policy.tflite"
    assert str(path) in exported.printed
    assert f"{path.stat().st_size} bytes" in exported.printed
    assert f"{exported.report['max_difference']:.2g} on 1000 observations" in exported.printed


def test_report_says_what_the_firmware_needs(exported: _Exported) -> None:
    report = exported.report
    assert report["n_observations"] == 1000
    assert report["n_within_bounds"] > 100
    assert 0 < report["rms_difference"] <= report["max_difference"] <= 1e-5
    assert report["size_bytes"] == (exported.folder / "policy.tflite").stat().st_size < 50_000
    assert report["operators"]["FULLY_CONNECTED"] == 5
    assert report["operators"]["REDUCE_MAX"] == 1
    assert {entry["name"]: entry["shape"] for entry in report["inputs"]} == {
        "ego": [1, 4],
        "peers": [1, 8, 6],
        "peer_mask": [1, 8],
    }
    assert tuple(entry["name"] for entry in report["inputs"]) == exported.policy.input_names
    assert len(report["sha256"]) == 64
    assert report["versions"]["tensorflow"]


def test_golden_observations_are_real_and_hold_braking(exported: _Exported) -> None:
    with np.load(exported.folder / "observations.npz") as golden:
        observations = Observation(ego=golden["ego"], peers=golden["peers"], peer_mask=golden["peer_mask"])
        actions = golden["action"]
    assert len(actions) == 1000
    assert (HeardBrakingRule()(observations) > 0).mean() > 0.1
    assert not observations["peers"][observations["peer_mask"] == 0].any()
    assert np.abs(exported.policy(observations) - actions).max() == exported.report["max_difference"]


def test_policies_agree_all_over_the_space(exported: _Exported) -> None:
    observations = _draw(3000)
    expected, _ = exported.model.predict(dict(observations.items()), deterministic=True)
    actions = exported.policy(observations)
    assert (actions.shape, actions.dtype) == ((3000, 1), np.float32)
    assert np.abs(actions - expected).max() <= 1e-5
    assert ((actions > 0) & (actions < 1)).sum() > 300


def test_actions_are_cut_at_both_ends_inside_the_graph(exported: _Exported) -> None:
    actions = exported.policy(_draw(3000))
    assert (actions.min(), actions.max()) == (0.0, 1.0)
    assert (actions == 0).any()
    assert (actions == 1).any()


def test_order_of_peers_and_what_was_not_heard_do_not_matter(exported: _Exported) -> None:
    observations = _draw(200)
    order = np.random.default_rng(1).permutation(8)
    permuted = Observation(
        ego=observations["ego"], peers=observations["peers"][:, order], peer_mask=observations["peer_mask"][:, order]
    )
    garbage = Observation(
        ego=observations["ego"],
        peers=np.where(observations["peer_mask"][..., None] > 0, observations["peers"], 3.0).astype(np.float32),
        peer_mask=observations["peer_mask"],
    )
    actions = exported.policy(observations)
    np.testing.assert_array_equal(exported.policy(permuted), actions)
    np.testing.assert_array_equal(exported.policy(garbage), actions)


def test_nobody_heard(exported: _Exported) -> None:
    alone = _draw(50)
    alone["peers"][:], alone["peer_mask"][:] = 0, 0
    expected, _ = exported.model.predict(dict(alone.items()), deterministic=True)
    np.testing.assert_allclose(exported.policy(alone), expected, atol=1e-5)


def test_a_batch_gives_what_its_rows_give_and_the_policy_pickles(exported: _Exported) -> None:
    batch = _draw(20)
    copy = pickle.loads(pickle.dumps(exported.policy))
    rows = [
        copy(Observation(ego=batch["ego"][[i]], peers=batch["peers"][[i]], peer_mask=batch["peer_mask"][[i]]))
        for i in range(20)
    ]
    np.testing.assert_array_equal(np.concatenate(rows), exported.policy(batch))


def test_second_export_is_refused_and_the_first_untouched(exported: _Exported) -> None:
    before = {path.name: path.read_bytes() for path in exported.folder.iterdir()}
    with pytest.raises(RunError, match="Move it away"):
        export_policy(ExportConfig(str(exported.folder.parent), str(BASES)))
    assert {path.name: path.read_bytes() for path in exported.folder.iterdir()} == before
    assert sorted(before) == ["observations.npz", "parity.json", "policy.tflite"]


def test_breach_of_the_tolerance_leaves_nothing(tmp_path: Path) -> None:
    # The network is another one as well: the difference in the message shows that it was mirrored right.
    model = _build_model(net_arch={"pi": [24, 16, 8], "vf": [8]}, features_extractor_kwargs={"n_units": 12})
    run_dir = _save_run(tmp_path / "run", model)
    (run_dir / "config.json").write_text(json.dumps({"dataset_dir": str(BASES)}))
    with pytest.raises(ExportError) as caught:
        export_policy(ExportConfig(str(run_dir), n_observations=200, tolerance=0.0))
    found = re.search(r"a difference of (\S+) in 200", str(caught.value))
    assert found is not None
    assert 0 < float(found[1]) < 1e-5
    assert "tensorflow" not in sys.modules
    assert sorted(path.name for path in run_dir.iterdir()) == ["config.json", "model.zip"]


def test_layers_are_read_in_order() -> None:
    actor = read_actor(_build_model(net_arch=[16, 8], activation_fn=nn.ReLU))
    assert [layer.weight.shape for layer in actor.peer_layers] == [(6, 32), (32, 32)]
    assert [layer.weight.shape for layer in actor.policy_layers] == [(36, 16), (16, 8), (8, 1)]
    assert [layer.activation for layer in actor.policy_layers] == [RELU, RELU, "linear"]
    assert read_actor(_build_model()).policy_layers[0].activation == TANH


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"activation_fn": nn.ELU}, "ELU"),
        ({"extractor": _OtherExtractor}, "_OtherExtractor"),
    ],
)
def test_unknown_network_is_refused(tmp_path: Path, change: dict[str, Any], part: str) -> None:
    run_dir = _save_run(tmp_path / "run", _build_model(**change))
    with pytest.raises(InputError, match=part):
        export_policy(ExportConfig(str(run_dir), str(BASES)))
    assert not (run_dir / "export").exists()


def _other_spaces() -> PPO:
    return _build_model(_OtherSpaces)


def _other_algorithm() -> SAC:
    return SAC("MultiInputPolicy", _Spaces(), buffer_size=10, device="cpu")


@pytest.mark.parametrize("build", [_other_spaces, _other_algorithm])
def test_other_models_are_refused(tmp_path: Path, build: Callable[[], Any]) -> None:
    run_dir = _save_run(tmp_path / "run", build())
    with pytest.raises(RunError, match="expected a"):
        export_policy(ExportConfig(str(run_dir), str(BASES)))


def test_command_refuses_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--run_dir", str(tmp_path / "none"), "--dataset_dir", str(BASES)]) == 2
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.zip").write_bytes(b"no zip")
    assert main(["--run_dir", str(tmp_path / "run"), "--dataset_dir", str(tmp_path / "none")]) == 2
    assert main(["--run_dir", str(tmp_path / "run"), "--dataset_dir", str(BASES)]) == 2
    assert main(["--run_dir", str(tmp_path / "run")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: ") for line in errors)
    named = zip(("model.zip", "none", "PPO", "dataset_dir"), errors, strict=True)
    assert all(word in line for word, line in named)


@pytest.mark.parametrize(
    "change", [{"n_observations": 0}, {"tolerance": -1.0}, {"tolerance": float("nan")}, {"seed": -1}]
)
def test_settings_are_checked(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="at least"):
        ExportConfig("run", **change)


def test_a_broken_scenario_is_named(exported: _Exported, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    shutil.copy(exported.folder.parent / "model.zip", run_dir)
    (tmp_path / "roads").mkdir()
    (tmp_path / "roads" / "broken.sumocfg").write_text("<configuration/>")
    with pytest.raises(ScenarioError, match=r"broken\.sumocfg"):
        export_policy(ExportConfig(str(run_dir), str(tmp_path / "roads")))
    assert [path.name for path in run_dir.iterdir()] == ["model.zip"]


def test_recording_is_decided_by_its_seed(exported: _Exported) -> None:
    # In a process of its own: other tests may hold this one's simulation.
    code = (
        "import hashlib, sys, pathlib\n"
        "from roadsense.recordings import record_observations\n"
        "from roadsense.scenario import find_scenarios\n"
        "paths = find_scenarios(sys.argv[2])\n"
        "for seed in (3, 3, 4):\n"
        "    made = record_observations(pathlib.Path(sys.argv[1]), paths, 30, seed)\n"
        "    assert made['peers'].shape == (30, 8, 6)\n"
        "    print(hashlib.sha256(b''.join(part.tobytes() for part in made.values())).hexdigest())\n"
    )
    command = [sys.executable, "-c", code, str(exported.policy.path), str(BASES)]
    first, second, other = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert first == second != other


def test_what_is_no_policy_is_refused(exported: _Exported, tmp_path: Path) -> None:
    content = exported.policy.path.read_bytes()
    for wrong in (b"", b"text" * 50, content[: len(content) // 2]):
        (tmp_path / "wrong.tflite").write_bytes(wrong)
        with pytest.raises(InputError, match="expected a TFLite policy"):
            TflitePolicy(tmp_path / "wrong.tflite")
    with pytest.raises(InputError, match="found none"):
        TflitePolicy(tmp_path / "none.tflite")


def test_policy_with_other_inputs_is_refused(exported: _Exported, tmp_path: Path) -> None:
    (tmp_path / "other.tflite").write_bytes(exported.policy.path.read_bytes().replace(b"peer_mask", b"peer_task"))
    with pytest.raises(InputError, match="peer_task"):
        TflitePolicy(tmp_path / "other.tflite")


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        ("roadsense.policies.deep_sets, roadsense.runs, roadsense.train_convoy, roadsense.export", "tensorflow"),
        ("roadsense.policies.tflite_policy, roadsense.export", "torch"),
    ],
)
def test_import_walls(modules: str, unwanted: str) -> None:
    code = f"import sys, {modules}; sys.exit({unwanted!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
