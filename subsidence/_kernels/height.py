"""Residual height of every place, jointly with a quadratic motion."""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.cholesky import cholesky, solve
from subsidence.typing import AnyArray

__all__ = ["residual_height"]

_UNKNOWNS = 4  # offset, velocity, acceleration, height
# A pivot smaller than this, for a design of ones, means that baselines follow the motion.
_PIVOT = 1e-10


@jit
def residual_height(
    start: int,
    stop: int,
    displacement: AnyArray,
    reach: AnyArray,
    baseline: AnyArray,
    years: AnyArray,
    corrected: AnyArray,
    height: AnyArray,
    std: AnyArray,
) -> None:
    """Fill the outputs for places ``start..stop``.

    ``displacement`` is ``(epoch, place)`` in metres, ``reach`` is slant range times the sine of incidence
    in metres, ``baseline`` and ``years`` count from the first epoch.
    """
    epochs = years.size
    centre, span = years.mean(), max(years.max() - years.min(), 1e-9)
    normal = np.empty((_UNKNOWNS, _UNKNOWNS))
    right = np.empty(_UNKNOWNS)
    row = np.empty(_UNKNOWNS)
    size = max(np.abs(baseline).max(), 1e-9)
    for place in range(start, stop):
        normal[:] = 0.0
        right[:] = 0.0
        used = 0
        squares = 0.0
        for e in range(epochs):
            d = np.float64(displacement[e, place])
            if not np.isfinite(d):
                continue
            _design(years[e], centre, span, baseline[e] / size, row)
            for i in range(_UNKNOWNS):
                for j in range(i + 1):
                    normal[i, j] += row[i] * row[j]
                right[i] += row[i] * d
            used += 1
        found = used > _UNKNOWNS and cholesky(normal, _PIVOT * used)
        if found:
            solve(normal, right)
        rate = right[3] / size if found else 0.0  # metres of displacement per metre of baseline
        for e in range(epochs):
            d = np.float64(displacement[e, place])
            corrected[e, place] = d - rate * baseline[e] if found else d
            if found and np.isfinite(d):
                _design(years[e], centre, span, baseline[e] / size, row)
                for i in range(_UNKNOWNS):
                    d -= row[i] * right[i]
                squares += d * d
        if found:
            # the last unknown's variance is the inverse square of the factor's last pivot
            variance = squares / (used - _UNKNOWNS) / normal[3, 3] ** 2
            height[place] = rate * reach[place]
            std[place] = np.sqrt(variance) / size * reach[place]
        else:
            height[place] = np.nan
            std[place] = np.nan


@jit
def _design(year: float, centre: float, span: float, baseline: float, row: AnyArray) -> None:
    t = (year - centre) / span
    row[0] = 1.0
    row[1] = t
    row[2] = t * t
    row[3] = baseline
