"""Variance of fitted curves, from derivatives by the parameters and the covariance of these."""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import FloatArray

__all__ = ["curve_variance"]

#: Share of the terms' sizes that rounding leaves in their sum.
_ROUNDING = 1e-16


@jit
def curve_variance(gradient: FloatArray, covariance: FloatArray, variance: FloatArray) -> None:
    """
    Fill g'Cg at every time of every curve.

    Parameters
    ----------
    gradient
        Derivatives of the curves by their parameters, (parameters, times, curves).
    covariance
        Of the parameters, (parameters, parameters, curves); a parameter that does not change a curve at some
        time counts nothing there, whatever its covariance.
    variance
        Out, (times, curves): infinite where it is not a finite number, and never below what rounding leaves
        of large terms that cancel, as they do where the data hold two parameters together but neither alone.
    """
    parameters, times, curves = gradient.shape
    row = np.empty(curves)
    for i in range(times):
        for k in range(curves):
            variance[i, k] = 0.0
            row[k] = 0.0
        for a in range(parameters):
            for b in range(a + 1):
                twice = 1.0 if a == b else 2.0
                for k in range(curves):
                    slope = gradient[a, i, k] * gradient[b, i, k]
                    term = twice * slope * covariance[a, b, k] if slope != 0.0 else 0.0
                    variance[i, k] += term
                    row[k] += np.abs(term)
        for k in range(curves):
            value = max(variance[i, k], _ROUNDING * row[k])
            variance[i, k] = value if value < np.inf else np.inf
