"""Closure phase of triplets, and what it says about unwrapping errors."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Output, run
from subsidence._kernels import closure as kernels
from subsidence.errors import InputError, SuspiciousDataWarning
from subsidence.network import Network, reference_phase
from subsidence.typing import FloatArray, IntArray, ReferenceLike

__all__ = ["closure_mask", "closure_phase", "unwrapping_error_counts"]

_CYCLE = 2 * np.pi
#: Places looked at when asking whether interferograms have constants of their own.
_SAMPLE = 500
#: Places with data below which that is not asked.
_ENOUGH = 20


def closure_phase(stack: xr.Dataset, *, reference: ReferenceLike = None, threads: int | None = None) -> xr.Dataset:
    r"""
    Closure phase of every triplet of pairs.

    Three acquisitions joined by three pairs close: the phases of the two short pairs add up to that of the
    long one. What an epoch contributes (motion, atmosphere, orbit) cancels, so what is left is noise, a bias
    of multilooked phase, or whole cycles that an unwrapping error left in one of the pairs.

    Parameters
    ----------
    stack
        INTERFEROGRAMS. ``unwrapped_phase`` in radians, positive away from the satellite, is used where the
        stack has it, else the wrapped ``phase``.
    reference
        Place whose closures are taken to be zero: ``{"row", "col"}``, ``{"lon", "lat"}``, ``{"x", "y"}``,
        ``{"point"}`` or a boolean DataArray (its mean; unwrapped phase only). Unwrapping leaves each
        interferogram a constant of its own, so closures of unwrapped phase count cycles only against a place.
        None: the phases are referenced already.
    threads
        Threads for data in memory, all CPUs by default. Chunked (dask) data stay lazy.

    Returns
    -------
    xarray.Dataset
        CLOSURES, along ``triplet`` and place. ``closure`` in radians; wrapped phase gives it wrapped to
        :math:`\pm\pi`. ``integer_closure``, whole cycles, of unwrapped phase alone. NaN where any of the three
        pairs is NaN. Coordinates ``first``, ``second``, ``third`` are the three dates, ``pair_12``, ``pair_23``,
        ``pair_13`` the numbers of the pairs. Triplets are in order of their dates.

    Raises
    ------
    InputError
        When the stack is not one of INTERFEROGRAMS, pairs run backwards or are there twice, or the reference is
        outside or has no data.

    Warns
    -----
    SuspiciousDataWarning
        When no three pairs form a triplet (the result has size 0), or when `reference` is None and whole
        triplets are off by cycles. The latter for data in memory alone: chunked (dask) data are not read for it, so
        give them a `reference` unless their phases have one already.

    Notes
    -----
    .. math::

        C_{ijk} = \phi_{ij} + \phi_{jk} - \phi_{ik}, \qquad
        n_{ijk} = \operatorname{round}\left(\frac{C_{ijk}}{2 \pi}\right)

    An error of whole cycles in an epoch, not in a pair, closes and cannot be seen.

    References
    ----------
    Yunjun, Z., H. Fattahi and F. Amelung (2019), Small baseline InSAR time series analysis: Unwrapping error
    correction and noise reduction, Computers & Geosciences 133, 104331, doi:10.1016/j.cageo.2019.104331

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> dates = np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "M8[ns]")
    >>> phase = np.zeros((3, 1, 2), np.float32)
    >>> phase[1, 0, 1] = 2 * np.pi  # one cycle too many in the second pair
    >>> stack = xr.Dataset(
    ...     {"unwrapped_phase": (("pair", "y", "x"), phase)},
    ...     {"reference": ("pair", dates[[0, 1, 0]]), "secondary": ("pair", dates[[1, 2, 2]]), "wavelength": 0.0555},
    ... )
    >>> closure_phase(stack).integer_closure.values.tolist()
    [[[0.0, 1.0]]]
    """
    setup = _Setup.of(stack, reference, unwrapped=False)
    dims = ("triplet", *setup.place)
    shape = (setup.triplets.shape[0],)
    names = ("closure",) if setup.wrapped else ("closure", "integer_closure")
    outputs = [Output(("triplet",), shape, np.float32)] * len(names)
    kernel = partial(kernels.close_wrapped if setup.wrapped else kernels.close, setup.triplets, setup.offsets)
    if setup.triplets.size:
        found = run(kernel, [setup.phase], outputs, place=setup.place, threads=threads)
    else:
        sizes = [setup.phase.sizes[dim] for dim in setup.place]
        found = tuple(xr.Variable(dims, np.empty((0, *sizes), np.float32)) for _ in names)
    ends = setup.network.dates
    first, second, third = setup.network.first, setup.network.second, setup.network.second
    columns = setup.triplets.T
    coords = _place_coords(stack) | {
        "first": ("triplet", ends[first[columns[0]]]),
        "second": ("triplet", ends[second[columns[0]]]),
        "third": ("triplet", ends[third[columns[2]]]),
        **{name: ("triplet", column) for name, column in zip(("pair_12", "pair_23", "pair_13"), columns, strict=True)},
    }
    return schema.CLOSURES.stamp(xr.Dataset(dict(zip(names, found, strict=True)), coords, setup.attrs))


def closure_mask(
    stack: xr.Dataset,
    *,
    max_errors: int = 0,
    min_triplets: int = 0,
    reference: ReferenceLike = None,
    threads: int | None = None,
) -> xr.DataArray:
    """
    Places whose triplets close.

    Parameters
    ----------
    stack
        INTERFEROGRAMS with ``unwrapped_phase`` in radians.
    max_errors
        Triplets of a place that may miss by whole cycles.
    min_triplets
        Triplets with data that a place must have. With 0 a place that no triplet checks is True: nothing speaks
        against it. With 1 it is False: nothing speaks for it.
    reference
        See :func:`closure_phase`.
    threads
        Threads for data in memory. Chunked (dask) data stay lazy.

    Returns
    -------
    xarray.DataArray
        Boolean, along place: True where at most `max_errors` triplets have an integer closure other than zero.

    Raises
    ------
    InputError
        As :func:`closure_phase`; when the stack has wrapped phase alone; when a count is not a whole number.

    Warns
    -----
    SuspiciousDataWarning
        As :func:`closure_phase`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> dates = np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "M8[ns]")
    >>> phase = np.zeros((3, 1, 2), np.float32)
    >>> phase[1, 0, 1] = 2 * np.pi  # one cycle too many in the second pair
    >>> stack = xr.Dataset(
    ...     {"unwrapped_phase": (("pair", "y", "x"), phase)},
    ...     {"reference": ("pair", dates[[0, 1, 0]]), "secondary": ("pair", dates[[1, 2, 2]]), "wavelength": 0.0555},
    ... )
    >>> closure_mask(stack).values.tolist()
    [[True, False]]
    """
    for name, value in (("max_errors", max_errors), ("min_triplets", min_triplets)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            msg = f"{name} must be a whole number of triplets, 0 or more, got {value!r}"
            raise InputError(msg)
    setup = _Setup.of(stack, reference, unwrapped=True)
    kernel = partial(kernels.count, setup.triplets, setup.offsets)
    outputs = [Output((), (), np.int32)] * 2
    nonzero, valid = run(kernel, [setup.phase], outputs, place=setup.place, threads=threads)
    passed = (nonzero <= max_errors) & (valid >= min_triplets)
    attrs = {"long_name": f"at most {max_errors} triplets miss by whole cycles"}
    return xr.DataArray(xr.Variable(setup.place, passed.data, attrs), _place_coords(stack), name="closure_mask")


def unwrapping_error_counts(
    stack: xr.Dataset, *, reference: ReferenceLike = None, threads: int | None = None
) -> xr.Dataset:
    r"""
    Pairs suspected of unwrapping errors, by place and in number.

    Parameters
    ----------
    stack
        INTERFEROGRAMS with ``unwrapped_phase`` in radians.
    reference
        See :func:`closure_phase`.
    threads
        Threads for data in memory. Chunked (dask) data stay lazy.

    Returns
    -------
    xarray.Dataset
        UNWRAPPING_ERRORS. By pair and place: ``suspected`` (boolean) and ``nonzero_triplets``, the number of the
        pair's triplets with an integer closure other than zero. By pair: ``triplet_count``; ``suspected_count``
        and ``nonzero_count``, places where the pair is suspected and where any of its triplets misses;
        ``nonzero_share``, the share of its closures with data that miss (NaN where there are none).

    Raises
    ------
    InputError
        As :func:`closure_phase`; when the stack has wrapped phase alone.

    Warns
    -----
    SuspiciousDataWarning
        As :func:`closure_phase`.

    Notes
    -----
    One wrong pair spoils every triplet that it is part of, and so casts a doubt on all pairs of these. The wrong
    ones are told from the others by looking, at each place, for few corrections :math:`k` of whole cycles that
    close all triplets, :math:`\min \|k\|_1` with :math:`C k = -n`: the pair whose correction takes most from
    :math:`\|n + C k\|_1` is corrected first (by the median of what its triplets ask for), then the next,
    until no correction of one pair takes anything more. Pairs that take equally much are all suspected, and
    so are the three pairs of a triplet that stays open: closure cannot tell them apart. A pair in one
    triplet alone is therefore never told from its two companions; one in two or more is.

    Examples
    --------
    >>> import itertools
    >>> import numpy as np, xarray as xr
    >>> dates = np.array(["2018-01-06", "2018-01-18", "2018-01-30", "2018-02-11"], "M8[ns]")
    >>> pairs = np.array(list(itertools.combinations(range(4), 2))).T
    >>> phase = np.zeros((6, 1, 2), np.float32)
    >>> phase[4, 0, 1] = 2 * np.pi  # one cycle too many in the fifth pair
    >>> stack = xr.Dataset(
    ...     {"unwrapped_phase": (("pair", "y", "x"), phase)},
    ...     {"reference": ("pair", dates[pairs[0]]), "secondary": ("pair", dates[pairs[1]]), "wavelength": 0.0555},
    ... )
    >>> counts = unwrapping_error_counts(stack)
    >>> counts.suspected_count.values.tolist(), counts.nonzero_count.values.tolist()
    ([0, 0, 0, 0, 1, 0], [1, 0, 1, 1, 1, 1])
    """
    setup = _Setup.of(stack, reference, unwrapped=True)
    pairs = setup.phase.sizes["pair"]
    flat = setup.triplets.ravel()
    members = np.argsort(flat, kind="stable")
    count = np.bincount(flat, minlength=pairs)
    kernel = partial(
        kernels.suspect,
        setup.triplets,
        setup.offsets,
        np.concatenate([[0], np.cumsum(count)]),
        members // 3,
        np.where(members % 3 == 2, -1, 1),
        np.lexsort((setup.network.second, setup.network.first)),
    )
    outputs = [Output(("pair",), (pairs,), dtype) for dtype in (np.bool_, np.int16, np.int16)]
    suspected, nonzero, valid = run(kernel, [setup.phase], outputs, place=setup.place, threads=threads)
    closures, missed = (xr.DataArray(variable.sum(setup.place).astype(float)) for variable in (valid, nonzero))
    result = xr.Dataset(
        {
            "suspected": suspected,
            "nonzero_triplets": nonzero,
            "triplet_count": ("pair", count),
            "suspected_count": suspected.sum(setup.place),
            "nonzero_count": (nonzero > 0).sum(setup.place),
            "nonzero_share": (missed / closures.where(closures > 0)).variable,
        },
        {name: coord.variable for name, coord in stack.coords.items()},
        setup.attrs,
    )
    if suspected.chunks is not None:  # coordinates may be cut along pair, where the kernel wants it whole
        result = result.unify_chunks()
    return schema.UNWRAPPING_ERRORS.stamp(result)


@dataclass(frozen=True, eq=False)
class _Setup:
    """What every function here needs of a stack."""

    network: Network
    triplets: IntArray  # (triplet, 3): numbers of pairs 12, 23, 13
    offsets: FloatArray  # (triplet,): closure at the reference
    phase: xr.Variable
    place: tuple[str, ...]
    wrapped: bool
    attrs: dict[str, Any]

    @classmethod
    def of(cls, stack: xr.Dataset, reference: ReferenceLike, *, unwrapped: bool) -> _Setup:
        schema.INTERFEROGRAMS.check(stack, argument="stack", needs=("unwrapped_phase",) if unwrapped else ())
        wrapped = "unwrapped_phase" not in stack.variables
        place = schema.spatial_dims(stack, argument="stack")
        phase = stack.variables["phase" if wrapped else "unwrapped_phase"].transpose("pair", *place)
        network = Network.of(stack)
        triplets = _triplets(network)
        if not triplets.size:
            msg = (
                f"the {network.first.size} pairs of stack form no triplet (three pairs between three dates): "
                "closure says nothing about them"
            )
            warnings.warn(msg, SuspiciousDataWarning, stacklevel=4)
        if wrapped and isinstance(reference, xr.DataArray):
            msg = "reference is a mask, but stack has wrapped phase, which has no mean: name one place"
            raise InputError(msg)
        attrs, values = reference_phase(stack, phase, reference, network)
        offsets = values[triplets] @ np.array([1.0, 1.0, -1.0])
        if reference is None and not wrapped and isinstance(phase.data, np.ndarray):
            _warn_of_constants(phase.data, triplets)
        return cls(network, triplets, offsets, phase, place, wrapped, attrs)


def _triplets(network: Network) -> IntArray:
    """Numbers of the pairs (i, j), (j, k), (i, k) of every triplet, in order of i, j, k."""
    number = {ends: p for p, ends in enumerate(zip(network.first.tolist(), network.second.tolist(), strict=True))}
    later: dict[int, list[int]] = {}
    for i, j in sorted(number):
        later.setdefault(i, []).append(j)
    found = [
        (number[i, j], number[j, k], number[i, k])
        for i, j in sorted(number)
        for k in later.get(j, ())
        if (i, k) in number
    ]
    return np.array(found, np.int64).reshape(-1, 3)


def _warn_of_constants(phase: FloatArray, triplets: IntArray) -> None:
    """Say that whole interferograms are off by cycles, when a sample of places shows it."""
    flat = phase.reshape(phase.shape[0], -1)
    sample = flat[:, :: max(1, flat.shape[1] // _SAMPLE)].astype(float)
    closure = sample[triplets[:, 0]] + sample[triplets[:, 1]] - sample[triplets[:, 2]]
    off = 0
    for values in closure:
        cycles = np.rint(values[np.isfinite(values)] / _CYCLE)
        middle = np.median(cycles) if cycles.size >= _ENOUGH else 0.0
        off += bool(middle != 0 and (cycles == middle).mean() > 0.5)
    if off:
        msg = (
            f"{off} of {triplets.shape[0]} triplets miss by the same whole cycles at most places: the "
            "interferograms have constants of their own. Give reference=, a place that every pair covers"
        )
        warnings.warn(msg, SuspiciousDataWarning, stacklevel=5)


def _place_coords(stack: xr.Dataset) -> dict[Any, Any]:
    return {name: coord.variable for name, coord in stack.coords.items() if "pair" not in coord.dims}
