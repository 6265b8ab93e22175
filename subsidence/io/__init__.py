"""Reading and writing: images and interferograms of other programs, and this library's own files."""

from subsidence.io._interferograms import open_interferograms
from subsidence.io._native import open_native, save
from subsidence.io._slc import open_slc

__all__ = ["open_interferograms", "open_native", "open_slc", "save"]
