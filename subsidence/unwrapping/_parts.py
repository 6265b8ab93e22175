"""Parts of a network of points, and the point or area that the values of each are relative to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import sparse
from scipy.sparse import csgraph

from subsidence.errors import InputError
from subsidence.typing import BoolArray, FloatArray, IntArray

__all__ = ["Parts"]


@dataclass(frozen=True, eq=False)
class Parts:
    """
    Connected parts, each with members that stand for its zero.

    Parameters
    ----------
    number
        Part of each point, -1 where no arc leads.
    anchors
        Of each part, the points whose mean is zero.
    neighbours
        Arcs both ways: row p has the points that arcs join to p.
    """

    number: IntArray
    anchors: tuple[IntArray, ...]
    neighbours: sparse.csr_array

    @classmethod
    def of(cls, solution: xr.Dataset, count: int, start: IntArray, end: IntArray) -> Parts:
        """Parts that accepted arcs join, and their anchors as `solution` says."""
        ones = np.ones(start.size, np.int8)
        graph = sparse.coo_array((ones, (start, end)), shape=(count, count))
        neighbours = sparse.csr_array(graph + graph.T)
        labels = np.asarray(csgraph.connected_components(neighbours, directed=False)[1], np.int64)
        joined = np.diff(neighbours.indptr) > 0
        number = np.full(count, -1)
        number[joined] = np.unique(labels[joined], return_inverse=True)[1]
        members = np.flatnonzero(joined)
        _, first = np.unique(number[members], return_index=True)
        anchors = [members[[at]] for at in first]
        for part, chosen in _own_anchors(solution, number):
            anchors[part] = chosen
        return cls(number, tuple(anchors), neighbours)

    @property
    def roots(self) -> IntArray:
        """One anchor of each part."""
        return np.array([members[0] for members in self.anchors], np.int64)

    def relate(self, values: FloatArray, tree: IntArray, present: BoolArray) -> FloatArray:
        """
        Take off the value of each part's anchor; NaN where nothing leads to it.

        Parameters
        ----------
        values
            Of points, right relative to each other within a tree.
        tree
            Which tree each point is in.
        present
            Points with a value. Where no anchor of a part has one, the median of its neighbours stands for it.
        """
        home = np.full(len(self.anchors) + 1, -1)
        level = np.full(home.size, np.nan)
        first = self.roots
        single = np.array([members.size == 1 for members in self.anchors], bool) & present[first]
        home[:-1][single] = tree[first[single]]
        level[:-1][single] = values[first[single]]
        for part in np.flatnonzero(~single):
            members = self.anchors[part]
            found = members[present[members]]
            lost = found.size == 0
            if lost:
                near = self._near(members)
                found = near[present[near]]
            if found.size == 0:
                continue
            trees, counts = np.unique(tree[found], return_counts=True)
            home[part] = trees[np.argmax(counts)]
            chosen = values[found[tree[found] == home[part]]]
            # of few neighbours one may be wrong by a cycle
            level[part] = np.median(chosen) if lost else chosen.mean()
        kept = present & (tree == home[self.number])
        result: FloatArray = np.where(kept, values - level[self.number], np.nan)
        return result

    def steady(self, values: FloatArray, present: BoolArray) -> None:
        """
        Mend the zero, in place, at epochs where no anchor of a part has data.

        There the neighbours stood for it as they are. Their median difference from the anchor over the other epochs
        comes off: without it such epochs would jump by the noise that all epochs share, the reference epoch's.

        Parameters
        ----------
        values
            Of points relative to their anchors, ``(n, point)``.
        present
            Points with data, ``(n, point)``.
        """
        for part, members in enumerate(self.anchors):
            there = present[:, members].any(axis=1)
            if there.all() or not there.any():
                continue
            near = self._near(members)
            known = near[np.isfinite(values[np.ix_(there, near)]).any(axis=0)]
            usual = np.nanmedian(values[np.ix_(there, known)], axis=0)
            inside = self.number == part
            for epoch in np.flatnonzero(~there):
                beside = values[epoch, known] - usual
                beside = beside[np.isfinite(beside)]
                if beside.size:
                    values[epoch, inside] -= np.median(beside)

    def _near(self, members: IntArray) -> IntArray:
        """Points that arcs join to any of `members`."""
        rows = [self.neighbours.indices[slice(*self.neighbours.indptr[point : point + 2])] for point in members]
        return np.setdiff1d(np.concatenate(rows), members).astype(np.int64)


def _own_anchors(solution: xr.Dataset, number: IntArray) -> list[tuple[int, IntArray]]:
    """Anchors that the solution tells of: points of least error, and the reference point or area."""
    found: list[tuple[int, IntArray]] = []
    if "velocity_std" in solution.variables:
        std = np.asarray(solution["velocity_std"].values, np.float64)
        members = np.flatnonzero((number >= 0) & np.isfinite(std))
        best = members[np.lexsort((members, std[members], number[members]))]
        parts, first = np.unique(number[best], return_index=True)
        found += [(int(part), best[[at]]) for part, at in zip(parts, first, strict=True)]
    if "reference_area" in solution.variables:
        area = np.flatnonzero(np.asarray(solution["reference_area"].values, bool) & (number >= 0))
        if area.size:
            home = int(np.argmax(np.bincount(number[area])))
            found.append((home, area[number[area] == home]))
    elif "reference_point" in solution.attrs:
        point = int(solution.attrs["reference_point"])
        if not 0 <= point < number.size:
            msg = f"solution.attrs['reference_point'] is {point}, but there are {number.size} points"
            raise InputError(msg)
        if number[point] >= 0:
            found.append((int(number[point]), np.array([point])))
    return found
