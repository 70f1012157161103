"""The Training pane: one run as it goes, its curves and samples, and the keys that steer it."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Static

from genui.render.sanitise import clean_line
from genui.runs.layout import RunDir
from genui.ui import keys, messages
from genui.ui.chrome import Line
from genui.ui.driver import metered
from genui.ui.key import PaneName
from genui.ui.looking import RunView
from genui.ui.marks import mark
from genui.ui.messages import ViewName
from genui.ui.panes.pane import Pane
from genui.ui.panes.sample import SampleView
from genui.ui.panes.training_words import stats_line, waiting_text
from genui.ui.steering import Steering
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.progress import StepBar

if TYPE_CHECKING:
    from genui.render.series import Kind

RETRY = 0.1  # seconds until a view is tried again that a busy terminal could not take
EMPTY = "No training yet: press n to start one"

CURVES = {
    "loss": "train",
    "val_loss": "val",
    "generator_loss": "generator",
    "discriminator_loss": "discriminator",
}
"""The metrics that are drawn here, where a run has them, and what they are called."""
ALONE = ("training.zoom", "training.log")
"""The ids of the keys that need no run."""
KINDS: "Mapping[str, Kind]" = {"val": "marks"}


class TrainingPane(Steering, Pane):
    """Shows a RunView; steers through the run's folder."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("training")]
    pane: ClassVar[PaneName] = "training"
    view: ClassVar[ViewName] = "training"
    heading: ClassVar[str] = "Training"
    NO_RUN = EMPTY

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
        series = view.series
        shown = {label: series[key][:2] for key, label in CURVES.items() if key in series}
        if shown:
            loss.set_series(shown, {label: KINDS.get(label, "smoothed") for label in shown})
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

    @property
    def steered(self) -> RunView | None:
        return self.run

    def refused_keys(self) -> frozenset[str]:
        """The ids of the keys to which the pane would only answer why not."""
        if self.run is None:
            return frozenset(key.id for key in keys.of_pane("training") if key.id not in ALONE)
        return frozenset(f"training.{command}" for command in self.refused_commands())

    def say(self, line: str, kind: Literal["error", "note"] = "error") -> None:
        self.post_message(messages.Say(clean_line(line), kind))

    def _needed(self) -> RunView | None:
        if self.run is not None:
            self.post_message(messages.Acted())
        return super()._needed()
