"""Noise that closure cannot see: the atmosphere of each epoch, from the scatter of residuals in space."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from scipy.optimize import nnls

from subsidence import schema
from subsidence._reference import checked_mask
from subsidence.errors import InputError
from subsidence.series._model import PHASE_ORIGIN, Dates, Float64, checked_time, orthonormal, place_of
from subsidence.timescale import to_elapsed
from subsidence.typing import BoolArray, FloatArray

__all__ = ["add_atmospheric_variance"]

#: Places looked at together.
_PLACES = 65_536
#: Largest condition number of M o M with which the epochs' variances are still told apart.
_CONDITION = 1e6


def add_atmospheric_variance(
    series: xr.Dataset, *, mask: xr.DataArray | None = None, degree: int = 2, seasonal: bool = False
) -> xr.Dataset:
    r"""
    Standard deviation of displacement with the atmosphere of each epoch in it.

    The closure of a network, and so the std of a network inversion, cannot see an epoch's own atmosphere: all pairs
    with that epoch share it. It does show as scatter about a smooth motion.

    Parameters
    ----------
    series
        SERIES on a raster or on points, displacement in metres relative to a reference place.
    mask
        Boolean DataArray over the place, True where the motion is smooth enough for the model below (stable
        ground); all places by default. Places with a missing epoch are left out.
    degree
        Degree of the polynomial in time that stands for the motion of each place.
    seasonal
        Adds an annual sinusoid to it.

    Returns
    -------
    xarray.Dataset
        The series with ``atmospheric_std(time)`` (m), the std of an epoch's delay relative to the reference place, and
        ``displacement_std`` (m) grown by the atmosphere of its epoch and of the reference epoch, where
        it stays as it was. NaN at epochs without data in the mask. Where ``displacement_std`` is missing, or NaN at
        all epochs but the reference throughout the mask (a network without redundant pairs does not show its noise),
        the noise of the network is part of the estimated variance of each epoch, and ``displacement_std`` is
        that of the two epochs alone.

    Raises
    ------
    InputError
        When the series is of one place, the mask is not boolean, does not fit (in size or coordinates) or holds no
        complete place, the epochs are too few for the model, or the atmosphere has been added before.

    Notes
    -----
    Let H project onto the model with a free intercept, M = I - H and r = M d the residuals of a place. If the epochs'
    delays are independent, of variance D(t), and N(t) is the network's variance,

    .. math:: \langle r_t^2 \rangle = \sum_s M_{ts}^2 \, [D(s) + N(s)]

    which is solved for D >= 0 by non-negative least squares, from the mean over the places of the mask; N is
    ``displacement_std`` squared (0 where it is missing, as above). The displacement at t is the difference of two
    epochs:

    .. math:: \sigma^2(t) = N(t) + D(t) + D(t_{reference})

    Assumed: epochs are independent; motion that the model does not follow lies outside the mask, else it
    counts as atmosphere; network errors are as good as independent in time (their common part makes D
    slightly too small). The delay relative to the reference grows with the distance from it: D is its mean
    over the mask, too large near the reference and too small far off. As the delays are correlated in space, a mask
    that is small against their extent holds few independent samples, and D scatters.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> rng = np.random.default_rng(1)
    >>> time = np.datetime64("2018-01-06", "ns") + np.arange(30) * np.timedelta64(12, "D")
    >>> std = np.where(np.arange(30) % 2, 0.002, 0.010)  # a calm and a turbulent epoch in turn
    >>> delay = rng.normal(0, 1, (30, 2000)) * std[:, None]
    >>> series = xr.Dataset({"displacement": (("time", "point"), delay - delay[0])}, {"time": time})
    >>> result = add_atmospheric_variance(series)
    >>> result.atmospheric_std[8:10].round(3).values.tolist()
    [0.01, 0.002]
    >>> result.displacement_std[8, 0].round(3).item()  # of two turbulent epochs
    0.014
    """
    time = checked_time(series)
    place = place_of(series)
    if not place:
        msg = "series must have dims of place, ('y', 'x') or ('point',): the variance is a mean over places"
        raise InputError(msg)
    if "atmospheric_std" in series.variables:
        msg = "series already holds 'atmospheric_std': adding it twice would count the atmosphere twice"
        raise InputError(msg)
    if mask is None:
        chosen = xr.Variable(place, np.ones([series.sizes[dim] for dim in place], bool))
    else:
        chosen = checked_mask(series, mask)
    origin = _reference_epoch(series, time)
    displacement = series.variables["displacement"].transpose("time", *place)
    std = series.variables.get("displacement_std")
    network = None if std is None else std.transpose("time", *place)
    seen = np.ones(time.size, bool)
    while True:  # again only where an epoch has no data at all, or the network's std none but at the reference
        maker = _residual_maker(time[seen], degree=degree, seasonal=seasonal)
        data = {"displacement": displacement[seen]} | ({} if network is None else {"network": network[seen]})
        square, count, found, stated = _mean_square(xr.Dataset(data), chosen, maker)
        if network is not None and not stated[np.flatnonzero(seen) != origin].any():
            network = None
            continue
        if found.all():
            break
        seen[seen] = found
        if seen.sum() < 3:
            msg = f"mask holds data at {int(seen.sum())} epochs, expected at least 3"
            raise InputError(msg)
    if count == 0:
        msg = "mask holds no place with data at every epoch: widen it, or drop epochs with little data"
        raise InputError(msg)
    variance = np.full(time.size, np.nan)
    variance[seen] = nnls(maker**2, square)[0]
    grown = variance + variance[origin]
    grown[origin] = 0.0
    extra = xr.Variable("time", grown)
    own = displacement * 0.0 if network is None else network  # NaN stays NaN
    total = (own.astype(np.float64) ** 2 + extra) ** 0.5
    result = series.assign(
        displacement_std=total.astype(own.dtype), atmospheric_std=xr.Variable("time", np.sqrt(variance))
    )
    result.attrs["displacement_noise"] = "network and atmosphere of each epoch"
    return schema.SERIES.stamp(result)


def _residual_maker(time: Dates, *, degree: int, seasonal: bool) -> Float64:
    if isinstance(degree, bool) or not isinstance(degree, (int, np.integer)) or degree < 0:
        msg = f"degree must be a whole number from 0, got {degree!r}"
        raise InputError(msg)
    years = to_elapsed(time)
    scaled = 2 * (years - years[0]) / (years[-1] - years[0]) - 1
    columns = list(np.polynomial.legendre.legvander(scaled, degree).T)
    if seasonal:
        angle = 2 * np.pi * to_elapsed(time, origin=PHASE_ORIGIN)
        columns += [np.sin(angle), np.cos(angle)]
    basis = orthonormal(np.stack(columns, axis=1), time, argument="series").basis
    maker = np.eye(time.size) - basis @ basis.T
    if np.linalg.cond(maker**2) > _CONDITION:
        msg = (
            f"series has {time.size} epochs, too few to tell their variances apart beside {len(columns)} terms: "
            f"use a smaller degree than {degree}" + (", or seasonal=False" if seasonal else "")
        )
        raise InputError(msg)
    return maker


def _mean_square(data: xr.Dataset, chosen: xr.Variable, maker: Float64) -> tuple[FloatArray, int, BoolArray, BoolArray]:
    """
    Mean over complete places of squared residuals less the network's part of them.

    Returns that, the number of places, and which epochs have data, and a std of the network, anywhere.
    """
    first, *others = map(str, chosen.dims)
    chunks = data["displacement"].variable.chunksizes.get(first)
    rows = max(1, max(chunks) if chunks else _PLACES // max(1, math.prod(data.sizes[dim] for dim in others)))
    total, count = np.zeros(maker.shape[0]), 0
    found, stated = np.zeros((2, maker.shape[0]), bool)
    for start in range(0, data.sizes[first], rows):
        part = {first: slice(start, start + rows)}
        use = chosen.isel(part).values.ravel()
        if not use.any():
            continue
        block = data.isel(part).compute()  # both at once: a lazy inversion runs once for the two
        values = _flat(block.variables["displacement"], use)
        valid = np.isfinite(values)
        found |= valid.any(axis=1)
        complete = valid.all(axis=0)
        known = np.zeros(maker.shape[0])
        if "network" in block:
            noise = _flat(block.variables["network"], use)
            known_noise = np.isfinite(noise)
            stated |= known_noise.any(axis=1)
            complete &= known_noise.all(axis=0)
            known = (noise[:, complete] ** 2).sum(axis=1)
        total += ((maker @ values[:, complete]) ** 2).sum(axis=1) - maker**2 @ known
        count += int(complete.sum())
    return total / max(count, 1), count, found, stated


def _flat(variable: xr.Variable, use: BoolArray) -> Float64:
    values = np.asarray(variable.values, np.float64).reshape(variable.shape[0], -1)
    return np.asarray(values[:, use])


def _reference_epoch(series: xr.Dataset, time: Dates) -> int:
    named = series.attrs.get("reference_time")
    if named is None:
        return 0
    try:
        day = np.datetime64(str(named)).astype("M8[D]")
    except ValueError as error:
        msg = f"series.attrs['reference_time'] must be an ISO 8601 date, got {named!r}"
        raise InputError(msg) from error
    found = np.flatnonzero(time.astype("M8[D]") == day)
    if found.size == 0:
        msg = f"series.attrs['reference_time'] is {named}, which is none of its epochs: put the reference epoch back"
        raise InputError(msg)
    return int(found[0])
