"""The policy as an ONNX graph, for runtimes of ONNX: float32, any number of observations at once."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.exporting.card import Card
from roadsense.exporting.parity import Bounds, Evidence, compare_actions, refuse_unequal
from roadsense.policies.actor import RELU, TANH, Actor, Layer
from roadsense.utils.files import hash_file

ONNX_NAME = "policy.onnx"
OPSET = 17
NODES = {RELU: "Relu", TANH: "Tanh"}


class _Graph:
    # Collects nodes and constants; each method returns the name of a value.

    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._make_node, self._from_array = helper.make_node, numpy_helper.from_array

    def add(self, kind: str, *inputs: str | NDArray[Any] | np.generic, **attributes: Any) -> str:
        names = [one if isinstance(one, str) else self._hold(one) for one in inputs]
        name = f"value_{len(self.nodes)}"
        self.nodes.append(self._make_node(kind, names, [name], **attributes))
        return name

    def run(self, layers: tuple[Layer, ...], values: str) -> str:
        for layer in layers:
            values = self.add("Add", self.add("MatMul", values, layer.weight), layer.bias)
            values = self.add(NODES[layer.activation], values) if layer.activation in NODES else values
        return values

    def _hold(self, values: NDArray[Any] | np.generic) -> str:
        self.constants.append(self._from_array(np.asarray(values), f"constant_{len(self.constants)}"))
        return f"constant_{len(self.constants) - 1}"


def write_onnx(actor: Actor) -> bytes:
    """Returns the policy as an ONNX file with the inputs `ego`, `peers`, `peer_mask` and the output `action`.

    It does not refuse broken observations: the program that runs it must do that before.
    """
    from onnx import TensorProto, helper

    graph = _Graph()
    features = _pool(graph, actor) if actor.peer_layers else _flatten(graph, actor)
    _bound(graph, graph.run(actor.policy_layers, features), actor)
    graph.nodes[-1].output[0] = "action"
    floats = TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(name, floats, ("n", *shape)) for name, shape in actor.shapes.items()]
    output = helper.make_tensor_value_info("action", floats, ("n", 1))
    made = helper.make_graph(graph.nodes, "roadsense", inputs, [output], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return model.SerializeToString()


def run_onnx(content: bytes, observation: Observation) -> NDArray[np.float32]:
    """Returns the action of an ONNX file for each observation of a batch, on ONNX Runtime; shape (n, 1)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["action"], {name: np.asarray(values, np.float32) for name, values in observation.items()})[0]


def write_proven_onnx(path: Path, actor: Actor, evidence: Evidence, bounds: Bounds) -> Card:
    """Writes the policy as ONNX and returns the part of the card about it.

    Args:
        path: path of the file.
        actor: network of the policy.
        evidence: the trained policy's actions on recorded observations.
        bounds: largest allowed differences.

    Raises:
        ExportError: if it acts differently from the trained policy.
    """
    content = write_onnx(actor)
    difference = compare_actions(run_onnx(content, evidence.observations), evidence.trained)
    refuse_unequal("ONNX", {"ONNX Runtime": difference}, bounds, len(evidence.trained))
    path.write_bytes(content)
    return {"file": path.name, "size_bytes": len(content), "sha256": hash_file(path), "difference": asdict(difference)}


def _pool(graph: _Graph, actor: Actor) -> str:
    peers, last = "peers", np.array([2], np.int64)
    if actor.sees_ego:
        n_peers = actor.shapes["peers"][0]
        beside = graph.add("Unsqueeze", "ego", np.array([1], np.int64))
        peers = graph.add("Concat", graph.add("Tile", beside, np.array([1, n_peers, 1], np.int64)), peers, axis=2)
    heard = graph.add("Mul", graph.run(actor.peer_layers, peers), graph.add("Unsqueeze", "peer_mask", last))
    return graph.add("Concat", "ego", graph.add("ReduceMax", heard, axes=[1], keepdims=0), axis=1)


def _flatten(graph: _Graph, actor: Actor) -> str:
    return graph.add("Concat", *[graph.add("Flatten", name, axis=1) for name in actor.shapes], axis=1)


def _bound(graph: _Graph, action: str, actor: Actor) -> None:
    if not actor.is_squashed:
        graph.add("Clip", action, np.float32(actor.low.item()), np.float32(actor.high.item()))
        return
    half = (actor.high - actor.low) / 2
    graph.add("Add", graph.add("Mul", graph.add("Tanh", action), half), actor.low + half)
