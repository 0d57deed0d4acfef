"""Content of a TFLite file beside its weights: operators, quantisation, and a card in its metadata. No interpreter."""

import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

from roadsense.errors import InputError

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
