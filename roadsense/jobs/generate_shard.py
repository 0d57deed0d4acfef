"""One machine's share of a dataset, in a container of a SageMaker Processing job.

`python -m roadsense.jobs.generate_shard [options of gen-scenarios]` finds out which of the job's machines it is, proves
its share and leaves it below `processing/output`, with checksums. Stopped or failed, it leaves no share, says in
`output/message` which one and why, and ends with another code than 0: then SageMaker's job has failed, too.
"""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from roadsense.cloud.checksums import WHOLE, write_checksums
from roadsense.errors import RoadSenseError
from roadsense.jobs.layout import DEFAULT_ROOT, ROOT_VARIABLE
from roadsense.jobs.shard_layout import DIGEST_VARIABLE, ShardLayout, name_shard
from roadsense.utils.files import write_atomically

MAX_MESSAGE_BYTES = 500
"""SageMaker puts the messages of all machines together and keeps 1 KB of them."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ShardStoppedError(RoadSenseError):
    """Raised when a shard was told to stop before it was complete."""

    exit_code = 143


def run_shard(layout: ShardLayout, words: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Proves the share of the machine a layout describes; returns the exit code.

    Every error is written to `output/message` and to standard error; one that nobody expected is raised, too.
    """
    layout.message_path.unlink(missing_ok=True)
    who = "a shard"

    def _tell_unexpected(_kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            _tell(layout, f"{who}: {type(error).__name__}: {error}")

    with ExitStack() as ending:
        ending.push(_tell_unexpected)
        try:
            with _listening():
                shard, n_shards = layout.read_place()
                who = f"shard {shard} of {n_shards}"
                folder = _prove(layout, words, environment.get(DIGEST_VARIABLE, ""), (shard, n_shards))
        except RoadSenseError as error:
            _tell(layout, f"{who}: {error}")
            return error.exit_code
    sys.stderr.write(f"{who}: complete in {folder}.\n")
    return 0


def _prove(layout: ShardLayout, words: Sequence[str], digest: str, place: tuple[int, int]) -> Path:
    # Two seconds, in which it already listens to signals: the first process of a container is not ended by default.
    from roadsense.augment.generate import prove_shard
    from roadsense.jobs.generation import check_inputs, read_settings

    shard, n_shards = place
    config = check_inputs(layout.input_dir, digest, read_settings(words))
    folder = layout.output_dir / name_shard(shard)
    sys.stderr.write(f"shard {shard} of {n_shards}: {config.workers or os.cpu_count()} proofs at a time\n")
    prove_shard(replace(config, output_dir=folder, shard=shard, n_shards=n_shards))
    write_checksums(folder, WHOLE)
    return folder


@contextmanager
def _listening() -> Iterator[None]:
    """Within it a signal raises `ShardStoppedError`: proofs that run are ended or waited for, seconds, not minutes."""

    def _stop(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:  # once: what is cleaned up now is not to be disturbed
            signal.signal(each, signal.SIG_IGN)
        raise ShardStoppedError(f"stopped by {signal.Signals(number).name} before it was complete, so it left nothing")

    before = {number: signal.signal(number, _stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(layout: ShardLayout, reason: str) -> None:
    sys.stderr.write(f"error: {reason}\n")
    layout.message_path.parent.mkdir(parents=True, exist_ok=True)
    short = reason.encode()[:MAX_MESSAGE_BYTES].decode(errors="ignore")  # UTF-8 is required: no half character
    write_atomically(layout.message_path, short + "\n")


def main() -> int:
    """Runs the module."""
    return run_shard(ShardLayout(Path(os.environ.get(ROOT_VARIABLE, DEFAULT_ROOT))), sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
