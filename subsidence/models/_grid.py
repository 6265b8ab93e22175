"""Curves to try for a sigmoid, by when it is fastest and how long it takes."""

from __future__ import annotations

import numpy as np

from subsidence.typing import FloatArray

__all__ = ["sigmoid_grid"]

#: Where midpoints lie, in lengths of the record after its start: dense inside it, sparse before and after.
_PLACES = ((0.0, 0.12, 0.8, 1.0), (-0.5, 0.0, 1.2, 3.0))
#: Shortest and longest width, in lengths of the record.
_WIDTHS = (0.02, 2.0)


def sigmoid_grid(t: FloatArray, *, midpoints: int = 19, widths: int = 15) -> tuple[FloatArray, FloatArray]:
    """
    Every pair of a time of greatest velocity and a width, both of shape (midpoints * widths,).

    A width is what the settlement would take at its greatest velocity, the final settlement over it.
    """
    first, last = float(t.min()), float(t.max())
    span = (last - first) or 1.0
    middle = first + span * np.interp(np.linspace(0.0, 1.0, midpoints), *_PLACES)
    width = span * np.geomspace(*_WIDTHS, widths)
    return np.repeat(middle, widths), np.tile(width, midpoints)
