"""`drive judge` takes every kind of policy on a recorded drive."""

import json
import shutil
from pathlib import Path

import pytest

from roadsense.cli import main
from tests.policies.test_any_policy import build

ROOT = Path(__file__).parents[2]
LOG, MODEL = ROOT / "drives" / "sample", ROOT / "models" / "default"


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Words of the command line for each kind of policy."""
    monkeypatch.chdir(tmp_path)
    name = f"judged_{tmp_path.name}"
    Path(f"{name}.py").write_text("def brake(observation):\n    return 0.5\n")
    run = Path("run")
    run.mkdir()
    shutil.copy(MODEL / "model.zip", run)
    build("SAC", policy_kwargs={"net_arch": [8]}).save("mine.zip")
    return {
        "run folder": ["run"],
        "zip": ["mine.zip"],
        "trusted zip": ["mine.zip", "--trust"],
        "tflite": [str(MODEL / "policy_int8.tflite")],
        "own code": [f"{name}:brake"],
        "rule": ["heard_drac_rule"],
        "default": ["default"],
    }


def test_every_kind_of_policy_is_judged(given, capsys):
    judged = {}
    for kind, (policy, *trust) in given.items():
        folder = Path(kind.replace(" ", "_"))
        assert main(["drive", "judge", str(LOG), "--policy", policy, *trust, "--output", str(folder)]) == 0, kind
        assert f"Report: {folder / 'report.html'}" in capsys.readouterr().out
        judged[kind] = json.loads((folder / "summary.json").read_text())

    def figures(kind):
        return {name: value for name, value in judged[kind].items() if name != "policy"}

    assert figures("run folder") == figures("default") != figures("own code")
    assert figures("zip") == figures("trusted zip") != figures("default")
