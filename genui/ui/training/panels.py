"""What the model makes from one fixed seed: text, or as many pictures as there is room for."""

import asyncio
import re
import textwrap
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from rich.cells import cell_len
from rich.style import Style
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from genui.base import numbers
from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean, clean_line
from genui.render.axis import UNITS, Axis
from genui.render.series import View
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.keys import list_bindings
from genui.ui.terminal import may_move
from genui.ui.training import model
from genui.ui.training.model import (
    NO_LINES,
    SIDE_TABS,
    Clock,
    ConsoleFile,
    ConsoleText,
    Found,
    Group,
    Lines,
    Setting,
    SideTab,
    level,
    pattern,
    settings,
)
from genui.ui.watcher import RunView, Sample, load_sample
from genui.ui.widgets.base import (
    DeafWhenLeaving,
    Framed,
    Line,
    LineInput,
    clickable,
    message_strips,
    set_border,
    strip_of,
)
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.image import ImageView

if TYPE_CHECKING:
    import numpy as np

CELL = 32  # pixels; samples of pictures are a grid of 32×32
NO_SAMPLE = "The first sample shows here"
LEAST_SAME = 0.3  # of the words, for the others to be marked
_WORD = re.compile(r"\s+|[^\s]+")


class SampleBody(DeafWhenLeaving, Vertical):
    """One sample, under a line that says which."""

    def __init__(self, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._shown: tuple[Sample | None, Content, str] | None = None

    def compose(self) -> ComposeResult:
        yield Static(classes="sample-step")
        yield ImageView(" ")
        with VerticalScroll(classes="sample-room", can_focus=False):
            yield Static(NO_SAMPLE, classes="sample-text", markup=False)

    def show_one(self, sample: Sample | None, label: Content, before: str = "") -> None:
        """This sample; of a text the words that are not in `before` stand out."""
        shown = self._shown
        same = shown is not None and shown[0] is sample and shown[1].is_same(label)
        if not same or shown is None or shown[2] != before:
            self._shown = (sample, label, before)
            self._put(sample, label, before)

    def on_resize(self) -> None:
        if self._shown is not None:  # there may be room for more of a picture, or less
            self._put(*self._shown)

    def _put(self, sample: Sample | None, label: Content, before: str) -> None:
        self.set_class(sample is not None and sample.picture is not None, "-picture")
        self.set_class(sample is not None and bool(sample.text), "-text")
        self.query_one(".sample-step", Static).update(label)
        text = self.query_one(".sample-text", Static)
        if sample is None:
            text.update(NO_SAMPLE)
            return
        text.update(marked(clean(sample.text), before) if before else clean(sample.text))
        if sample.picture is not None:
            self.query_one(ImageView).show(self._fitting(sample.picture))

    def _fitting(self, picture: "np.ndarray") -> "np.ndarray":
        """As many whole pictures of a grid, uint8 [H, W, 3], as there is room for."""
        if picture.shape[0] % CELL or picture.shape[1] % CELL:
            return picture  # of somebody else's making: all of it, as small as it must be
        room = self.content_size
        rows = (room.height - 1) * (3 if self.has_class("-text") else 5) // 5
        height = 2 * rows  # pixels, two to a row
        whole = room.width >= CELL and height >= CELL
        side = CELL if whole else CELL // 2  # as many at half the size as fit, if not one whole
        columns, rows = max(1, room.width // side), max(1, height // side)
        return picture[: rows * CELL, : columns * CELL]


class SampleView(SampleBody):
    """The newest sample of a run, or an earlier one that was gone back to."""

    class Walked(Message):
        """Another sample is shown: of this step, or None where the newest is followed again."""

        def __init__(self, step: int | None) -> None:
            super().__init__()
            self.step = step

    def __init__(self, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._files: Mapping[int, Path] = {}
        self._newest: Sample | None = None
        self._past: Sample | None = None

    def on_mount(self) -> None:
        self.border_title = "Sample"
        self.border_subtitle = ", . earlier / later"

    def show(self, newest: Sample | None, files: Mapping[int, Path]) -> None:
        """The samples there are now; an earlier one that is looked at stays."""
        self._newest, self._files = newest, files
        if self._past is not None and self._past.step not in files:
            self._walk_to(None)
        self._draw()

    def clear(self) -> None:
        """Those of another run will follow."""
        self._walk_to(None)
        self.show(None, {})

    def go(self, by: int) -> None:
        """To an earlier or a later sample; from the last of them the newest is followed."""
        shown = self._past or self._newest
        steps = list(self._files)
        if shown is None or shown.step not in steps:
            return
        at = steps.index(shown.step) + by
        if at >= len(steps) - 1:
            self._walk_to(None)
        elif at >= 0:
            self._load(self._files[steps[at]], steps[at])

    @work(exclusive=True, exit_on_error=False)
    async def _load(self, path: Path, step: int) -> None:
        try:
            sample = await asyncio.to_thread(load_sample, path, step)
        except OSError as error:
            fault = str(error.strerror)
        else:
            if sample is not None:
                self._walk_to(sample)
                return
            fault = "not a sample that can be shown"
        self.post_message(messages.Say(clean_line(f"{path}: {fault}")))

    def _walk_to(self, past: Sample | None) -> None:
        self._past = past
        self.post_message(self.Walked(past.step if past is not None else None))
        self._draw()

    def _draw(self) -> None:
        sample = self._past or self._newest
        if sample is None:
            self.show_one(None, Content(""))
            return
        place = list(self._files).index(sample.step) + 1 if sample.step in self._files else 1
        which = f"  {place} of {len(self._files)}" if len(self._files) > 1 else ""
        label = Content.assemble(
            ("at step ", "$text-muted"),
            (numbers.count(sample.step), "bold $accent" if self._past else "bold"),
            (which, "$text-muted"),
        )
        self.show_one(sample, label)


def marked(text: str, before: str) -> Content:
    """`text` with the words in bold that `before` did not have in their place.

    Where little is the same everything is new, and nothing is marked.
    """
    words, known = _WORD.findall(text), _WORD.findall(before)
    blocks = SequenceMatcher(None, known, words, autojunk=False).get_matching_blocks()
    if sum(block.size for block in blocks) < LEAST_SAME * len(words):
        return Content(text)
    parts: list[str | tuple[str, str]] = []
    at = 0
    for _, start, size in blocks:
        if start > at:
            parts.append(("".join(words[at:start]), "bold $accent"))
        parts.append("".join(words[start : start + size]))
        at = start + size
    return Content.assemble(*parts)


# --- Rows to scroll through, of which those in view are drawn and no other --------------------


class RowScroller(ScrollView, can_focus=True, inherit_bindings=False):
    """Subclasses say how many rows there are (`count`) and draw one (`row`).

    With `follows` the end stays in view until someone scrolls up, and again once they are back.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--text", "rows--dim", "rows--heading", "rows--good", "rows--warn", "rows--bad",
        "rows--key", "rows--hit", "rows--hit-here",
    }  # fmt: skip
    DEFAULT_CSS = """
    RowScroller {
        width: 1fr;
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        & > .rows--text { color: $foreground; }
        & > .rows--dim { color: $text-muted; }
        & > .rows--heading { color: $text-muted; text-style: bold; }
        & > .rows--good { color: $text-success; }
        & > .rows--warn { color: $text-warning; }
        & > .rows--bad { color: $text-error; }
        & > .rows--key { color: $primary; }
        & > .rows--hit { color: $accent; text-style: underline; }
        & > .rows--hit-here {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: bold;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*list_bindings("by", "scroll_home", "scroll_end")]

    def __init__(self, empty: str, *, follows: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._empty = empty
        self._follows = follows
        self._at_end = follows

    @property
    def count(self) -> int:
        """How many rows there are, at the present width."""
        raise NotImplementedError

    def row(self, number: int, width: int) -> Strip:
        """One of them, at most `width` cells."""
        raise NotImplementedError

    def say_empty(self, text: str) -> None:
        """What is shown while there is no row."""
        if text != self._empty:
            self._empty = text
            self.refresh()

    def changed(self) -> None:
        """There are other rows, or another number of them."""
        at_end = self._at_end
        self.virtual_size = Size(0, self.count)
        if self._follows and at_end:
            self._jump(self.count)
            self._at_end = True
        self.refresh()

    @property
    def at_end(self) -> bool:
        """Whether it follows."""
        return self._at_end

    def reveal(self, number: int) -> None:
        """Scroll so that the row is in view, in the middle where it was not."""
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if not top <= number < top + height:
            self._jump(number - height // 2)

    def _jump(self, y: int) -> None:
        self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._at_end = self._follows and round(new_value) >= self.max_scroll_y

    def on_resize(self) -> None:
        self.changed()

    def action_by(self, rows: int) -> None:
        self.scroll_relative(y=rows, animate=False)

    def action_page(self, direction: int) -> None:
        self.action_by(direction * max(1, self.size.height - 2))

    def action_scroll_home(self) -> None:
        self._jump(0)

    def action_scroll_end(self) -> None:
        self._jump(self.count)

    def render_line(self, y: int) -> Strip:
        width, height = self.scrollable_content_region.size
        base = self.rich_style
        number = y + self.scroll_offset.y
        if not self.count:
            dim = self.get_component_rich_style("rows--dim")
            strips = message_strips(self._empty, dim, base, width, height)
            strip = strips[y] if y < len(strips) else Strip.blank(width, base)
        elif number < self.count:
            strip = self.row(number, width)
        else:
            strip = Strip.blank(width, base)
        return strip.adjust_cell_length(width, base)


# --- A panel of rows with a line to type in: what to look for in them -------------------------


class SearchedPanel(DeafWhenLeaving, Framed, Vertical):
    """Subclasses act on `typed` and say in `tell`, in the border, what came of it.

    The screen gives the panel the keys with `enter`; Esc gives them back.
    """

    DEFAULT_CSS = """
    SearchedPanel {
        width: 1fr;
        height: 1fr;
        & LineInput { display: none; background: $panel; padding: 0 1; }
        &.-typing LineInput { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", show=False),
        Binding("escape", "leave", "Back to the curves", show=False),
    ]

    def __init__(
        self, rows: RowScroller, *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._rows = rows

    def compose(self) -> ComposeResult:
        yield self._rows
        yield LineInput(placeholder="a regular expression", compact=True)

    def typed(self, text: str) -> None:
        """The line holds this now; nothing where it was given up."""
        raise NotImplementedError

    def tell(self) -> None:
        """Write the border anew: also when the keys come here, or go."""
        raise NotImplementedError

    def enter(self) -> None:
        """Give the rows the keys: arrows scroll, / searches, Esc goes back."""
        self._rows.focus()

    def action_leave(self) -> None:
        self.screen.set_focus(None)

    def on_descendant_focus(self) -> None:
        self.tell()

    def on_descendant_blur(self) -> None:
        self.call_later(self.tell)

    def action_search(self) -> None:
        """Type what to look for."""
        self.add_class("-typing")
        self.query_one(LineInput).focus()

    @on(LineInput.Changed)
    def _changed(self, event: LineInput.Changed) -> None:
        event.stop()
        self.typed(event.value)

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        self._close()

    @on(LineInput.Cancelled)
    def _cancelled(self, event: LineInput.Cancelled) -> None:
        event.stop()
        event.input.value = ""
        self._close()

    def _close(self) -> None:
        self.remove_class("-typing")
        self.enter()


# --- Asking the Training screen to move its cursor --------------------------------------------


class Pointed(Message):
    """Show the run as it was at this step; None follows the newest."""

    def __init__(self, step: int | None) -> None:
        super().__init__()
        self.step = step


# --- The column beside the curves: one panel at a time, by tabs -------------------------------


class Panel(Protocol):
    """What is shown of some runs at a place of the cursor."""

    def show(self, views: Sequence[RunView], cursor: float | None) -> None:
        """The runs, the steered one first, and the step of the cursor; None is the newest."""


class SideColumn(DeafWhenLeaving, Vertical):
    """Makes a panel when it is first asked for; those that are not seen are given nothing."""

    def __init__(self) -> None:
        super().__init__(classes="side")
        self._panels: dict[SideTab, Widget] = {}
        self._wanted: tuple[SideTab, Sequence[RunView], float | None] | None = None
        self._along: tuple[Axis, View | None] = ("step", None)
        self._asked: Callable[[Widget], None] | None = None

    def compose(self) -> ComposeResult:
        yield Line(classes="side-tabs")

    def show(self, tab: SideTab, views: Sequence[RunView], cursor: float | None) -> None:
        """That panel, of these runs."""
        self._wanted = tab, views, cursor
        self.query_one(".side-tabs", Line).show(_tabs(tab))
        if tab not in self._panels:
            self._panels[tab] = _panel(tab)
            self.call_later(self._add, self._panels[tab])
        for name, panel in self._panels.items():
            panel.display = name == tab
        self._fill()

    async def _add(self, panel: Widget) -> None:
        await self.mount(panel)
        self._fill()

    def look_along(self, axis: "Axis", span: "View | None") -> None:
        """The axis of the curves and what of it is in sight, for a panel with curves of its own."""
        self._along = axis, span

    def ask(self, call: Callable[[Widget], None]) -> None:
        """Do something with the panel that is shown, as soon as it shows its runs."""
        self._asked = call
        self._fill()

    def _fill(self) -> None:
        if self._wanted is None:
            return
        tab, views, cursor = self._wanted
        panel = self._panels[tab]
        if not views or not panel.is_mounted:
            return
        if tab == "system":
            cast("SystemPanel", panel).look_along(*self._along)
        cast("Panel", panel).show(views, cursor)
        if self._asked is not None:
            call, self._asked = self._asked, None
            call(panel)


def _tabs(current: SideTab) -> Content:
    parts = []
    for tab in SIDE_TABS:
        style = "bold $background on $primary" if tab == current else "$text-muted"
        parts.append(clickable(f" {tab.title()} ", style, f"screen.side('{tab}')"))
    return Content.assemble(*parts, ("  t next", "$text-disabled"))


def _panel(tab: SideTab) -> Widget:
    """Imported when it is first shown: no first chart waits for the others."""
    match tab:
        case "sample":
            return SamplesPanel(classes="box")
        case "console":
            return ConsolePanel(classes="box")
        case "config":
            return ConfigPanel(classes="box")
        case "system":
            return SystemPanel(classes="box")


# --- The console as it is drawn: time of day, sign, text, and what a search found -------------

_STAMP, _SIGN = 9, 2  # cells: "12:03:58 ", "✗ "
_NARROW = 34  # cells in which there is no room for the time of day


class ConsoleLines(RowScroller):
    """Draws a ConsoleText from its own width; the owner changes the text and calls `changed`."""

    def __init__(self, empty: str) -> None:
        super().__init__(empty, follows=True)
        self.text = ConsoleText()
        self.found: Mapping[int, Found] = {}  # by line
        self.here = -1  # the line of the hit that was gone to

    @property
    def _lead(self) -> int:
        """Cells before the text."""
        wide = self.scrollable_content_region.width >= _NARROW
        return _SIGN + (_STAMP if wide and self.text.stamped else 0)

    @property
    def _head(self) -> int:
        """Rows above the first line: what is left out is said there."""
        return 1 if self.text.skipped else 0

    @property
    def count(self) -> int:
        return self.text.rows + self._head if self.text.rows else 0

    def changed(self) -> None:
        self.text.resize(self.scrollable_content_region.width - self._lead)
        super().changed()

    def go_to(self, line: int) -> None:
        """Bring a line into view and mark it."""
        self.here = line
        self.reveal(self.text.first_row(line) + self._head)
        self.refresh()

    def line_in_view(self) -> int:
        """The line that the topmost row belongs to."""
        row = max(0, round(self.scroll_y) - self._head)
        return self.text.at(row)[0] if self.text.rows else 0

    def row(self, number: int, width: int) -> Strip:
        style = self.get_component_rich_style
        dim = style("rows--dim")
        if number < self._head:
            skipped = numbers.size(self.text.skipped)
            return strip_of([(f"{skipped} before this are in console.log only", dim)])
        line, start, end = self.text.at(number - self._head)
        pending = line == len(self.text.texts)
        text = self.text.pending if pending else self.text.texts[line]
        stamp = "" if pending else self.text.stamps[line]
        look, sign = level(text)
        words = style(f"rows--{look}") if look in {"bad", "warn"} else style("rows--text")
        first = start == 0
        parts: list[tuple[str, Style]] = []
        if self._lead > _SIGN:
            parts.append((f"{stamp if first else '':<{_STAMP}}", dim))
        parts.append((f"{sign if first else ' '} ", style(f"rows--{look}") + Style(bold=True)))
        found = None if pending else self.found.get(line)
        if found is None:
            parts.append((text[start:end], words))
        else:
            hit = style("rows--hit-here" if line == self.here else "rows--hit")
            shift = len(stamp) + 1 if stamp else 0
            a = min(max(found.start - shift, start), end)
            b = min(max(found.end - shift, a), end)
            parts += [(text[start:a], words), (text[a:b], hit), (text[b:end], words)]
            if first and found.start < shift:  # it begins in the time of day
                parts[0] = (parts[0][0], hit)
        return strip_of(parts)


# --- What the trainer printed: the newest line in view, all of it a scroll away, and a search -

NO_CONSOLE = "Nothing printed yet"
FOREIGN = "A log of another tool: what its script printed is not in it"


class ConsolePanel(SearchedPanel):
    """Follows console.log of the first of the runs that has one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "step_hit(1)", "Next hit", show=False),
        Binding("N", "step_hit(-1)", "Previous hit", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        self._lines = ConsoleLines(NO_CONSOLE)
        super().__init__(self._lines, id=id, classes=classes)
        self._run: RunDir | None = None
        self._file: ConsoleFile | None = None
        self._seen: object = None  # of the last view: another means that the file grew
        self._reading = False
        self._again = False  # it grew while it was read
        self._pattern: re.Pattern[str] | None = None
        self._fault = ""  # of what is typed
        self._hits: list[Found] = []
        self._hit = -1

    def on_mount(self) -> None:
        self.border_title = "Console"
        self.tell()

    # --- following ----------------------------------------------------------------------

    def show(self, views: Sequence[RunView], cursor: float | None) -> None:
        """The console does not move with the cursor: its lines have times, not steps."""
        own = next((view for view in views if view.summary.format == "genui"), None)
        if own is None:
            self._follow(None, FOREIGN if views else NO_CONSOLE)
            return
        if own.summary.run != self._run:
            self._follow(own.summary.run, NO_CONSOLE)
            name = clean_line(own.summary.info.name, 24)
            set_border(self, title=f"Console  {name}" if len(views) > 1 else "Console")
        if self._seen is not own.console:
            self._seen = own.console
            self._read()

    def _follow(self, run: RunDir | None, empty: str) -> None:
        self._lines.say_empty(empty)
        if run == self._run:
            return
        self._run, self._seen = run, None
        self._file = ConsoleFile(run.console) if run is not None else None
        self._take(NO_LINES)

    def _read(self) -> None:
        if self._reading:
            self._again = True
        elif self._file is not None:
            self._reading = True
            self._read_on(self._file)

    @work(group="console", exit_on_error=False)
    async def _read_on(self, file: ConsoleFile) -> None:
        """Take in what there is, a piece after another."""
        try:
            while file is self._file:
                self._again = False
                new = await asyncio.to_thread(file.read)
                if new is not None and file is self._file:
                    self._take(new)
                if not (self._again or (new is not None and new.more)):
                    break
        except GenuiError as error:
            self.post_message(messages.Say(clean_line(str(error))))
        finally:
            self._reading = False
        if file is not self._file:
            self._read()

    def _take(self, new: Lines) -> None:
        lines = self._lines
        first = 0 if new.fresh else len(lines.text.texts)
        lines.text.take(new)
        if new.fresh:
            self._hits, self._hit = [], -1
            lines.found, lines.here = {}, -1
        lines.changed()
        if self._pattern is not None and len(lines.text.texts) > first:
            self._find(self._pattern, first)

    # --- searching ----------------------------------------------------------------------

    def typed(self, text: str) -> None:
        try:
            # As in most pagers: small letters find capitals too.
            flags = re.IGNORECASE if text == text.lower() else 0
            pattern = re.compile(text, flags) if text else None
        except (re.error, RecursionError, OverflowError) as error:
            self._fault = clean_line(str(error), 40)
            self.tell()
            return
        self._pattern, self._fault, self._hits, self._hit = pattern, "", [], -1
        self._lines.found, self._lines.here = {}, -1
        self._lines.refresh()
        self.tell()
        if pattern is not None:
            self._find(pattern, 0)

    @work(group="search", exit_on_error=False)
    async def _find(self, pattern: re.Pattern[str], first: int) -> None:
        text = self._lines.text
        hits = await asyncio.to_thread(text.find, pattern, first)
        if pattern is not self._pattern:
            return  # another one has been typed since
        lines = self._lines
        self._hits = [hit for hit in self._hits if hit.line < first] + hits
        lines.found = {hit.line: hit for hit in self._hits}
        if self._hit < 0 and self._hits:
            # The last one at or above what is in view: in a console the newest matter.
            self.step_hit(-1)
        else:
            lines.refresh()
            self.tell()

    def action_step_hit(self, by: int) -> None:
        """The next hit, or the one before."""
        if self._pattern is None:
            self.action_search()
        else:
            self.step_hit(by)

    def step_hit(self, by: int) -> None:
        """Go to the next hit or the one before, round the ends."""
        if not self._hits:
            self.tell()
            return
        if self._hit < 0:
            self._hit = 0 if by > 0 else len(self._hits) - 1
        else:
            self._hit = (self._hit + by) % len(self._hits)
        self._lines.go_to(self._hits[self._hit].line)
        self.tell()

    def tell(self) -> None:
        if self._fault:
            words = Content.assemble((f"not a regular expression: {self._fault}", "$text-error"))
        elif self._pattern is None:
            words = Content("/ search · esc leave" if self.has_focus_within else "i search, scroll")
        elif not self._hits:
            words = Content("no hit · / search")
        else:
            at, count = numbers.count(self._hit + 1), numbers.count(len(self._hits))
            words = Content(f"hit {at} of {count} · n N next, previous")
        set_border(self, subtitle=words)


# --- The settings of runs as they are drawn: one a row, in a column for each run --------------

NO_SETTINGS = "No settings are known of this run"
_WIDEST_KEY = 0.45  # of the width
_LEAST_COLUMN = 8  # cells
_GAP = 2

_Row = list[tuple[str, str]]  # texts with their looks


class SettingRows(RowScroller):
    """Draws settings in columns of its own width."""

    def __init__(self) -> None:
        super().__init__(NO_SETTINGS)
        self._names: tuple[str, ...] = ()
        self._settings: Sequence[Setting] = ()
        self._rows: list[_Row] = []
        self._changed_keys: frozenset[str] = frozenset()

    def set(
        self, names: Sequence[str], found: Sequence[Setting], changed_keys: frozenset[str]
    ) -> None:
        """The runs by name, their settings, and which keys of a single run were changed."""
        self._names, self._settings, self._changed_keys = tuple(names), found, changed_keys
        self.changed()

    def changed(self) -> None:
        self._rows = list(self._laid_out(self.scrollable_content_region.width))
        super().changed()

    @property
    def count(self) -> int:
        return len(self._rows)

    def row(self, number: int, width: int) -> Strip:
        looks: dict[str, Style] = {}
        for _, look in self._rows[number]:
            looks[look] = looks.get(look) or self.get_component_rich_style(f"rows--{look}")
        return strip_of((text, looks[look]) for text, look in self._rows[number])

    def _laid_out(self, width: int) -> list[_Row]:
        if not self._settings or width < 2 * _LEAST_COLUMN:
            return []
        longest = max(len(one.key) for one in self._settings) + 2
        key = max(_LEAST_COLUMN, min(longest, int(width * _WIDEST_KEY)))
        if len(self._names) < 2:
            rows: list[_Row] = []
            for one in self._settings:
                rows += self._alone(one, key, width - key - _GAP)
            return rows
        # As many runs as have room: the first ones.
        most = max(1, (width - key) // (_LEAST_COLUMN + _GAP))
        each = (width - key) // min(most, len(self._names)) - _GAP
        rows = [self._columns("", self._names[:most], key, each, "heading")]
        heading = ""
        for one in self._settings:
            wanted = "differs" if one.differs else "same"
            if wanted != heading:
                heading = wanted
                rows.append([(heading, "heading")])
            look = "text" if one.differs else "dim"
            rows.append(self._columns(one.key, one.values[:most], key, each, look))
        return rows

    def _alone(self, one: Setting, key: int, width: int) -> list[_Row]:
        """A setting of the only run: a long value takes several rows."""
        changed = one.key in self._changed_keys
        value = one.values[0]
        fits = len(value) <= width and value.isascii()
        lines = [value] if fits else textwrap.wrap(value, max(width, 1))
        name = f"{'•' if changed else ' '} {clean_line(one.key, key - 2)}"
        heads = [_padded(name, key + _GAP)]
        heads += [" " * (key + _GAP)] * (len(lines) - 1)
        look = "key" if changed else "text"
        return [[(head, "dim"), (line, look)] for head, line in zip(heads, lines, strict=True)]

    def _columns(self, name: str, values: Sequence[str], key: int, each: int, look: str) -> _Row:
        row: _Row = [(_padded(clean_line(name, key), key), "dim")]
        for value in values:
            text = clean_line(value, each) or "–"
            row.append((f"{' ' * _GAP}{_padded(text, each)}", look))
        return row


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


# --- The settings of a run; of several, side by side, what differs first ----------------------

NO_MATCH = "No setting matches. / and Esc show all of them"


class ConfigPanel(SearchedPanel):
    """Key and value of every setting, to scroll and to filter."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        self._table = SettingRows()
        super().__init__(self._table, id=id, classes=classes)
        self._shown: object = None
        self._names: list[str] = []
        self._settings: list[Setting] = []
        self._changed_keys: frozenset[str] = frozenset()
        self._filter = pattern("")
        self._wanted = 0
        self._fault = False

    def on_mount(self) -> None:
        self._draw()

    def show(self, views: Sequence[RunView], cursor: float | None) -> None:
        """A run's settings are the same at every step: the cursor changes nothing here."""
        key = [(view.summary.run, view.config, view.summary.info.overrides) for view in views]
        if key == self._shown:
            return
        self._shown = key
        self._names = [clean_line(view.summary.info.name, 24) for view in views]
        self._settings = settings([view.config for view in views])
        overrides = views[0].summary.info.overrides if views else {}
        self._changed_keys = frozenset(overrides)
        self._draw()

    def typed(self, text: str) -> None:
        try:
            self._filter, self._fault = pattern(text), False
        except MisuseError:
            self._fault = True
            self.tell()
        else:
            self._draw()

    def _draw(self) -> None:
        wanted = [one for one in self._settings if self._matches(one)]
        self._wanted = len(wanted)
        self._table.say_empty(NO_MATCH if self._settings else NO_SETTINGS)
        self._table.set(self._names, wanted, self._changed_keys)
        self.tell()

    def _matches(self, one: Setting) -> bool:
        return any(self._filter.search(text) for text in (one.key, *one.values))

    def tell(self) -> None:
        count = numbers.count(len(self._settings))
        title = "Config"
        if len(self._names) > 1:
            title += (
                f"  {numbers.count(sum(one.differs for one in self._settings))} of {count} differ"
            )
        elif self._changed_keys:
            title += "  • set by you"
        some = f"{numbers.count(self._wanted)} of {count} · " if self._filter.pattern else ""
        keys = "/ filter · esc leave" if self.has_focus_within else "i filter, scroll"
        words = Content(f"{some}{keys}" if self._settings else "")
        if self._fault:
            words = Content.assemble(("not a regular expression yet", "$text-error"))
        set_border(self, title=title, subtitle=words)


# --- What the model wrote or drew at the step of the cursor, and the whole history as a film --

FRAMES_A_SECOND = 5
LEAST_ROWS = 5  # of a run's sample where several lie one under the other
MOST_RUNS = 6
ROOMY = 12  # rows in which one may be left empty
_KEPT = 64  # samples that are held: a megabyte each at the very most

NONE_OWN = "No sample yet. This training makes one every {} steps (--set sample_every=N)."
NONE_SCRIPT = 'No sample yet. A script makes one with run.log({"sample": genui.Image(picture)}).'
NO_FOREIGN_SAMPLES = "A log of another tool: genui reads no samples from it."


class SamplesPanel(DeafWhenLeaving, Framed, Vertical):
    """The samples of one run, or of several at the same step, one under the other.

    Walking and playing move the cursor of the screen: they post Pointed.
    """

    DEFAULT_CSS = """
    SamplesPanel {
        width: 1fr;
        height: 1fr;
        & > Line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > .samples-none { height: 1fr; display: none; color: $text-muted; text-wrap: wrap; }
        &.-none > .samples-none { display: block; }
        &.-none > .samples-place { display: none; }
        &.-roomy > .samples-place { margin: 0 0 1 0; }
        & SampleBody { height: 1fr; }
        &.-one SampleBody .sample-step { display: none; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._views: Sequence[RunView] = ()
        self._cursor: float | None = None
        self._steps: list[int] = []  # at which there is a sample
        self._loaded: object = None  # which samples were asked for last
        self._loading = False
        self._kept: OrderedDict[tuple[Path, int], Sample | None] = OrderedDict()
        self._film: list[int] = []  # what is still to be played
        self._timer: Timer | None = None
        self._began = self._painted = 0.0

    def compose(self) -> ComposeResult:
        yield Line(classes="samples-place")
        yield Line(classes="samples-none", markup=False)
        yield SampleBody()

    def on_mount(self) -> None:
        self.border_title = "Sample"

    # --- showing ------------------------------------------------------------------------

    def show(self, views: Sequence[RunView], cursor: float | None) -> None:
        """The newest samples at or before `cursor`, a step; None for the newest of all."""
        files = tuple(id(view.sample_files) for view in views)
        if files != tuple(id(view.sample_files) for view in self._views):
            self._steps = model.frames(views) if views else []
        self._views, self._cursor = views, cursor
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        """What says where we are, at once, and then the samples, where they are others."""
        self.set_class(not self._steps, "-none")
        self.set_class(self.size.height >= ROOMY and len(self._views) < 2, "-roomy")
        self.query_one(".samples-place", Line).show(self._place())
        self._tell()
        if not self._steps:
            self.query_one(".samples-none", Line).show(Content(_why_no_samples(self._views)))
        wanted = self._wanted()
        if wanted != self._loaded:
            self._loaded = wanted
            if not self._loading:
                self._loading = True
                self._load()

    def _wanted(self) -> tuple[object, ...]:
        """Which samples belong on the screen, by run, step, and what is known of the newest."""
        return tuple(
            (view.summary.run, model.at_or_before(list(view.sample_files), self._cursor))
            for view in self._fitting()
        )

    def _fitting(self) -> list[RunView]:
        """The runs there is room for, those without a sample last."""
        with_samples = [view for view in self._views if view.sample_files]
        room = max(1, min(MOST_RUNS, (self.size.height - 1) // LEAST_ROWS))
        return with_samples[:room]

    def _place(self) -> Content:
        """`step 768 of 1,240  ◂ 704  832 ▸`."""
        if not self._steps:
            return Content("")
        shown = model.at_or_before(self._steps, self._cursor)
        before, after = model.beside(self._steps, self._cursor)
        newest = max(self._steps[-1], *(view.summary.status.step for view in self._views))
        parts: list[object] = [("step ", "$text-muted")]
        if shown is None:
            parts.append((f"before the first, at {numbers.count(self._steps[0])}", "$text-muted"))
        else:
            parts.append((numbers.count(shown), "bold" if self._cursor is None else "bold $accent"))
            parts.append((f" of {numbers.count(newest)}", "$text-muted"))
        parts.append("   ")
        if before is not None:
            parts.append(clickable(f"◂ {numbers.count(before)}", "$primary", "go(-1)"))
            parts.append("  ")
        if after is not None:
            parts.append(clickable(f"{numbers.count(after)} ▸", "$primary", "go(1)"))
        return Content.assemble(*parts)  # type: ignore[arg-type]

    def _tell(self) -> None:
        title = "Sample" if self._cursor is None else "Sample at the cursor"
        hidden = sum(1 for view in self._views if view.sample_files) - len(self._fitting())
        if hidden > 0:
            title += f"  {hidden} more {'run does' if hidden == 1 else 'runs do'} not fit"
        set_border(self, title=title)
        words = ", . earlier, later" if len(self._steps) > 1 else ""
        if self.playing:
            words = f"▶ {numbers.count(len(self._film))} to go · any key stops"
        set_border(self, subtitle=words)

    @work(group="samples", exit_on_error=False)
    async def _load(self) -> None:
        """Read what is to be shown, on a thread, and show it all at once; then what is by then."""
        try:
            done: object = None
            while done != self._loaded:
                done = self._loaded
                await self._read()
        finally:
            self._loading = False

    async def _read(self) -> None:
        cursor = self._cursor
        found: list[tuple[RunView, Sample | None, Sample | None]] = []
        for view in self._fitting():
            steps = list(view.sample_files)
            step = model.at_or_before(steps, cursor)
            before = model.beside(steps, step)[0] if step is not None else None
            found.append((view, await self._sample(view, step), await self._sample(view, before)))
        await self._make_room(len(found))
        self.set_class(len(self._views) < 2, "-one")
        for body, (view, sample, before) in zip(self.query(SampleBody), found, strict=False):
            body.show_one(sample, self._label(view, sample), before.text if before else "")

    async def _make_room(self, count: int) -> None:
        """As many bodies as there are runs to show, of which there is one at least."""
        bodies = list(self.query(SampleBody))
        for body in bodies[max(count, 1) :]:
            await body.remove()
        missing = [SampleBody() for _ in range(count - len(bodies))]
        if missing:
            await self.mount(*missing)
        for body in self.query(SampleBody):
            body.display = count > 0

    def _label(self, view: RunView, sample: Sample | None) -> Content:
        name = (clean_line(view.summary.info.name, 24), "bold")
        if sample is None:
            return Content.assemble(name, ("  had made none by then", "$text-muted"))
        return Content.assemble(name, (f"  step {numbers.count(sample.step)}", "$text-muted"))

    async def _sample(self, view: RunView, step: int | None) -> Sample | None:
        """The sample of a step; None where there is none, or it cannot be read."""
        if step is None:
            return None
        newest = view.sample
        if newest is not None and newest.step == step:
            return newest
        key = (view.sample_files[step], step)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        try:
            sample = await asyncio.to_thread(load_sample, *key)
        except OSError:
            return None  # the run was removed meanwhile; its view tells
        self._kept[key] = sample
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return sample

    # --- walking and playing --------------------------------------------------------------

    def action_go(self, by: int) -> None:
        self.go(by)

    def go(self, by: int) -> None:
        """To an earlier or a later sample; from the last of them the newest is followed."""
        before, after = model.beside(self._steps, self._cursor)
        step = before if by < 0 else after
        if step is not None:
            self._point(step)

    def _point(self, step: int) -> None:
        self.post_message(Pointed(None if step == self._steps[-1] else step))

    @property
    def playing(self) -> bool:
        """Whether the film is on."""
        return bool(self._film)

    def play(self) -> None:
        """The history from the cursor on, or from its beginning; again, or any key, stops."""
        if self.playing:
            self.stop()
        elif len(self._steps) > 1:
            self._film = model.film(self._steps, self._cursor)
            self._began = self._painted = time.monotonic()
            self._timer = self.set_interval(1 / FRAMES_A_SECOND, self._next)
            self._next()

    def stop(self) -> None:
        """Hold the film where it is."""
        if self._timer is not None:
            self._timer.stop()
        self._timer, self._film = None, []
        self._tell()

    def _next(self) -> None:
        if getattr(self.app, "last_key_at", 0.0) > self._began or not self._film:
            self.stop()
            return
        if not may_move(self.app, self._painted):
            return  # the terminal has not taken the last frame
        self._painted = time.monotonic()
        self._point(self._film.pop(0))
        if not self._film:
            self.stop()

    def on_unmount(self, event: events.Unmount) -> None:
        if self._timer is not None:
            self._timer.stop()


def _why_no_samples(views: Sequence[RunView]) -> str:
    if not views:
        return ""
    summary = views[0].summary
    if summary.format != "genui":
        return NO_FOREIGN_SAMPLES
    if summary.info.kind == "script":
        return NONE_SCRIPT
    return NONE_OWN.format(clean_line(str(summary.info.recipe.get("sample_every", "so many")), 12))


# --- What the machine did: processors, memory, disk and GPUs along the axis of the curves -----

LEAST_CURVE = 5  # rows
NONE_YET = "Nothing measured yet: a running training measures its machine every other second"
NONE_KEPT = "Nothing was recorded of the machine while this run trained"
NO_FOREIGN_SYSTEM = "A log of another tool: nothing of its machine is read from it"


class MeasureView(DeafWhenLeaving, Vertical):
    """A line that tells the values, and the curve below it where there is room."""

    DEFAULT_CSS = """
    MeasureView {
        height: 1;
        & > Line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > Curve { display: none; }
        &.-curve { height: 1fr; }
        &.-curve > Curve { display: block; }
    }
    """

    def compose(self) -> ComposeResult:
        yield Line()
        yield Curve(" ", legend=False)

    def show(
        self, group: Group, view: RunView, clock: Clock, axis: Axis, span: View | None,
        cursor: float | None,
    ) -> None:  # fmt: skip
        """The group's measures of that run; `cursor` is a place on the axis."""
        curve = self.query_one(Curve)
        series = {}
        unit = UNITS[axis]
        for label, name in group.series.items():
            points = view.system[name]
            x = clock.places(points[2])
            if x is None:
                unit = UNITS["time"]
            series[label or group.title] = model.drawn(points, x)
        curve.unit = unit
        curve.view = (span or clock.extent()) if unit == UNITS[axis] else None
        curve.cursor = cursor
        curve.set_series(series)
        self._tell(group, curve, cursor)

    def _tell(self, group: Group, curve: Curve, cursor: float | None) -> None:
        _, last = curve.span()
        there = curve.values_at(last if cursor is None else cursor)
        line = Content.assemble((group.title, "$text-muted"))
        unit = Content.assemble((f" {group.unit}", "$text-muted"))
        for label, (_, value) in there.items():
            name = "" if label == group.title else f"{clean_line(label, 16)} "
            shown = (numbers.short(value), "bold $foreground")
            more = Content.assemble(line, "  ", (name, "$text-muted"), shown)
            if (more + unit).cell_length > self.size.width:
                break  # half a number would be another number
            line = more
        self.query_one(Line).show(line + unit)


class SystemPanel(DeafWhenLeaving, Framed, Vertical):
    """Of the first run that has measures: every group a line, and as many curves as fit."""

    DEFAULT_CSS = """
    SystemPanel {
        width: 1fr;
        height: 1fr;
        & > .system-none { height: 1fr; display: none; color: $text-muted; text-wrap: wrap; }
        &.-none > .system-none { display: block; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._axis: Axis = "step"
        self._span: View | None = None
        self._views: Sequence[RunView] = ()
        self._cursor: float | None = None
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        yield Line(classes="system-none", markup=False)

    def on_mount(self) -> None:
        self.border_title = "System"

    def look_along(self, axis: Axis, span: View | None) -> None:
        """Draw along this axis, and this stretch of it (None: all), as the curves do."""
        if (axis, span) != (self._axis, self._span):
            self._axis, self._span = axis, span
            self._draw()

    def show(self, views: Sequence[RunView], cursor: float | None) -> None:
        """The machine at the step `cursor`; None for the newest."""
        self._views, self._cursor = views, cursor
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        view = next((view for view in self._views if view.system), None)
        newest = view and max(len(points[0]) for points in view.system.values())
        steps = view and view.summary.status.step
        now = (view and view.summary.run, newest, steps, self._cursor, self._axis, self._span)
        now = (*now, len(self._views), self.size)
        if now == self._drawn:
            return
        self._drawn = now
        self.set_class(view is None, "-none")
        if view is None:
            self.query_one(".system-none", Line).show(Content(_why_no_system(self._views)))
            found: list[Group] = []
        else:
            found = model.groups(view.system)
            name, host = view.summary.info.name, view.summary.info.host
            which = f"{name} on {host}" if len(self._views) > 1 else host
            set_border(self, title=f"System  {clean_line(which, 40)}".rstrip())
        self._lay_out(found, view)

    def _lay_out(self, found: Sequence[Group], view: RunView | None) -> None:
        """A line for every group; the first ones get the curves that there is room for."""
        shown = list(self.query(MeasureView))
        missing = [MeasureView() for _ in range(len(found) - len(shown))]
        if missing:
            self.mount_all(missing)
            self.call_after_refresh(self._again)
            return
        for extra in shown[len(found) :]:
            extra.display = False
        curves = max(0, self.size.height - len(found)) // LEAST_CURVE
        if view is None:
            return
        clock = Clock(view, self._axis)
        place = clock.place_of(self._cursor) if self._cursor is not None else None
        for number, (group, measure) in enumerate(zip(found, shown, strict=False)):
            measure.display = True
            measure.set_class(number < curves, "-curve")
            measure.show(group, view, clock, self._axis, self._span, place)

    def _again(self) -> None:
        """There are places for all of them now."""
        self._drawn = None
        self._draw()


def _why_no_system(views: Sequence[RunView]) -> str:
    if not views:
        return ""
    summary = views[0].summary
    if summary.format != "genui":
        return NO_FOREIGN_SYSTEM
    return NONE_YET if summary.alive else NONE_KEPT
