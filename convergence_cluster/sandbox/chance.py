"""Chance that repeats itself: uniform numbers that are a hash of what is being drawn."""

import hashlib
import struct
from statistics import NormalDist

_NORMAL = NormalDist()
_FOUR_WORDS = struct.Struct("<4Q")
_SCALE = 1.0 / (1 << 64)


def uniforms(*words: object) -> tuple[float, float, float, float]:
    """Return four independent numbers in (0, 1), always the same for the same words."""
    text = "\x1f".join(map(str, words))
    a, b, c, d = _FOUR_WORDS.unpack(hashlib.blake2b(text.encode(), digest_size=32).digest())
    return ((a + 0.5) * _SCALE, (b + 0.5) * _SCALE, (c + 0.5) * _SCALE, (d + 0.5) * _SCALE)


def normal(uniform: float) -> float:
    """Return the standard normal quantile of a number in (0, 1)."""
    return _NORMAL.inv_cdf(min(max(uniform, 1e-12), 1.0 - 1e-12))


def clipped_mean(mean: float, deviation: float) -> float:
    """Return E[min(max(x, 0), 1)] of a normal x: what noisy scores kept within [0, 1] average to."""
    low, high = -mean / deviation, (1.0 - mean) / deviation
    inside = _NORMAL.cdf(high) - _NORMAL.cdf(low)
    return mean * inside + deviation * (_NORMAL.pdf(low) - _NORMAL.pdf(high)) + 1.0 - _NORMAL.cdf(high)
