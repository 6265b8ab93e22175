"""How well a time function fits over one or two of its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.plot._axes import add_colorbar, colormap, displayed, prepare
from subsidence.plot._surface import _mark
from subsidence.typing import is_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["sweep"]

_SHARES = frozenset({"r_squared", "correlation_squared"})
#: Contours of a share that comes close to 1: what is left of it falls by about half from one to the next.
_SHARE_LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)
_LEVELS = 10


def sweep(
    result: xr.Dataset,
    *,
    variable: str = "r_squared",
    ax: Axes | None = None,
    levels: int | Sequence[float] | None = None,
    colorbar: bool = True,
) -> Axes:
    """
    Contours of a score, or of a fitted parameter, over two swept parameters; a curve over one.

    Parameters
    ----------
    result
        Result of :func:`subsidence.sweep` at one place, over one or two parameters.
    variable
        What of it to draw: "r_squared", "correlation_squared", "rmse", or the name of a fitted parameter.
    ax
        Axes to draw on; those of a new figure when None.
    levels
        Contours: about how many, or their values in the unit shown (mm for metres). None draws those of R² ever
        closer towards 1.
    colorbar
        Whether to put a colour bar beside contours.

    Returns
    -------
    matplotlib.axes.Axes
        The first swept parameter across, the second upwards, in their units. The best cell is marked and told
        in the title: that of the smallest ``rmse`` when that is drawn, of the largest score when another one is,
        of the largest ``r_squared`` when a parameter is.

    Raises
    ------
    InputError
        When `variable` is not in `result`, has more than two dimensions or a place, or no finite value; when
        `levels` are neither a positive whole number nor increasing numbers.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from matplotlib.figure import Figure
    >>> lam, eta = np.linspace(2, 3, 11), np.linspace(0.04, 0.08, 9)
    >>> hill = 1 - (lam[:, None] - 2.5) ** 2 - (20 * (eta - 0.06)) ** 2
    >>> result = xr.Dataset({"r_squared": (("lam", "eta"), hill)}, {"lam": lam, "eta": eta})
    >>> ax = sweep(result, ax=Figure().subplots())
    >>> ax.get_title()
    'best R² 1.0000 at lam 2.5, eta 0.06'
    """
    values, score = _checked(result, variable)
    axes = prepare(ax, function="sweep")
    best = _best(score, str(score.name))
    shown, unit = displayed(values, variable)
    words = _words(variable) + (f" ({unit})" if unit else "")
    axes.set_xlabel(_axis_words(shown, str(shown.dims[0])))
    place = [float(shown[dim].values[k]) for dim, k in zip(shown.dims, best, strict=True)]
    if shown.ndim == 1:
        axes.plot(shown[shown.dims[0]].values, shown.values, marker="o", markersize=4, color="0.2", linewidth=1.0)
        axes.set_ylabel(words)
        _mark(axes, place[0], float(shown.values[best]))
    else:
        _contours(axes, shown, words, levels, colorbar=colorbar)
        axes.set_ylabel(_axis_words(shown, str(shown.dims[1])))
        _mark(axes, *place)
    axes.set_title(_title(score, best))
    return axes


def _checked(result: object, variable: str) -> tuple[xr.DataArray, xr.DataArray]:
    """What is drawn and what says which cell is best, both along increasing values of the parameters."""
    if not isinstance(result, xr.Dataset) or "r_squared" not in result:
        got = f"one of {', '.join(map(str, result)) or 'nothing'}" if isinstance(result, xr.Dataset) else type(result)
        msg = f"result must be the Dataset that sweep returns, got {got}"
        raise InputError(msg)
    if variable not in result.data_vars:
        msg = f"variable must be one of {', '.join(map(repr, result.data_vars))}, got {variable!r}"
        raise InputError(msg)
    values = result[variable]
    dims = [str(dim) for dim in values.dims]
    if not 1 <= len(dims) <= 2 or {"point", "y", "x"} & set(dims):
        msg = (
            f"{variable!r} has dims {tuple(dims)}, expected one or two parameters at one place: "
            "select the others with sel or isel"
        )
        raise InputError(msg)
    for dim in dims:
        if dim not in result.coords or result.sizes[dim] < 2:
            msg = f"result must have at least two values of {dim!r}, as a coordinate: select the one with isel"
            raise InputError(msg)
    score = values if variable in {*_SHARES, "rmse"} else result["r_squared"]
    for each in (values, score):
        if not np.isfinite(each.values).any():
            msg = f"{each.name!r} has no finite value: there is nothing to draw"
            raise InputError(msg)
    return values.sortby(dims), score.transpose(*dims).sortby(dims)


def _best(score: xr.DataArray, name: str) -> tuple[int, ...]:
    found = np.nanargmin(score.values) if name == "rmse" else np.nanargmax(score.values)
    return tuple(int(k) for k in np.unravel_index(int(found), score.shape))


def _contours(
    axes: Axes, shown: xr.DataArray, words: str, levels: int | Sequence[float] | None, *, colorbar: bool
) -> None:
    across, upwards = (np.asarray(shown[dim].values, float) for dim in shown.dims)
    values = np.ma.masked_invalid(shown.values.T)
    wanted = _checked_levels(levels)
    if levels is None and shown.name in _SHARES:
        inside = [level for level in _SHARE_LEVELS if values.min() < level < values.max()]
        wanted = inside if len(inside) > 1 else wanted
    norm = None
    if not isinstance(wanted, int):  # as many colours between uneven levels as between even ones
        colors = require("matplotlib.colors", extra="plot", purpose="plot.sweep")
        norm = colors.BoundaryNorm(wanted, colormap("batlow").N, extend="both")
    filled = axes.contourf(across, upwards, values, levels=wanted, norm=norm, cmap=colormap("batlow"), extend="both")
    crossed = [level for level in filled.levels if values.min() < level < values.max()]
    if crossed:
        lines = axes.contour(across, upwards, values, levels=crossed, colors="black", linewidths=0.6, linestyles="-")
        effects = require("matplotlib.patheffects", extra="plot", purpose="plot.sweep")
        for text in axes.clabel(lines, fontsize="small"):
            text.set_path_effects([effects.withStroke(linewidth=2.0, foreground="white")])  # read on dark and light
    if colorbar:
        add_colorbar(axes, filled, words)


def _checked_levels(levels: object) -> int | list[float]:
    if levels is None:
        return _LEVELS
    if isinstance(levels, (int, np.integer)) and not isinstance(levels, bool) and levels > 0:
        return int(levels)
    if isinstance(levels, (Sequence, np.ndarray)) and all(is_number(level) for level in levels):
        values = [float(level) for level in levels]
        if len(values) > 1 and bool(np.all(np.diff(values) > 0)):
            return values
    msg = f"levels must be a positive whole number or at least two increasing numbers, got {levels!r}"
    raise InputError(msg)


def _words(name: str) -> str:
    return {"r_squared": "R²", "correlation_squared": "r²", "rmse": "RMSE"}.get(name, name)


def _axis_words(values: xr.DataArray, dim: str) -> str:
    unit = str(values[dim].attrs.get("units", "1"))
    if unit == "1":
        return dim
    return f"{dim} [{unit}]" if unit.startswith("(") else f"{dim} ({unit})"


def _title(score: xr.DataArray, best: tuple[int, ...]) -> str:
    shown, unit = displayed(score, score.name)
    value = f"{shown.values[best]:.4f}" if not unit else f"{shown.values[best]:.4g} {unit}"
    place = ", ".join(f"{dim} {score[dim].values[k]:.6g}" for dim, k in zip(score.dims, best, strict=True))
    return f"best {_words(str(score.name))} {value} at {place}"
