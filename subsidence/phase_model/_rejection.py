"""Rounds of adjustment and of a test of every arc, which leave out arcs that contradict the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from subsidence.phase_model._adjustment import Adjusted, Problem, Structure, adjust_all, connected_parts
from subsidence.typing import BoolArray, FloatArray, IntArray

__all__ = ["ROUNDS", "Outcome", "Triangles", "critical_value", "parts_and_datums", "reject_arcs"]

#: Arc numbers and signs of every triangle, as from `network._triangles.triangles`.
Triangles: TypeAlias = tuple[IntArray, npt.NDArray[np.int8]]

#: An arc with less redundancy is the only one, up to rounding, that joins its ends: no other contradicts it.
_TESTABLE = 1e-6
#: Misfits this share of the stated standard deviations are taken for rounding and slips of single epochs.
_SMALLEST_SCALE = 0.25
#: Weight of the stated standard deviations in the scale of the test, in observations: few arcs say little of it.
_STATED = 20.0
#: After a round that leaves out more than this share of arcs the next one keeps the inverse, the costly part.
_MANY = 1 / 2000
#: More rounds were never seen: 5 % wrong arcs take about 8.
ROUNDS = 100
_NORMAL_MEDIAN = 0.6744897501960817
#: Mean square of a standard normal variable no larger in size than the cut.
_CUT = 2.5
_CUT_SQUARE = 0.9112593


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the rounds end with.

    Parameters
    ----------
    accepted
        By arc.
    part, datum
        Part of every point, by size from 0, -1 without arcs; the grounded point of every part.
    adjusted
        Of every problem, on the accepted arcs.
    testable
        Accepted arcs that others could have contradicted.
    rounds
        Adjustments made.
    """

    accepted: BoolArray
    part: IntArray
    datum: IntArray
    adjusted: list[Adjusted]
    testable: BoolArray
    rounds: int


def critical_value(significance: float, tests: int) -> float:
    """Bound that the largest of `tests` independent normal variables exceeds in size with this probability."""
    single = -np.expm1(np.log1p(-significance) / tests)
    return float(-special.ndtri(single / 2))


def parts_and_datums(
    structure: Structure, accepted: BoolArray, coherence: FloatArray, wanted: IntArray
) -> tuple[IntArray, IntArray]:
    """
    Parts of the network by size, and a point of each to stand at zero.

    Parameters
    ----------
    structure, accepted
        The network.
    coherence
        By arc.
    wanted
        Points asked for as reference: the first of them in a part is its datum, else the point with the most
        accepted arcs, of several the one whose arcs have the highest mean coherence.

    Returns
    -------
    part : numpy.ndarray
        By point; -1 without arcs.
    datum : numpy.ndarray
        Point number for every part.
    """
    start, end = structure.start[accepted], structure.end[accepted]
    points = structure.points
    _, labels = connected_parts(start, end, points)
    arcs = np.bincount(start, minlength=points) + np.bincount(end, minlength=points)
    total = np.bincount(start, coherence[accepted], points) + np.bincount(end, coherence[accepted], points)
    mean = total / np.maximum(arcs, 1)
    asked = np.zeros(points, bool)
    asked[wanted] = True
    joined = np.flatnonzero(arcs)
    best = joined[np.lexsort((-mean[joined], -arcs[joined], ~asked[joined]))]
    found, first, size = np.unique(labels[best], return_index=True, return_counts=True)
    datum = best[first]
    by_size = np.lexsort((-mean[datum], -arcs[datum], -size))
    rank = np.full(points, -1)
    rank[found[by_size]] = np.arange(found.size)
    return np.where(arcs > 0, rank[labels], -1), datum[by_size]


def reject_arcs(
    structure: Structure,
    problems: Sequence[Problem],
    *,
    significance: float | None,
    coherence: FloatArray,
    faces: Triangles,
    wanted: IntArray,
    threads: int | None,
    report: Callable[[int], None],
) -> Outcome:
    """
    Adjust, leave out the arcs that fit worst among their neighbours, and again until all pass.

    Parameters
    ----------
    structure, problems
        The network and its differences; standard deviations positive and finite on every arc.
    significance
        Share of right arcs that the test leaves out; None for no test.
    coherence
        By arc: of two that contradict each other alone, the less coherent goes.
    faces
        Triangles of the network, for the scale of the test.
    wanted
        Points asked for as reference.
    threads, report
        Threads over parameters; told 1 after every round.
    """
    accepted = np.ones(structure.start.size, bool)
    readmitted = np.zeros(accepted.size, bool)
    critical = np.inf if significance is None else critical_value(significance, len(problems))
    before: list[Adjusted] | None = None
    scales: list[float] = []
    settled = False
    rounds = 0
    while True:
        part, datum = parts_and_datums(structure, accepted, coherence, wanted)
        grounded = part < 0
        grounded[datum] = True
        adjusted = adjust_all(structure, problems, accepted, grounded, threads=threads, before=before)
        rounds += 1
        report(1)
        testable = accepted & np.logical_and.reduce([a.redundancy > _TESTABLE for a in adjusted])
        joined = (part[structure.start] == part[structure.end]) & (part[structure.start] >= 0)
        left_out = ~accepted & ~readmitted & joined
        statistic = np.zeros(accepted.size)
        if not settled:
            scales = [
                _scale(problem, a, testable, accepted, faces) for problem, a in zip(problems, adjusted, strict=True)
            ]
        for problem, a, scale in zip(problems, adjusted, scales, strict=True):
            statistic = np.maximum(statistic, _tested(problem, a, accepted, testable | left_out) / scale)
        failed = testable & (statistic > critical)
        # As few as right arcs alone would fail: without these the scale would only shrink, and fail more.
        settled = settled or significance is None or failed.sum() <= 2 * significance * testable.sum()
        worst = _locally_worst(structure, failed, statistic, coherence)
        many = worst.size > _MANY * accepted.size
        back = np.zeros(0, np.int64)
        if before is None and not many:
            # contradicted while a wrong neighbour stood: each gets one more chance
            passed = left_out & (statistic <= critical)
            back = np.flatnonzero(passed & ~_touching(structure, failed))
        if rounds >= ROUNDS or (before is None and worst.size + back.size == 0):
            break
        accepted[worst] = False
        accepted[back] = True
        readmitted[back] = True
        before = adjusted if many else None
    return Outcome(accepted, part, datum, adjusted, testable, rounds)


def _tested(problem: Problem, adjusted: Adjusted, accepted: BoolArray, wanted: BoolArray) -> FloatArray:
    """Size of Baarda's w of the arcs `wanted`, zero elsewhere: the misfit over its own standard deviation as stated.

    That of an arc left out is what it would be if it alone were taken in again.
    """
    result = np.zeros(accepted.size)
    stated = problem.std[wanted] ** 2
    inside = accepted[wanted]
    variance = np.where(inside, stated * adjusted.redundancy[wanted], stated + adjusted.spread[wanted])
    result[wanted] = np.abs(adjusted.misfit[wanted]) / np.sqrt(variance)
    return result


def _scale(
    problem: Problem,
    adjusted: Adjusted,
    testable: BoolArray,
    accepted: BoolArray,
    faces: Triangles,
) -> float:
    """Size of the errors that contradict each other, in stated standard deviations, whatever a minority of arcs does.

    First the median of triangles, of which a wrong arc spoils two, whereas it spoils many misfits; then, being
    more precise, the mean square of the misfits that are not far beyond it.
    """
    sides, signs = faces
    closed = accepted[sides].all(axis=1) if sides.size else np.zeros(0, bool)
    freedom = float(adjusted.redundancy[testable].sum())
    misfits = np.abs(adjusted.misfit[testable]) / (problem.std * np.sqrt(adjusted.redundancy))[testable]
    if closed.sum() >= 0.5 * freedom:
        arcs = sides[closed]
        sums = np.abs((signs[closed] * problem.observed[arcs]).sum(axis=1))
        sizes = sums / np.sqrt((problem.std[arcs] ** 2).sum(axis=1))
    else:
        sizes = misfits
    rough = float(np.median(sizes)) / _NORMAL_MEDIAN if sizes.size else 1.0
    inner = misfits[misfits < _CUT * rough]
    square = float(np.mean(inner**2)) / _CUT_SQUARE if inner.size else rough**2
    variance = (freedom * square + _STATED) / (freedom + _STATED)
    return max(float(np.sqrt(variance)), _SMALLEST_SCALE)


def _touching(structure: Structure, arcs: BoolArray) -> BoolArray:
    """Arcs that share a point with any of `arcs`."""
    at = np.zeros(structure.points, bool)
    at[structure.start[arcs]] = True
    at[structure.end[arcs]] = True
    result: BoolArray = at[structure.start] | at[structure.end]
    return result


def _locally_worst(structure: Structure, failed: BoolArray, statistic: FloatArray, coherence: FloatArray) -> IntArray:
    """Failed arcs that are the worst of the failed ones at both their ends."""
    numbers = np.flatnonzero(failed)
    if numbers.size == 0:
        return numbers
    size = np.rint(np.log(statistic[numbers]) * 1e6)  # arcs that only contradict each other are equal but for rounding
    order = np.lexsort((-coherence[numbers], size))
    rank = np.empty(numbers.size, np.int64)
    rank[order] = np.arange(1, numbers.size + 1)
    worst_at = np.zeros(structure.points, np.int64)
    for ends in (structure.start[numbers], structure.end[numbers]):
        np.maximum.at(worst_at, ends, rank)
    worst: IntArray = numbers[(rank == worst_at[structure.start[numbers]]) & (rank == worst_at[structure.end[numbers]])]
    return worst
