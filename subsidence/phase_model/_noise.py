"""Coherence that noise reaches by chance: the maximum of a random field over the box of a search."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.special import comb, erfc, factorial

from subsidence.typing import FloatArray

__all__ = ["box_cells", "noise_coherence"]

#: Standard deviations in a range of evenly spread epochs.
_SPREAD = math.sqrt(12.0)


def noise_coherence(n: float, cells: FloatArray, level: float, *, pairs: bool) -> float:
    """See :func:`subsidence.coherence_threshold`, which checks what it is given."""
    coherence = np.linspace(1.0, 0.0, 4001)
    lengths = np.asarray(cells) * 2 * np.pi / _SPREAD
    expected = np.zeros_like(coherence)
    for order in range(lengths.size + 1):
        volume = sum(math.prod(chosen) for chosen in itertools.combinations(lengths, order))
        density = _normal_density if pairs else _chi_squared_density
        expected += volume * density(n, coherence, order)
    reached = expected >= -math.log1p(-level)
    return float(coherence[np.argmax(reached)]) if reached.any() else 0.0


def box_cells(columns: FloatArray, box: FloatArray, *, weights: FloatArray, offset_known: bool) -> tuple[float, ...]:
    """Cells of `box` (parameter, 2) with the design `columns` (parameter, n)."""
    share = weights / weights.sum()
    centred = columns if offset_known else columns - (columns @ share)[:, None]
    moments = (centred * share) @ centred.T
    std = np.sqrt(np.diag(moments))
    cells = (box[:, 1] - box[:, 0]) * std * _SPREAD / (2 * np.pi)
    alike = np.linalg.det(moments / np.outer(std, std))
    cells[-1] *= math.sqrt(max(alike, 0.0))
    return tuple(float(each) for each in cells)


def _chi_squared_density(n: float, coherence: FloatArray, order: int) -> FloatArray:
    """Euler characteristic density of a chi-squared field with two degrees: the constant of the phases is free."""
    # the tail of the mean of n phasors, which for few of them is lighter than exp(-n g^2) (Zar's approximation)
    tail = np.exp(np.sqrt(1 + 4 * n + 4 * n**2 * (1 - coherence**2)) - (1 + 2 * n))
    if order == 0:
        return np.asarray(tail)
    t = -2 * np.log(np.maximum(tail, 1e-300))
    total = np.zeros_like(t)
    for k in range((order - 1) // 2 + 1):
        for m in range(order - 2 * k):
            sign = (-1) ** (order - 1 + m + k)
            ways = comb(1, order - 1 - m - 2 * k) * factorial(order - 1) / (factorial(m) * factorial(k) * 2**k)
            total += sign * ways * t ** (m + k)
    return np.asarray(np.maximum(t, 1e-12) ** ((2 - order) / 2) * tail * total / (2 * np.pi) ** (order / 2))


def _normal_density(n: float, coherence: FloatArray, order: int) -> FloatArray:
    """That of a normal field: the real part of the mean of phasors."""
    square = 2 * n * coherence**2 * (1 + coherence**2 / 8)  # for few phasors the tail is lighter
    z = np.sqrt(square)
    if order == 0:
        return np.asarray(0.5 * erfc(z / math.sqrt(2)))
    hermite = np.polynomial.hermite_e.hermeval(z, [0] * (order - 1) + [1])
    return np.asarray(hermite * np.exp(-square / 2) / (2 * np.pi) ** ((order + 1) / 2))
