"""Arguments of a scene, checked once and turned into what the rest works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from subsidence import schema
from subsidence.errors import InputError
from subsidence.simulate import _check as check
from subsidence.simulate._motion import Bowl
from subsidence.timescale import from_elapsed, to_elapsed, unit_days
from subsidence.typing import FloatArray, IntArray

__all__ = [
    "DateLike",
    "acquisitions",
    "amount",
    "bowl_centre",
    "chunk_sizes",
    "described",
    "epoch_pairs",
    "fitting_spread",
    "fraction",
    "geometry",
    "noise_model",
    "scene_shape",
    "season",
]

DateLike: TypeAlias = str | np.datetime64
Described = TypeVar("Described")
_NOISE = ("pairs", "epochs", None)


def scene_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns."""
    if np.shape(shape) != (2,):
        msg = f"shape must be (rows, columns), got {shape!r}"
        raise InputError(msg)
    rows, columns = shape
    return check.whole("rows of shape", rows, least=1), check.whole("columns of shape", columns, least=1)


def acquisitions(
    dates: Sequence[DateLike] | npt.NDArray[np.datetime64] | None,
    epochs: int,
    interval: float | timedelta | np.timedelta64,
    start: DateLike,
) -> npt.NDArray[np.datetime64]:
    """Dates, given one by one or by their number and interval."""
    if dates is None:
        try:
            np.datetime64(start)
        except (TypeError, ValueError) as error:
            msg = f"start must be a date such as '2018-01-06', got {start!r}"
            raise InputError(msg) from error
        count = check.whole("epochs", epochs, least=2)
        if isinstance(interval, (timedelta, np.timedelta64)):
            days = unit_days(interval)
        else:
            days = check.positive("interval", interval, "days")
        return from_elapsed(np.arange(count) * days, origin=start, unit="day")
    try:
        time = np.asarray(dates, "M8[ns]")
    except (TypeError, ValueError) as error:
        msg = f"dates must be a sequence of dates such as '2018-01-06', got {dates!r}"
        raise InputError(msg) from error
    if time.ndim != 1 or time.size < 2 or np.isnat(time).any():
        msg = f"dates must be at least two dates, none of them NaT, got {dates!r}"
        raise InputError(msg)
    for earlier, later in pairwise(time):
        if earlier >= later:
            days_apart = f"{earlier.astype('M8[D]')} is followed by {later.astype('M8[D]')}"
            msg = f"dates must be in order and each only once: {days_apart}"
            raise InputError(msg)
    return time


def epoch_pairs(pairs: int | Sequence[tuple[int, int]] | IntArray, epochs: int) -> IntArray:
    """Epoch numbers of each pair, ``(pair, 2)``."""
    if isinstance(pairs, int | float | np.number):
        links = check.whole("pairs", pairs, least=1)
        return np.array([(i, j) for i in range(epochs) for j in range(i + 1, min(i + links, epochs - 1) + 1)])
    try:
        found = np.asarray(pairs)
    except ValueError:  # rows of different lengths
        found = np.empty(0)
    if found.ndim != 2 or found.shape[0] == 0 or found.shape[1] != 2 or found.dtype.kind not in "iu":
        msg = f"pairs must be a number of links or a list of (reference, secondary) epoch numbers, got {pairs!r}"
        raise InputError(msg)
    for reference, secondary in found:
        if not 0 <= reference < secondary < epochs:
            msg = f"pairs must hold epoch numbers 0 <= reference < secondary < {epochs}, got ({reference}, {secondary})"
            raise InputError(msg)
    unique, count = np.unique(found, axis=0, return_counts=True)
    if count.max() > 1:
        msg = f"pairs must name each pair once, got {tuple(unique[count.argmax()].tolist())} {count.max()} times"
        raise InputError(msg)
    return found.astype(np.int64)


def geometry(wavelength: float, incidence: float, heading: float, slant_range: float) -> dict[str, float]:
    """Scalar coordinates of a stack."""
    values = {
        "wavelength": check.positive("wavelength", wavelength, "m"),
        "incidence": check.positive("incidence", incidence, "degree"),
        "heading": check.finite("heading", heading, "degree"),
        "slant_range": check.positive("slant_range", slant_range, "m"),
    }
    for name, value in values.items():
        known = schema.VARIABLES[name]
        low = -np.inf if known.minimum is None else known.minimum
        high = np.inf if known.maximum is None else known.maximum
        if not low <= value <= high:
            msg = f"{name} must lie between {low:g} and {high:g} {known.units}, got {value!r}"
            raise InputError(msg)
    return values


def noise_model(noise: str | None, looks: float) -> None:
    """Say that the kind of noise is unknown or does not go with the number of looks."""
    if noise not in _NOISE:
        msg = f"noise must be one of {', '.join(map(repr, _NOISE))}, got {noise!r}"
        raise InputError(msg)
    if check.finite("looks", looks, "1") < 1:
        msg = f"looks must be at least 1, got {looks!r}"
        raise InputError(msg)
    if noise == "epochs" and looks != round(looks):
        msg = f"looks must be a whole number with noise='epochs', got {looks!r}; noise='pairs' takes any"
        raise InputError(msg)


def chunk_sizes(chunks: Mapping[str, int], shape: tuple[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sizes of the chunks along y and x."""
    if not isinstance(chunks, Mapping) or not set(chunks) <= {"y", "x"}:
        msg = f"chunks must be a mapping with the keys 'y' and 'x', got {chunks!r}: all pairs are in one chunk"
        raise InputError(msg)
    cuts = []
    for dim, length in zip(("y", "x"), shape, strict=True):
        size = chunks.get(dim, -1)
        step = length if size == -1 else check.whole(f"chunks[{dim!r}]", size, least=1)
        cuts.append(tuple(min(step, length - begin) for begin in range(0, length, step)))
    return cuts[0], cuts[1]


def fraction(name: str, value: float) -> float:
    """Share between 0 and 1."""
    if not 0 <= check.finite(name, value, "1") <= 1:
        msg = f"{name} must lie between 0 and 1, got {value!r}"
        raise InputError(msg)
    return float(value)


def described(name: str, value: Described | None, kind: type[Described]) -> Described | None:
    """Say that an ingredient is described by something else than its class."""
    if value is not None and not isinstance(value, kind):
        msg = f"{name} must be a simulate.{kind.__name__} or None, got {value!r}"
        raise InputError(msg)
    return value


def fitting_spread(name: str, value: check.Spread, shape: tuple[int, int]) -> check.Spread:
    """The same, an array having the scene's shape."""
    return check.field(name, value, shape, infinite=True) if np.ndim(value) == 2 else value


def amount(name: str, value: float | npt.ArrayLike, shape: tuple[int, int], unit: str) -> float | FloatArray:
    """One number for the valley floor, or one for each pixel."""
    return check.finite(name, value, unit) if np.ndim(value) == 0 else check.field(name, value, shape)


def bowl_centre(bowl: Bowl, x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Where the bowl is deepest, in the scene."""
    if bowl.centre is None:
        return float(x[x.size // 2]), float(y[y.size // 2])
    centre = float(bowl.centre[0]), float(bowl.centre[1])
    for name, value, axis in zip("xy", centre, (x, y), strict=True):
        if not axis.min() <= value <= axis.max():
            msg = f"centre of bowl must lie in the scene, {name} {axis.min():g} to {axis.max():g} m, got {value:g}"
            raise InputError(msg)
    return centre


def season(time: npt.NDArray[np.datetime64], phase: float) -> FloatArray:
    """Annual motion since the first epoch as a fraction of its amplitude."""
    angle = 2 * np.pi * to_elapsed(time, origin=time[0].astype("M8[Y]")) - phase
    season: FloatArray = np.cos(angle) - np.cos(angle[0])
    return season
