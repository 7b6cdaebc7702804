"""Bounds on shares and distributions that hold with a stated risk, also when one looks again and again.

A rate's bounds invert the Chernoff-Hoeffding inequality, P(p̂ ≥ p + ε) ≤ exp(-n · kl(p + ε, p)) (Hoeffding 1963,
*Probability inequalities for sums of bounded random variables*, theorem 1): exact for every n, and tight for small
rates, where a normal approximation is not. A distribution's come from the Dvoretzky-Kiefer-Wolfowitz inequality
with Massart's constant (Massart 1990, *The tight constant in the DKW inequality*), for all thresholds at once.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_HALVINGS = 60  # more would change nothing in a double


def lower(count: int, n: int, risk: float) -> float:
    """A number that the rate is below with probability at most ``risk``, having seen ``count`` of ``n``."""
    if n == 0:
        return 0.0
    return _where(count / n, 0.0, math.log(1 / risk) / n)


def upper(count: int, n: int, risk: float) -> float:
    """A number that the rate is above with probability at most ``risk``, having seen ``count`` of ``n``."""
    if n == 0:
        return 1.0
    return _where(count / n, 1.0, math.log(1 / risk) / n)


def band(n: int, risk: float, *, sides: int = 1) -> float:
    """How far an empirical distribution function of ``n`` values may be from the true one, everywhere at once.

    It is farther, upwards (or in either direction, with two ``sides``), with probability at most ``risk`` ≤ 1/2.
    """
    return math.sqrt(math.log(sides / risk) / (2 * n)) if n else math.inf


def spent(look: int) -> float:
    """The share of a risk that the look of this number, from 1, may spend: 6 / (π² · look²). All looks spend 1."""
    return 6 / (math.pi * look) ** 2


def interval(count: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); the whole range when nothing was seen."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = count / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (max(0.0, middle - half) if count else 0.0), (min(1.0, middle + half) if count < n else 1.0)


def _where(share: float, end: float, limit: float) -> float:
    """Go from ``share`` towards ``end`` as far as the divergence stays within ``limit``; what is beyond is excluded."""
    inside, outside = share, end
    if _divergence(share, end) <= limit:
        return end
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if _divergence(share, middle) <= limit:
            inside = middle
        else:
            outside = middle
    return outside


def _divergence(p: float, q: float) -> float:
    """Kullback-Leibler divergence of two Bernoulli distributions."""
    found = 0.0
    for a, b in ((p, q), (1 - p, 1 - q)):
        if a > 0:
            if b <= 0:
                return math.inf
            found += a * math.log(a / b)
    return found
