"""A trained policy -> TFLite, proven equal on observations recorded on the road.

TensorFlow is imported in one function here, in a process of its own, and nowhere else in the package.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import math
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from roadsense.command import run_command
from roadsense.dataset import find_dataset
from roadsense.envs.observation import Observation, observation_space
from roadsense.errors import InputError, RoadSenseError, RunError
from roadsense.policies.actor import RELU, TANH, Actor, Layer, load_model, read_actor
from roadsense.policies.tflite_policy import ACTION_SHAPE, TflitePolicy, count_operators
from roadsense.recordings import record_observations
from roadsense.runs import Run, open_run
from roadsense.scenario import find_scenarios, open_scenario
from roadsense.scratch import scratch_folder
from roadsense.worker_processes import end_with_program

POLICY_NAME, PARITY_NAME, OBSERVATIONS_NAME = "policy.tflite", "parity.json", "observations.npz"
PACKAGES = ("roadsense", "stable-baselines3", "torch", "tensorflow", "ai-edge-litert", "numpy", "libsumo")
MICRO_OPERATORS = frozenset(
    ("CONCATENATION", "FULLY_CONNECTED", "MAXIMUM", "MINIMUM", "MUL", "REDUCE_MAX", "RELU", "RESHAPE", "TANH")
)
"""Operators a conversion may lead to; TFLite Micro has each of them."""
LOG_TAIL_CHARACTERS = 2000


class ExportError(RoadSenseError):
    """Raised when a policy cannot be converted, or the converted one does not act like the original."""


@dataclass(frozen=True)
class ExportConfig:
    """Settings of an export.

    Attributes:
        run_dir: the run whose policy is exported, into its folder `export`.
        dataset_dir: folder; on every `.sumocfg` below it observations are recorded. By default the run's own.
        n_observations: recorded observations on which both policies must agree.
        tolerance: largest difference of the two actions that is let through.
        seed: of the recording.
    """

    run_dir: str
    dataset_dir: str | None = None
    n_observations: int = 1000
    tolerance: float = 1e-5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_observations < 1 or self.seed < 0 or not 0 <= self.tolerance < math.inf:
            got = f"{self.n_observations}, {self.seed} and {self.tolerance}"
            raise InputError(f"Expected n_observations of at least 1, seed and tolerance of at least 0, got {got}.")


@dataclass(frozen=True)
class Export:
    """An exported policy and how well it agrees with the original.

    Attributes:
        path: of the `.tflite`.
        size_bytes: of it.
        max_difference: largest difference of the two actions.
        rms_difference: root of their mean squared difference.
        operators: how often each TFLite operator is in it.
        n_observations: on how many observations both acted.
        n_within_bounds: on how many of them the action was not cut to a bound; only there a difference can show.
    """

    path: Path
    size_bytes: int
    max_difference: float
    rms_difference: float
    operators: dict[str, int]
    n_observations: int
    n_within_bounds: int


def export_policy(config: ExportConfig) -> Export:
    """Exports a run's policy to TFLite, with its golden observations and actions, into the run's folder `export`.

    The folder appears when all is done and proven, and not before; one that holds something is not touched.

    Raises:
        RunError: if the run holds no policy, one that cannot be read, or already an export.
        InputError: if the network has an unknown part, or the dataset folder holds no usable scenario.
        ExportError: if the conversion fails, or the actions differ by more than the tolerance.
    """
    run = open_run(config.run_dir)
    _refuse_second(run)
    scenario_paths = find_scenarios(find_dataset(_choose_dataset(config, run)))
    for path in scenario_paths:
        open_scenario(path)
    model = load_model(run.model_path)
    content, observations = _convert_and_record(read_actor(model), run.model_path, scenario_paths, config)
    with scratch_folder(".export.", run.folder) as outer:
        folder = outer / run.export_dir.name
        folder.mkdir()
        (folder / POLICY_NAME).write_bytes(content)
        export = _prove(folder, model, observations, config)
        folder.rename(run.export_dir)
    return replace(export, path=run.export_dir / POLICY_NAME)


def _refuse_second(run: Run) -> None:
    folder = run.export_dir
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"Expected no export yet, but {folder} holds something. Move it away to export again.")


def _choose_dataset(config: ExportConfig, run: Run) -> str:
    if config.dataset_dir is not None:
        return config.dataset_dir
    found = run.read_config().get("dataset_dir") if run.config_path.is_file() else None
    if not isinstance(found, str):
        raise InputError(f"{run.folder} does not say what it was trained on. Name a folder of scenarios: dataset_dir.")
    return found


def _convert_and_record(
    actor: Actor, model_path: Path, scenario_paths: Sequence[Path], config: ExportConfig
) -> tuple[bytes, Observation]:
    # Side by side, each in a process of its own: TensorFlow is large, and libsumo holds one simulation a process.
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError("An export needs TensorFlow. Install `roadsense[export]`.")
    with scratch_folder("roadsense_export_") as logs:
        converter_log, recorder_log = logs / "converter", logs / "recorder"
        with _start_process(converter_log) as converter, _start_process(recorder_log) as recorder:
            content = converter.submit(_convert, actor)
            met = recorder.submit(record_observations, model_path, scenario_paths, config.n_observations, config.seed)
        return _take(content, "conversion", converter_log), _take(met, "recording", recorder_log)


def _start_process(log_path: Path) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _write_output_to, (log_path,))


def _write_output_to(path: Path) -> None:
    end_with_program()
    # By descriptor, as libraries write past Python.
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def _take(future: Future, what: str, log_path: Path) -> Any:
    error = future.exception()
    if error is None or isinstance(error, RoadSenseError):
        return future.result()
    said = log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:] if log_path.exists() else ""
    raise ExportError(f"The {what} failed ({error!r}). The last it said:\n{said}") from error


def _convert(actor: Actor) -> bytes:
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="-1")
    import tensorflow as tf

    def _run_layers(values: Any, layers: Sequence[Layer]) -> Any:
        activations = {RELU: tf.nn.relu, TANH: tf.tanh}
        for layer in layers:
            values = activations.get(layer.activation, tf.identity)(values @ layer.weight + layer.bias)
        return values

    @tf.function(input_signature=[tf.TensorSpec((1, *shape), name=name) for name, shape in actor.shapes.items()])
    def _act(ego: Any, peers: Any, peer_mask: Any) -> dict[str, Any]:
        # Two axes throughout: with a third the converter may add operators that the microcontroller lacks.
        heard = _run_layers(tf.reshape(peers, actor.shapes["peers"]), actor.peer_layers)
        strongest = tf.reduce_max(heard * tf.reshape(peer_mask, (-1, 1)), axis=0, keepdims=True)
        action = _run_layers(tf.concat([ego, strongest], axis=1), actor.policy_layers)
        return {"action": tf.minimum(tf.maximum(action, actor.low), actor.high)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([_act.get_concrete_function()], tf.Module())
    return converter.convert()


def _prove(folder: Path, model: Any, observations: Observation, config: ExportConfig) -> Export:
    # Compares, and writes what the comparison was made of and what it gave beside the policy.
    policy = TflitePolicy(folder / POLICY_NAME)
    expected, _ = model.predict(dict(observations.items()), deterministic=True)
    difference = np.abs(policy(observations).astype(np.float64) - expected)
    space = model.action_space
    export = Export(
        path=policy.path,
        size_bytes=policy.path.stat().st_size,
        max_difference=float(difference.max()),
        rms_difference=float(np.sqrt(np.mean(difference**2))),
        operators=count_operators(policy.path),
        n_observations=len(expected),
        n_within_bounds=int(((expected > space.low) & (expected < space.high)).sum()),
    )
    _refuse_unequal(export, config.tolerance)
    np.savez_compressed(folder / OBSERVATIONS_NAME, action=expected, **observations)
    origin = {"model_sha256": hashlib.sha256(open_run(config.run_dir).model_path.read_bytes()).hexdigest()}
    report = _describe(export, policy) | origin | {"tolerance": config.tolerance, "seed": config.seed}
    (folder / PARITY_NAME).write_text(json.dumps(report, indent=2) + "\n")
    return export


def _refuse_unequal(export: Export, tolerance: float) -> None:
    unknown = sorted(export.operators.keys() - MICRO_OPERATORS)
    if unknown:
        raise ExportError(f"Expected operators of {sorted(MICRO_OPERATORS)}, the conversion led to {unknown} too.")
    if not export.max_difference <= tolerance:
        raise ExportError(
            f"Expected actions within {tolerance:g} of the original's, got a difference of "
            f"{export.max_difference:g} in {export.n_observations} observations. Nothing was kept."
        )


def _describe(export: Export, policy: TflitePolicy) -> dict[str, Any]:
    shapes = {name: [1, *(space.shape or ())] for name, space in observation_space().items()}
    return {
        **asdict(export),
        "path": POLICY_NAME,
        "sha256": hashlib.sha256(policy.path.read_bytes()).hexdigest(),
        "inputs": [{"name": name, "shape": shapes[name], "dtype": "float32"} for name in policy.input_names],
        "output": {"name": "action", "shape": list(ACTION_SHAPE), "dtype": "float32"},
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command `python -m roadsense.export`; returns its exit code."""
    return run_command(lambda: _export_from(arguments))


def _export_from(arguments: Sequence[str] | None) -> None:
    export = export_policy(tyro.cli(ExportConfig, args=arguments, description=export_policy.__doc__))
    sys.stdout.write(
        f"Exported policy: {export.path}, {export.size_bytes} bytes, largest difference {export.max_difference:.2g} "
        f"on {export.n_observations} observations, {export.n_within_bounds} of them within the action's bounds\n"
    )


if __name__ == "__main__":
    sys.exit(main())
