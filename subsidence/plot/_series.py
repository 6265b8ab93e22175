"""Displacement against time at one place or a few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.plot._axes import prepare, quantity
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["series"]

#: More lines than this cannot be told apart.
_MOST_PLACES = 20
_METRES_TO_SHOWN = 1e3


def series(
    series: xr.Dataset,
    *,
    ax: Axes | None = None,
    curve: xr.DataArray | None = None,
    truth: xr.DataArray | None = None,
    labels: Sequence[str] | None = None,
) -> Axes:
    """
    Displacement against time with its error bars, at one place or a few.

    Parameters
    ----------
    series
        SERIES at one place (dims ``time``) or at most 20 (``time, point``, or a small raster): metres,
        positive as its ``component`` says. Error bars are one ``displacement_std`` each way, where it is there.
    ax
        Axes to draw on; those of a new figure when None.
    curve
        Fitted curve in metres, over its own ``time``, at the same places or with ``time`` alone. The legend
        calls it by its attribute ``long_name``, or "curve".
    truth
        What the displacement should be, likewise; drawn dashed, and black where there is one place.
    labels
        One for each place. None names places by their coordinates.

    Returns
    -------
    matplotlib.axes.Axes
        Displacement in mm against dates.

    Raises
    ------
    InputError
        When `series` has more than 20 places or no finite displacement, when `labels` are not one for each
        place, or when `curve` or `truth` has no ``time`` or other places.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from matplotlib.figure import Figure
    >>> dates = np.array(["2018-01-06", "2018-01-30"], "datetime64[ns]")
    >>> place = xr.Dataset({"displacement": ("time", [0.0, -0.02])}, {"time": dates}, {"component": "los"})
    >>> ax = series(place, ax=Figure().subplots())
    >>> ax.get_ylabel()
    'LOS displacement (mm)'
    >>> ax.lines[0].get_ydata()
    array([  0., -20.])
    """
    schema.SERIES.check(series, argument="series")
    values = _lines(series["displacement"])
    if not np.isfinite(values).any():
        msg = "series has no finite displacement: there is nothing to draw"
        raise InputError(msg)
    names = _names(series, labels, values.shape[1])
    spread = _lines(series["displacement_std"]) if "displacement_std" in series else None
    extras = {
        name: _companion(array, series, name)
        for name, array in (("curve", curve), ("truth", truth))
        if array is not None
    }
    axes = prepare(ax, function="series")
    dates = series["time"].values.astype("M8[ns]")
    colours = []
    for i, name in enumerate(names):
        bars = axes.errorbar(
            dates,
            values[:, i],
            yerr=None if spread is None else np.where(np.isfinite(spread[:, i]), spread[:, i], 0.0),
            marker="o",
            markersize=4,
            linewidth=0.8,
            linestyle="none" if curve is not None else "-",
            elinewidth=0.8,
            capsize=2,
            label=name,
        )
        colours.append(bars.lines[0].get_color())
    if curve is not None:
        words = str(curve.attrs.get("long_name", "curve"))
        _draw_extra(axes, *extras["curve"], colours, label=words, linestyle="-")
    if truth is not None:
        _draw_extra(axes, *extras["truth"], colours if len(colours) > 1 else ["black"], label="truth", linestyle="--")
    _dress(axes, series, many=len(names) > 1 or bool(extras) or labels is not None)
    return axes


def _lines(values: xr.DataArray) -> FloatArray:
    """Millimetres, (time, place)."""
    array = np.asarray(values.transpose("time", ...).values, float)
    return array.reshape(array.shape[0], -1) * _METRES_TO_SHOWN


def _names(series: xr.Dataset, labels: Sequence[str] | None, count: int) -> list[str]:
    if count > _MOST_PLACES:
        msg = f"series has {count} places, at most {_MOST_PLACES} can be told apart: select some with isel or sel"
        raise InputError(msg)
    if labels is not None:
        if isinstance(labels, str) or len(labels) != count:
            msg = f"labels must hold {count} texts, one for each place, got {labels!r}"
            raise InputError(msg)
        return [str(label) for label in labels]
    values = series["displacement"].transpose("time", ...)
    dims = [str(dim) for dim in values.dims[1:]]
    if not dims:
        return ["displacement"]
    ticks = [values[dim].values if dim in values.coords else np.arange(values.sizes[dim]) for dim in dims]
    places = np.ndindex(*(len(tick) for tick in ticks))
    return [
        ", ".join(f"{dim} {tick[k]:.10g}" for dim, tick, k in zip(dims, ticks, place, strict=True)) for place in places
    ]


def _companion(array: object, series: xr.Dataset, name: str) -> tuple[Any, FloatArray]:
    """Dates and millimetres of a curve, (time, place), after a check that it fits the series."""
    if not isinstance(array, xr.DataArray) or "time" not in array.dims or "time" not in array.coords:
        msg = f"{name} must be a DataArray in metres with a 'time' coordinate, got {type(array).__name__}"
        raise InputError(msg)
    if array["time"].dtype.kind != "M":
        msg = f"{name} has a 'time' of dtype {array['time'].dtype}, expected datetime64: see timescale.from_elapsed"
        raise InputError(msg)
    units = array.attrs.get("units", "m")
    if units != "m":
        msg = f"{name} is in {units!r}, expected 'm'"
        raise InputError(msg)
    place = {dim: size for dim, size in series["displacement"].sizes.items() if dim != "time"}
    own = {dim: size for dim, size in array.sizes.items() if dim != "time"}
    if own and own != place:
        msg = f"{name} has places {own}, expected those of series, {place}, or 'time' alone"
        raise InputError(msg)
    ordered = array.transpose("time", *(dim for dim in series["displacement"].dims if dim in own))
    return array["time"].values.astype("M8[ns]"), _lines(ordered)


def _draw_extra(
    ax: Axes, dates: Any, values: FloatArray, colours: Sequence[Any], *, label: str, linestyle: str
) -> None:
    own_colours = list(colours) if values.shape[1] == len(colours) else ["black"]
    for i, colour in enumerate(own_colours):
        ax.plot(
            dates,
            values[:, i],
            color=colour,
            linestyle=linestyle,
            linewidth=1.4,
            label=label if i == 0 else None,
        )


def _dress(ax: Axes, series: xr.Dataset, *, many: bool) -> None:
    mdates = require("matplotlib.dates", extra="plot", purpose="plot.series")
    locator = mdates.AutoDateLocator()
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    words, sign = quantity("displacement", series.attrs)
    ax.set_ylabel(f"{words} (mm)")
    ax.set_title(f"{words}, {sign}" if sign else words)
    ax.axhline(0.0, color="0.6", linewidth=0.6, zorder=0)
    if many:
        ax.legend(fontsize="small")
