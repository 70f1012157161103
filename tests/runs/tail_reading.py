"""What the tests of the tail share: reading it to the end, and what it holds."""

from genui.logs.native import MetricsTail


def read_all(tail: MetricsTail) -> None:
    while tail.read():
        continue


def seen(tail: MetricsTail) -> dict[str, dict[int, str]]:
    """Every point as text, so that NaN equals NaN."""
    return {
        name: {int(s): repr(float(v)) for s, v in zip(series.steps, series.values, strict=True)}
        for name, series in tail.series.items()
        if len(series)
    }
