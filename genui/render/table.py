"""The table that compares models, as text."""

from collections.abc import Mapping
from typing import Any

from genui.base.numbers import short

HEADS = (
    "model", "family", "Fréchet", "precision", "recall", "density", "coverage", "copying",
    "right", "ms/sample", "parameters", "trained",
)  # fmt: skip
_SHARES = ("precision", "recall", "density", "coverage", "copying")


def format_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Format a cell for each of HEADS; a dash if the value is unknown."""
    metrics = row.get("found")
    texts = ["–"] * 7
    if isinstance(metrics, Mapping):
        texts = [
            f"{metrics['frechet']:.2f}",
            *(f"{metrics[name]:.3f}" for name in _SHARES),
            f"{100 * metrics['right']:.1f} %",
        ]
    speed, minutes = row.get("milliseconds"), row.get("minutes")
    return (
        str(row.get("model", "")),
        str(row.get("family", "")) or "–",
        *texts,
        "–" if speed is None else f"{speed:.1f}",
        short(row["parameters"]) if row.get("parameters") else "–",
        "–" if minutes is None else f"{minutes:.0f} min",
    )
