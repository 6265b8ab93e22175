"""Figures: what is on the axes, in which unit and colour; and pictures against baselines that were looked at."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import colors, dates
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from subsidence import plot
from subsidence.errors import InputError, MissingExtraError, SchemaError
from subsidence.plot._ground import _round_down
from subsidence.stack import closure_phase

# Text is removed and the tolerance leaves room for another release's line joins, not for other colours or data.
picture = pytest.mark.mpl_image_compare(
    style="default", remove_text=True, tolerance=10, savefig_kwargs={"dpi": 60}, baseline_dir="baseline"
)
TIMES = np.datetime64("2018-01-06", "ns") + np.arange(12) * np.timedelta64(24, "D")
FLAT = xr.DataArray(np.zeros(12), {"time": TIMES}, "time")


@pytest.fixture
def raster() -> xr.Dataset:
    """A bowl of -200 mm/yr on a north-up raster in metres, no data in one corner."""
    row, col = np.mgrid[0:30, 0:40]
    velocity = -0.2 * np.exp(-((col - 25) ** 2 + (row - 18) ** 2) / 60) + 0.02 * (col < 8)
    velocity[3, 9] = 0.0
    velocity[2:6, 30:38] = np.nan
    return xr.Dataset(
        {
            "velocity": (("y", "x"), velocity, {"units": "m/year"}),
            "velocity_std": (("y", "x"), np.abs(velocity) / 10 + 0.001, {"units": "m/year"}),
            "temporal_coherence": (("y", "x"), np.linspace(0.2, 0.9, 1200).reshape(30, 40), {"units": "1"}),
            "seasonal_phase": (("y", "x"), np.linspace(0, 2 * np.pi, 1200).reshape(30, 40), {"units": "rad"}),
            "residual_height": (("y", "x"), np.linspace(-20, 30, 1200).reshape(30, 40), {"units": "m"}),
        },
        {
            "x": ("x", 486_000 + 100.0 * np.arange(40), {"units": "m"}),
            "y": ("y", 2_151_000 - 100.0 * np.arange(30), {"units": "m"}),
        },
        {"component": "los", "reference": "pixel row 3, col 9", "reference_row": 3, "reference_col": 9},
    )


@pytest.fixture
def geographic(raster: xr.Dataset) -> xr.Dataset:
    return raster.assign_coords(
        x=("x", -99.2 + np.arange(40) / 720, {"units": "degrees_east"}),
        y=("y", 60.0 - np.arange(30) / 720, {"units": "degrees_north"}),
    )


@pytest.fixture
def points(raster: xr.Dataset) -> xr.Dataset:
    place = raster.drop_vars(["x", "y"]).stack(point=("y", "x"), create_index=False)
    row, col = np.divmod(np.arange(1200), 40)
    place = place.assign_coords(
        x=("point", 486_000 + 100.0 * col, {"units": "m"}), y=("point", 2_151_000 - 100.0 * row, {"units": "m"})
    )
    attrs = {"component": "up", "reference_point": 129, "reference_x": 486_900.0, "reference_y": 2_150_700.0}
    return place.isel(point=slice(0, None, 3)).drop_attrs(deep=False).assign_attrs(attrs)


@pytest.fixture
def two_places() -> xr.Dataset:
    years = np.arange(12) * 24 / 365.25
    displacement = np.stack([-0.2 * years, 0.01 * np.sin(2 * np.pi * years)], axis=-1)
    return xr.Dataset(
        {
            "displacement": (("time", "point"), displacement, {"units": "m"}),
            "displacement_std": (("time", "point"), np.full((12, 2), 0.004), {"units": "m"}),
        },
        {"time": TIMES, "point": [7, 11]},
        {"component": "los"},
    )


BASELINES = np.array([0.0, 60.0, -45.0, 20.0, 110.0, -80.0, 5.0, 75.0, -20.0, 40.0, -60.0, 15.0])


@pytest.fixture
def stack() -> xr.Dataset:
    first, second = np.triu_indices(12, 1)
    near = second - first <= 3
    first, second = first[near], second[near]
    coherence = np.exp(-(second - first) / 3)[:, None, None] * np.array([[0.9, 1.1], [1.0, np.nan]])
    return xr.Dataset(
        {"coherence": (("pair", "y", "x"), coherence)},
        {
            "reference": ("pair", TIMES[first]),
            "secondary": ("pair", TIMES[second]),
            "perpendicular_baseline": ("pair", BASELINES[second] - BASELINES[first], {"units": "m"}),
        },
    )


@pytest.fixture
def triplets(raster: xr.Dataset) -> xr.Dataset:
    row, col = np.mgrid[0:30, 0:40]
    wrong = (np.arange(6)[:, None, None] < (col + row)[None] // 14).astype(np.int16)
    wrong[0, 20:, :4] = -1
    closure = np.where(np.isnan(raster.velocity.values), np.nan, 2 * np.pi * wrong)
    return xr.Dataset(
        {"integer_closure": (("triplet", "y", "x"), wrong), "closure": (("triplet", "y", "x"), closure)}, raster.coords
    )


def axes(**options: Any) -> Any:
    return Figure(**options).subplots()


def shown_at(ax: Any, x: float, y: float) -> Any:
    """Value that an image shows at a position of the axes; masked where there is none."""
    image = ax.images[0]
    left, right, bottom, top = image.get_extent()
    array = image.get_array()
    return array[int((y - bottom) / (top - bottom) * array.shape[0]), int((x - left) / (right - left) * array.shape[1])]


def mark(ax: Any) -> list[list[float]]:
    return [[float(v) for v in np.ravel(line.get_data())] for line in ax.lines if str(line.get_label()) == "reference"]


def raster_has_data(triplets: xr.Dataset) -> Any:
    return triplets.closure.notnull().any("triplet").values


class TestVelocityMap:
    def test_millimetres_where_they_belong(self, raster):
        ax = plot.velocity_map(raster, ax=axes())
        for row, col in [(0, 0), (29, 0), (18, 25), (10, 39)]:
            place = raster.isel(y=row, x=col)
            assert shown_at(ax, place.x, place.y) == pytest.approx(1000 * place.velocity.item())
        assert np.ma.is_masked(shown_at(ax, raster.x[33], raster.y[4]))
        assert ax.get_ylim()[0] < ax.get_ylim()[1], "north is up"

    @pytest.mark.parametrize("flip", [{"y": slice(None, None, -1)}, {"x": slice(None, None, -1)}])
    def test_order_of_rows_and_columns_does_not_matter(self, raster, flip):
        first, second = (plot.velocity_map(data, ax=axes()).images[0] for data in (raster, raster.isel(flip)))
        np.testing.assert_array_equal(first.get_array(), second.get_array())
        assert first.get_extent() == pytest.approx(second.get_extent())

    def test_order_of_dims_does_not_matter(self, raster):
        first, second = (plot.velocity_map(data, ax=axes()).images[0] for data in (raster, raster.transpose("x", "y")))
        np.testing.assert_array_equal(first.get_array(), second.get_array())

    def test_pixels_are_centred_on_their_coordinates(self, raster):
        left, right, bottom, top = plot.velocity_map(raster, ax=axes()).images[0].get_extent()
        assert (left, right) == (485_950, 489_950)
        assert (bottom, top) == (2_148_050, 2_151_050)

    def test_subsidence_is_red_uplift_blue_and_none_is_pale(self, raster):
        image = plot.velocity_map(raster, ax=axes()).images[0]
        sinking, nothing, rising = (image.cmap(image.norm(v))[:3] for v in (-150.0, 0.0, 150.0))
        assert sinking[0] > 1.5 * sinking[2]
        assert rising[2] > 1.5 * rising[0]
        assert min(nothing) > 0.85
        low, high = image.get_clim()
        assert low == -high

    def test_limit(self, raster):
        usual = np.nanpercentile(np.abs(1000 * raster.velocity), 99)
        assert usual <= plot.velocity_map(raster, ax=axes()).images[0].get_clim()[1] <= 1.1 * usual
        assert plot.velocity_map(raster, ax=axes(), limit=50).images[0].get_clim() == (-50, 50)
        wild = raster.copy()
        wild["velocity"] = wild.velocity.copy()
        wild.velocity[0, 0] = 40.0
        assert plot.velocity_map(wild, ax=axes()).images[0].get_clim()[1] < 250

    def test_colorbar_tells_unit_and_what_lies_beyond(self, raster):
        ax = plot.velocity_map(raster, ax=axes(), limit=50)
        bar = ax.images[0].colorbar
        assert bar.ax.get_ylabel() == "LOS velocity (mm/yr)"
        assert bar.extend == "min"
        assert plot.velocity_map(raster, ax=axes(), colorbar=False).images[0].colorbar is None

    @pytest.mark.parametrize(
        ("component", "title"),
        [
            ("los", "LOS velocity, positive towards the satellite"),
            ("up", "vertical velocity, positive up"),
            ("east", "eastward velocity, positive east"),
            (None, "velocity"),
        ],
    )
    def test_title_tells_component_and_sign(self, raster, component, title):
        data = raster.drop_attrs(deep=False).assign_attrs({"component": component} if component else {})
        assert plot.velocity_map(data, ax=axes()).get_title() == title

    @pytest.mark.parametrize(
        ("variable", "factor", "bounds", "label"),
        [
            ("velocity_std", 1000.0, (0.0, 20.0), "standard deviation of velocity (mm/yr)"),
            ("temporal_coherence", 1.0, (0.0, 1.0), "temporal coherence"),
            ("residual_height", 1.0, (-30.0, 30.0), "residual height (m)"),
        ],
    )
    def test_other_variables(self, raster, variable, factor, bounds, label):
        ax = plot.velocity_map(raster, ax=axes(), variable=variable)
        assert shown_at(ax, raster.x[5], raster.y[7]) == pytest.approx(factor * raster[variable].values[7, 5])
        assert ax.images[0].get_clim() == pytest.approx(bounds)
        assert ax.images[0].colorbar.ax.get_ylabel() == label

    def test_phase_goes_round(self, raster):
        image = plot.velocity_map(raster, ax=axes(), variable="seasonal_phase").images[0]
        assert image.get_clim() == pytest.approx((-np.pi, np.pi))
        ends = [np.array(image.cmap(value)[:3]) for value in (0.0, 1.0)]
        assert np.abs(ends[0] - ends[1]).max() < 0.05

    def test_mask_hides(self, raster):
        mask = (raster.x > 488_000).transpose() & (raster.y < 2_150_000)
        ax = plot.velocity_map(raster, ax=axes(), mask=mask)
        hidden = np.ma.getmaskarray(ax.images[0].get_array())
        np.testing.assert_array_equal(hidden, ~(mask & raster.velocity.notnull()).transpose("y", "x").values[::-1])

    def test_ticks_in_kilometres_on_data_in_metres(self, raster):
        ax = plot.velocity_map(raster, ax=axes())
        assert ax.xaxis.get_major_formatter()(486_500.0, 0) == "486.5"
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("easting (km)", "northing (km)")
        assert ax.get_aspect() == 1.0
        assert not [artist for artist in ax.artists if isinstance(artist, AnchoredSizeBar)]

    def test_degrees_have_the_aspect_of_their_latitude_and_a_true_scale_bar(self, geographic):
        pyproj = pytest.importorskip("pyproj", reason="an independent length on the ellipsoid")
        ax = plot.velocity_map(geographic, ax=axes())
        latitude = float(geographic.y.mean())
        assert ax.get_aspect() == pytest.approx(1 / np.cos(np.deg2rad(latitude)))
        (bar,) = (artist for artist in ax.artists if isinstance(artist, AnchoredSizeBar))
        width = bar.size_bar.get_children()[0].get_width()
        length = pyproj.Geod(ellps="WGS84").inv(-99.2, latitude, -99.2 + width, latitude)[2]
        assert bar.txt_label.get_text() == "500 m"
        assert length == pytest.approx(500.0, rel=1e-4)
        assert 0.1 * 40 / 720 < width <= 0.3 * 40 / 720

    def test_geographic_grid_without_units_is_told_by_its_longitude(self, geographic):
        x, y = (geographic[dim].values for dim in ("x", "y"))
        bare = geographic.assign_coords(x=("x", x), y=("y", y), lon=("x", x), lat=("y", y))
        assert plot.velocity_map(bare, ax=axes()).get_xlabel() == "longitude (°)"

    def test_raster_without_coordinates_is_drawn_by_row_and_column(self, raster):
        ax = plot.velocity_map(raster.drop_vars(["x", "y"]), ax=axes())
        assert ax.get_ylim() == (29.5, -0.5), "row 0 on top"
        assert shown_at(ax, 25.0, 18.0) == pytest.approx(1000 * raster.velocity.values[18, 25])
        assert mark(ax) == [[9.0, 3.0]]

    def test_uneven_grid(self, raster):
        uneven = raster.isel(x=[0, 1, 2, 5, 25, 39])
        (mesh,) = plot.velocity_map(uneven, ax=axes()).collections
        expected = np.ma.masked_invalid(1000 * uneven.velocity.values[::-1])
        np.testing.assert_allclose(mesh.get_array(), expected)

    @pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
    def test_narrow_rasters(self, raster, shape):
        part = raster.isel(y=slice(0, shape[0]), x=slice(0, shape[1]))
        assert plot.velocity_map(part, ax=axes()).images[0].get_array().shape == shape

    def test_reference_is_marked_where_it_is(self, raster, points):
        assert mark(plot.velocity_map(raster, ax=axes())) == [[486_900.0, 2_150_700.0]]
        assert mark(plot.velocity_map(raster, ax=axes(), mark_reference=False)) == []
        assert mark(plot.velocity_map(points, ax=axes())) == [[486_900.0, 2_150_700.0]]
        assert mark(plot.velocity_map(raster.drop_attrs(deep=False), ax=axes())) == []

    def test_reference_outside_a_part_cut_out_is_not_marked(self, raster):
        part = raster.isel(y=slice(10, None), x=slice(10, None))
        assert mark(plot.velocity_map(part, ax=axes())) == []
        known = raster.assign_attrs(reference_x=486_900.0, reference_y=2_150_700.0)
        assert mark(plot.velocity_map(known.isel(y=slice(2, None), x=slice(4, None)), ax=axes())) == [
            [486_900.0, 2_150_700.0]
        ]
        assert mark(plot.velocity_map(known.isel(y=slice(10, None)), ax=axes())) == []

    def test_points(self, points):
        (scatter,) = plot.velocity_map(points, ax=axes()).collections
        np.testing.assert_allclose(np.ma.filled(scatter.get_array(), np.nan), 1000 * points.velocity.values)
        np.testing.assert_array_equal(scatter.get_offsets(), np.stack([points.x, points.y], axis=-1))

    def test_points_by_longitude(self, points):
        geographic = points.drop_vars(["x", "y"]).assign_coords(
            lon=("point", np.linspace(10, 11, 400)), lat=("point", np.linspace(45, 46, 400))
        )
        assert plot.velocity_map(geographic, ax=axes()).get_ylabel() == "latitude (°)"

    def test_lazy_data(self, raster):
        pytest.importorskip("dask", reason="chunked data")
        ax = plot.velocity_map(raster.chunk(x=7), ax=axes())
        np.testing.assert_array_equal(
            ax.images[0].get_array(), plot.velocity_map(raster, ax=axes()).images[0].get_array()
        )

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            (lambda d: d.velocity, {}, "series must be an xarray.Dataset"),
            (lambda d: d.drop_vars("velocity"), {}, "no variable 'velocity': call estimate_velocity first"),
            (lambda d: d.expand_dims(window=2), {}, "expected .'y', 'x'.: select one 'window'"),
            (lambda d: d.isel(x=0), {}, "must have dims"),
            (lambda d: d.where(False), {}, "no finite value"),
            (lambda d: d.astype(complex), {}, "expected real numbers"),
            (lambda d: d, {"limit": 0}, "limit must be a positive number"),
            (lambda d: d, {"limit": np.nan}, "limit must be a positive number"),
            (lambda d: d, {"mask": np.ones((30, 40), bool)}, "mask must be a boolean DataArray"),
            (lambda d: d, {"mask": xr.DataArray(np.ones((30, 40)), dims=("y", "x"))}, "mask must be a boolean"),
            (lambda d: d, {"mask": xr.DataArray(np.ones(40, bool), dims="x")}, "mask must be a boolean"),
            (lambda d: d, {"mask": xr.DataArray(np.zeros((30, 40), bool), dims=("y", "x"))}, "inside mask"),
            (lambda d: d, {"ax": "here"}, "ax must be a matplotlib Axes or None, got str"),
            (lambda d: d.drop_vars(["x", "y"]), {"scale_bar": True}, "scale_bar=True needs coordinates"),
        ],
    )
    def test_bad_input(self, raster, change, options, message):
        with pytest.raises(InputError, match=message):
            plot.velocity_map(change(raster), **{"ax": axes(), **options})

    def test_points_without_coordinates(self, points):
        with pytest.raises(InputError, match="neither 'x' and 'y' nor 'lon' and 'lat'"):
            plot.velocity_map(points.drop_vars(["x", "y"]), ax=axes())


class TestSeries:
    def test_millimetres_dates_and_one_sigma(self, two_places):
        ax = plot.series(two_places, ax=axes())
        lines = [line for line in ax.lines if len(line.get_xdata()) == 12 and line.get_linestyle() == "-"]
        for i, line in enumerate(lines):
            np.testing.assert_allclose(line.get_ydata(), 1000 * two_places.displacement.values[:, i])
            np.testing.assert_array_equal(line.get_xdata(), TIMES)
        assert len(lines) == 2
        bars = ax.collections[0].get_segments()
        np.testing.assert_allclose([np.ptp(bar[:, 1]) for bar in bars], 8.0)
        np.testing.assert_allclose([bar[0, 0] for bar in bars], dates.date2num(TIMES))
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["point 7", "point 11"]
        assert ax.get_title() == "LOS displacement, positive towards the satellite"

    def test_one_place_has_no_legend(self, two_places):
        placed = two_places.assign_coords(x=("point", [0.0, 90.0]), height=("point", [2240.0, 2241.0]))
        for drop in (True, False):
            ax = plot.series(placed.isel(point=1, drop=drop), ax=axes())
            assert ax.get_legend() is None
            np.testing.assert_allclose(ax.lines[0].get_ydata(), 1000 * two_places.displacement.values[:, 1])

    def test_raster_places_are_named_by_coordinates(self, two_places):
        small = two_places.rename(point="x").assign_coords(x=[7.0, 11.0]).expand_dims(y=[3.5])
        ax = plot.series(small, ax=axes())
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["y 3.5, x 7", "y 3.5, x 11"]

    def test_curve_and_truth(self, two_places):
        fine = two_places.displacement.isel(time=slice(None, None, 3))
        ax = plot.series(two_places, ax=axes(), curve=fine, truth=2 * fine.isel(point=0, drop=True), labels=["a", "b"])
        named = {line.get_label(): line for line in ax.lines}
        np.testing.assert_allclose(named["curve"].get_ydata(), 1000 * fine.values[:, 0])
        np.testing.assert_allclose(named["truth"].get_ydata(), 2000 * fine.values[:, 0])
        assert (named["curve"].get_linestyle(), named["truth"].get_linestyle()) == ("-", "--")
        assert named["curve"].get_color() == ax.lines[0].get_color(), "a place and its curve share a colour"

    def test_truth_of_one_place_is_black_and_a_curve_has_its_name(self, two_places):
        one = two_places.isel(point=0)
        ax = plot.series(one, ax=axes(), curve=FLAT.assign_attrs(long_name="Weibull"), truth=FLAT)
        named = {line.get_label(): line for line in ax.lines}
        assert named["truth"].get_color() == "black"
        assert named["Weibull"].get_color() == ax.lines[0].get_color()

    def test_no_data_stays_a_gap(self, two_places):
        two_places["displacement"] = two_places.displacement.where(two_places.time != TIMES[4])
        two_places["displacement_std"] = two_places.displacement_std.where(two_places.time != TIMES[4])
        ax = plot.series(two_places, ax=axes())
        assert np.isnan(ax.lines[0].get_ydata()[4])

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            (lambda d: d.drop_vars("displacement"), {}, "'displacement' is missing"),
            (lambda d: d.where(False), {}, "no finite displacement"),
            (lambda d: xr.concat([d] * 11, "point"), {}, "22 places, at most 20"),
            (lambda d: d, {"labels": ["one"]}, "labels must hold 2 texts"),
            (lambda d: d, {"labels": "ab"}, "labels must hold 2 texts"),
            (lambda d: d, {"curve": np.zeros(12)}, "curve must be a DataArray in metres with a 'time'"),
            (lambda d: d, {"truth": xr.DataArray(np.zeros(3), dims="time")}, "truth must be a DataArray"),
            (lambda d: d, {"curve": xr.DataArray(np.zeros(3), {"time": [0.0, 1, 2]}, "time")}, "expected datetime64"),
            (lambda d: d, {"curve": FLAT.assign_attrs(units="mm")}, "curve is in 'mm'"),
            (lambda d: d, {"curve": FLAT.expand_dims(point=3)}, "curve has places {'point': 3}"),
        ],
    )
    def test_bad_input(self, two_places, change, options, message):
        with pytest.raises((InputError, SchemaError), match=message):
            plot.series(change(two_places), ax=axes(), **options)


class TestNetwork:
    def test_baselines_of_the_acquisitions_are_recovered(self, stack):
        ax = plot.network(stack, ax=axes())
        lines, dots = ax.collections
        np.testing.assert_allclose(dots.get_offsets()[:, 1], BASELINES - BASELINES[0], atol=1e-9)
        np.testing.assert_allclose(dots.get_offsets()[:, 0], dates.date2num(TIMES))
        ends = np.array(lines.get_segments())
        np.testing.assert_allclose(ends[:, 1, 1] - ends[:, 0, 1], stack.perpendicular_baseline, atol=1e-9)
        np.testing.assert_allclose(ends[:, 0, 0], dates.date2num(stack.reference.values))
        assert ax.get_title() == "30 pairs of 12 acquisitions"

    def test_inconsistent_baselines_by_least_squares(self, stack):
        noisy = stack.perpendicular_baseline.values + np.random.default_rng(1).normal(0, 2, 30)
        stack["perpendicular_baseline"] = ("pair", noisy)
        found = plot.network(stack, ax=axes()).collections[1].get_offsets()[:, 1]
        number = np.searchsorted(TIMES, [stack.reference.values, stack.secondary.values])
        # Normal equations: at the minimum the residuals of the pairs at each acquisition cancel.
        residual = noisy - (found[number[1]] - found[number[0]])
        balance = np.bincount(number[1], residual, 12) - np.bincount(number[0], residual, 12)
        np.testing.assert_allclose(balance, 0, atol=1e-8)
        assert found[0] == 0

    def test_each_part_of_a_broken_network_starts_at_zero(self, stack):
        broken = stack.isel(pair=(stack.secondary < TIMES[6]) | (stack.reference >= TIMES[6]))
        found = plot.network(broken, ax=axes()).collections[1].get_offsets()[:, 1]
        np.testing.assert_allclose(found[:6], BASELINES[:6] - BASELINES[0], atol=1e-9)
        np.testing.assert_allclose(found[6:], BASELINES[6:] - BASELINES[6], atol=1e-9)

    def test_coherence_is_the_mean_over_places_with_data(self, stack):
        lines = plot.network(stack, ax=axes()).collections[0]
        days = (stack.secondary - stack.reference).values / np.timedelta64(24, "D")
        np.testing.assert_allclose(lines.get_array(), np.exp(-days / 3))
        assert lines.get_clim() == (0, 1)
        assert lines.colorbar.ax.get_ylabel() == "mean coherence"

    def test_baselines_by_place_are_averaged(self, stack):
        tilted = stack.perpendicular_baseline.values[:, None, None] + np.array([[-1.0, 0], [0, 1]])
        stack["perpendicular_baseline"] = (("pair", "y", "x"), tilted)
        found = plot.network(stack, ax=axes()).collections[1].get_offsets()[:, 1]
        np.testing.assert_allclose(found, BASELINES, atol=1e-9)

    @pytest.mark.parametrize("known", ["none", "too few", "absent"])
    def test_without_baselines_arcs_are_as_high_as_long(self, stack, known):
        if known == "absent":
            stack = stack.drop_vars(["perpendicular_baseline", "coherence"])
        else:
            touched = (stack.reference == TIMES[0]) if known == "too few" else (stack.reference > TIMES[-1])
            kept = ~touched if known == "too few" else touched
            stack["perpendicular_baseline"] = stack.perpendicular_baseline.where(kept)
        ax = plot.network(stack, ax=axes())
        tops = [arc[:, 1].max() for arc in ax.collections[0].get_segments()]
        days = (stack.secondary - stack.reference).values / np.timedelta64(1, "D")
        np.testing.assert_allclose(tops, days)
        assert "perpendicular baselines are not known" in ax.get_ylabel()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d: d.coherence, "stack must be an xarray.Dataset"),
            (lambda d: d.drop_vars("reference"), "stack needs 'reference'"),
            (lambda d: d.assign_coords(secondary=("pair", np.arange(30.0))), "stack needs 'secondary'"),
            (lambda d: xr.concat([d, d], "pair"), "is there 2 times"),
            (lambda d: d.isel(pair=[]), "holds no pair"),
            (lambda d: d.rename(reference="secondary", secondary="reference"), "must be earlier than its secondary"),
        ],
    )
    def test_bad_input(self, stack, change, message):
        with pytest.raises(InputError, match=message):
            plot.network(change(stack), ax=axes())


class TestClosure:
    def test_counts_triplets_that_do_not_close(self, triplets):
        ax = plot.closure(triplets, ax=axes())
        count = (triplets.integer_closure != 0).sum("triplet")
        for row, col in [(0, 0), (29, 39), (29, 0), (15, 20)]:
            assert shown_at(ax, triplets.x[col], triplets.y[row]) == count[row, col]
        assert np.ma.is_masked(shown_at(ax, triplets.x[33], triplets.y[4]))
        assert ax.get_title() == "triplets with an unwrapping error, of 6"
        image = ax.images[0]
        assert isinstance(image.norm, colors.BoundaryNorm)
        assert len({image.cmap(image.norm(value)) for value in range(5)}) == 5

    def test_nan_in_the_counts_themselves_is_no_data(self, triplets):
        bare = triplets.drop_vars("closure")
        bare["integer_closure"] = bare.integer_closure.astype("f4").where(triplets.closure.notnull())
        np.testing.assert_array_equal(
            plot.closure(bare, ax=axes()).images[0].get_array(), plot.closure(triplets, ax=axes()).images[0].get_array()
        )

    def test_closures_of_a_stack(self, stack):
        phase = np.zeros((30, 2, 2), np.float32)
        phase[4, 1, 0] = 2 * np.pi
        stack["unwrapped_phase"] = (("pair", "y", "x"), phase)
        found = closure_phase(stack.assign_coords(wavelength=0.055))
        array = plot.closure(found, ax=axes()).images[0].get_array()
        one = (found.pair_12 == 4) | (found.pair_23 == 4) | (found.pair_13 == 4)
        assert array.tolist() == [[0, 0], [one.sum().item(), 0]]

    def test_many_triplets_and_points(self, triplets):
        many = xr.concat([triplets] * 5, "triplet").drop_vars(["x", "y"]).stack(point=("y", "x"), create_index=False)
        many = many.assign_coords(x=("point", np.arange(1200.0)), y=("point", np.arange(1200.0)))
        (scatter,) = plot.closure(many, ax=axes(), colorbar=False).collections
        assert scatter.get_clim() == (0, 20)
        np.testing.assert_array_equal(
            scatter.get_array().compressed(),
            5 * (triplets.integer_closure != 0).sum("triplet").values[raster_has_data(triplets)],
        )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d: d.closure, "that closure_phase returns"),
            (lambda d: d.drop_vars("integer_closure"), "closure_phase gives it for unwrapped phase alone"),
            (lambda d: d.isel(triplet=0), "expected .'triplet', 'y', 'x'."),
            (lambda d: d.where(False), "no triplet with data"),
        ],
    )
    def test_bad_input(self, triplets, change, message):
        with pytest.raises(InputError, match=message):
            plot.closure(change(triplets), ax=axes())


@pytest.fixture
def calls(raster, two_places, stack, triplets):
    return [
        (plot.velocity_map, raster),
        (plot.series, two_places),
        (plot.network, stack),
        (plot.closure, triplets),
    ]


def test_draws_on_the_axes_given_and_leaves_the_rest_alone(calls):
    settings = dict(mpl.rcParams)
    for function, data in calls:
        before = data.copy(deep=True)
        ax = axes()
        assert function(data, ax=ax) is ax
        xr.testing.assert_identical(data, before)
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == settings


def test_makes_one_figure_without_axes_and_never_shows(calls, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *a, **k: pytest.fail("show was called"))
    for number, (function, data) in enumerate(calls, start=1):
        ax = function(data)
        assert len(plt.get_fignums()) == number
        assert ax in plt.gcf().axes


def test_missing_extra_is_named(raster, monkeypatch):
    monkeypatch.delitem(sys.modules, "cmcrameri.cm", raising=False)
    monkeypatch.setitem(sys.modules, "cmcrameri", None)
    with pytest.raises(MissingExtraError, match=r"subsidence\[plot\]"):
        plot.velocity_map(raster, ax=axes())


def test_import_brings_no_matplotlib():
    code = "import sys, subsidence.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.floats(1e-3, 1e9))
def test_bar_length_is_the_largest_round_number_that_fits(value):
    length = _round_down(value)
    first = length / 10 ** np.floor(np.log10(length * (1 + 1e-12)))
    assert min(abs(first - digit) for digit in (1, 2, 5)) < 1e-9
    assert length <= value * (1 + 1e-8)
    assert 2.5 * length > value * (1 - 1e-8)


@picture
def test_velocity_map_picture(raster):
    figure = Figure(figsize=(5, 3.5))
    plot.velocity_map(raster, ax=figure.subplots())
    return figure


@picture
def test_geographic_map_picture(geographic):
    figure = Figure(figsize=(5, 4.5))
    plot.velocity_map(geographic, ax=figure.subplots())
    return figure


@picture
def test_points_picture(points):
    figure = Figure(figsize=(5, 3.5))
    plot.velocity_map(points, ax=figure.subplots())
    return figure


@picture
def test_series_picture(two_places):
    figure = Figure(figsize=(5, 3.5))
    plot.series(two_places, ax=figure.subplots(), curve=0.9 * two_places.displacement)
    return figure


@picture
def test_network_picture(stack):
    figure = Figure(figsize=(5, 3.5))
    plot.network(stack, ax=figure.subplots())
    return figure


@picture
def test_network_without_baselines_picture(stack):
    figure = Figure(figsize=(5, 3.5))
    plot.network(stack.drop_vars("perpendicular_baseline"), ax=figure.subplots())
    return figure


@picture
def test_closure_picture(triplets):
    figure = Figure(figsize=(5, 3.5))
    plot.closure(triplets, ax=figure.subplots())
    return figure
