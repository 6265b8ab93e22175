"""InSAR beside levelling: the same places, the same dates, the same component, the same datum."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from subsidence import schema
from subsidence.errors import InputError
from subsidence.timescale import to_elapsed
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["match"]

_DATUMS = ("none", "shift")
#: WGS 84: equatorial radius in metres, and eccentricity squared.
_RADIUS, _ECCENTRICITY_2 = 6_378_137.0, 0.006694379990141
_VERTICAL_ONLY = "no horizontal motion: vertical = line of sight / los_up"


def match(
    series: xr.Dataset,
    levelling: xr.Dataset,
    *,
    radius: float = 200.0,
    min_points: int = 1,
    datum: str = "none",
) -> xr.Dataset:
    r"""
    InSAR displacement and velocity beside levelling, at its benchmarks and on its dates.

    Parameters
    ----------
    series
        SERIES on a raster or on points, ``component`` "los" or "up", with coordinates ``x`` and ``y`` in
        metres or ``lon`` and ``lat``.
    levelling
        LEVELLING, its benchmarks in the same coordinates (x and y of the same projection, or lon and lat).
    radius
        Places within this many metres of a benchmark are averaged.
    min_points
        Fewest places that make a mean; a benchmark with fewer is NaN.
    datum
        "shift" takes off the mean difference over all benchmarks, of velocity and of the displacement at
        each campaign: InSAR is relative to its own reference, levelling to another. "none" takes nothing off.

    Returns
    -------
    xarray.Dataset
        MATCHED: ``insar_displacement`` and ``truth_displacement`` (time, benchmark) in metres since the first
        campaign that both have; ``insar_velocity`` and ``truth_velocity`` (benchmark) in m/year over the same
        campaigns; ``insar_velocity_spread`` among the places; ``place_count``; ``distance`` of the nearest place in
        metres; with `datum` "shift" also ``displacement_shift`` and ``velocity_shift``. All positive **up**:
        subsidence is negative.

    Raises
    ------
    InputError
        When a dataset is not of its kind; when the two have no coordinates in common; when no benchmark has a
        place within `radius`, or fewer than two campaigns fall into the series.

    Notes
    -----
    Displacement at a campaign is interpolated linearly between the two epochs around it, never beyond the
    first or last epoch: a campaign outside the series is NaN. A place counts when it has a value at every
    campaign compared, so that a mean never changes its places. Both velocities are the slope of a straight line
    through the **same** campaigns (for two campaigns, difference over time), so that motion that is not
    steady does the same to both. A displacement in the line of sight is divided by ``los_up`` (the cosine of
    the incidence angle), which assumes that the ground moves up and down only; attrs repeat the assumption.

    Distances between geographic coordinates are straight lines between points of the WGS 84 ellipsoid.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> time = ("time", np.array(["2019-01-01", "2020-01-01", "2021-01-01"], "datetime64[ns]"))
    >>> series = xr.Dataset(
    ...     {"displacement": (("time", "point"), [[0.0, 0.0], [-0.008, -0.010], [-0.016, -0.020]])},
    ...     {"time": time, "x": ("point", [0.0, 100.0]), "y": ("point", [0.0, 0.0]), "incidence": 36.87},
    ...     {"component": "los"},
    ... )
    >>> levelling = xr.Dataset(
    ...     {"height": (("time", "benchmark"), [[12.345], [12.322]])},
    ...     {"time": time[1][[0, 2]], "x": ("benchmark", [40.0]), "y": ("benchmark", [0.0])},
    ... )
    >>> matched = match(series, levelling)
    >>> (matched.insar_displacement.isel(benchmark=0) * 1000).values.round(2).tolist()  # mm
    [0.0, -22.5]
    >>> (matched.truth_displacement.isel(benchmark=0) * 1000).values.round(2).tolist()
    [0.0, -23.0]
    """
    schema.SERIES.check(series, argument="series")
    schema.LEVELLING.check(levelling, argument="levelling")
    _check_options(radius, min_points, datum)
    levelling = levelling.sortby("time")
    truth = _truth(levelling)
    dims = schema.spatial_dims(series, argument="series")
    places, benchmarks = _positions(series, levelling, dims)
    near = cKDTree(places).query_ball_point(benchmarks, radius)
    used = np.unique(np.concatenate([np.asarray(members, np.intp) for members in near]))
    if used.size == 0:
        closest = np.min(cKDTree(places).query(benchmarks)[0])
        msg = (
            f"no benchmark has a place within radius={radius:g} m; the closest is {closest:.0f} m away: "
            "enlarge radius, or check that both are in the same projection"
        )
        raise InputError(msg)
    heights = _vertical_at(series, dims, used, levelling["time"].values)

    years = to_elapsed(levelling["time"].values)
    shape = truth.shape
    estimate, reference = np.full(shape, np.nan), np.full(shape, np.nan)
    velocity, expected, spread, distance = (np.full(shape[1], np.nan) for _ in range(4))
    counts = np.zeros(shape[1], np.int64)
    inside = np.isfinite(heights).any(axis=1)
    for k, members in enumerate(near):
        common = inside & np.isfinite(truth[:, k])
        columns = np.searchsorted(used, np.sort(np.asarray(members, np.intp)))
        chosen = columns[np.isfinite(heights[np.ix_(common, columns)]).all(axis=0)]
        if common.sum() < 2:
            continue
        counts[k] = chosen.size
        if chosen.size < min_points:
            continue
        values = heights[np.ix_(common, chosen)]
        slope = _slope(years[common])
        estimate[common, k] = values.mean(axis=1) - values[0].mean()
        reference[common, k] = truth[common, k] - truth[common, k][0]
        velocity[k], expected[k] = slope @ values.mean(axis=1), slope @ truth[common, k]
        spread[k] = np.std(slope @ values, ddof=1) if chosen.size > 1 else np.nan
        distance[k] = np.linalg.norm(places[used[chosen]] - benchmarks[k], axis=1).min()

    variables: dict[str, tuple[object, ...]] = {}
    if datum == "shift":
        shift, rate_shift = _mean_of(estimate - reference, axis=1), _mean_of(velocity - expected, axis=0)
        estimate, velocity = estimate - shift[:, np.newaxis], velocity - rate_shift
        variables = {"displacement_shift": ("time", shift), "velocity_shift": ((), rate_shift)}
    variables |= {
        "insar_displacement": (("time", "benchmark"), estimate),
        "truth_displacement": (("time", "benchmark"), reference),
        "insar_velocity": ("benchmark", velocity),
        "truth_velocity": ("benchmark", expected),
        "insar_velocity_spread": ("benchmark", spread),
        "place_count": ("benchmark", counts),
        "distance": ("benchmark", distance),
    }
    kept = {
        name: variable
        for name, variable in levelling.variables.items()
        if name in levelling.coords and set(variable.dims) <= {"time", "benchmark"}
    }
    attrs = {"component": "up", "datum": datum, "estimator": "mean", "radius": float(radius), "min_points": min_points}
    if series.attrs["component"] == "los":
        attrs["assumption"] = _VERTICAL_ONLY
    return schema.MATCHED.stamp(xr.Dataset(variables, kept, attrs))


def _check_options(radius: float, min_points: int, datum: str) -> None:
    if not 0 < radius < np.inf:
        msg = f"radius must be a positive number of metres, got {radius!r}"
        raise InputError(msg)
    if isinstance(min_points, bool) or not isinstance(min_points, (int, np.integer)) or min_points < 1:
        msg = f"min_points must be a whole number of at least 1, got {min_points!r}"
        raise InputError(msg)
    if datum not in _DATUMS:
        msg = f"datum must be one of {', '.join(map(repr, _DATUMS))}, got {datum!r}"
        raise InputError(msg)


def _truth(levelling: xr.Dataset) -> FloatArray:
    """Displacement or height at each campaign and benchmark."""
    if levelling.attrs.get("component", "up") != "up":
        msg = f"levelling must be vertical (component 'up'), got component {levelling.attrs['component']!r}"
        raise InputError(msg)
    times = levelling["time"].values
    if np.any(times[1:] == times[:-1]):
        twice = times[1:][times[1:] == times[:-1]][0]
        msg = f"levelling has two campaigns at {np.datetime_as_string(twice, unit='D')}: average them or keep one"
        raise InputError(msg)
    name = "displacement" if "displacement" in levelling.data_vars else "height"
    return np.asarray(levelling[name].transpose("time", "benchmark").values, np.float64)


def _positions(series: xr.Dataset, levelling: xr.Dataset, dims: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """Positions of places and benchmarks in one system in which distances are metres."""
    first, second = _systems(series, dims), _systems(levelling, ("benchmark",))
    for system in ("projected", "geographic"):
        if system in first and system in second:
            return first[system], second[system]
    msg = (
        f"series and levelling have no coordinates in common: series has {' and '.join(first) or 'no'} ones, "
        f"levelling {' and '.join(second) or 'none'}; give both x and y in one projection, or both lon and lat "
        "(pyproj, of the extra 'geo', converts)"
    )
    raise InputError(msg)


def _systems(dataset: xr.Dataset, dims: tuple[str, ...]) -> dict[str, FloatArray]:
    found = {}
    if "x" in dataset.coords and "y" in dataset.coords:
        x, y = _column(dataset, "x", dims), _column(dataset, "y", dims)
        if str(dataset["x"].attrs.get("units", "m")).startswith("degree"):
            found["geographic"] = _cartesian(x, y)
        else:
            found["projected"] = np.column_stack([x, y])
    if "lon" in dataset.coords and "lat" in dataset.coords:
        found["geographic"] = _cartesian(_column(dataset, "lon", dims), _column(dataset, "lat", dims))
    return found


def _column(dataset: xr.Dataset, name: str, dims: tuple[str, ...]) -> FloatArray:
    """One value per place of a variable that may have only some of the place's dimensions."""
    variable = dataset.variables[name]
    own = [dim for dim in dims if dim in variable.dims]
    place = tuple(slice(None) if dim in own else np.newaxis for dim in dims)
    values = np.asarray(variable.transpose(*own).values, np.float64)[place]
    return np.broadcast_to(values, [dataset.sizes[dim] for dim in dims]).ravel()


def _cartesian(lon: FloatArray, lat: FloatArray) -> FloatArray:
    """Earth-centred coordinates in metres of points on the WGS 84 ellipsoid."""
    sine, cosine = np.sin(np.deg2rad(lat)), np.cos(np.deg2rad(lat))
    normal = _RADIUS / np.sqrt(1 - _ECCENTRICITY_2 * sine**2)
    angle = np.deg2rad(lon)
    return np.column_stack(
        [normal * cosine * np.cos(angle), normal * cosine * np.sin(angle), normal * (1 - _ECCENTRICITY_2) * sine]
    )


def _vertical_at(series: xr.Dataset, dims: tuple[str, ...], used: IntArray, campaigns: AnyArray) -> FloatArray:
    """Vertical displacement of the `used` places at the campaigns, (campaign, place); NaN beyond the series."""
    epochs = series["time"].values
    if np.any(epochs[1:] <= epochs[:-1]):
        msg = 'series must be in order of time, each epoch once: use series.sortby("time")'
        raise InputError(msg)
    inside = (campaigns >= epochs[0]) & (campaigns <= epochs[-1])
    if inside.sum() < 2:
        spans = [
            " to ".join(np.datetime_as_string(dates[[0, -1]], unit="D")) for dates in (epochs, campaigns) if dates.size
        ]
        msg = f"fewer than two campaigns fall into the series: series {spans[0]}, levelling {spans[-1]}"
        raise InputError(msg)
    after = np.searchsorted(epochs, campaigns[inside])
    exact = epochs[after] == campaigns[inside]
    before = np.where(exact, after, after - 1)
    gap = np.where(exact, 1, (epochs[after] - epochs[before]).astype(np.int64))
    fraction = (campaigns[inside] - epochs[before]).astype(np.int64) / gap
    needed, position = np.unique(np.concatenate([before, after]), return_inverse=True)

    displacement = series["displacement"].variable.transpose("time", *dims).isel(time=needed)
    block = displacement.data.reshape(needed.size, -1)[:, used]
    block = np.asarray(block, np.float64) / _up_factor(series, dims, used)
    first, last = block[position[: before.size]], block[position[before.size :]]
    heights = np.full((campaigns.size, used.size), np.nan)
    heights[inside] = first + fraction[:, np.newaxis] * (last - first)
    return heights


def _up_factor(series: xr.Dataset, dims: tuple[str, ...], used: IntArray) -> FloatArray | float:
    """Line of sight per vertical motion at the `used` places."""
    component = series.attrs.get("component")
    if component == "up":
        return 1.0
    if component != "los":
        msg = f"series.attrs['component'] must be 'los' or 'up' to compare with levelling, got {component!r}"
        raise InputError(msg)
    for name in ("los_up", "incidence"):
        if name in series.variables:
            values = _column(series, name, dims)[used]
            return values if name == "los_up" else np.cos(np.deg2rad(values))
    msg = "series is in the line of sight: 'los_up' or 'incidence' (degree) is needed to make it vertical"
    raise InputError(msg)


def _slope(years: FloatArray) -> FloatArray:
    """Weights whose product with values at `years` is the least-squares slope."""
    centred = years - years.mean()
    weights: FloatArray = centred / (centred @ centred)
    return weights


def _mean_of(values: FloatArray, *, axis: int) -> FloatArray:
    """Mean of the finite values, NaN where there are none."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=axis)
    count = known.sum(axis=axis)
    mean: FloatArray = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    return mean
