"""Orbital ramps and height-correlated delay: fitted on stable ground, taken off everywhere."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import xarray as xr
from scipy import sparse, special
from scipy.sparse import linalg

from subsidence import schema
from subsidence._blocks import Output, run
from subsidence._extras import require
from subsidence._kernels import delays as kernels
from subsidence._reference import resolve
from subsidence.errors import InputError, SuspiciousDataWarning
from subsidence.network import Network
from subsidence.timescale import to_elapsed
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["correct_delays"]

#: Terms of a ramp, by name, as numbered in the kernels (0 is the constant, 6 the height).
_RAMPS: dict[str | None, dict[str, int]] = {
    None: {},
    "plane": {"x": 1, "y": 2},
    "quadratic": {"x": 1, "y": 2, "x2": 3, "xy": 4, "y2": 5},
}
_HEIGHT = 6
#: Places a pair must have beyond the number of its terms.
_SPARE = 10
#: Least eigenvalue of the terms' correlation matrix: below it they cannot be told apart on the places fitted.
_SEPARABLE = 1e-8


def correct_delays(
    stack: xr.Dataset,
    *,
    ramp: Literal["plane", "quadratic"] | None = None,
    height_delay: bool = False,
    mask: xr.DataArray | None = None,
    consistent: bool = True,
) -> xr.Dataset:
    r"""
    Take orbital ramps and height-correlated delay off unwrapped interferograms.

    .. warning::
        A ramp fitted through a subsidence bowl takes part of the subsidence with it. `mask` keeps the fit on
        stable ground; the ramp is then removed everywhere.

    Parameters
    ----------
    stack
        INTERFEROGRAMS with ``unwrapped_phase`` in radians, and ``height`` in metres for `height_delay`.
    ramp
        ``"plane"``: terms x, y; ``"quadratic"``: x, y, x2, xy, y2; or no ramp.
    height_delay
        Whether to remove what is proportional to height (stratified troposphere).
    mask
        Boolean, along place: True on stable ground, outside the deforming area. None fits everywhere.
    consistent
        Ramps and delays belong to acquisitions, so those of pairs must close around every triplet. True solves
        for one set of coefficients per epoch from all pairs at once (least squares), which leaves closures as
        they are. False fits each pair alone: for a single interferogram, or where processing itself has put a
        ramp into pairs.

    Returns
    -------
    xarray.Dataset
        The stack with a new ``unwrapped_phase`` (and ``phase``, where it is there, wrapped again), and what was
        removed: ``ramp_coefficients`` (pair, term) in radians, of coordinates scaled to -1 .. 1 from one edge of
        the scene to the other (2 rad of ``x`` means 4 rad from west to east); ``delay_per_height`` (pair) in rad/m;
        ``std_before`` and ``std_after`` (pair), the standard deviation of the phase in radians over the places
        fitted. Terms are zero at the scene's centre and at the mean height; each interferogram keeps its
        constant, and its value at a reference place changes: reference afterwards. Where height is
        NaN, so is the phase when `height_delay` is asked for.

    Raises
    ------
    InputError
        When there is nothing to remove, phase is wrapped, height is missing or constant, the mask does not fit,
        or a pair has too few places, or places on one line, to tell the terms apart.

    Warns
    -----
    SuspiciousDataWarning
        When `mask` is None and what is removed grows with the time between acquisitions, as deformation does
        and orbits and atmosphere do not.

    Notes
    -----
    For pair :math:`p` between epochs :math:`i` and :math:`j`, with :math:`g` the terms at a place,

    .. math:: \phi_p = c_p + g^\mathsf{T} (a_j - a_i) + \text{rest}, \qquad \phi'_p = \phi_p - g^\mathsf{T} (a_j - a_i)

    and :math:`a_j - a_i` replaced by a free :math:`a_p` when not `consistent`. All places count alike.
    Chunked (dask) data are read once, for sums by chunk; the correction itself stays lazy.

    References
    ----------
    Biggs, J., T. Wright, Z. Lu and B. Parsons (2007), Multi-interferogram method for measuring interseismic
    deformation: Denali Fault, Alaska, Geophys. J. Int. 170, 1165-1179, doi:10.1111/j.1365-246X.2007.03415.x

    Doin, M.-P., C. Lasserre, G. Peltzer, O. Cavalie and C. Doubre (2009), Corrections of stratified tropospheric
    delays in SAR interferometry, J. Appl. Geophys. 69, 35-50, doi:10.1016/j.jappgeo.2009.03.010

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> dates = np.array(["2018-01-06", "2018-01-18"], "M8[ns]")
    >>> x, y = np.arange(0.0, 500.0, 50.0), np.arange(400.0, 0.0, -50.0)
    >>> tilt = 0.01 * x + 0.0 * y[:, np.newaxis]
    >>> stack = xr.Dataset(
    ...     {"unwrapped_phase": (("pair", "y", "x"), tilt[np.newaxis])},
    ...     {"reference": ("pair", dates[:1]), "secondary": ("pair", dates[1:]), "wavelength": 0.0555, "x": x, "y": y},
    ... )
    >>> flat = correct_delays(stack, ramp="plane")
    >>> flat.ramp_coefficients.sel(term="x").values.round(3).tolist()
    [2.25]
    >>> float(flat.unwrapped_phase.std()) < 1e-12
    True
    """
    schema.INTERFEROGRAMS.check(stack, argument="stack", needs=("unwrapped_phase",))
    if ramp not in _RAMPS:
        msg = f"ramp must be 'plane', 'quadratic' or None, got {ramp!r}"
        raise InputError(msg)
    if ramp is None and not height_delay:
        msg = "nothing to remove: give ramp='plane', ramp='quadratic' or height_delay=True"
        raise InputError(msg)
    names = _RAMPS[ramp]
    terms = np.array([0, *names.values(), *([_HEIGHT] if height_delay else [])])
    network = Network.of(stack)
    ground = _Ground.of(stack, mask, height_delay=height_delay, ramp=ramp)
    fits = _Fits.of(_moments(ground, terms), terms.size)
    fits.check(network)
    coefficients = fits.over_epochs(network) if consistent else fits.alone()
    if mask is None:
        _warn_of_deformation(fits, coefficients, network)

    every = np.zeros((network.first.size, 6))
    every[:, terms[1:] - 1] = coefficients
    changed: dict[str, Any] = {"unwrapped_phase": _removed(ground.phase, every, ground, wrapped=False)}
    if "phase" in stack.variables:
        wrapped = stack.variables["phase"].transpose("pair", *ground.place)
        changed["phase"] = _removed(wrapped, every, ground, wrapped=True)
    before, after = fits.std(coefficients)
    changed |= {"std_before": ("pair", before), "std_after": ("pair", after)}
    if height_delay:
        changed["delay_per_height"] = ("pair", coefficients[:, -1] / ground.height_scale)
    if names:
        stack = stack.drop_vars(["ramp_coefficients", "term"], errors="ignore")
        changed["ramp_coefficients"] = (("pair", "term"), coefficients[:, : len(names)], ground.scaling)
        changed["term"] = ("term", list(names))
    words = [f"{ramp} ramp"] * bool(names) + ["height-correlated delay"] * height_delay
    done = f"{' and '.join(words)} fitted {'over epochs' if consistent else 'pair by pair'} on {ground.words}"
    earlier = stack.attrs.get("delays_removed")
    result = stack.assign(changed).assign_attrs(delays_removed=f"{earlier}; {done}" if earlier else done)
    return schema.INTERFEROGRAMS.stamp(result.set_coords("term") if names else result)


@dataclass(frozen=True, eq=False)
class _Ground:
    """Phase, scaled coordinates and height, and the places fitted; lazy where the phase is."""

    phase: xr.Variable
    u: xr.Variable
    v: xr.Variable
    h: xr.Variable
    use: xr.Variable
    place: tuple[str, ...]
    scaling: dict[str, float]
    height_scale: float
    words: str

    @classmethod
    def of(cls, stack: xr.Dataset, mask: object, *, height_delay: bool, ramp: str | None) -> _Ground:
        place = schema.spatial_dims(stack, argument="stack")
        phase = stack.variables["unwrapped_phase"].transpose("pair", *place)
        sizes = {dim: phase.sizes[dim] for dim in place}
        use, words = xr.Variable(place, np.ones(tuple(sizes.values()), bool)), "all places"
        if mask is not None:
            if not isinstance(mask, xr.DataArray):
                msg = (
                    f"mask must be a boolean xarray.DataArray (True = stable ground) or None, got {type(mask).__name__}"
                )
                raise InputError(msg)
            _, attrs, found = resolve(stack, mask, argument="mask")
            use, words = cast("xr.Variable", found), f"{attrs['reference_count']} places"
        height, scale = xr.Variable((), 0.0), 1.0
        if height_delay:
            height, scale = _scaled_height(stack, use, place)
            use = use & np.isfinite(height)
        scaling: dict[str, float] = {}
        fields = [height]
        for name, along in (("y", "lat"), ("x", "lon")) if ramp else ():
            fields.append(_scaled_coordinate(stack, name, along, place, scaling))
        fields += [xr.Variable((), 0.0)] * (3 - len(fields))
        cuts = {dim: phase.chunksizes[dim] for dim in place} if phase.chunks is not None else {}
        h, v, u, use = (_spread(field, sizes, cuts) for field in (*fields, use))
        return cls(phase, u, v, h, use, place, scaling, scale, words)


def _spread(field: xr.Variable, sizes: dict[str, int], cuts: dict[str, tuple[int, ...]]) -> xr.Variable:
    """`field` over every place, cut as the phase is; a chunked one is spread lazily, not carried in the graph."""
    if cuts:
        field = field.chunk({str(dim): cuts[str(dim)] for dim in field.dims})
    spread: xr.Variable = field.set_dims(sizes)  # type: ignore[no-untyped-call]  # xarray leaves it untyped
    return spread.transpose(*sizes).chunk(cuts) if cuts else spread.transpose(*sizes)


def _scaled_height(stack: xr.Dataset, use: xr.Variable, place: tuple[str, ...]) -> tuple[xr.Variable, float]:
    if "height" not in stack.variables:
        msg = "height_delay=True needs 'height' (m, along place), which stack does not hold: assign it from a DEM"
        raise InputError(msg)
    height = stack.variables["height"]
    if set(height.dims) != set(place):
        msg = f"height_delay=True needs 'height' along {place}, got dims {height.dims}"
        raise InputError(msg)
    height = height.transpose(*place).astype(float).load()
    chosen = height.values[use.values & np.isfinite(height.values)]
    scale = float(chosen.std()) if chosen.size else 0.0
    if not scale > 1e-6:
        where = f"{chosen.size} places of the mask" if not use.values.all() else "scene"
        msg = (
            f"height_delay=True, but 'height' is constant or NaN over the {where}: "
            "a delay cannot be seen to change with height there"
        )
        raise InputError(msg)
    return (height - chosen.mean()) / scale, scale


def _scaled_coordinate(
    stack: xr.Dataset, name: str, other: str, place: tuple[str, ...], scaling: dict[str, float]
) -> xr.Variable:
    """Coordinate from -1 to 1; pixel numbers where the raster has no coordinates."""
    dims = (name,) if place == ("y", "x") else place
    found = next((stack.variables[n] for n in (name, other) if n in stack.variables), None)
    if found is None or found.dims != dims:
        if place == ("point",):
            msg = f"ramp needs coordinates of the points, {name!r} or {other!r}, along 'point'"
            raise InputError(msg)
        found = xr.Variable(dims, np.arange(stack.sizes[name]))
    values = np.asarray(found.values, float)
    low, high = values.min(), values.max()
    if not np.isfinite(high - low):
        msg = f"ramp: coordinate {name!r} is not finite everywhere"
        raise InputError(msg)
    scaling[f"{name}_centre"] = float(low + high) / 2
    scaling[f"{name}_half_width"] = half = float(high - low) / 2
    return xr.Variable(dims, (values - scaling[f"{name}_centre"]) / (half or 1.0))


def _moments(ground: _Ground, terms: IntArray) -> FloatArray:
    """Sums of the normal equations of each pair, ``(pair, moment)``; see the kernel."""
    fields = (ground.u, ground.v, ground.h, ground.use)
    if ground.phase.chunks is None:
        axes = len(ground.place)
        sums = _chunk_moments(ground.phase.data, *(field.data for field in fields), terms=terms)
        return sums.reshape(sums.shape[:-axes])
    da = require("dask.array", extra="dask", purpose="a chunked dataset")
    inputs: list[Any] = [ground.phase.data, ("pair", *ground.place)]
    for field in fields:
        inputs += [field.data, ground.place]
    partial_sums = da.blockwise(
        _chunk_moments,
        ("pair", "moment", *ground.place),
        *inputs,
        terms=terms,
        new_axes={"moment": _moment_count(terms.size)},
        adjust_chunks=dict.fromkeys(ground.place, 1),
        meta=np.empty((0,) * (2 + len(ground.place))),
    )
    return np.asarray(partial_sums.sum(axis=tuple(range(2, partial_sums.ndim))).compute())


def _chunk_moments(
    phase: AnyArray, u: AnyArray, v: AnyArray, h: AnyArray, use: AnyArray, *, terms: IntArray
) -> FloatArray:
    """Sums over one chunk, ``(pair, moment, 1, 1)``."""
    out = np.empty((phase.shape[0], _moment_count(terms.size)))
    u, v, h, use = (np.ascontiguousarray(field).reshape(-1) for field in (u, v, h, use))
    kernels.moments(np.ascontiguousarray(phase).reshape(phase.shape[0], -1), u, v, h, use, terms, out)
    return out.reshape(*out.shape, *(1,) * (phase.ndim - 1))


def _moment_count(terms: int) -> int:
    return terms * (terms + 1) // 2 + terms + 1


@dataclass(frozen=True, eq=False)
class _Fits:
    """Normal equations of each pair, its constant eliminated: ``normal @ coefficients = right``."""

    count: FloatArray  # (pair,)
    normal: FloatArray  # (pair, term, term)
    right: FloatArray  # (pair, term)
    square: FloatArray  # (pair,) sum of squares of the phase about its mean

    @classmethod
    def of(cls, moments: FloatArray, terms: int) -> _Fits:
        half = terms * (terms + 1) // 2
        full = np.zeros((moments.shape[0], terms, terms))
        upper = np.triu_indices(terms)
        full[:, upper[0], upper[1]] = moments[:, :half]
        full[:, upper[1], upper[0]] = moments[:, :half]
        count, sums, projected = full[:, 0, 0], full[:, 0, 1:], moments[:, half : half + terms]
        divisor = np.maximum(count, 1.0)
        normal = full[:, 1:, 1:] - sums[:, :, np.newaxis] * sums[:, np.newaxis] / divisor[:, np.newaxis, np.newaxis]
        right = projected[:, 1:] - sums * (projected[:, 0] / divisor)[:, np.newaxis]
        return cls(count, normal, right, np.maximum(moments[:, -1] - projected[:, 0] ** 2 / divisor, 0.0))

    def check(self, network: Network) -> None:
        """Say which pair cannot be fitted, and why."""
        needed = self.right.shape[1] + 1 + _SPARE
        few = np.flatnonzero(self.count < needed)
        if few.size:
            p = int(few[0])
            msg = (
                f"pair {network.pair_name(p)} (number {p}) has data at {int(self.count[p])} of the places fitted, "
                f"fewer than {needed} (as {few.size - 1} other pairs do): widen the mask or drop the pair"
            )
            raise InputError(msg)
        spread = np.sqrt(np.maximum(np.einsum("pkk->pk", self.normal), 0.0) / self.count[:, np.newaxis])
        scale = np.maximum(spread, 1e-12) * np.sqrt(self.count)[:, np.newaxis]
        correlation = self.normal / (scale[:, :, np.newaxis] * scale[:, np.newaxis])
        least = np.linalg.eigvalsh(correlation)[:, 0]
        lame = np.flatnonzero((least < _SEPARABLE) | (spread < 1e-6).any(axis=1))
        if lame.size:
            p = int(lame[0])
            msg = (
                f"pair {network.pair_name(p)} (number {p}) cannot tell the terms apart: the places fitted lie on "
                "one line or height follows the ramp there. Widen the mask or fit fewer terms"
            )
            raise InputError(msg)

    def alone(self) -> FloatArray:
        """Coefficients of each pair from its own phase."""
        return np.linalg.solve(self.normal, self.right[..., np.newaxis])[..., 0]

    def over_epochs(self, network: Network) -> FloatArray:
        """Coefficients of each pair as differences between epochs, from the phase of all pairs."""
        pairs, terms = self.right.shape
        # Differences alone are seen: the first epoch of each connected part is zero.
        free = np.setdiff1d(np.arange(network.dates.size), np.unique(network.parts(), return_index=True)[1])
        ends = (np.repeat([-1.0, 1.0], pairs), (np.tile(np.arange(pairs), 2), np.r_[network.first, network.second]))
        incidence = sparse.csc_array(ends, shape=(pairs, network.dates.size))[:, free]
        design = sparse.csc_array(sparse.kron(incidence, sparse.eye_array(terms)))
        blocks = sparse.bsr_array((self.normal, np.arange(pairs), np.arange(pairs + 1)), shape=2 * (pairs * terms,))
        solved = linalg.splu(sparse.csc_array(design.T @ blocks @ design)).solve(design.T @ self.right.ravel())
        return np.asarray(design @ solved).reshape(pairs, terms)

    def std(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Standard deviation of each pair's phase before and after the terms are taken off."""
        crossed = np.einsum("pk,pk->p", coefficients, self.right)
        left = self.square - 2 * crossed + self.power(coefficients)
        return np.sqrt(self.square / self.count), np.sqrt(np.maximum(left, 0.0) / self.count)

    def power(self, coefficients: FloatArray) -> FloatArray:
        """Sum of squares of the terms about their mean, over the places of each pair."""
        return np.asarray(np.einsum("pk,pkl,pl->p", coefficients, self.normal, coefficients))


def _warn_of_deformation(fits: _Fits, coefficients: FloatArray, network: Network) -> None:
    """Say that what is removed looks like deformation: the same pattern in all pairs, in step with their length."""
    epochs = network.dates.size
    years = to_elapsed(network.dates)
    span = years[network.second] - years[network.first]
    rate = coefficients.T @ span / (span @ span)
    removed = fits.power(coefficients).sum()
    steady = fits.power(span[:, np.newaxis] * rate).sum()
    if epochs < 4 or removed < 1e-4 * fits.square.sum():
        return
    # Of values that are random from epoch to epoch, a straight line explains less than this in 99 % of cases.
    quantile = special.stdtrit(epochs - 2, 0.995) ** 2
    chance = quantile / (quantile + epochs - 2)
    if steady > max(0.5, chance) * removed:
        msg = (
            f"{steady / removed:.0%} of the variance that is removed grows with the time between acquisitions, as "
            "deformation does and orbits and atmosphere do not: give mask=, True on stable ground alone"
        )
        warnings.warn(msg, SuspiciousDataWarning, stacklevel=3)


def _removed(phase: xr.Variable, coefficients: FloatArray, ground: _Ground, *, wrapped: bool) -> xr.Variable:
    kernel = partial(kernels.remove, coefficients, wrapped)
    output = Output(("pair",), (phase.sizes["pair"],), phase.dtype)
    (result,) = run(kernel, [phase, ground.u, ground.v, ground.h], [output], place=ground.place)
    return result.chunk(phase.chunksizes) if phase.chunks is not None else result
