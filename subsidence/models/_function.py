"""The curve of a model as lmfit calls it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from subsidence.models._base import TimeModel

__all__ = ["CurveFunction"]


class CurveFunction:
    """What lmfit calls: the curve of one model, with its parameters' names as a signature."""

    def __init__(self, model: TimeModel) -> None:
        self.model = model
        self.__name__ = type(model).__name__

    @property
    def __signature__(self) -> inspect.Signature:
        names = ["t", *self.model.units]
        return inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names])

    def __call__(self, t: npt.ArrayLike, offset: float = 0.0, **values: float) -> FloatArray:
        model = self.model
        given = {**model.fixed, **model.held(), **values}
        missing = [name for name in (*model.linear, *model.nonlinear) if name not in given]
        if missing:
            msg = f"eval needs t and {', '.join(model.units)}: {', '.join(missing)} missing"
            raise InputError(msg)
        columns = model.basis(np.ravel(t), given)[0]
        amplitudes = np.array([given[name] for name in model.linear])
        result: FloatArray = offset + np.tensordot(amplitudes, columns[..., 0], 1)
        return np.reshape(result, np.shape(t))
