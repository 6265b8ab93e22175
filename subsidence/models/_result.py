"""lmfit's result, made honest about what it does not know."""

from __future__ import annotations

from typing import Any

import lmfit
import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.timescale import from_elapsed, to_elapsed
from subsidence.typing import Dates, FloatArray

__all__ = ["Result"]


class Result(lmfit.model.ModelResult):  # type: ignore[misc]  # lmfit has no types
    """
    lmfit's result, whose band of uncertainty is not of width zero where nothing is known about it.

    From ``fit_series`` it also has ``origin``, the date of t = 0, and so knows dates; from a fit of plain
    numbers it has None there.
    """

    #: Date of t = 0.
    origin: np.datetime64 | None = None

    def eval_uncertainty(
        self, params: lmfit.Parameters | None = None, sigma: float = 1, dscale: float = 0.01, **kwargs: Any
    ) -> FloatArray:
        """As lmfit's; NaN where a parameter has no standard error, for which lmfit gives 0."""
        used = self.params if params is None else params
        if any(parameter.stderr is None for parameter in used.values()):
            return np.full_like(self.eval(params, **kwargs), np.nan)
        band: FloatArray = super().eval_uncertainty(params, sigma, dscale, **kwargs)
        return band

    def dates(self, t: npt.ArrayLike | None = None) -> npt.NDArray[np.datetime64]:
        """
        Dates of times in the model's unit.

        Parameters
        ----------
        t
            Times since `origin`; those of the fitted epochs when None.

        Raises
        ------
        InputError
            When the fit was of plain numbers.
        """
        times = self.userkws["t"] if t is None else t
        return from_elapsed(times, origin=self._known_origin(), unit=self.model.time_unit)

    def elapsed(self, dates: Dates) -> FloatArray:
        """
        Times since `origin` in the model's unit, as ``eval(t=...)`` takes them; the inverse of :meth:`dates`.

        Parameters
        ----------
        dates
            datetime64 of any resolution.

        Raises
        ------
        InputError
            When the fit was of plain numbers, or `dates` are not datetime64.
        """
        return to_elapsed(dates, origin=self._known_origin(), unit=self.model.time_unit)

    def _known_origin(self) -> np.datetime64:
        if self.origin is None:
            msg = "this fit has no dates, as its times were numbers: fit with fit_series, or set result.origin"
            raise InputError(msg)
        return self.origin
