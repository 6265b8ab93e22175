"""Candidates for curves that begin at an onset: where it may lie, and how long the settlement may last."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from subsidence.typing import FloatArray

__all__ = ["crossed", "onsets_and_length"]


def onsets_and_length(t: FloatArray, held: Mapping[str, float], *, count: int = 12) -> tuple[FloatArray, float]:
    """Onsets to try, before and within the record unless `t0` is held; and the time from them to its end."""
    first, last = float(t.min()), float(t.max())
    span = (last - first) or 1.0
    onsets = np.array([held["t0"]]) if "t0" in held else first + span * np.linspace(-0.45, 0.65, count)
    return onsets, max(last - float(onsets.min()), span)


def crossed(**axes: FloatArray) -> dict[str, FloatArray]:
    """Every value of one axis with every one of the others, as columns."""
    grids = np.meshgrid(*axes.values(), indexing="ij")
    return {name: grid.ravel() for name, grid in zip(axes, grids, strict=True)}
