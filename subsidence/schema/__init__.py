"""What each kind of Dataset holds: dimensions, variables, units, signs.

``SCHEMA.check(dataset)`` lists every fault at once; ``SCHEMA.stamp(dataset)`` writes units and long names
on a result, because xarray carries an input's attributes through arithmetic where they no longer hold.
"""

from subsidence.schema._kinds import (
    ARCS,
    CLOSURES,
    COMPARISON,
    FITS,
    FORECASTS,
    GNSS,
    HINDCAST,
    INTERFEROGRAMS,
    KINDS,
    LEVELLING,
    MATCHED,
    POINTS,
    RESIDUALS,
    SERIES,
    SLC,
    SOLUTION,
    STABILISATION,
    STATUS,
    UNWRAPPING_ERRORS,
    Status,
)
from subsidence.schema._schema import Field, Schema, spatial_dims
from subsidence.schema._variables import VARIABLES, Variable

__all__ = [
    "ARCS",
    "CLOSURES",
    "COMPARISON",
    "FITS",
    "FORECASTS",
    "GNSS",
    "HINDCAST",
    "INTERFEROGRAMS",
    "KINDS",
    "LEVELLING",
    "MATCHED",
    "POINTS",
    "RESIDUALS",
    "SERIES",
    "SLC",
    "SOLUTION",
    "STABILISATION",
    "STATUS",
    "UNWRAPPING_ERRORS",
    "VARIABLES",
    "Field",
    "Schema",
    "Status",
    "Variable",
    "spatial_dims",
]
