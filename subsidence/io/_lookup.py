"""GAMMA's geocoding lookup table: slant range and incidence of every pixel of a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from subsidence.errors import FormatError
from subsidence.io._gamma import RadarImage, radar_image
from subsidence.io._raster import Raster, read
from subsidence.typing import BoolArray, FloatArray

__all__ = ["view_of_places"]

#: A range and an azimuth, big-endian float32, for each pixel of the map.
_PAIR = np.dtype((">f4", 2))
#: Between these lies nearly every coordinate of a table, inside the image or not, but few of random bytes.
_PIXELS = (1e-3, 1e7)
#: Pixels worked on at a time.
_BLOCK = 2**20


def view_of_places(
    folder: Path, headers: Mapping[Path, Mapping[str, str]], grid: Raster, height: Raster | None
) -> tuple[dict[str, FloatArray], list[str]]:
    r"""``slant_range`` (m) and ``incidence`` (degree) of every pixel of `grid`, and what there is to doubt.

    Both are empty when `folder` holds no lookup table; fields are NaN where the table has no data (0, 0) or
    points out of the image. A table that cannot be used is told of and gives no fields.

    Notes
    -----
    The table gives range and azimuth of a pixel in the multilooked image, counted from the centre of its
    first sample. Slant range is linear in it, incidence follows from the triangle of satellite, Earth's
    centre and target (law of cosines),

    .. math:: R = R_0 + i\,\Delta R, \qquad \cos\theta = \frac{H^2 - R^2 - (r_e + h)^2}{2 R (r_e + h)}

    with H ``sar_to_earth_center``, r_e ``earth_radius_below_sensor``, h the height of the pixel. The angle to the
    Earth's centre stands for the angle to the ellipsoid's normal: against orbit and ellipsoid, incidence is off by
    up to 0.02 degree.

    Raises
    ------
    FormatError
        When the table is smaller than the grid, or cannot be read.
    """
    tables = _tables(folder)
    if not tables:
        return {}, []
    size = grid.height * grid.width * _PAIR.itemsize
    fitting = [path for path in tables if path.stat().st_size == size]
    if len(fitting) != 1:
        _refuse_truncated(tables, size, grid)
        return {}, [_instead(folder, _why_none(tables, fitting, size, grid))]
    (table,) = fitting
    try:
        image = radar_image(table, headers)
    except FormatError as error:
        return {}, [_instead(error.path, error.reason)]
    fields = _fields(table, image, grid, height)
    if not np.isfinite(fields["incidence"]).any() or _other_order_fits(table, grid):
        where = f"the image of {image.lines:.0f} lines and {image.samples:.0f} samples that the header describes"
        return {}, [_instead(table, f"its places do not lie in {where}; is it big-endian float32?")]
    return fields, []


def _tables(folder: Path) -> list[Path]:
    """Tables from map to radar coordinates; the inverse ones (``rdc_to_utm``) are of no use here."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith((".lt", "_to_rdc"))
        and "rdc_to_" not in path.name.lower()
        and not path.name.startswith(".")
        and path.is_file()
    )


def _refuse_truncated(tables: Sequence[Path], size: int, grid: Raster) -> None:
    """A larger table is one from before the rasters were cropped, but all of a grid's data come out of its table."""
    found = {path: path.stat().st_size for path in tables}
    if max(found.values()) < size:
        path = tables[0]
        raise FormatError(
            path,
            f"truncated, or the lookup table of another grid: it has {found[path]} bytes, {grid.height} x {grid.width} "
            f"pixels need {size}; copy it again, or remove it, or pass incidence= and slant_range=",
        )


def _why_none(tables: Sequence[Path], fitting: Sequence[Path], size: int, grid: Raster) -> str:
    if fitting:
        names = ", ".join(path.name for path in fitting)
        return f"{len(fitting)} lookup tables fit its grid ({names}): remove all but one"
    names = ", ".join(f"{path.name} with {path.stat().st_size} bytes" for path in tables)
    return f"no lookup table fits its grid, {grid.height} x {grid.width} pixels need {size} bytes ({names})"


def _instead(path: Path, reason: str) -> str:
    return (
        f"{path}: {reason}. incidence and slant_range are those of the scene's centre instead: "
        "where they are not the area's own, pass incidence= and slant_range="
    )


def _fields(table: Path, image: RadarImage, grid: Raster, height: Raster | None) -> dict[str, FloatArray]:
    # float32 keeps 3 cm of slant range and 2e-6 degree: far below what the headers know, at half the memory
    slant_range = np.full((grid.height, grid.width), np.nan, np.float32)
    incidence = np.full_like(slant_range, np.nan)
    step = max(1, _BLOCK // grid.width)
    for start in range(0, grid.height, step):
        rows = slice(start, min(start + step, grid.height))
        pairs = _read(table, rows, grid.width, _PAIR)
        inside = _inside(pairs, image)
        distance = image.near_range + pairs[inside, 0] * image.spacing
        target = image.earth_radius + _heights(height, rows, grid.width)[inside]
        cosine = (image.satellite_radius**2 - distance**2 - target**2) / (2 * distance * target)
        slant_range[rows][inside] = distance
        incidence[rows][inside] = np.rad2deg(np.arccos(np.where(np.abs(cosine) <= 1, cosine, np.nan)))
    return {"slant_range": slant_range, "incidence": incidence}


def _inside(pairs: FloatArray, image: RadarImage) -> BoolArray:
    """Where a table has data (not 0, 0) that point into the image."""
    sample, line = pairs[..., 0], pairs[..., 1]
    inside = (sample >= 0) & (sample < image.samples) & (line >= 0) & (line < image.lines)
    found: BoolArray = inside & ((sample != 0) | (line != 0))
    return found


def _other_order_fits(table: Path, grid: Raster) -> bool:
    """Whether more of the rows in the middle are numbers of a pixel with their bytes the other way round."""
    half = max(1, _BLOCK // grid.width // 2)
    rows = slice(max(0, grid.height // 2 - half), min(grid.height, grid.height // 2 + half))
    counts = []
    for order in (_PAIR, _PAIR.newbyteorder()):
        size = np.abs(_read(table, rows, grid.width, order))
        counts.append(int(((size > _PIXELS[0]) & (size < _PIXELS[1])).sum()))
    return counts[1] > counts[0]


def _read(table: Path, rows: slice, width: int, pair: np.dtype[Any]) -> FloatArray:
    """Range and azimuth of some rows, (row, column, 2)."""
    count = (rows.stop - rows.start) * width
    try:
        pairs = np.fromfile(table, pair, count, offset=rows.start * width * pair.itemsize)
    except OSError as error:
        raise FormatError(table, f"cannot be read ({error.strerror or error})") from error
    with np.errstate(invalid="ignore"):  # NaN of some kinds, as bytes in another order have them
        return pairs.reshape(rows.stop - rows.start, width, 2).astype(np.float64)


def _heights(raster: Raster | None, rows: slice, width: int) -> FloatArray:
    """Heights of some rows; the ellipsoid's where nothing is known of them, the mean of these rows in a gap."""
    if raster is None:
        return np.zeros((rows.stop - rows.start, width))
    values = read(raster, rows, slice(0, width)).astype(np.float64)
    missing = np.isnan(values)
    values[missing] = 0.0 if missing.all() else values[~missing].mean()
    return values
