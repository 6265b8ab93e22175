"""What every figure shares: the axes it is drawn on, its colours, its units and its words."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import xarray as xr

from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.schema import VARIABLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap

__all__ = ["add_colorbar", "colormap", "displayed", "prepare", "quantity"]

#: SI unit -> (unit shown, factor).
_SHOWN = {
    "m": ("mm", 1e3),
    "m/year": ("mm/yr", 1e3),
    "m/year2": ("mm/yr²", 1e3),
    "1": ("", 1.0),
    "": ("", 1.0),
}
_SIGNED_BY_COMPONENT = ("displacement", "velocity", "acceleration")
_COMPONENTS = {
    "los": ("LOS", "positive towards the satellite"),
    "up": ("vertical", "positive up"),
    "east": ("eastward", "positive east"),
    "north": ("northward", "positive north"),
}


def prepare(ax: Axes | None, *, function: str) -> Axes:
    """Return `ax`, or the axes of a new figure."""
    purpose = f"plot.{function}"
    if ax is None:
        pyplot = require("matplotlib.pyplot", extra="plot", purpose=purpose)
        created: Axes = pyplot.subplots(layout="constrained")[1]
        return created
    axes = require("matplotlib.axes", extra="plot", purpose=purpose)
    drawable: bool = isinstance(ax, axes.Axes)
    if not drawable:
        msg = f"ax must be a matplotlib Axes or None, got {type(ax).__name__}: use figure.subplots()"
        raise InputError(msg)
    return ax


def colormap(name: str) -> Colormap:
    """One of Crameri's perceptually even colour maps (doi:10.5281/zenodo.1243862), grey where there is no data."""
    maps = require("cmcrameri.cm", extra="plot", purpose="the colours of a map")
    found: Colormap = getattr(maps, name).with_extremes(bad="0.75")
    return found


def add_colorbar(ax: Axes, mappable: ScalarMappable, label: str, **options: Any) -> None:
    """Put a colour bar beside `ax`."""
    ax.figure.colorbar(mappable, ax=ax, label=label, **options)


def displayed(variable: xr.DataArray, name: Hashable) -> tuple[xr.DataArray, str]:
    """Values in the unit that is shown, and that unit."""
    units = str(variable.attrs.get("units", VARIABLES[str(name)].units if name in VARIABLES else ""))
    if name in {"residual_height", "residual_height_std", "height"}:  # metres are what one thinks in there
        return variable, units
    shown, factor = _SHOWN.get(units, (units, 1.0))
    return (variable if factor == 1.0 else variable * factor), shown


def quantity(name: Hashable, attrs: Mapping[Any, Any]) -> tuple[str, str]:
    """What is drawn and what its sign means: ("LOS velocity", "positive towards the satellite")."""
    words = VARIABLES[str(name)].long_name if name in VARIABLES else str(name).replace("_", " ")
    component = str(attrs.get("component", ""))
    if name not in _SIGNED_BY_COMPONENT or not component:
        return words, ""
    prefix, sign = _COMPONENTS.get(component, (component, ""))
    return f"{prefix} {words}", sign
