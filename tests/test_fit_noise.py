"""Errors of fitted curves: against dense algebra written here, against lmfit, against known noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from subsidence._kernels.fit_noise import finish_covariance
from subsidence.models import Weibull

EPOCHS = 40


class Errors(NamedTuple):
    covariance: np.ndarray
    rho: np.ndarray
    sigma: np.ndarray
    dof: np.ndarray


def errors(jacobian, residual, weight, gaps, *, free=None, autocorrelated=False) -> Errors:
    parameters, _, count = jacobian.shape
    free = np.ones((parameters, count), bool) if free is None else free
    jacobian = np.ascontiguousarray(jacobian)  # another layout would be another compilation
    residual, weight = np.ascontiguousarray(residual), np.ascontiguousarray(weight)
    found = Errors(np.empty((parameters, parameters, count)), *(np.empty(count) for _ in range(3)))
    finish_covariance(jacobian, residual, weight, gaps, free, autocorrelated, *found)
    return found


def regressors(t: np.ndarray) -> np.ndarray:
    """Weibull's derivatives at w_m = 0.2, eta = 0.4, lam = 2.2, and the offset's: (4, epochs)."""
    s = np.maximum(t, 1e-9)
    left = np.exp(-0.4 * s**2.2)
    return np.stack([1 - left, 0.2 * s**2.2 * left, 0.08 * s**2.2 * np.log(s) * left, np.ones_like(s)])


def lags(gaps: np.ndarray, rho: float) -> np.ndarray:
    sign = np.where((rho < 0) & (np.rint(gaps) % 2 == 1), -1.0, 1.0)
    return sign * np.abs(rho) ** gaps


def correlations(gaps: np.ndarray, rho: float) -> np.ndarray:
    """Dense matrix: between two epochs the product of all the lags between them."""
    a = lags(gaps, rho)
    n = gaps.size + 1
    matrix = np.eye(n)
    for i in range(n):
        for j in range(i + 1, n):
            matrix[i, j] = matrix[j, i] = np.prod(a[i:j])
    return matrix


def autoregressive(rng, gaps: np.ndarray, rho: float, count: int) -> np.ndarray:
    noise = rng.standard_normal((gaps.size + 1, count))
    for i, a in enumerate(lags(gaps, rho)):
        noise[i + 1] = a * noise[i] + np.sqrt(1 - a * a) * noise[i + 1]
    return noise


def fitted(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares estimates and residuals of the series in the columns of `y`."""
    estimates = np.stack(
        [np.linalg.lstsq(x.T * w[:, None], y[:, k] * w, rcond=None)[0] for k, w in enumerate(weight.T)], axis=1
    )
    return estimates, y - x.T @ estimates


def restricted(matrix: np.ndarray, x: np.ndarray, z: np.ndarray) -> tuple[float, float]:
    """Restricted log-likelihood with the variance profiled out, and generalised sum of squares."""
    m, p = x.shape
    inverse = np.linalg.inv(matrix)
    gram = x.T @ inverse @ x
    rest = z - x @ np.linalg.solve(gram, x.T @ inverse @ z)
    square = rest @ inverse @ rest
    logdet = np.linalg.slogdet(matrix)[1] + np.linalg.slogdet(gram)[1]
    return -0.5 * logdet - 0.5 * (m - p) * np.log(square), square


def mixture(gaps: np.ndarray, valid: np.ndarray, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Covariance, sigma and degrees of freedom by their definition, with dense matrices; `x` is (m, p), weighted."""
    m, p = x.shape
    count = max(15, int(np.ceil(np.pi * np.sqrt(gaps.size + 1) / 1.2)))
    nodes = np.sin(((np.arange(count) + 0.5) / count - 0.5) * np.pi)
    matrices = [correlations(gaps, rho)[np.ix_(valid, valid)] for rho in nodes]
    likelihood, squares = np.array([restricted(matrix, x, z) for matrix in matrices]).T
    # Prior (1 + rho)^(-1/2), and d rho = sqrt(1 - rho^2) d arcsin(rho).
    weight = np.exp(likelihood - likelihood.max()) * np.sqrt(1 - nodes**2) / np.sqrt(1 + nodes)
    weight /= weight.sum()
    bread = np.linalg.inv(x.T @ x)
    sandwiches = np.array([bread @ x.T @ matrix @ x @ bread for matrix in matrices])
    curve = np.array([np.trace(x @ sandwich @ x.T) for sandwich in sandwiches])
    variance = squares / (m - p)
    precision = 1 / (variance * curve)
    first, second = (weight * precision).sum(), (weight * precision**2).sum() * (1 + 2 / (m - p))
    share = weight * precision / first
    covariance = (share * variance) @ sandwiches.reshape(count, -1)
    return covariance.reshape(p, p), np.sqrt((share * variance).sum()), 2 / (second / first**2 - 1)


def best_rho(gaps: np.ndarray, valid: np.ndarray, x: np.ndarray, z: np.ndarray) -> float:
    """Where the restricted likelihood is largest: a grid, then a search around its best."""

    def misfit(rho: float) -> float:
        return -restricted(correlations(gaps, rho)[np.ix_(valid, valid)], x, z)[0]

    grid = np.linspace(-0.95, 0.95, 39)
    start = grid[np.argmin([misfit(rho) for rho in grid])]
    return float(optimize.minimize_scalar(misfit, bounds=(start - 0.05, start + 0.05), method="bounded").x)


def irregular(rng, epochs: int) -> np.ndarray:
    """Gaps in median revisits: some of half a revisit, some of several."""
    return rng.choice([0.5, 1.0, 1.0, 1.0, 2.0, 3.5], epochs - 1)


# White noise


@pytest.mark.parametrize("units", [1.0, 1e-8, 1e9])
def test_white_covariance_is_the_textbook_one_in_any_units(units):
    rng = np.random.default_rng(1)
    t = np.linspace(0, 3, EPOCHS)
    x = regressors(t) * np.array([1, 1 / units, 1, 1])[:, None]
    weight = rng.uniform(0.5, 2.0, (EPOCHS, 5))
    _, residual = fitted(regressors(t), rng.standard_normal((EPOCHS, 5)) / weight, weight)
    found = errors(np.repeat(x[..., None], 5, 2), residual, weight, np.ones(EPOCHS - 1))
    for k in range(5):
        scaled = regressors(t).T * weight[:, k, None]
        variance = (residual[:, k] ** 2 * weight[:, k] ** 2).sum() / (EPOCHS - 4)
        expected = np.linalg.inv(scaled.T @ scaled) * variance
        factor = np.array([1, units, 1, 1])
        np.testing.assert_allclose(found.covariance[..., k], expected * np.outer(factor, factor), rtol=1e-7)
        assert found.sigma[k] == pytest.approx(np.sqrt(variance), rel=1e-12)
    assert (found.dof == EPOCHS - 4).all()


def test_covariance_is_that_of_lmfit():
    model = Weibull()
    t = np.arange(85) * 12 / 365.25
    data = model.eval(t=t, w_m=-0.2, eta=0.6, lam=2.5) + np.random.default_rng(2).normal(0, 0.002, 85)
    result = model.fit(data, t=t)
    value = result.best_values
    columns, gradient = model.basis(t, value)
    jacobian = np.stack([columns[0], value["w_m"] * gradient[0], value["w_m"] * gradient[1], np.ones((85, 1))])
    found = errors(jacobian, (data - result.best_fit)[:, None], np.ones((85, 1)), np.ones(84))
    assert result.var_names == ["w_m", "eta", "lam", "offset"]
    np.testing.assert_allclose(found.covariance[..., 0], result.covar, rtol=2e-3)
    assert found.sigma[0] == pytest.approx(np.sqrt(result.redchi), rel=1e-9)


def test_parameters_that_are_not_free_have_zeros_and_leave_the_others_alone():
    rng = np.random.default_rng(3)
    x, gaps = regressors(np.linspace(0, 3, EPOCHS)), irregular(rng, EPOCHS)
    weight = np.ones((EPOCHS, 2))
    _, residual = fitted(x[[0, 2, 3]], rng.standard_normal((EPOCHS, 2)), weight)
    free = np.array([[True] * 2, [False] * 2, [True] * 2, [True] * 2])
    for autocorrelated in (False, True):
        found = errors(np.repeat(x[..., None], 2, 2), residual, weight, gaps, free=free, autocorrelated=autocorrelated)
        alone = errors(np.repeat(x[[0, 2, 3], :, None], 2, 2), residual, weight, gaps, autocorrelated=autocorrelated)
        assert (found.covariance[1] == 0).all()
        assert (found.covariance[:, 1] == 0).all()
        np.testing.assert_allclose(found.covariance[np.ix_([0, 2, 3], [0, 2, 3])], alone.covariance, rtol=1e-10)
        np.testing.assert_allclose(found.dof, alone.dof, rtol=1e-12)


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.4, 0.7])
def test_residual_autocorrelation_is_without_the_bias_of_the_fit(rho):
    rng = np.random.default_rng(4)
    n, count = 60, 1500
    x, weight = regressors(np.arange(n) * 12 / 365.25), np.ones((n, count))
    estimates, residual = fitted(x, autoregressive(rng, np.ones(n - 1), rho, count), weight)
    del estimates
    found = errors(np.repeat(x[..., None], count, 2), residual, weight, np.ones(n - 1))
    naive = (residual[1:] * residual[:-1]).sum(0) / (residual**2).sum(0)
    assert found.rho.mean() == pytest.approx(rho, abs=0.04)
    if rho >= 0:  # the two biases of the quotient cancel where noise alternates
        assert abs(naive.mean() - rho) > 3 * abs(found.rho.mean() - rho)


# Autocorrelated noise


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.6, 0.9])
def test_autocorrelated_covariance_is_that_of_dense_matrices(rho):
    rng = np.random.default_rng(5)
    count = 3
    gaps = irregular(rng, EPOCHS)
    t = np.concatenate([[0], np.cumsum(gaps)]) * 12 / 365.25
    x = regressors(t)
    weight = rng.uniform(0.5, 2.0, (EPOCHS, count))
    weight[rng.random(weight.shape) < 0.15] = 0.0
    weight[[0, 1, -1], 1] = 0.0
    noise = autoregressive(rng, gaps, rho, count)
    y = np.divide(noise, weight, out=np.full_like(noise, np.nan), where=weight > 0)
    residual = np.full_like(y, np.nan)
    for k in range(count):
        valid = weight[:, k] > 0
        _, residual[valid, k : k + 1] = fitted(x[:, valid], y[valid, k : k + 1], weight[valid, k : k + 1])
    found = errors(np.repeat(x[..., None], count, 2), residual, weight, gaps, autocorrelated=True)
    for k in range(count):
        valid = np.flatnonzero(weight[:, k] > 0)
        rows, z = x[:, valid].T * weight[valid, k, None], (residual * weight)[valid, k]
        covariance, sigma, dof = mixture(gaps, valid, rows, z)
        np.testing.assert_allclose(found.covariance[..., k], covariance, rtol=1e-6)
        assert found.sigma[k] == pytest.approx(sigma, rel=1e-8)
        assert found.dof[k] == pytest.approx(dof, rel=1e-6)
        assert found.rho[k] == pytest.approx(best_rho(gaps, valid, rows, z), abs=0.03)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
def test_rho_is_recovered_and_intervals_hold_the_truth(rho):
    rng = np.random.default_rng(6)
    n, count = 60, 1500
    gaps = np.ones(n - 1)
    x, weight = regressors(np.arange(n) * 12 / 365.25), np.ones((n, count))
    estimates, residual = fitted(x, 0.002 * autoregressive(rng, gaps, rho, count), weight)
    found = errors(np.repeat(x[..., None], count, 2), residual, weight, gaps, autocorrelated=True)
    assert found.rho.mean() == pytest.approx(rho, abs=0.04)
    assert np.median(found.sigma) == pytest.approx(0.002, rel=0.06)
    variance = np.einsum("an,abk,bn->nk", x, found.covariance, x)
    for level, tolerance in ((0.68, 0.045), (0.95, 0.015)):
        half = stats.t.ppf(0.5 + level / 2, found.dof) * np.sqrt(variance)
        inside = np.abs(x.T @ estimates) <= half
        assert inside.mean() == pytest.approx(level, abs=tolerance)
        assert inside[[2, n // 2, -1]].mean(axis=1) == pytest.approx(level, abs=tolerance + 0.015)


def test_a_gap_counts_as_the_epochs_that_were_left_out():
    rng = np.random.default_rng(7)
    n = 50
    x, gaps = regressors(np.arange(n) * 12 / 365.25), np.ones(n - 1)
    kept = np.sort(rng.choice(n, 35, replace=False))
    weight = np.zeros((n, 1))
    weight[kept] = 1.0
    residual = np.full((n, 1), np.nan)
    noise = autoregressive(rng, gaps, 0.6, 1)[kept]
    _, residual[kept] = fitted(x[:, kept], noise, np.ones((35, 1)))
    shorter = np.diff(kept).astype(float)
    found = errors(x[..., None], residual, weight, gaps, autocorrelated=True)
    alone = errors(x[:, kept, None], residual[kept], np.ones((35, 1)), shorter, autocorrelated=True)
    # Nodes are laid for all epochs, so that the sums over them differ a little.
    np.testing.assert_allclose(found.covariance, alone.covariance, rtol=2e-3)
    assert found.rho[0] == pytest.approx(alone.rho[0], abs=0.02)
    assert found.rho[0] > 0.2


# Whatever the noise


@pytest.mark.parametrize("autocorrelated", [False, True])
def test_a_series_is_the_same_wherever_it_lies(autocorrelated):
    rng = np.random.default_rng(8)
    count, gaps = 70, irregular(rng, EPOCHS)
    x = np.repeat(regressors(np.linspace(0, 3, EPOCHS))[..., None], count, 2)
    weight = (rng.random((EPOCHS, count)) > 0.1).astype(float)
    residual = rng.standard_normal((EPOCHS, count))
    together = errors(x, residual, weight, gaps, autocorrelated=autocorrelated)
    for k in (0, 31, 33, 69):
        alone = errors(x[..., [k]], residual[:, [k]], weight[:, [k]], gaps, autocorrelated=autocorrelated)
        for one, all_ in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[..., 0], all_[..., k], rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    scale=st.floats(1e-6, 1e6),
    units=st.floats(1e-12, 1e12),
    seed=st.integers(0, 1000),
    autocorrelated=st.booleans(),
)
def test_errors_follow_the_units(scale, units, seed, autocorrelated):
    rng = np.random.default_rng(seed)
    x = regressors(np.linspace(0, 3, EPOCHS))[..., None]
    residual, weight = rng.standard_normal((EPOCHS, 1)), np.ones((EPOCHS, 1))
    gaps = np.ones(EPOCHS - 1)
    one = errors(x, residual, weight, gaps, autocorrelated=autocorrelated)
    factor = np.array([1.0, units, 1.0, 1.0])
    other = errors(x * factor[:, None, None], scale * residual, weight, gaps, autocorrelated=autocorrelated)
    expected = one.covariance * scale**2 / np.multiply.outer(factor, factor)[..., None]
    np.testing.assert_allclose(other.covariance, expected, rtol=1e-6)
    np.testing.assert_allclose(other.sigma, scale * one.sigma, rtol=1e-9)
    np.testing.assert_allclose([other.rho, other.dof], [one.rho, one.dof], rtol=1e-8)


@pytest.mark.parametrize("autocorrelated", [False, True])
def test_what_is_not_known_is_nan(autocorrelated):
    x = np.repeat(regressors(np.linspace(0, 3, EPOCHS))[..., None], 4, 2)
    residual, weight = np.random.default_rng(9).standard_normal((EPOCHS, 4)), np.ones((EPOCHS, 4))
    weight[4:, 0] = 0.0  # as many epochs as parameters
    x[1, :, 1] = 0.0  # a parameter that does nothing
    residual[3, 2] = np.inf
    free = np.ones((4, 4), bool)
    free[3, 0] = False
    weight[:4, 0] = 1.0
    weight[3, 0] = 0.0
    found = errors(x, residual, weight, np.ones(EPOCHS - 1), free=free, autocorrelated=autocorrelated)
    assert np.isnan(found.covariance[:3, :3, 0]).all()
    assert (found.covariance[3, :, 0] == 0).all()
    assert np.isnan([found.rho[0], found.sigma[0], found.dof[0]]).all()
    useless = np.zeros((4, 4), bool)
    useless[1], useless[:, 1] = True, True
    np.testing.assert_array_equal(np.isnan(found.covariance[..., 1]), useless)
    assert np.isnan(found.covariance[..., 2]).all()
    assert np.isfinite(found.covariance[..., 3]).all()


@pytest.mark.parametrize("autocorrelated", [False, True])
def test_parameters_alike_are_unknown_but_their_curve_is_not(autocorrelated):
    rng = np.random.default_rng(10)
    t = np.linspace(0, 3, EPOCHS)
    weight, gaps = np.ones((EPOCHS, 1)), np.ones(EPOCHS - 1)
    residual = rng.standard_normal((EPOCHS, 1))
    twins = np.stack([t**2, t**2, np.ones_like(t)])
    found = errors(twins[..., None], residual, weight, gaps, autocorrelated=autocorrelated)
    single = errors(twins[1:, :, None], residual, weight, gaps, autocorrelated=autocorrelated)
    assert np.sqrt(found.covariance[0, 0, 0]) > 1e4 * np.sqrt(single.covariance[0, 0, 0])
    variance = np.einsum("an,ab,bn->n", twins, found.covariance[..., 0], twins)
    expected = np.einsum("an,ab,bn->n", twins[1:], single.covariance[..., 0], twins[1:])
    np.testing.assert_allclose(variance, expected * (EPOCHS - 2) / (EPOCHS - 3), rtol=0.1 if autocorrelated else 1e-3)


@pytest.mark.parametrize("autocorrelated", [False, True])
def test_data_without_noise_have_no_errors(autocorrelated):
    x = regressors(np.linspace(0, 3, EPOCHS))[..., None]
    nothing = np.zeros((EPOCHS, 1))
    found = errors(x, nothing, nothing + 1, np.ones(EPOCHS - 1), autocorrelated=autocorrelated)
    assert (found.covariance == 0).all()
    assert found.sigma[0] == 0
    assert np.isnan(found.rho[0])


def test_no_two_epochs_a_revisit_apart_leave_the_residual_autocorrelation_unknown():
    rng = np.random.default_rng(11)
    x = regressors(np.linspace(0, 3, EPOCHS))[..., None]
    weight = np.zeros((EPOCHS, 1))
    weight[::2] = 1.0
    found = errors(x, rng.standard_normal((EPOCHS, 1)), weight, np.ones(EPOCHS - 1))
    assert np.isnan(found.rho[0])
    assert np.isfinite(found.sigma[0])


def test_residual_autocorrelation_is_of_epochs_one_revisit_apart():
    rng = np.random.default_rng(12)
    x, gaps = np.ones((1, EPOCHS, 1)), np.tile([1.0, 3.0, 1.2], 13)
    residual = rng.standard_normal((EPOCHS, 1)) + 0.8 * np.sin(np.arange(EPOCHS))[:, None]
    residual -= residual.mean()
    weight = np.ones((EPOCHS, 1))
    found = errors(x, residual, weight, gaps)
    pairs = (residual[1:] * residual[:-1])[:, 0]
    r = pairs[gaps < 1.5].mean() / (residual**2).mean()
    # What the quotient r is expected to be when noise of correlation rho loses its mean.
    spectrum = (1 + found.rho[0]) / (1 - found.rho[0])
    expected = (found.rho[0] - spectrum / EPOCHS) / (1 - spectrum / EPOCHS)
    assert r == pytest.approx(expected, abs=1e-12)
