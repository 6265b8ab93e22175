"""Temporal coherence over what was searched along one arc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.plot._axes import add_colorbar, colormap, prepare
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["coherence_surface"]

_METRES_TO_SHOWN = 1e3


def coherence_surface(surface: xr.Dataset, *, ax: Axes | None = None, colorbar: bool = True) -> Axes:
    """
    Temporal coherence of an arc over velocity and residual height, with its peak.

    Parameters
    ----------
    surface
        Result of :func:`subsidence.coherence_surface`: ``temporal_coherence`` with dims ``velocity`` (m/year)
        and ``residual_height`` (m), or ``velocity`` alone where there are no baselines.
    ax
        Axes to draw on; those of a new figure when None.
    colorbar
        Whether to put a colour bar beside it.

    Returns
    -------
    matplotlib.axes.Axes
        Velocity in mm/yr across, residual height in m upwards, end minus start; the highest node is marked, and told
        in the title. Of velocity alone a curve.

    Raises
    ------
    InputError
        When ``temporal_coherence`` is missing, has other dims or no finite value, or a dim has no coordinate.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from matplotlib.figure import Figure
    >>> velocity, height = np.linspace(-0.04, 0.04, 81), np.linspace(-40.0, 40.0, 41)
    >>> hill = np.exp(-(((velocity[:, None] + 0.01) / 0.005) ** 2) - ((height - 12.0) / 8.0) ** 2)
    >>> surface = xr.Dataset(
    ...     {"temporal_coherence": (("velocity", "residual_height"), hill)},
    ...     {"velocity": velocity, "residual_height": height},
    ... )
    >>> coherence_surface(surface, ax=Figure().subplots()).get_title()
    'peak 1.00 at -10.0 mm/yr, 12.0 m'
    """
    dims, coherence = _checked(surface)
    velocity = _METRES_TO_SHOWN * np.asarray(surface["velocity"].values, float)
    axes = prepare(ax, function="coherence_surface")
    best = np.unravel_index(int(np.nanargmax(coherence)), coherence.shape)
    named = {"start", "end"} <= set(surface.attrs)
    words = f"points {surface.attrs['start']} to {surface.attrs['end']}: " if named else ""
    words += f"peak {coherence[best]:.2f} at {velocity[best[0]]:.1f} mm/yr"
    axes.set_xlabel("velocity (mm/yr)")
    if len(dims) == 1:
        axes.plot(velocity, coherence, color="0.2", linewidth=1.0)
        axes.set_ylim(0.0, 1.0)
        axes.set_ylabel("temporal coherence")
        _mark(axes, float(velocity[best]), float(coherence[best]))
    else:
        height = np.asarray(surface["residual_height"].values, float)
        colors = require("matplotlib.colors", extra="plot", purpose="plot.coherence_surface")
        mesh = axes.pcolormesh(
            velocity,
            height,
            np.ma.masked_invalid(coherence.T),
            cmap=colormap("batlow"),
            norm=colors.Normalize(0.0, 1.0),
            shading="nearest",
            rasterized=True,
        )
        axes.set_ylabel("residual height (m)")
        words += f", {height[best[1]]:.1f} m"
        _mark(axes, float(velocity[best[0]]), float(height[best[1]]))
        if colorbar:
            add_colorbar(axes, mesh, "temporal coherence")
    axes.set_title(words)
    return axes


def _checked(surface: object) -> tuple[tuple[str, ...], FloatArray]:
    """Dims and coherence, velocity first."""
    if not isinstance(surface, xr.Dataset) or "temporal_coherence" not in surface:
        got = f"one without 'temporal_coherence': {tuple(surface)}" if isinstance(surface, xr.Dataset) else surface
        what = got if isinstance(got, str) else type(surface).__name__
        msg = f"surface must be the Dataset that coherence_surface returns, got {what}"
        raise InputError(msg)
    values = surface["temporal_coherence"]
    dims = ("velocity", "residual_height") if "residual_height" in values.dims else ("velocity",)
    if set(values.dims) != set(dims):
        msg = f"'temporal_coherence' has dims {tuple(map(str, values.dims))}, expected {dims}: select one arc"
        raise InputError(msg)
    for dim in dims:
        if dim not in surface.coords or surface.sizes[dim] < 2:
            msg = f"surface must have at least two nodes of {dim!r}, and their values as a coordinate"
            raise InputError(msg)
    coherence = np.asarray(values.transpose(*dims).values, float)
    if not np.isfinite(coherence).any():
        msg = "'temporal_coherence' has no finite value: there is nothing to draw"
        raise InputError(msg)
    return dims, coherence


def _mark(ax: Axes, x: float, y: float) -> None:
    """A ring that leaves the peak itself to be seen, dark and light so that it shows on any colour."""
    for colour, width in (("white", 2.6), ("black", 1.2)):
        ax.plot(
            [x],
            [y],
            marker="o",
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=colour,
            markeredgewidth=width,
            linestyle="none",
            label="peak",
            scalex=False,
            scaley=False,
        )
