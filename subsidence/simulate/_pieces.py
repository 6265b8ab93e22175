"""A scene's variables from its recipe, in memory or lazily chunk by chunk, whichever kind of scene it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._extras import require
from subsidence.simulate import _inputs as inputs
from subsidence.typing import AnyArray

__all__ = ["Kinds", "made", "stamped_truth"]

#: Dimensions before those of place, and dtype, of each variable.
Kinds: TypeAlias = Mapping[str, tuple[tuple[str, ...], str]]
#: ``assemble(recipe, names, rows, columns)`` gives variables on a rectangle of pixels; a module-level function.
Assemble: TypeAlias = Callable[..., dict[str, AnyArray]]


def made(
    assemble: Assemble,
    recipe: Any,
    kinds: Kinds,
    *,
    shape: tuple[int, int],
    lengths: Mapping[str, int],
    chunks: Mapping[str, int] | None,
) -> dict[str, xr.Variable]:
    """Every variable of `kinds`; `lengths` are those of the dimensions before place."""
    if chunks is None:
        whole = slice(0, shape[0]), slice(0, shape[1])
        arrays = assemble(recipe, tuple(kinds), *whole)
        return {name: xr.Variable((*dims, "y", "x"), arrays[name]) for name, (dims, _) in kinds.items()}
    cuts = inputs.chunk_sizes(chunks, shape)
    da = require("dask.array", extra="dask", purpose="chunks")
    # One node of the graph holds the recipe, and every piece refers to it.
    shared = require("dask", extra="dask", purpose="chunks").delayed(recipe, pure=True, traverse=False)
    return {
        name: xr.Variable(
            (*dims, "y", "x"),
            da.map_blocks(
                _piece,
                assemble=assemble,
                recipe=shared,
                variable=name,
                chunks=(*((lengths[dim],) for dim in dims), *cuts),
                dtype=dtype,
                meta=np.empty((0,) * (len(dims) + 2), dtype),
            ),
        )
        for name, (dims, dtype) in kinds.items()
    }


def _piece(*, assemble: Assemble, recipe: Any, variable: str, block_info: Any = None) -> AnyArray:
    """One chunk of one variable, for dask."""
    (top, bottom), (left, right) = block_info[None]["array-location"][-2:]
    return assemble(recipe, (variable,), slice(top, bottom), slice(left, right))[variable]


def stamped_truth(truth: xr.Dataset, table: Mapping[str, tuple[str, str, tuple[str, ...], str]]) -> xr.Dataset:
    """Units and names: those of the schema, and those of `table` for what only a truth has."""
    stamped = schema.SERIES.stamp(truth)
    for name, (units, long_name, _, _) in table.items():
        attrs = {"long_name": long_name, **({"units": units} if units else {})}
        stamped[name].attrs = {**stamped[name].attrs, **attrs}
    return stamped
