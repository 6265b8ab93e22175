"""Prediction averaged over several time functions, so that not knowing which one is right shows in the band."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import special

from subsidence import schema
from subsidence._blocks import Output, run
from subsidence.errors import InputError
from subsidence.fitting._bands import ROWS
from subsidence.fitting._compare import check_places
from subsidence.fitting._fits import place_of
from subsidence.fitting._predict import Band, band_rows, checked_band, checked_times, dressed
from subsidence.models._base import TimeModel
from subsidence.typing import AnyArray, Dates, FloatArray

__all__ = ["predict_average"]

#: A time function with less weight than this does not count.
_LEAST = 1e-6
#: Values of one array that are worked on at once, 1 MB.
_VALUES = 2**17
#: Bisection stops when it knows a bound to this share of the largest standard deviation.
_TOLERANCE = 1e-5
_HALVINGS = 100


def predict_average(
    fits: Mapping[str, xr.Dataset],
    times: Dates,
    weights: xr.Dataset,
    *,
    level: float = 0.95,
    kind: Band = "curve",
    models: Mapping[str, TimeModel] | None = None,
    threads: int | None = None,
) -> xr.Dataset:
    r"""
    Prediction averaged over several time functions fitted to the same series.

    Parameters
    ----------
    fits
        FITS of the same places by the names of their time functions, as given to :func:`subsidence.compare`.
    times
        Dates, datetime64, in any order: inside the record, after it or before it.
    weights
        COMPARISON with ``akaike_weight``, as from :func:`subsidence.compare`; it may hold other time functions
        too. Weights of those in `fits` are scaled to a sum of one.
    level, kind
        As of :func:`subsidence.predict`.
    models
        Time functions, where the attributes of `fits` do not hold them, as with families of your own.
    threads
        Threads over blocks of places; all CPUs by default.

    Returns
    -------
    xarray.Dataset
        As of :func:`subsidence.predict`; ``status`` is that of the fit of greatest weight. NaN where no time
        function has a weight.

    Raises
    ------
    InputError
        When `fits` is no mapping or empty, is of different places, or a name has no weight; and as
        :func:`subsidence.predict`.
    SchemaError
        When one of `fits` is not FITS, or `weights` have no ``akaike_weight``.

    Notes
    -----
    With the weights :math:`w_k`, predictions :math:`f_k` and standard deviations :math:`\sigma_k` of the models,

    .. math:: \bar f = \sum_k w_k f_k, \qquad \sigma^2 = \sum_k w_k \left(\sigma_k^2 + (f_k - \bar f)^2\right)

    and the bounds are quantiles of the mixture of their Student t distributions, found by bisection: where
    models disagree, the band holds what each of them says. Weights below 1e-6 count as zero.

    A model that the record does not bound at some date (see :func:`subsidence.predict`) puts all its weight
    at its bound, infinity or the edge that it has: the averaged bound is infinite as soon as the weight of
    such models reaches (1 - level) / 2, and ``displacement_std`` wherever they have a weight at all.

    References
    ----------
    Burnham and Anderson (2002), Model Selection and Multimodel Inference, section 4.3,
    https://doi.org/10.1007/b97636.

    Examples
    --------
    >>> import numpy as np
    >>> from subsidence import compare, fit_map, models, simulate
    >>> model = models.Weibull()
    >>> series, truth = simulate.settlement_series(model, {"w_m": -0.2, "eta": 1.5, "lam": 2.5}, seed=1)
    >>> fits = {"weibull": fit_map(model, series), "logistic": fit_map(models.Logistic(), series)}
    >>> ahead = predict_average(fits, np.array(["2023-06-30"], "M8[ns]"), compare(fits))
    >>> bool((ahead.lower < -0.2).all() and (ahead.upper > -0.2).all())
    True
    """
    checked_band(level, kind)
    dates = checked_times(times)
    _check_fits(fits)
    schema.COMPARISON.check(weights, argument="weights", needs=("akaike_weight",))
    first = next(iter(fits.values()))
    place = place_of(first)
    share = _shares(fits, weights, place)
    inputs: list[xr.Variable] = []
    for name, dataset in fits.items():
        rows, _ = band_rows(dataset, dates, level=level, kind=kind, model=(models or {}).get(name), threads=threads)
        inputs += [_with_place(rows[row], place) for row in ROWS]
    (result,) = run(
        partial(_fill, level=float(level)),
        [_with_place(share, place), *inputs],
        [Output(("row", "time"), (4, dates.size), inputs[0].dtype)],
        place=place or ("point",),
        threads=threads,
    )
    result = result if place else result.isel(point=0)
    status = xr.concat([xr.DataArray(dataset.variables["status"]) for dataset in fits.values()], dim="model")
    best = xr.DataArray(share).fillna(0.0).argmax("model")
    return dressed(
        {name: result.isel(row=row) for row, name in enumerate(ROWS[:4])},
        first.assign(status=status.isel(model=best).variable),
        dates,
        level=level,
        kind=kind,
        model=" | ".join(map(str, fits)),
    )


def _check_fits(fits: object) -> None:
    if not isinstance(fits, Mapping) or isinstance(fits, xr.Dataset) or not fits:
        words = "an empty one" if isinstance(fits, Mapping) and not fits else type(fits).__name__
        msg = f"fits must be a mapping of names to FITS, as {{'weibull': fit_map(...)}}, got {words}"
        raise InputError(msg)
    for name, dataset in fits.items():
        schema.FITS.check(dataset, argument=f"fits[{name!r}]")


def _shares(fits: Mapping[str, xr.Dataset], weights: xr.Dataset, place: tuple[str, ...]) -> xr.Variable:
    """Weights (model, place) of the models in the order of `fits`."""
    known = [str(name) for name in weights["model"].values]
    missing = [name for name in fits if str(name) not in known]
    if missing:
        msg = f"weights must be of every model in fits, none for {', '.join(missing)}: they are of {', '.join(known)}"
        raise InputError(msg)
    share = weights["akaike_weight"].variable.isel(model=[known.index(str(name)) for name in fits])
    for name, dataset in fits.items():
        check_places(f"fits[{name!r}]", dataset, "weights", weights)
    return share.transpose("model", *place)


def _with_place(variable: xr.Variable, place: tuple[str, ...]) -> xr.Variable:
    return variable if place else xr.Variable((*variable.dims, "point"), variable.data[..., None], fastpath=True)


def _fill(start: int, stop: int, *arrays: AnyArray, level: float) -> None:
    """Fill the last of `arrays`; the first are the weights, the others rows of `ROWS`, model after model."""
    share, *rows, out = arrays
    times, models = out.shape[1], len(share)
    tail = 0.5 - 0.5 * level
    width = max(1, _VALUES // (times * models))
    for begin in range(start, stop, width):
        part = slice(begin, min(begin + width, stop))
        curve, std, lower, upper, dof = (
            np.stack([row[:, part] for row in rows[number :: len(ROWS)]]).astype(np.float64)
            for number in range(len(ROWS))
        )
        weight = np.where(np.isnan(curve), 0.0, np.nan_to_num(share[:, None, part]))
        weight = np.where(weight < _LEAST, 0.0, weight)
        total = weight.sum(axis=0)
        weight = np.divide(weight, total, out=weight, where=total > 0)
        mean = _weighted(weight, curve)
        variance = _weighted(weight, std**2 + (curve - mean) ** 2)
        low = _quantile(_Mixture(curve, std, lower, dof, weight), tail)
        high = -_quantile(_Mixture(-curve, std, -upper, dof, weight), tail)
        result = np.stack([mean, np.sqrt(variance), low, high])
        out[..., part] = np.where(total > 0, result, np.nan)


def _weighted(weight: FloatArray, values: FloatArray) -> FloatArray:
    """Sum over the models of those that have a weight: the values of the others may be infinite."""
    total: FloatArray = np.multiply(weight, values, out=np.zeros_like(values), where=weight > 0).sum(axis=0)
    return total


class _Mixture(NamedTuple):
    """Student t of several models, along the first axis; one of infinite `std` is all at its `bound`."""

    curve: FloatArray
    std: FloatArray
    bound: FloatArray
    dof: FloatArray
    weight: FloatArray


def _quantile(mixture: _Mixture, tail: float) -> FloatArray:
    """Lower `tail` quantile of mixtures whose parts have it at their bounds."""
    shape = mixture.curve.shape[1:]
    curve, std, bound, dof, weight = (values.reshape(len(values), -1) for values in mixture)
    used = weight > 0
    endless = np.where(np.isneginf(bound), weight, 0.0).sum(axis=0)
    finite = used & np.isfinite(bound)
    smooth = finite & np.isfinite(std)
    known = finite.any(axis=0)
    # Every part has `tail` below its bound: the quantile of all lies between these, unless some are infinite.
    low = np.where(known, np.where(finite, bound, np.inf).min(axis=0), 0.0)
    high = np.where(known, np.where(finite, bound, -np.inf).max(axis=0), 0.0)
    partly = np.flatnonzero(known & (endless > 0) & (endless < tail))
    if partly.size:
        far = curve[:, partly] + std[:, partly] * special.stdtrit(dof[:, partly], tail - endless[partly])
        low[partly] = np.minimum(low[partly], np.where(smooth[:, partly], far, np.inf).min(axis=0))
    largest = np.where(smooth, std, 0.0).max(axis=0)
    todo = np.flatnonzero((endless < tail) & (high - low > _TOLERANCE * largest))
    for _ in range(_HALVINGS):
        if todo.size == 0:
            break
        middle = 0.5 * (low[todo] + high[todo])
        below = endless[todo]
        for k in range(len(curve)):
            # A std of zero is a step at the curve, for which the smallest number above it serves.
            scale = np.where(smooth[k, todo], np.maximum(std[k, todo], np.finfo(np.float64).tiny), 1.0)
            away = np.where(smooth[k, todo], middle - curve[k, todo], 0.0) / scale
            share = np.where(smooth[k, todo], special.stdtr(dof[k, todo], away), bound[k, todo] <= middle)
            below = below + np.where(finite[k, todo], weight[k, todo] * share, 0.0)
        above = below >= tail
        high[todo[above]], low[todo[~above]] = middle[above], middle[~above]
        todo = todo[high[todo] - low[todo] > _TOLERANCE * largest[todo]]
    result: FloatArray = np.where(endless < tail, 0.5 * (low + high), -np.inf).reshape(shape)
    return result
