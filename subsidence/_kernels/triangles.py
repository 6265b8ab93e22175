"""Triangles of a network: every three arcs that close, each found once.

Arcs are turned from the end with fewer arcs to the one with more, so that no point has many outgoing ones and
the work stays near ``arcs x (arcs per point)`` even where one point is joined to all others.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["count_cycles", "list_cycles", "list_faces", "widest"]


@jit
def count_cycles(first: AnyArray, out: AnyArray) -> int:
    """Number of 3-cycles; ``out[first[u]:first[u + 1]]`` are the outgoing neighbours of ``u``, increasing."""
    count = 0
    for u in range(first.size - 1):
        for a in range(first[u], first[u + 1]):
            v = out[a]
            b, c = first[u], first[v]
            while b < first[u + 1] and c < first[v + 1]:
                if out[b] < out[c]:
                    b += 1
                elif out[b] > out[c]:
                    c += 1
                else:
                    count += 1
                    b += 1
                    c += 1
    return count


@jit
def list_cycles(first: AnyArray, out: AnyArray, sides: AnyArray) -> None:
    """Positions in ``out`` of the three arcs of every cycle u, v, w: (uv, uw, vw), into ``sides``, (cycle, 3)."""
    count = 0
    for u in range(first.size - 1):
        for a in range(first[u], first[u + 1]):
            v = out[a]
            b, c = first[u], first[v]
            while b < first[u + 1] and c < first[v + 1]:
                if out[b] < out[c]:
                    b += 1
                elif out[b] > out[c]:
                    c += 1
                else:
                    sides[count, 0] = a
                    sides[count, 1] = b
                    sides[count, 2] = c
                    count += 1
                    b += 1
                    c += 1


@jit
def widest(first: AnyArray, out: AnyArray, x: AnyArray, y: AnyArray, cotangent: AnyArray, best: AnyArray) -> int:
    """Cycle that sees each arc under the widest angle, on either side of it; the number of cycles marked at all.

    ``cotangent`` and ``best`` are (arc, 2): left and right; ``best`` counts cycles as `list_cycles` does, -1
    for none. The cycle under whose angle an arc looks widest is the one with the smallest circumcircle: of a
    Delaunay triangulation these are its faces.
    """
    for a in range(out.size):
        for side in range(2):
            cotangent[a, side] = np.inf
            best[a, side] = -1
    count = 0
    for u in range(first.size - 1):
        for a in range(first[u], first[u + 1]):
            v = out[a]
            b, c = first[u], first[v]
            while b < first[u + 1] and c < first[v + 1]:
                if out[b] < out[c]:
                    b += 1
                elif out[b] > out[c]:
                    c += 1
                else:
                    w = out[b]
                    _mark(x, y, u, v, w, a, count, cotangent, best)
                    _mark(x, y, u, w, v, b, count, cotangent, best)
                    _mark(x, y, v, w, u, c, count, cotangent, best)
                    count += 1
                    b += 1
                    c += 1
    return count


@jit
def _mark(
    x: AnyArray,
    y: AnyArray,
    start: int,
    end: int,
    apex: int,
    arc: int,
    number: int,
    cotangent: AnyArray,
    best: AnyArray,
) -> None:
    ax, ay = x[start] - x[apex], y[start] - y[apex]
    bx, by = x[end] - x[apex], y[end] - y[apex]
    dot, cross = ax * bx + ay * by, ax * by - ay * bx
    side = 0 if cross >= 0.0 else 1
    angle = dot / abs(cross) if cross != 0.0 else np.finfo(np.float64).max
    if cross == 0.0 and dot < 0.0:  # from between the two, on one line with them
        angle = -np.inf
    if angle < cotangent[arc, side]:
        cotangent[arc, side] = angle
        best[arc, side] = number


@jit
def list_faces(first: AnyArray, out: AnyArray, best: AnyArray, sides: AnyArray) -> int:
    """As `list_cycles`, those alone that `widest` marked for one of their arcs; returns how many."""
    count, kept = 0, 0
    for u in range(first.size - 1):
        for a in range(first[u], first[u + 1]):
            v = out[a]
            b, c = first[u], first[v]
            while b < first[u + 1] and c < first[v + 1]:
                if out[b] < out[c]:
                    b += 1
                elif out[b] > out[c]:
                    c += 1
                else:
                    marked = False
                    for arc in (a, b, c):
                        marked = marked or best[arc, 0] == count or best[arc, 1] == count
                    if marked:
                        sides[kept, 0] = a
                        sides[kept, 1] = b
                        sides[kept, 2] = c
                        kept += 1
                    count += 1
                    b += 1
                    c += 1
    return kept
