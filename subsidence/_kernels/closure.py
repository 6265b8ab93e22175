"""Closure of triplets of pairs, many places side by side.

``triplets`` is ``(triplet, 3)``: the numbers of pairs 12, 23 and 13, whose phases close when
``phase[12] + phase[23] - phase[13]`` is zero. ``offsets`` is what the reference place leaves of each
triplet, taken off before anything else. NaN in any of the three pairs is NaN in the triplet.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["close", "close_wrapped", "count", "suspect"]

_CYCLE = 2.0 * np.pi
_PER_CYCLE = 1.0 / _CYCLE


@jit
def close(
    triplets: AnyArray, offsets: AnyArray, start: int, stop: int, phase: AnyArray, closure: AnyArray, cycles: AnyArray
) -> None:
    """Closure of unwrapped phases in radians, and the whole cycles nearest to it."""
    for t in range(triplets.shape[0]):
        first, second, third = triplets[t, 0], triplets[t, 1], triplets[t, 2]
        for n in range(start, stop):
            value = np.float64(phase[first, n]) + phase[second, n] - phase[third, n] - offsets[t]
            closure[t, n] = value
            cycles[t, n] = np.rint(value * _PER_CYCLE)


@jit
def close_wrapped(
    triplets: AnyArray, offsets: AnyArray, start: int, stop: int, phase: AnyArray, closure: AnyArray
) -> None:
    """Closure of wrapped phases, wrapped to +-pi again."""
    for t in range(triplets.shape[0]):
        first, second, third = triplets[t, 0], triplets[t, 1], triplets[t, 2]
        for n in range(start, stop):
            value = np.float64(phase[first, n]) + phase[second, n] - phase[third, n] - offsets[t]
            closure[t, n] = value - _CYCLE * np.rint(value * _PER_CYCLE)


@jit
def count(
    triplets: AnyArray, offsets: AnyArray, start: int, stop: int, phase: AnyArray, nonzero: AnyArray, valid: AnyArray
) -> None:
    """Triplets that miss by whole cycles, and triplets with data, of each place."""
    for n in range(start, stop):
        nonzero[n] = 0
        valid[n] = 0
    for t in range(triplets.shape[0]):
        first, second, third = triplets[t, 0], triplets[t, 1], triplets[t, 2]
        for n in range(start, stop):
            value = np.float64(phase[first, n]) + phase[second, n] - phase[third, n] - offsets[t]
            valid[n] += np.isfinite(value)
            nonzero[n] += np.isfinite(value) and np.rint(value * _PER_CYCLE) != 0.0


@jit
def suspect(
    triplets: AnyArray,
    offsets: AnyArray,
    begins: AnyArray,
    members: AnyArray,
    signs: AnyArray,
    order: AnyArray,
    start: int,
    stop: int,
    phase: AnyArray,
    suspected: AnyArray,
    nonzero: AnyArray,
    valid: AnyArray,
) -> None:
    """Pairs whose phase must be wrong by whole cycles for the triplets to close.

    ``members[begins[p]:begins[p + 1]]`` are the triplets that pair ``p`` is part of, ``signs`` its sign in
    each; ``order`` lists the pairs by date. Per place, the pair whose correction by whole cycles takes most
    from the sum of the absolute misclosures is corrected, until no single correction takes anything more.
    """
    triplet_count = triplets.shape[0]
    pair_count = order.size
    misclosure = np.empty(triplet_count, np.int64)
    usable = np.empty(triplet_count, np.bool_)
    wanted = np.empty(triplet_count, np.int64)
    gains = np.empty(pair_count, np.int64)
    corrections = np.empty(pair_count, np.int64)
    wrong_here = np.zeros(stop - start, np.bool_)
    suspected[:, start:stop] = False
    nonzero[:, start:stop] = 0
    valid[:, start:stop] = 0
    for t in range(triplet_count):
        first, second, third = triplets[t, 0], triplets[t, 1], triplets[t, 2]
        for n in range(start, stop):
            value = np.float64(phase[first, n]) + phase[second, n] - phase[third, n] - offsets[t]
            good = np.isfinite(value)
            wrong = good and np.rint(value * _PER_CYCLE) != 0.0
            for pair in (first, second, third):
                valid[pair, n] += good
                nonzero[pair, n] += wrong
            wrong_here[n - start] |= wrong
    for n in range(start, stop):
        if not wrong_here[n - start]:
            continue
        for t in range(triplet_count):
            first, second, third = triplets[t, 0], triplets[t, 1], triplets[t, 2]
            value = np.float64(phase[first, n]) + phase[second, n] - phase[third, n] - offsets[t]
            usable[t] = np.isfinite(value)
            misclosure[t] = np.int64(np.rint(value * _PER_CYCLE)) if usable[t] else 0
        while True:
            best = 0
            for p in range(pair_count):
                corrections[p], gains[p] = _correction(
                    begins[p], begins[p + 1], members, signs, misclosure, usable, wanted
                )
                best = max(best, gains[p])
            if best == 0:
                break
            chosen = -1
            for p in order:
                if gains[p] == best:
                    suspected[p, n] = True
                    if chosen < 0:
                        chosen = p
            for m in range(begins[chosen], begins[chosen + 1]):
                misclosure[members[m]] += signs[m] * corrections[chosen]
        for t in range(triplet_count):
            if usable[t] and misclosure[t] != 0:  # no single pair explains it: any of the three may be wrong
                for corner in range(3):
                    suspected[triplets[t, corner], n] = True
        for p in range(pair_count):  # all of whose triplets close: nothing speaks against it
            suspected[p, n] &= nonzero[p, n] > 0


@jit
def _correction(
    begin: int, end: int, members: AnyArray, signs: AnyArray, misclosure: AnyArray, usable: AnyArray, wanted: AnyArray
) -> tuple[int, int]:
    """Cycles that make the sum of a pair's absolute misclosures least (a median), and what they take from it."""
    size = 0
    for m in range(begin, end):
        t = members[m]
        if not usable[t]:
            continue
        value = -signs[m] * misclosure[t]
        at = size
        while at > 0 and wanted[at - 1] > value:
            wanted[at] = wanted[at - 1]
            at -= 1
        wanted[at] = value
        size += 1
    if size == 0:
        return 0, 0
    low, high = wanted[(size - 1) // 2], wanted[size // 2]
    cycles = min(max(low, 0), high)
    gain = 0
    for m in range(size):
        gain += abs(wanted[m]) - abs(wanted[m] - cycles)
    return cycles, gain
