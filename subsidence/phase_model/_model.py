"""The parameters that a search looks for, with their design and box, read from POINTS and checked."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence._points import PhaseDesign
from subsidence.errors import InputError, SuspiciousDataWarning
from subsidence.phase_model._epochs import Epochs
from subsidence.phase_model._noise import box_cells, noise_coherence
from subsidence.typing import FloatArray, is_number

__all__ = ["FEWEST", "Model", "model_of"]

#: Epochs or pairs that a search takes at least.
FEWEST = 4


@dataclass(frozen=True, eq=False)
class Model:
    """What is searched: parameters, their design and their box.

    Parameters
    ----------
    names
        Of the parameters, "velocity" first and "residual_height" second where it is there.
    columns
        ``(parameter, n)`` radians per unit, finite.
    box
        ``(parameter, 2)`` lowest and highest value of each.
    keep
        Which epochs or pairs of the data the n are.
    heights
        ``(point, n)`` design of the residual height by point, or None where `columns` serve all.
    height_scale
        ``(point,)``: a height h has the phase ``columns[1] * h / height_scale``.
    weights
        ``(n,)``, mean one.
    epochs
        The epochs behind pairs; None for single-reference phases.
    """

    names: tuple[str, ...]
    columns: FloatArray
    box: FloatArray
    keep: npt.NDArray[np.bool_]
    heights: FloatArray | None
    height_scale: FloatArray
    weights: FloatArray
    epochs: Epochs | None = None

    @property
    def offset_known(self) -> bool:
        """Phases of pairs have no constant of their own."""
        return self.epochs is not None

    @property
    def independent(self) -> float:
        """Number of phases of equal and independent noise that tell a signal as well as these do."""
        equal = float(self.weights.sum() ** 2 / (self.weights**2).sum())
        # pairs repeat their images' noise, yet are cut off at half a turn each by itself: measured on simulations
        return equal if self.epochs is None else min(equal, 1.25 * (self.epochs.inverse.shape[0] - 1))

    def noise_coherence(self, level: float) -> float:
        """Coherence that pure noise exceeds with the probability `level`, the highest over the box."""
        cells = box_cells(self.columns, self.box, weights=self.weights, offset_known=self.offset_known)
        n = self.independent
        if self.epochs is not None:  # differences of images that are nothing but noise are hardly correlated
            n = min(float(self.weights.size), 2.0 * (self.epochs.inverse.shape[0] - 1))
        return noise_coherence(n, np.array(cells), level, pairs=self.offset_known)


def model_of(
    points: xr.Dataset,
    design: PhaseDesign,
    *,
    velocity: tuple[float, float],
    residual_height: tuple[float, float] | None = None,
    seasonal: float | None = None,
    thermal_expansion: tuple[float, float] | None = None,
    weights: xr.DataArray | None = None,
) -> Model:
    """
    Parameters, design and box of a search, checked; arguments are those of :func:`search_phase_model`.

    Raises
    ------
    InputError
        As there.

    Warns
    -----
    SuspiciousDataWarning
        As there.
    """
    along = design.along
    names, columns, box = ["velocity"], [design.velocity], [_checked_box("velocity", velocity)]
    heights = design.height if residual_height is not None else None
    by_point: FloatArray | None = None
    keep = design.used & _positive_weights(points, weights, along, design.used)
    if residual_height is not None:
        limits = _checked_box("residual_height", residual_height)
    if heights is not None and not _varies(heights, keep, known=along == "pair"):
        what = "equal" if np.isfinite(heights).any() else "NaN"
        warnings.warn(
            f"all perpendicular baselines are {what}: residual heights leave no trace in the phase and are NaN",
            SuspiciousDataWarning,
            stacklevel=3,
        )
        heights = None
    if heights is not None:
        names.append("residual_height")
        box.append(limits)
        if heights.ndim == 2:
            by_point = heights
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # an epoch without any baseline is dropped below
                columns.append(np.nanmean(heights, axis=1))
        else:
            columns.append(heights)
    if seasonal is not None:
        amplitude = _checked_amplitude(seasonal)
        names += ["seasonal_sine", "seasonal_cosine"]
        columns += [design.seasonal_sine, design.seasonal_cosine]
        box += [(-amplitude, amplitude)] * 2
    if thermal_expansion is not None:
        if design.thermal is None:
            msg = f"thermal_expansion needs 'temperature' along {along!r} in points (K or degree Celsius)"
            raise InputError(msg)
        names.append("thermal_expansion")
        columns.append(design.thermal)
        box.append(_checked_box("thermal_expansion", thermal_expansion))
    matrix = np.array(columns, np.float64)
    keep &= np.isfinite(matrix).all(axis=0)
    fewest = max(FEWEST, len(names) + (along == "time") + 1)
    if keep.sum() < fewest:
        msg = (
            f"points have {int(keep.sum())} usable {along}s besides the reference, at least {fewest} are needed to "
            f"search {', '.join(names)}"
        )
        raise InputError(msg)
    given = np.ones(keep.size) if weights is None else np.asarray(weights.values, np.float64)
    return Model(
        names=tuple(names),
        columns=matrix[:, keep],
        box=np.array(box, np.float64),
        keep=keep,
        heights=None if by_point is None else np.ascontiguousarray(by_point[keep].T),
        height_scale=design.height_scale if heights is not None else np.ones(points.sizes["point"]),
        weights=given[keep] / given[keep].mean(),
        epochs=Epochs.of(design.first[keep], design.second[keep]) if along == "pair" else None,
    )


def _varies(heights: FloatArray, keep: npt.NDArray[np.bool_], *, known: bool) -> bool:
    """Whether heights change the phase: by epochs, a constant goes into the arc's own."""
    if not keep.any():
        return True  # too few epochs, as is said below
    values = heights[keep].reshape(int(keep.sum()), -1)
    finite = np.where(np.isfinite(values), values, np.nan)
    if not np.isfinite(finite).any():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a point without any baseline
        spread = np.nanmax(np.abs(finite), axis=0) if known else np.nanmax(finite, axis=0) - np.nanmin(finite, axis=0)
    return bool(np.nanmax(spread) > 1e-9)


def _checked_box(name: str, limits: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = (float(each) for each in limits)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        msg = f"{name} must be (lowest, highest), two finite and increasing numbers, got {limits!r}"
        raise InputError(msg)
    return low, high


def _checked_amplitude(seasonal: float) -> float:
    if not is_number(seasonal) or not 0 < seasonal < np.inf:
        msg = f"seasonal must be the largest amplitude of an annual motion, a positive number of m, got {seasonal!r}"
        raise InputError(msg)
    return float(seasonal)


def _positive_weights(
    points: xr.Dataset, weights: xr.DataArray | None, along: str, used: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    size = points.sizes[along]
    if weights is None:
        return np.ones(size, bool)
    known = isinstance(weights, xr.DataArray) and weights.dtype.kind in "fiu"
    if not known or weights.dims != (along,) or weights.size != size:
        got = f"{weights.dtype} {dict(weights.sizes)}" if isinstance(weights, xr.DataArray) else type(weights).__name__
        msg = f"weights must be a DataArray of numbers along {along!r} alone, of size {size}, got {got}"
        raise InputError(msg)
    for label in ("time", "reference", "secondary"):
        both = label in weights.coords and label in points.coords
        if both and not np.array_equal(weights[label].values, points[label].values):
            msg = f"weights differ from points in the coordinate {label!r}: align them first"
            raise InputError(msg)
    values = np.asarray(weights.values, np.float64)
    counted = values[used]  # a reference epoch, whose std is zero, may have an infinite one: it has no say
    if (counted < 0).any() or np.isinf(counted).any():
        msg = (
            f"weights must be finite and not negative, got {np.nanmin(counted):g}..{np.nanmax(counted):g}: "
            "1 / std ** 2 is infinite where a std is zero"
        )
        raise InputError(msg)
    return values > 0
