"""One cell of a sweep: the call, and its outcome as a Dataset or as the words of its failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from subsidence.errors import InputError
from subsidence.sweeps._grid import Axis, cell_values

__all__ = ["Job", "Outcome", "run_cell", "words"]

#: What a cell gave: a result in memory, or what went wrong.
Outcome: TypeAlias = xr.Dataset | str


@dataclass(frozen=True)
class Job:
    """What every cell shares."""

    function: Callable[..., Any]
    data: Any
    axes: tuple[Axis, ...]
    fixed: Mapping[str, Any]


def run_cell(job: Job, cell: int) -> Outcome:
    """Call the function for one cell."""
    # A cell that adds a variable to its data must not change those of the next one.
    data = job.data.copy(deep=False) if isinstance(job.data, (xr.Dataset, xr.DataArray)) else job.data
    try:
        result = job.function(data, **cell_values(job.axes, cell), **job.fixed)
        return _as_dataset(result, {axis.name for axis in job.axes})
    except Exception as error:  # whatever a function raises is that cell's failure, not the sweep's
        return words(error)


def words(error: BaseException) -> str:
    """Kind and message of an error."""
    return f"{type(error).__name__}: {error}"


def _as_dataset(result: object, names: set[str]) -> xr.Dataset:
    if isinstance(result, (bool, int, float, complex, np.generic)) or (
        isinstance(result, np.ndarray) and result.ndim == 0
    ):
        return xr.Dataset({"result": ((), np.asarray(result))})
    if isinstance(result, xr.DataArray):
        result = result.to_dataset(name="result" if result.name is None else result.name)
    if not isinstance(result, xr.Dataset):
        msg = f"the function returned {type(result).__name__}, expected a number, a DataArray or a Dataset"
        raise InputError(msg)
    # A result may carry the parameter itself as a scalar; the grid's own coordinate says the same.
    scalars = [name for name in names if name in result.coords and result[name].ndim == 0]
    result = result.drop_vars(scalars)
    taken = sorted(({str(name) for name in result.variables} | {str(dim) for dim in result.dims}) & {*names, "error"})
    if taken:
        msg = f"the result has a variable or dimension {taken[0]!r}, a name that the sweep needs: rename it"
        raise InputError(msg)
    return result.compute()
