"""Every kind of actor gives the same actions as TFLite, on LiteRT and on TFLite Micro."""

import numpy as np
import pytest

from roadsense.exporting.convert import convert_float32, convert_int8
from roadsense.exporting.micro import MICRO_OPERATORS, MicroPolicy, refuse_unknown_operators
from roadsense.policies.actor import read_actor
from roadsense.policies.models import as_model_input
from roadsense.policies.tflite import TflitePolicy, count_operators, find_output_step, has_channel_scales
from roadsense.utils.side_process import side_processes
from tests.exporting.models import MODELS, draw

OBSERVATIONS = draw(1500)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Model, float32 and int8 policy of each kind; TensorFlow converts them in one process."""
    folder, found = tmp_path_factory.mktemp("converted"), {}
    models = {name: build() for name, build in MODELS.items()}
    with side_processes("conversion") as (converter,):
        for name, model in models.items():
            actor = read_actor(model)
            for variant, content in {
                "float32": converter.take(converter.start(convert_float32, actor)),
                "int8": converter.take(converter.start(convert_int8, actor, draw(300, seed=1))),
                "again": converter.take(converter.start(convert_float32, actor)),
            }.items():
                (folder / f"{name}_{variant}.tflite").write_bytes(content)
            found[name] = model, folder / f"{name}_float32.tflite", folder / f"{name}_int8.tflite"
    return found


@pytest.fixture(params=MODELS)
def kind(request, converted):
    return converted[request.param]


def expected_of(model, observations=OBSERVATIONS):
    return model.predict(as_model_input(model, observations), deterministic=True)[0]


def test_float32_acts_like_the_original_on_both_runtimes(kind):
    model, path, _ = kind
    expected, policy = expected_of(model), TflitePolicy(path)
    actions = policy(OBSERVATIONS)
    assert (actions.shape, actions.dtype) == (expected.shape, np.float32)
    assert np.abs(actions - expected).max() <= 1e-5
    np.testing.assert_array_equal(MicroPolicy(path, policy.input_names)(OBSERVATIONS), actions)
    # Else a difference could not show.
    assert ((actions > 0.01) & (actions < 0.99)).sum() > 150
    assert expected.std() > 0.1


def test_int8_is_near_it_takes_and_gives_floats_and_has_one_scale_a_tensor(kind):
    model, _, path = kind
    policy = TflitePolicy(path)
    actions = MicroPolicy(path, policy.input_names)(OBSERVATIONS)
    difference = np.abs(actions - expected_of(model))
    assert 1e-4 < np.sqrt((difference**2).mean()) < 0.1
    assert not has_channel_scales(path)
    assert count_operators(path)["DEQUANTIZE"] == 1
    step = find_output_step(path)
    assert 0 < step <= 1 / 120
    np.testing.assert_allclose(actions / step, np.round(actions / step), atol=1e-3)


def test_only_operators_of_tflite_micro_are_in_the_files(kind):
    for path in kind[1:]:
        refuse_unknown_operators(path)
        assert set(count_operators(path)) <= set(MICRO_OPERATORS)


def test_the_same_actor_gives_the_same_bytes(kind):
    path = kind[1]
    again = path.with_name(path.name.replace("float32", "again"))
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["ppo_deep_sets", "ppo_sees_ego", "sac_deep_sets", "tqc_deep_sets"])
def test_order_of_peers_and_what_was_not_heard_do_not_matter_to_deep_sets(converted, name):
    observations = draw(200)
    order = np.random.default_rng(1).permutation(observations["peer_mask"].shape[1])
    permuted = {
        **observations,
        "peers": observations["peers"][:, order],
        "peer_mask": observations["peer_mask"][:, order],
    }
    heard = observations["peer_mask"][..., None] > 0
    garbage = {**observations, "peers": np.where(heard, observations["peers"], 3.0).astype(np.float32)}
    for path in converted[name][1:]:
        policy = TflitePolicy(path)
        actions = policy(observations)
        np.testing.assert_array_equal(policy(permuted), actions)
        np.testing.assert_array_equal(policy(garbage), actions)


def test_nobody_heard(kind):
    model, path, _ = kind
    alone = draw(50)
    alone["peers"][:], alone["peer_mask"][:] = 0, 0
    np.testing.assert_allclose(TflitePolicy(path)(alone), expected_of(model, alone), atol=1e-5)


def test_actions_stay_within_their_bounds_in_the_graph(kind):
    for path in kind[1:]:
        actions = TflitePolicy(path)(OBSERVATIONS)
        assert actions.min() >= 0
        assert actions.max() <= 1
        assert np.ptp(actions) > 0.3


def test_ppo_actions_are_cut_at_both_ends_in_the_graph(converted):
    for path in converted["ppo_deep_sets"][1:]:
        actions = TflitePolicy(path)(OBSERVATIONS)
        assert (actions.min(), round(float(actions.max()), 6)) == (0.0, 1.0)
