"""Checkpoints: everything that a training needs to resume exactly.

SUMO's state cannot be saved exactly. So every run restarts its environments at each checkpoint, from a new seed. A
checkpoint that is written between two of these restarts holds the actions since the last one, and a resume drives these
steps again. Either way a resumed run equals one that was never stopped (unless a worker process died in between: its
episode cannot be driven again).

A checkpoint is one zip of tensors, numbers and strings; reading it runs no code. It is written under another name,
flushed to the disk and renamed. The last two are kept.
"""

import io
import random
import sys
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from roadsense.errors import RunError
from roadsense.runs.run import CHECKPOINTS
from roadsense.utils.files import write_atomically

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
    except (OSError, RuntimeError, EOFError, UnpicklingError, zipfile.BadZipFile):
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
