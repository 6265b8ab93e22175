"""Time functions of many series at once: fit, compare, predict, sweep, join."""

from __future__ import annotations

from typing import TYPE_CHECKING

from subsidence._lazy import on_first_use

if TYPE_CHECKING:
    from subsidence.fitting._average import predict_average
    from subsidence.fitting._breakpoint import BreakpointFit, fit_breakpoint
    from subsidence.fitting._breaks import BreaksFit, fit_breaks
    from subsidence.fitting._compare import best_model, compare
    from subsidence.fitting._fit_map import fit_map
    from subsidence.fitting._forecast import forecast_error
    from subsidence.fitting._hindcast import hindcast
    from subsidence.fitting._join import join_series
    from subsidence.fitting._predict import predict
    from subsidence.fitting._segment_test import SegmentTest, segment_test
    from subsidence.fitting._series import fit_series
    from subsidence.fitting._stabilisation import stabilisation_time
    from subsidence.fitting._sweep import sweep
    from subsidence.fitting._units import change_time_unit

__all__ = [
    "BreakpointFit",
    "BreaksFit",
    "SegmentTest",
    "best_model",
    "change_time_unit",
    "compare",
    "fit_breakpoint",
    "fit_breaks",
    "fit_map",
    "fit_series",
    "forecast_error",
    "hindcast",
    "join_series",
    "predict",
    "predict_average",
    "segment_test",
    "stabilisation_time",
    "sweep",
]

_MODULES = {
    "BreakpointFit": "._breakpoint",
    "BreaksFit": "._breaks",
    "SegmentTest": "._segment_test",
    "best_model": "._compare",
    "change_time_unit": "._units",
    "compare": "._compare",
    "fit_breakpoint": "._breakpoint",
    "fit_breaks": "._breaks",
    "fit_map": "._fit_map",
    "fit_series": "._series",
    "forecast_error": "._forecast",
    "hindcast": "._hindcast",
    "join_series": "._join",
    "predict": "._predict",
    "predict_average": "._average",
    "segment_test": "._segment_test",
    "stabilisation_time": "._stabilisation",
    "sweep": "._sweep",
}

__getattr__, __dir__ = on_first_use(__name__, _MODULES)
