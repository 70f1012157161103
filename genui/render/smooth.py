"""The exponential moving average of a growing series, without its bias at the start."""

import numpy as np

_CHUNK = 128
# Places of the past that are looked at to tell a grown series from another one.
_CHECKS = 64
# The least factor whose power of `_CHUNK` is still a normal number.
_LEAST = 0.01


class Smoother:
    """Keeps the averages of what it has seen, so a growing series costs only its new points."""

    def __init__(self, factor: float) -> None:
        """`factor` is the weight of the past, below 1; under 0.01 it is taken as 0.01."""
        self.factor = max(factor, _LEAST)
        self._restart()

    def _restart(self) -> None:
        self._known = 0
        self._smoothed = np.empty(0)  # with room to grow
        self._checked = np.empty(0, dtype=np.int64)  # places in the past …
        self._expected = np.empty(0)  # … and what stood there
        self._average = 0.0
        self._weight = 0.0

    def extend(self, values: np.ndarray) -> np.ndarray:
        """The average at every point of `values`, the whole series: float64 [N].

        A NaN or an infinity keeps the average as it was; before the first finite value it
        is NaN. A series whose past differs from the one seen before is averaged anew.
        """
        count = len(values)
        if count < self._known or not np.array_equal(
            values[self._checked], self._expected, equal_nan=True
        ):
            self._restart()
        if count > len(self._smoothed):
            grown = np.empty(2 * count)
            grown[: self._known] = self._smoothed[: self._known]
            self._smoothed = grown
        if count > self._known:
            self._smoothed[self._known : count] = self._continue(values[self._known :])
            self._known = count
            self._checked = np.linspace(0, count - 1, _CHECKS).astype(np.int64)
            self._expected = values[self._checked]
        return self._smoothed[:count]

    def _continue(self, values: np.ndarray) -> np.ndarray:
        """The recurrence as weighted sums inside chunks, short enough not to overflow."""
        count = len(values)
        chunks = np.pad(values, (0, -count % _CHUNK), constant_values=np.nan)
        chunks = chunks.reshape(-1, _CHUNK)
        finite = np.isfinite(chunks)
        # Each finite value ages the ones before it by one factor.
        decay = self.factor ** np.cumsum(finite, axis=1)
        weight = np.where(finite, (1 - self.factor) / decay, 0.0)
        sums = decay * np.cumsum(weight * np.where(finite, chunks, 0.0), axis=1)
        weights = decay * np.cumsum(weight, axis=1)
        before = np.empty((len(chunks), 2))
        for row in range(len(chunks)):
            before[row] = self._average, self._weight
            self._average = self._average * decay[row, -1] + sums[row, -1]
            self._weight = self._weight * decay[row, -1] + weights[row, -1]
        sums += decay * before[:, :1]
        weights += decay * before[:, 1:]
        averages = np.divide(sums, weights, out=np.full(chunks.shape, np.nan), where=weights > 0)
        return averages.reshape(-1)[:count]
