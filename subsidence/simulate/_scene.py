"""A stack of interferograms with known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence.errors import InputError
from subsidence.geometry import height_to_phase, look_vector
from subsidence.simulate import _check as check
from subsidence.simulate import _inputs as inputs
from subsidence.simulate import _pieces as pieces
from subsidence.simulate._atmosphere import Atmosphere
from subsidence.simulate._inputs import DateLike
from subsidence.simulate._motion import Bowl
from subsidence.simulate._noise import Decorrelation
from subsidence.simulate._random import Stream, generator
from subsidence.simulate._tile import Patch, Recipe, assemble
from subsidence.timescale import to_elapsed
from subsidence.typing import IntArray

__all__ = ["interferogram_scene"]

_BOWL = Bowl()
_ATMOSPHERE = Atmosphere()
_DECORRELATION = Decorrelation()
_FULLY_COHERENT = Decorrelation(long_term=1.0, initial=1.0)

#: Variables of the truth: unit, long name, dims before those of place, dtype.
_TRUTH: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "displacement": ("m", "displacement", ("time",), "f4"),
    "velocity": ("m/year", "slope of the straight line through displacement", (), "f4"),
    "displacement_up": ("m", "displacement, positive up", ("time",), "f4"),
    "bowl": ("m", "displacement of the bowl, positive up", ("time",), "f4"),
    "linear_velocity": ("m/year", "steady velocity beside the bowl, positive up", (), "f4"),
    "seasonal": ("m", "annual displacement since the first epoch, positive up", ("time",), "f4"),
    "atmosphere": ("m", "atmospheric delay as apparent displacement", ("time",), "f4"),
    "topographic_delay": ("m", "height-correlated delay as apparent displacement", ("time",), "f4"),
    "residual_height": ("m", "residual height", (), "f4"),
    "noise_free_phase": ("rad", "unwrapped phase before decorrelation noise and unwrapping errors", ("pair",), "f4"),
    "phase_noise": ("rad", "decorrelation noise of the phase", ("pair",), "f4"),
    "unwrapping_cycles": ("1", "cycles by which the phase is unwrapped wrongly", ("pair",), "i1"),
    "coherence": ("1", "coherence that the noise was drawn with", ("pair",), "f4"),
    "long_term_coherence": ("1", "coherence that remains for ever", (), "f4"),
    "decorrelation_time": ("day", "time in which the coherence that is lost falls to 1/e", (), "f4"),
    "stable": ("", "ground that never moves by more than a millimetre", (), "?"),
}


def interferogram_scene(
    *,
    shape: tuple[int, int] = (100, 120),
    spacing: float = 50.0,
    dates: Sequence[DateLike] | npt.NDArray[np.datetime64] | None = None,
    epochs: int = 30,
    interval: float | timedelta | np.timedelta64 = 12.0,
    start: DateLike = "2018-01-06",
    pairs: int | Sequence[tuple[int, int]] | IntArray = 3,
    wavelength: float = 0.0555,
    incidence: float = 39.0,
    heading: float = -12.0,
    slant_range: float = 880e3,
    looks: float = 20,
    bowl: Bowl | None = _BOWL,
    velocity: float | npt.ArrayLike = 0.0,
    seasonal_amplitude: float | npt.ArrayLike = 0.003,
    seasonal_phase: float = 4.0,
    atmosphere: Atmosphere | None = _ATMOSPHERE,
    relief: float = 400.0,
    residual_height_std: float = 3.0,
    residual_height_scale: float = 0.0,
    baseline_std: float = 60.0,
    decorrelation: Decorrelation | None = _DECORRELATION,
    noise: Literal["pairs", "epochs"] | None = "pairs",
    estimated_coherence: bool = False,
    unwrapping_error_fraction: float = 0.0,
    nan_fraction: float = 0.0,
    wrapped: bool = False,
    seed: int = 0,
    chunks: Mapping[str, int] | None = None,
) -> tuple[xr.Dataset, xr.Dataset]:
    r"""
    A stack of interferograms over a subsiding city between hills, and the truth behind it.

    .. warning::
        Displacement is **positive towards** the satellite and **up**, phase **positive away**: the bowl's
        displacement is negative, its phase positive. `settlement` of the bowl counts downwards.

    Parameters
    ----------
    shape
        Rows and columns.
    spacing
        Size of a pixel in metres.
    dates
        Acquisitions, in order. None for `epochs` of them from `start`, `interval` days (or a timedelta) apart.
    epochs, interval, start
        See `dates`.
    pairs
        Pairs each epoch with its next n, or the pairs themselves as epoch numbers ``(reference, secondary)``.
    wavelength, slant_range
        Metres.
    incidence, heading
        Degrees: from the vertical, and clockwise from north. The satellite looks to the right.
    looks
        Independent looks in a pixel.
    bowl
        Settlement in space and time; None for none.
    velocity
        Steady motion beside the bowl, up, metres per year: a number for the valley floor (fading to zero on
        the hills) or an array ``(y, x)``.
    seasonal_amplitude, seasonal_phase
        Annual motion, up, metres, given like `velocity`, largest `seasonal_phase` radians after 1 January.
    atmosphere
        Turbulent and height-correlated delay; None for none.
    relief
        Height of the hills above the valley floor (2,240 m), metres.
    residual_height_std, residual_height_scale
        Standard deviation of what the elevation model lacks, and its correlation length (Gaussian), metres;
        0 for a length makes it independent from pixel to pixel.
    baseline_std
        Standard deviation of the perpendicular baselines of the epochs, metres.
    decorrelation
        Coherence in space and time; None for a coherence of 1, hence no noise.
    noise
        "pairs" draws the noise of each pair on its own, with the exact distribution of multilooked phase: what
        a diagonal weight matrix assumes. "epochs" draws `looks` looks at all epochs together, so that
        pairs with a common image are correlated and closures have the right statistics; slower, and
        `looks` must be whole. None for no noise.
    estimated_coherence
        Whether the stack's coherence is what the looks show (biased upwards where it is low, as in real
        data), not the one that the noise was drawn with.
    unwrapping_error_fraction
        Share of the pairs that have a patch unwrapped one cycle too high or too low, 0..1.
    nan_fraction
        Share of samples without data, 0..1, at random.
    wrapped
        Whether to return wrapped ``phase`` in place of ``unwrapped_phase``.
    seed
        Everything random follows from it; ingredients do not influence each other's numbers.
    chunks
        ``{"y": rows, "x": columns}`` (-1 for all) makes everything lazy: dask arrays, made piece by piece.
        Multiples of 64 waste nothing. The values do not depend on it. Needs the extra ``dask``.

    Returns
    -------
    stack : xarray.Dataset
        INTERFEROGRAMS: ``unwrapped_phase`` or ``phase`` (rad) and ``coherence``, dims ``(pair, y, x)``, with
        geometry, ``height`` and local coordinates ``x`` (east) and ``y`` (north, from top to bottom) in metres.
    truth : xarray.Dataset
        SERIES with every ingredient. Along the line of sight, metres ``(time, y, x)``: ``displacement`` (zero at
        the first epoch), ``atmosphere`` and ``topographic_delay`` (as apparent displacement, of each
        epoch by itself); ``velocity``, the slope of the line through ``displacement`` (m/year). Up:
        ``displacement_up``, its parts ``bowl`` and ``seasonal``, and ``linear_velocity``. Of each pair:
        ``noise_free_phase`` (of motion, delays and residual height), ``phase_noise``, ``unwrapping_cycles``,
        ``coherence``. Of each pixel: ``residual_height``, ``long_term_coherence``, ``decorrelation_time``
        (days), ``stable``. Attributes hold the time function of the bowl's centre (``w_m``, ``eta``,
        ``lam``, ``t0``), which pixel that is (``bowl_row``, ``bowl_col``), and the seed.

    Raises
    ------
    InputError
        When a parameter is out of range; the message names it.
    MissingExtraError
        When `chunks` is given and dask is not installed.

    Notes
    -----
    .. math::
        \phi_{ij} = -\frac{4 \pi}{\lambda} \left[ (d + a)_j - (d + a)_i
        + \frac{B_{\perp,ij}}{R \sin\theta} \Delta z \right] + \phi_\mathrm{noise} + 2 \pi n

    with d the displacement and a the delays, both along the line of sight. Motion is vertical:
    :math:`d = u \cos\theta`. The noise of ``noise="pairs"`` follows Lee et al. (1994), doi:10.1109/36.312890;
    atmosphere and coherence are described at :class:`Atmosphere` and :class:`Decorrelation`.

    Examples
    --------
    >>> from subsidence import simulate
    >>> stack, truth = simulate.interferogram_scene(shape=(20, 24), epochs=6, seed=1)
    >>> dict(stack.sizes)
    {'pair': 12, 'y': 20, 'x': 24}
    >>> centre = truth.isel(y=truth.attrs["bowl_row"], x=truth.attrs["bowl_col"])
    >>> bool(centre.displacement[-1] < 0 < centre.noise_free_phase[-1])
    True
    >>> error = stack.unwrapped_phase - truth.noise_free_phase - truth.phase_noise
    >>> bool(abs(error).max() < 1e-5)
    True
    """
    size = inputs.scene_shape(shape)
    spacing = check.positive("spacing", spacing, "m")
    time = inputs.acquisitions(dates, epochs, interval, start)
    links = inputs.epoch_pairs(pairs, time.size)
    seed = check.whole("seed", seed, least=0)
    inputs.noise_model(noise, looks)
    baseline_std = check.not_negative("baseline_std", baseline_std, "m")
    baseline = generator(seed, Stream.BASELINE).standard_normal(time.size) * baseline_std
    baseline -= baseline[0]
    scalars = inputs.geometry(wavelength, incidence, heading, slant_range)
    x, y = np.arange(size[1]) * spacing, (size[0] - 1 - np.arange(size[0])) * spacing
    pair_baseline = baseline[links[:, 1]] - baseline[links[:, 0]]
    years = to_elapsed(time)
    extent = max(*size, 4) * spacing
    settling = inputs.described("bowl", bowl, Bowl) or Bowl(settlement=0.0)
    centre = inputs.bowl_centre(settling, x, y)
    radius = settling.radius or min(size) * spacing / 4
    air = inputs.described("atmosphere", atmosphere, Atmosphere) or Atmosphere(std=0.0, height_gradient_std=0.0)
    losing = inputs.described("decorrelation", decorrelation, Decorrelation) or Decorrelation(
        long_term=1.0, initial=1.0
    )
    fraction_wrong = inputs.fraction("unwrapping_error_fraction", unwrapping_error_fraction)
    if wrapped and fraction_wrong > 0:
        msg = "unwrapping_error_fraction must be 0 with wrapped=True: a wrapped phase has no unwrapping errors"
        raise InputError(msg)
    recipe = Recipe(
        seed=seed,
        shape=size,
        spacing=spacing,
        extent=extent,
        days=to_elapsed(time, unit="day"),
        years=years,
        pairs=links,
        wavelength=wavelength,
        looks=looks,
        los_up=float(look_vector(incidence, heading).los_up),
        height_to_phase=height_to_phase(
            xr.DataArray(pair_baseline, dims="pair"),
            wavelength=wavelength,
            slant_range=slant_range,
            incidence=incidence,
        ).values,
        relief=check.finite("relief", relief, "m"),
        settlement=settling.settlement,
        centre=centre,
        radius=radius,
        fraction=settling.fraction(years),
        velocity=inputs.amount("velocity", velocity, size, "m/year"),
        seasonal_amplitude=inputs.amount("seasonal_amplitude", seasonal_amplitude, size, "m"),
        season=inputs.season(time, check.finite("seasonal_phase", seasonal_phase, "rad")),
        turbulence=air.waves(seed=seed, epochs=time.size, extent=extent, spacing=spacing) if air.std > 0 else None,
        height_gradient=air.height_gradients(seed=seed, epochs=time.size),
        residual_height_std=check.not_negative("residual_height_std", residual_height_std, "m"),
        residual_height_scale=check.not_negative("residual_height_scale", residual_height_scale, "m"),
        long_term=inputs.fitting_spread("long_term of decorrelation", losing.long_term, size),
        initial=losing.initial,
        decorrelation_time=inputs.fitting_spread("time of decorrelation", losing.time, size),
        noise=noise,
        estimated_coherence=estimated_coherence,
        patches=_patches(seed, fraction_wrong, len(links), size, spacing),
        nan_fraction=inputs.fraction("nan_fraction", nan_fraction),
        wrapped=wrapped,
    )
    kinds = {name: (dims, dtype) for name, (_, _, dims, dtype) in _TRUTH.items()}
    kinds |= {"height": ((), "f4"), "stack_phase": (("pair",), "f4"), "stack_coherence": (("pair",), "f4")}
    lengths = {"time": time.size, "pair": len(links)}
    made = pieces.made(assemble, recipe, kinds, shape=size, lengths=lengths, chunks=chunks)
    common = {
        **scalars,
        "height": made.pop("height"),
        "x": ("x", x, {"long_name": "distance east", "standard_name": "projection_x_coordinate"}),
        "y": ("y", y, {"long_name": "distance north", "standard_name": "projection_y_coordinate"}),
    }
    stack = xr.Dataset(
        {
            ("phase" if wrapped else "unwrapped_phase"): made.pop("stack_phase"),
            "coherence": made.pop("stack_coherence"),
        },
        {
            "reference": ("pair", time[links[:, 0]]),
            "secondary": ("pair", time[links[:, 1]]),
            "perpendicular_baseline": ("pair", pair_baseline),
            "looks": looks,
            **common,
        },
        {"title": "simulated interferograms", "seed": seed},
    )
    truth = xr.Dataset(
        made,
        {
            "time": time,
            "reference": ("pair", time[links[:, 0]]),
            "secondary": ("pair", time[links[:, 1]]),
            "perpendicular_baseline": ("time", baseline),
            **common,
        },
        {
            "title": "truth of simulated interferograms",
            "component": "los",
            "reference": "none: absolute displacement",
            "reference_time": str(time[0].astype("M8[s]")),
            **settling.attributes(),
            "bowl_x": centre[0],
            "bowl_y": centre[1],
            "bowl_row": round((y[0] - centre[1]) / spacing),
            "bowl_col": round(centre[0] / spacing),
            "bowl_radius": radius,
            "seasonal_phase": seasonal_phase,
            "seed": seed,
        },
    )
    return schema.INTERFEROGRAMS.stamp(stack), pieces.stamped_truth(truth, _TRUTH)


def _patches(seed: int, fraction: float, pairs: int, shape: tuple[int, int], spacing: float) -> tuple[Patch, ...]:
    """One patch in each of the pairs that are unwrapped wrongly."""
    if fraction == 0:
        return ()
    random = generator(seed, Stream.UNWRAPPING)
    wrong = np.sort(random.choice(pairs, max(1, round(fraction * pairs)), replace=False))
    return tuple(
        Patch(
            pair=int(pair),
            x=random.uniform(0, shape[1] - 1) * spacing,
            y=random.uniform(0, shape[0] - 1) * spacing,
            radius=random.uniform(0.1, 0.3) * min(shape) * spacing,
            cycles=int(random.choice([-1, 1])),
            waves=(random.uniform(0, 2 * np.pi), random.uniform(0, 2 * np.pi)),
        )
        for pair in wrong
    )
