"""Which epochs to pair: with one reference, with neighbours in time, under limits, or all with all."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence.errors import DisconnectedNetworkWarning, InputError
from subsidence.network._pairs import Network
from subsidence.timescale import to_elapsed
from subsidence.typing import Dates, FloatArray, IntArray, is_number

__all__ = [
    "Epochs",
    "all_pairs",
    "choose_reference",
    "epoch_number",
    "sequential_pairs",
    "single_reference_pairs",
    "small_baseline_pairs",
]

#: A Dataset or DataArray with ``time`` (and ``perpendicular_baseline``), or dates alone.
Epochs: TypeAlias = xr.Dataset | Dates

_Table: TypeAlias = tuple[npt.NDArray[np.datetime64], FloatArray | None]


def single_reference_pairs(epochs: Epochs, *, reference: np.datetime64[Any] | str | None = None) -> xr.Dataset:
    """
    Pairs of one epoch with every other.

    Parameters
    ----------
    epochs
        SLC, or any Dataset or DataArray with ``time`` and, where known, ``perpendicular_baseline`` in metres; or an
        array of dates.
    reference
        Date that all pairs share; None for that of :func:`choose_reference`.

    Returns
    -------
    xarray.Dataset
        Coordinates ``reference`` and ``secondary`` along ``pair``, the earlier date always first (so that the epoch
        asked for is the secondary of the pairs before it), and where baselines are known
        ``perpendicular_baseline`` in metres, that of the secondary minus that of the reference. In order of
        the dates.

    Raises
    ------
    InputError
        When there are fewer than 2 epochs, a date is there twice, or `reference` is none of them.

    Examples
    --------
    >>> dates = np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "M8[ns]")
    >>> pairs = single_reference_pairs(dates, reference="2018-01-18")
    >>> pairs.secondary.dt.day.values.tolist()
    [18, 30]
    """
    times, baselines = _table(epochs)
    number = _best(times, baselines) if reference is None else epoch_number(times, reference)
    others = np.delete(np.arange(times.size), number)
    return _pairs(times, baselines, np.minimum(others, number), np.maximum(others, number))


def sequential_pairs(epochs: Epochs, *, neighbours: int = 2) -> xr.Dataset:
    """
    Pairs of every epoch with the next few.

    Parameters
    ----------
    epochs
        See :func:`single_reference_pairs`.
    neighbours
        How many of the following epochs each is paired with; the last epochs have fewer.

    Returns
    -------
    xarray.Dataset
        See :func:`single_reference_pairs`.

    Raises
    ------
    InputError
        When there are fewer than 2 epochs, a date is there twice, or `neighbours` is no positive whole number.

    Examples
    --------
    >>> dates = np.array(["2018-01-06", "2018-01-18", "2018-01-30", "2018-02-11"], "M8[ns]")
    >>> sequential_pairs(dates, neighbours=2).sizes["pair"]
    5
    """
    if isinstance(neighbours, bool) or not isinstance(neighbours, (int, np.integer)) or neighbours < 1:
        msg = f"neighbours must be a positive whole number of following epochs, got {neighbours!r}"
        raise InputError(msg)
    times, baselines = _table(epochs)
    first, second = _every(times.size)
    near = second - first <= neighbours
    return _pairs(times, baselines, first[near], second[near])


def small_baseline_pairs(epochs: Epochs, *, max_days: float, max_baseline: float | None = None) -> xr.Dataset:
    """
    Pairs under limits in time and in perpendicular baseline.

    Parameters
    ----------
    epochs
        See :func:`single_reference_pairs`.
    max_days
        Longest time between the two epochs of a pair, days.
    max_baseline
        Largest perpendicular baseline of a pair, metres; None for no limit.

    Returns
    -------
    xarray.Dataset
        See :func:`single_reference_pairs`.

    Raises
    ------
    InputError
        When there are fewer than 2 epochs, a date is there twice, a limit is not positive, baselines are asked for
        and not known, or no pair is within the limits.

    Warns
    -----
    DisconnectedNetworkWarning
        When the pairs do not join all epochs; it names the parts.

    References
    ----------
    Berardino, P., G. Fornaro, R. Lanari and E. Sansosti (2002), A new algorithm for surface deformation monitoring
    based on small baseline differential SAR interferograms, IEEE Trans. Geosci. Remote Sens. 40, 2375-2383,
    doi:10.1109/TGRS.2002.803792

    Examples
    --------
    >>> epochs = xr.Dataset(
    ...     coords={
    ...         "time": np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "M8[ns]"),
    ...         "perpendicular_baseline": ("time", [0.0, 150.0, 30.0]),
    ...     }
    ... )
    >>> small_baseline_pairs(epochs, max_days=48, max_baseline=130.0).perpendicular_baseline.values.tolist()
    [30.0, -120.0]
    """
    _check_limit("max_days", max_days, "days")
    times, baselines = _table(epochs)
    first, second = _every(times.size)
    days = to_elapsed(times, unit="day")
    near = days[second] - days[first] <= max_days
    if max_baseline is not None:
        _check_limit("max_baseline", max_baseline, "metres")
        if baselines is None or not np.isfinite(baselines).all():
            lacking = "no" if baselines is None else "not a finite"
            msg = (
                f"epochs have {lacking} perpendicular_baseline (m, along time), which max_baseline={max_baseline!r} "
                "needs: add it, or pass max_baseline=None"
            )
            raise InputError(msg)
        near &= np.abs(baselines[second] - baselines[first]) <= max_baseline
    if not near.any():
        limits = f"max_days={max_days!r}" + ("" if max_baseline is None else f", max_baseline={max_baseline!r}")
        shortest = np.diff(days).min()
        msg = f"no pair is within {limits}; the closest epochs are {shortest:g} days apart: widen the limits"
        raise InputError(msg)
    result = _pairs(times, baselines, first[near], second[near])
    _warn_of_parts(result, times)
    return result


def all_pairs(epochs: Epochs) -> xr.Dataset:
    """
    Pairs of every epoch with every other.

    Parameters
    ----------
    epochs
        See :func:`single_reference_pairs`.

    Returns
    -------
    xarray.Dataset
        See :func:`single_reference_pairs`.

    Raises
    ------
    InputError
        When there are fewer than 2 epochs, or a date is there twice.

    Examples
    --------
    >>> dates = np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "M8[ns]")
    >>> all_pairs(dates).sizes["pair"]
    3
    """
    times, baselines = _table(epochs)
    return _pairs(times, baselines, *_every(times.size))


def choose_reference(epochs: Epochs) -> np.datetime64[Any]:
    r"""
    Epoch that is closest to all others in time and baseline: the best single reference.

    Parameters
    ----------
    epochs
        See :func:`single_reference_pairs`. Without baselines, or where not all are finite, time alone decides.

    Returns
    -------
    numpy.datetime64
        Its date. Of two that are equally close, the earlier.

    Raises
    ------
    InputError
        When there are fewer than 2 epochs, or a date is there twice.

    Notes
    -----
    .. math::

        \arg\min_m \sum_k \left( \frac{|t_k - t_m|}{\max_{ij} |t_i - t_j|}
        + \frac{|B_k - B_m|}{\max_{ij} |B_i - B_j|} \right)

    which is the epoch of the highest stack coherence (Kampes 2006, Radar Interferometry, eq. 2.17, Hooper et al. 2007,
    doi:10.1029/2006JB004763) where coherence is lost in proportion to time and baseline, all of it over the
    whole span of the stack.

    Examples
    --------
    >>> dates = np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "M8[ns]")
    >>> str(choose_reference(dates).astype("M8[D]"))
    '2018-01-18'
    """
    times, baselines = _table(epochs)
    date: np.datetime64[Any] = times[_best(times, baselines)]
    return date


def _best(times: npt.NDArray[np.datetime64], baselines: FloatArray | None) -> int:
    distance = np.zeros(times.size)
    fields: list[FloatArray] = [to_elapsed(times)]
    if baselines is not None and np.isfinite(baselines).all():
        fields.append(baselines)
    for values in fields:
        span = np.ptp(values)
        if span > 0:
            distance += np.abs(values[:, np.newaxis] - values).sum(axis=1) / span
    # Rounding must not decide between epochs that are equally close.
    return int(np.argmax(distance <= distance.min() * (1 + 1e-9)))


def _table(epochs: object) -> _Table:
    """Dates in order and, where known, baselines (metres)."""
    dates = epochs
    if isinstance(epochs, (xr.Dataset, xr.DataArray)) and "time" in epochs.coords:
        dates = epochs.coords["time"].values
    elif isinstance(epochs, xr.Dataset):
        msg = f"epochs must have the coordinate 'time', got {sorted(map(str, epochs.variables))}"
        raise InputError(msg)
    elif isinstance(epochs, (xr.DataArray, xr.Variable)):
        dates = epochs.values
    values = np.atleast_1d(np.asarray(dates))
    if values.dtype.kind != "M" or values.ndim != 1:
        msg = (
            "epochs must be a Dataset with 'time', or an array of datetime64, one for each epoch; got dtype "
            f"{values.dtype} and dims {values.shape}: use numpy.array(dates, 'datetime64[ns]')"
        )
        raise InputError(msg)
    if np.isnat(values).any():
        msg = f"epochs: date {int(np.argmax(np.isnat(values)))} is missing (NaT): leave that epoch out"
        raise InputError(msg)
    to_elapsed(values[:1], origin="2000-01-01")  # refuses what nanoseconds cannot hold
    times = values.astype("M8[ns]")
    order = np.argsort(times, kind="stable")
    times = times[order]
    if times.size < 2:
        msg = f"epochs must hold at least 2 dates, got {times.size}: a pair needs two"
        raise InputError(msg)
    twice = np.flatnonzero(times[1:] == times[:-1])
    if twice.size:
        msg = f"epochs: the date {times[twice[0]].astype('M8[s]')} is there twice: keep one of them"
        raise InputError(msg)
    baselines = _baselines(epochs) if isinstance(epochs, (xr.Dataset, xr.DataArray)) else None
    return times, None if baselines is None else baselines[order]


def _baselines(epochs: xr.Dataset | xr.DataArray) -> FloatArray | None:
    held = epochs.coords if isinstance(epochs, xr.DataArray) else epochs.variables
    if "perpendicular_baseline" not in held:
        return None
    values = epochs["perpendicular_baseline"].variable
    if "time" not in values.dims:
        msg = f"epochs: perpendicular_baseline must be along 'time' in metres, got dims {values.dims}"
        raise InputError(msg)
    # Baselines of every pixel: the mean over the scene says how far apart two orbits are.
    mean = values.astype(np.float64).mean([dim for dim in values.dims if dim != "time"])
    return np.asarray(mean.values, np.float64)


def _every(count: int) -> tuple[IntArray, IntArray]:
    first, second = np.triu_indices(count, 1)
    return first, second


def epoch_number(
    times: npt.NDArray[np.datetime64], date: object, *, argument: str = "reference", what: str = "epochs"
) -> int:
    """Number of the epoch at a date, or of the only one on a day.

    Raises
    ------
    InputError
        When `date` is none, or no epoch has it, or several.
    """
    try:
        wanted = np.datetime64(date)  # type: ignore[call-overload]  # what is no date raises
    except (TypeError, ValueError) as error:
        msg = f"{argument} must be a date such as '2018-01-06' or None, got {date!r}"
        raise InputError(msg) from error
    unit = np.datetime_data(wanted)[0]
    # A day names the epoch of that day; where it has several, and of a month or year, the date must be exact.
    found = np.flatnonzero(times.astype(f"M8[{unit}]") == wanted)
    if unit in {"Y", "M", "W"} or found.size != 1:
        found = np.flatnonzero(times == wanted)
    if found.size != 1:
        days = times.astype("M8[D]")
        msg = f"{argument} must be one of the {times.size} {what} ({days.min()} to {days.max()}), got {date!r}"
        raise InputError(msg)
    return int(found[0])


def _check_limit(name: str, value: object, unit: str) -> None:
    if not is_number(value) or not value > 0:
        msg = f"{name} must be a positive number of {unit}, got {value!r}"
        raise InputError(msg)


def _pairs(
    times: npt.NDArray[np.datetime64], baselines: FloatArray | None, first: IntArray, second: IntArray
) -> xr.Dataset:
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    coords: dict[str, Any] = {"reference": ("pair", times[first]), "secondary": ("pair", times[second])}
    if baselines is not None:
        coords["perpendicular_baseline"] = ("pair", baselines[second] - baselines[first])
    # Units and signs as interferograms have them; but pairs alone are none, so the kind is not theirs.
    stamped: xr.Dataset = schema.INTERFEROGRAMS.stamp(xr.Dataset(coords=coords))
    stamped.attrs = {}
    return stamped


def _warn_of_parts(pairs: xr.Dataset, times: npt.NDArray[np.datetime64]) -> None:
    network = Network.of(pairs, argument="pairs")
    part = np.full(times.size, -1)
    part[np.searchsorted(times, network.dates)] = network.parts()
    alone = np.flatnonzero(part < 0)
    part[alone] = part.max() + 1 + np.arange(alone.size)
    count = part.max() + 1
    if count == 1:
        return
    members = sorted((np.flatnonzero(part == number) for number in range(count)), key=lambda member: member[0])
    names = [_part_name(times, member) for member in members]
    shown = "; ".join(names[:5]) + (f"; and {count - 5} more" if count > 5 else "")
    msg = (
        f"the pairs leave the {times.size} epochs in {count} parts that none joins: {shown}. "
        "Motion between them is not observed: widen the limits, or add pairs"
    )
    warnings.warn(msg, DisconnectedNetworkWarning, stacklevel=3)


def _part_name(times: npt.NDArray[np.datetime64], member: IntArray) -> str:
    first, last = (times[member[k]].astype("M8[D]") for k in (0, -1))
    if member.size == 1:
        return f"{first} alone"
    whole = all(after - before == 1 for before, after in pairwise(member.tolist()))
    return f"{member.size} epochs {first} to {last}" + ("" if whole else " (not all between)")
