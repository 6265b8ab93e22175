"""Residual phases unwrapped on a network of points: layout, flow, and the whole against simulated truth."""

from __future__ import annotations

import builtins
import sys
from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog
from scipy.sparse import csgraph
from scipy.spatial import Delaunay, cKDTree

from subsidence import schema, simulate
from subsidence._kernels import arc_residuals as kernels
from subsidence._points import phase_design
from subsidence.errors import DisconnectedNetworkWarning, InputError, MissingExtraError, SchemaError
from subsidence.unwrapping import unwrap_residuals
from subsidence.unwrapping._epochs import pair_expectation
from subsidence.unwrapping._evidence import Expected
from subsidence.unwrapping._faces import Layout
from subsidence.unwrapping._flow import closing_cycles

CYCLE = 2 * np.pi
SOLVERS = ["paths", pytest.param("flow", marks=pytest.mark.skipif(find_spec("ortools") is None, reason="ortools"))]


# Networks


def triangulated(positions):
    corners = Delaunay(positions).simplices
    sides = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    return np.unique(np.sort(sides, axis=1), axis=0).astype(np.int64).T


def nearest(positions, count):
    near = cKDTree(positions).query(positions, count + 1)[1][:, 1:]
    sides = np.stack([np.repeat(np.arange(len(positions)), count), near.ravel()], axis=1)
    sides = sides[sides[:, 0] != sides[:, 1]]
    return np.unique(np.sort(sides, axis=1), axis=0).astype(np.int64).T


@st.composite
def networks(draw):
    """Points, on a lattice, at the same place or anywhere, and any arcs between them."""
    count = draw(st.integers(3, 14))
    anywhere = st.floats(0, 1000, allow_nan=False, width=32)
    coordinate = st.integers(0, 4).map(float) if draw(st.booleans()) else anywhere
    positions = np.array(draw(st.lists(st.tuples(coordinate, coordinate), min_size=count, max_size=count)))
    pairs = [(i, j) for i in range(count) for j in range(i)]
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=30, unique=True))
    start, end = np.array(chosen, np.int64).T
    return positions, start, end


def joined(count, start, end):
    graph = sparse.coo_array((np.ones(start.size), (start, end)), shape=(count, count))
    return csgraph.connected_components(graph, directed=False)


def have_more_in_common(p, q, r, s):
    """Whether two segments between four different points touch, in exact numbers."""
    p, q, r, s = ([Fraction(float(value)) for value in point] for point in (p, q, r, s))

    def side(a, b, c):
        cross = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        return (cross > 0) - (cross < 0)

    def within(a, b, c):
        return all(min(a[k], b[k]) <= c[k] <= max(a[k], b[k]) for k in (0, 1))

    one, two, three, four = side(p, q, r), side(p, q, s), side(r, s, p), side(r, s, q)
    if one * two < 0 and three * four < 0:
        return True
    return any(
        turn == 0 and within(a, b, c)
        for turn, a, b, c in ((one, p, q, r), (two, p, q, s), (three, r, s, p), (four, r, s, q))
    )


@given(networks())
@settings(max_examples=150, deadline=None)
def test_arcs_that_stay_do_not_cross_and_keep_every_part_together(network):
    positions, start, end = network
    layout = Layout.of(positions, start, end)
    flat = np.flatnonzero(layout.flat)
    for i in flat:
        for j in flat[flat < i]:
            ends = [layout.start[i], layout.end[i], layout.start[j], layout.end[j]]
            if len(set(ends)) == 4:
                assert not have_more_in_common(*positions[ends])
    before = joined(len(positions), start, end)
    after = joined(len(positions), layout.start, layout.end)
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])


@given(networks(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_faces_obey_eulers_formula_at_any_set_of_points(network, random):
    positions, start, end = network
    layout = Layout.of(positions, start, end)
    present = np.array([random.random() < 0.8 for _ in positions])
    trees = layout.trees(present, np.empty(0, np.int64))
    usable = layout.flat & present[layout.start] & present[layout.end]
    ends = np.concatenate([layout.start[usable], layout.end[usable]])
    parts, label = joined(len(positions), layout.start[usable], layout.end[usable])
    alone = parts - np.unique(label[ends]).size
    # each part with arcs lies on a sphere of its own
    assert np.unique(ends).size - usable.sum() + trees.inner.size == 2 * (parts - alone)
    assert (trees.face.reshape(-1, 2)[~usable] == -1).all()
    assert (trees.face.reshape(-1, 2)[usable] >= 0).all()


def test_a_triangulation_stays_whole_and_its_triangles_are_the_faces():
    positions = np.random.default_rng(1).random((200, 2)) * 1000
    start, end = triangulated(positions)
    layout = Layout.of(positions, start, end)
    trees = layout.trees(np.ones(200, bool), np.array([0]))
    assert layout.flat.all()
    assert layout.arcs.size == start.size
    sides = np.bincount(trees.face)
    assert (sides[trees.inner] == 3).all()
    assert trees.inner.sum() == len(Delaunay(positions).simplices)
    assert (~trees.inner).sum() == 1


def test_arcs_beyond_a_triangulation_are_left_out_where_they_cross():
    positions = np.random.default_rng(2).random((300, 2)) * 1000
    both = np.unique(np.concatenate([triangulated(positions), nearest(positions, 8)], axis=1), axis=1)
    layout = Layout.of(positions, *both)
    assert layout.arcs.size < both.shape[1]
    # shortest first leaves nearly a triangulation, which has no more than 3 n - 6 arcs
    assert 3 * 300 - 60 < layout.flat.sum() <= 3 * 300 - 6


def test_points_on_one_line_and_at_one_place_are_laid_out():
    positions = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [2.0, 0.0], [4.0, 0.0]])
    start, end = np.array([0, 1, 0, 2, 3, 2]), np.array([1, 2, 2, 3, 4, 4])
    layout = Layout.of(positions, start, end)
    trees = layout.trees(np.ones(5, bool), np.array([0]))
    assert joined(5, layout.start, layout.end)[0] == 1
    assert trees.part.max() == 0
    assert 2 not in layout.arcs  # 0 to 2 passes over 1


# Flow


def least_cost(count, start, end, cycles, up, down):
    """Least cost of cycles that close every loop, by linear programming over points: an independent form."""
    arcs = start.size
    rows = np.arange(arcs)
    along = sparse.coo_array((np.ones(arcs), (rows, end)), shape=(arcs, count))
    along = along - sparse.coo_array((np.ones(arcs), (rows, start)), shape=(arcs, count))
    design = sparse.hstack([along, -sparse.eye_array(arcs), sparse.eye_array(arcs)])
    costs = np.concatenate([np.zeros(count), up, down])
    bounds = [(None, None)] * count + [(0, None)] * (2 * arcs)
    return linprog(costs, A_eq=design, b_eq=cycles, bounds=bounds, method="highs").fun


def closed(layout, trees, cycles, up, down, method):
    """Cycles that close, their cost, and the cycles of points that they add up to."""
    residue = np.empty(trees.inner.size, np.int64)
    kernels.residues(cycles, trees.face, residue)
    change = closing_cycles(trees.face, residue, up, down, method=method)
    cost = (up * np.maximum(change, 0) + down * np.maximum(-change, 0)).sum()
    found = np.empty(layout.x.size, np.int64)
    kernels.cycles_of_points(trees.order, trees.reached_by, layout.origin, cycles + change, found)
    return change, cost, found


@pytest.mark.parametrize("method", SOLVERS)
@given(network=networks(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_every_loop_closes_at_the_least_cost(method, network, seed):
    random = np.random.default_rng(seed)
    positions, start, end = network
    layout = Layout.of(positions, start, end)
    present = random.random(len(positions)) < 0.9
    trees = layout.trees(present, np.array([0]))
    usable = present[layout.start] & present[layout.end]
    cycles = np.where(usable, random.integers(-2, 3, layout.start.size), 0)
    up, down = random.integers(1, 1000, (2, layout.start.size))
    change, cost, found = closed(layout, trees, cycles, up, down, method)
    np.testing.assert_array_equal(
        (found[layout.end] - found[layout.start])[usable], (cycles + change)[usable], "an arc does not fit its points"
    )
    used = usable & layout.flat
    expected = (
        least_cost(len(positions), layout.start[used], layout.end[used], cycles[used], up[used], down[used])
        if used.any()
        else 0
    )
    assert cost == pytest.approx(expected, abs=1e-6)


@pytest.mark.skipif(find_spec("ortools") is None, reason="ortools is not installed")
@pytest.mark.parametrize("noise", [0.5, 0.9, 5.0])
def test_both_solvers_pay_the_same(noise):
    random = np.random.default_rng(4)
    positions = random.random((3000, 2)) * 5000
    layout = Layout.of(positions, *triangulated(positions))
    kept = random.random(layout.start.size) < 0.85  # holes
    layout = Layout.of(positions, layout.start[kept], layout.end[kept])
    trees = layout.trees(np.ones(3000, bool), np.array([0]))
    phase = np.float32(np.angle(np.exp(1j * (positions[:, 0] / 200 + random.normal(0, noise, 3000)))))
    cycles = np.empty(layout.start.size, np.int64)
    kernels.nearest_cycles(phase, np.zeros_like(phase), layout.start, layout.end, np.ones(cycles.size, bool), cycles)
    up, down = random.integers(1, 10_000, (2, cycles.size))
    one, other = (closed(layout, trees, cycles, up, down, method) for method in ("paths", "flow"))
    assert np.abs(one[0]).sum() > 0
    assert one[1] == other[1]


def test_a_network_without_residues_is_left_alone():
    positions = np.random.default_rng(5).random((50, 2))
    layout = Layout.of(positions, *triangulated(positions))
    trees = layout.trees(np.ones(50, bool), np.array([7]))
    points = np.random.default_rng(6).integers(-3, 4, 50)
    cycles = points[layout.end] - points[layout.start]
    change, cost, found = closed(layout, trees, cycles, *np.ones((2, cycles.size), np.int64), "paths")
    assert cost == 0
    assert not change.any()
    np.testing.assert_array_equal(found, points - points[7])


# The whole


def network_of(points, *, arcs=None, rejected=0.0, reference=0, truth=None, names=("velocity", "residual_height")):
    """ARCS between points, and the SOLUTION that the truth gives."""
    positions = np.stack([points.x.values, points.y.values], axis=1)
    start, end = triangulated(positions) if arcs is None else arcs
    count = points.sizes["point"]
    accepted = np.random.default_rng(0).random(start.size) >= rejected
    parameters = {
        name: ("point", truth[name].values - truth[name].values[reference] if truth is not None else np.zeros(count))
        for name in names
    }
    solution = xr.Dataset(
        {
            **parameters,
            "velocity_std": ("point", np.where(np.arange(count) == reference, 0.0, 1e-3)),
            "temporal_coherence": ("point", np.full(count, 0.9)),
            "arc_count": ("point", np.full(count, 6)),
            "network_part": ("point", np.zeros(count, np.int64)),
            "status": ("point", np.zeros(count, np.int8)),
            "accepted": ("arc", accepted),
        },
        {"start": ("arc", start), "end": ("arc", end), "x": points.x, "y": points.y},
        {"reference": f"point {reference}", "reference_point": reference},
    )
    return schema.ARCS.stamp(xr.Dataset({"start": ("arc", start), "end": ("arc", end)})), schema.SOLUTION.stamp(
        solution
    )


def wrapped_and_true(points, truth, solution, reference=0):
    """Residual phase of points, wrapped and true, relative to the reference."""
    design = phase_design(points)
    model = np.outer(design.velocity, solution.velocity)
    model += np.outer(design.height, solution.residual_height / design.height_scale)
    wrapped = points.phase.values - model
    whole = truth.phase_without_wrapping.values - model
    return wrapped - wrapped[:, [reference]], whole - whole[:, [reference]]


def share_right(residuals, true):
    found = residuals.residual_phase.values
    valid = np.isfinite(found)
    return float((np.abs(found - true)[valid] < 1.0).mean())


def scene(**options):
    settings = {"points": 400, "extent": (2000.0, 2000.0), "epochs": 40, "noise_std": 0.4, "seed": 7}
    return simulate.point_scene(**{**settings, **options})


@pytest.fixture(scope="module")
def usual():
    points, truth = scene(atmosphere=simulate.Atmosphere(std=0.004), velocity=0.01)
    arcs, solution = network_of(points, truth=truth)
    return points, truth, arcs, solution


@pytest.mark.parametrize("order", ["auto", "space", "time"])
def test_whole_cycles_are_all_that_changes(usual, order):
    points, truth, arcs, solution = usual
    residuals = unwrap_residuals(points, arcs, solution, order=order)
    schema.RESIDUALS.check(residuals)
    wrapped, _ = wrapped_and_true(points, truth, solution)
    cycles = (residuals.residual_phase.values - wrapped) / CYCLE
    np.testing.assert_allclose(cycles, np.rint(cycles), atol=1e-5)
    assert (np.abs(np.rint(cycles)) > 0).any()
    assert (residuals.residual_phase[:, 0] == 0).all()
    assert (residuals.residual_phase.sel(time=residuals.attrs["reference_time"]) == 0).all()
    assert residuals.residual_phase.dtype == np.float32
    assert residuals.attrs["reference"] == "point 0"
    for name in ("velocity", "velocity_std", "residual_height", "temporal_coherence", "arc_count", "status"):
        xr.testing.assert_equal(residuals[name].drop_vars(["x", "y"]).variable, solution[name].variable)
    for name in ("x", "y", "perpendicular_baseline", "wavelength", "incidence", "slant_range"):
        np.testing.assert_array_equal(residuals[name], points[name])


def test_atmosphere_and_motion_are_unwrapped_right():
    x = np.random.default_rng(3).random((400, 2)) * 2000
    bowl = np.exp(-((x - 1000) ** 2).sum(axis=1) / 600**2)
    points, truth = scene(
        positions=x,
        velocity=-0.02 * bowl,
        acceleration=-0.25 * bowl,
        seasonal_amplitude=0.004,
        atmosphere=simulate.Atmosphere(std=0.003),
    )
    arcs, solution = network_of(points, truth=truth)
    _, true = wrapped_and_true(points, truth, solution)
    residuals = unwrap_residuals(points, arcs, solution)
    assert np.abs(true).max() > 1.5 * CYCLE  # far points differ by cycles
    assert share_right(residuals, true) > 0.999


def test_redundant_arcs_and_holes_do_no_harm(usual):
    points, truth, _, _ = usual
    positions = np.stack([points.x.values, points.y.values], axis=1)
    both = np.unique(np.concatenate([triangulated(positions), nearest(positions, 6)], axis=1), axis=1)
    arcs, solution = network_of(points, arcs=both, truth=truth, rejected=0.15)
    _, true = wrapped_and_true(points, truth, solution)
    assert share_right(unwrap_residuals(points, arcs, solution), true) > 0.995


def neighbours_apart(**options):
    """Blocks of buildings that move as their neighbours do not."""
    positions = np.random.default_rng(5).random((500, 2)) * 2000
    blocks = (positions // 400).sum(axis=1) % 2 == 0
    moving = {name: value * blocks for name, value in options.items()}
    points, truth = scene(positions=positions, **moving)
    return points, truth, *network_of(points, truth=truth)


@pytest.mark.parametrize("motion", [{"acceleration": 0.15}, {"seasonal_amplitude": 0.012}], ids=lambda m: next(iter(m)))
def test_motion_that_tears_neighbours_apart_is_followed_in_time(motion):
    points, truth, arcs, solution = neighbours_apart(**motion)
    _, true = wrapped_and_true(points, truth, solution)
    in_space = unwrap_residuals(points, arcs, solution, order="space")
    automatic = unwrap_residuals(points, arcs, solution)
    assert share_right(in_space, true) < 0.95
    assert share_right(unwrap_residuals(points, arcs, solution, order="time"), true) > 0.999
    assert automatic.attrs["first_pass"] == "time"
    assert share_right(automatic, true) > 0.999
    assert int(automatic.unclosed_triangles.sum()) < int(in_space.unclosed_triangles.sum()) / 5


def test_the_epochs_around_make_noisy_phases_surer():
    # a quiet reference: cycles that it loses are lost to all
    points, truth = scene(noise_std=np.where(np.arange(600) == 0, 0.1, 0.75), points=600)
    arcs, solution = network_of(points, truth=truth)
    _, true = wrapped_and_true(points, truth, solution)
    once = unwrap_residuals(points, arcs, solution, order="space")
    twice = unwrap_residuals(points, arcs, solution)
    assert 1 - share_right(twice, true) < 0.7 * (1 - share_right(once, true))
    assert int(twice.unclosed_triangles.sum()) < int(once.unclosed_triangles.sum()) / 2


def test_data_without_hope_are_flagged(usual):
    good = unwrap_residuals(*usual[:1], *usual[2:])
    points, truth = scene(noise_std=1.5)
    arcs, solution = network_of(points, truth=truth)
    residuals = unwrap_residuals(points, arcs, solution)
    triangles = len(Delaunay(np.stack([points.x, points.y], axis=1)).simplices)
    assert np.isfinite(residuals.residual_phase).all()
    assert float(good.unclosed_triangles.mean()) < 0.04 * triangles
    assert float(residuals.unclosed_triangles.mean()) > 0.1 * triangles


@pytest.mark.skipif(find_spec("ortools") is None, reason="ortools is not installed")
def test_solvers_give_the_same_phases_but_for_ties(usual):
    points, _, arcs, solution = usual
    one, other = (unwrap_residuals(points, arcs, solution, method=method) for method in ("paths", "flow"))
    assert int(one.unclosed_triangles.sum()) > 0
    assert float((one.residual_phase != other.residual_phase).mean()) < 0.002


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0])
def test_an_arc_weighs_the_inverse_of_its_variance(sigma):
    points, truth = scene(points=200, epochs=300, noise_std=sigma / np.sqrt(2))
    arcs, solution = network_of(points, truth=truth)
    _, true = wrapped_and_true(points, truth, solution)
    positions = np.stack([points.x.values, points.y.values], axis=1)
    layout = Layout.of(positions, arcs.start.values, arcs.end.values)
    own = true + np.random.default_rng(0).normal(0, 1e-6, true.shape)  # and the noise that epochs share is left out
    own -= own.mean(axis=0)
    wrapped = np.angle(np.exp(1j * own)).astype(np.float32)
    evidence = Expected.of(wrapped, layout, None, threads=1)
    np.testing.assert_allclose(np.median(evidence.weight), sigma**-2, rtol=0.06)


def test_what_epochs_around_say_is_their_median():
    random = np.random.default_rng(0)
    phase = random.normal(size=(12, 30)).astype(np.float32)
    phase[random.random(phase.shape) < 0.2] = np.nan
    years = np.array([0, 1, 2, 3, 4, 5, 6, 30, 31, 32, 33, 90]) / 10
    found = np.empty_like(phase)
    kernels.medians(0, 30, 2, 0.6, 4, years, phase, found)
    for p in range(30):
        usable = [k for k in range(12) if k != 4 and np.isfinite(phase[k, p])]
        for t in range(12):
            for reach in (0.6 + 1e-9, np.inf):
                near = [k for k in usable if abs(years[k] - years[t]) <= reach]
                chosen = [k for k in near if k < t][-2:] + [k for k in near if k > t][:2]
                if chosen:
                    break
            expected = np.median(phase[chosen, p]) if chosen and t != 4 else 0.0
            assert found[t, p] == pytest.approx(expected, abs=1e-6)


# Gaps


def test_gaps_are_bridged_and_reported_as_nan():
    points, truth = scene(nan_fraction=0.15, atmosphere=simulate.Atmosphere(std=0.003))
    points["phase"][5] = np.nan
    reference = int(np.argmax(np.isfinite(np.delete(points.phase.values, 5, axis=0)).all(axis=0)))
    arcs, solution = network_of(points, truth=truth, reference=reference)
    _, true = wrapped_and_true(points, truth, solution, reference)
    residuals = unwrap_residuals(points, arcs, solution)
    found = np.isfinite(residuals.residual_phase.values)
    given = np.isfinite(points.phase.values)
    assert not found[5].any()
    assert not (found & ~given).any()
    assert (given & ~found).mean() < 0.001  # points all of whose neighbours are missing
    assert share_right(residuals, true) > 0.998


def test_gaps_do_not_bring_the_atmosphere_of_other_epochs_in():
    options = {"points": 600, "extent": (3000.0, 3000.0), "atmosphere": simulate.Atmosphere(std=0.006), "seed": 8}
    noise = np.where(np.arange(600) == 0, 0.2, 0.5)
    whole, _ = scene(noise_std=noise, **options)
    points, truth = scene(noise_std=noise, nan_fraction=0.2, **options)
    points["phase"][:, 0] = whole["phase"][:, 0]
    arcs, solution = network_of(points, truth=truth)
    _, true = wrapped_and_true(points, truth, solution)
    once, twice = (1 - share_right(unwrap_residuals(points, arcs, solution, order=o), true) for o in ("space", "auto"))
    assert twice < 0.9 * once


def test_a_point_that_a_gap_cuts_off_is_nan_at_that_epoch_alone():
    line = np.array([[0.0, 0.0], [100.0, 10.0], [200.0, 0.0]])
    points, truth = scene(positions=line, noise_std=0.1)
    points["phase"][3, 1] = np.nan
    arcs, solution = network_of(points, arcs=(np.array([0, 1]), np.array([1, 2])), truth=truth)
    _, true = wrapped_and_true(points, truth, solution)
    found = unwrap_residuals(points, arcs, solution).residual_phase.values
    true[3, 1:] = np.nan
    np.testing.assert_allclose(found, true, atol=1e-4)


def test_an_epoch_stands_alone_in_space():
    """Gaps elsewhere change nothing, and an epoch without gaps is as the triangulation of all points has it."""
    points, truth = scene(atmosphere=simulate.Atmosphere(std=0.004))
    arcs, solution = network_of(points, truth=truth)
    gaps = points.copy(deep=True)
    random = np.random.default_rng(1)
    gaps["phase"][10:15] = gaps["phase"][10:15].where(
        xr.DataArray(random.random((5, 400)) > 0.2, dims=("time", "point"))
    )
    gaps["phase"][10:15, 0] = points["phase"][10:15, 0]
    one, other = (unwrap_residuals(data, arcs, solution, order="space") for data in (points, gaps))
    same = np.r_[0:10, 15:40]
    assert float((one.residual_phase[same] != other.residual_phase[same]).mean()) < 0.001


def test_where_the_reference_has_a_gap_its_neighbours_stand_for_it():
    points, truth = scene(noise_std=0.2)
    points["phase"][4, 0] = np.nan
    arcs, solution = network_of(points, truth=truth)
    _, true = wrapped_and_true(points, truth, solution)
    found = unwrap_residuals(points, arcs, solution).residual_phase.values
    assert np.isnan(found[4, 0])
    difference = found[4, 1:] - true[4, 1:]
    assert np.ptp(difference) < 0.01
    assert abs(difference[0]) < 1.0


def test_points_without_solution_are_nan_and_others_unharmed(usual):
    points, truth, arcs, solution = usual
    solution = solution.copy(deep=True)
    lost = [3, 50, 99]
    solution["velocity"][lost] = np.nan
    _, true = wrapped_and_true(points, truth, solution)
    residuals = unwrap_residuals(points, arcs, solution)
    assert np.isnan(residuals.residual_phase[:, lost]).all()
    assert np.isfinite(residuals.residual_phase.drop_isel(point=lost)).all()
    assert share_right(residuals, true) > 0.998


# Parts and reference


def test_each_part_is_relative_to_a_point_of_its_own(usual):
    points, truth, arcs, solution = usual
    left = points.x.values < 1000
    across = left[arcs.start.values] != left[arcs.end.values]
    solution = solution.copy(deep=True)
    solution["accepted"] = ("arc", ~across)
    other = int(np.flatnonzero(left != left[0])[5])
    solution["velocity_std"][other] = 0.0
    residuals = unwrap_residuals(points, arcs, solution)
    found = residuals.residual_phase.values
    assert (found[:, [0, other]] == 0).all()
    _, true = wrapped_and_true(points, truth, solution)
    for member, anchor in ((left == left[0], 0), (left != left[0], other)):
        difference = (found - (true - true[:, [anchor]]))[:, member]
        assert (np.abs(difference) < 1).mean() > 0.998


def test_an_area_is_zero_on_average(usual):
    points, _, arcs, solution = usual
    area = np.zeros(400, bool)
    area[[5, 6, 7, 8]] = True
    solution = solution.assign(reference_area=("point", area))
    found = unwrap_residuals(points, arcs, solution).residual_phase.values
    np.testing.assert_allclose(found[:, area].mean(axis=1), 0, atol=1e-5)


def test_another_reference_is_a_shift_of_each_epoch(usual):
    points, _, arcs, solution = usual
    moved = solution.assign_attrs(reference_point=17)
    one = unwrap_residuals(points, arcs, solution, order="space").residual_phase.values
    other = unwrap_residuals(points, arcs, moved, order="space").residual_phase.values
    np.testing.assert_allclose(other, one - one[:, [17]], atol=1e-5)


# What must not matter


def test_the_order_of_points_and_the_direction_of_arcs_do_not_matter(usual):
    points, _, arcs, solution = usual
    random = np.random.default_rng(0)
    order = random.permutation(400)
    place = np.argsort(order)
    turned = random.random(arcs.sizes["arc"]) < 0.5
    start, end = place[arcs.start.values], place[arcs.end.values]
    start, end = np.where(turned, end, start), np.where(turned, start, end)
    shuffled = random.permutation(start.size)
    other_arcs = xr.Dataset({"start": ("arc", start[shuffled]), "end": ("arc", end[shuffled])})
    other = solution.isel(point=order, arc=shuffled)
    other = other.assign_coords(start=("arc", start[shuffled]), end=("arc", end[shuffled]))
    other = other.assign_attrs(reference_point=int(place[0]))
    one = unwrap_residuals(points, arcs, solution).residual_phase.values[:, order]
    two = unwrap_residuals(points.isel(point=order), other_arcs, other).residual_phase.values
    assert (np.abs(one - two) > 1e-4).mean() < 0.002  # ways that cost the same


def test_the_sign_carries_through(usual):
    points, _, arcs, solution = usual
    mirrored = points.copy(deep=True)
    mirrored["phase"] = -points["phase"]
    turned = solution.copy(deep=True)
    for name in ("velocity", "residual_height"):
        turned[name] = -solution[name]
    one = unwrap_residuals(points, arcs, solution).residual_phase.values
    two = unwrap_residuals(mirrored, arcs, turned).residual_phase.values
    assert (np.abs(one + two) > 1e-4).mean() < 0.002


def test_threads_and_read_only_inputs_change_nothing(usual):
    points, _, arcs, solution = usual
    frozen = []
    for data in (points, arcs, solution):
        fresh = data.copy(deep=True)
        for variable in fresh.variables.values():
            if isinstance(variable.data, np.ndarray):
                variable.data.flags.writeable = False
        frozen.append(fresh)
    told = []
    one = unwrap_residuals(*frozen, threads=1, progress=lambda done, total: told.append((done, total)))
    two = unwrap_residuals(*frozen, threads=3)
    xr.testing.assert_identical(one, two)
    for data, fresh in zip((points, arcs, solution), frozen, strict=True):
        xr.testing.assert_identical(data, fresh)
    assert told[-1] == (80, 80)


def test_every_parameter_of_the_model_is_removed():
    points, _ = scene(noise_std=0.1, incidence=(30.0, 46.0))
    points = points.assign_coords(temperature=("time", 20 * np.sin(np.arange(40.0))))
    design = phase_design(points)
    random = np.random.default_rng(0)
    names = ("velocity", "residual_height", "seasonal_sine", "seasonal_cosine", "thermal_expansion")
    arcs, solution = network_of(points, names=names)
    for name, std in zip(names, (0.02, 20, 0.01, 0.01, 5e-4), strict=True):
        solution[name] = ("point", random.normal(0, std, 400))
    model = (
        np.outer(design.velocity, solution.velocity)
        + np.outer(design.height, solution.residual_height / design.height_scale)
        + np.outer(design.seasonal_sine, solution.seasonal_sine)
        + np.outer(design.seasonal_cosine, solution.seasonal_cosine)
        + np.outer(design.thermal, solution.thermal_expansion)
    )
    points["phase"] = (("time", "point"), np.angle(np.exp(1j * (model + 0.1))).astype(np.float32))
    points["phase"][20] = 0.0
    found = unwrap_residuals(points, arcs, solution).residual_phase.values
    np.testing.assert_allclose(found, 0, atol=1e-4)
    by_point = points.drop_vars("perpendicular_baseline").assign_coords(
        height_to_phase=(("time", "point"), design.height[:, None] / design.height_scale)
    )
    np.testing.assert_allclose(unwrap_residuals(by_point, arcs, solution).residual_phase, found, atol=1e-4)


def test_phases_of_no_epoch_in_particular_become_relative_to_one():
    points, truth = scene(noise_std=0.1)
    arcs, solution = network_of(points, truth=truth)
    shifted = points.copy(deep=True)
    offset = np.random.default_rng(0).uniform(-np.pi, np.pi, 400)
    shifted["phase"] = (("time", "point"), np.angle(np.exp(1j * (points.phase.values + offset))).astype(np.float32))
    residuals = unwrap_residuals(shifted, arcs, solution)
    at = residuals.residual_phase.sel(time=residuals.attrs["reference_time"])
    assert (at == 0).all()
    _, true = wrapped_and_true(points, truth, solution)
    epoch = int(np.flatnonzero((residuals.residual_phase == 0).all("point"))[0])
    np.testing.assert_allclose(residuals.residual_phase, true - true[epoch], atol=1e-4)


# Pairs


def pairs_of(points, lag=3, dates=None):
    count = points.sizes["time"]
    numbers = range(count) if dates is None else dates
    pairs = np.array([(i, j) for i in numbers for j in numbers if 0 < j - i <= lag])
    first, second = pairs.T
    phase = points.phase.values[second] - points.phase.values[first]
    baseline = points.perpendicular_baseline.values
    return schema.POINTS.stamp(
        xr.Dataset(
            {"phase": (("pair", "point"), np.angle(np.exp(1j * phase)).astype(np.float32))},
            {
                "reference": ("pair", points.time.values[first]),
                "secondary": ("pair", points.time.values[second]),
                "perpendicular_baseline": ("pair", baseline[second] - baseline[first]),
                **{name: points[name] for name in ("x", "y", "wavelength", "incidence", "slant_range")},
            },
            {"reference_time": points.attrs["reference_time"]},
        )
    )


def test_pairs_are_inverted_to_epochs():
    points, truth = scene(noise_std=0.35, epochs=24, atmosphere=simulate.Atmosphere(std=0.003))
    arcs, solution = network_of(points, truth=truth)
    _, true = wrapped_and_true(points, truth, solution)
    residuals = unwrap_residuals(pairs_of(points), arcs, solution)
    schema.RESIDUALS.check(residuals)
    assert residuals.residual_phase.dims == ("time", "point")
    assert residuals.attrs["reference_time"] == points.attrs["reference_time"]
    np.testing.assert_array_equal(residuals.time, points.time)
    np.testing.assert_allclose(residuals.residual_phase, true, atol=2e-3)
    np.testing.assert_allclose(residuals.perpendicular_baseline, points.perpendicular_baseline, atol=1e-9)
    once = unwrap_residuals(pairs_of(points), arcs, solution, order="space")
    assert int(residuals.unclosed_triangles.sum()) < int(once.unclosed_triangles.sum())


def test_a_pair_wrong_by_a_cycle_does_not_say_what_to_expect():
    points, _ = scene(points=5, epochs=10)
    pairs = pairs_of(points)
    epochs = np.random.default_rng(0).normal(size=(10, 5))
    numbers = np.searchsorted(points.time.values, [pairs.reference.values, pairs.secondary.values])
    true = epochs[numbers[1]] - epochs[numbers[0]]
    given = true.astype(np.float32)
    given[8, 2] += CYCLE
    given[4, 3] = np.nan
    np.testing.assert_allclose(pair_expectation(pairs, given, threads=1), true, atol=0.05)


def test_epochs_that_no_pair_joins_are_nan_with_a_warning():
    points, truth = scene(noise_std=0.1, epochs=12)
    arcs, solution = network_of(points, truth=truth)
    parted = xr.concat(
        [pairs_of(points, dates=range(6)), pairs_of(points, dates=range(6, 12))], "pair", data_vars="minimal"
    )
    with pytest.warns(DisconnectedNetworkWarning, match="2 parts"):
        residuals = unwrap_residuals(parted, arcs, solution)
    assert np.isfinite(residuals.residual_phase[:6]).all()
    assert np.isnan(residuals.residual_phase[6:]).all()
    with pytest.raises(InputError, match="by pair"):
        unwrap_residuals(parted, arcs, solution, order="time")


# Bad input


def test_refusals_name_the_argument(usual):
    points, _, arcs, solution = usual
    cases = [
        ("no accepted arc", (points, arcs, solution.assign(accepted=("arc", np.zeros(arcs.sizes["arc"], bool))))),
        ("arcs has", (points, arcs.isel(arc=slice(10)), solution)),
        ("'start' differs", (points, arcs.isel(arc=slice(None, None, -1)), solution)),
        ("solution has 400 points, points has 300", (points.isel(point=slice(300)), arcs, solution)),
        ("baselines", (points.drop_vars("perpendicular_baseline"), arcs, solution)),
        ("temperature", (points, arcs, solution.assign(thermal_expansion=("point", np.zeros(400))))),
        ("reference_point", (points, arcs, solution.assign_attrs(reference_point=400))),
        ("time must increase", (points.isel(time=slice(None, None, -1)), arcs, solution)),
    ]
    for words, arguments in cases:
        with pytest.raises(InputError, match=words):
            unwrap_residuals(*arguments)
    without = solution.drop_vars(["accepted", "start", "end"])
    beyond = xr.Dataset({"start": ("arc", [0]), "end": ("arc", [400])})
    with pytest.raises(InputError, match="points has 400"):
        unwrap_residuals(points, beyond, without)
    with pytest.raises(InputError, match="method must be"):
        unwrap_residuals(points, arcs, solution, method="mst")
    with pytest.raises(InputError, match="order must be"):
        unwrap_residuals(points, arcs, solution, order="both")
    with pytest.raises(SchemaError, match="velocity"):
        unwrap_residuals(points, arcs, solution.drop_vars("velocity"))
    with pytest.raises(SchemaError, match="start"):
        unwrap_residuals(points, arcs.drop_vars("start"), solution)


def test_without_ortools_only_its_own_method_is_missing(usual, monkeypatch):
    points, _, arcs, solution = usual
    for name in [name for name in sys.modules if name.partition(".")[0] == "ortools"]:
        monkeypatch.delitem(sys.modules, name)
    usual_import = builtins.__import__

    def lacking(name, *arguments, **keywords):
        if name.partition(".")[0] == "ortools":
            raise ModuleNotFoundError(name=name)
        return usual_import(name, *arguments, **keywords)

    monkeypatch.setattr("builtins.__import__", lacking)
    monkeypatch.setattr("importlib.import_module", lacking)
    with pytest.raises(MissingExtraError, match=r"subsidence\[flow\]"):
        unwrap_residuals(points, arcs, solution, method="flow")
    unwrap_residuals(points, arcs, solution)


def test_two_points_and_few_epochs():
    points, truth = scene(points=2, epochs=2, noise_std=0.1)
    arcs, solution = network_of(points, arcs=(np.array([0]), np.array([1])), truth=truth)
    _, true = wrapped_and_true(points, truth, solution)
    for order in ("auto", "space", "time"):
        residuals = unwrap_residuals(points, arcs, solution, order=order)
        np.testing.assert_allclose(residuals.residual_phase, true, atol=1e-4)
