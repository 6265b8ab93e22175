"""Whether a series needs a second segment at all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.fitting._profile import Problem, solve
from subsidence.fitting._segments import (
    breakpoints,
    check_level,
    guess,
    one_segment,
    problem_of,
    profiles,
    segmented,
    to_segments,
)
from subsidence.models._base import TimeModel
from subsidence.typing import FloatArray, is_number

__all__ = ["SegmentTest", "segment_test"]

#: Breakpoints that are tried of each series.
_TRIED = 12
#: Values of curves and their derivatives held at once, 64 MB.
_VALUES = 2**23


class SegmentTest(NamedTuple):
    """
    Whether a second segment is needed.

    Parameters
    ----------
    statistic
        F, the misfit that the second segment takes away per parameter, over the variance that is left.
    p_value
        Share of series of one segment with a larger F.
    aicc_difference
        AICc of one segment minus that of two: positive where two are better.
    needed
        Whether `p_value` is below the test's size.
    """

    statistic: float
    p_value: float
    aicc_difference: float
    needed: bool


def segment_test(
    model: TimeModel,
    w: npt.ArrayLike,
    *,
    t: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    level: float = 0.05,
    bootstrap: int = 199,
    seed: int = 0,
) -> SegmentTest:
    r"""
    Test whether a series needs the second segment of a curve, or one segment explains it as well.

    Parameters
    ----------
    model
        ``SegmentedWeibull(breakpoint="free")``, one with another breakpoint, or a sum with one of these.
    w
        Settlement or displacement of either sign, (times,); NaN is left out.
    t
        Time of each value of `w`, in the model's unit.
    weights
        One over the standard deviation of each value of `w`.
    level
        Size of the test: how often it may find a second segment where there is none.
    bootstrap
        Series of one segment that are simulated.
    seed
        Of the simulation.

    Returns
    -------
    SegmentTest
        ``statistic`` (F), ``p_value``, ``aicc_difference`` and ``needed``.

    Raises
    ------
    InputError
        As :func:`fit_breakpoint`; when `model` holds ``eta_2`` or ``lam_2``, or `bootstrap` is too small for
        `level`.

    Notes
    -----
    .. math:: F = \frac{(RSS_1 - RSS_2) / q}{RSS_2 / (n - p)}

    with the q parameters that the second segment adds. Without a second segment there is no breakpoint to
    estimate, so that this F has no F distribution: its largest over all breakpoints is far larger than a table
    has it. It is therefore compared with those of `bootstrap` series simulated from the best curve of one
    segment with independent normal errors; :math:`p = (1 + \#\{F^* \ge F\}) / (1 + bootstrap)`. Breakpoints are
    tried at 12 epochs over the record, in series and simulations alike. Of 200 simulated series of one segment the
    test finds a second one in 5.5 % at a level of 0.05 (``benchmarks/coverage_breakpoint.py``).

    Errors that are correlated in time, or a seasonal motion that `model` does not have, are taken for a second
    segment: add the seasonal term.

    References
    ----------
    Davies (1987), Hypothesis testing when a nuisance parameter is present only under the alternative,
    https://doi.org/10.1093/biomet/74.1.33.
    Hansen (1996), Inference when a nuisance parameter is not identified under the null hypothesis,
    https://doi.org/10.2307/2171789.

    Examples
    --------
    >>> import numpy as np
    >>> from subsidence.models import SegmentedWeibull
    >>> t = np.arange(85) * 12 / 365.25
    >>> model = SegmentedWeibull(breakpoint="free")
    >>> truth = {"w_m": -0.2, "eta": 0.9, "lam": 2.5, "eta_2": 0.3, "lam_2": 1.6, "eps": 1.2}
    >>> noise = np.random.default_rng(2).normal(0, 0.002, t.size)
    >>> segment_test(model, model.eval(t=t, **truth) + noise, t=t, bootstrap=39).needed
    True
    >>> one = {**truth, "eta_2": 0.9, "lam_2": 2.5}
    >>> segment_test(model, model.eval(t=t, **one) + noise, t=t, bootstrap=39).needed
    False
    """
    check_level(level)
    if not (is_number(bootstrap) and (1 + bootstrap) * level >= 1):
        msg = f"bootstrap must be {int(np.ceil(1 / level - 1))} or more for level={level:g}, got {bootstrap!r}"
        raise InputError(msg)
    held = {segmented(model)[1] + name for name in ("eta_2", "lam_2")} & set(model.held())
    if held:
        msg = f"model must leave the second segment free, got one that holds {', '.join(sorted(held))}"
        raise InputError(msg)
    problem, data = problem_of(model, w, t, weights)
    single = Problem(one_segment(model), problem.time, problem.weight)
    tried = breakpoints(problem)
    start = guess(single, data[0])
    found, one, coefficients = solve(single, data, start)
    two = _best(problem, data, to_segments(problem, single, found), tried)
    n, p, q = int(np.count_nonzero(problem.weight)), problem.count, problem.count - single.count
    curve = _curves(single, found, coefficients)[0]
    known = problem.weight > 0
    std = np.divide(np.sqrt(one[0] / (n - single.count)), problem.weight, out=np.zeros(known.size), where=known)
    noise = np.random.default_rng(seed).normal(size=(int(bootstrap), known.size))
    simulated = curve + std * noise
    again, ones, _ = solve(single, simulated, np.repeat(found, len(simulated), 1))
    twos = _best(problem, simulated, to_segments(problem, single, again), tried)
    statistic, others = (_f(a, b, q, n - p) for a, b in ((one, two), (ones, twos)))
    p_value = float((1 + np.count_nonzero(others >= statistic[0])) / (1 + len(others)))
    gain = _aicc(one[0], n, single.count) - _aicc(two[0], n, p)
    return SegmentTest(float(statistic[0]), p_value, float(gain), p_value <= level)


def _best(problem: Problem, data: FloatArray, start: FloatArray, tried: FloatArray) -> FloatArray:
    """Smallest misfit of each series over some of the breakpoints, a block of series at a time."""
    some = tried[np.unique(np.linspace(0, tried.size - 1, _TRIED).round().astype(int))]
    size = problem.time.size * some.size * (len(problem.model.units) + 4)
    block = max(1, _VALUES // size)
    parts = [slice(first, first + block) for first in range(0, len(data), block)]
    return np.concatenate([profiles(problem, data[part], start[:, part], some)[1].min(-1) for part in parts])


def _curves(problem: Problem, p: FloatArray, coefficients: FloatArray) -> FloatArray:
    """Values of curves, (curves, times)."""
    columns = problem.model.basis(problem.time, dict(zip(problem.model.nonlinear, p, strict=True)))[0]
    values: FloatArray = np.einsum("ltk,kl->kt", columns, coefficients[:, :-1]) + coefficients[:, -1:]
    return values


def _f(one: FloatArray, two: FloatArray, more: int, freedom: int) -> FloatArray:
    return (one - two) / more / np.maximum(two / freedom, np.finfo(float).tiny)


def _aicc(misfit: float, n: int, parameters: int) -> float:
    """Of a Gaussian likelihood whose variance counts as a parameter."""
    k = parameters + 1
    if n - k - 1 <= 0:
        return float("inf")
    return float(n * np.log(misfit / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1))
