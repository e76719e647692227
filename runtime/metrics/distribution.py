"""Mean, maximum and percentiles of any number of values that are not negative, in constant memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

BIN = 0.001
"""Percentiles come from a histogram of this width: they lie within half of it of the exact ones."""

_BINS = 300_000  # no two colours of sRGB lie 300 apart in CIE76


@dataclass(frozen=True)
class Distribution:
    """Of many values: ``mean`` and ``maximum`` exact, ``median``, ``p95`` and ``p99`` within half of ``BIN``."""

    mean: float
    median: float
    p95: float
    p99: float
    maximum: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class DistributionCounter:
    """Takes values in pieces of any size."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0.0
        self._maximum = 0.0
        self._zeros = 0
        self._histogram: NDArray[np.int64] = np.zeros(_BINS, np.int64)

    def add(self, values: NDArray[np.float32]) -> None:
        if values.size == 0:
            return
        self.count += values.size
        self._sum += float(values.sum(dtype=np.float64))
        self._maximum = max(self._maximum, float(values.max()))
        self._zeros += values.size - int(np.count_nonzero(values))
        bins = np.minimum(values.ravel() * np.float32(1 / BIN), _BINS - 1).astype(np.int64)
        self._histogram += np.bincount(bins, minlength=_BINS)

    def compute_share_above(self, limit: float) -> float:
        """The part of the values at or above ``limit``, to the width of a bin."""
        return float(self._histogram[round(limit / BIN) :].sum() / max(self.count, 1))

    def compute_distribution(self) -> Distribution:
        """What was counted; zeros when that is nothing."""
        mean = self._sum / max(self.count, 1)
        median, p95, p99 = (self.compute_percentile(share) for share in (0.5, 0.95, 0.99))
        return Distribution(mean, median, p95, p99, self._maximum)

    def compute_percentile(self, share: float) -> float:
        """The middle of the bin in which the value of this rank lies; 0 and the maximum are exact."""
        rank = max(int(np.ceil(share * self.count)), 1)
        if rank <= self._zeros or self.count == 0:
            return 0.0
        index = int(np.searchsorted(np.cumsum(self._histogram), rank))
        return min((index + 0.5) * BIN, self._maximum)
