"""A base that a test writes with its own traffic, types and configuration."""

from collections.abc import Callable
from pathlib import Path

import pytest

from roadsense.augment.bases.base import Base
from roadsense.augment.config import GenConfig
from tests.conftest import CONFIG, TYPES, write_base

Make = Callable[..., Base]


@pytest.fixture
def make(tmp_path: Path, network: Path) -> Make:
    """Writes a base with this traffic, types and configuration, and reads it."""

    def make(traffic: str, config: str = CONFIG, types: str = TYPES, **settings: object) -> Base:
        path = write_base(tmp_path / "bases" / "road", network, traffic, config)
        routes = path.parent / "routes.rou.xml"
        routes.write_text(routes.read_text().replace(TYPES, types))
        (base,) = GenConfig(tmp_path / "bases", **settings).read_bases()  # type: ignore[arg-type]
        return base

    return make
