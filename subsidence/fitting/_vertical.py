"""Vertical motion of a series, on the assumption that nothing moves sideways."""

from __future__ import annotations

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence.errors import InputError
from subsidence.series._model import checked_time
from subsidence.typing import FloatArray

__all__ = ["vertical"]

#: What belongs to one sensor's line of sight and means nothing for vertical motion.
_OF_THE_SENSOR = (
    *("wavelength", "incidence", "slant_range", "heading", "los_east", "los_north", "los_up"),
    *("perpendicular_baseline", "temperature"),
)


def vertical(series: xr.Dataset, *, argument: str) -> xr.Dataset:
    """
    Displacement (and ``displacement_std``) upwards, without what belongs to the line of sight.

    Raises
    ------
    InputError
        When the component is neither "up" nor "los", or the incidence is not there.
    """
    checked_time(series, argument=argument)
    component = series.attrs.get("component", "los")
    if component == "up":
        factor: xr.Variable | float = 1.0
    elif component == "los":
        factor = 1.0 / _up(series, argument)
    else:
        msg = f"{argument} must be vertical or along the line of sight, got component {component!r}"
        raise InputError(msg)
    names = [name for name in ("displacement", "displacement_std") if name in series.variables]
    kept = {name: series.variables[name] * factor for name in names}
    coords = {name: series.variables[name] for name in series.coords if name not in _OF_THE_SENSOR}
    attrs = {key: value for key, value in series.attrs.items() if key in {"reference", "reference_time"}}
    return schema.SERIES.stamp(xr.Dataset(kept, coords, {**attrs, "component": "up"}))


def _up(series: xr.Dataset, argument: str) -> xr.Variable:
    """Up component of the unit vector to the satellite."""
    if "los_up" in series.variables:
        up = series.variables["los_up"]
    elif "incidence" in series.variables:
        incidence = series.variables["incidence"]
        up = xr.Variable(incidence.dims, np.cos(np.deg2rad(incidence.values.astype(np.float64))))
    else:
        msg = (
            f"{argument} is along the line of sight and has neither 'los_up' nor 'incidence' (degree): "
            f"give it, {argument}.assign_coords(incidence=...), or component='up' in its attrs if it is vertical"
        )
        raise InputError(msg)
    values: FloatArray = np.asarray(up.values, np.float64)
    if not (values > 0.1).all():
        msg = f"{argument} looks too flat for vertical motion: cos(incidence) is {np.nanmin(values):.3g}"
        raise InputError(msg)
    return up
