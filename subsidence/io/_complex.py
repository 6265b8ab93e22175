"""Rasters of complex values, one for each date, as an array that reads its windows when they are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from subsidence._extras import available
from subsidence.errors import FormatError
from subsidence.io._cube import Chunks, asked_chunks
from subsidence.io._raster import Raster, _last_byte, _quiet, _rasterio
from subsidence.typing import AnyArray

__all__ = ["ComplexCube", "ComplexRaster", "chunk_sizes", "inspect_complex"]

#: Bytes of one chunk, all epochs together.
_CHUNK_BYTES = 2**26
_DIMS = ("time", "y", "x")
_SAMPLE_BYTES = {
    "Byte": 1, "Int8": 1, "UInt16": 2, "Int16": 2, "CInt16": 4, "Float32": 4, "Int32": 4, "UInt32": 4,
    "CInt32": 8, "CFloat32": 8, "Float64": 8, "CFloat64": 16,
}  # fmt: skip


@dataclass(frozen=True)
class ComplexRaster:
    """A raster of complex values as it was when it was opened; small, and survives pickling."""

    grid: Raster
    driver: str
    #: Every file that the values come from, its bytes and its time of change.
    sources: tuple[tuple[Path, int, int], ...]


def inspect_complex(path: Path) -> ComplexRaster | None:
    """Open `path`, read its header and make sure that all its data are there; None where its values are real.

    Raises
    ------
    FormatError
        When the file is no GeoTIFF or VRT, is truncated, lacks a file that it refers to, has several bands or a
        rotated grid.
    """
    rasterio = _rasterio()
    driver = "VRT" if path.suffix.lower() == ".vrt" else "GTiff"
    try:
        with _quiet(), rasterio.open(path, driver=driver) as source:
            if not any(str(dtype).startswith("complex") for dtype in source.dtypes):
                return None
            if source.count != 1:
                raise FormatError(path, f"it has {source.count} bands, expected one: extract it with gdal_translate -b")
            grid = _grid(path, source)
            files = [path, *(Path(name) for name in source.files if Path(name) != path)]
            end = _last_byte(source) if driver == "GTiff" else 0
    except rasterio.errors.RasterioError as error:
        reason = f"not a whole {'VRT' if driver == 'VRT' else 'GeoTIFF'}, it is truncated, damaged or something else"
        raise FormatError(path, f"{reason} ({error})") from error
    if end > grid.size:
        raise FormatError(
            path, f"truncated: its last strip or tile ends at byte {end}, the file has {grid.size}; copy it again"
        )
    if driver == "VRT":
        files += _check_sources(path, depth=0)
    sources = []
    for file in dict.fromkeys(files):
        status = _status(path, file)
        sources.append((file, status.st_size, status.st_mtime_ns))
    return ComplexRaster(grid, driver, tuple(sources))


def _grid(path: Path, source: Any) -> Raster:
    transform = tuple(float(value) for value in source.transform)[:6]
    if transform[1] or transform[3]:
        raise FormatError(path, "its grid is rotated: resample it to one along the axes with gdalwarp")
    status = path.stat()
    nodata = source.nodata
    return Raster(
        path=path,
        height=source.height,
        width=source.width,
        transform=(transform[0], transform[1], transform[2], transform[3], transform[4], transform[5]),
        crs=source.crs.to_wkt() if source.crs else None,
        georeferenced=transform != (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        dtype=str(source.dtypes[0]),
        nodata=() if nodata is None else (float(np.real(nodata)),),
        scale=1.0,
        offset=0.0,
        block=(int(source.block_shapes[0][0]), int(source.block_shapes[0][1])),
        size=status.st_size,
        changed=status.st_mtime_ns,
    )


def _check_sources(path: Path, *, depth: int) -> list[Path]:
    """Files that a VRT refers to, all there and long enough: GDAL reads what is missing as zeros."""
    if depth > 8:
        raise FormatError(path, "its VRT files refer to each other without an end")
    try:
        root = ET.fromstring(path.read_text(encoding="utf-8"))
    except (OSError, ET.ParseError, UnicodeDecodeError) as error:
        raise FormatError(path, f"not a readable VRT ({error})") from error
    rows, cols = int(root.get("rasterYSize", "0")), int(root.get("rasterXSize", "0"))
    found: list[Path] = []
    for band in root.iter("VRTRasterBand"):
        raw = band.get("subClass") == "VRTRawRasterBand"
        for element in band.iter("SourceFilename"):
            name = (element.text or "").strip()
            file = path.parent / name if element.get("relativeToVRT") == "1" else Path(name)
            size = _status(path, file).st_size
            found.append(file)
            if raw:
                last = _last_raw_byte(band, rows, cols)
                if last > size:
                    raise FormatError(
                        path, f"its data end at byte {last} of {file}, which has {size}: truncated, copy it again"
                    )
            elif file.suffix.lower() == ".vrt":
                found += _check_sources(file, depth=depth + 1)
            elif file.suffix.lower() in {".tif", ".tiff"}:
                inspect_complex(file)
    return found


def _last_raw_byte(band: ET.Element, rows: int, cols: int) -> int:
    sample = _SAMPLE_BYTES.get(band.get("dataType", ""), 1)

    def number(name: str, usual: int) -> int:
        text = band.findtext(name)
        return usual if text is None else int(text)

    start, pixel = number("ImageOffset", 0), number("PixelOffset", sample)
    line = number("LineOffset", pixel * cols)
    return start + (max(rows - 1, 0) * line if line > 0 else 0) + max(cols - 1, 0) * max(pixel, 0) + sample


def _status(path: Path, file: Path) -> Any:
    try:
        return file.stat()
    except OSError as error:
        raise FormatError(path, f"refers to {file}, which is missing or out of reach") from error


@dataclass(frozen=True)
class ComplexCube:
    """Complex rasters of one grid as one complex64 array (time, y, x); survives pickling, opens files when indexed.

    Parameters
    ----------
    rasters
        One for each epoch.
    conjugate
        Whether the sign of the phase is turned.
    """

    rasters: tuple[ComplexRaster, ...]
    conjugate: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Epochs, rows, columns."""
        return (len(self.rasters), self.rasters[0].grid.height, self.rasters[0].grid.width)

    @property
    def dtype(self) -> np.dtype[np.complex64]:
        """Single precision."""
        return np.dtype(np.complex64)

    @property
    def ndim(self) -> int:
        """Three."""
        return 3

    def __getitem__(self, key: tuple[slice | int, ...]) -> AnyArray:
        """Read one window; whole numbers drop their dimension as in numpy."""
        full = (*key, *(slice(None),) * (3 - len(key)))
        chosen = [
            range(size)[item] if isinstance(item, slice) else range(size)[item : item + 1 or None]
            for item, size in zip(full, self.shape, strict=True)
        ]
        epochs, rows, cols = chosen
        result = np.empty((len(epochs), len(rows), len(cols)), np.complex64)
        if result.size:
            top, left = min(rows[0], rows[-1]), min(cols[0], cols[-1])
            inner = np.ix_([row - top for row in rows], [col - left for col in cols])
            spans = slice(top, max(rows[0], rows[-1]) + 1), slice(left, max(cols[0], cols[-1]) + 1)
            for place, epoch in enumerate(epochs):
                result[place] = self._window(self.rasters[epoch], *spans)[inner]
        dropped = tuple(0 if isinstance(item, (int, np.integer)) else slice(None) for item in full)
        return result[dropped]

    def _window(self, raster: ComplexRaster, rows: slice, cols: slice) -> AnyArray:
        rasterio = _rasterio()
        grid = raster.grid
        for file, size, changed in raster.sources:
            status = _status(grid.path, file)
            if (status.st_size, status.st_mtime_ns) != (size, changed):
                raise FormatError(
                    grid.path, f"{file} changed since it was opened ({size} bytes then, {status.st_size} now, or "
                    "another time of change): open the stack again"
                )  # fmt: skip
        window = rasterio.windows.Window(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
        try:
            with _quiet():
                source = rasterio.open(grid.path, driver=raster.driver)
            with source:
                values = np.asarray(source.read(1, window=window), np.complex64)
        except rasterio.errors.RasterioError as error:
            raise FormatError(grid.path, f"cannot be read: missing, truncated or damaged ({error})") from error
        missing = ~np.isfinite(values) | (values == 0)
        for nodata in grid.nodata:  # of the whole sample: whole numbers often have a real part of 0
            fill = np.float32(nodata)
            missing |= (values.real == fill) & ((values.imag == 0) | (values.imag == fill))
        values[missing] = np.nan
        return values.conj() if self.conjugate else values


def chunk_sizes(chunks: Chunks, cube: ComplexCube) -> tuple[int, int, int] | None:
    """Size of a chunk (time, y, x), or None for arrays in memory.

    Raises
    ------
    InputError
        When `chunks` is not one of the things it can be.
    """
    automatic = isinstance(chunks, str) and chunks == "auto"
    if chunks is None or (automatic and not available("dask")):
        return None
    epochs, height, width = cube.shape
    block = cube.rasters[0].grid.block
    places = max(1, _CHUNK_BYTES // (8 * epochs))
    cols = width if block[1] >= width else min(width, max(block[1], math.isqrt(places) // block[1] * block[1]))
    rows = min(height, max(1, places // cols))
    rows = rows // block[0] * block[0] or rows if rows < height else height
    usual = (epochs, rows, cols)
    if automatic:
        return usual
    return asked_chunks(chunks, _DIMS, cube.shape, usual)
