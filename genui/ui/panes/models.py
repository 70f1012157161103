"""The Models pane: runs and models, filtered, with the card of the chosen one below."""

import re
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from genui.render.sanitise import clean_line
from genui.runs.catalog import ModelInfo
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary
from genui.ui import keys, messages
from genui.ui.cards import model_card, run_card, run_row
from genui.ui.key import PaneName
from genui.ui.messages import ViewName
from genui.ui.panes.line_input import LineInput
from genui.ui.panes.pane import Pane
from genui.ui.panes.rows import Row, RowList

RUN, MODEL = "run:", "model:"


class ModelsPane(Pane, can_focus=False):
    """What there is: one list, chosen from with the keyboard."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("models")]
    pane: ClassVar[PaneName] = "models"
    view: ClassVar[ViewName] = "models"
    heading: ClassVar[str] = "Models"

    def __init__(self) -> None:
        super().__init__(id=self.pane)
        self._models: dict[str, ModelInfo] = {}
        self._runs: dict[str, RunSummary] = {}
        self._pattern: re.Pattern[str] | None = None
        self._read = False  # the lists have come once

    def compose(self) -> ComposeResult:
        yield LineInput(placeholder="a regular expression", compact=True)
        yield Static(classes="fault", markup=False)
        yield RowList(id="rows", empty="looking …")
        with VerticalScroll(classes="card", can_focus=False):
            yield Static(classes="card-text")

    def on_mount(self) -> None:
        self.set_title()
        self.set_subtitle("/ filter · n new run")

    def focus_list(self) -> None:
        """Where the keys go when this pane is chosen."""
        self.screen.set_focus(self.query_one(RowList))

    def set_lists(self, models: Sequence[ModelInfo], runs: Sequence[RunSummary]) -> None:
        """What is on disk now. A run's checkpoint is found under the run."""
        self._models = {MODEL + m.ref: m for m in models if m.source != "run"}
        self._runs = {RUN + s.run.id: s for s in runs}
        first = not self._read
        self._read = True
        self._fill()
        live = next((s.run for s in runs if s.alive), None)
        if first and live is not None:
            self.choose_run(live)

    def choose_run(self, run: RunDir) -> None:
        """Put the cursor on a run; nothing where the filter hides it."""
        rows = self.query_one(RowList)
        if any(row.key == RUN + run.id for row in rows.rows):
            rows.chosen = RUN + run.id

    # --- the list ---------------------------------------------------------------------

    def _fill(self) -> None:
        rows: list[Row] = []
        found = [(key, run_row(key, s)) for key, s in self._runs.items()]
        self._group(rows, "RUNS", [row for _, row in found])
        for of in dict.fromkeys((m.medium, m.family) for m in self._models.values()):
            group = [
                Row(key, m.name, m.summary or m.family)
                for key, m in self._models.items()
                if (m.medium, m.family) == of
            ]
            medium, family = (clean_line(word, 20) for word in of)
            self._group(rows, f"{medium.upper()} · {family}", group)
        if self._read:
            everything = len(self._runs) + len(self._models)
            shown = sum(not row.is_heading for row in rows)
            self.query_one(RowList).set_rows(rows, self._empty_text(everything))
            self.set_title(*([f"{shown} of {everything}"] if self._pattern else []))
        self._show_card()

    def _group(self, rows: list[Row], heading: str, group: list[Row]) -> None:
        kept = [row for row in group if self._matches(f"{heading.lower()} {row.left} {row.right}")]
        if kept:
            rows += [Row("", heading), *kept]

    def _matches(self, text: str) -> bool:
        return self._pattern is None or self._pattern.search(text) is not None

    def _empty_text(self, everything: int) -> str:
        if everything:
            return "nothing matches; esc clears"
        return "nothing yet: press n to train"

    # --- the card ---------------------------------------------------------------------

    @on(RowList.Chosen)
    def _show_card(self) -> None:
        chosen = self.query_one(RowList).chosen
        text = self.query_one(".card-text", Static)
        if chosen in self._models:
            text.update(model_card(self._models[chosen]))
        elif chosen in self._runs:
            text.update(run_card(self._runs[chosen]))
            self.post_message(messages.RunHighlighted(self._runs[chosen].run))
        else:
            text.update("")

    @property
    def chosen_run(self) -> RunSummary | None:
        """The run under the cursor, if it is one."""
        return self._runs.get(self.query_one(RowList).chosen)

    # --- keys -------------------------------------------------------------------------

    @on(RowList.Opened)
    def action_open_row(self) -> None:
        """The model in Text or Canvas, the run in Training."""
        chosen = self.query_one(RowList).chosen
        if chosen in self._models:
            self.post_message(messages.OpenModel(self._models[chosen]))
        elif chosen in self._runs:
            self.post_message(messages.OpenRun(self._runs[chosen].run))

    def action_generate_row(self) -> None:
        """From the chosen run's newest checkpoint, or with the chosen model."""
        run = self.chosen_run
        if run is None:
            self.action_open_row()
        else:
            self.post_message(messages.Generate(run.run))

    def action_filter(self) -> None:
        """Type a regular expression; the list follows every letter."""
        self.add_class("-editing")
        self.screen.set_focus(self.query_one(LineInput))

    @on(LineInput.Changed)
    def _filter_typed(self, event: LineInput.Changed) -> None:
        event.stop()
        fault = self.query_one(".fault", Static)
        try:
            self._pattern = re.compile(event.value, re.IGNORECASE) if event.value else None
        except re.error as error:
            fault.update(f"not a regular expression: {clean_line(str(error))}")
            fault.add_class("-shown")
            return
        fault.remove_class("-shown")
        self._fill()
        self._choose_named(event.value)

    def _choose_named(self, name: str) -> None:
        """The model with this very name, where others match too."""
        rows = self.query_one(RowList)
        named = [key for key, model in self._models.items() if model.name == name]
        if any(row.key in named for row in rows.rows):
            rows.chosen = named[0]

    @on(LineInput.Submitted)
    def _filter_done(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.post_message(messages.Acted())
        self.set_class(bool(event.value), "-editing")
        self.focus_list()

    @on(LineInput.Cancelled)
    def _filter_left(self) -> None:
        self.query_one(LineInput).value = ""
        self.remove_class("-editing")
        self.focus_list()

    def clear_filter(self) -> bool:
        """Show everything again. Returns whether anything was hidden."""
        if self._pattern is None and not self.has_class("-editing"):
            return False
        self._filter_left()
        return True
