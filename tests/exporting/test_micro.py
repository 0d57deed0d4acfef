"""TFLite Micro: what it cannot run is refused before it is run, and the arena is the smallest that works."""

import os
from pathlib import Path

import numpy as np
import pytest

from roadsense.errors import ExportError, InputError
from roadsense.exporting.arena_search import act, works
from roadsense.exporting.micro import Arena, MicroPolicy, add_margin, align, measure_arena, refuse_unknown_operators
from roadsense.policies.tflite import TflitePolicy, count_operators, embed_card, read_card
from roadsense.utils.side_process import side_processes


@pytest.fixture
def policy_path(exported, tmp_path):
    path = tmp_path / "policy.tflite"
    path.write_bytes((exported.folder / "policy.tflite").read_bytes())
    return path


def rewrite(path, change):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    change(model, schema)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


def test_an_operator_that_it_lacks_is_refused_by_name(policy_path):
    def _put_gelu_for_tanh(model, schema):
        for code in model.operatorCodes:
            if code.builtinCode == schema.BuiltinOperator.TANH:
                code.builtinCode = schema.BuiltinOperator.GELU
                code.deprecatedBuiltinCode = 127

    refuse_unknown_operators(policy_path)
    rewrite(policy_path, _put_gelu_for_tanh)
    with pytest.raises(ExportError, match=r"led to \['GELU'\] too"):
        refuse_unknown_operators(policy_path)


def test_a_scale_for_each_channel_is_refused(exported, tmp_path):
    path = tmp_path / "policy.tflite"
    path.write_bytes((exported.folder / "policy_int8.tflite").read_bytes())

    def _give_each_channel_a_scale(model, schema):
        quantisation = next(t.quantization for t in model.subgraphs[0].tensors if t.quantization is not None)
        quantisation.scale = np.array([0.1, 0.2], np.float32)

    refuse_unknown_operators(path)
    rewrite(path, _give_each_channel_a_scale)
    with pytest.raises(ExportError, match="one a channel"):
        refuse_unknown_operators(path)


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "wrong.tflite").write_bytes(b"text" * 100)
    with pytest.raises(InputError, match="TFLite Micro refuses it"):
        MicroPolicy(tmp_path / "wrong.tflite", ("ego", "peers", "peer_mask"))


@pytest.mark.parametrize("name", ["policy.tflite", "policy_int8.tflite"])
def test_the_arena_works_and_a_smaller_one_does_not(exported, name):
    path = exported.folder / name
    arena, content = measure_arena(path), path.read_bytes()
    found = exported.card["files"][name]
    assert (arena.chip_bytes, arena.recommended_bytes) == (found["arena_bytes"], found["arena_bytes_64_bit"])
    assert arena.recommended_bytes == add_margin(arena.smallest_bytes) > 1.1 * arena.smallest_bytes
    assert arena.recommended_bytes % 16 == arena.chip_bytes % 16 == 0
    assert arena.smallest_bytes / 4 < arena.persistent_bytes < arena.smallest_bytes
    expected = act(content, 1 << 20)
    assert works(content, arena.smallest_bytes, expected)
    assert not works(content, arena.smallest_bytes - 16, expected)
    assert not works(content, arena.recommended_bytes, b"another action")


def test_the_arena_of_a_32_bit_chip_holds_what_was_measured_on_a_cortex_m4():
    for smallest_bytes, persistent_bytes, measured_bytes in ((5680, 3456, 3952), (5984, 4064, 3872)):
        arena = Arena(smallest_bytes, persistent_bytes)
        assert add_margin(measured_bytes) <= arena.chip_bytes <= 1.03 * add_margin(measured_bytes)


def test_no_arena_for_what_is_no_model(tmp_path):
    (tmp_path / "wrong.tflite").write_bytes(b"text" * 100)
    with pytest.raises(ExportError, match="No arena was found"):
        measure_arena(tmp_path / "wrong.tflite")


def test_every_buffer_is_aligned_and_cards_do_not_change_actions(exported, policy_path):
    from ai_edge_litert import schema_py_generated as schema

    embed_card(policy_path, {"observation_version": 1, "note": "x" * 501})
    align(policy_path)
    content = policy_path.read_bytes()
    model = schema.Model.GetRootAsModel(content, 0)
    buffers = [model.Buffers(place) for place in range(model.BuffersLength())]
    weights = [buffer.DataAsNumpy().tobytes() for buffer in buffers if buffer.DataLength() > 64]
    assert len(weights) > 5
    assert all(content.index(data) % 16 == 0 for data in weights)
    assert read_card(exported.folder / "policy.tflite")["variant"] == "float32"
    assert count_operators(policy_path) == count_operators(exported.folder / "policy.tflite")


def test_a_truncated_file_is_refused_wherever_it_was_cut(exported, tmp_path):
    content = (exported.folder / "policy.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    for share in (0.0, 0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match="expected a TFLite policy"):
            TflitePolicy(path)
    path.write_bytes(content[:1000])
    with pytest.raises(InputError, match="damaged"):
        read_card(path)
    with pytest.raises(InputError, match="found none"):
        TflitePolicy(tmp_path / "none.tflite")


def test_a_policy_with_other_inputs_is_refused(policy_path):
    policy_path.write_bytes(policy_path.read_bytes().replace(b"peer_mask", b"peer_task"))
    with pytest.raises(InputError, match="peer_task"):
        TflitePolicy(policy_path)


def test_a_side_process_that_dies_says_what_it_said_last():
    with side_processes("conversion") as (process,):
        with pytest.raises(ExportError, match="The conversion failed"):
            process.take(process.start(os._exit, 3))


def test_errors_of_a_side_process_keep_their_kind():
    with side_processes("arena") as (process,):
        with pytest.raises(ExportError, match="No arena was found"):
            process.take(process.start(measure_arena, Path(__file__)))
