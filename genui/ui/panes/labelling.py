"""What a classifier says of what is shown, live, in any pane of traces."""

import time
from abc import abstractmethod
from collections.abc import Sequence

from textual import on
from textual.timer import Timer

from genui.render.sanitise import clean_line
from genui.runs.catalog import ModelInfo
from genui.ui import messages
from genui.ui.panes.likening import Likening
from genui.ui.panes.saving import NO_MODEL
from genui.ui.trace import F
from genui.ui.widgets.label_bars import LabelBars

EVERY = 0.25  # seconds between two questions: generating is not to be slowed by them

READS = {"code": "text"}
"""A medium, to that of the classifiers that read it, where they differ."""


class Labelling(Likening[F]):
    """Mixed into the pane that owns a tree of traces; it has a LabelBars and paints it.

    One question is under way at a time, and it is of where the playhead is when it is asked.
    """

    judge: ModelInfo | None = None  # the classifier that is asked, where one is
    _classifiers: tuple[ModelInfo, ...] = ()
    _label_asked: tuple[int, int] | None = None  # the trace and step under way
    _label_of: tuple[int, int, str] | None = None  # the trace, step and classifier last answered
    _label_asked_at = 0.0  # in monotonic seconds
    _label_timer: Timer | None = None

    @abstractmethod
    def paint(self) -> None:
        """Draw the trace as it is now."""

    def set_classifiers(self, models: Sequence[ModelInfo]) -> None:
        """Those there are, of every medium."""
        self._classifiers = tuple(models)

    @property
    def judges(self) -> list[ModelInfo]:
        """Those that know what this pane's model makes, of its own data first."""
        if self.model is None:
            return []
        medium, dataset = READS.get(self.model.medium, self.model.medium), self.model.dataset
        fitting = [judge for judge in self._classifiers if judge.medium == medium]
        return sorted(fitting, key=lambda judge: judge.dataset != dataset)

    def action_labels(self) -> None:
        """The next classifier; after the last one none."""
        judges, shown = self.judges, self.judge.ref if self.judge is not None else None
        if not judges and self.judge is None:
            self._tell(self._no_judge())
            return
        refs = [judge.ref for judge in judges]
        following = refs.index(shown) + 1 if shown in refs else 0 if shown is None else len(refs)
        self.judge = judges[following] if following < len(judges) else None
        self._label_of = None
        if self.judge is not None:
            self.query_one(LabelBars).say(self._label_heading("asking …"))
        self.set_class(self.judge is not None, "-labelled")
        self.post_message(messages.Acted())
        self.paint()

    def _no_judge(self) -> str:
        if self.model is None:
            return NO_MODEL
        known = ", ".join(clean_line(m.name, 24) for m in self._classifiers) or "none"
        return (
            f"no classifier here reads what {clean_line(self.model.name, 24)} makes; "
            f"there is {known}"
        )

    def paint_labels(self) -> None:
        """Ask about what is shown, unless that is known or under way."""
        trace = self.trace
        if self.judge is None or self._label_asked is not None:
            return
        bars = self.query_one(LabelBars)
        if trace is None or not trace.started or trace.position < self.first_step:
            bars.say(self._label_heading("press space: it reads what is shown"))
            return
        if not trace.at_hand:
            bars.say(self._label_heading("the worker does not have this yet: space goes on"))
            return
        if self._label_of == (trace.id, trace.position, self.judge.ref):
            return
        wait = self._label_asked_at + EVERY - time.monotonic()
        if wait <= 0:
            self._label_asked_at = time.monotonic()
            self._label_asked = (trace.id, trace.position)
            self._session.label(trace.id, trace.position, self.judge.ref)
        elif self._label_timer is None:
            self._label_timer = self.set_timer(wait, self._label_due)

    def _label_due(self) -> None:
        self._label_timer = None
        self.paint_labels()

    def _label_heading(self, more: str) -> str:
        name = clean_line(self.judge.name, 24) if self.judge is not None else ""
        return f"{name} · {more}"

    @on(messages.LabelsArrived)
    def _labels_arrived(self, event: messages.LabelsArrived) -> None:
        told, self._label_asked = event.labels, None
        if self.judge is not None and told.model == self.judge.ref:
            self._label_of = (told.trace, told.step, told.model)
            bars = self.query_one(LabelBars)
            if told.fault:
                bars.say(self._label_heading(clean_line(told.fault, 200)))
            else:
                bars.show(self._label_heading(f"of step {told.step}"), told.labels)
        self.paint_labels()

    @on(messages.TraceFailed)
    @on(messages.TraceLost)
    def _no_labels(self) -> None:
        self._label_asked = None
