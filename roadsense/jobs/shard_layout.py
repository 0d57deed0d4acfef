"""Where everything lies in a container of a SageMaker Processing job that generates a share of a dataset."""

import json
from dataclasses import dataclass
from pathlib import Path

from roadsense.errors import InputError

DIGEST_VARIABLE = "ROADSENSE_BASES_DIGEST"
"""Digest of the base scenarios that were sent."""
INPUT, OUTPUT = "processing/input/scenarios", "processing/output"


@dataclass(frozen=True)
class ShardLayout:
    """Where everything lies in a container of a Processing job.

    Attributes:
        root: `/opt/ml` in a container.
    """

    root: Path

    @property
    def resources_path(self) -> Path:
        """Which machines the job has, and which of them this is."""
        return self.root / "config" / "resourceconfig.json"

    @property
    def message_path(self) -> Path:
        """What `DescribeProcessingJob` gives as the job's exit message."""
        return self.root / "output" / "message"

    @property
    def input_dir(self) -> Path:
        """The base scenarios, with the file of ranges if there is one."""
        return self.root / INPUT

    @property
    def output_dir(self) -> Path:
        """What is brought to S3 at the end."""
        return self.root / OUTPUT

    def read_place(self) -> tuple[int, int]:
        """Returns this machine's number, from 0 in the order of the machines' names, and how many there are.

        Raises:
            InputError: if the file is missing, or does not name this machine among the job's.
        """
        try:
            resources = json.loads(self.resources_path.read_text(encoding="utf-8"))
            hosts = sorted(resources["hosts"])
            return hosts.index(resources["current_host"]), len(hosts)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"Expected the names of the job's machines, `hosts`, and among them `current_host`, in "
                f"{self.resources_path} ({type(error).__name__}: {error})."
            ) from error


def name_shard(shard: int) -> str:
    """Returns the name of a shard's folder."""
    return f"shard-{shard:04d}"
