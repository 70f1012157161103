"""Steering one run by keys: what it is asked, and what it answers."""

import asyncio
from typing import Literal, NamedTuple

from textual import work
from textual.message_pump import MessagePump

from genui.errors import GenuiError
from genui.render.sanitise import clean_line
from genui.runs.control import Command, Order, steer
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.board import orders
from genui.ui.looking import RunView
from genui.ui.screens.confirm import ConfirmScreen

LOOK = 0.25  # seconds between looks for an answer
ORDERS: tuple[Command, ...] = ("pause", "checkpoint", "rate", "stop")  # that keys give


class _Asked(NamedTuple):
    """The last pause or resume: of which run, the state it was seen in, and the one wanted."""

    run: RunDir | None = None
    seen: str = ""
    wanted: str = ""


class Steering(MessagePump):
    """Actions for `steered`, mixed into a widget or screen. Each says what was asked, then what
    the run did."""

    NO_RUN = "no training here yet: nothing to steer"
    _asked = _Asked()

    @property
    def steered(self) -> RunView | None:
        """The run that the keys are about, as last seen."""
        raise NotImplementedError

    def say(self, line: str, kind: Literal["error", "note"] = "error") -> None:
        """One line above the footer."""
        raise NotImplementedError

    def refused_commands(self) -> set[str]:
        """The orders to which the run would only answer why not."""
        view = self.steered
        return {order for order in ORDERS if view is None or orders.refusal(view, order)}

    # --- orders -------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause, or go on."""
        view = self.steered
        seen = state = view.summary.state if view is not None else ""
        if view is not None and self._asked.run == view.summary.run and self._asked.seen == seen:
            state = self._asked.wanted  # the last press was not obeyed, or not seen so, yet
        wanted = "running" if state == "paused" else "paused"
        if self._order("resume" if state == "paused" else "pause") and view is not None:
            self._asked = _Asked(view.summary.run, seen, wanted)

    def action_checkpoint(self) -> None:
        """Write a checkpoint now."""
        self._order("checkpoint")

    def action_stop(self) -> None:
        """Stop the run, once the user has said yes."""
        view = self._may("stop")
        if view is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._give(view.summary.run, Order("stop"))

        self.app.push_screen(ConfirmScreen(orders.stop_question(view), "stop"), answered)

    def action_resume(self) -> None:
        """Start a trainer on it again, from its newest checkpoint."""
        view = self._needed()
        if view is None:
            return
        summary = view.summary
        if summary.state == "paused":
            self._order("resume")
        elif not orders.trains_here(view):
            self.say("genui did not start this run: start its script again yourself", "note")
        else:
            self._resume(summary.run)

    def action_generate(self) -> None:
        """Generate from the newest checkpoint, also while it trains."""
        view = self._trained_here("generate from")
        if view is not None:
            self.post_message(messages.Generate(view.summary.run))

    # --- what they share ------------------------------------------------------------------

    def _needed(self) -> RunView | None:
        """The run to steer; where there is none, that is said."""
        if self.steered is None:
            self.say(self.NO_RUN, "note")
        return self.steered

    def _may(self, command: Command) -> RunView | None:
        """The run, where it can be asked that; else why not is said."""
        view = self._needed()
        if view is not None and (line := orders.refusal(view, command)):
            self.say(clean_line(line), "note")
            return None
        return view

    def _trained_here(self, verb: str) -> RunView | None:
        """The run, where it is a training of ours, with checkpoints that can be read."""
        view = self._needed()
        if view is not None and not orders.trains_here(view):
            self.say(f"this run has no checkpoint of genui's to {verb}", "note")
            return None
        return view

    def _order(self, command: Command) -> bool:
        """Whether it was given."""
        view = self._may(command)
        if view is not None:
            self._give(view.summary.run, Order(command))
        return view is not None

    @work(group="orders", exit_on_error=False)
    async def _give(self, run: RunDir, order: Order) -> None:
        """Leave the order for the trainer, and look until it has answered."""
        waiting = await asyncio.to_thread(orders.Waiting, run, order)
        try:
            await asyncio.to_thread(steer, run, order.command, order.value)
        except GenuiError as error:
            self.say(clean_line(str(error)))
            return
        self.say(orders.asked(order), "note")
        last = False
        while not last:
            await asyncio.sleep(LOOK)
            answer = await asyncio.to_thread(waiting.look)
            if answer is not None:
                last = answer.last
                self.say(clean_line(answer.line), "note")

    @work(group="orders", exit_on_error=False)
    async def _resume(self, run: RunDir) -> None:
        from genui.runs.launch import resume  # with all recipes: not before it is asked for

        try:
            await asyncio.to_thread(resume, run)
        except GenuiError as error:
            self.say(clean_line(str(error)))
        else:
            self.say("resuming from the newest checkpoint", "note")
