"""How fast many small files go to S3 and come back: `python benchmarks/storage.py [--n-files N] [--latency-ms MS]`.

Random files go to a stand-in for S3 (moto's server on 127.0.0.1) and come back, each request delayed as by a network.
Beside our transfer, in the same run, stands the bare one: as many boto3 calls in 32 threads, that check nothing. Their
ratio is what counts on a shared machine; on an idle one the limit is three times 1.7 s each way for 500 files of 4 kB
at 40 ms a request. Every file is compared byte for byte. The last line is JSON.
"""

import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import Queue
from pathlib import Path

import boto3
import tyro
from botocore.config import Config
from moto.server import ThreadedMotoServer

from roadsense.cloud.downloads import download
from roadsense.cloud.s3_transfer import S3Place, S3Transfer, find_files, select_missing

N_THREADS = 32
MEASURED_S = 1.7
BUCKET = "benchmark"
ENVIRONMENT = {
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing"),
    **dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1"),
}


@dataclass(frozen=True)
class StorageBenchmark:
    """Settings.

    Attributes:
        n_files: how many, four in each folder.
        n_bytes: size of each.
        latency_ms: added to each request.
    """

    n_files: int = 500
    n_bytes: int = 4096
    latency_ms: float = 40.0


def main(config: StorageBenchmark) -> None:
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    moto = context.Process(target=serve_moto, args=(ports,), daemon=True)
    moto.start()
    proxy = context.Process(target=serve_proxy, args=(ports.get(), config.latency_ms / 1000, ports), daemon=True)
    proxy.start()
    os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=f"http://127.0.0.1:{ports.get()}")
    with tempfile.TemporaryDirectory() as folder:
        report(config, measure(config, Path(folder)))


def measure(config: StorageBenchmark, folder: Path) -> dict[str, float]:
    """Returns seconds by what took them."""
    client = boto3.client("s3", config=Config(max_pool_connections=N_THREADS))
    client.create_bucket(Bucket=BUCKET)
    source, back = folder / "source", folder / "back"
    for number in range(config.n_files):
        path = source / f"{number // 4:04d}" / f"{number:05d}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(config.n_bytes))
    names, place = list(find_files(source)), S3Place(BUCKET, "many")
    transfer = S3Transfer(place)

    def put(name: str) -> None:
        client.put_object(Bucket=BUCKET, Key=f"bare/{name}", Body=(source / name).read_bytes())

    def get(name: str) -> None:
        client.get_object(Bucket=BUCKET, Key=f"bare/{name}")["Body"].read()

    seconds = {
        "bare_upload": clock(lambda: in_threads(put, names)),
        "upload": clock(lambda: transfer.send(source, names)),
        "upload_again": clock(lambda: select_missing(find_files(source), transfer.list_files())),
        "bare_download": clock(lambda: in_threads(get, names)),
        "download": clock(lambda: download(place, back)),
    }
    if any((source / name).read_bytes() != (back / name).read_bytes() for name in names):
        raise SystemExit("What came back is not what was sent.")
    return seconds


def in_threads(action: Callable[[str], None], names: list[str]) -> None:
    with ThreadPoolExecutor(N_THREADS) as pool:
        list(pool.map(action, names))


def report(config: StorageBenchmark, seconds: dict[str, float]) -> None:
    for name, value in seconds.items():
        print(f"{name:16}{value:8.2f} s  {value / MEASURED_S:6.2f} of {MEASURED_S} s")
    ratios = {f"{way}_to_bare": round(seconds[way] / seconds[f"bare_{way}"], 2) for way in ("upload", "download")}
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(json.dumps({"files": config.n_files, "latency_ms": config.latency_ms, **seconds, **ratios}))


def clock(action: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    action()
    return time.perf_counter() - started_s


def serve_moto(ports: "Queue[int]") -> None:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    ports.put(server.get_host_and_port()[1])
    signal.pause()


def serve_proxy(port: int, latency_s: float, ports: "Queue[int]") -> None:
    """Passes each request on to the server at a port, after a pause."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(latency_s)
            connection = HTTPConnection("127.0.0.1", port)
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
    ports.put(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main(tyro.cli(StorageBenchmark))
