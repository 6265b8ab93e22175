"""A curve fitted to one sensor's series, held against what another sensor saw years later."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr
from scipy import special

from subsidence import schema
from subsidence._blocks import Output, Progress, run
from subsidence.errors import InputError
from subsidence.fitting._fit_map import fit_map
from subsidence.fitting._fits import place_of
from subsidence.fitting._join import checked_pair
from subsidence.models._base import TimeModel
from subsidence.models._logistic import Logistic
from subsidence.schema import STATUS, Status
from subsidence.timescale import to_elapsed
from subsidence.typing import FloatArray, IntArray

__all__ = ["hindcast"]


def hindcast(
    first: xr.Dataset,
    second: xr.Dataset,
    *,
    model: TimeModel | None = None,
    tolerance: float = 0.004,
    level: float = 0.95,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Fit a time function to the first sensor's series, foretell the second's, and say how well that went.

    Parameters
    ----------
    first, second
        SERIES of the same places, the second beginning after the first ends. Along the line of sight they need
        ``incidence`` (degree) or ``los_up``.
    model
        Time function fitted to the first; ``Logistic()`` when None, as Foshan's subway.
    tolerance
        Largest absolute misfit that counts as stable, metres: 4 mm in the paper.
    level
        Probability of the band.
    threads
        Threads over blocks of places.
    progress
        True for a bar (extra ``progress``), or a function told (places done, places in all).

    Returns
    -------
    xarray.Dataset
        HINDCAST at the second's epochs, vertical, metres: ``displacement`` (less ``datum_shift``), ``predicted``
        with ``lower`` and ``upper``, ``misfit`` = displacement - predicted; for each place ``datum_shift`` and its
        std, ``misfit_rmse``, ``largest_misfit``, ``forecast_coverage`` (share of epochs inside the band),
        ``within_tolerance`` and the ``status`` of the fit. Where the settlement is not identifiable the band is
        infinite.

    Raises
    ------
    InputError
        When the places differ, the epochs overlap, `tolerance` or `level` is out of range, the component is
        neither "up" nor "los", or the incidence is missing.

    Notes
    -----
    The second series is relative to an epoch of its own, so its level says nothing: the mean misfit is
    ``datum_shift`` and is taken off, and only what happens *between* the second's epochs is tested. So the band
    is that of the curve less its mean, whose gradient is :math:`g_k - \bar g`:

    .. math:: \sigma_k^2 = (g_k - \bar g)^T C\, (g_k - \bar g) + \sigma^2 \left(1 - 1/n\right)

    with the noise :math:`\sigma` of the first sensor, which is taken to be the second's too, and Student's t.
    A curve that says "settled" foretells a constant: then the misfit is the second's motion about its mean.

    References
    ----------
    The Foshan subway study fits 2008-2011 and compares 2015-2018: within 4 mm, with a seasonal wave.

    Examples
    --------
    >>> import numpy as np
    >>> from subsidence import models, simulate
    >>> model = models.Logistic()
    >>> time = np.datetime64("2008-01-01", "ns") + np.arange(0, 4000, 46) * np.timedelta64(1, "D")
    >>> both, _ = simulate.settlement_series(model, {"b": -0.08, "a": 20.0, "c": 3.0}, time=time, noise_std=0.001)
    >>> found = hindcast(both.sel(time=slice("2010")), both.sel(time=slice("2015", None)))
    >>> bool(found.within_tolerance), bool(found.forecast_coverage > 0.8)
    (True, True)
    """
    if not 0 < tolerance < np.inf:
        msg = f"tolerance must be above zero (m), got {tolerance!r}"
        raise InputError(msg)
    if not 0 < level < 1:
        msg = f"level must lie between 0 and 1, got {level!r}"
        raise InputError(msg)
    shape = Logistic() if model is None else model
    before, after = checked_pair(first, second)
    fits = fit_map(shape, before, threads=threads, progress=progress)
    place = place_of(after) or ("point",)
    t = to_elapsed(after["time"], origin=fits.attrs["origin"], unit=shape.time_unit)
    names = ("optimum", "covariance", "noise_std", "noise_dof", "status")
    inputs = [after.variables["displacement"], *(fits.variables[name] for name in names)]
    if not place_of(after):
        inputs = [xr.Variable((*variable.dims, "point"), variable.data[..., None]) for variable in inputs]
    kernel = partial(_foretell, shape, t, level)
    outputs = [Output(("row", "time"), (4, t.size), np.float64), Output(("quantity",), (5,), np.float64)]
    along, whole = run(kernel, inputs, outputs, place=place, threads=threads)
    if not place_of(after):
        along, whole = along.isel(point=0), whole.isel(point=0)
    rows = ("displacement", "predicted", "lower", "upper")
    result = after.drop_vars(list(after.data_vars)).assign({name: along.isel(row=row) for row, name in enumerate(rows)})
    quantities = ("datum_shift", "datum_shift_std", "misfit_rmse", "largest_misfit", "forecast_coverage")
    result = result.assign({name: whole.isel(quantity=row) for row, name in enumerate(quantities)})
    result = result.assign(
        misfit=result["displacement"] - result["predicted"],
        within_tolerance=result["largest_misfit"] <= tolerance,
        status=fits.variables["status"],
    )
    result["status"].attrs |= STATUS
    result.attrs |= {"model": fits.attrs["model"], "tolerance": tolerance, "level": level}
    return schema.HINDCAST.stamp(result)


def _foretell(  # noqa: PLR0917  # a kernel: what is bound, the places, inputs, outputs
    model: TimeModel,
    t: FloatArray,
    level: float,
    start: int,
    stop: int,
    data: FloatArray,
    optimum: FloatArray,
    covariance: FloatArray,
    noise: FloatArray,
    dof: FloatArray,
    status: IntArray,
    along: FloatArray,
    whole: FloatArray,
) -> None:
    part = slice(start, stop)
    rows = [list(model.param_names).index(model.prefix + name) for name in model.units]
    values = dict(zip(model.units, optimum[rows][:, part], strict=True))
    columns, shape = model.basis(t, values)
    owner = model.owner or (0,) * len(model.nonlinear)
    gradient = dict(zip(model.linear, columns, strict=True))
    gradient |= {
        name: shape[row] * values[model.linear[owner[row]]]
        for row, name in enumerate(model.nonlinear)
        if name not in model.constants
    }
    seen = np.isfinite(data[:, part])
    n = seen.sum(0)
    predicted = values["offset"] + sum(values[name] * gradient[name] for name in model.linear)
    shift = _mean(data[:, part] - predicted, seen)
    # An offset shifts predicted and shift alike: its own gradient is zero after the mean is taken off.
    names = list(gradient)
    relative = np.stack([gradient[name] - _mean(gradient[name], seen) for name in names])
    mean = np.stack([_mean(gradient[name], seen) for name in names])
    chosen = [rows[list(model.units).index(name)] for name in names]
    spread = covariance[np.ix_(chosen, chosen)][..., part]
    offset = rows[list(model.units).index("offset")]
    of_curve = np.einsum("atp,abp,btp->tp", relative, spread, relative)
    with_offset = covariance[np.ix_([*chosen, offset], [*chosen, offset])][..., part]
    mean = np.concatenate([mean, np.ones((1, *mean.shape[1:]))])
    of_mean = np.einsum("ap,abp,bp->p", mean, with_offset, mean)
    quantile = special.stdtrit(dof[part], (1 + level) / 2)
    share = 1 - 1 / np.maximum(n, 1)
    half = quantile * np.sqrt(of_curve + noise[part] ** 2 * share)
    half = np.where(status[part] == Status.NOT_IDENTIFIABLE, np.inf, half)
    misfit = data[:, part] - shift - predicted
    along[0, :, part] = data[:, part] - shift
    along[1, :, part] = predicted
    along[2, :, part], along[3, :, part] = predicted - half, predicted + half
    whole[0, part] = shift
    whole[1, part] = np.sqrt(of_mean + noise[part] ** 2 / np.maximum(n, 1))
    whole[2, part] = np.sqrt(_mean(misfit**2, seen))
    whole[3, part] = np.where(n > 0, np.max(np.abs(np.where(seen, misfit, 0.0)), axis=0), np.nan)
    whole[4, part] = _mean((np.abs(misfit) <= half).astype(np.float64), seen)


def _mean(values: FloatArray, seen: FloatArray) -> FloatArray:
    """Mean over the epochs that there are; NaN without any."""
    count = seen.sum(0)
    total = np.where(seen, values, 0.0).sum(0)
    result: FloatArray = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return result
