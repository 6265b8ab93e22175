"""Unwrapped residual phases as a Dataset by epoch; those of pairs are inverted to epochs."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Output, run
from subsidence._kernels import network as kernels
from subsidence._points import PhaseDesign
from subsidence.errors import DisconnectedNetworkWarning
from subsidence.network import Network
from subsidence.typing import FloatArray, IntArray

__all__ = ["by_epoch", "pair_expectation"]

#: Places that the kernel works on side by side.
_LANES = 16


def by_epoch(
    points: xr.Dataset,
    solution: xr.Dataset,
    design: PhaseDesign,
    *,
    unwrapped: FloatArray,
    unclosed: IntArray,
    zero: int | None,
    threads: int | None,
) -> xr.Dataset:
    """RESIDUALS from unwrapped phases ``(n, point)`` and what the inputs say about points."""
    variables = {str(name): solution.variables[name] for name in solution.variables if _carried(solution, str(name))}
    known = {field.name for field in schema.RESIDUALS.fields if field.coordinate}
    for name, variable in points.variables.items():
        # whatever the user knows of each point comes along
        own = name in points.coords and variable.dims == ("point",)
        if own or (name in known and set(variable.dims) <= {"point", "time"}):
            variables[str(name)] = variable
    dates = design.dates
    if design.along == "pair":
        network = Network.of(points, argument="points")
        zero = _named_epoch(network, points.attrs.get("reference_time"))
        _warn_of_parts(network)
        unwrapped = _inverted(network, unwrapped, robust=kernels.NOT_ROBUST, threads=threads)
        unwrapped -= unwrapped[zero].copy()
        variables |= _pairs_by_epoch(points, network, zero)
        missed = np.zeros(dates.size, np.int64)
        np.add.at(missed, network.first, unclosed)
        np.add.at(missed, network.second, unclosed)
        unclosed = missed
    variables["time"] = xr.Variable("time", dates)
    variables["residual_phase"] = xr.Variable(("time", "point"), unwrapped)
    variables["unclosed_triangles"] = xr.Variable("time", unclosed)
    coordinates = {name for name in variables if name in known or name in points.coords}
    residuals = xr.Dataset(
        {name: value for name, value in variables.items() if name not in coordinates},
        {name: variables[name] for name in coordinates},
    )
    residuals.attrs = {
        **{name: value for name, value in solution.attrs.items() if name != "kind"},
        "reference_time": str(np.datetime_as_string(dates[0 if zero is None else zero], unit="s")),
    }
    return schema.RESIDUALS.stamp(residuals)


def _carried(solution: xr.Dataset, name: str) -> bool:
    fields = {field.name for field in schema.RESIDUALS.fields}
    return name in fields and set(solution.variables[name].dims) <= {"point"}


def pair_expectation(points: xr.Dataset, unwrapped: FloatArray, *, threads: int | None) -> FloatArray:
    """Phases of pairs, ``(pair, point)``, that the other pairs of a point let expect; zero where they say nothing.

    The least sum of absolute residuals leaves alone the few pairs that miss by a cycle.
    """
    network = Network.of(points, argument="points")
    epochs = _inverted(network, unwrapped, robust=kernels.L1, threads=threads)
    expected = epochs[network.second] - epochs[network.first]
    expected[~np.isfinite(expected)] = 0.0
    return expected


def _named_epoch(network: Network, named: object) -> int:
    """The epoch `named`, where pairs join it to the first; else the first."""
    if named is not None:
        found = np.flatnonzero((network.dates == np.datetime64(str(named), "ns")) & (network.parts() == 0))
        if found.size:
            return int(found[0])
    return 0


def _warn_of_parts(network: Network) -> None:
    parts = network.parts()
    if parts.max() > 0:
        first = np.datetime_as_string(network.dates[0], unit="D")
        msg = (
            f"the pairs of points fall into {parts.max() + 1} parts that none joins: residual phases are NaN at "
            f"{int((parts > 0).sum())} of {parts.size} epochs, those without a way to {first}"
        )
        warnings.warn(msg, DisconnectedNetworkWarning, stacklevel=4)


def _inverted(network: Network, phase: FloatArray, *, robust: int, threads: int | None) -> FloatArray:
    """Phases of epochs from those of pairs, zero at the first epoch."""
    order, bandwidth = network.elimination_order()
    position = network.positions(order)
    first, second = position[network.first], position[network.second]
    job = partial(
        _invert,
        lower=np.minimum(first, second),
        upper=np.maximum(first, second),
        sign=np.where(second > first, 1.0, -1.0),
        order=order,
        bandwidth=bandwidth,
        robust=robust,
    )
    outputs = (Output(("time",), (network.dates.size,), np.float32),)
    (solved,) = run(job, [xr.Variable(("pair", "point"), phase)], outputs, place=("point",), threads=threads)
    result: FloatArray = solved.values
    return result


def _invert(
    start: int,
    stop: int,
    phase: FloatArray,
    found: FloatArray,
    *,
    lower: IntArray,
    upper: IntArray,
    sign: FloatArray,
    order: IntArray,
    bandwidth: int,
    robust: int,
) -> None:
    count = phase.shape[1]
    kernels.invert(
        start,
        stop,
        phase,
        np.empty((0, 0), np.float32),
        np.zeros(phase.shape[0]),
        lower,
        upper,
        sign,
        order,
        np.arange(order.size + 1.0),
        _LANES,
        bandwidth,
        kernels.UNIFORM,
        1.0,
        0.0,
        0.0,
        1,
        robust,
        False,  # noqa: FBT003
        1.0,
        found,
        np.empty(found.shape, np.float32),
        np.empty(count, np.float32),
        np.empty(count, np.int32),
        np.empty(count, np.int8),
    )


def _pairs_by_epoch(points: xr.Dataset, network: Network, zero: int) -> dict[str, xr.Variable]:
    """What is known by pair of baselines and temperature, by epoch relative to epoch `zero`."""
    found = {}
    for name in ("perpendicular_baseline", "height_to_phase", "temperature"):
        variable = points.variables.get(name)
        if variable is None or "pair" not in variable.dims:
            continue
        whole = variable.transpose("pair", ...)
        values = np.asarray(whole.values, np.float64)
        if not np.isfinite(values).all():
            continue
        solved = network.solve(values)
        found[name] = xr.Variable(("time", *whole.dims[1:]), solved - solved[zero], variable.attrs)
    return found
