"""Atmosphere apart from non-linear motion."""

from subsidence.atmosphere._separation import separate_atmosphere
from subsidence.atmosphere._single import smooth_epochs

__all__ = ["separate_atmosphere", "smooth_epochs"]
