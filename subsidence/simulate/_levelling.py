"""Levelling of a simulated scene: benchmarks surveyed a few times, with errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence._reference import resolve
from subsidence.errors import InputError
from subsidence.simulate import _check as check
from subsidence.simulate._random import Stream, generator
from subsidence.timescale import from_elapsed, to_elapsed
from subsidence.typing import FloatArray, IntArray, ReferenceLike

__all__ = ["levelling"]

Campaigns: TypeAlias = int | Sequence[str | np.datetime64] | npt.NDArray[np.datetime64]


def levelling(
    truth: xr.Dataset,
    *,
    benchmarks: int | npt.ArrayLike = 12,
    campaigns: Campaigns = 4,
    std: float = 0.001,
    stable: ReferenceLike = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""
    Levelling of the ground that a simulated scene moves.

    Parameters
    ----------
    truth
        The truth of :func:`interferogram_scene`.
    benchmarks
        How many, or their positions ``(benchmark, 2)`` as x, y in metres: each stands on the pixel nearest
        to it. Of a number, one stands in the centre of the bowl and the others anywhere. The stable
        benchmark comes first, in addition to given positions and counted in a number.
    campaigns
        How many, evenly from the first epoch to the last, or their dates within the record.
    std
        Standard deviation of a displacement, metres. It comes from errors of the same size in each campaign,
        so displacements of one benchmark, which share the first campaign, have a correlation of 1/2.
    stable
        Place of the benchmark that is taken to stand still: ``{"row", "col"}``, ``{"x", "y"}`` or a boolean
        mask (its pixel that moves least). None for the pixel of the scene that moves least.
    seed
        Of the errors and, for a number of benchmarks, their positions.

    Returns
    -------
    xarray.Dataset
        LEVELLING, dims ``(time, benchmark)``: ``displacement`` (m, up, relative to the first campaign and the
        stable benchmark, so that both are 0), its ``std`` (0 there) and ``true_displacement``, the same
        without errors.

    Raises
    ------
    InputError
        When `truth` has no ``displacement_up``, a position or date lies outside of the scene, or a number is
        out of range.

    Notes
    -----
    Between epochs the truth is interpolated linearly in time.

    Examples
    --------
    >>> from subsidence import simulate
    >>> stack, truth = simulate.interferogram_scene(shape=(20, 24), epochs=8)
    >>> survey = simulate.levelling(truth, benchmarks=3, campaigns=2)
    >>> dict(survey.sizes)
    {'time': 2, 'benchmark': 3}
    >>> survey["std"].values.tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.001, 0.001]]
    """
    schema.SERIES.check(truth, argument="truth")
    if "displacement_up" not in truth:
        msg = "truth must hold 'displacement_up', as the second result of interferogram_scene does"
        raise InputError(msg)
    std = check.not_negative("std", std, "m")
    random = generator(check.whole("seed", seed, least=0), Stream.LEVELLING)
    time = _checked_campaigns(campaigns, truth["time"].values)
    first = _stable_pixel(truth, stable)
    rows, columns = _pixels(truth, benchmarks, first, random)

    place = {"y": xr.Variable("benchmark", rows), "x": xr.Variable("benchmark", columns)}
    up = truth["displacement_up"].variable.isel(place).transpose("benchmark", "time").values.astype(np.float64)
    epochs, surveys = (
        to_elapsed(truth["time"], unit="day"),
        to_elapsed(time, origin=truth["time"].values[0], unit="day"),
    )
    heights = np.stack([np.interp(surveys, epochs, one) for one in up], axis=1)
    moved = _relative(heights)
    # A displacement is the difference of two campaigns.
    measured = moved + _relative_in_time(random.standard_normal(heights.shape) * std / np.sqrt(2))
    measured[:, 0] = 0.0
    known = np.full(moved.shape, std)
    known[0, :] = known[:, 0] = 0.0
    dims = ("time", "benchmark")
    attrs = {"units": "m", "long_name": "displacement without errors, positive up"}
    result = xr.Dataset(
        {"displacement": (dims, measured), "std": (dims, known), "true_displacement": (dims, moved, attrs)},
        {
            "time": time,
            "benchmark": np.arange(rows.size),
            "x": ("benchmark", truth["x"].values[columns]),
            "y": ("benchmark", truth["y"].values[rows]),
        },
        {
            "title": "simulated levelling",
            "component": "up",
            "reference": "benchmark 0",
            "reference_time": str(time[0].astype("M8[s]")),
            "seed": seed,
        },
    )
    stamped = schema.LEVELLING.stamp(result)
    stamped["displacement"].attrs["comment"] = "positive up: subsidence is negative"
    return stamped


def _relative_in_time(values: FloatArray) -> FloatArray:
    return values - values[:1]


def _relative(heights: FloatArray) -> FloatArray:
    """Relative to the first campaign and the first benchmark."""
    return _relative_in_time(heights - heights[:, :1])


def _checked_campaigns(campaigns: Campaigns, epochs: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    if isinstance(campaigns, int | np.integer | float | str | np.datetime64):
        count = check.whole("campaigns", campaigns, least=2)
        length = to_elapsed(epochs[-1:], origin=epochs[0], unit="day")[0]
        return from_elapsed(np.linspace(0.0, length, count), origin=epochs[0], unit="day")
    try:
        time = np.asarray(campaigns, "M8[ns]")
    except (TypeError, ValueError) as error:
        msg = f"campaigns must be a number or dates such as '2018-01-06', got {campaigns!r}"
        raise InputError(msg) from error
    if time.ndim != 1 or time.size < 2 or not np.all(time[1:] > time[:-1]):
        msg = f"campaigns must be at least two dates in order, got {campaigns!r}"
        raise InputError(msg)
    if time[0] < epochs[0] or time[-1] > epochs[-1]:
        days = [str(date.astype("M8[D]")) for date in (epochs[0], epochs[-1], time[0], time[-1])]
        msg = f"campaigns must lie within the record, {days[0]} to {days[1]}, got {days[2]} to {days[3]}"
        raise InputError(msg)
    return time


def _stable_pixel(truth: xr.Dataset, stable: ReferenceLike) -> tuple[int, int]:
    """Row and column of the benchmark that is taken to stand still."""
    allowed: xr.Variable | None = None
    if stable is not None:
        _, _, place = resolve(truth, stable, argument="stable")
        if isinstance(place, dict):
            return place["y"], place["x"]
        allowed = place.transpose("y", "x")
    up: FloatArray = truth["displacement_up"].variable.transpose("time", "y", "x").values
    moved = np.abs(up).max(axis=0)
    if allowed is not None:
        moved = np.where(allowed.values, moved, np.inf)
    row, column = np.unravel_index(int(np.argmin(moved)), moved.shape)
    return int(row), int(column)


def _pixels(
    truth: xr.Dataset, benchmarks: int | npt.ArrayLike, first: tuple[int, int], random: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Rows and columns of the benchmarks, the stable one first."""
    x, y = truth["x"].values, truth["y"].values
    shape = (y.size, x.size)
    if np.ndim(benchmarks) == 0:
        count = check.whole("benchmarks", benchmarks, least=2)
        if count > y.size * x.size:
            msg = f"benchmarks must be no more than the scene's {y.size * x.size} pixels, got {count}"
            raise InputError(msg)
        middle = (truth.attrs.get("bowl_row", y.size // 2), truth.attrs.get("bowl_col", x.size // 2))
        chosen = [int(np.ravel_multi_index(place, shape)) for place in dict.fromkeys((first, middle))]
        others = random.permutation(y.size * x.size)
        chosen += others[~np.isin(others, chosen)][: count - len(chosen)].tolist()
        rows, columns = np.unravel_index(chosen, shape)
        return rows, columns
    positions = np.asarray(benchmarks, np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2 or len(positions) == 0:
        msg = f"benchmarks must be a number or positions (benchmark, 2) in metres, got shape {positions.shape}"
        raise InputError(msg)
    columns, rows = (_nearest(axis, positions[:, i], "xy"[i]) for i, axis in enumerate((x, y)))
    return np.append(first[0], rows), np.append(first[1], columns)


def _nearest(axis: FloatArray, wanted: FloatArray, name: str) -> IntArray:
    """Nearest pixel along one axis, no farther than half a pixel from the scene."""
    half = abs(axis[1] - axis[0]) / 2 if axis.size > 1 else np.inf
    outside = ~((wanted >= axis.min() - half) & (wanted <= axis.max() + half))
    if outside.any():
        msg = f"benchmarks must lie in the scene, {name} {axis.min():g} to {axis.max():g} m, got {wanted[outside][0]:g}"
        raise InputError(msg)
    nearest: IntArray = np.abs(axis[:, np.newaxis] - wanted).argmin(axis=0)
    return nearest
