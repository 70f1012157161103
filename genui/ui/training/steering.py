"""Commands for one run: whether it can be given one, what is said, and what the run answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from textual.widget import Widget

from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean_line
from genui.runs.control import (
    HIGHEST_LR,
    Command,
    Control,
    Event,
    changed_learning_rate,
    read_events,
    send_live,
)
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise
from genui.ui import messages
from genui.ui.watcher import RunView
from genui.ui.widgets.base import bind_actions
from genui.ui.widgets.dialogs import ConfirmScreen, ValueScreen

CONFIRMATIONS: dict[Command, str] = {
    "pause": "pause requested: it takes effect after this step",
    "resume": "resume requested",
    "stop": "stop requested: it writes a checkpoint and ends; u resumes it",
    "checkpoint": "checkpoint requested after this step",
    "evaluate": "evaluation requested after this step",
    "set_lr": "learning rate {:g} requested",
}
KEYS: dict[str, Command] = {
    "pause": "pause",
    "checkpoint": "checkpoint",
    "rate": "set_lr",
    "stop": "stop",
}
"""The keys of the footer that give a command, by the ends of their ids."""
SLOW = 10.0  # seconds after which it is said that nothing has happened yet
PATIENCE = 120.0  # seconds until nothing more is expected: an evaluation may take that long
LOOK = 0.25  # seconds between looks for an answer


def has_checkpoints(view: RunView) -> bool:
    """Whether genui trains it: then it has checkpoints that can be read."""
    return view.summary.native and view.summary.info.kind != "script"


def refusal(view: RunView, command: Command) -> str:
    """Why a run cannot be given this command, with what can be done instead; "" where it can."""
    summary = view.summary
    if not summary.native:
        return "this is a log of another tool: control its script where you started it"
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
            "this run belongs to a script: only x (stop) works, where the script checks "
            "run.stop_requested"
        )
    return ""


def stop_question(view: RunView) -> str:
    """What is asked before a run is stopped."""
    name = clean_line(view.summary.info.name, 40)
    if view.summary.info.kind == "script":
        return f"Stop {name}? Its script ends where it checks run.stop_requested."
    return f"Stop {name}? It writes a checkpoint first; u resumes it later."


# --- What a run answers -----------------------------------------------------------------------


class Answer(NamedTuple):
    """How a command fared: `line` for a person, `last` where nothing more will come."""

    line: str
    last: bool


class AnswerWatch:
    """Looks, on a thread, whether a command was carried out."""

    def __init__(self, run: RunDir, control: Control) -> None:
        """Made before the command is given: what is there now is no answer to it."""
        self._run = run
        self._command: Command = control.command
        self._known = len(_answers(run, control.command))
        self._since = time.monotonic()
        self._slow = False

    def look(self) -> Answer | None:
        """What is new, if anything is. Touches the disk; never raises."""
        fresh = _answers(self._run, self._command)[self._known :]
        summary = summarise(self._run)
        if fresh:
            return Answer(f"step {fresh[-1].step:,}: {fresh[-1].text}", True)
        if not summary.alive:
            return Answer(_end_line(summary, self._command), True)
        waited = time.monotonic() - self._since
        if waited > PATIENCE:
            return Answer(f"no answer to {self._command} in {PATIENCE:.0f} s", True)
        if waited > SLOW and not self._slow:
            self._slow = True
            return Answer("waiting: a run takes commands between two steps", False)
        return None


def _answers(run: RunDir, command: Command) -> Sequence[Event]:
    try:
        return [event for event in read_events(run) if event.event == command]
    except GenuiError:
        return ()


def _end_line(summary: RunSummary, command: Command) -> str:
    step = summary.status.step
    if command == "stop" and summary.state in ("stopped", "finished"):
        return f"{summary.state} at step {step:,}"
    verb = {"set_lr": "change its learning rate", "checkpoint": "write the checkpoint"}.get(
        command, command
    )
    line = f"{summary.state} at step {step:,} before it could {verb}"
    why = summary.status.error or summary.fault
    return f"{line}: {why}" if why else line


# --- The learning rate ------------------------------------------------------------------------


def base_rate(view: RunView) -> float | None:
    """The learning rate that the schedule takes a share of: as last changed, or as in the recipe.

    Touches the disk; never raises.
    """
    with suppress(GenuiError):
        if (changed := changed_learning_rate(view.summary.run)) is not None:
            return changed
    rate = view.summary.info.recipe.get("learning_rate")
    return float(rate) if isinstance(rate, int | float) else None


def parse_rate(text: str) -> Control:
    """The command for a learning rate as typed. Raises MisuseError, one line."""
    try:
        value = float(text.strip())
    except ValueError:
        raise MisuseError(
            f"'{text.strip()[:40]}' is not a number: above 0 and at most {HIGHEST_LR:g}, as in 3e-4"
        ) from None
    return Control("set_lr", value)


# --- Steering a run by keys -------------------------------------------------------------------


class _Toggle(NamedTuple):
    """The last pause or resume: of which run, the state it was seen in, and the one wanted."""

    run: RunDir | None = None
    seen: str = ""
    wanted: str = ""


class Steering:
    """The commands of a widget or screen, the host, for the run that it shows.

    Each says what was asked, then what the run did. Lines and requests go to the host as
    messages: `Say`, `Acted`, `Generate` and `OpenRun`. `run` gives the run as last seen.
    """

    def __init__(
        self,
        host: Widget,
        run: Callable[[], RunView | None],
        no_run: str = "no run is shown yet: nothing to control",
    ) -> None:
        self._host, self._run, self._no_run = host, run, no_run
        self._toggle = _Toggle()
        bind_actions(host, self)

    def refused_keys(self, pane: str) -> set[str]:
        """The ids of the pane's keys to which the run would only answer why not."""
        view = self._run()
        refused = {name for name, command in KEYS.items() if view is None or refusal(view, command)}
        if view is None or not has_checkpoints(view):
            refused.add("branch")
        return {f"{pane}.{name}" for name in refused}

    # --- commands -----------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause, or go on; a second press means the other, though nothing was seen to happen."""
        view = self._run()
        seen = state = view.summary.state if view is not None else ""
        if view is not None and self._toggle.run == view.summary.run and self._toggle.seen == seen:
            state = self._toggle.wanted
        wanted = "running" if state == "paused" else "paused"
        if self.give("resume" if state == "paused" else "pause") and view is not None:
            self._toggle = _Toggle(view.summary.run, seen, wanted)

    def give(self, command: Command) -> bool:
        """Give the run a command without a value. Returns whether it can be given."""
        view = self._allowed(command)
        if view is not None:
            self._send(view.summary.run, Control(command))
        return view is not None

    def action_stop(self) -> None:
        """Stop the run, once the user has said yes."""
        view = self._allowed("stop")
        if view is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._send(view.summary.run, Control("stop"))

        self._host.app.push_screen(ConfirmScreen(stop_question(view), "stop"), answered)

    def action_resume(self) -> None:
        """Start a trainer on it again, from its newest checkpoint."""
        view = self._needed()
        if view is None:
            return
        if view.summary.state == "paused":
            self.give("resume")
        elif not has_checkpoints(view):
            self._say("genui did not start this run: start its script again yourself", "note")
        else:
            self._work(self._resume(view.summary.run), "commands")

    def action_generate(self) -> None:
        """Generate from the newest checkpoint, also while it trains."""
        view = self._with_checkpoints("generate from")
        if view is not None:
            self._host.post_message(messages.Generate(view.summary.run))

    def action_rate(self) -> None:
        """Train on with another learning rate, which is asked for."""
        view = self._allowed("set_lr")
        if view is not None:
            self._work(self._ask_rate(view), "rate", exclusive=True)

    def branch(self, step: float | None) -> None:
        """Start another run from a checkpoint of this one, at or before the step."""
        view = self._with_checkpoints("start from")
        if view is not None:
            self._work(self._branch(view, step), "branch", exclusive=True)

    def action_checkpoint(self) -> None:
        """Write a checkpoint now."""
        self.give("checkpoint")

    def action_evaluate(self) -> None:
        """Measure on held-out data now, and make a sample."""
        self.give("evaluate")

    # --- what they share ------------------------------------------------------------------

    def _say(self, line: str, kind: Literal["error", "note"] = "error") -> None:
        self._host.post_message(messages.Say(clean_line(line), kind))

    def _work(self, work: Coroutine[Any, Any, None], group: str, exclusive: bool = False) -> None:
        self._host.run_worker(work, group=group, exclusive=exclusive, exit_on_error=False)

    def _needed(self) -> RunView | None:
        """The run to steer; where there is none, that is said."""
        view = self._run()
        if view is None:
            self._say(self._no_run, "note")
        else:
            self._host.post_message(messages.Acted())
        return view

    def _allowed(self, command: Command) -> RunView | None:
        """The run, where it can be given that command; else why not is said."""
        view = self._needed()
        if view is not None and (line := refusal(view, command)):
            self._say(line, "note")
            return None
        return view

    def _with_checkpoints(self, verb: str) -> RunView | None:
        """The run, where it is a training of genui's, with checkpoints that can be read."""
        view = self._needed()
        if view is not None and not has_checkpoints(view):
            self._say(f"this run has no genui checkpoint to {verb}", "note")
            return None
        return view

    def _send(self, run: RunDir, control: Control) -> None:
        self._work(self._follow(run, control), "commands")

    async def _follow(self, run: RunDir, control: Control) -> None:
        """Leave the command for the trainer, and look until it has answered."""
        watch = await asyncio.to_thread(AnswerWatch, run, control)
        try:
            await asyncio.to_thread(send_live, run, control.command, control.value)
        except GenuiError as error:
            self._say(str(error))
            return
        self._say(CONFIRMATIONS[control.command].format(control.value), "note")
        last = False
        while not last:
            await asyncio.sleep(LOOK)
            answer = await asyncio.to_thread(watch.look)
            if answer is not None:
                last = answer.last
                self._say(answer.line, "note")

    async def _resume(self, run: RunDir) -> None:
        from genui.runs.launch import resume  # with all recipes: not before it is asked for

        try:
            await asyncio.to_thread(resume, run)
        except GenuiError as error:
            self._say(str(error))
        else:
            self._say("resuming from the newest checkpoint", "note")

    async def _ask_rate(self, view: RunView) -> None:
        rate = await asyncio.to_thread(base_rate, view)
        hint = f"above 0, at most {HIGHEST_LR:g}; the schedule keeps its shape"
        if "lr" in view.series:
            hint += f"; {float(view.series['lr'][1][-1]):.2g} at this step"

        def typed(control: Control | None) -> None:
            if control is not None:
                self._send(view.summary.run, control)

        value = "" if rate is None else f"{rate:g}"
        self._host.app.push_screen(ValueScreen("Learning rate", value, hint, parse_rate), typed)

    async def _branch(self, view: RunView, step: float | None) -> None:
        # Only this needs the recipes: imported at the top, they would hold up the first curve.
        from genui.recipes import recipe_from_dict
        from genui.runs.models import checkpoint_steps
        from genui.ui.windows import NewRunScreen, Source

        run, name = view.summary.run, view.summary.info.name
        try:
            recipe = recipe_from_dict(view.summary.info.recipe)
            steps = await asyncio.to_thread(checkpoint_steps, run)
        except GenuiError as error:
            self._say(str(error))
            return
        if not steps:
            self._say("this run has no checkpoint yet: c writes one", "note")
            return

        def started(new: RunDir | None) -> None:
            if new is not None:
                self._host.post_message(messages.OpenRun(new))
                self._say(f"{new.id} is starting; it continues when you quit", "note")

        before = [one for one in steps if step is not None and one <= step]
        chosen = before[-1] if before else steps[-1]
        source = Source(run, clean_line(name, 40), recipe, tuple(steps), chosen)
        self._host.app.push_screen(NewRunScreen(source=source), started)
