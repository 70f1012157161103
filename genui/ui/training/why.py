"""The window of a step that is computed again: its examples with their losses, the most unusual
first."""

import asyncio
from typing import Any, ClassVar

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from genui.base.errors import GenuiError
from genui.base.late import late_imports
from genui.base.numbers import about, count, quantity, value
from genui.base.text import clean, clean_line
from genui.runs.layout import RunDir
from genui.runs.norms import NORM_KINDS, NormKind
from genui.ui.lifecycle import is_usable
from genui.ui.processes import read_lines
from genui.ui.training.norms import SCALE, relative_levels
from genui.ui.training.system import HeatMap
from genui.ui.widgets.dialogs import Window
from genui.ui.widgets.image import ImageView
from genui.ui.widgets.lists import ListRow, RowList

with late_imports():
    from genui.formats import image
    from genui.runs import recomputed


MOST_CAUSES = 3
"""The likely causes that are named above the rows."""


class WhyScreen(Window[None]):
    """Computes a step of a run again in a process, which ends when the window closes.

    Where that takes long, it asks first: Enter computes the steps, `w` measures the examples with
    the nearest earlier weights.
    """

    DEFAULT_CSS = """
    WhyScreen {
        & .summary { margin-bottom: 1; }
        & RowList { background: $background; max-height: 45%; }
        & .example { height: 1fr; margin-top: 1; }
        & ImageView { display: none; width: 40%; }
        & .example.-image ImageView { display: block; }
        & .window.-alone RowList { display: none; }
        & HeatMap, & .layers { display: none; }
        & HeatMap { height: 1fr; margin-top: 1; }
        & .window.-layers RowList, & .window.-layers .example { display: none; }
        & .window.-layers HeatMap, & .window.-layers .layers { display: block; }
        & .window.-alone ImageView { width: 70%; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,z", "open", "Compute the steps, or open the example", show=False),
        Binding("w", "weights", "With the weights alone", show=False),
        Binding("l", "layers", "Norms by layer, or the examples", show=False),
        Binding("escape,q", "close", "Cancel, or close", show=False),
    ]

    def __init__(self, run: RunDir, name: str, step: int) -> None:
        super().__init__()
        self._run, self._name, self._step = run, name, step
        self._waits = False  # for the user to say whether the steps are computed
        self._norm: NormKind | None = None  # that is shown in place of the examples
        self.found: recomputed.Recomputed | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="window why"):
            yield Static("looking for the nearest state …", classes="summary", markup=False)
            yield RowList()
            with Horizontal(classes="example"):
                yield ImageView(" ")
                with VerticalScroll(can_focus=False):
                    yield Static(classes="text", markup=False)
            yield Static(classes="layers", markup=False)
            yield HeatMap()

    def on_mount(self) -> None:
        self.set_titles(f"Step {count(self._step)} of {clean_line(self._name, 40)}", "esc cancel")
        self.query_one(RowList).focus()
        self._plan()

    # --- computing --------------------------------------------------------------------

    @work(group="why", exclusive=True, exit_on_error=False)
    async def _plan(self) -> None:
        """Find out how long it takes, and begin if that is not long."""
        try:
            plan = await asyncio.to_thread(recomputed.plan_replay, self._run, self._step)
        except GenuiError as error:
            self._say(str(error))
            return
        if plan.is_long:
            self._waits = True
            steps = quantity(plan.steps, "step")
            self._say(
                f"Computing {steps} again, from step {count(plan.began)}, takes about "
                f"{about(plan.seconds, True)}.\n⏎ begins · w measures the examples at once, with "
                "the weights of that step"
            )
        else:
            self._compute(False)

    @work(group="why", exclusive=True, exit_on_error=False)
    async def _compute(self, weights_alone: bool) -> None:
        self._waits = False
        self._say(f"Training again to step {count(self._step)}, for its examples: starting …")
        command = recomputed.command_for(self._run, self._step, weights_alone)
        fault = await read_lines(command, self._take)
        if fault:
            self._say(fault)

    def _take(self, message: dict[str, Any]) -> None:
        """Take a line of the process."""
        kinds = recomputed.Progress | recomputed.Recomputed
        line = msgspec.convert(message, kinds, str_keys=True)
        if isinstance(line, recomputed.Recomputed):
            self.found = line
            self._show_found(line)
        else:
            self._say(line.text)

    def _say(self, text: str) -> None:
        if is_usable(self):
            self.query_one(".summary", Static).update(clean(text))

    # --- keys -------------------------------------------------------------------------

    def action_open(self) -> None:
        """Begin to compute, or show the chosen example alone and back."""
        if self._waits:
            self._compute(False)
        elif self.found is not None and self.found.examples:
            self.query_one(".window").toggle_class("-alone")

    def action_weights(self) -> None:
        """Measure the examples without computing the steps before."""
        if self.found is None or self.found.replayed:
            self._compute(True)

    def action_layers(self) -> None:
        """Show the norms by layer, one kind after the other, and then the examples again."""
        if self.found is not None and self.found.norms:
            kinds = (None, *NORM_KINDS, None)
            self._show_layers(self.found, kinds[kinds.index(self._norm) + 1])

    def action_close(self) -> None:
        """Go back from the layers or an example to the list, or close."""
        if self.found is not None and self._norm:
            self._show_layers(self.found, None)
        elif self.query_one(".window").has_class("-alone"):
            self.action_open()
        else:
            self.leave()

    @on(RowList.Opened)
    def _opened(self) -> None:
        self.action_open()

    # --- drawing ----------------------------------------------------------------------

    def _show_found(self, found: "recomputed.Recomputed") -> None:
        if not is_usable(self):
            return
        metrics = [f"{name} {value(number)}" for name, number in found.metrics.items() if number]
        head = " · ".join([*metrics, found.agreement])
        self._say("\n".join([head, *found.notes, *found.conclude(MOST_CAUSES)]))
        rows = [_row(example) for example in found.examples]
        self.query_one(RowList).set_rows(rows)
        self.set_titles(
            f"Step {count(self._step)} of {clean_line(self._name, 40)}",
            "↑↓ choose · ⏎ the example alone · l layers · esc close",
        )

    def _show_layers(self, found: "recomputed.Recomputed", kind: "NormKind | None") -> None:
        """Show a kind of norms of the steps that were computed; None: the examples again."""
        self._norm = kind
        self.query_one(".window").set_class(kind is not None, "-layers")
        if kind is None:
            return
        layers = {layer: points for layer, points in found.layers(kind).items() if len(points[0])}
        rows = {layer: relative_levels(points) for layer, points in layers.items()}
        first = min((float(steps[0]) for steps, _ in rows.values()), default=0.0)
        self.query_one(HeatMap).show(rows, (first, max(first + 1, found.step)), found.step)
        steps = f"{kind} by layer, steps {count(int(first))} to {count(found.step)} · {SCALE}"
        text = "\n".join([steps, found.describe_layers(layers)])
        self.query_one(".layers", Static).update(clean(text))

    @on(RowList.Chosen)
    def _show_example(self, event: RowList.Chosen) -> None:
        event.stop()
        examples = self.found.examples if self.found is not None else ()
        example = next((each for each in examples if str(each.row) == event.key), None)
        if example is None:
            return
        place = self.query_one(".example")
        place.set_class(bool(example.image), "-image")
        if example.image:
            (pixels, *_), _ = image.decode_image(example.image, example.source)
            self.query_one(ImageView).show(pixels)
        about_it = [example.source, example.cause, "", example.text]
        text = "\n".join(line for at, line in enumerate(about_it) if line or at == 2)
        self.query_one(".text", Static).update(clean(text))


def _row(example: "recomputed.Example") -> ListRow:
    measures, words = example.measures, recomputed.SHOWN
    known = [(word, measures[name]) for name, word in words.items() if name in measures]
    numbers = [f"{word} {'NaN' if number is None else value(number)}" for word, number in known]
    return ListRow(
        key=str(example.row),
        left=clean_line(f"{example.source} · {example.text}"),
        right=" · ".join(numbers),
        mark="!" if example.cause else " ",
        mark_kind="bad" if example.cause else "dim",
        about=example.cause,
    )
