"""What is sent to generate a dataset on several machines: built without AWS, checked against its own model."""

from dataclasses import replace

import pytest

from roadsense.augment.config import GenConfig
from roadsense.augment.draws.ranges import VariationRanges
from roadsense.errors import InputError
from roadsense.jobs.generate import GenerateConfig
from roadsense.jobs.generation import find_inputs_url, list_inputs, read_settings, spell_settings
from roadsense.jobs.processing_plan import plan_generation
from roadsense.jobs.processing_request import PROCESSING, Generation, build_processing_request
from roadsense.jobs.sagemaker_request import Placement
from roadsense.jobs.sagemaker_send import check_request
from roadsense.jobs.spec import JobSpec
from tests.jobs.test_sagemaker_request import IMAGE, ROLE

DIGEST = "0b" * 32
SPEC = JobSpec(
    "00_augment",
    target="sagemaker",
    name="roadsense-generate-1",
    image=IMAGE,
    instance_type="ml.c5.9xlarge",
    output="s3://bucket/roads",
    max_hours=2.0,
    region="eu-central-1",
    role=ROLE,
)
PLACE = Placement(ROLE, {"project": "roadsense"}, facts={"git_commit": "abc"})
GENERATION = Generation(("--n_train", "8000"), f"s3://bucket/roads/bases/{DIGEST}", 8)
SETTINGS = GenConfig(
    seed=3, n_train=8000, n_eval=2000, hold_out_base="town", ego="car 1", convoy=("car 2", "c3"),
    min_split_distance=0.2,
    ranges=VariationRanges(density=(0.5, 2.0), convoy_shift_s=(-5.5, -1.0), convoy_size=(2, 5), v2v=(), wet_share=0.0),
)  # fmt: skip


def test_request_is_one_sagemaker_takes():
    request = build_processing_request(SPEC, PLACE, GENERATION)
    check_request(PROCESSING, request)
    cluster = {"InstanceCount": 8, "InstanceType": "ml.c5.9xlarge", "VolumeSizeInGB": 30}
    assert request["ProcessingResources"]["ClusterConfig"] == cluster
    (source,) = request["ProcessingInputs"]
    assert source["S3Input"]["S3Uri"] == f"s3://bucket/roads/bases/{DIGEST}/"
    assert source["S3Input"]["S3DataDistributionType"] == "FullyReplicated"
    assert request["Environment"]["ROADSENSE_BASES_DIGEST"] == DIGEST
    (output,) = request["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == "s3://bucket/roads/jobs/roadsense-generate-1/shards"
    for path in (source["S3Input"]["LocalPath"], output["S3Output"]["LocalPath"]):
        assert path.startswith("/opt/ml/processing/")
    assert request["AppSpecification"]["ContainerArguments"] == ["--n_train", "8000"]
    assert request["AppSpecification"]["ContainerEntrypoint"][-1] == "roadsense.jobs.generate_shard"
    assert request["NetworkConfig"] == {"EnableNetworkIsolation": True}
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200}
    assert request == build_processing_request(SPEC, PLACE, GENERATION)


def test_settings_left_at_their_default_are_not_sent():
    request = build_processing_request(SPEC, PLACE, replace(GENERATION, words=()))
    check_request(PROCESSING, request)
    assert "ContainerArguments" not in request["AppSpecification"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"image": "roadsense:latest"}, "ECR"),
        ({"name": "mine"}, "begins with roadsense-"),
        ({"spot": True}, "spot"),
        ({"max_hours": 24.0 * 10}, "216"),
    ],
)
def test_what_sagemaker_would_refuse_is_refused_before(change, word):
    with pytest.raises(InputError, match=word):
        build_processing_request(replace(SPEC, **change), PLACE, GENERATION)


@pytest.mark.parametrize("change", [{"n_shards": 0}, {"n_shards": 101}, {"words": ("--a",) * 101}])
def test_more_than_a_job_takes_is_refused(change):
    with pytest.raises(InputError, match=next(iter(change)).replace("words", "100 words")):
        replace(GENERATION, **change)


@pytest.mark.parametrize("config", [GenConfig(), SETTINGS], ids=["default", "changed"])
def test_settings_are_spelt_and_read_again(config):
    words = spell_settings(config)
    assert read_settings(words).settings == config.settings
    assert len(words) <= 100


def test_settings_nobody_knows_are_refused():
    with pytest.raises(InputError, match="--speed"):
        read_settings(["--speed", "3"])


def test_ranges_of_a_file_are_sent_as_options_and_the_file_goes_with_the_bases(tiny_bases, tmp_path):
    (tmp_path / "mine.toml").write_text("density = [0.6, 0.9]\n")
    config = GenConfig(tiny_bases, ranges_file=tmp_path / "mine.toml")
    assert spell_settings(config) == ["--density", "0.6", "0.9"]
    assert list_inputs(config)["ranges.toml"] == tmp_path / "mine.toml"
    assert find_inputs_url(config, "s3://b/p") != find_inputs_url(GenConfig(tiny_bases), "s3://b/p")


def test_a_plan_says_what_all_machines_cost_and_how_long_they_may_take(tiny_bases, no_aws):
    config = GenConfig(tiny_bases, n_train=8000, n_eval=2000, n_shards=8)
    plan = plan_generation(SPEC, config)
    one = plan_generation(SPEC, replace(config, n_shards=1))
    assert plan.estimate.usd == pytest.approx(8 * one.estimate.usd)
    assert "10000 scenarios on 8 x 36 cores" in plan.tell_time()
    limited = plan_generation(replace(SPEC, max_usd=plan.estimate.usd / 4), config)
    assert limited.request["StoppingCondition"]["MaxRuntimeInSeconds"] == pytest.approx(1800, abs=2)
    assert limited.estimate.usd == pytest.approx(plan.estimate.usd / 4, rel=0.01)
    tags = {tag["Key"]: tag["Value"] for tag in plan.request["Tags"]}
    assert tags["roadsense:bases-digest"] == plan.request["Environment"]["ROADSENSE_BASES_DIGEST"]


@pytest.mark.parametrize(("settings", "word"), [({"n_shards": 2, "shard": 1}, "shard"), ({"n_shards": 101}, "100")])
def test_settings_of_one_machine_are_none_of_a_job(settings, word):
    with pytest.raises(InputError, match=word):
        GenerateConfig(GenConfig(**settings))


def test_no_base_scenarios_are_said_before_anything_is_sent(tmp_path, no_aws):
    with pytest.raises(InputError, match="base_dir"):
        plan_generation(SPEC, GenConfig(tmp_path / "nowhere"))
