"""Interferograms of chosen pairs: closure of triplets, orbital ramps and height-correlated delay."""

from subsidence.stack._closure import closure_mask, closure_phase, unwrapping_error_counts
from subsidence.stack._delays import correct_delays

__all__ = ["closure_mask", "closure_phase", "correct_delays", "unwrapping_error_counts"]
