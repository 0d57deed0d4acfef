"""Datasets and folders on S3: against moto's server, over HTTP, with the real transfer."""

import hashlib
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import boto3
import pytest
from moto.s3.models import FakeKey

from roadsense.cloud.checksums import WHOLE, TransferError, write_checksums
from roadsense.cloud.downloads import download_run
from roadsense.cloud.s3_transfer import S3Place, S3Transfer, find_files
from roadsense.cloud.session import CloudError
from roadsense.cloud.storage import fetch_dataset, find_dataset, publish_dataset
from roadsense.errors import DatasetError, InputError
from roadsense.scenarios.dataset import Dataset
from roadsense.training.splits import find_splits

BUCKET = "roads"


@pytest.fixture
def bucket(aws):
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return client


@pytest.fixture
def requests_made(monkeypatch):
    """Names of the operations that our clients send from now on."""
    from roadsense.cloud import s3_transfer

    names, make = [], s3_transfer.make_client

    def _make(*arguments, **options):
        client = make(*arguments, **options)
        client.meta.events.register("before-send.s3", lambda request, **_: names.append((request.method, request.url)))
        return client

    monkeypatch.setattr(s3_transfer, "make_client", _make)
    return names


def keys(client):
    return [row["Key"] for row in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_dataset_arrives_as_it_was_sent(bucket, small_dataset, tmp_path):
    url = publish_dataset(small_dataset.folder, f"s3://{BUCKET}/deep/prefix")
    assert url == f"s3://{BUCKET}/deep/prefix/datasets/{small_dataset.digest}"
    folder = fetch_dataset(url, tmp_path / "cache")
    assert folder == tmp_path / "cache" / small_dataset.digest
    assert content(folder) == content(small_dataset.folder)
    assert Dataset.open(folder).verify() == []


def test_the_manifest_goes_last_and_what_is_there_is_left_alone(bucket, small_dataset, requests_made):
    publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    sent = [url for method, url in requests_made if method == "PUT"]
    assert len(sent) == len(content(small_dataset.folder))
    assert sent[-1].endswith("/manifest.json")
    requests_made.clear()
    publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    assert [method for method, _ in requests_made] == ["GET"]  # the listing


def test_a_fetch_asks_once_for_each_file_and_a_second_one_for_nothing(bucket, small_dataset, tmp_path, requests_made):
    url = publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    requests_made.clear()
    fetch_dataset(url, tmp_path)
    assert len(requests_made) == len(content(small_dataset.folder)) + 1
    assert {method for method, _ in requests_made} == {"GET"}
    requests_made.clear()
    fetch_dataset(url, tmp_path)
    assert requests_made == []


def test_a_dataset_that_differs_from_its_manifest_is_not_published(bucket, dataset_copy):
    route = next(dataset_copy.glob("train/*/*.rou.xml"))
    route.write_bytes(route.read_bytes() + b" ")
    with pytest.raises(DatasetError, match=route.name):
        publish_dataset(dataset_copy, f"s3://{BUCKET}")
    assert keys(bucket) == []


def test_a_byte_changed_on_the_way_is_refused_and_nothing_appears(bucket, small_dataset, tmp_path):
    url = publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    key = next(key for key in keys(bucket) if key.endswith(".rou.xml"))
    good = bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    bucket.put_object(Bucket=BUCKET, Key=key, Body=bytes([good[0] ^ 1]) + good[1:])
    with pytest.raises(TransferError, match=key.rpartition("/")[2]):
        fetch_dataset(url, tmp_path)
    assert not (tmp_path / small_dataset.digest).exists()
    bucket.delete_object(Bucket=BUCKET, Key=key)
    publish_dataset(small_dataset.folder, f"s3://{BUCKET}")  # mends it
    assert content(fetch_dataset(url, tmp_path)) == content(small_dataset.folder)


def test_a_bucket_whose_etags_are_no_md5_is_sent_to_once_and_fetched_from(
    bucket, small_dataset, tmp_path, requests_made, monkeypatch
):
    # As with SSE-KMS: an ETag that looks like an MD5 and is another value.
    monkeypatch.setattr(FakeKey, "etag", property(lambda key: f'"{hashlib.sha1(key.name.encode()).hexdigest()[:32]}"'))
    url = publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    requests_made.clear()
    assert publish_dataset(small_dataset.folder, f"s3://{BUCKET}") == url
    assert [method for method, _ in requests_made if method == "PUT"] == []
    assert content(fetch_dataset(url, tmp_path)) == content(small_dataset.folder)


def test_a_manifest_of_another_dataset_is_refused(bucket, small_dataset, tmp_path):
    publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    wrong = "0" * 64
    for key in keys(bucket):
        source = {"Bucket": BUCKET, "Key": key}
        bucket.copy_object(Bucket=BUCKET, Key=key.replace(small_dataset.digest, wrong), CopySource=source)
    with pytest.raises(TransferError, match="another dataset"):
        fetch_dataset(f"s3://{BUCKET}/datasets/{wrong}", tmp_path)


def test_a_file_that_was_deleted_on_s3_is_named(bucket, small_dataset, tmp_path):
    url = publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    key = next(key for key in keys(bucket) if key.endswith(".rou.xml"))
    bucket.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(TransferError, match=key.rpartition("/")[2]):
        fetch_dataset(url, tmp_path)


def test_a_bar_ends_with_a_transfer_that_fails(bucket, tmp_path, monkeypatch):
    from roadsense.cloud import s3_transfer

    bars, make = [], s3_transfer.progress_bar
    monkeypatch.setattr(s3_transfer, "progress_bar", lambda *what: bars.append(make(*what)) or bars[0])
    (tmp_path / "file").touch()
    with pytest.raises(CloudError):
        S3Transfer(S3Place("no-such-bucket", "")).send(tmp_path, ["file"])
    assert bars[0].disable  # as tqdm marks one that is closed


def test_a_dataset_half_sent_is_none(bucket, small_dataset, tmp_path):
    url = publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    bucket.delete_object(Bucket=BUCKET, Key=f"datasets/{small_dataset.digest}/manifest.json")
    with pytest.raises(DatasetError, match="Publish it"):
        fetch_dataset(url, tmp_path)


def test_a_cached_dataset_that_was_changed_is_refused(bucket, small_dataset, tmp_path):
    url = publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    folder = fetch_dataset(url, tmp_path)
    next(folder.glob("eval/*/*.rou.xml")).write_text("<routes/>")
    with pytest.raises(DatasetError, match="changed"):
        fetch_dataset(url, tmp_path)


def test_an_interrupted_fetch_goes_on_where_it_was(bucket, small_dataset, tmp_path, requests_made):
    url = publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    part = tmp_path / f".{small_dataset.digest}.part"
    shutil.copytree(small_dataset.folder, part)
    files = sorted(part.glob("train/*/*.rou.xml"))
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-1])
    files[2].with_name(files[2].name + ".3fA91c2e").write_bytes(b"cut short")
    requests_made.clear()
    assert content(fetch_dataset(url, tmp_path)) == content(small_dataset.folder)
    names = {url.rpartition("/")[2] for _, url in requests_made if "list-type" not in url}
    assert len([url for _, url in requests_made if ".rou.xml" in url]) == 2
    assert files[0].name in names


def test_a_killed_fetch_leaves_no_dataset_and_the_next_ends_it(bucket, small_dataset, tmp_path):
    url = publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    code = "import sys, pathlib, roadsense.cloud.storage as s; s.fetch_dataset(sys.argv[1], pathlib.Path(sys.argv[2]))"
    process = subprocess.Popen([sys.executable, "-c", code, url, str(tmp_path)])
    part = tmp_path / f".{small_dataset.digest}.part"
    end = time.monotonic() + 60
    while not list(part.glob("*/*/*")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0)
    assert not (tmp_path / small_dataset.digest).exists() or process.returncode == 0
    assert content(fetch_dataset(url, tmp_path)) == content(small_dataset.folder)


def test_a_dataset_on_s3_can_be_trained_on_by_its_url(bucket, small_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("ROADSENSE_CACHE", str(tmp_path))
    url = publish_dataset(small_dataset.folder, f"s3://{BUCKET}")
    ours, theirs = find_splits(f"{url}/train"), find_splits(small_dataset.folder / "train")
    assert ours.train_digest == theirs.train_digest
    assert ours.dataset_digest == small_dataset.digest
    assert len(ours.eval_paths) == len(theirs.eval_paths) > 0
    assert find_splits(url).train_paths == ours.train_paths
    assert find_dataset(f"{url}/eval") == tmp_path / "datasets" / small_dataset.digest / "eval"
    assert find_dataset("some/folder").as_posix() == "some/folder"


@pytest.mark.parametrize("url", ["s3://roads/mine", "s3://roads/datasets/abc", "s3://"])
def test_a_url_without_a_digest_is_refused(url):
    with pytest.raises(InputError, match="Publish"):
        find_dataset(url)


def test_a_missing_bucket_is_named(bucket, small_dataset):
    with pytest.raises(CloudError, match="NoSuchBucket"):
        publish_dataset(small_dataset.folder, "s3://nobody")


def send(folder, url):
    S3Transfer(S3Place.parse(url)).send(folder, find_files(folder))


def test_a_run_arrives_as_a_folder_as_a_job_and_as_an_archive(bucket, tmp_path):
    model = tmp_path / "job" / "model"
    (model / "deep").mkdir(parents=True)
    (model / "deep" / "model.zip").write_bytes(b"a policy")
    write_checksums(model, WHOLE)
    send(tmp_path / "job", f"s3://{BUCKET}/jobs/one")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(model, arcname=".")
    bucket.upload_file(str(tmp_path / "model.tar.gz"), BUCKET, "jobs/two/output/model.tar.gz")
    urls = ("jobs/one/model", "jobs/one", "jobs/two/output/model.tar.gz", "jobs/two/output")
    for number, url in enumerate(urls):
        download_run(f"s3://{BUCKET}/{url}", tmp_path / f"run_{number}")
        assert content(tmp_path / f"run_{number}") == content(model)


def test_a_run_that_is_not_what_the_job_left_is_refused(bucket, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.zip").write_bytes(b"a policy")
    write_checksums(model, WHOLE)
    send(model, f"s3://{BUCKET}/jobs/two/model")
    bucket.put_object(Bucket=BUCKET, Key="jobs/two/model/model.zip", Body=b"A policy")
    with pytest.raises(TransferError, match=r"changed: model\.zip"):
        download_run(f"s3://{BUCKET}/jobs/two/model", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_name_that_leads_out_of_the_folder_is_refused(bucket, tmp_path):
    bucket.put_object(Bucket=BUCKET, Key="jobs/three/../../out", Body=b"x")
    with pytest.raises(TransferError, match="below the folder"):
        download_run(f"s3://{BUCKET}/jobs/three", tmp_path / "deep" / "back")
    assert not list(tmp_path.rglob("out"))


def test_nothing_at_a_url_is_said(bucket, tmp_path):
    with pytest.raises(TransferError, match="found none"):
        download_run(f"s3://{BUCKET}/jobs/none", tmp_path / "none")
