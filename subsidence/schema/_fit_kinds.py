"""Kinds of Dataset that come from time functions: fits, comparisons, forecasts, milestones."""

from __future__ import annotations

from subsidence.schema._fields import COORDINATES, GEOMETRY, PLACE
from subsidence.schema._schema import Field, Schema

__all__ = ["COMPARISON", "FITS", "FORECASTS", "HINDCAST", "STABILISATION"]

_PARAMETER = (("place", "parameter"), ("parameter",))
_AT_PLACE = (PLACE, ())

FITS = Schema(
    "FITS",
    "A time function fitted to every series.",
    (
        *(Field(name, _PARAMETER, required=True) for name in ("estimate", "estimate_std", "optimum")),
        Field("covariance", (("place", "parameter", "parameter_2"), ("parameter", "parameter_2")), required=True),
        *(Field(name, _AT_PLACE, required=True) for name in ("rmse", "noise_std", "epoch_count", "status")),
        *(Field(name, _AT_PLACE) for name in ("r_squared", "noise_autocorrelation", "noise_dof", "aicc", "bic")),
        *(Field(name, _AT_PLACE) for name in ("time_of_peak", "record_start", "record_end")),
        Field("parameter", (("parameter",),), required=True, coordinate=True),
        Field("parameter_2", (("parameter_2",),), required=True, coordinate=True),
        Field("parameter_units", (("parameter",),), required=True, coordinate=True),
        Field("time_origin", ((),), coordinate=True),
        Field("wavelength", ((),), coordinate=True),
        *GEOMETRY,
        *COORDINATES,
    ),
    attributes={
        "model": "the time function in words",
        "model_spec": "the time function as text from which it is made again",
        "time_unit": "unit of time of the parameters",
        "origin": "date of t = 0, ISO 8601",
        "noise": "'white' or 'autocorrelated': what the covariance allows for",
        "weights": "'' or what epochs were weighted by",
        "loss": "'linear' (least squares), 'huber' or 'cauchy'",
        "component": "'los' (towards the satellite), 'up' or 'east'",
    },
)

FORECASTS = Schema(
    "FORECASTS",
    "Errors of forecasts from several origins, of a time function and of what needs none.",
    (
        *(
            Field(name, (("forecaster", "origin", "place"), ("forecaster", "origin")), required=True)
            for name in ("forecast_rmse", "forecast_bias")
        ),
        *(
            Field(name, (("origin", "place"), ("origin",)))
            for name in ("forecast_coverage", "forecast_count", "status")
        ),
        Field("forecaster", (("forecaster",),), required=True, coordinate=True),
        Field("origin", (("origin",),), required=True, coordinate=True),
        *GEOMETRY,
        *COORDINATES,
    ),
    attributes={"model": "the time function in words", "level": "probability of the band", "horizon": "how far ahead"},
)

STABILISATION = Schema(
    "STABILISATION",
    "When the ground has settled, from a time function.",
    (
        *(Field(f"stabilisation_{name}", _AT_PLACE) for name in ("date", "duration", "std")),
        *GEOMETRY,
        *COORDINATES,
    ),
)

HINDCAST = Schema(
    "HINDCAST",
    "A series beside what a time function fitted to an earlier one foretold.",
    (
        Field("time", (("time",),), required=True, coordinate=True),
        *(
            Field(name, (("time", "place"), ("time",)))
            for name in ("displacement", "predicted", "lower", "upper", "misfit")
        ),
        *(
            Field(name, _AT_PLACE)
            for name in (
                *("datum_shift", "datum_shift_std", "misfit_rmse", "largest_misfit", "forecast_coverage"),
                *("within_tolerance", "status"),
            )
        ),
        *GEOMETRY,
        *COORDINATES,
    ),
    attributes={"tolerance": "largest misfit that counts as stable, m", "level": "probability of the band"},
)

COMPARISON = Schema(
    "COMPARISON",
    "How well several time functions fit the same series.",
    (
        Field("model", (("model",),), required=True, coordinate=True),
        *(
            Field(name, (("model", "place"), ("model",)))
            for name in (
                *("rmse", "r_squared", "aicc", "bic", "akaike_weight", "forecast_rmse", "forecast_coverage"),
                *("parameter_count", "status"),
            )
        ),
        *(Field(f"{name}_all", (("model",),)) for name in ("rmse", "aicc", "bic", "akaike_weight", "forecast_rmse")),
        Field("best_model", _AT_PLACE),
        *GEOMETRY,
        *COORDINATES,
    ),
)
