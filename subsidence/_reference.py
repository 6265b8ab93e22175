"""The place that a reference names, found once for every function that takes one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeAlias

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from subsidence.errors import InputError
from subsidence.schema import spatial_dims
from subsidence.typing import FloatArray, ReferenceLike

__all__ = ["Place", "checked_mask", "resolve"]

#: Where the reference is: an indexer for ``isel`` (one place), or a boolean Variable with the dimensions of place.
Place: TypeAlias = dict[str, int] | xr.Variable

_FORMS = ("row", "col"), ("lon", "lat"), ("x", "y"), ("point",)
_EXPECTED = "{'row', 'col'}, {'lon', 'lat'}, {'x', 'y'}, {'point'} or a boolean DataArray (True = reference)"
#: A named position may lie this many point spacings (median distance to the nearest neighbour) from a point.
_REACH = 10.0
_METRES_PER_DEGREE = 111_195.0


def resolve(
    dataset: xr.Dataset, reference: ReferenceLike, *, argument: str = "reference"
) -> tuple[str, dict[str, int | float | str], Place]:
    """
    Find the place that `reference` names.

    Parameters
    ----------
    dataset
        Anything with dims of place, ``(y, x)`` or ``(point,)``.
    reference
        ``{"row", "col"}`` counted from 0, ``{"lon", "lat"}`` in degrees or ``{"x", "y"}`` in the grid's unit
        (nearest place, no farther than one pixel from the grid), ``{"point"}`` (its label where points are
        labelled, else its number), or a boolean DataArray over the place, True where the reference is.
    argument
        Name of the caller's argument, for messages.

    Returns
    -------
    words : str
        "pixel row 9, col 8", "point 7" or "mean of 120 pixels".
    attrs : dict
        What a result records: ``reference`` (the words) and its numbers, ``reference_row`` and so on.
    place : dict or xarray.Variable
        An indexer for ``isel(place, drop=True)``, or a boolean Variable in memory with the dims of place.
        Whether data are NaN there is for the caller to find.

    Raises
    ------
    InputError
        When the place is outside, the keys are unknown, or the mask is not boolean, has no True, or does
        not fit the dataset.
    """
    dims = spatial_dims(dataset)
    if isinstance(reference, xr.DataArray):
        chosen = checked_mask(dataset, reference, argument=argument)
        count = int(chosen.values.sum())
        area = f"mean of {count} {'points' if dims == ('point',) else 'pixels'}"
        return area, {"reference": area, "reference_count": count}, chosen
    if not isinstance(reference, Mapping):
        shown = repr(reference) if isinstance(reference, (str, type(None))) else type(reference).__name__
        msg = f"{argument} must be {_EXPECTED}, got {shown}"
        raise InputError(msg)
    form = next((form for form in _FORMS if set(form) == set(reference)), None)
    if form is None:
        msg = f"{argument} has keys {tuple(reference)}, expected {_EXPECTED}"
        raise InputError(msg)
    wanted = {name: _number(reference[name], name, argument) for name in form}
    if form == ("point",):
        indexer = _by_point(dataset, wanted["point"], dims, argument)
    elif form == ("row", "col"):
        indexer = _by_row(dataset, wanted, dims, argument)
    else:
        indexer = _by_position(dataset, wanted, form, dims, argument)
    if dims == ("point",):
        words = f"point {_point_label(dataset, indexer['point'])}"
        attrs: dict[str, int | float | str] = {"reference": words, "reference_point": indexer["point"]}
    else:
        words = f"pixel row {indexer['y']}, col {indexer['x']}"
        attrs = {"reference": words, "reference_row": indexer["y"], "reference_col": indexer["x"]}
    return words, attrs | _position(dataset, indexer), indexer


def checked_mask(dataset: xr.Dataset, mask: object, *, argument: str = "mask") -> xr.Variable:
    """
    Places that a mask chooses.

    Parameters
    ----------
    dataset
        Anything with dims of place, ``(y, x)`` or ``(point,)``.
    mask
        Boolean DataArray over the place, dims in any order, True where chosen.
    argument
        Name of the caller's argument, for messages.

    Returns
    -------
    xarray.Variable
        Boolean, in memory, with the dims of place in their order.

    Raises
    ------
    InputError
        When the mask is not boolean, has no True, or does not fit the dataset.
    """
    dims = spatial_dims(dataset)
    if not isinstance(mask, xr.DataArray):
        msg = f"{argument} must be a boolean DataArray (True = chosen), got {type(mask).__name__}"
        raise InputError(msg)
    if mask.dtype != bool:
        msg = f"{argument} is a mask of dtype {mask.dtype}, expected boolean: compare first, as in coherence > 0.7"
        raise InputError(msg)
    sizes = {dim: dataset.sizes[dim] for dim in dims}
    if dict(mask.sizes) != sizes:
        msg = f"{argument} is a mask with sizes {dict(mask.sizes)}, expected {sizes} as the dataset"
        raise InputError(msg)
    for dim in dims:
        if dim in mask.coords and dim in dataset.coords and not _same(mask[dim].values, dataset[dim].values):
            msg = f"{argument} is a mask whose coordinate {dim!r} differs from the dataset's: align them first"
            raise InputError(msg)
    chosen = xr.Variable(dims, np.asarray(mask.variable.transpose(*dims).values))
    if not chosen.values.any():
        msg = f"{argument} is a mask without any True: nothing is chosen"
        raise InputError(msg)
    return chosen


def _number(value: object, name: str, argument: str) -> float:
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and np.isfinite(value):
        return float(value)
    msg = f"{argument}[{name!r}] must be a finite number, got {value!r}"
    raise InputError(msg)


def _whole(value: float, name: str, size: int, argument: str) -> int:
    if value != int(value):
        msg = f"{argument}[{name!r}] must be a whole number, got {value!r}: use {{'x', 'y'}} for a position"
        raise InputError(msg)
    if not 0 <= value < size:
        msg = f"{argument}[{name!r}] is {value:g}, outside the dataset: it has {size}, counted 0..{size - 1}"
        raise InputError(msg)
    return int(value)


def _by_row(dataset: xr.Dataset, wanted: dict[str, float], dims: tuple[str, ...], argument: str) -> dict[str, int]:
    if dims == ("y", "x"):
        return {
            "y": _whole(wanted["row"], "row", dataset.sizes["y"], argument),
            "x": _whole(wanted["col"], "col", dataset.sizes["x"], argument),
        }
    if "row" not in dataset.variables or "col" not in dataset.variables:
        msg = f"{argument} is a row and column, but these points have no 'row' and 'col': use {{'point'}}"
        raise InputError(msg)
    hit = (dataset["row"].values == wanted["row"]) & (dataset["col"].values == wanted["col"])
    if not hit.any():
        msg = f"{argument}: no point lies on row {wanted['row']:g}, col {wanted['col']:g}: use {{'point'}}"
        raise InputError(msg)
    return {"point": int(np.argmax(hit))}


def _by_point(dataset: xr.Dataset, wanted: float, dims: tuple[str, ...], argument: str) -> dict[str, int]:
    if dims != ("point",):
        msg = f"{argument} names a point, but the dataset is a raster (y, x): use {{'row', 'col'}}"
        raise InputError(msg)
    if "point" not in dataset.coords:
        return {"point": _whole(wanted, "point", dataset.sizes["point"], argument)}
    hit = dataset["point"].values == wanted
    if not hit.any():
        msg = f"{argument}: no point is labelled {wanted:g} in the coordinate 'point'"
        raise InputError(msg)
    return {"point": int(np.argmax(hit))}


def _by_position(
    dataset: xr.Dataset, wanted: dict[str, float], form: tuple[str, ...], dims: tuple[str, ...], argument: str
) -> dict[str, int]:
    across, along = form
    missing = [name for name in form if name not in dataset.variables]
    if missing:
        msg = f"{argument} names {form}, but the dataset has no {' and '.join(map(repr, missing))}: use {_EXPECTED}"
        raise InputError(msg)
    a, b = dataset.variables[across], dataset.variables[along]
    if dims == ("y", "x") and a.ndim == 1 and b.ndim == 1:
        return {
            "y": _nearest_on_axis(np.asarray(b.values, float), wanted[along], along, argument),
            "x": _nearest_on_axis(np.asarray(a.values, float), wanted[across], across, argument),
        }
    blank = xr.Variable(dims, np.zeros([dataset.sizes[dim] for dim in dims]))
    first: FloatArray = (blank + a).values
    second: FloatArray = (blank + b).values
    scale = (1.0, 1.0)
    if form == ("lon", "lat"):
        scale = (_METRES_PER_DEGREE * float(np.cos(np.deg2rad(wanted["lat"]))), _METRES_PER_DEGREE)
    plane = np.stack([first.ravel() * scale[0], second.ravel() * scale[1]], axis=-1)
    at = np.array([wanted[across] * scale[0], wanted[along] * scale[1]])
    finite = np.flatnonzero(np.isfinite(plane).all(axis=-1))
    if finite.size == 0:
        msg = f"{argument}: {across!r} and {along!r} of the dataset are NaN everywhere"
        raise InputError(msg)
    tree = cKDTree(plane[finite])
    distance, found = tree.query(at)
    reach = _spacing(tree) * (_REACH if dims == ("point",) else 1.0)
    if distance > reach:
        msg = (
            f"{argument} {across}={wanted[across]:g}, {along}={wanted[along]:g} lies outside the dataset: "
            f"{distance:.0f} m from its nearest place, more than {reach:.0f} m; it spans {across} "
            f"{np.nanmin(first):g}..{np.nanmax(first):g}, {along} {np.nanmin(second):g}..{np.nanmax(second):g}"
        )
        raise InputError(msg)
    where = np.unravel_index(int(finite[found]), first.shape)
    return {dim: int(index) for dim, index in zip(dims, where, strict=True)}


def _nearest_on_axis(values: FloatArray, wanted: float, name: str, argument: str) -> int:
    distance = np.abs(values - wanted)
    if name == "lon":  # 260 and -100 are the same meridian
        distance = np.abs((values - wanted + 180.0) % 360.0 - 180.0)
    found = int(np.argmin(distance))
    post = float(np.median(np.abs(np.diff(values)))) if values.size > 1 else np.inf
    if not distance[found] <= post * (1 + 1e-9):
        msg = (
            f"{argument}[{name!r}] is {wanted:g}, more than one pixel ({post:g}) outside the dataset, "
            f"which spans {values.min():g}..{values.max():g}"
        )
        raise InputError(msg)
    return found


def _spacing(tree: cKDTree) -> float:
    """Median distance between neighbours; any position is near a lone place."""
    if tree.n < 2:
        return np.inf
    distance = np.asarray(tree.query(tree.data, k=2)[0])
    return float(np.median(distance[:, 1]))


def _same(one: FloatArray, other: FloatArray) -> bool:
    if one.dtype.kind in "fiu" and other.dtype.kind in "fiu":
        return bool(np.allclose(one, other, rtol=1e-12, atol=0.0))
    return bool(np.array_equal(one, other))


def _point_label(dataset: xr.Dataset, index: int) -> Hashable:
    label: Hashable = dataset["point"].values[index].item() if "point" in dataset.coords else index
    return label


def _position(dataset: xr.Dataset, indexer: dict[str, int]) -> dict[str, float]:
    found = {}
    for name in ("x", "y", "lon", "lat"):
        variable = dataset.variables.get(name)
        if variable is not None and variable.dtype.kind in "fiu" and set(variable.dims) <= set(indexer):
            found[f"reference_{name}"] = float(variable.isel({dim: indexer[str(dim)] for dim in variable.dims}).values)
    return found
