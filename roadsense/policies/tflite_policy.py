"""An exported policy as a controller: the `.tflite` file itself drives. No TensorFlow, no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import (
    KNOWN_VERSIONS,
    N_PEER_FIELDS_OF,
    OBSERVATION_VERSION,
    Observation,
    observation_space,
)
from roadsense.errors import InputError
from roadsense.policies.guard import Predicts, guard
from roadsense.policies.tflite_file import read_card
from roadsense.utils.files import read_checked

ACTION_SHAPE = (1, 1)
"""Shape of the one output: one observation in, one action out."""


class TflitePolicy(Predicts):
    """Runs a `.tflite` policy, one observation after the other.

    It runs on LiteRT's reference kernels: in float32 they give what the runtime of the microcontroller gives, bit for
    bit, at 14 us an action. It pickles as its path, so each worker process opens the file itself.

    Args:
        path: path of the file.
        reference_kernels: whether to use the reference kernels; the others are faster, but round differently.

    Raises:
        InputError: if it is missing, is no TFLite file, has other inputs or outputs than the environment, or its card
            says that it was trained on another version of the observation.
    """

    def __init__(self, path: str | Path, reference_kernels: bool = True):
        self.path, self._reference_kernels = Path(path), reference_kernels
        self._interpreter = _open_interpreter(self.path, reference_kernels)
        inputs, outputs = _read_signature(self.path, self._interpreter)
        _check_version(self.path)
        _check_signature(self.path, inputs, outputs)
        self._n_peer_fields = int(inputs["peers"]["shape"][-1])
        self._inputs = {name: int(detail["index"]) for name, detail in inputs.items()}
        self._output = next(int(detail["index"]) for detail in outputs.values())

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs in the order in which the file has them; converters choose it."""
        names = {index: name for name, index in self._inputs.items()}
        return tuple(names[int(detail["index"])] for detail in self._interpreter.get_input_details())

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation of a batch, shape (n, 1), or for one, shape (1,).

        Raises:
            InputError: if the file gives anything but a number from 0 to 1.
        """
        interpreter = self._interpreter
        known = {**observation, "peers": observation["peers"][..., : self._n_peer_fields]}
        arrays = {self._inputs[name]: np.asarray(values, np.float32) for name, values in known.items()}
        actions = np.empty((len(observation["ego"]), 1), np.float32)
        for row in range(len(actions)):
            for index, values in arrays.items():
                interpreter.set_tensor(index, values[row : row + 1])
            interpreter.invoke()
            actions[row] = interpreter.get_tensor(self._output)[0]
        if not ((actions >= 0) & (actions <= 1)).all():
            raise InputError(
                f"{self.path}: expected actions from 0 to 1, got {actions.min():g} to {actions.max():g}. "
                "It is no policy of RoadSense: export one."
            )
        return actions

    def __reduce__(self) -> tuple[type["TflitePolicy"], tuple[Path, bool]]:
        return TflitePolicy, (self.path, self._reference_kernels)


def _open_interpreter(path: Path, reference_kernels: bool) -> Any:
    if not path.is_file():
        raise InputError(f"Expected a policy in {path}, found none. Make one with `roadsense export`.")
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise InputError(f"Running {path} needs LiteRT ({error}). Install `roadsense[export]`.") from error
    kernels = OpResolverType.BUILTIN_REF if reference_kernels else OpResolverType.AUTO
    try:
        interpreter = Interpreter(
            model_content=read_checked(path), num_threads=1, experimental_op_resolver_type=kernels
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path}: expected a TFLite policy ({error}). Export it again.") from error
    return interpreter


def _read_signature(path: Path, interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    # By name: converters change the order of inputs. The runner must not outlive this function, see `Interpreter`.
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        raise InputError(f"{path}: expected one signature with named inputs, got {len(signatures)}. Export it again.")
    runner = interpreter.get_signature_runner(next(iter(signatures)))
    return runner.get_input_details(), runner.get_output_details()


def _check_version(path: Path) -> None:
    card = read_card(path)
    version = OBSERVATION_VERSION if card is None else card.get("observation_version")
    if version not in N_PEER_FIELDS_OF:
        raise InputError(
            f"{path}: expected a policy of observation version {KNOWN_VERSIONS}, got {version}. Train and export "
            "it again, or run it with the roadsense that made it."
        )


def _check_signature(path: Path, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    known = [
        {name: ((1, *space.shape), "float32") for name, space in observation_space(version).items()}
        for version in N_PEER_FIELDS_OF
    ]
    expected = known[-1]
    got = {name: _describe(detail) for name, detail in inputs.items()}
    if got not in known:
        raise InputError(f"{path}: expected the inputs {expected}, got {got}. Export it again.")
    given = [_describe(detail) for detail in outputs.values()]
    if given != [(ACTION_SHAPE, "float32")]:
        raise InputError(f"{path}: expected one float32 output of shape {ACTION_SHAPE}, got {given}. Export it again.")


def _describe(detail: Mapping[str, Any]) -> tuple[tuple[int, ...], str]:
    return tuple(int(length) for length in detail["shape"]), np.dtype(detail["dtype"]).name
