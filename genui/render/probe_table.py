"""The rows of the table that compares models, as texts."""

from collections.abc import Mapping
from typing import Any

from genui.render.numbers import short

HEADS = (
    "model", "family", "Fréchet", "precision", "recall", "density", "coverage", "copying",
    "right", "ms/sample", "parameters", "trained",
)  # fmt: skip
_SHARES = ("precision", "recall", "density", "coverage", "copying")


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A cell for each of HEADS; a dash where nothing is known."""
    found = row.get("found")
    measured = ["–"] * 7
    if isinstance(found, Mapping):
        measured = [
            f"{found['frechet']:.2f}",
            *(f"{found[name]:.3f}" for name in _SHARES),
            f"{100 * found['right']:.1f} %",
        ]
    speed, minutes = row.get("milliseconds"), row.get("minutes")
    return (
        str(row.get("model", "")),
        str(row.get("family", "")) or "–",
        *measured,
        "–" if speed is None else f"{speed:.1f}",
        short(row["parameters"]) if row.get("parameters") else "–",
        "–" if minutes is None else f"{minutes:.0f} min",
    )
