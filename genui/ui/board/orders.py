"""What can be asked of a run, and how it is known that it was obeyed."""

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

from genui.errors import GenuiError, MisuseError
from genui.render.sanitise import clean_line
from genui.runs.control import HIGHEST_RATE, Command, Order
from genui.runs.events import Event, read_events
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise
from genui.ui.looking import RunView

ASKED: dict[Command, str] = {
    "pause": "asked to pause: it holds after this step",
    "resume": "asked to go on",
    "stop": "asked to stop: it writes a checkpoint and ends; u resumes it",
    "checkpoint": "asked for a checkpoint after this step",
    "evaluate": "asked to evaluate after this step",
    "rate": "asked to train on at {:g}",
}
SLOW = 10.0  # seconds after which it is said that nothing has happened yet
PATIENCE = 120.0  # seconds until nothing more is expected: an evaluation may take that long

_RATE_SAID = re.compile(r"learning rate \S+ → ([\d.e+-]+)")


def trains_here(view: RunView) -> bool:
    """Whether genui started it: then it has checkpoints that can be read."""
    return view.summary.format == "genui" and view.summary.info.kind != "script"


def asked(order: Order) -> str:
    """What is said as soon as the order is given."""
    return ASKED[order.command].format(order.value)


def refusal(view: RunView, command: Command) -> str:
    """Why a run cannot be asked this, with what can be done instead; "" where it can."""
    summary = view.summary
    if summary.format != "genui":
        return "a log of another tool is only read: steer its script where you started it"
    script = summary.info.kind == "script"
    if not summary.alive:
        after = "n starts another from its checkpoint"
        if script:
            after = "start its script again yourself"
        elif summary.state != "finished":
            after = "u resumes it"
        return f"this run is {summary.state}: {after}"
    if script and command != "stop":
        return (
            "this run is a script's own: only x (stop), which it obeys where it looks at "
            "run.stop_requested"
        )
    return ""


def stop_question(view: RunView) -> str:
    """What is asked before a run is stopped."""
    name = clean_line(view.summary.info.name, 40)
    if view.summary.info.kind == "script":
        return f"Stop {name}? Its script is asked to, and ends where it looks."
    return f"Stop {name}? It writes a checkpoint first; u resumes it later."


class Answer(NamedTuple):
    """How an order fared: `line` for a person, `last` where nothing more will come."""

    line: str
    last: bool


class Waiting:
    """Looks, on a thread, whether an order was obeyed."""

    def __init__(self, run: RunDir, order: Order) -> None:
        """Made before the order is given: what is there now is no answer to it."""
        self._run, self._order = run, order
        self._known = len(_answers(run, order.command))
        self._since = time.monotonic()
        self._slow = False

    def look(self) -> Answer | None:
        """What is new, if anything is. Touches the disk; never raises."""
        fresh = _answers(self._run, self._order.command)[self._known :]
        summary = summarise(self._run)
        if fresh:
            return Answer(_obeyed(fresh[-1]), True)
        if not summary.alive:
            return Answer(_ended(summary, self._order.command), True)
        waited = time.monotonic() - self._since
        if waited > PATIENCE:
            return Answer(f"no answer to {self._order.command} in {PATIENCE:.0f} s", True)
        if waited > SLOW and not self._slow:
            self._slow = True
            return Answer("not yet: it obeys between two steps, once it gets there", False)
        return None


def _answers(run: RunDir, command: Command) -> Sequence[Event]:
    try:
        return [event for event in read_events(run) if event.event == command]
    except GenuiError:
        return ()


def _obeyed(event: Event) -> str:
    return f"step {event.step:,}: {event.text}"


def _ended(summary: RunSummary, command: Command) -> str:
    step = summary.status.step
    if command == "stop" and summary.state in ("stopped", "finished"):
        return f"{summary.state} at step {step:,}"
    why = summary.status.error or summary.fault
    return f"{summary.state} at step {step:,} before it could {_verb(command)}" + (
        f": {why}" if why else ""
    )


def _verb(command: Command) -> str:
    return {"rate": "change its rate", "checkpoint": "write the checkpoint"}.get(command, command)


def base_rate(view: RunView) -> float | None:
    """The learning rate that the schedule takes a share of: as last changed, or as in the recipe.

    Touches the disk; never raises.
    """
    for event in reversed(_answers(view.summary.run, "rate")):
        if (said := _RATE_SAID.search(event.text)) is not None:
            return float(said[1])
    rate = view.summary.info.recipe.get("learning_rate")
    return float(rate) if isinstance(rate, int | float) else None


def typed_rate(text: str) -> Order:
    """The order for a learning rate as typed. Raises MisuseError, one line."""
    try:
        value = float(text.strip())
    except ValueError:
        raise MisuseError(
            f"'{text.strip()[:40]}' is no number: above 0 and at most {HIGHEST_RATE:g}, as in 3e-4"
        ) from None
    return Order("rate", value)
