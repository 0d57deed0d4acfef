"""Positions on the Earth as metres on a plane that touches it at the drive, and back."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """A transverse Mercator projection of WGS84 around a point: true to scale within 1 cm per km up to 25 km away.

    Attributes:
        latitude_deg: latitude of the point.
        longitude_deg: longitude of the point.
    """

    latitude_deg: float
    longitude_deg: float

    @property
    def definition(self) -> str:
        """The projection in PROJ's notation, as netconvert takes it."""
        return f"+proj=tmerc +lat_0={self.latitude_deg:.7f} +lon_0={self.longitude_deg:.7f} +k=1 +ellps=WGS84 +units=m"

    @cached_property
    def _proj(self) -> Any:
        import pyproj

        return pyproj.Proj(self.definition)

    def to_metres(self, latitude_deg: Floats, longitude_deg: Floats) -> tuple[Floats, Floats]:
        """Returns x (east) and y (north) in m of positions; NaN where a position is NaN."""
        x_m, y_m = self._proj(longitude_deg, latitude_deg)
        known = np.isfinite(latitude_deg) & np.isfinite(longitude_deg) & np.isfinite(x_m)
        return np.where(known, x_m, np.nan), np.where(known, y_m, np.nan)

    def to_degrees(self, x_m: Floats, y_m: Floats) -> tuple[Floats, Floats]:
        """Returns latitude and longitude of places."""
        longitude_deg, latitude_deg = self._proj(x_m, y_m, inverse=True)
        return np.asarray(latitude_deg), np.asarray(longitude_deg)

    def turn_deg(self, latitude_deg: Floats, longitude_deg: Floats) -> Floats:
        """Returns how far the plane's north lies clockwise of true north; 0 where a position is not known."""
        known = np.isfinite(latitude_deg) & np.isfinite(longitude_deg)
        turn = np.zeros(len(latitude_deg))
        if known.any():
            found = self._proj.get_factors(longitude_deg[known], latitude_deg[known]).meridian_convergence
            turn[known] = found
        return turn
