"""A job's spec: everything wrong with it is said before anything starts, and fast."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from roadsense.errors import DatasetError, InputError
from roadsense.jobs.inside.layout import JobLayout, write_layout
from roadsense.jobs.spec import MAX_NAME, NAME, JobSpec, check_spec, name_job, spec_from_json, spec_to_json
from roadsense.jobs.tags import make_tags, refuse_secrets
from tests.jobs.small_notebooks import ROOT, write_notebook

DIGEST = "0123456789abcdef" * 4
CLOUD = {"target": "ec2", "output": "s3://bucket/prefix"}


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_a_spec_is_completed():
    spec = check_spec(JobSpec("01_train", {"total_timesteps": 2000}, **CLOUD))
    assert spec.notebook == "notebooks/01_train.ipynb"
    assert spec.instance_type == "c6i.8xlarge"
    assert re.fullmatch(r"roadsense-01-train-\d{8}-\d{6}-[0-9a-f]{4}", spec.name)
    assert check_spec(spec) == spec
    assert check_spec(replace(spec, target="sagemaker", instance_type=None)).instance_type == "ml.c5.9xlarge"


def test_names_are_new_and_fit_every_service():
    names = {name_job(JobSpec("01_train")) for _ in range(50)}
    assert len(names) > 45
    for notebook in ("01_train", "x" * 300, "Ein Heft (2).ipynb", "--", "a--b"):
        name = name_job(JobSpec(notebook))
        assert len(name) <= MAX_NAME
        assert NAME.fullmatch(name)


WRONG_FIELDS = [
    ({"target": "moon"}, "target of local, docker, ec2, sagemaker"),
    ({"name": "a_b"}, "name"),
    ({"name": "a--b"}, "name"),
    ({"name": "x" * 64}, "at most 63"),
    ({"max_hours": 0}, "max_hours"),
    ({"max_hours": "twelve"}, "max_hours to be a number"),
    ({"max_hours": True}, "max_hours"),
    ({"max_usd": 0}, "max_usd"),
    ({"spot": "perhaps"}, "spot to be true or false"),
    ({"spot": True}, "no spot"),
    ({"output": "s3://bucket/x"}, "a folder as output"),
    ({"target": "ec2"}, "s3://bucket/prefix"),
    ({"target": "sagemaker", "output": "s3://Bucket"}, "s3://bucket/prefix"),
    ({**CLOUD, "instance_type": "ml.c5.9xlarge"}, "c6i.8xlarge"),
    ({**CLOUD, "target": "sagemaker", "instance_type": "c6i.8xlarge"}, "ml.c5.9xlarge"),
    ({"dataset": "s3://bucket/mine"}, "datasets/<64 hex digits>"),
    ({"dataset": f"s3://bucket/datasets/{DIGEST}/train"}, "datasets/<64 hex digits>"),
    ({"dataset": 3}, "dataset to be a text"),
    ({"parameters": [1]}, "parameters to be a mapping"),
    ({"tags": {"project": "x"}}, "tags of your own"),
    ({"tags": {"aws:x": "x"}}, "tags of your own"),
    ({"tags": {"team": 3}}, "tags of texts"),
]


@pytest.mark.parametrize(("fields", "said"), WRONG_FIELDS, ids=str)
def test_a_field_that_cannot_be_is_refused(fields, said):
    with pytest.raises(InputError, match=re.escape(said)):
        JobSpec(notebook="01_train", **fields)


WRONG_PARAMETERS = [
    ({"total_timestep": 3}, "got 'total_timestep'. Did you mean 'total_timesteps'"),
    ({"total_timesteps": "three"}, "total_timesteps to be int"),
    ({"total_timesteps": 0}, "total_timesteps: Expected total_timesteps to be a whole number of at least 1"),
    ({"hazard_probability": 1.5}, "hazard_probability: Expected hazard_probability"),
    ({"v2v": "telepathy"}, "v2v"),
    ({"algorithm": "dqn"}, "algorithm: Expected algorithm of ppo, sac, tqc"),
    ({"gamma": "high"}, "gamma to be float"),
    ({"seed": 1, "n_workers": -1}, "n_workers: Expected n_workers"),
]


@pytest.mark.parametrize(("parameters", "said"), WRONG_PARAMETERS, ids=str)
def test_a_parameter_the_notebook_or_its_settings_refuse_is_named(parameters, said):
    with pytest.raises(InputError, match=re.escape(said)):
        check_spec(JobSpec("01_train", parameters))


def test_the_settings_of_generation_are_checked_too():
    with pytest.raises(InputError, match="n_train"):
        check_spec(JobSpec("00_augment", {"n_train": -1}))


def test_a_missing_notebook_is_named_beside_those_there_are():
    with pytest.raises(InputError, match=r"01_train.*found none at 01_trian"):
        check_spec(JobSpec("01_trian"))
    with pytest.raises(InputError, match=r"nowhere/01_train\.ipynb"):
        check_spec(JobSpec("nowhere/01_train.ipynb"))


def test_a_notebook_of_ones_own_runs_here_and_is_refused_where_the_image_lacks_it(tmp_path):
    own = str(write_notebook(tmp_path))
    assert check_spec(JobSpec(own, {"n_steps": 2})).notebook == own
    with pytest.raises(InputError, match="which the image holds"):
        check_spec(JobSpec(own, {"n_steps": 2}, **CLOUD))


def test_a_notebook_that_works_on_a_run_needs_one_its_machine_can_reach():
    check_spec(JobSpec("02_evaluate", {"run_dir": "runs/first"}))
    check_spec(JobSpec("02_evaluate", {"run_dir": "s3://bucket/jobs/one/model"}, **CLOUD))
    for parameters in ({}, {"run_dir": "runs/first"}):
        with pytest.raises(InputError, match="run_dir of 02_evaluate on S3"):
            check_spec(JobSpec("02_evaluate", parameters, **CLOUD))


@pytest.mark.parametrize("target", ["docker", "sagemaker"])
@pytest.mark.parametrize("notebook", ["01_train", "02_evaluate"])
def test_a_container_without_network_is_given_nothing_to_download(target, notebook):
    output = CLOUD["output"] if target == "sagemaker" else "runs"
    url = f"s3://bucket/datasets/{DIGEST}/train"
    given = {"run_dir": "s3://bucket/jobs/one/model"} if notebook == "02_evaluate" else {}
    check_spec(JobSpec(notebook, given, target=target, output=output))
    wrong = {"beside": [url]} if notebook == "02_evaluate" else {"dataset_dir": url}
    with pytest.raises(InputError, match=f"no URL as {next(iter(wrong))} for target {target}"):
        check_spec(JobSpec(notebook, given | wrong, target=target, output=output))
    check_spec(JobSpec(notebook, given | wrong, **CLOUD))  # machines on EC2 have one


def test_a_secret_is_found_at_any_depth():
    with pytest.raises(InputError, match="api_key"):
        refuse_secrets({"further": {1: 2, "api_key": "x"}})
    with pytest.raises(InputError, match="note"):
        refuse_secrets({"notes": {"note": "AKIA" + "A" * 16}})


def test_a_dataset_has_to_be_what_its_manifest_says(dataset_copy):
    check_spec(JobSpec("01_train", dataset=str(dataset_copy)))
    route = next(dataset_copy.glob("train/*/*.rou.xml"))
    route.write_bytes(route.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(DatasetError, match=f"changed: .*{route.name}"):
        check_spec(JobSpec("01_train", dataset=str(dataset_copy)))
    manifest = dataset_copy / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"digest": "', '"digest": "0', 1))
    with pytest.raises(DatasetError, match="digest"):
        check_spec(JobSpec("01_train", dataset=str(dataset_copy)))
    with pytest.raises(DatasetError, match="found none"):
        check_spec(JobSpec("01_train", dataset=str(dataset_copy / "train")))


def test_nothing_heavy_is_loaded_for_an_error():
    code = (
        "import sys\n"
        "from roadsense.jobs.cli import main\n"
        "code = main(['submit', '01_train', '-p', 'hazard_probability', '2'])\n"
        "heavy = {'torch', 'papermill', 'pandas', 'boto3', 'stable_baselines3', 'tensorflow'} & set(sys.modules)\n"
        "print(code, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "[]"]
    assert "hazard_probability" in done.stderr


def test_a_file_of_a_spec_comes_back(tmp_path):
    spec = JobSpec(
        "01_train", {"seed": 3, "v2v": "ideal"}, name="roadsense-one", max_usd=4.5, spot=True, tags={"a": "b"}, **CLOUD
    )
    spec_to_json(spec, tmp_path / "spec.json")
    assert spec_from_json(tmp_path / "spec.json") == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "the file is damaged"),
        ('{"notebook": "01_train",}', "no comma before }"),
        ("[]", "expected an object"),
        ("{}", "expected a job with a notebook"),
        ('{"notebook": "01_train", "hours": 3}', "hours"),
        ('{"notebook": 3}', "notebook to be a text"),
    ],
)
def test_a_file_that_is_no_spec_is_refused(tmp_path, text, said):
    path = tmp_path / "spec.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        spec_from_json(path)
    with pytest.raises(InputError, match="no such file"):
        spec_from_json(tmp_path / "other.json")


def test_a_spec_takes_numbers_in_texts_and_a_target_in_capitals():
    given = {"total_timesteps": "1e6", "v2v_randomised": "False", "seeds": "1,2"}
    spec = check_spec(JobSpec("01_train", given, target="Local", max_hours="2", spot="no"))
    assert (spec.target, spec.max_hours, spec.spot) == ("local", 2, False)
    assert spec.parameters == {"total_timesteps": 1_000_000, "v2v_randomised": False, "seeds": [1, 2]}


def test_tags_say_whose_job_it_is_and_when_it_ends_at_the_latest():
    deadline = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    tags = make_tags("one", {"team": "brakes"}, deadline, {"dataset_digest": DIGEST, "git_commit": ""})
    owner = tags.pop("roadsense:owner")
    assert owner
    assert tags == {
        "team": "brakes",
        "project": "roadsense",
        "roadsense:job": "one",
        "roadsense:deadline": "2030-01-02T03:04:05Z",
        "roadsense:dataset-digest": DIGEST,
    }


def test_the_layout_is_sagemakers(tmp_path, small_dataset):
    spec = check_spec(JobSpec("01_train", {"total_timesteps": 5, "v2v": "ideal"}, name="one"))
    layout = write_layout(tmp_path / "ml", spec, small_dataset.folder)
    assert json.loads((tmp_path / "ml/input/config/hyperparameters.json").read_text()) == {
        "total_timesteps": "5",
        "v2v": "ideal",
    }
    assert (tmp_path / "ml/input/data/dataset/manifest.json").is_file()
    assert layout == JobLayout(tmp_path / "ml")


def test_hyperparameters_of_the_service_itself_are_ignored(tmp_path):
    layout = JobLayout(tmp_path)
    assert layout.read_hyperparameters() == {}
    layout.hyperparameters_path.parent.mkdir(parents=True)
    given = {"seed": "3", "_tuning_objective_metric": "eval_score", "sagemaker_program": "x", "number": 4}
    layout.hyperparameters_path.write_text(json.dumps(given))
    assert layout.read_hyperparameters() == {"seed": "3", "number": "4"}
    layout.hyperparameters_path.write_text("[3]")
    with pytest.raises(InputError, match="expected an object"):
        layout.read_hyperparameters()
