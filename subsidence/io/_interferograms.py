"""``open_interferograms``: a folder of rasters, whatever made it, as one INTERFEROGRAMS Dataset."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence.errors import FormatError, InputError, SuspiciousDataWarning
from subsidence.io._assemble import Content, Source, assemble
from subsidence.io._baselines import Baselines, baselines_of
from subsidence.io._cube import Chunks
from subsidence.io._gamma import image_headers, perpendicular_baselines, scene_geometry
from subsidence.io._lookup import view_of_places
from subsidence.io._names import PathLike, by_pair, find_rasters, is_coherence, is_height, select_phases
from subsidence.io._raster import inspect, same_grid
from subsidence.typing import FloatArray

__all__ = ["open_interferograms"]

_FORMATS = ("gamma", "geotiff")
_PARAMETER_FILES = {".par", ".base", ".bperp"}


@dataclass(frozen=True)
class _Request:
    """What lies in the folder and what the caller asked for."""

    root: Path
    rasters: Sequence[Path]
    texts: Sequence[Path]
    phase: str | None
    coherence: PathLike | Sequence[PathLike] | bool
    height: PathLike | None
    content: Content
    scalars: Mapping[str, float | None]
    baselines: Baselines | None
    chunks: Chunks


def open_interferograms(
    path: PathLike | Sequence[PathLike],
    *,
    format: Literal["gamma", "geotiff"] | None = None,  # noqa: A002 - the name xarray and rasterio use for it
    chunks: Chunks = "auto",
    unwrapped: bool = True,
    sign: Literal["away", "towards"] = "away",
    phase: str | None = None,
    coherence: PathLike | Sequence[PathLike] | bool = True,
    coherence_scale: float | None = None,
    nodata: float | None = None,
    height: PathLike | None = None,
    perpendicular_baseline: Baselines | None = None,
    wavelength: float | None = None,
    incidence: float | None = None,
    slant_range: float | None = None,
    heading: float | None = None,
    looks: float | None = None,
) -> xr.Dataset:
    """
    Interferograms of a folder as one Dataset, lazily where dask is installed.

    .. warning::
        Phase in the result is **positive away** from the satellite (range increase), secondary minus
        reference, the secondary being the later date. Files that hold the opposite need ``sign="towards"``:
        nothing in a GeoTIFF tells.

    Parameters
    ----------
    path
        Folder, searched with its subfolders; or the files of the stack, phases and coherences together
        (format "geotiff").
    format
        "gamma": GeoTIFF phases and coherences beside GAMMA's parameter files, which give wavelength,
        incidence, slant range, heading, looks and perpendicular baselines; with its lookup table (``*.lt``,
        ``*_to_rdc``) incidence and slant range are those of every pixel.
        "geotiff": any GeoTIFFs whose names (or whose folders' names) carry the two dates of the pair, as
        YYYYMMDD or YYYY-MM-DD.
        None: "gamma" when a parameter file names a radar frequency, "geotiff" when there is none at all.
    chunks
        "auto": chunks of all pairs and about 64 MB where dask is installed, else in memory. None: in memory.
        Or sizes such as ``{"y": 512, "x": 512}``; -1 is all of a dimension.
    unwrapped
        Whether the phases are unwrapped (variable ``unwrapped_phase``) or wrapped (``phase``).
    sign
        Sign of the phase in the files: "away" is positive for range increase.
    phase
        Pattern of the phases' file names, such as ``"*_unw_phase.tif"``, where names alone are not clear.
    coherence
        True: rasters called cc, coh, cor, corr or coherence, if there are any. False: none. Or a pattern
        of file names, another folder, or files.
    coherence_scale
        Value that means coherence 1, for coherence that is stored as whole numbers (255 for uint8).
    nodata
        Phase that means no data, besides the value that a file declares; 0 for "gamma" in any case. No
        data is NaN in the result, in phase and coherence.
    height
        GeoTIFF of heights in metres on the same grid. With "gamma" the raster called dem or hgt is found.
    perpendicular_baseline
        Metres by pair in GAMMA's sign: a mapping such as ``{("20180106", "20180130"): 30.2}``, or a CSV file
        with the columns reference, secondary, perpendicular_baseline. Goes before what files say.
    wavelength
        Metres; needed for "geotiff". This and all that follow go before what headers and lookup table say.
    incidence
        Degrees from the vertical.
    slant_range
        Metres.
    heading
        Flight direction in degrees clockwise from north.
    looks
        Number of independent looks.

    Returns
    -------
    xarray.Dataset
        INTERFEROGRAMS, dims (pair, y, x), sorted by reference, then secondary: ``unwrapped_phase`` or
        ``phase`` (rad, float32), ``coherence`` (0..1, float32); coordinates ``reference``, ``secondary``,
        ``perpendicular_baseline`` (m), ``wavelength`` (m), ``incidence`` and ``heading`` (degree),
        ``slant_range`` (m), ``looks``, ``height`` (m), ``x``, ``y`` (pixel centres), and ``lon``, ``lat``,
        ``spatial_ref`` as the grid has them. ``incidence`` and ``slant_range`` are scalars, or (y, x) from a
        lookup table, NaN where it has no data.

    Raises
    ------
    FormatError
        With the file and the reason, when anything cannot be read as asked. Nothing half-read is returned.
    InputError
        When an argument makes no sense.
    MissingExtraError
        When rasterio is not installed, or dask although `chunks` gives sizes.

    Warns
    -----
    SuspiciousDataWarning
        When a name gives the later date first (the phase is negated), when phases have many exact zeros
        and do not declare 0 as nodata, when unwrapped phases fill +-pi as wrapped ones do, and when a lookup
        table cannot be used.

    Notes
    -----
    GAMMA's headers describe the centre of the whole radar scene, and a geocoded crop near the edge of a wide
    swath sees other angles: 31.7 instead of 39.7 degrees in one Sentinel-1 example, by which residual heights
    would be a third too large and vertical motion a tenth. Therefore the one lookup table in the folder that fits
    the grid (big-endian float32 pairs of range and azimuth in the multilooked image) gives ``slant_range`` and
    ``incidence`` of each pixel, with the heights of the DEM, or 0 without one. The image is the one whose date
    and range looks the table's name tells.

    Perpendicular baselines come from the ``bperp.par`` table of a pair, linearly at the centre line and
    range, otherwise from ``base.par`` as ``Bc cos(look) - Bn sin(look)``, the precision vector unless it is all
    zero. They are those of the centre of the whole radar scene even for a crop at its edge, where they differ:
    in that example by up to 7 m, which makes residual heights 7 % too large. Pass `perpendicular_baseline` where
    that matters. ``looks`` counts independent ones: the resolution cells in a multilooked pixel.

    The grid's place is the GeoTIFF's; ``corner_lat`` and ``corner_lon`` in GAMMA's ``dem.par`` are not used.
    GAMMA's manual has them as the coordinates of the first pixel, that is of its centre, and some programs write
    and read them as its outer corner; a GeoTIFF leaves no doubt.

    Every strip and tile is checked to lie within its file when it is opened; the values of rasters above a
    million pixels are looked at in part then and checked wholly when they are read.

    Examples
    --------
    >>> import tempfile, warnings
    >>> from pathlib import Path
    >>> import numpy as np, rasterio
    >>> grid = {"crs": "EPSG:32614", "transform": rasterio.Affine(30, 0, 5e5, 0, -30, 2.1e6)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = Path(folder, "2018-01-06_2018-01-30_unw.tif")
    ...     with rasterio.open(name, "w", "GTiff", 3, 2, 1, dtype="float32", nodata=0.0, **grid) as file:
    ...         file.write(np.arange(6, dtype="float32").reshape(1, 2, 3))
    ...     stack = open_interferograms(folder, format="geotiff", wavelength=0.0555, chunks=None)
    >>> stack.unwrapped_phase.values.tolist()
    [[[nan, 1.0, 2.0], [3.0, 4.0, 5.0]]]
    >>> stack.x.values.tolist()
    [500015.0, 500045.0, 500075.0]
    """
    content = Content(
        unwrapped=unwrapped,
        sign=_one_of("sign", sign, ("away", "towards")),
        nodata=_nodata(nodata),
        coherence_nodata=(),
        coherence_scale=_positive("coherence_scale", coherence_scale, "the value that means 1"),
    )
    scalars = {
        "wavelength": _wavelength(wavelength),
        "incidence": _positive("incidence", incidence, "degrees"),
        "slant_range": _positive("slant_range", slant_range, "metres"),
        "heading": None if heading is None else _finite("heading", heading, "degrees"),
        "looks": _positive("looks", looks, "a number"),
    }
    if format is not None:
        _one_of("format", format, _FORMATS)
    root, rasters, texts = _contents(path)
    request = _Request(root, rasters, texts, phase, coherence, height, content, scalars, perpendicular_baseline, chunks)
    reader = _gamma if (format or _recognised(root, rasters, texts)) == "gamma" else _geotiff
    stack, doubts = reader(request)
    for doubt in doubts:
        warnings.warn(doubt, SuspiciousDataWarning, stacklevel=2)
    return stack


def _gamma(request: _Request) -> tuple[xr.Dataset, list[str]]:
    root, content = request.root, request.content
    if not request.rasters:
        raise FormatError(
            root,
            "no GeoTIFF (.tif) in the folder: GAMMA's raw binary rasters are not read, "
            "convert them with GAMMA's data2geotiff",
        )
    headers = image_headers(request.texts)
    if not headers and request.scalars["wavelength"] is not None:
        raise FormatError(root, 'no parameter file (.par) is an SLC or MLI header: read it as format="geotiff"')
    geometry = scene_geometry(root, headers)
    heights = [path for path in request.rasters if is_height(path)]
    if request.height is None and len(heights) > 1:
        names = ", ".join(path.name for path in heights)
        raise FormatError(root, f"{len(heights)} rasters of height ({names}): choose one with height=")
    source = _source(request, "gamma", found_height=heights[0] if heights else None)
    baselines = (
        perpendicular_baselines(root, list(source.phases), request.texts, geometry.look_angle)
        if request.baselines is None
        else baselines_of(list(source.phases), request.baselines)
    )
    places, doubts = _places(request, source, headers)
    known = {
        name: places.get(name, getattr(geometry, name)) if value is None else value
        for name, value in request.scalars.items()
    }
    meaning = replace(content, nodata=(0.0, *content.nodata), coherence_nodata=(0.0,))
    stack, others = _assembled(source, meaning, request, known, baselines)
    return stack, doubts + others


def _places(
    request: _Request, source: Source, headers: Mapping[Path, Mapping[str, str]]
) -> tuple[dict[str, FloatArray], list[str]]:
    """Incidence and slant range of every pixel, and doubts, unless the caller gave both."""
    if request.scalars["incidence"] is not None and request.scalars["slant_range"] is not None:
        return {}, []
    grid = inspect(next(iter(source.phases.values())).path)
    height = None if source.height is None else inspect(source.height)
    if height is not None:
        same_grid(grid, height)
    return view_of_places(request.root, headers, grid, height)


def _geotiff(request: _Request) -> tuple[xr.Dataset, list[str]]:
    if not request.rasters:
        raise FormatError(request.root, "no GeoTIFF (.tif) in the folder")
    if request.scalars["wavelength"] is None:
        raise FormatError(
            request.root,
            "a GeoTIFF does not tell the radar wavelength: pass wavelength= in metres (0.0554658 for Sentinel-1)",
        )
    source = _source(request, "geotiff", found_height=None)
    given = request.baselines
    baselines = None if given is None else baselines_of(list(source.phases), given)
    return _assembled(source, request.content, request, request.scalars, baselines)


def _assembled(
    source: Source,
    content: Content,
    request: _Request,
    geometry: Mapping[str, float | FloatArray | None],
    baselines: npt.NDArray[np.float64] | None,
) -> tuple[xr.Dataset, list[str]]:
    known = {name: value for name, value in geometry.items() if value is not None}
    return assemble(source, content, geometry=known, baselines=baselines, chunks=request.chunks)


def _source(request: _Request, name: str, *, found_height: Path | None) -> Source:
    root, rasters, pattern = request.root, request.rasters, request.phase
    coherences = _coherences(request)
    others = [path for path in rasters if path not in set(coherences)]
    if pattern is None:
        phases = select_phases(others, unwrapped=request.content.unwrapped)
    else:
        phases = [path for path in others if path.match(pattern)]
    if not phases:
        sought = "the two dates of a pair in their names" if pattern is None else f"names like {pattern!r}"
        examples = ", ".join(path.name for path in rasters[:3])
        raise FormatError(
            root,
            f"none of its {len(rasters)} GeoTIFFs is a phase ({examples}): expected {sought}, "
            "YYYYMMDD or YYYY-MM-DD; choose the files with phase= or as a list",
        )
    height = found_height if request.height is None else Path(request.height)
    return Source(root, name, by_pair(phases), by_pair(coherences), height)


def _coherences(request: _Request) -> list[Path]:
    given, root = request.coherence, request.root
    if given is True:
        return [path for path in request.rasters if is_coherence(path)]
    if given is False:
        return []
    if not isinstance(given, (str, os.PathLike)):
        return [Path(item) for item in given]
    folder = Path(given)
    if folder.is_dir():
        found = find_rasters(folder)
    elif folder.is_file():
        found = [folder]
    else:
        found = [path for path in request.rasters if path.match(str(given))]
    if not found:
        raise FormatError(root, f"no GeoTIFF matches coherence={str(given)!r}: expected a pattern, a folder or files")
    return found


def _contents(path: PathLike | Sequence[PathLike]) -> tuple[Path, list[Path], list[Path]]:
    """Folder, GeoTIFFs and parameter files of what the caller named."""
    if not isinstance(path, (str, os.PathLike)):
        files = [Path(item) for item in _listed(path)]
        if not files:
            msg = "path is an empty list, expected a folder or files"
            raise InputError(msg)
        for file in files:
            if not file.is_file():
                raise FormatError(file, "no such file")
        return files[0].parent, files, []
    root = Path(path)
    if not root.exists():
        raise FormatError(root, "no such file or folder")
    if root.suffix in {".nc", ".zarr"}:
        raise FormatError(
            root, "not a folder of interferograms; a file that subsidence saved is read with subsidence.open"
        )
    if root.is_file():
        return root.parent, [root], []
    texts = sorted(item for item in root.rglob("*") if item.suffix in _PARAMETER_FILES and item.is_file())
    return root, find_rasters(root), texts


def _listed(path: Iterable[PathLike]) -> list[PathLike]:
    try:
        items = list(path)
    except TypeError as error:
        msg = f"path must be a folder or a list of files, got {path!r}"
        raise InputError(msg) from error
    if not all(isinstance(item, (str, os.PathLike)) for item in items):
        msg = f"path must be a folder or a list of files, got {path!r}"
        raise InputError(msg)
    return items


def _recognised(root: Path, rasters: Sequence[Path], texts: Sequence[Path]) -> str:
    if rasters and not texts:
        return "geotiff"
    if image_headers(texts):
        return "gamma"
    raise FormatError(
        root,
        f"cannot tell its format: found {len(rasters)} GeoTIFFs (.tif) and {len(texts)} GAMMA parameter files (.par), "
        'none of them an SLC or MLI header; pass format="gamma" or format="geotiff"',
    )


def _one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        msg = f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r}"
        raise InputError(msg)
    return value


def _finite(name: str, value: float, unit: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        msg = f"{name} must be a finite number ({unit}), got {value!r}"
        raise InputError(msg)
    return number


def _positive(name: str, value: float | None, unit: str) -> float | None:
    if value is None:
        return None
    number = _finite(name, value, unit)
    if number <= 0:
        msg = f"{name} must be positive ({unit}), got {value!r}"
        raise InputError(msg)
    if name == "incidence" and (number > 90 or number <= math.pi / 2):
        hint = "; it looks like radians, use numpy.rad2deg" if number <= math.pi / 2 else ""
        msg = f"incidence must be in degrees from the vertical, up to 90, got {value!r}{hint}"
        raise InputError(msg)
    return number


def _wavelength(value: float | None) -> float | None:
    number = _positive("wavelength", value, "metres")
    if number is not None and not 0.005 <= number <= 2.0:
        msg = f"wavelength must be in metres, between 0.005 and 2, got {value!r}"
        raise InputError(msg)
    return number


def _nodata(value: float | None) -> tuple[float, ...]:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()  # NaN means no data in any case
    return (_finite("nodata", value, "radians"),)
