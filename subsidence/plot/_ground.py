"""Where places lie on a map: metres, degrees or pixels; aspect, ticks, scale bar, the reference's place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Ground", "add_scale_bar", "dress", "ground_of", "reference_place"]

_DEGREES = {"degrees_east", "degree_east", "degrees", "degree", "deg"}
_PIXELS = {"1", "", "dimensionless", "unitless", "pixel", "pixels"}
#: WGS 84.
_SEMI_MAJOR_AXIS = 6_378_137.0
_ECCENTRICITY_SQUARED = 6.694_379_990_14e-3
#: Part of the map's width that the scale bar may take.
_BAR = 0.3


@dataclass(frozen=True)
class Ground:
    """Coordinates of the columns and rows of a raster, or of points."""

    x: FloatArray
    y: FloatArray
    unit: Literal["metre", "degree", "pixel"]
    #: whether x and y belong together, one place each
    points: bool

    @property
    def aspect(self) -> float:
        """Length on paper of one unit of y over one of x."""
        if self.unit != "degree":
            return 1.0
        return 1.0 / max(math.cos(math.radians(self._latitude)), 0.01)

    @property
    def metres_per_x(self) -> float:
        """Metres on the ground in one unit of x, at the middle of the map."""
        if self.unit == "metre":
            return 1.0
        latitude = math.radians(self._latitude)
        normal = _SEMI_MAJOR_AXIS / math.sqrt(1 - _ECCENTRICITY_SQUARED * math.sin(latitude) ** 2)
        return math.radians(normal * math.cos(latitude))

    @property
    def _latitude(self) -> float:
        return float(np.nanmin(self.y) + np.nanmax(self.y)) / 2


def ground_of(dataset: xr.Dataset, place: tuple[str, ...]) -> Ground:
    """Coordinates of the places of `dataset`.

    Raises
    ------
    InputError
        When points have no coordinates. A raster without any is drawn by column and row.
    """
    points = place == ("point",)
    along_x, along_y = (place, place) if points else (("x",), ("y",))
    lon, lat = _along(dataset, "lon", along_x), _along(dataset, "lat", along_y)
    x, y = _along(dataset, "x", along_x), _along(dataset, "y", along_y)
    if x is not None and y is not None:
        unit: Literal["metre", "degree", "pixel"] = "metre"
        units = x.attrs.get("units")
        if units in _DEGREES or (lon is not None and np.array_equal(lon.values, x.values, equal_nan=True)):
            unit = "degree"
        elif units in _PIXELS:
            unit = "pixel"
        return Ground(_floats(x), _floats(y), unit, points)
    if lon is not None and lat is not None:
        return Ground(_floats(lon), _floats(lat), "degree", points)
    if points:
        msg = "the points have neither 'x' and 'y' nor 'lon' and 'lat': assign one of these pairs, dim 'point'"
        raise InputError(msg)
    columns, rows = (np.arange(dataset.sizes[dim], dtype=float) for dim in ("x", "y"))
    return Ground(columns, rows, "pixel", points)


def dress(ax: Axes, ground: Ground) -> None:
    """Aspect, tick labels and axis labels of a map."""
    ticker = require("matplotlib.ticker", extra="plot", purpose="a map")
    ax.set_aspect(ground.aspect)
    for axis in (ax.xaxis, ax.yaxis):
        # Coordinates stay those of the data, so that whatever is drawn on top fits; only the ticks say km.
        axis.set_major_formatter(
            ticker.FuncFormatter(_kilometres) if ground.unit == "metre" else ticker.ScalarFormatter(useOffset=False)
        )
    labels = {
        "metre": ("easting (km)", "northing (km)"),
        "degree": ("longitude (°)", "latitude (°)"),
        "pixel": ("column", "row"),
    }
    ax.set_xlabel(labels[ground.unit][0])
    ax.set_ylabel(labels[ground.unit][1])
    if ground.unit == "pixel" and not ax.yaxis_inverted():
        ax.invert_yaxis()


def add_scale_bar(ax: Axes, ground: Ground) -> None:
    """Draw a bar of a round length in the lower right corner.

    Raises
    ------
    InputError
        When the map is in pixels, whose size is not known.
    """
    if ground.unit == "pixel":
        msg = "scale_bar=True needs coordinates in metres or degrees, and this raster has pixel numbers alone"
        raise InputError(msg)
    artists = require("mpl_toolkits.axes_grid1.anchored_artists", extra="plot", purpose="a scale bar")
    low, high = sorted(ax.get_xlim())
    metres = _round_down(_BAR * (high - low) * ground.metres_per_x)
    label = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    bottom, top = sorted(ax.get_ylim())
    ax.add_artist(
        artists.AnchoredSizeBar(
            ax.transData,
            metres / ground.metres_per_x,
            label,
            "lower right",
            pad=0.4,
            borderpad=0.6,
            sep=3,
            size_vertical=0.008 * (top - bottom),
            fill_bar=True,
        )
    )


def reference_place(dataset: xr.Dataset, ground: Ground) -> tuple[float, float] | None:
    """Coordinates of the reference place as the attributes tell them; None when they do not, or it lies elsewhere."""
    attrs = dataset.attrs
    pairs = [("reference_lon", "reference_lat")] if ground.unit == "degree" else []
    for first, second in [*pairs, ("reference_x", "reference_y")]:
        if first in attrs and second in attrs:
            return _if_inside(ground, float(attrs[first]), float(attrs[second]))
    if ground.points or "reference_row" not in attrs or "reference_col" not in attrs:
        return None
    row, col = int(attrs["reference_row"]), int(attrs["reference_col"])
    if not (0 <= row < ground.y.size and 0 <= col < ground.x.size):
        return None
    # Rows and columns count from the corner of the whole scene: in a part cut out of it another pixel lies there,
    # one that moves.
    if "velocity" in dataset and abs(float(dataset["velocity"].isel(y=row, x=col))) > 0:
        return None
    return float(ground.x[col]), float(ground.y[row])


def _if_inside(ground: Ground, x: float, y: float) -> tuple[float, float] | None:
    for values, value in ((ground.x, x), (ground.y, y)):
        low, high = np.nanmin(values), np.nanmax(values)
        if not low - 1e-3 * abs(high - low) <= value <= high + 1e-3 * abs(high - low):
            return None
    return x, y


def _along(dataset: xr.Dataset, name: str, dims: tuple[str, ...]) -> xr.DataArray | None:
    if name in dataset.coords and dataset[name].dims == dims:
        return dataset[name]
    return None


def _floats(values: xr.DataArray) -> FloatArray:
    return np.asarray(values.values, float)


def _kilometres(value: float, _: Any) -> str:
    return f"{value / 1000:.10g}"


def _round_down(value: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is no larger than `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(step for step in (1.0, 2.0, 5.0) if step * power <= value * (1 + 1e-9)) * power
