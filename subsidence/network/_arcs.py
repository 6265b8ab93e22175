"""Arcs in space: which points are joined to which."""

from __future__ import annotations

import math
import warnings

import numpy as np
import xarray as xr
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, QhullError, cKDTree

from subsidence import schema
from subsidence._points import point_positions
from subsidence.errors import DisconnectedNetworkWarning, InputError
from subsidence.typing import FloatArray, IntArray, is_number

__all__ = ["delaunay_arcs", "nearest_arcs", "parts"]

#: Width of a set of points over its length below which it is taken for a line, where triangles are slivers of
#: rounding errors.
_LINE = 1e-9
#: Parts whose sizes a warning writes out.
_SHOWN = 5


def delaunay_arcs(points: xr.Dataset, *, max_length: float | None = None, neighbours: int = 0) -> xr.Dataset:
    """
    Arcs of the Delaunay triangulation of points.

    Parameters
    ----------
    points
        POINTS, or any Dataset with ``x`` and ``y`` in metres, or ``lon`` and ``lat`` in degrees, along ``point``.
    max_length
        Longest arc in metres; None for any.
    neighbours
        Arcs from every point to so many nearest points besides: the redundancy that tells a wrong arc from
        a right one. The triangulation alone has some three arcs for each point.

    Returns
    -------
    xarray.Dataset
        ARCS: ``start`` < ``end``, point numbers; ``length`` in metres. Sorted, each arc once.

    Raises
    ------
    InputError
        When there is no point, a position is missing or in degrees under the names of metres, or an option is
        out of range.

    Warns
    -----
    DisconnectedNetworkWarning
        When `max_length` leaves parts that no arc joins. All points stay; the parts are solved separately.

    Notes
    -----
    Points at one place are triangulated once; each of them is joined to the first of them by an arc of length
    zero. Points on a line are joined one after the other.

    Examples
    --------
    >>> import xarray as xr
    >>> corners = xr.Dataset({"x": ("point", [0.0, 100.0, 0.0, 90.0]), "y": ("point", [0.0, 0.0, 100.0, 90.0])})
    >>> arcs = delaunay_arcs(corners, max_length=120.0)
    >>> list(zip(arcs.start.values.tolist(), arcs.end.values.tolist()))
    [(0, 1), (0, 2), (1, 3), (2, 3)]
    """
    _check_length(max_length)
    _check_neighbours(neighbours, least=0)
    places = _Places(points)
    start, end = places.triangulated()
    if neighbours:
        more = places.nearest(neighbours)
        start, end = np.concatenate([start, more[0]]), np.concatenate([end, more[1]])
    return _arcs(places, start, end, max_length, "raise max_length")


def nearest_arcs(points: xr.Dataset, *, neighbours: int = 8, max_length: float | None = None) -> xr.Dataset:
    """
    Arcs from every point to its nearest points.

    Parameters
    ----------
    points
        As for :func:`delaunay_arcs`.
    neighbours
        Nearest points that each point is joined to. It may have more arcs, where it is among the nearest of others.
    max_length
        Longest arc in metres; None for any.

    Returns
    -------
    xarray.Dataset
        ARCS: ``start`` < ``end``, point numbers; ``length`` in metres. Sorted, each arc once.

    Raises
    ------
    InputError
        As :func:`delaunay_arcs`.

    Warns
    -----
    DisconnectedNetworkWarning
        When the arcs leave parts that none joins: between clusters wider apart than they are large there
        is no nearest point to lead across.

    Notes
    -----
    Points at one place count as one neighbour, the first of them, to which the others are joined by an arc of
    length zero.

    Examples
    --------
    >>> import xarray as xr
    >>> line = xr.Dataset({"x": ("point", [0.0, 100.0, 250.0]), "y": ("point", [0.0, 0.0, 0.0])})
    >>> arcs = nearest_arcs(line, neighbours=1)
    >>> arcs.start.values.tolist(), arcs.end.values.tolist(), arcs.length.values.tolist()
    ([0, 1], [1, 2], [100.0, 150.0])
    """
    _check_length(max_length)
    _check_neighbours(neighbours, least=1)
    places = _Places(points)
    start, end = places.nearest(neighbours)
    return _arcs(
        places,
        start,
        end,
        max_length,
        "raise neighbours or use delaunay_arcs" if max_length is None else "raise max_length or neighbours",
    )


def parts(arcs: xr.Dataset, count: int) -> IntArray:
    """
    Connected part that each of `count` points belongs to, int64: 0 the largest; of equal ones the first comes first.

    A point that no arc leads to is a part of its own.
    """
    start, end = (np.asarray(arcs[name].values, np.int64) for name in ("start", "end"))
    if start.size and max(start.max(), end.max()) >= count:
        msg = f"arcs joins point {max(start.max(), end.max())}, but there are {count} points, counted from 0"
        raise InputError(msg)
    graph = coo_matrix((np.ones(start.size, bool), (start, end)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    _, first, sizes = np.unique(label, return_index=True, return_counts=True)
    rank = np.empty(sizes.size, np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(sizes.size)
    return np.asarray(rank[label], np.int64)


class _Places:
    """Positions of points, those that several share taken once."""

    def __init__(self, points: xr.Dataset) -> None:
        if not isinstance(points, xr.Dataset) or "point" not in points.dims:
            got = f"dims {tuple(map(str, points.dims))}" if isinstance(points, xr.Dataset) else type(points).__name__
            msg = f"points must be a Dataset with a dim 'point' (POINTS), got {got}"
            raise InputError(msg)
        self.all = point_positions(points)
        self.count = len(self.all)
        if self.count == 0:
            msg = "points holds no point: there is nothing to join"
            raise InputError(msg)
        _, first, number = np.unique(self.all, axis=0, return_index=True, return_inverse=True)
        #: for every point the first one at its place
        self.first: IntArray = np.asarray(first[number.ravel()], np.int64)
        #: the first points
        self.chosen: IntArray = np.sort(np.asarray(first, np.int64))
        # near zero, so that large coordinates cost triangulation no digits
        self.plane: FloatArray = self.all[self.chosen] - self.all[self.chosen].mean(axis=0)

    def triangulated(self) -> tuple[IntArray, IntArray]:
        """Arcs of the triangulation, or along the line where all points lie on one."""
        size = len(self.plane)
        if size < 3:
            return self.chosen[: size - 1], self.chosen[1:]
        _, stretch, axes = np.linalg.svd(self.plane, full_matrices=False)
        if stretch[1] > _LINE * stretch[0]:
            try:
                found = Delaunay(self.plane)
            except QhullError:  # a line to within its own rounding errors
                pass
            else:
                corners = self.chosen[found.simplices]
                # points too near to another for a triangle of their own
                near = self.chosen[found.coplanar[:, [0, 2]]]
                sides = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]], near])
                return sides[:, 0], sides[:, 1]
        order = self.chosen[np.argsort(self.plane @ axes[0], kind="stable")]
        return order[:-1], order[1:]

    def nearest(self, neighbours: int) -> tuple[IntArray, IntArray]:
        """Arcs from every point to the first points of the nearest other places."""
        wanted = min(neighbours, len(self.plane) - 1)
        if wanted == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        found = np.asarray(cKDTree(self.plane).query(self.plane, k=wanted + 1)[1], np.int64)
        place = np.searchsorted(self.chosen, self.first)
        start = np.repeat(np.arange(self.count), wanted + 1)
        end = self.chosen[found[place].ravel()]
        other = end != self.first[start]
        return start[other], end[other]

    def twins(self) -> tuple[IntArray, IntArray]:
        """Arcs of length zero, from the first point at a place to the others."""
        others = np.flatnonzero(self.first != np.arange(self.count))
        return self.first[others], others


def _arcs(places: _Places, start: IntArray, end: IntArray, max_length: float | None, cure: str) -> xr.Dataset:
    """ARCS of these arcs and those between points at one place, with a warning where they leave parts."""
    twins = places.twins()
    start, end = np.concatenate([start, twins[0]]), np.concatenate([end, twins[1]])
    low, high = np.minimum(start, end), np.maximum(start, end)
    number = np.unique(low * places.count + high)
    low, high = number // places.count, number % places.count
    length = np.hypot(*(places.all[high] - places.all[low]).T)
    if max_length is not None:
        near = length <= max_length
        low, high, length = low[near], high[near], length[near]
    arcs = schema.ARCS.stamp(xr.Dataset({"start": ("arc", low), "end": ("arc", high), "length": ("arc", length)}))
    _warn_of_parts(arcs, places.count, max_length, cure)
    return arcs


def _warn_of_parts(arcs: xr.Dataset, count: int, max_length: float | None, cure: str) -> None:
    sizes = np.bincount(parts(arcs, count))
    if sizes.size == 1:
        return
    alone = int((sizes == 1).sum())
    large = sizes[sizes > 1]
    shown = [str(size) for size in large[:_SHOWN]]
    if large.size > _SHOWN:
        shown.append(f"{int(large[_SHOWN:].sum())} (in {large.size - _SHOWN} smaller parts)")
    if alone:
        shown.append(f"{alone} points without any arc" if alone > 1 else "one point without any arc")
    words = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    limit = "" if max_length is None else f" of at most {max_length:g} m"
    msg = (
        f"the network of {count} points falls into {sizes.size} parts that no arc{limit} joins, with {words}"
        f"{' points' if not alone else ''}: each is solved by itself, relative to a point of its own; "
        f"to join them {cure}"
    )
    warnings.warn(msg, DisconnectedNetworkWarning, stacklevel=4)


def _check_length(max_length: float | None) -> None:
    if max_length is None:
        return
    if not is_number(max_length) or not math.isfinite(max_length) or max_length <= 0:
        msg = f"max_length must be a positive number of metres, or None for any, got {max_length!r}"
        raise InputError(msg)


def _check_neighbours(neighbours: int, *, least: int) -> None:
    if isinstance(neighbours, bool) or not isinstance(neighbours, (int, np.integer)) or neighbours < least:
        msg = f"neighbours must be a whole number, {least} or more, got {neighbours!r}"
        raise InputError(msg)
