"""Checks that every family of time functions has to pass, against a formula that the test writes in plain numpy.

A formula is called as ``formula(t, **nonlinear)`` and returns its column, or a tuple of them in the order of
``model.linear``. It is evaluated on numbers that carry their first and second derivative (:class:`Jet`), so the
derivatives it is compared with are exact: no steps, no differences.
"""

from __future__ import annotations

import itertools
from unittest import mock

import numpy as np
from scipy import special
from scipy.optimize import minimize_scalar

from subsidence import models
from subsidence.models import SumModel
from subsidence.models._spec import from_spec, to_spec
from subsidence.timescale import unit_days

UNITS = ("month", "day", np.timedelta64(12, "D"))
EXTREMES = np.array([0.0, 5e-324, 1e-300, 1e-20, 1e-9, 1.0, 1e3, 1e9, 1e20, 1e100, 1e300])


class Jet(np.lib.mixins.NDArrayOperatorsMixin):
    """Value, first and second derivative by one variable; numpy's functions work on it."""

    __array_priority__ = 100

    def __init__(self, value, first=0.0, second=0.0):
        self.value, self.first, self.second = np.broadcast_arrays(value, np.asarray(first, float), second)

    def chain(self, f, f1, f2):
        return Jet(f, f1 * self.first, f2 * self.first**2 + f1 * self.second)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or kwargs:
            return NotImplemented
        if ufunc in _COMPARISONS:
            return ufunc(*(value(x) for x in inputs))
        if ufunc in _STEPS:
            return Jet(ufunc(self.value))
        if ufunc in _SINGLE:
            return self.chain(*_SINGLE[ufunc](self.value))
        if ufunc in _DOUBLE:
            return _DOUBLE[ufunc](*(x if isinstance(x, Jet) else Jet(x) for x in inputs))
        return NotImplemented

    def __array_function__(self, function, types, args, kwargs):
        if function is not np.where:
            return NotImplemented
        condition, *sides = args
        a, b = (x if isinstance(x, Jet) else Jet(x) for x in sides)
        pairs = ((a.value, b.value), (a.first, b.first), (a.second, b.second))
        return Jet(*(np.where(value(condition), *pair) for pair in pairs))


def value(x):
    return x.value if isinstance(x, Jet) else x


def _product(a, b):
    return Jet(
        a.value * b.value,
        a.first * b.value + a.value * b.first,
        a.second * b.value + 2 * a.first * b.first + a.value * b.second,
    )


def _reciprocal(x):
    return 1 / x, -1 / x**2, 2 / x**3


def _power(a, b):
    if not b.first.any() and not b.second.any():
        x, n = a.value, b.value
        return a.chain(
            x**n, np.where(n == 0, 0, n * x ** (n - 1)), np.where(n * (n - 1) == 0, 0, n * (n - 1) * x ** (n - 2))
        )
    return np.exp(_product(b, np.log(a)))


def _normal(x):
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return special.ndtr(x), density, -x * density


def _erf(x):
    slope = 2 / np.sqrt(np.pi) * np.exp(-(x**2))
    return special.erf(x), slope, -2 * x * slope


_COMPARISONS = {np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal}
_STEPS = {np.rint, np.floor, np.ceil, np.sign}
_SINGLE = {
    np.negative: lambda x: (-x, -1.0, 0.0),
    np.positive: lambda x: (x, 1.0, 0.0),
    np.absolute: lambda x: (np.abs(x), np.sign(x), 0.0),
    np.square: lambda x: (x**2, 2 * x, 2.0),
    np.sqrt: lambda x: (np.sqrt(x), 0.5 / np.sqrt(x), -0.25 * x**-1.5),
    np.reciprocal: _reciprocal,
    np.exp: lambda x: (np.exp(x),) * 3,
    np.expm1: lambda x: (np.expm1(x), np.exp(x), np.exp(x)),
    np.log: lambda x: (np.log(x), 1 / x, -1 / x**2),
    np.log1p: lambda x: (np.log1p(x), 1 / (1 + x), -1 / (1 + x) ** 2),
    np.sin: lambda x: (np.sin(x), np.cos(x), -np.sin(x)),
    np.cos: lambda x: (np.cos(x), -np.sin(x), -np.cos(x)),
    np.tanh: lambda x: (np.tanh(x), 1 / np.cosh(x) ** 2, -2 * np.tanh(x) / np.cosh(x) ** 2),
    np.arctan: lambda x: (np.arctan(x), 1 / (1 + x**2), -2 * x / (1 + x**2) ** 2),
    special.ndtr: _normal,
    special.erf: _erf,
}
_DOUBLE = {
    np.add: lambda a, b: Jet(a.value + b.value, a.first + b.first, a.second + b.second),
    np.subtract: lambda a, b: Jet(a.value - b.value, a.first - b.first, a.second - b.second),
    np.multiply: _product,
    np.divide: lambda a, b: _product(a, b.chain(*_reciprocal(b.value))),
    np.power: _power,
    np.maximum: lambda a, b: np.where(a.value >= b.value, a, b),
    np.minimum: lambda a, b: np.where(a.value <= b.value, a, b),
}


def check_gradient(model, formula, params, t, *, tolerance=1e-10, rounding=0.0):
    """Columns and their derivatives by the non-linear parameters are those of the formula.

    `rounding` is how well the formula itself is known, where it loses digits that the kernel keeps.
    """
    t = np.asarray(t, float)
    names = model.nonlinear
    # The same curve on both sides of another: none may leak into its neighbours.
    p = np.array([[params[name], 1.1 * params[name], params[name]] for name in names]).reshape(len(names), 3)
    columns = np.full((len(model.linear), t.size, 3), np.nan)
    gradient = np.full((len(names), t.size, 3), np.nan)
    model.curve(t, p, columns, gradient)
    given = {name: params[name] for name in names}
    for column, expected in zip(columns, evaluated(formula, t, given), strict=True):
        close(column[:, 0], expected.value, tolerance, "column")
        np.testing.assert_array_equal(column[:, 2], column[:, 0])
    owner = model.owner or (0,) * len(names)
    for row, name in enumerate(names):
        if name in model.constants:
            assert np.isnan(gradient[row]).all(), f"{name} is constant: gradient may have no row for it"
            continue
        slopes = [jet.first for jet in evaluated(formula, t, {**given, name: Jet(params[name], 1.0)})]
        for number, slope in enumerate(slopes):
            found = gradient[row, :, 0] if number == owner[row] else np.zeros(t.size)
            close(
                found,
                slope,
                tolerance,
                rounding=rounding,
                what=f"derivative of {model.linear[number]}'s column by {name}",
            )
        np.testing.assert_array_equal(gradient[row, :, 2], gradient[row, :, 0])


def check_rates(model, formula, params, t, *, tolerance=1e-10):
    """First and second derivative in time are those of the formula."""
    t = np.asarray(t, float)
    given = {name: params[name] for name in model.nonlinear}
    velocity, acceleration = model.basis_rates(t, given)
    for number, jet in enumerate(evaluated(formula, Jet(t, 1.0), given)):
        close(velocity[number, :, 0], jet.first, tolerance, f"velocity of {model.linear[number]}")
        close(acceleration[number, :, 0], jet.second, tolerance, f"acceleration of {model.linear[number]}")


def check_zero_and_huge(model, params, *, skip=()):
    """
    Curve and gradient are finite, rates no NaN, whatever one or two of the parameters are.

    `skip` names parameters that stay as they are, such as the origin of a polynomial.
    """
    names = [name for name in model.nonlinear if name not in skip]
    extremes = np.concatenate([EXTREMES, -EXTREMES])
    base = {name: float(params[name]) for name in model.nonlinear}
    tried = [{**base, name: x} for name in names for x in extremes]
    tried += [
        {**base, a: x, b: y}
        for a, b in itertools.combinations(names, 2)
        for x, y in itertools.product(extremes, extremes)
    ]
    tried = tried or [base]
    t = np.array([-1e6, -1.0, -1e-9, 0.0, 1e-9, 0.5, 3.0, 1e6, base.get("t0", 0.0)])
    rows = {name: np.array([one[name] for one in tried]) for name in model.nonlinear}
    p = model.rows(rows)
    columns = np.full((len(model.linear), t.size, p.shape[1]), np.nan)
    gradient = np.full((len(model.nonlinear), t.size, p.shape[1]), np.nan)
    model.curve(t, p, columns, gradient)
    free = [row for row, name in enumerate(model.nonlinear) if name not in model.constants]
    velocity, acceleration = model.basis_rates(t, rows)
    for array, what, bad in (
        (columns, "column", ~np.isfinite(columns)),
        (gradient[free], "gradient", ~np.isfinite(gradient[free])),
        (velocity, "velocity", np.isnan(velocity)),
        (acceleration, "acceleration", np.isnan(acceleration)),
    ):
        if bad.any():
            row, i, k = np.argwhere(bad)[0]
            count = bad.any((0, 1)).sum()
            msg = f"{what} {row} is {array[row, i, k]} at t = {t[i]} for {tried[k]} ({count} of {len(tried)} cases)"
            raise AssertionError(msg)
    for name in model.linear:
        for x in (0.0, 1e-300, 1e12, -1e12):
            curve = model.eval(t=t, **{**dict.fromkeys(model.linear, 1.0), **base, "offset": 0.0, name: x})
            assert np.isfinite(curve).all(), f"{name} = {x}"
    # Milestones answer something, without a warning; a family that ends has a peak velocity.
    for one in tried[:: max(1, len(tried) // 500)]:
        for size in (-1.0, 0.0):
            everything = {**dict.fromkeys(model.linear, size), **one}
            model.time_of_peak(everything)
            assert model.final is None or not np.isnan(model.peak_velocity(everything)), everything


def check_peak(model, params, span):
    """Time and size of the greatest velocity are what a search between the two times of `span` finds."""
    t = np.linspace(*span, 4001)
    step = t[1] - t[0]
    speed = np.abs(model.velocity(t, params))
    near = t[np.argmax(speed)]
    found = minimize_scalar(
        lambda time: -abs(float(model.velocity(time, params))),
        bounds=(max(near - step, span[0]), min(near + step, span[1])),
        method="bounded",
        options={"xatol": 1e-10 * step},
    )
    peak, greatest = model.time_of_peak(params), model.peak_velocity(params)
    np.testing.assert_allclose(abs(greatest), max(-found.fun, speed.max()), rtol=1e-6)
    # Where the velocity is flat at its peak its place is known to the root of its rounding errors only.
    assert abs(peak - found.x) < 1e-5 * (span[1] - span[0]), (peak, found.x)
    # The velocity may jump at its peak: from nothing at an onset, or down after it.
    beside = model.velocity(peak + 1e-9 * step * np.array([-1, 0, 1]), params)
    np.testing.assert_allclose(np.abs(beside).max(), abs(greatest), rtol=1e-9)
    assert np.sign(greatest) == np.sign(params[model.final])


def check_unit_conversion(model, params, t):
    """The same curve, velocity and peak in other units of time, by other numbers; and back."""
    t = np.asarray(t, float)
    params = model.values(params)
    for unit in UNITS:
        per = unit_days(model.time_unit) / unit_days(unit)
        other = model.with_unit(unit)
        numbers = model.convert(params, unit)
        assert type(other) is type(model)
        scale = np.abs(model.eval(t=t, **params)).max()
        np.testing.assert_allclose(
            other.eval(t=t * per, **numbers), model.eval(t=t, **params), rtol=1e-9, atol=1e-10 * scale
        )
        velocity = model.velocity(t, params)
        np.testing.assert_allclose(
            other.velocity(t * per, numbers) * per, velocity, rtol=1e-8, atol=1e-9 * np.abs(velocity).max()
        )
        np.testing.assert_allclose(other.time_of_peak(numbers), model.time_of_peak(params) * per, rtol=1e-9)
        back = other.convert(numbers, model.time_unit)
        np.testing.assert_allclose([back[name] for name in params], list(params.values()), rtol=1e-9)
        # What the model holds for good is held at the same time in either unit.
        held = {name: x for name, x in model.held().items() if name in model.constants}
        numbers = model.convert({**params, **held}, unit)
        for name in held:
            np.testing.assert_allclose(other.held()[name], numbers[other.prefix + name], rtol=1e-12)


def check_recovery(model, params, t, noise, *, seeds=40, free=()):
    """
    Fits of noisy series reach a misfit not above the truth's, and their errors are those they state.

    Parameters
    ----------
    noise
        Standard deviation of white noise.
    free
        Parameters that are held by default and sought here.

    Returns
    -------
    The normalised errors, (seeds, parameters that vary).
    """
    t = np.asarray(t, float)
    truth = model.values(params)
    for name in free:
        model.set_param_hint(name, vary=True)
    clean = model.eval(t=t, **truth)
    errors = []
    for seed in range(seeds):
        data = clean + np.random.default_rng(seed).normal(0, noise, t.size)
        result = model.fit(data, t=t)
        at_truth = np.sum((data - clean) ** 2)
        assert result.chisqr <= at_truth * (1 + 1e-9), (seed, result.chisqr / at_truth, result.best_values)
        assert result.errorbars, (seed, result.best_values)
        varied = [result.params[name] for name in result.var_names]
        errors.append([(found.value - truth[found.name.removeprefix(model.prefix)]) / found.stderr for found in varied])
    errors = np.array(errors)
    within = (np.abs(errors) < 1).mean(0)
    # Half-width: three standard deviations of a share of 0.68 among so many seeds.
    slack = 3 * np.sqrt(0.68 * 0.32 / seeds)
    assert (np.abs(within - 0.68) < slack + 0.03).all(), dict(zip(result.var_names, within, strict=True))
    assert np.abs(errors).max() < 5, dict(zip(result.var_names, np.abs(errors).max(0), strict=True))
    return errors


def check_spec_round_trip(model, params, t):
    """A model written into a file's attributes comes back as it was."""
    terms = model.terms if isinstance(model, SumModel) else [model]
    families = {type(term).__name__: type(term) for term in terms}
    with mock.patch.multiple(models, create=True, **families, __all__=[*models.__all__, *families]):
        again = from_spec(to_spec(model))
    assert type(again) is type(model)
    assert again.param_names == model.param_names
    assert again.parameter_units == model.parameter_units
    assert unit_days(again.time_unit) == unit_days(model.time_unit)
    assert again.options() == model.options()
    assert again.param_hints == model.param_hints
    assert again.held() == model.held()
    t = np.asarray(t, float)
    np.testing.assert_array_equal(again.eval(t=t, **params), model.eval(t=t, **params))


def evaluated(formula, t, nonlinear):
    """Columns of a formula as jets."""
    with np.errstate(all="ignore"):  # branches that a piecewise formula does not take
        columns = formula(t, **nonlinear)
    columns = columns if isinstance(columns, tuple) else (columns,)
    shape = np.shape(value(t))
    jets = [column if isinstance(column, Jet) else Jet(column) for column in columns]
    return [Jet(*(np.broadcast_to(part, shape) for part in (jet.value, jet.first, jet.second))) for jet in jets]


def close(found, expected, tolerance, what, *, rounding=0.0):
    """Equal to `tolerance` of the largest, or to `rounding`."""
    assert np.isfinite(expected).all(), f"the test's formula is not finite: {what}"
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=max(tolerance * np.abs(expected).max(), rounding), err_msg=what
    )
