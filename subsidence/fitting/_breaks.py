"""When the velocity of a place changed: breaks of a series, how many there are, and how sure each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence.errors import InputError
from subsidence.fitting._break_precision import confidence_set, correlations, covariance
from subsidence.fitting._break_search import Fit, Record, fewest_epochs, fit_number
from subsidence.fitting._break_test import p_value
from subsidence.fitting._fits import assemble
from subsidence.fitting._series import _one_place, weights_of
from subsidence.models._piecewise_linear import PiecewiseLinear
from subsidence.schema import Status
from subsidence.series._model import checked_time
from subsidence.timescale import from_elapsed, to_elapsed
from subsidence.typing import FloatArray, is_number

__all__ = ["BreaksFit", "fit_breaks"]

Noise: TypeAlias = Literal["white", "autocorrelated"]
_Dates: TypeAlias = npt.NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class BreaksFit:
    """
    Straight lines that join at breaks, fitted to the series of one place.

    Attributes
    ----------
    breaks
        Dates at which the velocity changes, datetime64[ns] (breaks,).
    breaks_std
        Their standard deviations to first order, years (breaks,); beyond any record where the velocity hardly changes.
    breaks_lower, breaks_upper
        Ends of the confidence set of each break (breaks,): rely on these rather than on the standard deviation,
        which is too small for a change that hardly stands out of the noise.
    velocity, velocity_std
        Velocity in each window between breaks, m/year with the sign of the displacement, and its standard
        deviation (breaks + 1,).
    window_start, window_end
        First and last date of each window (breaks + 1,): breaks, and the ends of the record.
    level
        Probability with which a confidence set holds its break.
    noise_std
        Standard deviation of the noise of one epoch, m; with weights, of one of median standard deviation.
    noise_autocorrelation
        Correlation of the noise one median revisit apart; 0 where it was taken to be white.
    rmse, bic
        Root mean square of the residuals, m, and Bayesian information criterion of the best curve with 0, 1, 2
        ... breaks, as far as they were looked at.
    p_value
        Probability that noise alone lets one or two breaks more look as good as in the data, for 0, 1, 2 ...
        breaks; NaN where that was not tested.
    fits
        The curve as FITS of :class:`~subsidence.models.PiecewiseLinear`, for ``subsidence.predict`` and the like.
    """

    breaks: _Dates
    breaks_std: FloatArray
    breaks_lower: _Dates
    breaks_upper: _Dates
    velocity: FloatArray
    velocity_std: FloatArray
    window_start: _Dates
    window_end: _Dates
    level: float
    noise_std: float
    noise_autocorrelation: float
    rmse: FloatArray
    bic: FloatArray
    p_value: FloatArray
    fits: xr.Dataset


def fit_breaks(
    series: xr.Dataset,
    *,
    breaks: int | None = None,
    max_breaks: int = 5,
    min_epochs: int = 5,
    noise: Noise = "autocorrelated",
    weights: str | xr.DataArray | None = None,
    level: float = 0.95,
    significance: float = 0.05,
    draws: int = 499,
    seed: int = 0,
) -> BreaksFit:
    r"""
    Dates at which the velocity of a place changed, and its velocities between them.

    Parameters
    ----------
    series
        SERIES of one place, m: dims ``("time",)``, or with dims of place of size one. NaN epochs are left out.
    breaks
        How many; None to have the number chosen by a test.
    max_breaks
        Largest number that is tried when it is chosen.
    min_epochs
        Fewest epochs in a window between breaks, those at its ends counted; 3 or more.
    noise
        "autocorrelated": first-order autoregressive errors, whose correlation is estimated; "white":
        independent errors. Errors that are correlated look like breaks to white noise: keep to the first unless
        they are known to be independent.
    weights
        One over the standard deviation of each epoch, as a DataArray; or the name of a variable of `series` that
        holds standard deviations, such as "displacement_std". Epochs of weight zero, of standard deviation zero
        or without one are left out.
    level
        Probability with which a confidence set holds its break.
    significance
        Probability with which a break too many is accepted at each step of the choice of the number.
    draws
        Series of noise that are simulated for a test.
    seed
        Of that simulation.

    Returns
    -------
    BreaksFit
        ``breaks`` (dates) with ``breaks_lower``, ``breaks_upper``; ``velocity`` and ``velocity_std`` (m/year, of
        the displacement's sign) in the windows between; and what the choice of the number rests on.

    Raises
    ------
    InputError
        When `series` has several places or dates that do not increase, when its valid epochs are too few for the
        breaks asked for, or an argument is out of range.

    Notes
    -----
    .. math:: d(t) = c + v_1 t + \sum_j (v_{j+1} - v_j) \max(t - b_j, 0) + e(t)

    *Breaks.* The best break between two epochs is where two free lines cross, or at one of the epochs (Hudson
    1966), so that the best curve solves one of finitely many linear problems. For one and two breaks all are tried,
    which gives the global optimum at a given correlation of the noise; for more, pairs of breaks are moved in turn
    from several starts. Errors g median revisits apart correlate by :math:`\rho^g`; :math:`\rho` (restricted
    likelihood) and the breaks are estimated in turn.

    *Number.* From none upwards: k breaks are too few when one or two more fit better than they would by
    chance. A break that is not there has no date, so the distribution of the likelihood ratio is simulated: noise
    at the epochs of the series, its :math:`\rho` drawn from the likelihood and estimated anew in each draw, the k
    breaks free to move to first order. ``bic`` is for comparison.

    *Confidence.* A date is in the set of a break when an F test does not reject it, with all else, the other
    breaks too, estimated beside it. The set may have gaps; its ends are given. Probabilities, and
    the covariance of velocities, are averaged over :math:`\rho` by its likelihood.

    *Measured* by ``benchmarks/coverage_breaks.py`` on 150 to 200 series of 85 epochs (12 days, gaps), at 5 %: a
    straight line is given breaks in 3 to 5 % of series with noise correlated by 0 to 0.7 (40 epochs: 5 % at 0.5, 7 %
    at 0.7). An onset at 30 mm/year that levels off after 20 months is given two breaks in 95 to 97 % with noise of 2
    to 3 mm correlated by 0 or 0.3, but in 76 % at 0.6, where motion and noise are hard to tell apart. With the right
    number, sets of 95 % hold the break in 93 to 95 %, those of 68 % in 60 to 68 % (0.6: 53 to 61 %); intervals of
    95 % of velocities hold in 89 to 95 %.

    References
    ----------
    Hudson (1966), https://doi.org/10.1080/01621459.1966.10482198.
    Davies (1987), a parameter that only the alternative has, https://doi.org/10.1093/biomet/74.1.33.
    Bai and Perron (1998), several breaks, one after the other, https://doi.org/10.2307/2998540.
    Muggeo (2003), breaks linearised, https://doi.org/10.1002/sim.1545.

    Examples
    --------
    >>> from subsidence import models, simulate
    >>> truth = {"velocity_1": 0.0, "change_1": -0.03, "break_1": 1.0}  # 30 mm/year after a year
    >>> series, _ = simulate.settlement_series(models.PiecewiseLinear(), truth, autocorrelation=0.3, seed=1)
    >>> found = fit_breaks(series)
    >>> found.breaks.size, (found.velocity.round(2) + 0.0).tolist()
    (1, [0.0, -0.03])
    >>> bool(found.breaks_lower[0] < np.datetime64("2019-01-06") < found.breaks_upper[0])
    True
    """
    whole = {"max_breaks": (max_breaks, 0), "min_epochs": (min_epochs, 3), "draws": (draws, 19), "seed": (seed, 0)}
    _check(noise, whole={"breaks": (breaks, 0), **whole}, shares={"level": level, "significance": significance})
    time = checked_time(series).astype("M8[ns]")
    one = _one_place(series)
    values = np.asarray(one["displacement"].values, np.float64)
    given = weights_of(one, weights.squeeze(drop=True) if isinstance(weights, xr.DataArray) else weights)
    weight = np.ones(values.size) if given is None else np.asarray(given.values, np.float64)
    used = np.isfinite(values) & (weight > 0)
    scaled = _Scaled.of(time[used], values[used], weight[used], min_epochs, noise)
    wanted = 0 if breaks is None else breaks
    needed = fewest_epochs(wanted, min_epochs)
    if used.sum() < needed:
        msg = (
            f"series has {int(used.sum())} valid epochs, but {wanted} breaks with min_epochs={min_epochs} need "
            f"{needed}: give fewer breaks or smaller windows"
        )
        raise InputError(msg)
    fitted, tested = _chosen(scaled.record, breaks, max_breaks, significance, draws=draws, seed=seed)
    number = len(tested) - 1 if breaks is None else breaks
    return _result(one, scaled, fitted, number, tested, level=level, noise=noise)


@dataclass(frozen=True)
class _Scaled:
    """A series in the units that numbers are sought in, and the way back."""

    record: Record
    dates: _Dates
    values: FloatArray
    #: years of the record, straight line taken off (level at the first epoch, slope per year), spread of the rest
    span: float
    level: float
    slope: float
    size: float

    @classmethod
    def of(cls, dates: _Dates, values: FloatArray, weight: FloatArray, least: int, noise: Noise) -> _Scaled:
        years = to_elapsed(dates, origin=dates[0] if dates.size else "2000-01-01")
        if years.size < 2:
            msg = f"series has {years.size} valid epochs, expected at least {fewest_epochs(0, least)}"
            raise InputError(msg)
        slope, level = np.polyfit(years, values, 1)
        rest = values - level - slope * years
        size = float(np.std(rest))
        # On a straight line to rounding there is nothing but rounding to magnify.
        size = size if size > 1e-12 * float(np.abs(values).max()) else 0.0
        gaps = np.diff(years)
        record = Record(
            t=2.0 * years / years[-1] - 1.0,
            y=rest / size if size else np.zeros_like(rest),
            weight=weight / np.median(weight),
            gaps=gaps / np.median(gaps),
            least=least,
            autocorrelated=noise == "autocorrelated",
        )
        return cls(record, dates, values, float(years[-1]), float(level), float(slope), size)

    def years(self, scaled: FloatArray) -> FloatArray:
        return (scaled + 1.0) * 0.5 * self.span

    def back(self, number: int) -> FloatArray:
        """Matrix from scaled (constant, slope, changes, breaks) to (velocity_1, changes, breaks, offset)."""
        rate = self.size * 2.0 / self.span
        matrix = np.zeros((2 + 2 * number, 2 + 2 * number))
        matrix[range(1 + number), range(1, 2 + number)] = rate
        matrix[range(1 + number, 1 + 2 * number), range(2 + number, 2 + 2 * number)] = 0.5 * self.span
        matrix[-1, :2] = self.size, -self.size
        return matrix

    def curve(self, fit: Fit) -> FloatArray:
        line = self.level + self.slope * self.years(self.record.t)
        found: FloatArray = line + self.size * (self.record.design(fit.breaks) @ fit.coefficients)
        return found


def _chosen(
    record: Record, breaks: int | None, most: int, significance: float, *, draws: int, seed: int
) -> tuple[list[Fit], list[float]]:
    """Best curves with none, one, two ... breaks, and a p-value for each number up to the one chosen."""
    fitted: list[Fit] = []
    tested: list[float] = []
    if breaks is not None:
        _extend(fitted, record, breaks)
        return fitted, tested
    for number in range(most + 1):
        _extend(fitted, record, number + 2)
        if number == len(fitted):
            break
        tested.append(p_value(record, fitted[number], fitted[-1], draws=draws, seed=seed))
        if tested[-1] > significance:
            break
    return fitted, tested


def _extend(fitted: list[Fit], record: Record, number: int) -> None:
    """Add the best curves with up to `number` breaks, as far as the epochs go."""
    while len(fitted) <= number:
        fit = fit_number(record, len(fitted), fitted[-1] if fitted else None)
        if fit is None:
            return
        fitted.append(fit)


def _result(
    series: xr.Dataset,
    scaled: _Scaled,
    fitted: list[Fit],
    number: int,
    tested: list[float],
    *,
    level: float,
    noise: Noise,
) -> BreaksFit:
    record, fit, epochs = scaled.record, fitted[number], scaled.dates.size
    rhos, weights = correlations(record, fit)
    sets = [confidence_set(record, fit, j, rhos, weights, level=level) for j in range(number)]
    ends = scaled.years(np.array(sets).reshape(-1, 2))
    back = scaled.back(number)
    optimum = back @ np.concatenate([fit.coefficients, fit.breaks])
    optimum[0] += scaled.slope
    optimum[1 + number : 1 + 2 * number] = scaled.years(fit.breaks)
    optimum[-1] += scaled.level
    spread = back @ covariance(record, fit, rhos, weights) @ back.T
    windows = np.tril(np.ones((number + 1, number + 1)))
    rows = slice(0, number + 1)
    std = np.sqrt(np.diagonal(spread))
    residuals = [scaled.values - scaled.curve(each) for each in fitted]
    rmse = np.array([np.sqrt(np.mean(rest**2)) for rest in residuals])
    bic = np.array([each.bic for each in fitted]) + 2 * epochs * np.log(max(scaled.size, np.finfo(np.float64).tiny))
    noise_std = scaled.size * float(np.sqrt(fit.rss / (epochs - 2 - 2 * number)))
    origin = scaled.dates[0]
    dates = from_elapsed(optimum[1 + number : 1 + 2 * number], origin=origin)
    edges = np.concatenate([scaled.dates[:1], dates, scaled.dates[-1:]])
    return BreaksFit(
        breaks=dates,
        breaks_std=std[1 + number : 1 + 2 * number],
        breaks_lower=from_elapsed(ends[:, 0], origin=origin),
        breaks_upper=from_elapsed(ends[:, 1], origin=origin),
        velocity=windows @ optimum[rows],
        velocity_std=np.sqrt(np.diagonal(windows @ spread[rows, rows] @ windows.T)),
        window_start=edges[:-1],
        window_end=edges[1:],
        level=float(level),
        noise_std=noise_std,
        noise_autocorrelation=fit.rho,
        rmse=rmse,
        bic=bic,
        p_value=np.array(tested + [np.nan] * (len(fitted) - len(tested))),
        fits=_as_fits(
            series, scaled, fit, optimum, spread, residual=residuals[number], noise_std=noise_std, noise=noise
        ),
    )


def _as_fits(
    series: xr.Dataset,
    scaled: _Scaled,
    fit: Fit,
    optimum: FloatArray,
    spread: FloatArray,
    *,
    residual: FloatArray,
    noise_std: float,
    noise: Noise,
) -> xr.Dataset:
    """FITS of the one place, measured as ``fit_map`` measures."""
    model = PiecewiseLinear("year", breaks=fit.breaks.size)
    n, k = residual.size, optimum.size + 1
    estimated = np.delete(np.arange(optimum.size + 1), optimum.size - 1)  # t0, before the offset, is no parameter
    values, std = np.zeros(optimum.size + 1), np.zeros(optimum.size + 1)
    matrix = np.zeros((optimum.size + 1, optimum.size + 1))
    values[estimated], std[estimated] = optimum, np.sqrt(np.diagonal(spread))
    matrix[np.ix_(estimated, estimated)] = spread
    squares = float(residual @ residual)
    total = float(((scaled.values - scaled.values.mean()) ** 2).sum())
    misfit = n * np.log(max(squares / n, np.finfo(np.float64).tiny))
    numbers = {
        "rmse": np.sqrt(squares / n),
        "noise_std": noise_std,
        "epoch_count": n,
        "status": int(Status.OK),
        "r_squared": 1.0 - squares / total if total > 0 else np.nan,
        "noise_autocorrelation": fit.rho,
        "aicc": misfit + 2 * k + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.nan,
        "bic": misfit + k * np.log(n),
        "record_start": scaled.dates[0],
        "record_end": scaled.dates[-1],
    }
    variables = {name: xr.Variable((), value) for name, value in numbers.items()}
    variables |= {"optimum": xr.Variable("parameter", values), "estimate": xr.Variable("parameter", values.copy())}
    variables["estimate_std"] = xr.Variable("parameter", std)
    variables["covariance"] = xr.Variable(("parameter", "parameter_2"), matrix)
    return assemble(model, series, variables, origin=scaled.dates[0], noise=noise)


def _check(noise: object, *, whole: Mapping[str, tuple[object, int]], shares: Mapping[str, object]) -> None:
    """`whole` numbers with the least each may be, `shares` between 0 and 1."""
    for name, (value, least) in whole.items():
        if name == "breaks" and value is None:
            continue
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
            also = ", or None to have the number chosen" if name == "breaks" else ""
            msg = f"{name} must be a whole number from {least}{also}, got {value!r}"
            raise InputError(msg)
    if noise not in ("white", "autocorrelated"):
        msg = f"noise must be 'white' or 'autocorrelated', got {noise!r}"
        raise InputError(msg)
    for name, share in shares.items():
        if not (is_number(share) and 0 < share < 1):
            msg = f"{name} must lie between 0 and 1, got {share!r}"
            raise InputError(msg)
