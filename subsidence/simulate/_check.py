"""Checks of a scene's parameters; each names the argument, its value and what was expected."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence.errors import InputError

__all__ = ["Spread", "field", "finite", "not_negative", "positive", "spread", "whole"]

#: A number for the whole scene, the (lowest, highest) value of a smooth field, or one value per pixel.
Spread: TypeAlias = float | tuple[float, float] | npt.NDArray[np.floating] | xr.DataArray


def finite(name: str, value: object, unit: str) -> float:
    """Return `value` as a float, or say that it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        msg = f"{name} must be a finite number of {unit}, got {value!r}"
        raise InputError(msg)
    return float(value)


def positive(name: str, value: object, unit: str) -> float:
    """Return `value` as a float, or say that it is not positive."""
    number = finite(name, value, unit)
    if number <= 0:
        msg = f"{name} must be positive ({unit}), got {value!r}"
        raise InputError(msg)
    return number


def not_negative(name: str, value: object, unit: str) -> float:
    """Return `value` as a float, or say that it is negative."""
    number = finite(name, value, unit)
    if number < 0:
        msg = f"{name} must not be negative ({unit}), got {value!r}"
        raise InputError(msg)
    return number


def whole(name: str, value: object, *, least: int) -> int:
    """Return `value` as an int, or say that it is not a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        msg = f"{name} must be a whole number of at least {least}, got {value!r}"
        raise InputError(msg)
    return int(value)


def spread(name: str, value: Spread, *, low: float, high: float, unit: str) -> None:
    """Say that `value` is not a number, a (lowest, highest) pair or an array of numbers in low..high."""
    expected = f"a number, a (lowest, highest) pair or an array (y, x) in {low:g}..{high:g} ({unit})"
    try:
        values = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    a_pair = values.ndim == 1 and values.size == 2 and values[0] <= values[-1]
    if not (values.ndim in {0, 2} or a_pair) or values.size == 0:
        msg = f"{name} must be {expected}, got {value!r}"
        raise InputError(msg)
    if not np.all((values >= low) & (values <= high)):  # NaN fails too
        msg = f"{name} must be {expected}, got {values.min():g} to {values.max():g}"
        raise InputError(msg)


def field(
    name: str, value: npt.ArrayLike | xr.DataArray, shape: tuple[int, int], *, infinite: bool = False
) -> npt.NDArray[np.float64]:
    """Return an array of the scene's shape as float64, or say that it does not fit."""
    if isinstance(value, xr.DataArray) and set(value.dims) == {"y", "x"}:
        value = value.transpose("y", "x")
    try:
        values = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != shape:
        msg = f"{name} must be a number or an array of the scene's shape {shape} (y, x), got shape {values.shape}"
        raise InputError(msg)
    if not infinite and not np.all(np.isfinite(values)):
        msg = f"{name} must be finite everywhere, got {np.count_nonzero(~np.isfinite(values))} values that are not"
        raise InputError(msg)
    return values
