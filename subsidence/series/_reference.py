"""Another reference for a displacement series."""

from __future__ import annotations

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._reference import resolve
from subsidence.errors import InputError
from subsidence.schema._estimates import without_estimates
from subsidence.typing import ReferenceLike

__all__ = ["set_reference"]

#: What is measured relative to the reference, besides the displacement.
_RELATIVE = ("displacement", "atmosphere", "residual_height")


def set_reference(series: xr.Dataset, reference: ReferenceLike) -> xr.Dataset:
    """
    Displacement relative to another place or area.

    Parameters
    ----------
    series
        SERIES on a raster or on points.
    reference
        ``{"row", "col"}`` counted from 0, ``{"lon", "lat"}`` in degrees or ``{"x", "y"}`` in the grid's unit
        (nearest place), ``{"point"}``, or a boolean DataArray, True over the area whose mean becomes zero
        (at each epoch over the places that are valid then).

    Returns
    -------
    xarray.Dataset
        The series with ``displacement`` (m), and ``atmosphere`` and ``residual_height`` where they are there,
        less their value at the reference; the reference in attrs. Velocities and other estimates from the
        former displacement are left out: estimate them again. ``displacement_std`` stays, as the noise of
        the reference is not added to it. Signs do not change.

    Raises
    ------
    InputError
        When the reference is outside, its mask does not fit, or it has no data at some epoch; when
        ``atmospheric_std`` is there, which holds for the former reference only.

    Notes
    -----
    A dask series stays lazy, but the reference's own series is computed at once, to refuse NaN there.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> time = np.datetime64("2018-01-06", "ns") + np.arange(3) * np.timedelta64(12, "D")
    >>> values = np.array([[0.0, 0.0], [0.001, -0.002], [0.002, -0.004]])
    >>> series = xr.Dataset({"displacement": (("time", "point"), values)}, {"time": time})
    >>> result = set_reference(series, {"point": 0})
    >>> result.displacement.sel(point=1).values.tolist(), result.attrs["reference"]
    ([0.0, -0.003, -0.006], 'point 0')
    """
    schema.SERIES.check(series, argument="series")
    if "atmospheric_std" in series.variables:
        msg = (
            "series holds 'atmospheric_std' of its former reference: set the reference before add_atmospheric_variance"
        )
        raise InputError(msg)
    words, attrs, place = resolve(series, reference)
    result = without_estimates(series)
    for name in _RELATIVE:
        if name not in series.variables:
            continue
        values = series.variables[name]
        if isinstance(place, xr.Variable):
            area = xr.DataArray(values).where(xr.DataArray(place))
            at = area.mean(place.dims, skipna=True, dtype=np.float64).variable.compute()
        else:
            at = values.isel(place).astype(np.float64).compute()
        lost = int(np.isnan(at.values).sum())
        if lost:
            of = f" at {lost} of {at.size} epochs" if at.ndim else ""
            msg = f"reference ({words}) has no data: {name!r} is NaN{of}; choose another place"
            raise InputError(msg)
        result = result.assign({name: (values - at).astype(values.dtype)})
    result.attrs = {key: value for key, value in result.attrs.items() if not _names_place(str(key))} | attrs
    return schema.SERIES.stamp(result)


def _names_place(key: str) -> bool:
    return key == "reference" or (key.startswith("reference_") and key != "reference_time")
