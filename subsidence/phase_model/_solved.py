"""Points of a solved network as arrays: what the model explains of their phases, and what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from subsidence._points import PhaseDesign, phase_design, reference_epoch
from subsidence.errors import InputError
from subsidence.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["Solved", "model_phase"]

_PARAMETERS = ("velocity", "residual_height", "seasonal_sine", "seasonal_cosine", "thermal_expansion")


@dataclass(frozen=True, eq=False)
class Solved:
    """First-order points as arrays.

    Parameters
    ----------
    usable
        Points that others can be tied to.
    part, status
        By point.
    values, std
        Of each parameter, by point.
    own_variance
        Phase variance of each point's own noise, rad^2.
    cosine, sine, residual
        Of the phase that the model leaves, and that unwrapped relative to the reference, (point, n).
    common
        Phase of the reference of each part, (part, n).
    by_epoch
        Residual phase (epoch, point).
    zero
        The epoch where it is zero.
    """

    usable: BoolArray
    part: IntArray
    status: AnyArray
    values: Mapping[str, FloatArray]
    std: Mapping[str, FloatArray]
    own_variance: FloatArray
    cosine: AnyArray
    sine: AnyArray
    residual: AnyArray
    common: FloatArray
    by_epoch: AnyArray
    zero: int

    @classmethod
    def of(cls, points: xr.Dataset, residuals: xr.Dataset) -> Solved:
        design = phase_design(points, argument="points")
        names = [name for name in _PARAMETERS if name in residuals.variables]
        values = {name: np.asarray(residuals[name].values, np.float64) for name in names}
        values = {name: each for name, each in values.items() if name == "velocity" or np.isfinite(each).any()}
        std = {
            name: np.asarray(residuals[f"{name}_std"].values, np.float64)
            if f"{name}_std" in residuals.variables
            else np.zeros_like(values[name])
            for name in values
        }
        by_epoch = residuals["residual_phase"].transpose("time", "point").values
        along = by_epoch if design.along == "time" else by_epoch[design.second] - by_epoch[design.first]
        phase = points["phase"].transpose(design.along, "point").values
        left = phase - model_phase(design, values)
        usable = np.logical_and.reduce([np.isfinite(each) for each in values.values()])
        usable &= np.isfinite(left).any(axis=0) & np.isfinite(along).any(axis=0)
        if not usable.any():
            msg = "residuals has no solved point (all velocities or residual phases are NaN): nothing to tie to"
            raise InputError(msg)
        count = usable.size
        part = residuals["network_part"].values if "network_part" in residuals.variables else np.zeros(count)
        status = residuals["status"].values if "status" in residuals.variables else np.zeros(count)
        part = np.where(usable, part, -1).astype(np.int64)
        number = np.unique(part[usable], return_inverse=True)[1]
        inside = np.full(count, -1)
        inside[usable] = number
        coherence = np.asarray(residuals["temporal_coherence"].values, np.float64)
        return cls(
            usable=usable,
            part=inside,
            status=status,
            values=values,
            std=std,
            own_variance=-np.log(np.clip(np.nan_to_num(coherence, nan=0.5), 1e-3, 0.999)),
            cosine=np.ascontiguousarray(np.cos(left).T, np.float32),
            sine=np.ascontiguousarray(np.sin(left).T, np.float32),
            residual=np.ascontiguousarray(along.T, np.float32),
            common=_phase_of_reference(left - along, inside),
            by_epoch=by_epoch,
            zero=reference_epoch(residuals) or 0,
        )


def model_phase(design: PhaseDesign, values: Mapping[str, FloatArray], rows: IntArray | None = None) -> FloatArray:
    """Phase of the parameters, (n, point); `rows` are the numbers of the points among those of the design."""
    chosen = slice(None) if rows is None else rows
    phase: FloatArray = np.outer(design.velocity, values["velocity"])
    for name, each in values.items():
        if name == "residual_height" and design.height is not None and np.isfinite(each).any():
            height = design.height if design.height.ndim == 1 else design.height[:, chosen]
            scaled = each / design.height_scale[chosen]
            phase += np.outer(height, scaled) if height.ndim == 1 else height * scaled
        elif name.startswith("seasonal"):
            phase += np.outer(getattr(design, name), each)
        elif name == "thermal_expansion":
            if design.thermal is None:
                msg = "residuals has 'thermal_expansion', but the points have no 'temperature': give it"
                raise InputError(msg)
            phase += np.outer(design.thermal, each)
    return phase


def _phase_of_reference(left: FloatArray, part: IntArray) -> FloatArray:
    """What phases less model and residual have in common in each part: the phase of its reference, (part, n)."""
    common = np.empty((part.max() + 1, left.shape[0]))
    for number in range(common.shape[0]):
        turns = np.exp(1j * left[:, part == number])
        common[number] = np.angle(np.where(np.isfinite(turns), turns, 0.0).sum(axis=1))
    return common
