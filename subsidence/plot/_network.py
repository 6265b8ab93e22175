"""The network of pairs in time and perpendicular baseline; that of arcs in space is drawn next door."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.network import Network
from subsidence.plot._arcs import draw_arcs, holds_arcs
from subsidence.plot._axes import add_colorbar, colormap, prepare
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["network"]

#: Corners of one bow where baselines are not known.
_CORNERS = 31


def network(
    stack: xr.Dataset, *, points: xr.Dataset | None = None, ax: Axes | None = None, colorbar: bool = True
) -> Axes:
    r"""
    The network: of pairs in time and perpendicular baseline, or of arcs between points.

    Parameters
    ----------
    stack
        INTERFEROGRAMS, or anything with ``reference`` and ``secondary`` by pair; ``perpendicular_baseline`` (m) and
        ``coherence`` are used where they are there. Or ARCS, coloured by ``temporal_coherence`` where it is there,
        or a SOLUTION; arcs that are not ``accepted`` are dotted and red
        (``arcs.assign(accepted=solution.accepted.variable)`` has both).
    points
        With arcs: the POINTS that they join. A SOLUTION brings its own.
    ax
        Axes to draw on; those of a new figure when None.
    colorbar
        Whether to put a colour bar for coherence beside it.

    Returns
    -------
    matplotlib.axes.Axes
        Of pairs: without a finite baseline for every acquisition pairs are bows, as high as they are long in days;
        the axis says so. Of arcs: a map in the coordinates of the points; the points themselves are drawn where
        they are at most 5,000.

    Raises
    ------
    InputError
        When the dates of the pairs are missing, not datetime64, empty, there twice, or a reference is not
        before its secondary; when the arcs join points that are not there, or come without points.

    Notes
    -----
    The baseline of each acquisition follows from those of the pairs by least squares, zero at the first one
    (at the first of each part, where the network falls apart):

    .. math:: B_{\perp, ij} = b_j - b_i, \quad b_0 = 0

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from matplotlib.figure import Figure
    >>> dates = np.array(["2018-01-06", "2018-01-30", "2018-03-07"], "datetime64[ns]")
    >>> pairs = xr.Dataset(
    ...     coords={
    ...         "reference": ("pair", dates[[0, 0, 1]]),
    ...         "secondary": ("pair", dates[[1, 2, 2]]),
    ...         "perpendicular_baseline": ("pair", [50.0, -20.0, -70.0], {"units": "m"}),
    ...     }
    ... )
    >>> ax = network(pairs, ax=Figure().subplots())
    >>> ax.collections[1].get_offsets()[:, 1].round(6).tolist()
    [0.0, 50.0, -20.0]
    >>> from subsidence import simulate
    >>> points, _ = simulate.point_scene(points=3, epochs=10, seed=1)
    >>> arcs = xr.Dataset({"start": ("arc", [0, 1]), "end": ("arc", [1, 2])})
    >>> network(arcs, points=points, ax=Figure().subplots()).get_title()
    '2 arcs between 3 points'
    """
    if holds_arcs(stack):
        return draw_arcs(stack, points, ax=ax, colorbar=colorbar)
    if points is not None:
        msg = "points belongs to arcs, and stack holds none ('start' and 'end', dims ('arc',)): leave points away"
        raise InputError(msg)
    pairs = _checked_pairs(stack)
    coherence = _mean_over_place(stack, "coherence")
    heights = _epoch_baselines(pairs, _mean_over_place(stack, "perpendicular_baseline"))
    axes = prepare(ax, function="network")
    mdates = require("matplotlib.dates", extra="plot", purpose="plot.network")
    collections = require("matplotlib.collections", extra="plot", purpose="plot.network")
    days = np.asarray(mdates.date2num(pairs.dates), float)
    lines = collections.LineCollection(_segments(pairs, days, heights), linewidths=1.2, zorder=1)
    if coherence is None:
        lines.set_color("0.45")
    else:
        lines.set(array=np.ma.masked_invalid(coherence), cmap=colormap("batlow"), clim=(0.0, 1.0))
    axes.add_collection(lines)
    axes.scatter(days, np.zeros_like(days) if heights is None else heights, s=18, color="black", zorder=2)
    axes.autoscale_view()
    locator = mdates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axes.set_ylabel(
        "days between acquisitions\n(perpendicular baselines are not known)"
        if heights is None
        else "perpendicular baseline (m)"
    )
    axes.set_title(f"{pairs.first.size} pairs of {pairs.dates.size} acquisitions")
    if coherence is not None and colorbar:
        add_colorbar(axes, lines, "mean coherence")
    return axes


def _checked_pairs(stack: object) -> Network:
    if not isinstance(stack, xr.Dataset):
        msg = f"stack must be an xarray.Dataset (INTERFEROGRAMS), got {type(stack).__name__}"
        raise InputError(msg)
    for name in ("reference", "secondary"):
        if name not in stack.variables or stack[name].dims != ("pair",) or stack[name].dtype.kind != "M":
            msg = f"stack needs {name!r}, the dates of its pairs as datetime64, dims ('pair',)"
            raise InputError(msg)
    return Network.of(stack)


def _mean_over_place(stack: xr.Dataset, name: str) -> FloatArray | None:
    """One value for each pair; None when there is none at all."""
    if name not in stack.variables or "pair" not in stack[name].dims:
        return None
    values = stack[name]
    # In float64: a float32 sum over millions of pixels loses digits.
    mean = values.astype(float).mean([dim for dim in values.dims if dim != "pair"]).values
    return np.asarray(mean) if np.isfinite(mean).any() else None


def _epoch_baselines(pairs: Network, baselines: FloatArray | None) -> FloatArray | None:
    """Baseline of each acquisition, zero at the first of each part; None when that of one is not known."""
    if baselines is None:
        return None
    known = np.isfinite(baselines)
    used = Network(pairs.dates, pairs.first[known], pairs.second[known])
    if np.unique([used.first, used.second]).size < pairs.dates.size:
        return None
    return used.solve(baselines[known])


def _segments(pairs: Network, days: FloatArray, heights: FloatArray | None) -> FloatArray:
    """Corners of one line for each pair, (pair, corner, 2)."""
    if heights is not None:
        ends = np.stack([days, heights], axis=-1)
        return np.stack([ends[pairs.first], ends[pairs.second]], axis=1)
    start, end = days[pairs.first][:, None], days[pairs.second][:, None]
    along = np.linspace(0.0, 1.0, _CORNERS)
    return np.stack([start + (end - start) * along, (end - start) * 4 * along * (1 - along)], axis=-1)
