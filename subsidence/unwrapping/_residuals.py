"""Residual phases of points unwrapped on their network: labels and checks around layout, flow and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress, each, reporter
from subsidence._kernels import arc_residuals as kernels
from subsidence._points import PhaseDesign, phase_design, point_positions, wrap
from subsidence.errors import InputError
from subsidence.timescale import to_elapsed
from subsidence.typing import BoolArray, FloatArray, IntArray
from subsidence.unwrapping._epochs import by_epoch, pair_expectation
from subsidence.unwrapping._evidence import Evidence, Expected, Followed
from subsidence.unwrapping._faces import Layout, Trees
from subsidence.unwrapping._flow import check_method, closing_cycles
from subsidence.unwrapping._parts import Parts

__all__ = ["unwrap_residuals"]

_ORDERS = ("auto", "space", "time")
#: So few epochs say nothing about each other.
_LEAST_EPOCHS = 4


def unwrap_residuals(
    points: xr.Dataset,
    arcs: xr.Dataset,
    solution: xr.Dataset,
    *,
    method: Literal["auto", "flow", "paths"] = "auto",
    order: Literal["auto", "space", "time"] = "auto",
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Unwrap what the phase model leaves of the phases of points.

    .. warning::
        Residual phase is **positive away from** the satellite, as phases are.

    Parameters
    ----------
    points
        POINTS that the arcs were searched on: ``phase`` by epoch or by pair, radians; NaN where there are no data.
    arcs
        ARCS, ``start`` and ``end``; those that `solution` accepted are used.
    solution
        SOLUTION of these arcs: the phase model of every point.
    method
        How triangles are made to close: "paths", built in; "flow", OR-tools (extra ``flow``). Both find the
        least cost, so that they differ only where two ways cost the same. "auto" is "paths", the faster.
    order
        "space": every epoch by itself. "time": each arc is followed through time, smoothed over neighbouring
        epochs, before triangles are closed in space; for motion that the model lacks and that differs
        between neighbours by more than half a cycle. "auto": that of the two which leaves fewer triangles
        unclosed before they are made to close, over all epochs; then each epoch once more, relative to what the
        epochs around it say of each point. Phases by pair: "auto" is "space", then each pair once more, relative to
        what the other pairs of a point say (least absolute residuals).
    threads
        Threads over epochs; None takes every CPU that this process may use.
    progress
        True for a bar, or a function that is told (epochs done, epochs in all); "auto" visits each twice.

    Returns
    -------
    xarray.Dataset
        RESIDUALS: ``residual_phase`` (time, point) in radians, float32, relative to the reference of `solution`
        and zero at the epoch ``reference_time``; it differs from the wrapped phase less the model, both
        relative to the reference, by whole cycles. NaN where the point has no solution or no data, or nothing leads
        from it to the reference at that epoch. ``unclosed_triangles`` (time): faces of the network (triangles, and
        larger ones where arcs were rejected) that had to be made to close; where these are many, cycles are uncertain.
        The solution's values of points, and the points' coordinates. By pair, phases are
        inverted to epochs by least squares, zero at the reference time of `points` or the first epoch; an epoch
        then counts the triangles of all its pairs. The attribute ``first_pass`` says what "auto" chose.

    Raises
    ------
    SchemaError
        When an argument is not of its kind.
    InputError
        When `solution` was made from other points or arcs or has no accepted arc, or the model has a parameter
        that points know nothing about.
    MissingExtraError
        When `method` is "flow" and OR-tools is not installed.

    Warns
    -----
    DisconnectedNetworkWarning
        When pairs do not join all epochs: NaN at those not joined to the reference epoch.

    Notes
    -----
    Arcs that cross shorter ones are left out; what then lies between arcs are faces, the outside being one of
    them. With :math:`w` the wrapped phase that the model leaves at a point, an arc has the phase
    :math:`w_e - w_s + 2 \pi k`, where :math:`k` brings it within half a cycle of what is expected: zero in space,
    the arc's own smooth phase in time. Faces around which the :math:`k` do not add to zero are joined in
    pairs: the changes :math:`c` of :math:`k` that close all of them at least cost

    .. math:: \min_c \sum_a \frac{2 \pi}{\sigma_a^2} (\pi + \operatorname{sign}(c_a) \, e_a) \, |c_a|

    are a minimum-cost flow between faces (Costantini 1998, doi:10.1109/36.673674). :math:`e` is the arc's phase less
    what is expected of it, the cost of one cycle the loss in likelihood for normal noise of variance
    :math:`\sigma_a^2 = -2 \ln \gamma_a`, and :math:`\gamma_a` the mean cosine of :math:`e_a` over the epochs. In
    time, a step of the smooth phase by nearly half a cycle makes the arc cheap from there on. A spanning
    tree then integrates the arcs; any other gives the same.

    A point that is not joined to the reference is relative to a point of its own part (``network_part``). Where the
    reference is an area, the solution says which in a boolean ``reference_area`` (point); without that, phases are
    relative to the point of least ``velocity_std``, and differ by that of one point in each epoch. At an
    epoch where the reference has no data, its neighbours stand for it, less their usual difference.

    Memory: phases and results, some six times the size of ``phase``; in time 3 bytes for each epoch and arc.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import subsidence as sd
    >>> points, truth = sd.simulate.point_scene(points=4, epochs=10, noise_std=0.1, residual_height_std=0.0)
    >>> arcs = xr.Dataset({"start": ("arc", [0, 0, 1, 2]), "end": ("arc", [1, 2, 2, 3])})
    >>> solution = xr.Dataset(
    ...     {"velocity": ("point", np.zeros(4)), "accepted": ("arc", np.ones(4, bool))}, attrs={"reference_point": 0}
    ... )
    >>> residuals = unwrap_residuals(points, arcs, solution)
    >>> dict(residuals.residual_phase.sizes), int(residuals.unclosed_triangles.sum())
    ({'time': 10, 'point': 4}, 0)
    """
    schema.POINTS.check(points, argument="points")
    schema.ARCS.check(arcs, argument="arcs")
    schema.SOLUTION.check(solution, argument="solution", needs=("velocity",))
    check_method(method)
    if order not in _ORDERS:
        msg = f"order must be one of {', '.join(map(repr, _ORDERS))}, got {order!r}"
        raise InputError(msg)
    design = phase_design(points)
    if order == "time" and design.along == "pair":
        msg = "order='time' needs phases by time, and points have phases by pair: use order='space'"
        raise InputError(msg)
    start, end = _accepted(points, arcs, solution)
    wrapped = _wrapped_residuals(points, solution, design, threads)
    layout = Layout.of(point_positions(points), start, end)
    parts = Parts.of(solution, points.sizes["point"], start, end)
    zero = None
    if design.along == "time":
        zero = _zero_epoch(wrapped, design, parts)
        if zero != design.reference:
            wrapped = wrap(wrapped - wrapped[zero])
    problem = _Problem.of(wrapped, layout, parts, method, threads)
    evidence, chosen = _first_evidence(problem, design, zero, order)
    twice = order == "auto" and wrapped.shape[0] > _LEAST_EPOCHS
    with reporter(progress, wrapped.shape[0] * (2 if twice else 1), "residual phases", unit="") as report:
        unwrapped, unclosed = problem.solve(evidence, report)
        if twice:
            if zero is None:
                expected = pair_expectation(points, unwrapped, threads=threads)
                evidence = Expected.of(wrapped, layout, expected, threads=threads)
            else:
                years = to_elapsed(design.dates)
                evidence = Expected.around(wrapped, layout, unwrapped, years, zero, threads=threads)
            unwrapped, unclosed = problem.solve(evidence, report)
    residuals = by_epoch(points, solution, design, unwrapped=unwrapped, unclosed=unclosed, zero=zero, threads=threads)
    residuals.attrs["first_pass"] = chosen
    return residuals


@dataclass(frozen=True, eq=False)
class _Problem:
    """
    Wrapped phases on a network.

    Parameters
    ----------
    wrapped
        ``(n, point)`` float32.
    layout, parts
        Of the accepted arcs.
    usual
        Points with data at any epoch.
    trees
        Faces and trees of the network of those.
    method, threads
        As the caller gave them.
    """

    wrapped: FloatArray
    layout: Layout
    parts: Parts
    usual: BoolArray
    trees: Trees
    method: str
    threads: int | None

    @classmethod
    def of(cls, wrapped: FloatArray, layout: Layout, parts: Parts, method: str, threads: int | None) -> _Problem:
        usual = np.asarray(np.isfinite(wrapped).any(axis=0))
        return cls(wrapped, layout, parts, usual, layout.trees(usual, parts.roots), method, threads)

    def unclosed(self, evidence: Evidence) -> IntArray:
        """Faces of each epoch that do not close."""
        missed = np.empty(self.wrapped.shape[0], np.int64)

        def work(number: int) -> None:
            missed[number] = self._residues(number, evidence)[3]

        each(work, missed.size, threads=self.threads)
        return missed

    def solve(self, evidence: Evidence, report: Callable[[int], None]) -> tuple[FloatArray, IntArray]:
        """Phases relative to the anchors of their parts, ``(n, point)``, and faces that did not close."""
        unwrapped = np.empty(self.wrapped.shape, np.float32)
        missed = np.empty(self.wrapped.shape[0], np.int64)

        def work(number: int) -> None:
            phase = self.wrapped[number]
            trees, cycles, residue, missed[number] = self._residues(number, evidence)
            if residue.any():
                up, down = evidence.costs(number, phase)
                cycles = cycles + closing_cycles(trees.face, residue, up, down, method=self.method)
            found = np.empty(phase.size, np.int64)
            kernels.cycles_of_points(trees.order, trees.reached_by, self.layout.origin, cycles, found)
            whole = phase + 2 * np.pi * found
            unwrapped[number] = self.parts.relate(whole, trees.part, np.isfinite(phase))

        each(work, missed.size, threads=self.threads, progress=lambda _done, _total: report(1))
        self.parts.steady(unwrapped, np.isfinite(self.wrapped))
        return unwrapped, missed

    def _residues(self, number: int, evidence: Evidence) -> tuple[Trees, IntArray, IntArray, int]:
        """Trees of an epoch, cycles of its arcs, cycles that each face misses, and inner faces that miss any."""
        layout = self.layout
        phase = self.wrapped[number]
        present = np.isfinite(phase)
        trees = self.trees if np.array_equal(present, self.usual) else layout.trees(present, self.parts.roots)
        cycles = evidence.cycles(number, phase, present[layout.start] & present[layout.end])
        residue = np.empty(trees.inner.size, np.int64)
        kernels.residues(cycles, trees.face, residue)
        return trees, cycles, residue, int(np.count_nonzero(residue[trees.inner]))


def _first_evidence(problem: _Problem, design: PhaseDesign, zero: int | None, order: str) -> tuple[Evidence, str]:
    """Evidence of the first pass over the epochs, and its name."""
    layout, threads = problem.layout, problem.threads
    in_time: Evidence | None = None
    if zero is not None and order != "space":
        years = to_elapsed(design.dates)
        if (np.diff(years) <= 0).any():
            msg = (
                "points: time must increase from epoch to epoch, without repetition: sort it with points.sortby('time')"
            )
            raise InputError(msg)
        in_time = Followed.of(problem.wrapped, layout, years, zero, threads=threads)
        if order == "time":
            return in_time, "time"
    in_space = Expected.of(problem.wrapped, layout, None, threads=threads)
    if in_time is None or problem.unclosed(in_space).sum() <= problem.unclosed(in_time).sum():
        return in_space, "space"
    return in_time, "time"


def _accepted(points: xr.Dataset, arcs: xr.Dataset, solution: xr.Dataset) -> tuple[IntArray, IntArray]:
    """Points at both ends of the accepted arcs."""
    count = points.sizes["point"]
    if solution.sizes["point"] != count:
        msg = f"solution has {solution.sizes['point']} points, points has {count}: they must be the same, in one order"
        raise InputError(msg)
    start, end = (np.asarray(arcs[name].values, np.int64) for name in ("start", "end"))
    accepted = np.ones(start.size, bool)
    if "accepted" in solution.variables:
        if solution.sizes["arc"] != start.size:
            msg = (
                f"solution was made from {solution.sizes['arc']} arcs, arcs has {start.size}: give the arcs that "
                "integrate_arcs was given"
            )
            raise InputError(msg)
        for name, values in (("start", start), ("end", end)):
            if name in solution.variables and not np.array_equal(solution[name].values, values):
                msg = f"solution was made from other arcs: {name!r} differs from that of arcs"
                raise InputError(msg)
        accepted = np.asarray(solution["accepted"].values, bool)
    numbers = np.concatenate([start, end])
    if numbers.size and (numbers.min() < 0 or numbers.max() >= count):
        msg = f"arcs join points {numbers.min()}..{numbers.max()}, but points has {count}, counted from 0"
        raise InputError(msg)
    solved = np.isfinite(solution["velocity"].values)
    accepted = accepted & (start != end) & solved[start] & solved[end]
    if not accepted.any():
        msg = f"solution has no accepted arc between solved points (of {start.size}): nothing joins the points"
        raise InputError(msg)
    return start[accepted], end[accepted]


def _wrapped_residuals(
    points: xr.Dataset, solution: xr.Dataset, design: PhaseDesign, threads: int | None
) -> FloatArray:
    """Phase less that of the model, wrapped, ``(n, point)`` float32; NaN where a point is not solved."""
    phase = points["phase"].transpose(design.along, "point").values
    phase = np.where(np.isinf(phase), np.nan, phase)
    terms = []
    for name, per_unit in (
        ("velocity", design.velocity),
        ("residual_height", design.height),
        ("seasonal_sine", design.seasonal_sine),
        ("seasonal_cosine", design.seasonal_cosine),
        ("thermal_expansion", design.thermal),
    ):
        if name not in solution.variables:
            continue
        if per_unit is None:
            lacking = "baselines" if name == "residual_height" else "'temperature'"
            msg = f"solution has {name!r}, but points have no {lacking}: give the points that its arcs were searched on"
            raise InputError(msg)
        values = np.asarray(solution[name].values, np.float64)
        terms.append((per_unit, values / design.height_scale if name == "residual_height" else values))
    wrapped = np.empty(phase.shape, np.float32)

    def work(number: int) -> None:
        model = np.zeros(phase.shape[1])
        for per_unit, values in terms:
            model += per_unit[number] * values
        wrapped[number] = wrap(phase[number] - model)

    each(work, phase.shape[0], threads=threads)
    return wrapped


def _zero_epoch(wrapped: FloatArray, design: PhaseDesign, parts: Parts) -> int:
    """The epoch that phases are relative to; where there is none, the middle one of those with most points."""
    if design.reference is not None:
        return design.reference
    counts = np.isfinite(wrapped[:, parts.number >= 0]).sum(axis=1)
    best = np.flatnonzero(counts == counts.max())
    return int(best[best.size // 2])
