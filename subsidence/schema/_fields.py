"""Fields that many kinds share: where a place is, and how the satellite looks at it."""

from __future__ import annotations

from subsidence.schema._schema import Field

__all__ = ["COORDINATES", "GEOMETRY", "PLACE", "SCALAR_OR_PLACE"]

PLACE = ("place",)
SCALAR_OR_PLACE = ((), PLACE)

GEOMETRY = (
    Field("incidence", SCALAR_OR_PLACE, coordinate=True),
    Field("slant_range", SCALAR_OR_PLACE, coordinate=True),
    Field("heading", ((),), coordinate=True),
    Field("los_east", SCALAR_OR_PLACE, coordinate=True),
    Field("los_north", SCALAR_OR_PLACE, coordinate=True),
    Field("los_up", SCALAR_OR_PLACE, coordinate=True),
)
COORDINATES = (
    # without dimensions too: at one place, as isel(y=3, x=4) leaves them
    Field("x", (("x",), ("point",), ()), coordinate=True),
    Field("y", (("y",), ("point",), ()), coordinate=True),
    Field("lon", (("x",), ("y", "x"), ("point",), ()), coordinate=True),
    Field("lat", (("y",), ("y", "x"), ("point",), ()), coordinate=True),
    Field("row", (("point",), ()), coordinate=True),
    Field("col", (("point",), ()), coordinate=True),
    Field("height", SCALAR_OR_PLACE, coordinate=True),
)
