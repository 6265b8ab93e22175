"""Points tied to a solved network: errors inside the stated ones, better than one tie, invariants, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence import schema, simulate
from subsidence._kernels.virtual_reference import virtual_reference
from subsidence._points import phase_design
from subsidence.errors import InputError, SchemaError
from subsidence.network import delaunay_arcs
from subsidence.phase_model._densification import densify
from subsidence.phase_model._integration import integrate_arcs
from subsidence.phase_model._search import search_phase_model
from subsidence.schema import Status
from subsidence.unwrapping._residuals import unwrap_residuals

BOX: dict[str, Any] = {"velocity": (-0.06, 0.06), "residual_height": (-50.0, 50.0)}


def solved(first: xr.Dataset, reference: Any) -> xr.Dataset:
    arcs = search_phase_model(first, delaunay_arcs(first, neighbours=4), **BOX)
    return unwrap_residuals(first, arcs, integrate_arcs(first, arcs, reference=reference))


def known(points: xr.Dataset, truth: xr.Dataset, count: int, *, reference: int = 0) -> xr.Dataset:
    """RESIDUALS of the first points as a perfect network would give them: truth and noise relative to a point."""
    names = ("velocity", "residual_height")
    design = phase_design(points)
    relative = {name: truth[name].values - truth[name].values[reference] for name in names}
    model = np.outer(design.velocity, relative["velocity"])
    model += np.outer(design.height, relative["residual_height"] / design.height_scale)
    whole = truth.phase_without_wrapping.values
    residual = (whole - whole[:, [reference]] - model)[:, :count]
    return xr.Dataset(
        {
            "residual_phase": (("time", "point"), residual.astype("f4")),
            **{name: ("point", relative[name][:count]) for name in names},
            **{f"{name}_std": ("point", np.full(count, 1e-6)) for name in names},
            "temporal_coherence": ("point", np.full(count, 0.9)),
            "arc_count": ("point", np.full(count, 6, np.int32)),
            "network_part": ("point", np.zeros(count, np.int32)),
            "status": ("point", np.zeros(count, np.int8)),
        },
        points.isel(point=slice(0, count)).drop_vars("phase").coords,
        {"reference_time": points.attrs["reference_time"], "reference": "point 0", "reference_point": reference},
    )


@pytest.fixture(scope="module")
def noisy() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset, xr.Dataset]:
    """2000 points, loud, of which every fourth is in the network; its mean is the reference."""
    scene, truth = simulate.point_scene(
        points=2000,
        extent=(2500.0, 2500.0),
        epochs=60,
        bowl=simulate.Bowl(settlement=0.06, parameters={"eta": 0.6, "lam": 2.0}),
        noise_std=0.8,
        seed=3,
    )
    first = scene.isel(point=slice(None, None, 4))
    everywhere = xr.DataArray(np.ones(500, bool), dims="point")
    return scene, truth, first, solved(first, everywhere)


@pytest.fixture(scope="module")
def quiet() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """300 points with atmosphere, of which 120 are known perfectly."""
    scene, truth = simulate.point_scene(
        points=300,
        extent=(1500.0, 1500.0),
        epochs=40,
        velocity=np.linspace(-0.02, 0.02, 300),
        incidence=(30.0, 46.0),
        slant_range=(800e3, 950e3),
        noise_std=0.2,
        atmosphere=simulate.Atmosphere(std=0.002, height_gradient_std=0.0),
        seed=5,
    )
    return scene, truth, known(scene, truth, 120)


def numbers(scene: xr.Dataset, result: xr.Dataset) -> np.ndarray:
    """Which points of the scene those of the result are."""
    order = np.argsort(scene.x.values)
    return order[np.searchsorted(scene.x.values[order], result.x.values)]


def errors(result: xr.Dataset, truth: xr.Dataset, name: str, which: np.ndarray, zero: float) -> np.ndarray:
    return result[name].values - (truth[name].values[which] - zero)


# Against the truth


def test_tied_values_are_right_within_their_stated_errors(noisy):
    scene, truth, first, residuals = noisy
    result = densify(first, scene, residuals, **BOX)
    which, tied = numbers(scene, result), result.tied.values
    assert tied.sum() > 0.97 * 1500
    for name in ("velocity", "residual_height"):
        zero = truth[name].values[::4].mean()
        off = errors(result, truth, name, which, zero)[tied]
        ratio = np.abs(off) / result[f"{name}_std"].values[tied]
        # velocities of the bowl change, which the stated errors know as scatter
        assert np.mean(ratio < 1) == pytest.approx(0.683, abs=0.05)
        assert np.mean(ratio < 1.96) == pytest.approx(0.95, abs=0.025)
        # as good as the network's own points
        assert np.std(off) < 1.2 * np.std(errors(result, truth, name, which, zero)[~tied])


def test_noise_of_the_reference_point_is_in_the_stated_errors():
    """It is the same at all points of a scene: only many scenes show it."""
    squares = []
    for seed in range(24):
        scene, truth = simulate.point_scene(points=120, extent=(700.0, 700.0), epochs=30, noise_std=0.5, seed=seed)
        first = scene.isel(point=slice(0, 50))
        result = densify(first, scene, solved(first, {"point": 0}), **BOX)
        which, tied = numbers(scene, result), result.tied.values
        for name in ("velocity", "residual_height"):
            off = errors(result, truth, name, which, truth[name].values[0])
            squares.append(np.mean((off[tied] / result[f"{name}_std"].values[tied]) ** 2))
    assert 0.7 < np.mean(squares) < 1.35


def test_stated_errors_of_the_network_are_those_of_the_tied_points_too(quiet):
    scene, _, residuals = quiet
    first = scene.isel(point=slice(0, 120))
    off = residuals.assign(velocity_std=residuals.velocity_std * 0 + 0.002)
    exact, uncertain = (densify(first, scene, each, **BOX) for each in (residuals, off))
    tied = exact.tied.values
    grown = np.sqrt(uncertain.velocity_std.values**2 - exact.velocity_std.values**2)[tied]
    assert (grown < 0.002).all()
    assert (grown > 0.0018).all()


def test_several_neighbours_are_better_than_the_nearest():
    """On few loud scenes: more often the right lobe, fewer slips of the residual phase, more coherent."""
    scene, truth = simulate.point_scene(points=3000, extent=(3000.0, 3000.0), epochs=25, noise_std=0.8, seed=9)
    first, residuals = scene.isel(point=slice(0, 600)), known(scene, truth, 600)
    found = {}
    for count in (1, 5):
        result = densify(first, scene, residuals, neighbours=count, min_coherence=0.0, **BOX)
        which = numbers(scene, result)
        off = errors(result, truth, "velocity", which, truth.velocity.values[0])[600:]
        cell = 0.0555 / 2 / (24 * 12 / 365.25)
        right = np.abs(off) < 0.5 * cell
        design = phase_design(scene)
        model = np.outer(design.velocity, result.velocity)
        model += np.outer(design.height, result.residual_height / design.height_scale[which])
        true = truth.phase_without_wrapping.values
        slip = np.abs(model + result.residual_phase - (true[:, which] - true[:, [0]])) > np.pi
        slips = slip.values[:, 600:][:, right].mean()
        found[count] = 1 - right.mean(), slips, float(result.temporal_coherence[600:].mean())
    wrong, slips, coherence = zip(found[1], found[5], strict=True)
    assert wrong[1] < 0.5 * wrong[0]
    assert slips[1] < 0.4 * slips[0]
    assert coherence[1] > coherence[0] + 0.05


def test_noise_is_dropped(quiet):
    scene, _, residuals = quiet
    first = scene.isel(point=slice(0, 120))
    rng = np.random.default_rng(1)
    phase = scene.phase.values.copy()
    phase[:, 200:] = rng.uniform(-np.pi, np.pi, (40, 100))
    phase[scene.time.values == np.datetime64(scene.attrs["reference_time"])] = 0.0
    mixed = scene.assign(phase=(("time", "point"), phase.astype("f4")))
    result = densify(first, mixed, residuals, **BOX)
    which = numbers(scene, result)
    assert np.isin(np.arange(200), which).all()
    assert (which >= 200).sum() <= 2
    assert result.attrs["tried_candidates"] == 180
    assert result.attrs["tied_candidates"] == result.tied.sum() == result.sizes["point"] - 120
    everything = densify(first, mixed, residuals, min_coherence=0.0, **BOX)
    assert everything.sizes["point"] == 300
    sure = densify(first, mixed, residuals, min_coherence=0.0, min_probability=0.99, **BOX)
    assert np.isin(np.arange(200), numbers(scene, sure)).all()
    assert sure.sizes["point"] < 260


def test_residual_phase_completes_the_observed_one(quiet):
    """Model and residual of a tied point give its phase relative to the reference, up to whole turns, and the truth."""
    scene, truth, residuals = quiet
    result = densify(scene.isel(point=slice(0, 120)), scene, residuals, **BOX)
    which = numbers(scene, result)
    design = phase_design(scene)
    height = result.residual_height.values / design.height_scale[which]
    whole = np.outer(design.velocity, result.velocity) + np.outer(design.height, height) + result.residual_phase
    observed = scene.phase.values[:, which] - scene.phase.values[:, [0]]
    turns = (whole.values - observed) / (2 * np.pi)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-5)
    true = truth.phase_without_wrapping.values
    np.testing.assert_allclose(whole, true[:, which] - true[:, [0]], atol=2e-4)
    zero = scene.time.values == np.datetime64(scene.attrs["reference_time"])
    np.testing.assert_allclose(result.residual_phase.values[zero], 0.0, atol=1e-6)
    # each point in its own geometry: incidence grows by 16 degrees over the scene
    off = errors(result, truth, "residual_height", which, truth.residual_height.values[0])
    assert np.sqrt(np.mean(off**2)) < 3.0


def test_noise_of_the_reference_epoch_wraps_no_residual(quiet):
    """It is in all other epochs alike: at nearly half a turn, single epochs must not jump to the other side."""
    scene, _, residuals = quiet
    phase = scene.phase.values.astype(float)
    zero = scene.time.values == np.datetime64(scene.attrs["reference_time"])
    phase[np.ix_(~zero, np.arange(120, 300))] += 3.05
    offset = scene.assign(phase=(("time", "point"), np.angle(np.exp(1j * phase)).astype("f4")))
    result = densify(scene.isel(point=slice(0, 120)), offset, residuals, **BOX)
    plain = densify(scene.isel(point=slice(0, 120)), scene, residuals, **BOX)
    np.testing.assert_allclose(result.velocity, plain.velocity, atol=1e-5)
    added = (result.residual_phase - plain.residual_phase).values[:, result.tied.values]
    # the constant itself is known up to a whole turn
    np.testing.assert_allclose(np.ptp(added[~zero], axis=0), 0.0, atol=1e-2)
    np.testing.assert_array_equal(added[zero], 0.0)


def test_subsidence_stays_negative():
    scene, truth = simulate.point_scene(points=60, epochs=40, velocity=np.r_[np.zeros(30), np.full(30, -0.03)], seed=1)
    result = densify(scene.isel(point=slice(0, 30)), scene, known(scene, truth, 30), **BOX)
    assert (result.velocity[result.tied.values] < -0.02).all()


def test_pairs():
    scene, truth = simulate.point_scene(points=150, epochs=30, noise_std=0.15, velocity=-0.01, seed=6)
    first, second = np.triu_indices(30, 1)
    near = second - first <= 3
    first, second = first[near], second[near]
    phase = scene.phase.values[second] - scene.phase.values[first]
    phase[7, 100] = np.nan
    baseline = scene.perpendicular_baseline.values
    pairs = xr.Dataset(
        {"phase": (("pair", "point"), np.angle(np.exp(1j * phase)).astype("f4"))},
        {
            **{name: scene[name].variable for name in ("x", "y", "wavelength", "incidence", "slant_range")},
            "reference": ("pair", scene.time.values[first]),
            "secondary": ("pair", scene.time.values[second]),
            "perpendicular_baseline": ("pair", baseline[second] - baseline[first]),
        },
    )
    residuals = known(scene, truth, 80)
    result = densify(pairs.isel(point=slice(0, 80)), pairs, residuals, **BOX)
    which = numbers(scene, result)
    assert result.tied.sum() >= 69
    for name, most in (("velocity", 0.001), ("residual_height", 4.0)):
        off = errors(result, truth, name, which, truth[name].values[0])
        assert np.sqrt(np.mean(off**2)) < most
    design = phase_design(scene)
    height = result.residual_height.values / design.height_scale[which]
    whole = np.outer(design.velocity, result.velocity) + np.outer(design.height, height) + result.residual_phase
    true = truth.phase_without_wrapping.values
    np.testing.assert_allclose(whole, true[:, which] - true[:, [0]], atol=1e-3)


def test_seasonal_motion_is_searched_or_taken_from_the_neighbours():
    scene, truth = simulate.point_scene(
        points=120, epochs=60, noise_std=0.2, seasonal_amplitude=0.004, seasonal_phase=0.0, seed=8
    )
    residuals = known(scene, truth, 60)
    design = phase_design(scene)
    # the motion is a cosine, all of it alike: relative to the first point there is none, and all is given to the model
    terms = {"seasonal_sine": np.zeros(60), "seasonal_cosine": np.zeros(60)}
    residuals = residuals.assign({name: ("point", value) for name, value in terms.items()})
    residuals = residuals.assign({f"{name}_std": ("point", np.full(60, 1e-4)) for name in terms})
    first = scene.isel(point=slice(0, 60))
    assert np.abs(design.seasonal_cosine).max() > 0
    taken = densify(first, scene, residuals, **BOX)
    np.testing.assert_allclose(taken.seasonal_cosine[taken.tied.values], 0.0, atol=1e-12)
    np.testing.assert_allclose(taken.seasonal_cosine_std[taken.tied.values], 1e-4, rtol=1e-6)
    searched = densify(first, scene, residuals, seasonal=0.006, **BOX)
    found = searched.seasonal_cosine[searched.tied.values]
    assert found.std() > 0
    assert np.abs(found).max() < 0.003


def test_neighbours_are_of_one_part_of_the_network(quiet):
    scene, truth, residuals = quiet
    # every other known point belongs to a part of its own reference, 5 mm/year off
    part = np.arange(120) % 2
    shift = np.where(part == 1, 0.005, 0.0)
    design = phase_design(scene)
    moved = residuals.assign(
        velocity=residuals.velocity - shift,
        network_part=("point", part.astype(np.int32)),
        status=("point", np.where(part == 1, Status.OTHER_PART, Status.OK).astype(np.int8)),
    )
    assert design.velocity.size == 40
    result = densify(scene.isel(point=slice(0, 120)), scene, moved, **BOX)
    which = numbers(scene, result)
    other = result.network_part.values == 1
    off = errors(result, truth, "velocity", which, truth.velocity.values[0]) + np.where(other, 0.005, 0.0)
    assert np.abs(off).max() < 0.003
    tied = result.tied.values
    assert 30 < (other & tied).sum() < 150
    np.testing.assert_array_equal(result.status.values == Status.OTHER_PART, other)


def test_a_first_order_point_that_was_not_reached_is_tried_again(quiet):
    scene, truth, residuals = quiet
    lost = residuals.copy(deep=True)
    lost["velocity"][7] = np.nan
    lost["residual_phase"][:, 7] = np.nan
    lost["status"][7] = Status.NO_ARC
    lost["network_part"][7] = -1
    result = densify(scene.isel(point=slice(0, 120)), scene, lost, **BOX)
    which = numbers(scene, result)
    assert sorted(which) == list(range(300))
    again = result.isel(point=int(np.flatnonzero(which == 7)[0]))
    assert again.tied
    assert abs(float(again.velocity) - (truth.velocity[7] - truth.velocity[0])) < 0.002


# Definitions and invariants


def test_virtual_reference_is_its_formula():
    rng = np.random.default_rng(2)
    left, residual = rng.uniform(-3, 3, (6, 9)), rng.normal(0, 2, (6, 9))
    left[2, 3] = residual[2, 3] = np.nan
    left[[1, 4], 5] = residual[[1, 4], 5] = np.nan
    near = np.array([[2, 1], [0, 4], [-1, -1]])
    weight = np.array([[0.7, 0.5], [0.3, 0.5], [0.0, 0.0]])
    phase, mean = np.empty((2, 9, 2))
    virtual_reference(0, 2, near, weight, np.cos(left), np.sin(left), residual, phase, mean)
    for place in range(2):
        for i in range(9):
            ks = [k for k in range(2) if np.isfinite(left[near[k, place], i])]
            if not ks:
                assert np.isnan(phase[i, place])
                assert np.isnan(mean[i, place])
                continue
            points = near[ks, place]
            turns = np.sum(weight[ks, place] * np.exp(1j * left[points, i]))
            assert phase[i, place] == pytest.approx(np.angle(turns))
            assert mean[i, place] == pytest.approx(np.average(residual[points, i], weights=weight[ks, place]))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_order_of_points_and_candidates_does_not_matter(quiet, seed):
    scene, _, residuals = quiet
    rng = np.random.default_rng(seed)
    one, other = rng.permutation(120), rng.permutation(300)
    base = densify(scene.isel(point=slice(0, 120)), scene, residuals, **BOX)
    turned = densify(
        scene.isel(point=one), scene.isel(point=other), residuals.isel(point=one).assign_attrs(reference_point=0), **BOX
    )
    a, b = (each.isel(point=np.argsort(each.x.values)) for each in (base, turned))
    for name in ("velocity", "residual_height", "velocity_std", "temporal_coherence", "residual_phase"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(a.tied, b.tied)


def test_threads_and_parts_give_the_same(quiet, monkeypatch):
    scene, _, residuals = quiet
    first = scene.isel(point=slice(0, 120))
    seen: list[tuple[int, int]] = []
    whole = densify(first, scene, residuals, threads=1, **BOX)
    xr.testing.assert_identical(whole, densify(first, scene, residuals, threads=2, **BOX))
    monkeypatch.setattr("subsidence.phase_model._densification._TOGETHER", 50)
    cut = densify(first, scene, residuals, progress=lambda *done: seen.append(done), **BOX)
    for name in ("velocity", "residual_height", "residual_phase"):
        np.testing.assert_allclose(cut[name], whole[name], rtol=1e-3, atol=1e-5)
    assert seen[-1] == (180, 180)


def test_what_comes_out(quiet):
    scene, _, residuals = quiet
    chosen = scene.assign_coords(
        source=("point", np.array(["classic", "multilook"])[np.arange(300) % 2]),
        amplitude_dispersion=("point", np.linspace(0.1, 0.3, 300)),
        row=("point", np.arange(300)),
        col=("point", np.arange(300)),
    )
    first = chosen.isel(point=slice(0, 120))
    given_residuals = residuals.assign_coords({name: first[name].variable for name in first.coords if name != "time"})
    before = [each.copy(deep=True) for each in (first, chosen, given_residuals)]
    result = densify(first, chosen, given_residuals, **BOX)
    for each, copy in zip((first, chosen, given_residuals), before, strict=True):
        xr.testing.assert_identical(each, copy)
    schema.RESIDUALS.check(result)
    assert result.attrs["kind"] == "RESIDUALS"
    assert result.attrs["reference_point"] == 0
    assert result.velocity.attrs["units"] == "m/year"
    # first-order points as they were, then candidates, each once, with what their selection said
    own = result.isel(point=slice(0, 120)).drop_vars("tied")
    for name in given_residuals.variables:
        np.testing.assert_array_equal(own[name], given_residuals[name])
    which = result.row.values
    assert len(set(which)) == which.size
    assert (np.diff(which[120:]) > 0).all()
    np.testing.assert_array_equal(result.source, np.array(["classic", "multilook"])[which % 2])
    np.testing.assert_allclose(result.amplitude_dispersion, np.linspace(0.1, 0.3, 300)[which])
    np.testing.assert_array_equal(result.incidence, scene.incidence.values[which])
    np.testing.assert_array_equal(result.tied, np.arange(which.size) >= 120)
    assert (result.arc_count[120:] == 5).all()
    # tied points can be tied to: a second call finds nothing new
    again = densify(chosen.isel(point=which), chosen, result, **BOX)
    assert again.attrs["tried_candidates"] == 300 - which.size
    np.testing.assert_array_equal(again.tied[: which.size], result.tied)


def test_missing_epochs(quiet):
    scene, truth, residuals = quiet
    rng = np.random.default_rng(3)
    holes = rng.random(scene.phase.shape) < 0.1
    holes[scene.time.values == np.datetime64(scene.attrs["reference_time"])] = False
    phase = scene.phase.where(~xr.DataArray(holes, dims=("time", "point")))
    gappy = scene.assign(phase=phase)
    lacking = residuals.assign(
        residual_phase=residuals.residual_phase.where(~xr.DataArray(holes[:, :120], dims=("time", "point")))
    )
    result = densify(gappy.isel(point=slice(0, 120)), gappy, lacking, **BOX)
    which, tied = numbers(scene, result), result.tied.values
    assert tied.sum() > 170
    np.testing.assert_array_equal(np.isnan(result.residual_phase.values), holes[:, which])
    off = errors(result, truth, "velocity", which, truth.velocity.values[0])
    assert np.abs(off).max() < 0.003


def test_max_distance_and_one_neighbour(quiet):
    scene, _, residuals = quiet
    first = scene.isel(point=slice(0, 120))
    near = densify(first, scene, residuals, max_distance=60.0, **BOX)
    assert 0 < near.tied.sum() < 150
    assert near.arc_count[near.tied.values].min() >= 1
    assert near.arc_count[near.tied.values].max() <= 5
    none = densify(first, scene, residuals, max_distance=0.1, **BOX)
    assert none.sizes["point"] == 120
    assert not none.tied.any()
    nothing_new = densify(first, first, residuals, **BOX)
    assert nothing_new.attrs["tried_candidates"] == 0
    np.testing.assert_array_equal(nothing_new.velocity, residuals.velocity)


def test_longitude_and_latitude(quiet):
    scene, _, residuals = quiet

    def degrees(data: xr.Dataset) -> xr.Dataset:
        lat, lon = 23 + data.y.values / 111_195, 113 + data.x.values / 111_195 / np.cos(np.deg2rad(23.0))
        return data.drop_vars(["x", "y"]).assign_coords(lon=("point", lon), lat=("point", lat))

    plane = densify(scene.isel(point=slice(0, 120)), scene, residuals, **BOX)
    globe = densify(degrees(scene.isel(point=slice(0, 120))), degrees(scene), degrees(residuals), **BOX)
    np.testing.assert_allclose(globe.velocity, plane.velocity, atol=2e-5)


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbours": 0}, "neighbours must be a whole number from 1, got 0"),
        ({"neighbours": 2.5}, "neighbours must be a whole number from 1"),
        ({"max_distance": -1.0}, "max_distance must be a positive number of metres or None, got -1.0"),
        ({"min_coherence": 1.5}, "min_coherence must lie between 0 and 1"),
        ({"min_probability": -0.5}, "min_probability must lie between 0 and 1"),
        ({"velocity": (0.1, -0.1)}, "velocity must be"),
        ({"residual_height": None}, "residuals has 'residual_height'"),
        ({"seasonal": 0.01}, "residuals has no 'seasonal_sine'"),
        ({"threads": 0}, "threads must be a positive whole number"),
    ],
)
def test_bad_options(quiet, options, message):
    scene, _, residuals = quiet
    with pytest.raises(InputError, match=message):
        densify(scene.isel(point=slice(0, 120)), scene, residuals, **{**BOX, **options})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, c, r: (p.isel(point=slice(0, 50)), c, r), "residuals has 120 points, points has 50"),
        (lambda p, c, r: (p, c.isel(time=slice(0, 30)), r), "candidates must have the 'time' of points"),
        (lambda p, c, r: (p, c.assign_coords(wavelength=0.031), r), "candidates must have the 'wavelength' of points"),
        (lambda p, c, r: (p, c, r.isel(time=slice(1, None))), "residuals has 39 epochs"),
        (lambda p, c, r: (p, c, r.assign(velocity=r.velocity * np.nan)), "residuals has no solved point"),
        (lambda p, c, r: (p, c.drop_vars(["x", "y"]), r), "candidates must have 'x' and 'y'"),
        (lambda p, c, r: (p.phase, c, r), "points must be an xarray.Dataset"),
    ],
)
def test_data_that_do_not_belong_together(quiet, change, message):
    scene, _, residuals = quiet
    with pytest.raises(InputError, match=message):
        densify(*change(scene.isel(point=slice(0, 120)), scene, residuals), **BOX)


def test_residuals_of_another_kind(quiet):
    scene, _, residuals = quiet
    with pytest.raises(SchemaError, match="'residual_phase' is missing"):
        densify(scene.isel(point=slice(0, 120)), scene, residuals.drop_vars("residual_phase"), **BOX)


def test_no_candidate_is_refused(quiet):
    scene, _, residuals = quiet
    first = scene.isel(point=slice(0, 120))
    with pytest.raises(InputError, match="no point"):
        densify(first, scene.isel(point=slice(0)), residuals)


def test_a_scatterer_at_the_place_of_another_is_tied_too(quiet):
    scene, _, residuals = quiet
    first = scene.isel(point=slice(0, 120))
    moved = first.isel(point=slice(0, 10))
    moved = moved.assign(phase=moved["phase"] + np.float32(0.01))
    assert densify(first, first.isel(point=slice(0, 10)), residuals).attrs["tried_candidates"] == 0
    assert densify(first, moved, residuals).attrs["tied_candidates"] == 10
