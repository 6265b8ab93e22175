"""Sparse L D L' of normal matrices on one pattern, and the entries of their inverse on that pattern.

The pattern is found once (`elimination_tree`, `factor_pattern`); `factor`, `solve` and `inverse_on_pattern` then
serve every set of weights: other parameters, and rounds in which arcs were left out, whose weight is zero.

Matrices are compressed columns of the lower triangle, rows increasing: ``start[j]:start[j + 1]`` are the entries of
column ``j`` of ``L`` below its diagonal.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["elimination_tree", "factor", "factor_pattern", "inverse_on_pattern", "locate", "solve"]


@jit
def elimination_tree(first: AnyArray, column: AnyArray, parent: AnyArray, counts: AnyArray, flag: AnyArray) -> None:
    """Parent of every unknown in the elimination tree (-1 for a root), and the length of each column of L.

    Row ``k`` of the lower triangle has its entries in the columns ``column[first[k]:first[k + 1]]``, all below
    ``k``. ``flag`` is a working array.
    """
    unknowns = parent.size
    for k in range(unknowns):
        parent[k] = -1
        flag[k] = k
        counts[k] = 0
        for p in range(first[k], first[k + 1]):
            i = column[p]
            while flag[i] != k:
                if parent[i] == -1:
                    parent[i] = k
                counts[i] += 1
                flag[i] = k
                i = parent[i]


@jit
def factor_pattern(
    first: AnyArray, column: AnyArray, parent: AnyArray, start: AnyArray, row: AnyArray, end: AnyArray, flag: AnyArray
) -> None:
    """Rows of the entries of every column of L, increasing. ``end`` and ``flag`` are working arrays."""
    unknowns = parent.size
    for k in range(unknowns):
        end[k] = start[k]
        flag[k] = k
        for p in range(first[k], first[k + 1]):
            i = column[p]
            while flag[i] != k:
                row[end[i]] = k
                end[i] += 1
                flag[i] = k
                i = parent[i]


@jit
def locate(start: AnyArray, row: AnyArray, low: AnyArray, high: AnyArray, at: AnyArray) -> None:
    """Where in ``row`` the entry of row ``high`` and column ``low`` is."""
    for k in range(low.size):
        at[k] = start[low[k]] + np.searchsorted(row[start[low[k]] : start[low[k] + 1]], high[k])


@jit
def factor(
    first: AnyArray,
    column: AnyArray,
    value: AnyArray,
    diagonal: AnyArray,
    parent: AnyArray,
    start: AnyArray,
    lower: AnyArray,
    row: AnyArray,
    pivot: AnyArray,
    end: AnyArray,
    flag: AnyArray,
    stack: AnyArray,
    dense: AnyArray,
) -> None:
    """L and D, row by row: every row of L solves a triangular system with the rows before it.

    ``value`` are the entries of the lower triangle by rows, as in `elimination_tree`; ``lower`` and ``pivot``
    are filled; a pivot that is not positive becomes NaN. The last four are working arrays, ``dense`` zero.
    """
    unknowns = parent.size
    for k in range(unknowns):
        end[k] = start[k]
        flag[k] = k
        top = unknowns
        for p in range(first[k], first[k + 1]):
            i = column[p]
            dense[i] = value[p]
            length = 0
            while flag[i] != k:
                stack[length] = i
                length += 1
                flag[i] = k
                i = parent[i]
            while length > 0:
                length -= 1
                top -= 1
                stack[top] = stack[length]
        d = diagonal[k]
        for s in range(top, unknowns):
            i = stack[s]
            y = dense[i]
            dense[i] = 0.0
            if y == 0.0:  # cut off by weights of zero
                lower[end[i]] = 0.0
                end[i] += 1
                continue
            for p in range(start[i], end[i]):
                dense[row[p]] -= lower[p] * y
            scaled = y / pivot[i]
            d -= scaled * y
            lower[end[i]] = scaled
            end[i] += 1
        pivot[k] = d if d > 0.0 else np.nan


@jit
def solve(start: AnyArray, row: AnyArray, lower: AnyArray, pivot: AnyArray, x: AnyArray) -> None:
    """Forward and backward substitution in place."""
    unknowns = pivot.size
    for j in range(unknowns):
        for p in range(start[j], start[j + 1]):
            x[row[p]] -= lower[p] * x[j]
    for j in range(unknowns - 1, -1, -1):
        total = x[j] / pivot[j]
        for p in range(start[j], start[j + 1]):
            total -= lower[p] * x[row[p]]
        x[j] = total


@jit
def inverse_on_pattern(
    start: AnyArray,
    row: AnyArray,
    lower: AnyArray,
    pivot: AnyArray,
    inverse: AnyArray,
    diagonal: AnyArray,
    place: AnyArray,
    sums: AnyArray,
) -> None:
    """Entries of the inverse of L D L' where L has entries (Takahashi's recursion), and its diagonal.

    With Z the inverse, ``Z = D^-1 L^-1 + (I - L') Z``: column by column from the last, the entries wanted need
    only those already found, because the rows of a column of L are joined to one another by entries of L.
    ``place`` (-1 everywhere) and ``sums`` are working arrays.
    """
    unknowns = pivot.size
    for j in range(unknowns - 1, -1, -1):
        begin, stop = start[j], start[j + 1]
        for p in range(begin, stop):
            place[row[p]] = p
            sums[row[p]] = 0.0
        for p in range(begin, stop):
            k, weight = row[p], lower[p]
            total = diagonal[k] * weight
            for q in range(start[k], start[k + 1]):
                i = row[q]
                at = place[i]
                if at >= 0:
                    total += inverse[q] * lower[at]
                    sums[i] += inverse[q] * weight
            sums[k] += total
        corner = 1.0 / pivot[j]
        for p in range(begin, stop):
            k = row[p]
            inverse[p] = -sums[k]
            corner += lower[p] * sums[k]
            place[k] = -1
        diagonal[j] = corner
