"""The network of arcs between points, on a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.plot._axes import add_colorbar, colormap, prepare
from subsidence.plot._ground import Ground, dress, ground_of
from subsidence.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

__all__ = ["draw_arcs", "holds_arcs"]

#: More than this are drawn as an image also where the figure is saved as lines.
_RASTERIZED = 5_000
#: More points than this are a blot: the ends of the arcs show where they are.
_DOTS = 5_000
#: Part of the colour map that is dark enough for lines.
_DARK = 0.75


def holds_arcs(data: object) -> bool:
    """Whether `data` is of arcs (ARCS or SOLUTION) and not of pairs in time."""
    return isinstance(data, xr.Dataset) and "arc" in data.dims and {"start", "end"} <= set(data.variables)


def draw_arcs(arcs: xr.Dataset, points: xr.Dataset | None, *, ax: Axes | None, colorbar: bool) -> Axes:
    """Arcs as lines between points: coloured by temporal coherence, red where they were rejected."""
    ground = _places(arcs, points)
    start, end = _ends(arcs, ground.x.size)
    coherence = _of_arcs(arcs, "temporal_coherence", "fiu")
    kept = _of_arcs(arcs, "accepted", "b")
    accepted: BoolArray = np.ones(start.size, bool) if kept is None else kept.astype(bool)
    axes = prepare(ax, function="network")
    collections = require("matplotlib.collections", extra="plot", purpose="plot.network")
    ends = np.stack([ground.x, ground.y], axis=-1)
    segments = np.stack([ends[start], ends[end]], axis=1)
    width = float(np.clip(60.0 / np.sqrt(start.size), 0.3, 1.2))
    look = {"linewidths": width, "rasterized": start.size > _RASTERIZED}
    lines = collections.LineCollection(segments[accepted], zorder=1, **look)
    if coherence is None:
        lines.set_color("0.45")
    else:
        lines.set(array=np.ma.masked_invalid(coherence[accepted]), cmap=_dark_colours(), clim=(0.0, 1.0))
    axes.add_collection(lines)
    rejected = int((~accepted).sum())
    if rejected:
        # They lie below, dotted, in a red that the colour map does not have: few, and still seen among many.
        wrong = collections.LineCollection(
            segments[~accepted], colors="#e3001b", linestyles=":", label="rejected", zorder=0.9, **look
        )
        wrong.set_linewidth(max(width, 0.6))
        axes.add_collection(wrong)
        axes.legend(handles=[wrong], loc="upper right", fontsize="small")
    if ground.x.size <= _DOTS:
        size = float(np.clip(3000 / ground.x.size, 1.0, 12.0))
        axes.scatter(ground.x, ground.y, s=size, color="black", linewidths=0, zorder=2)
    axes.autoscale_view()
    dress(axes, ground)
    words = f"{start.size} arcs between {ground.x.size} points"
    axes.set_title(f"{words}, {rejected} rejected" if kept is not None else words)
    if coherence is not None and colorbar:
        add_colorbar(axes, lines, "temporal coherence")
    return axes


def _dark_colours() -> Colormap:
    """The colour map without its pale end: thin lines of good arcs would be lost on white."""
    colors = require("matplotlib.colors", extra="plot", purpose="plot.network")
    found: Colormap = colors.ListedColormap(colormap("batlow")(np.linspace(0.0, _DARK, 256)))
    return found.with_extremes(bad="0.75")


def _places(arcs: xr.Dataset, points: xr.Dataset | None) -> Ground:
    if points is None:
        if "point" not in arcs.dims:  # a SOLUTION brings its own
            msg = "points must be the POINTS that the arcs join, got None: arcs know their ends by number alone"
            raise InputError(msg)
        points = arcs
    if not isinstance(points, xr.Dataset) or "point" not in points.dims:
        got = tuple(map(str, points.dims)) if isinstance(points, xr.Dataset) else type(points).__name__
        msg = f"points must be an xarray.Dataset with dim 'point' (POINTS), got {got}"
        raise InputError(msg)
    return ground_of(points, ("point",))


def _ends(arcs: xr.Dataset, count: int) -> tuple[IntArray, IntArray]:
    ends = []
    for name in ("start", "end"):
        if arcs[name].dims != ("arc",) or arcs[name].dtype.kind not in "iu":
            msg = f"{name!r} must hold whole numbers of points, dims ('arc',), got {arcs[name].dtype}"
            raise InputError(msg)
        ends.append(np.asarray(arcs[name].values, np.int64))
    if ends[0].size == 0:
        msg = "stack holds no arc: there is nothing to draw"
        raise InputError(msg)
    low, high = min(int(end.min()) for end in ends), max(int(end.max()) for end in ends)
    if low < 0 or high >= count:
        msg = (
            f"arcs join points {low}..{high}, but points holds {count} (0..{count - 1}): "
            "give the POINTS from which the arcs were made"
        )
        raise InputError(msg)
    return ends[0], ends[1]


def _of_arcs(arcs: xr.Dataset, name: str, kinds: str) -> FloatArray | None:
    """One number for each arc; None where there is none."""
    if name not in arcs.variables or arcs[name].dims != ("arc",):
        return None
    if arcs[name].dtype.kind not in kinds:
        msg = f"{name!r} has dtype {arcs[name].dtype}, expected {'boolean' if kinds == 'b' else 'real numbers'}"
        raise InputError(msg)
    return np.asarray(arcs[name].values, float)
