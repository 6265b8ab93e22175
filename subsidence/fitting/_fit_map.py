"""Fit a time function to every series of a Dataset."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence._blocks import Output, Progress, run
from subsidence.errors import InputError
from subsidence.fitting._block import OUTPUTS, Task, fit_block
from subsidence.fitting._fits import assemble, place_of
from subsidence.fitting._problem import pose
from subsidence.fitting._robust import LOSSES
from subsidence.fitting._starts import prepare
from subsidence.models._base import TimeModel
from subsidence.series._model import checked_time
from subsidence.timescale import to_elapsed
from subsidence.typing import FloatArray, is_number

__all__ = ["Loss", "Noise", "fit_map"]

Loss: TypeAlias = Literal["linear", "huber", "cauchy"]
Noise: TypeAlias = Literal["white", "autocorrelated"]

#: With more free shape parameters than these there may be several minima: as many starts.
_SIMPLE, _SEVERAL = 2, 3


def fit_map(
    model: TimeModel,
    series: xr.Dataset,
    *,
    weights: str | xr.DataArray | None = None,
    loss: Loss = "linear",
    loss_scale: float | None = None,
    noise: Noise = "white",
    starts: int | None = None,
    origin: np.datetime64 | str | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Fit a time function to every series.

    Parameters
    ----------
    model
        A time function of :mod:`subsidence.models`, a sum of them, or a family of your own. Its hints
        (``model.set_param_hint``) say what is held (``vary=False`` and ``value``) and bounded (``min``,
        ``max``); the value of a parameter that varies is not used, because starts are found from the data.
    series
        SERIES with increasing times, on a raster, on points, or of one place. NaN epochs are left out, place by
        place. Displacement of either sign: subsidence is negative, and so is then ``w_m``.
    weights
        One over the standard deviation of each epoch, as a DataArray along ``time`` or along time and place; or
        the name of a variable of `series` that holds standard deviations, such as "displacement_std". Epochs of
        weight zero, of standard deviation zero or without one are left out: at its reference epoch a series is
        zero by construction, which is no observation.
    loss
        "linear": least squares. "huber" and "cauchy": large residuals (unwrapping errors) weigh less, with
        white noise only.
    loss_scale
        Residual (of unit weight: in metres without `weights`) where a robust loss begins to weigh less, as
        ``f_scale`` of :func:`scipy.optimize.least_squares`. None: 1.345 (Huber) or 2.385 (Cauchy) times 1.4826
        times the median absolute residual, series by series.
    noise
        "white": independent errors of one variance. "autocorrelated": errors of neighbouring epochs are
        alike; the curve is the same, its covariance allows for it.
    starts
        Starts from which each fit is tried, the best result being kept. None: one for models of up to two
        free shape parameters, which has found the best curve in 999 of 1000 series and more; three for others.
    origin
        Date of t = 0; the first epoch when None.
    threads
        Threads over blocks of places; all CPUs by default. A dask series stays lazy and ignores it.
    progress
        True for a progress bar (extra ``progress``), or a function told (places done, places in all).

    Returns
    -------
    xarray.Dataset
        FITS, along the place of `series` and ``parameter``: ``optimum``, the parameters of the best curve, in
        ``parameter_units``, and their ``covariance``; ``estimate`` and ``estimate_std``, what of them may be
        quoted (see Notes); ``rmse``, ``noise_std``, ``r_squared``, ``noise_autocorrelation``, ``aicc``, ``bic``,
        ``epoch_count``, ``time_of_peak``, ``record_start``, ``record_end`` and ``status``. float64; NaN where
        there are no more valid epochs than parameters.

    Raises
    ------
    InputError
        When times do not increase, a hint is of no parameter or ties parameters (``expr``), weights do not go
        with the series or are negative, or an argument is not what it may be.

    Notes
    -----
    Fitted is :math:`\sum_i w_i^2 (d_i - c - \sum_l a_l f_l(t_i; \theta))^2`. The amplitudes a, c follow from
    the shape :math:`\theta` by linear least squares, so that the search is over the shape alone (variable
    projection), by Levenberg-Marquardt with exact derivatives from the best of the family's candidates. The
    result is that of ``model.fit`` at each place, and so is the covariance, :math:`s^2 (J^T W J)^{-1}`.

    ``status`` says where that is not the whole truth:

    ``NOT_IDENTIFIABLE``
        The record ends before the velocity peaks, a curve with twice the final settlement fits nearly as well
        (likelihood ratio of one in a hundred), or its standard deviation exceeds 35 % of it: the curve fits, but
        how large the settlement becomes cannot be known. Then ``estimate`` of the final settlement, and of other
        amplitudes and shape parameters as uncertain, is NaN and ``estimate_std`` infinite.
    ``AT_BOUND``
        A parameter stopped at a bound: its ``estimate_std`` is NaN, those of the others hold it there.
    ``NOT_CONVERGED``
        The iteration was given up.
    ``MIXED_SIGNS``
        A running mean of five epochs turns back by more than a quarter of its range and by more than six of
        its standard deviations, which a curve that only settles cannot follow. Not looked at for sums.
    ``NO_DATA``, ``TOO_FEW_EPOCHS``
        No valid epoch, or no more than parameters.

    With a robust loss ``noise_std`` is 1.4826 times the median absolute residual and the covariance is Huber's
    asymptotic one (1981, section 7.6); ``rmse``, ``aicc`` and ``bic`` are those of the plain residuals.

    References
    ----------
    Golub and Pereyra (1973), variable projection, https://doi.org/10.1137/0710036.
    Kaufman (1975), its simplified derivative, https://doi.org/10.1007/BF01932995.
    Huber (1981), Robust Statistics, https://doi.org/10.1002/0471725250.

    Examples
    --------
    >>> from subsidence import models, simulate
    >>> truth = {"w_m": [-0.20, -0.05], "eta": [1.5, 0.01], "lam": 2.5}
    >>> series, _ = simulate.settlement_series(models.Weibull(), truth)
    >>> fits = fit_map(models.Weibull(), series)
    >>> fits.status.values.tolist()  # the second has settled by 2 mm of 50 when the record ends
    [0, 9]
    >>> fits.estimate.sel(parameter="w_m").round(2).values.tolist()
    [-0.2, nan]
    """
    _check_options(model, loss, loss_scale, noise, starts)
    time = checked_time(series).astype("M8[ns]")
    t = to_elapsed(time, origin=origin, unit=model.time_unit)
    zero = time[0] if origin is None else np.datetime64(origin).astype("M8[ns]")
    problem = pose(model, t)
    place = place_of(series)
    shared, own = _weights(weights, series, place)
    inputs = [series.variables["displacement"], *own]
    if not place:
        inputs = [xr.Variable(("point", *variable.dims), variable.data[None]) for variable in inputs]
    count = starts if starts is not None else 1 if problem.free_rows.size <= _SIMPLE else _SEVERAL
    task = Task(
        problem=problem,
        starts=prepare(problem, count=count),
        start_count=count,
        epochs=time,
        origin=zero,
        weight=shared,
        weights_are_std=isinstance(weights, str),
        loss=loss,
        loss_scale=loss_scale,
        autocorrelated=noise == "autocorrelated",
    )
    sizes = {"parameter": len(problem.names), "parameter_2": len(problem.names)}
    found = run(
        partial(fit_block, task=task),
        inputs,
        [Output(dims, tuple(sizes[dim] for dim in dims), dtype) for dims, dtype, _ in OUTPUTS.values()],
        place=place or ("point",),
        threads=threads,
        progress=progress,
        label="fits",
    )
    variables = {}
    for (name, (dims, _, _)), variable in zip(OUTPUTS.items(), found, strict=True):
        variables[name] = variable.transpose(*place, *dims) if place else variable.isel(point=0)
    return assemble(model, series, variables, origin=zero, noise=noise, loss=loss, weights=_weight_words(weights))


def _weight_words(weights: str | xr.DataArray | None) -> str:
    """What fits say about their weights, so that fits with other weights are not compared."""
    if weights is None or isinstance(weights, str):
        return weights or ""
    return f"given, {hashlib.sha256(np.ascontiguousarray(weights.values).tobytes()).hexdigest()[:12]}"


def _check_options(model: object, loss: str, loss_scale: object, noise: str, starts: object) -> None:
    if not isinstance(model, TimeModel):
        msg = f"model must be a time function such as subsidence.models.Weibull(), got {type(model).__name__}"
        raise InputError(msg)
    if loss not in ("linear", *LOSSES):
        msg = f"loss must be 'linear', 'huber' or 'cauchy', got {loss!r}"
        raise InputError(msg)
    if noise not in ("white", "autocorrelated"):
        msg = f"noise must be 'white' or 'autocorrelated', got {noise!r}"
        raise InputError(msg)
    if loss != "linear" and noise != "white":
        msg = f"loss={loss!r} needs noise='white', got noise={noise!r}: set outlying epochs to NaN instead"
        raise InputError(msg)
    if loss_scale is not None:
        if loss == "linear":
            msg = f"loss_scale={loss_scale!r} needs a robust loss, got loss='linear': give loss='huber' or 'cauchy'"
            raise InputError(msg)
        if not (is_number(loss_scale) and 0 < loss_scale < np.inf):
            msg = f"loss_scale must be a positive number (metres, or residuals of unit weight), got {loss_scale!r}"
            raise InputError(msg)
    if starts is not None and (isinstance(starts, bool) or not isinstance(starts, (int, np.integer)) or starts < 1):
        msg = f"starts must be a positive whole number or None, got {starts!r}"
        raise InputError(msg)


def _weights(
    weights: object, series: xr.Dataset, place: tuple[str, ...]
) -> tuple[FloatArray | None, list[xr.Variable]]:
    """Weights that all places share (epochs,), or those of each place as an input of the kernel."""
    if weights is None:
        return None, []
    if isinstance(weights, str):
        if weights not in series.variables:
            msg = (
                f"weights={weights!r} must name a variable of standard deviations of series, which has {_names(series)}"
            )
            raise InputError(msg)
        weights = series[weights]
    if not isinstance(weights, xr.DataArray):
        msg = f"weights must be a DataArray or the name of a variable of series, got {type(weights).__name__}"
        raise InputError(msg)
    given = weights.variable
    if set(given.dims) not in ({"time"}, {"time", *place}):
        expected = "('time',)" if not place else f"('time',) or {('time', *place)}"
        msg = f"weights must have dims {expected}, got {tuple(map(str, given.dims))}"
        raise InputError(msg)
    wanted = series.sizes
    if any(given.sizes[dim] != wanted[dim] for dim in given.dims):
        msg = f"weights must have the sizes of series {dict(wanted)}, got {dict(given.sizes)}"
        raise InputError(msg)
    for dim in given.dims:
        if dim in weights.coords and dim in series.coords and not np.array_equal(weights[dim], series[dim]):
            msg = f"weights must have the {dim} of series: use weights.reindex({dim}=series.{dim})"
            raise InputError(msg)
    if given.chunks is None:
        values: npt.NDArray[Any] = np.asarray(given.values)
        if values.dtype.kind not in "fiu" or (values < 0).any() or np.isinf(values).any():
            msg = (
                "weights must be numbers, finite and not negative (one over the standard deviation); a standard "
                "deviation of 0 gives infinity: name the variable that holds it, as in weights='displacement_std'"
            )
            raise InputError(msg)
    if set(given.dims) == {"time"}:
        return np.asarray(given.values, np.float64), []
    return None, [given]


def _names(series: xr.Dataset) -> str:
    return ", ".join(map(str, series.data_vars))
