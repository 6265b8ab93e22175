"""Densification: points beyond the first-order network, each tied to several of its points at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Output, Progress, reporter, run, worker_count
from subsidence._kernels.virtual_reference import virtual_reference
from subsidence._points import PhaseDesign, phase_design, wrap
from subsidence.errors import InputError
from subsidence.network import Network
from subsidence.phase_model._model import Model, model_of
from subsidence.phase_model._neighbours import Neighbours, already_there, joint_positions
from subsidence.phase_model._search import search_arrays
from subsidence.phase_model._solved import Solved, model_phase
from subsidence.phase_model._tied import with_tied
from subsidence.schema import Status
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["densify"]

#: Share of candidates of pure noise that pass: nothing checks a tied point afterwards, as other arcs do an arc.
_LEVEL = 0.001
#: Candidates at work together: phases, references and models of so many are in memory.
_TOGETHER = 65_536


def densify(
    points: xr.Dataset,
    candidates: xr.Dataset,
    residuals: xr.Dataset,
    *,
    neighbours: int = 5,
    max_distance: float | None = None,
    velocity: tuple[float, float] = (-0.1, 0.1),
    residual_height: tuple[float, float] | None = (-40.0, 40.0),
    seasonal: float | None = None,
    thermal_expansion: tuple[float, float] | None = None,
    min_coherence: float | None = None,
    min_probability: float | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Further points tied to a solved network, each to several of its nearest points jointly.

    Parameters
    ----------
    points
        POINTS of the first-order network.
    candidates
        POINTS to be tied, of the same epochs (or pairs) and wavelength. Those that are solved already (the same row
        and column, or without these the same place and phases) are left as they are.
    residuals
        RESIDUALS of `points`, as from :func:`unwrap_residuals`.
    neighbours
        Solved points that a candidate is tied to, at most; all of one part of the network.
    max_distance
        How far these may lie, m; None for any distance.
    velocity, residual_height
        Lowest and highest difference from the mean of the neighbours: m/year, m.
    seasonal, thermal_expansion
        Largest amplitude, m, and lowest and highest difference, m/K, where these are searched. Where the residuals
        have the terms and they are not searched, a candidate takes the mean of its neighbours.
    min_coherence
        Candidates with a lower temporal coherence are dropped. None: what pure noise exceeds in 0.1 % of candidates.
    min_probability
        Candidates that are less likely to have the right ambiguity are dropped; None for no such test.
    threads
        Threads over blocks of candidates; all CPUs by default.
    progress
        True for a progress bar (extra ``progress``), or a function told (candidates done, candidates in all).

    Returns
    -------
    xarray.Dataset
        RESIDUALS: those given, then the tied candidates in their order; the coordinate ``tied`` tells them apart.
        Values are relative to the same reference. Of a tied point ``temporal_coherence`` is that with its
        neighbours, ``arc_count`` their number, ``network_part`` and ``status`` are theirs. Attributes:
        ``tied_candidates`` of ``tried_candidates``, and ``tied_min_coherence``.

    Raises
    ------
    InputError
        When the three do not belong together, no point is solved, or an option is out of range.

    Notes
    -----
    What the model leaves at neighbour k, :math:`\phi_k - m_k`, is the phase of the reference, and the
    atmosphere, unmodelled motion and noise of k. A virtual reference is made of it,

    .. math:: \psi_c(t) = \arg \sum_k w_k \, e^{j (\phi_k(t) - m_k(t))}, \quad
        w_k = \frac{1}{-\ln \gamma_k + b\,d_k}

    and :math:`\phi_c - \psi_c` is searched as the phase of an arc is: the parameters found are those of c, relative to
    the network's reference. :math:`\gamma_k` is the coherence of k's arcs, half of whose phase variance,
    :math:`-2 \ln \gamma_k`, is k's own; b is the growth of the variance of residual phase differences with distance,
    found from first-order points beside each other. With five neighbours the virtual reference has a fifth of
    the noise variance of one, and atmosphere is interpolated.

    The residual phase is the weighted mean of the neighbours' unwrapped ones plus the wrapped remainder. With s the
    standard deviation of the search, :math:`s_k` that of the neighbour's own noise in it, and
    :math:`\sigma_k` the stated one of neighbour k,

    .. math:: \sigma_c^2 = s^2 - \sum_k w_k^2 s_k^2 + \sum_k w_k (\sigma_k^2 - s_k^2), \quad \sum_k w_k = 1

    because the noise of a neighbour is in its parameters and, with the opposite sign, in what they leave.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from subsidence import simulate
    >>> scene, truth = simulate.point_scene(points=60, epochs=40, velocity=-0.01, noise_std=0.2, seed=4)
    >>> first = scene.isel(point=slice(0, 30))
    >>> left = truth.phase_without_wrapping + 4 * np.pi / 0.0555 * truth.velocity * (
    ...     (truth.time - truth.time[20]) / np.timedelta64(1, "D") / 365.25
    ... )
    >>> known = {name: truth[name][:30].variable for name in ("velocity", "residual_height")}
    >>> known |= {f"{name}_std": ("point", np.full(30, 1e-4)) for name in known}
    >>> known["temporal_coherence"] = ("point", np.full(30, 0.95))
    >>> noise = (truth.noise - truth.noise[20])[:, :30].variable
    >>> residuals = xr.Dataset({"residual_phase": noise, **known}, first.drop_vars("phase").coords)
    >>> result = densify(first, scene, residuals)
    >>> int(result.tied.sum()), bool(abs(result.velocity + 0.01).max() < 0.001)
    (30, True)
    """
    _check_kinds(points, candidates, residuals)
    _check_options(neighbours, max_distance, min_coherence, min_probability)
    worker_count(threads, "threads")
    design = phase_design(candidates, argument="candidates")
    model = model_of(
        candidates,
        design,
        velocity=velocity,
        residual_height=residual_height,
        seasonal=seasonal,
        thermal_expansion=thermal_expansion,
    )
    solved = Solved.of(points, residuals)
    _check_terms(model, solved)
    known, asked = joint_positions(points, candidates)
    there = already_there(points, candidates, known, asked)
    # a first-order point that the network did not reach is tried again
    new = np.flatnonzero(~solved.usable[there] | (there < 0))
    near = Neighbours.find(known, asked[new], solved.usable, solved.part, count=neighbours, reach=max_distance)
    near = near.weighted(known, solved.residual, solved.own_variance)
    least = model.noise_coherence(_LEVEL) if min_coherence is None else float(min_coherence)
    tied: list[dict[str, AnyArray]] = []
    with reporter(progress, new.size, "densification", unit="") as report:
        for start in range(0, new.size, _TOGETHER):
            part = slice(start, min(start + _TOGETHER, new.size))
            job = _Ties(candidates, design, model, solved, near.some(part), new[part])
            tied.append(job.solve(least, min_probability, threads=threads))
            report(part.stop - part.start)
    names = tied[0].keys() if tied else ()
    values = {name: np.concatenate([each[name] for each in tied], axis=-1) for name in names}
    replaced = there[values["number"]] if tied else np.empty(0, np.int64)
    result = with_tied(residuals, candidates, values, replaced=replaced[replaced >= 0])
    result.attrs |= {
        "tried_candidates": int(new.size),
        "tied_candidates": int(result["tied"].values.sum()),
        "tied_min_coherence": least,
    }
    return result


@dataclass(frozen=True, eq=False)
class _Ties:
    """Some candidates with what they are tied to; `number` is theirs among all."""

    candidates: xr.Dataset
    design: PhaseDesign
    model: Model
    solved: Solved
    near: Neighbours
    number: IntArray

    def solve(self, least: float, likely: float | None, *, threads: int | None) -> dict[str, AnyArray]:
        """Everything about the candidates that pass, point last."""
        solved, near, model, rows = self.solved, self.near, self.model, self.number
        along = self.design.along
        phase = self.candidates["phase"].transpose(along, "point").isel(point=rows).values
        virtual, mean = (
            variable.values
            for variable in run(
                _Reference(solved.cosine, solved.sine, solved.residual),
                [xr.Variable(("neighbour", "point"), each) for each in (near.number, near.weight)],
                [Output((along,), (phase.shape[0],), np.float32)] * 2,
                place=("point",),
                threads=threads,
            )
        )
        values = {name: near.mean(each) for name, each in solved.values.items()}
        left = wrap(phase - virtual - model_phase(self.design, values, rows))
        found = search_arrays(
            np.ascontiguousarray(left[model.keep].T, np.float32),
            model,
            heights=None if model.heights is None else model.heights[rows],
            height_scale=model.height_scale[rows],
            threads=threads,
        )
        for name, each in zip(model.names, found["value"], strict=True):
            values[name] = values.get(name, np.zeros(rows.size)) + each
        coherence = found["temporal_coherence"]
        passed = (found["status"] == Status.OK) & (coherence >= least) & near.any
        if likely is not None:
            passed &= found["ambiguity_probability"] >= likely
        kept = np.flatnonzero(passed)
        nearest = near.number[0, kept]
        rest = phase[:, kept] - model_phase(self.design, {k: v[kept] for k, v in values.items()}, rows[kept])
        rest = rest - solved.common[solved.part[nearest]].T - mean[:, kept]
        result: dict[str, AnyArray] = {
            "number": rows[kept],
            "residual_phase": self._unwrapped(wrap(rest), mean[:, kept], near, kept),
            "temporal_coherence": coherence[kept],
            "arc_count": near.count[kept],
            "neighbour": nearest,
            "status": solved.status[nearest],
        }
        std = self._std(found, coherence)
        for name, each in values.items():
            result[name], result[f"{name}_std"] = each[kept], std[name][kept]
        return result

    def _unwrapped(self, rest: FloatArray, mean: AnyArray, near: Neighbours, kept: IntArray) -> FloatArray:
        if self.design.along == "time":
            # centred, so that the noise of the candidate's reference epoch, in all epochs alike, wraps none
            used = self.design.used
            turns = np.where(np.isfinite(rest), np.cos(rest) + 1j * np.sin(rest), 0.0)
            centre = np.angle(turns[used].sum(axis=0))
            whole: FloatArray = mean + wrap(rest - centre) + centre
            return whole
        here = near.some(kept)
        around = np.stack([here.mean(epoch) for epoch in self.solved.by_epoch])
        return around + _by_epoch(self.candidates, rest, self.solved.zero)

    def _std(self, found: Mapping[str, AnyArray], coherence: AnyArray) -> dict[str, FloatArray]:
        """Standard deviation of every parameter; see Notes of :func:`densify`."""
        solved, near = self.solved, self.near
        with np.errstate(divide="ignore", invalid="ignore"):
            scatter = -2 * np.log(np.clip(coherence.astype(np.float64), 1e-3, 0.9999))
        result = {}
        for name, stated in solved.std.items():
            if name not in self.model.names:
                result[name] = near.mean(stated)
                continue
            variance = found["std"][self.model.names.index(name)].astype(np.float64) ** 2
            own = solved.own_variance[near.number] / scatter * variance  # of each neighbour, in the unit of its own
            square = np.where(near.number >= 0, stated[near.number], 0.0) ** 2
            shared = np.where(square > 0, np.maximum(square - own, 0.0), own)
            local = np.maximum(variance - (near.weight**2 * own).sum(axis=0), 0.5 * variance)
            result[name] = np.sqrt(local + (near.weight * shared).sum(axis=0))
        for name, each in zip(self.model.names, found["std"], strict=True):
            result.setdefault(name, each.astype(np.float64))
        return result


@dataclass(frozen=True, eq=False)
class _Reference:
    """The kernel with all but the neighbours and the outputs."""

    cosine: AnyArray
    sine: AnyArray
    residual: AnyArray

    def __call__(self, start: int, stop: int, near: AnyArray, weight: AnyArray, *outputs: AnyArray) -> None:
        virtual_reference(start, stop, near, weight, self.cosine, self.sine, self.residual, *outputs)


def _by_epoch(candidates: xr.Dataset, phase: FloatArray, zero: int) -> FloatArray:
    """Phases of epochs from those of pairs by least squares; points with the same pairs together."""
    network = Network.of(candidates, argument="candidates")
    found = np.full((network.dates.size, phase.shape[1]), np.nan)
    patterns, which = np.unique(np.isfinite(phase), axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        valid, members = patterns[:, number], np.flatnonzero(which.ravel() == number)
        some = Network(network.dates, network.first[valid], network.second[valid])
        solved = some.solve(phase[np.ix_(valid, members)])
        joined = some.parts() == some.parts()[zero]
        found[np.ix_(joined, members)] = (solved - solved[zero])[joined]
    return found


def _check_kinds(points: xr.Dataset, candidates: xr.Dataset, residuals: xr.Dataset) -> None:
    schema.POINTS.check(points, argument="points")
    schema.POINTS.check(candidates, argument="candidates")
    schema.RESIDUALS.check(residuals, argument="residuals", needs=("velocity", "temporal_coherence"))
    if residuals.sizes["point"] != points.sizes["point"]:
        msg = (
            f"residuals has {residuals.sizes['point']} points, points has {points.sizes['point']}: give the points "
            "that were unwrapped"
        )
        raise InputError(msg)
    if candidates.sizes["point"] == 0:
        msg = "candidates holds no point: there is nothing to tie"
        raise InputError(msg)
    for name in ("time", "reference", "secondary", "wavelength"):
        there = [name in each.variables for each in (points, candidates)]
        if any(there) and not (all(there) and np.array_equal(points[name].values, candidates[name].values)):
            msg = f"candidates must have the {name!r} of points: select both from the same images"
            raise InputError(msg)
    if "time" in points.dims:
        dates = points["time"].values
    else:
        dates = np.unique(np.concatenate([points[name].values for name in ("reference", "secondary")]))
    if not np.array_equal(residuals["time"].values, dates):
        msg = f"residuals has {residuals.sizes['time']} epochs that are not the {dates.size} of points"
        raise InputError(msg)


def _check_terms(model: Model, solved: Solved) -> None:
    """What the model of the network leaves at its points must be what that of the candidates leaves."""
    lacking = [name for name in model.names if name not in solved.values]
    if lacking:
        msg = f"residuals has no {lacking[0]!r}: search candidates for what the network was searched for"
        raise InputError(msg)
    if "residual_height" in solved.values and "residual_height" not in model.names:
        msg = "residuals has 'residual_height', which is no mean of neighbours: give its box, or candidates' baselines"
        raise InputError(msg)


def _check_options(neighbours: object, max_distance: float | None, *shares: float | None) -> None:
    if isinstance(neighbours, bool) or not isinstance(neighbours, (int, np.integer)) or neighbours < 1:
        msg = f"neighbours must be a whole number from 1, got {neighbours!r}"
        raise InputError(msg)
    if max_distance is not None and not max_distance > 0:
        msg = f"max_distance must be a positive number of metres or None, got {max_distance!r}"
        raise InputError(msg)
    for name, share in zip(("min_coherence", "min_probability"), shares, strict=True):
        if share is not None and not 0 <= share <= 1:
            msg = f"{name} must lie between 0 and 1, got {share!r}"
            raise InputError(msg)
