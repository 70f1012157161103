"""How long a model was trained."""

from genui.errors import GenuiError
from genui.runs.catalog import ModelInfo
from genui.runs.layout import RunDir
from genui.runs.tail import MetricsTail

PAUSE_S = 60  # between two steps: longer is a pause, not training


def training_minutes(info: ModelInfo) -> float | None:
    """Of a shipped model what its card says, of a run what its metrics say; else None."""
    if info.source == "shipped":
        trained = info.card.get("trained")
        minutes = trained.get("minutes") if isinstance(trained, dict) else None
        return float(minutes) if isinstance(minutes, int | float) else None
    run = RunDir(info.path.parent.parent)
    if not run.metrics.exists():
        return None
    return run_minutes(run, info.step)


def run_minutes(run: RunDir, step: int | None = None) -> float | None:
    """Of a run, up to a step where one is given; None where it has no metrics."""
    tail = MetricsTail(run.metrics)
    try:
        while tail.read():
            pass
        longest = max(tail.series.values(), key=lambda series: len(series.points[0]))
    except (GenuiError, OSError, ValueError):
        return None
    steps, _, times = longest.points
    if step is not None:
        times = times[steps <= step]
    gaps = times[1:] - times[:-1]
    return float(gaps[gaps < PAUSE_S].sum()) / 60
