"""Checkpoints: everything that a training needs to resume exactly.

SUMO's state cannot be saved exactly. So every run restarts its environments at each checkpoint, from a new seed. A
checkpoint that is written between two of these restarts holds the actions since the last one, and a resume drives these
steps again. Either way a resumed run equals one that was never stopped (unless a worker process died in between: its
episode cannot be driven again).

A checkpoint is one zip of tensors, numbers and strings; reading it runs no code. It is written under another name,
flushed to the disk and renamed. The last two are kept. `CheckpointCallback` writes them at their interval, restarts the
environments there, and stops on request.
"""

import io
import random
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from roadsense.errors import RunError
from roadsense.policies.models import UNREADABLE
from roadsense.runs.run import CHECKPOINTS, Run
from roadsense.runs.stopping import StoppedError, StopRequest
from roadsense.training.samplers import UniformSampler
from roadsense.training.train_config import TrainConfig
from roadsense.training.vec.shared import MAX_ROWS
from roadsense.utils.files import is_of_machine, write_atomically

FORMAT = 1
N_KEPT = 2
PARTS = {"timesteps", "number", "next", "model", "generators", "parts", "actions", "weights"}
"""Keys of every checkpoint."""
BUFFER_ARRAYS = ("actions", "rewards", "dones", "timeouts")
BUFFER_DICTS = ("observations", "next_observations")

State = dict[str, Any]


def write_checkpoint(folder: Path, state: State) -> Path:
    """Writes a checkpoint and removes those before the last two; returns its path.

    Args:
        folder: folder of the run's checkpoints.
        state: tensors, numbers, strings, and lists, tuples and dictionaries of them; `timesteps` names the file.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"checkpoint_{state['timesteps']:012d}.pt"
    content = io.BytesIO()  # torch hides the cause when it cannot write to a disk
    torch.save({**state, "format": FORMAT}, content)
    write_atomically(path, content.getvalue())
    for old in sorted(folder.glob(CHECKPOINTS))[:-N_KEPT]:
        old.unlink()
    return path


def read_newest_checkpoint(folder: Path) -> State:
    """Returns the newest undamaged checkpoint; prints a warning on standard error for each damaged one.

    Raises:
        RunError: if there is none.
    """
    paths = sorted(folder.glob(CHECKPOINTS), reverse=True)
    for path in paths:
        state = _read(path)
        if state is not None:
            return state
        sys.stderr.write(f"WARNING: {path} is damaged and not used.\n")
    found = f"only damaged ones ({', '.join(path.name for path in paths)})" if paths else "none"
    raise RunError(f"Expected a checkpoint to resume from in {folder}, found {found}. Begin a new run.")


def _read(path: Path) -> State | None:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return None
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        if isinstance(error, MemoryError) or is_of_machine(error):
            raise
        return None
    if not isinstance(state, dict):
        return None
    if state.get("format") != FORMAT:
        raise RunError(f"{path}: expected a checkpoint of format {FORMAT}, got {state.get('format')}. Begin a new run.")
    return state if state.keys() >= PARTS else None


def take_generators(model: Any) -> State:
    """Returns the state of every generator of this process: Python's, NumPy's, torch's and the action space's."""
    drawn: Any = np.random.get_state(legacy=False)  # noqa: NPY002, the one SB3 draws from
    keys, place = drawn["state"]["key"], drawn["state"]["pos"]
    return {
        "python": random.getstate(),
        "numpy": {
            "keys": torch.from_numpy(keys.astype(np.int64)),
            "pos": int(place),
            "has_gauss": int(drawn["has_gauss"]),
            "gauss": float(drawn["gauss"]),
        },
        "torch": torch.get_rng_state(),
        "actions": model.action_space.np_random.bit_generator.state,
    }


def restore_generators(model: Any, state: State) -> None:
    """Sets every generator to what `take_generators` returned."""
    drawn = state["numpy"]
    keys = drawn["keys"].numpy().astype(np.uint32)
    random.setstate(state["python"])
    np.random.set_state(("MT19937", keys, drawn["pos"], drawn["has_gauss"], drawn["gauss"]))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    model.action_space.np_random.bit_generator.state = state["actions"]


def take_model(model: Any) -> State:
    """Returns weights, optimisers, learned numbers and counters of a model, and the memory of SAC and TQC."""
    state: State = {"parameters": model.get_parameters(), "n_updates": model._n_updates}
    _, learned = model._get_torch_save_params()
    state["learned"] = {name: getattr(model, name).detach().clone() for name in learned}
    buffer = getattr(model, "replay_buffer", None)
    if buffer is not None:
        n_rows = buffer.size()
        state["buffer"] = {name: torch.tensor(getattr(buffer, name)[:n_rows]) for name in BUFFER_ARRAYS}
        for name in BUFFER_DICTS:
            state["buffer"][name] = {k: torch.tensor(v[:n_rows]) for k, v in getattr(buffer, name).items()}
        state["buffer"] |= {"pos": buffer.pos, "full": buffer.full}
    return state


def restore_model(model: Any, state: State) -> None:
    """Sets a model of the same settings to what `take_model` returned."""
    model.set_parameters(state["parameters"], exact_match=True, device="cpu")
    model._n_updates = state["n_updates"]
    for name, value in state["learned"].items():
        getattr(model, name).data.copy_(value)
    if "buffer" in state:
        buffer, saved = model.replay_buffer, state["buffer"]
        for name in BUFFER_ARRAYS:
            getattr(buffer, name)[: len(saved[name])] = saved[name].numpy()
        for name in BUFFER_DICTS:
            for key, value in saved[name].items():
                getattr(buffer, name)[key][: len(value)] = value.numpy()
        buffer.pos, buffer.full = saved["pos"], saved["full"]


class Resumable(Protocol):
    """An object whose state is saved in a checkpoint."""

    def state(self) -> dict[str, Any]:
        """Returns the state as tensors, numbers, strings, and lists and dictionaries of them."""

    def restore(self, state: dict[str, Any]) -> None:
        """Sets the object to a state that `state` returned."""


class CheckpointCallback(BaseCallback):
    """Writes checkpoints between rollouts and sets the sampler's weights of the scenarios.

    On a stop request the rollout ends at the next step. Nothing was learned from its steps yet, so the checkpoint holds
    the state at the rollout's start, with all actions since the environments were last restarted.

    Args:
        run: run folder that checkpoints are written to.
        config: settings of the training.
        stop: request to stop the training.
        sampler: sampler that weighs the scenarios.
        parts: other objects whose state is saved, by name.
    """

    def __init__(
        self, run: Run, config: TrainConfig, stop: StopRequest, sampler: UniformSampler, parts: dict[str, Resumable]
    ):
        super().__init__()
        self._folder, self._config, self._stop, self._sampler = run.checkpoint_dir, config, stop, sampler
        self._parts: dict[str, Resumable] = {"sampler": sampler, **parts}
        self._number, self._next, self._written = -1, 0, -1
        self._actions: list[np.ndarray] = []
        self._weights: list[tuple[int, list[float]]] = []
        self._ends: list[tuple[int, int, str]] = []
        self._taken: State = {"timesteps": self._written}
        self.is_stopped = False

    def restore(self, model: Any, state: State) -> None:
        """Sets a new model, its environments and all parts to a checkpoint."""
        restore_model(model, state["model"])
        model.num_timesteps = self._written = state["timesteps"]
        self._number, self._next = state["number"], state["next"]
        for name, part in self._parts.items():
            part.restore(state["parts"][name])
        self.init_callback(model)
        if len(state["actions"]):
            self._replay(state)
        else:
            self._begin()
        restore_generators(model, state["generators"])

    def write(self) -> None:
        """Writes the state at the start of the rollout that was stopped, if it is not written yet."""
        taken = self._taken
        if taken["timesteps"] == self._written:
            return
        rows, weights = self._actions[: taken["n_rows"]], self._weights[: taken["n_weights"]]
        actions = torch.from_numpy(np.stack(rows)) if rows else torch.empty(0)
        write_checkpoint(
            self._folder, {**taken, "model": take_model(self.model), "actions": actions, "weights": weights}
        )
        self._written = taken["timesteps"]

    def finish(self) -> None:
        """Writes the state at the end of the training."""
        self._taken = self._take()
        self.write()

    def _on_rollout_start(self) -> None:
        self._ends.clear()
        is_due = self.model.num_timesteps >= self._next
        if is_due:
            interval = self._config.checkpoint_interval
            self._number, self._next = self._number + 1, (self.model.num_timesteps // interval + 1) * interval
            self._actions.clear()
            self._weights.clear()
        self._taken = self._take()
        if self._stop.is_checkpoint_wanted():  # written as at a stop; the training continues unchanged
            self.write()
            self._stop.clear_checkpoint()
        if is_due:
            self.write()
            self._begin()
        else:
            self._weigh()

    def _on_step(self) -> bool:
        if self._stop.is_made():
            self.is_stopped = True
            return False
        row, infos = len(self._actions) - self._taken["n_rows"], self.locals["infos"]
        self._actions.append(self.locals.get("clipped_actions", self.locals["actions"]))
        for worker in np.flatnonzero(self.locals["dones"]):
            outcome = infos[worker].get("outcome", {})  # none if the worker died
            self._ends.append((row, int(worker), outcome.get("scenario", "")))
        return True

    def _on_rollout_end(self) -> None:
        buffer = getattr(self.model, "rollout_buffer", None)
        if buffer is not None:
            self._sampler.update(buffer.advantages, self._ends)

    def _take(self) -> State:
        return {
            "timesteps": self.model.num_timesteps,
            "number": self._number,
            "next": self._next,
            "n_rows": len(self._actions),
            "n_weights": len(self._weights),
            "generators": take_generators(self.model),
            "parts": {name: part.state() for name, part in self._parts.items()},
        }

    def _begin(self) -> None:
        self._sampler.begin()
        self._weigh()
        self.model._last_obs = self.training_env.restart(derive_seed(self._config.seed, self._number))
        self.model._last_episode_starts = np.ones(self.training_env.num_envs, dtype=bool)

    def _weigh(self) -> None:
        weights = self._sampler.weights()
        if weights is not None:
            self._weights.append((len(self._actions), weights.tolist()))
            self.training_env.set_weights(weights)

    def _replay(self, state: State) -> None:
        """Drives the steps since the environments were last restarted again."""
        env, weights, actions = self.training_env, dict(state["weights"]), state["actions"].numpy()
        if 0 in weights:
            env.set_weights(np.array(weights[0]))
        env.restart(derive_seed(self._config.seed, self._number))
        starts = sorted({*weights, *range(0, len(actions), MAX_ROWS)})
        for start, end in pairwise([*starts, len(actions)]):
            if self._stop.is_made():
                raise StoppedError(f"Stopped by {self._stop.reason}; nothing was learned since it was resumed.")
            if start and start in weights:
                env.set_weights(np.array(weights[start]))
            drive = env.drive(actions[start:end])
        self._actions, self._weights = list(actions), list(state["weights"])
        self.model._last_obs = {key: array[-1] for key, array in drive.observations.items()}
        self.model._last_episode_starts = drive.dones[-1]


def derive_seed(seed: int, number: int) -> int:
    """Returns the seed from which the environments restart at the checkpoint of this number."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
