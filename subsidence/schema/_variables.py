"""Every variable this library knows: its unit, its long name, its sign, its possible range."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TOWARDS", "VARIABLES", "Variable"]

#: Other spellings of a unit, as rioxarray, CF files and other programs write them. None needs a conversion.
_SPELLINGS = {
    **dict.fromkeys(("metre", "metres", "meter", "meters"), "m"),
    **dict.fromkeys(("degrees", "deg"), "degree"),
    **dict.fromkeys(("radian", "radians"), "rad"),
    **dict.fromkeys(("", "dimensionless", "unitless"), "1"),
    **dict.fromkeys(("m/yr", "m/a", "m yr-1", "m year-1"), "m/year"),
    "degree_east": "degrees_east",
    "degree_north": "degrees_north",
}


@dataclass(frozen=True)
class Variable:
    """One physical quantity under the name it has in every Dataset.

    Parameters
    ----------
    name
        Name in a Dataset.
    units
        Unit written on results and asked for on input ("1" for a ratio, "" where a unit has no meaning).
    long_name
        What a plot's axis says.
    kinds
        Accepted numpy dtype kinds: "f" float, "c" complex, "i" and "u" integer, "b" boolean, "M" datetime64,
        "U", "O" and "T" text.
    minimum, maximum
        Range outside which a value cannot be what the name says.
    above_minimum
        Whether `minimum` itself lies outside that range.
    comment
        Sign convention or anything else that a reader must know.
    other_units
        Units accepted besides `units`.
    """

    name: str
    units: str
    long_name: str
    kinds: str = "f"
    minimum: float | None = None
    maximum: float | None = None
    above_minimum: bool = False
    comment: str = ""
    other_units: tuple[str, ...] = ()

    @property
    def range_words(self) -> str:
        """The range as text: "0..1", "0..", "above 0", or "" where there is none."""
        if self.minimum is None and self.maximum is None:
            return ""
        low, high = ("" if bound is None else f"{bound:g}" for bound in (self.minimum, self.maximum))
        return f"above {low}" + (f" to {high}" if high else "") if self.above_minimum else f"{low}..{high}"

    def accepted_unit(self, units: object) -> str | None:
        """`units` as this library spells it, or None where it is another unit than the variable's."""
        unit = _SPELLINGS.get(str(units).strip(), str(units).strip())
        if unit == "degree" and self.units.startswith("degrees_"):
            unit = self.units  # which axis is plain from the name
        return unit if unit in (self.units, *self.other_units) else None


#: Sign of a motion along the line of sight; :meth:`Schema.stamp` writes another for another component.
TOWARDS = "positive towards the satellite: subsidence is negative"
_UP = "positive up: subsidence is negative"
_SEASON = f"times sin or cos of 2 pi times the years since 1 January; {TOWARDS}"
_SINCE_FIRST = f"{_UP}; since the first campaign that both have"
_AWAY = "positive away from the satellite (range increase); secondary minus reference"

_ALL = (
    # what is measured
    Variable("slc", "1", "single-look complex image", kinds="c"),
    Variable("phase", "rad", "interferometric phase", comment=f"wrapped to +-pi; {_AWAY}"),
    Variable("unwrapped_phase", "rad", "unwrapped interferometric phase", comment=_AWAY),
    Variable("coherence", "1", "coherence", minimum=0.0, maximum=1.0),
    Variable("connected_component", "1", "connected component of the unwrapping", kinds="iu"),
    # what is derived
    Variable("displacement", "m", "displacement", comment=TOWARDS),
    Variable("displacement_std", "m", "standard deviation of displacement", minimum=0.0),
    Variable("velocity", "m/year", "velocity", comment=TOWARDS),
    Variable("velocity_std", "m/year", "standard deviation of velocity", minimum=0.0),
    Variable("velocity_dof", "1", "degrees of freedom of velocity_std (Student t)", minimum=0.0),
    Variable("velocity_lower", "m/year", "lower bound of velocity", comment=TOWARDS),
    Variable("velocity_upper", "m/year", "upper bound of velocity", comment=TOWARDS),
    Variable("acceleration", "m/year2", "acceleration", comment=TOWARDS),
    Variable("acceleration_std", "m/year2", "standard deviation of acceleration", minimum=0.0),
    Variable("seasonal_amplitude", "m", "amplitude of the annual motion", minimum=0.0),
    Variable("seasonal_amplitude_std", "m", "standard deviation of seasonal_amplitude", minimum=0.0),
    Variable("seasonal_phase", "rad", "phase of the annual motion", comment="largest at this angle after 1 January"),
    Variable("seasonal_phase_std", "rad", "standard deviation of seasonal_phase", minimum=0.0),
    Variable("rms_residual", "m", "root mean square of the residuals of the time model", minimum=0.0),
    Variable(
        "noise_autocorrelation",
        "1",
        "autocorrelation of the noise",
        minimum=-1.0,
        maximum=1.0,
        comment="between epochs one median revisit apart",
    ),
    Variable("temporal_coherence", "1", "temporal coherence", minimum=0.0, maximum=1.0000001),
    Variable("residual_height", "m", "residual height", comment="positive up, relative to the DEM removed"),
    Variable("residual_height_std", "m", "standard deviation of residual_height", minimum=0.0),
    Variable("residual_phase", "rad", "phase that the phase model leaves, unwrapped", comment=_AWAY),
    Variable("seasonal_sine", "m", "sine part of the annual motion", comment=_SEASON),
    Variable("seasonal_sine_std", "m", "standard deviation of seasonal_sine", minimum=0.0),
    Variable("seasonal_cosine", "m", "cosine part of the annual motion", comment=_SEASON),
    Variable("seasonal_cosine_std", "m", "standard deviation of seasonal_cosine", minimum=0.0),
    Variable("thermal_expansion", "m/K", "displacement per kelvin", comment=TOWARDS),
    Variable("thermal_expansion_std", "m/K", "standard deviation of thermal_expansion", minimum=0.0),
    Variable("velocity_internal_std", "m/year", "internal precision of velocity, from subsets of epochs", minimum=0.0),
    Variable("atmosphere", "m", "atmospheric delay as apparent displacement", comment=TOWARDS),
    Variable("atmospheric_std", "m", "standard deviation of an epoch's atmospheric delay", minimum=0.0),
    Variable("pair_count", "1", "number of pairs used", kinds="iu", minimum=0.0),
    Variable("status", "", "outcome", kinds="iu"),
    # arcs and points of a network in space
    Variable("start", "1", "point where the arc starts", kinds="iu", minimum=0.0),
    Variable("end", "1", "point where the arc ends", kinds="iu", minimum=0.0),
    Variable("length", "m", "length of the arc", minimum=0.0),
    Variable("peak_ratio", "1", "second highest coherence peak over the highest", minimum=0.0, maximum=1.0000001),
    Variable("ambiguity_probability", "1", "probability that the highest peak is the right one", "f", 0.0, 1.0000001),
    Variable("epoch_count", "1", "epochs or pairs used", kinds="iu", minimum=0.0),
    Variable("arc_count", "1", "accepted arcs at the point", kinds="iu", minimum=0.0),
    Variable("network_part", "1", "part of the network, 0 the reference's, others by size; -1 none", kinds="i"),
    Variable("accepted", "", "whether the arc was kept", kinds="b"),
    Variable("reference_area", "", "whether the point is part of the reference area", kinds="b"),
    Variable("redundancy", "1", "share of an arc's own error that shows in its misfit", "f", 0.0, 1.0000001),
    Variable("velocity_misfit", "m/year", "arc minus adjusted velocity difference"),
    Variable("residual_height_misfit", "m", "arc minus adjusted residual height difference"),
    Variable("seasonal_sine_misfit", "m", "arc minus adjusted difference"),
    Variable("seasonal_cosine_misfit", "m", "arc minus adjusted difference"),
    Variable("thermal_expansion_misfit", "m/K", "arc minus adjusted difference"),
    Variable("unclosed_triangles", "1", "triangles of the network that did not close", kinds="iu", minimum=0.0),
    Variable("amplitude_dispersion", "1", "standard deviation over mean of the amplitude", minimum=0.0),
    Variable("selection_coherence", "1", "temporal coherence of the multilooked pairs", minimum=0.0, maximum=1.0000001),
    Variable("source", "", "how the point was chosen", kinds="UOT", comment="'classic' or 'multilook'"),
    Variable("tied", "", "whether the point was tied to the solved network afterwards", kinds="b"),
    Variable("closure", "rad", "closure phase of a triplet", comment="pair_12 + pair_23 - pair_13"),
    Variable("integer_closure", "1", "whole cycles in a closure phase", comment="not zero: an unwrapping error"),
    Variable("suspected", "", "suspected of an unwrapping error", kinds="b"),
    Variable("nonzero_triplets", "1", "triplets of the pair that miss by whole cycles", kinds="iu", minimum=0.0),
    Variable("triplet_count", "1", "triplets that the pair is part of", kinds="iu", minimum=0.0),
    Variable("suspected_count", "1", "places where the pair is suspected", kinds="iu", minimum=0.0),
    Variable("nonzero_count", "1", "places where a triplet of the pair misses by cycles", kinds="iu", minimum=0.0),
    Variable("nonzero_share", "1", "share of its closures that miss by whole cycles", minimum=0.0, maximum=1.0),
    Variable("ramp_coefficients", "rad", "ramp removed", comment=f"coordinates scaled to +-1 over the scene; {_AWAY}"),
    Variable("delay_per_height", "rad/m", "height-correlated delay removed", comment=_AWAY),
    Variable("std_before", "rad", "standard deviation of the phase before delays were removed", minimum=0.0),
    Variable("std_after", "rad", "standard deviation of the phase after delays were removed", minimum=0.0),
    # time functions fitted to series
    Variable("lower", "m", "lower bound of displacement", comment=TOWARDS),
    Variable("upper", "m", "upper bound of displacement", comment=TOWARDS),
    Variable("estimate", "", "parameters", comment="in parameter_units; NaN where the record does not say"),
    Variable("estimate_std", "", "standard deviation of estimate", "f", 0.0, comment="infinite where it does not say"),
    Variable("optimum", "", "parameters of the best curve", comment="also where they mean nothing beyond the record"),
    Variable("covariance", "", "covariance of optimum", comment="in products of parameter_units"),
    Variable("rmse", "m", "root mean square of the residuals", minimum=0.0),
    Variable("noise_std", "m", "standard deviation of the noise", "f", 0.0, comment="of unit weight, if weighted"),
    Variable("noise_dof", "1", "degrees of freedom of the covariance (Student t)", minimum=0.0),
    Variable(
        "r_squared", "1", "coefficient of determination", "f", None, 1.0000001, comment="1 - RSS / TSS about the mean"
    ),
    Variable("aicc", "1", "Akaike's information criterion, corrected for few epochs"),
    Variable("bic", "1", "Bayesian information criterion"),
    Variable("time_of_peak", "", "date of the greatest velocity", kinds="M"),
    Variable("record_start", "", "first valid epoch", kinds="M"),
    Variable("record_end", "", "last valid epoch", kinds="M"),
    Variable("time_origin", "", "date of t = 0", kinds="M"),
    Variable("parameter", "", "parameter", kinds="UOT"),
    Variable("parameter_2", "", "parameter", kinds="UOT"),
    Variable("parameter_units", "", "unit of the parameter", kinds="UOT"),
    Variable("model", "", "time function", kinds="UOT"),
    Variable("akaike_weight", "1", "Akaike weight", "f", 0.0, 1.0000001),
    Variable("forecast_rmse", "m", "root mean square error of forecasts", "f", 0.0),
    Variable("forecast_bias", "m", "mean error of forecasts", comment="forecast minus displacement"),
    Variable("forecast_count", "1", "epochs that were foretold", kinds="iu", minimum=0.0),
    Variable("forecaster", "", "who foretells", kinds="UOT"),
    Variable("origin", "", "first epoch that was foretold", kinds="M"),
    Variable("forecast_coverage", "1", "share of forecast epochs inside their band", "f", 0.0, 1.0000001),
    Variable("parameter_count", "1", "parameters estimated", kinds="iu", minimum=0.0),
    Variable("best_model", "", "time function that fits best", kinds="UOT"),
    Variable("rmse_all", "m", "root mean square of the residuals of all places", "f", 0.0),
    Variable("aicc_all", "1", "sum of aicc over places"),
    Variable("bic_all", "1", "sum of bic over places"),
    Variable("akaike_weight_all", "1", "Akaike weight from aicc_all", "f", 0.0, 1.0000001),
    Variable("forecast_rmse_all", "m", "root mean square error of forecasts of all places", "f", 0.0),
    Variable("correlation_squared", "1", "squared correlation of data and curve", "f", 0.0, 1.0000001),
    Variable("stabilisation_date", "", "date from which the ground is stable", kinds="M"),
    Variable("stabilisation_duration", "year", "time from the onset until the ground is stable"),
    Variable("stabilisation_std", "year", "standard deviation of stabilisation_duration", "f", 0.0),
    Variable("datum_shift", "m", "datum of the second sensor above the first's", comment=TOWARDS),
    Variable("datum_shift_std", "m", "standard deviation of datum_shift", "f", 0.0),
    Variable("sensor", "1", "sensor of the epoch: 0 the first, 1 the second", kinds="iu", minimum=0.0),
    Variable("predicted", "m", "displacement foretold", comment=TOWARDS),
    Variable("misfit", "m", "displacement minus predicted", comment=TOWARDS),
    Variable("misfit_rmse", "m", "root mean square of misfit", "f", 0.0),
    Variable("largest_misfit", "m", "largest absolute misfit", "f", 0.0),
    Variable("within_tolerance", "", "whether no misfit exceeds the tolerance", kinds="b"),
    # geometry, time and place
    Variable("wavelength", "m", "radar wavelength", minimum=0.005, maximum=2.0),
    Variable("incidence", "degree", "incidence angle from the vertical at the target", "fiu", 0.0, 90.0),
    Variable("heading", "degree", "flight direction of the satellite, clockwise from north", kinds="fiu"),
    Variable("slant_range", "m", "slant range", kinds="fiu", minimum=1e3, maximum=1e8),
    Variable(
        "perpendicular_baseline",
        "m",
        "perpendicular baseline",
        kinds="fiu",
        comment="Bc cos(look) - Bn sin(look) (GAMMA's sign), secondary minus reference",
    ),
    Variable("parallel_baseline", "m", "parallel baseline", kinds="fiu", comment="Bc sin(look) + Bn cos(look)"),
    Variable("temperature", "degC", "air temperature", kinds="fiu", other_units=("K",)),
    Variable("height_to_phase", "rad/m", "phase per metre of residual height"),
    Variable("looks", "1", "number of independent looks", kinds="fiu", minimum=0.0, above_minimum=True),
    Variable("los_east", "1", "east component of the unit vector ground to satellite", minimum=-1.0, maximum=1.0),
    Variable("los_north", "1", "north component of the unit vector ground to satellite", minimum=-1.0, maximum=1.0),
    Variable("los_up", "1", "up component of the unit vector ground to satellite", minimum=0.0, maximum=1.0),
    Variable("height", "m", "height", kinds="fiu"),
    Variable("x", "m", "x coordinate of the projection", kinds="fiu", other_units=("degrees_east", "1")),
    Variable("y", "m", "y coordinate of the projection", kinds="fiu", other_units=("degrees_north", "1")),
    Variable("lon", "degrees_east", "longitude", kinds="fiu", minimum=-180.0, maximum=360.0),
    Variable("lat", "degrees_north", "latitude", kinds="fiu", minimum=-90.0, maximum=90.0),
    Variable("row", "1", "image row", kinds="iu", minimum=0.0),
    Variable("col", "1", "image column", kinds="iu", minimum=0.0),
    Variable("time", "", "acquisition time", kinds="M"),
    Variable("window_start", "", "first day of a window of time", kinds="M"),
    Variable("window_end", "", "last day of a window of time", kinds="M"),
    Variable("reference", "", "reference (earlier) acquisition of a pair", kinds="M"),
    Variable("first", "", "earliest acquisition of a triplet", kinds="M"),
    Variable("second", "", "middle acquisition of a triplet", kinds="M"),
    Variable("third", "", "latest acquisition of a triplet", kinds="M"),
    Variable("pair_12", "1", "number of the pair first, second", kinds="iu", minimum=0.0),
    Variable("pair_23", "1", "number of the pair second, third", kinds="iu", minimum=0.0),
    Variable("pair_13", "1", "number of the pair first, third", kinds="iu", minimum=0.0),
    Variable("secondary", "", "secondary (later) acquisition of a pair", kinds="M"),
    # ground truth
    Variable("std", "m", "standard deviation", minimum=0.0),
    Variable("insar_displacement", "m", "displacement by InSAR", comment=_SINCE_FIRST),
    Variable("truth_displacement", "m", "displacement on the ground", comment=_SINCE_FIRST),
    Variable("insar_velocity", "m/year", "velocity by InSAR", comment=_UP),
    Variable("truth_velocity", "m/year", "velocity on the ground", comment=_UP),
    Variable("insar_velocity_spread", "m/year", "standard deviation among the places averaged", minimum=0.0),
    Variable("displacement_shift", "m", "datum shift taken off insar_displacement"),
    Variable("velocity_shift", "m/year", "datum shift taken off insar_velocity"),
    Variable("place_count", "1", "number of places averaged", kinds="iu", minimum=0.0),
    Variable("distance", "m", "distance to the nearest place with data", minimum=0.0),
)

VARIABLES: dict[str, Variable] = {variable.name: variable for variable in _ALL}
