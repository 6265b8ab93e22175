"""Networks: which epochs the pairs join in time, which points the arcs join in space."""

from subsidence.network._arcs import delaunay_arcs, nearest_arcs, parts
from subsidence.network._choose import (
    all_pairs,
    choose_reference,
    sequential_pairs,
    single_reference_pairs,
    small_baseline_pairs,
)
from subsidence.network._pairs import Network, epoch_baselines, reference_phase
from subsidence.network._triangles import triangle_misclosure

__all__ = [
    "Network",
    "all_pairs",
    "choose_reference",
    "delaunay_arcs",
    "epoch_baselines",
    "nearest_arcs",
    "parts",
    "reference_phase",
    "sequential_pairs",
    "single_reference_pairs",
    "small_baseline_pairs",
    "triangle_misclosure",
]
