"""Settings and results of an export."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from roadsense.errors import InputError
from roadsense.exporting.c_source import C
from roadsense.exporting.card import Card
from roadsense.exporting.closed_loop import Comparison
from roadsense.exporting.parity import FLOAT32, INT8, Bounds
from roadsense.utils.bounds import MAX_SEED, MAX_WORKERS, bounded, check_bounds
from roadsense.utils.workspace import resolve

POLICY_NAMES = {FLOAT32: "policy.tflite", INT8: "policy_int8.tflite"}
LAST, BEST = "last", "best"
ONNX = "onnx"


@dataclass(frozen=True)
class ExportConfig:
    """Settings of an export; the command line and a notebook's parameters are these fields.

    Attributes:
        run_dir: folder of the run whose policy is exported, into its folder `export`; empty for the newest trained
            run. Also the `.zip` of a policy of Stable-Baselines3, which is exported into a folder of `runs/policies`.
        dataset_dir: folder of scenarios, or a dataset with `train` and `eval`; int8 is calibrated on them. By default
            the scenarios that the run was trained on.
        eval_dir: folder of held-out scenarios for the parity check and the drive of the exported policy; by default
            the run's, or `eval` beside `train`, or those of `dataset_dir`.
        n_observations: number of recorded observations on which the exported policy must act as the trained one.
        n_calibration: number of recorded observations that set the scales of int8.
        calibration: path of an `.npz` with `ego`, `peers` and `peer_mask` to calibrate on instead.
        model: policy of the run: `last`, `best` (of its held-out evaluations while it was trained), or the file
            of one, such as a checkpoint.
        formats: formats to export: `tflite`, always, `c` for plain C with a firmware around it, `onnx`.
        int8: whether to export int8 as well.
        tolerance: largest difference of an action that is allowed in float32, 0 to 1.
        int8_rms: largest root mean square of the difference that is allowed in int8; the default is 0.24 m/s2.
        int8_p99: largest 99th percentile of the difference that is allowed in int8; the default is 0.8 m/s2.
        int8_max: largest difference that is allowed in int8, of a single observation among all; the default is 4 m/s2.
        episodes_per_scenario: number of episodes that the trained and each exported policy drive on each scenario; 0
            for none, and the card says so. The episodes are those of `roadsense evaluate`.
        workers: number of worker processes that drive; 0 for one a core. The results do not depend on it.
        seed: seed of all random draws.
        trust: whether code inside the policy's file may run, if it cannot be opened without; prints its SHA-256.

    Examples:
        >>> import roadsense as rs
        >>> rs.ExportConfig("runs/first", int8=False).bounds()["float32"].max
        1e-05
    """

    FIRST: ClassVar[str] = "run_dir"

    run_dir: str = ""
    dataset_dir: str | None = None
    eval_dir: str | None = None
    n_observations: int = bounded(10_000, 1, 10_000_000)
    n_calibration: int = bounded(5000, 1, 10_000_000)
    calibration: str | None = None
    model: str = LAST
    formats: tuple[Literal["tflite", "c", "onnx"], ...] = ("tflite", "c")
    int8: bool = True
    tolerance: float = bounded(1e-5, 0.0, 1.0)
    int8_rms: float = bounded(0.03, 0.0, 1.0)
    int8_p99: float = bounded(0.1, 0.0, 1.0)
    int8_max: float = bounded(0.5, 0.0, 1.0)
    episodes_per_scenario: int = bounded(15, 0, 1_000_000)
    workers: int = bounded(0, 0, MAX_WORKERS)
    seed: int = bounded(0, 0, MAX_SEED)
    trust: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)
        if "tflite" not in self.formats or not set(self.formats) <= {"tflite", C, ONNX}:
            raise InputError(f"formats: expected tflite, and c and onnx beside it, got {self.formats!r}.")
        if self.calibration is not None:
            object.__setattr__(self, "calibration", str(resolve(self.calibration)))

    def bounds(self) -> dict[str, Bounds]:
        """Returns the largest allowed differences by variant; the keys are the variants to export."""
        exact = {FLOAT32: Bounds(self.tolerance, self.tolerance, self.tolerance)}
        return exact | ({INT8: Bounds(self.int8_rms, self.int8_p99, self.int8_max)} if self.int8 else {})


@dataclass(frozen=True)
class Export:
    """An exported policy and its evidence.

    Attributes:
        folder: path of the export folder.
        card: model card, as in `model_card.json`.
        actions: a row for each observation: the action of `trained`, `float32` and `int8`.
        episodes: a row for each episode of each policy that was driven; empty if none was.
        comparisons: comparison of each exported policy's driving with the trained one's.
    """

    folder: Path
    card: Card
    actions: pd.DataFrame
    episodes: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparisons: tuple[Comparison, ...] = ()

    @property
    def path(self) -> Path:
        """Path of the float32 policy."""
        return self.folder / POLICY_NAMES[FLOAT32]

    def sizes(self) -> pd.DataFrame:
        """Returns a row for each file: its bytes and arena."""
        return pd.DataFrame([{"file": name} | found for name, found in self.card["files"].items()])

    def parity(self) -> pd.DataFrame:
        """Returns a row for each policy and runtime: the differences of its actions from the trained policy's."""
        rows = [
            {"policy": variant, "runtime": runtime} | found
            for variant, part in self.card["parity"].items()
            for runtime, found in part["differences"].items()
        ]
        return pd.DataFrame(rows)

    def latency(self) -> pd.DataFrame:
        """Returns a row for each way to run the policy: its latency."""
        return pd.DataFrame([{"runtime": name} | found for name, found in self.card["latency"].items()])
