"""The kinds of Dataset that functions take and return."""

from __future__ import annotations

from enum import IntEnum

from subsidence.schema._fields import COORDINATES, GEOMETRY, PLACE
from subsidence.schema._fit_kinds import COMPARISON, FITS, FORECASTS, HINDCAST, STABILISATION
from subsidence.schema._schema import Field, Schema

__all__ = [
    "ARCS",
    "CLOSURES",
    "COMPARISON",
    "FITS",
    "FORECASTS",
    "GNSS",
    "HINDCAST",
    "INTERFEROGRAMS",
    "KINDS",
    "LEVELLING",
    "MATCHED",
    "POINTS",
    "RESIDUALS",
    "SERIES",
    "SLC",
    "SOLUTION",
    "STABILISATION",
    "STATUS",
    "UNWRAPPING_ERRORS",
    "Status",
]


class Status(IntEnum):
    """Outcome of an inversion or a fit at one place."""

    OK = 0
    #: no usable data at all
    NO_DATA = 1
    #: fewer valid pairs than asked for
    TOO_FEW_PAIRS = 2
    #: some epochs are not joined to the first by valid pairs: NaN there
    UNREACHABLE_EPOCHS = 3
    #: the network fell apart here and was joined by the minimum-norm velocity
    MINIMUM_NORM = 4
    #: the robust iteration stopped before it converged
    NOT_CONVERGED = 5
    #: not joined to the reference: solved relative to a point of its own part of the network
    OTHER_PART = 6
    #: no accepted arc leads here
    NO_ARC = 7
    #: a parameter of the time function ended at its bound
    AT_BOUND = 8
    #: the record does not say how large the settlement becomes, as when it ends before the velocity peaks
    NOT_IDENTIFIABLE = 9
    #: fewer valid epochs than the time function needs
    TOO_FEW_EPOCHS = 10
    #: the series goes clearly both ways, which a curve of one sign cannot follow
    MIXED_SIGNS = 11


#: Attributes of a ``status`` variable, in CF's form.
STATUS: dict[str, object] = {
    "long_name": "outcome",
    "flag_values": [int(status) for status in Status],
    "flag_meanings": " ".join(status.name.lower() for status in Status),
}

_PAIRS = (
    Field("reference", (("pair",),), required=True, coordinate=True),
    Field("secondary", (("pair",),), required=True, coordinate=True),
)

SLC = Schema(
    "SLC",
    "Coregistered single-look complex images.",
    (
        Field("slc", (("time", "y", "x"),), required=True),
        Field("time", (("time",),), required=True, coordinate=True),
        Field("perpendicular_baseline", (("time",), ("time", "place")), coordinate=True),
        Field("parallel_baseline", (("time",),), coordinate=True),
        Field("temperature", (("time",),), coordinate=True),
        Field("wavelength", ((),), required=True, coordinate=True),
        *GEOMETRY,
        *COORDINATES,
    ),
    attributes={
        "phase_removed": "what was taken off the phase: '', 'flat_earth' or 'flat_earth topography'",
        "reference_time": "the epoch that baselines count from, ISO 8601",
        "centre_look": "look angle that baselines belong to, degree; that of the scene's median geometry without it",
    },
)

INTERFEROGRAMS = Schema(
    "INTERFEROGRAMS",
    "Interferograms of chosen pairs, wrapped or unwrapped.",
    (
        *_PAIRS,
        Field("phase", (("pair", "place"),)),
        Field("unwrapped_phase", (("pair", "place"),)),
        Field("coherence", (("pair", "place"),)),
        Field("connected_component", (("pair", "place"),)),
        Field("ramp_coefficients", (("pair", "term"),)),
        *(Field(name, (("pair",),)) for name in ("delay_per_height", "std_before", "std_after")),
        Field("perpendicular_baseline", (("pair",), ("pair", "place")), coordinate=True),
        Field("wavelength", ((),), required=True, coordinate=True),
        Field("looks", ((),), coordinate=True),
        *GEOMETRY,
        *COORDINATES,
    ),
    one_of=(("phase", "unwrapped_phase"),),
)

CLOSURES = Schema(
    "CLOSURES",
    "Closure phases of triplets of interferograms.",
    (
        Field("closure", (("triplet", "place"),), required=True),
        Field("integer_closure", (("triplet", "place"),)),
        *(Field(name, (("triplet",),), coordinate=True) for name in ("first", "second", "third")),
        *(Field(name, (("triplet",),), coordinate=True) for name in ("pair_12", "pair_23", "pair_13")),
        Field("wavelength", ((),), coordinate=True),
        *GEOMETRY,
        *COORDINATES,
    ),
    attributes={"reference": "the place whose closures are zero, in words; its numbers in reference_*"},
)

UNWRAPPING_ERRORS = Schema(
    "UNWRAPPING_ERRORS",
    "Pairs suspected of unwrapping errors, from the closures of their triplets.",
    (
        *_PAIRS,
        *(Field(name, (("pair", "place"),), required=True) for name in ("suspected", "nonzero_triplets")),
        *(
            Field(name, (("pair",),), required=True)
            for name in ("triplet_count", "suspected_count", "nonzero_count", "nonzero_share")
        ),
        Field("perpendicular_baseline", (("pair",), ("pair", "place")), coordinate=True),
        Field("wavelength", ((),), coordinate=True),
        *GEOMETRY,
        *COORDINATES,
    ),
    attributes={"reference": "the place whose closures are zero, in words; its numbers in reference_*"},
)

_POINT_GEOMETRY = (
    Field("perpendicular_baseline", (("time",), ("pair",), ("time", "point"), ("pair", "point")), coordinate=True),
    Field("height_to_phase", (("time", "point"), ("pair", "point")), coordinate=True),
    Field("temperature", (("time",), ("pair",)), coordinate=True),
    Field("wavelength", ((),), required=True, coordinate=True),
    *GEOMETRY,
    *COORDINATES,
)
#: How a point was chosen.
_POINT_QUALITY = (
    Field("amplitude_dispersion", (("point",), ()), coordinate=True),
    Field("selection_coherence", (("point",), ()), coordinate=True),
    Field("source", (("point",), ()), coordinate=True),
    Field("tied", (("point",), ()), coordinate=True),
)
_EPOCHS_OR_PAIRS = (
    Field("time", (("time",),), coordinate=True),
    Field("reference", (("pair",),), coordinate=True),
    Field("secondary", (("pair",),), coordinate=True),
)
#: What the phase model has, and its errors: of an arc end minus start, of a point relative to the reference.
_MODEL = (
    "velocity",
    "velocity_std",
    "residual_height",
    "residual_height_std",
    "seasonal_sine",
    "seasonal_sine_std",
    "seasonal_cosine",
    "seasonal_cosine_std",
    "thermal_expansion",
    "thermal_expansion_std",
)
_REFERENCE_ATTRIBUTES = {
    "reference": "the point or area that values are relative to, in words; its numbers in reference_*",
    "reference_time": "the epoch whose phase is zero, ISO 8601",
}

POINTS = Schema(
    "POINTS",
    "Phases of persistent scatterers, by epoch or by pair.",
    (
        Field("phase", (("time", "point"), ("pair", "point")), required=True),
        *_EPOCHS_OR_PAIRS,
        *_POINT_QUALITY,
        *_POINT_GEOMETRY,
    ),
    attributes={"reference_time": "the epoch whose phase is zero, ISO 8601"},
)

ARCS = Schema(
    "ARCS",
    "Arcs between points, and the phase model along them: end minus start.",
    (
        Field("start", (("arc",),), required=True),
        Field("end", (("arc",),), required=True),
        Field("length", (("arc",),)),
        *(Field(name, (("arc",),)) for name in _MODEL),
        *(
            Field(name, (("arc",),))
            for name in ("temporal_coherence", "peak_ratio", "ambiguity_probability", "epoch_count", "status")
        ),
    ),
    attributes={
        "velocity_box": "lowest and highest velocity searched, m/year",
        "residual_height_box": "lowest and highest residual height searched, m",
        "noise_coherence": "coherence that pure noise exceeds in 5 % of arcs",
    },
)

SOLUTION = Schema(
    "SOLUTION",
    "The phase model of arcs integrated to points, relative to a reference.",
    (
        *(Field(name, (("point",),)) for name in _MODEL),
        Field("temporal_coherence", (("point",),)),
        Field("arc_count", (("point",),)),
        Field("network_part", (("point",),)),
        Field("status", (("point",),)),
        Field("reference_area", (("point",),)),
        Field("accepted", (("arc",),)),
        Field("redundancy", (("arc",),)),
        Field("start", (("arc",),), coordinate=True),
        Field("end", (("arc",),), coordinate=True),
        *(
            Field(name, (("arc",),))
            for name in (
                "velocity_misfit",
                "residual_height_misfit",
                "seasonal_sine_misfit",
                "seasonal_cosine_misfit",
                "thermal_expansion_misfit",
            )
        ),
        *(Field(field.name, field.dims, coordinate=True) for field in COORDINATES),
    ),
    attributes=_REFERENCE_ATTRIBUTES,
)

RESIDUALS = Schema(
    "RESIDUALS",
    "Phases of points that the phase model leaves, unwrapped in space and time, with the model.",
    (
        Field("residual_phase", (("time", "point"),), required=True),
        Field("time", (("time",),), required=True, coordinate=True),
        *(Field(name, (("point",),)) for name in _MODEL),
        *(Field(name, (("point",),)) for name in ("temporal_coherence", "arc_count", "network_part", "status")),
        Field("unclosed_triangles", (("time",),)),
        *_POINT_QUALITY,
        *_POINT_GEOMETRY,
    ),
    attributes=_REFERENCE_ATTRIBUTES,
)

SERIES = Schema(
    "SERIES",
    "Displacement series on a raster or on points.",
    (
        Field("time", (("time",),), required=True, coordinate=True),
        Field("displacement", (("time", "place"), ("time",)), required=True),
        *(Field(name, (("time", "place"), ("time",))) for name in ("displacement_std", "lower", "upper")),
        *(
            Field(name, (PLACE, (), ("window", "place"), ("window",)))
            for name in (
                "velocity",
                "velocity_std",
                "velocity_dof",
                "velocity_lower",
                "velocity_upper",
                "acceleration",
                "acceleration_std",
                "seasonal_amplitude",
                "seasonal_amplitude_std",
                "seasonal_phase",
                "seasonal_phase_std",
                "rms_residual",
                "noise_autocorrelation",
            )
        ),
        Field("window_start", (("window",),), coordinate=True),
        Field("window_end", (("window",),), coordinate=True),
        *(
            Field(name, (PLACE, ()))
            for name in (
                "temporal_coherence",
                "residual_height",
                "residual_height_std",
                "seasonal_sine",
                "seasonal_sine_std",
                "seasonal_cosine",
                "seasonal_cosine_std",
                "thermal_expansion",
                "thermal_expansion_std",
                "velocity_internal_std",
                "pair_count",
                "arc_count",
                "network_part",
                "status",
            )
        ),
        *_POINT_QUALITY,
        Field("temperature", (("time",),), coordinate=True),
        Field("sensor", (("time",),), coordinate=True),
        *(Field(name, (PLACE, ())) for name in ("datum_shift", "datum_shift_std")),
        Field("atmosphere", (("time", "place"), ("time",))),
        Field("atmospheric_std", (("time",),)),
        Field("perpendicular_baseline", (("time",), ("time", "place")), coordinate=True),
        Field("wavelength", ((),), coordinate=True),
        *GEOMETRY,
        *COORDINATES,
    ),
    attributes={
        "component": "'los' (towards the satellite), 'up' or 'east'",
        "reference": "the place or area whose displacement is zero, in words; its numbers in reference_*",
        "reference_time": "the epoch whose displacement is zero, ISO 8601",
    },
)

LEVELLING = Schema(
    "LEVELLING",
    "Heights or displacements of benchmarks at levelling campaigns.",
    (
        Field("time", (("time",),), required=True, coordinate=True),
        Field("height", (("time", "benchmark"),)),
        Field("displacement", (("time", "benchmark"),)),
        Field("std", (("time", "benchmark"), ("benchmark",), ())),
        Field("x", (("benchmark",),), coordinate=True),
        Field("y", (("benchmark",),), coordinate=True),
        Field("lon", (("benchmark",),), coordinate=True),
        Field("lat", (("benchmark",),), coordinate=True),
    ),
    one_of=(("height", "displacement"),),
    attributes={"component": "'up'"},
    component="up",
)

GNSS = Schema(
    "GNSS",
    "Displacements of GNSS stations.",
    LEVELLING.fields,
    one_of=(("displacement",),),
    attributes={"component": "'up', 'east', 'north' or 'los'"},
    component="up",
)

MATCHED = Schema(
    "MATCHED",
    "InSAR beside ground truth at benchmarks, on the truth's own dates.",
    (
        Field("time", (("time",),), required=True, coordinate=True),
        *(
            Field(name, (("time", "benchmark"),), required=True)
            for name in ("insar_displacement", "truth_displacement")
        ),
        *(Field(name, (("benchmark",),), required=True) for name in ("insar_velocity", "truth_velocity")),
        Field("insar_velocity_spread", (("benchmark",),)),
        Field("place_count", (("benchmark",),)),
        Field("distance", (("benchmark",),)),
        Field("displacement_shift", (("time",),)),
        Field("velocity_shift", ((),)),
        *(Field(name, (("benchmark",),), coordinate=True) for name in ("x", "y", "lon", "lat")),
    ),
    attributes={
        "component": "'up'",
        "datum": "'none', or 'shift' where the mean difference was taken off",
        "radius": "largest distance of a place from its benchmark, m",
        "assumption": "what was assumed about the component not seen",
    },
)

#: Every kind by name, as written in a file's ``kind`` attribute.
KINDS: dict[str, Schema] = {
    kind.name: kind
    for kind in (
        SLC,
        INTERFEROGRAMS,
        CLOSURES,
        UNWRAPPING_ERRORS,
        POINTS,
        ARCS,
        SOLUTION,
        RESIDUALS,
        SERIES,
        FITS,
        COMPARISON,
        FORECASTS,
        STABILISATION,
        HINDCAST,
        LEVELLING,
        GNSS,
        MATCHED,
    )
}
