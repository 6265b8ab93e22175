"""Checks of a series that a curve is to be fitted to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.typing import FloatArray

__all__ = ["checked_series"]


def checked_series(
    data: npt.ArrayLike, t: npt.ArrayLike, weights: npt.ArrayLike | None, *, needed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Finite values, their times and weights, or an error that says what does not go together."""
    time = np.asarray(t)
    if time.dtype.kind in "Mm":
        msg = "t must be numbers in the model's unit of time, got dates: use to_elapsed(dates, unit=model.time_unit)"
        raise InputError(msg)
    values, time = np.asarray(data, np.float64), time.astype(np.float64)
    if values.ndim != 1 or values.shape != time.shape:
        msg = f"data and t must be one series of one length, got shapes {values.shape} and {time.shape}"
        raise InputError(msg)
    if not np.isfinite(time).all():
        msg = "t must be finite, got NaN or infinity"
        raise InputError(msg)
    weight = np.ones_like(values) if weights is None else np.asarray(weights, np.float64)
    if weight.ndim and weight.shape != values.shape:
        msg = f"weights must be one number or have the shape of data {values.shape}, got {weight.shape}"
        raise InputError(msg)
    valid = np.isfinite(values)
    weight = np.broadcast_to(weight, values.shape)[valid]
    _check_weights(weight)
    count = np.count_nonzero(weight)
    if count <= needed:
        msg = f"data must hold more than {needed} finite values of non-zero weight, got {count}"
        raise InputError(msg)
    return values[valid], time[valid], weight


def _check_weights(weight: FloatArray) -> None:
    """Refuse weights of valid data that no standard deviation gives; those of missing data are not used."""
    refused = ~(np.isfinite(weight) & (weight >= 0))
    if not refused.any():
        return
    first = weight[refused][0]
    cause = "a standard deviation of 0, as a series has at its first epoch, gives inf; " if np.isposinf(first) else ""
    msg = (
        "weights must be finite and not negative (one over the standard deviation), "
        f"got {first:g} at {np.count_nonzero(refused)} of {weight.size} values of data: "
        f"{cause}set data to NaN there, as in displacement.where(displacement_std > 0)"
    )
    raise InputError(msg)
