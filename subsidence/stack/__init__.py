"""Interferograms of chosen pairs: formed from images, filtered, closed around triplets, freed of delays."""

from subsidence.stack._closure import closure_mask, closure_phase, unwrapping_error_counts
from subsidence.stack._delays import correct_delays
from subsidence.stack._flatten import flatten, flattening_phase
from subsidence.stack._form import estimate_coherence, form_interferograms
from subsidence.stack._goldstein import goldstein_filter
from subsidence.stack._multilook import multilook

__all__ = [
    "closure_mask",
    "closure_phase",
    "correct_delays",
    "estimate_coherence",
    "flatten",
    "flattening_phase",
    "form_interferograms",
    "goldstein_filter",
    "multilook",
    "unwrapping_error_counts",
]
