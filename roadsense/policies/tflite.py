"""TFLite policies: the content of a file beside its weights, and the file as a controller. No TensorFlow, no torch."""

import json
import struct
from collections import Counter
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
from roadsense.utils.files import read_checked

CARD_NAME = "roadsense_card"
"""Name of the metadata entry that holds the model card, JSON."""
UNREADABLE = (
    ValueError,
    IndexError,
    TypeError,
    struct.error,
    UnicodeDecodeError,
    AttributeError,
    RuntimeError,
    OverflowError,
    KeyError,
)
"""Errors of reading a damaged flatbuffer."""


def count_operators(path: Path) -> dict[str, int]:
    """Returns how often each operator is in a TFLite file, by name."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = _unpack(path)
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return dict(Counter(names[codes[one.opcodeIndex]] for graph in model.subgraphs for one in graph.operators))


def find_output_step(path: Path) -> float:
    """Returns the step of an int8 policy's action, or 0 if it is computed in float32."""
    graph = _unpack(path).subgraphs[0]
    (output,) = graph.outputs
    maker = next(one for one in graph.operators if output in one.outputs)
    quantisation = graph.tensors[maker.inputs[0]].quantization
    scale = None if quantisation is None else quantisation.scale
    return 0.0 if scale is None or not len(scale) else float(scale[0])


def has_channel_scales(path: Path) -> bool:
    """Returns whether any tensor has more than one scale; not all kernels of TFLite Micro support that."""
    tensors = [tensor for graph in _unpack(path).subgraphs for tensor in graph.tensors]
    scales = [t.quantization.scale for t in tensors if t.quantization is not None and t.quantization.scale is not None]
    return any(len(scale) > 1 for scale in scales)


def embed_card(path: Path, card: dict[str, Any]) -> None:
    """Writes a card into the file's metadata. Buffers lose their alignment: align the file afterwards."""
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    model = _unpack(path)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    text = json.dumps(card, separators=(",", ":"), allow_nan=False)
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = CARD_NAME, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


def read_card(path: str | Path) -> dict[str, Any] | None:
    """Returns the card in a TFLite file's metadata, or None if it has none.

    Raises:
        InputError: if the file is damaged.
    """
    model = _unpack(Path(path))
    try:
        for entry in model.metadata or []:
            if entry.name in (CARD_NAME, CARD_NAME.encode()):
                return json.loads(bytes(model.buffers[entry.buffer].data))
    except UNREADABLE as error:
        raise _damaged(Path(path), error) from error
    return None


def _unpack(path: Path) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    content = path.read_bytes()
    try:
        return schema.ModelT.InitFromPackedBuf(content, 0)
    except UNREADABLE as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: expected a TFLite policy, it is damaged ({error}). Export it again.")


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
