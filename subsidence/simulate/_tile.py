"""A scene's ingredients on one tile of a fixed grid, each made once and only when it is asked for.

Every number of a scene comes from here. Tiles are always the same, however the scene is cut into chunks, so
a lazy scene equals the one in memory bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from scipy.special import ndtr

from subsidence.geometry import displacement_to_phase
from subsidence.simulate._check import Spread
from subsidence.simulate._noise import decay, epoch_noise, pair_noise
from subsidence.simulate._random import PlaneWaves, Stream, gaussian, generator, power_law
from subsidence.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["TILE", "Patch", "Recipe", "Tile", "assemble"]

#: Side of a tile in pixels; part of what a seed means.
TILE = 64
#: Height of the valley floor, as in Mexico City, metres.
VALLEY_HEIGHT = 2240.0
#: Ground that never moves farther than this is called stable, metres.
STABLE = 1e-3


@dataclass(frozen=True)
class Patch:
    """A connected patch of one pair that is unwrapped a whole cycle off; its outline is a wavy circle."""

    pair: int
    x: float
    y: float
    radius: float
    cycles: int
    waves: tuple[float, float]

    def covers(self, x: FloatArray, y: FloatArray) -> BoolArray:
        """Whether the places lie inside."""
        angle = np.arctan2(y - self.y, x - self.x)
        outline = 1 + 0.25 * np.cos(2 * angle + self.waves[0]) + 0.15 * np.cos(3 * angle + self.waves[1])
        inside: BoolArray = np.hypot(x - self.x, y - self.y) < self.radius * outline
        return inside


@dataclass(frozen=True)
class Recipe:
    """All that a scene is made of, checked and resolved; small, so that it travels to workers."""

    seed: int
    shape: tuple[int, int]
    spacing: float
    #: longer side, metres; never so short that waves of two pixels do not fit
    extent: float
    #: days and years since the first epoch
    days: FloatArray
    years: FloatArray
    #: epochs of each pair, (pair, 2)
    pairs: IntArray
    wavelength: float
    looks: float
    los_up: float
    #: radians per metre of residual height, by pair
    height_to_phase: FloatArray
    relief: float
    settlement: float
    centre: tuple[float, float]
    radius: float
    #: of the settlement, by epoch
    fraction: FloatArray
    velocity: float | FloatArray
    seasonal_amplitude: float | FloatArray
    #: of the amplitude, by epoch
    season: FloatArray
    turbulence: PlaneWaves | None
    #: delay per metre of height, by epoch
    height_gradient: FloatArray
    residual_height_std: float
    residual_height_scale: float
    long_term: Spread
    initial: float
    decorrelation_time: Spread
    noise: str | None
    estimated_coherence: bool
    patches: tuple[Patch, ...]
    nan_fraction: float
    wrapped: bool

    @cached_property
    def terrain(self) -> PlaneWaves:
        """Undulation of the ground, unit variance."""
        random = generator(self.seed, Stream.TERRAIN)
        return power_law(random, fields=1, std=1.0, slope=-3.6, longest=self.extent / 2, shortest=2 * self.spacing)

    @cached_property
    def quality(self) -> PlaneWaves:
        """What makes one place more coherent than another, unit variance."""
        random = generator(self.seed, Stream.QUALITY)
        return power_law(random, fields=1, std=1.0, slope=-3.0, longest=self.extent / 3, shortest=2 * self.spacing)

    @cached_property
    def smooth_residual_height(self) -> PlaneWaves:
        """Residual height where it is correlated in space, metres."""
        random = generator(self.seed, Stream.RESIDUAL_HEIGHT)
        return gaussian(random, fields=1, std=self.residual_height_std, scale=self.residual_height_scale)


class Tile:
    """The ingredients on tile ``(row, column)`` of the grid; all float32 unless said otherwise."""

    def __init__(self, recipe: Recipe, row: int, column: int) -> None:
        self.recipe = recipe
        self.place = (row, column)
        rows, columns = recipe.shape
        self.rows = slice(row * TILE, min((row + 1) * TILE, rows))
        self.columns = slice(column * TILE, min((column + 1) * TILE, columns))
        self.x: FloatArray = np.arange(self.columns.start, self.columns.stop) * recipe.spacing
        # Rows run from north to south.
        self.y: FloatArray = (rows - 1 - np.arange(self.rows.start, self.rows.stop)) * recipe.spacing
        self.shape = (self.y.size, self.x.size)

    # ground ------------------------------------------------------------------------------------------

    @cached_property
    def undulation(self) -> FloatArray:
        """Unevenness of the ground, unit variance."""
        fields = self.recipe.terrain.evaluate(self.x, self.y)
        return fields.reshape(self.shape)

    @cached_property
    def basin(self) -> FloatArray:
        """1 on the valley floor, 0 on the hills around it."""
        rows, columns = self.recipe.shape
        half_x, half_y = columns / 2 * self.recipe.spacing, rows / 2 * self.recipe.spacing
        across = (self.x - half_x) / half_x
        along = (self.y - half_y) / half_y
        out = np.hypot(across, along[:, np.newaxis]) + 0.12 * self.undulation
        step: FloatArray = np.clip((out - 0.75) / 0.55, 0.0, 1.0)
        return (1 - step**2 * (3 - 2 * step)).astype(np.float32)

    @cached_property
    def height(self) -> FloatArray:
        """Height of the ground, metres."""
        hills = (1 - self.basin) * (1 + 0.35 * self.undulation) + 0.02 * self.undulation
        height: FloatArray = VALLEY_HEIGHT + self.recipe.relief * hills
        return height.astype(np.float32)

    # motion ------------------------------------------------------------------------------------------

    @cached_property
    def bowl(self) -> FloatArray:
        """Displacement of the bowl, up, metres ``(time, y, x)``."""
        recipe = self.recipe
        x, y = (self.x - recipe.centre[0]) / recipe.radius, (self.y - recipe.centre[1]) / recipe.radius
        depth = -recipe.settlement * np.exp(-(y[:, np.newaxis] ** 2 + x**2))
        return self._over_time(recipe.fraction, depth)

    @cached_property
    def linear_velocity(self) -> FloatArray:
        """Steady motion, up, metres per year."""
        return self._on_the_basin(self.recipe.velocity)

    @cached_property
    def seasonal(self) -> FloatArray:
        """Annual motion since the first epoch, up, metres ``(time, y, x)``."""
        return self._over_time(self.recipe.season, self._on_the_basin(self.recipe.seasonal_amplitude))

    @cached_property
    def displacement_up(self) -> FloatArray:
        """All motion, up, metres ``(time, y, x)``."""
        return self.bowl + self._over_time(self.recipe.years, self.linear_velocity) + self.seasonal

    @cached_property
    def displacement(self) -> FloatArray:
        """All motion along the line of sight, positive towards the satellite, metres ``(time, y, x)``."""
        return self.displacement_up * np.float32(self.recipe.los_up)

    @cached_property
    def velocity(self) -> FloatArray:
        """Slope of the straight line through `displacement`, metres per year."""
        centred = self.recipe.years - self.recipe.years.mean()
        slope: FloatArray = np.einsum("t,tyx->yx", centred / (centred**2).sum(), self.displacement)
        return slope.astype(np.float32)

    @cached_property
    def stable(self) -> BoolArray:
        """Where the ground never moves by more than a millimetre."""
        still: BoolArray = np.abs(self.displacement_up).max(axis=0) < STABLE
        return still

    # what is not motion ------------------------------------------------------------------------------

    @cached_property
    def atmosphere(self) -> FloatArray:
        """Turbulent delay as apparent displacement, metres ``(time, y, x)``."""
        if self.recipe.turbulence is None:
            return np.zeros((self.recipe.years.size, *self.shape), np.float32)
        return self.recipe.turbulence.evaluate(self.x, self.y)

    @cached_property
    def topographic_delay(self) -> FloatArray:
        """Delay that follows the height, as apparent displacement, metres ``(time, y, x)``."""
        return self._over_time(self.recipe.height_gradient, self.height - np.float32(VALLEY_HEIGHT))

    @cached_property
    def residual_height(self) -> FloatArray:
        """Height that the elevation model lacks, metres."""
        recipe = self.recipe
        if recipe.residual_height_std == 0:
            return np.zeros(self.shape, np.float32)
        if recipe.residual_height_scale > 0:
            return recipe.smooth_residual_height.evaluate(self.x, self.y).reshape(self.shape)
        random = generator(recipe.seed, Stream.RESIDUAL_HEIGHT, *self.place)
        return random.standard_normal(self.shape, np.float32) * np.float32(recipe.residual_height_std)

    # phase -------------------------------------------------------------------------------------------

    @cached_property
    def noise_free_phase(self) -> FloatArray:
        """Phase of motion, delays and residual height, radians ``(pair, y, x)``."""
        recipe = self.recipe
        apparent = self.displacement + self.atmosphere + self.topographic_delay
        moved = apparent[recipe.pairs[:, 1]] - apparent[recipe.pairs[:, 0]]
        phase = displacement_to_phase(xr.Variable(("pair", "y", "x"), moved), recipe.wavelength).data
        total: FloatArray = phase + self._over_time(recipe.height_to_phase, self.residual_height)
        return total.astype(np.float32)

    @cached_property
    def quality(self) -> FloatArray:
        """Rank of a pixel's coherence, 0..1: high on the valley floor, low on the hills."""
        random = self.recipe.quality.evaluate(self.x, self.y).reshape(self.shape)
        rank: FloatArray = ndtr(0.7 * random + 1.8 * (self.basin - 0.6))
        return rank.astype(np.float32)

    @cached_property
    def long_term_coherence(self) -> FloatArray:
        """Coherence that remains for ever."""
        return self._spread(self.recipe.long_term)

    @cached_property
    def decorrelation_time(self) -> FloatArray:
        """Time in which the coherence that is lost falls to 1/e, days."""
        return self._spread(self.recipe.decorrelation_time)

    @cached_property
    def coherence(self) -> FloatArray:
        """Coherence that the noise is drawn with ``(pair, y, x)``."""
        recipe = self.recipe
        left = decay(np.diff(recipe.days[recipe.pairs], axis=1)[:, 0], self.decorrelation_time)
        left *= np.float32(recipe.initial) - self.long_term_coherence
        left += self.long_term_coherence
        return left

    @cached_property
    def _noise(self) -> tuple[FloatArray, FloatArray]:
        recipe = self.recipe
        random = generator(recipe.seed, Stream.NOISE, *self.place)
        if recipe.noise is None:
            return np.zeros_like(self.coherence), self.coherence
        if recipe.noise == "pairs":
            return pair_noise(random, self.coherence, recipe.looks, estimate=recipe.estimated_coherence)
        phase, estimate = epoch_noise(
            random,
            recipe.pairs,
            recipe.days,
            round(recipe.looks),
            long_term=self.long_term_coherence,
            initial=recipe.initial,
            time=self.decorrelation_time,
            estimate=recipe.estimated_coherence,
        )
        return phase, self.coherence if estimate is None else estimate

    @cached_property
    def phase_noise(self) -> FloatArray:
        """Noise of decorrelation, radians in +-pi ``(pair, y, x)``."""
        return self._noise[0]

    @cached_property
    def unwrapping_cycles(self) -> AnyArray:
        """Whole cycles by which the phase is unwrapped wrongly, int8 ``(pair, y, x)``."""
        cycles = np.zeros((len(self.recipe.pairs), *self.shape), np.int8)
        for patch in self.recipe.patches:
            cycles[patch.pair][patch.covers(self.x, self.y[:, np.newaxis])] += patch.cycles
        return cycles

    @cached_property
    def _missing(self) -> BoolArray | None:
        if self.recipe.nan_fraction == 0:
            return None
        random = generator(self.recipe.seed, Stream.MISSING, *self.place)
        missing: BoolArray = random.random(self.coherence.shape, np.float32) < np.float32(self.recipe.nan_fraction)
        return missing

    @cached_property
    def stack_phase(self) -> FloatArray:
        """Phase that is observed, radians ``(pair, y, x)``; NaN where there are no data."""
        phase = self.noise_free_phase + self.phase_noise
        if self.recipe.wrapped:
            phase = np.angle(np.exp(1j * phase))
        elif self.recipe.patches:
            phase += np.float32(2 * np.pi) * self.unwrapping_cycles
        return self._where_data(phase)

    @cached_property
    def stack_coherence(self) -> FloatArray:
        """Coherence that goes with the observed phase ``(pair, y, x)``; NaN where there are no data."""
        return self._where_data(self._noise[1] if self.recipe.estimated_coherence else self.coherence)

    # helpers -----------------------------------------------------------------------------------------

    def _where_data(self, values: FloatArray) -> FloatArray:
        return values if self._missing is None else np.where(self._missing, np.float32(np.nan), values)

    def _on_the_basin(self, value: float | FloatArray) -> FloatArray:
        if isinstance(value, np.ndarray):
            return value[self.rows, self.columns].astype(np.float32)
        return np.float32(value) * self.basin

    def _spread(self, value: Spread) -> FloatArray:
        values = np.asarray(value, np.float32)
        if values.ndim == 2:
            return values[self.rows, self.columns]
        if values.ndim == 0:
            return np.full(self.shape, values)
        low, high = values
        between: FloatArray = low + (high - low) * self.quality
        return between

    @staticmethod
    def _over_time(factor: FloatArray, place: FloatArray) -> FloatArray:
        return factor.astype(np.float32)[:, np.newaxis, np.newaxis] * place.astype(np.float32)


def assemble(recipe: Recipe, names: Sequence[str], rows: slice, columns: slice) -> dict[str, AnyArray]:
    """Variables on a rectangle of pixels, put together from the tiles that it touches."""
    result: dict[str, AnyArray] = {}
    for row in range(rows.start // TILE, -(-rows.stop // TILE)):
        for column in range(columns.start // TILE, -(-columns.stop // TILE)):
            tile = Tile(recipe, row, column)
            here, there = zip(*_overlap((tile.rows, tile.columns), (rows, columns)), strict=True)
            for name in names:
                values: AnyArray = getattr(tile, name)
                if name not in result:
                    size = (rows.stop - rows.start, columns.stop - columns.start)
                    result[name] = np.empty((*values.shape[:-2], *size), values.dtype)
                result[name][..., there[0], there[1]] = values[..., here[0], here[1]]
    return result


def _overlap(tile: tuple[slice, ...], wanted: tuple[slice, ...]) -> Iterator[tuple[slice, slice]]:
    """The common part along each axis, counted from the tile's corner and from the rectangle's."""
    for mine, theirs in zip(tile, wanted, strict=True):
        start, stop = max(mine.start, theirs.start), min(mine.stop, theirs.stop)
        yield slice(start - mine.start, stop - mine.start), slice(start - theirs.start, stop - theirs.start)
