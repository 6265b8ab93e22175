"""``open_slc``: coregistered single-look complex images, from a file of ours or a folder of rasters."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from subsidence._extras import available
from subsidence.errors import FormatError, InputError, SchemaError
from subsidence.io._assemble import _places
from subsidence.io._complex import ComplexCube, ComplexRaster, chunk_sizes, inspect_complex
from subsidence.io._cube import Chunks, Cube, as_array
from subsidence.io._names import Date, PathLike, dates_in
from subsidence.io._native import open_native
from subsidence.io._raster import inspect, same_grid
from subsidence.schema import SLC, VARIABLES
from subsidence.typing import AnyArray

__all__ = ["open_slc"]

#: Metres by date: a mapping, a pandas Series, a DataArray along time, or a CSV file of "date,baseline".
EpochBaselines: TypeAlias = Mapping[Any, float] | pd.Series | xr.DataArray | PathLike
#: A number, an array (y, x), or a GeoTIFF.
Field: TypeAlias = float | npt.NDArray[Any] | xr.DataArray | PathLike

_SUFFIXES = {".tif", ".tiff", ".vrt"}
_NATIVE = {".nc", ".zarr"}
_REMOVED = ("", "flat_earth", "flat_earth topography")


def open_slc(
    path: PathLike | Sequence[PathLike],
    *,
    pattern: str | None = None,
    chunks: Chunks = "auto",
    conjugate: bool = False,
    phase_removed: str | None = None,
    wavelength: float | None = None,
    perpendicular_baseline: EpochBaselines | None = None,
    parallel_baseline: EpochBaselines | None = None,
    incidence: Field | None = None,
    slant_range: Field | None = None,
    height: Field | None = None,
    heading: float | None = None,
    spacing: tuple[float, float] | None = None,
) -> xr.Dataset:
    r"""
    Coregistered single-look complex images as one Dataset, lazily where dask is installed.

    .. warning::
        The phase of the result is :math:`-4 \pi R / \lambda` with the range R, as GAMMA, ISCE and SNAP write it: an
        interferogram (secondary minus reference, positive away) is ``reference * conj(secondary)``. Files of the
        opposite sign need ``conjugate=True``: nothing in them tells.

    Parameters
    ----------
    path
        A file that :func:`subsidence.save` wrote (``.nc``, ``.zarr``); or a folder, searched with its subfolders for
        complex GeoTIFFs and VRTs (``.tif``, ``.tiff``, ``.vrt``; CFloat32, CInt16 and any other) whose names, or
        whose folders' names, carry one date, as YYYYMMDD or YYYY-MM-DD; or a list of such rasters. Rasters of real
        values in a folder are left alone.
    pattern
        Pattern of the rasters' file names, such as ``"*_vv.slc.tif"``, where a date is there more than once.
    chunks
        "auto": chunks of all epochs and about 64 MB where dask is installed, else in memory. None: in memory.
        Or sizes such as ``{"y": 512, "x": 512}``; -1 is all of a dimension.
    conjugate
        Whether the files' phase is :math:`+4 \pi R / \lambda`.
    phase_removed
        What has been taken off the phase already: "" for nothing, "flat_earth", or "flat_earth topography". None: what
        the file says, or nothing.
    wavelength
        Metres; needed for rasters. This and all that follow go before what a file says.
    perpendicular_baseline, parallel_baseline
        Metres by date in GAMMA's sign, relative to any one epoch, towards the scene's centre: a mapping such as
        ``{"20180106": 0.0, "20180118": 30.2}``, a pandas Series, a DataArray along ``time``, or a CSV file with the
        columns ``date`` and ``baseline`` (or the variable's own name).
    incidence, slant_range, height
        Degrees from the vertical and metres, on the reference surface, and metres above it: a number, an array or
        DataArray ``(y, x)``, or a GeoTIFF on the images' grid.
    heading
        Flight direction in degrees clockwise from north.
    spacing
        Size of a pixel along y and x in metres, for rasters in radar coordinates, which have no place: ``x`` and
        ``y`` then count from the first pixel.

    Returns
    -------
    xarray.Dataset
        SLC: ``slc`` complex64 (time, y, x), in order of the dates, NaN where there is no data: where the file says so,
        and where a sample is exactly zero. Coordinates as given, ``x``, ``y`` (pixel centres) and ``spatial_ref`` as
        the grid has them. Dates are those of the names, at midnight.

    Raises
    ------
    FormatError
        With the file and the reason: no complex raster, a date that is missing or there twice, grids that differ, a
        file that is truncated or refers to one that is missing. Nothing half-read is returned.
    InputError
        When an argument makes no sense, or a baseline is missing.
    MissingExtraError
        When rasterio, h5netcdf or zarr is not installed, or dask although `chunks` gives sizes.

    Notes
    -----
    Every strip and tile is checked to lie within its file when it is opened, and so is the raw file behind a VRT, which
    GDAL would fill up with zeros.

    Examples
    --------
    >>> import tempfile, warnings
    >>> import numpy as np, rasterio
    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # rasterio: a raster without a place
    ...     for date in ("20180106", "20180118"):
    ...         with rasterio.open(f"{folder}/{date}.tif", "w", "GTiff", 3, 2, 1, dtype="complex64") as file:
    ...             file.write(np.full((1, 2, 3), 1 + 1j, "complex64"))
    ...     slc = open_slc(folder, wavelength=0.0555, spacing=(14.0, 4.0), chunks=None)
    >>> dict(slc.sizes), slc.x.values.tolist()
    ({'time': 2, 'y': 2, 'x': 3}, [0.0, 4.0, 8.0])
    """
    if phase_removed is not None and phase_removed not in _REMOVED:
        msg = f"phase_removed must be {', '.join(map(repr, _REMOVED))} or None, got {phase_removed!r}"
        raise InputError(msg)
    source = Path(path) if isinstance(path, (str, os.PathLike)) else None
    if source is not None and source.suffix in _NATIVE:
        images, cut, grid = _native(source, pattern=pattern, chunks=chunks, conjugate=conjugate)
        root = source
    else:
        images, cut, grid, root = _rasters(path, pattern=pattern, chunks=chunks, conjugate=conjugate, spacing=spacing)
        if wavelength is None:
            raise FormatError(
                root, "rasters do not tell the radar wavelength: pass wavelength= in metres (0.0554658 for Sentinel-1)"
            )
    coordinates: dict[str, Any] = {}
    for name, value in (("wavelength", wavelength), ("heading", heading)):
        if value is not None:
            coordinates[name] = _number(name, value)
    for name, field in (("incidence", incidence), ("slant_range", slant_range), ("height", height)):
        if field is not None:
            coordinates[name] = _field(name, field, images, grid, cut)
    for name, by_date in (
        ("perpendicular_baseline", perpendicular_baseline),
        ("parallel_baseline", parallel_baseline),
    ):
        if by_date is not None:
            coordinates[name] = ("time", _by_epoch(name, by_date, images["time"].values))
    if "perpendicular_baseline" in coordinates:
        images.attrs.pop("reference_time", None)
        zero = np.flatnonzero(coordinates["perpendicular_baseline"][1] == 0)
        if zero.size == 1:
            images.attrs["reference_time"] = str(images["time"].values[zero[0]].astype("M8[s]"))
    if phase_removed is not None:
        images.attrs["phase_removed"] = phase_removed
    images.attrs.setdefault("phase_removed", "")
    result = SLC.stamp(images.assign_coords(coordinates))
    try:
        SLC.check(result, argument=str(root))
    except SchemaError as error:
        if not coordinates:
            raise FormatError(root, "; ".join(error.faults)) from error
        raise
    return result


def _native(
    source: Path, *, pattern: str | None, chunks: Chunks, conjugate: bool
) -> tuple[xr.Dataset, dict[str, int] | None, ComplexRaster | None]:
    if pattern is not None:
        msg = f"pattern chooses rasters of a folder, and {source} is a file: leave it away"
        raise InputError(msg)
    lazily = chunks
    if isinstance(chunks, str) and chunks == "auto":
        lazily = {} if available("dask") else None
    images = open_native(source, chunks=lazily)
    if images.attrs.get("kind") != SLC.name:
        raise FormatError(source, f"it holds {images.attrs.get('kind')}, expected SLC: read it with subsidence.open")
    if conjugate:
        attrs = images["slc"].attrs
        images = images.assign(slc=images["slc"].variable.copy(data=np.conj(images["slc"].data)))
        images["slc"].attrs = attrs
    cut = None
    if images["slc"].chunks is not None:
        cut = {str(dim): sizes[0] for dim, sizes in images["slc"].variable.chunksizes.items()}
    return images, cut, None


def _rasters(
    path: PathLike | Sequence[PathLike],
    *,
    pattern: str | None,
    chunks: Chunks,
    conjugate: bool,
    spacing: tuple[float, float] | None,
) -> tuple[xr.Dataset, dict[str, int] | None, ComplexRaster, Path]:
    root, files, listed = _files(path)
    if pattern is not None:
        files = [file for file in files if file.match(pattern)]
    by_date: dict[Date, ComplexRaster] = {}
    for file in files:
        raster = inspect_complex(file)
        if raster is None:
            if listed or pattern is not None:
                raise FormatError(file, "its values are real, expected complex ones: a single-look complex image")
            continue
        date = _date(file)
        if date in by_date:
            other = by_date[date].grid.path
            raise FormatError(
                file, f"the date {date} is there twice, also in {other}: choose the files with pattern= or as a list"
            )
        by_date[date] = raster
    if not by_date:
        what = f"{len(files)} rasters" + (f" named like {pattern!r}" if pattern is not None else "")
        raise FormatError(root, f"found {what}, none of complex values: expected GeoTIFFs or VRTs (.tif, .vrt)")
    ordered = dict(sorted(by_date.items()))
    cube = ComplexCube(tuple(ordered.values()), conjugate)
    first = cube.rasters[0]
    for raster in cube.rasters[1:]:
        same_grid(first.grid, raster.grid)
    sizes = chunk_sizes(chunks, cube)
    coordinates: dict[str, Any] = {"time": np.array(list(ordered), "M8[ns]"), **_places(first.grid)}
    if spacing is not None:
        coordinates |= _spaced(spacing, first)
    mapping = {"grid_mapping": "spatial_ref"} if first.grid.crs else {}
    images = xr.Dataset({"slc": (("time", "y", "x"), as_array(cube, sizes), mapping)}, coordinates)
    cut = None if sizes is None else dict(zip(("time", "y", "x"), sizes, strict=True))
    return images, cut, first, root


def _files(path: PathLike | Sequence[PathLike]) -> tuple[Path, list[Path], bool]:
    if not isinstance(path, (str, os.PathLike)):
        if not isinstance(path, Sequence) or not path or not all(isinstance(item, (str, os.PathLike)) for item in path):
            msg = f"path must be a file, a folder or a list of rasters, got {path!r}"
            raise InputError(msg)
        files = [Path(item) for item in path]
        for file in files:
            if not file.is_file():
                raise FormatError(file, "no such file")
        return files[0].parent, files, True
    root = Path(path)
    if not root.exists():
        raise FormatError(root, "no such file or folder")
    if root.is_file():
        return root.parent, [root], True
    found = sorted(
        file
        for file in root.rglob("*")
        if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    return root, found, False


def _date(file: Path) -> Date:
    dates = sorted(set(dates_in(file.name) or dates_in(file.parent.name)))
    if len(dates) != 1:
        found = f"{len(dates)} dates" + (f" ({', '.join(map(str, dates))})" if dates else "")
        raise FormatError(file, f"its name carries {found}, expected the one of an image, YYYYMMDD or YYYY-MM-DD")
    return dates[0]


def _spaced(spacing: object, raster: ComplexRaster) -> dict[str, Any]:
    two = np.shape(spacing) == (2,)  # type: ignore[call-overload]  # any object has a shape
    values = np.asarray(spacing, np.float64) if two else np.array([np.nan])
    if not (np.isfinite(values).all() and (values > 0).all()):
        msg = f"spacing must be the size of a pixel along y and x in metres, got {spacing!r}"
        raise InputError(msg)
    if raster.grid.georeferenced:
        msg = f"spacing={spacing!r} is for rasters without a place, and {raster.grid.path} has one: leave it away"
        raise InputError(msg)
    down, across = (float(value) for value in values)
    return {
        "x": ("x", np.arange(raster.grid.width) * across, {"long_name": "distance along the columns"}),
        "y": ("y", np.arange(raster.grid.height) * down, {"long_name": "distance along the rows"}),
    }


def _number(name: str, value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        msg = f"{name} must be a finite number ({VARIABLES[name].units}), got {value!r}"
        raise InputError(msg)
    return number


def _field(name: str, value: Field, images: xr.Dataset, grid: ComplexRaster | None, cut: dict[str, int] | None) -> Any:
    """A number, or what lies along y and x."""
    shape = (images.sizes["y"], images.sizes["x"])
    if isinstance(value, (str, os.PathLike)):
        raster = inspect(Path(value))
        if grid is not None:
            same_grid(grid.grid, raster)
        elif (raster.height, raster.width) != shape:
            raise FormatError(raster.path, f"it has {raster.height} x {raster.width} pixels, expected {shape}")
        sizes = None if cut is None else (1, cut["y"], cut["x"])
        return (("y", "x"), as_array(Cube((raster,), (1.0,)), sizes)[0])
    if np.ndim(value) == 0 and not isinstance(value, xr.DataArray):
        return _number(name, value)
    if isinstance(value, xr.DataArray):
        if value.ndim == 0:
            return _number(name, value.item())
        if set(value.dims) != {"y", "x"} or value.transpose("y", "x").shape != shape:
            msg = f"{name} must have the dims ('y', 'x') and the images' shape {shape}, got {dict(value.sizes)}"
            raise InputError(msg)
        return (("y", "x"), value.transpose("y", "x").data)
    array: AnyArray = np.asarray(value)
    if array.shape != shape or array.dtype.kind not in "fiu":
        msg = f"{name} must be real and of the images' shape {shape} (y, x), got {array.dtype} of shape {array.shape}"
        raise InputError(msg)
    return (("y", "x"), array.copy())


def _by_epoch(name: str, given: EpochBaselines, times: npt.NDArray[np.datetime64]) -> npt.NDArray[np.float64]:
    """Metres for each epoch."""
    found: dict[Date, float] = {}
    for key, value in _items(name, given):
        date = _day(name, key)
        number = _number(name, value)
        if found.setdefault(date, number) != number:
            msg = f"{name} of {date} is there twice: {found[date]:g} and {number:g} m"
            raise InputError(msg)
    days = times.astype("M8[D]")
    missing = [day for day in days if day not in found]
    if missing:
        names = ", ".join(str(day) for day in missing[:3])
        msg = f"{name} lacks {len(missing)} of {days.size} dates ({names}): give one for each, in metres"
        raise InputError(msg)
    return np.array([found[day] for day in days])


def _items(name: str, given: EpochBaselines) -> list[tuple[Any, Any]]:
    if isinstance(given, xr.DataArray):
        if given.dims != ("time",) or "time" not in given.coords:
            msg = f"{name} must be along 'time' and have its dates, got dims {given.dims}"
            raise InputError(msg)
        return list(zip(given["time"].values, given.values, strict=True))
    if isinstance(given, (str, os.PathLike)):
        return _from_csv(Path(given), name)
    if isinstance(given, (Mapping, pd.Series)):
        return list(given.items())
    msg = (
        f"{name} must be a mapping of dates to metres, a Series, a DataArray or a CSV file, got {type(given).__name__}"
    )
    raise InputError(msg)


def _day(name: str, key: Any) -> Date:
    dates = dates_in(key) if isinstance(key, str) else []
    if len(dates) == 1:
        return dates[0]
    day: Date
    try:
        day = np.datetime64(pd.Timestamp(key), "D")
    except (TypeError, ValueError):
        day = np.datetime64("NaT", "D")
    if isinstance(key, (str, int, float)) or np.isnat(day):
        msg = f"{name} needs dates as keys, such as '20180106', got {key!r}"
        raise InputError(msg)
    return day


def _from_csv(path: Path, name: str) -> list[tuple[Any, Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            columns = reader.fieldnames or ()
            value = next((column for column in (name, "baseline") if column in columns), None)
            if "date" not in columns or value is None:
                raise FormatError(path, f"its columns are {list(columns)}, expected date and baseline (m)")
            return [(row["date"], row[value]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(path, f"cannot be read as CSV ({error})") from error
