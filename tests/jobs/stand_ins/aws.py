"""Stands in for the AWS CLI: the calls our scripts make, done with boto3. Another call or option is an error.

It serves them from one process, since to import boto3 for each takes most of a test's time. `aws` beside it leaves a
file with its arguments in a folder, and reads from a pipe what came of it.
"""

import contextlib
import os
import sys
import threading
import time
import traceback
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError


def serve(folder: Path) -> None:
    """Answers calls until the process is ended."""
    (folder / "ready").touch()
    while True:
        for path in folder.glob("*.call"):
            words = path.read_text().splitlines()
            path.unlink()
            threading.Thread(target=answer, args=(words, path.with_suffix(".answer"))).start()
        time.sleep(0.02)


def answer(words: list[str], pipe: Path) -> None:
    with open(f"{os.environ['STAGE']}/aws.calls", "a") as calls:
        calls.write(" ".join(words) + "\n")
    code, said = 0, ""
    try:
        said = call(words)
    except (ValueError, OSError, Boto3Error, BotoCoreError, ClientError):
        code, said = 1, traceback.format_exc()
    with contextlib.suppress(BrokenPipeError), pipe.open("w") as out:
        out.write(f"{code}\n{said}")


def call(words: list[str]) -> str:
    match words:
        case ["ecr", "get-login-password", "--region", region]:
            token = boto3.client("ecr", region).get_authorization_token()
            return token["authorizationData"][0]["authorizationToken"] + "\n"
        case ["s3", "cp", "--only-show-errors", source, target] if target.startswith("s3://"):
            client().upload_file(source, *split(target))
        case ["s3", "cp", "--only-show-errors", source, target] if source.startswith("s3://"):
            client().download_file(*split(source), target)
        case ["s3", "sync", "--only-show-errors", *options, source, target]:
            sync(source, target, excluded(options))
        case _:
            raise ValueError(f"the stand-in for the AWS CLI knows no {words}")
    return ""


@cache
def client():
    return boto3.client("s3")


def split(url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def excluded(options: list[str]) -> list[str]:
    names, patterns = options[::2], options[1::2]
    if any(name != "--exclude" for name in names):
        raise ValueError(f"the stand-in for the AWS CLI knows no {options}")
    return patterns


def sync(source: str, target: str, patterns: list[str]) -> None:
    """Copies what is missing or has another size or a newer time, as `aws s3 sync` does."""
    is_up = target.startswith("s3://")
    bucket, prefix = split(target if is_up else source)
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix.rstrip('/')}/")
    there = {row["Key"][len(prefix.rstrip("/")) + 1 :]: row for page in pages for row in page.get("Contents", [])}
    folder = Path(source if is_up else target)
    here = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in here if is_up else there:
        if any(fnmatch(name, pattern) for pattern in patterns):
            continue
        key = f"{prefix.rstrip('/')}/{name}"
        if is_up and is_older(there.get(name), here[name]):
            client().upload_file(str(here[name]), bucket, key)
        if not is_up and (name not in here or here[name].stat().st_size != there[name]["Size"]):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            client().download_file(bucket, key, str(folder / name))


def is_older(row: dict | None, path: Path) -> bool:
    stat = path.stat()
    return row is None or row["Size"] != stat.st_size or row["LastModified"].timestamp() < stat.st_mtime


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
