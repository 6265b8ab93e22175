"""What a stack can tell, before any image is ordered: precision, ambiguities and the noise floor from its dates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence.errors import InputError
from subsidence.phase_model._model import FEWEST
from subsidence.phase_model._threshold import coherence_threshold, search_cells
from subsidence.timescale import to_elapsed
from subsidence.typing import Dates, FloatArray, is_number

__all__ = ["expected_precision"]

#: Nodes of the velocity spectrum in the width of its main lobe.
_NODES = 16
#: Shortest interval, days, that the spectrum is followed to: passes hours apart would widen it without end.
_SHORTEST = 1.0
#: Side lobes within this of the highest one are as high: the nearest of them counts.
_ALIKE = 0.01
#: Epochs and nodes of the spectrum evaluated at once.
_TILE = 2_000_000

_ATTRS = {
    "velocity_std": ("m/year", "standard deviation of the velocity of an arc"),
    "residual_height_std": ("m", "standard deviation of the residual height of an arc"),
    "velocity_height_correlation": ("1", "correlation of the errors of velocity and residual height"),
    "seasonal_sine_std": ("m", "standard deviation of the sine part of the annual motion of an arc"),
    "seasonal_cosine_std": ("m", "standard deviation of the cosine part of the annual motion of an arc"),
    "expected_coherence": ("1", "temporal coherence of an arc that the model fits"),
    "noise_coherence": ("1", "coherence that pure noise exceeds with the probability of level"),
    "max_velocity_difference": ("m/year", "velocity difference that moves a quarter wavelength in the longest gap"),
    "max_velocity_gradient": ("m/year/km", "max_velocity_difference over the length of an arc"),
    "velocity_ambiguity": ("m/year", "velocity difference of the nearest side lobe that is as high as any"),
    "side_lobe": ("1", "coherence of a right phase with the model of that side lobe"),
    "longest_gap": ("day", "longest interval without an image"),
    "epoch_count": ("1", "number of images"),
}


def expected_precision(
    dates: Dates | Sequence[str],
    baselines: npt.ArrayLike | xr.DataArray | None,
    wavelength: float,
    sigma_phase: float | npt.ArrayLike,
    *,
    incidence: float = 39.0,
    slant_range: float = 880e3,
    seasonal: bool = False,
    velocity: tuple[float, float] = (-0.1, 0.1),
    residual_height: tuple[float, float] = (-40.0, 40.0),
    arc_length: float = 1000.0,
    level: float = 0.05,
) -> xr.Dataset:
    r"""
    Precision, ambiguities and noise floor that a stack will have, from its dates and baselines alone.

    Parameters
    ----------
    dates
        Dates of the images, datetime64 or ISO 8601, in any order.
    baselines
        Perpendicular baseline of each image in metres, relative to any of them; None to plan for velocity alone.
    wavelength
        Metres.
    sigma_phase
        Standard deviation of the phase noise **of an arc** in one image, radians: of two points with noise
        :math:`\sigma` each it is :math:`\sqrt 2 \sigma`, with :math:`\sigma` about the amplitude dispersion of a
        point. The noise of the reference image is not part of it: it is the same in all interferograms. One number,
        or several to compare.
    incidence, slant_range
        Degrees and metres: the middle of Sentinel-1's swath unless given. They scale the residual height alone.
    seasonal
        Whether the annual motion is estimated too, which costs precision.
    velocity, residual_height
        Box that is to be searched, m/year and metres: the wider, the higher the coherence of noise.
    arc_length
        Metres between neighbouring points.
    level
        Probability that noise exceeds ``noise_coherence``.

    Returns
    -------
    xarray.Dataset
        Of an arc, end minus start, along the line of sight:

        - ``velocity_std`` (m/year), ``residual_height_std`` (m) and ``velocity_height_correlation``, with
          ``seasonal_sine_std`` and ``seasonal_cosine_std`` (m);
        - ``expected_coherence`` of a right solution and ``noise_coherence``: only where the first is well
          above the second can right arcs be told from noise;
        - ``max_velocity_difference`` (m/year), to which phases can be unwrapped from each image to the next without
          a model, and ``max_velocity_gradient``, the same per kilometre (m/year/km) for `arc_length`;
        - ``velocity_ambiguity`` (m/year) and ``side_lobe``: an error of that velocity leaves that coherence without
          noise. A box narrower than it holds one such lobe alone;
        - ``longest_gap`` (days) and ``epoch_count``.

        Along ``sigma_phase`` where several were given.

    Raises
    ------
    InputError
        When there are fewer dates than a search needs (5, or 3 more than parameters), dates occur
        twice, baselines are all alike or not those of the dates, or a number is out of range.

    Notes
    -----
    The standard deviations are the Cramer-Rao bound of the phase model with a free constant c,

    .. math:: \phi_t = -\frac{4 \pi}{\lambda} \left[ v t + \frac{B_{\perp,t}}{R \sin\theta} h \right] + c + n_t,
        \qquad C = \sigma^2 (A^T A)^{-1}

    with the columns of A less their means. Least squares reaches it while :math:`\sigma` is below about 0.8 rad; beyond
    that wrapping costs some per cent more. The phase of every date counts as an observation. A search that leaves the
    reference image's zero out has one fewer, which of many hardly matters.

    ``max_velocity_difference`` is :math:`\lambda / (4 \Delta t)` of the longest gap: half a cycle. Beyond it a
    search of the phase model still works, to half of ``velocity_ambiguity`` on both sides: the lobe of the
    spectrum :math:`|\mathrm{mean} \exp(j 4 \pi v t / \lambda)|` that is the highest up to
    :math:`\lambda / (2 \Delta t)` of the shortest gap (a day at least), where it is one for evenly spaced dates. The
    expected coherence is :math:`\exp(-\sigma^2 / 2)`.

    References
    ----------
    Ferretti, A., C. Prati and F. Rocca (2000), Nonlinear subsidence rate estimation using permanent scatterers in
    differential SAR interferometry, IEEE Trans. Geosci. Remote Sens. 38(5), 2202-2212, doi:10.1109/36.868878

    Examples
    --------
    >>> import numpy as np
    >>> dates = np.datetime64("2018-01-06", "ns") + np.arange(60) * np.timedelta64(12, "D")
    >>> baselines = np.random.default_rng(0).normal(0.0, 70.0, 60)
    >>> plan = expected_precision(dates, baselines, wavelength=0.0555, sigma_phase=0.6)
    >>> round(float(plan.velocity_std) * 1000, 2), round(float(plan.residual_height_std), 1)
    (0.61, 3.1)
    >>> round(float(plan.max_velocity_difference), 2), round(float(plan.velocity_ambiguity), 2)
    (0.42, 0.84)
    """
    time = _checked_dates(dates)
    years = to_elapsed(time, origin=time.min())
    wavelength = _number("wavelength", wavelength, 0.005, 2.0, "m")
    factor = 4 * np.pi / wavelength
    sigma = _as_numbers(sigma_phase)
    if sigma.ndim > 1 or sigma.size == 0 or not (np.isfinite(sigma).all() and (sigma > 0).all()):
        msg = f"sigma_phase must be a positive number of radians, or a list of such, got {sigma_phase!r}"
        raise InputError(msg)
    arc_length = _number("arc_length", arc_length, 0.0, np.inf, "m")
    level = _number("level", level, 0.0, 1.0, "")
    columns: dict[str, FloatArray] = {"velocity": factor * years}
    known: dict[str, tuple[str, FloatArray] | float] = {}
    if baselines is not None:
        metres = _checked_baselines(baselines, time)
        scale = _geometry(incidence, slant_range)
        columns["residual_height"] = factor * metres / scale[0]
        known = {"perpendicular_baseline": ("time", metres), "slant_range": scale[1], "incidence": scale[2]}
    if seasonal:
        angle = 2 * np.pi * to_elapsed(time, origin=time.min().astype("M8[Y]"))
        columns["seasonal_sine"] = factor * np.sin(angle)
        columns["seasonal_cosine"] = factor * np.cos(angle)
    least = len(columns) + 3  # a search leaves out the reference, and wants one more than unknowns
    if time.size < least:
        msg = (
            f"dates are {time.size}, too few for {len(columns)} parameters and a constant: give {least} at least, or "
            "drop the season or the baselines"
        )
        raise InputError(msg)
    covariance = _covariance(np.stack(list(columns.values()), axis=1))
    std = np.sqrt(np.diag(covariance))
    found: dict[str, object] = {f"{name}_std": sigma * one for name, one in zip(columns, std, strict=True)}
    if baselines is not None:
        found["velocity_height_correlation"] = covariance[0, 1] / (std[0] * std[1])
    found["expected_coherence"] = np.exp(-(sigma**2) / 2)
    heights = None if baselines is None else residual_height
    order = np.argsort(time)
    points = xr.Dataset(
        {"phase": (("time", "point"), np.zeros((time.size, 1), np.float32))},
        {"time": time, "wavelength": wavelength, **known},
    ).isel(time=order)
    cells = search_cells(points, velocity=velocity, residual_height=heights)
    found["noise_coherence"] = coherence_threshold(time.size - 1, cells, level)
    gaps = np.diff(np.sort(years))
    found["max_velocity_difference"] = wavelength / 4 / gaps.max()
    found["max_velocity_gradient"] = wavelength / 4 / gaps.max() / (arc_length / 1000)
    found["velocity_ambiguity"], found["side_lobe"] = _side_lobe(years, gaps, wavelength)
    found["longest_gap"] = gaps.max() * 365.25
    found["epoch_count"] = time.size
    dims = ("sigma_phase",) if sigma.ndim else ()
    variables = {}
    for name, value in found.items():
        units, long_name = _ATTRS[name]
        array = np.asarray(value)
        variables[name] = xr.Variable(dims if array.ndim else (), array, {"units": units, "long_name": long_name})
    noise = xr.Variable(dims, sigma, {"units": "rad", "long_name": "phase noise of an arc"})
    return xr.Dataset(variables, {"sigma_phase": noise}, {"component": "los", "level": level, "arc_length": arc_length})


def _covariance(design: FloatArray) -> FloatArray:
    """Covariance of the parameters for noise of 1 rad, the constant free."""
    centred = design - design.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    singular = np.linalg.svd(centred / size, compute_uv=False)
    if singular[-1] < 1e-6 * singular[0]:
        msg = (
            "dates and baselines cannot tell the parameters apart: baselines grow with time, or dates are whole "
            "years apart; drop the baselines or the season"
        )
        raise InputError(msg)
    scaled = centred / size
    return np.asarray(np.linalg.inv(scaled.T @ scaled) / np.outer(size, size))


def _side_lobe(years: FloatArray, gaps: FloatArray, wavelength: float) -> tuple[float, float]:
    """Velocity and height of the highest side lobe of the spectrum; of those as high the nearest."""
    turns = 2 * years / wavelength
    last = wavelength / 2 / max(gaps.min(), _SHORTEST / 365.25)
    step = float(wavelength / 2 / np.ptp(years) / _NODES)
    nodes = np.arange(int(last * 1.02 / step) + 2) * step  # a little further, so that the last lobe has its top
    rows = max(1, _TILE // years.size)
    power = np.concatenate(
        [
            np.abs(np.exp(2j * np.pi * np.outer(nodes[at : at + rows], turns)).mean(axis=1))
            for at in range(0, nodes.size, rows)
        ]
    )
    tops = np.flatnonzero((power[1:-1] >= power[:-2]) & (power[1:-1] > power[2:])) + 1
    if tops.size == 0:  # few dates: no lobe before the spectrum ends
        return float(nodes[-1]), float(power[-1])
    tops = tops[power[tops] >= power[tops].max() - 0.1]  # a node may miss its top by a twentieth
    found = [_top(float(nodes[at]), step, turns) for at in tops]
    highest = max(height for _, height in found)
    return next((velocity, height) for velocity, height in found if height >= highest - _ALIKE)


def _top(velocity: float, step: float, turns: FloatArray) -> tuple[float, float]:
    """The spectrum's top within a node of `velocity`, and its height."""
    near = velocity + step * np.linspace(-1, 1, 65)
    height = np.abs(np.exp(2j * np.pi * np.outer(near, turns)).mean(axis=1))
    return float(near[height.argmax()]), float(height.max())


def _checked_dates(dates: object) -> npt.NDArray[np.datetime64]:
    values = dates.values if isinstance(dates, (xr.DataArray, xr.Variable)) else dates
    try:
        given = np.asarray(values)
        found = np.atleast_1d(given if given.dtype.kind == "M" else given.astype("M8"))
    except (TypeError, ValueError) as error:
        msg = f"dates must be datetime64 or text such as '2018-01-06', got {values!r}"
        raise InputError(msg) from error
    if found.ndim != 1 or np.isnat(found).any() or given.dtype.kind in "iufb":
        msg = f"dates must be a list of dates without gaps (NaT), got {values!r}"
        raise InputError(msg)
    if found.size < FEWEST + 1:
        msg = f"dates are {found.size}: at least {FEWEST + 1} are needed, the reference and {FEWEST} more"
        raise InputError(msg)
    to_elapsed(found)  # refuses what nanoseconds cannot hold, as the year 20180106
    time = found.astype("M8[ns]")
    unique, counts = np.unique(time, return_counts=True)
    if unique.size < time.size:
        msg = f"dates has {unique[counts.argmax()].astype('M8[s]')} {counts.max()} times: give each image once"
        raise InputError(msg)
    return time


def _checked_baselines(baselines: npt.ArrayLike | xr.DataArray, time: npt.NDArray[np.datetime64]) -> FloatArray:
    metres = _as_numbers(baselines.values if isinstance(baselines, xr.DataArray) else baselines)
    if metres.shape != time.shape or not np.isfinite(metres).all():
        msg = f"baselines must be {time.size} finite numbers of metres, one for each date, got shape {metres.shape}"
        raise InputError(msg)
    if isinstance(baselines, xr.DataArray) and "time" in baselines.coords:
        labels = np.asarray(baselines["time"].values, "M8[ns]")
        if not np.array_equal(labels, time):
            msg = "baselines are labelled with other dates than dates, or in another order: align them first"
            raise InputError(msg)
    if np.ptp(metres) < 1e-3:
        msg = (
            f"baselines are all alike ({metres[0]:g} m) and say nothing about heights: give None to plan for "
            "velocity alone"
        )
        raise InputError(msg)
    return metres


def _geometry(incidence: float, slant_range: float) -> tuple[float, float, float]:
    """Slant range times the sine of the incidence, slant range, incidence."""
    if is_number(incidence) and 0 < incidence <= np.pi / 2:
        msg = f"incidence is in degrees, got {incidence:g}, which looks like radians: use np.rad2deg"
        raise InputError(msg)
    angle = _number("incidence", incidence, 0.0, 90.0, "degrees")
    distance = _number("slant_range", slant_range, 1e3, 1e8, "m")
    return distance * float(np.sin(np.deg2rad(angle))), distance, angle


def _number(name: str, value: object, low: float, high: float, unit: str) -> float:
    number = _as_numbers(value)  # labelled ones too, such as slc.wavelength
    if isinstance(value, (bool, str)) or number.ndim or not low < number < high:
        msg = f"{name} must lie between {low:g} and {high:g}{unit and ' '}{unit}, got {value!r}"
        raise InputError(msg)
    return float(number)


def _as_numbers(values: Any) -> FloatArray:
    """As float64; NaN, which every check refuses, for what has no numbers."""
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return np.asarray(np.nan)
