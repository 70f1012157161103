"""The Models pane and the Training pane of the main screen."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.timer import Timer
from textual.widgets import Static

from genui.base import numbers
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.hub.catalogue import CATALOGUE
from genui.protocol.kinds import KINDS, Kind, first_models
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary
from genui.runs.models import ModelInfo, group_models
from genui.ui import keys, messages
from genui.ui.generate.pane import TracePane
from genui.ui.keys import PaneName
from genui.ui.kinds import shows_of
from genui.ui.matching import match_name
from genui.ui.organise import run_copyables
from genui.ui.screens import Copyable
from genui.ui.session import Session
from genui.ui.settings import (
    model_card,
    model_row,
    pane_of,
    pull_card,
    read_thumbnail,
    run_card,
    run_row,
)
from genui.ui.terminal import get_metered_driver
from genui.ui.themes import colour_mode
from genui.ui.training.controls import RunControls, key_hints
from genui.ui.training.samples import SamplesPanel
from genui.ui.training.snapshot import Snapshot
from genui.ui.training.values import stats_line, waiting_text
from genui.ui.watcher import RunView, list_newest, mark
from genui.ui.widgets.bars import Line
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.inputs import FilterLine, LineInput
from genui.ui.widgets.lists import ListRow, RowList
from genui.ui.widgets.panes import Pane
from genui.ui.widgets.progress import StepBar

with late_imports():
    from genui.formats import command as command_line

if TYPE_CHECKING:
    from genui.render.series import Kind as LineKind
    from genui.runs.table import TableRow

RUN, MODEL, PULL = "run:", "model:", "pull:"  # how the keys of rows begin
MORE = "more"
"""The key of the row that stands for the runs that are not listed."""
REST = 0.15  # seconds: reading an image and giving it a place would delay the next arrow key


class ModelsPane(Pane, can_focus=False):
    """A list of the runs and models, with the card of the chosen one below."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("models")]
    pane: PaneName = "models"
    heading = "Models"

    def __init__(self, beside: Callable[[], RunDir | None] = lambda: None) -> None:
        """`beside` returns the run that the Training pane shows now, if both are on the screen."""
        super().__init__(id=self.pane)
        self._beside = beside
        self._saved: set[str] = set()  # the ids of runs with a checkpoint
        self._models: dict[str, ModelInfo] = {}
        self._runs: dict[str, RunSummary] = {}
        self._pattern: re.Pattern[str] | None = None
        self._chosen_before = ""  # the chosen row when the filter was opened
        self._curves: dict[str, str] = {}  # sparklines of runs
        self._has_lists = False  # from the disk
        self._revealed = ""  # the id of a run that is listed although it is an older one
        self._show_details = False  # on the card

    def compose(self) -> ComposeResult:
        yield FilterLine(placeholder="type to filter", compact=True)
        yield Static(classes="fault", markup=False)
        yield RowList(id="rows", empty="reading …")
        with VerticalScroll(classes="card", can_focus=False):
            yield Static(classes="thumbnail")
            yield Static(classes="card-text")

    def on_mount(self) -> None:
        self.set_title()

    def focus_list(self) -> None:
        self.screen.set_focus(self.query_one(RowList))

    def set_lists(self, models: Sequence[ModelInfo], runs: Sequence[RunSummary]) -> None:
        """Show the models and runs on disk. Checkpoints are listed with their run."""
        self._models = {MODEL + m.ref: m for m in models if m.source != "run"}
        self._runs = {RUN + s.run.id: s for s in runs}
        self._saved = {m.ref.partition("@")[0] for m in models if m.source == "run"}
        is_first = not self._has_lists
        self._has_lists = True
        self._fill()
        if is_first:
            self._choose_first()

    def _choose_first(self) -> None:
        """Choose a run that is training or, if there are no runs, the first model to try."""
        live = next((summary.run for summary in self._runs.values() if summary.alive), None)
        if live is not None:
            self.choose_run(live)
        elif not self._runs:
            by_name = {model.name: key for key, model in self._models.items()}
            if key := next((by_name[name] for name in first_models() if name in by_name), None):
                self.query_one(RowList).chosen = key

    def choose_run(self, run: RunDir) -> None:
        """Move the cursor to a run, unless the filter hides it."""
        rows = self.query_one(RowList)
        self._revealed = run.id
        if self._has_lists:
            self._fill()
        if any(row.key == RUN + run.id for row in rows.rows):
            rows.chosen = RUN + run.id

    def reveal_run(self, run: RunDir) -> None:
        """Move the cursor to a run that the user has just started; a filter that hides it ends."""
        rows = self.query_one(RowList)
        if all(row.key != RUN + run.id for row in rows.rows):
            self._end_filter()
        self.choose_run(run)

    # --- the list ---------------------------------------------------------------------

    def _fill(self) -> None:
        rows = self._run_rows()
        count = sum(row.key.startswith(RUN) for row in rows)
        for name, group in group_models(self._models.values()).items():
            matches = [
                model_row(MODEL + model.ref, model)
                for model in group
                if self._matches(name, model.medium, model.family, model.name, model.summary)
            ]
            count += len(matches)
            if name == "text":
                matches += self._offered_rows()
            rows += [ListRow("", clean_line(name, 20).upper()), *matches] if matches else []
        if self._has_lists:
            total = len(self._runs) + len(self._models)
            empty = "nothing matches; esc clears" if total else "nothing yet: press n to train"
            self.query_one(RowList).set_rows(rows, empty)
            self.set_title(*([f"{count} of {total}"] if self._pattern else []))
        self.show_card()

    def set_curves(self, rows: "Sequence[TableRow]") -> None:
        """Show the sparklines of those runs that are listed: the table has the rows of all."""
        listed = {run.run.id for run in list_newest([*self._runs.values()])}
        curves = {RUN + id: row.curve for row in rows if (id := row.run.run.id) in listed}
        if curves != self._curves:
            self._curves = curves
            self._fill()

    def _run_rows(self) -> list[ListRow]:
        """The heading and rows of the runs: those that train, the newest others, and one row for
        the rest. A filter looks at all of them."""
        if self._pattern is not None:
            runs = [
                run_row(key, summary, self._curves.get(key, ""))
                for key, summary in self._runs.items()
            ]
            rows = [row for row in runs if self._matches("runs", row.left, row.right)]
            return [ListRow("", "RUNS"), *rows] if rows else []
        keys = [RUN + run.run.id for run in list_newest([*self._runs.values()])]
        if (revealed := RUN + self._revealed) in self._runs and revealed not in keys:
            keys.append(revealed)
        rows = [run_row(key, self._runs[key], self._curves.get(key, "")) for key in keys]
        if more := len(self._runs) - len(rows):
            rows.append(ListRow(MORE, f"{more} more", "o all runs", "…"))
        return [ListRow("", "RUNS"), *rows] if rows else []

    def _offered_rows(self) -> list[ListRow]:
        """Rows of models of the catalogue that are offered, as long as they are not here."""
        here = {model.name for model in self._models.values()}
        rows = [
            ListRow(
                PULL + name, name, f"{each.offer.split(',')[0]}, {numbers.size(each.size)}", "↓"
            )
            for name, each in CATALOGUE.items()
            if each.offer and name not in here
        ]
        return [row for row in rows if self._matches("text", "pull", row.left, row.right)]

    def _matches(self, *words: str) -> bool:
        return self._pattern is None or self._pattern.search(" ".join(words)) is not None

    # --- the card ---------------------------------------------------------------------

    @on(RowList.Chosen)
    def show_card(self) -> None:
        chosen = self.query_one(RowList).chosen
        text = self.query_one(".card-text", Static)
        self._show_thumbnail(self._models.get(chosen))
        if chosen in self._models:
            text.update(model_card(self._models[chosen], self._show_details))
        elif chosen in self._runs:
            run = self._runs[chosen]
            text.update(run_card(run, run.run.id in self._saved, run.run != self._beside()))
        elif chosen == MORE:
            text.update("older runs\n⏎ or o: the table of all runs\n/ finds one by its name")
        elif chosen.startswith(PULL):
            text.update(pull_card(CATALOGUE[chosen.removeprefix(PULL)]))
        else:
            text.update("")
        of_run = chosen in self._runs
        self.set_subtitle("e rename · d delete" if of_run else "n new run", " · / filter")

    @work(group="thumbnail", exclusive=True, exit_on_error=False)
    async def _show_thumbnail(self, model: ModelInfo | None) -> None:
        """Show a thumbnail of the model's samples above its card once the cursor rests on it."""
        await asyncio.sleep(REST)
        columns, rows = self.query_one(".card").content_size
        image = None
        if model is not None and columns > 1 and colour_mode(self.app) != "ascii":
            image = await asyncio.to_thread(read_thumbnail, model, columns - 1, max(4, rows // 2))
        thumbnail = self.query_one(".thumbnail", Static)
        thumbnail.update(image or "")
        thumbnail.set_class(image is not None, "-shown")

    def action_details(self) -> None:
        """Show the whole card of a model, or its short form."""
        self._show_details = not self._show_details
        self.show_card()

    @property
    def chosen_run(self) -> RunSummary | None:
        """The run under the cursor; None if a model is."""
        return self._runs.get(self.query_one(RowList).chosen)

    # --- keys -------------------------------------------------------------------------

    def chosen_open_model(self) -> ModelInfo | None:
        """The model under the cursor, if others made it."""
        model = self._models.get(self.query_one(RowList).chosen)
        return model if model is not None and model.format else None

    @on(RowList.Opened)
    def action_open_row(self) -> None:
        """Open the model in its pane, or the run in Training; a filter ends."""
        chosen = self.query_one(RowList).chosen
        if chosen:
            self._end_filter()
        if chosen in self._models:
            self.post_message(messages.OpenModel(self._models[chosen]))
        elif chosen in self._runs:
            self.post_message(messages.OpenRun(self._runs[chosen].run))
        elif chosen == MORE:
            self.post_message(messages.ListRuns())
        elif chosen.startswith(PULL):
            self.post_message(
                messages.ShowStatus(f"in a shell: {_pull_command(chosen)}; then it is here", "note")
            )

    def action_edit_run(self) -> None:
        """Edit the name, tags and note of the chosen run."""
        if (run := self.chosen_run) is not None:
            self.post_message(messages.OrganiseRun(run))
        else:
            self.post_message(messages.ShowStatus("choose a run: models cannot be renamed", "note"))

    def action_delete_run(self) -> None:
        """Delete the chosen run, if the user confirms it."""
        if (run := self.chosen_run) is not None:
            self.post_message(messages.OrganiseRun(run, delete=True))
        else:
            self.post_message(
                messages.ShowStatus("choose a run: models cannot be deleted here", "note")
            )

    def refused_keys(self) -> frozenset[str]:
        run_keys = {"models.edit", "models.delete"}
        return frozenset(run_keys if self.chosen_run is None else ())

    def copyables(self) -> list[Copyable]:
        """The name of the chosen model and the command that generates with it; or of the run."""
        chosen = self.query_one(RowList).chosen
        if chosen in self._runs:
            return run_copyables(self._runs[chosen])
        if chosen.startswith(PULL):
            return [Copyable("command that fetches it", _pull_command(chosen))]
        if chosen not in self._models:
            return []
        model = self._models[chosen]
        offered = [Copyable("name of the model", model.ref)]
        if pane_of(model) is not None:
            command = f"genui generate {command_line.quote(model.ref)}"
            offered.append(Copyable("command that generates with it", command))
        return offered

    def action_generate_row(self) -> None:
        """Generate from the run's newest checkpoint, or with the model."""
        run = self.chosen_run
        if run is None:
            self.action_open_row()
        else:
            self.post_message(messages.Generate(run.run))

    def action_filter(self) -> None:
        """Open the filter, a regular expression that applies while it is typed."""
        line = self.query_one(LineInput)
        if self.screen.focused is not line:
            self._chosen_before = self.query_one(RowList).chosen
        self.add_class("-editing")
        self.screen.set_focus(line)

    @on(LineInput.Changed)
    def _filter_typed(self, event: LineInput.Changed) -> None:
        event.stop()
        fault = self.query_one(".fault", Static)
        try:
            self._pattern = re.compile(event.value, re.IGNORECASE) if event.value else None
        except (re.error, RecursionError, OverflowError) as error:
            fault.update(f"not a regular expression: {clean_line(str(error))}")
            fault.add_class("-shown")
            return
        fault.remove_class("-shown")
        self._fill()
        self._choose_named(event.value)

    def _choose_named(self, typed: str) -> None:
        """Choose the first of the rows whose name matches the typed text best, if any does."""
        rows = self.query_one(RowList)
        names = {row.key: row.left for row in rows.rows if row.key}
        ranks = {key: match_name(typed, name) for key, name in names.items()}
        best = max(ranks, key=ranks.__getitem__, default="")
        if best and ranks[best]:
            rows.chosen = best

    @on(LineInput.Submitted)
    def _filter_done(self, event: LineInput.Submitted) -> None:
        """Open the chosen row; while nothing matches, nothing happens."""
        event.stop()
        self.post_message(messages.Acted())
        if self.query_one(RowList).chosen:
            self.focus_list()
            self.action_open_row()

    @on(FilterLine.Left)
    def _to_list(self, event: FilterLine.Left) -> None:
        """Go to the list, which stays filtered."""
        self.focus_list()
        self.query_one(RowList).action_move(event.by)

    @on(LineInput.Cancelled)
    def _filter_cancelled(self) -> None:
        was_typed = self.screen.focused is self.query_one(LineInput)
        self._end_filter()
        if was_typed and self._chosen_before:
            self.query_one(RowList).chosen = self._chosen_before
        self.focus_list()

    def _end_filter(self) -> None:
        """Show all rows, and close the line of the filter."""
        line = self.query_one(LineInput)
        self._pattern = None
        with line.prevent(LineInput.Changed):
            line.value = ""
        self.query_one(".fault", Static).remove_class("-shown")
        self._fill()
        self.remove_class("-editing")

    def clear_filter(self) -> bool:
        """Show all rows. Returns whether there was a filter."""
        if self._pattern is None and not self.has_class("-editing"):
            return False
        self._filter_cancelled()
        return True


# --- The panes that share one place on the main screen, each for its kinds of models ----------
# The Canvas exists from the start; the others are made when a model needs them.


def panes_in_canvas() -> dict[str, Kind]:
    """A kind of each of these panes, by the pane's id."""
    return {kind.pane: kind for kind in KINDS.values() if kind.replaces_canvas}


def list_screens() -> dict[str, Kind]:
    """A kind of each pane that has a screen of its own, by the pane's id."""
    return {kind.pane: kind for kind in KINDS.values() if kind.has_screen}


def make_pane(name: PaneName, session: Session) -> TracePane:
    pane = TracePane(shows_of(panes_in_canvas()[name]).pane, session)
    pane.add_class("slot")
    return pane


def tab_of(pane: PaneName) -> PaneName:
    """The tab of a pane: the Canvas's for all panes in its place."""
    return "canvas" if pane in panes_in_canvas() else pane


# --- The Training pane ------------------------------------------------------------------------

RETRY_DELAY = 0.1  # seconds until a view is drawn, if the terminal is busy
NO_TRAINING = "No runs yet. Press n to start one."

CURVES = {
    "loss": "train",
    "val_loss": "val",
    "generator_loss": "generator",
    "discriminator_loss": "discriminator",
}
"""The metrics in the chart and their labels in the legend."""
KEYS_WITHOUT_RUN = ("training.zoom", "training.log")
STYLES: "Mapping[str, LineKind]" = {"val": "marks"}
LOOKS = {
    "train": (0, False),
    "val": (0, True),
    "generator": (0, False),
    "discriminator": (1, False),
}


class TrainingPane(Pane):
    """Shows the curves and samples of one run, with keys that control it."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("training")]
    pane: PaneName = "training"
    heading = "Training"

    def __init__(self) -> None:
        super().__init__(id=self.pane)
        self.run: RunView | None = None
        self.controls = RunControls(self, lambda: self.run, NO_TRAINING)
        self._retry_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="head box"):
            yield StepBar()
            yield Line(classes="stats")
        with Horizontal(classes="body"):
            with Vertical(classes="curves"), Vertical(classes="box loss"):
                yield Curve(NO_TRAINING)
            with Vertical(classes="side"):
                yield SamplesPanel(marks=False, console=True)  # there is no title

    def on_mount(self) -> None:
        self.set_title()
        self.set_subtitle("n new run")
        self.set_interval(1.0, self._show_age)

    def copyables(self) -> list[Copyable]:
        return run_copyables(self.run.summary) if self.run is not None else []

    # --- showing ----------------------------------------------------------------------

    def show_run(self, view: RunView) -> None:
        """Draw a view of the run, a little later if the terminal is busy."""
        self.run = view
        driver = get_metered_driver(self.app)
        if driver is not None and driver.busy:
            if self._retry_timer is None:
                self._retry_timer = self.set_timer(RETRY_DELAY, self._retry)
            return
        self.paint()

    def _retry(self) -> None:
        self._retry_timer = None
        if self.run is not None:
            self.show_run(self.run)

    def clear_for(self, run: RunDir) -> None:
        """Clear the pane, if it shows another run, until this one has been read."""
        if self.run is not None and self.run.summary.run != run:
            self._clear("reading …")

    def clear(self) -> None:
        self._clear(NO_TRAINING)
        self.set_class(False, "-has-run")
        self.set_title()
        self.set_subtitle("n new run")

    def _clear(self, text: str) -> None:
        self.run = None
        self.query_one(Curve).clear(text)
        self.query_one(StepBar).clear()
        self.query_one(".stats", Static).update("")
        self.query_one(Curve).set(cursor=None)
        self.query_one(SamplesPanel).show(Snapshot())

    def paint(self) -> None:
        view = self.run
        if view is None:
            return
        summary, status = view.summary, view.summary.status
        self.set_class(True, "-has-run")
        sign, colour = mark(summary.state)
        name = clean_line(summary.info.name, 32)
        self.set_title((name, "bold"), "  ", (sign, colour), f" {summary.state}")
        self.set_subtitle(self._subtitle())
        self.query_one(StepBar).set(status.step, status.steps, summary.eta)
        self._show_age()
        self._paint_curves(view)
        self._show_sample()

    def _subtitle(self) -> str:
        hints = key_hints(self.run) if self.run is not None else []
        return " · ".join(hints or ["n new run"])

    def _show_age(self) -> None:
        if self.run is not None:
            stats = self.query_one(".stats", Line)
            stats.show(stats_line(self.run, time.time(), stats.size.width))

    def _paint_curves(self, view: RunView) -> None:
        curve = self.query_one(Curve)
        points = {
            label: view.series[key][:2] for key, label in CURVES.items() if key in view.series
        }
        if points:
            kinds: dict[str, LineKind] = {label: STYLES.get(label, "smoothed") for label in points}
            curve.set_series(points, kinds, LOOKS)
        else:
            curve.clear(waiting_text(view))

    def action_log(self) -> None:
        """Switch between a logarithmic and a linear axis of the loss."""
        curve = self.query_one(Curve)
        curve.set(log_y=not curve.options.log_y)

    def action_sample(self, by: int) -> None:
        if self.run is None:
            self.post_message(messages.ShowStatus(NO_TRAINING, "note"))
        else:
            self.post_message(messages.Acted())
            self.query_one(SamplesPanel).go(by)

    @on(messages.Pointed)
    def _pointed(self, event: messages.Pointed) -> None:
        event.stop()
        self.query_one(Curve).set(cursor=event.step)
        self._show_sample()

    def _show_sample(self) -> None:
        if self.run is not None:
            cursor = self.query_one(Curve).options.cursor
            self.query_one(SamplesPanel).show(Snapshot([self.run], cursor))

    # --- commands ---------------------------------------------------------------------

    def refused_keys(self) -> frozenset[str]:
        if self.run is None:
            training_keys = (key.id for key in keys.of_pane("training"))
            return frozenset(key for key in training_keys if key not in KEYS_WITHOUT_RUN)
        return frozenset(self.controls.refused_keys("training"))

    def names_of_keys(self) -> dict[str, str]:
        return self.controls.names_of_keys("training")


def _pull_command(row: str) -> str:
    """Return the command that fetches the model of a row."""
    return f"genui pull {row.removeprefix(PULL)}"
