"""The model that comes with RoadSense: small, opened by its name, and its exported files act as it does."""

from pathlib import Path

import numpy as np

from roadsense.policies.source import find_policy
from roadsense.policies.trained import load_policy
from roadsense.utils.project_files import project_folder
from tests.exporting.models import draw

FOLDER = Path(__file__).parents[2] / "models" / "default"


def test_it_is_small_and_its_files_act_alike() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 300_000
    assert (project_folder() / "models").resolve() == FOLDER.parent
    assert find_policy("default").name == "default"
    observations = draw(30)
    own = load_policy("default")(observations)
    assert np.abs(load_policy(FOLDER / "policy.tflite")(observations) - own).max() < 1e-4
