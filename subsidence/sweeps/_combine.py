"""Outcomes of all cells, in one Dataset labelled by the grid."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence.errors import InputError
from subsidence.sweeps._cell import Outcome
from subsidence.sweeps._fingerprint import fingerprint
from subsidence.sweeps._grid import Axis, cell_words

__all__ = ["combine"]


def combine(axes: tuple[Axis, ...], outcomes: Sequence[Outcome], *, function: str) -> xr.Dataset:
    """Stack results along the axes of the grid; failed cells are NaN, and their words are in ``error``.

    A result that does not fit those before it (another size, other labels) counts as failed.

    Raises
    ------
    InputError
        When every cell failed.
    """
    good, errors = _fitting(outcomes)
    if not good:
        msg = f"all {len(outcomes)} cells failed; the first ({cell_words(axes, 0)}) with {errors[0]}"
        raise InputError(msg)
    shape = tuple(len(axis.values) for axis in axes)
    names = tuple(axis.name for axis in axes)
    variables: dict[Hashable, xr.Variable] = {}
    coordinates = {name for result in good.values() for name in result.coords}
    for name in _union(result.variables for result in good.values()):
        found = {cell: result.variables[name] for cell, result in good.items() if name in result.variables}
        first = next(iter(found.values()))
        if name in coordinates and len(found) == len(good) and all(_same(first, other) for other in found.values()):
            variables[name] = first.to_base_variable()
            continue
        array = _stacked({cell: item.transpose(*first.dims) for cell, item in found.items()}, len(outcomes))
        attrs = _common([item.attrs for item in found.values()])
        variables[name] = xr.Variable((*names, *first.dims), array.reshape(*shape, *first.shape), attrs)
    attrs = _common([result.attrs for result in good.values()])
    attrs.pop("kind", None)  # with a dimension for each parameter it is no longer of that kind
    error = xr.Variable(names, np.array(errors).reshape(shape), {"long_name": "what went wrong, empty where nothing"})
    labels = {axis.name: xr.Variable((axis.name,), axis.labels, axis.attrs) for axis in axes}
    combined = xr.Dataset({**labels, **variables, "error": error}, attrs={**attrs, "function": function})
    return combined.set_coords([*names, *coordinates])


def _fitting(outcomes: Sequence[Outcome]) -> tuple[dict[int, xr.Dataset], list[str]]:
    """Results that fit together, and the words of every cell."""
    good: dict[int, xr.Dataset] = {}
    errors = []
    sizes: dict[Hashable, int] = {}
    dims: dict[Hashable, set[Hashable]] = {}
    indexes: dict[Hashable, xr.Variable] = {}
    for cell, outcome in enumerate(outcomes):
        fault = outcome if isinstance(outcome, str) else _misfit(outcome, sizes, dims, indexes)
        errors.append(fault)
        if isinstance(outcome, str) or fault:
            continue
        good[cell] = outcome
        sizes |= dict(outcome.sizes)
        dims |= {name: set(variable.dims) for name, variable in outcome.variables.items()}
        indexes |= {dim: outcome.variables[dim] for dim in outcome.dims if dim in outcome.variables}
    return good, errors


def _misfit(
    result: xr.Dataset,
    sizes: dict[Hashable, int],
    dims: dict[Hashable, set[Hashable]],
    indexes: dict[Hashable, xr.Variable],
) -> str:
    for dim, size in result.sizes.items():
        if sizes.get(dim, size) != size:
            return f"the result has {size} along {dim!r}, those of cells before it have {sizes[dim]}: return one size"
    for name, variable in result.variables.items():
        if dims.get(name, set(variable.dims)) != set(variable.dims):
            return f"{name!r} has dims {variable.dims} in this result, {tuple(dims[name])} in those of cells before it"
    for dim in result.dims:
        if dim in indexes and dim in result.variables and not _same(indexes[dim], result.variables[dim]):
            return f"coordinate {dim!r} of the result differs from that of cells before it: return one grid"
    return ""


def _same(one: xr.Variable, other: xr.Variable) -> bool:
    return xr.DataArray(one).equals(xr.DataArray(other))


def _stacked(found: dict[int, xr.Variable], cells: int) -> npt.NDArray[Any]:
    arrays = {cell: np.asarray(item.values) for cell, item in found.items()}
    first = next(iter(arrays.values()))
    kinds = {array.dtype.kind for array in arrays.values()}
    if kinds & set("OSUT"):
        full = np.full((cells, *first.shape), "", object)
        for cell, array in arrays.items():
            full[cell] = array
        return full if "O" in kinds else full.astype(str)
    dtype = np.result_type(*(array.dtype for array in arrays.values()))
    fill: Any = np.nan
    if dtype.kind in "mM":
        fill = np.array("NaT", dtype)
    elif len(arrays) == cells:
        fill = 0
    elif dtype.kind in "iub":
        dtype = np.promote_types(dtype, np.float32)  # a whole number cannot say "no data"
    stacked = np.full((cells, *first.shape), fill, dtype)
    for cell, array in arrays.items():
        stacked[cell] = array
    return stacked


def _union(names: Iterable[Iterable[Hashable]]) -> list[Hashable]:
    return list(dict.fromkeys(name for group in names for name in group))


def _common(attrs: Sequence[dict[Any, Any]]) -> dict[Any, Any]:
    """Attributes that all share."""
    return {
        key: value
        for key, value in attrs[0].items()
        if all(key in other and _equal(value, other[key]) for other in attrs[1:])
    }


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and np.isnan(one) and np.isnan(other):
        return True
    try:
        return np.shape(one) == np.shape(other) and bool(np.all(np.asarray(one) == np.asarray(other)))
    except ValueError:  # rows of different lengths, or arrays in a dict, are no array
        return fingerprint(one) == fingerprint(other)
