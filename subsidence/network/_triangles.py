"""Triangles of arcs in space, and by how much the values along their arcs fail to close."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence._kernels import triangles as kernel
from subsidence._points import point_positions
from subsidence.errors import InputError
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["triangle_misclosure", "triangles"]

#: Quantities of ARCS that are differences, end minus start, and so add up to zero around a triangle.
_DIFFERENCES = ("velocity", "residual_height", "seasonal_sine", "seasonal_cosine", "thermal_expansion")


def triangles(
    start: npt.ArrayLike, end: npt.ArrayLike, positions: npt.ArrayLike | None = None
) -> tuple[IntArray, npt.NDArray[np.int8]]:
    """
    Triangles that arcs form.

    Parameters
    ----------
    start, end
        Point numbers of every arc. Of several arcs between the same two points the first is used; one that
        ends where it starts is left out.
    positions
        x and y of every point, ``(point, 2)``. With them, each arc takes part in the triangle that sees it under
        the widest angle on its left and on its right, and in those that its neighbours choose: of a Delaunay
        triangulation these are its faces, of any network at most two for each arc. Without them every three
        arcs that close are a triangle.

    Returns
    -------
    arcs : numpy.ndarray
        Arc numbers ``(triangle, 3)``, in the order of a walk around it.
    signs : numpy.ndarray
        +1 where that walk goes along the arc, -1 against it, int8; ``(signs * values[arcs]).sum(1)`` is the
        misclosure. The walk begins at the lowest point number; it is anticlockwise, or without positions goes
        to the second lowest first.
    """
    origin, target = (np.asarray(values, np.int64) for values in (start, end))
    low, high = np.minimum(origin, target), np.maximum(origin, target)
    count = int(high.max()) + 1 if high.size else 0
    degree = np.bincount(low, minlength=count) + np.bincount(high, minlength=count)
    rank = np.empty(count, np.int64)
    by_degree = np.lexsort((np.arange(count), degree))
    rank[by_degree] = np.arange(count)
    first_end, second_end = rank[low], rank[high]
    tail, head = np.minimum(first_end, second_end), np.maximum(first_end, second_end)
    _, numbers = np.unique(tail * count + head, return_index=True)
    numbers = numbers[tail[numbers] != head[numbers]]
    first = np.concatenate([[0], np.cumsum(np.bincount(tail[numbers], minlength=count))])
    out = head[numbers]
    if positions is None:
        sides = np.empty((kernel.count_cycles(first, out), 3), np.int64)
        kernel.list_cycles(first, out, sides)
    else:
        plane = np.asarray(positions, np.float64)[:count][by_degree]
        x, y = np.ascontiguousarray(plane[:, 0]), np.ascontiguousarray(plane[:, 1])
        best = np.empty((out.size, 2), np.int64)
        cycles = kernel.widest(first, out, x, y, np.empty(best.shape), best)
        sides = np.empty((min(cycles, best.size), 3), np.int64)
        sides = sides[: kernel.list_faces(first, out, best, sides)]
    arcs = numbers[sides]
    if arcs.size == 0:
        return np.empty((0, 3), np.int64), np.empty((0, 3), np.int8)
    return _walk(arcs, low, high, origin, positions)


def triangle_misclosure(arcs: xr.Dataset, *, points: xr.Dataset | None = None) -> xr.Dataset:
    r"""
    By how much the phase model along arcs fails to close around triangles.

    Parameters
    ----------
    arcs
        ARCS with ``velocity`` or any other parameter of the phase model, end minus start, as from
        :func:`search_phase_model`.
    points
        POINTS that the arcs join. With their positions, the triangles are the faces of a Delaunay
        triangulation, and of any network at most two for each arc; without, every three arcs that close.

    Returns
    -------
    xarray.Dataset
        Dims ``triangle`` and ``corner`` (3): ``corner_point`` the point numbers, ``side_arc`` the arc from each
        corner to the next, ``side_sign`` +1 where that arc starts at the corner and -1 where it ends there; and
        for every parameter its misclosure in its own unit, such as ``velocity_misclosure`` (m/year), NaN where
        an arc has none.

    Raises
    ------
    InputError
        When `arcs` is not ARCS, has no parameter, or joins points that `points` has not.

    Notes
    -----
    .. math:: m = \Delta_{ij} + \Delta_{jk} - \Delta_{ik}

    A misclosure much above the standard deviations of its arcs says that one of them has a wrong ambiguity. One
    near zero does not say that they are right: the noise of the points themselves always closes.

    Examples
    --------
    >>> import xarray as xr
    >>> arcs = xr.Dataset(
    ...     {"velocity": ("arc", [0.01, 0.02, 0.04])},
    ...     {"start": ("arc", [0, 1, 0]), "end": ("arc", [1, 2, 2])},
    ... )
    >>> result = triangle_misclosure(arcs)
    >>> result.corner_point.values.tolist(), result.velocity_misclosure.round(6).values.tolist()
    ([[0, 1, 2]], [-0.01])
    """
    schema.ARCS.check(arcs, argument="arcs")
    names = [name for name in _DIFFERENCES if name in arcs.variables]
    if not names:
        msg = f"arcs has no parameter of the phase model: expected one of {_DIFFERENCES}, as from search_phase_model"
        raise InputError(msg)
    start, end = (np.asarray(arcs[name].values, np.int64) for name in ("start", "end"))
    numbers = np.concatenate([start, end])
    if numbers.min(initial=0) < 0:
        msg = f"arcs joins point {numbers.min()}, but points are counted from 0"
        raise InputError(msg)
    positions: FloatArray | None = None
    if points is not None:
        positions = point_positions(points)
        if numbers.max(initial=-1) >= len(positions):
            msg = f"arcs joins point {numbers.max()}, but points has {len(positions)}, counted from 0"
            raise InputError(msg)
    sides, signs = triangles(start, end, positions)
    corner = np.where(signs > 0, start[sides], end[sides])
    dims = ("triangle", "corner")
    found: dict[str, tuple[object, AnyArray] | tuple[object, AnyArray, dict[str, str]]] = {
        "corner_point": (dims, corner, {"long_name": "point number of each corner"}),
        "side_arc": (dims, sides, {"long_name": "arc from each corner to the next"}),
        "side_sign": (dims, signs, {"long_name": "1 along the arc, -1 against it"}),
    }
    for name in names:
        values = np.asarray(arcs[name].values, np.float64)
        what = schema.VARIABLES[name]
        attrs = {"units": what.units, "long_name": f"misclosure of {what.long_name}"}
        found[f"{name}_misclosure"] = ("triangle", (signs * values[sides]).sum(axis=1), attrs)
    return xr.Dataset(found)


def _walk(
    arcs: IntArray, low: IntArray, high: IntArray, origin: IntArray, positions: npt.ArrayLike | None
) -> tuple[IntArray, npt.NDArray[np.int8]]:
    """Bring the arcs of each triangle, and the triangles, into an order that depends on the points alone."""
    corners = np.sort(np.concatenate([low[arcs], high[arcs]], axis=1), axis=1)[:, ::2]
    # by their ends: the arc of the two lowest corners, of the two highest, of the lowest and the highest
    order = np.argsort(low[arcs] + 0.5 * (high[arcs] == corners[:, 2:]) * (low[arcs] == corners[:, :1]), axis=1)
    arcs = np.take_along_axis(arcs, order, axis=1)  # (01), (02), (12)
    walk = arcs[:, [0, 2, 1]]
    leaves = corners
    if positions is not None:
        plane = np.asarray(positions, np.float64)
        a, b, c = (plane[corners[:, k]] for k in range(3))
        clockwise = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) < (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        walk = np.where(clockwise[:, None], walk[:, ::-1], walk)
        leaves = np.where(clockwise[:, None], corners[:, [0, 2, 1]], corners)
    signs = np.where(origin[walk] == leaves, 1, -1).astype(np.int8)
    by_points = np.lexsort(corners.T[::-1])
    return walk[by_points], signs[by_points]
