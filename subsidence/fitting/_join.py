"""Two sensors' series of the same ground, joined over a gap through a model that both follow."""

from __future__ import annotations

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress
from subsidence.errors import InputError
from subsidence.fitting._fit_map import fit_map
from subsidence.fitting._fits import place_of
from subsidence.fitting._vertical import vertical
from subsidence.models._base import TimeModel
from subsidence.models._logistic import Logistic
from subsidence.models._step import Step
from subsidence.schema import STATUS
from subsidence.timescale import to_elapsed
from subsidence.typing import FloatArray, IntArray

__all__ = ["checked_pair", "join_series"]

#: Positions of one place in two series may differ by this, metres.
_SAME_PLACE = 0.5


def join_series(
    first: xr.Dataset,
    second: xr.Dataset,
    *,
    model: TimeModel | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    One vertical series out of two sensors' series with a gap between them.

    Parameters
    ----------
    first, second
        SERIES of the same places, the second beginning after the first ends. Along the line of sight they need
        ``incidence`` (degree) or ``los_up``; wavelength and incidence may differ, and each is relative to a
        reference epoch of its own.
    model
        Time function that both follow; ``Logistic()`` when None, as Foshan's subway.
    threads
        Threads over blocks of places.
    progress
        True for a bar (extra ``progress``), or a function told (places done, places in all).

    Returns
    -------
    xarray.Dataset
        SERIES of the ``displacement`` upwards (m, in the datum of the first series) at all epochs, with the
        coordinate ``sensor`` (0, 1) along ``time``; ``displacement_std`` (m), the noise of each sensor from its
        residuals, for ``fit_map(..., weights="displacement_std")``; ``datum_shift`` (m), the level of the second
        series' datum that was taken off it, and ``datum_shift_std``; ``status`` of the fit. NaN in the second
        part where the fit failed.

    Raises
    ------
    InputError
        When the places differ, the epochs overlap, the component is neither "up" nor "los", or the incidence is
        missing.

    Notes
    -----
    With :math:`s_k = 0` for epochs of the first sensor and 1 for those of the second,

    .. math:: \frac{d_k}{\cos\theta} = w(t_k;\, p) + c + \delta\, s_k + e_k

    is fitted to both at once: the shift :math:`\delta` is known as well as the model bridges the gap, which
    ``datum_shift_std`` says. The noise of the two sensors differs, so the fit is repeated with weights from the
    residuals of each. Motion is taken to be vertical: with an east motion of e the two sensors would differ by
    e times the difference of their :math:`\tan\theta`.

    Examples
    --------
    >>> import numpy as np
    >>> from subsidence import models, simulate
    >>> model = models.Logistic()
    >>> time = np.datetime64("2008-01-01", "ns") + np.arange(0, 4000, 46) * np.timedelta64(1, "D")
    >>> both, _ = simulate.settlement_series(model, {"b": -0.08, "a": 20.0, "c": 2.0}, time=time, noise_std=0.001)
    >>> first, second = both.sel(time=slice("2010")), both.sel(time=slice("2015", None))
    >>> moved = second.assign(displacement=second.displacement + 0.05)  # the second has a datum of its own
    >>> joined = join_series(first, moved)
    >>> abs(joined.datum_shift.item() - 0.05) < 3 * joined.datum_shift_std.item()
    True
    """
    shape = Logistic() if model is None else model
    before, after = checked_pair(first, second)
    names = ["displacement"]
    joined = xr.concat(
        [part[names] for part in (before, after)],
        dim="time",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    sensor = np.repeat([0, 1], [before.sizes["time"], after.sizes["time"]])
    origin = before["time"].values[0]
    middle = (
        0.5
        * to_elapsed(
            np.array([before["time"].values[-1], after["time"].values[0]]), origin=origin, unit=shape.time_unit
        ).sum()
    )
    shifted = shape + Step(shape.time_unit, at=float(middle), prefix="datum_")
    options = {"origin": origin, "threads": threads}
    fits = fit_map(shifted, joined, **options)
    weights = _weights(joined, fits, shifted, sensor)
    fits = fit_map(shifted, joined, weights=weights, progress=progress, **options)
    shift = fits["optimum"].sel(parameter="datum_step", drop=True).variable
    std = fits["covariance"].sel(parameter="datum_step", parameter_2="datum_step", drop=True).variable
    off = xr.Variable("time", sensor) * shift
    result = joined.assign(
        displacement=joined.variables["displacement"] - off, datum_shift=shift, datum_shift_std=np.sqrt(std)
    )
    noise = fits.variables["noise_std"] / weights.variable
    result = result.assign(displacement_std=noise, status=fits.variables["status"])
    result = result.assign_coords(sensor=("time", sensor))
    result.attrs |= {"joined_by": fits.attrs["model"], "reference_time": first.attrs.get("reference_time", str(origin))}
    result["status"].attrs |= STATUS
    return schema.SERIES.stamp(result)


def checked_pair(first: xr.Dataset, second: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Both series upwards, after checking that they are of the same places, one after the other."""
    before, after = vertical(first, argument="first"), vertical(second, argument="second")
    place, other = place_of(before), place_of(after)
    sizes = [{dim: part.sizes[dim] for dim in place if dim in part.sizes} for part in (before, after)]
    if place != other or sizes[0] != sizes[1]:
        words = [dict(part["displacement"].sizes) for part in (before, after)]
        msg = (
            f"first and second must be of the same places, got {words[0]} and {words[1]}: "
            "select the points that both have, in one order"
        )
        raise InputError(msg)
    for name in ("x", "y"):
        if name in before.coords and name in after.coords:
            apart = np.max(np.abs(before[name].values - after[name].values), initial=0.0)
            if not apart <= _SAME_PLACE:
                msg = f"first and second must be of the same places, got {name} that differ by up to {apart:g} m"
                raise InputError(msg)
    end, start = before["time"].values[-1], after["time"].values[0]
    if not start > end:
        msg = (
            "second must begin after first ends, got "
            f"{np.datetime64(start, 'D')} and {np.datetime64(end, 'D')}: where the two overlap, the mean difference at "
            "common epochs is their shift, and no model is needed"
        )
        raise InputError(msg)
    return before, after


def _weights(joined: xr.Dataset, fits: xr.Dataset, model: TimeModel, sensor: IntArray) -> xr.DataArray:
    """One over the standard deviation of each sensor's residuals, place by place; equal where there is none."""
    t = to_elapsed(joined["time"], origin=fits.attrs["origin"], unit=model.time_unit)
    values = {name: fits["optimum"].sel(parameter=model.prefix + name).values.ravel() for name in model.units}
    columns = model.basis(t, values)[0]
    amplitudes = np.stack([values[name] for name in model.linear])
    curve = values["offset"] + np.einsum("lp,ltp->tp", amplitudes, columns)
    data = joined["displacement"].transpose("time", *place_of(joined))
    residual = data.values.reshape(len(t), -1) - curve
    variance = np.stack([_mean_square(residual[sensor == number]) for number in (0, 1)])
    # Residuals that are nothing but rounding say nothing about a sensor, and no sensor is a hundred times better.
    floor = np.maximum(1e-4 * variance.max(axis=0), 1e-12 * _mean_square(data.values.reshape(residual.shape)))
    weight = 1 / np.sqrt(np.where(floor > 0, np.maximum(variance, floor), 1.0))[sensor]
    return data.copy(data=weight.reshape(data.shape))


def _mean_square(values: FloatArray) -> FloatArray:
    """Over the epochs that there are; zero without any."""
    seen = np.isfinite(values)
    count = seen.sum(0)
    total = np.where(seen, values, 0.0) ** 2
    result: FloatArray = np.divide(total.sum(0), count, out=np.zeros(count.shape), where=count > 0)
    return result
