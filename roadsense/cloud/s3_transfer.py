"""Uploads and downloads many files to and from S3 in parallel, and lists which are missing there."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadsense.cloud.checksums import TransferError
from roadsense.cloud.session import CONNECTIONS, make_client, translate_errors
from roadsense.errors import InputError
from roadsense.utils.progress import progress_bar

if TYPE_CHECKING:
    from s3transfer.futures import TransferFuture

S3 = "s3://"
ONE_PART_BYTES = 64 * 2**20
"""Files above this size are uploaded in parts."""


@dataclass(frozen=True)
class S3Place:
    """A prefix in a bucket.

    Attributes:
        bucket: name of the bucket.
        prefix: first part of the keys, without a slash at the end; may be empty.
    """

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> "S3Place":
        """Reads `s3://bucket/prefix`.

        Raises:
            InputError: if the text is not such a URL.
        """
        bucket, _, prefix = url.removeprefix(S3).partition("/")
        if not url.startswith(S3) or not bucket:
            raise InputError(f"Expected s3://bucket/prefix, got {url!r}.")
        return cls(bucket, prefix.strip("/"))

    @property
    def url(self) -> str:
        """The URL `s3://bucket/prefix`."""
        return f"{S3}{self.bucket}/{self.prefix}".rstrip("/")

    def key(self, name: str) -> str:
        """Returns the key of a file below the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name


@dataclass(frozen=True)
class S3File:
    """A file in a bucket, as a listing shows it.

    Attributes:
        name: key of the file without the prefix.
        n_bytes: size of the file, bytes.
        etag: ETag of the file, with its quotation marks.
    """

    name: str
    n_bytes: int
    etag: str


class S3Transfer:
    """Copies files between a folder and a prefix in S3, 32 at a time.

    Args:
        place: bucket and prefix in S3.
        region: AWS region; by default the configured one.
    """

    def __init__(self, place: S3Place, region: str | None = None):
        self.place = place
        self._client = make_client("s3", region)

    def list_files(self) -> dict[str, S3File]:
        """Returns the files on S3, by name; folders are not listed."""
        start = self.place.key("")
        with translate_errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.place.bucket, Prefix=start)
            rows = [row for page in pages for row in page.get("Contents", ())]
        files = [S3File(row["Key"].removeprefix(start), row["Size"], row["ETag"]) for row in rows]
        return {file.name: file for file in files if file.name and not file.name.endswith("/")}

    def send(self, folder: Path, names: Iterable[str]) -> None:
        """Uploads files by their paths below a folder; existing files are replaced."""
        with self._manager() as manager:
            _finish(
                (manager.upload(str(folder / name), self.place.bucket, self.place.key(name)) for name in names),
                f"to {self.place.url}",
            )

    def receive(self, files: Iterable[S3File], folder: Path) -> None:
        """Downloads files into a folder. Each file appears when it is complete; boto3 checks it by S3's checksum.

        In a bucket with KMS keys an ETag is not an MD5, so it is used only to detect changes during the download.
        """
        wanted = list(files)
        for file in wanted:
            _place_in(folder, file.name).parent.mkdir(parents=True, exist_ok=True)
        with self._manager() as manager:
            futures = (
                manager.download(
                    self.place.bucket,
                    self.place.key(file.name),
                    str(folder / file.name),
                    subscribers=[_known(file)],
                )
                for file in wanted
            )
            _finish(futures, f"from {self.place.url}")

    def _manager(self) -> Any:
        with translate_errors():
            from boto3.s3.transfer import TransferConfig, create_transfer_manager
        config = TransferConfig(
            multipart_threshold=ONE_PART_BYTES, max_concurrency=CONNECTIONS, preferred_transfer_client="classic"
        )
        return create_transfer_manager(self._client, config)


def find_files(folder: Path) -> dict[str, Path]:
    """Returns all files below a folder, at any depth, by their relative paths; hidden files are left out."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path for name, path in found.items() if not any(part.startswith(".") for part in name.parts)
    }


def select_missing(local: Mapping[str, Path], there: Mapping[str, S3File]) -> list[str]:
    """Returns the names of the local files that are missing on S3, or have another size there.

    That is enough below a prefix named by the content's digest; downloaded files are compared with their SHA-256.
    """
    return [name for name, path in local.items() if name not in there or there[name].n_bytes != path.stat().st_size]


def _place_in(folder: Path, name: str) -> Path:
    path = folder / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise TransferError(
            f"Expected files below the folder they are fetched into, got {name!r}. Nothing was written."
        )
    return path


def _known(file: S3File) -> Any:
    """Gives the transfer a file's size and ETag from the listing, which saves one request per file."""
    from s3transfer.subscribers import BaseSubscriber

    class _Known(BaseSubscriber):
        def on_queued(self, future: "TransferFuture", **_options: Any) -> None:
            future.meta.provide_transfer_size(file.n_bytes)
            future.meta.provide_object_etag(file.etag)

    return _Known()


def _finish(futures: Iterator["TransferFuture"], where: str) -> None:
    started = list(futures)
    if not started:
        return
    with translate_errors(), progress_bar(len(started), where, "file") as bar:
        for future in started:
            future.result()
            bar.update()
