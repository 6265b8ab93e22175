"""What was estimated from a displacement, and holds no longer for another."""

from __future__ import annotations

import xarray as xr

__all__ = ["without_estimates"]

_VARIABLES = (
    *("velocity", "velocity_std", "velocity_dof", "velocity_lower", "velocity_upper", "velocity_internal_std"),
    *("acceleration", "acceleration_std", "rms_residual", "noise_autocorrelation", "window_start", "window_end"),
    *("seasonal_amplitude", "seasonal_amplitude_std", "seasonal_phase", "seasonal_phase_std"),
)
_ATTRIBUTES = ("velocity_model", "velocity_noise", "velocity_level", "velocity_internal")


def without_estimates(series: xr.Dataset) -> xr.Dataset:
    """`series` without what was estimated from its displacement."""
    result = series.drop_vars([name for name in _VARIABLES if name in series.variables])
    result.attrs = {key: value for key, value in series.attrs.items() if key not in _ATTRIBUTES}
    return result
