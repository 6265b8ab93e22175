"""The whole chain on simulated phases: errors inside the bars, invariants, bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

import subsidence as sd
from subsidence.errors import InputError
from subsidence.persistent._chain import first_order

BOX = {"velocity": (-0.06, 0.06), "residual_height": (-50.0, 50.0)}


def numbered(points: xr.Dataset) -> xr.Dataset:
    """Points that keep their number."""
    return points.assign_coords(candidate=("point", np.arange(points.sizes["point"])))


@pytest.fixture(scope="module")
def settling() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Points over a settling bowl with atmosphere, their truth, and the chain's result."""
    points, truth = sd.simulate.point_scene(
        points=900,
        extent=(2500.0, 2500.0),
        epochs=60,
        bowl=sd.simulate.Bowl(settlement=0.06, parameters={"eta": 0.6, "lam": 2.0}),
        velocity=-0.002,
        noise_std=0.4,
        atmosphere=sd.simulate.Atmosphere(std=0.004, height_gradient_std=0.0),
        seed=11,
    )
    series = sd.persistent_scatterers(numbered(points), reference={"point": 5}, **BOX)
    return points, truth, series


def relative(truth: xr.Dataset, name: str, series: xr.Dataset, reference: int) -> np.ndarray:
    values = truth[name].values
    return values[..., series["candidate"].values] - values[..., [reference]]


def test_velocity_and_displacement_are_those_of_the_truth(settling):
    _, truth, series = settling
    assert series.sizes["point"] > 880
    error = series["velocity"].values - relative(truth, "velocity", series, 5)
    assert np.sqrt(np.mean(error**2)) < 0.0012
    # the bowl sinks, so the sign is right
    assert series["velocity"].min() < -0.01
    off = series["displacement"].values - relative(truth, "displacement", series, 5)
    phase_noise = 0.4 * np.sqrt(2) * 0.0555 / (4 * np.pi)
    assert np.sqrt(np.mean(off**2)) < 2.0 * phase_noise


def test_the_stated_errors_cover_the_truth(settling):
    _, truth, series = settling
    error = np.abs(series["velocity"].values - relative(truth, "velocity", series, 5))
    inside = error < 2 * series["velocity_std"].values
    assert inside.mean() > 0.85


def test_residual_heights_are_right_within_their_errors():
    points, truth = sd.simulate.point_scene(points=500, epochs=50, noise_std=0.4, seed=8)
    series = sd.persistent_scatterers(numbered(points), reference={"point": 5}, **BOX)
    error = series["residual_height"].values - relative(truth, "residual_height", series, 5)
    ratio = np.abs(np.delete(error, 5) / np.delete(series["residual_height_std"].values, 5))
    assert np.mean(ratio < 1) == pytest.approx(0.68, abs=0.12)  # all share the error of one reference point
    assert np.mean(ratio < 2) > 0.9


def test_heights_over_a_swath_take_each_points_own_range_and_incidence():
    x = np.linspace(0.0, 60e3, 600)
    place = np.stack([x, 2000.0 * np.random.default_rng(1).random(600)], axis=-1)
    points, truth = sd.simulate.point_scene(
        positions=place,
        extent=(60e3, 2000.0),
        epochs=40,
        incidence=(30.0, 46.0),
        slant_range=(800e3, 960e3),
        noise_std=1e-3,
        residual_height_std=15.0,
        seed=3,
    )
    arcs = sd.search_phase_model(points, sd.delaunay_arcs(points, neighbours=4), residual_height=(-100.0, 100.0))
    solution = sd.integrate_arcs(points, arcs, reference={"point": 0})
    # phases know h / (R sin theta): the reference counts as lying on the model
    scale = (points["slant_range"] * np.sin(np.deg2rad(points["incidence"]))).values
    height = truth["residual_height"].values
    expected = scale * (height / scale - height[0] / scale[0])
    np.testing.assert_allclose(solution["residual_height"], expected, atol=0.1)


def test_the_result_is_a_series_with_its_reference_and_its_reference_time(settling):
    points, _, series = settling
    sd.schema.SERIES.check(series)
    assert series.attrs["kind"] == "SERIES"
    assert series.attrs["component"] == "los"
    assert np.datetime64(series.attrs["reference_time"]) == np.datetime64(points.attrs["reference_time"])
    at = int(np.flatnonzero(series["candidate"].values == 5)[0])
    assert np.abs(series["displacement"].values[:, at]).max() < 1e-9
    epoch = int(np.flatnonzero(series["time"].values == np.datetime64(points.attrs["reference_time"], "ns"))[0])
    assert np.abs(series["displacement"].values[epoch]).max() < 1e-9
    assert np.isfinite(series["velocity_internal_std"]).mean() > 0.99
    assert series.attrs["candidate_count"] == 900


def test_atmosphere_separated_makes_the_displacement_better(settling):
    points, truth, series = settling
    plain = sd.persistent_scatterers(numbered(points), reference={"point": 5}, atmosphere=None, **BOX)
    with_air = plain["displacement"].values - relative(truth, "displacement", plain, 5)
    without = series["displacement"].values - relative(truth, "displacement", series, 5)
    assert np.sqrt(np.mean(without**2)) < 0.8 * np.sqrt(np.mean(with_air**2))


def test_cells_give_their_best_candidate_and_the_others_are_tied_to_it(settling):
    points, truth, _ = settling
    quality = np.random.default_rng(0).random(900)
    graded = numbered(points).assign_coords(amplitude_dispersion=("point", quality))
    chosen = first_order(graded, 150.0)
    assert 150 < chosen.size < 400
    cell = np.floor(np.stack([points["x"], points["y"]], axis=-1) / 150.0)
    for number in chosen[:20]:
        same = (cell == cell[number]).all(axis=1)
        assert quality[number] == quality[same].min()
    series = sd.persistent_scatterers(graded, reference={"point": 0}, spacing=150.0, **BOX)
    assert series.sizes["point"] > 850
    error = series["velocity"].values - relative(truth, "velocity", series, 0)
    assert np.sqrt(np.mean(error**2)) < 0.0015


def test_the_order_of_points_does_not_matter():
    points, _ = sd.simulate.point_scene(points=150, epochs=30, velocity=-0.01, noise_std=0.3, seed=4)
    points = numbered(points)
    turned = points.isel(point=np.random.default_rng(1).permutation(150))
    one = sd.persistent_scatterers(points, reference={"x": 1000.0, "y": 1000.0}, atmosphere=None)
    two = sd.persistent_scatterers(turned, reference={"x": 1000.0, "y": 1000.0}, atmosphere=None)
    order_one, order_two = (np.argsort(each["candidate"].values) for each in (one, two))
    assert np.array_equal(one["candidate"].values[order_one], two["candidate"].values[order_two])
    np.testing.assert_allclose(one["velocity"].values[order_one], two["velocity"].values[order_two], rtol=0, atol=2e-6)


def test_threads_do_not_change_the_result():
    points, _ = sd.simulate.point_scene(points=150, epochs=30, velocity=-0.01, noise_std=0.3, seed=4)
    one = sd.persistent_scatterers(points, reference={"point": 3}, threads=1)
    two = sd.persistent_scatterers(points, reference={"point": 3}, threads=2)
    xr.testing.assert_identical(one, two)


def test_two_towns_apart_are_solved_each_on_its_own():
    random = np.random.default_rng(3)
    place = np.concatenate([random.random((60, 2)) * 800.0, random.random((40, 2)) * 800.0 + [20_000.0, 0.0]])
    points, _ = sd.simulate.point_scene(positions=place, epochs=40, velocity=-0.01, noise_std=0.3, seed=5)
    with pytest.warns(sd.errors.DisconnectedNetworkWarning):
        series = sd.persistent_scatterers(numbered(points), max_length=2000.0, atmosphere=None)
    assert series.sizes["point"] == 100
    assert sorted(np.unique(series["network_part"].values, return_counts=True)[1]) == [40, 60]
    smaller = series["network_part"].values == 1
    assert (series["status"].values[smaller] == sd.schema.Status.OTHER_PART).all()


# Bad input


def test_images_or_points_are_asked_for():
    with pytest.raises(InputError, match="SLC or POINTS"):
        sd.persistent_scatterers([1, 2, 3])
    with pytest.raises(sd.errors.SchemaError):
        sd.persistent_scatterers(xr.Dataset({"displacement": ("time", [0.0])}))


def test_a_point_that_nothing_checks_is_left_out_unless_asked_for():
    place = np.concatenate([np.random.default_rng(2).random((60, 2)) * 500.0, [[900.0, 250.0]]])
    points, _ = sd.simulate.point_scene(positions=place, epochs=30, noise_std=0.3, seed=2)
    reach = np.sort(np.hypot(*(place[:60] - place[60]).T))[:2].mean()  # its nearest neighbour, not the next
    lone = {"max_length": reach, "neighbours": 1, "reference": {"point": 3}, "atmosphere": None}
    arcs = sd.delaunay_arcs(points, max_length=reach, neighbours=1)
    assert ((arcs["start"] == 60) | (arcs["end"] == 60)).sum() == 1
    with_it = sd.persistent_scatterers(points, min_arcs=1, **lone)
    without = sd.persistent_scatterers(points, **lone)
    assert 60 in with_it["candidate"]
    assert 60 not in without["candidate"]
    with pytest.raises(InputError, match="min_arcs"):
        sd.persistent_scatterers(points, min_arcs=0)


@pytest.mark.parametrize("spacing", [0.0, -5.0, np.nan, np.inf, True])
def test_spacing_must_be_a_positive_length(spacing):
    points, _ = sd.simulate.point_scene(points=20, epochs=12, seed=1)
    with pytest.raises(InputError, match="spacing"):
        sd.persistent_scatterers(points, spacing=spacing)


def test_fewer_than_four_epochs_are_refused():
    points, _ = sd.simulate.point_scene(points=20, epochs=3, seed=1)
    with pytest.raises(InputError, match="4"):
        sd.persistent_scatterers(points)


def test_one_point_is_refused_with_words():
    points, _ = sd.simulate.point_scene(points=1, epochs=20, seed=1)
    with pytest.raises(InputError, match="point"):
        sd.persistent_scatterers(points)


def test_degrees_in_place_of_metres_are_refused():
    points, _ = sd.simulate.point_scene(points=20, epochs=12, seed=1)
    degrees = points.assign_coords(x=points["x"] * 1e-5 + 113.1, y=points["y"] * 1e-5 + 23.0)
    with pytest.raises(InputError, match="lon"):
        sd.persistent_scatterers(degrees)


def test_baselines_all_zero_leave_the_velocity():
    points, _ = sd.simulate.point_scene(points=80, epochs=30, baseline_std=0.0, velocity=-0.01, noise_std=0.3, seed=1)
    with pytest.warns(sd.errors.SuspiciousDataWarning, match="baseline"):
        series = sd.persistent_scatterers(points, reference={"point": 0}, atmosphere=None)
    assert np.abs(series["velocity"]).max() < 0.006


def test_duplicate_and_collinear_points_work():
    place = np.stack([np.arange(60) * 30.0, np.zeros(60)], axis=-1)
    place[30] = place[29]
    points, _ = sd.simulate.point_scene(positions=place, epochs=40, noise_std=0.3, velocity=-0.005, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sd.errors.DisconnectedNetworkWarning)
        series = sd.persistent_scatterers(points, reference={"point": 0}, atmosphere=None)
    assert series.sizes["point"] == 60
    assert np.abs(series["velocity"]).max() < 0.003


def test_pure_noise_is_refused_with_the_best_coherence_there_is():
    points, _ = sd.simulate.point_scene(points=60, epochs=20, noise_std=3.0, seed=6)
    with pytest.raises(InputError, match="coherence"):
        sd.persistent_scatterers(points)


# What is asked for is what is given


@pytest.fixture(scope="module")
def town() -> tuple[xr.Dataset, xr.Dataset]:
    """Points of which some have no data, each with a velocity and a temperature of its own."""
    random = np.random.default_rng(5)
    expansion = random.uniform(0.0, 5e-4, 200)
    days = np.arange(60) * 12
    warmth = 15 + 12 * np.sin(2 * np.pi * days / 365.25) + random.normal(0, 3, 60)
    points, truth = sd.simulate.point_scene(
        points=200,
        epochs=60,
        velocity=random.uniform(-0.02, 0.0, 200),
        motion=xr.DataArray(np.outer(warmth - warmth[30], expansion), dims=("time", "point")),
        noise_std=0.3,
        seed=4,
    )
    points = numbered(points).assign_coords(temperature=("time", warmth), quality=("point", random.random(200)))
    points["phase"][:, 3] = np.nan
    return points, truth.assign(thermal_expansion=("point", expansion))


def test_the_reference_is_a_candidate_whatever_the_spacing(town):
    points = town[0].assign_coords(amplitude_dispersion=("point", np.linspace(0.9, 0.1, 200)))
    assert 7 not in first_order(points, 400.0)
    for spacing in (None, 400.0):
        series = sd.persistent_scatterers(points, reference={"point": 7}, spacing=spacing, atmosphere=None, **BOX)
        at = series.attrs["reference_point"]
        assert series["candidate"].values[at] == 7
        assert series.attrs["reference"] == f"point {at}"
        assert np.nanmax(np.abs(series["displacement"].values[:, at])) == 0
        assert (np.diff(series["candidate"].values) > 0).all()


def test_labels_of_points_stay(town):
    points = town[0].assign_coords(point=[f"house {k}" for k in range(200)])
    series = sd.persistent_scatterers(points, atmosphere=None, spacing=300.0, **BOX)
    assert "house 3" not in series["point"].values
    assert series.attrs["reference"] == f"point {series['point'].values[series.attrs['reference_point']]}"
    assert [int(name[6:]) for name in series["point"].values] == series["candidate"].values.tolist()


def test_an_area_is_of_candidates_whatever_the_spacing(town):
    points = town[0]
    area = xr.DataArray(np.arange(200) < 40, dims="point")
    series = sd.persistent_scatterers(points, reference=area, spacing=300.0, **BOX)
    inside = series["candidate"].values < 40
    assert np.abs(series["displacement"].values[:, inside].mean(axis=1)).max() < 1e-6


def test_ties_are_of_candidates_whatever_the_spacing(town):
    points, truth = town
    # the last in its cell is never the first that is chosen
    graded = points.assign_coords(amplitude_dispersion=("point", np.linspace(0.9, 0.1, 200)))
    at = [7, 30, 60, 90]
    ties = {"point": at, "velocity": truth["velocity"].values[at], "velocity_std": [1e-4] * 4}
    series = sd.persistent_scatterers(graded, ties=ties, spacing=400.0, atmosphere=None, **BOX)
    off = series["velocity"].values - truth["velocity"].values[series["candidate"].values]
    assert abs(np.median(off)) < 0.0008


def test_points_at_one_place_are_all_tied(town):
    points = town[0]
    twins = points.assign_coords(
        x=("point", np.repeat(points["x"].values[::2], 2)), y=("point", np.repeat(points["y"].values[::2], 2))
    )
    series = sd.persistent_scatterers(twins, spacing=300.0, atmosphere=None, **BOX)
    assert series.sizes["point"] == 199


def test_thermal_expansion_is_that_of_each_point_also_of_tied_ones(town):
    points, truth = town
    for spacing in (None, 300.0):
        series = sd.persistent_scatterers(
            points, thermal_expansion=(-8e-4, 8e-4), spacing=spacing, atmosphere=None, reference={"point": 7}, **BOX
        )
        known = truth["thermal_expansion"].values
        error = series["thermal_expansion"].values - (known - known[7])[series["candidate"].values]
        assert np.std(error) < 5e-5


def test_an_annual_motion_that_is_searched_leaves_the_velocity_alone():
    points, _ = sd.simulate.point_scene(
        points=150, epochs=40, seasonal_amplitude=np.linspace(0.0, 0.009, 150), noise_std=0.2, seed=4
    )
    series = sd.persistent_scatterers(points, seasonal=0.015, atmosphere=None, reference={"point": 0}, **BOX)
    assert np.sqrt(np.mean(series["velocity"].values ** 2)) < 0.0012
    assert series.attrs["velocity_model"] == "linear + annual"


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("count", [10, 11, 19, 20])
def test_few_points_keep_their_atmosphere_and_are_solved(count, seed):
    points, _ = sd.simulate.point_scene(points=count, epochs=30, noise_std=0.2, seed=seed)
    series = sd.persistent_scatterers(points, **BOX)
    assert series.sizes["point"] == count
    assert series.attrs["atmosphere_method"] == ("none" if count < 20 else "kriging")


def test_an_epoch_without_data_and_an_infinite_phase_are_no_data(town):
    points = town[0].copy(deep=True)
    points["phase"][4] = np.nan
    points["phase"][6, 50] = np.inf
    series = sd.persistent_scatterers(points, reference={"point": 7}, **BOX)
    lacking = np.isnan(series["displacement"].values)
    assert lacking[4].all()
    assert lacking.sum() == 199 + 1


def test_a_spacing_that_leaves_one_point_is_refused(town):
    with pytest.raises(InputError, match="spacing"):
        sd.persistent_scatterers(town[0], spacing=1e6)
