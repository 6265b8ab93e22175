"""A new image added to a series of persistent scatterers, without beginning again."""

from __future__ import annotations

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress
from subsidence._points import phase_design
from subsidence._reference import resolve
from subsidence.atmosphere import smooth_epochs
from subsidence.errors import InputError
from subsidence.geometry import displacement_to_phase, phase_to_displacement
from subsidence.network import delaunay_arcs
from subsidence.persistent._velocity import with_velocity
from subsidence.scatterers import point_phases
from subsidence.series import Noise
from subsidence.timescale import to_elapsed
from subsidence.typing import BoolArray, FloatArray, IntArray, ReferenceLike
from subsidence.unwrapping import unwrap_residuals

__all__ = ["append_epoch"]

#: Years in which an epoch's say in the prediction falls to 1/e.
_MEMORY = 1.0
#: Series shorter than this, in years, do not tell an annual motion from a trend.
_SEASONS = 1.5


def append_epoch(
    series: xr.Dataset,
    data: xr.Dataset,
    *,
    reference: ReferenceLike = None,
    noise: Noise = "autocorrelated",
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    A series of persistent scatterers with further epochs.

    The points, their numbers, their reference and all earlier displacements stay as they are. What the series
    lets expect of the new epoch is taken off its phase, the rest is unwrapped on the network of the points, the part
    of it that neighbours share is the epoch's atmosphere.

    Parameters
    ----------
    series
        SERIES of :func:`persistent_scatterers`.
    data
        SLC with the image of ``series.attrs["reference_time"]`` and the new ones, on the grid that the points were
        selected on; or POINTS, the same points in the same order, with phases of new epochs relative to that image.
        Epochs that the series has already are passed over.
    reference
        Needed only where the series is relative to an area: a boolean DataArray over its points.
    noise
        Of the velocity's standard deviation, see :func:`estimate_velocity`.
    threads
        Threads over blocks; all CPUs by default.
    progress
        True for a progress bar for each step, or a function told (done, in all).

    Returns
    -------
    xarray.Dataset
        The series with the new epochs in order of time, and with velocity and its errors estimated again.

    Raises
    ------
    InputError
        When the reference image is not in an SLC, no epoch is new, the points differ, or the series is relative to an
        area that is not named.

    Notes
    -----
    With the motion expected :math:`\hat d(t)` (trend and, from 1.5 years on, annual motion, each epoch weighted
    by :math:`e^{-|t - t_i| / 1\,\mathrm{yr}}`) and the model's height, the rest is

    .. math:: r = \phi + \frac{4\pi}{\lambda} \left[ \hat d + \frac{B_\perp}{R\sin\theta} \hat h \right]

    The atmosphere is smoothed with the filter that the series' own atmosphere was separated with. A sudden motion that
    many neighbours share is taken for atmosphere until later epochs confirm it: separate all of it again with
    :func:`separate_atmosphere` from time to time.

    Examples
    --------
    >>> from subsidence import persistent_scatterers, simulate
    >>> points, truth = simulate.point_scene(points=300, epochs=31, reference=10, velocity=-0.01, seed=2)
    >>> series = persistent_scatterers(points.isel(time=slice(30)), reference={"point": 0})
    >>> longer = append_epoch(series, points.isel(time=[10, 30]))
    >>> longer.sizes["time"], bool(longer.displacement.isel(time=slice(30)).equals(series.displacement))
    (31, True)
    """
    schema.SERIES.check(series, argument="series", needs=("displacement",))
    if "point" not in series.dims or "reference_time" not in series.attrs:
        msg = "series must be of points and have the attribute 'reference_time', as from persistent_scatterers"
        raise InputError(msg)
    datums = _datums(series, reference)
    fresh = _new_phases(series, data)
    dates = np.asarray(fresh["time"].values, "M8[ns]")
    new = ~np.isin(dates, np.asarray(series["time"].values, "M8[ns]"))
    expected = _expected(series, dates[new])
    rest = _rest(series, fresh, new, expected, datums, threads=threads, progress=progress)
    air = smooth_epochs(series, rest, threads=threads, progress=progress)
    air = np.where(np.isfinite(rest), air, np.nan)
    if "reference_tie_count" not in series.attrs:  # the reference stands still
        _relate(expected, datums)
    _relate(rest, datums)
    _relate(air, datums)
    result = _joined(series, fresh.isel(time=np.flatnonzero(new)), expected + rest - air, air)
    seasonal = "seasonal_amplitude" in series.variables
    return with_velocity(result, seasonal=seasonal, noise=noise, threads=threads, progress=progress)


def _datums(series: xr.Dataset, reference: ReferenceLike) -> list[tuple[IntArray, IntArray]]:
    """Points of each part of the network, the first with the reference, and those whose mean is zero."""
    count = series.sizes["point"]
    chosen = np.zeros(count, bool)
    if reference is not None:
        place = resolve(series, reference)[2]
        chosen[place.values if isinstance(place, xr.Variable) else place["point"]] = True
    elif "reference_tie_count" in series.attrs:
        chosen[int(series.attrs["reference_point"])] = True
    values = series["displacement"].transpose("time", "point").values
    still = ((values == 0) | np.isnan(values)).all(axis=0) & np.isfinite(values).any(axis=0)
    part = series["network_part"].values if "network_part" in series.variables else np.zeros(count, int)
    home = part[chosen][0] if chosen.any() else part.min()
    found = []
    for number in sorted(np.unique(part), key=lambda each: each != home):
        members = part == number
        anchors = next((each & members for each in (chosen, still) if (each & members).any()), None)
        if anchors is None and number == home:
            words = series.attrs.get("reference")
            msg = f"series is relative to an area ({words}): give it as reference=, a boolean DataArray over the points"
            raise InputError(msg)
        # a part that ties hold has no point of its own: as a whole it moves as expected
        found.append((np.flatnonzero(members), np.flatnonzero(members if anchors is None else anchors)))
    return found


def _relate(values: FloatArray, datums: list[tuple[IntArray, IntArray]]) -> None:
    """Take off the mean of each part's anchors, in place, where one has data."""
    for members, anchors in datums:
        there = np.isfinite(values[:, anchors])
        total = np.where(there, values[:, anchors], 0.0).sum(axis=1)
        values[:, members] -= (total / np.maximum(there.sum(axis=1), 1))[:, np.newaxis]


def _new_phases(series: xr.Dataset, data: object) -> xr.Dataset:
    """Phases at the series' points, relative to its reference epoch, with their baselines."""
    if not isinstance(data, xr.Dataset):
        msg = f"data must be an xarray.Dataset (SLC or POINTS), got {type(data).__name__}"
        raise InputError(msg)
    zero = np.datetime64(series.attrs["reference_time"], "ns")
    known = np.asarray(series["time"].values, "M8[ns]")
    if "slc" in data.variables:
        schema.SLC.check(data, argument="data")
        fresh = _from_images(series, data, zero)
    else:
        schema.POINTS.check(data, argument="data", needs=("time",))
        if data.sizes["point"] != series.sizes["point"]:
            msg = (
                f"data has {data.sizes['point']} points, series {series.sizes['point']}: give the phases of the "
                "series' own points, in its order (of the candidates, data.isel(point=series.candidate.values))"
            )
            raise InputError(msg)
        for name in ("row", "col", "x", "y", "lon", "lat"):
            both = name in data.variables and name in series.variables
            if both and not np.allclose(data[name].values, series[name].values, rtol=1e-9, atol=1e-9):
                msg = f"data has other points than series, or in another order: {name!r} differs"
                raise InputError(msg)
        named = data.attrs.get("reference_time")
        if named is not None and np.datetime64(str(named), "ns") != zero:
            msg = f"data has phases relative to {named}, series to {series.attrs['reference_time']}: make them alike"
            raise InputError(msg)
        fresh = data
    dates = np.asarray(fresh["time"].values, "M8[ns]")
    if np.isin(dates, known).all():
        msg = f"data has no new epoch: all of its {dates.size} dates are in the series already"
        raise InputError(msg)
    return fresh


def _from_images(series: xr.Dataset, slc: xr.Dataset, zero: np.datetime64) -> xr.Dataset:
    times = np.asarray(slc["time"].values, "M8[ns]")
    missing = [name for name in ("row", "col") if name not in series.variables]
    if missing:
        msg = f"series has no {' and '.join(map(repr, missing))}: where its points are in the images is not known"
        raise InputError(msg)
    if zero not in times:
        msg = (
            f"data must hold the image of series.attrs['reference_time'], {series.attrs['reference_time']}, beside the "
            f"new ones: phases are relative to it; it has {', '.join(str(t.astype('M8[D]')) for t in times[:5])}"
        )
        raise InputError(msg)
    known = np.asarray(series["time"].values, "M8[ns]")
    wanted = slc.isel(time=np.flatnonzero(~np.isin(times, known) | (times == zero)))
    looks = series.attrs.get("looks", (1, 1))
    source = series["source"].values if "source" in series.variables else np.full(series.sizes["point"], "classic")
    phase = point_phases(
        wanted,
        series["row"].values,
        series["col"].values,
        source,
        looks=(int(looks[0]), int(looks[1])),
        reference_time=zero,
    )
    coordinates = {name: series[name].variable for name in series.coords if series[name].dims in {("point",), ()}}
    for name in ("perpendicular_baseline", "temperature"):
        if name in wanted.variables and "time" in wanted[name].dims:
            values = wanted[name].variable
            if len(values.dims) > 1:
                pixel = {dim: xr.Variable("point", series[key].values) for dim, key in (("y", "row"), ("x", "col"))}
                values = values.transpose("time", "y", "x").isel(pixel)
            at = int(np.flatnonzero(np.asarray(wanted["time"].values, "M8[ns]") == zero)[0])
            coordinates[name] = values - values[at].values if name == "perpendicular_baseline" else values
    return xr.Dataset({"phase": phase}, {"time": wanted["time"].variable, **coordinates}, {"reference_time": str(zero)})


def _expected(series: xr.Dataset, dates: np.ndarray) -> FloatArray:
    """Displacement that the series lets expect at `dates`, ``(date, point)``, metres."""
    years = to_elapsed(series["time"])
    ahead = to_elapsed(dates, origin=series["time"].values[0])
    values = np.asarray(series["displacement"].transpose("time", "point").values, np.float64)
    seasonal = np.ptp(years) >= _SEASONS

    def columns(t: FloatArray) -> FloatArray:
        terms = [np.ones_like(t), t]
        if seasonal:
            terms += [np.sin(2 * np.pi * t), np.cos(2 * np.pi * t)]
        return np.stack(terms, axis=-1)

    design = columns(years)
    valid = np.isfinite(values)
    filled = np.where(valid, values, 0.0)
    found = np.empty((dates.size, values.shape[1]))
    for number, t in enumerate(ahead):
        weight = np.exp(-np.abs(t - years) / _MEMORY)
        if valid.all():
            root = np.sqrt(weight)[:, np.newaxis]
            solved = np.linalg.lstsq(root * design, root * filled, rcond=None)[0]
        else:
            weighted = weight[:, np.newaxis] * valid
            normal = np.einsum("tp,ti,tj->pij", weighted, design, design)
            # a point with few epochs: the least change of the rest decides
            normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, np.newaxis, np.newaxis] * np.eye(design.shape[1])
            right = np.einsum("tp,ti->pi", weighted * filled, design)
            solved = np.linalg.solve(normal, right[..., np.newaxis])[..., 0].T
        found[number] = (columns(np.array([t])) @ solved)[0]
    return found


def _rest(
    series: xr.Dataset,
    fresh: xr.Dataset,
    new: BoolArray,
    expected: FloatArray,
    datums: list[tuple[IntArray, IntArray]],
    *,
    threads: int | None,
    progress: Progress,
) -> FloatArray:
    """Unwrapped rest of the new epochs as displacement, ``(date, point)``, metres."""
    wavelength = float(series["wavelength"])
    phase = np.asarray(fresh["phase"].transpose("time", "point").values, np.float64)[new]
    model = np.asarray(displacement_to_phase(xr.Variable(("time", "point"), expected), wavelength).values)
    if "residual_height" in series.variables:
        design = phase_design(fresh, argument="data")
        height = np.nan_to_num(series["residual_height"].values)
        if design.height is not None:
            per_metre = design.height if design.height.ndim == 2 else design.height[:, np.newaxis] / design.height_scale
            model = model + per_metre[new] * height
        elif height.any():
            msg = "data has no baselines, series has residual heights: give perpendicular_baseline of the new epochs"
            raise InputError(msg)
    rest = np.angle(np.exp(1j * (phase - model))).astype(np.float32)
    count = rest.shape[1]
    epochs = np.concatenate([np.zeros((1, count), np.float32), rest])
    zero = np.datetime64(series.attrs["reference_time"], "ns")
    dates = np.concatenate([[zero], np.asarray(fresh["time"].values, "M8[ns]")[new]])
    order = np.argsort(dates)
    places = {name: series[name].variable for name in ("x", "y", "lon", "lat") if name in series.variables}
    points = xr.Dataset(
        {"phase": (("time", "point"), epochs[order])},
        {"time": dates[order], "wavelength": wavelength, **places},
        {"reference_time": str(zero)},
    )
    arcs = delaunay_arcs(points, neighbours=4)
    if "network_part" in series.variables:
        part = series["network_part"].values
        arcs = arcs.isel(arc=np.flatnonzero(part[arcs["start"].values] == part[arcs["end"].values]))
    std, area = np.ones(count), np.zeros(count, bool)
    for _, anchors in datums:
        std[anchors] = 0.0
    area[datums[0][1]] = True
    solution = xr.Dataset(
        {"velocity": ("point", np.zeros(count)), "velocity_std": ("point", std), "reference_area": ("point", area)}
    )
    found = unwrap_residuals(points, arcs, solution, threads=threads, progress=progress)
    later = found["residual_phase"].isel(time=np.flatnonzero(order != 0))
    return np.asarray(phase_to_displacement(later.variable, wavelength).values, np.float64)


def _joined(series: xr.Dataset, fresh: xr.Dataset, moved: FloatArray, air: FloatArray) -> xr.Dataset:
    """The series with further epochs, in order of time."""
    known = {"displacement": moved, "atmosphere": air}
    longer: dict[str, xr.Variable] = {}
    for key, variable in series.variables.items():
        name = str(key)
        if "time" not in variable.dims:
            continue
        dims = ("time", *(dim for dim in variable.dims if dim != "time"))
        if name in known:
            added = known[name]
        elif name in fresh.variables and set(fresh[name].dims) == set(dims):
            added = fresh[name].transpose(*dims).values
        else:
            added = np.full((len(moved), *(series.sizes[dim] for dim in dims[1:])), np.nan)
        values = np.concatenate([variable.transpose(*dims).values, added.astype(variable.dtype)])
        longer[name] = xr.Variable(dims, values, variable.attrs)
    time = longer.pop("time")
    result = series.drop_dims("time").assign(longer).assign_coords(time=time)
    result = result.set_coords([str(name) for name in series.coords if name in longer])
    return schema.SERIES.stamp(result.sortby("time"))
