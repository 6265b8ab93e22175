"""Unwrapping: interferograms through an installed program, residual phases on a network of points."""

from subsidence.unwrapping._residuals import unwrap_residuals
from subsidence.unwrapping._snaphu import unwrap

__all__ = ["unwrap", "unwrap_residuals"]
