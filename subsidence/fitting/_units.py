"""Fits in another unit of time: the same curves, other numbers."""

from __future__ import annotations

from functools import reduce
from operator import add, and_
from typing import Any

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence.fitting._fits import assemble, opened
from subsidence.models._base import TimeModel
from subsidence.models._units import converted, time_power
from subsidence.timescale import TimeUnit, unit_days

__all__ = ["change_time_unit"]


def change_time_unit(fits: xr.Dataset, time_unit: TimeUnit, *, model: TimeModel | None = None) -> xr.Dataset:
    r"""
    Parameters of the same curves with time in another unit.

    Parameters
    ----------
    fits
        FITS, as from ``fit_map``.
    time_unit
        "year" (365.25 days), "month", "week", "day" or a timedelta.
    model
        The time function of `fits`, in their unit; made from their attributes when None, which they cannot say
        of a family of your own.

    Returns
    -------
    xarray.Dataset
        FITS whose ``optimum``, ``estimate``, ``estimate_std``, ``covariance``, ``parameter_units`` and
        attributes are in the new unit. Predictions, residuals, criteria and dates are the same.

    Raises
    ------
    InputError
        When `time_unit` is unknown, `fits` do not say what was fitted, or `model` has other parameters.

    Notes
    -----
    One old unit being :math:`f` new ones, a parameter in time to the power :math:`q` becomes

    .. math:: \theta' = \theta\, f^{\,q}, \qquad
        \mathrm{cov}' = J\, \mathrm{cov}\, J^T, \qquad J = \partial\theta' / \partial\theta

    The power may be a parameter itself: Weibull's :math:`\eta` has :math:`q = -\lambda`, so that
    :math:`\partial\eta'/\partial\lambda = -\eta' \ln f` brings the error of :math:`\lambda` into that of
    :math:`\eta'`. Its relative error is another one in every unit; where :math:`\lambda` is not known,
    :math:`\eta'` is not either, and is NaN in ``estimate``.

    The time function in the attributes keeps held values and bounds, in the new unit. A bound or a held value
    of a parameter whose power of time is itself free cannot be kept, since it would be another one for every
    curve, and is left out.

    Examples
    --------
    >>> from subsidence import models, simulate
    >>> from subsidence.fitting import fit_map
    >>> series, _ = simulate.settlement_series(models.Weibull(), {"w_m": -0.2, "eta": 1.5, "lam": 2.5})
    >>> fits = fit_map(models.Weibull(), series)
    >>> change_time_unit(fits, "month").parameter_units.values.tolist()
    ['m', 'month**-lam', '1', 'month', 'm']
    """
    fits, old = opened(fits, model=model)
    factor = unit_days(old.time_unit) / unit_days(time_unit)
    new = _in_unit(old, time_unit, factor)
    units = _units(old)
    optimum, derivative = _changed(_split(fits["optimum"], units), units, factor)
    covariance = _spread(fits["covariance"], derivative)
    variances = [covariance.isel(parameter=k, parameter_2=k) for k in range(len(units))]
    std = _join([variance.clip(min=0.0) ** 0.5 for variance in variances], "parameter")
    best = _join(list(optimum.values()), "parameter")
    estimate, old_std = fits["estimate"], fits["estimate_std"]
    known, certain = (_known(rows, units) for rows in (estimate.notnull(), old_std != np.inf))
    found = {
        "optimum": best,
        "estimate": best.where(known),
        "covariance": covariance,
        "estimate_std": std.where(certain, np.inf).where(old_std.notnull()),
    }
    variables = {name: values.transpose(*fits[name].dims).variable for name, values in found.items()}
    attrs = {
        name: str(fits.attrs.get(name, word))
        for name, word in (("noise", "white"), ("loss", "linear"), ("weights", ""))
    }
    origin = np.datetime64(fits.attrs["origin"])
    stamped = assemble(new, fits, {"status": fits["status"].variable.copy(), **variables}, origin=origin, **attrs)
    result = fits.assign({name: stamped[name].variable for name in variables})
    result = result.assign_coords(parameter_units=stamped["parameter_units"].variable)
    result.attrs |= {name: stamped.attrs[name] for name in ("model", "model_spec", "time_unit")}
    return schema.FITS.stamp(result)


def _changed(
    values: dict[str, xr.DataArray], units: dict[str, str], factor: float
) -> tuple[dict[str, xr.DataArray], dict[str, dict[str, xr.DataArray]]]:
    """Parameters in the new unit, and the derivatives of each by those that it depends on."""
    new = converted(values, units, factor)
    derivative = {}
    for name, unit in units.items():
        slopes = {power: slope * np.log(factor) * new[name] for power, slope in _powers(unit, units).items()}
        derivative[name] = {name: factor ** time_power(unit, values) + 0.0 * new[name], **slopes}
    return new, derivative


def _spread(covariance: xr.DataArray, derivative: dict[str, dict[str, xr.DataArray]]) -> xr.DataArray:
    """J cov J', without what J has no entry for: a covariance that is not known stays with its parameters."""
    number = {name: k for k, name in enumerate(derivative)}
    old = xr.DataArray(covariance.variable)

    def entry(first: dict[str, xr.DataArray], second: dict[str, xr.DataArray]) -> xr.DataArray:
        terms = [
            a * b * old.isel(parameter=number[i], parameter_2=number[j])
            for i, a in first.items()
            for j, b in second.items()
        ]
        return reduce(add, terms)

    rows = [_join([entry(a, b) for b in derivative.values()], "parameter_2") for a in derivative.values()]
    return _join(rows, "parameter")


def _known(known: xr.DataArray, units: dict[str, str]) -> xr.DataArray:
    """Where a parameter is known, and so is the power of time in its unit."""
    row = _split(known, units)
    both = [reduce(and_, [row[power] for power in _powers(unit, units)], row[name]) for name, unit in units.items()]
    return _join(both, "parameter")


def _split(values: xr.DataArray, units: dict[str, str]) -> dict[str, xr.DataArray]:
    return {name: xr.DataArray(values.variable.isel(parameter=k)) for k, name in enumerate(units)}


def _join(rows: list[xr.DataArray], dim: str) -> xr.DataArray:
    return xr.concat(rows, dim)


def _units(model: TimeModel) -> dict[str, str]:
    """Units in the order of the parameters."""
    names = (name.removeprefix(model.prefix) for name in model.param_names)
    return {name: model.units[name] for name in names}


def _powers(unit: str, units: dict[str, str]) -> dict[str, float]:
    """Parameters that the power of time in a unit depends on, each with the slope of the power, which is linear."""
    zeros = dict.fromkeys(units, 0.0)
    slopes = {name: time_power(unit, zeros | {name: 1.0}) - time_power(unit, zeros) for name in units}
    return {name: float(slope) for name, slope in slopes.items() if slope != 0}


def _in_unit(model: TimeModel, time_unit: TimeUnit, factor: float) -> TimeModel:
    """The time function in the new unit, with held values and bounds in it too."""
    new = model.with_unit(time_unit)
    units = _units(model)
    held = model.held()
    for name, hint in model.param_hints.items():
        if name not in units or any(power not in held for power in _powers(units[name], units)):
            continue
        scale = float(factor ** time_power(units[name], held))
        kept: dict[str, Any] = {key: float(hint[key]) * scale for key in ("value", "min", "max") if key in hint}
        if "vary" in hint:
            kept["vary"] = hint["vary"]
        new.set_param_hint(name, **kept)
    return new
