"""An actor as a TensorFlow graph, and from there as TFLite.

TensorFlow is imported only here in the package; call these functions in a separate process.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.policies.actor import RELU, TANH, Actor, Layer


def convert_float32(actor: Actor) -> bytes:
    """Returns the policy as a TFLite file in float32; the same actor gives the same bytes."""
    return _make_converter(actor).convert()


def convert_int8(actor: Actor, calibration: Observation) -> bytes:
    """Returns the policy as a TFLite file that computes in int8 and takes and gives float32.

    Weights have one scale a tensor: TFLite Micro's kernels do not all know a scale for each channel, and some give
    wrong results without an error.

    Args:
        actor: network of the policy.
        calibration: observations with a leading batch axis; activations outside the range on them saturate.
    """
    import tensorflow as tf

    converter = _make_converter(actor)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _rows(calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return converter.convert()


def _rows(observations: Observation) -> Iterator[dict[str, NDArray[np.float32]]]:
    for row in range(len(observations["ego"])):
        yield {name: values[row : row + 1] for name, values in observations.items()}  # type: ignore[index]


def _make_converter(actor: Actor) -> Any:
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="-1")
    import tensorflow as tf

    @tf.function(
        input_signature=[tf.TensorSpec((1, *actor.shapes[name]), name=name) for name in Observation.__annotations__]
    )
    def _act(ego: Any, peers: Any, peer_mask: Any) -> dict[str, Any]:
        inputs = {"ego": ego, "peers": peers, "peer_mask": peer_mask}
        features = _pool(tf, inputs, actor) if actor.peer_layers else _flatten(tf, inputs, actor)
        return {"action": _bound(tf, _run_layers(tf, features, actor.policy_layers), actor)}

    return tf.lite.TFLiteConverter.from_concrete_functions([_act.get_concrete_function()], tf.Module())


def _pool(tf: Any, inputs: dict[str, Any], actor: Actor) -> Any:
    # Two axes throughout: with a third the converter may add operators that the microcontroller lacks.
    heard = _run_layers(tf, tf.reshape(inputs["peers"], actor.shapes["peers"]), _bind_ego(inputs["ego"], actor))
    strongest = tf.reduce_max(heard * tf.reshape(inputs["peer_mask"], (-1, 1)), axis=0, keepdims=True)
    return tf.concat([inputs["ego"], strongest], axis=1)


def _bind_ego(ego: Any, actor: Actor) -> Sequence[Layer]:
    """Returns the peer network for peers alone: the ego's part of the first layer is the same for all of them."""
    if not actor.sees_ego:
        return actor.peer_layers
    first, *rest = actor.peer_layers
    n_ego = actor.shapes["ego"][0]
    bias = ego @ first.weight[:n_ego] + first.bias
    return [Layer(first.weight[n_ego:], bias, first.activation), *rest]


def _flatten(tf: Any, inputs: dict[str, Any], actor: Actor) -> Any:
    return tf.concat(
        [tf.reshape(inputs[name], (1, int(np.prod(shape)))) for name, shape in actor.shapes.items()], axis=1
    )


def _run_layers(tf: Any, values: Any, layers: Sequence[Layer]) -> Any:
    activations = {RELU: tf.nn.relu, TANH: tf.tanh}
    for layer in layers:
        values = activations.get(layer.activation, tf.identity)(values @ layer.weight + layer.bias)
    return values


def _bound(tf: Any, action: Any, actor: Actor) -> Any:
    if actor.is_squashed:
        half = (actor.high - actor.low) / 2
        return tf.tanh(action) * half + (actor.low + half)
    return tf.minimum(tf.maximum(action, actor.low), actor.high)
