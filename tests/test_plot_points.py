"""Figures of persistent scatterers: arcs on a map, coherence surfaces, maps of few and of many points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colors
from matplotlib.figure import Figure
from scipy.spatial import Delaunay

from subsidence import plot, simulate
from subsidence.errors import InputError
from subsidence.phase_model._surface import coherence_surface

picture = pytest.mark.mpl_image_compare(
    style="default", remove_text=True, tolerance=10, savefig_kwargs={"dpi": 60}, baseline_dir="baseline"
)


def axes(**options: Any) -> Any:
    return Figure(**options).subplots()


def drawn(points: xr.Dataset, arcs: xr.Dataset) -> np.ndarray:
    ends = np.stack([points.x.values, points.y.values], axis=-1)
    return np.stack([ends[arcs.start.values], ends[arcs.end.values]], axis=1)


@pytest.fixture(scope="module")
def points() -> xr.Dataset:
    return simulate.point_scene(points=150, epochs=12, seed=3)[0]


@pytest.fixture(scope="module")
def arcs(points: xr.Dataset) -> xr.Dataset:
    triangles = Delaunay(np.stack([points.x, points.y], axis=-1)).simplices
    pairs = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [0, 2]]])), axis=0
    )
    length = np.hypot(*(points[name].values[pairs[:, 0]] - points[name].values[pairs[:, 1]] for name in ("x", "y")))
    return xr.Dataset(
        {
            "start": ("arc", pairs[:, 0]),
            "end": ("arc", pairs[:, 1]),
            "temporal_coherence": ("arc", np.exp(-length / 600).astype("f4")),
        }
    )


@pytest.fixture(scope="module")
def solution(points: xr.Dataset, arcs: xr.Dataset) -> xr.Dataset:
    accepted = arcs.temporal_coherence.values > 0.55
    return xr.Dataset(
        {"accepted": ("arc", accepted)},
        {name: arcs[name].variable for name in ("start", "end")} | {name: points[name].variable for name in ("x", "y")},
    )


@pytest.fixture(scope="module")
def surface() -> xr.Dataset:
    """Of 40 epochs, by its definition: an arc of -8 mm/yr and 12 m."""
    rng = np.random.default_rng(4)
    years, baseline = np.arange(40) * 12 / 365.25, rng.normal(0, 90, 40)
    per_velocity, per_height = 4 * np.pi / 0.0555 * years, 4 * np.pi / 0.0555 * baseline / (880e3 * np.sin(0.68))
    phase = -0.008 * per_velocity + 12.0 * per_height + rng.normal(0, 0.5, 40)
    velocity, height = np.linspace(-0.06, 0.06, 121), np.linspace(-40, 40, 81)
    model = velocity[:, None, None] * per_velocity + height[:, None] * per_height
    coherence = np.abs(np.exp(1j * (phase - model)).mean(axis=-1))
    return xr.Dataset(
        {"temporal_coherence": (("velocity", "residual_height"), coherence)},
        {"velocity": ("velocity", velocity, {"units": "m/year"}), "residual_height": height},
    )


class TestArcs:
    def test_lines_lie_between_their_points_and_have_their_coherence(self, points, arcs):
        ax = plot.network(arcs, points=points, ax=axes())
        lines, dots = ax.collections
        np.testing.assert_array_equal(np.array(lines.get_segments()), drawn(points, arcs))
        np.testing.assert_allclose(lines.get_array(), arcs.temporal_coherence)
        assert max(min(lines.cmap(value)[:3]) for value in np.linspace(0, 1, 20)) < 0.5, "no line is pale on white"
        assert lines.get_clim() == (0, 1)
        assert lines.colorbar.ax.get_ylabel() == "temporal coherence"
        np.testing.assert_array_equal(dots.get_offsets(), np.stack([points.x, points.y], axis=-1))
        assert (ax.get_xlabel(), ax.get_aspect()) == ("easting (km)", 1.0)
        assert ax.get_title() == f"{arcs.sizes['arc']} arcs between 150 points"
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert left < points.x.min() < points.x.max() < right
        assert bottom < points.y.min() < points.y.max() < top

    def test_rejected_arcs_are_set_apart(self, points, arcs, solution):
        kept = solution.accepted.values
        both = arcs.assign(accepted=solution.accepted.variable)
        for data, given_points in ((both, points), (solution, None), (solution, points)):
            ax = plot.network(data, points=given_points, ax=axes())
            lines, wrong = ax.collections[:2]
            np.testing.assert_array_equal(np.array(lines.get_segments()), drawn(points, arcs)[kept])
            np.testing.assert_array_equal(np.array(wrong.get_segments()), drawn(points, arcs)[~kept])
            assert wrong.get_linestyles() != lines.get_linestyles()
            assert colors.same_color(wrong.get_colors(), "#e3001b")
            assert [text.get_text() for text in ax.get_legend().get_texts()] == ["rejected"]
            assert ax.get_title().endswith(f", {(~kept).sum()} rejected")
        np.testing.assert_allclose(
            plot.network(both, points=points, ax=axes()).collections[0].get_array(), arcs.temporal_coherence[kept]
        )

    def test_all_accepted_and_none(self, points, arcs):
        count = arcs.sizes["arc"]
        whole = plot.network(arcs.assign(accepted=("arc", np.ones(count, bool))), points=points, ax=axes())
        assert whole.get_title().endswith(", 0 rejected")
        assert whole.get_legend() is None
        none = plot.network(arcs.assign(accepted=("arc", np.zeros(count, bool))), points=points, ax=axes())
        assert len(none.collections[1].get_segments()) == count

    def test_without_coherence_arcs_are_grey(self, points, arcs):
        bare = plot.network(arcs.drop_vars("temporal_coherence"), points=points, ax=axes()).collections[0]
        assert bare.get_array() is None
        assert bare.colorbar is None
        assert plot.network(arcs, points=points, ax=axes(), colorbar=False).collections[0].colorbar is None
        missing = arcs.assign(temporal_coherence=arcs.temporal_coherence.where(arcs.arc > 0))
        assert np.ma.is_masked(plot.network(missing, points=points, ax=axes()).collections[0].get_array()[0])

    def test_coherence_of_points_is_not_taken_for_that_of_arcs(self, solution):
        of_points = solution.assign(temporal_coherence=("point", np.ones(150)))
        assert plot.network(of_points, ax=axes()).collections[0].get_array() is None

    def test_degrees(self, points, arcs):
        geographic = points.drop_vars(["x", "y"]).assign_coords(
            lon=("point", 113 + points.x.values / 1e5), lat=("point", 23 + points.y.values / 1e5)
        )
        ax = plot.network(arcs, points=geographic, ax=axes())
        assert ax.get_xlabel() == "longitude (°)"
        assert ax.get_aspect() == pytest.approx(1 / np.cos(np.deg2rad(23.01)), rel=1e-3)

    def test_many_arcs_are_an_image_of_thin_lines(self):
        count = 20_000
        rng = np.random.default_rng(1)
        many = xr.Dataset({"phase": (("time", "point"), np.zeros((1, count)))}).assign_coords(
            x=("point", 1e4 * rng.random(count)), y=("point", 1e4 * rng.random(count))
        )
        joined = xr.Dataset({"start": ("arc", np.arange(count - 1)), "end": ("arc", np.arange(1, count))})
        ax = plot.network(joined, points=many, ax=axes())
        (lines,) = ax.collections  # so many dots would hide the arcs
        assert lines.get_rasterized()
        assert lines.get_linewidths()[0] < 0.5
        few = plot.network(joined.isel(arc=slice(0, 50)), points=many.isel(point=slice(0, 51)), ax=axes())
        assert not few.collections[0].get_rasterized()

    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 2**31))
    def test_numbers_of_the_points_do_not_matter(self, points, arcs, seed):
        order = np.random.default_rng(seed).permutation(150)
        place = np.argsort(order)
        turned = arcs.assign(start=("arc", place[arcs.start.values]), end=("arc", place[arcs.end.values]))
        ax = plot.network(turned, points=points.isel(point=order), ax=axes())
        np.testing.assert_array_equal(np.array(ax.collections[0].get_segments()), drawn(points, arcs))

    @pytest.mark.parametrize(
        ("change", "of_points", "message"),
        [
            (lambda a: a, lambda p: None, "points must be the POINTS that the arcs join"),
            (lambda a: a, lambda p: p.phase, "points must be an xarray.Dataset with dim 'point'"),
            (lambda a: a, lambda p: p.isel(point=0), "points must be an xarray.Dataset with dim 'point'"),
            (lambda a: a, lambda p: p.isel(point=slice(0, 100)), r"but points holds 100 \(0..99\)"),
            (lambda a: a, lambda p: p.drop_vars("x"), "neither 'x' and 'y' nor 'lon' and 'lat'"),
            (lambda a: a.assign(start=a.start - 1), lambda p: p, "arcs join points -1"),
            (lambda a: a.assign(start=a.start.astype(float)), lambda p: p, "'start' must hold whole numbers"),
            (lambda a: a.isel(arc=[]), lambda p: p, "holds no arc"),
            (
                lambda a: a.assign(accepted=a.start.variable),
                lambda p: p,
                "'accepted' has dtype int.., expected boolean",
            ),
        ],
    )
    def test_bad_input(self, points, arcs, change, of_points, message):
        with pytest.raises(InputError, match=message):
            plot.network(change(arcs), points=of_points(points), ax=axes())

    def test_points_are_no_business_of_pairs(self, points):
        pairs = xr.Dataset(
            coords={
                "reference": ("pair", points.time.values[:3]),
                "secondary": ("pair", points.time.values[1:4]),
            }
        )
        with pytest.raises(InputError, match="points belongs to arcs"):
            plot.network(pairs, points=points, ax=axes())

    def test_inputs_stay(self, points, arcs, solution):
        before = [data.copy(deep=True) for data in (points, arcs, solution)]
        plot.network(arcs.assign(accepted=solution.accepted.variable), points=points, ax=axes())
        plot.network(solution, ax=axes())
        for data, copy in zip((points, arcs, solution), before, strict=True):
            xr.testing.assert_identical(data, copy)


class TestCoherenceSurface:
    def test_millimetres_metres_and_the_peak(self, surface):
        ax = plot.coherence_surface(surface, ax=axes())
        (mesh,) = ax.collections
        coherence = surface.temporal_coherence.values
        np.testing.assert_allclose(np.asarray(mesh.get_array()).reshape(81, 121), coherence.T)
        # Nodes are the middles of their cells.
        assert (ax.get_xlim(), ax.get_ylim()) == (pytest.approx((-60.5, 60.5)), pytest.approx((-40.5, 40.5)))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("velocity (mm/yr)", "residual height (m)")
        assert mesh.colorbar.ax.get_ylabel() == "temporal coherence"
        assert mesh.get_clim() == (0, 1)
        at, above = np.unravel_index(coherence.argmax(), coherence.shape)
        marks = [line for line in ax.lines if line.get_label() == "peak"]
        for mark in marks:
            assert mark.get_xdata() == pytest.approx([1000 * surface.velocity.values[at]])
            assert mark.get_ydata() == pytest.approx([surface.residual_height.values[above]])
        assert marks
        assert abs(marks[0].get_xdata()[0] + 8) < 2
        assert abs(marks[0].get_ydata()[0] - 12) < 5
        assert ax.get_title() == (
            f"peak {coherence.max():.2f} at {1000 * surface.velocity.values[at]:.1f} mm/yr, "
            f"{surface.residual_height.values[above]:.1f} m"
        )

    def test_order_of_dims_does_not_matter(self, surface):
        first, second = (
            plot.coherence_surface(data, ax=axes()).collections[0]
            for data in (surface, surface.transpose("residual_height", "velocity"))
        )
        np.testing.assert_array_equal(first.get_array(), second.get_array())

    def test_nothing_known_is_grey(self, surface):
        holed = surface.where(surface.velocity < 0.03)
        assert np.ma.getmaskarray(plot.coherence_surface(holed, ax=axes()).collections[0].get_array()).any()

    def test_velocity_alone_is_a_curve(self, surface):
        line = surface.isel(residual_height=52, drop=True)
        ax = plot.coherence_surface(line, ax=axes())
        curve = ax.lines[0]
        np.testing.assert_allclose(curve.get_xdata(), 1000 * surface.velocity)
        np.testing.assert_allclose(curve.get_ydata(), line.temporal_coherence)
        assert (ax.get_ylabel(), ax.get_ylim()) == ("temporal coherence", (0, 1))
        peak = 1000 * line.velocity[line.temporal_coherence.argmax("velocity")].item()
        assert [mark.get_xdata() for mark in ax.lines[1:]] == [pytest.approx([peak])] * 2

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda d: d.temporal_coherence,
                "surface must be the Dataset that coherence_surface returns, got DataArray",
            ),
            (lambda d: d.rename(temporal_coherence="coherence"), "without 'temporal_coherence'"),
            (lambda d: d.expand_dims(arc=2), "select one arc"),
            (lambda d: d.isel(velocity=0), "has dims .'residual_height',., expected"),
            (lambda d: d.drop_vars("velocity"), "at least two nodes of 'velocity'"),
            (lambda d: d.isel(residual_height=[0]), "at least two nodes of 'residual_height'"),
            (lambda d: d.where(False), "no finite value"),
        ],
    )
    def test_bad_input(self, surface, change, message):
        with pytest.raises(InputError, match=message):
            plot.coherence_surface(change(surface), ax=axes())

    def test_the_surface_of_the_search(self):
        points, _ = simulate.point_scene(points=2, epochs=40, velocity=[0.0, 0.02], noise_std=0.2, seed=1)
        ax = plot.coherence_surface(coherence_surface(points, 0, 1), ax=axes())
        assert ax.get_title().startswith("points 0 to 1: peak 0.9")
        assert abs(ax.lines[0].get_xdata()[0] - 20) < 1.5
        alone = coherence_surface(points, 0, 1, residual_height=None)
        assert abs(plot.coherence_surface(alone, ax=axes()).lines[1].get_xdata()[0] - 20) < 1.5

    def test_input_stays_and_axes_are_returned(self, surface):
        before = surface.copy(deep=True)
        ax = axes()
        assert plot.coherence_surface(surface, ax=ax, colorbar=False) is ax
        assert ax.collections[0].colorbar is None
        xr.testing.assert_identical(surface, before)


class TestPoints:
    @pytest.mark.parametrize("count", [100, 3000, 3001, 100_000])
    def test_few_points_have_an_outline_and_many_are_an_image(self, count):
        rng = np.random.default_rng(2)
        series = xr.Dataset(
            {"velocity": ("point", rng.normal(0, 0.01, count))},
            {name: ("point", 1e4 * rng.random(count)) for name in ("x", "y")},
        )
        (dots,) = plot.velocity_map(series, ax=axes(), colorbar=False).collections
        few = count <= 3000
        assert (dots.get_linewidths()[0] > 0) == few
        assert bool(dots.get_rasterized()) != few
        assert dots.get_sizes()[0] >= 2
        assert dots.get_sizes()[0] * count < 3e5 or not few

    def test_series_of_a_point(self):
        truth = simulate.point_scene(points=5, epochs=12, velocity=-0.02, seed=1)[1]
        ax = plot.series(truth.drop_vars("atmosphere").isel(point=3), ax=axes())
        np.testing.assert_allclose(ax.lines[0].get_ydata(), 1000 * truth.displacement.values[:, 3])


@picture
def test_arcs_picture(points, arcs):
    figure = Figure(figsize=(5, 4))
    plot.network(arcs, points=points, ax=figure.subplots())
    return figure


@picture
def test_rejected_arcs_picture(points, arcs, solution):
    figure = Figure(figsize=(5, 4))
    plot.network(arcs.assign(accepted=solution.accepted.variable), points=points, ax=figure.subplots())
    return figure


@picture
def test_coherence_surface_picture(surface):
    figure = Figure(figsize=(5, 3.5))
    plot.coherence_surface(surface, ax=figure.subplots())
    return figure


@picture
def test_coherence_of_velocity_picture(surface):
    figure = Figure(figsize=(5, 3.5))
    plot.coherence_surface(surface.isel(residual_height=52, drop=True), ax=figure.subplots())
    return figure
