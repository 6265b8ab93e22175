"""What fits of a segmented curve share: its misfit with the breakpoint held, for many series and breakpoints."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.fitting._profile import Problem, misfits, solve
from subsidence.models._base import TimeModel
from subsidence.models._check import checked_series
from subsidence.models._segmented_weibull import SegmentedWeibull
from subsidence.models._sum import SumModel
from subsidence.models._weibull import Weibull
from subsidence.typing import BoolArray, FloatArray, is_number

__all__ = [
    "breakpoints",
    "check_level",
    "guess",
    "one_segment",
    "problem_of",
    "profiles",
    "segmented",
    "single_start",
    "to_segments",
]

#: Epochs that each segment has at least.
_MARGIN = 3
#: Of misfits in a profile, which are compared with some percent more than the least.
_TOLERANCE = 1e-6


def check_level(level: object) -> None:
    if not (is_number(level) and 0 < level < 1):
        msg = f"level must lie between 0 and 1, got {level!r}"
        raise InputError(msg)


def segmented(model: object) -> tuple[SegmentedWeibull, str]:
    """The segmented term, and what its names have before them in `model`."""
    terms = model.terms if isinstance(model, SumModel) else [model]
    found = [term for term in terms if isinstance(term, SegmentedWeibull)]
    if len(found) != 1:
        words = getattr(model, "name", type(model).__name__)
        msg = f"model must be a SegmentedWeibull, or a sum with one of them, got {len(found)} of them in {words}"
        raise InputError(msg)
    return found[0], found[0].prefix if isinstance(model, SumModel) else ""


def problem_of(
    model: TimeModel, w: npt.ArrayLike, t: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[Problem, FloatArray]:
    """What is fitted, and the data as (1, times) in order of time."""
    for name in model.param_names:
        hint = model.param_hints.get(name.removeprefix(model.prefix), {})
        limits = [hint.get("min", -np.inf), hint.get("max", np.inf)]
        linear = name.removeprefix(model.prefix) in (*model.linear, "offset")
        if hint.get("expr") or (linear and np.isfinite(limits).any()):
            msg = f"model must not bound an amplitude or tie a parameter by an expression, it does so to {name}"
            raise InputError(msg)
    data, time, weight = checked_series(w, t, weights, needed=len(model.units) - len(model.held()))
    order = np.argsort(time, kind="stable")
    problem = Problem(model, time[order], weight[order])
    return problem, data[order][None]


def breakpoints(problem: Problem) -> FloatArray:
    """Epochs that leave enough epochs of motion to either segment; one, of no meaning, if it is not free."""
    model, time = problem.model, problem.time[problem.weight > 0]
    if not is_free(problem):
        return np.full(1, np.nan)
    moving = time[time > problem.held.get(segmented(model)[1] + "t0", -np.inf)]
    tried = np.unique(moving[_MARGIN - 1 : -_MARGIN])
    if tried.size == 0:
        msg = (
            f"w must hold at least {2 * _MARGIN} values after the onset, {_MARGIN} for each segment, got {moving.size}"
        )
        raise InputError(msg)
    return tried


def is_free(problem: Problem) -> bool:
    name = segmented(problem.model)[1] + "eps"
    return name in problem.model.nonlinear and name not in problem.held


def one_segment(model: TimeModel) -> TimeModel:
    """The model with a Weibull curve of one segment in place of the segmented one."""
    terms = model.terms if isinstance(model, SumModel) else [model]
    made = [_replaced(term) if isinstance(term, SegmentedWeibull) else term for term in terms]
    if len(made) == 1:
        return made[0]
    total = SumModel(*made)
    _copy_hints(model, total)
    return total


def _replaced(term: SegmentedWeibull) -> Weibull:
    single = Weibull(term.time_unit, prefix=term.prefix, nan_policy=term.nan_policy)
    _copy_hints(term, single)
    return single


def _copy_hints(model: TimeModel, other: TimeModel) -> None:
    for name, hint in model.param_hints.items():
        if name in other.units:
            other.set_param_hint(name, **hint)


def guess(problem: Problem, data: FloatArray) -> FloatArray:
    """Start of one series by the model's own guess, (nonlinear, 1)."""
    model = problem.model
    params = model.guess(data, problem.time, weights=problem.weight)
    return np.array([[params[model.prefix + name].value] for name in model.nonlinear])


def to_segments(problem: Problem, single: Problem, p: FloatArray) -> FloatArray:
    """Curves of one segment as curves of two alike, (nonlinear, series)."""
    prefix = segmented(problem.model)[1]
    values = {**problem.held, **dict(zip(single.model.nonlinear, p, strict=True))}
    second = {prefix + name + "_2": values[prefix + name] for name in ("eta", "lam")}
    return problem.model.rows({prefix + "eps": np.nan, **second, **values})


def single_start(problem: Problem, data: FloatArray) -> FloatArray:
    single = Problem(one_segment(problem.model), problem.time, problem.weight)
    return to_segments(problem, single, solve(single, data, guess(single, data[0]))[0])


def profiles(problem: Problem, data: FloatArray, start: FloatArray, tried: FloatArray) -> tuple[FloatArray, FloatArray]:
    """
    Best curves of each series with the breakpoint at each time that is tried.

    `data` is (series, times) and `start`, curves of two segments alike, (nonlinear, series). Returns the
    curves, (nonlinear, series, breakpoints), and their misfits.
    """
    term, prefix = segmented(problem.model)
    row = {name: problem.model.nonlinear.index(prefix + name) for name in term.nonlinear}
    free = is_free(problem)
    name = prefix + "eps" if free else None
    shape = (start.shape[0], len(data), tried.size)
    series = np.repeat(data, tried.size, 0)
    p, misfit = np.empty((shape[0], len(series))), np.full(len(series), np.inf)
    for bases in _bases(problem, start, row):
        begin, best = p.copy(), np.full(len(series), np.inf)
        for base in bases:
            other = np.repeat(base[:, :, None], tried.size, 2)
            if free:
                other[row["eps"]] = tried
            _keep(problem, series, other.reshape(shape[0], -1), begin, best)
        found, value, _ = solve(problem, series, begin, without=name, tolerance=_TOLERANCE)
        better = value < misfit
        p[:, better], misfit[better] = found[:, better], value[better]
    # What is best with one breakpoint is a start for those beside it, until that helps no more.
    for _ in range(4 if free else 0):
        begin, best = p.copy(), misfit * (1 - 1e-4)
        for step in (1, -1):
            other = np.roll(p.reshape(shape), step, 2)
            other[row["eps"]] = tried
            _keep(problem, series, other.reshape(shape[0], -1), begin, best)
        again = best < misfit * (1 - 1e-4)
        if not again.any():
            break
        p[:, again], misfit[again], _ = solve(
            problem, series[again], begin[:, again], without=name, tolerance=_TOLERANCE
        )
    return p.reshape(shape), misfit.reshape(shape[1:])


def _bases(problem: Problem, start: FloatArray, row: Mapping[str, int]) -> list[list[FloatArray]]:
    """
    Two groups of curves to begin from, of which the best each does: like one segment, and well settled.

    The best curve of one segment often has no end within reach, where the segmented one has.
    """
    length = np.maximum(problem.time[-1] - start[row["t0"]], 1e-3 * np.ptp(problem.time))
    bases = [[start], []]
    for hazard in (1.0, 4.0):
        settled = start.copy()
        settled[row["eta"]] = hazard * length ** -start[row["lam"]]
        bases[1].append(settled)
    return [[other for base in group for other in _two_segments(base, row)] for group in bases]


def _two_segments(p: FloatArray, row: Mapping[str, int]) -> list[FloatArray]:
    """Curves whose second segment is slower or faster, flatter or steeper than the first."""
    found = []
    for scale in (1.0, 0.7, 1.4, 2.0):
        for ratio in (1.0, 0.8, 1.25):
            other = p.copy()
            other[row["lam_2"]] = np.clip(p[row["lam"]] * ratio, 0.3, 8.0)
            logarithm = np.log(p[row["eta"]]) / p[row["lam"]] - np.log(scale)
            other[row["eta_2"]] = np.exp(other[row["lam_2"]] * logarithm)
            found.append(other)
    return found


def _keep(problem: Problem, series: FloatArray, other: FloatArray, begin: FloatArray, best: FloatArray) -> None:
    """Put those of the curves `other` that fit better into `begin`, and their misfits into `best`."""
    misfit = misfits(problem, series, other)[0]
    better: BoolArray = misfit < best
    begin[:, better], best[better] = other[:, better], misfit[better]
