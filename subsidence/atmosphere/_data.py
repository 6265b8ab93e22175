"""What is separated: displacements by epoch and place, where the places are, and where they are zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence._points import phase_design, point_positions
from subsidence._reference import Place, resolve
from subsidence.atmosphere._space import near_density, pairs_on_grid, pairs_on_points
from subsidence.errors import InputError
from subsidence.geometry import phase_to_displacement
from subsidence.schema._estimates import without_estimates
from subsidence.typing import FloatArray, IntArray, ReferenceLike

__all__ = ["Data", "Places"]

_LEAST_EPOCHS = 4
_METRES_PER_DEGREE = 111_195.0
#: Steps of a raster may differ from their median by this share.
_EVEN = 0.01
#: Terms of RESIDUALS' model that are motion, and their unit phase in a PhaseDesign.
_TERMS = {
    "velocity": "velocity",
    "seasonal_sine": "seasonal_sine",
    "seasonal_cosine": "seasonal_cosine",
    "thermal_expansion": "thermal",
}


@dataclass(eq=False)
class Data:
    """
    Displacements to separate.

    Parameters
    ----------
    source
        What the caller gave.
    time
        Epochs.
    place
        Dimensions of place.
    rest
        Displacement less that of `model`, dims ("time", *place), metres.
    model
        Displacement of the phase model of RESIDUALS, (time, point); None of a SERIES.
    origin
        Number of the epoch whose displacement is zero; None where there is none.
    """

    source: xr.Dataset
    time: npt.NDArray[np.datetime64]
    place: tuple[str, ...]
    rest: xr.Variable
    model: FloatArray | None
    origin: int | None

    @classmethod
    def of(cls, residuals: xr.Dataset) -> Data:
        """Read RESIDUALS or SERIES, refusing what cannot be separated."""
        if isinstance(residuals, xr.Dataset) and "residual_phase" in residuals.variables:
            schema.RESIDUALS.check(residuals, argument="residuals")
            time = _checked_time(residuals)
            phase = residuals.variables["residual_phase"].transpose("time", "point")
            values = phase_to_displacement(xr.DataArray(phase), float(residuals["wavelength"])).variable
            rest = xr.Variable(("time", "point"), np.asarray(values.values, np.result_type(phase.dtype, np.float32)))
            origin = _origin(residuals, time, rest)
            model = _model(residuals, time, origin)
            # a point that the model does not know has no displacement
            rest = xr.Variable(rest.dims, np.where(np.isfinite(model), rest.values, np.nan).astype(rest.dtype))
            if origin is not None:
                rest = rest - np.nan_to_num(rest.values[origin])
            return cls(residuals, time, ("point",), rest, model, origin)
        schema.SERIES.check(residuals, argument="residuals")
        time = _checked_time(residuals)
        if residuals["displacement"].dims == ("time",):
            msg = "residuals is the series of one place: atmosphere is what neighbours share, and it has none"
            raise InputError(msg)
        if "atmospheric_std" in residuals.variables:
            msg = "residuals holds 'atmospheric_std': separate the atmosphere before add_atmospheric_variance"
            raise InputError(msg)
        place = schema.spatial_dims(residuals["displacement"])
        rest = residuals.variables["displacement"].transpose("time", *place)
        return cls(residuals, time, place, rest, None, _origin(residuals, time, rest))

    def at(self, places: IntArray) -> FloatArray:
        """Series of some places, numbered row by row, (time, places)."""
        sizes = tuple(self.rest.sizes[dim] for dim in self.place)
        where = np.unravel_index(places, sizes)
        chosen = {dim: xr.Variable("sample", index) for dim, index in zip(self.place, where, strict=True)}
        return np.ascontiguousarray(self.rest.isel(chosen).transpose("time", "sample").values)

    def result(self, atmosphere: xr.Variable | None, done: dict[str, Any]) -> xr.Dataset:
        """SERIES without that atmosphere."""
        source = without_estimates(self.source) if self.model is None else self.source
        series = source.drop_vars(["residual_phase", "unclosed_triangles", "atmosphere"], errors="ignore")
        displacement = self.rest if self.model is None else self.rest + self.model
        if atmosphere is not None:
            atmosphere = xr.DataArray(atmosphere).where(xr.DataArray(displacement).notnull()).variable
            displacement = displacement - atmosphere
        dtype = np.result_type(self.rest.dtype, np.float32)
        series = series.assign(displacement=displacement.astype(dtype))
        if atmosphere is not None:
            series = series.assign(atmosphere=atmosphere.astype(dtype))
        series.attrs = {**source.attrs, "component": source.attrs.get("component", "los"), **done}
        if self.origin is not None:
            series.attrs["reference_time"] = str(self.time[self.origin].astype("M8[s]"))
        return schema.SERIES.stamp(series)


@dataclass(frozen=True, eq=False)
class Places:
    """
    Where the displacements are.

    Parameters
    ----------
    positions
        Metres, (point, 2); None of a raster.
    shape
        Rows and columns of a raster, else the number of points.
    grid
        Height and width of a pixel in metres; None of points.
    parts
        Numbers of the places of each part of the network, the largest first.
    """

    positions: FloatArray | None
    shape: tuple[int, ...]
    grid: tuple[float, float] | None
    parts: list[IntArray]

    @classmethod
    def of(cls, data: Data) -> Places:
        """Read positions, or the spacing of a raster."""
        source, shape = data.source, tuple(data.rest.sizes[dim] for dim in data.place)
        if min(shape) == 0:
            msg = "residuals has no places"
            raise InputError(msg)
        if data.place == ("y", "x"):
            grid = _spacing(source, "y"), _spacing(source, "x")
            return cls(None, shape, grid, [np.arange(shape[0] * shape[1])])
        return cls.on_points(source, argument="residuals")

    @classmethod
    def on_points(cls, source: xr.Dataset, *, argument: str) -> Places:
        """Read positions of points and the parts of their network."""
        positions = point_positions(source, argument=argument)
        parts = [np.arange(len(positions))]
        if "network_part" in source.variables:
            part = np.asarray(source["network_part"].values)
            found = [np.flatnonzero(part == number) for number in np.unique(part)]
            parts = sorted(found, key=len, reverse=True)
        return cls(positions, (len(positions),), None, parts)

    def position(self, places: IntArray) -> FloatArray:
        """Metres, (places, 2)."""
        if self.positions is not None:
            return self.positions[places]
        height, width = self.grid or (1.0, 1.0)
        row, column = np.divmod(places, self.shape[1])
        return np.stack([column * width, row * height], axis=-1)

    def pairs(self) -> tuple[IntArray, IntArray, IntArray]:
        """Places of a sample out of the largest part, and its pairs as numbers into them."""
        if self.positions is None:
            return pairs_on_grid((self.shape[0], self.shape[1]))
        members = self.parts[0]
        places, first, second = pairs_on_points(self.positions[members])
        return members[places], first, second

    def density(self) -> float:
        """Places in a square metre."""
        if self.grid is not None:
            return 1 / (self.grid[0] * self.grid[1])
        return near_density(self.position(self.parts[0]))

    def references(self, data: Data, reference: ReferenceLike) -> list[tuple[IntArray | None, Place]]:
        """Where displacement is zero: for each part its members (None for all places) and the place or area."""
        if reference is not None:
            named = resolve(data.source, reference)[2]
            if len(self.parts) == 1:
                return [(None, named)]
            chosen = np.zeros(self.shape, bool)
            chosen[named.values if isinstance(named, xr.Variable) else named["point"]] = True
        else:
            chosen = self._named(data)
            if len(self.parts) == 1 and chosen.any():
                return [(None, self._first(chosen))]
        still = np.zeros(self.shape, bool) if data.rest.chunks is not None else _still(data.rest)
        found: list[tuple[IntArray | None, Place]] = []
        for members in self.parts:
            mask = np.zeros(self.shape, bool)
            mask.ravel()[members] = True
            if (chosen & mask).any():
                area: Place = xr.Variable(data.place, chosen & mask)
            elif (still & mask).any():
                area = self._first(still & mask)
            else:
                continue
            found.append((None if len(self.parts) == 1 else members, area))
        if not found and "reference_count" in data.source.attrs:
            msg = (
                f"residuals is relative to an area ({data.source.attrs.get('reference')}) that its attributes do not "
                "name: give it as reference=, a boolean DataArray"
            )
            raise InputError(msg)
        return found

    def _named(self, data: Data) -> npt.NDArray[np.bool_]:
        """The place that the attributes name, where it is still zero: a subset has other numbers."""
        chosen = np.zeros(self.shape, bool)
        names = ("reference_point",) if self.positions is not None else ("reference_row", "reference_col")
        numbers = [data.source.attrs.get(name) for name in names]
        if any(not isinstance(number, (int, np.integer)) for number in numbers):
            return chosen
        at = tuple(int(number) for number in numbers if number is not None)
        if all(0 <= number < size for number, size in zip(at, self.shape, strict=True)):
            series = data.rest.isel(dict(zip(data.place, at, strict=True))).compute()
            chosen[at] = bool(_still(series))
        return chosen

    def _first(self, chosen: npt.NDArray[np.bool_]) -> Place:
        at = np.unravel_index(int(np.argmax(chosen)), self.shape)
        return dict(zip(("point",) if len(at) == 1 else ("y", "x"), map(int, at), strict=True))


def _still(series: xr.Variable) -> Any:
    """Whether a place has data and is zero at all epochs."""
    values = np.asarray(series.values)
    missing = np.isnan(values)
    return ((values == 0) | missing).all(axis=0) & ~missing.all(axis=0)


def _checked_time(dataset: xr.Dataset) -> npt.NDArray[np.datetime64]:
    time = np.asarray(dataset["time"].values, "M8[ns]")
    if time.size < _LEAST_EPOCHS:
        msg = f"residuals has {time.size} epochs, expected at least {_LEAST_EPOCHS}"
        raise InputError(msg)
    if np.isnat(time).any() or np.any(np.diff(time) <= np.timedelta64(0)):
        msg = "residuals has epochs without a date, twice or out of order: use sortby('time').drop_duplicates('time')"
        raise InputError(msg)
    return time


def _origin(source: xr.Dataset, time: npt.NDArray[np.datetime64], rest: xr.Variable) -> int | None:
    """Epoch that displacements count from: the one that is named, else the one that is zero everywhere."""
    named = source.attrs.get("reference_time")
    if named is not None:
        try:
            day = np.datetime64(str(named)).astype("M8[D]")
        except ValueError as error:
            msg = f"residuals.attrs['reference_time'] must be an ISO 8601 date, got {named!r}"
            raise InputError(msg) from error
        hit = np.flatnonzero(time.astype("M8[D]") == day)
        return int(hit[0]) if hit.size else None
    for number in range(time.size) if rest.chunks is None else ():
        epoch = np.asarray(rest[number].values)
        if not np.nan_to_num(epoch).any() and np.isfinite(epoch).any():
            return number
    return None


def _model(residuals: xr.Dataset, time: npt.NDArray[np.datetime64], origin: int | None) -> FloatArray:
    """Displacement of the phase model, (time, point), zero at the reference epoch."""
    # heights are no motion: baselines are not looked at
    plain = residuals.drop_vars(["perpendicular_baseline", "height_to_phase"], errors="ignore")
    design = phase_design(plain, argument="residuals")
    factor = -4 * np.pi / float(residuals["wavelength"])
    model = np.zeros((time.size, residuals.sizes["point"]))
    for name, unit in _TERMS.items():
        if name not in residuals.variables:
            continue
        column = getattr(design, unit)
        if column is None:
            msg = f"residuals has {name!r} but no 'temperature' (time), without which its motion is not known"
            raise InputError(msg)
        column = column / factor
        model += np.outer(column - column[0 if origin is None else origin], np.asarray(residuals[name].values))
    return model


def _spacing(source: xr.Dataset, dim: str) -> float:
    """Metres between rows or columns of a raster."""
    other = {"y": "lat", "x": "lon"}[dim]
    name = next((name for name in (dim, other) if name in source.variables and source[name].dims == (dim,)), None)
    if name is None:
        msg = f"residuals has no coordinate {dim!r} (m) or {other!r} (degree) along {dim!r}: distances are not known"
        raise InputError(msg)
    values = np.asarray(source[name].values, np.float64)
    if values.size == 1:
        return 1.0  # of one row or column: no distance along it is ever needed
    steps = np.diff(values)
    step = float(np.median(steps))
    if step == 0 or not np.allclose(steps, step, rtol=_EVEN, atol=0):
        found = f"{steps.min():g} to {steps.max():g}"
        msg = f"residuals has uneven steps along {name!r} ({found}): interpolate it to even ones"
        raise InputError(msg)
    if name == other or "degree" in str(source[name].attrs.get("units", "")):
        step *= _METRES_PER_DEGREE
        if dim == "x":
            step *= float(np.cos(np.deg2rad(_latitude(source))))
    return abs(step)


def _latitude(source: xr.Dataset) -> float:
    name = next((name for name in ("lat", "y") if name in source.variables), None)
    return float(source[name].mean()) if name else 0.0
