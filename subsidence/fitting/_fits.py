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
from subsidence.schema import STATUS
from subsidence.timescale import unit_days

__all__ = ["assemble", "model_of", "place_of"]

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
            **coords,
        },
        attrs={
            "model": model.name.removeprefix("Model(").removesuffix(")"),
            "model_spec": to_spec(model),
            "time_unit": _unit_words(model),
            "origin": str(origin),
            "noise": noise,
            "loss": loss,
            **{key: series.attrs[key] for key in ("component", "reference", "reference_time") if key in series.attrs},
        },
    )
    result["status"].attrs |= STATUS
    return schema.FITS.stamp(result)


def _unit_words(model: TimeModel) -> str:
    return model.time_unit if isinstance(model.time_unit, str) else f"{unit_days(model.time_unit):g} days"


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
