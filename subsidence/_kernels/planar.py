"""Networks of arcs in the plane: arcs that do not cross, faces between them, spanning trees.

Each arc ``a`` is two halves: ``2 a`` from its start to its end, ``2 a + 1`` back, so that ``h ^ 1`` is the other
half of ``h``. ``around[begins[p]:begins[p + 1]]`` are the halves that leave point ``p``, counterclockwise, and
``position`` says where in ``around`` each half is. A face lies to the left of its halves.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["bridges", "cell_counts", "faces", "grouped", "span", "uncrossed"]

#: Twice the area of a triangle over the product of two of its sides, below which its corners lie on one line.
_FLAT = 1e-10
#: Cells overlap by this much of their side, so that rounding hides no crossing.
_OVERLAP = 1e-6


@jit
def cell_counts(x: AnyArray, y: AnyArray, start: AnyArray, end: AnyArray, counts: AnyArray) -> None:
    """Cells of side one that each arc passes."""
    for a in range(start.size):
        counts[a] = 0
        low, high = _rows(y[start[a]], y[end[a]])
        for row in range(low, high + 1):
            left, right = _columns(x[start[a]], y[start[a]], x[end[a]], y[end[a]], row)
            counts[a] += right - left + 1


@jit
def uncrossed(
    x: AnyArray,
    y: AnyArray,
    start: AnyArray,
    end: AnyArray,
    order: AnyArray,
    columns: int,
    heads: AnyArray,
    following: AnyArray,
    members: AnyArray,
    kept: AnyArray,
) -> None:
    """Keep each arc, in the given order, that crosses or overlaps none kept before.

    Positions count from zero in cells of side one. ``heads``, one for each cell (-1), ``following`` and
    ``members`` are lists of the arcs kept in each cell.
    """
    entries = 0
    for a in order:
        p, q = start[a], end[a]
        low, high = _rows(y[p], y[q])
        free = True
        for row in range(low, high + 1):
            left, right = _columns(x[p], y[p], x[q], y[q], row)
            for column in range(left, right + 1):
                entry = heads[row * columns + column]
                while entry >= 0 and free:
                    other = members[entry]
                    free = not _cross(x, y, p, q, start[other], end[other])
                    entry = following[entry]
            if not free:
                break
        kept[a] = free
        if not free:
            continue
        for row in range(low, high + 1):
            left, right = _columns(x[p], y[p], x[q], y[q], row)
            for column in range(left, right + 1):
                cell = row * columns + column
                members[entries] = a
                following[entries] = heads[cell]
                heads[cell] = entries
                entries += 1


@jit
def _rows(first: float, last: float) -> tuple[int, int]:
    low, high = min(first, last), max(first, last)
    return max(0, int(np.floor(low - _OVERLAP))), int(np.floor(high + _OVERLAP))


@jit
def _columns(x0: float, y0: float, x1: float, y1: float, row: int) -> tuple[int, int]:
    """Cells that a line passes in one row of cells."""
    left, right = min(x0, x1), max(x0, x1)
    if y0 != y1:
        slope = (x1 - x0) / (y1 - y0)
        low = x0 + slope * (min(max(row - _OVERLAP, min(y0, y1)), max(y0, y1)) - y0)
        high = x0 + slope * (min(max(row + 1 + _OVERLAP, min(y0, y1)), max(y0, y1)) - y0)
        left, right = max(left, min(low, high)), min(right, max(low, high))
    return max(0, int(np.floor(left - _OVERLAP))), int(np.floor(right + _OVERLAP))


@jit
def _side(x: AnyArray, y: AnyArray, p: int, q: int, r: int) -> int:
    """1 where r lies left of the line from p to q, -1 right of it, 0 on it."""
    ax, ay = x[q] - x[p], y[q] - y[p]
    bx, by = x[r] - x[p], y[r] - y[p]
    cross = ax * by - ay * bx
    least = _FLAT * np.sqrt((ax * ax + ay * ay) * (bx * bx + by * by))
    if cross > least:
        return 1
    return -1 if cross < -least else 0


@jit
def _cross(x: AnyArray, y: AnyArray, p: int, q: int, r: int, s: int) -> bool:
    """Whether two arcs have more in common than a point that both end at."""
    if q in (r, s):
        p, q = q, p
    if p in (r, s):
        other = s if p == r else r
        if other == q:
            return True
        ahead = (x[q] - x[p]) * (x[other] - x[p]) + (y[q] - y[p]) * (y[other] - y[p])
        return ahead > 0.0 and _side(x, y, p, q, other) == 0
    if max(x[p], x[q]) < min(x[r], x[s]) or max(x[r], x[s]) < min(x[p], x[q]):
        return False
    if max(y[p], y[q]) < min(y[r], y[s]) or max(y[r], y[s]) < min(y[p], y[q]):
        return False
    if _side(x, y, p, q, r) * _side(x, y, p, q, s) > 0:
        return False
    return _side(x, y, r, s, p) * _side(x, y, r, s, q) <= 0


@jit
def bridges(start: AnyArray, end: AnyArray, order: AnyArray, kept: AnyArray, root: AnyArray, bridge: AnyArray) -> None:
    """Of the arcs not kept those, in the given order, that join what no arc before them joins.

    ``root`` is a working array, ``arange`` of the points.
    """
    for a in range(start.size):
        bridge[a] = False
        if kept[a]:
            _join(root, start[a], end[a])
    for a in order:
        if not kept[a]:
            bridge[a] = _join(root, start[a], end[a])


@jit
def _join(root: AnyArray, p: int, q: int) -> bool:
    while root[p] != p:
        root[p] = root[root[p]]
        p = root[p]
    while root[q] != q:
        root[q] = root[root[q]]
        q = root[q]
    root[max(p, q)] = min(p, q)
    return p != q


@jit
def faces(
    x: AnyArray,
    y: AnyArray,
    origin: AnyArray,
    begins: AnyArray,
    around: AnyArray,
    position: AnyArray,
    usable: AnyArray,
    face: AnyArray,
    inner: AnyArray,
) -> int:
    """Number the faces between usable arcs, and return how many there are.

    ``origin`` is the point that each half leaves. ``face`` is the face to its left, -1 where the arc is not
    usable; ``inner`` says which faces their arcs enclose, as opposed to the outside of a part of the network.
    """
    face[:] = -1
    count = 0
    for first in range(face.size):
        if face[first] >= 0 or not usable[first >> 1]:
            continue
        area = 0.0
        h = first
        x0, y0 = x[origin[first]], y[origin[first]]
        while face[h] < 0:
            face[h] = count
            p, q = origin[h], origin[h ^ 1]
            area += (x[p] - x0) * (y[q] - y0) - (x[q] - x0) * (y[p] - y0)
            # the next half is the first one clockwise from the way back
            at = position[h ^ 1]
            while True:
                at = at - 1 if at > begins[q] else begins[q + 1] - 1
                h = around[at]
                if usable[h >> 1]:
                    break
        inner[count] = area > 0.0
        count += 1
    return count


@jit
def grouped(face: AnyArray, begins: AnyArray, halves: AnyArray) -> None:
    """Halves by their face: ``halves[begins[f]:begins[f + 1]]`` are those of face ``f``, in increasing order."""
    begins[:] = 0
    for h in range(face.size):
        if face[h] >= 0:
            begins[face[h] + 1] += 1
    for f in range(begins.size - 1):
        begins[f + 1] += begins[f]
    for h in range(face.size):
        if face[h] >= 0:
            halves[begins[face[h]]] = h
            begins[face[h]] += 1
    for f in range(begins.size - 1, 0, -1):
        begins[f] = begins[f - 1]
    begins[0] = 0


@jit
def span(
    roots: AnyArray,
    origin: AnyArray,
    begins: AnyArray,
    around: AnyArray,
    usable: AnyArray,
    order: AnyArray,
    reached_by: AnyArray,
    part: AnyArray,
) -> int:
    """Spanning trees over usable arcs, breadth first from `roots` and then from what they do not reach.

    ``order`` lists the points as they are reached, ``reached_by`` has the half that leads to each (-1 where a
    tree begins), ``part`` the number of its tree. Returns how many trees there are.
    """
    part[:] = -1
    count = 0
    done = 0
    for number in range(roots.size + part.size):
        first = roots[number] if number < roots.size else number - roots.size
        if part[first] >= 0:
            continue
        part[first] = count
        reached_by[first] = -1
        order[done] = first
        waiting = done
        done += 1
        while waiting < done:
            p = order[waiting]
            waiting += 1
            for at in range(begins[p], begins[p + 1]):
                h = around[at]
                q = origin[h ^ 1]
                if part[q] < 0 and usable[h >> 1]:
                    part[q] = count
                    reached_by[q] = h
                    order[done] = q
                    done += 1
        count += 1
    return count
