"""Asaoka's observational procedure: the final settlement from equal steps of a series."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.typing import FloatArray, is_number

__all__ = ["AsaokaEstimate", "asaoka"]

#: Fewer settlements in equal steps leave no residual about the line.
_FEWEST = 4
#: Steps into which a record is cut where nothing else is asked, at most: fewer lose precision, more are biased.
_STEPS = 12
#: Share of a step by which times may be off because they are rounded.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class AsaokaEstimate:
    """
    What :func:`asaoka` finds; standard deviations are to first order in the noise.

    Attributes
    ----------
    final_settlement, final_settlement_std
        Level that the series tends to, in the unit and with the zero of the data; NaN where it does not settle.
    rate, rate_std
        c of the exponential, one over the unit of time; NaN where the series does not settle.
    b0, b0_std
        Intercept of the line, in the unit of the data.
    b1, b1_std
        Slope of the line.
    step
        Length of a step, in the unit of time.
    noise_std
        Standard deviation of one value of the data, from the scatter about the line.
    """

    final_settlement: float
    final_settlement_std: float
    rate: float
    rate_std: float
    b0: float
    b0_std: float
    b1: float
    b1_std: float
    step: float
    noise_std: float

    @property
    def settles(self) -> bool:
        """Whether the slope is between 0 and 1, so that the steps lead to a final settlement."""
        return 0.0 < self.b1 < 1.0


def asaoka(w: npt.ArrayLike, *, t: npt.ArrayLike, step: float | None = None) -> AsaokaEstimate:
    r"""
    Final settlement and rate of an exponential settlement, from a line through its values in equal steps.

    Parameters
    ----------
    w
        Settlement or displacement of either sign, in any unit, from when it only slows down; NaN is left out.
    t
        Time of each value, increasing, in any unit.
    step
        Length of a step, in the unit of `t`, not below the median spacing of the epochs. By default the
        smallest multiple of that spacing that cuts the record into twelve steps at most.

    Returns
    -------
    AsaokaEstimate
        Final settlement, rate, intercept and slope of the line with their standard deviations. Where the slope
        is not between 0 and 1 the series does not settle exponentially, and the first two are NaN.

    Raises
    ------
    InputError
        When `w` and `t` are not series of one length, `t` does not increase or holds dates, or `step` is
        shorter than the median spacing or leaves fewer than four values.

    Notes
    -----
    An exponential settlement in equal steps :math:`\Delta t` lies on a line of S over the S before it,

    .. math:: S_k = b_0 + b_1 S_{k-1}, \qquad S_\infty = \frac{b_0}{1 - b_1}, \qquad c = -\frac{\ln b_1}{\Delta t},

    which is fitted by least squares. Epochs that are not in equal steps are interpolated linearly. Whatever
    level the series is counted from, the line has the same slope and :math:`S_\infty` is counted from that
    level: of an InSAR series it is relative to the first epoch, whose error cannot be told from it.

    Noise is in the regressor as well. That makes the slope too small by about
    :math:`b_1 \sigma^2 / \operatorname{var}(S)`, the rate too large and the final settlement too small, and
    short steps, whose slope is close to 1, suffer most: with 85 epochs of 12 days, noise of 2 mm, a final settlement
    of 100 mm and c = 1.5 per year, steps of 12 days are wrong by 2.6 mm at a stated 1.1 mm, the default of 84 days
    by 0.3 mm at 1.4 mm. A fit of the exponential itself has no such bias and is the better estimate; this
    one is for comparison with practice. Interpolation flattens the curve across a gap, and gaps of a third of 1/c make
    the rate too small by more than its standard deviation.

    With W the interpolation, D the difference :math:`S_k - b_1 S_{k-1}` and A the least squares solution, the standard
    deviations follow from :math:`\sigma^2 A D W W^T D^T A^T`: neighbouring points of the line share an
    epoch, so its scatter is not independent from point to point. :math:`\sigma` is what that scatter says.
    In simulations of 20 to 200 epochs with the default step, 61 to 65 % of the true final settlements are within one
    standard deviation and 90 to 93 % within two (Student's t of 10 degrees of freedom: 66 and 93 %).

    References
    ----------
    Asaoka (1978), Observational procedure of settlement prediction, Soils and Foundations 18(4), 87-101.

    Examples
    --------
    >>> import numpy as np
    >>> years = np.arange(40) * 0.1
    >>> noise = np.random.default_rng(3).normal(0, 0.001, 40)
    >>> found = asaoka(-0.1 * (1 - np.exp(-1.2 * years)) + noise, t=years)
    >>> found.settles, round(found.step, 3)
    (True, 0.4)
    >>> abs(found.final_settlement + 0.1) < 2 * found.final_settlement_std < 0.004
    True
    >>> abs(found.rate - 1.2) < 2 * found.rate_std < 0.2
    True
    """
    values, time = _checked(w, t)
    spacing = float(np.median(np.diff(time)))
    span = float(time[-1] - time[0])
    length = _checked_step(step, spacing, span)
    nodes = time[0] + length * np.arange(_count(span, length))
    interpolation = _interpolation(time, nodes)
    settled = interpolation @ values
    before, after = settled[:-1], settled[1:]
    centred = before - before.mean()
    size = float(centred @ centred)
    if size <= (1e-14 * np.abs(settled).max()) ** 2:
        size = float("nan")  # nothing moves: there is no line, and nothing that follows from it
    solution = np.stack([1.0 / before.size - before.mean() * centred / size, centred / size])  # gives b0 and b1
    b0, b1 = (float(row) for row in solution @ after)
    mixed = interpolation[1:] - b1 * interpolation[:-1]
    scatter = mixed @ mixed.T
    spread = solution @ scatter
    # What is left of the noise once the line has taken its share, in units of the variance of one value.
    left = float(np.trace(scatter) - np.sum(spread * np.stack([np.ones_like(before), before])))
    residual = after - b0 - b1 * before
    variance = float(residual @ residual) / left
    covariance = variance * (spread @ solution.T)
    b0_std, b1_std = (float(std) for std in np.sqrt(np.diag(covariance)))
    final, final_std, rate, rate_std = _exponential(b0, b1, covariance, length)
    return AsaokaEstimate(
        final_settlement=final,
        final_settlement_std=final_std,
        rate=rate,
        rate_std=rate_std,
        b0=b0,
        b0_std=b0_std,
        b1=b1,
        b1_std=b1_std,
        step=length,
        noise_std=math.sqrt(variance),
    )


def _exponential(b0: float, b1: float, covariance: FloatArray, step: float) -> tuple[float, float, float, float]:
    """Final settlement and rate with their standard deviations; NaN where the steps do not lead to one."""
    if not 0.0 < b1 < 1.0:
        nothing = float("nan")
        return nothing, nothing, nothing, nothing
    final = b0 / (1.0 - b1)
    by_line = np.array([1.0, final]) / (1.0 - b1)
    rate_std = math.sqrt(covariance[1, 1]) / (b1 * step)
    return final, float(np.sqrt(by_line @ covariance @ by_line)), -math.log(b1) / step, rate_std


def _checked(w: npt.ArrayLike, t: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Finite values and their times."""
    time = np.asarray(t)
    if time.dtype.kind in "Mm":
        msg = "t must be numbers in one unit of time, got dates: use to_elapsed(dates)"
        raise InputError(msg)
    values, time = np.asarray(w, np.float64), time.astype(np.float64)
    if values.ndim != 1 or values.shape != time.shape:
        msg = f"w and t must be one series of one length, got shapes {values.shape} and {time.shape}"
        raise InputError(msg)
    valid = np.isfinite(values)
    values, time = values[valid], time[valid]
    if values.size < _FEWEST:
        msg = f"w must hold {_FEWEST} finite values or more, got {values.size}"
        raise InputError(msg)
    if not (np.isfinite(time).all() and (np.diff(time) > 0).all()):
        msg = "t must be finite and increase from epoch to epoch: sort the series, one value for each time"
        raise InputError(msg)
    return values, time


def _checked_step(step: float | None, spacing: float, span: float) -> float:
    if step is None:
        multiple = max(1, math.ceil(span / (_STEPS * spacing) - _ROUNDING))
        return min(spacing * multiple, span / (_FEWEST - 1))
    if not (is_number(step) and 0 < step < math.inf):
        msg = f"step must be a length of time above zero, got {step!r}"
        raise InputError(msg)
    if step < spacing * (1.0 - _ROUNDING):
        msg = f"step must not be below {spacing:g}, the median spacing of the epochs, got {step!r}"
        raise InputError(msg)
    if _count(span, step) < _FEWEST:
        msg = f"step must leave {_FEWEST} values or more of a record of {span:g}, got {step!r}: at most {span / 3:g}"
        raise InputError(msg)
    return float(step)


def _count(span: float, step: float) -> int:
    """Values in equal steps, the first and last included."""
    return int(span / step + _ROUNDING) + 1


def _interpolation(time: FloatArray, nodes: FloatArray) -> FloatArray:
    """Matrix of linear interpolation from epochs to nodes."""
    right = np.clip(np.searchsorted(time, nodes, side="right"), 1, time.size - 1)
    share = np.clip((nodes - time[right - 1]) / (time[right] - time[right - 1]), 0.0, 1.0)
    matrix = np.zeros((nodes.size, time.size))
    rows = np.arange(nodes.size)
    matrix[rows, right - 1] = 1.0 - share
    matrix[rows, right] = share
    return matrix
