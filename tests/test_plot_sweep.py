"""Figures of parameter studies: contours over two parameters, a curve over one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from subsidence import simulate
from subsidence.errors import InputError
from subsidence.fitting._sweep import sweep as study
from subsidence.models import Weibull
from subsidence.plot._sweep import sweep

LAM, ETA = np.linspace(2.0, 3.0, 21), np.linspace(0.9, 2.1, 13)


def axes(**options: Any) -> Any:
    return Figure(**options).subplots()


@pytest.fixture(scope="module")
def result() -> xr.Dataset:
    params = {"w_m": -0.2, "eta": 1.5, "lam": 2.5}
    series, _ = simulate.settlement_series(Weibull(), params, noise_std=0.0)
    return study(Weibull(), series.isel(point=0), grid={"lam": LAM, "eta": ETA}, fixed={"offset": 0.0})


def marked(ax: Any) -> tuple[float, float]:
    rings = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    (x,), (y,) = rings[-1].get_data()
    return float(x), float(y)


class TestTwoParameters:
    def test_the_best_cell_is_marked_and_told(self, result):
        ax = sweep(result, ax=axes())
        assert marked(ax) == pytest.approx((2.5, 1.5))
        assert ax.get_title() == "best R² 1.0000 at lam 2.5, eta 1.5"
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("lam", "eta (year**-lam)")
        assert (ax.get_xlim(), ax.get_ylim()) == (pytest.approx((2.0, 3.0)), pytest.approx((0.9, 2.1)))

    def test_the_smallest_rmse_is_the_best(self, result):
        shown = result.assign(rmse=result.rmse + 0.001)
        ax = sweep(shown, variable="rmse", ax=axes())
        assert ax.get_title() == "best RMSE 1 mm at lam 2.5, eta 1.5"
        filled = ax.collections[0]
        assert filled.colorbar.ax.get_ylabel() == "RMSE (mm)"
        assert filled.levels.min() < 2.5
        assert filled.levels.max() > 0.5 * 1e3 * float(shown.rmse.max())

    def test_contours_lie_where_the_values_are(self, result):
        ax = sweep(result, variable="rmse", ax=axes(), levels=[2.0, 5.0, 10.0])
        filled, lines = ax.collections
        np.testing.assert_array_equal(filled.levels, [2.0, 5.0, 10.0])
        between = result.rmse.interp  # as a contour goes between nodes, straight from one to the next
        for level, path in zip(lines.levels, lines.get_paths(), strict=True):
            x, y = xr.DataArray(path.vertices, dims=("vertex", "axis")).transpose("axis", "vertex")
            np.testing.assert_allclose(1e3 * between(lam=x, eta=y), level, rtol=0.1)

    def test_the_first_parameter_goes_across(self, result):
        turned = sweep(result.transpose("eta", "lam"), ax=axes())
        assert (turned.get_xlabel(), turned.get_ylabel()) == ("eta (year**-lam)", "lam")
        assert marked(turned) == pytest.approx((1.5, 2.5))
        assert turned.get_title() == "best R² 1.0000 at eta 1.5, lam 2.5"

    def test_the_order_of_the_values_does_not_matter(self, result):
        upside = sweep(result.isel(eta=slice(None, None, -1), lam=np.random.default_rng(1).permutation(21)), ax=axes())
        plain = sweep(result, ax=axes())
        assert marked(upside) == marked(plain)
        for one, other in zip(upside.collections[0].get_paths(), plain.collections[0].get_paths(), strict=True):
            np.testing.assert_allclose(one.vertices, other.vertices)

    def test_r_squared_has_levels_ever_closer_to_one(self, result):
        levels = sweep(result, ax=axes()).collections[0].levels
        assert {0.98, 0.99, 0.999} <= set(levels.tolist())
        assert levels.min() > float(result.r_squared.min())
        text = {text.get_text() for text in sweep(result, ax=axes()).texts}
        assert "0.990" in text or "0.9900" in text

    def test_of_a_fitted_parameter_the_best_fit_is_marked(self, result):
        ax = sweep(result, variable="w_m", ax=axes(), levels=6)
        assert marked(ax) == pytest.approx((2.5, 1.5))
        assert ax.get_title() == "best R² 1.0000 at lam 2.5, eta 1.5"
        assert ax.collections[0].colorbar.ax.get_ylabel() == "w_m (mm)"
        assert ax.collections[0].levels.min() < -200 < ax.collections[0].levels.max()

    def test_gaps_stay_empty(self, result):
        gap = (result.lam < 2.3) & (result.eta < 1.3)
        ax = sweep(result.assign(r_squared=result.r_squared.where(~gap)), ax=axes())
        inside = np.array([2.1, 1.0])
        assert not any(path.contains_point(inside) for path in ax.collections[0].get_paths())
        outside = np.array([2.6, 1.8])
        assert any(path.contains_point(outside) for path in ax.collections[0].get_paths())

    def test_a_flat_score_and_levels_beside_it_give_no_warning(self, result):
        flat = result.assign(r_squared=xr.full_like(result.r_squared, 0.5))
        assert sweep(flat, ax=axes()).get_title().startswith("best R² 0.5000")
        ax = sweep(result, variable="rmse", ax=axes(), levels=[900.0, 1000.0])
        assert len(ax.collections) == 1

    def test_options(self, result):
        assert sweep(result, ax=axes(), colorbar=False).collections[0].colorbar is None
        assert sweep(result, ax=axes()).collections[0].colorbar.ax.get_ylabel() == "R²"
        assert sweep(result).get_title() == "best R² 1.0000 at lam 2.5, eta 1.5"


class TestOneParameter:
    @pytest.mark.parametrize(
        ("variable", "words", "best"),
        [("r_squared", "R²", 1.0), ("rmse", "RMSE (mm)", 0.0), ("w_m", "w_m (mm)", -200.0)],
    )
    def test_a_curve(self, result, variable, words, best):
        cut = result.sel(eta=1.5, method="nearest")
        ax = sweep(cut, variable=variable, ax=axes())
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), LAM)
        factor = 1.0 if variable == "r_squared" else 1e3
        np.testing.assert_allclose(ax.lines[0].get_ydata(), factor * cut[variable])
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("lam", words)
        assert marked(ax) == (pytest.approx(2.5), pytest.approx(best, abs=1e-6))

    def test_a_unit_of_any_length_is_told(self, result):
        cut = result.isel(lam=10)
        cut["eta"] = cut.eta.assign_attrs(units="(152 day)**-lam")
        assert sweep(cut, ax=axes()).get_xlabel() == "eta [(152 day)**-lam]"


def test_nothing_is_changed(result):
    copy = result.copy(deep=True)
    sweep(result, ax=axes())
    sweep(result, variable="rmse", ax=axes())
    xr.testing.assert_identical(result, copy)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda r: r.r_squared, {}, "result must be the Dataset that sweep returns, got <class"),
        (lambda r: r.drop_vars("r_squared"), {}, "got one of correlation_squared, rmse, w_m"),
        (lambda r: r, {"variable": "bic"}, "variable must be one of 'r_squared', .* got 'bic'"),
        (lambda r: r, {"variable": "lam"}, "got 'lam'"),
        (lambda r: r.isel(lam=0, eta=0), {}, r"has dims \(\), expected one or two parameters"),
        (
            lambda r: r.drop_vars("t0").expand_dims(t0=2),
            {},
            r"has dims \('t0', 'lam', 'eta'\).*select the others with sel",
        ),
        (lambda r: r.isel(lam=0).expand_dims(point=3), {}, "at one place: select the others"),
        (lambda r: r.isel(lam=[0]), {}, "at least two values of 'lam'"),
        (lambda r: r.drop_vars("lam"), {}, "at least two values of 'lam', as a coordinate"),
        (lambda r: r * np.nan, {}, "'r_squared' has no finite value"),
        (lambda r: r.assign(r_squared=r.r_squared * np.nan), {"variable": "w_m"}, "'r_squared' has no finite value"),
        (lambda r: r, {"levels": 0}, "levels must be a positive whole number or at least two increasing"),
        (lambda r: r, {"levels": [0.9, 0.8]}, "levels must be a positive whole number"),
        (lambda r: r, {"levels": [0.9]}, "levels must be a positive whole number"),
        (lambda r: r, {"levels": "many"}, "levels must be a positive whole number"),
        (lambda r: r, {"ax": 3}, "ax must be a matplotlib Axes"),
    ],
)
def test_bad_input(result, change, options, message):
    with pytest.raises(InputError, match=message):
        sweep(change(result), **{"ax": axes(), **options})
