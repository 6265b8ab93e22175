"""What a radar of limited bandwidth makes of a point: a main lobe wider than a pixel, and side lobes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from subsidence.typing import FloatArray

__all__ = ["HALO", "Response"]

#: Pixels that the response reaches to either side.
HALO = 16
#: Shape of the Kaiser window that ends it: side lobes near the point stay nearly those of a rectangular spectrum.
_WINDOW = 3.0


@dataclass(frozen=True)
class Response:
    """
    Point response of a rectangular spectrum, the same along rows and columns.

    Parameters
    ----------
    oversampling
        Pixels per cell of resolution, above 1.
    """

    oversampling: float

    @property
    def taps(self) -> FloatArray:
        """The response at -HALO..HALO pixels, of unit energy: it leaves the power of clutter as it is."""
        taps = np.sinc(np.arange(-HALO, HALO + 1) / self.oversampling) * np.kaiser(2 * HALO + 1, _WINDOW)
        unit: FloatArray = taps / np.sqrt((taps**2).sum())
        return unit

    @property
    def boost(self) -> float:
        """What a point's amplitude must be multiplied by to have its size at the peak."""
        return float(1 / self.taps[HALO] ** 2)

    def apply(self, wide: npt.NDArray[np.complexfloating]) -> npt.NDArray[np.complexfloating]:
        """
        The image, without the HALO pixels around it that `wide` ``(time, y, x)`` has.

        The same matrix products of the same sizes for every tile, so a tile never depends on its
        neighbours' having been made.
        """
        side = wide.shape[-1] - 2 * HALO
        matrix = np.zeros((side, wide.shape[-1]), np.float32)
        for row in range(side):
            matrix[row, row : row + 2 * HALO + 1] = self.taps
        image = np.empty((len(wide), side, side), np.complex64)
        image.real = matrix @ np.ascontiguousarray(wide.real) @ matrix.T
        image.imag = matrix @ np.ascontiguousarray(wide.imag) @ matrix.T
        return image
