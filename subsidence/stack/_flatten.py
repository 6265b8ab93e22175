"""Phase that flat earth and topography make in images, from baselines, range, incidence and heights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import geometry, schema
from subsidence._blocks import each
from subsidence._extras import require
from subsidence._kernels import multilook as kernels
from subsidence.errors import InputError
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["Flattening", "flatten", "flattening_phase", "flattening_phase_at"]

_PARTS = ("flat_earth", "topography")
#: Rows that one thread works on at a time.
_STRIP = 64
#: Pixels whose median look angle is the scene's, evenly spread.
_SAMPLE = 2**22


@dataclass(frozen=True, eq=False)
class Flattening:
    """Phase to take off: ``across(time) * per_across(place) + along(time) * per_along(place)``.

    Parameters
    ----------
    across, along
        Perpendicular and parallel baselines, metres, along ``time``. Where baselines are given by pixel `across` is
        along (time, place).
    per_across, per_along
        Radians per metre of them, float64 over the dims of place, lazy where the images are; None where
        nothing is removed.
    removed
        What the images' ``phase_removed`` says afterwards.
    centre_look
        Look angle that the baselines belong to, degrees; None where it is not needed.
    """

    across: xr.Variable
    along: xr.Variable
    per_across: xr.Variable | None
    per_along: xr.Variable | None
    removed: str
    centre_look: float | None

    @classmethod
    def of(
        cls, slc: xr.Dataset, *, flat_earth: bool | None = None, topography: bool | None = None, argument: str = "slc"
    ) -> Flattening:
        """Read the geometry of SLC images.

        Raises
        ------
        InputError
            When what is to be removed needs a variable that is missing or not finite.
        """
        before = _removed_before(slc, argument)
        flat = _wanted("flat_earth", flat_earth, before, argument)
        ground = _wanted("topography", topography, before, argument)
        times = slc.sizes["time"]
        none = xr.Variable("time", np.zeros(times))
        if not flat and not ground:
            return cls(none, none, None, None, _words(before), None)
        place = schema.spatial_dims(slc, argument=argument)
        fields = _fields(slc, place, flat=flat, ground=ground, argument=argument)
        across = _baselines(slc, argument)
        after = _words(before | {part for part, wanted in zip(_PARTS, (flat, ground), strict=True) if wanted})
        by_pixel = across.ndim > 1
        if flat and by_pixel:
            msg = (
                f"{argument}: baselines by pixel do not tell flat-earth phase: give perpendicular_baseline along "
                "('time',), towards the scene's centre; or remove flat earth before and set attrs['phase_removed'] = "
                "'flat_earth'; or pass flat_earth=False"
            )
            raise InputError(msg)
        uniform = all(fields[name].ndim == 0 for name in ("incidence", "slant_range"))
        if flat_earth and uniform:
            msg = (
                f"{argument} has one incidence and one slant_range for the whole scene, which has no flat-earth phase "
                "to remove: give them by pixel, dims ('y', 'x'), or leave flat_earth=None"
            )
            raise InputError(msg)
        wavelength = float(slc["wavelength"])
        if uniform or by_pixel:
            if not ground:
                return cls(none, none, None, None, after, None)
            unit = geometry.height_to_phase(
                xr.DataArray(1.0),
                wavelength=wavelength,
                slant_range=xr.DataArray(fields["slant_range"]),
                incidence=xr.DataArray(fields["incidence"]),
            )
            rise = unit.variable * fields["height"]
            return cls(across, none, _over(rise, slc, place), None, after, None)
        centre = _centre_look(slc, argument)
        look = geometry.look_angle(xr.DataArray(fields["incidence"]), xr.DataArray(fields["slant_range"]))
        towards = partial(_per_metre, wavelength=wavelength, centre_look=centre)
        if ground:
            sine = np.sin(np.deg2rad(xr.DataArray(fields["incidence"])))
            raised = look + np.rad2deg(xr.DataArray(fields["height"]) / (xr.DataArray(fields["slant_range"]) * sine))
            per_across, per_along = towards(raised)
            if not flat:
                surface = towards(look)
                per_across, per_along = per_across - surface[0], per_along - surface[1]
        else:
            per_across, per_along = towards(look)
        along = none
        if "parallel_baseline" in slc.variables:
            along = slc["parallel_baseline"].variable.astype(np.float64).compute()
            _check_finite(along, slc, "parallel_baseline", argument)
        return cls(across, along, _over(per_across, slc, place), _over(per_along, slc, place), after, centre)

    def phase(self) -> xr.Variable | None:
        """Radians (time, place), float64; None where nothing is removed."""
        if self.per_across is None:
            return None
        phase = self.across * self.per_across
        if self.per_along is not None:
            phase = phase + self.along * self.per_along
        return phase.transpose("time", *self.per_across.dims)

    def at(self, place: Mapping[str, IntArray]) -> Flattening:
        """The same for listed pixels, dims of place ``("point",)``, in memory."""

        def chosen(variable: xr.Variable) -> xr.Variable:
            if not set(place) <= set(map(str, variable.dims)):
                return variable
            return variable[{dim: xr.Variable("point", numbers) for dim, numbers in place.items()}].compute()

        return replace(
            self,
            across=chosen(self.across),
            per_across=None if self.per_across is None else chosen(self.per_across),
            per_along=None if self.per_along is None else chosen(self.per_along),
        )

    def isel(self, **place: slice) -> Flattening:
        """The same for a part of the scene."""

        def cut(variable: xr.Variable | None) -> xr.Variable | None:
            return None if variable is None else variable.isel(place, missing_dims="ignore")

        across = self.across.isel(place, missing_dims="ignore")
        return replace(self, across=across, per_across=cut(self.per_across), per_along=cut(self.per_along))

    def arrays(self) -> tuple[Any, Any, Any, Any]:
        """What the kernels take: (time, 1, 1) or (time, y, x), (time,), and (y, x) or (0, 0) twice."""
        across = self.across.data
        if self.across.ndim == 1:
            across = across[:, np.newaxis, np.newaxis]
        empty = np.zeros((0, 0))
        first = empty if self.per_across is None else self.per_across.data
        second = empty if self.per_along is None else self.per_along.data
        return across, self.along.data, first, second


def flattening_phase(
    slc: xr.Dataset, *, flat_earth: bool | None = None, topography: bool | None = None
) -> xr.DataArray:
    r"""
    Flat-earth and topographic phase of each epoch.

    Parameters
    ----------
    slc
        SLC with ``perpendicular_baseline`` (and ``parallel_baseline``) in metres along ``time``, ``incidence`` in
        degrees and ``slant_range`` in metres on the reference surface, and ``height`` in metres above it.
    flat_earth, topography
        Whether that part is included. None: unless ``slc.attrs["phase_removed"]`` says that it has been
        removed already.

    Returns
    -------
    xarray.DataArray
        Radians, float64 (time, y, x), positive away from the satellite; lazy where the images are. An image
        without it is ``slc * exp(1j * phase)``; a pair has the difference, secondary minus reference. NaN where
        height or geometry is.

    Raises
    ------
    InputError
        When what is to be removed needs a variable that is missing or not finite.

    Notes
    -----
    With the look angle :math:`\vartheta` of the reference surface (:func:`subsidence.geometry.look_angle`) and
    :math:`\vartheta_0`, that of the scene's median incidence and median slant range, to which the baselines belong,

    .. math:: \phi = -\frac{4 \pi}{\lambda} \left[ B_\perp \sin\Delta + B_\parallel \cos\Delta \right],
        \quad \Delta = \vartheta + \frac{h}{R \sin\theta} - \vartheta_0

    (:func:`subsidence.geometry.baseline_phase`); for topography alone, less the same at height zero. The attribute
    ``centre_look`` (degrees) of the Dataset goes before the medians, so that a part cut out of a scene has the
    phase of the whole; the medians are those of up to 4 million pixels evenly spread. Where incidence and slant
    range are one number for the scene, flat earth has no phase and topography has that of
    :func:`subsidence.geometry.height_to_phase`.

    References
    ----------
    Rosen, P. A., et al. (2000), Synthetic aperture radar interferometry, Proc. IEEE 88, 333-382,
    doi:10.1109/5.838084

    Examples
    --------
    >>> from subsidence import simulate
    >>> slc, truth = simulate.slc_scene(shape=(8, 10), epochs=5, seed=1)
    >>> phase = flattening_phase(slc)
    >>> phase.dims, bool((phase.sel(time=slc.attrs["reference_time"]) == 0).all())
    (('time', 'y', 'x'), True)
    """
    schema.SLC.check(slc, argument="slc")
    phase = Flattening.of(slc, flat_earth=flat_earth, topography=topography).phase()
    place = schema.spatial_dims(slc, argument="slc")
    images = slc["slc"].variable.transpose("time", *place)
    if phase is None:
        phase = xr.zeros_like(images, dtype=np.float64)
    elif images.chunks is not None:
        phase = phase.chunk(images.chunksizes)
    coords = {name: variable for name, variable in slc.coords.items() if set(variable.dims) <= {"time", *place}}
    result = xr.DataArray(xr.Variable(images.dims, phase.data), coords, name="flattening_phase")
    result.attrs = {
        "units": "rad",
        "long_name": "phase of flat earth and topography",
        "comment": "positive away from the satellite (range increase)",
    }
    return result


def flattening_phase_at(
    slc: xr.Dataset,
    rows: IntArray,
    cols: IntArray,
    *,
    flat_earth: bool | None = None,
    topography: bool | None = None,
) -> npt.NDArray[np.float64]:
    """:func:`flattening_phase` of listed pixels, ``(time, n)``, in memory."""
    found = Flattening.of(slc, flat_earth=flat_earth, topography=topography)
    phase = found.at({"y": np.asarray(rows), "x": np.asarray(cols)}).phase()
    if phase is None:
        return np.zeros((slc.sizes["time"], len(rows)))
    values: npt.NDArray[np.float64] = phase.transpose("time", "point").values
    return values


def flatten(
    slc: xr.Dataset,
    *,
    flat_earth: bool | None = None,
    topography: bool | None = None,
    threads: int | None = None,
) -> xr.Dataset:
    """
    Images without flat-earth and topographic phase.

    Parameters
    ----------
    slc, flat_earth, topography
        See :func:`flattening_phase`.
    threads
        Threads for data in memory, all CPUs by default. Chunked (dask) data stay lazy.

    Returns
    -------
    xarray.Dataset
        SLC whose ``phase_removed`` says what is gone, and whose ``centre_look`` keeps the look angle that the baselines
        belong to. NaN where height or geometry is.

    Raises
    ------
    InputError
        When what is to be removed needs a variable that is missing or not finite.

    Examples
    --------
    >>> from subsidence import simulate
    >>> slc, truth = simulate.slc_scene(shape=(8, 10), epochs=5, seed=1)
    >>> flatten(slc).attrs["phase_removed"]
    'flat_earth topography'
    """
    schema.SLC.check(slc, argument="slc")
    found = Flattening.of(slc, flat_earth=flat_earth, topography=topography)
    attrs = {**slc.attrs, "phase_removed": found.removed}
    if found.centre_look is not None:
        attrs["centre_look"] = found.centre_look
    images = slc["slc"].variable.transpose("time", "y", "x")
    if found.per_across is not None:
        images = _turned(images, found, threads)
    return schema.SLC.stamp(slc.assign(slc=images).assign_attrs(attrs))


def _turned(images: xr.Variable, found: Flattening, threads: int | None) -> xr.Variable:
    if images.chunks is not None:
        phase = found.phase()
        assert phase is not None
        da = require("dask.array", extra="dask", purpose="a chunked dataset")
        turned = da.map_blocks(_turn, images.data, phase.chunk(images.chunksizes).data, dtype=np.complex64)
        return xr.Variable(images.dims, turned, images.attrs)
    result = np.empty(images.shape, np.complex64)
    starts = range(0, images.shape[1], _STRIP)

    def work(number: int) -> None:
        rows = slice(starts[number], starts[number] + _STRIP)
        phase = found.isel(y=rows).phase()
        assert phase is not None
        result[:, rows] = _turn(images.data[:, rows], phase.values)

    each(work, len(starts), threads=threads)
    return xr.Variable(images.dims, result, images.attrs)


def _turn(images: AnyArray, phase: FloatArray) -> AnyArray:
    """Images times exp(j phase)."""
    result = np.empty(images.shape, np.complex64)
    kernels.turn(
        np.ascontiguousarray(images, np.complex64).ravel(), np.ascontiguousarray(phase).ravel(), result.ravel()
    )
    return result


def _removed_before(slc: xr.Dataset, argument: str) -> set[str]:
    words = str(slc.attrs.get("phase_removed", "")).replace(",", " ").split()
    unknown = sorted(set(words) - set(_PARTS))
    if unknown:
        msg = (
            f"{argument}: attrs['phase_removed'] must be '', 'flat_earth' or 'flat_earth topography', got "
            f"{slc.attrs['phase_removed']!r}"
        )
        raise InputError(msg)
    return set(words)


def _words(parts: set[str]) -> str:
    return " ".join(part for part in _PARTS if part in parts)


def _wanted(part: str, asked: object, before: set[str], argument: str) -> bool:
    if asked is None:
        return part not in before
    if not isinstance(asked, (bool, np.bool_)):
        msg = f"{part} must be True, False or None (unless it has been removed already), got {asked!r}"
        raise InputError(msg)
    if asked and part in before:
        msg = (
            f"{part}=True, but {argument}.attrs['phase_removed'] = {_words(before)!r} says that it has been removed "
            f"already: pass {part}=None"
        )
        raise InputError(msg)
    return bool(asked)


def _fields(
    slc: xr.Dataset, place: tuple[str, ...], *, flat: bool, ground: bool, argument: str
) -> dict[str, xr.Variable]:
    """Incidence, slant range and, for topography, height; cut as the images are."""
    needed = ["perpendicular_baseline", "incidence", "slant_range", *(["height"] if ground else [])]
    missing = [name for name in needed if name not in slc.variables]
    if missing:
        parts = [part for part, wanted in zip(_PARTS, (flat, ground), strict=True) if wanted]
        lacking = ", ".join(f"{name!r} ({schema.SLC[name].variable.units})" for name in missing)
        options = ", ".join(f"{part}=False" for part in parts)
        msg = (
            f"{argument} lacks {lacking}, which removing {' and '.join(parts)} needs: add it (slc.assign_coords), set "
            f"{argument}.attrs['phase_removed'] = 'flat_earth topography' where the processor has removed the phase, "
            f"or pass {options}"
        )
        raise InputError(msg)
    images = slc["slc"].variable
    cut = {dim: sizes for dim, sizes in images.chunksizes.items() if dim in place}
    found = {}
    for name in needed[1:]:
        variable = slc[name].variable.astype(np.float64)
        variable = variable.transpose(*place) if variable.ndim else variable
        lazy = bool(cut) and variable.ndim > 0
        found[name] = variable.chunk(cut) if lazy else variable.compute()
    return found


def _over(variable: xr.Variable, slc: xr.Dataset, place: tuple[str, ...]) -> xr.Variable:
    """Over every pixel, cut as the images are."""
    cut = {dim: sizes for dim, sizes in slc["slc"].variable.chunksizes.items() if dim in place}
    sizes = {dim: slc.sizes[dim] for dim in place}
    plain = xr.Variable(variable.dims, variable.data)
    whole: xr.Variable = plain.set_dims(sizes)  # type: ignore[no-untyped-call]  # xarray leaves it untyped
    whole = whole.transpose(*place)
    return whole.chunk(cut) if cut else whole


def _baselines(slc: xr.Dataset, argument: str) -> xr.Variable:
    variable = slc["perpendicular_baseline"].variable.astype(np.float64)
    if variable.ndim == 1:
        variable = variable.compute()
        _check_finite(variable, slc, "perpendicular_baseline", argument)
    elif slc["slc"].variable.chunks is None:
        variable = variable.compute()
    else:
        variable = variable.chunk({dim: slc["slc"].variable.chunksizes[dim] for dim in variable.dims})
    return variable.transpose("time", ...)


def _check_finite(variable: xr.Variable, slc: xr.Dataset, name: str, argument: str) -> None:
    unknown = np.flatnonzero(~np.isfinite(variable.values))
    if unknown.size:
        date = slc["time"].values[unknown[0]].astype("M8[D]")
        msg = (
            f"{argument}: {name} is not finite at {unknown.size} of {variable.size} epochs, the first being {date}: "
            "give it, or leave the epoch out with slc.isel(time=...)"
        )
        raise InputError(msg)


def _per_metre(look: xr.DataArray, *, wavelength: float, centre_look: float) -> tuple[xr.Variable, xr.Variable]:
    """Radians that a metre of perpendicular and of parallel baseline makes."""
    per_metre = partial(geometry.baseline_phase, look=look, wavelength=wavelength, centre_look=centre_look)
    one, none = xr.DataArray(1.0), xr.DataArray(0.0)
    return per_metre(one, parallel_baseline=none).variable, per_metre(none, parallel_baseline=one).variable


def _centre_look(slc: xr.Dataset, argument: str) -> float:
    """Look angle that baselines belong to, degrees."""
    if "centre_look" in slc.attrs:
        value = slc.attrs["centre_look"]
        try:
            angle = float(value)
        except (TypeError, ValueError):
            angle = np.nan
        if not 0 < angle < 90:
            msg = f"{argument}: attrs['centre_look'] must be a look angle in degrees, got {value!r}"
            raise InputError(msg)
        return angle
    medians = []
    for name in ("incidence", "slant_range"):
        variable = slc[name].variable
        step = max(1, int(np.ceil(np.sqrt(variable.size / _SAMPLE))))
        values = np.asarray(variable[{dim: slice(None, None, step) for dim in variable.dims}].values, np.float64)
        if not np.isfinite(values).any():
            msg = f"{argument}: {name} has no finite value, so baselines have no look angle: give it by pixel"
            raise InputError(msg)
        medians.append(float(np.nanmedian(values)))
    return float(geometry.look_angle(medians[0], medians[1]))
