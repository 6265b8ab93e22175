"""Point scatterers of a tile: which pixels have one, how bright it is, when it is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subsidence.simulate._random import Stream, generator
from subsidence.simulate._slc_recipe import SlcRecipe
from subsidence.typing import AnyArray, BoolArray, FloatArray

__all__ = ["STEADY", "TEMPORARY", "VARIABLE", "Points"]

#: Kinds of point scatterers; 0 is none.
STEADY, TEMPORARY, VARIABLE = 1, 2, 3
#: Scatter of the logarithm of a variable point's amplitude.
_FLUCTUATION = 0.5


@dataclass(frozen=True)
class Points:
    """Point scatterers of a tile, each array ``(y, x)``; see :func:`draw`."""

    there: BoolArray
    #: int8
    kind: AnyArray
    #: above the ground, metres; 0 where there is no point
    extra_height: FloatArray
    #: power over the mean power of the clutter; 0 where there is no point
    ratio: FloatArray
    #: radians
    angle: FloatArray
    #: numbers of the epochs that show it, int16; -1 where there is no point
    first: AnyArray
    last: AnyArray

    @classmethod
    def draw(cls, recipe: SlcRecipe, place: tuple[int, int], density: FloatArray) -> Points:
        """The points at a `place` in the tree of random streams, given their number per pixel."""
        random = generator(recipe.seed, Stream.SCATTERERS, *place)
        # Drawn for every pixel, so that a point stays what it is when others come.
        uniform = random.random((5, *density.shape), np.float32)
        normal = random.standard_normal((2, *density.shape), np.float32)
        there = uniform[0] < density
        ratio = recipe.signal_to_clutter * 10 ** (recipe.signal_to_clutter_spread / 10 * normal[1])
        temporary = uniform[2] < recipe.temporary_fraction
        variable = uniform[2] < recipe.temporary_fraction + recipe.variable_fraction
        kind = np.where(temporary, TEMPORARY, np.where(variable, VARIABLE, STEADY))
        # A temporary point comes or goes at one of the epochs but the first.
        latest = recipe.days.size - 1
        event = 1 + np.minimum((uniform[3] * latest).astype(int), latest - 1)
        comes = uniform[4] < 0.5
        first, last = np.where(temporary & comes, event, 0), np.where(temporary & ~comes, event - 1, latest)
        return cls(
            there=there,
            kind=np.where(there, kind, 0).astype(np.int8),
            extra_height=np.where(there, normal[0] * np.float32(recipe.residual_height_std), np.float32(0)),
            ratio=np.where(there, ratio, 0).astype(np.float32),
            angle=(2 * np.pi * uniform[1]).astype(np.float32),
            first=np.where(there, first, -1).astype(np.int16),
            last=np.where(there, last, -1).astype(np.int16),
        )

    def presence(self, recipe: SlcRecipe, place: tuple[int, int]) -> FloatArray:
        """What comes and goes of the amplitude of each point, in the order of `there`: ``(time, point)``."""
        epochs, there = recipe.days.size, self.there
        number = np.arange(epochs)[:, np.newaxis]
        factor = ((number >= self.first[there]) & (number <= self.last[there])).astype(np.float32)
        variable = self.kind[there] == VARIABLE
        random = generator(recipe.seed, Stream.POINT_AMPLITUDE, *place)
        # The mean power does not change.
        logarithm = _FLUCTUATION * random.standard_normal((epochs, np.count_nonzero(variable))) - _FLUCTUATION**2
        factor[:, variable] *= np.exp(logarithm).astype(np.float32)
        return factor
