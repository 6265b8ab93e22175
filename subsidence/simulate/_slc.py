"""A stack of coregistered single-look complex images with known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence.errors import InputError
from subsidence.simulate import _check as check
from subsidence.simulate import _inputs as inputs
from subsidence.simulate import _pieces as pieces
from subsidence.simulate import _slc_inputs as given
from subsidence.simulate._atmosphere import Atmosphere
from subsidence.simulate._inputs import DateLike
from subsidence.simulate._motion import Bowl
from subsidence.simulate._noise import Decorrelation
from subsidence.simulate._random import Stream, generator
from subsidence.simulate._slc_inputs import MotionLike
from subsidence.simulate._slc_recipe import SlcRecipe
from subsidence.simulate._slc_tile import assemble
from subsidence.simulate._swath import Swath
from subsidence.simulate._turbulence import SHORTEST
from subsidence.timescale import to_elapsed

__all__ = ["slc_scene"]

_BOWL = Bowl(settlement=0.08, parameters={"eta": 0.6, "lam": 1.5})
_ATMOSPHERE = Atmosphere(std=0.003, slope=-11 / 3)
_DECORRELATION = Decorrelation(long_term=(0.0, 0.7), initial=0.95, time=(2.0, 30.0))
_REMOVED = ("", "flat_earth", "flat_earth topography")

#: Variables of the truth: unit, long name, dims before those of place, dtype.
_TRUTH: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "displacement": ("m", "displacement", ("time",), "f4"),
    "velocity": ("m/year", "slope of the straight line through displacement", (), "f4"),
    "displacement_up": ("m", "displacement, positive up", ("time",), "f4"),
    "atmosphere": ("m", "atmospheric delay as apparent displacement", ("time",), "f4"),
    "residual_height": ("m", "height above the elevation model", (), "f4"),
    "is_point": ("", "whether there is a point scatterer", (), "?"),
    "point_kind": ("1", "kind of point scatterer", (), "i1"),
    "first_epoch": ("1", "number of the epoch that first shows the point scatterer; -1 none", (), "i2"),
    "last_epoch": ("1", "number of the epoch that last shows the point scatterer; -1 none", (), "i2"),
    "signal_to_clutter": ("1", "power of the point scatterer over the mean power of its clutter", (), "f4"),
    "phase_noise_std": ("rad", "standard deviation of a point scatterer's phase in an image, by its clutter", (), "f4"),
    "long_term_coherence": ("1", "coherence of the clutter that remains for ever", (), "f4"),
    "decorrelation_time": ("day", "time in which the clutter's coherence that is lost falls to 1/e", (), "f4"),
    "clutter_power": ("1", "mean power of the clutter", (), "f4"),
    "town": ("1", "share of town in the land cover", (), "f4"),
    "stable": ("", "ground that never moves by more than a millimetre", (), "?"),
}
#: Variables beside those of the truth, in the same form.
_OTHERS: dict[str, tuple[tuple[str, ...], str]] = {
    "slc": (("time",), "c8"),
    "dem": ((), "f4"),
    "true_height": ((), "f4"),
    "incidence": ((), "f8"),
    "slant_range": ((), "f8"),
}


def slc_scene(
    *,
    shape: tuple[int, int] = (200, 240),
    spacing: float | tuple[float, float] = (14.0, 4.0),
    dates: Sequence[DateLike] | npt.NDArray[np.datetime64] | None = None,
    epochs: int = 48,
    interval: float | timedelta | np.timedelta64 = 12.0,
    start: DateLike = "2018-01-06",
    reference: int | None = None,
    wavelength: float = 0.0555,
    incidence: float = 39.0,
    heading: float = -12.0,
    slant_range: float = 880e3,
    bowl: Bowl | None = _BOWL,
    velocity: float | npt.ArrayLike = 0.0,
    acceleration: float | npt.ArrayLike = 0.0,
    seasonal_amplitude: float | npt.ArrayLike = 0.002,
    seasonal_phase: float = 4.0,
    motion: MotionLike | None = None,
    atmosphere: Atmosphere | None = _ATMOSPHERE,
    relief: float = 60.0,
    dem_error_std: float = 2.0,
    dem_error_scale: float = 200.0,
    residual_height_std: float = 8.0,
    baseline_std: float = 60.0,
    town: float | npt.ArrayLike = 0.5,
    point_density: check.Spread = (60.0, 1500.0),
    signal_to_clutter: float = 15.0,
    signal_to_clutter_spread: float = 5.0,
    temporary_fraction: float = 0.08,
    variable_fraction: float = 0.08,
    decorrelation: Decorrelation | None = _DECORRELATION,
    calibration_std: float = 0.1,
    oversampling: float = 1.0,
    phase_removed: str = "",
    nan_fraction: float = 0.0,
    empty_epochs: Sequence[int] = (),
    seed: int = 0,
    chunks: Mapping[str, int] | None = None,
) -> tuple[xr.Dataset, xr.Dataset]:
    r"""
    Coregistered single-look complex images of a settling town and the fields beside it, and the truth behind them.

    .. warning::
        The phase of an image is :math:`-4 \pi R / \lambda`, so an interferogram (secondary minus reference,
        positive away) is ``slc_reference * conj(slc_secondary)``. Displacement is **positive towards** the
        satellite and **up**.

    Parameters
    ----------
    shape
        Rows (azimuth, y) and columns (ground range, x).
    spacing
        Size of a pixel along y and x in metres, or one number for both.
    dates
        Acquisitions, in order. None for `epochs` of them from `start`, `interval` days (or a timedelta) apart.
    epochs, interval, start
        See `dates`.
    reference
        Number of the epoch that baselines count from; the middle one when None.
    wavelength
        Metres.
    incidence, slant_range
        Degrees from the vertical and metres, in the middle of the scene; both grow along x as they do on a
        sphere under a straight orbit.
    heading
        Degrees clockwise from north. The satellite looks to the right.
    bowl
        Settlement in space and time; None for none.
    velocity, acceleration, seasonal_amplitude
        Motion beside the bowl, up: m/year, m/year2 and m. A number for the plain (fading to zero on the hills)
        or an array ``(y, x)``. The displacement of `acceleration` is half of it times the years squared.
    seasonal_phase
        Radians after 1 January when the seasonal motion is highest.
    motion
        Any other motion, up, metres: dims (time, y, x), or a function of the years since the first epoch and
        of x and y in metres, three arrays that broadcast against each other. Counts from the first epoch.
    atmosphere
        Turbulent and height-correlated delay; None for none. Turbulence has no power at wavelengths below
        200 m or two pixels.
    relief
        Height of the hills above the plain (20 m), metres.
    dem_error_std, dem_error_scale
        Standard deviation of the ground above the elevation model, and its correlation length (Gaussian),
        metres.
    residual_height_std
        Standard deviation of point scatterers above the ground, independent from point to point, metres.
    baseline_std
        Standard deviation of an orbit's position across the line of sight and along it, metres.
    town
        Share of the scene that is town, 0..1: its north. Or an array ``(y, x)``, 1 in town and 0 in vegetation.
    point_density
        Point scatterers per square kilometre: a number, (in vegetation, in town), or an array ``(y, x)``.
    signal_to_clutter, signal_to_clutter_spread
        Power of a point over the mean power of the clutter in its pixel: median, and standard deviation in
        decibels of its normal distribution.
    temporary_fraction, variable_fraction
        Shares of the points that come or go at some date, and whose amplitude fluctuates from image to
        image, its logarithm by 0.5.
    decorrelation
        Coherence of the clutter in space and time; None for clutter that never changes. Where a range is
        given, the vegetation holds all of it in patches, the town more of its upper end.
    calibration_std
        Scatter of the logarithm of the factor that the amplitudes of an image are wrong by.
    oversampling
        Pixels per cell of resolution along both axes, 1..4. Above 1, images are limited in bandwidth: points
        have side lobes, and neighbouring pixels are correlated.
    phase_removed
        What is taken off the phase: "" for nothing, "flat_earth", or "flat_earth topography" (with the
        elevation model given).
    nan_fraction
        Share of samples without data, 0..1, at random.
    empty_epochs
        Numbers of the epochs without any data.
    seed
        Everything random follows from it; ingredients do not influence each other's numbers.
    chunks
        ``{"y": rows, "x": columns}`` (-1 for all) makes everything lazy: dask arrays, made piece by piece.
        Multiples of 64 waste nothing. The values do not depend on it. Needs the extra ``dask``.

    Returns
    -------
    slc : xarray.Dataset
        SLC: ``slc(time, y, x)``, complex64, of clutter with a mean power of 0.4 in vegetation and 1 in town; baselines
        (m) relative to ``attrs["reference_time"]``; ``height`` of the elevation model (m);
        ``incidence`` and ``slant_range`` on the reference surface of height 0, float64.
    truth : xarray.Dataset
        SERIES. Along the line of sight, metres ``(time, y, x)``: ``displacement`` (zero at the first epoch) and
        ``atmosphere`` (as apparent displacement, of each epoch by itself); ``velocity``, the slope
        of the line through ``displacement`` (m/year); ``displacement_up``. Of each pixel: ``height`` (true)
        and ``residual_height`` of its point scatterer, or of the ground where there is none; ``is_point``,
        ``point_kind`` (0 none, 1 steady, 2 temporary, 3 variable), ``first_epoch`` and ``last_epoch`` that show
        it, ``signal_to_clutter``, ``phase_noise_std``; ``long_term_coherence``, ``decorrelation_time`` (days) and
        ``clutter_power`` of the clutter; ``town``, ``stable``. Of each epoch: ``calibration``.

    Raises
    ------
    InputError
        When a parameter is out of range; the message names it.
    MissingExtraError
        When `chunks` is given and dask is not installed.

    Notes
    -----
    A pixel is the sum of clutter z and, in some, a point of amplitude A and angle :math:`\psi`:

    .. math::
        s_t = c_t \left[ \sqrt{P} z_t e^{-j \phi_t(h_\mathrm{ground})}
        + A_t e^{j \psi - j \phi_t(h_\mathrm{point})} \right]

    .. math::
        \phi_t(h) = -\frac{4 \pi}{\lambda}
        \left[ d_t + a_t + B_{\perp,t} \sin\Delta + B_{\parallel,t} \cos\Delta \right]

    with d the displacement, a the delay, :math:`\Delta = \vartheta + h / (R \sin\theta) - \vartheta_0`, and
    :math:`\vartheta` the look angle towards the reference surface (:func:`subsidence.geometry.look_angle`,
    :func:`subsidence.geometry.baseline_phase`). Baselines belong to the look angle :math:`\vartheta_0` of the
    median incidence and the median slant range over the scene, ``attrs["centre_look"]`` (degrees), which a
    part cut out of the scene keeps.

    The clutter is circular Gaussian with the coherence of :class:`Decorrelation` between any two dates: a part
    that stays, a part that fades as an autoregression of the first order, and noise. The phase of a point
    scatters by :math:`1 / \sqrt{2\,\mathrm{SCR}}` in each image where the clutter changes completely
    (Ferretti et al. 2001, doi:10.1109/36.898661).

    Examples
    --------
    >>> from subsidence import simulate
    >>> slc, truth = simulate.slc_scene(shape=(40, 60), epochs=10, seed=1)
    >>> slc.slc.dims, slc.slc.dtype
    (('time', 'y', 'x'), dtype('complex64'))
    >>> interferogram = slc.slc[0] * slc.slc[-1].conj()
    >>> int(truth.is_point.sum()) > 20
    True
    """
    size = inputs.scene_shape(shape)
    steps = given.spacings(spacing)
    time = inputs.acquisitions(dates, epochs, interval, start)
    seed = check.whole("seed", seed, least=0)
    middle = time.size // 2 if reference is None else given.epoch_number("reference", reference, time.size)
    scalars = inputs.geometry(wavelength, incidence, heading, slant_range)
    x, y = np.arange(size[1]) * steps[1], (size[0] - 1 - np.arange(size[0])) * steps[0]
    swath = Swath(float(incidence), float(slant_range), float(x[-1] / 2))
    orbit = generator(seed, Stream.BASELINE).standard_normal((2, time.size))
    orbit = (orbit - orbit[:, middle, np.newaxis]) * check.not_negative("baseline_std", baseline_std, "m")
    years = to_elapsed(time)
    extent = max(size[0] * steps[0], size[1] * steps[1], 4 * SHORTEST)
    settling = inputs.described("bowl", bowl, Bowl) or Bowl(settlement=0.0)
    centre = inputs.bowl_centre(settling, x, y)
    radius = settling.radius or min(size[0] * steps[0], size[1] * steps[1]) / 4
    if phase_removed not in _REMOVED:
        msg = f"phase_removed must be one of {', '.join(map(repr, _REMOVED))}, got {phase_removed!r}"
        raise InputError(msg)
    losing = inputs.described("decorrelation", decorrelation, Decorrelation) or Decorrelation(
        long_term=1.0, initial=1.0
    )
    air = inputs.described("atmosphere", atmosphere, Atmosphere) or Atmosphere(std=0.0, height_gradient_std=0.0)
    temporary, variable = given.unsteady_shares(temporary_fraction, variable_fraction)
    calibration = generator(seed, Stream.CALIBRATION).standard_normal(time.size)
    calibration = np.exp(check.not_negative("calibration_std", calibration_std, "1") * calibration)
    recipe = SlcRecipe(
        seed=seed,
        shape=size,
        spacing=steps,
        extent=extent,
        days=to_elapsed(time, unit="day"),
        years=years,
        wavelength=scalars["wavelength"],
        swath=swath,
        centre_look=swath.centre_look(x),
        perpendicular_baseline=orbit[0],
        parallel_baseline=orbit[1],
        phase_removed=phase_removed,
        relief=check.finite("relief", relief, "m"),
        settlement=settling.settlement,
        centre=centre,
        radius=radius,
        fraction=settling.fraction(years),
        velocity=inputs.amount("velocity", velocity, size, "m/year"),
        acceleration=inputs.amount("acceleration", acceleration, size, "m/year2"),
        seasonal_amplitude=inputs.amount("seasonal_amplitude", seasonal_amplitude, size, "m"),
        season=inputs.season(time, check.finite("seasonal_phase", seasonal_phase, "rad")),
        motion=given.moving(motion, (time.size, *size), years=years, x=x, y=y),
        turbulence=given.turbulence(air, seed=seed, epochs=time.size, extent=extent, spacing=steps, rows=size[0]),
        height_gradient=air.height_gradients(seed=seed, epochs=time.size),
        dem_error_std=check.not_negative("dem_error_std", dem_error_std, "m"),
        dem_error_scale=check.positive("dem_error_scale", dem_error_scale, "m"),
        residual_height_std=check.not_negative("residual_height_std", residual_height_std, "m"),
        town=given.town_share(town, size),
        point_density=given.points_per_pixel(point_density, size, steps),
        signal_to_clutter=check.positive("signal_to_clutter", signal_to_clutter, "1"),
        signal_to_clutter_spread=check.not_negative("signal_to_clutter_spread", signal_to_clutter_spread, "dB"),
        temporary_fraction=temporary,
        variable_fraction=variable,
        long_term=inputs.fitting_spread("long_term of decorrelation", losing.long_term, size),
        initial=losing.initial,
        decorrelation_time=inputs.fitting_spread("time of decorrelation", losing.time, size),
        calibration=calibration,
        response=given.point_response(oversampling),
        nan_fraction=inputs.fraction("nan_fraction", nan_fraction),
        empty_epochs=given.epoch_numbers("empty_epochs", empty_epochs, time.size),
    )
    kinds = {name: (dims, dtype) for name, (_, _, dims, dtype) in _TRUTH.items()} | _OTHERS
    made = pieces.made(assemble, recipe, kinds, shape=size, lengths={"time": time.size}, chunks=chunks)
    common = {
        "time": time,
        "x": ("x", x, {"long_name": "distance across the flight, away from the satellite"}),
        "y": ("y", y, {"long_name": "distance along the flight"}),
        "wavelength": scalars["wavelength"],
        "heading": scalars["heading"],
        "incidence": made.pop("incidence"),
        "slant_range": made.pop("slant_range"),
    }
    stack = xr.Dataset(
        {"slc": made.pop("slc")},
        {
            **common,
            "perpendicular_baseline": ("time", orbit[0]),
            "parallel_baseline": ("time", orbit[1]),
            "height": made.pop("dem"),
        },
        {
            "title": "simulated single-look complex images",
            "phase_removed": phase_removed,
            "reference_time": str(time[middle].astype("M8[s]")),
            "centre_look": recipe.centre_look,
            "seed": seed,
        },
    )
    truth = xr.Dataset(
        {
            **{name: made[name] for name in _TRUTH},
            "calibration": (
                "time",
                calibration,
                {"units": "1", "long_name": "factor that the amplitudes of an image are wrong by"},
            ),
        },
        {**common, "height": made["true_height"]},
        {
            "title": "truth of simulated single-look complex images",
            "component": "los",
            "reference": "none: absolute displacement",
            "reference_time": str(time[0].astype("M8[s]")),
            **settling.attributes(),
            "bowl_x": centre[0],
            "bowl_y": centre[1],
            "bowl_row": round((y[0] - centre[1]) / steps[0]),
            "bowl_col": round(centre[0] / steps[1]),
            "bowl_radius": radius,
            "seasonal_phase": seasonal_phase,
            "seed": seed,
        },
    )
    truth = pieces.stamped_truth(truth, _TRUTH)
    truth["point_kind"].attrs |= {"flag_values": [0, 1, 2, 3], "flag_meanings": "none steady temporary variable"}
    return schema.SLC.stamp(stack), truth
