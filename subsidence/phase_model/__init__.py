"""The phase model: its search along arcs, its integration to points, densification, and a planner."""

from subsidence.phase_model._densification import densify
from subsidence.phase_model._integration import integrate_arcs
from subsidence.phase_model._planner import expected_precision
from subsidence.phase_model._search import search_phase_model
from subsidence.phase_model._surface import coherence_surface
from subsidence.phase_model._threshold import coherence_threshold, search_cells

__all__ = [
    "coherence_surface",
    "coherence_threshold",
    "densify",
    "expected_precision",
    "integrate_arcs",
    "search_cells",
    "search_phase_model",
]
