"""Integration of arcs to points against dense least squares, simulated truth, and the sizes it claims."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.spatial import Delaunay

from subsidence import schema, simulate
from subsidence._kernels import selected_inverse as kernel
from subsidence._kernels.point_variance import split_variance
from subsidence._points import phase_design
from subsidence.errors import DisconnectedNetworkWarning, InputError, SchemaError, SuspiciousDataWarning
from subsidence.network._triangles import triangle_misclosure, triangles
from subsidence.phase_model._adjustment import Adjustment, structure_of
from subsidence.phase_model._integration import integrate_arcs
from subsidence.phase_model._rejection import critical_value
from subsidence.schema import Status

LOBE = 0.0103  # m/year, about the distance of the ambiguities of 2.7 years at 5.6 cm


def plane(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 2000, (count, 2))


def edges(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, end and faces of the Delaunay triangulation."""
    faces = Delaunay(positions).simplices
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [0, 2]]]), axis=1)
    start, end = np.unique(sides, axis=0).astype(np.int64).T
    return start, end, faces


def points_at(positions: np.ndarray) -> xr.Dataset:
    points, _ = simulate.point_scene(positions=positions, epochs=5, noise_std=0.1)
    return points


def make(
    count: int = 60,
    *,
    seed: int = 0,
    shared: bool = False,
    wrong: float = 0.0,
    parameters: tuple[str, ...] = ("velocity", "residual_height"),
) -> tuple[xr.Dataset, xr.Dataset, dict[str, np.ndarray]]:
    """Points, ARCS with noise of known size, truth; `shared` noise is that of the points."""
    rng = np.random.default_rng(seed)
    positions = plane(count, seed)
    start, end, _ = edges(positions)
    bad = rng.random(start.size) < wrong
    data: dict[str, tuple[str, np.ndarray]] = {}
    truth = {"wrong": bad}
    for name in parameters:
        unit = 1e-3 if name.startswith("velocity") else 1.0
        truth[name] = rng.normal(0, 5, count) * unit
        if shared:
            own = rng.uniform(0.2, 0.8, count) * unit
            truth[f"{name}_noise"] = own
            std = np.hypot(own[start], own[end])
            measured = truth[name] + own * rng.standard_normal(count)
            values = measured[end] - measured[start]
        else:
            std = rng.uniform(0.3, 1.2, start.size) * unit
            values = truth[name][end] - truth[name][start] + std * rng.standard_normal(start.size)
        if name == "velocity":
            values = values + bad * LOBE * rng.choice([-2, -1, 1, 2], start.size)
        data[name] = ("arc", values)
        data[f"{name}_std"] = ("arc", std)
    data["temporal_coherence"] = ("arc", rng.uniform(0.6, 0.95, start.size))
    arcs = xr.Dataset(data, {"start": ("arc", start), "end": ("arc", end)}, {"noise_coherence": 0.4})
    return points_at(positions), arcs, truth


def dense(arcs: xr.Dataset, name: str, count: int, reference: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, inverse of the normal matrix and redundancies, by numpy."""
    start, end = arcs.start.values, arcs.end.values
    design = np.zeros((start.size, count))
    design[np.arange(start.size), end] += 1
    design[np.arange(start.size), start] -= 1
    free = np.arange(count) != reference
    std = arcs[f"{name}_std"].values.astype(float)
    scaled = design[:, free] / std[:, None]
    solution = np.zeros(count)
    solution[free] = np.linalg.lstsq(scaled, arcs[name].values / std, rcond=None)[0]
    inverse = np.zeros((count, count))
    inverse[np.ix_(free, free)] = np.linalg.inv(scaled.T @ scaled)
    redundancy = 1 - np.einsum("ai,ij,aj->a", design / std[:, None], inverse, design / std[:, None])
    return solution, inverse, redundancy


def relative(truth: np.ndarray, reference: int) -> np.ndarray:
    return truth - truth[reference]


# Triangles


def corners_of(start, end, arcs, signs):
    return np.where(signs > 0, start[arcs], end[arcs])


@pytest.mark.parametrize("seed", range(3))
def test_triangles_of_a_delaunay_network_are_its_faces(seed):
    positions = plane(300, seed)
    start, end, faces = edges(positions)
    found = corners_of(start, end, *triangles(start, end, positions))
    assert np.array_equal(np.unique(np.sort(found, axis=1), axis=0), np.unique(np.sort(faces, axis=1), axis=0))
    a, b, c = (positions[found[:, k]] for k in range(3))
    assert ((b - a)[:, 0] * (c - a)[:, 1] > (b - a)[:, 1] * (c - a)[:, 0]).all()  # anticlockwise


def test_without_positions_every_cycle_of_three_is_found_once():
    rng = np.random.default_rng(4)
    pairs = np.array([pair for pair in itertools.combinations(range(14), 2) if rng.random() < 0.5])
    flip = rng.random(len(pairs)) < 0.5
    pairs[flip] = pairs[flip][:, ::-1]
    joined = {frozenset(pair) for pair in pairs.tolist()}
    expected = [c for c in itertools.combinations(range(14), 3)
                if all(frozenset(pair) in joined for pair in itertools.combinations(c, 2))]  # fmt: skip
    arcs, signs = triangles(*pairs.T)
    assert corners_of(*pairs.T, arcs, signs).tolist() == [list(corners) for corners in expected]
    faces, _ = triangles(*pairs.T, plane(14))
    assert 0 < len(faces) <= min(2 * len(pairs), len(arcs))


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_triangles_close_whatever_the_order_and_direction_of_the_arcs(seed):
    rng = np.random.default_rng(seed)
    positions = plane(25, seed)
    start, end, _ = edges(positions)
    values = rng.normal(size=start.size)
    order, flip = rng.permutation(start.size), rng.random(start.size) < 0.5
    turned = np.where(flip, end, start)[order], np.where(flip, start, end)[order]
    for place in (positions, None):
        arcs, signs = triangles(start, end, place)
        others, other_signs = triangles(*turned, place)
        assert np.array_equal(corners_of(start, end, arcs, signs), corners_of(*turned, others, other_signs))
        sums = (signs * values[arcs]).sum(axis=1)
        turned_values = np.where(flip, -values, values)[order]
        np.testing.assert_allclose((other_signs * turned_values[others]).sum(axis=1), sums, atol=1e-12)


def test_few_doubled_and_degenerate_arcs():
    for place in (None, plane(4)):
        for start, end in (([], []), ([0], [1]), ([0, 0], [1, 0])):
            arcs, signs = triangles(np.array(start, int), np.array(end, int), place)
            assert arcs.shape == signs.shape == (0, 3)
        arcs, _ = triangles([0, 1, 1, 0], [1, 0, 2, 2], place)
        assert arcs.tolist() in ([[0, 2, 3]], [[3, 2, 0]])
    assert len(triangles([0, 1, 0], [1, 2, 2], [[0, 0], [1, 0], [2, 0]])[0]) == 1  # on one line
    assert len(triangles([0, 1, 0], [1, 2, 2], np.zeros((3, 2)))[0]) == 1


def test_misclosures_are_signed_sums_in_the_unit_of_the_parameter():
    points, arcs, truth = make(40)
    result = triangle_misclosure(arcs, points=points)
    start, end = arcs.start.values, arcs.end.values
    for corner, side, sign, value in zip(
        result.corner_point.values, result.side_arc.values, result.side_sign.values,
        result.velocity_misclosure.values, strict=True,
    ):  # fmt: skip
        total = 0.0
        for k in range(3):
            assert {start[side[k]], end[side[k]]} == {corner[k], corner[(k + 1) % 3]}
            assert (sign[k] > 0) == (start[side[k]] == corner[k])
            total += sign[k] * arcs.velocity.values[side[k]]
        assert total == pytest.approx(value, abs=1e-15)
    assert result.velocity_misclosure.units == "m/year"
    assert result.residual_height_misclosure.units == "m"
    exact = arcs.assign(velocity=("arc", truth["velocity"][end] - truth["velocity"][start]))
    assert np.abs(triangle_misclosure(exact).velocity_misclosure).max() < 1e-15
    with pytest.raises(InputError, match="joins point"):
        triangle_misclosure(arcs, points=points.isel(point=slice(0, 20)))
    with pytest.raises(InputError, match="counted from 0"):
        triangle_misclosure(arcs.assign_coords(start=("arc", arcs["start"].values - 5)))
    with pytest.raises(InputError, match="no parameter"):
        triangle_misclosure(arcs[["temporal_coherence"]])


# Adjustment


@pytest.mark.parametrize("density", [0.08, 0.3, 1.0])
def test_selected_inverse_equals_the_dense_one(density):
    rng = np.random.default_rng(1)
    count = 70
    pairs = np.array([p for p in itertools.combinations(range(count), 2) if p[1] == p[0] + 1 or rng.random() < density])
    structure = structure_of(*pairs.T, count)
    weight = rng.uniform(0.01, 30, len(pairs))
    weight[rng.random(len(pairs)) < 0.1] = 0.0
    grounded = np.zeros(count, bool)
    grounded[[3, 50]] = True
    tied = np.where(np.arange(count) % 9 == 0, 0.5, 0.0)
    adjustment = Adjustment.of(structure, weight, grounded, tied)
    normal = np.diag(tied)
    for (i, j), w in zip(pairs, weight, strict=True):
        normal[[i, j], [i, j]] += w
        normal[[i, j], [j, i]] -= w
    free = ~grounded
    expected = np.zeros((count, count))
    expected[np.ix_(free, free)] = np.linalg.inv(normal[np.ix_(free, free)])
    diagonal, between = adjustment.inverse()
    np.testing.assert_allclose(diagonal, np.diag(expected), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(between, expected[pairs[:, 0], pairs[:, 1]], rtol=1e-9, atol=1e-12)
    right = rng.normal(size=count)
    np.testing.assert_allclose(adjustment.solve(right), expected @ right, rtol=1e-9, atol=1e-11)


def test_weights_of_very_different_size_lose_no_digits():
    rng = np.random.default_rng(0)
    start, end, _ = edges(plane(500))
    values = rng.normal(size=500)
    values -= values[0]
    weight = 10 ** rng.uniform(-6, 6, start.size)
    adjustment = Adjustment.of(structure_of(start, end, 500), weight, np.arange(500) == 0)
    np.testing.assert_allclose(adjustment.fit(values[end] - values[start]), values, rtol=0, atol=1e-13)


def test_variances_of_points_are_scipys_non_negative_least_squares():
    rng = np.random.default_rng(3)
    start, end, _ = edges(plane(40))
    total = rng.exponential(1.0, start.size)  # far from any sum: many points end at zero
    weight = rng.uniform(0.5, 2, start.size)
    design = np.zeros((start.size, 40))
    design[np.arange(start.size), start] = 1
    design[np.arange(start.size), end] = 1
    root = np.sqrt(weight)
    expected, _ = nnls(design * root[:, None], total * root)
    assert (expected == 0).sum() > 3
    order = np.argsort(np.concatenate([start, end]), kind="stable")
    other = np.concatenate([end, start])[order]
    first = np.concatenate([[0], np.cumsum(np.bincount(np.concatenate([start, end])))])
    arc = np.tile(np.arange(start.size), 2)[order]
    found = np.ones(40)
    sweeps = split_variance(
        first, other, weight[arc], (weight * total)[arc], np.zeros(40), np.ones(40), 5000, 1e-12, found
    )
    assert sweeps < 5000
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_matrix_that_is_not_positive_gives_nan():
    pivot, lower = np.empty(2), np.empty(1)
    first, column, value = np.array([0, 0, 1]), np.array([0]), np.array([-2.0])
    parent, begin, row = np.array([1, -1]), np.array([0, 1, 1]), np.array([1], np.int32)
    working = (np.empty(2, np.int64), np.empty(2, np.int64), np.empty(2, np.int64), np.zeros(2))
    kernel.factor(first, column, value, np.ones(2), parent, begin, lower, row, pivot, *working)
    assert pivot[0] == 1
    assert np.isnan(pivot[1])


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_equals_dense_least_squares(dtype):
    points, arcs, _ = make(80, parameters=("velocity", "residual_height", "seasonal_sine", "thermal_expansion"))
    arcs = arcs.astype(dict.fromkeys(arcs.data_vars, dtype))
    result = integrate_arcs(points, arcs, reference={"point": 7}, significance=None)
    redundancies = []
    for name in ("velocity", "residual_height", "seasonal_sine", "thermal_expansion"):
        values, inverse, redundancy = dense(arcs, name, 80, 7)
        scale = np.abs(values).max()
        np.testing.assert_allclose(result[name].values, values, rtol=0, atol=1e-9 * scale)
        start, end = arcs.start.values, arcs.end.values
        misfit = arcs[name].values.astype(float) - (values[end] - values[start])
        np.testing.assert_allclose(result[f"{name}_misfit"].values, misfit, atol=1e-9 * scale)
        redundancies.append(redundancy)
        freedom = start.size - 79
        assert redundancy.sum() == pytest.approx(freedom)
        factor = (((misfit / arcs[f"{name}_std"].values) ** 2).sum() + 1) / (freedom + 1)
        assert result.attrs[f"{name}_variance_factor"] == pytest.approx(factor, rel=1e-6)
        if factor >= 1:
            np.testing.assert_allclose(
                result[f"{name}_std"].values, np.sqrt(factor * np.diag(inverse)), rtol=1e-6, atol=1e-12
            )
    np.testing.assert_allclose(result.redundancy.values, np.min(redundancies, axis=0), atol=1e-7)
    assert any(
        result.attrs[f"{name}_variance_factor"] >= 1 for name in ("velocity", "residual_height", "seasonal_sine")
    )
    assert result.accepted.all()
    assert (result.status == Status.OK).all()


def test_proportional_weights_share_a_factorisation_and_give_the_same():
    points, arcs, _ = make(50, seed=2)
    both = arcs.assign(residual_height_std=2500.0 * arcs.velocity_std)
    result = integrate_arcs(points, both, reference={"point": 3})
    alone = integrate_arcs(
        points, both.drop_vars(["velocity", "velocity_std"]), reference={"point": 3}, significance=None
    )
    assert result.accepted.all()
    for name in ("residual_height", "residual_height_std"):
        np.testing.assert_allclose(result[name].values, alone[name].values, rtol=1e-8, atol=1e-9)


# Errors that are stated


def test_noise_of_the_points_is_found_from_the_arcs_stated_variances():
    points, arcs, truth = make(400, shared=True, parameters=("velocity",))
    result = integrate_arcs(points, arcs, reference={"point": 5})
    own = truth["velocity_noise"]
    expected = np.hypot(own, own[5])
    expected[5] = 0
    np.testing.assert_allclose(result.velocity_std.values, expected, rtol=0.03)
    assert result.attrs["velocity_variance_factor"] < 0.01
    assert result.accepted.all()


def test_with_nothing_redundant_arcs_count_as_independent():
    points = points_at(plane(5))
    arcs = xr.Dataset(
        {
            "velocity": ("arc", [1e-3, 2e-3, 3e-3, 4e-3]),
            "velocity_std": ("arc", [1e-3, 1e-3, 2e-3, 2e-3]),
            "temporal_coherence": ("arc", [0.9, 0.8, 0.7, 0.6]),
        },
        {"start": ("arc", [0, 1, 2, 3]), "end": ("arc", [1, 2, 3, 4])},
    )
    result = integrate_arcs(points, arcs, min_coherence=0.5, reference={"point": 0})
    np.testing.assert_allclose(result.velocity, np.array([0, 1, 3, 6, 10]) * 1e-3, atol=1e-15)
    np.testing.assert_allclose(result.velocity_std, np.sqrt([0, 1, 2, 6, 10]) * 1e-3)
    np.testing.assert_allclose(result.temporal_coherence, [0.9, 0.85, 0.75, 0.65, 0.6])
    assert result.arc_count.values.tolist() == [1, 2, 2, 2, 1]
    assert result.attrs["arcs_untested"] == 4
    assert np.abs(result.redundancy).max() < 1e-9


def regression(points: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """ARCS by least squares of the phases before wrapping."""
    start, end, _ = edges(np.stack([points.x.values, points.y.values], axis=-1))
    design = phase_design(points)
    columns = np.stack([design.velocity, design.height / design.height_scale[0], np.ones_like(design.velocity)], -1)
    columns = columns[design.used]
    phase = truth.phase_without_wrapping.values[design.used]
    phase = phase[:, end] - phase[:, start]
    estimate = np.linalg.lstsq(columns, phase, rcond=None)[0]
    residual = phase - columns @ estimate
    variance = np.outer(np.diag(np.linalg.inv(columns.T @ columns)), (residual**2).sum(0) / (len(columns) - 3))
    data = {"temporal_coherence": ("arc", np.abs(np.exp(1j * residual).mean(0)))}
    for k, name in enumerate(("velocity", "residual_height")):
        data[name] = ("arc", estimate[k])
        data[f"{name}_std"] = ("arc", np.sqrt(variance[k]))
    return xr.Dataset(data, {"start": ("arc", start), "end": ("arc", end)}, {"noise_coherence": 0.2})


@pytest.mark.parametrize("independent", [False, True], ids=["noise of points", "noise of arcs"])
def test_stated_errors_cover_the_truth(independent):
    count, scores = 500, {"velocity": [], "residual_height": []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        points, truth = simulate.point_scene(
            points=count, epochs=60, noise_std=rng.uniform(0.2, 0.8, count), velocity=rng.normal(0, 5e-3, count),
            seed=seed,
        )  # fmt: skip
        arcs = regression(points, truth)
        start, end = arcs.start.values, arcs.end.values
        if independent:
            for name in scores:
                true = truth[name].values[end] - truth[name].values[start]
                arcs[name] = ("arc", true + arcs[f"{name}_std"].values * rng.standard_normal(start.size))
        # the reference's own error would be the same for every point: its mean over many is well known
        mask = xr.DataArray(rng.random(count) < 0.5, dims="point")
        result = integrate_arcs(points, arcs, reference=mask)
        assert abs(float(result.velocity[mask.values].mean())) < 1e-12
        for name, score in scores.items():
            true = truth[name].values - truth[name].values[mask.values].mean()
            score.append((result[name].values - true) / result[f"{name}_std"].values)
    for score in scores.values():
        z = np.abs(np.concatenate(score))
        assert (z < 1).mean() == pytest.approx(0.683, abs=0.03)
        assert (z < 1.96).mean() == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("shared", [False, True])
def test_stated_errors_cover_the_truth_relative_to_one_point(shared):
    scores, naive = [], []
    for seed in range(150):
        points, arcs, truth = make(40, seed=seed, shared=shared, parameters=("velocity",))
        result = integrate_arcs(points, arcs, reference={"point": seed % 40})
        distance = np.hypot(points.x - points.x[seed % 40], points.y - points.y[seed % 40]).values
        _, inverse, _ = dense(arcs, "velocity", 40, seed % 40)
        error = result.velocity.values - relative(truth["velocity"], seed % 40)
        near, far = np.argsort(distance)[[1, -1]]
        scores.extend(error[[near, far]] / result.velocity_std.values[[near, far]])
        naive.append(error[near] / np.sqrt(inverse[near, near]))
    assert np.std(scores) == pytest.approx(1.0, abs=0.15)
    # what independent arcs would claim is right for them alone
    assert (np.std(naive) == pytest.approx(1.0, abs=0.15)) != shared


def test_an_area_counts_with_the_variance_of_its_mean():
    points, arcs, _ = make(60, seed=3, parameters=("velocity",))
    mask = np.arange(60) % 4 == 0
    result = integrate_arcs(points, arcs, reference=xr.DataArray(mask, dims="point"), significance=None)
    values, inverse, _ = dense(arcs, "velocity", 60, 0)
    np.testing.assert_allclose(result.velocity, values - values[mask].mean(), atol=1e-12)
    project = np.eye(60) - mask / mask.sum()
    factor = result.attrs["velocity_variance_factor"]
    if factor < 1:  # the rest is that of the points; take it off
        arcs = arcs.assign(velocity=1.3 * arcs.velocity)
        result = integrate_arcs(points, arcs, reference=xr.DataArray(mask, dims="point"), significance=None)
        factor = result.attrs["velocity_variance_factor"]
    assert factor >= 1
    np.testing.assert_allclose(result.velocity_std, np.sqrt(factor * np.diag(project @ inverse @ project.T)), rtol=1e-9)
    assert result.attrs["reference"] == "mean of 15 points"


def test_a_point_of_the_area_shares_its_own_noise_with_the_mean():
    points, arcs, truth = make(400, shared=True, parameters=("velocity",))
    mask = np.arange(400) < 3
    result = integrate_arcs(points, arcs, reference=xr.DataArray(mask, dims="point"))
    own = truth["velocity_noise"] ** 2
    mean = own[mask].sum() / 9
    expected = np.sqrt(np.where(mask, own / 3, own) + mean)
    np.testing.assert_allclose(result.velocity_std.values, expected, rtol=0.03)


# Test of arcs


def test_share_of_right_arcs_left_out_is_the_significance():
    for significance in (0.001, 0.02):
        left_out = total = 0
        for seed in range(4):
            points, arcs, _ = make(3000, seed=seed)
            result = integrate_arcs(points, arcs, significance=significance)
            left_out += int((~result.accepted).sum())
            total += arcs.sizes["arc"]
        # an arc that fails beside a worse one often passes once that is gone, so somewhat fewer
        expected = significance * total
        assert (1 - 10 * significance) * expected - 3.5 * np.sqrt(expected) < left_out
        assert left_out < expected + 3.5 * np.sqrt(expected)


def test_critical_value_is_that_of_the_largest_of_several():
    assert critical_value(0.05, 1) == pytest.approx(1.959964, abs=1e-6)
    rng = np.random.default_rng(0)
    largest = np.abs(rng.standard_normal((200_000, 3))).max(axis=1)
    assert (largest > critical_value(0.01, 3)).mean() == pytest.approx(0.01, abs=8e-4)


@pytest.mark.parametrize("shared", [False, True])
def test_wrong_ambiguities_are_found_and_velocities_right(shared):
    points, arcs, truth = make(3000, seed=1, shared=shared, wrong=0.05)
    result = integrate_arcs(points, arcs, reference={"point": 10})
    rejected, wrong = ~result.accepted.values, truth["wrong"]
    assert rejected[wrong].mean() >= 0.99
    assert rejected[~wrong].mean() < 0.004
    error = np.abs(result.velocity.values - relative(truth["velocity"], 10))
    assert (error < 5 * result.velocity_std.values + 1e-12).mean() > 0.99
    misclosure = result.attrs["velocity_misclosure_before"], result.attrs["velocity_misclosure_after"]
    assert misclosure[0] > 4e-3
    assert misclosure[1] < (1e-3 if shared else 2e-3)
    # the misfit of a wrong arc shows its lobe
    lobes = result.velocity_misfit.values[wrong & rejected] / LOBE
    assert np.median(np.abs(lobes - np.rint(lobes))) < 0.12
    kept = integrate_arcs(points, arcs, reference={"point": 10}, significance=None)
    assert kept.accepted.all()
    assert np.sqrt(np.nanmean((kept.velocity - relative(truth["velocity"], 10)) ** 2)) > 2 * np.sqrt((error**2).mean())


def test_of_two_arcs_that_contradict_each_other_alone_the_less_coherent_goes():
    _, arcs, truth = make(60, seed=5)
    hanging = 60
    positions = np.concatenate([plane(60, 5), [[2500.0, 1000.0]]])
    values = np.append(truth["velocity"], 0.0)
    for weak in (0, 1):
        coherence = [0.9, 0.9]
        coherence[weak] = 0.7
        more = xr.Dataset(
            {
                "velocity": ("arc", values[hanging] - values[[3, 8]] + [0.0, 3 * LOBE]),
                "velocity_std": ("arc", [5e-4, 5e-4]),
                "residual_height": ("arc", -truth["residual_height"][[3, 8]]),
                "residual_height_std": ("arc", [0.5, 0.5]),
                "temporal_coherence": ("arc", coherence),
            },
            {"start": ("arc", [3, 8]), "end": ("arc", [hanging, hanging])},
        )
        result = integrate_arcs(points_at(positions), xr.concat([arcs, more], "arc"), reference={"point": 0})
        assert result.accepted.values[-2:].tolist() == [weak == 1, weak == 0]
        assert result.redundancy.values[-2:].max() < 1e-6  # the one that is left was not tested
        assert result.attrs["arcs_untested"] == 1


def test_no_arc_without_redundancy_is_ever_left_out():
    points, arcs, _ = make(30, seed=6)
    tree = arcs.isel(arc=np.flatnonzero(spanning(arcs, 30)))
    tree["velocity"] = tree.velocity + 1.0
    result = integrate_arcs(points, tree)
    assert result.accepted.all()
    assert np.abs(result.velocity_misfit).max() < 1e-12


def spanning(arcs: xr.Dataset, count: int) -> np.ndarray:
    """Arcs of a tree that joins all points."""
    part, keep = np.arange(count), np.zeros(arcs.sizes["arc"], bool)
    for k, (i, j) in enumerate(zip(arcs.start.values, arcs.end.values, strict=True)):
        if part[i] != part[j]:
            keep[k] = True
            part[part == part[j]] = part[i]
    return keep


# Parts and references


def two_parts() -> tuple[xr.Dataset, xr.Dataset, dict[str, np.ndarray]]:
    """Points 0..39 and 40..59 joined among themselves, 60 and 61 by one arc, 62 by none."""
    rng = np.random.default_rng(8)
    one, other = plane(40, 1), plane(20, 2) + np.array([10_000, 0])
    positions = np.concatenate([one, other, [[30_000, 0], [30_050, 0], [40_000, 0]]])
    first, second = edges(one), edges(other)
    start = np.concatenate([first[0], second[0] + 40, [60]])
    end = np.concatenate([first[1], second[1] + 40, [61]])
    true = rng.normal(0, 5e-3, 63)
    std = np.full(start.size, 5e-4)
    arcs = xr.Dataset(
        {
            "velocity": ("arc", true[end] - true[start] + std * rng.standard_normal(start.size)),
            "velocity_std": ("arc", std),
            "temporal_coherence": ("arc", rng.uniform(0.6, 0.9, start.size)),
        },
        {"start": ("arc", start), "end": ("arc", end)},
        {"noise_coherence": 0.4},
    )
    return points_at(positions), arcs, {"velocity": true}


def test_parts_are_solved_each_for_itself_with_one_warning():
    points, arcs, truth = two_parts()
    with pytest.warns(
        DisconnectedNetworkWarning, match=r"3 parts: 40 points with the reference, 20 points .*, 2 "
    ) as seen:
        result = integrate_arcs(points, arcs)
    assert len(seen) == 1
    assert result.network_part.values.tolist() == [0] * 40 + [1] * 20 + [2] * 2 + [-1]
    assert result.status.values.tolist() == [Status.OK] * 40 + [Status.OTHER_PART] * 22 + [Status.NO_ARC]
    for name in ("velocity", "velocity_std", "temporal_coherence"):
        assert np.isnan(result[name].values).tolist() == [False] * 62 + [True]
    assert result.arc_count.values[62] == 0
    for part in range(2):
        at = result.network_part.values == part
        datum = np.flatnonzero(at & (result.velocity_std.values == 0))
        assert datum.size == 1
        error = result.velocity.values - relative(truth["velocity"], datum[0])
        assert (np.abs(error[at]) < 5 * result.velocity_std.values[at] + 1e-15).all()
    chosen = result.attrs["reference_point"]
    assert result.arc_count.values[chosen] == result.arc_count.values.max()
    assert result.attrs["reference"] == f"point {chosen}"
    assert "reference_time" in result.attrs


def test_the_part_of_the_reference_is_number_zero():
    points, arcs, _ = two_parts()
    with pytest.warns(DisconnectedNetworkWarning, match="3 parts: 20 points with the reference, 40 points"):
        result = integrate_arcs(points, arcs, reference={"point": 45})
    assert result.network_part.values[[0, 45, 60, 62]].tolist() == [1, 0, 2, -1]
    assert result.velocity.values[45] == 0
    assert result.status.values[45] == Status.OK
    assert result.status.values[0] == Status.OTHER_PART
    mask = xr.DataArray(np.arange(63) >= 35, dims="point")
    with pytest.warns(DisconnectedNetworkWarning):
        result = integrate_arcs(points, arcs, reference=mask)
    assert result.attrs["reference"] == "mean of 20 points"
    assert float(result.velocity[40:60].mean()) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("labels", [np.arange(40) * 2.5, np.arange(40).astype(str), np.zeros(40, int)])
def test_labels_of_points_are_kept_whatever_they_are(labels):
    points, arcs, _ = make(40)
    plain = integrate_arcs(points, arcs)
    result = integrate_arcs(points.assign_coords(point=labels), arcs)
    assert result.attrs["reference_point"] == plain.attrs["reference_point"]
    assert np.array_equal(result.point, labels)
    np.testing.assert_array_equal(result.velocity.values, plain.velocity.values)


def test_reference_forms_name_the_same_point():
    points, arcs, _ = make(40)
    x, y = float(points.x[11]), float(points.y[11])
    expected = integrate_arcs(points, arcs, reference={"point": 11})
    assert expected.velocity.values[11] == 0
    assert expected.velocity_std.values[11] == 0
    xr.testing.assert_identical(integrate_arcs(points, arcs, reference={"x": x + 1, "y": y}), expected)
    labelled = points.assign_coords(
        point=np.arange(40) + 100, row=("point", np.arange(40)), col=("point", np.arange(40))
    )
    by_label = integrate_arcs(labelled, arcs, reference={"point": 111})
    by_row = integrate_arcs(labelled, arcs, reference={"row": 11, "col": 11})
    for result in (by_label, by_row):
        np.testing.assert_array_equal(result.velocity.values, expected.velocity.values)
        assert result.point.values.tolist() == labelled.point.values.tolist()
        assert result.attrs["reference"] == "point 111"


# Ties


def test_one_tie_shifts_and_says_its_own_error():
    points, arcs, truth = make(60, shared=True, parameters=("velocity",))
    plain = integrate_arcs(points, arcs, reference={"point": 4})
    result = integrate_arcs(points, arcs, ties={"velocity": [0.02], "velocity_std": [3e-4], "point": [4]})
    np.testing.assert_allclose(result.velocity, plain.velocity + 0.02, atol=1e-10)
    assert result.velocity_std.values[4] == pytest.approx(3e-4, rel=1e-3)
    own = truth["velocity_noise"]
    far = np.arange(60) != 4
    expected = np.sqrt(own**2 + own[4] ** 2 + 3e-4**2)[far]
    np.testing.assert_allclose(result.velocity_std.values[far], expected, rtol=0.05)
    assert result.attrs["reference"] == "velocities known at 1 points"
    assert result.attrs["reference_tie_count"] == 1


def test_ties_are_weighed_against_each_other():
    points, arcs, _ = make(60, seed=3, parameters=("velocity", "residual_height"))
    arcs["velocity"] = arcs.velocity * 1.4  # factor above 1: no noise of points
    at, known, std = np.array([2, 30, 44]), np.array([0.01, 0.012, 0.009]), np.array([1e-3, 3e-4, 2e-3])
    ties = xr.Dataset(
        {"velocity": ("tie", known), "velocity_std": ("tie", std)},
        {"x": ("tie", points.x.values[at] + 2), "y": ("tie", points.y.values[at])},
    )
    result = integrate_arcs(points, arcs, ties=ties, reference={"point": 9}, significance=None)
    factor = result.attrs["velocity_variance_factor"]
    assert factor > 1
    start, end = arcs.start.values, arcs.end.values
    design = np.zeros((start.size + 3, 60))
    design[np.arange(start.size), end] = 1
    design[np.arange(start.size), start] = -1
    design[start.size + np.arange(3), at] = 1
    scale = np.concatenate([np.sqrt(factor) * arcs.velocity_std.values, std])
    observed = np.concatenate([arcs.velocity.values, known])
    expected = np.linalg.lstsq(design / scale[:, None], observed / scale, rcond=None)[0]
    inverse = np.linalg.inv((design / scale[:, None]).T @ (design / scale[:, None]))
    np.testing.assert_allclose(result.velocity, expected, atol=1e-10)
    np.testing.assert_allclose(result.velocity_std, np.sqrt(np.diag(inverse)), rtol=1e-7)
    assert result.residual_height.values[9] == 0
    assert result.attrs["reference"] == "velocities known at 3 points; other parameters relative to point 9"


def test_stated_errors_with_ties_cover_the_truth():
    scores = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        points, arcs, truth = make(40, seed=seed, shared=True, parameters=("velocity",))
        at = rng.choice(40, 6, replace=False)
        std = rng.uniform(1e-4, 1e-3, 6)
        known = truth["velocity"][at] + std * rng.standard_normal(6)
        result = integrate_arcs(points, arcs, ties={"velocity": known, "velocity_std": std, "point": at})
        scores.append((result.velocity.values - truth["velocity"]) / result.velocity_std.values)
    z = np.abs(np.concatenate(scores))
    assert (z < 1).mean() == pytest.approx(0.683, abs=0.03)
    assert (z < 1.96).mean() == pytest.approx(0.95, abs=0.015)


def test_ties_join_parts_and_double_ones_count_as_one():
    points, arcs, truth = two_parts()
    at = np.array([3, 3, 50])
    std = np.array([2e-4, 2e-4, 1e-4])
    ties = {"velocity": truth["velocity"][at], "velocity_std": std, "point": at}
    with pytest.warns(DisconnectedNetworkWarning):
        result = integrate_arcs(points, arcs, ties=ties)
    assert (result.status.values[:60] == Status.OK).all()
    assert result.status.values[60:].tolist() == [Status.OTHER_PART] * 2 + [Status.NO_ARC]
    error = np.abs(result.velocity.values - truth["velocity"])[:60]
    assert (error < 5 * result.velocity_std.values[:60]).all()
    assert result.attrs["reference_tie_count"] == 2
    with pytest.warns((DisconnectedNetworkWarning, SuspiciousDataWarning)) as seen:
        integrate_arcs(points, arcs, ties={"velocity": [0.0, 0.0], "velocity_std": [1e-3, 1e-3], "point": [1, 62]})
    assert {warning.category for warning in seen} == {DisconnectedNetworkWarning, SuspiciousDataWarning}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="no accepted arc"):
            integrate_arcs(points, arcs, ties={"velocity": [0.0], "velocity_std": [1e-3], "point": [62]})


# Invariants


@given(seed=st.integers(0, 10**6), wrong=st.sampled_from([0.0, 0.05]))
@settings(max_examples=12, deadline=None)
def test_order_and_direction_do_not_matter(seed, wrong):
    rng = np.random.default_rng(seed)
    points, arcs, _ = make(40, seed=seed, wrong=wrong)
    expected = integrate_arcs(points, arcs, reference={"point": 6})
    new_number, order = rng.permutation(40), rng.permutation(arcs.sizes["arc"])
    flip = rng.random(arcs.sizes["arc"]) < 0.5
    turned = arcs.copy(deep=True)
    start, end = new_number[arcs.start.values], new_number[arcs.end.values]
    turned = turned.assign_coords(start=("arc", np.where(flip, end, start)), end=("arc", np.where(flip, start, end)))
    sign = np.where(flip, -1.0, 1.0)
    for name in ("velocity", "residual_height"):
        turned[name] = turned[name] * xr.DataArray(sign, dims="arc")
    shuffled = points.isel(point=np.argsort(new_number))
    result = integrate_arcs(shuffled, turned.isel(arc=order), reference={"point": int(new_number[6])})
    assert np.array_equal(result.accepted.values, expected.accepted.values[order])
    for name in ("velocity", "velocity_std", "residual_height", "residual_height_std", "temporal_coherence"):
        back = result[name].values[new_number]
        np.testing.assert_allclose(back, expected[name].values, rtol=1e-6, atol=1e-9 * np.abs(back).max())
    misfit = (result.velocity_misfit.values * sign[order], expected.velocity_misfit.values[order])
    np.testing.assert_allclose(*misfit, atol=1e-12)


@given(seed=st.integers(0, 10**6), factor=st.floats(1e-3, 1e3))
@settings(max_examples=12, deadline=None)
def test_units_scale_and_another_reference_subtracts_a_constant(seed, factor):
    points, arcs, _ = make(40, seed=seed, wrong=0.03)
    expected = integrate_arcs(points, arcs, reference={"point": 0})
    scaled = arcs.assign(velocity=arcs.velocity * factor, velocity_std=arcs.velocity_std * factor)
    result = integrate_arcs(points, scaled, reference={"point": 0})
    assert np.array_equal(result.accepted, expected.accepted)
    for name in ("velocity", "velocity_std"):
        values = expected[name].values
        np.testing.assert_allclose(result[name] / factor, values, rtol=1e-9, atol=1e-10 * np.abs(values).max())
    moved = integrate_arcs(points, arcs, reference={"point": 17})
    shift = moved.velocity.values - expected.velocity.values
    np.testing.assert_allclose(shift, -expected.velocity.values[17], atol=1e-12)
    assert np.array_equal(moved.accepted, expected.accepted)


def test_inputs_stay_and_threads_give_the_same():
    points, arcs, _ = make(200, wrong=0.05)
    for dataset in (points, arcs):
        for variable in dataset.variables.values():
            variable.values.flags.writeable = False
    before = points.copy(deep=True), arcs.copy(deep=True)
    told: list[tuple[int, int]] = []
    one = integrate_arcs(points, arcs, threads=1, progress=lambda done, total: told.append((done, total)))
    xr.testing.assert_identical(one, integrate_arcs(points, arcs, threads=3))
    xr.testing.assert_identical(points, before[0])
    xr.testing.assert_identical(arcs, before[1])
    assert told[-1][0] == told[-1][1]
    schema.SOLUTION.check(one)
    xr.testing.assert_identical(schema.SOLUTION.stamp(one), one)
    assert one.velocity.units == "m/year"
    assert {"x", "y", "start", "end"} <= set(one.coords)


def test_arcs_below_the_threshold_or_with_nan_take_no_part():
    points, arcs, _ = make(60, seed=2)
    arcs["velocity"][3] = np.nan
    arcs["residual_height_std"][5] = np.nan
    low = arcs.temporal_coherence.values < 0.65
    result = integrate_arcs(points, arcs, min_coherence=0.65, reference={"point": 0}, significance=None)
    out = low.copy()
    out[[3, 5]] = True
    assert np.array_equal(~result.accepted.values, out)
    assert result.attrs["arcs_below_threshold"] == out.sum()
    fewer = integrate_arcs(
        points, arcs.isel(arc=np.flatnonzero(~out)), min_coherence=0.0, reference={"point": 0}, significance=None
    )
    np.testing.assert_allclose(result.velocity.values, fewer.velocity.values, atol=1e-15)
    # what an arc that was left out says against the rest
    k = int(np.flatnonzero(low)[0])
    start, end = int(arcs.start[k]), int(arcs.end[k])
    misfit = arcs.velocity.values[k] - (result.velocity.values[end] - result.velocity.values[start])
    assert result.velocity_misfit.values[k] == pytest.approx(misfit)
    arcs["ambiguity_probability"] = ("arc", np.where(np.arange(arcs.sizes["arc"]) == 7, 0.5, 0.999))
    result = integrate_arcs(points, arcs, min_probability=0.99)
    assert not result.accepted.values[7]


# Bad input


def test_bad_input_says_what_was_expected():
    points, arcs, _ = make(30)
    with pytest.raises(InputError, match=r"no arc of .* passes min_coherence 0.99: the best coherence is 0\.9"):
        integrate_arcs(points, arcs, min_coherence=0.99)
    with pytest.raises(InputError, match="noise_coherence"):
        integrate_arcs(points, arcs.drop_attrs())
    with pytest.raises(InputError, match="min_coherence must lie"):
        integrate_arcs(points, arcs, min_coherence=1.5)
    with pytest.raises(InputError, match="significance must lie"):
        integrate_arcs(points, arcs, significance=0.0)
    with pytest.raises(InputError, match="min_probability must lie"):
        integrate_arcs(points, arcs, min_probability=2.0)
    with pytest.raises(InputError, match="ambiguity_probability"):
        integrate_arcs(points, arcs, min_probability=0.9)
    with pytest.raises(InputError, match="threads"):
        integrate_arcs(points, arcs, threads=0)
    with pytest.raises(InputError, match="were points left out"):
        integrate_arcs(points.isel(point=slice(0, 10)), arcs)
    with pytest.raises(InputError, match="to itself"):
        integrate_arcs(points, arcs.assign_coords(end=arcs.start))
    with pytest.raises(InputError, match="dim 'point'"):
        integrate_arcs(arcs, arcs)
    with pytest.raises(InputError, match="got int"):
        integrate_arcs(3, arcs)
    with pytest.raises(InputError, match="ARCS"):
        integrate_arcs(points, 3)
    with pytest.raises(SchemaError, match="velocity_std"):
        integrate_arcs(points, arcs.drop_vars("velocity_std"))
    with pytest.raises(InputError, match="no parameter"):
        integrate_arcs(points, arcs[["temporal_coherence"]])
    with pytest.raises(InputError, match="'velocity_std' is 0"):
        integrate_arcs(points, arcs.assign(velocity_std=0 * arcs.velocity_std))
    with pytest.raises(InputError, match="reference"):
        integrate_arcs(points, arcs, reference="somewhere")
    around = np.flatnonzero((arcs.start.values != 4) & (arcs.end.values != 4))
    with pytest.raises(InputError, match="no accepted arc leads"):
        integrate_arcs(points, arcs.isel(arc=around), reference={"point": 4})
    one = points.isel(point=[0])
    with pytest.raises(InputError, match="no arc of 0"):
        integrate_arcs(one, arcs.isel(arc=[]))


@pytest.mark.parametrize(
    ("ties", "words"),
    [
        (3, "ties must be a Dataset or mapping"),
        ({"velocity": [0.0], "velocity_std": [1e-3]}, "ties must be"),
        ({"velocity": [0.0], "point": [1]}, "ties must be"),
        ({"velocity": [np.nan], "velocity_std": [1e-3], "point": [1]}, "must be finite"),
        ({"velocity": [0.0], "velocity_std": [0.0], "point": [1]}, "must be positive"),
        ({"velocity": [0.0, 1.0], "velocity_std": [1e-3], "point": [1]}, "one value of each"),
        ({"velocity": [0.0], "velocity_std": [1e-3], "point": [99]}, "ties number 0"),
        ({"velocity": [0.0], "velocity_std": [1e-3], "x": [1e6], "y": [0.0]}, "ties number 0"),
    ],
)
def test_bad_ties_say_what_was_expected(ties, words):
    points, arcs, _ = make(30)
    with pytest.raises(InputError, match=words):
        integrate_arcs(points, arcs, ties=ties)


def test_ties_need_a_velocity():
    points, arcs, _ = make(30)
    with pytest.raises(InputError, match="arcs has no 'velocity'"):
        integrate_arcs(
            points,
            arcs.drop_vars(["velocity", "velocity_std"]),
            ties={"velocity": 0.0, "velocity_std": 1e-3, "point": 1},
        )


def test_several_arcs_between_the_same_points_and_zero_stds():
    points, arcs, _ = make(30, seed=4)
    doubled = xr.concat([arcs, arcs.isel(arc=[0, 1, 2])], "arc")
    result = integrate_arcs(points, doubled, reference={"point": 0}, significance=None)
    for name in ("velocity", "residual_height"):
        np.testing.assert_allclose(result[name], dense(doubled, name, 30, 0)[0], atol=1e-9)
    arcs["velocity_std"][4] = 0.0
    assert np.isfinite(integrate_arcs(points, arcs).velocity).all()
