"""Images of a scene on one tile of a fixed grid: ground, motion, scatterers, and what the radar sees of them.

Every number of a simulated image comes from here. Tiles are always the same, however the scene is cut into
chunks, so a lazy scene equals the one in memory bit for bit. A tile is drawn whole even where the scene ends,
and there are tiles around the scene: the radar's point response reaches over a tile's edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import ndtr

from subsidence._points import wrap
from subsidence.geometry import baseline_phase
from subsidence.simulate._check import Spread
from subsidence.simulate._noise import decay
from subsidence.simulate._random import PlaneWaves, Stream, generator
from subsidence.simulate._response import HALO
from subsidence.simulate._slc_points import Points
from subsidence.simulate._slc_recipe import Motion, SlcRecipe
from subsidence.simulate._tile import STABLE, TILE
from subsidence.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["SlcTile", "assemble"]

ComplexArray = npt.NDArray[np.complexfloating]
#: Indices of chosen pixels of a tile, or the slices of all of them.
Where: TypeAlias = tuple[Any, Any]

#: Height of the plain, metres.
BASE_HEIGHT = 20.0
#: Mean power of the clutter in vegetation and in town.
_POWER = (0.4, 1.0)


class SlcTile:
    """The ingredients on tile ``(row, column)`` of the grid, -1 being the one before the scene; float32 unless said."""

    def __init__(self, recipe: SlcRecipe, row: int, column: int) -> None:
        self.recipe = recipe
        #: place in the tree of random streams, which knows no negative numbers
        self.place = (row + 1, column + 1)
        self.rows: IntArray = np.arange(row * TILE, (row + 1) * TILE)
        self.columns: IntArray = np.arange(column * TILE, (column + 1) * TILE)
        self.x: FloatArray = self.columns * recipe.spacing[1]
        # Rows run from north to south.
        self.y: FloatArray = (recipe.shape[0] - 1 - self.rows) * recipe.spacing[0]
        self.shape = (TILE, TILE)

    # ground ------------------------------------------------------------------------------------------

    @cached_property
    def undulation(self) -> FloatArray:
        """Unevenness of the ground, unit variance."""
        return self._field(self.recipe.terrain)

    @cached_property
    def basin(self) -> FloatArray:
        """1 on the plain, 0 on the hills around it."""
        half_y, half_x = (n / 2 * step for n, step in zip(self.recipe.shape, self.recipe.spacing, strict=True))
        across, along = (self.x - half_x) / half_x, (self.y - half_y) / half_y
        out = np.hypot(across, along[:, np.newaxis]) + 0.12 * self.undulation
        step: FloatArray = np.clip((out - 0.75) / 0.55, 0.0, 1.0)
        return (1 - step**2 * (3 - 2 * step)).astype(np.float32)

    @cached_property
    def dem(self) -> FloatArray:
        """Height by the elevation model, metres."""
        hills = (1 - self.basin) * (1 + 0.35 * self.undulation) + 0.02 * self.undulation
        height: FloatArray = BASE_HEIGHT + self.recipe.relief * hills
        return height.astype(np.float32)

    @cached_property
    def dem_error(self) -> FloatArray:
        """Height of the ground above the elevation model, metres."""
        if self.recipe.dem_error_std == 0:
            return np.zeros(self.shape, np.float32)
        return self._field(self.recipe.dem_error)

    @cached_property
    def residual_height(self) -> FloatArray:
        """Height above the elevation model of the point scatterer, or of the ground where there is none, metres."""
        return self.dem_error + self.points.extra_height

    @cached_property
    def true_height(self) -> FloatArray:
        """Height of the point scatterer, or of the ground where there is none, metres."""
        return self.dem + self.residual_height

    @cached_property
    def town(self) -> FloatArray:
        """1 in town, 0 in vegetation, smooth between."""
        share = self.recipe.town
        if isinstance(share, np.ndarray):
            return self._of_array(share)
        if share in {0.0, 1.0}:
            return np.full(self.shape, share, np.float32)
        southwards = (self.rows[:, np.newaxis] + 0.5) / self.recipe.shape[0]
        inside: FloatArray = np.clip((share - southwards - 0.1 * self._field(self.recipe.border)) / 0.06 + 0.5, 0, 1)
        return inside.astype(np.float32)

    @cached_property
    def incidence(self) -> FloatArray:
        """Incidence on the reference surface, degrees, float64."""
        return np.broadcast_to(self.recipe.swath.at(self.x)[0], self.shape)

    @cached_property
    def slant_range(self) -> FloatArray:
        """Slant range, metres, float64."""
        return np.broadcast_to(self.recipe.swath.at(self.x)[1], self.shape)

    # motion ------------------------------------------------------------------------------------------

    @cached_property
    def displacement_up(self) -> FloatArray:
        """All motion, up, metres ``(time, y, x)``."""
        recipe = self.recipe
        x, y = (self.x - recipe.centre[0]) / recipe.radius, (self.y - recipe.centre[1]) / recipe.radius
        bowl = -recipe.settlement * np.exp(-(y[:, np.newaxis] ** 2 + x**2))
        up = self._over_time(recipe.fraction, bowl)
        for factor, amount in (
            (recipe.years, recipe.velocity),
            (recipe.years**2 / 2, recipe.acceleration),
            (recipe.season, recipe.seasonal_amplitude),
        ):
            if isinstance(amount, np.ndarray) or amount != 0:
                up += self._over_time(factor, self._on_the_plain(amount))
        if isinstance(recipe.motion, np.ndarray):
            more = self._of_array(recipe.motion)
            up += more - more[:1]
        elif recipe.motion is not None:
            more = self._moved(recipe.motion)
            up += more - more[:1]
        return up

    def _moved(self, motion: Motion) -> FloatArray:
        """Motion that the caller's function gives."""
        years = self.recipe.years[:, np.newaxis, np.newaxis]
        values = np.asarray(motion(years, self.x, self.y[:, np.newaxis]), np.float32)
        return np.broadcast_to(values, (years.size, *self.shape))

    @cached_property
    def displacement(self) -> FloatArray:
        """All motion along the line of sight, positive towards the satellite, metres ``(time, y, x)``."""
        return self.displacement_up * np.cos(np.deg2rad(self.incidence)).astype(np.float32)

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

    @cached_property
    def atmosphere(self) -> FloatArray:
        """Delay as apparent displacement, metres ``(time, y, x)``."""
        recipe = self.recipe
        delay = self._over_time(recipe.height_gradient, self.dem - np.float32(BASE_HEIGHT))
        if recipe.turbulence is not None:
            delay += recipe.turbulence.tile(self.place[0] - 1, self.place[1] - 1)
        return delay

    # scatterers --------------------------------------------------------------------------------------

    @cached_property
    def long_term_coherence(self) -> FloatArray:
        """Coherence of the clutter that remains for ever."""
        return self._spread(self.recipe.long_term, self.rank)

    @cached_property
    def decorrelation_time(self) -> FloatArray:
        """Time in which the clutter's coherence that is lost falls to 1/e, days."""
        return self._spread(self.recipe.decorrelation_time, self.rank)

    @cached_property
    def rank(self) -> FloatArray:
        """Rank of a pixel's coherence, 0..1: low in most of the vegetation, high in most of the town."""
        rank: FloatArray = ndtr(
            np.float32(1.2) * self._field(self.recipe.quality) + np.float32(1.6) * self.town - np.float32(1.0)
        )
        return rank.astype(np.float32)

    @cached_property
    def clutter_power(self) -> FloatArray:
        """Mean power of the clutter."""
        return self._spread(_POWER, self.town)

    @cached_property
    def points(self) -> Points:
        """Point scatterers."""
        return Points.draw(self.recipe, self.place, self._spread(self.recipe.point_density, self.town))

    @property
    def is_point(self) -> BoolArray:
        """Where a point scatterer is."""
        return self.points.there

    @property
    def point_kind(self) -> AnyArray:
        """0 none, 1 steady, 2 temporary, 3 variable, int8."""
        return self.points.kind

    @property
    def first_epoch(self) -> AnyArray:
        """Number of the epoch that first shows the point, int16; -1 where there is none."""
        return self.points.first

    @property
    def last_epoch(self) -> AnyArray:
        """Number of the epoch that last shows the point, int16; -1 where there is none."""
        return self.points.last

    @property
    def signal_to_clutter(self) -> FloatArray:
        """Power of the point over the mean power of its clutter; 0 where there is no point."""
        return self.points.ratio

    @cached_property
    def phase_noise_std(self) -> FloatArray:
        """What the changing part of the clutter does to the phase of a point, radians; NaN where there is none."""
        power = 2 * np.where(self.points.there, self.points.ratio, np.float32(np.nan))
        std: FloatArray = np.sqrt((1 - self.long_term_coherence) / power)
        return std

    # image -------------------------------------------------------------------------------------------

    @cached_property
    def reflectivity(self) -> ComplexArray:
        """What every pixel's scatterers send back to a radar of perfect resolution, complex64 ``(time, y, x)``."""
        recipe = self.recipe
        image = self._clutter()
        image *= np.sqrt(self.clutter_power)
        image *= _turned(self._phase(self.dem_error, (slice(None), slice(None))))
        points = self.points
        if points.there.any():
            rows, columns = np.nonzero(points.there)
            where = rows, columns
            amplitude = np.sqrt(points.ratio[where] * self.clutter_power[where])
            if recipe.response is not None:
                amplitude = amplitude * np.float32(recipe.response.boost)
            echo = _turned(self._phase(self.residual_height[where], where) + points.angle[where])
            image[:, *where] += amplitude * points.presence(recipe, self.place) * echo
        return image

    def _clutter(self) -> ComplexArray:
        """Circular Gaussian numbers of unit power: a part that stays, one that fades, one that is new each time."""
        recipe = self.recipe
        epochs = recipe.days.size
        random = generator(recipe.seed, Stream.SPECKLE, *self.place)
        weights = np.sqrt(
            [
                self.long_term_coherence,
                np.float32(recipe.initial) - self.long_term_coherence,
                np.full(self.shape, 1 - recipe.initial, np.float32),
            ]
        ).astype(np.float32)
        image = _circular(random, (epochs, *self.shape))
        kept = decay(np.diff(recipe.days), self.decorrelation_time)
        renewed = np.sqrt(1 - kept**2)
        for epoch in range(1, epochs):  # an autoregression of the first order, exact for any dates
            image[epoch] *= renewed[epoch - 1]
            image[epoch] += kept[epoch - 1] * image[epoch - 1]
        image *= weights[1]
        image += weights[0] * _circular(random, self.shape)
        if recipe.initial < 1:
            image += weights[2] * _circular(random, image.shape)
        return image

    def _phase(self, residual_height: FloatArray, where: Where) -> FloatArray:
        """Phase of an image at chosen pixels `residual_height` above the elevation model, radians, float64."""
        recipe = self.recipe
        reference, per_metre, dem = (
            np.broadcast_to(values, self.shape)[where]
            for values in (recipe.swath.look(self.x), self._look_per_metre, self.dem)
        )
        phase = self._baseline_phase(reference + per_metre * (dem.astype(np.float64) + residual_height))
        if recipe.phase_removed == "flat_earth":
            phase -= self._baseline_phase(reference)
        elif recipe.phase_removed:
            phase -= self._baseline_phase(reference + per_metre * dem)
        delay = self.displacement[:, *where].astype(np.float64) + self.atmosphere[:, *where]
        # Range shortens where the ground comes closer; a baseline's phase is that of an interferogram
        # (secondary minus reference, positive away), which an image enters with the opposite sign.
        delay *= 4 * np.pi / recipe.wavelength
        delay -= phase
        return delay

    @cached_property
    def _look_per_metre(self) -> FloatArray:
        """Degrees of look angle per metre of height at the same slant range, ``(x,)``."""
        incidence, distance = self.recipe.swath.at(self.x)
        angle: FloatArray = np.rad2deg(1 / (distance * np.sin(np.deg2rad(incidence))))
        return angle

    def _baseline_phase(self, look: FloatArray) -> FloatArray:
        """Phase of every epoch's baselines towards look angles, radians, float64."""
        recipe = self.recipe
        places = tuple(f"place_{n}" for n in range(look.ndim))
        phase: FloatArray = baseline_phase(
            xr.DataArray(recipe.perpendicular_baseline, dims="time"),
            xr.DataArray(look, dims=places),
            wavelength=recipe.wavelength,
            centre_look=recipe.centre_look,
            parallel_baseline=xr.DataArray(recipe.parallel_baseline, dims="time"),
        ).values
        return phase

    def observed(self, image: ComplexArray) -> ComplexArray:
        """The image that is handed over: calibrated wrongly, with samples missing."""
        recipe = self.recipe
        result: ComplexArray = image * recipe.calibration.astype(np.float32)[:, np.newaxis, np.newaxis]
        if recipe.nan_fraction > 0:
            random = generator(recipe.seed, Stream.MISSING, *self.place)
            result[random.random(image.shape, np.float32) < np.float32(recipe.nan_fraction)] = complex(np.nan, np.nan)
        result[list(recipe.empty_epochs)] = complex(np.nan, np.nan)
        return result

    # helpers -----------------------------------------------------------------------------------------

    def _field(self, waves: PlaneWaves) -> FloatArray:
        return waves.evaluate(self.x, self.y).reshape(self.shape)

    def _of_array(self, values: FloatArray) -> FloatArray:
        """Values of the caller's on this tile, those at the edge going on beyond it."""
        rows, columns = (
            np.clip(n, 0, size - 1) for n, size in zip((self.rows, self.columns), self.recipe.shape, strict=True)
        )
        return values[..., rows[:, np.newaxis], columns].astype(np.float32)

    def _on_the_plain(self, value: float | FloatArray) -> FloatArray:
        return self._of_array(value) if isinstance(value, np.ndarray) else np.float32(value) * self.basin

    def _spread(self, value: Spread, rank: FloatArray) -> FloatArray:
        values = np.asarray(value, np.float64)
        if values.ndim == 2:
            return self._of_array(values)
        low, high = values if values.ndim else (values, values)
        between: FloatArray = low + (high - low) * rank
        return between.astype(np.float32)

    @staticmethod
    def _over_time(factor: FloatArray, place: FloatArray) -> FloatArray:
        return factor.astype(np.float32)[:, np.newaxis, np.newaxis] * place.astype(np.float32)


def assemble(recipe: SlcRecipe, names: Sequence[str], rows: slice, columns: slice) -> dict[str, AnyArray]:
    """Variables on a rectangle of pixels, put together from the tiles that it touches."""
    result: dict[str, AnyArray] = {}
    near: dict[tuple[int, int], ComplexArray] = {}
    for row in range(rows.start // TILE, -(-rows.stop // TILE)):
        for column in range(columns.start // TILE, -(-columns.stop // TILE)):
            tile = SlcTile(recipe, row, column)
            here, there = zip(*_overlap((row, column), (rows, columns)), strict=True)
            for name in names:
                values: AnyArray = _image(tile, row, column, near) if name == "slc" else getattr(tile, name)
                if name not in result:
                    size = (rows.stop - rows.start, columns.stop - columns.start)
                    result[name] = np.empty((*values.shape[:-2], *size), values.dtype)
                result[name][..., there[0], there[1]] = values[..., here[0], here[1]]
        for old in [place for place in near if place[0] < row]:
            del near[old]
    return result


def _image(tile: SlcTile, row: int, column: int, near: dict[tuple[int, int], ComplexArray]) -> ComplexArray:
    """The image on a tile; `near` holds the reflectivity of tiles that its neighbours need too."""
    response = tile.recipe.response
    if response is None:
        return tile.observed(tile.reflectivity)
    for place in ((row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)):
        if place not in near:
            near[place] = (tile if place == (row, column) else SlcTile(tile.recipe, *place)).reflectivity
    wide = np.empty((tile.recipe.days.size, TILE + 2 * HALO, TILE + 2 * HALO), np.complex64)
    # Of the tile before, itself, and the tile after: where it goes, and which part.
    parts = (
        (slice(0, HALO), slice(TILE - HALO, TILE)),
        (slice(HALO, HALO + TILE), slice(0, TILE)),
        (slice(HALO + TILE, None), slice(0, HALO)),
    )
    for down, (to_y, from_y) in enumerate(parts, -1):
        for right, (to_x, from_x) in enumerate(parts, -1):
            wide[:, to_y, to_x] = near[row + down, column + right][:, from_y, from_x]
    return tile.observed(response.apply(wide))


def _overlap(tile: tuple[int, int], wanted: tuple[slice, slice]) -> Iterator[tuple[slice, slice]]:
    """The common part along each axis, counted from the tile's corner and from the rectangle's."""
    for number, theirs in zip(tile, wanted, strict=True):
        corner = number * TILE
        start, stop = max(corner, theirs.start), min(corner + TILE, theirs.stop)
        yield slice(start - corner, stop - corner), slice(start - theirs.start, stop - theirs.start)


def _turned(phase: FloatArray) -> ComplexArray:
    """Unit numbers with a phase, complex64: whole cycles are taken off in float64, where they are many."""
    phase = wrap(phase).astype(np.float32)
    turned = np.empty(phase.shape, np.complex64)
    np.cos(phase, out=turned.real)
    np.sin(phase, out=turned.imag)
    return turned


def _circular(random: np.random.Generator, shape: tuple[int, ...]) -> ComplexArray:
    """Circular complex Gaussian numbers of unit power, complex64."""
    parts = random.standard_normal((*shape, 2), np.float32) * np.float32(np.sqrt(0.5))
    numbers: ComplexArray = parts.view(np.complex64)[..., 0]
    return numbers
