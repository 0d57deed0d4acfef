"""Step 1, `python -m roadsense.gen_scenarios`: base scenarios in, dataset out."""

import sys
from collections.abc import Sequence

import tyro

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset, prove_shard
from roadsense.utils.command import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes a dataset as the command line says, prints where it lies, and returns the exit code."""
    return run_command(lambda: _generate_from(arguments))


def _generate_from(arguments: Sequence[str] | None) -> None:
    config = tyro.cli(GenConfig, args=arguments, prog="roadsense gen-scenarios")
    if config.n_shards > 1:
        sys.stdout.write(f"{prove_shard(config)}: shard {config.shard} of {config.n_shards}\n")
        return
    dataset = generate_dataset(config)
    sys.stdout.write(f"{dataset.folder}: {len(dataset.scenarios)} scenarios, digest {dataset.digest}\n")
    if dataset.min_train_distance is not None:
        sys.stdout.write(f"Least distance of a held-out draw to a train draw: {dataset.min_train_distance:.3f}\n")


if __name__ == "__main__":
    sys.exit(main())
