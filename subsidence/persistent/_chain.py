"""Persistent scatterers from images to displacement series, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress
from subsidence._points import point_positions
from subsidence.atmosphere import separate_atmosphere
from subsidence.errors import InputError
from subsidence.network import delaunay_arcs
from subsidence.persistent._velocity import with_velocity
from subsidence.phase_model import densify, integrate_arcs, search_phase_model
from subsidence.phase_model._datum import Reference, read_ties, renumbered, wanted_reference
from subsidence.scatterers import select_scatterers
from subsidence.series import Noise
from subsidence.timescale import to_elapsed
from subsidence.typing import FloatArray, IntArray, ReferenceLike
from subsidence.unwrapping import unwrap_residuals

__all__ = ["first_order", "persistent_scatterers"]

#: A network of fewer points has no variogram: its atmosphere stays in the displacement.
_LEAST_PART = 20
#: Points of the smallest part that is kept beside the reference's: three arcs check each other.
_LEAST_CHECKED = 3
#: Shortest series, in years, that tells an annual motion from a trend.
_SEASONS = 1.0


def persistent_scatterers(
    data: xr.Dataset,
    *,
    max_dispersion: float | None = 0.25,
    min_coherence: float | None = 0.38,
    looks: tuple[int, int] = (1, 5),
    reference: ReferenceLike = None,
    reference_time: np.datetime64 | str | None = None,
    spacing: float | None = None,
    max_length: float | None = None,
    neighbours: int = 4,
    velocity: tuple[float, float] = (-0.1, 0.1),
    residual_height: tuple[float, float] | None = (-40.0, 40.0),
    seasonal: float | None = None,
    thermal_expansion: tuple[float, float] | None = None,
    min_arc_coherence: float | None = None,
    min_arc_probability: float | None = 0.99,
    min_arcs: int = 2,
    ties: xr.Dataset | Mapping[str, npt.ArrayLike] | None = None,
    atmosphere: Literal["kriging", "gaussian"] | None = "kriging",
    noise: Noise = "autocorrelated",
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Displacement series of persistent scatterers.

    The steps in order, each a function of its own where its options and its mathematics are described:
    :func:`select_scatterers`, :func:`delaunay_arcs`, :func:`search_phase_model`, :func:`integrate_arcs`,
    :func:`unwrap_residuals`, :func:`densify`, :func:`separate_atmosphere`, :func:`estimate_velocity`,
    :func:`internal_precision`.

    .. warning::
        Displacement and velocity are **positive towards** the satellite: subsidence is negative.

    Parameters
    ----------
    data
        SLC, from which points are selected; or POINTS, whose phases are taken as they are.
    max_dispersion, min_coherence, looks, reference_time
        Of the selection; not used with POINTS.
    reference
        ``{"point"}``, ``{"x", "y"}``, ``{"lon", "lat"}``, ``{"row", "col"}`` or a boolean DataArray over the
        points; None for the best connected point.
    spacing
        Side in metres of the cells of which each gives its best candidate to the first-order network; the other
        candidates are tied to it afterwards. The reference and points with ties are always in it. None: every
        candidate is in the network.
    max_length
        Longest arc in metres.
    neighbours
        Arcs to that many nearest points besides those of the triangulation: redundancy against wrong arcs.
    velocity, residual_height, seasonal, thermal_expansion
        What is searched along arcs: m/year, metres, largest annual amplitude in metres, m/K.
    min_arc_coherence
        Least temporal coherence of an arc; None for what noise does not reach.
    min_arc_probability
        Least probability that the ambiguity of an arc is the right one; None asks for none.
    min_arcs
        Accepted arcs that a point needs: by a single one a wrong arc goes unnoticed.
    ties
        Known velocities that the network is tied to, as for :func:`integrate_arcs`.
    atmosphere
        How it is separated, "kriging" or "gaussian"; None leaves it in the displacement, as a network of fewer than
        20 points does.
    noise
        Of the final velocity's standard deviation, see :func:`estimate_velocity`. Where `seasonal` is searched, an
        annual motion is estimated with it.
    threads
        Threads over blocks; all CPUs by default.
    progress
        True for a progress bar for each step, or a function told (done, in all).

    Returns
    -------
    xarray.Dataset
        SERIES on points: ``displacement`` (time, point) in metres, relative to the reference point and zero at
        ``reference_time``, free of atmosphere; ``velocity`` and ``velocity_std`` (m/year) from it,
        ``velocity_internal_std``, ``residual_height`` (m), ``temporal_coherence``, ``atmosphere`` (m),
        ``status``, ``network_part`` and how each point was selected. Points that no accepted arc reaches are
        left out; ``candidate`` is the number of each among all, of which the attribute ``candidate_count`` says how
        many there were. A part of the network that is not joined to the reference is relative to a point of its own,
        and flagged so in ``status``.

    Raises
    ------
    InputError
        When `data` is neither kind, has fewer than 4 epochs or 2 points, or nothing passes a threshold.

    Notes
    -----
    Memory: the phases of the points (4 bytes for each epoch and point) some ten times; images are read in
    blocks.

    Examples
    --------
    >>> from subsidence import simulate
    >>> points, truth = simulate.point_scene(points=300, epochs=30, velocity=-0.01, noise_std=0.3, seed=2)
    >>> series = persistent_scatterers(points, reference={"point": 0})
    >>> bool(abs(series.velocity).max() < 0.005)
    True
    """
    points = data
    if _is_images(data):
        points = select_scatterers(
            data,
            max_dispersion=max_dispersion,
            min_coherence=min_coherence,
            looks=looks,
            reference_time=reference_time,
            threads=threads,
            progress=progress,
        )
    if points.sizes["point"] < 2:
        msg = f"data has {points.sizes['point']} point, expected at least 2: motion is found between points"
        raise InputError(msg)
    if isinstance(min_arcs, bool) or not isinstance(min_arcs, (int, np.integer)) or min_arcs < 1:
        msg = f"min_arcs must be a whole number from 1, got {min_arcs!r}"
        raise InputError(msg)
    count = points.sizes["point"]
    origin, tied = wanted_reference(points, reference), read_ties(points, ties)
    labels = points["point"].variable if "point" in points.coords else None
    points = points.assign_coords(point=np.arange(count))
    chosen = np.union1d(first_order(points, spacing), origin.points)
    if tied is not None:
        chosen = np.union1d(chosen, tied.points)
    if chosen.size < 2:
        msg = f"spacing is {spacing:g} m, which leaves one point in the first-order network: make it smaller"
        raise InputError(msg)
    first = points if chosen.size == count else points.isel(point=chosen)
    arcs = delaunay_arcs(first, max_length=max_length, neighbours=neighbours)
    arcs = search_phase_model(
        first,
        arcs,
        velocity=velocity,
        residual_height=residual_height,
        seasonal=seasonal,
        thermal_expansion=thermal_expansion,
        threads=threads,
        progress=progress,
    )
    solution = integrate_arcs(
        first,
        arcs,
        min_coherence=min_arc_coherence,
        min_probability=min_arc_probability,
        reference=_among(chosen, origin),
        ties=None if tied is None else {"point": tied.points, "velocity": tied.values, "velocity_std": tied.std},
        threads=threads,
        progress=progress,
    )
    residuals = unwrap_residuals(first, arcs, solution, threads=threads, progress=progress)
    if chosen.size < count:
        residuals = densify(
            first,
            points,
            residuals,
            velocity=velocity,
            residual_height=residual_height,
            seasonal=seasonal,
            thermal_expansion=thermal_expansion,
            min_probability=min_arc_probability,
            threads=threads,
            progress=progress,
        )
    # in the order of the candidates, without those that nothing reached or nothing checks
    sure = (residuals["arc_count"].values >= min_arcs) | (residuals["point"].values == _zero(solution, chosen))
    sure &= np.isfinite(residuals["velocity"].values)
    part = residuals["network_part"].values
    sure &= (part == 0) | (np.bincount(part[sure], minlength=part.max() + 1)[part] >= _LEAST_CHECKED)
    residuals = residuals.isel(point=np.flatnonzero(sure)).sortby("point")
    number = residuals["point"].values
    residuals = residuals.drop_vars("point") if labels is None else residuals.assign_coords(point=labels[number])
    if "reference_point" in residuals.attrs:
        residuals.attrs = renumbered(residuals, int(np.searchsorted(number, _zero(solution, chosen))))
    area = None
    if "reference_area" in solution.variables:
        area = xr.DataArray(np.isin(number, chosen[solution["reference_area"].values]), dims="point")
    largest = np.unique(residuals["network_part"].values, return_counts=True)[1].max()
    series = separate_atmosphere(
        residuals,
        method=atmosphere if largest >= _LEAST_PART else None,
        reference=area,
        threads=threads,
        progress=progress,
    )
    if tied is not None:
        at = int(solution.attrs["reference_point"])
        series.attrs["reference_velocity_std"] = float(solution["velocity_std"].values[at])
    annual = seasonal is not None and float(np.ptp(to_elapsed(series["time"]))) >= _SEASONS
    series = with_velocity(series, seasonal=annual, noise=noise, threads=threads, progress=progress)
    if "candidate" not in series.variables:
        label = {"long_name": "number among the candidates, from 0"}
        series = series.assign_coords(candidate=xr.Variable("point", number, label))
    series.attrs = {**series.attrs, "candidate_count": count}
    if "looks" in points.attrs:  # how a further epoch's phases are to be formed
        series.attrs["looks"] = points.attrs["looks"]
    return schema.SERIES.stamp(series)


def _zero(solution: xr.Dataset, chosen: IntArray) -> int:
    """Number of the reference among the candidates; -1, which none has, where it is an area."""
    return int(chosen[solution.attrs["reference_point"]]) if "reference_point" in solution.attrs else -1


def first_order(points: xr.Dataset, spacing: float | None) -> IntArray:
    """Numbers of the best candidate in each square cell; all of them where `spacing` is None."""
    count = points.sizes["point"]
    if spacing is None:
        return np.arange(count)
    if isinstance(spacing, bool) or not np.isfinite(spacing) or spacing <= 0:
        msg = f"spacing must be a positive number of metres or None, got {spacing!r}"
        raise InputError(msg)
    place = point_positions(points)
    cell = np.floor(place / spacing).astype(np.int64)
    # of equal ones the place decides, so that the order of the points plays no part
    order = np.lexsort((place[:, 0], place[:, 1], _expected_noise(points), cell[:, 0], cell[:, 1]))
    new = np.ones(count, bool)
    new[1:] = (cell[order][1:] != cell[order][:-1]).any(axis=1)
    return np.sort(order[new])


def _expected_noise(points: xr.Dataset) -> FloatArray:
    """Phase noise that the selection expects of each point, radians: what makes one better than another."""
    best = np.full(points.sizes["point"], np.inf)
    if "amplitude_dispersion" in points.variables:
        best = np.fmin(best, points["amplitude_dispersion"].values)
    if "selection_coherence" in points.variables:
        coherence = np.clip(points["selection_coherence"].values, 1e-6, 1.0)
        best = np.fmin(best, np.sqrt(-2 * np.log(coherence)))
    return np.where(np.isfinite(best), best, 0.0)


def _is_images(data: object) -> bool:
    """Whether `data` are images; points otherwise, or an error."""
    if not isinstance(data, xr.Dataset):
        msg = f"data must be an xarray.Dataset (SLC or POINTS), got {type(data).__name__}"
        raise InputError(msg)
    if "slc" in data.variables:
        return True
    schema.POINTS.check(data, argument="data")
    return False


def _among(chosen: IntArray, origin: Reference) -> ReferenceLike:
    """The reference among the points of the first-order network, whose labels are the numbers of the candidates."""
    if origin.area:
        return xr.DataArray(np.isin(chosen, origin.points), dims="point")
    return {"point": int(origin.points[0])} if origin.points.size else None
