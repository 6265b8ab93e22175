"""How well a time function foretells what it has not seen: forecasts from several origins, beside simple ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress
from subsidence.errors import InputError
from subsidence.fitting._fit_map import Loss, Noise, fit_map
from subsidence.fitting._predict import predict
from subsidence.models._base import TimeModel
from subsidence.series._model import checked_time
from subsidence.timescale import DAYS_PER_YEAR, to_elapsed, unit_days
from subsidence.typing import Dates

__all__ = ["FORECASTERS", "Horizon", "Origins", "forecast_error"]

#: Shares of the epochs that are fitted, or dates of the first epoch that is foretold.
Origins: TypeAlias = Sequence[float] | Sequence[str] | Sequence[np.datetime64] | Dates
#: How far ahead; None for the whole rest of the series.
Horizon: TypeAlias = np.timedelta64 | timedelta | None

#: Who foretells: the time function, and what needs none.
FORECASTERS = ("model", "persistence", "trend", "last_year_trend")
#: Epochs that a line needs to be worth extending.
_LINE = 3


def forecast_error(
    model: TimeModel,
    series: xr.Dataset,
    *,
    origins: Origins = (0.6, 0.7, 0.8),
    horizon: Horizon = None,
    level: float = 0.95,
    weights: str | xr.DataArray | None = None,
    loss: Loss = "linear",
    loss_scale: float | None = None,
    noise: Noise = "white",
    starts: int = 1,
    origin: np.datetime64 | str | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Errors of forecasts: fit what comes before a date, foretell what comes after, for several dates.

    Parameters
    ----------
    model
        A time function of :mod:`subsidence.models`, or a sum of them.
    series
        SERIES with increasing times, m.
    origins
        Where forecasts begin: shares of the epochs that are fitted, between 0 and 1, or dates. Only epochs
        *before* an origin are fitted; the origin is the first that is foretold.
    horizon
        How long forecasts are, a timedelta; to the end of the series when None.
    level
        Probability of the bands whose coverage is counted.
    weights, loss, loss_scale, noise, starts
        As of :func:`subsidence.fit_map`.
    origin
        Date of t = 0, as of :func:`subsidence.fit_map`; the first epoch when None.
    threads
        Threads over blocks of places; all CPUs by default.
    progress
        True for a bar (extra ``progress``), or a function told (places done, places in all) at every origin.

    Returns
    -------
    xarray.Dataset
        FORECASTS: ``forecast_rmse`` and ``forecast_bias`` (m; forecast minus displacement) along
        ``(forecaster, origin)`` and place; ``forecast_coverage``, the share of the epochs inside the band of the
        time function for observations, ``forecast_count``, the epochs with data that were foretold, and the
        ``status`` of the fit along ``(origin)`` and place. NaN where there is nothing to compare.
        ``forecaster`` is "model", "persistence", "trend" or "last_year_trend".

    Raises
    ------
    InputError
        When an origin is no share or date, leaves nothing to fit or to foretell; when `horizon` is not a
        positive time; for whatever ``fit_map`` and ``predict`` refuse.

    Notes
    -----
    A time function is worth its parameters when it foretells better than what needs none:

    *persistence*
        the last value before the origin stays.
    *trend*
        the straight line through all epochs before the origin, by least squares.
    *last_year_trend*
        the line through the epochs of the 365.25 days before the origin.

    A line needs three epochs. The error of an epoch is that against the *observed* displacement, so it holds the
    noise of that epoch: a perfect forecast has the noise's standard deviation as RMSE, and models that differ
    by less than that are hard to tell apart by it.

    The fit sees no epoch at or after the origin. What was done to the series before may have: a filter in
    time, or an atmosphere estimated from all epochs, leaks.

    References
    ----------
    Tashman (2000), Out-of-sample tests of forecasting accuracy, https://doi.org/10.1016/S0169-2070(00)00065-0.

    Examples
    --------
    >>> from subsidence import models, simulate
    >>> model = models.Weibull()
    >>> series, _ = simulate.settlement_series(model, {"w_m": -0.2, "eta": 1.5, "lam": 2.5}, seed=1)
    >>> found = forecast_error(model, series, origins=[0.5, 0.6])
    >>> best = found.forecast_rmse.mean("origin").isel(point=0)
    >>> bool(best.sel(forecaster="model") < best.drop_sel(forecaster="model").min())
    True
    """
    time = checked_time(series)
    firsts = _checked_origins(origins, time)
    parts = []
    for first in firsts:
        stop = _stop(time, first, horizon)
        before, after = series.isel(time=slice(0, first)), series.isel(time=slice(first, stop))
        fits = fit_map(
            model,
            before,
            weights=weights.isel(time=slice(0, first)) if isinstance(weights, xr.DataArray) else weights,
            loss=loss,
            loss_scale=loss_scale,
            noise=noise,
            starts=starts,
            origin=time[0] if origin is None else origin,
            threads=threads,
            progress=progress,
        )
        band = predict(fits, time[first:stop], level=level, kind="observation", model=model, threads=threads)
        parts.append(_errors(before, after, band).assign(status=fits.variables["status"]))
    result = xr.concat(parts, dim="origin").assign_coords(origin=time[firsts]).transpose("forecaster", "origin", ...)
    result["status"].attrs = dict(schema.STATUS)
    result.attrs = {key: series.attrs[key] for key in ("component", "reference") if key in series.attrs}
    result.attrs |= {
        "model": str(model.name).removeprefix("Model(").removesuffix(")"),
        "level": float(level),
        "horizon": "to the end" if horizon is None else f"{unit_days(horizon):g} days",
    }
    return schema.FORECASTS.stamp(result)


def _checked_origins(origins: Any, time: Dates) -> list[int]:
    """Number of the first epoch foretold, for each origin."""
    values = np.atleast_1d(np.asarray(origins))
    if values.ndim != 1 or values.size == 0:
        msg = f"origins must be a sequence of shares of the epochs or of dates, got {origins!r}"
        raise InputError(msg)
    if values.dtype.kind in "OU":
        try:
            values = values.astype("M8[ns]")
        except (TypeError, ValueError) as error:
            msg = f"origins must be shares of the epochs (0.6) or dates ('2020-06-30'), got {origins!r}"
            raise InputError(msg) from error
    if values.dtype.kind == "M":
        firsts = np.searchsorted(time, values.astype("M8[ns]"))
    elif values.dtype.kind == "f" and np.all((values > 0) & (values < 1)):
        firsts = np.rint(values * time.size).astype(np.intp)
    else:
        msg = f"origins must be shares of the epochs between 0 and 1, or dates, got {origins!r}"
        raise InputError(msg)
    wrong = (firsts < 1) | (firsts >= time.size) | (np.isnat(values) if values.dtype.kind == "M" else False)
    if wrong.any():
        begin, end = time[[0, -1]].astype("M8[D]")
        msg = (
            f"origins must leave epochs to fit before and to foretell after, got {values[wrong][0]} "
            f"for a series from {begin} to {end}"
        )
        raise InputError(msg)
    if np.unique(firsts).size < firsts.size:
        msg = f"origins must be different epochs, got {origins!r} for {time.size} epochs"
        raise InputError(msg)
    return [int(first) for first in firsts]


def _stop(time: Dates, first: int, horizon: object) -> int:
    """Number of the first epoch that is beyond the forecast."""
    if horizon is None:
        return int(time.size)
    if not isinstance(horizon, (np.timedelta64, timedelta)):
        msg = f"horizon must be a timedelta such as np.timedelta64(365, 'D'), or None, got {horizon!r}"
        raise InputError(msg)
    days = unit_days(horizon)
    # The first epoch is always there: the origin may be a date between two.
    return int(np.searchsorted(to_elapsed(time[first:], unit="day"), days)) + first


def _errors(before: xr.Dataset, after: xr.Dataset, band: xr.Dataset) -> xr.Dataset:
    """What each forecaster's forecasts from one origin miss."""
    past = before["displacement"].astype(np.float64).drop_vars("time")
    future = after["displacement"].astype(np.float64).drop_vars("time")
    first = after["time"].values[0]
    t = xr.DataArray(to_elapsed(before["time"].values, origin=first, unit="day"), dims="time")
    ahead = xr.DataArray(to_elapsed(after["time"].values, origin=first, unit="day"), dims="time")
    forecasts = [
        band["displacement"].drop_vars("time"),
        _last(past) + 0 * ahead,
        _line(past, t, ahead),
        _line(past.where(t >= -DAYS_PER_YEAR), t, ahead),
    ]
    miss = xr.concat(forecasts, dim="forecaster", coords="minimal", compat="override") - future
    known = future.notnull()
    inside = (future >= band["lower"].drop_vars("time")) & (future <= band["upper"].drop_vars("time"))
    told = known & band["lower"].drop_vars("time").notnull()
    result = xr.Dataset(
        {
            "forecast_rmse": np.sqrt((miss**2).mean("time")),
            "forecast_bias": miss.mean("time"),
            "forecast_coverage": (inside & told).sum("time") / told.sum("time").where(told.any("time")),
            "forecast_count": (known & miss.isel(forecaster=0).notnull()).sum("time"),
        }
    )
    return result.assign_coords(forecaster=list(FORECASTERS))


def _last(past: xr.DataArray) -> xr.DataArray:
    """Last value that is there."""
    known = past.notnull()
    later = known.isel(time=slice(None, None, -1)).cumsum("time").isel(time=slice(None, None, -1))
    return past.where(known & (later == 1)).sum("time", min_count=1)


def _line(past: xr.DataArray, t: xr.DataArray, ahead: xr.DataArray) -> xr.DataArray:
    """Line of least squares through the epochs with data, farther on."""
    own = t.where(past.notnull())
    away = own - own.mean("time")
    slope = (away * past).sum("time") / (away**2).sum("time").where(past.count("time") >= _LINE)
    return past.mean("time") + slope * (ahead - own.mean("time"))
