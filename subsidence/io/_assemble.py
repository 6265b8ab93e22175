"""From files sorted by pair to a Dataset: what every raster format has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence._extras import require
from subsidence.errors import FormatError, SchemaError
from subsidence.io._cube import Chunks, Cube, as_array, check_coherence, chunk_shape
from subsidence.io._names import Date, NamedPair
from subsidence.io._raster import Raster, Survey, has_data, inspect, same_grid, survey
from subsidence.schema import INTERFEROGRAMS
from subsidence.typing import FloatArray

__all__ = ["Content", "Source", "assemble"]

_ZEROS_SUSPECTED = 1e-3
#: Warnings name this many files, then only count.
_NAMED = 3


@dataclass(frozen=True)
class Source:
    """The files of a stack."""

    root: Path
    format: str
    phases: Mapping[tuple[Date, Date], NamedPair]
    coherences: Mapping[tuple[Date, Date], NamedPair]
    height: Path | None


@dataclass(frozen=True)
class Content:
    """What the values in the files mean."""

    unwrapped: bool
    #: "away" or "towards"
    sign: str
    #: Values of phase and of coherence that mean no data, besides what the files declare.
    nodata: tuple[float, ...]
    coherence_nodata: tuple[float, ...]
    coherence_scale: float | None


def assemble(
    source: Source,
    content: Content,
    *,
    geometry: Mapping[str, float | FloatArray],
    baselines: npt.NDArray[np.float64] | None,
    chunks: Chunks,
) -> tuple[xr.Dataset, list[str]]:
    """Check every file against the others, then build the INTERFEROGRAMS Dataset and list what to doubt in it.

    `geometry` holds scalars and fields (y, x) by name.

    Raises
    ------
    FormatError
        For the first file at fault, before any Dataset exists.
    """
    phases = [_with_nodata(inspect(pair.path), content.nodata) for pair in source.phases.values()]
    for raster in phases[1:]:
        same_grid(phases[0], raster)
    coherences = _coherences(source, content, phases[0])
    heights = [] if source.height is None else [inspect(source.height)]
    for raster in heights:
        same_grid(phases[0], raster)
    doubts = _check_phases(source, content, phases)

    shape = (len(phases), phases[0].height, phases[0].width)
    cut = chunk_shape(chunks, shape, phases[0].block)
    away = 1.0 if content.sign == "away" else -1.0
    factors = tuple(-away if pair.swapped else away for pair in source.phases.values())
    phase = as_array(Cube(tuple(phases), factors), cut)
    name = "unwrapped_phase" if content.unwrapped else "phase"
    grid_mapping = {"grid_mapping": "spatial_ref"} if phases[0].crs else {}
    dims = ("pair", "y", "x")
    variables: dict[str, Any] = {name: (dims, phase, grid_mapping)}
    if coherences:
        scale = 1.0 / (content.coherence_scale or 1.0)
        cube = Cube(tuple(coherences), (scale,) * len(coherences), bounded=True)
        variables["coherence"] = (dims, _masked(as_array(cube, cut), phase), grid_mapping)
    coordinates: dict[str, Any] = {
        "reference": ("pair", np.array([pair.reference for pair in source.phases.values()], "M8[ns]")),
        "secondary": ("pair", np.array([pair.secondary for pair in source.phases.values()], "M8[ns]")),
        **{
            key: (("y", "x"), value, grid_mapping) if isinstance(value, np.ndarray) else ((), np.float64(value))
            for key, value in geometry.items()
        },
        **_places(phases[0]),
    }
    if baselines is not None:
        coordinates["perpendicular_baseline"] = ("pair", baselines)
    for raster in heights:
        height = as_array(Cube((raster,), (1.0,)), None if cut is None else (1, *cut[1:]))[0]
        coordinates["height"] = (("y", "x"), height, grid_mapping)
    result = INTERFEROGRAMS.stamp(xr.Dataset(variables, coordinates, _attributes(source, content)))
    try:
        INTERFEROGRAMS.check(result, argument=str(source.root))
    except SchemaError as error:
        raise FormatError(source.root, "; ".join(error.faults)) from error
    return result, doubts


def _with_nodata(raster: Raster, nodata: tuple[float, ...]) -> Raster:
    return replace(raster, nodata=tuple(dict.fromkeys((*raster.nodata, *nodata))))


def _coherences(source: Source, content: Content, grid: Raster) -> list[Raster]:
    if not source.coherences:
        return []
    missing = [pair for pair in source.phases if pair not in source.coherences]
    if missing:
        names = ", ".join(f"{first} to {second}" for first, second in missing[:_NAMED])
        raise FormatError(
            source.root,
            f"{len(missing)} of {len(source.phases)} pairs have a phase but no coherence ({names}"
            f"{', ...' if len(missing) > _NAMED else ''}): add the files, or pass coherence=False to read none",
        )
    rasters = []
    for pair in source.phases:
        raster = _with_nodata(inspect(source.coherences[pair].path), content.coherence_nodata)
        same_grid(grid, raster)
        if np.dtype(raster.dtype).kind in "iu" and content.coherence_scale is None and raster.scale == 1.0:
            raise FormatError(
                raster.path,
                f"coherence is stored as {raster.dtype}, expected fractions 0..1: "
                "pass coherence_scale, the value that means 1 (255 for uint8 as LiCSAR writes it)",
            )
        found = survey(raster)
        if found.finite:
            scale = content.coherence_scale or 1.0
            check_coherence(raster, np.array([found.low, found.high], np.float32) / np.float32(scale))
        rasters.append(raster)
    return rasters


def _check_phases(source: Source, content: Content, rasters: Sequence[Raster]) -> list[str]:
    surveys = [survey(raster) for raster in rasters]
    if not any(found.finite for found in surveys) and not any(map(has_data, rasters)):
        raise FormatError(source.root, f"every pixel of all {len(rasters)} interferograms is no data")
    doubts = [
        _swapped(source),
        _zeros(source, rasters, surveys),
        _wrapping(source, surveys, unwrapped=content.unwrapped),
    ]
    return [doubt for doubt in doubts if doubt]


def _swapped(source: Source) -> str:
    names = [pair.path.name for pair in source.phases.values() if pair.swapped]
    if not names:
        return ""
    return (
        f"{source.root}: {len(names)} of {len(source.phases)} names give the later date first ({_listed(names)}): "
        "the dates were put in order and the phase negated. If these phases are later minus earlier all the same, "
        "rename the files"
    )


def _zeros(source: Source, rasters: Sequence[Raster], surveys: Sequence[Survey]) -> str:
    suspected = [
        (raster.path.name, found.zeros / found.pixels)
        for raster, found in zip(rasters, surveys, strict=True)
        if 0.0 not in raster.nodata and found.zeros > _ZEROS_SUSPECTED * found.pixels
    ]
    if not suspected:
        return ""
    share = max(fraction for _, fraction in suspected)
    return (
        f"{source.root}: {len(suspected)} of {len(rasters)} phases are exactly 0 at up to {share:.1%} of their "
        f"pixels ({_listed([name for name, _ in suspected])}) and do not declare 0 as nodata: if 0 means no data, "
        "pass nodata=0; otherwise each such pixel counts as an observation of no motion"
    )


def _wrapping(source: Source, surveys: Sequence[Survey], *, unwrapped: bool) -> str:
    low, high = min(found.low for found in surveys), max(found.high for found in surveys)
    inside = max(-low, high) <= np.pi + 1e-3
    if unwrapped and inside and low < -0.98 * np.pi and high > 0.98 * np.pi:
        return (
            f"{source.root}: all phases looked at lie within +-pi and reach both ends ({low:.3f} to {high:.3f} rad), "
            "as wrapped phase does: pass unwrapped=False if it is"
        )
    if not unwrapped and not inside:
        raise FormatError(
            source.root,
            f"phases reach from {low:.3f} to {high:.3f} rad, wrapped phase stays within +-pi: unwrapped=True",
        )
    return ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _masked(coherence: Any, phase: Any) -> Any:
    if isinstance(coherence, np.ndarray):
        coherence[np.isnan(phase)] = np.nan
        return coherence
    da = require("dask.array", extra="dask", purpose="reading lazily (chunks=)")
    return da.where(da.isnan(phase), np.float32(np.nan), coherence)


def _places(raster: Raster) -> dict[str, Any]:
    """Pixel centres as x and y, lon and lat on a geographic grid, and the CRS as CF and rioxarray have it."""
    if not raster.georeferenced:
        return {}
    a, _, c, _, e, f = raster.transform
    x, y = c + (np.arange(raster.width) + 0.5) * a, f + (np.arange(raster.height) + 0.5) * e
    if raster.crs is None:
        return {"x": ("x", x), "y": ("y", y)}
    crs = require("pyproj", extra="geo", purpose="a coordinate system").CRS.from_wkt(raster.crs)
    mapping = {**crs.to_cf(), "spatial_ref": raster.crs, "GeoTransform": f"{c!r} {a!r} 0.0 {f!r} 0.0 {e!r}"}
    mapping["crs_wkt"] = raster.crs
    result: dict[str, Any] = {"spatial_ref": ((), np.int64(0), mapping)}
    if crs.is_geographic:
        result["x"] = ("x", x, {"units": "degrees_east", "standard_name": "longitude", "long_name": "longitude"})
        result["y"] = ("y", y, {"units": "degrees_north", "standard_name": "latitude", "long_name": "latitude"})
        return {**result, "lon": ("x", x), "lat": ("y", y)}
    factors = {axis.unit_conversion_factor for axis in crs.axis_info[:2]}
    if factors - {1.0}:
        units = ", ".join(sorted({axis.unit_name for axis in crs.axis_info[:2]}))
        raise FormatError(
            raster.path, f"its coordinate system counts in {units}, expected metres: warp it with gdalwarp"
        )
    result["x"] = ("x", x, {"standard_name": "projection_x_coordinate"})
    result["y"] = ("y", y, {"standard_name": "projection_y_coordinate"})
    return result


def _attributes(source: Source, content: Content) -> dict[str, Any]:
    attributes: dict[str, Any] = {"source_format": source.format, "source_sign": content.sign}
    swapped = [f"{pair.reference} {pair.secondary}" for pair in source.phases.values() if pair.swapped]
    if swapped:
        attributes["swapped_pairs"] = ", ".join(swapped)
    return attributes
