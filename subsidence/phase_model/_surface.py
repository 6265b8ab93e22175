"""Coherence of one arc over the whole box: what the search climbs, for a look at it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._points import phase_design
from subsidence.errors import InputError
from subsidence.phase_model._model import model_of

__all__ = ["coherence_surface"]

#: Nodes of a surface at most, 16 bytes each: more than any picture shows.
_MOST_NODES = 10_000_000


def coherence_surface(
    points: xr.Dataset,
    start: int,
    end: int,
    *,
    velocity: tuple[float, float] = (-0.1, 0.1),
    residual_height: tuple[float, float] | None = (-40.0, 40.0),
    nodes: tuple[int, int] = (241, 161),
) -> xr.Dataset:
    r"""
    Temporal coherence of an arc over velocity and residual height.

    Parameters
    ----------
    points
        POINTS.
    start, end
        Numbers of the arc's points.
    velocity
        Lowest and highest velocity, m/year, end minus start, towards the satellite.
    residual_height
        Lowest and highest residual height, m; None, as without baselines, leaves it out.
    nodes
        Values of velocity and of residual height, evenly spaced with both ends.

    Returns
    -------
    xarray.Dataset
        ``temporal_coherence`` (residual_height, velocity), its values as coordinates in m and m/year; along velocity
        alone without heights. Attributes ``start`` and ``end``.

    Raises
    ------
    SchemaError
        When `points` are not POINTS.
    InputError
        When a point is not there, the arc has fewer than 4 usable epochs, or as :func:`search_phase_model`.

    Notes
    -----
    .. math:: \gamma(v, h) = \frac{1}{n} \left| \sum_i e^{j (\phi_i - a_i v - b_i h)} \right|

    the periodogram of Ferretti et al. (2001, doi:10.1109/36.898661). Of pairs, which have no phase constant
    of their own, it is the real part of the mean where that is positive.

    Examples
    --------
    >>> from subsidence import simulate
    >>> points, truth = simulate.point_scene(points=2, epochs=40, velocity=[0.0, 0.02], noise_std=0.2, seed=1)
    >>> surface = coherence_surface(points, 0, 1)
    >>> highest = surface.temporal_coherence.isel(surface.temporal_coherence.argmax(...))
    >>> round(float(highest.velocity), 2)
    0.02
    """
    schema.POINTS.check(points, argument="points")
    for name, number in (("start", start), ("end", end)):
        if not (isinstance(number, (int, np.integer)) and 0 <= number < points.sizes["point"]):
            msg = f"{name} must be the number of a point, 0..{points.sizes['point'] - 1}, got {number!r}"
            raise InputError(msg)
    whole = isinstance(nodes, (tuple, list)) and all(isinstance(count, (int, np.integer)) for count in nodes)
    if not whole or len(nodes) != 2 or min(nodes) < 2 or nodes[0] * nodes[1] > _MOST_NODES:
        msg = f"nodes must be two whole numbers of at least 2, {_MOST_NODES:,} nodes in all at most, got {nodes!r}"
        raise InputError(msg)
    design = phase_design(points)
    model = model_of(points, design, velocity=velocity, residual_height=residual_height)
    ends = [int(start), int(end)]
    at_ends = points["phase"].isel(point=ends).transpose("point", design.along).values[:, model.keep]
    phase = np.asarray(at_ends[1], np.float64) - at_ends[0]
    columns = model.columns.copy()
    if len(columns) > 1:
        own = columns[1] if model.heights is None else model.heights[ends].mean(axis=0)
        columns[1] = own / model.height_scale[ends].mean()
    valid = np.isfinite(phase) & np.isfinite(columns).all(axis=0)
    if valid.sum() < 4:
        msg = f"the arc from {start} to {end} has {int(valid.sum())} usable {design.along}s, at least 4 are needed"
        raise InputError(msg)
    axes = [np.linspace(low, high, count) for (low, high), count in zip(model.box, nodes, strict=False)]
    turned = [np.exp(-1j * np.outer(axis, column[valid])) for axis, column in zip(axes, columns, strict=True)]
    total = np.exp(1j * phase[valid]) / valid.sum() * turned[0]
    total = total.sum(axis=1) if len(turned) == 1 else turned[1] @ total.T
    coherence = np.maximum(total.real, 0.0) if model.offset_known else np.abs(total)
    coordinates = {"velocity": ("velocity", axes[0], _attributes("velocity"))}
    if len(axes) > 1:
        coordinates["residual_height"] = ("residual_height", axes[1], _attributes("residual_height"))
    dims = ("residual_height", "velocity")[-len(axes) :]
    return xr.Dataset(
        {"temporal_coherence": (dims, coherence, _attributes("temporal_coherence"))},
        coordinates,
        {"start": int(start), "end": int(end)},
    )


def _attributes(name: str) -> dict[str, str]:
    known = schema.VARIABLES[name]
    return {"units": known.units, "long_name": known.long_name}
