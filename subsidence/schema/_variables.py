"""Every variable this library knows: its unit, its long name, its sign, its possible range."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VARIABLES", "Variable"]


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
        Accepted numpy dtype kinds: "f" float, "c" complex, "i" and "u" integer, "b" boolean, "M" datetime64.
    minimum, maximum
        Range outside which a value cannot be what the name says.
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
    comment: str = ""
    other_units: tuple[str, ...] = ()


_TOWARDS = "positive towards the satellite: subsidence is negative"
_AWAY = "positive away from the satellite (range increase); secondary minus reference"

_ALL = (
    # what is measured
    Variable("slc", "1", "single-look complex image", kinds="c"),
    Variable("phase", "rad", "interferometric phase", comment=f"wrapped to +-pi; {_AWAY}"),
    Variable("unwrapped_phase", "rad", "unwrapped interferometric phase", comment=_AWAY),
    Variable("coherence", "1", "coherence", minimum=0.0, maximum=1.0),
    Variable("connected_component", "1", "connected component of the unwrapping", kinds="iu"),
    # what is derived
    Variable("displacement", "m", "displacement", comment=_TOWARDS),
    Variable("displacement_std", "m", "standard deviation of displacement", minimum=0.0),
    Variable("velocity", "m/year", "velocity", comment=_TOWARDS),
    Variable("velocity_std", "m/year", "standard deviation of velocity", minimum=0.0),
    Variable("velocity_dof", "1", "degrees of freedom of velocity_std (Student t)", minimum=0.0),
    Variable("acceleration", "m/year2", "acceleration", comment=_TOWARDS),
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
    Variable("atmosphere", "m", "atmospheric delay as apparent displacement", comment=_TOWARDS),
    Variable("atmospheric_std", "m", "standard deviation of an epoch's atmospheric delay", minimum=0.0),
    Variable("pair_count", "1", "number of pairs used", kinds="iu", minimum=0.0),
    Variable("status", "", "outcome", kinds="iu"),
    Variable("closure", "rad", "closure phase of a triplet", comment="first + second - third pair"),
    # geometry, time and place
    Variable("wavelength", "m", "radar wavelength", minimum=0.005, maximum=2.0),
    Variable("incidence", "degree", "incidence angle from the vertical at the target", minimum=0.0, maximum=90.0),
    Variable("heading", "degree", "flight direction of the satellite, clockwise from north"),
    Variable("slant_range", "m", "slant range", minimum=1e3, maximum=1e8),
    Variable(
        "perpendicular_baseline",
        "m",
        "perpendicular baseline",
        comment="Bc cos(look) - Bn sin(look) (GAMMA's sign), secondary minus reference",
    ),
    Variable("height_to_phase", "rad/m", "phase per metre of residual height"),
    Variable("looks", "1", "number of independent looks", kinds="fiu", minimum=0.0),
    Variable("los_east", "1", "east component of the unit vector ground to satellite", minimum=-1.0, maximum=1.0),
    Variable("los_north", "1", "north component of the unit vector ground to satellite", minimum=-1.0, maximum=1.0),
    Variable("los_up", "1", "up component of the unit vector ground to satellite", minimum=0.0, maximum=1.0),
    Variable("height", "m", "height"),
    Variable("x", "m", "x coordinate of the projection", other_units=("degrees_east", "1")),
    Variable("y", "m", "y coordinate of the projection", other_units=("degrees_north", "1")),
    Variable("lon", "degrees_east", "longitude", minimum=-180.0, maximum=360.0),
    Variable("lat", "degrees_north", "latitude", minimum=-90.0, maximum=90.0),
    Variable("row", "1", "image row", kinds="iu", minimum=0.0),
    Variable("col", "1", "image column", kinds="iu", minimum=0.0),
    Variable("time", "", "acquisition time", kinds="M"),
    Variable("reference", "", "reference (earlier) acquisition of a pair", kinds="M"),
    Variable("secondary", "", "secondary (later) acquisition of a pair", kinds="M"),
    # ground truth
    Variable("std", "m", "standard deviation", minimum=0.0),
)

VARIABLES: dict[str, Variable] = {variable.name: variable for variable in _ALL}
