"""What may go into a test: finite numbers, and what counts as having no variance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = Sequence[float] | Array

_ROUNDING = 1e-12
"""Numbers that agree to this share of the largest one differ by rounding only. Without it, the
differences 0.9 - 0.8 and 0.7 - 0.6 would have a variance of 1e-34 and a t of 1e16."""


def array(values: Values) -> Array:
    """Return finite values as one array; anything else is a mistake of the caller."""
    result = np.asarray(values, dtype=np.float64)
    if not np.isfinite(result).all():
        raise ValueError("a test of means needs finite values; cap or leave out the others first")
    return result


def is_constant(values: Array, *measured: Array) -> bool:
    """Return whether values vary by no more than the rounding of the numbers `measured`."""
    return bool(np.ptp(values) <= _rounding_error(*(measured or (values,))))


def is_zero(values: Array, *measured: Array) -> bool:
    """Return whether values are zero but for the rounding of the numbers `measured`."""
    return bool(np.abs(values).max() <= _rounding_error(*measured))


def rounded_differences(a: Array, b: Array) -> Array:
    """Return `a - b` in multiples of the rounding, so that differences that should tie do."""
    return np.round((a - b) / _rounding_error(a, b))


def _rounding_error(*measured: Array) -> float:
    return _ROUNDING * max(float(np.abs(x).max()) for x in measured)
