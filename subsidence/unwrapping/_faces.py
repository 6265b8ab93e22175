"""A network of arcs between points laid out in the plane: what crosses, its faces, its spanning trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subsidence._kernels import planar as kernels
from subsidence.typing import BoolArray, FloatArray, IntArray

__all__ = ["Layout", "Trees"]

#: Cells of the search for crossings, for each arc: few enough for a long arc to pass not too many.
_CELLS_PER_ARC = 2.0


@dataclass(frozen=True, eq=False)
class Trees:
    """Faces and spanning trees of the arcs that are usable at one epoch.

    Parameters
    ----------
    face
        The face to the left of each half of an arc, -1 where there is none.
    inner
        Whether each face is enclosed by its arcs.
    order, reached_by, part
        Points as the trees reach them; the half that leads to each, -1 at a root; the number of its tree.
    """

    face: IntArray
    inner: BoolArray
    order: IntArray
    reached_by: IntArray
    part: IntArray


@dataclass(frozen=True, eq=False)
class Layout:
    """Arcs that do not cross, and bridges to what they leave apart.

    Parameters
    ----------
    x, y
        Of the points, metres.
    arcs
        Numbers of the arcs used, of those given.
    start, end
        Their points.
    flat
        Which of them are part of the planar network; the others are bridges: no loop leads over one.
    origin
        The point that each half of an arc leaves; half ``2 a`` goes along arc ``a``, half ``2 a + 1`` back.
    begins, around, position
        Halves that leave each point, counterclockwise, and the place of each half among them.
    """

    x: FloatArray
    y: FloatArray
    arcs: IntArray
    start: IntArray
    end: IntArray
    flat: BoolArray
    origin: IntArray
    begins: IntArray
    around: IntArray
    position: IntArray

    @classmethod
    def of(cls, positions: FloatArray, start: IntArray, end: IntArray) -> Layout:
        """
        Lay out arcs.

        Of arcs that cross or overlap the shortest stays. Of the others those are kept, as bridges, without which
        points that the arcs join would fall apart.
        """
        x, y = np.ascontiguousarray(positions.T)
        length = np.hypot(x[end] - x[start], y[end] - y[start])
        order = np.argsort(length, kind="stable")
        flat = _uncrossed(x, y, start, end, order)
        bridge = np.zeros(start.size, bool)
        kernels.bridges(start, end, order, flat, np.arange(x.size), bridge)
        arcs = np.flatnonzero(flat | bridge)
        start, end = start[arcs], end[arcs]
        origin = np.stack([start, end], axis=1).ravel()
        target = np.stack([end, start], axis=1).ravel()
        angle = np.arctan2(y[target] - y[origin], x[target] - x[origin])
        around = np.lexsort((angle, origin))
        position = np.empty(around.size, np.int64)
        position[around] = np.arange(around.size)
        begins = np.searchsorted(origin[around], np.arange(x.size + 1))
        return cls(x, y, arcs, start, end, flat[arcs], origin, begins, around, position)

    def trees(self, present: BoolArray, roots: IntArray) -> Trees:
        """Faces and trees of the arcs between points that are present; trees begin at the roots, where they can."""
        usable = present[self.start] & present[self.end]
        face = np.empty(self.origin.size, np.int64)
        inner = np.zeros(self.origin.size + 1, bool)
        count = kernels.faces(
            self.x,
            self.y,
            self.origin,
            self.begins,
            self.around,
            self.position,
            usable & self.flat,
            face,
            inner,
        )
        points = self.x.size
        order, reached_by, part = (np.empty(points, np.int64) for _ in range(3))
        kernels.span(roots, self.origin, self.begins, self.around, usable, order, reached_by, part)
        return Trees(face, inner[:count], order, reached_by, part)


def _uncrossed(x: FloatArray, y: FloatArray, start: IntArray, end: IntArray, order: IntArray) -> BoolArray:
    """Which arcs cross none of those kept before them."""
    kept = np.zeros(start.size, bool)
    if start.size == 0:
        return kept
    width, height = float(np.ptp(x)), float(np.ptp(y))
    side = np.sqrt(max(width * height, 1e-6 * max(width, height) ** 2) / (_CELLS_PER_ARC * start.size))
    side = side if side > 0 else 1.0
    across, along = (x - x.min()) / side, (y - y.min()) / side
    counts = np.empty(start.size, np.int64)
    kernels.cell_counts(across, along, start, end, counts)
    # rounding may reach one cell beyond the last
    columns, rows = int(across.max()) + 2, int(along.max()) + 2
    heads = np.full(columns * rows, -1)
    total = int(counts.sum())
    kernels.uncrossed(
        across,
        along,
        start,
        end,
        order,
        columns,
        heads,
        np.empty(total, np.int64),
        np.empty(total, np.int64),
        kept,
    )
    return kept
