"""What a moved slider costs: `python benchmarks/preview.py`.

For each base scenario, medians in processor time: a picture of a changed draw, and a copy of its route files for a draw
as a share of reading them again. The last line is JSON.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro

from roadsense.augment.config import GenConfig
from roadsense.augment.preview.preview import DrawPreview
from roadsense.utils.safe_xml import read_xml

ROOT = Path(__file__).parents[1]
PICTURE_AFTER_S = 15.0


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings.

    Attributes:
        base_dir: folder of the base scenarios.
        repeats: how often each is measured.
    """

    base_dir: Path = ROOT / "scenarios" / "base"
    repeats: int = 15


def median_cpu_s(action: Callable[[int], object], repeats: int) -> float:
    """Returns the median processor time of an action that is told which repeat it is; the first is left out."""
    action(0)
    seconds = []
    for repeat in range(1, repeats + 1):
        started_s = time.process_time()
        action(repeat)
        seconds.append(time.process_time() - started_s)
    return statistics.median(seconds)


def measure(preview: DrawPreview, name: str, repeats: int) -> dict[str, float]:
    """Returns the costs of one base."""
    base = preview.bases[name]

    def paint(repeat: int) -> None:
        preview.paint(name, preview.fit(name, density=1.0 + repeat / 100), PICTURE_AFTER_S)

    def read_again(_: int) -> None:
        for path in base.scenario.route_paths:
            read_xml(path, "routes", keep_comments=True)

    copied_s = median_cpu_s(lambda _: base.read_routes(), repeats)
    return {
        "picture_cpu_ms": round(1e3 * median_cpu_s(paint, repeats), 1),
        "copy_to_reading": round(copied_s / median_cpu_s(read_again, repeats), 2),
    }


def main() -> None:
    """Measures each base and prints a line for each, then all as JSON."""
    config = tyro.cli(BenchmarkConfig, description=__doc__)
    preview = DrawPreview(GenConfig(base_dir=(config.base_dir,)))
    results = {}
    for name in preview.bases:
        results[name] = measure(preview, name, config.repeats)
        sys.stderr.write(f"{name:20} {results[name]}\n")
    preview.close()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
