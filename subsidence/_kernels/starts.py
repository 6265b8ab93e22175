"""Which of many candidate curves comes nearest to each series: where fits begin.

All series share their epochs here, so that a candidate's columns, orthonormal and free of what every candidate
has, are made once; how much of a series a candidate explains is then a product with them. Gaps are filled by
straight lines, which only a start may do.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["best_candidates", "fill_gaps"]

#: Series handled together: their data and the scores of some hundred candidates stay in the second cache.
_TILE = 64


@jit
def fill_gaps(t: FloatArray, y: FloatArray, weight: FloatArray, known: FloatArray, out: FloatArray) -> None:
    """Write the data less `known` (epochs,) into `out`; epochs without weight by straight lines between others."""
    n, lanes = out.shape
    for i in range(n):
        for b in range(lanes):
            out[i, b] = y[i, b] - known[i]
    for b in range(lanes):
        before = -1
        for i in range(n):
            if weight[i, b] <= 0.0:
                continue
            if before < i - 1:
                for j in range(before + 1, i):
                    share = (t[j] - t[before]) / (t[i] - t[before]) if before >= 0 else 1.0
                    left = out[before, b] if before >= 0 else out[i, b]
                    out[j, b] = left + share * (out[i, b] - left)
            before = i
        for j in range(before + 1, n):
            out[j, b] = out[before, b] if before >= 0 else 0.0


@jit
def best_candidates(
    basis: FloatArray,
    rows: FloatArray,
    low: FloatArray,
    high: FloatArray,
    per: int,
    group: IntArray,
    near: AnyArray,
    y: FloatArray,
    best: IntArray,
) -> None:
    """
    Numbers of the candidates that explain most of each series.

    Parameters
    ----------
    basis
        Orthonormal vectors that hold nearly all of every candidate, (vectors, epochs); a multiple of four.
    rows
        Unit vectors of the candidates in that basis, `per` for each, (candidates * per, vectors).
    low, high
        Range of the coefficient of each row.
    per
        Rows of a candidate.
    group, near
        Neighbourhood of each candidate and which neighbourhoods touch: of those only one candidate is chosen.
        Not looked at when one candidate is asked for.
    y
        (epochs, series).
    best
        Out: (starts, series).
    """
    count = rows.shape[0] // per
    n, lanes = y.shape
    score = np.empty((count, _TILE), np.float32)
    part = np.zeros((n, _TILE), np.float32)
    reduced = np.empty((basis.shape[0], _TILE), np.float32)
    z = np.empty((4, _TILE), np.float32)
    top, where = np.empty(_TILE, np.float32), np.empty(_TILE, np.int64)
    for first in range(0, lanes, _TILE):
        width = min(_TILE, lanes - first)
        for i in range(n):
            for b in range(width):
                part[i, b] = y[i, first + b]
        for row in range(0, basis.shape[0], 4):
            _four_products(basis, row, part, z)
            for j in range(4):
                for b in range(_TILE):
                    reduced[row + j, b] = z[j, b]
        score[:] = 0.0
        for row in range(0, rows.shape[0], 4):
            # The last group overlaps the one before it where rows are no multiple of four.
            begin = min(row, rows.shape[0] - 4)
            _four_products(rows, begin, reduced, z)
            for j in range(row - begin, 4):
                _add_scores(z[j], low[begin + j], high[begin + j], score[(begin + j) // per])
        for start in range(best.shape[0]):
            top[:] = -np.inf
            where[:] = 0
            for candidate in range(count):
                for b in range(_TILE):
                    above = score[candidate, b] > top[b]
                    top[b] = score[candidate, b] if above else top[b]
                    where[b] = candidate if above else where[b]
            for b in range(width):
                best[start, first + b] = where[b]
            if start + 1 < best.shape[0]:
                for b in range(width):
                    for candidate in range(count):
                        if near[group[where[b]], group[candidate]]:
                            score[candidate, b] = -np.inf


@jit
def _add_scores(z: FloatArray, low: float, high: float, score: FloatArray) -> None:
    """Add what the best coefficient in its range takes off the sum of squares."""
    two = np.float32(2.0)
    for b in range(_TILE):
        size = min(max(z[b], low), high)
        score[b] += size * (two * z[b] - size)


@jit
def _four_products(rows: FloatArray, row: int, y: FloatArray, z: FloatArray) -> None:
    """Products of four rows with every series, in blocks of four epochs: sums are then seldom loaded."""
    n = y.shape[0]
    for j in range(4):
        for b in range(_TILE):
            z[j, b] = 0.0
    whole = n - n % 4
    for t in range(0, whole, 4):
        a, c = rows[row, t : t + 4], rows[row + 1, t : t + 4]
        d, e = rows[row + 2, t : t + 4], rows[row + 3, t : t + 4]
        for b in range(_TILE):
            y0, y1, y2, y3 = y[t, b], y[t + 1, b], y[t + 2, b], y[t + 3, b]
            z[0, b] += a[0] * y0 + a[1] * y1 + a[2] * y2 + a[3] * y3
            z[1, b] += c[0] * y0 + c[1] * y1 + c[2] * y2 + c[3] * y3
            z[2, b] += d[0] * y0 + d[1] * y1 + d[2] * y2 + d[3] * y3
            z[3, b] += e[0] * y0 + e[1] * y1 + e[2] * y2 + e[3] * y3
    for t in range(whole, n):
        for j in range(4):
            for b in range(_TILE):
                z[j, b] += rows[row + j, t] * y[t, b]
