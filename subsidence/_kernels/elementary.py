"""Exponential and logarithm that a compiler can turn into SIMD, which calls of the C library keep it from.

Inlined into a loop over curves they take half a nanosecond where the library's take three to five. Errors are
within two units in the last place. Both take and give finite numbers only.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit

__all__ = ["exponential", "logarithm"]

_LOG2_E = 1.4426950408889634
# log(2) in two parts: the product of the first with a whole number below 2^20 is exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
#: Added to a number, it leaves the nearest whole number in the last bits.
_ROUND = 6755399441055744.0
#: Bits of sqrt(1/2): mantissas are taken from there up to sqrt(2).
_ROOT_HALF = 0x3FE6A09E667F3BCD


@jit
def exponential(x: float) -> float:
    """
    Exponential of `x`; what is beyond -708 and 709 counts as these.

    Notes
    -----
    x = n log 2 + r with a whole n, e^r by its Taylor series to the 13th power (|r| <= 0.347, so that the next
    term is below 1e-17), n added to the exponent.
    """
    bounded = min(max(x, -708.0), 709.0)
    shifted = bounded * _LOG2_E + _ROUND
    n = shifted - _ROUND
    r = bounded - n * _LN2_HIGH
    r = r - n * _LN2_LOW
    q = 1.6059043836821613e-10
    q = q * r + 2.08767569878681e-09
    q = q * r + 2.505210838544172e-08
    q = q * r + 2.755731922398589e-07
    q = q * r + 2.7557319223985893e-06
    q = q * r + 2.48015873015873e-05
    q = q * r + 0.0001984126984126984
    q = q * r + 0.001388888888888889
    q = q * r + 0.008333333333333333
    q = q * r + 0.041666666666666664
    q = q * r + 0.16666666666666666
    q = q * r + 0.5
    q = q * r + 1.0
    q = q * r + 1.0
    return float(np.int64(np.float64(q).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)).view(np.float64))


@jit
def logarithm(x: float) -> float:
    """
    Natural logarithm of `x`, a normal number above zero.

    Notes
    -----
    x = 2^n m with m from sqrt(1/2) to sqrt(2); with s = (m - 1) / (m + 1), log m = 2 s (1 + s^2/3 + s^4/5 + ...),
    the series minimax as in fdlibm's ``__ieee754_log``.
    """
    bits = np.float64(x).view(np.int64)
    n = (bits - _ROOT_HALF) >> 52
    f = np.int64(bits - (n << 52)).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    q = 1.479819860511658591e-01
    q = q * z + 1.531383769920937332e-01
    q = q * z + 1.818357216161805012e-01
    q = q * z + 2.222219843214978396e-01
    q = q * z + 2.857142874366239149e-01
    q = q * z + 3.999999999940941908e-01
    q = q * z + 6.666666666666735130e-01
    half = 0.5 * f * f
    k = np.float64(n)
    return float(k * _LN2_HIGH - ((half - (s * (half + z * q) + k * _LN2_LOW)) - f))
