"""Ranges: by name, from a list or a TOML file, wider on request, and refused by name when they make no sense."""

import math
from dataclasses import fields, replace
from pathlib import Path

import pytest

from roadsense.augment.config import GenConfig
from roadsense.augment.draws.ranges import LIMITS, VariationRanges, read_ranges
from roadsense.errors import InputError
from roadsense.utils.command import run_with_options

RANGES = VariationRanges()


def test_ranges_may_be_lists_as_json_gives_them() -> None:
    assert VariationRanges(density=[0.7, 1.3], v2v=list(RANGES.v2v)) == RANGES  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("density", (1.3, 0.7)),
        ("density", (0.0, 1.0)),
        ("sigma", (0.0, 1.5)),
        ("speed_mean", (0.8, math.nan)),
        ("speed_dev", 0.1),
        ("background_shift_s", (-1.0, 5.0)),
        ("convoy_shift_s", ("a", "b")),
        ("tau", (0.0, 1.0)),
        ("friction", (0.7, 1.1)),
        ("convoy_size", (1, 3)),
        ("convoy_size", (3.5, 6)),
        ("accel", (True, 2.0)),
        ("v2v", ("carrier_pigeon",)),
        ("v2v", "esp_now"),
        ("v2v", ("ideal", "ideal")),
        ("wet_share", 1.5),
        ("wet_share", "often"),
        ("speed_cut", 0.9),
        ("level_spread", 0.7),
    ],
)
def test_ranges_that_make_no_sense_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{name}: expected .* got"):
        VariationRanges(**{name: value})


def test_wider_ranges_keep_their_middle_and_what_is_possible() -> None:
    wide = RANGES.widened(1.5)
    assert wide.density == pytest.approx((0.55, 1.45))
    assert wide.sigma == (0.0, 0.625)
    assert wide.friction == (pytest.approx(0.625), 1.0)
    assert wide.convoy_size == (2, 7)
    assert wide.v2v == RANGES.v2v
    for name, limits in LIMITS.items():
        low, high = getattr(RANGES, name)
        assert limits[0] <= getattr(wide, name)[0] <= low <= high <= getattr(wide, name)[1] <= limits[1]
    assert VariationRanges(tau=(1.2, 1.2)).widened(1.5).tau == (1.2, 1.2)


def test_wider_speeds_stay_positive() -> None:
    narrow = VariationRanges(speed_mean=(0.3, 1.3), speed_cut=0.25)
    assert narrow.widened(1.5).speed_mean[0] > narrow.speed_cut


def write(folder: Path, text: str) -> Path:
    path = folder / "ranges.toml"
    path.write_text(text)
    return path


def test_a_file_gives_ranges_and_an_option_wins_over_it(tmp_path: Path) -> None:
    path = write(tmp_path, 'density = [0.5, 1.0]\ntau = [1.0, 1.1]\nwet_share = 1\nv2v = ["esp_now"]\n')
    config = GenConfig(ranges_file=path, ranges=VariationRanges(tau=(1.0, 1.5)))
    assert config.ranges == VariationRanges(density=(0.5, 1.0), tau=(1.0, 1.5), wet_share=1, v2v=("esp_now",))
    assert config.settings["ranges"]["density"] == (0.5, 1.0)
    assert "ranges_file" not in config.settings


def read_command(words: list[str]) -> GenConfig:
    read: list[GenConfig] = []
    assert run_with_options(read.append, GenConfig, "roadsense gen-scenarios", words) == 0
    return read[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda path: GenConfig(ranges_file=path, ranges=VariationRanges(tau=VariationRanges.tau)),
        lambda path: replace(GenConfig(ranges=VariationRanges(tau=VariationRanges.tau)), ranges_file=path),
        lambda path: read_command(["--ranges_file", str(path), "--tau", *map(str, VariationRanges.tau)]),
        lambda path: read_command([f"--ranges-file={path}", "--tau", *map(str, VariationRanges.tau)]),
    ],
)
def test_a_range_that_is_given_at_its_default_wins_over_the_file(tmp_path: Path, make) -> None:
    path = write(tmp_path, "tau = [1.0, 1.1]\ndensity = [0.5, 1.0]\n")
    assert make(path).ranges.tau == VariationRanges.tau


def test_options_leave_the_other_ranges_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "tau = [1.0, 1.1]\ndensity = [0.5, 1.0]\n")
    config = read_command(["--ranges_file", str(path), "--tau", "0.9", "1.3"])
    assert config.ranges == VariationRanges(density=(0.5, 1.0))
    assert read_command(["--ranges_file", str(path)]).ranges == VariationRanges(density=(0.5, 1.0), tau=(1.0, 1.1))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("densty = [0.5, 1.0]", "got densty"),
        ("[density]\nlow = 1", "density: expected"),
        ('tau = "wide"', "tau: expected"),
        ("wet_share = true", "wet_share: expected"),
        ("density = [0.5", "expected a TOML file"),
    ],
)
def test_a_file_of_other_things_is_refused_with_the_key_and_the_known_ones(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        read_ranges(write(tmp_path, text), RANGES)
    assert "ranges.toml" in str(caught.value)
    if "TOML" not in reason:
        assert all(field.name in str(caught.value) for field in fields(VariationRanges))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ranges_file: expected a TOML file"):
        GenConfig(ranges_file=tmp_path / "none.toml")
