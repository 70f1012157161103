"""Commands for a run: whether it can obey them, the lines for the user, and the run's replies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Literal, NamedTuple

from textual.widget import Widget

from genui.base.errors import GenuiError
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.runs.control import (
    HIGHEST_LR,
    Command,
    Control,
    Outcome,
    changed_learning_rate,
    parse_learning_rate,
    send_live,
)
from genui.runs.layout import RunDir, checkpoint_steps
from genui.runs.listing import RunSummary, find_sweep, summarise
from genui.ui import messages
from genui.ui.keys import bind_actions
from genui.ui.watcher import RunView
from genui.ui.widgets.dialogs import ConfirmScreen, LinesScreen, ask, make_value_screen

with late_imports():
    from genui import recipes
    from genui.runs import launch, stack_groups, stacks, sweep
    from genui.ui import new_run
    from genui.ui.training import why

CONFIRMATIONS: dict[Command, str] = {
    "pause": "pause requested: it takes effect after this step",
    "resume": "resume requested",
    "stop": "stop requested: it writes a checkpoint and ends; space resumes it",
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
"""The commands of keys in the footer, by the ends of the keys' ids."""
SLOW = 10.0  # seconds without a reply until the user is told
TIMEOUT = 120.0  # seconds: an evaluation may take that long
POLL_INTERVAL = 0.25  # seconds


def is_trained_here(view: RunView) -> bool:
    """Whether genui trains the run, so that its checkpoints can be read."""
    return view.summary.native and view.summary.info.kind != "script"


def can_continue(view: RunView) -> bool:
    """Whether the run can be resumed or, without a checkpoint, started again."""
    over = not view.summary.alive and view.summary.state != "finished"
    return is_trained_here(view) and over and not view.summary.fault


def key_hints(view: RunView) -> list[str]:
    """The keys that have an effect on the run now, the most useful first."""
    summary, hints = view.summary, list[str]()
    if summary.state == "queued":
        return ["^x stop"]
    if summary.alive and summary.info.kind == "script":
        hints.append("^x stop")
    elif summary.alive:
        hints += ["space resume" if summary.state == "paused" else "space pause", "^x stop"]
    if can_continue(view):
        hints.append("space resume" if view.has_checkpoint else "space start again")
    if is_trained_here(view) and view.has_checkpoint and not summary.alive:
        hints.append("G generate")
    return hints


def refusal(view: RunView, command: Command) -> str:
    """Why the run cannot obey the command, with what to do instead; "" if it can."""
    summary = view.summary
    if not summary.native:
        return "this is a log of another tool: control its script where you started it"
    is_script = summary.info.kind == "script"
    if summary.state == "queued":  # `send_live` takes its job out of the queue
        return "" if command == "stop" else "this run is queued: ^x takes it out of Slurm's queue"
    if not summary.alive:
        remedy = "n starts another from its checkpoint"
        if is_script:
            remedy = "start its script again yourself"
        elif summary.state != "finished":
            remedy = "space resumes it" if view.has_checkpoint else "space starts it again"
        elif not view.has_checkpoint:
            remedy = "n starts another"
        return f"this run is {summary.state}: {remedy}"
    if is_script and command not in summary.info.controls:
        title = "a learning rate" if command == "set_lr" else command
        return (
            f"the script of this run does not take {title}: ^x (stop) works, if it checks "
            "run.stop_requested"
        )
    return ""


def _checkpoint_refusal(view: RunView, verb: str) -> str:
    if not is_trained_here(view):
        return f"this run has no genui checkpoint to {verb}"
    if view.has_checkpoint:
        return ""
    if view.summary.alive:
        return "this run has no checkpoint yet: ^s writes one"
    again = ": space starts it again" if can_continue(view) else ""
    return f"this run has no checkpoint to {verb}{again}"


def _why_refusal(view: RunView) -> str:
    if not is_trained_here(view):
        return "only genui's own recipes can compute a step again"
    return "" if view.summary.status.step else "this run has not done a step yet"


def _stacks_refusal(view: RunView) -> str:
    if not view.summary.native:
        return "another tool's processes are not known: use py-spy dump --pid PID"
    return "" if view.summary.alive else f"this run is {view.summary.state}: it has no process"


def stop_text(view: RunView) -> str:
    """The effect of stopping the run."""
    if view.summary.state == "queued":
        return "Its job leaves Slurm's queue."
    if view.summary.info.kind == "script":
        if "command" in view.summary.info.config:  # of `genui run`
            return "Its command gets Ctrl+C, after 15 s SIGTERM."
        return "Its script ends where it checks run.stop_requested."
    return "It writes a checkpoint first, from which it can be resumed."


# --- The learning rate ------------------------------------------------------------------------


def base_learning_rate(view: RunView) -> float | None:
    """The learning rate that the schedule scales, as last changed or as in the recipe; None if
    the recipe has none. Reads the disk; never raises.
    """
    with suppress(GenuiError):
        if (changed := changed_learning_rate(view.summary.run)) is not None:
            return changed
    value = view.summary.info.recipe.get("learning_rate")
    return float(value) if isinstance(value, int | float) else None


# --- Controlling a run by keys ----------------------------------------------------------------


class _Toggle(NamedTuple):
    """The last pause or resume: the run, its state at that time, and the requested state."""

    run: RunDir | None = None
    state: str = ""
    requested: str = ""


class RunControls:
    """Gives commands to the run that a widget or screen, the host, shows.

    Each command shows a line when it is sent and another with the run's reply. Lines and requests
    go to the host as messages: `ShowStatus`, `Acted`, `Generate` and `OpenRun`. `run` returns the
    newest view of the run.
    """

    def __init__(
        self,
        host: Widget,
        run: Callable[[], RunView | None],
        no_run: str = "no run is shown yet: press 1, then n to start one",
    ) -> None:
        self._host, self._run, self._no_run = host, run, no_run
        self._toggle = _Toggle()
        self._starting: set[RunDir] = set()  # whose trainers are being started
        bind_actions(host, self)

    def names_of_keys(self, pane: str) -> dict[str, str]:
        """The action of Space on the run now, as the id of its key."""
        view = self._run()
        hints = key_hints(view) if view is not None else []
        return {
            f"{pane}.pause": hint.removeprefix("space ")
            for hint in hints
            if hint.startswith("space ")
        }

    def refused_keys(self, pane: str) -> set[str]:
        """The ids of the pane's keys that the run cannot obey now."""
        view = self._run()
        refused = {name for name, command in KEYS.items() if view is None or refusal(view, command)}
        if view is None or _checkpoint_refusal(view, "start from"):
            refused |= {"branch", "generate"}
        if view is not None and can_continue(view):
            refused.discard("pause")
        elif view is None or view.summary.state != "paused":
            refused.add("resume")
        return {f"{pane}.{name}" for name in refused}

    # --- commands -----------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause or resume; continue a stopped or dead run. A second press requests the opposite,
        even before the run has obeyed the first."""
        view = self._run()
        if view is not None and can_continue(view):
            self.action_resume()
            return
        current = state = view.summary.state if view is not None else ""
        if view is not None and self._toggle[:2] == (view.summary.run, current):
            state = self._toggle.requested
        is_paused = state == "paused"
        if self.give("resume" if is_paused else "pause") and view is not None:
            requested = "running" if is_paused else "paused"
            self._toggle = _Toggle(view.summary.run, current, requested)

    def give(self, command: Command) -> bool:
        """Give the run a command without a value. Returns whether the run can obey it."""
        view = self._require_run(lambda view: refusal(view, command))
        if view is not None:
            self._send(view.summary.run, Control(command))
        return view is not None

    def action_stop(self) -> None:
        """Stop the run, if the user confirms it."""
        view = self._require_run(lambda view: refusal(view, "stop"))
        if view is None:
            return

        question = f"Stop {clean_line(view.summary.info.name, 40)}?"
        window = ConfirmScreen(question, stop_text(view), "stop", "keep training")
        ask(self._host, window, lambda _: self._send(view.summary.run, Control("stop")))

    def action_resume(self) -> None:
        """Start a trainer from the newest checkpoint of the run; without one, a new run like it."""
        view = self._require_run()
        if view is None:
            return
        if view.summary.state == "paused":
            self.give("resume")
        elif not is_trained_here(view):
            self._say("genui did not start this run: start its script again yourself", "note")
        elif can_continue(view) and not view.has_checkpoint and view.summary.state != "queued":
            self._work(self._start(self._retry, view.summary.run), "commands")
        else:
            self._work(self._start(self._resume, view.summary.run), "commands")

    def action_generate(self) -> None:
        """Generate from the newest checkpoint, also while it trains."""
        view = self._require_run(lambda view: _checkpoint_refusal(view, "generate from"))
        if view is not None:
            self._host.post_message(messages.Generate(view.summary.run))

    def action_rate(self) -> None:
        """Ask for another learning rate and train on with it."""
        view = self._require_run(lambda view: refusal(view, "set_lr"))
        if view is not None:
            self._work(self._ask_learning_rate(view), "rate", exclusive=True)

    def branch(self, step: float | None) -> None:
        """Start a run from a checkpoint of this one, at or before the step."""
        view = self._require_run(lambda view: _checkpoint_refusal(view, "start from"))
        if view is not None:
            self._work(self._branch(view, step), "branch", exclusive=True)

    def action_checkpoint(self) -> None:
        self.give("checkpoint")

    def action_evaluate(self) -> None:
        """Evaluate on held-out data now, and make a sample."""
        self.give("evaluate")

    def ask_why(self, step: float | None) -> None:
        """Compute the step at the cursor again, the newest one without a cursor."""
        view = self._require_run(_why_refusal)
        if view is not None:
            newest = view.summary.status.step
            chosen = newest if step is None else max(1, min(newest, round(step)))
            name = view.summary.info.name
            self._host.app.push_screen(why.WhyScreen(view.summary.run, name, chosen))

    def action_stacks(self) -> None:
        """Show where each process of the run is now."""
        view = self._require_run(_stacks_refusal)
        if view is not None:
            self._say("asking its processes for their stacks", "note")
            self._work(self._show_stacks(view.summary), "stacks", exclusive=True)

    # --- helpers --------------------------------------------------------------------------

    def _say(self, line: str, kind: Literal["error", "note"] = "error") -> None:
        self._host.post_message(messages.ShowStatus(clean_line(line), kind))

    def _work(self, work: Coroutine[Any, Any, None], group: str, exclusive: bool = False) -> None:
        worker = messages.say_errors(self._host, work)
        self._host.run_worker(worker, group=group, exclusive=exclusive, exit_on_error=False)

    def _require_run(self, refuse: Callable[[RunView], str] = lambda _: "") -> RunView | None:
        """The run to control; None, with a line for the user, if there is none or `refuse` returns
        a reason."""
        view = self._run()
        if view is not None:
            self._host.post_message(messages.Acted())
        line = self._no_run if view is None else refuse(view)
        if line:
            self._say(line, "note")
            return None
        return view

    def _send(self, run: RunDir, control: Control) -> None:
        self._work(self._send_and_wait(run, control), "commands")

    async def _send_and_wait(self, run: RunDir, control: Control) -> None:
        """Send the command to the trainer and wait until the run has done it."""
        outcome = await asyncio.to_thread(Outcome, run, control.command)
        await asyncio.to_thread(send_live, run, control.command, control.value)
        self._say(CONFIRMATIONS[control.command].format(control.value), "note")
        since, is_slow, line = time.monotonic(), False, ""
        while not line:
            await asyncio.sleep(POLL_INTERVAL)
            line, waited = await asyncio.to_thread(outcome.look), time.monotonic() - since
            if not line and waited > TIMEOUT:
                line = f"no answer to {control.command} in {TIMEOUT:.0f} s"
            elif not line and waited > SLOW and not is_slow:
                is_slow = True
                self._say("waiting: a run takes commands between steps", "note")
        self._say(line, "note")

    async def _show_stacks(self, summary: RunSummary) -> None:
        found = await asyncio.to_thread(stacks.collect_stacks, summary)
        if lines := stack_groups.list_groups(stack_groups.group_stacks(found)):
            title = f"The processes of {clean_line(summary.info.name, 40)}"
            self._host.app.push_screen(LinesScreen(title, lines))
        else:
            self._say("no process of this run is known", "note")

    async def _start(
        self, start: Callable[[RunDir], Coroutine[Any, Any, None]], run: RunDir
    ) -> None:
        """Start a trainer; a second press, also before the view is newer, starts no second one."""
        if run in self._starting:
            self._say("this run is starting already", "note")
            return
        self._starting.add(run)
        try:
            summary = await asyncio.to_thread(summarise, run)
            if summary.alive:
                self._say(f"this run is {summary.state} already", "note")
            else:
                await start(run)
        finally:
            self._starting.remove(run)

    async def _resume(self, run: RunDir) -> None:
        await asyncio.to_thread(launch.resume, run)
        self._say("resuming from the newest checkpoint", "note")

    async def _retry(self, run: RunDir) -> None:
        new = await asyncio.to_thread(launch.retry, run)
        self._host.post_message(messages.OpenRun(new))
        self._say(f"{new.id} starts again with the same settings", "note")

    async def _ask_learning_rate(self, view: RunView) -> None:
        current = await asyncio.to_thread(base_learning_rate, view)
        hint = f"New peak learning rate, above 0 and at most {HIGHEST_LR:g}."
        if "lr" in view.series:
            hint += f" Now: {float(view.series['lr'][1][-1]):.2g}."
        hint += " The schedule keeps its shape."

        value = "" if current is None else f"{current:g}"
        screen = make_value_screen("Learning rate", value, hint, parse_learning_rate)
        ask(self._host, screen, partial(self._send, view.summary.run))

    async def _branch(self, view: RunView, step: float | None) -> None:
        # Only this needs the recipes; imported at the top, they would delay the first curve.
        run, name = view.summary.run, view.summary.info.name
        recipe = recipes.recipe_from_dict(view.summary.info.recipe)
        steps = await asyncio.to_thread(checkpoint_steps, run)
        if not steps:
            self._say("this run has no checkpoint yet: ^s writes one", "note")
            return

        def started(new: RunDir) -> None:
            self._host.post_message(messages.OpenRun(new))
            self._say("the run is starting; it keeps training after you quit", "note")

        before = [checkpoint for checkpoint in steps if step is not None and checkpoint <= step]
        chosen = before[-1] if before else steps[-1]
        source = new_run.source_of_run(run, clean_line(name, 40), recipe, steps, chosen)
        ask(self._host, new_run.NewRunScreen(source=source), started)


# --- Sweeps, from the table of runs -----------------------------------------------------------


def control_sweep(host: Widget, name: str, command: Literal["stop", "resume"]) -> None:
    """Stop the sweep with its trials, if the user confirms it, or continue it."""

    def act() -> str:
        folder = find_sweep(name)
        if folder is None:
            raise GenuiError(f"the folder of sweep {name} is gone: its trials are ordinary runs")
        if command == "resume":
            return f"sweep {name} continues: {sweep.resume(folder)} of its trials are left"
        sweep.stop(folder)
        return f"sweep {name} stops: its trials write their checkpoints"

    async def work() -> None:
        line = await asyncio.to_thread(act)
        host.post_message(messages.ShowStatus(clean_line(line), "note"))

    def begin(_: object = None) -> None:
        worker = messages.say_errors(host, work())
        host.run_worker(worker, group="commands", exit_on_error=False)

    if command == "resume":
        begin()
        return
    text = "Its trials write checkpoints first, from which it can be resumed."
    question = f"Stop the sweep {clean_line(name, 40)}?"
    ask(host, ConfirmScreen(question, text, "stop", "keep training"), begin)
