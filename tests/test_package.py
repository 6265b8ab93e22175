"""The package as a whole: what it imports, what it exports, and what holds for every public function."""

from __future__ import annotations

import importlib.metadata
import inspect
import pickle
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import subsidence as sd

PUBLIC_MODULES = {name: module for name, module in vars(sd).items() if name in sd.__all__ and inspect.ismodule(module)}


def public_objects() -> Iterator[tuple[str, Any]]:
    for name in sd.__all__:
        found = getattr(sd, name)
        if not inspect.ismodule(found):
            yield name, found
            continue
        for inner in found.__all__:
            value = getattr(found, inner)
            if inspect.ismodule(value):
                yield from ((f"{name}.{inner}.{last}", getattr(value, last)) for last in value.__all__)
            else:
                yield f"{name}.{inner}", value


FUNCTIONS = {name: value for name, value in public_objects() if inspect.isfunction(value)}
CLASSES = {name: value for name, value in public_objects() if inspect.isclass(value)}


# Import


def test_importing_subsidence_imports_nothing_that_is_optional():
    # pandas comes with xarray and brings `pandas.plotting`, a front without drawing in it; what draws is
    # `pandas.plotting._matplotlib`, and matplotlib.
    code = "import subsidence, sys; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "subsidence" in loaded
    optional = {"dask", "distributed", "matplotlib", "rasterio", "rioxarray", "pyproj", "shapely", "zarr", "h5netcdf"}
    assert not optional & {name.partition(".")[0] for name in loaded}
    assert not optional & {"pandas.plotting._matplotlib", "cmcrameri", "tqdm", "snaphu", "ortools"} & set(loaded)
    assert not [name for name in loaded if name.startswith("pandas.plotting._matplotlib")]


# Namespace


def test_star_import_gives_the_whole_namespace():
    namespace: dict[str, Any] = {}
    exec("from subsidence import *", namespace)
    assert set(sd.__all__) <= set(namespace)


def test_all_is_sorted_without_duplicates_and_complete():
    assert list(sd.__all__) == sorted(set(sd.__all__))
    public = {
        name
        for name, value in ((name, getattr(sd, name)) for name in dir(sd) if not name.startswith("_"))
        if not isinstance(value, types.ModuleType) or "__all__" in vars(value)
    }
    # Rooms whose functions are all lifted into the flat namespace are imported too, as modules.
    inner = {
        "atmosphere", "fitting", "io", "network", "persistent", "phase_model", "sbas", "scatterers", "series", "stack",
        "sweeps", "typing", "unwrapping",
    }  # fmt: skip
    # A star import must not hide Python's own open.
    assert public - inner - {"open", "open_native"} == set(sd.__all__)


def test_the_flat_names_of_the_contract_are_there():
    contract = {
        "add_atmospheric_variance", "closure_mask", "closure_phase", "confidence_interval", "correct_delays", "errors",
        "estimate_velocity", "geometry", "invert_network", "models", "open_interferograms", "plot", "save",
        "schema", "set_reference", "simulate", "sweep_call", "timescale", "unwrap", "validation",
        "append_epoch", "delaunay_arcs", "integrate_arcs", "open_slc", "persistent_scatterers", "search_phase_model",
        "select_scatterers", "separate_atmosphere", "unwrap_residuals",
        "compare", "fit_map", "fit_series", "join_series", "predict", "sweep",
    }  # fmt: skip
    assert contract <= set(sd.__all__)


def test_the_version_is_the_installed_one():
    assert sd.__version__ == importlib.metadata.version("subsidence")


def test_public_modules_export_sorted_names_that_exist():
    for module in PUBLIC_MODULES.values():
        assert all(hasattr(module, name) for name in module.__all__)
        assert len(set(module.__all__)) == len(module.__all__)


# Documentation


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_documented(name):
    function = FUNCTIONS[name]
    text = inspect.getdoc(function) or ""
    parameters = inspect.signature(function).parameters
    assert text
    assert text.splitlines()[0].strip().endswith((".", ":")) or not text.splitlines()[0].strip()
    if not parameters:
        return
    sections = {
        line for line, rule in zip(text.splitlines(), text.splitlines()[1:], strict=False) if set(rule) == {"-"}
    }
    assert {"Parameters", "Examples"} <= sections
    assert "Returns" in sections or function.__annotations__["return"] == "None"
    described = text.split("Parameters\n----------\n")[1].split("\n\n")[0] + "\n" + text
    heads = {
        word.strip("* ")
        for line in described.splitlines()
        if line and not line.startswith(" ")
        for word in line.partition(" : ")[0].split(",")
    }
    assert set(parameters) <= heads


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_documented(name):
    assert inspect.getdoc(CLASSES[name])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_given_by_keyword(name):
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters.values())
    assert all(p.default is p.empty for p in parameters if p.kind is not p.KEYWORD_ONLY)
    # sweep_call alone passes keywords on: they are the swept function's own, checked against its signature.
    assert name == "sweep_call" or not any(p.kind is p.VAR_KEYWORD for p in parameters)


def test_the_api_page_lists_every_public_name():
    page = Path(__file__).parents[1].joinpath("docs", "api.md").read_text(encoding="utf-8")
    listed = {line.strip() for line in page.splitlines()}
    missing = [
        name
        for name in {**FUNCTIONS, **CLASSES, "open": sd.open}
        if name not in listed and name.rpartition(".")[0] not in listed
    ]
    assert missing == []


# What holds for every function that takes a Dataset


@dataclass(frozen=True)
class Inputs:
    """Small data of every kind, with arrays that cannot be written to."""

    stack: xr.Dataset
    wrapped: xr.Dataset
    truth: xr.Dataset
    series: xr.Dataset
    levelling: xr.Dataset
    closures: xr.Dataset
    matched: xr.Dataset
    slc: xr.Dataset
    points: xr.Dataset
    arcs: xr.Dataset
    solution: xr.Dataset
    residuals: xr.Dataset
    on_points: xr.Dataset
    settlement: xr.Dataset
    fits: xr.Dataset
    folder: Path


def read_only(dataset: xr.Dataset) -> xr.Dataset:
    fresh = dataset.copy(deep=True)
    for variable in fresh.variables.values():
        if isinstance(variable.data, np.ndarray):
            variable.data.flags.writeable = False
    return fresh


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Inputs:
    scene = {"shape": (14, 16), "epochs": 12, "seed": 3}
    stack, truth = sd.simulate.interferogram_scene(**scene)
    wrapped, _ = sd.simulate.interferogram_scene(**scene, wrapped=True)
    levelling = sd.simulate.levelling(truth, seed=3)
    series = sd.estimate_velocity(sd.invert_network(stack, reference={"row": 1, "col": 1}))
    slc, _ = sd.simulate.slc_scene(shape=(40, 50), epochs=12, seed=3)
    points, _ = sd.simulate.point_scene(points=60, epochs=21, noise_std=0.3, seed=3)
    arcs = sd.search_phase_model(points, sd.delaunay_arcs(points))
    solution = sd.integrate_arcs(points, arcs, reference={"point": 0})
    shape = {"w_m": np.array([-0.1, -0.2]), "eta": 1.5, "lam": 2.2}
    settlement, _ = sd.simulate.settlement_series(sd.models.Weibull(), shape)
    return Inputs(
        stack=read_only(stack),
        wrapped=read_only(wrapped),
        truth=read_only(truth),
        series=read_only(series),
        levelling=read_only(levelling),
        closures=read_only(sd.closure_phase(stack, reference={"row": 1, "col": 1})),
        matched=read_only(sd.validation.match(series, levelling, radius=500.0)),
        slc=read_only(slc),
        points=read_only(points),
        arcs=read_only(arcs),
        solution=read_only(solution),
        residuals=read_only(sd.unwrap_residuals(points, arcs, solution)),
        on_points=read_only(sd.persistent_scatterers(points.isel(time=slice(20)), reference={"point": 0})),
        settlement=read_only(settlement),
        fits=read_only(sd.fit_map(sd.models.Weibull(), settlement)),
        folder=tmp_path_factory.mktemp("saved"),
    )


def count_pixels(data, *, least=0):
    """Module-level, so that processes can be sent it."""
    return float((data.temporal_coherence > least).sum())


CALLS: dict[str, Callable[[Inputs], Any]] = {
    "all_pairs": lambda i: sd.all_pairs(i.slc),
    "best_model": lambda i: sd.best_model(sd.compare({"weibull": i.fits})),
    "change_time_unit": lambda i: sd.change_time_unit(i.fits, "month"),
    "compare": lambda i: sd.compare({"weibull": i.fits}, series=i.settlement),
    "fit_breaks": lambda i: sd.fit_breaks(i.settlement.isel(point=0), breaks=1),
    "fit_map": lambda i: sd.fit_map(sd.models.Linear(), i.series),
    "fit_series": lambda i: sd.fit_series(sd.models.Weibull(), i.settlement.isel(point=0)),
    "forecast_error": lambda i: sd.forecast_error(sd.models.Weibull(), i.settlement),
    "hindcast": lambda i: sd.hindcast(i.settlement.isel(time=slice(60)), i.settlement.isel(time=slice(60, None))),
    "join_series": lambda i: sd.join_series(i.settlement.isel(time=slice(60)), i.settlement.isel(time=slice(60, None))),
    "predict": lambda i: sd.predict(i.fits, i.settlement.time.values),
    "predict_average": lambda i: sd.predict_average(
        {"weibull": i.fits}, i.settlement.time.values, sd.compare({"weibull": i.fits})
    ),
    "stabilisation_time": lambda i: sd.stabilisation_time(i.fits),
    "sweep": lambda i: sd.sweep(sd.models.Weibull(), i.settlement, grid={"lam": [2.0, 2.5]}),
    "plot.sweep": lambda i: sd.plot.sweep(
        sd.sweep(sd.models.Weibull(), i.settlement.isel(point=0), grid={"lam": [2.0, 2.5], "eta": [1.0, 1.5]})
    ),
    "amplitude_dispersion": lambda i: sd.amplitude_dispersion(i.slc),
    "append_epoch": lambda i: sd.append_epoch(i.on_points, i.points),
    "calibrate_amplitude": lambda i: sd.calibrate_amplitude(i.slc),
    "choose_reference": lambda i: sd.choose_reference(i.slc),
    "coherence_surface": lambda i: sd.coherence_surface(i.points, 0, 1),
    "count_scatterers": lambda i: sd.count_scatterers(i.slc),
    "delaunay_arcs": lambda i: sd.delaunay_arcs(i.points),
    "densify": lambda i: sd.densify(i.points.isel(point=slice(40)), i.points, i.residuals.isel(point=slice(40))),
    "estimate_coherence": lambda i: sd.estimate_coherence(i.slc, sd.sequential_pairs(i.slc)),
    "flatten": lambda i: sd.flatten(i.slc),
    "flattening_phase": lambda i: sd.flattening_phase(i.slc),
    "form_interferograms": lambda i: sd.form_interferograms(i.slc, sd.sequential_pairs(i.slc), looks=(1, 5)),
    "goldstein_filter": lambda i: sd.goldstein_filter(i.wrapped),
    "integrate_arcs": lambda i: sd.integrate_arcs(i.points, i.arcs),
    "internal_precision": lambda i: sd.internal_precision(i.series),
    "multilook": lambda i: sd.multilook(i.stack.unwrapped_phase, looks=(2, 2)),
    "nearest_arcs": lambda i: sd.nearest_arcs(i.points),
    "persistent_scatterers": lambda i: sd.persistent_scatterers(i.points),
    "plot.coherence_surface": lambda i: sd.plot.coherence_surface(sd.coherence_surface(i.points, 0, 1)),
    "search_cells": lambda i: sd.search_cells(i.points),
    "search_phase_model": lambda i: sd.search_phase_model(i.points, sd.delaunay_arcs(i.points)),
    "select_scatterers": lambda i: sd.select_scatterers(i.slc),
    "separate_atmosphere": lambda i: sd.separate_atmosphere(i.series),
    "sequential_pairs": lambda i: sd.sequential_pairs(i.slc),
    "single_reference_pairs": lambda i: sd.single_reference_pairs(i.slc),
    "small_baseline_pairs": lambda i: sd.small_baseline_pairs(i.slc, max_days=60),
    "triangle_misclosure": lambda i: sd.triangle_misclosure(i.arcs, points=i.points),
    "unwrap_residuals": lambda i: sd.unwrap_residuals(i.points, i.arcs, i.solution),
    "add_atmospheric_variance": lambda i: sd.add_atmospheric_variance(i.series, mask=i.truth.stable),
    "closure_mask": lambda i: sd.closure_mask(i.stack, reference={"row": 1, "col": 1}),
    "closure_phase": lambda i: sd.closure_phase(i.stack, reference={"row": 1, "col": 1}),
    "confidence_interval": lambda i: sd.confidence_interval(i.series),
    "correct_delays": lambda i: sd.correct_delays(i.stack, ramp="plane", height_delay=True, mask=i.truth.stable),
    "epoch_baselines": lambda i: sd.epoch_baselines(i.stack),
    "estimate_velocity": lambda i: sd.estimate_velocity(i.series, acceleration=True, noise="autocorrelated"),
    "invert_network": lambda i: sd.invert_network(i.stack, reference="max_coherence", residual_height=True),
    "plot.closure": lambda i: sd.plot.closure(i.closures),
    "plot.network": lambda i: sd.plot.network(i.stack),
    "plot.series": lambda i: sd.plot.series(i.series.isel(y=7, x=8)),
    "plot.velocity_map": lambda i: sd.plot.velocity_map(i.series),
    "save": lambda i: sd.save(i.series, i.folder / "series.nc", overwrite=True),
    "set_reference": lambda i: sd.set_reference(i.series, {"row": 2, "col": 2}),
    "simulate.levelling": lambda i: sd.simulate.levelling(i.truth),
    "sweep_call": lambda i: sd.sweep_call(count_pixels, i.series, grid={"least": [0.0, 0.5]}, processes=1),
    "unwrap": lambda i: sd.unwrap(i.wrapped),
    "unwrapping_error_counts": lambda i: sd.unwrapping_error_counts(i.stack, reference={"row": 1, "col": 1}),
    "validation.agreement": lambda i: sd.validation.agreement(i.matched),
    "validation.match": lambda i: sd.validation.match(i.series, i.levelling, radius=500.0),
    "geometry.displacement_to_phase": lambda i: sd.geometry.displacement_to_phase(i.series.displacement, 0.0555),
    "geometry.height_to_phase": lambda i: sd.geometry.height_to_phase(
        i.stack.perpendicular_baseline, wavelength=0.0555, slant_range=880e3, incidence=39.0
    ),
    "geometry.baseline_phase": lambda i: sd.geometry.baseline_phase(
        i.slc.perpendicular_baseline,
        sd.geometry.look_angle(i.slc.incidence, i.slc.slant_range),
        wavelength=0.0555,
        centre_look=34.5,
    ),
    "geometry.look_angle": lambda i: sd.geometry.look_angle(i.slc.incidence, i.slc.slant_range),
    "geometry.look_vector": lambda i: sd.geometry.look_vector(i.stack.incidence, i.stack.heading),
    "geometry.phase_to_displacement": lambda i: sd.geometry.phase_to_displacement(i.stack.unwrapped_phase, 0.0555),
    "schema.spatial_dims": lambda i: sd.schema.spatial_dims(i.stack),
    "timescale.to_elapsed": lambda i: sd.timescale.to_elapsed(i.series.time),
}
#: What the caller's own function of a sweep returns, and what has as many units as there are parameters.
UNITLESS = {"result", "error", "estimate", "estimate_std", "optimum", "covariance"}
NEEDS = {"unwrap": "snaphu", "plot": "matplotlib", "save": "h5netcdf"}


@pytest.fixture(scope="module", params=CALLS)
def outcome(request, inputs):
    """Name, inputs before the call, result."""
    extra = NEEDS.get(request.param.partition(".")[0])
    if extra and find_spec(extra) is None:
        pytest.skip(f"needs {extra}")
    before = {name: value.copy(deep=True) for name, value in vars(inputs).items() if isinstance(value, xr.Dataset)}
    return request.param, before, CALLS[request.param](inputs)


def test_every_function_of_labelled_data_is_called_below():
    labelled = {
        name
        for name, function in FUNCTIONS.items()
        if any("xr.Data" in str(p.annotation) or "Labelled" in str(p.annotation)
               for p in list(inspect.signature(function).parameters.values())[:1])
    }  # fmt: skip
    assert labelled - set(CALLS) == set()
    assert set(CALLS) <= set(FUNCTIONS)


def test_inputs_are_never_changed(outcome, inputs):
    _, before, _ = outcome
    for name, dataset in before.items():
        xr.testing.assert_identical(getattr(inputs, name), dataset)


def test_results_carry_the_schemas_units(outcome):
    _, _, result = outcome
    if isinstance(result, xr.DataArray):
        result = result.to_dataset(name=result.name)
    if not isinstance(result, xr.Dataset):
        return
    kind = result.attrs.get("kind")
    for name, variable in result.data_vars.items():
        known = sd.schema.VARIABLES.get(str(name)) if kind or len(result.data_vars) == 1 else None
        if known is not None and known.units:
            assert variable.attrs.get("units") in {known.units, *known.other_units}, name
        elif name not in UNITLESS:
            assert "units" in variable.attrs or variable.dtype.kind not in "f", name
    if kind is not None:
        sd.schema.KINDS[kind].check(result)
        xr.testing.assert_identical(sd.schema.KINDS[kind].stamp(result), result)


def test_results_survive_pickling(outcome):
    _, _, result = outcome
    if isinstance(result, (xr.Dataset, xr.DataArray)):
        xr.testing.assert_identical(pickle.loads(pickle.dumps(result)), result)


@pytest.mark.parametrize("name", sorted(name for name in CLASSES if name.startswith("simulate.")))
def test_descriptions_of_a_scene_survive_pickling(name):
    value = CLASSES[name]()
    assert pickle.loads(pickle.dumps(value)) == value
