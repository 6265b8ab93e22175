"""When the ground has settled: for every place of a map."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Output, Progress, run
from subsidence.fitting._fits import opened, place_of
from subsidence.models._base import TimeModel
from subsidence.models._milestones import Criterion, crossing, settling_term
from subsidence.schema import Status
from subsidence.timescale import DAYS_PER_YEAR, from_elapsed, unit_days
from subsidence.typing import FloatArray, IntArray

__all__ = ["stabilisation_time"]

#: Farther from the origin than this a date cannot be written, years.
_FARTHEST = 200.0


def stabilisation_time(
    fits: xr.Dataset,
    *,
    fraction: float | None = None,
    velocity: float | None = None,
    model: TimeModel | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Date from which the ground counts as stable at every place, and how long that took.

    Parameters
    ----------
    fits
        FITS, as from :func:`fit_map`.
    fraction
        Share of the final settlement that is reached then, between 0 and 1; 0.95 when neither is given.
    velocity
        Threshold that the absolute velocity stays below from then on, m/year.
    model
        The time function, where `fits` do not say which (a family of your own).
    threads
        Threads over blocks of places.
    progress
        True for a bar (extra ``progress``), or a function told (places done, places in all).

    Returns
    -------
    xarray.Dataset
        ``stabilisation_date`` (NaT where it lies more than 200 years off, never comes or is not known),
        ``stabilisation_duration``, years since the onset (infinite where it never comes), and
        ``stabilisation_std``, its standard deviation in years, from the covariance of the parameters. A place
        whose settlement is not identifiable has NaN.

    Raises
    ------
    InputError
        When both criteria are given, one is out of range, or a fraction is asked of a curve without end.

    Notes
    -----
    The onset is ``t0`` where the curve has one that was given or estimated, else the origin of time of `fits`. With g
    the criterion, zero at the time t, the standard deviation follows to first order from

    .. math:: \frac{\partial t}{\partial p} = -\frac{\partial g / \partial p}{\partial g / \partial t}

    It is too small where the settlement is only a few times the noise. A place takes some tenths of a millisecond.

    Examples
    --------
    >>> from subsidence import fit_map, models, simulate
    >>> series, _ = simulate.settlement_series(models.Weibull(), {"w_m": -0.2, "eta": 0.6, "lam": 2.2})
    >>> found = stabilisation_time(fit_map(models.Weibull(), series), velocity=0.02)
    >>> true = models.Weibull().stabilisation_time({"w_m": -0.2, "eta": 0.6, "lam": 2.2}, velocity=0.02).value
    >>> abs(found.stabilisation_duration.item() - true) < 3 * found.stabilisation_std.item() < 0.2
    True
    """
    fits, used = opened(fits, model=model)
    term = settling_term(used)
    per_year = DAYS_PER_YEAR / unit_days(used.time_unit)
    criterion = Criterion.checked(term, fraction, None if velocity is None else velocity / per_year)
    place = place_of(fits)
    inputs = [fits.variables[name] for name in ("optimum", "covariance", "status")]
    if not place:
        inputs = [xr.Variable(("point", *variable.dims), variable.data[None]) for variable in inputs]
    found = run(
        partial(_solve, used, term, criterion),
        inputs,
        [Output(("quantity",), (3,), np.float64)],
        place=place or ("point",),
        threads=threads,
        progress=progress,
        label="stabilisation",
    )[0]
    time, onset, std = (found.isel(quantity=row) for row in range(3))
    years = np.asarray(time.values, np.float64) / per_year
    dates = from_elapsed(np.where(np.abs(years) < _FARTHEST, years, np.nan), origin=fits.attrs["origin"])
    result = xr.Dataset(
        {
            "stabilisation_date": (time.dims, dates),
            "stabilisation_duration": (time - onset) / per_year,
            "stabilisation_std": std / per_year,
        },
        {name: fits.variables[name] for name in fits.coords if not str(name).startswith("parameter")},
        {key: fits.attrs[key] for key in ("model", "component", "reference") if key in fits.attrs},
    )
    if not place:
        result = result.isel(point=0)
    return schema.STABILISATION.stamp(result)


def _solve(  # noqa: PLR0917  # a kernel: what is bound, the places, inputs, the output
    model: TimeModel,
    term: TimeModel,
    criterion: Criterion,
    start: int,
    stop: int,
    optimum: FloatArray,
    covariance: FloatArray,
    status: IntArray,
    out: FloatArray,
) -> None:
    """Time, onset and standard deviation, in the model's unit."""
    names = list(model.param_names)
    own = {name: names.index(term.prefix + name) for name in term.units if term.prefix + name in names}
    own |= {"offset": names.index(model.prefix + "offset")}
    for place in range(start, stop):
        out[:, place] = np.nan
        if status[place] == Status.NOT_IDENTIFIABLE or not np.isfinite(optimum[:, place]).all():
            continue
        values = {name: float(optimum[row, place]) for name, row in own.items()}
        values = {**term.fixed, **values}
        time, gradient = crossing(term, values, criterion)
        slope = np.zeros(len(names))
        slope[list(own.values())] = [gradient[name] for name in own]
        variance = slope @ covariance[..., place] @ slope if np.isfinite(time) else np.nan
        out[:, place] = time, values.get("t0", 0.0), np.sqrt(variance)
