"""Velocity, acceleration and annual motion of every place, with honest standard deviations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr
from scipy import special

from subsidence import schema
from subsidence._blocks import Kernel, Output, Progress, run
from subsidence._kernels.ar1 import fit_ar1, nodes
from subsidence._kernels.trend import fit_huber, fit_ols
from subsidence.errors import InputError
from subsidence.schema._estimates import without_estimates
from subsidence.series._model import Dates, Design, checked_time, linear_design, place_of
from subsidence.typing import AnyArray, FloatArray

__all__ = ["Noise", "Windows", "confidence_interval", "estimate_velocity"]

Noise: TypeAlias = Literal["white", "autocorrelated"]
#: (first day, last day) of each window, both inside; dates, or text such as "2018-06-30" or "2018".
Windows: TypeAlias = Sequence[tuple[str | np.datetime64, str | np.datetime64]]

_BASIC = ("velocity", "velocity_std", "velocity_dof", "rms_residual")
_ACCELERATION = ("acceleration", "acceleration_std")
_SEASONAL = ("seasonal_amplitude", "seasonal_amplitude_std", "seasonal_phase", "seasonal_phase_std")
_AUTOCORRELATION = ("noise_autocorrelation",)


def estimate_velocity(
    series: xr.Dataset,
    *,
    seasonal: bool = False,
    acceleration: bool = False,
    noise: Noise = "white",
    robust: bool = False,
    windows: Windows | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Velocity of every place and its standard deviation.

    .. warning::
        Velocity has the sign of the displacement: along the line of sight positive **towards** the
        satellite, so that subsidence is negative.

    Parameters
    ----------
    series
        SERIES with increasing times, on a raster, on points, or of one place (dims ``("time",)``). NaN epochs
        are left out, place by place.
    seasonal
        Adds an annual sinusoid.
    acceleration
        Adds a constant acceleration; the velocity is then the one at the middle of the epochs (or window).
    noise
        "white": independent errors of one variance. "autocorrelated": first-order autoregressive errors,
        whose correlation is estimated at every place; right where neighbouring epochs err alike.
    robust
        Huber's M-estimate instead of least squares: few outlying epochs (unwrapping errors) weigh little.
        With white noise only.
    windows
        Piecewise velocities: (first day, last day) of each window, both inside. Each window is fitted on its
        own, and every estimate gains a dimension ``window`` with coords ``window_start``, ``window_end``.
    threads
        Threads over blocks of places; all CPUs by default. A dask series stays lazy and ignores it.
    progress
        True for a progress bar (extra ``progress``), or a function told (places done, places in all).

    Returns
    -------
    xarray.Dataset
        The series with ``velocity`` and ``velocity_std`` (m/year), ``velocity_dof`` (degrees of freedom of
        Student's t for intervals, see :func:`confidence_interval`) and ``rms_residual`` (m); as asked also
        ``acceleration`` (m/year2), ``seasonal_amplitude`` (m), ``seasonal_phase`` (rad, the motion is largest
        at this angle after 1 January), each with ``_std``, and ``noise_autocorrelation`` (between epochs
        one median revisit apart). Of the dtype of the displacement. NaN where valid epochs are fewer than
        parameters + 1. Earlier estimates are replaced.

    Raises
    ------
    InputError
        When the series has fewer than 3 epochs or than the model needs, times that do not increase, or too
        short a span for its terms; for an unknown `noise`; for `robust` with autocorrelated noise; for a
        window with fewer than 3 epochs, that ends before it starts or reaches outside the years 1678 to 2261.

    Notes
    -----
    With t in years of 365.25 days from the middle of the epochs and :math:`\tau` in years since 1 January,

    .. math:: d(t) = c + v t + \tfrac{1}{2} a t^2 + s \sin 2\pi\tau + q \cos 2\pi\tau + e(t)

    The intercept c takes up the error of the reference epoch, whose displacement is zero by construction, so
    that epoch counts as any other: with white noise :math:`\sigma^2 = RSS / (n - p)` over all n epochs, and
    the covariance is :math:`\sigma^2 (X^T X)^{-1}`.

    *Autocorrelated*: errors g median revisits apart correlate by :math:`\rho^g`, so that irregular sampling
    and gaps are respected. The restricted likelihood (REML) of :math:`\rho` is integrated instead of
    maximised: a single best :math:`\rho` from 60 epochs is too uncertain, and the intervals that it gives
    cover 92 % instead of 95 %. The velocity is the mean of the generalised least squares solutions, weighted by
    that likelihood, the prior :math:`(1 + \rho)^{-1/2}` in (-1, 1), and their precision; ``velocity_std`` and
    ``velocity_dof`` are those of the Student t whose precision has the first two moments of the mixture, and so
    hold the uncertainty of :math:`\rho`. ``noise_autocorrelation`` is where the likelihood is largest.

    Simulated coverage is tabled by ``benchmarks/coverage_velocity.py``: with 60 epochs or more and a correlation up
    to 0.6 it is within 3 and 2 percentage points of 68 % and 95 %. Intervals are too short for fewer epochs of
    strongly correlated noise (10 epochs, 0.6: 56 % and 91 %), and for flicker noise, which no exponential
    follows (60 epochs: 42 % and 73 %).

    *Robust*: Huber's k = 1.345, scale 1.4826 times the median absolute residual, reweighted until the model moves
    by less than 1e-7 of the scale (at most 1000 times, which fewer than one place in a thousand needs); the std is
    Huber's asymptotic one (1981, section 7.6), good where outliers are not at the ends of a short series.

    ``seasonal_amplitude_std`` and ``seasonal_phase_std`` are to first order: trust them where the amplitude is
    well above its std. An amplitude of pure noise is not zero but about 1.25 times its std.

    References
    ----------
    Patterson and Thompson (1971), restricted likelihood, https://doi.org/10.1093/biomet/58.3.545.
    Huber (1981), Robust Statistics, https://doi.org/10.1002/0471725250.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> time = np.datetime64("2018-01-06", "ns") + np.arange(60) * np.timedelta64(12, "D")
    >>> years = np.arange(60) * 12 / 365.25
    >>> noise = np.random.default_rng(1).normal(0, 0.002, 60)
    >>> series = xr.Dataset({"displacement": ("time", -0.03 * years + noise)}, {"time": time})
    >>> result = estimate_velocity(series, noise="autocorrelated")
    >>> abs(result.velocity.item() + 0.03) < 2 * result.velocity_std.item() < 0.003
    True
    >>> windows = [("2018-01-01", "2018-12-31"), ("2019", "2019")]
    >>> estimate_velocity(series, windows=windows).velocity.round(2).values.tolist()
    [-0.03, -0.03]
    """
    time = checked_time(series)
    if noise not in ("white", "autocorrelated"):
        msg = f"noise must be 'white' or 'autocorrelated', got {noise!r}"
        raise InputError(msg)
    if robust and noise != "white":
        msg = "robust=True needs noise='white', got noise='autocorrelated': set outlying epochs to NaN instead"
        raise InputError(msg)
    model = _Model(acceleration=acceleration, seasonal=seasonal, noise=noise, robust=robust)
    displacement = series.variables["displacement"]
    place = place_of(series)
    if not place:
        displacement = xr.Variable(("point", *displacement.dims), displacement.data[None])
    coords: dict[str, xr.Variable] = {}
    if windows is None:
        stack = _fit(displacement, time, model, place=place, threads=threads, progress=progress)
    else:
        spans = _checked_windows(windows, time, model)
        parts = [
            _fit(
                displacement.isel(time=slice(span.start, span.stop)),
                time[span.start : span.stop],
                model,
                place=place,
                threads=threads,
                progress=progress,
                argument=span.words,
            )
            for span in spans
        ]
        stack = xr.concat([xr.DataArray(part) for part in parts], dim="window").variable
        for name, dates in (("window_start", [s.first for s in spans]), ("window_end", [s.last for s in spans])):
            coords[name] = xr.Variable("window", np.array(dates, "M8[ns]"))
    found = {name: stack.isel(quantity=row) for row, name in enumerate(model.names)}
    result = without_estimates(series).assign(found).assign_coords(coords)
    result.attrs |= {"velocity_model": model.words, "velocity_noise": "huber" if robust else noise}
    return schema.SERIES.stamp(result)


def confidence_interval(series: xr.Dataset, *, level: float = 0.95) -> xr.Dataset:
    r"""
    Interval that holds the true velocity with a given probability.

    Parameters
    ----------
    series
        SERIES with ``velocity``, ``velocity_std`` (m/year) and ``velocity_dof``, as from
        :func:`estimate_velocity`.
    level
        Probability, between 0 and 1.

    Returns
    -------
    xarray.Dataset
        The series with ``velocity_lower`` and ``velocity_upper``, m/year, of the velocity's sign; `level` in
        attrs as ``velocity_level``.

    Raises
    ------
    InputError
        When a variable is missing or `level` is not between 0 and 1.

    Notes
    -----
    .. math:: v \pm t_{(1 + level) / 2,\,\nu}\; \sigma_v

    with Student's t of :math:`\nu` = ``velocity_dof`` degrees of freedom: for few epochs or strongly
    correlated noise the interval is wider than the normal's.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> time = np.datetime64("2018-01-06", "ns") + np.arange(5) * np.timedelta64(12, "D")
    >>> series = xr.Dataset({"displacement": ("time", [0.0, -1e-3, -1e-3, -3e-3, -4e-3])}, {"time": time})
    >>> result = confidence_interval(estimate_velocity(series))
    >>> half = (result.velocity_upper - result.velocity) / result.velocity_std
    >>> half.round(3).item()  # 3 degrees of freedom
    3.182
    """
    schema.SERIES.check(series, argument="series", needs=("velocity", "velocity_std", "velocity_dof"))
    if not (isinstance(level, (int, float)) and 0 < level < 1):
        msg = f"level must lie between 0 and 1, got {level!r}"
        raise InputError(msg)
    std, dof = series["velocity_std"], series["velocity_dof"]
    half = xr.apply_ufunc(
        _half_width, std, dof, kwargs={"level": level}, dask="parallelized", output_dtypes=[std.dtype]
    ).variable
    velocity = series.variables["velocity"]
    result = series.assign(velocity_lower=velocity - half, velocity_upper=velocity + half)
    result.attrs["velocity_level"] = float(level)
    return schema.SERIES.stamp(result)


def _half_width(std: FloatArray, dof: FloatArray, *, level: float) -> AnyArray:
    quantile: AnyArray = special.stdtrit(np.asarray(dof, np.float64), 0.5 + 0.5 * level)
    return np.asarray(std * quantile, std.dtype)


@dataclass(frozen=True)
class _Model:
    """What was asked for: the terms, the noise, the rows that the kernel writes."""

    acceleration: bool
    seasonal: bool
    noise: Noise
    robust: bool

    @property
    def names(self) -> tuple[str, ...]:
        return (
            *_BASIC,
            *(_ACCELERATION if self.acceleration else ()),
            *(_SEASONAL if self.seasonal else ()),
            *(_AUTOCORRELATION if self.noise == "autocorrelated" else ()),
        )

    @property
    def words(self) -> str:
        return "linear" + self.acceleration * " + acceleration" + self.seasonal * " + annual"

    @property
    def parameters(self) -> int:
        return 2 + self.acceleration + 2 * self.seasonal

    def design(self, time: Dates, *, argument: str) -> Design:
        return linear_design(time, acceleration=self.acceleration, seasonal=self.seasonal, argument=argument)


def _fit(
    displacement: xr.Variable,
    time: Dates,
    model: _Model,
    *,
    place: tuple[str, ...],
    threads: int | None,
    progress: Progress,
    argument: str = "series",
) -> xr.Variable:
    """Run one model over every place: dims ("quantity", *place)."""
    design = model.design(time, argument=argument)
    kernel: Kernel
    if model.noise == "autocorrelated":
        steps = np.diff(time).astype("m8[ns]").astype(np.float64)
        shared = nodes(steps / np.median(steps), design.basis)
        kernel = partial(_autocorrelated, design=design, shared=shared, model=model)
    else:
        kernel = partial(_white, design=design, model=model)
    dtype = np.result_type(displacement.dtype, np.float32)
    (result,) = run(
        kernel,
        [displacement],
        [Output(("quantity",), (len(model.names),), dtype)],
        place=place or ("point",),
        threads=threads,
        progress=progress,
        label="velocity",
    )
    return result if place else result.isel(point=0)


def _white(start: int, stop: int, series: FloatArray, out: FloatArray, *, design: Design, model: _Model) -> None:
    fit = fit_huber if model.robust else fit_ols
    fit(start, stop, series, design.basis, design.back, model.acceleration, model.seasonal, out)


def _autocorrelated(
    start: int,
    stop: int,
    series: FloatArray,
    out: FloatArray,
    *,
    design: Design,
    shared: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
    model: _Model,
) -> None:
    fit_ar1(start, stop, series, design.basis, design.back, *shared, model.acceleration, model.seasonal, out)


@dataclass(frozen=True)
class _Span:
    """A window as a slice of the epochs."""

    first: np.datetime64
    last: np.datetime64
    start: int
    stop: int
    words: str


def _checked_windows(windows: object, time: Dates, model: _Model) -> list[_Span]:
    if isinstance(windows, str) or not isinstance(windows, Sequence) or len(windows) == 0:
        msg = f"windows must be a sequence of (first day, last day), got {windows!r}"
        raise InputError(msg)
    spans = []
    for number, window in enumerate(windows):
        name = f"windows[{number}]"
        if isinstance(window, str) or not isinstance(window, Sequence) or len(window) != 2:
            msg = f"{name} must be (first day, last day), got {window!r}"
            raise InputError(msg)
        first = _date(window[0], name)
        last = _date(window[1], name)
        end = _end(last)
        if not first.astype("M8[ns]") < end - np.timedelta64(1, "D"):
            msg = f"{name} ends on {last}, not after its start {first}: give (first day, last day)"
            raise InputError(msg)
        start, stop = np.searchsorted(time, np.array([first, end], "M8[ns]"))
        needed = max(3, model.parameters + 1)
        if stop - start < needed:
            msg = (
                f"{name} ({first} to {last}) holds {stop - start} epochs, expected at least {needed}: the series "
                f"runs from {time[0].astype('M8[D]')} to {time[-1].astype('M8[D]')}"
            )
            raise InputError(msg)
        shown = last if end == last else (end - np.timedelta64(1, "D"))
        spans.append(_Span(first, shown, int(start), int(stop), f"{name} ({first} to {last})"))
    return spans


def _date(value: Any, name: str) -> np.datetime64:
    try:
        date = np.datetime64(value)
    except (TypeError, ValueError) as error:
        msg = f"{name} must hold dates such as '2018-06-30', got {value!r}"
        raise InputError(msg) from error
    if np.isnat(date):
        msg = f"{name} must hold dates such as '2018-06-30', got {value!r}"
        raise InputError(msg)
    year = int(date.astype("M8[Y]").astype(np.int64)) + 1970
    if not 1678 <= year <= 2261:  # outside, nanoseconds overflow without a word
        msg = f"{name} must hold dates between 1678 and 2261, got {value!r}: for an open end give a day past the series"
        raise InputError(msg)
    return date


def _end(last: np.datetime64) -> np.datetime64:
    """The first instant after `last`, of which a day, month or year belongs whole to the window."""
    unit = np.datetime_data(last.dtype)[0]
    whole = unit if unit in {"Y", "M", "W", "D"} else "ns"
    return np.datetime64((last.astype(f"M8[{whole}]") + 1).astype("M8[ns]"), "ns")
