"""RESIDUALS with the points that were tied to them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence.network import Network
from subsidence.phase_model._datum import renumbered
from subsidence.typing import AnyArray, IntArray

__all__ = ["with_tied"]


def with_tied(
    residuals: xr.Dataset, candidates: xr.Dataset, values: Mapping[str, AnyArray], *, replaced: IntArray
) -> xr.Dataset:
    """
    Append points.

    Parameters
    ----------
    residuals
        RESIDUALS.
    candidates
        POINTS, of which ``values["number"]`` are appended.
    values
        What was found of them, point last; ``neighbour`` is a point of `residuals` whose part theirs is.
    replaced
        Points of `residuals` that are left out.
    """
    stay = np.setdiff1d(np.arange(residuals.sizes["point"]), replaced)
    number = np.asarray(values.get("number", np.empty(0, np.int64)), np.int64)
    neighbour = values.get("neighbour")
    parts: dict[str, xr.Variable] = {}
    for name, variable in residuals.variables.items():
        if "point" not in variable.dims:
            continue
        first = variable.transpose(..., "point")
        own = values.get(str(name))
        if name == "network_part" and neighbour is not None:
            own = first.values[neighbour]
        if own is None:
            own = _of_candidates(candidates, str(name), first, number)
        joined = np.concatenate([first.values[..., stay], np.asarray(own, variable.dtype)], axis=-1)
        parts[str(name)] = xr.Variable(first.dims, joined, variable.attrs)
    tied = np.arange(stay.size + number.size) >= stay.size
    if "tied" in residuals.variables:
        tied[: stay.size] = residuals["tied"].values[stay]
    label = {"long_name": "whether the point was tied to the solved network afterwards"}
    parts["tied"] = xr.Variable("point", tied, label)
    coordinates = {str(name) for name in residuals.coords} | {"tied"}
    result = residuals.drop_dims("point").assign({k: v for k, v in parts.items() if k not in coordinates})
    result = result.assign_coords({k: v for k, v in parts.items() if k in coordinates})
    result.attrs = dict(residuals.attrs)
    if replaced.size and "reference_point" in residuals.attrs:
        result.attrs = renumbered(result, int(np.searchsorted(stay, residuals.attrs["reference_point"])))
    return schema.RESIDUALS.stamp(result)


def _of_candidates(candidates: xr.Dataset, name: str, like: xr.Variable, number: IntArray) -> AnyArray:
    """What candidates say of themselves in the form of a variable; NaN, -1 or False where they say nothing."""
    shape = (*like.shape[:-1], number.size)
    found = candidates.variables.get(name)
    if found is not None and set(found.dims) <= set(like.dims):
        chosen = found.isel(point=number) if "point" in found.dims else found
        ordered = chosen.transpose(*(dim for dim in like.dims if dim in found.dims)).values
        index = tuple(slice(None) if dim in found.dims else None for dim in like.dims)
        return np.asarray(np.broadcast_to(ordered[index], shape))
    if found is not None and set(found.dims) == {"pair", "point"} and like.dims == ("time", "point"):
        network = Network.of(candidates, argument="candidates")
        solved = network.solve(found.transpose("pair", "point").values[:, number])
        zero = int(np.argmin(np.abs(np.asarray(like.values, np.float64)).max(axis=1)))
        return np.asarray(solved - solved[zero])
    kind = like.dtype.kind
    return np.full(shape, {"f": np.nan, "i": -1, "M": np.datetime64("NaT")}.get(kind, 0), like.dtype)
