"""Residual phases along arcs: cycles in space and in time, residues of faces, cycles of points.

Along an arc the residual phase is that of its end less that of its start plus whole ``cycles``. Halves of
arcs and faces are those of :mod:`subsidence._kernels.planar`. Slack is how far, in radians, the evidence for an
arc's cycles is from saying one more (``slack_up``) or one fewer (``slack_down``), 0 to 2 pi.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = [
    "coherences",
    "costs",
    "costs_of_slack",
    "cycles_of_points",
    "fill",
    "medians",
    "nearest_cycles",
    "residues",
    "sequences",
]

_CYCLE = 2.0 * np.pi
_PER_CYCLE = 1.0 / _CYCLE
#: Steps in which slack is stored, per radian.
_STEPS = 254.0 / _CYCLE


@jit
def sequences(
    begin: int,
    stop: int,
    reference: int,
    lows: AnyArray,
    weights: AnyArray,
    start: AnyArray,
    end: AnyArray,
    phase: AnyArray,
    cosine: AnyArray,
    sine: AnyArray,
    cycles: AnyArray,
    slack_up: AnyArray,
    slack_down: AnyArray,
    coherence: AnyArray,
) -> None:
    """Cycles of arcs ``begin..stop`` unwrapped along time, and how sure they are.

    ``phase`` is the wrapped residual of points, ``(point, time)``, ``cosine`` and ``sine`` its own, zero where
    there are no data. The epochs ``lows[t] ..`` weigh ``weights[t]`` in the smooth phase of epoch ``t``, which is
    followed from epoch to epoch, away from the reference epoch to both sides; each epoch's own phase is the
    nearest to it. ``coherence`` is the mean cosine of the arc's phase less the smooth one.
    """
    epochs = phase.shape[1]
    width = weights.shape[1]
    real = np.empty(epochs)
    imaginary = np.empty(epochs)
    smooth = np.empty(epochs)
    known = np.empty(epochs, np.bool_)
    for a in range(begin, stop):
        p, q = start[a], end[a]
        for t in range(epochs):
            real[t] = np.float64(cosine[q, t]) * cosine[p, t] + np.float64(sine[q, t]) * sine[p, t]
            imaginary[t] = np.float64(sine[q, t]) * cosine[p, t] - np.float64(cosine[q, t]) * sine[p, t]
            known[t] = real[t] != 0.0 or imaginary[t] != 0.0
        for t in range(epochs):
            x, y = 0.0, 0.0
            for w in range(width):
                x += weights[t, w] * real[lows[t] + w]
                y += weights[t, w] * imaginary[lows[t] + w]
            smooth[t] = np.arctan2(y, x)
        total, count = 0.0, 0
        for direction in (-1, 1):
            level = smooth[reference]
            last = level
            up, down = np.pi + level, np.pi - level
            t = reference
            while 0 <= t < epochs:
                if known[t] and t != reference:
                    step = smooth[t] - last
                    step -= _CYCLE * np.rint(step * _PER_CYCLE)
                    last = smooth[t]
                    level += step
                    up, down = min(up, np.pi + step), min(down, np.pi - step)
                    wrapped = np.float64(phase[q, t]) - np.float64(phase[p, t])
                    own = wrapped - level
                    turns = np.rint(own * _PER_CYCLE)
                    own -= _CYCLE * turns
                    total += np.cos(own)
                    count += 1
                    cycles[t, a] = min(max(-turns, -127.0), 127.0)
                    slack_up[t, a] = np.uint8(_STEPS * min(up, np.pi + own))
                    slack_down[t, a] = np.uint8(_STEPS * min(down, np.pi - own))
                else:
                    cycles[t, a] = 0
                    slack_up[t, a] = np.uint8(_STEPS * np.pi)
                    slack_down[t, a] = np.uint8(_STEPS * np.pi)
                t += direction
        coherence[a] = total / max(count, 1)


@jit
def coherences(
    begin: int, stop: int, start: AnyArray, end: AnyArray, cosine: AnyArray, sine: AnyArray, coherence: AnyArray
) -> None:
    """Mean cosine of the phase of arcs ``begin..stop``, from cosine and sine of points as in `sequences`."""
    for a in range(begin, stop):
        p, q = start[a], end[a]
        total, count = 0.0, 0
        for t in range(cosine.shape[1]):
            both = np.float64(cosine[q, t]) * cosine[p, t] + np.float64(sine[q, t]) * sine[p, t]
            if (cosine[q, t] != 0.0 or sine[q, t] != 0.0) and (cosine[p, t] != 0.0 or sine[p, t] != 0.0):
                total += both
                count += 1
        coherence[a] = total / max(count, 1)


@jit
def nearest_cycles(
    phase: AnyArray, expected: AnyArray, start: AnyArray, end: AnyArray, usable: AnyArray, cycles: AnyArray
) -> None:
    """Cycles that bring each arc's phase at one epoch within half a cycle of what its points are expected to have."""
    for a in range(start.size):
        cycles[a] = 0
        if usable[a]:
            cycles[a] = -np.int64(np.rint(_beside(phase, expected, start[a], end[a]) * _PER_CYCLE))


@jit
def _beside(phase: AnyArray, expected: AnyArray, start: int, end: int) -> float:
    arc = np.float64(phase[end]) - np.float64(phase[start])
    return arc - (np.float64(expected[end]) - np.float64(expected[start]))


@jit
def residues(cycles: AnyArray, face: AnyArray, residue: AnyArray) -> None:
    """Whole cycles by which the arcs around each face miss closing."""
    residue[:] = 0
    for a in range(face.size // 2):
        if cycles[a] != 0 and face[2 * a] >= 0:
            residue[face[2 * a]] += cycles[a]
            residue[face[2 * a + 1]] -= cycles[a]


@jit
def costs(
    phase: AnyArray,
    expected: AnyArray,
    start: AnyArray,
    end: AnyArray,
    weight: AnyArray,
    cost_up: AnyArray,
    cost_down: AnyArray,
) -> None:
    """Whole-number cost, at least 1, of one more and of one fewer cycle on each arc than `nearest_cycles` finds."""
    for a in range(weight.size):
        own = _beside(phase, expected, start[a], end[a])
        own -= _CYCLE * np.rint(own * _PER_CYCLE)
        if not abs(own) < np.inf:  # NaN: the arc is in no face
            own = 0.0
        cost_up[a] = max(1, np.int64(np.rint(weight[a] * (np.pi + own))))
        cost_down[a] = max(1, np.int64(np.rint(weight[a] * (np.pi - own))))


@jit
def costs_of_slack(
    slack_up: AnyArray, slack_down: AnyArray, weight: AnyArray, cost_up: AnyArray, cost_down: AnyArray
) -> None:
    """Whole-number cost, at least 1, of one more and of one fewer cycle on each arc than `sequences` finds."""
    for a in range(weight.size):
        cost_up[a] = max(1, np.int64(np.rint(weight[a] * (np.float64(slack_up[a]) + 0.5) / _STEPS)))
        cost_down[a] = max(1, np.int64(np.rint(weight[a] * (np.float64(slack_down[a]) + 0.5) / _STEPS)))


@jit
def cycles_of_points(
    order: AnyArray, reached_by: AnyArray, origin: AnyArray, cycles: AnyArray, found: AnyArray
) -> None:
    """Add the cycles of arcs along spanning trees, zero where a tree begins."""
    for p in order:
        h = reached_by[p]
        if h < 0:
            found[p] = 0
        else:
            found[p] = found[origin[h]] + (cycles[h >> 1] if h & 1 == 0 else -cycles[h >> 1])


@jit
def fill(phase: AnyArray, begins: AnyArray, around: AnyArray, origin: AnyArray, filled: AnyArray) -> None:
    """Phases of one epoch, with the mean of those that arcs lead to where a point has none."""
    for p in range(phase.size):
        filled[p] = phase[p]
        if not abs(phase[p]) < np.inf:
            total, count = 0.0, 0
            for at in range(begins[p], begins[p + 1]):
                value = np.float64(phase[origin[around[at] ^ 1]])
                if abs(value) < np.inf:
                    total += value
                    count += 1
            filled[p] = total / count if count > 0 else np.nan


@jit
def medians(
    begin: int, stop: int, side: int, reach: float, reference: int, years: AnyArray, phase: AnyArray, found: AnyArray
) -> None:
    """Median of the epochs around each epoch of points ``begin..stop``, without its own; arrays ``(time, point)``.

    Of the epochs with data `side` before and `side` after it, those within `reach` years if there is any; zero
    where there is none, and at the reference epoch, whose phase is no measurement.
    """
    epochs = phase.shape[0]
    values = np.empty(2 * side)
    for p in range(begin, stop):
        for t in range(epochs):
            size = 0
            for attempt in range(2):
                if size > 0 or t == reference:
                    break
                for direction in (-1, 1):
                    taken = 0
                    k = t + direction
                    while 0 <= k < epochs and taken < side:
                        if attempt == 0 and abs(years[k] - years[t]) > reach:
                            break
                        if k != reference and abs(phase[k, p]) < np.inf:
                            value = np.float64(phase[k, p])
                            at = size
                            while at > 0 and values[at - 1] > value:
                                values[at] = values[at - 1]
                                at -= 1
                            values[at] = value
                            size += 1
                            taken += 1
                        k += direction
            found[t, p] = 0.5 * (values[(size - 1) // 2] + values[size // 2]) if size > 0 else 0.0
