"""Maps: a variable of a series, and where triplets do not close."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.plot._axes import add_colorbar, colormap, displayed, prepare, quantity
from subsidence.plot._ground import Ground, add_scale_bar, dress, ground_of, reference_place
from subsidence.schema import VARIABLES, spatial_dims
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap, Normalize

__all__ = ["closure", "velocity_map"]

#: Per cent of the values that lie inside the colours when no limit is given: a few wild pixels set no scale.
_SHOWN_PERCENT = 99.0
#: Up to so many points have an outline each; more are drawn as an image also where the figure is saved as lines.
_OUTLINED = 3_000


def velocity_map(
    series: xr.Dataset,
    *,
    ax: Axes | None = None,
    variable: str = "velocity",
    limit: float | None = None,
    mask: xr.DataArray | None = None,
    colorbar: bool = True,
    scale_bar: bool | None = None,
    mark_reference: bool = True,
) -> Axes:
    """
    Map of the velocity, or of another variable of a series, on a raster or on points.

    .. warning::
        Velocity is **positive towards** the satellite: subsidence is negative, and drawn **red**.

    Parameters
    ----------
    series
        SERIES, with dims ``(y, x)`` or ``(point,)`` of place and the variable to draw.
    ax
        Axes to draw on; those of a new figure when None.
    variable
        What to draw: "velocity", "velocity_std", "temporal_coherence", "residual_height", ...
    limit
        Largest value that the colours tell apart, in the unit shown (mm/yr for velocity). None takes the
        99th percentile of the absolute values, rounded up to two digits.
    mask
        Boolean, dims of place: True is drawn, False is left grey as no data is.
    colorbar
        Whether to put a colour bar beside the map.
    scale_bar
        Whether to draw a scale bar; None draws one on maps in degrees, where the axes tell no lengths.
    mark_reference
        Whether to mark the reference place, where the attributes ``reference_*`` tell it.

    Returns
    -------
    matplotlib.axes.Axes
        In the coordinates of the data (metres with ticks in km, or degrees), so that more can be drawn on top.

    Raises
    ------
    InputError
        When the variable is missing, depends on more than place or has no finite value; `limit` is not
        positive; `mask` is not boolean or of other dims or sizes.

    Notes
    -----
    Signed variables have Crameri's "vik" (doi:10.5281/zenodo.1243862), reversed and symmetric about zero: red
    is negative. Others have "batlow" from zero. Phases go round in "romaO".

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from matplotlib.figure import Figure
    >>> sinking = xr.Dataset(
    ...     {"velocity": (("y", "x"), [[-0.30, 0.0], [np.nan, -0.10]], {"units": "m/year"})},
    ...     {"y": [90.0, 0.0], "x": [0.0, 90.0]},
    ...     {"component": "los"},
    ... )
    >>> ax = velocity_map(sinking, ax=Figure().subplots())
    >>> ax.get_title()
    'LOS velocity, positive towards the satellite'
    >>> ax.images[0].get_clim()
    (-300.0, 300.0)
    """
    place, values = _checked_variable(series, variable)
    values = _masked(values, mask, place)
    if limit is not None and not limit > 0:
        msg = f"limit must be a positive number in the unit shown (mm/yr for velocity), got {limit!r}"
        raise InputError(msg)
    shown, unit = displayed(values, variable)
    array = np.asarray(shown.transpose(*place).values, float)
    if not np.isfinite(array).any():
        msg = f"{variable!r} has no finite value{'' if mask is None else ' inside mask'}: there is nothing to draw"
        raise InputError(msg)
    axes = prepare(ax, function="velocity_map")
    ground = ground_of(series, place)
    array, name, bounds = _scaled(array, variable, limit)
    colors = require("matplotlib.colors", extra="plot", purpose="plot.velocity_map")
    mappable = _draw(axes, ground, array, colormap(name), colors.Normalize(*bounds))
    words, sign = quantity(variable, series.attrs)
    axes.set_title(f"{words}, {sign}" if sign else words)
    if colorbar:
        label = f"{words} ({unit})" if unit else words
        add_colorbar(axes, mappable, label, extend=_extend(array, bounds))
    if scale_bar or (scale_bar is None and ground.unit == "degree"):
        add_scale_bar(axes, ground)
    if mark_reference:
        _mark(axes, reference_place(series, ground))
    return axes


def closure(
    closure: xr.Dataset,
    *,
    ax: Axes | None = None,
    colorbar: bool = True,
    scale_bar: bool | None = None,
) -> Axes:
    """
    Map of the number of triplets that do not close: where unwrapping went wrong.

    Parameters
    ----------
    closure
        Result of :func:`subsidence.closure_phase`: ``integer_closure``, whole cycles by which each triplet
        fails to close, dims triplet and place.
    ax
        Axes to draw on; those of a new figure when None.
    colorbar
        Whether to put a colour bar beside the map.
    scale_bar
        Whether to draw a scale bar; None draws one on maps in degrees.

    Returns
    -------
    matplotlib.axes.Axes
        Grey where no triplet has data.

    Raises
    ------
    InputError
        When ``integer_closure`` is missing or has other dims.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from matplotlib.figure import Figure
    >>> cycles = np.zeros((4, 3, 3))
    >>> cycles[:2, 1, 1] = 1.0
    >>> found = xr.Dataset({"integer_closure": (("triplet", "y", "x"), cycles)})
    >>> closure(found, ax=Figure().subplots()).images[0].get_array().max()
    np.float64(2.0)
    """
    place = _checked_closure(closure)
    cycles = closure["integer_closure"].transpose("triplet", *place)
    valid = cycles.notnull()
    if "closure" in closure:  # whole numbers cannot say that there is no data
        valid = valid & closure["closure"].transpose("triplet", *place).notnull()
    wrong = (valid & (cycles != 0)).sum("triplet").where(valid.any("triplet"))
    array = np.asarray(wrong.values, float)
    if not np.isfinite(array).any():
        msg = "closure has no triplet with data at any place: there is nothing to draw"
        raise InputError(msg)
    axes = prepare(ax, function="closure")
    ground = ground_of(closure, place)
    most = max(1, int(np.nanmax(array)))
    colors = require("matplotlib.colors", extra="plot", purpose="plot.closure")
    ticker = require("matplotlib.ticker", extra="plot", purpose="plot.closure")
    cmap = colormap("lajolla_r")
    # One colour for each count while they can be told apart.
    steps = colors.BoundaryNorm(np.arange(-0.5, most + 1), cmap.N)
    mappable = _draw(axes, ground, array, cmap, steps if most < 12 else colors.Normalize(0, most))
    axes.set_title(f"triplets with an unwrapping error, of {closure.sizes['triplet']}")
    if colorbar:
        ticks = np.arange(most + 1) if most < 12 else ticker.MaxNLocator(integer=True)
        add_colorbar(axes, mappable, "triplets that do not close", ticks=ticks)
    if scale_bar or (scale_bar is None and ground.unit == "degree"):
        add_scale_bar(axes, ground)
    return axes


def _checked_variable(series: object, variable: str) -> tuple[tuple[str, ...], xr.DataArray]:
    if not isinstance(series, xr.Dataset):
        msg = f"series must be an xarray.Dataset (SERIES), got {type(series).__name__}"
        raise InputError(msg)
    if variable not in series.variables:
        cure = ": call estimate_velocity first" if variable.startswith("velocity") else ""
        msg = f"series has no variable {variable!r}{cure}; it has {', '.join(map(repr, series.data_vars))}"
        raise InputError(msg)
    values = series[variable]
    place = spatial_dims(values, argument=f"variable {variable!r}")
    if set(values.dims) != set(place):
        rest = " and one ".join(repr(str(dim)) for dim in values.dims if dim not in place)
        msg = f"variable {variable!r} has dims {tuple(map(str, values.dims))}, expected {place}: select one {rest}"
        raise InputError(msg)
    if values.dtype.kind not in "fiub":
        msg = f"variable {variable!r} has dtype {values.dtype}, expected real numbers"
        raise InputError(msg)
    return place, values


def _masked(values: xr.DataArray, mask: xr.DataArray | None, place: tuple[str, ...]) -> xr.DataArray:
    if mask is None:
        return values
    sizes = {dim: values.sizes[dim] for dim in place}
    if not isinstance(mask, xr.DataArray) or mask.dtype != bool or dict(mask.sizes) != sizes:
        got = f"{mask.dtype}, {dict(mask.sizes)}" if isinstance(mask, xr.DataArray) else type(mask).__name__
        msg = f"mask must be a boolean DataArray of sizes {sizes} (True is drawn), got {got}"
        raise InputError(msg)
    # By position: coordinates that differ in their last digits must not empty the map.
    return values.where(mask.transpose(*place).variable)


def _checked_closure(closure: object) -> tuple[str, ...]:
    if not isinstance(closure, xr.Dataset):
        msg = f"closure must be the Dataset that closure_phase returns, got {type(closure).__name__}"
        raise InputError(msg)
    if "integer_closure" not in closure:
        msg = "closure has no 'integer_closure': closure_phase gives it for unwrapped phase alone"
        raise InputError(msg)
    place = spatial_dims(closure["integer_closure"], argument="'integer_closure'")
    if set(closure["integer_closure"].dims) != {"triplet", *place}:
        msg = f"'integer_closure' has dims {closure['integer_closure'].dims}, expected {('triplet', *place)}"
        raise InputError(msg)
    return place


def _scaled(array: FloatArray, variable: str, limit: float | None) -> tuple[FloatArray, str, tuple[float, float]]:
    """Values, name of the colour map and its bounds."""
    known = VARIABLES.get(variable)
    if variable == "seasonal_phase":
        return np.angle(np.exp(1j * array)), "romaO", (-np.pi, np.pi)
    minimum = known.minimum if known else (0.0 if np.nanmin(array) >= 0 else None)
    if known and limit is None and known.units == "1" and known.maximum is not None:
        limit = round(known.maximum, 3)
    limit = _round_up(float(np.nanpercentile(np.abs(array), _SHOWN_PERCENT))) if limit is None else float(limit)
    if minimum is not None and minimum >= 0:
        return array, "batlow", (0.0, limit)
    return array, "vik_r", (-limit, limit)


def _round_up(value: float) -> float:
    """Return `value` rounded up to two digits; 1 for zero."""
    if value <= 0:
        return 1.0
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.ceil(value / step * (1 - 1e-9)) * step)


def _extend(array: FloatArray, bounds: tuple[float, float]) -> str:
    below, above = bool(np.nanmin(array) < bounds[0]), bool(np.nanmax(array) > bounds[1])
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")


def _draw(ax: Axes, ground: Ground, array: FloatArray, cmap: Colormap, norm: Normalize) -> ScalarMappable:
    if ground.points:
        size = float(np.clip(20_000 / max(1, array.size), 2.0, 30.0))
        few = array.size <= _OUTLINED  # a pale dot alone is lost on white; many make a surface
        drawn: ScalarMappable = ax.scatter(
            ground.x,
            ground.y,
            c=array,
            s=size,
            cmap=cmap,
            norm=norm,
            linewidths=0.3 if few else 0,
            edgecolors="0.4" if few else "face",
            plotnonfinite=True,
            rasterized=not few,
        )
    else:
        drawn = _draw_raster(ax, ground, array, cmap, norm)
    dress(ax, ground)
    return drawn


def _draw_raster(ax: Axes, ground: Ground, array: FloatArray, cmap: Colormap, norm: Normalize) -> ScalarMappable:
    columns, rows = np.argsort(ground.x), np.argsort(ground.y)
    x, y, ordered = ground.x[columns], ground.y[rows], np.ma.masked_invalid(array[np.ix_(rows, columns)])
    step_x, step_y = _step(x, y), _step(y, x)
    if step_x is None or step_y is None:
        return ax.pcolormesh(x, y, ordered, cmap=cmap, norm=norm, shading="nearest", rasterized=True)
    extent = (x[0] - step_x / 2, x[-1] + step_x / 2, y[0] - step_y / 2, y[-1] + step_y / 2)
    return ax.imshow(ordered, origin="lower", extent=extent, cmap=cmap, norm=norm, interpolation="nearest")


def _step(values: FloatArray, other: FloatArray) -> float | None:
    """Return the spacing of an even grid, None for an uneven one; a single row is as wide as the columns."""
    if values.size == 1:
        return _step(other, values) if other.size > 1 else 1.0
    steps = np.diff(values)
    return float(steps.mean()) if np.allclose(steps, steps.mean(), rtol=1e-3, atol=0) else None


def _mark(ax: Axes, place: tuple[float, float] | None) -> None:
    if place is None:
        return
    (mark,) = ax.plot(
        *([value] for value in place),
        marker="^",
        color="black",
        markeredgecolor="white",
        markersize=8,
        linestyle="none",
        label="reference",
        scalex=False,
        scaley=False,
    )
    ax.legend(handles=[mark], loc="upper right", fontsize="small", handletextpad=0.2)
