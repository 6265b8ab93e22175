"""Arcs in space: triangulation, nearest points, what they do with awkward points, and the parts they leave."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from subsidence import schema
from subsidence.errors import DisconnectedNetworkWarning, InputError
from subsidence.network import delaunay_arcs, nearest_arcs, parts


def points_at(x, y) -> xr.Dataset:
    return xr.Dataset({"x": ("point", np.asarray(x, float)), "y": ("point", np.asarray(y, float))})


def pairs(arcs: xr.Dataset) -> set[tuple[int, int]]:
    return set(zip(arcs.start.values.tolist(), arcs.end.values.tolist(), strict=True))


def scattered(count: int, seed: int = 0, extent: float = 2000.0) -> xr.Dataset:
    return points_at(*np.random.default_rng(seed).uniform(0, extent, (2, count)))


def check_form(arcs: xr.Dataset, count: int) -> None:
    schema.ARCS.check(arcs)
    assert arcs.attrs["kind"] == "ARCS"
    assert arcs.start.dtype == arcs.end.dtype == np.int64
    assert (arcs.start < arcs.end).all()
    assert arcs.sizes["arc"] == 0 or (arcs.start.min() >= 0 and arcs.end.max() < count)
    number = arcs.start.values * count + arcs.end.values
    assert (np.diff(number) > 0).all()
    assert arcs.length.attrs["units"] == "m"


def circumscribed_is_empty(x, y, corners) -> bool:
    """Whether no other point lies in the circle through three points: what makes a triangulation Delaunay's."""
    a, b, c = (np.array([x[k], y[k]]) for k in corners)
    matrix = 2 * np.stack([b - a, c - a])
    centre = np.linalg.solve(matrix, [b @ b - a @ a, c @ c - a @ a])
    distance = np.hypot(x - centre[0], y - centre[1])
    return (np.delete(distance, list(corners)) >= np.hypot(*(a - centre)) * (1 - 1e-9)).all()


def test_the_triangulation_is_delaunays():
    points = scattered(40, seed=3)
    x, y = points.x.values, points.y.values
    expected = set()
    for i in range(40):
        for j in range(i + 1, 40):
            for k in range(j + 1, 40):
                if circumscribed_is_empty(x, y, (i, j, k)):
                    expected |= {(i, j), (i, k), (j, k)}
    arcs = delaunay_arcs(points)
    check_form(arcs, 40)
    assert pairs(arcs) == expected
    np.testing.assert_allclose(arcs.length, np.hypot(x[arcs.start] - x[arcs.end], y[arcs.start] - y[arcs.end]))


def test_nearest_arcs_against_all_distances():
    points = scattered(60, seed=4)
    x, y = points.x.values, points.y.values
    distance = np.hypot(x[:, None] - x, y[:, None] - y)
    order = np.argsort(distance, axis=1)[:, 1:6]
    expected = {(min(i, j), max(i, j)) for i in range(60) for j in order[i].tolist()}
    arcs = nearest_arcs(points, neighbours=5)
    check_form(arcs, 60)
    assert pairs(arcs) == expected


def test_redundant_arcs_are_those_of_both():
    points = scattered(80, seed=5)
    both = pairs(delaunay_arcs(points, neighbours=6))
    assert both == pairs(delaunay_arcs(points)) | pairs(nearest_arcs(points, neighbours=6))


def test_large_coordinates_change_nothing():
    points = scattered(300, seed=6)
    # a power of two, so that moving them is exact
    moved = points_at(points.x.round(2) + 2.0**22, points.y.round(2) + 2.0**23)
    near = points_at(moved.x - 2.0**22, moved.y - 2.0**23)
    assert pairs(delaunay_arcs(moved)) == pairs(delaunay_arcs(near))
    np.testing.assert_allclose(delaunay_arcs(moved).length, delaunay_arcs(near).length)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60))
def test_the_order_of_points_does_not_matter(seed, count):
    points = scattered(count, seed=seed)
    order = np.random.default_rng(seed + 1).permutation(count)
    for join in (delaunay_arcs, lambda p: delaunay_arcs(p, neighbours=4)):
        arcs, shuffled = join(points), join(points.isel(point=order))
        back = np.sort(np.stack([order[shuffled.start], order[shuffled.end]]), axis=0)
        assert set(map(tuple, back.T.tolist())) == pairs(arcs)


@settings(max_examples=60, deadline=None)
@given(arrays(np.int64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.integers(0, 4)))
def test_any_points_on_a_grid_hang_together(places):
    """Grids have what is awkward: points at one place, on one line, on one circle."""
    points = points_at(places[:, 0] * 20.0, places[:, 1] * 20.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a triangulation has one part
        for arcs in (delaunay_arcs(points), delaunay_arcs(points, neighbours=3)):
            check_form(arcs, len(places))
            assert not parts(arcs, len(places)).any()
    unique = len(np.unique(places, axis=0))
    assert int((arcs.length == 0).sum()) == len(places) - unique


# Few points, and points where triangles fail


def test_one_point_has_no_arc():
    for arcs in (delaunay_arcs(points_at([5.0], [7.0])), nearest_arcs(points_at([5.0], [7.0]))):
        check_form(arcs, 1)
        assert arcs.sizes["arc"] == 0


@pytest.mark.parametrize("join", [delaunay_arcs, nearest_arcs])
def test_two_and_three_points(join):
    assert pairs(join(points_at([0.0, 300.0], [0.0, 400.0]))) == {(0, 1)}
    assert float(join(points_at([0.0, 300.0], [0.0, 400.0])).length[0]) == 500.0
    assert pairs(join(points_at([0.0, 300.0, 50.0], [0.0, 400.0, 500.0]))) == {(0, 1), (0, 2), (1, 2)}


@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0), (0.6, 0.8), (np.sin(0.3), np.cos(0.3))])
@pytest.mark.parametrize("offset", [0.0, 4.3e6])
def test_points_on_a_line_are_a_chain(direction, offset):
    along = np.array([700.0, 0.0, 250.0, 100.0, 400.0])
    points = points_at(along * direction[0] + offset, along * direction[1] - offset)
    assert pairs(delaunay_arcs(points)) == {(1, 3), (2, 3), (2, 4), (0, 4)}
    assert pairs(delaunay_arcs(points, neighbours=1)) >= pairs(delaunay_arcs(points))


def test_three_points_on_a_line():
    assert pairs(delaunay_arcs(points_at([200.0, 0.0, 100.0], [0.0, 0.0, 0.0]))) == {(1, 2), (0, 2)}


def test_points_at_one_place_are_triangulated_once():
    alone = scattered(50, seed=7)
    again = xr.concat([alone, alone.isel(point=[3, 3, 9])], "point")
    arcs = delaunay_arcs(again)
    assert pairs(arcs) == pairs(delaunay_arcs(alone)) | {(3, 50), (3, 51), (9, 52)}
    assert (arcs.length[(arcs.end >= 50)] == 0).all()
    # the twins too have neighbours of their own when arcs are to be redundant
    redundant = nearest_arcs(again, neighbours=4)
    assert (np.bincount(np.concatenate([redundant.start, redundant.end]), minlength=53) >= 4).all()


def test_all_points_at_one_place():
    for join in (delaunay_arcs, nearest_arcs):
        arcs = join(points_at([5.0] * 4, [7.0] * 4))
        assert pairs(arcs) == {(0, 1), (0, 2), (0, 3)}
        assert not arcs.length.any()


def test_points_almost_at_one_place_are_joined():
    points = scattered(30, seed=8)
    close = points_at(np.append(points.x, np.nextafter(points.x, np.inf)), np.append(points.y, points.y))
    arcs = delaunay_arcs(close)
    assert not parts(arcs, 60).any()
    assert {(k, k + 30) for k in range(30)} <= pairs(arcs)


def test_more_neighbours_than_points():
    points = scattered(5, seed=9)
    assert nearest_arcs(points, neighbours=20).sizes["arc"] == 10


# Parts


def two_towns() -> xr.Dataset:
    near, far = scattered(30, seed=1, extent=400.0), scattered(20, seed=2, extent=400.0)
    lonely = points_at([30_000.0], [0.0])
    return xr.concat([near, points_at(far.x + 9000.0, far.y), lonely], "point")


@pytest.mark.parametrize("join", [delaunay_arcs, nearest_arcs])
def test_parts_are_named_and_kept(join):
    with pytest.warns(DisconnectedNetworkWarning) as caught:
        arcs = join(two_towns(), max_length=800.0)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "51 points falls into 3 parts" in message
    assert "at most 800 m" in message
    assert "30, 20 and one point without any arc" in message
    assert "raise" in message
    assert "max_length" in message
    assert caught[0].filename == __file__
    assert float(arcs.length.max()) <= 800.0
    np.testing.assert_array_equal(parts(arcs, 51), [0] * 30 + [1] * 20 + [2])


def test_parts_of_the_nearest_without_a_limit():
    with pytest.warns(DisconnectedNetworkWarning, match="2 parts that no arc joins, with 30 and 21 points: each"):
        nearest_arcs(two_towns(), neighbours=5)


def test_many_parts_are_summed_up():
    x = np.arange(40) // 2 * 1000.0 + np.arange(40) % 2 * 10
    with pytest.warns(DisconnectedNetworkWarning, match=r"20 parts .* 2, 2, 2, 2, 2 and 30 \(in 15 smaller parts\)"):
        delaunay_arcs(points_at(x, np.zeros(40)), max_length=50.0)
    with pytest.warns(DisconnectedNetworkWarning, match="40 parts .* with 40 points without any arc: each"):
        delaunay_arcs(points_at(x, np.zeros(40)), max_length=5.0)


def test_parts_are_in_order_of_size():
    arcs = xr.Dataset({"start": ("arc", [1, 4, 5]), "end": ("arc", [2, 5, 6])})
    np.testing.assert_array_equal(parts(arcs, 8), [2, 1, 1, 3, 0, 0, 0, 4])
    with pytest.raises(InputError, match="joins point 6, but there are 4"):
        parts(arcs, 4)


def test_a_network_in_one_part_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        delaunay_arcs(scattered(100), max_length=5000.0)


# Wrong input


def test_degrees_under_the_names_of_metres():
    rng = np.random.default_rng(0)
    degrees = points_at(113 + rng.uniform(0, 0.2, 20), 23 + rng.uniform(0, 0.2, 20))
    with pytest.raises(InputError, match="look like degrees"):
        delaunay_arcs(degrees)
    with pytest.raises(InputError, match="look like degrees"):
        nearest_arcs(degrees)
    named = degrees.rename(x="lon", y="lat")
    assert 100 < float(delaunay_arcs(named).length.median()) < 10_000


@pytest.mark.parametrize("lon", [[179.999, -179.999, -179.998], [359.999, 0.001, 0.002]])
def test_a_scene_where_degrees_start_again(lon):
    points = xr.Dataset({"lon": ("point", lon), "lat": ("point", [0.0, 0.0, 0.001])})
    plain = points.assign(lon=("point", [0.0, 0.002, 0.003]))
    np.testing.assert_allclose(delaunay_arcs(points).length, delaunay_arcs(plain).length, rtol=1e-6)


@pytest.mark.parametrize("max_length", [0.0, -5.0, np.nan, np.inf, True, "500"])
def test_a_wrong_length(max_length):
    with pytest.raises(InputError, match="max_length must be a positive number of metres"):
        delaunay_arcs(scattered(5), max_length=max_length)


@pytest.mark.parametrize("neighbours", [-1, 1.5, True])
def test_wrong_neighbours(neighbours):
    with pytest.raises(InputError, match="neighbours must be a whole number, 0 or more"):
        delaunay_arcs(scattered(5), neighbours=neighbours)
    with pytest.raises(InputError, match="neighbours must be a whole number, 1 or more"):
        nearest_arcs(scattered(5), neighbours=0)


def test_no_points_and_missing_positions():
    with pytest.raises(InputError, match="holds no point"):
        delaunay_arcs(points_at([], []))
    with pytest.raises(InputError, match="1 points have no position"):
        delaunay_arcs(points_at([0.0, np.nan, 10.0], [0.0, 5.0, 10.0]))
    with pytest.raises(InputError, match="must be a Dataset with a dim 'point'"):
        delaunay_arcs(points_at([0.0], [1.0]).x)
    with pytest.raises(InputError, match="must have 'x' and 'y' in metres"):
        delaunay_arcs(points_at([0.0], [1.0]).drop_vars("x"))


def test_the_input_stays_as_it_was():
    points = scattered(30)
    points.x.values.flags.writeable = points.y.values.flags.writeable = False
    before = points.copy(deep=True)
    delaunay_arcs(points, neighbours=3)
    xr.testing.assert_identical(points, before)
