"""The plain C policy on emulated microcontrollers."""

import pytest

from roadsense.errors import ExportError
from roadsense.exporting.c_proof import CHIPS, KNOWN, find_chips, measure_chip
from tests.exporting.test_c_policy import write_tested_sources


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return write_tested_sources(tmp_path_factory.mktemp("sources"))


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_a_chip_gives_the_golden_actions_and_takes_what_the_table_says(sources, chip):
    if chip not in find_chips():
        pytest.skip(f"no {chip.prefix}gcc or no {chip.emulator[0]} on this machine")
    found, known = measure_chip(chip, sources), KNOWN[chip.name]
    assert found.most_instructions / 10 < found.instructions < found.most_instructions
    for name in ("most_instructions", "stack_bytes", "flash_bytes", "ram_bytes"):
        assert getattr(found, name) == pytest.approx(getattr(known, name), rel=0.1)


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
@pytest.mark.parametrize(
    ("old", "new"), [("value > 0.0f ?", "value > 0.5f ?"), ("if (!roadsense_is_valid", "if (0 && !r")]
)
def test_a_chip_that_acts_otherwise_or_accepts_nan_is_found(sources, tmp_path, chip, old, new):
    if chip not in find_chips():
        pytest.skip(f"no {chip.prefix}gcc or no {chip.emulator[0]} on this machine")
    for path in sources.iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace(old, new.replace("!r", "!roadsense_is_valid")))
    with pytest.raises(ExportError, match="fails its self-test"):
        measure_chip(chip, tmp_path)
