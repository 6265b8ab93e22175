"""Checks of a series that a curve is to be fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from subsidence.models._base import TimeModel

__all__ = ["check_hints", "checked_series"]


def check_hints(model: TimeModel) -> None:
    """Refuse hints of what is no parameter, and values that are held outside their own bounds."""
    unknown = [name for name in model.param_hints if name not in model.units]
    if unknown:
        msg = (
            f"hint of {', '.join(map(repr, unknown))}, which is no parameter of the model: "
            f"it has {', '.join(model.param_names)}"
        )
        raise InputError(msg)
    for name, value in model.held().items():
        hint = model.param_hints.get(name, {})
        low, high = hint.get("min", -np.inf), hint.get("max", np.inf)
        if not low <= value <= high:
            msg = (
                f"the hint of {name!r} holds it at {value:g}, outside its bounds {low:g}..{high:g}: "
                "set min and max with it"
            )
            raise InputError(msg)


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
