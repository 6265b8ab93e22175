"""Displacement series: reference, velocity and its error, internal precision."""

from subsidence.series._internal import Resampling, internal_precision
from subsidence.series._noise import add_atmospheric_variance
from subsidence.series._reference import set_reference
from subsidence.series._velocity import Noise, confidence_interval, estimate_velocity

__all__ = [
    "Noise",
    "Resampling",
    "add_atmospheric_variance",
    "confidence_interval",
    "estimate_velocity",
    "internal_precision",
    "set_reference",
]
