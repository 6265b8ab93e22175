"""Means over cells of looks: of images, phases, geometry and coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.stack._tiles import checked_looks
from subsidence.typing import AnyArray

__all__ = ["cell_means", "multilook"]

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)


def multilook(data: Labelled, *, looks: tuple[int, int]) -> Labelled:
    r"""
    Mean over cells of looks.

    Parameters
    ----------
    data
        DataArray or Dataset with the dims ``y`` and ``x``: complex images or interferograms, or real fields.
    looks
        Rows (azimuth, y) and columns (range, x) of a cell.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        Like `data`, lazy where it is. Each value is the mean of those with data in its cell, each counting
        alike; NaN where there is none. Rows and columns at the end that fill no cell are dropped. Coordinates along y
        and x become the mean over the cell. Wrapped phase (a variable ``phase`` without an imaginary part) is averaged
        on the circle. Whole numbers, booleans and dates, which have no mean, are those of the cell's middle. The
        coordinate ``looks`` and the attributes ``azimuth_looks`` and ``range_looks`` count what has been averaged
        in all.

    Raises
    ------
    InputError
        When `looks` is not two positive whole numbers or a cell is larger than the scene.

    Notes
    -----
    .. math:: \bar z = \frac{1}{n} \sum_{k\,\mathrm{valid}} z_k, \qquad
        \bar\phi = \arg \sum_{k\,\mathrm{valid}} e^{j \phi_k}

    Flatten images before: fringes within a cell cost coherence.

    Examples
    --------
    >>> field = xr.DataArray([[1.0, 2.0, np.nan, 4.0, 9.0]], dims=("y", "x"))
    >>> multilook(field, looks=(1, 2)).values.tolist()
    [[1.5, 4.0]]
    """
    cell = checked_looks(looks)
    if not isinstance(data, (xr.DataArray, xr.Dataset)) or not {"y", "x"} & set(data.dims):
        what = tuple(map(str, data.dims)) if isinstance(data, (xr.DataArray, xr.Dataset)) else type(data).__name__
        msg = f"data must be a DataArray or Dataset with the dims 'y' and 'x', got {what}"
        raise InputError(msg)
    for dim, size in zip(("y", "x"), cell, strict=True):
        if dim in data.dims and data.sizes[dim] < size:
            msg = f"looks must be at most the scene's size, {data.sizes[dim]} along {dim}, got {looks!r}"
            raise InputError(msg)
    if isinstance(data, xr.DataArray):
        name = data.name
        # A name that no coordinate has, so that the array and its coordinates go through one Dataset.
        whole = data.rename("phase" if _is_phase(name, data.variable) else "multilooked_values")
        result = multilook(xr.Dataset({str(whole.name): whole}), looks=cell)[str(whole.name)]
        return result.rename(name)
    variables = cell_means(data.variables, cell)
    attrs = dict(data.attrs)
    for key, size in zip(("azimuth_looks", "range_looks"), cell, strict=True):
        if key in attrs:
            attrs[key] = int(attrs[key]) * size
    names = set(data.coords)
    return xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in names},
        {name: variable for name, variable in variables.items() if name in names},
        attrs,
    )


def cell_means(variables: Mapping[Any, xr.Variable], looks: tuple[int, int]) -> dict[Any, xr.Variable]:
    """Means over cells of the variables of a Dataset, as :func:`multilook` describes."""
    result = {name: _mean(name, variable, looks) for name, variable in variables.items()}
    if "looks" in result:
        counted = result["looks"]
        result["looks"] = counted.copy(data=counted.data * float(looks[0] * looks[1]))
    if "spatial_ref" in result:
        result["spatial_ref"] = _coarser(result["spatial_ref"], looks)
    return result


def _is_phase(name: object, variable: xr.Variable) -> bool:
    return name == "phase" and variable.dtype.kind == "f"


def _mean(name: object, variable: xr.Variable, looks: tuple[int, int]) -> xr.Variable:
    cell = {dim: size for dim, size in zip(("y", "x"), looks, strict=True) if dim in variable.dims}
    base = variable.to_base_variable()
    if not cell or all(size == 1 for size in cell.values()):
        return base
    whole = base.isel({dim: slice(0, base.sizes[dim] // size * size) for dim, size in cell.items()})
    if base.dtype.kind not in "fc":
        # Coordinates are counted in whole numbers too, and have a mean.
        if not (base.dtype.kind in "iu" and name in {"x", "y", "lon", "lat", "height", "incidence", "slant_range"}):
            return whole.isel({dim: slice(size // 2, None, size) for dim, size in cell.items()})
        whole = whole.astype(np.float64)
    sizes = tuple(cell.get(str(dim), 1) for dim in base.dims)
    kernel = partial(_cells, sizes=sizes, circular=_is_phase(name, base))
    if whole.chunks is None:
        return xr.Variable(base.dims, kernel(whole.values), base.attrs)
    da = require("dask.array", extra="dask", purpose="a chunked dataset")
    cut = {}
    for dim, size in cell.items():
        ends = np.unique(np.round(np.cumsum(whole.chunksizes[dim]) / size).astype(int))
        ends = ends[(ends > 0) & (ends * size < whole.sizes[dim])] * size
        cut[dim] = tuple(int(piece) for piece in np.diff([0, *ends, whole.sizes[dim]]))
    lazy = whole.chunk(cut).data
    chunks = tuple(tuple(piece // size for piece in pieces) for pieces, size in zip(lazy.chunks, sizes, strict=True))
    return xr.Variable(base.dims, da.map_blocks(kernel, lazy, chunks=chunks, dtype=whole.dtype), base.attrs)


def _cells(values: AnyArray, *, sizes: tuple[int, ...], circular: bool) -> AnyArray:
    """Mean of what is finite in each cell, added up in double precision."""
    if circular:
        values = np.exp(1j * values.astype(np.float64)).astype(np.complex128)
        return np.angle(_cells(values, sizes=sizes, circular=False)).astype(np.float32)
    valid = np.isfinite(values)
    wide = np.complex128 if values.dtype.kind == "c" else np.float64
    total = np.where(valid, values, 0).astype(wide)
    count = valid.astype(np.int64)
    for axis, size in enumerate(sizes):
        if size > 1:
            total, count = _summed(total, axis, size), _summed(count, axis, size)
    nothing = count == 0
    mean = total / np.maximum(count, 1)
    mean[nothing] = np.nan
    result: AnyArray = mean.astype(values.dtype)
    return result


def _summed(values: AnyArray, axis: int, size: int) -> AnyArray:
    """Sums of `size` neighbours along one axis, one after the other: numpy's own order depends on the shape."""
    leading = (slice(None),) * axis
    total = values[(*leading, slice(0, None, size))].copy()
    for start in range(1, size):
        total += values[(*leading, slice(start, None, size))]
    return total


def _coarser(mapping: xr.Variable, looks: tuple[int, int]) -> xr.Variable:
    """The grid mapping with the size of the cells in its GeoTransform."""
    text = str(mapping.attrs.get("GeoTransform", ""))
    try:
        c, a, b, f, d, e = (float(item) for item in text.split())
    except ValueError:
        return mapping
    values: tuple[Any, ...] = (c, a * looks[1], b * looks[0], f, d * looks[1], e * looks[0])
    result = mapping.copy(deep=False)
    result.attrs = {**mapping.attrs, "GeoTransform": " ".join(repr(item) for item in values)}
    return result
