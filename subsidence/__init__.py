"""From radar phase to a forecast of ground subsidence that can be trusted.

Plain functions on labelled data: a function takes an ``xarray.Dataset`` first, everything optional is
keyword-only, and returns a new Dataset. Metres, radians, years and degrees throughout; line-of-sight
displacement is positive towards the satellite, so subsidence is negative.
"""

from importlib.metadata import version as _version

from subsidence import errors, geometry, models, plot, schema, simulate, timescale, validation
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

__version__ = _version("subsidence")

# Reached as subsidence.open; it is not in __all__, because a star import must not hide Python's own.
open = open_native

__all__ = [
    "add_atmospheric_variance",
    "all_pairs",
    "amplitude_dispersion",
    "append_epoch",
    "calibrate_amplitude",
    "choose_reference",
    "closure_mask",
    "closure_phase",
    "coherence_surface",
    "coherence_threshold",
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
    "flatten",
    "flattening_phase",
    "form_interferograms",
    "geometry",
    "goldstein_filter",
    "integrate_arcs",
    "internal_precision",
    "invert_network",
    "models",
    "multilook",
    "nearest_arcs",
    "open_interferograms",
    "open_slc",
    "persistent_scatterers",
    "plot",
    "save",
    "schema",
    "search_cells",
    "search_phase_model",
    "select_scatterers",
    "separate_atmosphere",
    "sequential_pairs",
    "set_reference",
    "simulate",
    "single_reference_pairs",
    "small_baseline_pairs",
    "sweep_call",
    "timescale",
    "triangle_misclosure",
    "unwrap",
    "unwrap_residuals",
    "unwrapping_error_counts",
    "validation",
]
