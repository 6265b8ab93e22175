"""Best breaks of a continuous piecewise linear curve: every combination of places, each in constant time.

While a break stays between two epochs the lines before and after it are those of linear least squares; where they
cross is the best break of that interval, provided that it lies there (Hudson 1966). Where it does not, the best break
is one of the two epochs. So the best curve is among finitely many linear problems: each break at an epoch or free in
an interval. A *slot* numbers these places: 2 i is epoch i, 2 i + 1 the interval after it.

The noise is first-order autoregressive and may differ in size from epoch to epoch. Whitened by it, the columns
"1 from epoch m on" and "t from epoch m on" are those of m = 0 but in row m, which has nothing before it: products of
columns are sums over the tail of the record, kept for every m, and one row more.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray, FloatArray

__all__ = ["extra_breaks", "search_breaks", "tail_sums"]

#: A column that is its own image in those before it to this share of its square is none.
_SINGULAR = 1e-11


@jit
def tail_sums(rows: FloatArray, sums: FloatArray) -> None:
    """Products over the tail: `rows` (n, 3) are whitened 1, t, y; `sums` (n + 1, 6) their 11, 1t, tt, 1y, ty, yy."""
    n = rows.shape[0]
    for k in range(6):
        sums[n, k] = 0.0
    for i in range(n - 1, -1, -1):
        one, time, y = rows[i, 0], rows[i, 1], rows[i, 2]
        sums[i, 0] = sums[i + 1, 0] + one * one
        sums[i, 1] = sums[i + 1, 1] + one * time
        sums[i, 2] = sums[i + 1, 2] + time * time
        sums[i, 3] = sums[i + 1, 3] + one * y
        sums[i, 4] = sums[i + 1, 4] + time * y
        sums[i, 5] = sums[i + 1, 5] + y * y


@jit
def search_breaks(
    t: FloatArray,
    rows: FloatArray,
    fresh: FloatArray,
    sums: FloatArray,
    lowest: AnyArray,
    highest: AnyArray,
    stride: int,
    least: int,
    held: int,
    position: float,
    slots: AnyArray,
    breaks: FloatArray,
) -> float:
    """
    Least sum of squares over all combinations of slots in order, between `lowest` and `highest` of each break.

    `fresh` (n, 2) are rows of 1 and t whitened as if nothing stood before them. At least `least` epochs lie in each
    window, those at its ends counted. Break number `held` (none: -1) stands at `position`, whose
    slot must be its lowest and highest. The best is left in `slots` and `breaks`; infinite when there is none.
    """
    n, count = t.size, lowest.size
    size = 2 + 2 * count
    slot = np.empty(count, np.int64)
    found = np.empty(count)
    gram, right = np.empty((size, size)), np.empty(size)
    first, one, time = np.empty(size, np.int64), np.empty(size), np.empty(size)
    best: float = np.inf
    if count == 0:
        return _misfit(t, rows, fresh, sums, slot, held, position, first, one, time, gram, right, found)
    last = 2 * (n - least)
    level = 0
    slot[0] = max(lowest[0], 2 * (least - 1))
    while level >= 0:
        if slot[level] > min(highest[level], last):
            level -= 1
            if level >= 0:
                slot[level] += stride
            continue
        if level < count - 1:
            after = 2 * (least - 1 + (slot[level] + 1) // 2)
            level += 1
            slot[level] = max(lowest[level], after)
            continue
        misfit = _misfit(t, rows, fresh, sums, slot, held, position, first, one, time, gram, right, found)
        if misfit < best:
            best = misfit
            slots[:] = slot
            breaks[:] = found
        slot[level] += stride
    return best


@jit
def _misfit(
    t: FloatArray,
    rows: FloatArray,
    fresh: FloatArray,
    sums: FloatArray,
    slot: AnyArray,
    held: int,
    position: float,
    first: AnyArray,
    one: FloatArray,
    time: FloatArray,
    gram: FloatArray,
    right: FloatArray,
    found: FloatArray,
) -> float:
    """Sum of squares of the best curve with these slots; infinite where a free break leaves its interval."""
    # A column is one * "1 from epoch first on" + time * "t from epoch first on".
    first[0], one[0], time[0] = 0, 1.0, 0.0
    first[1], one[1], time[1] = 0, 0.0, 1.0
    size = 2
    for j in range(slot.size):
        after = slot[j] // 2 + 1
        first[size] = after
        if j == held or slot[j] % 2 == 0:
            found[j] = position if j == held else t[after - 1]
            one[size], time[size] = -found[j], 1.0
            size += 1
        else:
            first[size + 1] = after
            one[size], time[size] = 1.0, 0.0
            one[size + 1], time[size + 1] = 0.0, 1.0
            size += 2
    for a in range(size):
        m = first[a]
        new = one[a] * fresh[m, 0] + time[a] * fresh[m, 1]
        right[a] = one[a] * sums[m + 1, 3] + time[a] * sums[m + 1, 4] + new * rows[m, 2]
        for b in range(a + 1):
            old = one[b] * fresh[m, 0] + time[b] * fresh[m, 1]
            if first[b] < m:
                old = one[b] * rows[m, 0] + time[b] * rows[m, 1]
            gram[a, b] = (
                one[a] * one[b] * sums[m + 1, 0]
                + (one[a] * time[b] + time[a] * one[b]) * sums[m + 1, 1]
                + time[a] * time[b] * sums[m + 1, 2]
                + new * old
            )
    misfit: float = sums[0, 5]
    for a in range(size):  # Cholesky factor in place, and its solution of the right-hand side
        for b in range(a):
            for c in range(b):
                gram[a, b] -= gram[a, c] * gram[b, c]
            gram[a, b] /= gram[b, b]
        whole = gram[a, a]
        for c in range(a):
            gram[a, a] -= gram[a, c] * gram[a, c]
            right[a] -= gram[a, c] * right[c]
        if not gram[a, a] > _SINGULAR * whole:
            return np.inf
        gram[a, a] = np.sqrt(gram[a, a])
        right[a] /= gram[a, a]
        misfit -= right[a] * right[a]
    if size == 2 + slot.size:
        return max(misfit, 0.0)
    for a in range(size - 1, 1, -1):  # the coefficients say where a free break is
        for c in range(a + 1, size):
            right[a] -= gram[c, a] * right[c]
        right[a] /= gram[a, a]
    column = 2
    for j in range(slot.size):
        if j == held or slot[j] % 2 == 0:
            column += 1
            continue
        after = slot[j] // 2 + 1
        if right[column + 1] == 0.0:
            return np.inf
        found[j] = -right[column] / right[column + 1]
        if not t[after - 1] <= found[j] <= t[after]:
            return np.inf
        column += 2
    return max(misfit, 0.0)


@jit
def extra_breaks(
    score: FloatArray, gram: FloatArray, pairs: AnyArray, total: FloatArray, single: FloatArray, double: FloatArray
) -> None:
    """
    Squares left by one break more and by two, the best of all.

    `score` (candidates, draws) are products of the residuals with the hinges at the candidates, which are of unit
    length and orthogonal to the model; `gram` (candidates, candidates) products of hinges; `pairs` (pairs, 2) the
    candidates that may be taken together; `total` (draws,) the squares left without.
    """
    for d in range(score.shape[1]):
        gain = 0.0
        for c in range(score.shape[0]):
            gain = max(gain, score[c, d] * score[c, d])
        single[d] = total[d] - gain
        double[d] = single[d]
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        along = gram[a, b]
        rest = 1.0 - along * along
        if rest < 1e-9:
            continue
        for d in range(score.shape[1]):
            x, y = score[a, d], score[b, d]
            gain = (x * x + y * y - 2.0 * along * x * y) / rest
            double[d] = min(double[d], total[d] - gain)
