"""Internal precision: how far the velocity depends on which scenes it was estimated from."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Output, Progress, run
from subsidence._kernels.internal_precision import form_of_sets, scatter_of_velocity
from subsidence.errors import InputError
from subsidence.series._model import checked_time, linear_design, place_of
from subsidence.typing import FloatArray

__all__ = ["Resampling", "internal_precision"]

Resampling: TypeAlias = Literal["jackknife", "bootstrap", "subsets"]


def internal_precision(
    series: xr.Dataset,
    *,
    method: Resampling = "jackknife",
    block: int | None = None,
    subsets: int = 4,
    repeats: int = 200,
    seasonal: bool = False,
    acceleration: bool = False,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Standard deviation of the velocity from scenes at different times.

    It needs no ground truth and no model of the noise: the velocity is estimated again from parts of the
    scenes, and the scatter of these estimates tells its error. What all scenes share (an error of the reference
    place, a wrong ambiguity) does not show in it.

    Parameters
    ----------
    series
        SERIES with increasing times, on a raster, on points, or of one place. NaN epochs are left out, place
        by place.
    method
        "jackknife": every run of `block` neighbouring epochs is left out in turn. "bootstrap": runs of `block`
        epochs are drawn with replacement until there are as many epochs as before, `repeats` times. "subsets":
        runs of `block` epochs are dealt in turn to as many `subsets`, each of which gives a velocity of its own.
    block
        Epochs in a run. A run should be longer than the noise remembers; too long a run leaves few of
        them, and an uncertain result. None: the square root of the number of epochs (for "subsets" at most what
        gives each subset two runs).
    subsets
        Number of subsets, of the method of that name.
    repeats
        Number of draws of the bootstrap.
    seasonal, acceleration
        Terms besides the linear one, as in :func:`estimate_velocity`.
    seed
        Of the bootstrap's draws, which are the same at all places.
    threads
        Threads over blocks of places; all CPUs by default. A dask series stays lazy and ignores it.
    progress
        True for a progress bar (extra ``progress``), or a function told (places done, places in all).

    Returns
    -------
    xarray.Dataset
        The series with ``velocity_internal_std`` (m/year), of the dtype of the displacement; the attribute
        ``velocity_internal`` says how it was found. NaN where valid epochs are fewer than parameters + 1.

    Raises
    ------
    InputError
        When the series has fewer than 3 epochs or than the model needs, or times that do not increase; for an
        unknown `method`; when `block`, `subsets` or `repeats` is out of its range.

    See Also
    --------
    estimate_velocity : the propagated standard deviation, ``velocity_std``.

    Notes
    -----
    Let :math:`v_g` be the velocity from the epochs of set g with weights :math:`W_g` (0 or 1, or how often an epoch
    was drawn), and v that of all epochs. For white noise of variance :math:`\sigma^2`

    .. math:: \langle (v_g - v)^2 \rangle = \sigma^2 e_g, \quad
        e_g = [N_g^{-1} X^T W_g^2 X N_g^{-1} - N^{-1}]_{vv}, \quad N_g = X^T W_g X

    exactly, so that

    .. math:: \sigma_v^2 = [N^{-1}]_{vv} \, \frac{\sum_g (v_g - v)^2}{\sum_g e_g}

    has no bias for white noise, whatever the epochs, the gaps and the sets. Where neighbouring epochs err alike the
    scatter of the :math:`v_g` is larger than white noise makes it, and so is the result: with 60 epochs whose noise
    correlates by 0.6 from one to the next, it is 0.86 of the true scatter on average, where least squares
    states 0.50 (0.96 and 0.74 at a correlation of 0.3). It is never as exact as a propagated std
    under the right model of the noise: expect a scatter of a quarter of its value. Overlapping runs are
    used, those that begin before the first epoch or end after the last included, so that each epoch is left out
    equally often. Sets whose velocity has more than 100 times the variance of the whole are left aside.

    References
    ----------
    Kunsch (1989), blocks of dependent observations, https://doi.org/10.1214/aos/1176347265.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from subsidence.series import estimate_velocity
    >>> time = np.datetime64("2018-01-06", "ns") + np.arange(85) * np.timedelta64(12, "D")
    >>> noise = np.random.default_rng(1).normal(0, 0.003, (85, 500))
    >>> series = xr.Dataset({"displacement": (("time", "point"), noise)}, {"time": time})
    >>> result = internal_precision(series)
    >>> bool((result.velocity_internal_std < 0.001).mean() > 0.99)  # below 1 mm/year
    True
    >>> propagated = estimate_velocity(series).velocity_std
    >>> round(float(result.velocity_internal_std.mean() / propagated.mean()), 1)
    1.0
    """
    time = checked_time(series)
    if method not in ("jackknife", "bootstrap", "subsets"):
        msg = f"method must be 'jackknife', 'bootstrap' or 'subsets', got {method!r}"
        raise InputError(msg)
    place = place_of(series)
    displacement = series.variables["displacement"]
    if not place:
        displacement = xr.Variable(("point", *displacement.dims), displacement.data[None])
    design = linear_design(time, acceleration=acceleration, seasonal=seasonal)
    parameters = design.basis.shape[1]
    length = _length(block, time.size, parameters, subsets if method == "subsets" else None)
    if method == "jackknife":
        weights = _left_out(time.size, length)
        words = f"jackknife, blocks of {length} epochs"
    elif method == "bootstrap":
        count = _whole("repeats", repeats, least=2)
        weights = _drawn(time.size, length, count, _whole("seed", seed, least=0))
        words = f"bootstrap, {count} draws of blocks of {length} epochs"
    else:
        weights = _dealt(time.size, length, subsets)
        words = f"{subsets} subsets, blocks of {length} epochs"
    row = np.ascontiguousarray(design.back[1])
    kernel = partial(
        _scatter, basis=design.basis, row=row, weights=weights, form=form_of_sets(weights, design.basis, row)
    )
    (found,) = run(
        kernel,
        [displacement],
        [Output((), (), np.result_type(displacement.dtype, np.float32))],
        place=place or ("point",),
        threads=threads,
        progress=progress,
        label="internal precision",
    )
    result = series.assign(velocity_internal_std=found if place else found.isel(point=0))
    result.attrs["velocity_internal"] = words
    return schema.SERIES.stamp(result)


def _scatter(
    start: int,
    stop: int,
    series: FloatArray,
    out: FloatArray,
    *,
    basis: FloatArray,
    row: FloatArray,
    weights: FloatArray,
    form: FloatArray,
) -> None:
    scatter_of_velocity(start, stop, series, basis, row, weights, form, out)


def _length(block: int | None, epochs: int, parameters: int, subsets: int | None) -> int:
    """Epochs in a run, checked."""
    most = max(1, epochs // 2)
    if subsets is not None:
        _whole("subsets", subsets, least=2)
        if subsets * parameters > epochs:
            msg = (
                f"subsets must be at most {epochs // parameters} for {epochs} epochs and {parameters} parameters, "
                f"got {subsets}: each subset has to hold the model"
            )
            raise InputError(msg)
        most = epochs // subsets
    if block is None:
        longest = (epochs - parameters) // 2 if subsets is None else epochs // (2 * subsets)
        return max(1, min(round(math.sqrt(epochs)), longest))
    length = _whole("block", block, least=1)
    if length > most:
        of = f"{epochs} epochs" + (f" in {subsets} subsets" if subsets else "")
        msg = f"block must be at most {most} for {of}, got {length}"
        raise InputError(msg)
    return length


def _left_out(epochs: int, length: int) -> FloatArray:
    """Every run left out in turn, those cut off by an end included."""
    first = np.arange(1 - length, epochs)[:, None]
    number = np.arange(epochs)
    weights: FloatArray = np.where((number >= first) & (number < first + length), 0.0, 1.0)
    return weights


def _drawn(epochs: int, length: int, repeats: int, seed: int) -> FloatArray:
    """How often each epoch is drawn, in runs with replacement."""
    random = np.random.default_rng(seed)
    first = random.integers(0, epochs - length + 1, (repeats, math.ceil(epochs / length), 1))
    number = (first + np.arange(length)).reshape(repeats, -1)[:, :epochs]
    counts = np.zeros((repeats, epochs))
    np.add.at(counts, (np.arange(repeats)[:, None], number), 1.0)
    return counts


def _dealt(epochs: int, length: int, subsets: int) -> FloatArray:
    """Runs dealt to the subsets in turn."""
    owner = np.arange(epochs) // length % subsets
    weights: FloatArray = (owner == np.arange(subsets)[:, None]).astype(np.float64)
    return weights


def _whole(name: str, value: object, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        msg = f"{name} must be a whole number from {least}, got {value!r}"
        raise InputError(msg)
    return int(value)
