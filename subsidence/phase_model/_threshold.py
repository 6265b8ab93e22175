"""Noise floor of a search: the coherence that phases without any signal reach by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._points import phase_design
from subsidence.errors import InputError
from subsidence.phase_model._model import model_of
from subsidence.phase_model._noise import box_cells, noise_coherence
from subsidence.typing import is_number

__all__ = ["box_cells", "coherence_threshold", "search_cells"]


def coherence_threshold(n: float, box: float | Sequence[float], level: float, *, pairs: bool = False) -> float:
    r"""
    Temporal coherence that pure noise exceeds with a stated probability, the highest over the box searched.

    Parameters
    ----------
    n
        Epochs besides the reference epoch; with weights, the number of equal ones that say as much,
        :math:`(\sum w)^2 / \sum w^2`.
    box
        Resolution cells of the box along each parameter, as :func:`search_cells` counts them; a number alone is those
        of one parameter, 0 a phase model without a choice.
    level
        Probability, 0 to 1.
    pairs
        Phases of pairs have no constant of their own: noise fits less easily. `n` is then the number of independent
        pairs, at most that of epochs less one.

    Returns
    -------
    float
        Coherence, at most 1.

    Raises
    ------
    InputError
        When an argument is out of its range.

    Notes
    -----
    The periodogram of noise is a random field over the box, and the probability that its maximum is
    above a level is nearly the expected Euler characteristic of the part above [1]_: with two degrees of
    freedom and :math:`t = 2 n \gamma^2`, along one parameter that is L cells wide

    .. math:: P = e^{-t/2} \left(1 + 2 \pi L \sqrt{\frac{t}{24 \pi}} \right)

    For few epochs :math:`e^{-t/2}` is replaced by the probability that the mean of n random phasors is as long.

    References
    ----------
    .. [1] Worsley K. J. (1994) doi:10.2307/1427576

    Examples
    --------
    >>> round(coherence_threshold(85, (20.0, 4.0), 0.05), 2)
    0.33
    """
    if not is_number(n) or not 1 <= n < np.inf:
        msg = f"n must be a number of epochs, at least 1, got {n!r}"
        raise InputError(msg)
    try:
        cells = np.atleast_1d(np.asarray(box, np.float64))
    except (TypeError, ValueError):
        cells = np.array([np.nan])
    if cells.ndim != 1 or not (np.isfinite(cells).all() and (cells >= 0).all()):
        msg = f"box must be resolution cells along each parameter, finite and not negative, got {box!r}"
        raise InputError(msg)
    if not is_number(level) or not 0 < level < 1:
        msg = f"level must be a probability between 0 and 1, got {level!r}"
        raise InputError(msg)
    return noise_coherence(float(n), cells, level, pairs=pairs)


def search_cells(
    points: xr.Dataset,
    *,
    velocity: tuple[float, float] = (-0.1, 0.1),
    residual_height: tuple[float, float] | None = (-40.0, 40.0),
    seasonal: float | None = None,
    thermal_expansion: tuple[float, float] | None = None,
    weights: xr.DataArray | None = None,
) -> tuple[float, ...]:
    r"""
    Resolution cells of a search box along each parameter, for :func:`coherence_threshold`.

    Parameters
    ----------
    points
        POINTS.
    velocity, residual_height, seasonal, thermal_expansion, weights
        As of :func:`search_phase_model`.

    Returns
    -------
    tuple of float
        One for each parameter that is searched. Their product counts the cells of the box, less where two
        parameters act alike.

    Raises
    ------
    SchemaError
        When `points` are not POINTS.
    InputError
        As :func:`search_phase_model` does.

    Notes
    -----
    A cell is the width of the periodogram's main lobe between its half and next node, as epochs spread evenly
    with the standard deviation of these would have it: :math:`2 \pi / (\sqrt{12}\, \mathrm{std}(a))`, a being
    the phase of a unit of the parameter.

    Examples
    --------
    >>> from subsidence import simulate
    >>> points, _ = simulate.point_scene(points=5, epochs=40, seed=1)
    >>> cells = search_cells(points)
    >>> len(cells), round(cells[0])
    (2, 10)
    """
    schema.POINTS.check(points, argument="points")
    model = model_of(
        points,
        phase_design(points),
        velocity=velocity,
        residual_height=residual_height,
        seasonal=seasonal,
        thermal_expansion=thermal_expansion,
        weights=weights,
    )
    return box_cells(model.columns, model.box, weights=model.weights, offset_known=model.offset_known)
