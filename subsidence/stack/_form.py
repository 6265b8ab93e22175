"""Interferograms of chosen pairs of single-look complex images: flattened, multilooked, with coherence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress
from subsidence._kernels import multilook as kernels
from subsidence.errors import InputError
from subsidence.network import Network
from subsidence.stack._coherence import bias_tables
from subsidence.stack._flatten import Flattening
from subsidence.stack._multilook import cell_means
from subsidence.stack._tiles import Box, Layout, checked_looks, over_scene
from subsidence.typing import AnyArray, IntArray

__all__ = ["estimate_coherence", "form_interferograms"]

#: Window of coherence where nothing else averages.
_WINDOW = (5, 5)
#: Bytes of the images of one block: they stay in a core's second-level cache.
_BLOCK_BYTES = 2**20
_NOT_OF_PAIRS = {"reference_time", "kind", "Conventions", "title"}


def form_interferograms(
    slc: xr.Dataset,
    pairs: xr.Dataset,
    *,
    looks: tuple[int, int] = (1, 1),
    flat_earth: bool | None = None,
    topography: bool | None = None,
    coherence: bool = True,
    coherence_window: tuple[int, int] | None = None,
    bias_correction: bool = True,
    local_fringe: bool = False,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Wrapped interferograms of pairs of images.

    .. warning::
        Phase is **positive away** from the satellite (range increase), secondary minus reference: where the
        ground subsides it is positive.

    Parameters
    ----------
    slc
        SLC, coregistered: ``slc(time, y, x)`` of phase :math:`-4 \pi R / \lambda`. A sample that is NaN, infinite or
        exactly zero holds no data.
    pairs
        ``reference`` and ``secondary`` along ``pair``, dates of `slc`: see
        :func:`subsidence.network.small_baseline_pairs` and the others beside it.
    looks
        Rows (azimuth, y) and columns (range, x) averaged into a cell. What is left of rows and columns that they do
        not divide is dropped.
    flat_earth, topography
        Whether that phase is removed, see :func:`flattening_phase`. None: unless ``slc.attrs["phase_removed"]``
        says that it has been removed already.
    coherence
        Whether coherence is estimated.
    coherence_window
        Cells along y and x, odd numbers, over which it is; (1, 1) is the cell's looks alone. None: (1, 1), and
        (5, 5) for single looks, whose own coherence is always 1. A window is smaller at the edges.
    bias_correction
        Whether coherence is that whose expected estimate was found (:func:`estimate_coherence`).
    local_fringe
        Whether the linear phase within each window is taken off before coherence is estimated.
    threads
        Threads over blocks of data in memory, all CPUs by default. Chunked (dask) data stay lazy.
    progress
        True for a progress bar, or a function told (blocks done, blocks in all).

    Returns
    -------
    xarray.Dataset
        INTERFEROGRAMS (pair, y, x): ``phase`` in radians, wrapped, float32, and ``coherence`` (0..1, float32), NaN
        where no sample has data in both images. Coordinates ``reference``, ``secondary``, ``perpendicular_baseline``
        (m, secondary minus reference), ``looks`` (samples in a cell), ``wavelength``, and those of place as the mean
        over each cell. Attributes ``azimuth_looks`` and ``range_looks``: cell i, j begins at row
        ``i * azimuth_looks`` and column ``j * range_looks`` of the images. Lazy where the images are, whatever
        their chunks.

    Raises
    ------
    InputError
        When a date of `pairs` is not in `slc`, a pair runs backwards or is there twice, or what is to be removed
        needs a variable that is missing.

    Notes
    -----
    .. math:: \phi = \arg \sum_\mathrm{cell} s_\mathrm{ref} e^{j \phi_\mathrm{ref}}
        \left( s_\mathrm{sec} e^{j \phi_\mathrm{sec}} \right)^*

    with the flat-earth and topographic phase of each epoch (:func:`flattening_phase`), which is taken off before
    samples are averaged. Memory beyond inputs and outputs: a few MB for each thread.

    References
    ----------
    Bamler, R. and P. Hartl (1998), Synthetic aperture radar interferometry, Inverse Problems 14, R1-R54,
    doi:10.1088/0266-5611/14/4/001

    Examples
    --------
    >>> from subsidence import simulate
    >>> from subsidence.network import sequential_pairs
    >>> slc, truth = simulate.slc_scene(shape=(20, 50), epochs=5, seed=1)
    >>> stack = form_interferograms(slc, sequential_pairs(slc, neighbours=1), looks=(1, 5))
    >>> dict(stack.sizes), stack.attrs["phase_removed"]
    ({'pair': 4, 'y': 20, 'x': 10}, 'flat_earth topography')
    """
    setup = _Setup.of(slc, pairs, looks, flat_earth=flat_earth, topography=topography)
    window = _window(coherence_window, setup.looks) if coherence else (1, 1)
    count = setup.first.size
    layers = (count, count if coherence else 0)
    found = setup.formed(
        layers,
        window,
        bias_correction=bias_correction,
        local_fringe=local_fringe,
        threads=threads,
        progress=progress,
        label="interferograms",
    )
    dims = ("pair", "y", "x")
    variables = {"phase": (dims, found[0])} | ({"coherence": (dims, found[1])} if coherence else {})
    return schema.INTERFEROGRAMS.stamp(xr.Dataset(variables, setup.coordinates(), setup.attributes()))


def estimate_coherence(
    slc: xr.Dataset,
    pairs: xr.Dataset,
    *,
    window: tuple[int, int] = (5, 5),
    looks: tuple[int, int] = (1, 1),
    flat_earth: bool | None = None,
    topography: bool | None = None,
    bias_correction: bool = True,
    local_fringe: bool = False,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.DataArray:
    r"""
    Coherence of pairs of images.

    Parameters
    ----------
    slc, pairs
        As in :func:`form_interferograms`.
    window
        Cells along y and x, odd numbers, around each over which coherence is estimated; (1, 1) for the looks of the
        cell alone. Smaller at the edges of the scene.
    looks
        Rows and columns of a cell.
    flat_earth, topography
        Whether that phase is removed before, see :func:`flattening_phase`.
    bias_correction
        Whether the result is the coherence whose expected estimate was found, which takes the mean bias of low
        coherences away, or the sample coherence as it is.
    local_fringe
        Whether the linear phase within each window is taken off before, found from the steps between neighbours
        over three windows: for motion or errors of the elevation model that make fringes within a window. Costs some
        coherence where there is no fringe, as steps are found with an error.
    threads, progress
        As in :func:`form_interferograms`.

    Returns
    -------
    xarray.DataArray
        Coherence (pair, y, x), 0..1, float32; NaN where no sample has data in both images, or one alone.

    Raises
    ------
    InputError
        As :func:`form_interferograms`.

    Notes
    -----
    .. math:: \hat\gamma = \frac{\left| \sum a b^* \right|}{\sqrt{\sum |a|^2 \sum |b|^2}}

    over the L samples that both images have. Its expected value (Touzi et al. 1999) is above the coherence
    :math:`\gamma`, 0.406 instead of 0 for 5 looks; the correction is the :math:`\gamma` whose expected value is
    :math:`\hat\gamma`, 0 below the least. Samples of oversampled images are not independent: there L counts
    too many and part of the bias stays.

    References
    ----------
    Touzi, R., A. Lopes, J. Bruniquel and P. W. Vachon (1999), Coherence estimation for SAR imagery, IEEE Trans.
    Geosci. Remote Sens. 37, 135-149, doi:10.1109/36.739146

    Examples
    --------
    >>> from subsidence import simulate
    >>> from subsidence.network import sequential_pairs
    >>> slc, truth = simulate.slc_scene(shape=(20, 50), epochs=5, seed=1)
    >>> coherence = estimate_coherence(slc, sequential_pairs(slc, neighbours=1), window=(3, 9))
    >>> coherence.dims, bool((coherence <= 1).all())
    (('pair', 'y', 'x'), True)
    """
    setup = _Setup.of(slc, pairs, looks, flat_earth=flat_earth, topography=topography)
    found = setup.formed(
        (0, setup.first.size),
        checked_looks(window, argument="window", odd=True),
        bias_correction=bias_correction,
        local_fringe=local_fringe,
        threads=threads,
        progress=progress,
        label="coherence",
    )
    whole = xr.Dataset({"coherence": (("pair", "y", "x"), found[1])}, setup.coordinates(), setup.attributes())
    return schema.INTERFEROGRAMS.stamp(whole)["coherence"]


@dataclass(frozen=True, eq=False)
class _Setup:
    """Images, pairs and the phase to remove, checked."""

    slc: xr.Dataset
    pairs: xr.Dataset
    first: IntArray
    second: IntArray
    looks: tuple[int, int]
    flattening: Flattening

    @classmethod
    def of(
        cls, slc: xr.Dataset, pairs: xr.Dataset, looks: object, *, flat_earth: bool | None, topography: bool | None
    ) -> _Setup:
        schema.SLC.check(slc, argument="slc")
        first, second = _epochs(slc, pairs)
        checked = checked_looks(looks)
        flattening = Flattening.of(slc, flat_earth=flat_earth, topography=topography)
        return cls(slc, pairs, first, second, checked, flattening)

    def formed(
        self,
        layers: tuple[int, int],
        window: tuple[int, int],
        *,
        bias_correction: bool,
        local_fringe: bool,
        threads: int | None,
        progress: Progress,
        label: str,
    ) -> tuple[Any, ...]:
        images = self.slc["slc"].variable.transpose("time", "y", "x").data
        # Epochs that no pair uses are not read.
        used, numbers = np.unique([self.first, self.second], return_inverse=True)
        first, second = numbers.reshape(2, -1).astype(np.int64)
        across, along, per_across, per_along = self.flattening.arrays()
        if used.size < images.shape[0]:
            images, across, along = images[used], across[used], along[used]
        if images.dtype != np.complex64:
            images = images.astype(np.complex64)
        tables: tuple[AnyArray, AnyArray, AnyArray] = (
            np.zeros(0, np.int64),
            np.zeros(0, np.float32),
            np.zeros((0, 1), np.float32),
        )
        if bias_correction and layers[1]:
            tables = bias_tables(max(2, int(np.prod(self.looks) * np.prod(window))))
        # The local fringe comes from steps to the next cell over three windows.
        margin = tuple(3 * size // 2 + 1 if local_fringe else size // 2 for size in window)
        work = _Former(first, second, along, self.looks, window, local_fringe, tables)
        layout = Layout(self.looks, (margin[0], margin[1]), _tile(used.size, self.looks), layers)
        return over_scene(
            work,
            [images, across, per_across, per_along],
            layout,
            threads=threads,
            progress=progress,
            label=label,
        )

    def coordinates(self) -> dict[str, Any]:
        kept = {
            name: variable.variable
            for name, variable in self.slc.coords.items()
            if set(variable.dims) <= {"y", "x"} and name != "time"
        }
        result: dict[Any, Any] = dict(cell_means(kept, self.looks))
        dates = np.asarray(self.slc["time"].values, "M8[ns]")
        result["reference"], result["secondary"] = ("pair", dates[self.first]), ("pair", dates[self.second])
        result["looks"] = float(self.looks[0] * self.looks[1])
        baselines = self._baselines()
        if baselines is not None:
            result["perpendicular_baseline"] = baselines
        return result

    def _baselines(self) -> xr.Variable | None:
        if "perpendicular_baseline" in self.slc.variables:
            known = self.slc["perpendicular_baseline"].variable.transpose("time", ...)
            if known.ndim > 1:
                known = cell_means({"perpendicular_baseline": known}, self.looks)["perpendicular_baseline"]
            between = known[self.second] - known[self.first]
            return xr.Variable(("pair", *between.dims[1:]), between.data)
        if "perpendicular_baseline" in self.pairs.variables:
            return self.pairs["perpendicular_baseline"].variable
        return None

    def attributes(self) -> dict[Any, Any]:
        kept = {name: value for name, value in self.slc.attrs.items() if name not in _NOT_OF_PAIRS}
        kept |= {"azimuth_looks": self.looks[0], "range_looks": self.looks[1]}
        return {**kept, "phase_removed": self.flattening.removed}


@dataclass(frozen=True, eq=False)
class _Former:
    """What every block of a scene is formed with; survives pickling."""

    first: IntArray
    second: IntArray
    along: AnyArray
    looks: tuple[int, int]
    window: tuple[int, int]
    fringe: bool
    tables: tuple[AnyArray, AnyArray, AnyArray]

    def __call__(
        self, block: Box, inner: Box, place: tuple[int, int], inputs: Sequence[AnyArray], outputs: Sequence[AnyArray]
    ) -> None:
        images, across, per_across, per_along = inputs
        geometry = (across, self.along, per_across, per_along)
        options = (self.looks, self.window, self.fringe)
        kernels.form(images, *geometry, self.first, self.second, *options, block, inner, place, *self.tables, *outputs)


def _tile(epochs: int, looks: tuple[int, int]) -> tuple[int, int]:
    """Cells of a block: wide, for vector instructions along rows."""
    pixels = max(1024, _BLOCK_BYTES // (8 * epochs))
    cols = max(1, min(256, pixels // 16) // looks[1])
    rows = max(1, pixels // (cols * looks[1]) // looks[0])
    return rows, cols


def _window(window: object, looks: tuple[int, int]) -> tuple[int, int]:
    if window is None:
        return _WINDOW if looks == (1, 1) else (1, 1)
    return checked_looks(window, argument="coherence_window", odd=True)


def _epochs(slc: xr.Dataset, pairs: object) -> tuple[IntArray, IntArray]:
    """Numbers of the two epochs of each pair."""
    if not isinstance(pairs, xr.Dataset) or not {"reference", "secondary"} <= set(pairs.variables):
        msg = (
            "pairs must be a Dataset with 'reference' and 'secondary' along 'pair', as small_baseline_pairs(slc, ...) "
            f"makes it, got {pairs if not isinstance(pairs, xr.Dataset) else sorted(map(str, pairs.variables))!r}"
        )
        raise InputError(msg)
    network = Network.of(pairs, argument="pairs")
    dates = np.asarray(slc["time"].values, "M8[ns]")
    order = np.argsort(dates, kind="stable")
    if np.isnat(dates).any() or (dates[order][1:] == dates[order][:-1]).any():
        msg = "slc: every epoch must have a date of its own, and one is missing or there twice"
        raise InputError(msg)
    missing: npt.NDArray[np.datetime64] = network.dates[~np.isin(network.dates, dates)]
    if missing.size:
        named = ", ".join(str(date.astype("M8[s]")) for date in missing[:3])
        msg = (
            f"pairs: {missing.size} of their {network.dates.size} dates are not among the {dates.size} of slc "
            f"({named}): make the pairs from this slc"
        )
        raise InputError(msg)
    numbers = order[np.searchsorted(dates[order], network.dates)]
    return numbers[network.first], numbers[network.second]
