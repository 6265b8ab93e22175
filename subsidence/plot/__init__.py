"""Figures: velocity maps, series, networks of pairs and of arcs, coherence surfaces, closure errors, sweeps.

They need the extra ``plot``. Every function takes ``ax=`` and returns the Axes it drew on; none shows, saves or
closes a figure, and none changes matplotlib's settings. Data are in SI; what is drawn is in mm, mm/yr and km.
"""

from subsidence.plot._maps import closure, velocity_map
from subsidence.plot._network import network
from subsidence.plot._series import series
from subsidence.plot._surface import coherence_surface
from subsidence.plot._sweep import sweep

__all__ = ["closure", "coherence_surface", "network", "series", "sweep", "velocity_map"]
