"""A time function fitted to the series of one place by lmfit: dates in, lmfit's result out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from subsidence.errors import InputError
from subsidence.fitting._fit_map import _weights
from subsidence.fitting._fits import place_of
from subsidence.models._base import TimeModel
from subsidence.series._model import checked_time
from subsidence.timescale import to_elapsed

if TYPE_CHECKING:
    import lmfit

    from subsidence.models._result import Result

__all__ = ["fit_series", "origin_of", "weights_of"]


def fit_series(
    model: TimeModel,
    series: xr.Dataset,
    *,
    weights: str | xr.DataArray | None = None,
    origin: np.datetime64 | str | None = None,
    params: lmfit.Parameters | None = None,
    method: str = "leastsq",
) -> Result:
    """
    Fit a time function to the series of one place, as an lmfit result.

    For everything that lmfit does with a result: report, confidence intervals, other minimisers, parameters
    tied to each other. Many places at once are faster through ``fit_map``.

    Parameters
    ----------
    model
        A time function of :mod:`subsidence.models`. Its ``offset`` is fitted too unless it is held, since the
        error of the first epoch is in every value of a series.
    series
        SERIES of one place, m: dims ``("time",)``, or with dims of place of size one. Its sign stays:
        subsidence is negative displacement, and ``w_m`` is then negative. NaN epochs are left out.
    weights
        One over the standard deviation of each epoch, as a DataArray; or the name of a variable of `series` that
        holds standard deviations, such as "displacement_std". Epochs of weight zero, of standard deviation zero
        or without one are left out: at its reference epoch a series is zero by construction, which is no
        observation.
    origin
        Date of t = 0; the first epoch when None. With a time function whose onset ``t0`` is held at zero it is
        the date of the onset.
    params
        Start, bounds and parameters that stay, as :meth:`TimeModel.guess` gives them, which finds them when
        None.
    method
        Minimiser of :func:`lmfit.minimizer.minimize`.

    Returns
    -------
    lmfit.model.ModelResult
        ``params``, ``fit_report()``, ``conf_interval()`` and all else of lmfit's. ``result.userkws["t"]`` are
        the times of the epochs used, in the model's unit since ``result.origin``; ``result.dates(t)`` turns
        times into dates and ``result.elapsed(dates)`` back, as in ``result.eval(t=result.elapsed(dates))``.

    Raises
    ------
    InputError
        When `series` has several places, dates that do not increase, fewer valid epochs than the time function
        has parameters, or when weights do not go with it.

    Examples
    --------
    >>> from subsidence import models, simulate
    >>> model = models.Weibull()
    >>> series, _ = simulate.settlement_series(model, {"w_m": -0.2, "eta": 1.5, "lam": 2.5}, seed=1)
    >>> result = fit_series(model, series)
    >>> print(f"{result.params['w_m'].value:.2f} m, lam {result.params['lam'].value:.1f}")
    -0.20 m, lam 2.5
    >>> str(result.dates(model.time_of_peak(result.params)).astype("datetime64[M]"))
    '2018-09'
    """
    time = checked_time(series)
    start = origin_of(series, origin)
    one = _one_place(series)
    values = np.asarray(one["displacement"].values, np.float64)
    t = to_elapsed(time, origin=start, unit=model.time_unit)
    given = weights.squeeze(drop=True) if isinstance(weights, xr.DataArray) else weights
    weight = weights_of(one, given)
    if weight is None:
        result: Any = model.fit(values, params, t=t, method=method)
    else:
        known = np.asarray(weight.values, np.float64)
        used = known > 0
        result = model.fit(values[used], params, weights=known[used], t=t[used], method=method)
    result.origin = start
    found: Result = result
    return found


def origin_of(series: xr.Dataset, origin: np.datetime64 | str | None) -> np.datetime64:
    """
    Date of t = 0: `origin`, or the first epoch.

    Raises
    ------
    InputError
        When `origin` is not a date.
    """
    if origin is None:
        first: np.datetime64 = series["time"].values[0].astype("M8[ns]")
        return first
    to_elapsed(series["time"].values[:1], origin=origin)  # which knows what a date is
    date: np.datetime64 = np.datetime64(origin).astype("M8[ns]")
    return date


def weights_of(series: xr.Dataset, weights: str | xr.DataArray | None) -> xr.Variable | None:
    """
    One over the standard deviation, along time or along time and place; zero where there is none.

    Raises
    ------
    InputError
        When `weights` are no weights of `series`.
    """
    shared, own = _weights(weights, series, place_of(series))
    if weights is None:
        return None
    given = xr.DataArray(own[0] if own else xr.Variable("time", shared)).astype(np.float64)
    if isinstance(weights, str):
        given = 1.0 / given.where(given > 0)
    return given.fillna(0.0).variable


def _one_place(series: xr.Dataset) -> xr.Dataset:
    sizes = {str(dim): size for dim, size in series["displacement"].sizes.items() if dim != "time"}
    if any(size != 1 for size in sizes.values()):
        words = ", ".join(f"{size} along {dim!r}" for dim, size in sizes.items())
        msg = f"series must be of one place, got {words}: select one with isel or sel, or fit all with fit_map"
        raise InputError(msg)
    return series.squeeze(list(sizes), drop=True)
