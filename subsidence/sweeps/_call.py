"""The public function: checks, what is left to do, who does it, and the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subsidence._blocks import Progress, reporter, worker_count
from subsidence.sweeps._cell import Job, Outcome, run_cell
from subsidence.sweeps._combine import combine
from subsidence.sweeps._grid import axes_of, check_call, function_name
from subsidence.sweeps._processes import pickled, run_in_processes
from subsidence.sweeps._store import Store

__all__ = ["sweep_call"]


def sweep_call(
    function: Callable[..., Any],
    data: Any,
    *,
    grid: Mapping[str, Sequence[Any]],
    processes: int | None = None,
    resume: str | Path | None = None,
    progress: Progress = False,
    **fixed: Any,
) -> xr.Dataset:
    """
    Results of a function for every combination of parameters.

    Parameters
    ----------
    function
        Called as ``function(data, **parameters, **fixed)``; returns a number, a DataArray or a Dataset. In
        processes it must be a module-level function: workers import it by its name.
    data
        First argument of every call. It goes to each worker once; a lazy Dataset goes as the recipe it is.
    grid
        Values of each parameter. Its outer product is computed.
    processes
        Worker processes: None is one for each CPU that this process may use, 1 is this process itself. A
        worker's libraries run one thread each.
    resume
        Folder that keeps each finished cell. The same call with the same folder computes only what is missing or
        failed; another function, grid, data or fixed argument is refused, and so is another version of this
        library (extra ``io``). The function is known by its name: when you edit what it does, give a new folder,
        or finished cells keep the results of the old one. A result that files cannot hold (an attribute that is
        neither text, number, list nor dict, a name with blanks, a MultiIndex) counts as failed.
    progress
        True for a bar (extra ``progress``), or a function that is told (cells done, cells in all).
    **fixed
        Further arguments, the same in every call. A parameter called ``grid``, ``processes``, ``resume`` or
        ``progress`` needs a wrapper.

    Returns
    -------
    xarray.Dataset
        The variables of the results (``result`` for numbers and nameless arrays), with a dimension for each
        parameter before their own, and ``error``: what a cell raised, empty where it did not. Failed cells are
        NaN; whole numbers become floats where some failed. Numbers, dates and texts label their parameter; None,
        tuples and the like do so by their text, and values too long for that by their position, their texts in the
        coordinate's attribute ``values``. Coordinates that are equal in all results have no new dimension.

    Raises
    ------
    InputError
        When the grid is empty, a value is there twice, a parameter is unknown to the function, something cannot
        be sent to workers, the folder holds another sweep, or every cell failed.
    FormatError
        When the folder cannot be read or written.

    Notes
    -----
    The result does not depend on the order in which cells finish nor on where they ran. A worker that dies fails its
    cell alone. Ctrl-C kills the workers; with `resume` what was finished stays.

    Results must agree in dims, sizes and index coordinates with the first one that did not fail; a cell
    that does not is recorded as failed. A function that keeps more or fewer points with each parameter
    returns a summary instead, or a mask over all points.

    Examples
    --------
    >>> import xarray as xr
    >>> def above(values, *, threshold, scale=1.0):
    ...     return (values * scale > threshold).mean()
    >>> coherence = xr.DataArray([0.2, 0.5, 0.9], dims="pixel")
    >>> runs = sweep_call(above, coherence, grid={"threshold": [0.1, 0.4], "scale": [1.0, 0.5]}, processes=1)
    >>> runs["result"].sel(threshold=0.4).values.round(2)
    array([0.67, 0.33])
    """
    axes = axes_of(grid)
    check_call(function, axes, fixed)
    workers = worker_count(processes, "processes")
    job = Job(function, data, axes, fixed)
    payload = pickled(job) if workers > 1 else b""
    store = None if resume is None else Store(resume, job)
    cells = int(np.prod([len(axis.values) for axis in axes]))
    outcomes: dict[int, Outcome] = {} if store is None else store.finished(cells)
    left = [cell for cell in range(cells) if cell not in outcomes]
    name = function_name(function)
    with reporter(progress, cells, name, unit="cell") as report:
        if outcomes:
            report(len(outcomes))

        def done(cell: int, outcome: Outcome) -> None:
            if store is not None and isinstance(outcome, xr.Dataset):
                outcome = store.write(cell, outcome)
            outcomes[cell] = outcome
            report(1)

        if min(workers, len(left)) > 1:
            run_in_processes(payload, left, workers, done)
        else:
            for cell in left:
                done(cell, run_cell(job, cell))
    return combine(axes, [outcomes[cell] for cell in range(cells)], function=name)
