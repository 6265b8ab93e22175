"""Least squares of differences along arcs: sparse normal equations on one pattern, for any weights.

The normal matrix is a weighted graph Laplacian. One point of every connected part is grounded (held at zero) by
cutting its row and column out of the values, not of the pattern, so that the order of elimination and the pattern of
the factor are found once and serve every parameter and every round of rejection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from subsidence._blocks import each
from subsidence._kernels import selected_inverse as kernel
from subsidence.typing import BoolArray, FloatArray, IntArray

__all__ = ["Adjusted", "Adjustment", "Problem", "Structure", "adjust", "adjust_all", "connected_parts", "structure_of"]

#: Weights of two parameters whose ratio is the same on every arc within this share one factorisation; that of
#: 32-bit numbers scatters by 1e-7.
_PROPORTIONAL = 1e-6


@dataclass(frozen=True, eq=False)
class Structure:
    """Pattern of the normal matrix of a network and of its factor.

    Parameters
    ----------
    start, end
        Point numbers of every arc.
    order
        Place of every point in the order of elimination.
    entry
        Entry of the lower triangle that every arc adds to; several arcs may join the same two points.
    first, column
        Rows of the lower triangle.
    parent, begin, row
        Elimination tree and columns of the factor.
    at
        Where in the factor each entry of the lower triangle stands.
    """

    start: IntArray
    end: IntArray
    order: IntArray
    entry: IntArray
    first: IntArray
    column: IntArray
    parent: IntArray
    begin: IntArray
    row: IntArray
    at: IntArray

    @property
    def points(self) -> int:
        """Number of points."""
        return self.order.size


def structure_of(start: IntArray, end: IntArray, points: int) -> Structure:
    """Order the points for little fill (minimum degree), and find the pattern of the factor."""
    joins = coo_matrix((np.full(start.size, -1.0), (start, end)), shape=(points, points)).tocsc()
    laplacian = joins + joins.T
    laplacian = laplacian + diags(1.0 - np.asarray(laplacian.sum(axis=0)).ravel())
    ordered = splu(
        laplacian.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    order = np.asarray(ordered.perm_c, np.int64)
    low, high = _sorted_pair(order[start], order[end])
    entries, entry = np.unique(high * points + low, return_inverse=True)
    rows, column = entries // points, entries % points
    first = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=points))])
    parent, counts, flag = (np.empty(points, np.int64) for _ in range(3))
    kernel.elimination_tree(first, column, parent, counts, flag)
    begin = np.concatenate([[0], np.cumsum(counts)])
    row = np.empty(begin[-1], np.int32)
    kernel.factor_pattern(first, column, parent, begin, row, counts, flag)
    at = np.empty(entries.size, np.int64)
    kernel.locate(begin, row, column, rows, at)
    return Structure(start, end, order, entry.ravel(), first, column, parent, begin, row, at)


def connected_parts(start: IntArray, end: IntArray, points: int) -> tuple[int, IntArray]:
    """Number of connected parts (a point without arcs is one), and the part of every point."""
    joined = csr_matrix((np.ones(start.size, bool), (start, end)), shape=(points, points))
    count, labels = connected_components(joined, directed=False)
    return int(count), np.asarray(labels, np.int64)


@dataclass(frozen=True, eq=False)
class Problem:
    """Differences of one parameter along every arc, and their standard deviations as stated."""

    name: str
    observed: FloatArray
    std: FloatArray


@dataclass(frozen=True, eq=False)
class Adjustment:
    """A factorised normal matrix: of some weights, with some points held at zero."""

    structure: Structure
    weight: FloatArray
    grounded: BoolArray
    tied: FloatArray | None
    lower: FloatArray
    pivot: FloatArray

    @classmethod
    def of(
        cls, structure: Structure, weight: FloatArray, grounded: BoolArray, tied: FloatArray | None = None
    ) -> Adjustment:
        """
        Factorise.

        Parameters
        ----------
        structure
            Pattern.
        weight
            Of every arc; zero leaves it out.
        grounded
            Points whose value is zero: one of every part, or none of a part that has a tie.
        tied
            Weight at every point of a value known there.
        """
        count = structure.points
        free = ~grounded
        diagonal = _summed(structure.start, weight, count) + _summed(structure.end, weight, count)
        if tied is not None:
            diagonal += tied
        diagonal[grounded] = 1.0
        joins = np.where(free[structure.start] & free[structure.end], -weight, 0.0)
        value = np.bincount(structure.entry, joins, structure.column.size)
        eliminated = np.empty(count)
        eliminated[structure.order] = diagonal
        lower, pivot = np.empty(structure.row.size), np.empty(count)
        working = (np.empty(count, np.int64) for _ in range(3))
        kernel.factor(
            *(structure.first, structure.column, value, eliminated, structure.parent, structure.begin),
            *(lower, structure.row, pivot, *working, np.zeros(count)),
        )
        return cls(structure, weight, grounded, tied, lower, pivot)

    def solve(self, right: FloatArray) -> FloatArray:
        """Solution of the normal equations for one right-hand side, by point."""
        structure = self.structure
        unknown = np.empty(structure.points)
        unknown[structure.order] = np.where(self.grounded, 0.0, right)
        kernel.solve(structure.begin, structure.row, self.lower, self.pivot, unknown)
        solution: FloatArray = unknown[structure.order]
        return solution

    def fit(self, observed: FloatArray, known: FloatArray | None = None) -> FloatArray:
        """Weighted least squares of `observed` along arcs (and of values `known` at tied points), by point."""
        structure = self.structure
        count = structure.points
        values = np.zeros(count)
        weighted = np.where(self.weight > 0, self.weight, 0.0)
        for _ in range(2):  # the second pass takes off what rounding left
            misfit = weighted * (observed - (values[structure.end] - values[structure.start]))
            right = _summed(structure.end, misfit, count) - _summed(structure.start, misfit, count)
            if self.tied is not None and known is not None:
                right += self.tied * (known - values)
            values += self.solve(right)
        return values

    def inverse(self) -> tuple[FloatArray, FloatArray]:
        """Inverse of the normal matrix: its diagonal by point, and its entry for the two ends of every arc."""
        structure = self.structure
        count = structure.points
        entries, diagonal = np.empty(structure.row.size), np.empty(count)
        kernel.inverse_on_pattern(
            *(structure.begin, structure.row, self.lower, self.pivot, entries, diagonal),
            *(np.full(count, -1), np.empty(count)),
        )
        found = np.where(self.grounded, 0.0, diagonal[structure.order])
        return found, entries[structure.at][structure.entry]


@dataclass(frozen=True, eq=False)
class Adjusted:
    """What one parameter's adjustment gives.

    Parameters
    ----------
    values
        By point, relative to the grounded point of its part.
    cofactor
        Diagonal of the inverse of the normal matrix, by point.
    misfit
        Observed less adjusted, by arc, also of arcs left out.
    spread
        Variance of the adjusted difference by arc, where the arcs' errors are independent and as stated.
    redundancy
        Share of an arc's own error that shows in its misfit; zero where it alone joins its ends, and of arcs
        left out.
    """

    values: FloatArray
    cofactor: FloatArray
    misfit: FloatArray
    spread: FloatArray
    redundancy: FloatArray


def adjust(
    adjustment: Adjustment, problems: Sequence[Problem], before: Sequence[Adjusted] | None = None
) -> list[Adjusted]:
    """
    Adjust problems whose weights are proportional with one factorisation, that of the first.

    With results from `before` some arcs were left out their inverse is kept, the costly part: spread is then too small
    and redundancy too large.
    """
    structure = adjustment.structure
    start, end = structure.start, structure.end
    if before is None:
        cofactor, between = adjustment.inverse()
        spread = np.maximum(cofactor[start] + cofactor[end] - 2 * between, 0.0)
        redundancy = np.clip(np.where(adjustment.weight > 0, 1.0 - adjustment.weight * spread, 0.0), 0.0, 1.0)
    results = []
    for number, problem in enumerate(problems):
        values = adjustment.fit(problem.observed)
        misfit = problem.observed - (values[end] - values[start])
        if before is None:
            ratio = float(np.median(problem.std / problems[0].std)) ** 2 if number else 1.0
            results.append(Adjusted(values, ratio * cofactor, misfit, ratio * spread, redundancy))
        else:
            results.append(replace(before[number], values=values, misfit=misfit))
    return results


def adjust_all(
    structure: Structure,
    problems: Sequence[Problem],
    kept: BoolArray,
    grounded: BoolArray,
    *,
    threads: int | None,
    before: Sequence[Adjusted] | None = None,
) -> list[Adjusted]:
    """Adjust every problem on the arcs that are `kept`; parameters over threads. `before` as in `adjust`."""
    groups = _proportional(problems)
    results: dict[int, Adjusted] = {}

    def work(number: int) -> None:
        group = groups[number]
        weight = np.where(kept, problems[group[0]].std ** -2.0, 0.0)
        found = adjust(
            Adjustment.of(structure, weight, grounded),
            [problems[k] for k in group],
            None if before is None else [before[k] for k in group],
        )
        results.update(zip(group, found, strict=True))

    each(work, len(groups), threads=threads)
    return [results[k] for k in range(len(problems))]


def _proportional(problems: Sequence[Problem]) -> list[list[int]]:
    """Numbers of the problems, those together whose standard deviations are in one ratio on every arc."""
    groups: list[list[int]] = []
    for number, problem in enumerate(problems):
        for group in groups:
            ratio = problem.std / problems[group[0]].std
            if np.ptp(ratio) <= _PROPORTIONAL * ratio.min():
                group.append(number)
                break
        else:
            groups.append([number])
    return groups


def _summed(numbers: IntArray, values: FloatArray, count: int) -> FloatArray:
    """Sum of the values at every number below `count`."""
    return np.asarray(np.bincount(numbers, values, count), np.float64)


def _sorted_pair(one: IntArray, other: IntArray) -> tuple[IntArray, IntArray]:
    return np.minimum(one, other), np.maximum(one, other)
