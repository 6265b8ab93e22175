"""Candidates for persistent scatterers."""

from subsidence.scatterers._amplitude import amplitude_dispersion, calibrate_amplitude
from subsidence.scatterers._points import point_phases
from subsidence.scatterers._preview import count_scatterers
from subsidence.scatterers._selection import select_scatterers

__all__ = ["amplitude_dispersion", "calibrate_amplitude", "count_scatterers", "point_phases", "select_scatterers"]
