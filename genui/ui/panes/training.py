"""The Training pane: one run as it goes, its curves and samples, and the keys that steer it."""

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar, Literal

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Static

from genui.errors import GenuiError
from genui.render.sanitise import clean_line
from genui.runs.control import Command, Order, steer
from genui.runs.launch import resume
from genui.runs.layout import RunDir
from genui.ui import keys, messages
from genui.ui.board import orders
from genui.ui.cards import mark
from genui.ui.chrome import Line
from genui.ui.driver import metered
from genui.ui.key_table import PaneName
from genui.ui.messages import ViewName
from genui.ui.panes.pane import Pane
from genui.ui.panes.sample import SampleView
from genui.ui.panes.training_words import stats_line, waiting_text
from genui.ui.screens.confirm import ConfirmScreen
from genui.ui.watch import RunView
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.progress import StepBar

RETRY = 0.1  # seconds until a view is tried again that a busy terminal could not take
EMPTY = "No training yet: press n to start one"


class TrainingPane(Pane):
    """Shows a RunView; steers through the run's folder."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("training")]
    pane: ClassVar[PaneName] = "training"
    view: ClassVar[ViewName] = "training"
    heading: ClassVar[str] = "Training"

    def __init__(self) -> None:
        super().__init__(id=self.pane)
        self.run: RunView | None = None
        self._waiting: Timer | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="head box"):
            yield StepBar()
            yield Line(classes="stats")
        with Horizontal(classes="body"):
            with Vertical(classes="curves"), Vertical(classes="box loss"):
                yield Curve(EMPTY, legend=False)
            with Vertical(classes="side"):
                yield SampleView(classes="box sample")

    def on_mount(self) -> None:
        self.set_title()
        self.set_subtitle("n new run")
        self.set_interval(1.0, self._tell_age)

    # --- showing ----------------------------------------------------------------------

    def show_run(self, view: RunView) -> None:
        """Draw this look at the run; later, if the terminal is still busy with the last."""
        self.run = view
        driver = metered(self.app)
        if driver is not None and driver.busy:
            if self._waiting is None:
                self._waiting = self.set_timer(RETRY, self._try_again)
            return
        self.paint()

    def _try_again(self) -> None:
        self._waiting = None
        if self.run is not None:
            self.show_run(self.run)

    def expect(self, run: RunDir) -> None:
        """Another run will be shown as soon as it is read."""
        if self.run is not None and self.run.summary.run != run:
            self.run = None
            self.query_one(Curve).clear("reading …")
            self.query_one(StepBar).clear()
            self.query_one(".stats", Static).update("")
            self.query_one(SampleView).clear()

    def paint(self) -> None:
        """Draw the run as last seen."""
        view = self.run
        if view is None:
            return
        summary, status = view.summary, view.summary.status
        self.set_class(True, "-has-run")
        sign, colour = mark(summary.state)
        name = clean_line(summary.info.name, 32)
        self.set_title((name, "bold"), "  ", (sign, colour), f" {summary.state}")
        self.set_subtitle(self._subtitle())
        eta = status.eta if summary.state == "running" else -1.0
        self.query_one(StepBar).set(status.step, status.steps, eta)
        self._tell_age()
        self._paint_curves(view)
        self.query_one(SampleView).show(view.sample, view.sample_files)

    def _subtitle(self) -> str:
        state = self.run.summary.state if self.run is not None else ""
        if state == "running":
            return "space pause · x stop"
        if state == "paused":
            return "space go on · x stop"
        if state in {"stopped", "dead", "failed"}:
            return "u resume · g generate"
        return "n new run · g generate"

    def _tell_age(self) -> None:
        if self.run is not None:
            stats = self.query_one(".stats", Line)
            stats.show(stats_line(self.run, time.time(), stats.size.width))

    def _paint_curves(self, view: RunView) -> None:
        loss = self.query_one(Curve)
        names = {"loss": "train", "val_loss": "val"}
        shown = {label: view.series[key][:2] for key, label in names.items() if key in view.series}
        if shown:
            loss.set_series(shown, {"train": "smoothed", "val": "marks"})
        else:
            loss.clear(waiting_text(view))

    def action_log(self) -> None:
        """Loss on a logarithmic axis, or back."""
        curve = self.query_one(Curve)
        curve.log_y = not curve.log_y

    def action_sample(self, by: int) -> None:
        """An earlier or a later sample."""
        if self._needed() is not None:
            self.query_one(SampleView).go(by)

    @on(SampleView.Walked)
    def _walked(self, event: SampleView.Walked) -> None:
        event.stop()
        self.query_one(Curve).cursor = event.step

    # --- steering ---------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause, or go on."""
        paused = self.run is not None and self.run.summary.state == "paused"
        self._command("resume" if paused else "pause")

    def action_checkpoint(self) -> None:
        """Write a checkpoint now."""
        self._command("checkpoint")

    def action_stop(self) -> None:
        """Stop the run, once the user has said yes."""
        view = self._may("stop")
        if view is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._steer(view.summary.run, "stop")

        self.app.push_screen(ConfirmScreen(orders.stop_question(view), "stop"), answered)

    def action_resume(self) -> None:
        """Start a trainer on it again, from its newest checkpoint."""
        view = self._needed()
        if view is None:
            return
        if view.summary.state == "paused":
            self._steer(view.summary.run, "resume")
        else:
            run = view.summary.run
            self._offload(lambda: resume(run), "resuming from the newest checkpoint")

    def action_generate(self) -> None:
        """Generate from the newest checkpoint, also while it trains."""
        view = self._needed()
        if view is not None:
            self.post_message(messages.Generate(view.summary.run))

    def _needed(self) -> RunView | None:
        if self.run is None:
            self._say(EMPTY, "note")
        else:
            self.post_message(messages.Acted())
        return self.run

    def _may(self, command: Command) -> RunView | None:
        """The run, where it can be asked that; else why not is said."""
        view = self._needed()
        if view is not None and (line := orders.refusal(view, command)):
            self._say(line, "note")
            return None
        return view

    def _command(self, command: Command) -> None:
        view = self._may(command)
        if view is not None:
            self._steer(view.summary.run, command)

    def _steer(self, run: RunDir, command: Command) -> None:
        self._offload(lambda: steer(run, command), orders.asked(Order(command)))

    @work(group="disk", exit_on_error=False)
    async def _offload(self, call: Callable[[], object], done: str) -> None:
        """Something that touches the disk, on a thread; says how it went."""
        try:
            await asyncio.to_thread(call)
        except GenuiError as error:
            self._say(str(error))
        else:
            self._say(done, "note")

    def _say(self, line: str, kind: Literal["error", "note"] = "error") -> None:
        self.post_message(messages.Say(clean_line(line), kind))
