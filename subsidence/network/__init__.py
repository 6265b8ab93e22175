"""Networks: which epochs the pairs join in time, which points the arcs join in space."""

from subsidence.network._pairs import Network, epoch_baselines, reference_phase

__all__ = ["Network", "epoch_baselines", "reference_phase"]
