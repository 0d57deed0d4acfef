"""Exports a trained policy to TFLite in float32 and int8, compares how it acts and drives, and writes firmware files.

TensorFlow runs in a process of its own, `roadsense.exporting.convert`, and nowhere else in the package.
"""

import importlib.util
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from roadsense.envs.observation import Observation
from roadsense.episodes.plan import POLICY
from roadsense.errors import ExportError, InputError, RunError
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.plans import plan_held_out
from roadsense.exporting.c_proof import prove_c
from roadsense.exporting.c_source import C
from roadsense.exporting.card import Card, clean, describe_driving, describe_policy, warn_of_size
from roadsense.exporting.closed_loop import TRAINED, Comparison, compare_driving, drive_all
from roadsense.exporting.config import BEST, LAST, ONNX, POLICY_NAMES, Export, ExportConfig
from roadsense.exporting.convert import convert_float32, convert_int8
from roadsense.exporting.latency import measure_latencies
from roadsense.exporting.observations import (
    check_calibration,
    read_calibration,
    record_observations,
    refuse_idle,
    take_rows,
)
from roadsense.exporting.onnx_file import ONNX_NAME, write_proven_onnx
from roadsense.exporting.parity import FLOAT32, INT8, Evidence, gather_evidence
from roadsense.exporting.scenarios import Roads, choose_roads
from roadsense.exporting.write import (
    FIRMWARE_NAME,
    SETTINGS_NAME,
    describe_files,
    describe_settings,
    finish_policies,
    open_existing,
    write_c_firmware,
    write_firmware,
    write_results,
)
from roadsense.policies.actor import Actor, read_actor
from roadsense.policies.models import as_model_input, load_model
from roadsense.policies.source import find_policy
from roadsense.policies.tflite import count_operators
from roadsense.runs.products import record_product
from roadsense.runs.run import Run, choose_folder, open_run, refuse_other_observation
from roadsense.utils.command import run_with_options
from roadsense.utils.files import check_writable, hash_file, hold
from roadsense.utils.progress import progress_bar, working
from roadsense.utils.scratch import remove_abandoned, scratch_folder
from roadsense.utils.side_process import side_processes
from roadsense.utils.workspace import resolve

__all__ = ["Export", "ExportConfig", "ExportError", "export_and_print", "export_policy"]

PACKAGES = {"tensorflow": "TensorFlow", "ai_edge_litert": "LiteRT", "tflite_micro": "TFLite Micro"}
ONNX_PACKAGES = {"onnx": "ONNX", "onnxruntime": "ONNX Runtime"}
N_TIMED_CALLS = 500
SCRATCH = ".export."
STEPS = ("recording to calibrate", "converting", "recording to compare", "comparing", "driving", "timing", "writing")


def export_policy(config: ExportConfig) -> Export:
    """Exports a policy to TFLite, with all a firmware needs and a card, into the folder `export` of its run.

    The folder appears when every check has passed. An export that was made of this policy with the same settings is
    opened; a folder that holds anything else is not touched.

    Raises:
        RunError: if the run holds no policy, one that cannot be read or that was trained on another version of the
            observation, or already another export; then it names what differs.
        InputError: if the network has an unknown part, a package is missing, or the scenarios or the calibration
            cannot be used.
        ExportError: if the conversion fails, TFLite Micro lacks an operator, or actions differ beyond the bounds.
        SimulationError: if SUMO or a process that drives fails.

    Examples:
        >>> import roadsense as rs
        >>> quick = {"int8": False, "n_observations": 100, "episodes_per_scenario": 0}
        >>> export = rs.export_policy(rs.ExportConfig("runs/first", "scenarios/small", **quick))
        >>> export.path.name
        'policy.tflite'
    """
    run, model_path = _find_model(config)
    _refuse(run, config.formats)
    made = _open_made(run, config, model_path)
    if made is not None:
        return made
    with working("opening the policy"):
        roads = choose_roads(run, config.dataset_dir, config.eval_dir)
        model = load_model(model_path, config.trust)
        trained = _Trained(model_path, model, read_actor(model))
        given = _read_given(config)
    check_writable(run.folder)
    busy = f"Another process exports {run.folder}. Wait for it, or stop it."
    with hold(run.folder / ".export.lock", busy), progress_bar(len(STEPS), "exporting", "step") as bar:
        made = _open_made(run, config, trained.path)
        return made or _Exporter(config, run, roads, trained, bar).export(given)


def _open_made(run: Run, config: ExportConfig, model_path: Path) -> Export | None:
    """Opens the export that a run has already, also one whose process died when it had its name."""
    made = open_existing(run.export_dir, config, model_path)
    if made is not None:
        remove_abandoned(run.folder, SCRATCH)
        record_product(run.export_dir)
    return made


@dataclass(frozen=True)
class _Trained:
    # The policy that is exported.
    path: Path
    model: Any
    actor: Actor


class _Exporter:
    # One export under way: what every step of it needs.

    def __init__(self, config: ExportConfig, run: Run, roads: Roads, trained: _Trained, bar: Any):
        self._config, self._run, self._roads, self._trained, self._bar = config, run, roads, trained, bar

    def export(self, given: Observation | None) -> Export:
        self._say(0)
        known = describe_policy(self._run, self._trained.path)
        contents, observations, calibration = self._convert(given)
        with scratch_folder(SCRATCH, self._run.folder) as outer:
            folder = outer / self._run.export_dir.name
            folder.mkdir()
            paths = {variant: folder / POLICY_NAMES[variant] for variant in contents}
            for variant, path in paths.items():
                path.write_bytes(contents[variant])
            export = self._prove(folder, paths, observations, known | {"calibration": calibration})
            folder.rename(self._run.export_dir)
            record_product(self._run.export_dir)
        self._bar.update()
        return replace(export, folder=self._run.export_dir)

    def _say(self, step: int) -> None:
        self._bar.set_postfix_str(STEPS[step], refresh=False)
        self._bar.update(1 if step else 0)

    def _convert(self, given: Observation | None) -> tuple[dict[str, bytes], Observation, Card | None]:
        # Side by side, each in a process of its own: TensorFlow is large, and libsumo holds one simulation a process.
        config, roads = self._config, self._roads
        model_path, actor = self._trained.path, self._trained.actor
        with side_processes("conversion", "recording") as (converter, recorder):
            plain = converter.start(convert_float32, actor)
            chosen, trust = given, config.trust
            if config.int8 and given is None:
                record = record_observations, model_path, roads.calibration_paths
                chosen = recorder.take(recorder.start(*record, config.n_calibration, config.seed + 1, trust))
            calibration = None if chosen is None else self._describe_calibration(chosen)
            self._say(1)
            record = record_observations, model_path, roads.driven_paths
            shown = recorder.start(*record, config.n_observations, config.seed, trust)
            contents = {FLOAT32: converter.take(plain)}
            if chosen is not None:
                contents[INT8] = converter.take(converter.start(convert_int8, actor, chosen))
            self._say(2)
            return contents, recorder.take(shown), calibration

    def _describe_calibration(self, chosen: Observation) -> Card:
        given, n_scenarios = self._config.calibration, len(self._roads.calibration_paths)
        origin = Path(given).name if given else f"recorded on {n_scenarios} scenarios"
        share = check_calibration(chosen, origin)
        model = self._trained.model
        refuse_idle(model.predict(as_model_input(model, chosen), deterministic=True)[0])
        return {"origin": origin, "n_observations": len(chosen["ego"]), "hazard_share": share}

    def _prove(self, folder: Path, paths: dict[str, Path], observations: Observation, known: Card) -> Export:
        config = self._config
        self._say(3)
        evidence = gather_evidence(self._trained.model, paths, observations, config.bounds())
        self._say(4)
        episodes, comparisons = self._drive(paths)
        self._say(5)
        with side_processes("timing") as (timer,):
            some = take_rows(observations, slice(N_TIMED_CALLS))
            asked = measure_latencies, self._trained.path, paths, some, N_TIMED_CALLS, config.trust
            latency = timer.take(timer.start(*asked))
        self._say(6)
        card = clean(
            known
            | {
                "parity": evidence.describe(config.bounds()),
                "closed_loop": describe_driving(comparisons, self._roads.held_out, len(self._roads.driven_paths)),
                "operators": {variant: count_operators(path) for variant, path in paths.items()},
                "latency": {name: asdict(found) for name, found in latency.items()},
            }
        )
        self._write(folder, paths, card, evidence)
        write_results(folder, card, evidence, episodes)
        settings = describe_settings(self._config, self._trained.path)
        (folder / SETTINGS_NAME).write_text(json.dumps(settings, indent=2) + "\n")
        return Export(folder, card, evidence.table(), episodes, tuple(comparisons))

    def _write(self, folder: Path, paths: dict[str, Path], card: Card, evidence: Evidence) -> None:
        # Also puts into the card what is known of the final files.
        formats, bounds = self._config.formats, self._config.bounds()[FLOAT32]
        actor, firmware = self._trained.actor, folder / FIRMWARE_NAME
        files = finish_policies(paths, card, evidence)
        card["files"] = describe_files(files)
        write_firmware(firmware, files, evidence)
        if C in formats:
            write_c_firmware(firmware, actor, hash_file(self._trained.path))
            card[C] = clean(prove_c(firmware, actor, evidence, bounds))
        if ONNX in formats:
            card[ONNX] = clean(write_proven_onnx(folder / ONNX_NAME, actor, evidence, bounds))

    def _drive(self, paths: dict[str, Path]) -> tuple[pd.DataFrame, list[Comparison]]:
        config = self._config
        if not config.episodes_per_scenario:
            return pd.DataFrame(), []
        protocol = EvalConfig(
            str(self._run.folder), episodes_per_scenario=config.episodes_per_scenario, seed=config.seed
        )
        own = (protocol.episodes_per_scenario, protocol.calm_share, protocol.seed)
        plans = [one.plan for one in plan_held_out(self._roads.driven_paths, *own, (POLICY,))]
        drivers = {TRAINED: self._trained.path, **paths}
        n_workers = config.workers or os.cpu_count() or 1
        episodes = drive_all(plans, drivers, protocol.env_config(), n_workers, self._run.folder, config.trust)
        rng = np.random.default_rng(config.seed)
        return episodes, [compare_driving(episodes, variant, rng) for variant in paths]


def _refuse(run: Run, formats: tuple[str, ...]) -> None:
    extras = {"export": PACKAGES, ONNX: ONNX_PACKAGES if ONNX in formats else {}}
    for extra, packages in extras.items():
        for package, name in packages.items():
            if importlib.util.find_spec(package) is None:
                raise InputError(f"An export needs {name}. Install `roadsense[{extra}]`.")
    refuse_other_observation(run)


def _find_model(config: ExportConfig) -> tuple[Run, Path]:
    """Returns the run, or the folder that stands for it, and the file of the policy."""
    given = config.run_dir
    if not given or resolve(given).is_dir():
        run = open_run(given or None)
        path = {LAST: run.model_path, BEST: run.best_model_path}.get(config.model) or resolve(config.model)
        if not path.is_file():
            raise RunError(
                f"model: expected {LAST}, {BEST} or the file of a policy, got {config.model!r}: there is no {path}."
            )
        return run, path
    source = find_policy(given)
    if source.path is None or source.path.suffix.lower() == ".tflite":
        raise InputError(f"Expected a run or the .zip of a policy to export, got {given!r}: it is no trained network.")
    return Run(choose_folder(source)), source.path


def _read_given(config: ExportConfig) -> Observation | None:
    if config.calibration is None or not config.int8:
        return None
    given = read_calibration(Path(config.calibration))
    check_calibration(given, config.calibration)
    return given


def export_and_print(config: ExportConfig) -> None:
    """Converts a trained policy to TFLite, checks that it acts and drives as the trained one, and prints the files."""
    export = export_policy(config)
    for name, found in export.card["files"].items():
        differences = export.card["parity"][found["variant"]]["differences"]["TFLite Micro"]
        sys.stdout.write(
            f"Exported policy: {export.folder / name}, {found['size_bytes']} bytes, "
            f"arena {found['arena_bytes']} bytes, "
            f"difference rms {differences['rms']:.2g}, largest {differences['max']:.2g}\n"
        )
    for sentence in warn_of_size(export.card):
        sys.stderr.write(f"WARNING: {sentence}\n")
    for comparison in export.comparisons:
        stream = sys.stderr if comparison.is_warning() else sys.stdout
        stream.write(comparison.in_words() + "\n")
    if not export.comparisons:
        sys.stderr.write("WARNING: the exported policy was not driven; nothing is known of how it drives.\n")


if __name__ == "__main__":
    sys.exit(run_with_options(export_and_print, ExportConfig, "roadsense export"))
