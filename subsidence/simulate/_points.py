"""Phases of persistent scatterers with known truth, without the images they would come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence.errors import InputError
from subsidence.geometry import displacement_to_phase, height_to_phase
from subsidence.simulate import _check as check
from subsidence.simulate import _inputs as inputs
from subsidence.simulate._atmosphere import Atmosphere
from subsidence.simulate._inputs import DateLike
from subsidence.simulate._motion import Bowl
from subsidence.simulate._random import Stream, generator
from subsidence.timescale import to_elapsed
from subsidence.typing import FloatArray

__all__ = ["point_scene"]


def point_scene(
    *,
    points: int = 500,
    extent: tuple[float, float] = (2000.0, 2000.0),
    epochs: int = 60,
    dates: Sequence[DateLike] | npt.NDArray[np.datetime64] | None = None,
    interval: float = 12.0,
    start: DateLike = "2018-01-06",
    reference: int | None = None,
    bowl: Bowl | None = None,
    velocity: float | npt.ArrayLike = 0.0,
    acceleration: float | npt.ArrayLike = 0.0,
    seasonal_amplitude: float | npt.ArrayLike = 0.0,
    seasonal_phase: float = 0.0,
    motion: xr.DataArray | None = None,
    positions: npt.ArrayLike | None = None,
    residual_height_std: float = 10.0,
    noise_std: float | npt.ArrayLike = 0.4,
    atmosphere: Atmosphere | None = None,
    baseline_std: float = 70.0,
    wavelength: float = 0.0555,
    incidence: float | tuple[float, float] = 39.0,
    slant_range: float | tuple[float, float] = 880e3,
    heading: float = -12.0,
    nan_fraction: float = 0.0,
    seed: int = 0,
) -> tuple[xr.Dataset, xr.Dataset]:
    r"""
    Wrapped phases of persistent scatterers at random places, and all that went into them.

    Parameters
    ----------
    points
        Number of points, spread evenly at random unless `positions` are given.
    extent
        Width (x) and height (y) of the scene in metres.
    epochs, dates, interval, start
        Acquisitions: their number, interval in days and first date, or the `dates` themselves.
    reference
        Number of the epoch that phases are relative to; the middle one when None.
    bowl
        A settling bowl; vertical motion.
    velocity, acceleration, seasonal_amplitude
        Line-of-sight motion towards the satellite besides: m/year, m/year2, m; one number, or one for each point.
    seasonal_phase
        Radians after 1 January when the seasonal motion is largest.
    motion
        Any other line-of-sight displacement in metres, dims (time, point).
    positions
        x and y in metres, ``(point, 2)``.
    residual_height_std
        Metres, independent from point to point.
    noise_std
        Phase noise in radians of one epoch, by point or by epoch and point ``(time, point)``; the
        interferogram also has that of the reference epoch.
    atmosphere
        Turbulent delay of every epoch; none when None.
    baseline_std
        Standard deviation of the perpendicular baselines in metres.
    wavelength, heading
        Metres, degrees.
    incidence, slant_range
        Degrees and metres; a (near, far) pair grows linearly over x.
    nan_fraction
        Share of values that are missing at random.
    seed
        Of every random number.

    Returns
    -------
    points : xarray.Dataset
        POINTS by epoch: ``phase`` (rad, wrapped, positive away), float32.
    truth : xarray.Dataset
        SERIES: ``displacement`` (m) since the reference epoch, ``velocity`` (m/year) by least squares of that
        displacement, ``residual_height`` (m), ``atmosphere`` (m, of the epoch less the reference epoch's),
        ``noise`` (rad) and ``phase_without_wrapping`` (rad). Absolute, not relative to a point.

    Raises
    ------
    InputError
        When an argument is out of its range.

    Notes
    -----
    .. math:: \phi = -\frac{4\pi}{\lambda} \left[ d(t) + a(t) - a(t_r)
        + \frac{B_\perp}{R \sin\theta} h \right] + n(t) - n(t_r)

    Examples
    --------
    >>> from subsidence import simulate
    >>> points, truth = simulate.point_scene(points=50, epochs=20, velocity=-0.01, seed=1)
    >>> dict(points.sizes), float(truth.velocity[0])
    ({'time': 20, 'point': 50}, -0.010)
    """
    seed = check.whole("seed", seed, least=0)
    time = inputs.acquisitions(dates, epochs, interval, start)
    middle = time.size // 2 if reference is None else check.whole("reference", reference, least=0)
    if middle >= time.size:
        msg = f"reference must be the number of an epoch below {time.size}, got {reference!r}"
        raise InputError(msg)
    width, height = (check.positive("extent", side, "m") for side in extent)
    x, y = _positions(positions, points, width, height, seed)
    count = x.size
    years = to_elapsed(time, origin=time[middle])
    geometry = {
        name: _across(value, x, width) for name, value in (("incidence", incidence), ("slant_range", slant_range))
    }
    inputs.geometry(wavelength, float(np.max(incidence)), heading, float(np.max(slant_range)))
    los_up = np.cos(np.deg2rad(geometry["incidence"]))
    random = generator(seed, Stream.POINT_MOTION)
    settling = inputs.described("bowl", bowl, Bowl) or Bowl(settlement=0.0)
    centre = settling.centre or (width / 2, height / 2)
    radius = settling.radius or min(width, height) / 4
    shape = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius**2)
    elapsed = to_elapsed(time)
    fraction = settling.fraction(elapsed)
    calendar = 2 * np.pi * to_elapsed(time, origin=time[0].astype("M8[Y]")) - seasonal_phase
    displacement = (
        np.outer(fraction - fraction[middle], -settling.settlement * shape * los_up)
        + np.outer(years, _each(velocity, count, "velocity"))
        + np.outer(years**2 / 2, _each(acceleration, count, "acceleration"))
        + np.outer(np.cos(calendar) - np.cos(calendar[middle]), _each(seasonal_amplitude, count, "seasonal_amplitude"))
    )
    if motion is not None:
        extra = np.asarray(motion.transpose("time", "point").values, np.float64)
        displacement += extra - extra[middle]
    baseline = generator(seed, Stream.BASELINE).standard_normal(time.size)
    baseline = (baseline - baseline[middle]) * check.not_negative("baseline_std", baseline_std, "m")
    heights = random.standard_normal(count) * check.not_negative("residual_height_std", residual_height_std, "m")
    per_metre = height_to_phase(
        xr.DataArray(baseline, dims="time"),
        wavelength=wavelength,
        slant_range=xr.DataArray(np.broadcast_to(geometry["slant_range"], (count,)), dims="point"),
        incidence=xr.DataArray(np.broadcast_to(geometry["incidence"], (count,)), dims="point"),
    ).transpose("time", "point")
    delay = np.zeros((time.size, count), np.float32)
    air = inputs.described("atmosphere", atmosphere, Atmosphere)
    if air is not None and air.std > 0:
        spacing = min(width, height) / 200
        waves = air.waves(seed=seed, epochs=time.size, extent=max(width, height), spacing=spacing)
        delay = waves.at(x, y)
        delay -= delay[middle].copy()
    spread = np.asarray(noise_std, np.float64)
    noise = (generator(seed, Stream.NOISE).standard_normal((time.size, count)) * spread).astype(np.float32)
    noise -= noise[middle].copy()
    moved = displacement_to_phase(xr.Variable(("time", "point"), displacement + delay), wavelength).values
    whole = moved + per_metre.values * heights + noise
    phase = np.angle(np.exp(1j * whole)).astype(np.float32)
    phase[middle] = 0.0
    missing = generator(seed, Stream.MISSING).random(phase.shape) < inputs.fraction("nan_fraction", nan_fraction)
    missing[middle] = False
    phase[missing] = np.nan
    scalar = {name: value if np.ndim(value) == 0 else ("point", value) for name, value in geometry.items()}
    coordinates = {
        "time": time,
        "x": ("point", x),
        "y": ("point", y),
        "wavelength": wavelength,
        "heading": heading,
        "perpendicular_baseline": ("time", baseline),
        **scalar,
    }
    attrs = {"reference_time": str(time[middle].astype("M8[s]")), "seed": seed}
    by_epoch = ("time", "point")
    observed = xr.Dataset({"phase": (by_epoch, phase)}, coordinates, {"title": "simulated points", **attrs})
    slope = np.polynomial.polynomial.polyfit(years, displacement, 1)[1]
    truth = xr.Dataset(
        {
            "displacement": (by_epoch, displacement),
            "velocity": ("point", slope),
            "residual_height": ("point", heights),
            "atmosphere": (by_epoch, delay.astype(np.float64)),
            "noise": (by_epoch, noise, {"units": "rad", "long_name": "phase noise"}),
            "phase_without_wrapping": (by_epoch, whole, {"units": "rad", "long_name": "phase before wrapping"}),
        },
        coordinates,
        {"title": "truth of simulated points", "component": "los", "reference": "none: absolute", **attrs},
    )
    return schema.POINTS.stamp(observed), schema.SERIES.stamp(truth)


def _positions(
    positions: npt.ArrayLike | None, count: int, width: float, height: float, seed: int
) -> tuple[FloatArray, FloatArray]:
    if positions is None:
        number = check.whole("points", count, least=1)
        x, y = generator(seed, Stream.POINTS).random((2, number)) * np.array([[width], [height]])
        return x, y
    given = np.asarray(positions, np.float64)
    if given.ndim != 2 or given.shape[1] != 2 or not np.isfinite(given).all():
        msg = f"positions must be finite x and y in metres, shape (point, 2), got shape {given.shape}"
        raise InputError(msg)
    return given[:, 0], given[:, 1]


def _across(value: float | tuple[float, float], x: FloatArray, width: float) -> float | FloatArray:
    """One number, or one for each point, growing from near to far range."""
    if np.ndim(value) == 0:
        return float(np.asarray(value))
    near, far = np.asarray(value, np.float64)
    result: FloatArray = near + (far - near) * x / width
    return result


def _each(value: float | npt.ArrayLike, count: int, name: str) -> FloatArray:
    given = np.asarray(value, np.float64)
    if given.ndim > 1 or (given.ndim == 1 and given.size != count) or not np.isfinite(given).all():
        msg = f"{name} must be a finite number or one for each of the {count} points, got shape {given.shape}"
        raise InputError(msg)
    return np.broadcast_to(given, (count,))
