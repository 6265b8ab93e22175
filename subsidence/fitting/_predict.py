"""Fitted curves at any date, with bands that say how far they can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Output, run
from subsidence.errors import InputError
from subsidence.fitting._bands import ROWS, Task, fill
from subsidence.fitting._fits import opened, place_of
from subsidence.models._base import TimeModel
from subsidence.timescale import to_elapsed
from subsidence.typing import AnyArray, Dates

__all__ = ["Band", "band_rows", "checked_band", "checked_times", "dressed", "predict"]

Band: TypeAlias = Literal["curve", "observation"]


def predict(
    fits: xr.Dataset,
    times: Dates,
    *,
    level: float = 0.95,
    kind: Band = "curve",
    model: TimeModel | None = None,
    threads: int | None = None,
) -> xr.Dataset:
    r"""
    Fitted curves at given dates, with bands that hold the truth with a given probability.

    Parameters
    ----------
    fits
        FITS of any places, or of one, as from :func:`subsidence.fit_map`.
    times
        Dates, datetime64, in any order: inside the record, after it or before it.
    level
        Probability of the bands, between 0 and 1.
    kind
        "curve": bands for the settlement itself, at each date. "observation": for a new observation of it,
        of unit weight and with noise of its own.
    model
        The time function, where the attributes of `fits` do not hold it, as with a family of your own.
    threads
        Threads over blocks of places; all CPUs by default. Fits in dask arrays stay lazy and ignore it.

    Returns
    -------
    xarray.Dataset
        SERIES with ``displacement``, ``displacement_std``, ``lower`` and ``upper`` (m) along ``time`` and the
        dimensions of place, and the ``status`` of each fit. Attributes: ``level``, ``band`` (the `kind`) and,
        unless `fits` are lazy, ``horizon``, how far the dates reach past the last record.

        NaN where nothing was fitted (no data, too few epochs). Where the record does not say how large the
        settlement becomes (``Status.NOT_IDENTIFIABLE``) bands are as usual inside the record; beyond it
        ``displacement_std`` and one bound or both are infinite, see the notes.

    Raises
    ------
    InputError
        When `times` are not dates, `level` is not between 0 and 1, `kind` is unknown, or `fits` and `model`
        do not go together.
    SchemaError
        When `fits` are not FITS.

    Notes
    -----
    With the gradient g(t) of the curve by all parameters (amplitudes and offset too) and their covariance C,

    .. math:: \sigma^2(t) = g^T C g, \qquad f(t) \pm t_{(1 + level) / 2,\,\nu}\;\sigma(t)

    where :math:`\nu` is ``noise_dof`` of `fits`, or epochs minus parameters without it. For an observation the
    variance of the noise is added, and Satterthwaite's formula joins the degrees of freedom of both.

    The band is to first order in the parameters. Simulated coverage is tabled by
    ``benchmarks/coverage_forecast.py``.

    *Not identified.* Beyond the record nothing but the family of curves speaks of such a place, and the band
    to first order is far too narrow. What is known all the same is that a settling curve does not come back.
    So where the motion in the record is certain (4 standard deviations), the band is infinite in the motion's
    direction after the record, against it before the record; its other bound is that of a curve that stays
    where the record ends (other terms of a sum go on). Where the curve is at rest the usual band holds: before
    the record when it begins slower than 2 % of its greatest velocity in it, after the record when its last
    quarter is. Where the motion is not certain, or goes both ways, or belongs to a curve without a final
    settlement, both bounds are infinite.

    References
    ----------
    Seber and Wild (1989), Nonlinear Regression, section 5.1, https://doi.org/10.1002/0471725315.
    Satterthwaite (1946), https://doi.org/10.2307/3002019.

    Examples
    --------
    >>> import numpy as np
    >>> from subsidence import fit_map, models, simulate
    >>> model = models.Weibull()
    >>> series, truth = simulate.settlement_series(model, {"w_m": -0.2, "eta": 1.5, "lam": 2.5}, seed=1)
    >>> ahead = predict(fit_map(model, series), np.array(["2021-06-30", "2023-06-30"], "M8[ns]"))
    >>> bool(((ahead.lower < -0.2) & (ahead.upper > -0.2)).all())
    True
    """
    dates = checked_times(times)
    rows, fitted = band_rows(fits, dates, level=level, kind=kind, model=model, threads=threads)
    words = fitted.name.removeprefix("Model(").removesuffix(")")
    return dressed({name: rows[name] for name in ROWS[:4]}, fits, dates, level=level, kind=kind, model=words)


def band_rows(
    fits: xr.Dataset, dates: Dates, *, level: float, kind: Band, model: TimeModel | None, threads: int | None
) -> tuple[dict[str, xr.Variable], TimeModel]:
    """
    Variables of `ROWS`, dims ("time", place), at checked dates, and the time function.

    Raises
    ------
    InputError
        As :func:`predict`.
    """
    checked_band(level, kind)
    fits, model = opened(fits, model=model, needs=("record_start", "record_end"))
    place = place_of(fits)
    held = fits if place else fits.expand_dims("point")
    covariance = held["covariance"].transpose("parameter", "parameter_2", ...)
    # A parameter that was not estimated has a variance of zero; NaN is one that the record says nothing about.
    own = [covariance.isel(parameter=row, parameter_2=row) != 0 for row in range(covariance.sizes["parameter"])]
    left = held["epoch_count"] - sum(estimated.astype(np.int64) for estimated in own)
    origin = np.datetime64(fits.attrs["origin"])
    task = Task(
        model=model,
        names=tuple(map(str, fits["parameter"].values)),
        time=to_elapsed(dates, origin=origin, unit=model.time_unit),
        origin=origin,
        level=float(level),
        observation=kind == "observation",
    )
    inputs = [
        held["optimum"],
        covariance,
        held["noise_std"],
        held.get("noise_dof", left),
        left,
        held["status"],
        held["record_start"],
        held["record_end"],
    ]
    (result,) = run(
        partial(fill, task=task),
        [array.variable for array in inputs],
        [Output(("row", "time"), (len(ROWS), dates.size), np.result_type(held["optimum"].dtype, np.float32))],
        place=place or ("point",),
        threads=threads,
    )
    result = result if place else result.isel(point=0)
    return {name: result.isel(row=row) for row, name in enumerate(ROWS)}, model


def dressed(
    variables: Mapping[str, xr.Variable], fits: xr.Dataset, dates: Dates, *, level: float, kind: Band, model: str
) -> xr.Dataset:
    """SERIES of predicted `variables`, with the places, status and attributes of `fits`."""
    place = set(place_of(fits))
    coords = {name: array.variable for name, array in fits.coords.items() if set(array.dims) <= place}
    attrs = {key: fits.attrs[key] for key in ("component", "reference", "reference_time") if key in fits.attrs}
    attrs |= {"title": "predicted displacement", "model": model, "level": float(level), "band": kind}
    ends = fits.variables["record_end"]
    if isinstance(ends.data, np.ndarray):
        attrs["horizon"] = _horizon(dates, ends.data)
    result = xr.Dataset({**variables, "status": fits.variables["status"]}, {"time": dates, **coords}, attrs)
    return schema.SERIES.stamp(result)


def checked_band(level: object, kind: object) -> None:
    """
    Refuse what is no probability or no kind of band.

    Raises
    ------
    InputError
        When `level` is not between 0 and 1, or `kind` is unknown.
    """
    if not (isinstance(level, (int, float)) and 0 < level < 1):
        msg = f"level must lie between 0 and 1, got {level!r}"
        raise InputError(msg)
    if kind not in ("curve", "observation"):
        msg = f"kind must be 'curve' or 'observation', got {kind!r}"
        raise InputError(msg)


def checked_times(times: Any) -> Dates:
    """
    Dates as an array of datetime64[ns].

    Raises
    ------
    InputError
        When they are none, are not along one dimension, hold NaT, or lie outside 1678..2261.
    """
    values = np.atleast_1d(np.asarray(times))
    if values.dtype.kind in "OU":
        try:
            values = values.astype("M8[ns]")
        except (TypeError, ValueError) as error:
            msg = f"times must be dates such as '2023-06-30', got {times!r}"
            raise InputError(msg) from error
    dates = values.dtype.kind == "M"
    if not dates or values.ndim != 1 or values.size == 0 or np.isnat(values).any():
        words = "NaT" if dates and np.isnat(values).any() else f"{values.dtype} of shape {values.shape}"
        msg = f"times must be dates along one dimension, got {words}: use numpy.array(['2023-06-30'], 'M8[ns]')"
        raise InputError(msg)
    years = values.astype("M8[Y]").astype(np.int64) + 1970
    if years.min() < 1678 or years.max() > 2261:
        msg = f"times must lie between 1678 and 2261, got the years {years.min()} to {years.max()}"
        raise InputError(msg)
    return values.astype("M8[ns]")


def _horizon(dates: Dates, ends: AnyArray) -> str:
    """How far the last date is past the last record, in words."""
    known = ends[~np.isnat(ends)]
    if known.size == 0:
        return "no record"
    days = float((dates.max() - known.max()) / np.timedelta64(1, "D"))
    return f"{days:g} days past the record" if days > 0 else "inside the record"
