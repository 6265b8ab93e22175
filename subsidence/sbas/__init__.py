"""Small-baseline networks: from interferograms to displacement series."""

from subsidence.sbas._inversion import invert_network

__all__ = ["invert_network"]
