"""From radar phase to a forecast of ground subsidence that can be trusted.

Plain functions on labelled data: a function takes an ``xarray.Dataset`` first, everything optional is
keyword-only, and returns a new Dataset. Metres, radians, years and degrees throughout; line-of-sight
displacement is positive towards the satellite, so subsidence is negative.
"""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING as _TYPE_CHECKING

from subsidence import errors, fitting, geometry, models, plot, schema, simulate, timescale, validation
from subsidence._lazy import on_first_use as _on_first_use
from subsidence.atmosphere import separate_atmosphere
from subsidence.io import open_interferograms, open_native, open_slc, save
from subsidence.network import (
    all_pairs,
    choose_reference,
    delaunay_arcs,
    epoch_baselines,
    nearest_arcs,
    sequential_pairs,
    single_reference_pairs,
    small_baseline_pairs,
    triangle_misclosure,
)
from subsidence.persistent import append_epoch, persistent_scatterers
from subsidence.phase_model import (
    coherence_surface,
    coherence_threshold,
    densify,
    expected_precision,
    integrate_arcs,
    search_cells,
    search_phase_model,
)
from subsidence.sbas import invert_network
from subsidence.scatterers import amplitude_dispersion, calibrate_amplitude, count_scatterers, select_scatterers
from subsidence.series import (
    add_atmospheric_variance,
    confidence_interval,
    estimate_velocity,
    internal_precision,
    set_reference,
)
from subsidence.stack import (
    closure_mask,
    closure_phase,
    correct_delays,
    estimate_coherence,
    flatten,
    flattening_phase,
    form_interferograms,
    goldstein_filter,
    multilook,
    unwrapping_error_counts,
)
from subsidence.sweeps import sweep_call
from subsidence.unwrapping import unwrap, unwrap_residuals

if _TYPE_CHECKING:
    from subsidence.fitting import (
        BreakpointFit,
        BreaksFit,
        SegmentTest,
        best_model,
        change_time_unit,
        compare,
        fit_breakpoint,
        fit_breaks,
        fit_map,
        fit_series,
        forecast_error,
        hindcast,
        join_series,
        predict,
        predict_average,
        segment_test,
        stabilisation_time,
        sweep,
    )

__version__ = _version("subsidence")

# Reached as subsidence.open; it is not in __all__, because a star import must not hide Python's own.
open = open_native

__all__ = [
    "BreakpointFit",
    "BreaksFit",
    "SegmentTest",
    "add_atmospheric_variance",
    "all_pairs",
    "amplitude_dispersion",
    "append_epoch",
    "best_model",
    "calibrate_amplitude",
    "change_time_unit",
    "choose_reference",
    "closure_mask",
    "closure_phase",
    "coherence_surface",
    "coherence_threshold",
    "compare",
    "confidence_interval",
    "correct_delays",
    "count_scatterers",
    "delaunay_arcs",
    "densify",
    "epoch_baselines",
    "errors",
    "estimate_coherence",
    "estimate_velocity",
    "expected_precision",
    "fit_breakpoint",
    "fit_breaks",
    "fit_map",
    "fit_series",
    "flatten",
    "flattening_phase",
    "forecast_error",
    "form_interferograms",
    "geometry",
    "goldstein_filter",
    "hindcast",
    "integrate_arcs",
    "internal_precision",
    "invert_network",
    "join_series",
    "models",
    "multilook",
    "nearest_arcs",
    "open_interferograms",
    "open_slc",
    "persistent_scatterers",
    "plot",
    "predict",
    "predict_average",
    "save",
    "schema",
    "search_cells",
    "search_phase_model",
    "segment_test",
    "select_scatterers",
    "separate_atmosphere",
    "sequential_pairs",
    "set_reference",
    "simulate",
    "single_reference_pairs",
    "small_baseline_pairs",
    "stabilisation_time",
    "sweep",
    "sweep_call",
    "timescale",
    "triangle_misclosure",
    "unwrap",
    "unwrap_residuals",
    "unwrapping_error_counts",
    "validation",
]

# What fits time functions needs lmfit, which is slow to import.
__getattr__, __dir__ = _on_first_use(__name__, dict.fromkeys(fitting.__all__, ".fitting"))
