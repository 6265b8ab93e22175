"""One GeoTIFF: what it is, whether it is whole, and windows of it as float32 with NaN for no data."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from subsidence._extras import require
from subsidence.errors import FormatError
from subsidence.typing import AnyArray, FloatArray

__all__ = ["Raster", "Survey", "inspect", "read", "same_grid", "survey"]

#: Rasters up to this many pixels are looked at as a whole when they are opened, larger ones in part.
_SURVEYED_PIXELS = 2**20
_SURVEYED_BANDS = 4
#: ``warnings.catch_warnings`` changes the whole process; our own threads take turns.
_WARNINGS = threading.Lock()


@dataclass(frozen=True)
class Raster:
    """A GeoTIFF as it was when it was opened; small, and survives pickling."""

    path: Path
    height: int
    width: int
    #: GDAL's affine transform (a, b, c, d, e, f): x = a col + b row + c, y = d col + e row + f, at pixel corners.
    transform: tuple[float, float, float, float, float, float]
    #: Coordinate reference system as WKT, None without one.
    crs: str | None
    georeferenced: bool
    dtype: str
    #: Values that mean no data, in the file's own numbers.
    nodata: tuple[float, ...]
    scale: float
    offset: float
    #: Rows and columns of a strip or tile.
    block: tuple[int, int]
    #: Bytes and time of change: a changed file is another file.
    size: int
    changed: int


@dataclass(frozen=True)
class Survey:
    """What a look at a raster found."""

    pixels: int
    zeros: int
    finite: int
    low: float
    high: float


def inspect(path: Path) -> Raster:
    """Open `path`, read its header and make sure that every strip or tile lies inside the file.

    Raises
    ------
    FormatError
        When the file is not a GeoTIFF, is truncated, has several bands, complex values or a rotated grid.
    """
    rasterio = _rasterio()
    try:
        with _quiet(), rasterio.open(path, driver="GTiff") as source:
            raster = _header(path, source)
            end = _last_byte(source)
    except rasterio.errors.RasterioIOError as error:
        raise FormatError(path, _open_failure(path, error)) from error
    if end > raster.size:
        raise FormatError(
            path, f"truncated: its last strip or tile ends at byte {end}, the file has {raster.size}; copy it again"
        )
    return raster


def read(raster: Raster, rows: slice, cols: slice) -> FloatArray:
    """Rows and columns (step 1) of `raster` as float32, NaN where the file or its mask holds no data.

    Raises
    ------
    FormatError
        When the file cannot be read or changed since it was opened.
    """
    rasterio = _rasterio()
    _check_unchanged(raster)
    window = rasterio.windows.Window(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
    try:
        with _opened(raster) as source:
            raw = source.read(1, window=window)
            masked = rasterio.enums.MaskFlags.per_dataset in source.mask_flag_enums[0]
            mask = source.dataset_mask(window=window) if masked else None
    except rasterio.errors.RasterioError as error:
        raise FormatError(raster.path, f"cannot be read: missing, truncated or damaged ({error})") from error
    values = _values(raw, raster)
    if mask is not None:
        values[mask == 0] = np.nan
    return values


def survey(raster: Raster) -> Survey:
    """Look at the whole of a small raster, at some bands of a large one, the last among them."""
    if raster.height * raster.width <= _SURVEYED_PIXELS:
        bands = [slice(0, raster.height)]
    else:
        rows = max(raster.block[0], _SURVEYED_PIXELS // _SURVEYED_BANDS // raster.width)
        step = min(rows, raster.height, max(1, _SURVEYED_PIXELS // raster.width))
        starts = np.unique(np.linspace(0, raster.height - step, _SURVEYED_BANDS).astype(int))
        bands = [slice(int(start), int(start) + step) for start in starts]
    pixels = zeros = finite = 0
    low, high = np.inf, -np.inf
    for band in bands:
        values = read(raster, band, slice(0, raster.width))
        valid = values[np.isfinite(values)]
        pixels += values.size
        zeros += int(np.count_nonzero(valid == 0))
        finite += valid.size
        if valid.size:
            low, high = min(low, float(valid.min())), max(high, float(valid.max()))
    return Survey(pixels, zeros, finite, low, high)


def has_data(raster: Raster) -> bool:
    """Whether any pixel holds a value, all of the raster read where need be."""
    step = max(1, _SURVEYED_PIXELS // raster.width)
    return any(
        bool(np.isfinite(read(raster, slice(row, min(row + step, raster.height)), slice(0, raster.width))).any())
        for row in range(0, raster.height, step)
    )


def same_grid(first: Raster, other: Raster) -> None:
    """Refuse rasters of different size, place or coordinate system.

    Raises
    ------
    FormatError
        With both files and what differs.
    """
    if (first.height, first.width) != (other.height, other.width):
        difference = f"{other.height} x {other.width} pixels, expected {first.height} x {first.width}"
    elif not _same_crs(first.crs, other.crs):
        difference = f"coordinate system {_crs_name(other.crs)}, expected {_crs_name(first.crs)}"
    elif not _same_transform(first, other):
        difference = f"transform {other.transform}, expected {first.transform}"
    else:
        return
    raise FormatError(other.path, f"its grid differs from that of {first.path}: {difference}; resample to one grid")


def _rasterio() -> Any:
    for module in ("rasterio.enums", "rasterio.windows"):
        require(module, extra="geo", purpose="reading a GeoTIFF")
    return require("rasterio", extra="geo", purpose="reading a GeoTIFF")


def _header(path: Path, source: Any) -> Raster:
    if source.count != 1:
        raise FormatError(path, f"it has {source.count} bands, expected one: extract the phase with gdal_translate -b")
    dtype = np.dtype(source.dtypes[0])
    if dtype.kind not in "fiu":
        raise FormatError(
            path, f"its values are {dtype}, expected real numbers: take the angle of complex values first"
        )
    transform = tuple(float(value) for value in source.transform)[:6]
    if transform[1] or transform[3]:
        raise FormatError(path, "its grid is rotated: resample it to one along the axes with gdalwarp")
    status = path.stat()
    return Raster(
        path=path,
        height=source.height,
        width=source.width,
        transform=(transform[0], transform[1], transform[2], transform[3], transform[4], transform[5]),
        crs=source.crs.to_wkt() if source.crs else None,
        georeferenced=transform != (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        dtype=dtype.name,
        nodata=() if source.nodata is None else (float(source.nodata),),
        scale=float(source.scales[0]),
        offset=float(source.offsets[0]),
        block=(int(source.block_shapes[0][0]), int(source.block_shapes[0][1])),
        size=status.st_size,
        changed=status.st_mtime_ns,
    )


def _last_byte(source: Any) -> int:
    """Where the strip or tile that lies last ends; a block that was never written has no offset."""
    height, width = source.block_shapes[0]
    end = 0
    for row in range(-(-source.height // height)):
        for col in range(-(-source.width // width)):
            offset = source.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", 1)
            length = source.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", 1)
            if offset is not None and length is not None:
                end = max(end, int(offset) + int(length))
    return end


def _check_unchanged(raster: Raster) -> None:
    try:
        status = raster.path.stat()
    except OSError as error:
        raise FormatError(
            raster.path, f"cannot be read: missing or out of reach ({error.strerror or error})"
        ) from error
    if (status.st_size, status.st_mtime_ns) != (raster.size, raster.changed):
        raise FormatError(
            raster.path,
            f"it changed since it was opened ({raster.size} bytes then, {status.st_size} now, or another time of "
            "change): open the stack again",
        )


@contextmanager
def _opened(raster: Raster) -> Iterator[Any]:
    rasterio = _rasterio()
    if raster.georeferenced:
        with rasterio.open(raster.path, driver="GTiff") as source:
            yield source
    else:
        with _quiet():
            source = rasterio.open(raster.path, driver="GTiff")
        with source:
            yield source


@contextmanager
def _quiet() -> Iterator[None]:
    """Radar coordinates are no fault: without this, rasterio warns of every raster that has no transform."""
    rasterio = _rasterio()
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield


def _values(raw: AnyArray, raster: Raster) -> FloatArray:
    values = raw.astype(np.float32)
    if raster.scale != 1.0 or raster.offset != 0.0:
        values = values * np.float32(raster.scale) + np.float32(raster.offset)
    missing = ~np.isfinite(values)
    for nodata in raster.nodata:
        if np.isfinite(nodata):
            missing |= raw == (np.float64(nodata) if raw.dtype.kind != "f" else raw.dtype.type(nodata))
    values[missing] = np.nan
    return values


def _open_failure(path: Path, error: Exception) -> str:
    try:
        start = _first_bytes(path)
    except OSError as problem:
        return f"cannot be opened ({problem.strerror or problem})"
    if start[:2] in {b"II", b"MM"}:
        return f"not a whole GeoTIFF, it is truncated or damaged ({error})"
    return "not a GeoTIFF (its first bytes are not those of a TIFF)"


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(4)


def _same_transform(first: Raster, other: Raster) -> bool:
    """Equal to a thousandth of a pixel over the whole raster."""
    step = min(abs(first.transform[0]), abs(first.transform[4]))
    shift = np.abs(np.subtract(first.transform, other.transform))
    reach = np.array([first.width, first.height, 1, first.width, first.height, 1])
    return bool((shift * reach <= 1e-3 * step).all())


def _same_crs(first: str | None, other: str | None) -> bool:
    if first == other or first is None or other is None:
        return first == other
    crs = require("rasterio.crs", extra="geo", purpose="reading a GeoTIFF").CRS
    return bool(crs.from_wkt(first) == crs.from_wkt(other))


def _crs_name(crs: str | None) -> str:
    return "none" if crs is None else crs.split('"')[1] if '"' in crs else crs
