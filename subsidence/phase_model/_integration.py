"""From differences along arcs to values at points: adjustment, test of every arc, honest errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress, each, reporter, worker_count
from subsidence._points import height_scale, point_positions
from subsidence.errors import InputError
from subsidence.network._triangles import triangles
from subsidence.phase_model._adjustment import Problem, Structure, structure_of
from subsidence.phase_model._datum import (
    Ties,
    read_ties,
    settle,
    usable_ties,
    wanted_reference,
    warn_of_parts,
)
from subsidence.phase_model._rejection import ROUNDS, Outcome, reject_arcs
from subsidence.phase_model._uncertainty import Datum, Tie, values_at_points
from subsidence.schema import Status
from subsidence.typing import AnyArray, BoolArray, FloatArray, IntArray, ReferenceLike

__all__ = ["integrate_arcs"]

_PARAMETERS = ("velocity", "residual_height", "seasonal_sine", "seasonal_cosine", "thermal_expansion")
_COORDINATES = ("x", "y", "lon", "lat", "row", "col", "height", "point")


def integrate_arcs(
    points: xr.Dataset,
    arcs: xr.Dataset,
    *,
    min_coherence: float | None = None,
    min_probability: float | None = None,
    reference: ReferenceLike = None,
    ties: xr.Dataset | Mapping[str, npt.ArrayLike] | None = None,
    significance: float | None = 0.001,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Velocity, residual height and the other parameters of arcs, integrated to points.

    .. warning::
        Velocity is positive **towards** the satellite, and relative to the reference, of whose own motion arcs
        know nothing.

    Parameters
    ----------
    points
        POINTS that the arcs join.
    arcs
        ARCS as from :func:`search_phase_model`: ``start``, ``end`` (point numbers from 0),
        ``temporal_coherence``, and any of ``velocity``, ``residual_height``, ``seasonal_sine``,
        ``seasonal_cosine``, ``thermal_expansion``, end minus start, with its ``_std``. Arcs with NaN are left out.
    min_coherence
        Arcs with a lower temporal coherence are left out. None: the attribute ``noise_coherence`` of `arcs`, which
        pure noise exceeds in 5 % of arcs.
    min_probability
        Arcs with a lower ``ambiguity_probability`` are left out; None leaves out none.
    reference
        Where the values are zero: ``{"point"}``, ``{"x", "y"}``, ``{"lon", "lat"}`` (nearest point), ``{"row",
        "col"}``, or a boolean DataArray over the points, True where they are zero on average. None: of the largest
        part of the network the point with the most accepted arcs, of several the one whose arcs are the most
        coherent.
    ties
        Velocities known otherwise (GNSS, levelling along the line of sight): a Dataset or mapping with ``velocity``
        and ``velocity_std`` (m/year, one for each tie), and ``point``, or ``x`` and ``y``, or ``lon`` and ``lat``.
        The velocity is then absolute in their datum, not relative to `reference`; the other parameters stay
        relative to it.
    significance
        Share of right arcs, those that err as their standard deviations say, that the test may leave out; None makes
        no test.
    threads
        Threads over parameters; all CPUs by default.
    progress
        True for a progress bar (extra ``progress``), or a function told (rounds done, rounds at most).

    Returns
    -------
    xarray.Dataset
        SOLUTION. By point, for every parameter its value and ``_std`` relative to the reference (zero at a single
        reference point); ``temporal_coherence``, the mean of its accepted arcs; ``arc_count`` of these;
        ``network_part``, 0 that of the reference, the others by size; ``status``: OK, OTHER_PART (relative to a
        point of its own part) or NO_ARC (values NaN). By arc, ``accepted``; the ``_misfit`` of every parameter,
        observed minus adjusted, of arcs left out too, NaN where these join two parts; and ``redundancy``, the share
        of an arc's own error that shows in its misfit (smallest over the parameters): an arc near 0 was
        accepted because nothing could contradict it.

        Attributes: ``reference``; ``arcs_below_threshold``, ``arcs_rejected``, ``arcs_untested``; for every
        parameter ``_variance_factor`` (of the misclosures, over the stated variances) and its root mean square
        misclosure around triangles, ``_misclosure_before`` and ``_misclosure_after`` the test.

    Raises
    ------
    InputError
        When `points` or `arcs` are not what they should be, an argument is out of its range, no arc passes the
        threshold, or none leads to the reference or to a tie.

    Warns
    -----
    DisconnectedNetworkWarning
        When accepted arcs leave the network in parts: each is solved for itself.

    Notes
    -----
    Every parameter is adjusted for itself by weighted least squares,

    .. math:: \min_x \sum_{ij} \frac{(\Delta_{ij} - x_j + x_i)^2}{\sigma_{ij}^2}

    through one sparse factorisation of the normal matrix N (minimum-degree order); of :math:`N^{-1}` those
    elements are computed that have a place in the factor (Takahashi et al. 1973), which gives every variance and
    redundancy exactly.

    *Test of arcs* (data snooping, Baarda 1968): with redundancy :math:`r_{ij}` and misfit :math:`v_{ij}`,

    .. math:: w_{ij} = \frac{v_{ij}}{s\,\sigma_{ij} \sqrt{r_{ij}}}

    is standard normal for a right arc. An arc fails where the largest \|w\| of its m parameters exceeds the bound
    that m independent ones exceed with probability `significance`. Failed arcs that are the worst at both their ends
    are left out, all is adjusted again, and so on until none fails; an arc that passes again once its wrong
    neighbours are gone is taken back. The scale s is how much arcs contradict each other: the median misclosure of
    triangles over its stated size, drawn to 1 where the network is small, and never taken below 0.25. Arcs without
    redundancy are never tested. Of two arcs that contradict each other alone the less coherent goes. Simulated on
    Delaunay networks: of right arcs 0.10 % are left out at 0.001, and of 5 % wrong ones (one or two ambiguities,
    25 standard deviations) 99.3 to 99.8 % are found, of 10 % 98 %, of 20 % 94 %; what is missed lies mostly at points
    of few arcs.

    *Standard deviations.* Arcs at one point share its noise: an arc errs by :math:`e_j - e_i + u_{ij}`, of which the
    e close around every triangle. Misclosures show u alone: its variance is :math:`s_0^2 \sigma_{ij}^2` with the
    variance factor :math:`s_0^2 = (\sum v^2 / \sigma^2 + 1) / (n - q + 1)` of n arcs and q unknowns (the ones stand
    for one more observation that errs as stated: with nothing redundant the arcs are taken for independent). The
    rest of the stated variances, :math:`(1 - s_0^2) \sigma_{ij}^2 = s_i^2 + s_j^2`, is split over the points by
    robust non-negative least squares. The adjusted value then errs by :math:`e_p - e_\mathrm{ref}` and the
    propagated u:

    .. math:: \sigma_p^2 = s_p^2 + s_\mathrm{ref}^2 + s_0^2 (N^{-1})_{pp}

    So it is right both where arcs are independent (:math:`s_0 = 1`) and where their errors are wholly those of the
    points (:math:`s_0 = 0`). An area as reference counts with the variance of its mean. Not in it: atmosphere, which
    grows with the distance from the reference, and wrong ambiguities that no other arc contradicts.

    A tie is a further observation of weight :math:`1 / (\sigma_\mathrm{tie}^2 + s_p^2)`.

    References
    ----------
    Baarda (1968), A testing procedure for use in geodetic networks, Netherlands Geodetic Commission 2 (5).
    Takahashi, Fagan and Chin (1973), Formation of a sparse bus impedance matrix and its application to short circuit
    study, Proc. 8th PICA Conference; Erisman and Tinney (1975), https://doi.org/10.1145/360680.360704.

    Examples
    --------
    >>> import xarray as xr
    >>> from subsidence import simulate
    >>> points, _ = simulate.point_scene(points=4, epochs=10, seed=1)
    >>> arcs = xr.Dataset(
    ...     {
    ...         "velocity": ("arc", [0.001, 0.002, 0.003, 0.001, 0.002, 0.050]),
    ...         "velocity_std": ("arc", [0.001] * 6),
    ...         "temporal_coherence": ("arc", [0.9] * 6),
    ...     },
    ...     {"start": ("arc", [0, 0, 0, 1, 1, 2]), "end": ("arc", [1, 2, 3, 2, 3, 3])},
    ... )
    >>> solution = integrate_arcs(points, arcs, min_coherence=0.5, reference={"point": 0})
    >>> solution.velocity.values.round(6).tolist(), solution.accepted.values.tolist()
    ([0.0, 0.001, 0.002, 0.003], [True, True, True, True, True, False])
    """
    network = _Network.of(points, arcs)
    _check_options(significance, min_probability)
    worker_count(threads, "threads")
    wanted = wanted_reference(points, reference)
    known = _checked_ties(points, arcs, ties)
    usable = _usable(network, arcs, min_coherence, min_probability)
    # arcs that are not used take no part in the network's pattern
    chosen = np.flatnonzero(usable)
    structure = structure_of(network.start[chosen], network.end[chosen], network.points)
    problems = network.problems(chosen)
    coherence = network.coherence[chosen]
    sides, signs = triangles(structure.start, structure.end, network.positions)
    with reporter(progress, ROUNDS, "integration", unit="") as report:
        outcome = reject_arcs(
            structure,
            problems,
            significance=significance,
            coherence=coherence,
            faces=(sides, signs),
            wanted=wanted.points,
            threads=threads,
            report=report,
        )
        report(ROUNDS - outcome.rounds)
    datum, attrs = settle(points, wanted, outcome.part, outcome.datum)
    tie = None if known is None else usable_ties(known, datum.part)
    warn_of_parts(points, datum)
    found: dict[str, tuple[object, AnyArray]] = {}
    summary: dict[str, float] = {}
    solved: dict[int, tuple[FloatArray, FloatArray, float]] = {}

    def solve(k: int) -> None:
        solved[k] = values_at_points(structure, problems[k], outcome.adjusted[k], outcome=outcome, datum=datum, tie=tie)

    each(solve, len(problems), threads=threads)
    for k, problem in enumerate(problems):
        values, variance, factor = solved[k]
        if problem.name == "residual_height":  # back to metres, see _Network.of
            values, variance = values * network.scale, variance * network.scale**2
        found[problem.name] = ("point", values)
        found[f"{problem.name}_std"] = ("point", np.sqrt(variance))
        summary[f"{problem.name}_variance_factor"] = factor
        for when, kept in (("before", np.ones(chosen.size, bool)), ("after", outcome.accepted)):
            closed = sides[kept[sides].all(axis=1)], signs[kept[sides].all(axis=1)]
            sums = (closed[1] * problem.observed[closed[0]]).sum(axis=1)
            summary[f"{problem.name}_misclosure_{when}"] = float(np.sqrt(np.mean(sums**2))) if sums.size else np.nan
    found |= _of_points(structure, outcome, datum, coherence, tie)
    found |= _of_arcs(network, found, outcome, datum, chosen)
    coords = {name: points.variables[name] for name in _COORDINATES if name in points.coords}
    solution = xr.Dataset(
        found,
        {name: value for name, value in coords.items() if set(value.dims) <= {"point"}}
        | {"start": ("arc", network.start), "end": ("arc", network.end)},
    )
    solution["status"].attrs = dict(schema.STATUS)
    if datum.area is not None:
        solution["reference_area"] = ("point", np.isin(np.arange(network.points), datum.area))
    if tie is not None:
        others = "" if len(problems) == 1 else f"; other parameters relative to {attrs['reference']}"
        attrs = attrs | {"reference": f"velocities known at {tie.points.size} points{others}"}
        attrs["reference_tie_count"] = int(tie.points.size)
    solution.attrs = {
        **attrs,
        **{name: points.attrs[name] for name in ("reference_time",) if name in points.attrs},
        "arcs_below_threshold": int(network.start.size - chosen.size),
        "arcs_rejected": int((~outcome.accepted).sum()),
        "arcs_untested": int((outcome.accepted & ~outcome.testable).sum()),
        **summary,
    }
    return schema.SOLUTION.stamp(solution)


@dataclass(frozen=True, eq=False)
class _Network:
    """Points and arcs as arrays."""

    points: int
    positions: FloatArray | None
    start: IntArray
    end: IntArray
    coherence: FloatArray
    names: tuple[str, ...]
    observed: dict[str, FloatArray]
    std: dict[str, FloatArray]
    scale: FloatArray

    @classmethod
    def of(cls, points: xr.Dataset, arcs: xr.Dataset) -> _Network:
        if not isinstance(points, xr.Dataset) or "point" not in points.dims:
            shown = tuple(map(str, points.dims)) if isinstance(points, xr.Dataset) else type(points).__name__
            msg = f"points must be a Dataset with a dim 'point' (POINTS), got {shown}"
            raise InputError(msg)
        present = isinstance(arcs, xr.Dataset) and [name for name in _PARAMETERS if name in arcs.variables]
        # what no arc knows (a height without baselines) is not there to be integrated
        names = tuple(name for name in present or () if np.isfinite(arcs[name].values).any()) or tuple(present or ())
        needs = tuple(f"{name}_std" for name in names)
        schema.ARCS.check(arcs, argument="arcs", needs=(*needs, "temporal_coherence"))
        if not names:
            msg = f"arcs has no parameter to integrate, expected one of {_PARAMETERS}: run search_phase_model first"
            raise InputError(msg)
        count = points.sizes["point"]
        start, end = (np.asarray(arcs[name].values, np.int64) for name in ("start", "end"))
        numbers = np.concatenate([start, end])
        if numbers.size and (numbers.min() < 0 or numbers.max() >= count):
            msg = (
                f"arcs join points {numbers.min()}..{numbers.max()}, but points has {count}, counted from 0: "
                "were points left out after the arcs were made?"
            )
            raise InputError(msg)
        if (start == end).any():
            msg = f"arcs number {int(np.argmax(start == end))} joins point {int(start[start == end][0])} to itself"
            raise InputError(msg)
        has_positions = any(set(form) <= set(points.variables) for form in (("x", "y"), ("lon", "lat")))
        observed: dict[str, FloatArray] = {name: np.asarray(arcs[name].values, np.float64) for name in names}
        std: dict[str, FloatArray] = {name: np.asarray(arcs[f"{name}_std"].values, np.float64) for name in names}
        scale = height_scale(points)
        if "residual_height" in names:
            # Phases add up along arcs, and those of a height go with h / (R sin theta), which changes over a swath.
            along = (scale[start] + scale[end]) / 2
            observed["residual_height"] = observed["residual_height"] / along
            std["residual_height"] = std["residual_height"] / along
        return cls(
            points=count,
            positions=point_positions(points) if has_positions else None,
            start=start,
            end=end,
            coherence=np.asarray(arcs["temporal_coherence"].values, np.float64),
            names=names,
            observed=observed,
            std=std,
            scale=scale,
        )

    @property
    def finite(self) -> BoolArray:
        """Arcs that have everything."""
        every = [self.coherence, *self.observed.values(), *self.std.values()]
        result: BoolArray = np.logical_and.reduce([np.isfinite(values) for values in every])
        return result

    def problems(self, chosen: IntArray) -> list[Problem]:
        """One for each parameter, on some of the arcs."""
        problems = []
        for name in self.names:
            std = self.std[name][chosen]
            if (std < 0).any() or not std.any():
                msg = (
                    f"arcs: '{name}_std' is {std.min():g} on {int((std <= 0).sum())} of {std.size} arcs, expected "
                    "positive numbers: they set the weights"
                )
                raise InputError(msg)
            # without noise a few may be zero: no weight is infinite
            std = np.where(std > 0, std, std[std > 0].min())
            problems.append(Problem(name, self.observed[name][chosen], std))
        return problems


def _check_options(significance: float | None, min_probability: float | None) -> None:
    if significance is not None and not (isinstance(significance, (int, float)) and 0 < significance < 1):
        msg = (
            f"significance must lie between 0 and 1 (the share of right arcs to lose), or be None, got {significance!r}"
        )
        raise InputError(msg)
    if min_probability is not None and not (isinstance(min_probability, (int, float)) and 0 <= min_probability <= 1):
        msg = f"min_probability must lie between 0 and 1 or be None, got {min_probability!r}"
        raise InputError(msg)


def _checked_ties(
    points: xr.Dataset, arcs: xr.Dataset, ties: xr.Dataset | Mapping[str, npt.ArrayLike] | None
) -> Ties | None:
    if ties is not None and "velocity" not in arcs.variables:
        msg = "ties are known velocities, but arcs has no 'velocity': leave ties out, or search velocity too"
        raise InputError(msg)
    return read_ties(points, ties)


def _usable(
    network: _Network, arcs: xr.Dataset, min_coherence: float | None, min_probability: float | None
) -> BoolArray:
    """Arcs over the thresholds."""
    threshold = arcs.attrs.get("noise_coherence") if min_coherence is None else min_coherence
    if threshold is None:
        msg = (
            "min_coherence is None and arcs has no attribute 'noise_coherence': give min_coherence, such as "
            "coherence_threshold(n, box, level) of n epochs"
        )
        raise InputError(msg)
    if not (isinstance(threshold, (int, float, np.number)) and 0 <= float(threshold) <= 1):
        msg = f"min_coherence must lie between 0 and 1, got {threshold!r}"
        raise InputError(msg)
    finite = network.finite
    usable = finite & (network.coherence >= float(threshold))
    if min_probability is not None:
        if "ambiguity_probability" not in arcs.variables:
            msg = f"min_probability is {min_probability:g}, but arcs has no 'ambiguity_probability': leave it out"
            raise InputError(msg)
        usable &= np.asarray(arcs["ambiguity_probability"].values, np.float64) >= min_probability
    if not usable.any():
        best = f"the best coherence is {network.coherence[finite].max():.3f}" if finite.any() else "all have NaN"
        asked = ""
        if min_probability is not None:
            coherent = int((network.coherence[finite] >= float(threshold)).sum())
            asked = f" and min_probability {min_probability:g} ({coherent} pass the first alone)"
        msg = f"no arc of {network.start.size} passes min_coherence {float(threshold):g}{asked}: {best}"
        raise InputError(msg)
    return usable


def _of_points(
    structure: Structure, outcome: Outcome, datum: Datum, coherence: FloatArray, tie: Tie | None
) -> dict[str, tuple[object, AnyArray]]:
    ends = np.concatenate([structure.start[outcome.accepted], structure.end[outcome.accepted]])
    count = np.bincount(ends, minlength=structure.points)
    total = np.bincount(ends, np.tile(coherence[outcome.accepted], 2), structure.points)
    with np.errstate(invalid="ignore"):
        mean = total / count
    # with ties every part that has one is in their datum
    same = datum.part == 0 if tie is None else np.isin(datum.part, datum.part[tie.points])
    status = np.where(datum.part < 0, Status.NO_ARC, np.where(same, Status.OK, Status.OTHER_PART))
    return {
        "temporal_coherence": ("point", mean),
        "arc_count": ("point", count.astype(np.int32)),
        "network_part": ("point", datum.part.astype(np.int32)),
        "status": ("point", status.astype(np.int8)),
    }


def _of_arcs(
    network: _Network,
    found: dict[str, tuple[object, AnyArray]],
    outcome: Outcome,
    datum: Datum,
    chosen: IntArray,
) -> dict[str, tuple[object, AnyArray]]:
    accepted = np.zeros(network.start.size, bool)
    accepted[chosen] = outcome.accepted
    redundancy = np.zeros(network.start.size)
    redundancy[chosen] = np.minimum.reduce([adjusted.redundancy for adjusted in outcome.adjusted])
    apart = datum.part[network.start] != datum.part[network.end]
    result: dict[str, tuple[object, AnyArray]] = {"accepted": ("arc", accepted), "redundancy": ("arc", redundancy)}
    for name in network.names:
        values = found[name][1]
        misfit = network.observed[name] - (values[network.end] - values[network.start])
        if name == "residual_height":
            scaled = values / network.scale
            along = (network.scale[network.start] + network.scale[network.end]) / 2
            misfit = (network.observed[name] - (scaled[network.end] - scaled[network.start])) * along
        result[f"{name}_misfit"] = ("arc", np.where(apart, np.nan, misfit))
    return result
