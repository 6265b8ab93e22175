"""A FITS Dataset: put together from arrays, and taken apart again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence.errors import InputError
from subsidence.models._base import TimeModel
from subsidence.models._spec import from_spec, to_spec
from subsidence.schema import STATUS, Status
from subsidence.timescale import unit_days

__all__ = ["assemble", "model_of", "opened", "place_of", "without_masked"]

#: Coordinates of a place that fits keep from their series.
_KEPT = tuple(field.name for field in schema.FITS.fields if field.coordinate and not field.name.startswith("param"))


def place_of(dataset: xr.Dataset) -> tuple[str, ...]:
    """Dimensions of place: ("y", "x"), ("point",), or none where the Dataset is of one place."""
    if not {"y", "x", "point"} & set(dataset.dims):
        return ()
    return schema.spatial_dims(dataset)


def assemble(
    model: TimeModel,
    series: xr.Dataset,
    variables: Mapping[str, xr.Variable],
    *,
    origin: np.datetime64,
    noise: str = "white",
    loss: str = "linear",
    weights: str = "",
) -> xr.Dataset:
    """
    FITS Dataset of `variables`, which are named and shaped as the kind says, for the places of `series`.

    Parameters that the model does not estimate have a standard deviation and covariances of zero.
    """
    names = np.array(model.param_names)
    units = [text.replace("data", "m") for text in (model.parameter_units[name] for name in names)]
    place = place_of(series)
    coords = {name: series[name].variable for name in _KEPT if name in series.coords}
    coords |= {name: series[name].variable for name in place if name in series.coords}
    result = xr.Dataset(
        dict(variables),
        coords={
            "parameter": names,
            "parameter_2": names,
            "parameter_units": ("parameter", np.array(units)),
            # A coordinate and not only an attribute: fits with other origins then do not concatenate unseen.
            "time_origin": origin.astype("M8[ns]"),
            **coords,
        },
        attrs={
            "model": model.name.removeprefix("Model(").removesuffix(")"),
            "model_spec": to_spec(model),
            "time_unit": _unit_words(model),
            "origin": str(origin),
            "noise": noise,
            "loss": loss,
            "weights": weights,
            **{key: series.attrs[key] for key in ("component", "reference", "reference_time") if key in series.attrs},
        },
    )
    result["status"].attrs |= STATUS
    return schema.FITS.stamp(result)


def _unit_words(model: TimeModel) -> str:
    return model.time_unit if isinstance(model.time_unit, str) else f"{unit_days(model.time_unit):g} days"


def opened(
    fits: xr.Dataset, *, model: TimeModel | None = None, argument: str = "fits", needs: tuple[str, ...] = ()
) -> tuple[xr.Dataset, TimeModel]:
    """
    FITS as functions read them, and their time function.

    Parameters are put in the model's order; places that a mask has emptied count as without data.

    Raises
    ------
    SchemaError
        When `fits` are no FITS, or lack what the caller `needs`.
    InputError
        When they do not say what was fitted or from which date on, or parameters are missing.
    """
    if isinstance(fits, xr.Dataset):
        fits = without_masked(fits)
    schema.FITS.check(fits, argument=argument, needs=needs)
    used = model_of(fits, model)
    names = list(used.param_names)
    for dim in ("parameter", "parameter_2"):
        found = list(map(str, fits[dim].values))
        if sorted(found) != sorted(names):
            msg = (
                f"{argument} must have the parameters {', '.join(names)} along {dim!r}, got {', '.join(found)}: "
                "give fits as fit_map returned them, and select parameters of what you draw"
            )
            raise InputError(msg)
        if found != names:
            fits = fits.sel({dim: names})
    if "origin" not in fits.attrs:
        msg = (
            f"{argument} must say the date of t = 0 in attrs['origin']: fits with different origins cannot be put "
            "together, fit them with one origin="
        )
        raise InputError(msg)
    return fits, used


def without_masked(fits: xr.Dataset) -> xr.Dataset:
    """Where a mask turned whole numbers into floats, NaN is a place without data."""
    filled = {"status": int(Status.NO_DATA), "epoch_count": 0}
    changed = {
        name: fits[name].fillna(value).astype(np.int32)
        for name, value in filled.items()
        if name in fits.variables and fits[name].dtype.kind == "f"
    }
    return fits.assign(changed) if changed else fits


def model_of(fits: xr.Dataset, model: TimeModel | None = None) -> TimeModel:
    """
    Time function of `fits`: `model` when given, else made from their attributes.

    Raises
    ------
    InputError
        When `fits` do not say what was fitted, or `model` has other parameters than they have.
    """
    if model is None:
        spec: Any = fits.attrs.get("model_spec")
        if spec is None:
            msg = "fits must have the attribute 'model_spec', as from fit_map: give the time function, model=..."
            raise InputError(msg)
        return from_spec(spec)
    if list(map(str, fits["parameter"].values)) != list(model.param_names):
        msg = (
            f"model must have the parameters of fits, {', '.join(map(str, fits['parameter'].values))}; "
            f"got {', '.join(model.param_names)}"
        )
        raise InputError(msg)
    return model
