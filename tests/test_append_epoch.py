"""A new epoch in a series of persistent scatterers: against the chain on all epochs, and against the truth."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import subsidence as sd
from subsidence.errors import InputError

EPOCHS, KNOWN, REFERENCE = 40, 36, 7


@pytest.fixture(scope="module")
def scene() -> tuple[xr.Dataset, xr.Dataset]:
    return sd.simulate.point_scene(
        points=150, epochs=EPOCHS, reference=15, velocity=np.linspace(-0.02, 0.0, 150), noise_std=0.3, seed=4
    )


@pytest.fixture(scope="module")
def whole(scene):
    return sd.persistent_scatterers(scene[0], reference={"point": REFERENCE})


@pytest.fixture(scope="module")
def series(scene):
    return sd.persistent_scatterers(scene[0].isel(time=slice(KNOWN)), reference={"point": REFERENCE})


def rms(values) -> float:
    return float(np.sqrt(np.nanmean(np.square(values))))


def test_several_epochs_are_those_of_the_whole_chain(scene, series, whole):
    longer = sd.append_epoch(series, scene[0])
    assert longer["displacement"].isel(time=slice(KNOWN)).equals(series["displacement"])
    assert rms(longer["displacement"].values[KNOWN:] - whole["displacement"].values[KNOWN:]) < 0.0005
    truth = scene[1]["displacement"]
    error = longer["displacement"] - (truth - truth.isel(point=REFERENCE))
    assert rms(error.values[KNOWN:]) < 0.0035
    assert longer["velocity"].values == pytest.approx(whole["velocity"].values, abs=0.0005)


def test_twice_is_as_once(scene, series):
    points = scene[0]
    once = sd.append_epoch(series, points.isel(time=[15, 36, 37]))
    twice = sd.append_epoch(sd.append_epoch(series, points.isel(time=[15, 36])), points.isel(time=[15, 37]))
    assert rms(once["displacement"].values - twice["displacement"].values) < 0.0003


def test_an_epoch_before_all_others_goes_to_the_front(scene, whole):
    points = scene[0]
    late = sd.persistent_scatterers(points.isel(time=slice(1, None)), reference={"point": REFERENCE})
    longer = sd.append_epoch(late, points.isel(time=[0, 15]))
    assert np.array_equal(longer["time"].values, points["time"].values)
    assert rms(longer["displacement"].values[0] - whole["displacement"].values[0]) < 0.0005


def test_where_the_reference_has_no_data_its_neighbours_stand_for_it(scene, series, whole):
    lacking = scene[0].copy(deep=True)
    lacking["phase"][KNOWN, REFERENCE] = np.nan
    longer = sd.append_epoch(series, lacking)
    epoch = longer["displacement"].values[KNOWN]
    assert np.flatnonzero(np.isnan(epoch)).tolist() == [REFERENCE]
    assert rms(epoch - whole["displacement"].values[KNOWN]) < 0.004


def test_an_epoch_without_data_is_nan_and_spoils_no_other(scene, series, whole):
    lacking = scene[0].copy(deep=True)
    lacking["phase"][KNOWN] = np.nan
    longer = sd.append_epoch(series, lacking)
    assert np.isnan(longer["displacement"].values[KNOWN]).all()
    assert rms(longer["displacement"].values[KNOWN + 1 :] - whole["displacement"].values[KNOWN + 1 :]) < 0.0005


def test_ties_go_on_holding_the_velocity(scene):
    points, truth = scene
    known = truth["velocity"].values[[7, 30, 90]] - 0.005
    ties = {"point": [7, 30, 90], "velocity": known, "velocity_std": [1e-4] * 3}
    tied = sd.persistent_scatterers(points.isel(time=slice(KNOWN)), ties=ties)
    longer = sd.append_epoch(tied, points)
    off = longer["velocity"].values - (truth["velocity"].values - 0.005)
    assert abs(off.mean()) < 0.0008
    assert (longer["velocity_std"] > 5e-5).all()  # also at the point that phases are relative to
    whole = sd.persistent_scatterers(points, ties=ties)
    step = longer["displacement"].diff("time") - whole["displacement"].diff("time")
    assert abs(step.isel(time=KNOWN - 1).mean()) < 0.0015


def test_an_area_as_reference_has_to_be_named_again(scene):
    points = scene[0]
    area = xr.DataArray(np.arange(150) < 40, dims="point")
    series = sd.persistent_scatterers(points.isel(time=slice(KNOWN)), reference=area)
    with pytest.raises(InputError, match="area"):
        sd.append_epoch(series, points)
    longer = sd.append_epoch(series, points, reference=area)
    assert np.abs(longer["displacement"].values[:, :40].mean(axis=1)).max() < 1e-7


def test_every_part_of_the_network_keeps_its_own_reference():
    random = np.random.default_rng(3)
    place = np.concatenate([random.random((60, 2)) * 800.0, random.random((40, 2)) * 800.0 + [20_000.0, 0.0]])
    points, _ = sd.simulate.point_scene(positions=place, epochs=40, velocity=-0.01, noise_std=0.3, seed=5)
    with pytest.warns(sd.errors.DisconnectedNetworkWarning):
        series = sd.persistent_scatterers(points.isel(time=slice(38)), max_length=2000.0)
    longer = sd.append_epoch(series, points)
    for number in (0, 1):
        inside = series["network_part"].values == number
        before = np.abs(series["displacement"].values[:, inside]).max(axis=0)
        still = np.flatnonzero(before == 0)
        assert still.size == 1
        assert np.abs(longer["displacement"].values[:, inside][:, still]).max() == 0


def test_a_series_read_from_a_file_goes_on_alike(scene, series, tmp_path):
    sd.save(series, tmp_path / "series.nc")
    again = sd.append_epoch(sd.open(tmp_path / "series.nc"), scene[0])
    np.testing.assert_array_equal(again["displacement"], sd.append_epoch(series, scene[0])["displacement"])


def test_a_multilooked_point_keeps_its_looks():
    slc, _ = sd.simulate.slc_scene(shape=(60, 80), epochs=22, bowl=None, seed=3)
    with pytest.warns(sd.errors.DisconnectedNetworkWarning):
        series = sd.persistent_scatterers(slc.isel(time=slice(21)), max_dispersion=None, atmosphere=None)
    assert tuple(series.attrs["looks"]) == (1, 5)
    longer = sd.append_epoch(series, slc)
    selected = sd.select_scatterers(slc, max_dispersion=None, reference_time=series.attrs["reference_time"])
    known = {(r, c): k for k, (r, c) in enumerate(zip(selected["row"].values, selected["col"].values, strict=True))}
    pairs = [
        (k, known[place])
        for k, place in enumerate(zip(series["row"].values, series["col"].values, strict=True))
        if place in known and series["network_part"].values[k] == 0
    ]
    mine, theirs = (np.array(each) for each in zip(*pairs, strict=True))
    # phase of the new epoch less displacement and height must be one number for all: the reference's own phase
    wavelength = float(slc["wavelength"])
    per_metre = (
        -4
        * np.pi
        / wavelength
        * selected["perpendicular_baseline"].values[21]
        / (selected["slant_range"] * np.sin(np.deg2rad(selected["incidence"]))).values[theirs]
    )
    model = -4 * np.pi / wavelength * longer["displacement"].values[21, mine]
    model = model + per_metre * longer["residual_height"].values[mine]
    rest = np.exp(1j * (selected["phase"].values[21, theirs] - model))
    assert abs(rest.mean()) > 0.999


def test_other_points_and_another_order_are_refused(scene, series):
    points = scene[0]
    with pytest.raises(InputError, match="candidate"):
        sd.append_epoch(series, points.isel(point=slice(100)))
    with pytest.raises(InputError, match="order"):
        sd.append_epoch(series, points.isel(point=slice(None, None, -1)))
    with pytest.raises(InputError, match="no new epoch"):
        sd.append_epoch(series, points.isel(time=slice(30)))
