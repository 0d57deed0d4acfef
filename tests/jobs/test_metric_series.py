"""A job's figures while it runs: from log lines as a training tells them, growing under whoever follows."""

import base64
import io
import threading
import time

import boto3
import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from PIL import Image

from roadsense.cli import main
from roadsense.jobs.aws.sagemaker import logs
from roadsense.jobs.aws.sagemaker.target import SageMakerTarget
from roadsense.jobs.job import Job
from roadsense.jobs.metric_series import MetricSeries, count_seeds, describe_latest, plot_series
from roadsense.jobs.records import write_record
from roadsense.jobs.runner import run_notebook
from roadsense.runs.metric_lines import METRIC_VARIABLE, print_metrics
from roadsense.utils.progress import HEADLESS_VARIABLE
from roadsense.widgets.live_picture import LivePicture
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.small_notebooks import printed, write_notebook
from tests.jobs.test_sagemaker_request import SPEC
from tests.jobs.tuner_engine import put_log


def figures(steps, **more):
    return {
        "timesteps": steps, "elapsed_s": 1.0, "steps_per_s": 900.0, "reward_mean": steps / 1000 - 5,
        "collision_rate": 0.5 - steps / 20_000, "min_ttc_median_s": 2.0, "false_braking_share": 0.01, **more,
    }  # fmt: skip


def judged(steps):
    return {
        "eval_timesteps": steps, "eval_score": 0.8, "eval_collision_rate": 0.02, "eval_collision_rate_low": 0.0,
        "eval_collision_rate_high": 0.07, "eval_false_braking_share": 0.02, "eval_min_ttc_median_s": 1.9,
    }  # fmt: skip


@pytest.fixture
def tell(monkeypatch, capsys):
    """Returns the lines a training tells of figures."""
    monkeypatch.setenv(METRIC_VARIABLE, "1")

    def _tell(row):
        print_metrics(row)
        return capsys.readouterr().out.splitlines()

    return _tell


def read(tell, rows, **options):
    return MetricSeries(**options).take_all(line for row in rows for line in ["In [4]:", *tell(row)])


def test_lines_become_the_rows_that_a_run_keeps(tell):
    rows = [figures(1000), figures(2000, **judged(1000)), {"timesteps": 2000, **judged(2000)}]
    series = read(tell, rows)
    expected = pd.DataFrame(rows).drop(columns="elapsed_s")
    pd.testing.assert_frame_equal(series.table()[expected.columns], expected, check_dtype=False)
    assert describe_latest(series).startswith("2,000 steps, 900 steps/s, collisions 40.0%")
    assert "score 0.800" in describe_latest(series)


def test_what_is_told_again_after_an_interruption_takes_the_place_of_what_was(tell):
    series = read(tell, [figures(1000), figures(2000), figures(3000), figures(2000, reward_mean=7.0), figures(3000)])
    assert series.table()["timesteps"].tolist() == [1000, 2000, 3000]
    assert series.table()["reward_mean"][1] == 7.0


def test_seeds_are_told_apart_and_an_interruption_from_them(tell):
    rows = [figures(1000), figures(2000), figures(1000), figures(2000), figures(3000), figures(2000)]
    table = read(tell, rows, n_seeds=2).table()
    assert table[["seed", "timesteps"]].to_numpy().tolist() == [[0, 1000], [0, 2000], [1, 1000], [1, 2000]]
    assert plot_series(read(tell, rows, n_seeds=2)) is not None


def test_seeds_are_counted_in_values_and_in_texts():
    assert [count_seeds(each) for each in ({}, {"seeds": "[0, 1, 12]"}, {"seeds": [4, 5]}, {"seeds": "[]"})] == [
        1,
        3,
        2,
        1,
    ]


@pytest.mark.parametrize(
    "line", ["reward_mean=", "reward_mean=-", "reward_mean=1.5e", "reward_mean=1.2.3", "reward_mean=nan"]
)
def test_a_number_that_was_cut_off_is_left_out(line):
    series = MetricSeries()
    assert not series.take(f"roadsense_metric {line}")
    assert series.latest() == {}
    assert series.take("[1,2]<stdout>:roadsense_metric eval_score=-1.25e-05")
    assert series.latest() == {"eval_score": -1.25e-05}


def test_before_anything_was_told_there_is_nothing_to_draw(tell):
    assert plot_series(MetricSeries()) is None
    assert plot_series(MetricSeries().take_all(["roadsense_metric timesteps=5"])) is None
    assert describe_latest(MetricSeries()) == ""


@pytest.fixture
def job(aws, monkeypatch, tmp_path):
    """A training job that runs, on the stand-in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "POLL_S", 0.05)
    with told(Story(steps=[("InProgress", "Training", "")])) as story:
        boto3.client("s3").create_bucket(
            Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        target = SageMakerTarget()
        name = target.submit(target.plan(SPEC))
        write_record(SPEC, name)
        yield name, story


def test_a_running_jobs_series_grows(job, tell, tmp_path, capsys):
    name, _ = job
    assert main(["job", "metrics", name, "--target", "sagemaker"]) == 1
    assert "no figures yet" in capsys.readouterr().err
    put_log(name, tell(figures(1000)))
    assert len(Job.find(name).metrics().table()) == 1
    put_log(name, tell(figures(2000, **judged(1000))))
    assert Job.find(name).metrics().table()["eval_score"].dropna().tolist() == [0.8]
    files = tmp_path / "curves.png", tmp_path / "all.csv"
    assert main(["job", "metrics", name, "--target=sagemaker", f"--plot={files[0]}", f"--csv={files[1]}"]) == 0
    assert "2,000 steps" in capsys.readouterr().out
    assert files[0].stat().st_size > 20_000
    assert len(pd.read_csv(files[1])) == 2


@pytest.mark.parametrize("is_headless", [True, False])
def test_a_growing_log_is_followed_with_one_picture(job, tell, monkeypatch, capsys, is_headless):
    name, story = job
    if is_headless:
        monkeypatch.setenv(HEADLESS_VARIABLE, "1")
    batches = [
        ["a line of its own"],
        *(tell(figures(1000 * n, **judged(1000 * n) if n % 3 == 0 else {})) for n in range(1, 10)),
    ]
    drawn = []
    monkeypatch.setattr(
        "roadsense.widgets.live_picture.display", lambda picture, display_id: drawn.append("new") or Shown(drawn)
    )

    def _grow():
        for batch in batches:
            put_log(name, batch)
            time.sleep(0.2)
        story.ends[name] = ("Completed", "Completed", "")

    grower = threading.Thread(target=_grow)
    grower.start()
    monkeypatch.setattr(LivePicture.__init__, "__defaults__", (0.1,))
    status = Job.find(name).follow(picture=True)
    grower.join()
    assert status.state == "done"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a line of its own"
    assert all("score 0.800" in line for line in lines[1:])
    assert 1 <= len(lines) - 1 <= 3  # a line for an evaluation, none for each figure
    assert drawn[0] == "new"
    assert drawn.count("new") == 1
    assert (len(drawn) == 1) == is_headless


class Shown:
    """Counts what a notebook's display is told."""

    def __init__(self, drawn):
        self.drawn = drawn

    def update(self, _picture):
        self.drawn.append("again")


DRAW = """
from matplotlib.figure import Figure
from roadsense.widgets.live_picture import LivePicture
picture = LivePicture(every_s=0.0)
for n in range(5):
    figure = Figure(figsize=(2 + n, 2))
    figure.add_subplot().plot([0, n])
    picture.offer(lambda: figure)
picture.finish(lambda: figure)
print("drawn", picture.n_drawn)
"""


@pytest.mark.parametrize(("is_watched", "n_drawn"), [(True, 6), (False, 1)])
def test_a_real_notebook_keeps_one_picture_the_last(tmp_path, is_watched, n_drawn):
    path = write_notebook(tmp_path, DRAW)
    if is_watched:
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook).execute()
        executed = tmp_path / "executed.ipynb"
        nbformat.write(notebook, executed)
    else:
        executed = run_notebook(path, tmp_path / "executed.ipynb", {})
    assert f"drawn {n_drawn}" in printed(executed)
    cells = nbformat.read(executed, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
    assert len(outputs) == 1
    assert Image.open(io.BytesIO(base64.b64decode(outputs[0]["data"]["image/png"]))).width == 6 * 80
