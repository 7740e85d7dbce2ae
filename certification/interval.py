"""Wilson's interval: how far a rate can be trusted. For showing only; no decision reads it."""

from __future__ import annotations

from math import sqrt

Z_95 = 1.959963984540054


def wilson(k: int, n: int, z: float = Z_95) -> tuple[float, float] | None:
    """The interval (low, high) of k out of n as shares from 0 to 1; None when n is 0.

    Source: Wilson 1927, [p + z²/2n ∓ z √(p(1-p)/n + z²/4n²)] / (1 + z²/n).
    """
    if n == 0:
        return None
    p = k / n
    middle = p + z * z / (2 * n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if k == 0 else (middle - half) / whole
    high = 1.0 if k == n else (middle + half) / whole
    return low, high
