"""Scenes with known truth, for tests, documentation, benchmarks, and for planning a survey.

:func:`interferogram_scene` makes a stack of interferograms together with every ingredient that went
into it; :func:`levelling` surveys the same truth with benchmarks; :func:`slc_scene` makes a stack of
coregistered single-look complex images, :func:`point_scene` phases of persistent scatterers without
images, :func:`settlement_series` series that follow a time function. :class:`Bowl`, :class:`Atmosphere`
and :class:`Decorrelation` describe the ingredients.
"""

from subsidence.simulate._atmosphere import Atmosphere
from subsidence.simulate._levelling import levelling
from subsidence.simulate._motion import Bowl
from subsidence.simulate._noise import Decorrelation
from subsidence.simulate._points import point_scene
from subsidence.simulate._scene import interferogram_scene
from subsidence.simulate._settlement import settlement_series
from subsidence.simulate._slc import slc_scene

__all__ = [
    "Atmosphere",
    "Bowl",
    "Decorrelation",
    "interferogram_scene",
    "levelling",
    "point_scene",
    "settlement_series",
    "slc_scene",
]
