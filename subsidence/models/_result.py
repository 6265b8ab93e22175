"""lmfit's result, made honest about what it does not know."""

from __future__ import annotations

from typing import Any

import lmfit
import numpy as np

from subsidence.typing import FloatArray

__all__ = ["Result"]


class Result(lmfit.model.ModelResult):  # type: ignore[misc]  # lmfit has no types
    """lmfit's result, whose band of uncertainty is not of width zero where nothing is known about it."""

    def eval_uncertainty(
        self, params: lmfit.Parameters | None = None, sigma: float = 1, dscale: float = 0.01, **kwargs: Any
    ) -> FloatArray:
        """As lmfit's; NaN where a parameter has no standard error, for which lmfit gives 0."""
        used = self.params if params is None else params
        if any(parameter.stderr is None for parameter in used.values()):
            return np.full_like(self.eval(params, **kwargs), np.nan)
        band: FloatArray = super().eval_uncertainty(params, sigma, dscale, **kwargs)
        return band
