"""Loss of coherence with time, and the phase noise that comes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.simulate._check import Spread, finite, spread
from subsidence.typing import AnyArray, FloatArray

__all__ = ["Decorrelation", "decay", "epoch_noise", "pair_noise"]


@dataclass(frozen=True, kw_only=True)
class Decorrelation:
    r"""
    Coherence of every pixel as a function of the time between two images.

    Parameters
    ----------
    long_term
        Coherence that remains for ever, 0..1: a number, the (lowest, highest) value of a smooth field, or an
        array ``(y, x)``.
    initial
        Coherence of two images at the same time, 0..1: what noise of the receiver and processing leave. No
        less than `long_term`.
    time
        Days after which the part that is lost has fallen to 1/e; given like `long_term`. 0 for a coherence
        that is `long_term` throughout, ``numpy.inf`` for one that stays at `initial`.

    Raises
    ------
    InputError
        When a coherence lies outside 0..1, a time is negative, or `initial` is less than `long_term`.

    Notes
    -----
    .. math:: \gamma(\Delta t) = \gamma_\infty + (\gamma_0 - \gamma_\infty) e^{-\Delta t / \tau}

    where a range is given, pixels on the hills have the lower end, and both fields rise together.

    Examples
    --------
    >>> from subsidence import simulate
    >>> constant = simulate.Decorrelation(long_term=0.6, time=0.0)
    >>> stack, truth = simulate.interferogram_scene(shape=(5, 6), epochs=3, decorrelation=constant)
    >>> np.unique(stack.coherence).round(3).tolist()
    [0.6]
    """

    long_term: Spread = (0.25, 0.85)
    initial: float = 0.95
    time: Spread = (20.0, 120.0)

    def __post_init__(self) -> None:
        spread("long_term coherence of Decorrelation", self.long_term, low=0.0, high=1.0, unit="1")
        spread("time of Decorrelation", self.time, low=0.0, high=np.inf, unit="days")
        initial = finite("initial coherence of Decorrelation", self.initial, "1")
        highest = float(np.max(self.long_term))
        if not highest <= initial <= 1:
            msg = (
                f"initial coherence of Decorrelation must lie between long_term ({highest:g}) and 1, "
                f"got {self.initial!r}"
            )
            raise InputError(msg)


def decay(days: npt.ArrayLike, time: FloatArray) -> FloatArray:
    """Share of the losable coherence left after `days` ``(n,)``: float32 ``(n, y, x)``; 0 where `time` is 0."""
    lasting = np.where(time > 0, time, 1.0)
    left = np.exp(-np.asarray(days, np.float64)[:, np.newaxis, np.newaxis] / lasting)
    return np.where(time > 0, left, 0.0).astype(np.float32)


def pair_noise(
    random: np.random.Generator, coherence: FloatArray, looks: float, *, estimate: bool
) -> tuple[FloatArray, FloatArray]:
    r"""
    Phase noise of pairs that know nothing of each other, and the coherence that they show.

    The sample covariance of `looks` looks at two images is complex Wishart distributed. Its Bartlett
    factor has independent elements, gamma and normal, so that one draw of each gives the exact multilook
    phase (Lee et al. 1994, doi:10.1109/36.312890) for any number of looks:

    .. math:: \phi = \arg(\gamma g_1 + \sqrt{1 - \gamma^2} z), \quad g_1^2 \sim \Gamma(L), z \sim CN(0, 1)
    """
    shape = coherence.shape
    lost = np.sqrt(1 - coherence**2)
    first = np.sqrt(random.standard_gamma(looks, shape, np.float32))
    normal = random.standard_normal((2, *shape), np.float32)
    normal *= lost * np.float32(np.sqrt(0.5))
    real, imaginary = coherence * first + normal[0], normal[1]
    phase = np.arctan2(imaginary, real)
    if not estimate:
        return phase, coherence
    squared = real**2 + imaginary**2
    rest = random.standard_gamma(looks - 1, shape, np.float32)
    return phase, np.sqrt(squared / np.maximum(squared + lost**2 * rest, np.finfo(np.float32).tiny))


def epoch_noise(
    random: np.random.Generator,
    pairs: AnyArray,
    days: FloatArray,
    looks: int,
    *,
    long_term: FloatArray,
    initial: float,
    time: FloatArray,
    estimate: bool,
) -> tuple[FloatArray, FloatArray | None]:
    """
    Phase noise of pairs made from common images, and the coherence that they show where `estimate` asks.

    Each look at the epochs is a circular Gaussian vector with the pixel's coherence matrix: a part that
    stays, a part that fades (an autoregression along time) and a part that is new in each image. Phases of
    pairs that share an image are correlated, and closures have the right statistics.
    """
    epochs, shape = days.size, long_term.shape
    kept = decay(np.diff(days), time)
    renewed = np.sqrt(1 - kept**2)
    weights = np.sqrt([long_term, np.float32(initial) - long_term, np.full(shape, 1 - initial, np.float32)])
    products = np.zeros((len(pairs), *shape), np.complex64)
    power = np.zeros((epochs, *shape), np.float32)
    image = np.empty((epochs, *shape), np.complex64)
    for _ in range(looks):
        staying = weights[0] * _circular(random, shape)
        fading = _circular(random, shape)
        for epoch in range(epochs):
            if epoch:
                fading = kept[epoch - 1] * fading + renewed[epoch - 1] * _circular(random, shape)
            image[epoch] = staying + weights[1] * fading + weights[2] * _circular(random, shape)
        for number, (reference, secondary) in enumerate(pairs):
            products[number] += image[secondary] * image[reference].conj()
        power += image.real**2 + image.imag**2
    phase = np.angle(products)
    if not estimate:
        return phase, None
    both = np.sqrt(power[pairs[:, 0]] * power[pairs[:, 1]])
    return phase, np.minimum(np.abs(products) / both, np.float32(1))


def _circular(random: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.complex64]:
    """Circular complex Gaussian numbers of unit power."""
    parts: npt.NDArray[Any] = random.standard_normal((*shape, 2), np.float32) * np.float32(np.sqrt(0.5))
    return parts.view(np.complex64)[..., 0]
