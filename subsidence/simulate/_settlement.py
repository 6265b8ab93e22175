"""Displacement series that follow a time function, with noise of known correlation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence.errors import InputError
from subsidence.simulate import _check as check
from subsidence.simulate._random import Stream, generator
from subsidence.timescale import to_elapsed
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from subsidence.models import TimeModel

__all__ = ["settlement_series"]

#: 85 Sentinel-1 epochs, the length of the record of the Foshan study.
_EPOCHS = 85
_REVISIT = np.timedelta64(12, "D")
_FIRST = np.datetime64("2018-01-06", "ns")


def settlement_series(
    model: TimeModel,
    params: Mapping[str, Any],
    *,
    time: npt.NDArray[np.datetime64] | None = None,
    origin: np.datetime64 | str | None = None,
    points: int = 1,
    noise_std: float = 0.002,
    autocorrelation: float = 0.0,
    component: str = "up",
    seed: int = 0,
) -> tuple[xr.Dataset, xr.Dataset]:
    r"""
    Displacement series of points that follow a time function.

    Parameters
    ----------
    model
        A time function of :mod:`subsidence.models`, or a sum of them.
    params
        Its parameters: metres, and the model's unit of time counted from `origin`. One number for all points or
        one for each; those that the model fixes may be missing. ``w_m`` is negative for subsidence.
    time
        Epochs, increasing; 85 of them, 12 days apart, when None.
    origin
        Date of t = 0; the first epoch when None.
    points
        How many; the length of the arrays in `params` where there are any.
    noise_std
        Standard deviation of the noise of one epoch, metres.
    autocorrelation
        Correlation of the noise at epochs one median revisit apart, in (-1, 1): first-order autoregressive, so
        that epochs g revisits apart correlate by its g-th power.
    component
        Direction of the motion: "up", "los" or "east".
    seed
        Of the noise.

    Returns
    -------
    series, truth : xarray.Dataset
        SERIES with ``displacement`` (m) along ``(time, point)``; and the same without noise, with ``optimum``,
        the parameters, along ``(parameter, point)``.

    Raises
    ------
    InputError
        When a parameter is missing or unknown, lengths differ, or a number is out of range.

    Examples
    --------
    >>> from subsidence import models, simulate
    >>> series, truth = simulate.settlement_series(models.Weibull(), {"w_m": -0.2, "eta": 1.5, "lam": 2.5}, points=3)
    >>> dict(series.sizes)
    {'time': 85, 'point': 3}
    >>> round(float(truth.displacement.isel(time=-1, point=0)), 3)
    -0.2
    """
    dates = _FIRST + np.arange(_EPOCHS) * _REVISIT if time is None else np.asarray(time)
    t = to_elapsed(dates, origin=origin, unit=model.time_unit)
    if t.size < 2 or not np.all(np.diff(t) > 0):
        msg = f"time must hold at least two increasing dates, got {t.size} that do not increase"
        raise InputError(msg)
    values = _columns(model, params, check.whole("points", points, least=1))
    std = check.not_negative("noise_std", noise_std, "m")
    rho = check.finite("autocorrelation", autocorrelation, "1")
    if not -1 < rho < 1:
        msg = f"autocorrelation must lie between -1 and 1, got {autocorrelation!r}"
        raise InputError(msg)
    amplitudes = np.stack([values[name] for name in model.linear])
    clean = values["offset"] + np.einsum("lb,ltb->tb", amplitudes, model.basis(t, values)[0])
    random = generator(check.whole("seed", seed, least=0), Stream.SETTLEMENT)
    noise = std * _autoregressive(random.standard_normal(clean.shape), t, rho)
    coords = {"time": dates.astype("M8[ns]")}
    attrs = {"title": "simulated settlement", "component": component, "model": str(model.name)}
    truth = xr.Dataset({"displacement": (("time", "point"), clean)}, coords, attrs)
    series = truth.assign(displacement=(("time", "point"), clean + noise))
    names = [model.prefix + name for name in values]
    truth = truth.assign(optimum=(("parameter", "point"), np.stack(list(values.values()))), parameter=names)
    return schema.SERIES.stamp(series), schema.SERIES.stamp(truth)


def _columns(model: TimeModel, params: Mapping[str, Any], points: int) -> dict[str, FloatArray]:
    """Every parameter by name without prefix, one value for each point."""
    unknown = [name for name in params if name not in model.param_names]
    if unknown:
        msg = f"params may hold {', '.join(model.param_names)}; got {', '.join(map(repr, unknown))}"
        raise InputError(msg)
    given: dict[str, Any] = {**model.fixed, **model.held(), "offset": 0.0}
    given |= {name.removeprefix(model.prefix): np.asarray(value, np.float64) for name, value in params.items()}
    missing = [name for name in model.units if name not in given]
    if missing:
        msg = f"params must hold {', '.join(model.param_names)}: {', '.join(missing)} missing"
        raise InputError(msg)
    sizes = {np.size(value) for value in given.values()} - {1}
    if len(sizes) > 1 or any(np.ndim(value) > 1 for value in given.values()):
        msg = f"params must hold numbers or arrays of one length, got lengths {sorted(sizes)}"
        raise InputError(msg)
    count = sizes.pop() if sizes else points
    if points not in {1, count}:
        msg = f"points must be the length of the arrays in params, got {points} and {count}"
        raise InputError(msg)
    for name in model.units:
        low, high = model.bounds.get(name, (-np.inf, np.inf))
        values = np.asarray(given[name])
        wrong = ~np.isfinite(values) | (values < low) | (values > high) | ((values <= 0) & (name in model.positive))
        if wrong.any():
            allowed = "above zero" if name in model.positive and low <= 0 else f"within {low:g}..{high:g}"
            msg = f"{name} in params must be finite and {allowed}, got {np.ravel(values)[np.ravel(wrong)][0]:g}"
            raise InputError(msg)
    return {name: np.broadcast_to(np.ravel(given[name]), count).astype(np.float64) for name in model.units}


def _autoregressive(white: FloatArray, t: FloatArray, rho: float) -> FloatArray:
    """Noise of unit variance along the first axis, correlated by rho to the power of the gap in revisits."""
    gaps = np.diff(t) / np.median(np.diff(t))
    # A negative correlation alternates with the whole number of revisits in the gap.
    lag = np.abs(rho) ** gaps * np.where((rho < 0) & (np.rint(gaps) % 2 == 1), -1.0, 1.0)
    noise = white.copy()
    for i, a in enumerate(lag):
        noise[i + 1] = a * noise[i] + np.sqrt(1 - a**2) * white[i + 1]
    return noise
