"""Minimum-cost flow between faces of a planar network, by shortest augmenting paths.

A face whose residue is positive has cycles to give, one whose residue is negative cycles to take. A cycle
crosses from the face left of half ``h`` to the face left of ``h ^ 1``; it lessens the cycles of the arc where ``h``
is even and adds to them where it is odd. Halves and faces are those of :mod:`subsidence._kernels.planar`.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["shortest_paths"]

_FAR = np.int64(2**62)


@jit
def shortest_paths(
    begins: AnyArray,
    halves: AnyArray,
    face: AnyArray,
    cost_up: AnyArray,
    cost_down: AnyArray,
    residue: AnyArray,
    change: AnyArray,
) -> bool:
    """Fill `change`, cycles to add to each arc, so that every residue vanishes at least cost.

    ``halves[begins[f]:begins[f + 1]]`` are those around face ``f``; costs are whole and positive; ``residue`` is
    used up. Each cycle goes along the cheapest path to the nearest face that takes it (Dijkstra with
    potentials, stopped there), which keeps the flow so far the cheapest of its size: exact. False where a
    residue finds no counterpart, which cannot be when they add to zero in each part.
    """
    count = residue.size
    potential = np.zeros(count, np.int64)
    distance = np.full(count, _FAR)
    via = np.full(count, -1)
    touched = np.empty(count, np.int64)
    settled = np.zeros(count, np.bool_)
    keys = np.empty(halves.size + 1, np.int64)
    items = np.empty(halves.size + 1, np.int64)
    change[:] = 0
    for source in range(count):
        while residue[source] > 0:
            size, seen = 1, 1
            keys[0], items[0] = 0, source
            distance[source] = 0
            touched[0] = source
            sink = -1
            while size > 0:
                key, f = keys[0], items[0]
                size -= 1
                _sink_down(keys, items, size)
                if settled[f]:
                    continue
                settled[f] = True
                if residue[f] < 0:
                    sink = f
                    break
                for at in range(begins[f], begins[f + 1]):
                    h = halves[at]
                    g = face[h ^ 1]
                    if settled[g]:
                        continue
                    a = h >> 1
                    if h & 1 == 0:
                        step = -cost_up[a] if change[a] > 0 else cost_down[a]
                    else:
                        step = -cost_down[a] if change[a] < 0 else cost_up[a]
                    length = key + step + potential[f] - potential[g]
                    if length < distance[g]:
                        if distance[g] == _FAR:
                            touched[seen] = g
                            seen += 1
                        distance[g] = length
                        via[g] = h
                        _rise(keys, items, size, length, g)
                        size += 1
            reach = distance[sink] if sink >= 0 else 0
            for i in range(seen):
                f = touched[i]
                if settled[f] and sink >= 0:
                    potential[f] += distance[f] - reach
                distance[f] = _FAR
                settled[f] = False
            if sink < 0:
                return False
            residue[source] -= 1
            residue[sink] += 1
            f = sink
            while f != source:
                h = via[f]
                change[h >> 1] += -1 if h & 1 == 0 else 1
                f = face[h]
    return True


@jit
def _rise(keys: AnyArray, items: AnyArray, size: int, key: int, item: int) -> None:
    """Put an item into a binary heap of `size`."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if keys[above] <= key:
            break
        keys[at], items[at] = keys[above], items[above]
        at = above
    keys[at], items[at] = key, item


@jit
def _sink_down(keys: AnyArray, items: AnyArray, size: int) -> None:
    """Fill the top of a binary heap with its last item, which is at `size`."""
    key, item = keys[size], items[size]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and keys[below + 1] < keys[below]:
            below += 1
        if keys[below] >= key:
            break
        keys[at], items[at] = keys[below], items[below]
        at = below
    keys[at], items[at] = key, item
