"""Policies opened from their files: one trained before the modules moved, and one that diverged."""

import base64
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch

from roadsense.errors import InputError, RunError
from roadsense.policies.trained import load_policy
from roadsense.utils.files import record_sum
from tests.exporting.models import DEEP_SETS, build_ppo, draw

ROOT = Path(__file__).parents[2]
OLD_POLICY = ROOT / "tests" / "data" / "run_of_0_1_0" / "model.zip"
ACTIONS_OF_0_1_0 = [0.0843942165, 0.2132806331, 0.0029543154, 0.0, 0.2291608602, 0.5237773657]
"""What version 0.1.0, which trained the policy, asked for on the observations below."""
DRIVE = """
import sys
from pathlib import Path
import numpy as np
from roadsense.envs.config import EnvConfig
from roadsense.envs.observation import Observation
from roadsense.episodes.plan import POLICY, Plan
from roadsense.episodes.run import Worker
from roadsense.policies.trained import load_policy

policy = load_policy(Path(sys.argv[1]))
rng = np.random.default_rng(0)
mask = (rng.uniform(size=(6, 8)) < 0.5).astype(np.float32)
ego = rng.uniform(0, 1, (6, 4)).astype(np.float32)
peers = rng.normal(0, 1, (6, 8, 6)).astype(np.float32) * mask[..., None]
peers = np.concatenate([peers, rng.normal(0, 1, (6, 8, 2)).astype(np.float32)], axis=2)  # what version 2 did not know
actions = policy(Observation(ego=ego, peers=peers, peer_mask=mask))
row = Worker(EnvConfig(n_steps=20, step_info=False), policy).run(Plan(POLICY, Path(sys.argv[2]), 0, True))
print(*actions.ravel(), row["duration_s"], "roadsense.training" in sys.modules)
"""


def test_a_policy_from_before_the_moves_acts_as_it_did_and_needs_no_training_code() -> None:
    scenario = ROOT / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, OLD_POLICY, scenario], check=True, capture_output=True, text=True
    )
    *actions, duration_s, imports_training = done.stdout.split()
    np.testing.assert_allclose([float(action) for action in actions], ACTIONS_OF_0_1_0, atol=1e-6)
    assert (float(duration_s), imports_training) == (2.0, "False")


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_a_policy_that_diverged_is_refused_when_it_is_opened(tmp_path: Path, weight: float) -> None:
    model = build_ppo(**DEEP_SETS)
    with torch.no_grad():
        model.policy.action_net.weight[0, 0] = weight
    model.save(tmp_path / "model.zip")
    with pytest.raises(InputError, match="finite weights, got NaN or infinity"):
        load_policy(tmp_path / "model.zip")


class Evil:
    """Pickles as a command that leaves a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.fixture
def evil_zip(tmp_path: Path) -> Path:
    """A policy that works, with code in every place where Stable-Baselines3 unpickles."""
    model = build_ppo(**DEEP_SETS)
    model.save(tmp_path / "good.zip")
    pickled = base64.b64encode(cloudpickle.dumps(Evil(tmp_path / "ran"))).decode()
    with zipfile.ZipFile(tmp_path / "good.zip") as good, zipfile.ZipFile(tmp_path / "evil.zip", "w") as evil:
        for name in good.namelist():
            content = good.read(name)
            if name == "data":
                settings = json.loads(content)
                for part in settings.values():
                    if isinstance(part, dict) and ":serialized:" in part:
                        part[":serialized:"] = pickled
                settings["extra"] = {":type:": "<class 'Evil'>", ":serialized:": pickled}
                content = json.dumps(settings).encode()
            evil.writestr(name, content)
    return tmp_path / "evil.zip"


def test_opening_a_policy_runs_no_code_of_its_file(evil_zip: Path) -> None:
    policy = load_policy(evil_zip)
    assert not (evil_zip.parent / "ran").exists()
    observations = draw(20)
    np.testing.assert_array_equal(policy(observations), load_policy(evil_zip.with_name("good.zip"))(observations))


def test_trust_runs_the_code_and_prints_the_digest(evil_zip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunError):
        load_policy(evil_zip, trust=True)
    assert (evil_zip.parent / "ran").exists()
    assert hashlib.sha256(evil_zip.read_bytes()).hexdigest() in capsys.readouterr().err


def test_code_among_the_weights_does_not_run(tmp_path: Path) -> None:
    build_ppo(**DEEP_SETS).save(tmp_path / "good.zip")
    content = io.BytesIO()
    torch.save({"weights": Evil(tmp_path / "ran")}, content)
    with zipfile.ZipFile(tmp_path / "good.zip") as good, zipfile.ZipFile(tmp_path / "evil.zip", "w") as evil:
        for name in good.namelist():
            evil.writestr(name, content.getvalue() if name == "policy.pth" else good.read(name))
    with pytest.raises(RunError, match="--trust"):
        load_policy(tmp_path / "evil.zip")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("network", [{"net_arch": [10**9]}, {"net_arch": [4] * 99}, {"activation_fn": "os.system"}])
def test_settings_of_a_zip_are_checked(tmp_path: Path, network: dict) -> None:
    build_ppo(**DEEP_SETS).save(tmp_path / "good.zip")
    with zipfile.ZipFile(tmp_path / "good.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name == "data":
                settings = json.loads(content)
                settings["policy_kwargs"] |= network
                content = json.dumps(settings).encode()
            bad.writestr(name, content)
    with pytest.raises(RunError, match=r"width|layers|not known"):
        load_policy(tmp_path / "bad.zip")


def test_a_policy_whose_compressed_parts_are_damaged_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", json.dumps({str(number): number for number in range(2000)}))
    content = bytearray((tmp_path / "damaged.zip").read_bytes())
    content[100:2000] = bytes(1900)
    (tmp_path / "damaged.zip").write_bytes(content)
    with pytest.raises(RunError, match="that can be read"):
        load_policy(tmp_path / "damaged.zip")


def test_a_policy_that_was_changed_since_it_was_made_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    build_ppo(**DEEP_SETS).save(path)
    record_sum(path)
    load_policy(path)
    build_ppo(**DEEP_SETS, log_std_init=-1.0).save(path)
    with pytest.raises(InputError, match="changed since"):
        load_policy(path)
