"""How fast many small files go to S3 and come back: `python benchmarks/storage.py [--n-files N] [--latency-ms MS]`.

Random files go to a stand-in for S3 (moto's server, one process, on 127.0.0.1) and come back, by our transfer and by
boto3's one after the other. Each request may be delayed, as by a network: then what is measured is how many are under
way at once. The limit is 1.7 s each way for 500 files of 4 kB with 40 ms a request, measured with s3transfer at 32
connections. The last line is JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import tyro

from roadsense.jobs.s3_transfer import find_files
from roadsense.jobs.storage import download_folder, upload_folder

MEASURED_S = 1.7
BUCKET = "benchmark"
ENVIRONMENT = {
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing"),
    **dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1"),
}
SERVE = (
    "import sys, time\nfrom moto.server import ThreadedMotoServer\n"
    "server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)\nserver.start()\n"
    "print(*server.get_host_and_port(), flush=True)\nsys.stdin.read()"
)


@dataclass(frozen=True)
class StorageBenchmark:
    """Settings.

    Attributes:
        n_files: how many, four in each folder.
        n_bytes: size of each.
        latency_ms: added to each request.
        one_by_one: whether to measure that, too.
    """

    n_files: int = 500
    n_bytes: int = 4096
    latency_ms: float = 40.0
    one_by_one: bool = False


def main(config: StorageBenchmark) -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        host, port = server.stdout.readline().split()
        proxy = start_proxy(host, int(port), config.latency_ms / 1000)
        os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=f"http://127.0.0.1:{proxy.server_port}")
        try:
            report(config, measure(config, Path(folder)))
        finally:
            proxy.shutdown()
            server.stdin.close()


def measure(config: StorageBenchmark, folder: Path) -> dict[str, float]:
    """Returns seconds by what took them; every file is compared byte for byte."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    source = folder / "source"
    for number in range(config.n_files):
        path = source / f"{number // 4:04d}" / f"{number:05d}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(config.n_bytes))
    url = f"s3://{BUCKET}/many"
    seconds = {
        "upload": clock(lambda: upload_folder(source, url)),
        "upload_again": clock(lambda: upload_folder(source, url)),
        "download": clock(lambda: download_folder(url, folder / "back")),
    }
    if config.one_by_one:
        names = list(find_files(source))
        seconds["upload_one_by_one"] = clock(
            lambda: [client.upload_file(str(source / name), BUCKET, f"one/{name}") for name in names]
        )
        seconds["download_one_by_one"] = clock(
            lambda: [client.download_file(BUCKET, f"one/{name}", str(source / name)) for name in names]
        )
    ours, theirs = find_files(folder / "back"), find_files(source)
    if {name: path.read_bytes() for name, path in ours.items()} != {n: path.read_bytes() for n, path in theirs.items()}:
        raise SystemExit("What came back is not what was sent.")
    return seconds


def report(config: StorageBenchmark, seconds: dict[str, float]) -> None:
    for name, value in seconds.items():
        print(f"{name:22}{value:8.2f} s  {value / MEASURED_S:6.2f} of {MEASURED_S} s")
    worst = max(seconds["upload"], seconds["download"])
    print(
        json.dumps({"files": config.n_files, "latency_ms": config.latency_ms, **seconds, "ratio": worst / MEASURED_S})
    )


def clock(action: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    action()
    return time.perf_counter() - started_s


def start_proxy(host: str, port: int, latency_s: float) -> ThreadingHTTPServer:
    """Starts a server that passes each request on after a pause, and returns it."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(latency_s)
            connection = HTTPConnection(host, port)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass_on

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    main(tyro.cli(StorageBenchmark))
