"""From radar phase to a forecast of ground subsidence that can be trusted.

Plain functions on labelled data: a function takes an ``xarray.Dataset`` first, everything optional is
keyword-only, and returns a new Dataset. Metres, radians, years and degrees throughout; line-of-sight
displacement is positive towards the satellite, so subsidence is negative.
"""

from importlib.metadata import version as _version

from subsidence import errors, geometry, models, plot, schema, simulate, timescale, validation
from subsidence.io import open_interferograms, open_native, save
from subsidence.network import epoch_baselines
from subsidence.sbas import invert_network
from subsidence.series import add_atmospheric_variance, confidence_interval, estimate_velocity, set_reference
from subsidence.stack import closure_mask, closure_phase, correct_delays, unwrapping_error_counts
from subsidence.sweeps import sweep_call
from subsidence.unwrapping import unwrap

__version__ = _version("subsidence")

# Reached as subsidence.open; it is not in __all__, because a star import must not hide Python's own.
open = open_native

__all__ = [
    "add_atmospheric_variance",
    "closure_mask",
    "closure_phase",
    "confidence_interval",
    "correct_delays",
    "epoch_baselines",
    "errors",
    "estimate_velocity",
    "geometry",
    "invert_network",
    "models",
    "open_interferograms",
    "plot",
    "save",
    "schema",
    "set_reference",
    "simulate",
    "sweep_call",
    "timescale",
    "unwrap",
    "unwrapping_error_counts",
    "validation",
]
