"""Displacement without atmosphere, from residual phases of points or from any displacement series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import xarray as xr

from subsidence._blocks import Progress
from subsidence._reference import Place
from subsidence.atmosphere._data import Data, Places
from subsidence.atmosphere._motion import TimeFilter, checked_window
from subsidence.atmosphere._space import kriging, smooth_grid, smooth_points
from subsidence.atmosphere._variogram import Variogram, best_window, checked_variogram, fit_variogram
from subsidence.errors import InputError
from subsidence.typing import FloatArray, IntArray, ReferenceLike

__all__ = ["Space", "separate_atmosphere"]

#: Fewer places than this have no variogram of their own; a part of the network so small keeps its atmosphere.
LEAST_PLACES = 10
#: Full width at half maximum of a Gaussian of unit standard deviation.
_WIDTH = 2 * np.sqrt(2 * np.log(2))


def separate_atmosphere(
    residuals: xr.Dataset,
    *,
    method: Literal["kriging", "gaussian"] | None = "kriging",
    temporal_window: float | timedelta | np.timedelta64 | None = None,
    spatial_window: float | None = None,
    neighbours: int = 32,
    variogram: str | Mapping[str, object] | None = None,
    seasonal: bool = True,
    reference: ReferenceLike = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Displacement without the atmosphere of each epoch.

    Motion is smooth in time, atmosphere is smooth in space and new at each epoch, noise is neither. What is
    smooth in time is set aside as motion first, place by place; of the rest, what neighbours share is the
    atmosphere and is taken off.

    .. warning::
        Displacement is **positive towards** the satellite: subsidence is negative.

    Parameters
    ----------
    residuals
        RESIDUALS on points, as from :func:`unwrap_residuals`; or SERIES on points or a raster, as from
        :func:`invert_network`. At least 4 epochs, in order of time. NaN is no data.
    method
        Of the low-pass filter in space. "kriging": ordinary kriging of the smooth part from the nearest places,
        with a variogram whose nugget is the noise; "gaussian": weighted mean of neighbours. None: nothing is taken
        off, and the model of RESIDUALS is merely put together with their phases.
    temporal_window
        Full width at half maximum of the window in time, days or a timedelta. Motion that turns faster counts
        as atmosphere where neighbours share it; a longer window leaves less atmosphere in the motion. None: half
        a year, or 10 median revisits where that is more.
    spatial_window
        Full width at half maximum of the Gaussian kernel, metres; of "gaussian" only. None: the width that leaves
        the least error for the fitted variogram and the density of the places.
    neighbours
        Nearest places that kriging uses.
    variogram
        "exponential", "spherical" or "gaussian" to fit that model; a mapping with ``model``, ``range`` (m; where
        95 % of the sill is reached, or all of it for the spherical one), ``sill`` and ``nugget`` (m2) to take it as
        it is at all epochs. None: the model that fits best.
    seasonal
        Whether annual motion is set aside before anything is smoothed. Without it, annual motion that neighbours
        share is damped. Left out where the series is shorter than a year.
    reference
        Where displacement is zero; needed only where that is an area, which the data do not name. None: the place
        whose displacement is zero at all epochs. Where there is none, as in absolute displacements, nothing is
        subtracted.
    threads
        Threads over blocks of places; all CPUs by default.
    progress
        True for a progress bar for each filter, or a function told (places done, places in all).

    Returns
    -------
    xarray.Dataset
        SERIES: ``displacement`` (time, place) in metres along the line of sight, that is linear and non-linear
        motion and the noise of each place, which is kept: what remains about a fit tells how good it is.
        ``atmosphere`` (time, place) in metres is what was taken off, so that the two add up to what was given.
        Both are zero at the reference and at the reference epoch, as the displacement was. From RESIDUALS, velocity,
        residual height (which is not in the displacement) and quality are carried along; estimates from the
        former displacement of a SERIES are left out. The attributes ``atmosphere_*`` and ``motion_model`` say
        what was done.

    Raises
    ------
    InputError
        When an argument is out of its range, times are too few or out of order, places have no positions in
        metres or are too few for a variogram, the reference is an area that is not named, or ``atmospheric_std`` has
        been added before.

    Notes
    -----
    The displacement of place p at epoch t, relative to the reference epoch r, is

    .. math:: x(t, p) = m(t, p) + a(t, p) - a(r, p) + n(t, p) - n(r, p)

    *Time.* Constant, linear and quadratic motion and an annual sine are fitted to each place, and to what they
    leave a local parabola with Gaussian weights (Cleveland 1979), which needs neither equal steps nor values
    beyond the ends. Both together are the motion; the rest h is linear in x. Epochs of more than twice the
    median variance weigh less by that, so that a turbulent one, be it the reference epoch, is not taken for
    motion. The reference epoch, whose value is zero, is an epoch as any other: its atmosphere is the same in
    all others, and is found as their common step from it.

    *Space.* With C the covariance of the smooth part (fitted variogram, of one shape for all epochs and with
    nugget :math:`\nu_t` and sill :math:`s_t` of each), the atmosphere at place 0 is

    .. math::
        \hat a_0 = \sum_i \lambda_i h_i, \quad
        \begin{pmatrix} C_{ij} + \nu_t \delta_{ij} & 1 \\ 1 & 0 \end{pmatrix}
        \begin{pmatrix} \lambda \\ \mu \end{pmatrix} = \begin{pmatrix} C_{i0} \\ 1 \end{pmatrix}

    over the nearest places with data at t: the nugget is not predicted (Wackernagel 2003). A place that differs
    from its neighbours by clearly more than the variogram tells has a larger nugget of its own. The variogram is the
    robust one of Cressie and Hawkins (1980) over some 100,000 pairs of places.

    *What remains.* The share of the atmosphere that runs like motion over time cannot be told from it: a tenth
    of its variance on the average over 85 epochs, four tenths at the first and last. So does all of it that is
    linear in time: velocities hardly change. Repeating the separation with the atmosphere taken off first moves motion
    that neighbours share over to the atmosphere (of a series that levels off 5 % in one pass, 12 % in three;
    ``benchmarks/atmosphere.py``), for an error that is 5 % smaller; it is not done.

    *Standard deviations.* What scatters about a fit is taken off, and what bends or tilts the series stays. A
    standard deviation from the scatter of the displacement alone is therefore too small: one of
    :func:`estimate_velocity` by a factor of three where the air is rough. That of ``displacement + atmosphere`` is
    right, for nearly the same velocity.

    Memory: some five times the series. A chunked (dask) raster stays lazy with "gaussian" (a sample of pixels is
    computed at once for weights and variogram); kriging computes it. Places in other parts of a network
    (``network_part``) do not see each other, and parts of fewer than 10 places keep their atmosphere.

    References
    ----------
    Ferretti, Prati and Rocca (2001), https://doi.org/10.1109/36.898661.
    Cleveland (1979), https://doi.org/10.1080/01621459.1979.10481038.
    Cressie and Hawkins (1980), https://doi.org/10.1007/BF01035243.
    Wackernagel (2003), Multivariate Geostatistics, https://doi.org/10.1007/978-3-662-05294-5.

    Examples
    --------
    >>> from subsidence import simulate
    >>> points, truth = simulate.point_scene(
    ...     points=300, epochs=40, atmosphere=simulate.Atmosphere(std=0.005), noise_std=0.2, seed=1
    ... )
    >>> noise = -points.wavelength / (4 * np.pi) * truth.noise
    >>> disturbed = truth.assign(displacement=truth.displacement + truth.atmosphere + noise)
    >>> series = separate_atmosphere(disturbed)
    >>> error = [(s.displacement - truth.displacement).std().item() for s in (disturbed, series)]
    >>> error[1] < 0.5 * error[0]
    True
    >>> np.allclose(series.displacement + series.atmosphere, disturbed.displacement)
    True
    """
    if method not in ("kriging", "gaussian", None):
        msg = f"method must be 'kriging', 'gaussian' or None, got {method!r}"
        raise InputError(msg)
    window = checked_window(temporal_window)
    sigma = _checked_width(spatial_window)
    if isinstance(neighbours, bool) or not isinstance(neighbours, (int, np.integer)) or neighbours < 2:
        msg = f"neighbours must be a whole number from 2, got {neighbours!r}"
        raise InputError(msg)
    data = Data.of(residuals)
    models, known = checked_variogram(variogram, data.time.size)
    if method is None:
        return data.result(None, {"atmosphere_method": "none"})
    if data.rest.chunks is not None and (data.place == ("point",) or method == "kriging"):
        data.rest = data.rest.compute()
    places = Places.of(data)
    zero = places.references(data, reference)
    time_filter = TimeFilter.of(data.time, window, seasonal=seasonal)
    sampled, first, second = places.pairs()
    sample = data.at(sampled)
    if sampled.size >= LEAST_PLACES:
        time_filter = time_filter.weighted(sample)
    if known is None and (method == "kriging" or sigma is None):
        if places.parts[0].size < LEAST_PLACES:
            msg = (
                f"residuals has {places.parts[0].size} places, expected at least {LEAST_PLACES} for a variogram: give "
                "variogram={'model', 'range', 'sill', 'nugget'}, or method=None to keep the atmosphere"
            )
            raise InputError(msg)
        rough = np.ascontiguousarray(time_filter.apply(xr.Variable(("time", "point"), sample)).values.T)
        distance = np.hypot(*(places.position(sampled[first]) - places.position(sampled[second])).T)
        known = fit_variogram(rough, first, second, distance, models, spacing=places.density() ** -0.5)
    if method == "gaussian" and sigma is None and known is not None:
        sigma = best_window(known, places.density())
    space = Space(known if method == "kriging" else None, sigma or 0.0, int(neighbours), threads, progress)
    filtered = time_filter.apply(data.rest, place=data.place, threads=threads, progress=progress)
    done = {"atmosphere_temporal_window": round(time_filter.window, 3), "motion_model": time_filter.terms}
    smooth = _referenced(space.smooth(filtered, places), zero, data.origin)
    return data.result(smooth, done | space.attributes())


@dataclass(frozen=True, eq=False)
class Space:
    """
    Low-pass filter in space.

    Parameters
    ----------
    variogram
        Of kriging; None for a Gaussian kernel.
    sigma
        Standard deviation of that kernel, m.
    neighbours, threads, progress
        As the caller gave them.
    """

    variogram: Variogram | None
    sigma: float
    neighbours: int
    threads: int | None
    progress: Progress

    @classmethod
    def recorded(
        cls, attrs: Mapping[Any, Any], epochs: int, *, threads: int | None, progress: Progress
    ) -> Space | None:
        """The filter that :meth:`attributes` recorded, its mean sill and nugget for every epoch; None for none."""
        method = attrs.get("atmosphere_method", "none")
        if method == "none":
            return None
        if method == "gaussian":
            return cls(None, float(attrs["atmosphere_spatial_window"]) / _WIDTH, 0, threads, progress)
        every = np.ones(epochs)
        variogram = Variogram(
            str(attrs["atmosphere_variogram"]),
            float(attrs["atmosphere_range"]),
            float(attrs["atmosphere_sill"]) * every,
            float(attrs["atmosphere_nugget"]) * every,
        )
        return cls(variogram, 0.0, int(attrs["atmosphere_neighbours"]), threads, progress)

    def attributes(self) -> dict[str, Any]:
        """What a result records."""
        if self.variogram is None:
            return {"atmosphere_method": "gaussian", "atmosphere_spatial_window": float(_WIDTH * self.sigma)}
        return {
            "atmosphere_method": "kriging",
            "atmosphere_variogram": self.variogram.model,
            "atmosphere_range": float(self.variogram.reach),
            "atmosphere_sill": float(np.mean(self.variogram.sill)),
            "atmosphere_nugget": float(np.mean(self.variogram.nugget)),
            "atmosphere_neighbours": self.neighbours,
        }

    def smooth(self, rough: xr.Variable, places: Places) -> xr.Variable:
        """Filter every epoch, each part of a network alone."""
        if places.grid is not None and self.variogram is None:
            return smooth_grid(rough, (self.sigma / places.grid[0], self.sigma / places.grid[1]))
        values = np.asarray(rough.values).reshape(rough.shape[0], -1)
        smooth = np.zeros_like(values)
        for members in places.parts:
            if len(places.parts) > 1 and members.size < LEAST_PLACES:
                continue
            part = np.ascontiguousarray(values[:, members])
            smooth[:, members] = self._smooth_points(part, places.position(members))
        return xr.Variable(rough.dims, smooth.reshape(rough.shape))

    def _smooth_points(self, values: FloatArray, positions: FloatArray) -> FloatArray:
        if self.variogram is None:
            return smooth_points(values, positions, self.sigma, threads=self.threads, progress=self.progress)
        return kriging(
            values,
            positions,
            self.variogram,
            neighbours=self.neighbours,
            threads=self.threads,
            progress=self.progress,
        )


def _referenced(smooth: xr.Variable, zero: list[tuple[IntArray | None, Place]], origin: int | None) -> xr.Variable:
    """Atmosphere less that of the reference place, of each part, and of the reference epoch."""
    result = xr.DataArray(smooth)
    for members, place in zero:
        if isinstance(place, xr.Variable):
            at = result.where(xr.DataArray(place)).mean(place.dims, skipna=True)
        else:
            at = result.isel(place)
        at = at.fillna(0.0)  # nothing is known there at that epoch: nothing is taken off
        if members is None:
            result = result - at
        else:
            there = np.zeros(result.sizes["point"], bool)
            there[members] = True
            result = result - at * xr.DataArray(there, dims="point")
    if origin is not None:
        result = result - result.isel(time=origin).fillna(0.0)
    return result.variable


def _checked_width(width: object) -> float | None:
    if width is None:
        return None
    if isinstance(width, bool) or not isinstance(width, (int, float, np.integer, np.floating)):
        msg = f"spatial_window must be a number of metres or None, got {width!r}"
        raise InputError(msg)
    if not (np.isfinite(width) and width > 0):
        msg = f"spatial_window must be a positive number of metres, got {width!r}"
        raise InputError(msg)
    return float(width / _WIDTH)
