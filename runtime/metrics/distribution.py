"""Mean, maximum and percentiles of any number of values >= 0, in constant memory."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ..media import Floats

BIN = 0.001
"""Width of a histogram bin. Percentiles are within half of it of the exact ones."""

_BINS = 300_000  # the CIE76 of two sRGB colors is below 300


@dataclass(frozen=True)
class Distribution:
    """``mean`` and ``maximum`` are exact; ``median``, ``p95`` and ``p99`` are within half of ``BIN``."""

    mean: float
    median: float
    p95: float
    p99: float
    maximum: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class DistributionCounter:
    """Count values that arrive in arrays of any size."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0.0
        self._maximum = 0.0
        self._zeros = 0
        self._histogram: NDArray[np.int64] = np.zeros(_BINS, np.int64)

    def add(self, values: Floats) -> None:
        if values.size == 0:
            return
        self.count += values.size
        self._sum += float(values.sum(dtype=np.float64))
        self._maximum = max(self._maximum, float(values.max()))
        self._zeros += values.size - int(np.count_nonzero(values))
        bins = np.minimum(values.ravel() * np.float32(1 / BIN), _BINS - 1).astype(np.int64)
        self._histogram += np.bincount(bins, minlength=_BINS)

    def compute_share_above(self, limit: float) -> float:
        """Return the share of values at or above ``limit``, to the width of a bin."""
        return float(self._histogram[round(limit / BIN) :].sum() / max(self.count, 1))

    def compute_distribution(self) -> Distribution:
        """Return the distribution of all values so far; zeros if there are none."""
        mean = self._sum / max(self.count, 1)
        median, p95, p99 = (self.compute_percentile(share) for share in (0.5, 0.95, 0.99))
        return Distribution(mean, median, p95, p99, self._maximum)

    def compute_percentile(self, share: float) -> float:
        """Return the middle of the bin that holds the value of rank ``share``; 0 and the maximum are exact."""
        rank = max(int(np.ceil(share * self.count)), 1)
        if rank <= self._zeros or self.count == 0:
            return 0.0
        index = int(np.searchsorted(np.cumsum(self._histogram), rank))
        return min((index + 0.5) * BIN, self._maximum)
