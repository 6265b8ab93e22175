"""Look vectors, the sign convention, phase to displacement and back.

The one place that knows the convention: line-of-sight displacement is positive **towards** the
satellite, interferometric phase (secondary minus reference) is positive **away** from it.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import xarray as xr

from subsidence.errors import InputError

__all__ = [
    "baseline_phase",
    "displacement_to_phase",
    "height_to_phase",
    "look_angle",
    "look_vector",
    "phase_to_displacement",
    "wavelength_from_frequency",
]

#: Mean radius of the Earth, metres.
EARTH_RADIUS = 6_371_009.0
#: Metres per second, exact.
SPEED_OF_LIGHT = 299_792_458.0

Labelled = TypeVar("Labelled", xr.DataArray, xr.Variable)


def phase_to_displacement(phase: Labelled, wavelength: float) -> Labelled:
    r"""
    Line-of-sight displacement from unwrapped phase.

    .. warning::
        Displacement is **positive towards** the satellite: subsidence is negative.

    Parameters
    ----------
    phase
        Unwrapped phase in radians, positive away from the satellite (range increase).
    wavelength
        Radar wavelength in metres.

    Returns
    -------
    xarray.DataArray
        Displacement in metres, of the dtype of `phase`.

    Raises
    ------
    InputError
        When `wavelength` is not a positive number of metres.

    Notes
    -----
    .. math:: d = -\frac{\lambda}{4 \pi} \phi

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> away = xr.DataArray([0.0, np.pi], dims="time")
    >>> phase_to_displacement(away, 0.0555).values.round(5).tolist()
    [0.0, -0.01388]
    """
    return _scaled(phase, -_checked_wavelength(wavelength) / (4 * np.pi), "m", "displacement")


def displacement_to_phase(displacement: Labelled, wavelength: float) -> Labelled:
    r"""
    Unwrapped phase that a line-of-sight displacement makes.

    Parameters
    ----------
    displacement
        Metres, positive towards the satellite.
    wavelength
        Radar wavelength in metres.

    Returns
    -------
    xarray.DataArray
        Phase in radians, positive away from the satellite, of the dtype of `displacement`.

    Raises
    ------
    InputError
        When `wavelength` is not a positive number of metres.

    Notes
    -----
    .. math:: \phi = -\frac{4 \pi}{\lambda} d

    Examples
    --------
    >>> import xarray as xr
    >>> settled = xr.DataArray(-0.0555 / 4, attrs={"units": "m"})
    >>> displacement_to_phase(settled, 0.0555).item() / np.pi
    1.0
    """
    return _scaled(displacement, -4 * np.pi / _checked_wavelength(wavelength), "rad", "unwrapped_phase")


def height_to_phase(
    perpendicular_baseline: xr.DataArray,
    *,
    wavelength: float,
    slant_range: xr.DataArray | float,
    incidence: xr.DataArray | float,
) -> xr.DataArray:
    r"""
    Phase per metre of residual height.

    Parameters
    ----------
    perpendicular_baseline
        Metres, GAMMA's sign, secondary minus reference.
    wavelength, slant_range
        Metres.
    incidence
        Incidence angle at the target in degrees.

    Returns
    -------
    xarray.DataArray
        Radians per metre.

    Notes
    -----
    .. math:: k_h = -\frac{4 \pi}{\lambda} \frac{B_\perp}{R \sin\theta}

    Examples
    --------
    >>> import xarray as xr
    >>> baseline = xr.DataArray([0.0, 100.0], dims="time")
    >>> height_to_phase(baseline, wavelength=0.0555, slant_range=880e3, incidence=39.0).values.round(4).tolist()
    [-0.0, -0.0409]
    """
    sine = np.sin(np.deg2rad(incidence))
    # A coordinate of the result's own name would keep it out of a Dataset.
    baseline = perpendicular_baseline.drop_vars("height_to_phase", errors="ignore")
    result = baseline * (-4 * np.pi / _checked_wavelength(wavelength)) / (slant_range * sine)
    result.attrs = {"units": "rad/m", "long_name": "phase per metre of residual height"}
    return result.rename("height_to_phase")


def look_angle(incidence: xr.DataArray | float, slant_range: xr.DataArray | float) -> xr.DataArray:
    r"""
    Angle at the satellite between its nadir and the line of sight, over a spherical Earth.

    Parameters
    ----------
    incidence
        Incidence angle at the target in degrees.
    slant_range
        Metres.

    Returns
    -------
    xarray.DataArray
        Degrees; smaller than the incidence by the angle at the Earth's centre.

    Notes
    -----
    .. math:: \sin\vartheta = \frac{r_E \sin\theta}{\sqrt{r_E^2 + R^2 + 2 r_E R \cos\theta}}

    Examples
    --------
    >>> round(float(look_angle(39.0, 880e3)), 2)
    34.51
    """
    theta = np.deg2rad(xr.DataArray(incidence).reset_coords(drop=True))
    distance = xr.DataArray(slant_range).reset_coords(drop=True)
    orbit = np.sqrt(EARTH_RADIUS**2 + distance**2 + 2 * EARTH_RADIUS * distance * np.cos(theta))
    result = xr.DataArray(np.rad2deg(np.arcsin(EARTH_RADIUS * np.sin(theta) / orbit)))
    result.attrs = {"units": "degree", "long_name": "look angle"}
    return result.rename("look_angle")


def baseline_phase(
    perpendicular_baseline: xr.DataArray,
    look: xr.DataArray,
    *,
    wavelength: float,
    centre_look: float,
    parallel_baseline: xr.DataArray | float = 0.0,
) -> xr.DataArray:
    r"""
    Phase that a baseline makes towards the look angles of a scene.

    Flat-earth phase where `look` belongs to the reference surface; with the topography where `look` is that
    of the ground, which a height `h` adds :math:`h / (R \sin\theta)` radians to.

    Parameters
    ----------
    perpendicular_baseline, parallel_baseline
        Metres towards `centre_look`, GAMMA's sign, secondary minus reference; any dims.
    look
        Look angle in degrees.
    wavelength
        Metres.
    centre_look
        Look angle in degrees that the baselines belong to.

    Returns
    -------
    xarray.DataArray
        Radians, positive away from the satellite, float64.

    Raises
    ------
    InputError
        When `wavelength` is not a positive number of metres.

    Notes
    -----
    With the unit vector towards the ground :math:`l`, the range grows by :math:`-B \cdot l`, so

    .. math:: \phi = -\frac{4 \pi}{\lambda} \left[ B_\perp \sin\Delta + B_\parallel \cos\Delta \right],
        \quad \Delta = \vartheta - \vartheta_0

    Examples
    --------
    >>> import xarray as xr
    >>> look = xr.DataArray([34.0, 34.1], dims="x")
    >>> baseline_phase(xr.DataArray(100.0), look, wavelength=0.0555, centre_look=34.0).values.round(2).tolist()
    [-0.0, -39.52]
    """
    factor = -4 * np.pi / _checked_wavelength(wavelength)
    delta = np.deg2rad(look.reset_coords(drop=True) - centre_look)
    across = xr.DataArray(perpendicular_baseline).reset_coords(drop=True)
    along = xr.DataArray(parallel_baseline).reset_coords(drop=True)
    result = factor * (across * np.sin(delta) + along * np.cos(delta))
    result.attrs = {"units": "rad", "long_name": "phase of the baseline"}
    return result.rename("baseline_phase")


def look_vector(
    incidence: xr.DataArray | float, heading: xr.DataArray | float, *, looking: str = "right"
) -> xr.Dataset:
    r"""
    Unit vector from the ground to the satellite.

    Parameters
    ----------
    incidence
        Incidence angle at the target in degrees from the vertical.
    heading
        Flight direction in degrees clockwise from north (about -12 ascending, -168 descending).
    looking
        Side on which the antenna looks, "right" or "left".

    Returns
    -------
    xarray.Dataset
        ``los_east``, ``los_north``, ``los_up``: a motion (e, n, u) changes the line of sight by
        ``los_east * e + los_north * n + los_up * u``, positive towards the satellite.

    Raises
    ------
    InputError
        When an incidence lies outside 0..90 degrees or looks like radians, or `looking` is neither side.

    Notes
    -----
    A right-looking satellite stands to the left of what it sees, so its horizontal direction seen from
    the ground is ``heading - 90``:

    .. math:: (e, n, u) = (-\sin\theta \cos\alpha,\; \sin\theta \sin\alpha,\; \cos\theta)

    Examples
    --------
    >>> vector = look_vector(39.0, -12.0)
    >>> [round(float(vector[name]), 3) for name in ("los_east", "los_north", "los_up")]
    [-0.616, -0.131, 0.777]
    """
    if looking not in {"right", "left"}:
        msg = f"looking must be 'right' or 'left', got {looking!r}"
        raise InputError(msg)
    # Scalar and pixel coordinates stay behind: one named los_east would replace the result of that name.
    angle = xr.DataArray(incidence).reset_coords(drop=True)
    low, high = float(angle.min()), float(angle.max())
    if low < 0 or high > 90:
        msg = f"incidence must lie between 0 and 90 degrees, got {low:g} to {high:g}"
        raise InputError(msg)
    if 0 < high <= np.pi / 2:
        msg = f"incidence is in degrees, got {low:g} to {high:g}, which looks like radians: use np.rad2deg"
        raise InputError(msg)
    side = 1.0 if looking == "right" else -1.0
    theta, alpha = np.deg2rad(angle), np.deg2rad(xr.DataArray(heading).reset_coords(drop=True))
    components = {
        "los_east": -side * np.sin(theta) * np.cos(alpha),
        "los_north": side * np.sin(theta) * np.sin(alpha),
        "los_up": np.cos(theta) + 0 * alpha,
    }
    names = {"los_east": "east", "los_north": "north", "los_up": "up"}
    for name, component in components.items():
        long_name = f"{names[name]} component of the unit vector ground to satellite"
        component.attrs = {"units": "1", "long_name": long_name}
    return xr.Dataset(components)


def wavelength_from_frequency(frequency: float) -> float:
    """
    Wavelength in metres of a radar frequency in hertz.

    Parameters
    ----------
    frequency
        Hertz.

    Returns
    -------
    float
        Metres.

    Raises
    ------
    InputError
        When the frequency is not one a radar satellite uses (0.3 to 40 GHz).

    Examples
    --------
    >>> wavelength_from_frequency(5.4050005e9)
    0.0554657...
    """
    if not 0.3e9 <= frequency <= 40e9:
        msg = f"frequency must lie between 0.3e9 and 40e9 Hz, got {frequency!r}"
        raise InputError(msg)
    return SPEED_OF_LIGHT / frequency


def _checked_wavelength(wavelength: float) -> float:
    value = float(wavelength)
    if not 0.005 <= value <= 2.0:
        msg = f"wavelength must be in metres, between 0.005 and 2, got {value!r}"
        raise InputError(msg)
    return value


def _scaled(values: Labelled, factor: float, units: str, long_name: str) -> Labelled:
    kept = values.dtype if values.dtype.kind == "f" else np.dtype(float)
    result = values.copy(data=values.data * kept.type(factor))
    result.attrs = {"units": units, "long_name": long_name.replace("_", " ")}
    if isinstance(result, xr.DataArray):
        result.name = long_name
    return result
