"""Time functions of settlement as lmfit models.

lmfit takes a second to import and brings matplotlib with it, so a family is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from subsidence._lazy import on_first_use

if TYPE_CHECKING:
    from subsidence.models._arctan import Arctan
    from subsidence.models._asaoka import AsaokaEstimate, asaoka
    from subsidence.models._base import TimeModel
    from subsidence.models._bertalanffy import Bertalanffy
    from subsidence.models._exponential import Exponential
    from subsidence.models._frost_heave import FrostHeave
    from subsidence.models._gompertz import Gompertz
    from subsidence.models._hyperbolic import Hyperbolic
    from subsidence.models._knothe import Knothe
    from subsidence.models._linear import Linear
    from subsidence.models._logarithmic import Logarithmic
    from subsidence.models._logistic import Logistic
    from subsidence.models._milestones import Estimate
    from subsidence.models._mmf import MMF
    from subsidence.models._normal import Normal
    from subsidence.models._piecewise_linear import PiecewiseLinear
    from subsidence.models._polynomial import Polynomial
    from subsidence.models._power_knothe import PowerKnothe
    from subsidence.models._richards import Richards
    from subsidence.models._seasonal import Seasonal
    from subsidence.models._segmented_knothe import SegmentedKnothe
    from subsidence.models._segmented_weibull import SegmentedWeibull
    from subsidence.models._sroka_schober import SrokaSchober
    from subsidence.models._step import Step
    from subsidence.models._sum import SumModel
    from subsidence.models._weibull import Weibull

__all__ = [
    "MMF",
    "Arctan",
    "AsaokaEstimate",
    "Bertalanffy",
    "Estimate",
    "Exponential",
    "FrostHeave",
    "Gompertz",
    "Hyperbolic",
    "Knothe",
    "Linear",
    "Logarithmic",
    "Logistic",
    "Normal",
    "PiecewiseLinear",
    "Polynomial",
    "PowerKnothe",
    "Richards",
    "Seasonal",
    "SegmentedKnothe",
    "SegmentedWeibull",
    "SrokaSchober",
    "Step",
    "SumModel",
    "TimeModel",
    "Weibull",
    "asaoka",
]

_MODULES = {
    "Arctan": "._arctan",
    "AsaokaEstimate": "._asaoka",
    "Bertalanffy": "._bertalanffy",
    "Estimate": "._milestones",
    "Exponential": "._exponential",
    "FrostHeave": "._frost_heave",
    "Gompertz": "._gompertz",
    "Hyperbolic": "._hyperbolic",
    "Knothe": "._knothe",
    "Linear": "._linear",
    "Logarithmic": "._logarithmic",
    "Logistic": "._logistic",
    "MMF": "._mmf",
    "Normal": "._normal",
    "PiecewiseLinear": "._piecewise_linear",
    "Polynomial": "._polynomial",
    "PowerKnothe": "._power_knothe",
    "Richards": "._richards",
    "Seasonal": "._seasonal",
    "SegmentedKnothe": "._segmented_knothe",
    "SegmentedWeibull": "._segmented_weibull",
    "SrokaSchober": "._sroka_schober",
    "Step": "._step",
    "SumModel": "._sum",
    "TimeModel": "._base",
    "Weibull": "._weibull",
    "asaoka": "._asaoka",
}

__getattr__, __dir__ = on_first_use(__name__, _MODULES)
