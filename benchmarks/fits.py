"""Time functions fitted to many series: this library beside lmfit, scipy and lumafit, in one run.

    python benchmarks/fits.py                         # one core
    python benchmarks/fits.py --threads 2 --peers none
    python benchmarks/fits.py --quick                 # some seconds

The script starts itself again with every thread pool limited and the process bound to ``--threads`` CPUs. Rates are the
best of several calls after a first one, which compiles or loads compiled code and is reported beside them. All solvers
give parameters and their covariance; ours finds its starts, the others are given good ones that cost them nothing.
Free, besides the amplitude and two shape parameters, are none, the offset, or the offset and the onset.

A fit has the best curve if its sum of squares is within 0.1 % of the least that any solver here finds, ours from twelve
starts and scipy from the truth among them.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import curve_problem
import lmfit
import numpy as np
from _machine import CLOCKS, best_of, describe, limit_cpus, timed
from curve_problem import Array, CurveProblem
from scipy import optimize

from subsidence import fit_map
from subsidence.models import Logistic, TimeModel, Weibull
from subsidence.schema import Status

OURS = "subsidence"
#: Parameters free besides those of the shape, by family; a logistic curve has no onset.
FREE = {"logistic": ((), ("offset",)), "weibull": ((), ("offset",), ("offset", "t0"))}
FAMILIES = {"logistic": Logistic, "weibull": Weibull}
#: Series that slower solvers get.
FEW = 300

#: Fits series ``first..stop`` and gives their sums of squares.
Solver = Callable[[int, int], Array]


@dataclass(frozen=True)
class Row:
    family: str
    free: str
    solver: str
    rate: float  # fits/s
    first: float  # seconds of the first call
    best: float  # share of series with the best curve


def model(family: str, free: tuple[str, ...]) -> TimeModel:
    """Our model with these parameters free besides amplitude and shape."""
    found = FAMILIES[family]()
    if "offset" not in free:
        found.set_param_hint("offset", value=0.0, vary=False)
    if "t0" in free:
        found.set_param_hint("t0", vary=True)
    return found


def ours(problem: CurveProblem, free: tuple[str, ...], *, threads: int, starts: int | None = None) -> Solver:
    series, family = curve_problem.dataset(problem), model(problem.family, free)

    def run(first: int, stop: int) -> Array:
        chosen = series if stop - first == len(problem.y) else series.isel(point=slice(first, stop))
        fits = fit_map(family, chosen, threads=threads, starts=starts)
        return problem.t.size * (1000 * fits["rmse"].values) ** 2

    return run


def curve(problem: CurveProblem, free: tuple[str, ...]) -> Callable[..., Array]:
    """The curve as a plain function of the time and its parameters, as users of the peers write it."""
    function = curve_problem.CURVES[problem.family]
    if not free:
        return function
    if free == ("offset",):
        return lambda t, p, q, r, offset: offset + function(t, p, q, r)
    return lambda t, p, q, r, offset, t0: offset + function(np.maximum(t - t0, 1e-12), p, q, r)


def starts(problem: CurveProblem, free: tuple[str, ...]) -> Array:
    shape = curve_problem.start(problem)
    return np.concatenate([shape, np.zeros((len(shape), len(free)))], axis=1)


def lmfit_model(problem: CurveProblem, free: tuple[str, ...]) -> Solver:
    names = ["p", "q", "r", *free]
    scope: dict[str, Any] = {"function": curve(problem, free)}
    exec(f"def named(t, {', '.join(names)}): return function(t, {', '.join(names)})", scope)  # lmfit reads names
    fitted, begin = lmfit.Model(scope["named"]), starts(problem, free)

    def run(first: int, stop: int) -> Array:
        found = np.empty(stop - first)
        for k in range(first, stop):
            params = fitted.make_params(**dict(zip(names, begin[k], strict=True)))
            found[k - first] = fitted.fit(problem.y[k], params, t=problem.t).chisqr
        return found

    return run


def scipy_curve_fit(problem: CurveProblem, free: tuple[str, ...], begin: Array | None = None) -> Solver:
    function = curve(problem, free)
    begin = starts(problem, free) if begin is None else begin

    def run(first: int, stop: int) -> Array:
        found = np.full(stop - first, np.inf)
        for k in range(first, stop):
            try:
                params, _ = optimize.curve_fit(function, problem.t, problem.y[k], p0=begin[k], maxfev=5000)
            except RuntimeError:
                continue
            found[k - first] = ((problem.y[k] - function(problem.t, *params)) ** 2).sum()
        return found

    return run


def scipy_least_squares(problem: CurveProblem, free: tuple[str, ...]) -> Solver:
    function, begin = curve(problem, free), starts(problem, free)
    low = np.array([-np.inf, 1e-12, 0.1, -np.inf, -np.inf][: begin.shape[1]])

    def run(first: int, stop: int) -> Array:
        found = np.empty(stop - first)
        for k in range(first, stop):
            fit = optimize.least_squares(
                lambda p, k=k: function(problem.t, *p) - problem.y[k],
                np.maximum(begin[k], low + 1e-9),
                bounds=(low, np.inf),
                x_scale="jac",
            )
            np.linalg.pinv(fit.jac.T @ fit.jac)  # its covariance
            found[k - first] = 2 * fit.cost
        return found

    return run


def lumafit(problem: CurveProblem, free: tuple[str, ...]) -> Solver:
    import numba
    from lumafit import levenberg_marquardt_core

    family = numba.njit(curve_problem.CURVES[problem.family])
    count = len(free)

    @numba.njit
    def function(p, t):
        since = np.maximum(t - p[4], 1e-12) if count == 2 else t
        level = p[3] if count > 0 else 0.0
        return level + family(since, p[0], p[1], p[2])

    @numba.njit
    def many(y, begin, t, out):
        for k in range(len(y)):
            out[k] = levenberg_marquardt_core(function, begin[k].copy(), y[k], args=(t,))[2]

    begin = starts(problem, free)

    def run(first: int, stop: int) -> Array:
        found = np.empty(stop - first)
        many(problem.y[first:stop], begin[first:stop], problem.t, found)
        return found

    return run


PEERS: dict[str, Callable[[CurveProblem, tuple[str, ...]], Solver]] = {
    "lmfit Model.fit": lmfit_model,
    "scipy curve_fit": scipy_curve_fit,
    "scipy least_squares": scipy_least_squares,
}
if find_spec("lumafit") is not None:
    PEERS["lumafit"] = lumafit


def compare(
    family: str, free: tuple[str, ...], peers: list[str], *, series: int, few: int, threads: int, clock: str
) -> list[Row]:
    problem = curve_problem.make(family, series)
    few = min(few, series)
    truth = np.concatenate([problem.truth, np.zeros((series, len(free)))], axis=1)
    entrants = {OURS: (series, ours(problem, free, threads=threads))}
    if threads > 1:
        entrants[f"{OURS}, one thread"] = series, ours(problem, free, threads=1)
    entrants |= {name: (few, PEERS[name](problem, free)) for name in peers}
    found, rows = {}, []
    for name, (count, run) in entrants.items():
        first = timed(lambda run=run, few=few: run(0, few), clock=clock)
        seconds = best_of(lambda run=run, count=count: run(0, count), least_seconds=1.0, clock=clock)
        found[name] = run(0, count)
        rows.append((name, count / seconds, first))
    least = np.minimum(ours(problem, free, threads=threads, starts=12)(0, series), found[OURS])
    least[:few] = np.minimum(least[:few], scipy_curve_fit(problem, free, truth)(0, few))
    for name in peers:
        least[:few] = np.minimum(least[:few], found[name])
    words = " and ".join(["amplitude, shape", *free])
    return [
        Row(family, words, name, rate, first, float((found[name] <= 1.001 * least[: len(found[name])]).mean()))
        for name, rate, first in rows
    ]


def flagged(family: str, free: tuple[str, ...], *, series: int) -> tuple[float, float]:
    """Shares said to be not identifiable: of records that end before the peak, and of the others."""
    problem = curve_problem.make(family, series, late=True)
    status = fit_map(model(family, free), curve_problem.dataset(problem))["status"].values
    said = status == Status.NOT_IDENTIFIABLE
    return float(said[problem.late].mean()), float(said[~problem.late].mean())


def table(rows: list[Row]) -> str:
    lines = [
        "| family | free | solver | fits/s | ours / theirs | best curve, % | first call, s |",
        "|---|---|---|---|---|---|---|",
    ]
    own = {(row.family, row.free): row.rate for row in rows if row.solver == OURS}
    for row in rows:
        ratio = "" if row.solver.startswith(OURS) else f"{own[row.family, row.free] / row.rate:.0f} x"
        cells = (row.family, row.free, row.solver, f"{row.rate:,.0f}", ratio, f"{100 * row.best:.2f}")
        lines.append(f"| {' | '.join(cells)} | {row.first:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=40_000)
    parser.add_argument("--few", type=int, default=FEW, help="series that peers get")
    parser.add_argument("--threads", type=int, default=1, help="CPUs that every solver gets")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for one thread on a busy machine")
    parser.add_argument("--peers", nargs="*", choices=[*PEERS, "none"], default=list(PEERS))
    parser.add_argument("--quick", action="store_true", help="a few series of each, to see that it runs")
    arguments = parser.parse_args()
    if arguments.clock == "cpu" and arguments.threads > 1:
        parser.error("--clock cpu adds up threads: it is for --threads 1")
    limit_cpus(arguments.threads)

    series, few = (400, 20) if arguments.quick else (arguments.series, arguments.few)
    peers = [name for name in arguments.peers if name != "none"]
    print(f"{describe()}; {arguments.threads} CPU(s), {arguments.clock} time; {series:,} series, {few} for peers\n")
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peers warn of steps that they then reject
        for family, cases in FREE.items():
            for free in cases:
                rows += compare(
                    family, free, peers, series=series, few=few, threads=arguments.threads, clock=arguments.clock
                )
    print(table(rows))
    print("\nSaid to be not identifiable, where half of the records end before the velocity peaks:\n")
    print("| family | free | of those, % | of the others, % |\n|---|---|---|---|")
    for family, cases in FREE.items():
        for free in cases:
            shares = [100 * share for share in flagged(family, free, series=min(series, 4000))]
            print(f"| {family} | {' and '.join(['amplitude, shape', *free])} | {shares[0]:.2f} | {shares[1]:.2f} |")


if __name__ == "__main__":
    main()
