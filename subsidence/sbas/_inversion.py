"""Network inversion: labels, checks and units around the kernel."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from subsidence import _blocks, geometry, schema
from subsidence._blocks import Output, Progress
from subsidence._kernels import network as kernels
from subsidence.errors import DisconnectedNetworkWarning, InputError
from subsidence.network import Network, epoch_baselines, reference_phase
from subsidence.sbas._height import remove_residual_height
from subsidence.sbas._plausible import check_values
from subsidence.schema import Status
from subsidence.timescale import to_elapsed
from subsidence.typing import AnyArray, ReferenceLike

__all__ = ["invert_network"]

Weights = Literal["variance", "coherence"] | xr.DataArray | None

_ROBUST = {None: kernels.NOT_ROBUST, "huber": kernels.HUBER, "l1": kernels.L1}
#: Bytes of the factor and the inverse of one batch that stay in a core's cache.
_SCRATCH = 2**19
_CARRIED = ("wavelength", "incidence", "slant_range", "heading", "los_east", "los_north", "los_up", "height")


def invert_network(
    stack: xr.Dataset,
    *,
    weights: Weights = "variance",
    reference: ReferenceLike = None,
    min_pairs: int | None = None,
    robust: Literal["huber", "l1"] | None = None,
    residual_height: bool = False,
    minimum_norm: bool = False,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Displacement series from a network of unwrapped interferograms, by least squares at every place.

    .. warning::
        Displacement is along the line of sight, **positive towards the satellite**: subsidence is negative.

    Parameters
    ----------
    stack
        INTERFEROGRAMS: ``unwrapped_phase`` (pair, y, x) or (pair, point) in radians, NaN where there is no
        data; ``coherence`` where weights need it. In memory, or chunked: then the result is lazy.
    weights
        "variance": inverse phase variance from coherence, :math:`2 L \gamma^2 / (1 - \gamma^2)`, at least
        :math:`3 / \pi^2` (the variance of a phase that says nothing) where ``looks`` is known;
        "coherence": coherence itself; None: all pairs alike; or a DataArray of positive weights along
        ``pair``, with or without the place (NaN or 0 leaves a pair out). Weights along ``pair`` alone are spread
        over the places, which takes as much memory as the phases.
    reference
        Where displacement is zero: ``{"row", "col"}``, ``{"lon", "lat"}``, ``{"x", "y"}``, ``{"point"}``, a
        boolean DataArray (its mean), "max_coherence" (the place of largest mean coherence among those with
        every pair), or None: the phases are referenced already.
    min_pairs
        Places with fewer valid pairs get NaN and the status ``TOO_FEW_PAIRS``.
    robust
        "huber" or "l1": iteratively reweighted least squares, against unwrapping errors.
    residual_height
        Estimate the residual height jointly with a quadratic motion from the perpendicular baselines, and
        take its phase off the displacement (docs: decisions).
    minimum_norm
        Join the parts of a network that fell apart by the least norm of velocity between epochs [2]_.
        Otherwise the epochs that pairs do not join to the first are NaN.
    threads
        Threads for data in memory; None takes every CPU that this process may use.
    progress
        True for a bar, or a function that is told (places done, places in all). For data in memory.

    Returns
    -------
    xarray.Dataset
        SERIES: ``displacement`` (time, place) in metres, zero at the first epoch; ``displacement_std`` in
        metres, the noise **of the network** alone: what closes cannot show, above all each epoch's
        atmosphere, is not in it (see :func:`subsidence.add_atmospheric_variance`); ``temporal_coherence``;
        ``pair_count``; ``status`` (:class:`subsidence.schema.Status`); with `residual_height` also
        ``residual_height`` and ``residual_height_std`` in metres. The reference is recorded in attrs.

    Raises
    ------
    SchemaError
        When `stack` is not INTERFEROGRAMS; every fault is listed.
    InputError
        When pairs are reversed or there twice, phases are wrapped, coherence is not 0..1, the reference is
        outside or NaN, or every place lacks data.

    Warns
    -----
    DisconnectedNetworkWarning
        When the pairs do not join all epochs.
    SuspiciousDataWarning
        When zeros seem to stand for "no data".

    Notes
    -----
    At each place, with the pairs that are valid there, :math:`\min_\phi \sum_p w_p (\phi_p - \phi_{s(p)}
    + \phi_{r(p)})^2` with :math:`\phi` zero at the first epoch [1]_, [2]_. The normal matrix is a weighted
    graph Laplacian, banded in time order; it is factorised in place, float64. Where all pairs weigh the
    same and are valid one factorisation serves all places; long links are reordered (reverse
    Cuthill-McKee). The standard deviation is :math:`\sqrt{\hat\sigma_0^2 (N^{-1})_{ii}}` with
    :math:`\hat\sigma_0^2` from that place's residuals, NaN where no pair is redundant. Noise that pairs
    with a common image share closes, so residuals do not show all of it: with weights="variance" and known
    ``looks`` the factor is therefore at least 1, what coherence says (docs: decisions).
    Temporal coherence is :math:`|\frac{1}{n} \sum_p e^{j r_p}|` over the valid pairs [3]_.

    Memory: the results, and one copy of the phases if they are not float32 with ``pair`` first. A chunked
    stack needs some chunks at a time.

    References
    ----------
    .. [1] Usai S. (2003) doi:10.1109/TGRS.2003.810675
    .. [2] Berardino P. et al. (2002) doi:10.1109/TGRS.2002.803792
    .. [3] Pepe A., Lanari R. (2006) doi:10.1109/TGRS.2006.873207

    Examples
    --------
    >>> import subsidence as sd
    >>> stack, truth = sd.simulate.interferogram_scene(shape=(20, 24), epochs=8, seed=1)
    >>> series = sd.invert_network(stack, reference={"row": 2, "col": 2})
    >>> dict(series.displacement.sizes), series.attrs["reference"]
    ({'time': 8, 'y': 20, 'x': 24}, 'pixel row 2, col 2')
    """
    schema.INTERFEROGRAMS.check(stack, argument="stack")
    if "unwrapped_phase" not in stack:
        msg = "stack holds wrapped 'phase' only: unwrap it first, with subsidence.unwrap(stack)"
        raise InputError(msg)
    if robust not in _ROBUST:
        msg = f"robust must be None, 'huber' or 'l1', got {robust!r}"
        raise InputError(msg)
    place = schema.spatial_dims(stack, argument="stack")
    network = Network.of(stack)
    count = network.first.size
    if min_pairs is not None and not (isinstance(min_pairs, (int, np.integer)) and 1 <= min_pairs <= count):
        msg = f"min_pairs must lie between 1 and the number of pairs, {count}, got {min_pairs!r}"
        raise InputError(msg)
    if residual_height:
        _check_height_inputs(stack, network)
    _warn_of_parts(network, minimum_norm=minimum_norm)

    phase = stack.variables["unwrapped_phase"].transpose("pair", *place).astype(np.float32, copy=False)
    quality, weighting = _quality(stack, weights, place)
    inputs = [phase] if quality is None else [phase, quality]
    lazy = any(variable.chunks is not None for variable in inputs)
    if not lazy:
        check_values(phase.values, None if quality is None or weighting == kernels.GIVEN else quality.values)
    if isinstance(reference, str):
        reference = _most_coherent(stack, phase, reference)
    attrs, at_reference = reference_phase(stack, phase, reference, network)
    job = _Job.plan(
        network,
        stack,
        reference_phase=at_reference,
        weighting=weighting,
        check=lazy,
        min_pairs=min_pairs or 0,
        robust=robust,
        minimum_norm=minimum_norm,
    )
    epochs = (network.dates.size,)
    outputs = (
        Output(("time",), epochs, np.float32),
        Output(("time",), epochs, np.float32),
        Output((), (), np.float32),
        Output((), (), np.int32),
        Output((), (), np.int8),
    )
    solved = _blocks.run(
        job, inputs, outputs, place=place, threads=threads, progress=progress, label="network inversion"
    )
    names = ("displacement", "displacement_std", "temporal_coherence", "pair_count", "status")
    series = xr.Dataset(dict(zip(names, solved, strict=True)), _coordinates(stack, network))
    if not lazy and (series["status"].values == Status.NO_DATA).all():
        msg = "stack has no place with data: unwrapped_phase (or its weights) is NaN everywhere"
        raise InputError(msg)
    series["status"].attrs = dict(schema.STATUS)
    series.attrs = {
        "component": "los",
        **attrs,
        "reference_time": str(np.datetime_as_string(network.dates[0], unit="s")),
        "weights": weights if isinstance(weights, str) else "none" if weights is None else "given",
        "robust": robust or "none",
        **{name: stack.attrs[name] for name in ("delays_removed",) if name in stack.attrs},
    }
    if residual_height:
        series = remove_residual_height(series, threads=threads)
    return schema.SERIES.stamp(series)


@dataclass(frozen=True, eq=False)
class _Job:
    """The kernel with everything but phases, quality and outputs; it survives pickling."""

    reference_phase: AnyArray
    lower: AnyArray
    upper: AnyArray
    sign: AnyArray
    order: AnyArray
    years: AnyArray
    lanes: int
    bandwidth: int
    weighting: int
    weight_scale: float
    weight_floor: float
    least_variance: float
    check: bool
    min_pairs: int
    robust: int
    minimum_norm: bool
    scale: float

    @classmethod
    def plan(
        cls,
        network: Network,
        stack: xr.Dataset,
        *,
        reference_phase: AnyArray,
        weighting: int,
        check: bool,
        min_pairs: int,
        robust: str | None,
        minimum_norm: bool,
    ) -> _Job:
        order, bandwidth = network.elimination_order()
        position = network.positions(order)
        first, second = position[network.first], position[network.second]
        lanes = 64
        while lanes > 8 and 2 * 8 * order.size * (bandwidth + 1) * lanes > _SCRATCH:
            lanes //= 2
        looks = float(stack["looks"]) if "looks" in stack.variables else None
        # Without looks only the ratios of the weights are known, and no floor but one against zero.
        floor = {kernels.VARIANCE: 3 / np.pi**2 if looks else 1e-4, kernels.COHERENCE: 1e-3}.get(weighting, 0.0)
        wavelength = float(stack["wavelength"])
        return cls(
            reference_phase=reference_phase,
            lower=np.minimum(first, second),
            upper=np.maximum(first, second),
            sign=np.where(second > first, 1.0, -1.0),
            order=order,
            years=to_elapsed(network.dates),
            lanes=lanes,
            bandwidth=bandwidth,
            weighting=weighting,
            weight_scale=2 * looks if looks else 1.0,
            weight_floor=floor,
            least_variance=1.0 if looks and weighting == kernels.VARIANCE else 0.0,
            check=check,
            min_pairs=min_pairs,
            robust=_ROBUST[robust],
            minimum_norm=minimum_norm,
            scale=float(geometry.phase_to_displacement(xr.Variable((), 1.0), wavelength)),
        )

    def __call__(self, start: int, stop: int, phase: AnyArray, *others: AnyArray) -> None:
        outputs = others[-5:]
        quality = others[0] if len(others) > 5 else np.empty((0, 0), np.float32)
        if self.check:  # a chunk of a lazy stack, looked at only now
            check_values(phase, quality if self.weighting in {kernels.VARIANCE, kernels.COHERENCE} else None)
        kernels.invert(
            start,
            stop,
            phase,
            quality,
            self.reference_phase,
            self.lower,
            self.upper,
            self.sign,
            self.order,
            self.years,
            self.lanes,
            self.bandwidth,
            self.weighting,
            self.weight_scale,
            self.weight_floor,
            self.least_variance,
            self.min_pairs,
            self.robust,
            self.minimum_norm,
            self.scale,
            *outputs,
        )


def _quality(stack: xr.Dataset, weights: Weights, place: tuple[str, ...]) -> tuple[xr.Variable | None, int]:
    """What the weights are made of, ``(pair, *place)`` float32, and how."""
    if weights is None:
        return None, kernels.UNIFORM
    if isinstance(weights, xr.DataArray):
        return _given_weights(stack, weights, place), kernels.GIVEN
    if not isinstance(weights, str) or weights not in {"variance", "coherence"}:
        msg = f"weights must be 'variance', 'coherence', None or a DataArray along 'pair', got {weights!r}"
        raise InputError(msg)
    if "coherence" not in stack:
        msg = f"weights={weights!r} needs 'coherence', which stack does not hold: give weights=None"
        raise InputError(msg)
    quality = stack.variables["coherence"].transpose("pair", *place).astype(np.float32, copy=False)
    return quality, kernels.VARIANCE if weights == "variance" else kernels.COHERENCE


def _given_weights(stack: xr.Dataset, weights: xr.DataArray, place: tuple[str, ...]) -> xr.Variable:
    sizes = {dim: stack.sizes[dim] for dim in ("pair", *place)}
    if "pair" not in weights.dims or any(weights.sizes[dim] != sizes.get(str(dim)) for dim in weights.dims):
        msg = f"weights have sizes {dict(weights.sizes)}, expected {sizes} or only 'pair'"
        raise InputError(msg)
    if weights.chunks is None and float(weights.min()) < 0:
        msg = f"weights must not be negative, got {float(weights.min()):g}"
        raise InputError(msg)
    _check_labels(stack, weights)
    spread = weights.variable
    if set(weights.dims) != set(sizes):
        spread = xr.full_like(stack.variables["unwrapped_phase"], 1.0, np.float32) * spread  # lazy where the phase is
    return spread.transpose("pair", *place).astype(np.float32, copy=False)


def _check_labels(stack: xr.Dataset, weights: xr.DataArray) -> None:
    """Weights of other pairs or places, or in another order, would go unnoticed."""
    for name in {*weights.dims, "reference", "secondary"}:
        if name not in weights.coords or name not in stack.coords:
            continue
        if not np.array_equal(weights[name].values, stack[name].values):
            msg = f"weights differ from stack in the coordinate {name!r}: align them first, with weights.reindex_like"
            raise InputError(msg)


def _most_coherent(stack: xr.Dataset, phase: xr.Variable, rule: str) -> dict[str, float]:
    if rule != "max_coherence":
        msg = f"reference must be a place, a mask, 'max_coherence' or None, got {rule!r}"
        raise InputError(msg)
    if "coherence" not in stack:
        msg = "reference='max_coherence' needs 'coherence', which stack does not hold: name a place"
        raise InputError(msg)
    mean = stack["coherence"].mean("pair").where(stack["unwrapped_phase"].notnull().all("pair"))
    values = np.asarray(mean.transpose(*(dim for dim in phase.dims if dim != "pair")).values)
    if not np.isfinite(values).any():
        msg = "reference='max_coherence': no place has data in every pair; name a place or a mask"
        raise InputError(msg)
    best = np.unravel_index(int(np.nanargmax(values)), values.shape)
    if values.ndim == 1:
        label = stack["point"].values[best[0]] if "point" in stack.coords else best[0]
        return {"point": float(label)}
    return {"row": float(best[0]), "col": float(best[1])}


def _coordinates(stack: xr.Dataset, network: Network) -> dict[str, xr.Variable]:
    places = set(schema.spatial_dims(stack))
    coordinates: dict[str, xr.Variable] = {
        str(name): variable
        for name, variable in stack.variables.items()
        if set(variable.dims) <= places and (name in stack.coords or name in _CARRIED)
    }
    coordinates["time"] = xr.Variable("time", network.dates)
    baselines = stack.variables.get("perpendicular_baseline")
    if baselines is not None and baselines.dims == ("pair",) and np.isfinite(baselines.values).all():
        coordinates["perpendicular_baseline"] = epoch_baselines(stack).variable
    return coordinates


def _warn_of_parts(network: Network, *, minimum_norm: bool) -> None:
    parts = network.parts()
    if parts.max() == 0:
        return
    days = np.datetime_as_string(network.dates, unit="D")
    spans = "; ".join(
        f"{days[parts == part][0]} .. {days[parts == part][-1]} ({(parts == part).sum()} epochs)"
        for part in range(parts.max() + 1)
    )
    outcome = (
        "joined by the least norm of velocity"
        if minimum_norm
        else "NaN outside the first; minimum_norm=True would join them"
    )
    msg = f"the pairs fall into {parts.max() + 1} parts that none joins: {spans}. Displacement is {outcome}"
    warnings.warn(msg, DisconnectedNetworkWarning, stacklevel=3)


def _check_height_inputs(stack: xr.Dataset, network: Network) -> None:
    missing = [name for name in ("perpendicular_baseline", "slant_range", "incidence") if name not in stack.variables]
    if missing:
        msg = f"residual_height=True needs {', '.join(map(repr, missing))}, which stack does not hold"
        raise InputError(msg)
    if network.dates.size < 6:
        msg = f"residual_height=True needs at least 6 epochs for its 4 unknowns, got {network.dates.size}"
        raise InputError(msg)
    if network.parts().max() > 0:
        msg = "residual_height=True needs pairs that join all epochs: the baselines of the parts cannot be compared"
        raise InputError(msg)
    baselines = epoch_baselines(stack).values
    if np.ptp(baselines) < 1.0:
        msg = (
            f"residual_height=True needs perpendicular baselines that differ, got {baselines.min():g} to "
            f"{baselines.max():g} m: are they in metres?"
        )
        raise InputError(msg)
