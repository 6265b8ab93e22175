"""Array aliases used in signatures, and what counts as a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt
import xarray as xr

__all__ = ["AnyArray", "BoolArray", "Dates", "FloatArray", "IntArray", "ReferenceLike", "is_number"]

AnyArray: TypeAlias = npt.NDArray[Any]
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.signedinteger[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
#: datetime64 values of any unit, in an array or labelled.
Dates: TypeAlias = npt.NDArray[np.datetime64] | xr.DataArray | xr.Variable
#: A reference place: ``{"row", "col"}``, ``{"lon", "lat"}``, ``{"x", "y"}``, ``{"point"}``, a mask, or a rule.
ReferenceLike: TypeAlias = Mapping[str, float] | xr.DataArray | str | None


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is one real number: no array, truth value, text or duration."""
    real = isinstance(value, (int, float, np.integer, np.floating))
    return real and not isinstance(value, (bool, np.timedelta64))
