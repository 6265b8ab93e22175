"""Parameter studies: parameters of a time function over a grid, the rest fitted or held."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence._blocks import Output, Progress, reporter, run
from subsidence._kernels.projection import project_cells
from subsidence.errors import InputError
from subsidence.fitting._fit_map import fit_map
from subsidence.fitting._fits import place_of
from subsidence.fitting._series import origin_of, weights_of
from subsidence.models._base import TimeModel
from subsidence.models._spec import to_spec
from subsidence.schema import VARIABLES
from subsidence.series._model import checked_time
from subsidence.timescale import to_elapsed, unit_days
from subsidence.typing import FloatArray, is_number

__all__ = ["sweep"]

#: Values of curves and their derivatives held at once, 64 MB.
_CURVE_VALUES = 2**23
_SCORES = ("r_squared", "correlation_squared", "rmse")


def sweep(
    model: TimeModel,
    series: xr.Dataset,
    *,
    grid: Mapping[str, Sequence[float] | npt.NDArray[np.floating[Any]]],
    fixed: Mapping[str, float] | None = None,
    weights: str | xr.DataArray | None = None,
    origin: np.datetime64 | str | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    How well a time function fits with some of its parameters over a grid, the others fitted or held.

    Parameters
    ----------
    model
        A time function of :mod:`subsidence.models`, or a sum of them. Parameters that it holds stay at their
        value unless they are in `grid` or `fixed`.
    series
        SERIES of one place or of many, m, positive as its ``component`` says. NaN epochs are left out, place by
        place.
    grid
        Values of each parameter to sweep, by its name, in the model's unit of time.
    fixed
        Parameters to hold at a value; the others are fitted in every cell of the grid.
    weights
        One over the standard deviation of each epoch, as a DataArray along ``time`` or along time and place; or
        the name of a variable of `series` that holds standard deviations, such as "displacement_std". Epochs of
        weight zero, of standard deviation zero or without one are left out, as in :func:`fit_map`.
    origin
        Date of t = 0; the first epoch when None.
    threads
        Threads over blocks of places; all CPUs by default. A dask series stays lazy and ignores it, where
        amplitudes alone are fitted.
    progress
        True for a progress bar (extra ``progress``), or a function told (cells done, cells in all), where a
        cell is one curve at one place.

    Returns
    -------
    xarray.Dataset
        With a dimension for each parameter of `grid`, in that order, and the dimensions of place of `series`:
        ``r_squared``, ``correlation_squared`` and ``rmse`` (m), and each fitted parameter under its own name
        with its unit in the attributes. Parameters that are held are coordinates without dimension. NaN
        where valid epochs do not exceed the parameters fitted; an amplitude is NaN where its column is zero at
        every epoch or cannot be told from the others.

    Raises
    ------
    InputError
        When a parameter is unknown, swept and fixed at once, or out of its bounds; when values are missing,
        not finite or there twice; when dates do not increase.

    Notes
    -----
    Three measures that are all called R2, of the data y, the curve f and weights w (squared):

    .. math:: R^2 = 1 - \frac{\sum w (y-f)^2}{\sum w (y-\bar y)^2}, \qquad
        r^2 = \frac{(\sum w (y-\bar y)(f-\bar f))^2}{\sum w (y-\bar y)^2 \sum w (f-\bar f)^2}

    ``r_squared`` may be negative, and is another one with the amplitude held (``fixed={"w_m": -0.2}``) than with
    it fitted; ``correlation_squared`` is not, where the curve has one column. A study should say which of
    them it means: for the curve of Wei et al. (2024) in a unit of 152 days they are 0.57, 0.75 and 0.85 at
    :math:`\eta` = 0.02.

    Amplitudes and the offset follow from least squares for every cell (variable projection): all curves come
    from one call of ``model.basis`` in chunks of 64 MB, and every series is projected on each. Beyond the result
    no other memory is used. Where a non-linear parameter is neither swept nor held, each cell is one
    ``fit_map``.

    The best cell of one place or of each: ``best = result.isel(result.r_squared.argmax(["lam", "eta"]))``, whose
    variables and coordinates are all the parameters of the curve.

    References
    ----------
    Wei et al. (2024), Dynamic subsidence law of surface in alpine mining area based on time function,
    Science Technology and Engineering 24(16), tables 2 and 3.
    Golub and Pereyra (1973), variable projection, https://doi.org/10.1137/0710036.

    Examples
    --------
    >>> from subsidence import models, simulate
    >>> model = models.Weibull()
    >>> series, _ = simulate.settlement_series(model, {"w_m": -0.2, "eta": 1.5, "lam": 2.5}, noise_std=0.0)
    >>> place = series.isel(point=0)
    >>> result = sweep(model, place, grid={"lam": [2.0, 2.5, 3.0], "eta": [1.0, 1.5]}, fixed={"offset": 0.0})
    >>> dict(result.r_squared.sizes)
    {'lam': 3, 'eta': 2}
    >>> best = result.isel(result.r_squared.argmax(["lam", "eta"]))
    >>> [round(float(best[name]), 3) for name in model.param_names]
    [-0.2, 1.5, 2.5, 0.0, 0.0]
    """
    time = checked_time(series)
    study = _checked(model, grid, fixed)
    start = origin_of(series, origin)
    t = to_elapsed(time, origin=start, unit=model.time_unit)
    weight = weights_of(series, weights)
    place = place_of(series)
    layout = place or ("point",)
    displacement = _on_places(series["displacement"])
    if study.shaped_by_grid:
        found = _projected(study, t, displacement, weight, place=layout, threads=threads, progress=progress)
    else:
        found = _fitted(
            study, series, t, displacement, weight, weights=weights, origin=start, threads=threads, progress=progress
        )
    return _labelled(found, study, series, start)


def _on_places(values: xr.DataArray) -> xr.Variable:
    """With a dimension of place, also where there is one place only."""
    return (values if values.ndim > 1 else values.expand_dims("point")).variable


@dataclass(frozen=True)
class _Study:
    """What a sweep is of: names with prefix, as users see them."""

    model: TimeModel
    #: values of each swept parameter
    axes: dict[str, FloatArray]
    #: parameters held at one value
    held: dict[str, float]
    #: parameters fitted in every cell: the offset, amplitudes, then those that shape the curve
    free: tuple[str, ...]

    @property
    def cells(self) -> int:
        return math.prod(values.size for values in self.axes.values())

    @property
    def shaped_by_grid(self) -> bool:
        """Whether amplitudes alone are fitted."""
        return not {self.model.prefix + name for name in self.model.nonlinear} & set(self.free)

    def values(self, first: int = 0, last: int | None = None) -> dict[str, FloatArray]:
        """Every parameter that is not fitted, in cells first..last; the last axis runs fastest."""
        cells = np.arange(first, self.cells if last is None else last)
        where = np.unravel_index(cells, tuple(values.size for values in self.axes.values()))
        swept = {name: values[k] for (name, values), k in zip(self.axes.items(), where, strict=True)}
        return {name: np.full(cells.size, value) for name, value in self.held.items()} | swept


def _projected(
    study: _Study,
    t: FloatArray,
    displacement: xr.Variable,
    weight: xr.Variable | None,
    *,
    place: tuple[str, ...],
    threads: int | None,
    progress: Progress,
) -> xr.Variable:
    """Scores and amplitudes by least squares: dims ("quantity", "cell", *place)."""
    model, cells = study.model, study.cells
    rows = ("offset", *model.linear)
    sought = np.array([k for k, name in enumerate(rows) if model.prefix + name in study.free], np.int64)
    output = len(_SCORES) + sought.size
    shared = None if weight is None or weight.ndim > 1 else weight.values[:, None]
    inputs = [displacement] if weight is None or weight.ndim == 1 else [displacement, weight]
    chunk = max(1, _CURVE_VALUES // (t.size * (len(rows) + len(model.linear) + len(model.nonlinear))))
    places = math.prod(displacement.sizes[dim] for dim in place)
    parts = []
    with reporter(progress, cells * places, "sweep", unit=" cells") as report:
        for first in range(0, cells, chunk):
            last = min(first + chunk, cells)
            given = {name.removeprefix(model.prefix): values for name, values in study.values(first, last).items()}
            kernel = partial(
                _project,
                rows=_rows(model, t, given, last - first),
                known=np.stack([given.get(name, np.zeros(last - first)) for name in rows], axis=-1),
                sought=sought,
                shared=np.ones((t.size, 1)) if shared is None else shared,
            )
            (part,) = run(
                kernel,
                inputs,
                [Output(("quantity", "cell"), (output, last - first), np.float64)],
                place=place,
                threads=threads,
                progress=_Steps(report, last - first),
            )
            parts.append(part)
    return xr.concat([xr.DataArray(part) for part in parts], "cell").variable


class _Steps:
    """Progress of one chunk of cells, whose places are told as places done, in cells."""

    def __init__(self, report: Callable[[int], None], cells: int) -> None:
        self.report, self.cells, self.told = report, cells, 0

    def __call__(self, done: int, total: int) -> None:
        del total
        self.report((done - self.told) * self.cells)
        self.told = done


def _rows(model: TimeModel, t: FloatArray, given: Mapping[str, FloatArray], cells: int) -> FloatArray:
    """Ones and the columns of every cell's curve, (cells, rows, times)."""
    columns = model.basis(t, {name: given[name] for name in model.nonlinear})[0]
    rows = np.ones((cells, 1 + len(model.linear), t.size))
    rows[:, 1:] = columns.transpose(2, 0, 1)
    return rows


def _project(start: int, stop: int, series: FloatArray, *rest: FloatArray, **options: Any) -> None:
    """Call the kernel, with the weights that all places share where they have none of their own."""
    *weight, out = rest
    known = weight[0] if weight else options["shared"]
    project_cells(start, stop, series, known, options["rows"], options["known"], options["sought"], out)


def _fitted(
    study: _Study,
    series: xr.Dataset,
    t: FloatArray,
    displacement: xr.Variable,
    weight: xr.Variable | None,
    *,
    weights: str | xr.DataArray | None,
    origin: np.datetime64,
    threads: int | None,
    progress: Progress,
) -> xr.Variable:
    """Scores and parameters by one fit of every place for each cell: dims ("quantity", "cell", *place)."""
    place = place_of(series)
    layout = ("time", *(place or ("point",)))
    data = np.asarray(displacement.transpose(*layout).values, np.float64)
    sizes = data.shape[1:]
    data = data.reshape(t.size, -1)
    if weight is None:
        weighed = np.ones_like(data[:, :1])
    else:
        weighed = weight.transpose(*layout, missing_dims="ignore").values.reshape(t.size, -1)
    values = study.values()
    parts = []
    with reporter(progress, study.cells * data.shape[1], "sweep", unit=" cells") as report:
        for cell in range(study.cells):
            model = copy.deepcopy(study.model)
            for name, column in values.items():
                model.set_param_hint(name, value=float(column[cell]), vary=False)
            fits = fit_map(model, series, weights=weights, origin=origin, threads=threads)
            optimum = fits["optimum"].transpose("parameter", *place).values.reshape(len(model.param_names), -1)
            found = dict(zip(model.param_names, optimum, strict=True))
            parts.append(np.stack([*_scores(model, t, data, weighed, found), *(found[name] for name in study.free)]))
            report(data.shape[1])
    stack = np.stack(parts, axis=1)
    return xr.Variable(("quantity", "cell", *layout[1:]), stack.reshape(*stack.shape[:2], *sizes))


def _scores(
    model: TimeModel, t: FloatArray, data: FloatArray, weight: FloatArray, params: Mapping[str, FloatArray]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The three scores of each place's curve, as the kernel has them."""
    curve = np.empty_like(data)
    chunk = max(1, _CURVE_VALUES // (t.size * (len(model.linear) + len(model.nonlinear))))
    given = {name.removeprefix(model.prefix): values for name, values in params.items()}
    for first in range(0, data.shape[1], chunk):
        part = {name: values[first : first + chunk] for name, values in given.items()}
        columns = model.basis(t, {name: part[name] for name in model.nonlinear})[0]
        amplitudes = np.stack([part[name] for name in model.linear])
        curve[:, first : first + chunk] = part["offset"] + np.einsum("lb,ltb->tb", amplitudes, columns)
    square = np.where(np.isfinite(data), weight**2, 0.0)
    total = square.sum(0)
    y, f = np.where(square > 0, data, 0.0), curve
    with np.errstate(invalid="ignore", divide="ignore"):  # places without data
        from_mean, curve_from_mean = (values - (square * values).sum(0) / total for values in (y, f))
        spread, own = ((square * values**2).sum(0) for values in (from_mean, curve_from_mean))
        misfit = (square * (y - f) ** 2).sum(0)
        common = (square * from_mean * curve_from_mean).sum(0)
        return 1 - misfit / spread, np.minimum(common**2 / (own * spread), 1.0), np.sqrt(misfit / total)


def _labelled(found: xr.Variable, study: _Study, series: xr.Dataset, origin: np.datetime64) -> xr.Dataset:
    model, place = study.model, place_of(series)
    shape = {name: values.size for name, values in study.axes.items()}
    found = (found if place else found.isel(point=0)).unstack(cell=shape).transpose("quantity", *shape, *place)
    units = {name: {"units": text.replace("data", "m")} for name, text in model.parameter_units.items()}
    variables = {name: found.isel(quantity=row) for row, name in enumerate((*_SCORES, *study.free))}
    for name, variable in variables.items():
        variable.attrs = _score_attrs(name) if name in _SCORES else units[name]
    coords = {name: series[name].variable for name in series.coords if "time" not in series[name].dims}
    coords |= {name: xr.Variable((), value, units[name]) for name, value in study.held.items()}
    coords |= {name: xr.Variable(name, values, units[name]) for name, values in study.axes.items()}
    words = model.time_unit if isinstance(model.time_unit, str) else f"{unit_days(model.time_unit):g} days"
    attrs = {
        "model": model.name.removeprefix("Model(").removesuffix(")"),
        "model_spec": to_spec(model),
        "time_unit": words,
        "origin": str(origin),
        **{key: series.attrs[key] for key in ("component", "reference", "reference_time") if key in series.attrs},
    }
    return xr.Dataset(variables, coords, attrs)


def _score_attrs(name: str) -> dict[str, str]:
    known = VARIABLES[name]
    attrs = {"units": known.units, "long_name": known.long_name}
    return attrs | ({"comment": known.comment} if known.comment else {})


def _checked(model: TimeModel, grid: object, fixed: object) -> _Study:
    if not isinstance(grid, Mapping) or not grid:
        msg = f"grid must map names of parameters to their values, as in {{'lam': [2.0, 2.5]}}, got {grid!r}"
        raise InputError(msg)
    if fixed is not None and not isinstance(fixed, Mapping):
        msg = f"fixed must map names of parameters to a value, as in {{'offset': 0.0}}, got {fixed!r}"
        raise InputError(msg)
    stay: Mapping[str, object] = fixed or {}
    unknown = [name for name in (*grid, *stay) if name not in model.param_names]
    if unknown:
        msg = f"{unknown[0]!r} is no parameter: this model has {', '.join(model.param_names)}"
        raise InputError(msg)
    both = [name for name in grid if name in stay]
    if both:
        msg = f"{both[0]!r} is in grid and in fixed: leave one out"
        raise InputError(msg)
    axes = {name: _axis(model, name, values) for name, values in grid.items()}
    held = {name: value for name, value in model.fixed.items() if name in model.constants} | model.held()
    held = {model.prefix + name: value for name, value in held.items()}
    for name, value in stay.items():
        if not is_number(value):
            msg = f"fixed[{name!r}] must be a number, got {value!r}"
            raise InputError(msg)
        held[name] = float(value)
        _check_range(model, name, np.array([held[name]]), f"fixed[{name!r}]")
    held = {name: value for name, value in held.items() if name not in axes}
    names = [model.prefix + name for name in ("offset", *model.linear, *model.nonlinear)]
    return _Study(model, axes, held, tuple(name for name in names if name not in axes and name not in held))


def _axis(model: TimeModel, name: str, given: object) -> FloatArray:
    words = f"grid[{name!r}]"
    try:
        values = np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        msg = f"{words} must be a sequence of numbers, got {given!r}"
        raise InputError(msg) from error
    if values.ndim != 1 or isinstance(given, (str, bytes)):
        msg = f"{words} must be a sequence of numbers, got {given!r}: put a single value in a list"
        raise InputError(msg)
    if values.size == 0:
        msg = f"{words} is empty: give at least one value"
        raise InputError(msg)
    single, counts = np.unique(values, return_counts=True)
    if (counts > 1).any():
        msg = f"{words} has the value {single[counts > 1][0]:g} twice"
        raise InputError(msg)
    _check_range(model, name, values, words)
    return values


def _check_range(model: TimeModel, name: str, values: FloatArray, words: str) -> None:
    if not np.isfinite(values).all():
        msg = f"{words} must be finite, got {values[~np.isfinite(values)][0]}"
        raise InputError(msg)
    own = name.removeprefix(model.prefix)
    hint = model.param_hints.get(own, {})
    low, high = hint.get("min", -np.inf), hint.get("max", np.inf)
    outside = (values < low) | (values > high)
    if outside.any():
        msg = f"{words} must lie between {low:g} and {high:g}, got {values[outside][0]:g}"
        raise InputError(msg)
    if own in model.positive and (values <= 0).any():
        msg = f"{words} must be above zero, got {values[values <= 0][0]:g}"
        raise InputError(msg)
