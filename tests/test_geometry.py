"""Look vectors and the sign convention, against vectors built independently."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from subsidence.errors import InputError
from subsidence.geometry import (
    displacement_to_phase,
    height_to_phase,
    look_vector,
    phase_to_displacement,
    wavelength_from_frequency,
)

incidences = st.floats(2.0, 89.0)
headings = st.floats(-360.0, 360.0)
wavelengths = st.floats(0.02, 0.3)


def components(vector):
    return np.array([float(vector[name]) for name in ("los_east", "los_north", "los_up")])


def flight(heading):
    return np.array([np.sin(np.deg2rad(heading)), np.cos(np.deg2rad(heading)), 0.0])


@given(incidence=incidences, heading=headings, looking=st.sampled_from(["right", "left"]))
def test_the_look_vector_is_a_unit_vector_square_to_the_flight(incidence, heading, looking):
    vector = components(look_vector(incidence, heading, looking=looking))
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-12)
    assert vector @ flight(heading) == pytest.approx(0.0, abs=1e-12)
    assert vector[2] == pytest.approx(np.cos(np.deg2rad(incidence)), abs=1e-12)


@given(incidence=incidences, heading=headings)
def test_the_satellite_is_on_the_side_it_does_not_look_to(incidence, heading):
    # Right of the flight direction is its cross product with up; the antenna looks there, so the ground
    # sees the satellite on the other side.
    right = np.cross(flight(heading), [0.0, 0.0, 1.0])
    assert components(look_vector(incidence, heading)) @ right < 0
    assert components(look_vector(incidence, heading, looking="left")) @ right > 0


def test_an_ascending_pass_looks_east_and_a_descending_pass_west():
    ascending, descending = look_vector(39.0, -12.0), look_vector(39.0, -168.0)
    assert float(ascending.los_east) < 0 < float(descending.los_east)
    # Eastward motion takes the ground away from a satellite that stands in the west.
    east = xr.DataArray(0.01)
    assert float(ascending.los_east * east) < 0


def test_incidence_by_pixel_gives_vectors_by_pixel_and_keeps_the_index():
    incidence = xr.DataArray([30.0, 40.0], dims="x", coords={"x": [0.0, 100.0]}, attrs={"units": "degree"})
    vector = look_vector(incidence, -168.0)
    assert vector.los_up.dims == ("x",)
    np.testing.assert_allclose(vector.los_up, np.cos(np.deg2rad([30.0, 40.0])))
    assert vector.los_up.attrs["units"] == "1"
    assert incidence.attrs == {"units": "degree"}


def test_a_coordinate_called_like_the_result_does_not_replace_it():
    heading = xr.DataArray(-12.0, coords={"los_north": 7.0})
    incidence = xr.DataArray([39.0], dims="x", coords={"los_east": 9.0})
    np.testing.assert_allclose(look_vector(incidence, heading).los_east, look_vector(39.0, -12.0).los_east)
    baseline = xr.DataArray([100.0], dims="pair", coords={"height_to_phase": ("pair", [5.0])})
    factor = height_to_phase(baseline, wavelength=0.0555, slant_range=880e3, incidence=39.0)
    assert float(factor.to_dataset().height_to_phase[0]) == pytest.approx(-0.0409, abs=1e-4)


@pytest.mark.parametrize(
    ("incidence", "keywords", "message"),
    [
        (-5.0, {}, "incidence must lie between 0 and 90 degrees, got -5 to -5"),
        (130.0, {}, "incidence must lie between 0 and 90 degrees, got 130 to 130"),
        (0.68, {}, "looks like radians: use np.rad2deg"),
        (39.0, {"looking": "up"}, "looking must be 'right' or 'left', got 'up'"),
    ],
)
def test_an_impossible_look_is_refused(incidence, keywords, message):
    with pytest.raises(InputError, match=message):
        look_vector(incidence, -12.0, **keywords)


def test_half_a_wavelength_of_range_is_one_cycle():
    # Ground that sinks by lambda/2 along the line of sight lengthens the two-way path by one wavelength.
    sunk = xr.DataArray([0.0, -0.0555 / 2])
    np.testing.assert_allclose(displacement_to_phase(sunk, 0.0555), [0.0, 2 * np.pi])


@given(phase=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20), wavelength=wavelengths)
def test_phase_comes_back_from_displacement(phase, wavelength):
    given_phase = xr.DataArray(phase, dims="time", attrs={"units": "rad"})
    back = displacement_to_phase(phase_to_displacement(given_phase, wavelength), wavelength)
    np.testing.assert_allclose(back, phase, rtol=1e-12, atol=1e-300)
    assert (back.attrs["units"], back.name) == ("rad", "unwrapped_phase")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_floating_dtype_is_kept_and_whole_numbers_become_float(dtype):
    phase = xr.DataArray(np.ones(3, dtype), dims="time", attrs={"units": "rad", "note": "x"})
    result = phase_to_displacement(phase, 0.0555)
    assert result.dtype == dtype
    assert result.attrs == {"units": "m", "long_name": "displacement"}
    assert phase.attrs == {"units": "rad", "note": "x"}
    assert phase_to_displacement(xr.DataArray([1, 2]), 0.0555).dtype == "float64"
    assert isinstance(phase_to_displacement(phase.variable, 0.0555), xr.Variable)


def test_chunked_phase_stays_lazy():
    pytest.importorskip("dask", reason="needs the extra 'dask'")
    phase = xr.DataArray(np.ones((2, 4)), dims=("time", "x")).chunk({"x": 2})
    assert phase_to_displacement(phase, 0.0555).chunks == phase.chunks


@pytest.mark.parametrize("wavelength", [55.5, 5.5, 0.0, -0.05, float("nan")])
def test_a_wavelength_not_in_metres_is_refused(wavelength):
    with pytest.raises(InputError, match=r"wavelength must be in metres, between 0\.005 and 2"):
        phase_to_displacement(xr.DataArray(1.0), wavelength)


def test_residual_height_phase_is_the_range_geometry():
    # Two orbits, one target raised by dz: the change of the difference in range, by Pythagoras.
    wavelength, slant_range, theta, bperp, dz = 0.0555, 880e3, np.deg2rad(39.0), 100.0, 10.0
    reference = slant_range * np.array([-np.sin(theta), np.cos(theta)])
    # GAMMA's Bperp = Bc cos(look) - Bn sin(look), c towards the ground seen and n down: a positive one is
    # square to the line of sight, outwards and up.
    across = np.array([np.cos(theta), np.sin(theta)])
    secondary = reference + bperp * across

    # The raised target keeps its range from the reference orbit: it moves along the range sphere.
    raised = dz * np.array([1 / np.tan(theta), 1.0])
    raised -= (np.hypot(*(reference - raised)) - slant_range) * (raised - reference) / slant_range

    def excess(target):
        return np.hypot(*(secondary - target)) - np.hypot(*(reference - target))

    phase = 4 * np.pi / wavelength * (excess(raised) - excess(np.zeros(2)))
    factor = height_to_phase(
        xr.DataArray([bperp], dims="pair"), wavelength=wavelength, slant_range=slant_range, incidence=39.0
    )
    assert abs(phase) == pytest.approx(abs(float(factor[0]) * raised[1]), rel=0.02)
    assert np.sign(phase) == np.sign(float(factor[0]))
    assert factor.attrs["units"] == "rad/m"


def test_the_published_wavelength_of_sentinel_1():
    # 5.405 GHz: HyP3 and ISCE print 0.055465763 m.
    assert wavelength_from_frequency(5.405e9) == pytest.approx(0.05546576, abs=1e-7)


@pytest.mark.parametrize("frequency", [5.405, 5.405e12, 0.0, float("nan")])
def test_a_frequency_not_in_hertz_is_refused(frequency):
    with pytest.raises(InputError, match="frequency must lie between"):
        wavelength_from_frequency(frequency)
