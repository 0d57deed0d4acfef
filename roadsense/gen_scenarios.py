"""Step 1, `python -m roadsense.gen_scenarios`: base scenarios in, dataset out."""

import sys

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset
from roadsense.utils.command import run_with_options


def generate_and_print(config: GenConfig) -> None:
    """Varies base scenarios, keeps the draws that pass the gate as a dataset, and prints where it is."""
    dataset = generate_dataset(config)
    sys.stdout.write(f"{dataset.folder}: {len(dataset.scenarios)} scenarios, digest {dataset.digest}\n")
    if dataset.min_train_distance is not None:
        sys.stdout.write(f"Smallest distance of a held-out draw to a train draw: {dataset.min_train_distance:.3f}\n")


if __name__ == "__main__":
    sys.exit(run_with_options(generate_and_print, GenConfig, "roadsense gen-scenarios"))
