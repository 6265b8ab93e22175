"""Reading and writing: interferograms of other programs, and this library's own files."""

from subsidence.io._interferograms import open_interferograms
from subsidence.io._native import open_native, save

__all__ = ["open_interferograms", "open_native", "save"]
