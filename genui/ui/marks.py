"""The state of a run in a sign, a colour and two words."""

from genui.render import numbers
from genui.runs.listing import RunSummary

MARKS = {
    "starting": ("◌", "warn"),
    "running": ("●", "good"),
    "paused": ("‖", "warn"),
    "stopped": ("○", "dim"),
    "finished": ("✓", "good"),
    "writing": ("●", "good"),
    "quiet": ("○", "dim"),
    "failed": ("✗", "bad"),
    "dead": ("✗", "bad"),
}
COLOURS = {
    "good": "$text-success", "warn": "$text-warning", "bad": "$text-error", "dim": "$text-muted",
}  # fmt: skip

Part = str | tuple[str, str]
"""A part of `Content.assemble`: text, or text and its style."""


def mark(state: str) -> tuple[str, str]:
    """The sign of a state and its colour, as a part of `Content.assemble`."""
    sign, kind = MARKS.get(state, ("?", "dim"))
    return sign, COLOURS[kind]


def percent(run: RunSummary) -> str:
    """How far the run is, in whole percent."""
    steps = run.status.steps
    return f"{100 * run.status.step // steps} %" if steps else ""


def progress(run: RunSummary) -> str:
    """A run's state in two words."""
    step = numbers.short(run.status.step)
    match run.state:
        case "running":
            return f"training {percent(run) or step}"
        case "starting":
            return "starting"
        case "paused":
            return f"paused {percent(run) or step}"
        case "failed":
            return "damaged" if run.fault else f"failed at {step}"
        case "dead":
            return f"died at {step}"
        case _:
            return f"{run.state} {step}"
