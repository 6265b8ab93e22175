"""Displacement series: reference, velocity and its error, internal precision."""

from subsidence.series._noise import add_atmospheric_variance
from subsidence.series._reference import set_reference
from subsidence.series._velocity import confidence_interval, estimate_velocity

__all__ = ["add_atmospheric_variance", "confidence_interval", "estimate_velocity", "set_reference"]
