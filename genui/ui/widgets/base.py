"""The base of the app's widgets: life cycle, borders, header and footer, panes, lists, lines.

Textual removes the widgets of a screen one by one, and each still handles its message queue. A
late message from the worker or the watcher could reach a widget whose children are already removed
or, if the app ends early, not composed yet; so could a key or a reply for a screen that was just
dismissed. `LifecycleGuard` ignores such messages.
"""

import asyncio
import re
import textwrap
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType, coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, Self

from rich.cells import cell_len
from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual import events, messages, on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.message_pump import MessagePump
from textual.reactive import reactive
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import Worker

from genui.base.numbers import about, count
from genui.base.text import clean_line, shorten_middle
from genui.render.colours import ColourMode
from genui.ui import keys
from genui.ui.keys import Key, PaneName, Scope, list_bindings, list_views
from genui.ui.messages import KeysChanged, ViewName, ZoomPane
from genui.ui.textual_parts import (
    border_text,
    filter_messages,
    is_closing,
    is_ending,
    own_bindings,
    put_border_text,
)
from genui.ui.traces.compare import Part
from genui.ui.traces.trees import Trace

if TYPE_CHECKING:
    from textual.dom import DOMNode as _Node
else:
    _Node = MessagePump  # Textual takes its styles from the first base that is a DOMNode


class KeyAnswered(Message):
    """Follows a key from the widget that it was sent to up to the app: all have handled it."""


_ALWAYS_HANDLED = (
    events.Unmount, events.Callback, events.ScreenSuspend, messages.CloseMessages,
    messages.ExitApp, messages.Prune, KeyAnswered,
)  # fmt: skip


@filter_messages
class LifecycleGuard(_Node):
    """A mixin of the app, its screens and all widgets that query their children: ignores messages
    and actions while the children are missing."""

    _assembled = False

    @property
    def usable(self) -> bool:
        """Whether the children can be queried: they are mounted, and not being removed.

        Functions that are called from outside (by a timer or the command palette) must check
        this; handlers of messages and actions need not.
        """
        return self._assembled and not self._is_removed

    @property
    def _is_removed(self) -> bool:
        if is_ending(self.app) or not self.app.is_running or is_closing(self):
            return True
        if not isinstance(self, Screen) or not self._assembled:
            return False
        return self not in self.app.screen_stack and not self.app.is_screen_installed(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable all actions while the children are missing."""
        return self.usable and super().check_action(action, parameters)

    def takes(self, message: Message) -> bool:
        """Whether a message is handled: that of the mounting says that the children are there."""
        if isinstance(message, events.Mount):
            self._assembled = True
        return isinstance(message, _ALWAYS_HANDLED) or not self._is_removed

    def run_worker(
        self, work: Any, *args: Any, thread: bool = False, **options: Any
    ) -> Worker[Any]:
        """Start a worker as in Textual; one that is not a thread takes no step once the children
        are removed."""
        if not thread:
            work = partial(self._work_while_there, work)
        return super().run_worker(work, *args, thread=thread, **options)

    async def _work_while_there(self, work: Callable[[], Any] | Coroutine[Any, Any, Any]) -> Any:
        """Run a worker's function or coroutine until it ends or the children are removed."""
        steps: Any = work() if callable(work) else work
        return await _cancel_when(lambda: self._is_removed, steps)


@coroutine
def _cancel_when(
    gone: Callable[[], bool], steps: Coroutine[Any, Any, Any]
) -> Generator[Any, Any, Any]:
    """Run a coroutine; if it is `gone` before a step, cancel it there. Returns its result."""
    value: Any = None
    advance: Callable[[Any], Any] = steps.send
    while True:
        if gone():
            advance, value = steps.throw, asyncio.CancelledError()
        try:
            awaited = advance(value)
        except StopIteration as end:
            return end.value
        try:
            advance, value = steps.send, (yield awaited)
        except BaseException as error:  # also that of a cancelled task
            advance, value = steps.throw, error


def bind_actions(widget: object, *groups: object) -> None:
    """Make the methods `action_NAME` of `groups` actions of the widget, for its key bindings."""
    for group in groups:
        for name in dir(group):
            if name.startswith("action_"):
                setattr(widget, name, getattr(group, name))


# --- Borders, repainted without what is inside them -------------------------------------------

_NONE = Content("")


class Framed(Widget):
    """A container that draws only its border; its children draw the rest."""

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Refresh as any widget does, but without `regions` repaint only the border."""
        if not regions and not layout:
            width, height = self.outer_size
            sides = (
                Region(0, 0, width, 1),
                Region(0, height - 1, width, 1),
                Region(0, 1, 1, height - 2),
                Region(width - 1, 1, 1, height - 2),
            )
            # Regions are relative to the corner of the content.
            regions = tuple(side.translate(-self.content_offset) for side in sides)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def mark_border(self, component: str, marked: bool) -> None:
        """Colour the border as a component class says, or as the style sheet does.

        If this were a CSS class, Textual would set every rule again and repaint all children.
        """
        look = self.get_component_styles(component)
        for rule in BORDER_RULES:
            self.styles.set_rule(rule, look.get_rule(rule) if marked else None)
        self.refresh()


def set_border(
    widget: Widget, title: Content | str | None = None, subtitle: Content | str | None = None
) -> None:
    """Change the title and subtitle of a border, if they differ; None leaves one unchanged.

    Of a `Framed` widget only that side of the border is repainted.
    """
    width, height = widget.outer_size
    sides: tuple[tuple[Literal["title", "subtitle"], Content | str | None, int], ...]
    sides = (("title", title, 0), ("subtitle", subtitle, height - 1))
    for side, text, y in sides:
        content = Content(text) if isinstance(text, str) else text
        if content is None or (border_text(widget, side) or _NONE).is_same(content):
            continue
        if isinstance(widget, Framed):
            put_border_text(widget, side, content)
            widget.refresh(Region(0, y, width, 1).translate(-widget.content_offset))
        else:
            setattr(widget, f"border_{side}", content or None)


# --- The lines around the panes: header, tabs, status and footer ------------------------------

PANES: tuple[PaneName, ...] = ("models", "training", "text", "canvas")
"""In the order of their places on Home."""
TABS: tuple[PaneName, ...] = ("models", "text", "canvas", "training")
"""In the order of their tabs, if only one is shown at a time."""

Arrangement = Literal["large", "grid", "tabs", "tiny"]

SMALLEST = (60, 16)
GRID = (104, 33)  # four panes, the image one pixel a column
LARGE = (170, 56)  # four panes, the image two columns a pixel


def arrange(width: int, height: int) -> Arrangement:
    """The arrangement for a terminal: four panes if they fit, one at a time, or only a text."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return "tiny"
    if width >= LARGE[0] and height >= LARGE[1]:
        return "large"
    if width >= GRID[0] and height >= GRID[1]:
        return "grid"
    return "tabs"


def clickable(text: str, style: str, action: str) -> tuple[str, Style]:
    """Return a part of a Line that runs an action when clicked, without the style of a link."""
    return text, Style.parse(style) + Style.from_meta({"action": action})


class Line(Static):
    """One line that repaints only when its content changes."""

    async def on_click(self, event: events.Click) -> None:
        action = event.style.meta.get("action")
        if action:
            await self.run_action(action)

    def show(self, content: Content) -> None:
        """Show `content`."""
        before = self.content
        if not (isinstance(before, Content) and before.is_same(content)):
            self.update(content, layout=False)


class HeaderLine(Line):
    """`genui  1 Home 2 Text …` and, at the right, runs, device and bytes a second.

    In a terminal that shows one pane at a time, these are the tabs, and Home is the list of models.
    """

    def __init__(self) -> None:
        super().__init__(id="header")
        self._view: ViewName = "home"
        self._alone = False
        self._right: tuple[tuple[str, str], ...] = ()

    def set(
        self, view: ViewName, trainings: int, machine: str, traffic: str, alone: bool = False
    ) -> None:
        """Show the current view, live trainings, the worker's device and precision, bytes/second.

        With `alone` there are no other views.
        """
        right: list[tuple[str, str]] = []
        if trainings:
            right += [("● ", "$text-success"), (f"{trainings} training", "$foreground")]
        for text in (machine, traffic):
            if text:
                right.append((f" · {text}" if right else text, "$text-muted"))
        self._view, self._alone, self._right = view, alone, tuple(right)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        left = [(" genui ", Style.parse("bold $background on $primary")), ("  ", Style())]
        tabbed = arrange(*self.app.size) == "tabs"
        for digit, name, view in list_views():
            if tabbed and view == "home":
                name = "Models"
            current = view == self._view
            if self._alone and not current:
                continue
            action = "screen.home" if view == "home" else f"screen.view('{view}')"
            if not self._alone:
                style = "bold $primary" if current else "$text-muted"
                left.append(clickable(f"{digit} ", style, action))
            style = "bold $foreground" if current else "$text-muted"
            left.append(clickable(f"{name}  ", style, action))
        line = Content.assemble(*left)
        end = Content.assemble(*self._right)
        gap = self.size.width - line.cell_length - end.cell_length - 1
        if gap >= 0:
            line = Content.assemble(line, " " * gap, end)
        self.show(line)


FADE = 6.0
"""Seconds for which a note is shown. An error stays until a key, a hint until the user acts."""


class StatusLine(Line):
    """One line: an error with its remedy, or a note on what just happened. Of a longer one than
    there is room for the middle is left out, and the key that shows all of it is named."""

    def __init__(self) -> None:
        super().__init__(id="status")
        self._line = ""
        self.kind: Literal["error", "note", "hint"] = "note"
        self._fading: Timer | None = None

    @property
    def text(self) -> str:
        """The text; "" while hidden."""
        return str(self.content) if self.has_class("-shown") else ""

    def say(self, line: str, kind: Literal["error", "note", "hint"]) -> None:
        """Show `line` until it fades, the next one comes, or it is cleared."""
        self._line, self.kind = clean_line(line), kind
        self._draw()
        self.add_class("-shown")
        if self._fading is not None:
            self._fading.stop()
        self._fading = self.set_timer(FADE, self.clear_line) if kind == "note" else None

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        mark = {"error": ("✗ ", "bold $text-error"), "note": ("· ", "$primary")}.get(
            self.kind, ("▸ ", "bold $accent")
        )
        style = "$text-error" if self.kind == "error" else "$foreground"
        room = self.app.size.width - 2 - cell_len(mark[0])  # without the padding
        line, rest = self._line, ""
        if cell_len(line) > room:
            key = keys.display(keys.MESSAGES, getattr(self.screen, "user_keys", {}))
            rest = f"  {key} shows all"
            line = shorten_middle(line, room - cell_len(rest))
        self.show(Content.assemble(mark, (line, style), (rest, "$text-muted")))

    def clear_line(self) -> None:
        """Hide the line."""
        self.remove_class("-shown")


class FooterLine(Line):
    """The keys of the focused pane: as many as fit, and always help and quit.

    While a line is typed, its keys.
    """

    def __init__(self) -> None:
        super().__init__(id="footer")
        self._pane: Scope = "models"
        self._zoomed = False
        self._keymap: dict[str, str] = {}
        self._without: frozenset[str] = frozenset()
        self._names: Mapping[str, str] = {}

    def set(
        self,
        pane: Scope,
        zoomed: bool,
        keymap: dict[str, str],
        without: frozenset[str] = frozenset(),
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Show the keys of a pane, except those with the ids `without`; `names` has what some do,
        by id, where it is not what the table says."""
        self._pane, self._zoomed, self._keymap = pane, zoomed, keymap
        self._without, self._names = without, names
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        line = self.screen.focused
        if isinstance(line, LineInput):
            self.show(Content.assemble(*_hint_parts(line.hints)))
            return
        rows = [
            key._replace(description=self._names.get(key.id, key.description))
            for key in keys.footer(self._pane)
            if key.id not in self._without
        ]
        if self._zoomed:
            back = keys.find_key("app.back")
            rows = [back if key.action == "zoom" else key for key in rows]
        parts = []
        for key in fit_keys(rows, self.size.width, self._keymap):
            label, action = keys.display(key, self._keymap), f"app.press('{key.id}')"
            parts.append(clickable(f" {label}", "bold $primary", action))
            parts.append(clickable(f" {key.description} ", "$text-muted", action))
        self.show(Content.assemble(*parts))


def _hint_parts(hints: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for key, does in hints:
        yield f" {key}", "bold $primary"
        yield f" {does} ", "$text-muted"


def fit_keys(rows: Sequence[Key], width: int, keymap: dict[str, str]) -> list[Key]:
    """Return the first keys that fit in `width` cells, with those that are always shown."""

    def cells(key: Key) -> int:
        return cell_len(keys.display(key, keymap)) + cell_len(key.description) + 3

    room = width - sum(cells(key) for key in rows if keys.is_always_shown(key))
    shown = []
    for key in rows:
        if not keys.is_always_shown(key):
            room -= cells(key)
        if room >= 0 or keys.is_always_shown(key):
            shown.append(key)
    return shown


# --- A pane: a border that shows the focus, and zooming ---------------------------------------

BORDER_RULES = (
    *("border_top", "border_right", "border_bottom", "border_left"),
    *("border_title_color", "border_title_style"),
)


class Pane(LifecycleGuard, Framed, Container, can_focus=True):
    """A bordered part of the screen with its own keys.

    The screen sets the class `-zoom` on a pane that fills it, and `-current` on the pane with the
    focus.
    """

    pane: PaneName
    heading: str
    COMPONENT_CLASSES: ClassVar[set[str]] = {"pane--current"}

    _marked: tuple[bool, bool] | None = None  # current, zoomed

    @property
    def medium(self) -> str:
        """The medium of the pane's model; "" for none."""
        return ""

    @property
    def scope(self) -> Scope:
        """The keys that hold while the pane has the focus."""
        return self.pane

    @property
    def focus_target(self) -> Widget:
        """The widget that gets the focus with the pane."""
        return self

    def refused_keys(self) -> frozenset[str]:
        """The ids of the keys that have no effect now."""
        return frozenset()

    def names_of_keys(self) -> dict[str, str]:
        """What keys do now, by id, if it is not what the table says."""
        return {}

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._mark())

    def set_title(self, *parts: str | tuple[str, str]) -> None:
        """Show the heading and then `parts`, which are as in `Content.assemble`."""
        for widget in (self, *self.query(".main")):
            heading = f"{self.heading}  " if parts else self.heading
            set_border(widget, title=Content.assemble(heading, *parts))

    def set_subtitle(self, *parts: str | tuple[str, str]) -> None:
        """Show `parts` in the lower border; nothing without parts."""
        for widget in (self, *self.query(".main")):
            set_border(widget, subtitle=Content.assemble(*parts))

    def watch_has_focus(self, has_focus: bool) -> None:
        """Do nothing: no style depends on the focus.

        Textual would compute the styles of all widgets in the pane twice for each key.
        """

    def set_classes_of_view(self, hidden: bool, zoomed: bool, current: bool) -> bool:
        """Set the classes that depend on the view, for the caller to restyle: whether one changed.

        `mark_current` has to follow.
        """
        before = self.classes
        classes = {"-hidden": hidden, "-zoom": zoomed, "-current": current}
        self.update_classes(classes, update=False)
        return self.classes != before

    def mark_current(self, current: bool) -> None:
        """Draw the border of the pane with the focus, or the plain one."""
        if (current, self.zoomed) != self._marked:
            self._marked = (current, self.zoomed)
            if current != self.has_class("-current"):
                self.set_class(current, "-current", update=False)
                if self.zoomed:
                    self.update_node_styles(animate=False)
            self._mark()

    def _mark(self) -> None:
        """Colour the border."""
        if self._marked is not None:
            current, zoomed = self._marked
            self.mark_border("pane--current", current and not zoomed)

    @property
    def zoomed(self) -> bool:
        """Whether this pane fills the screen."""
        return self.has_class("-zoom")

    def action_zoom(self) -> None:
        """Fill the screen, or go back to Home."""
        self.post_message(ZoomPane("home" if self.zoomed else self.pane))


# --- Two panes with a border that can be dragged ----------------------------------------------


class Split(Horizontal):
    """Panes side by side. A drag of the border to the left of one of the class `right` posts
    Dragged; who gets it sets the width of that pane."""

    @dataclass(eq=False)
    class Dragged(Message):
        """The border was dragged; `share` is that of the right pane, 0 to 1."""

        share: float

    def __init__(self, right: type[Widget], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._right = right
        self._grip: int | None = None  # columns from the pointer to the border, while dragged

    def on_mouse_down(self, event: events.MouseDown) -> None:
        border = self.query_one(self._right).region.x
        grip = border - event.screen_x
        # Each pane has a border there. A pane that covers all has none to drag.
        if event.button == 1 and grip in (0, 1) and border > self.region.x:
            event.stop()
            self._grip = grip
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._grip is not None:
            width = self.region.right - event.screen_x - self._grip
            self.post_message(self.Dragged(width / max(self.region.width, 1)))

    def on_mouse_up(self) -> None:
        if self._grip is not None:
            self._grip = None
            self.release_mouse()

    on_unmount = on_mouse_up


# --- A list of rows, each with a text on the left and one on the right -------------------------

_MIN_RIGHT = 14  # cells: "training 100 %"
_MIN_MIDDLE = 12  # cells
_JOINTS = (", ", " of ", " by ")  # where a long text may be cut


@dataclass(frozen=True)
class Row:
    """A row with its `key`; a row without a key is a heading and cannot be chosen."""

    key: str
    left: str
    right: str = ""
    mark: str = " "
    mark_kind: str = "dim"  # a component class of RowList, without "rows--"
    lead: str = ""  # drawn before `left`, such as the lines of a tree
    middle: str = ""  # only if there is room between the columns of `left` and `right`

    @property
    def is_heading(self) -> bool:
        return not self.key


class RowScroller(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws only the visible rows. A subclass defines their `count` and draws one (`row`).

    With `follows` the end stays in view, unless the user has scrolled up from it.
    """

    ALLOW_SELECT = False
    HEAD = 0  # lines above the rows, which do not scroll
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--text", "rows--dim", "rows--heading", "rows--good", "rows--warn", "rows--bad",
        "rows--key", "rows--hit", "rows--hit-here", "rows--chosen", "rows--chosen-blurred",
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
        & > .rows--hit-here, & > .rows--chosen {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: bold;
        }
        & > .rows--chosen-blurred {
            color: $block-cursor-blurred-foreground;
            background: $block-cursor-blurred-background;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*list_bindings()]

    def __init__(self, empty: str = "", *, follows: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._empty = empty
        self._follows = follows
        self._at_end = follows

    @property
    def count(self) -> int:
        """The number of rows at the current width."""
        raise NotImplementedError

    def row(self, number: int, width: int) -> Strip:
        """Draw a row, at most `width` cells."""
        raise NotImplementedError

    def look(self, part: str) -> RichStyle:
        """Return the style of a component class `rows--part`."""
        return self.get_component_rich_style(f"rows--{part}")

    def set_empty_text(self, text: str) -> None:
        """Set the text that is shown while there are no rows."""
        if text != self._empty:
            self._empty = text
            self.refresh()

    def update_rows(self) -> None:
        """Redraw after the rows or their number have changed."""
        self.fit_rows()
        self.refresh()

    def fit_rows(self) -> None:
        """Scroll over as many rows as there are now, with their end in view if it was."""
        at_end = self._at_end
        self.virtual_size = Size(0, self.count + self.HEAD)
        if self._follows and at_end:
            self._jump(self.count)
            self._at_end = True

    def reveal(self, number: int) -> None:
        """Scroll a row that is not visible to the middle."""
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if not top <= number < top + height:
            self._jump(number - height // 2)

    def _jump(self, y: int) -> None:
        self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._at_end = self._follows and round(new_value) >= self.max_scroll_y

    def on_resize(self) -> None:
        self.update_rows()

    def action_move(self, by: int) -> None:
        self._jump(self.scroll_offset.y + by)

    def action_page(self, direction: int) -> None:
        self.action_move(direction * max(1, self.size.height - 2))

    def render_line(self, y: int) -> Strip:
        width, height = self.scrollable_content_region.size
        base = self.rich_style
        number = y + self.scroll_offset.y - self.HEAD
        strip = Strip.blank(width, base)
        if not self.count:
            strips = self.draw_empty(width, height)
            strip = strips[y] if y < len(strips) else strip
        elif number < self.count:
            strip = self.row(number, width)
        return strip.adjust_cell_length(width, base)

    def draw_empty(self, width: int, height: int) -> list[Strip]:
        """Draw the text that is shown while there are no rows."""
        return message_strips(self._empty, self.look("dim"), self.rich_style, width, height)


class CursorList(RowScroller):
    """A list with one chosen row, which stays chosen, by its key, when the rows change."""

    chosen: reactive[str] = reactive("", repaint=False)  # the two rows that change are repainted

    @dataclass(eq=False)
    class Chosen(Message):
        """Another row is chosen."""

        key: str

    class Opened(Message):
        """The chosen row was clicked again."""

    def __init__(self, empty: str = "", *, wraps: bool = False, id: str | None = None) -> None:
        """With `wraps` the first row comes after the last."""
        super().__init__(empty, id=id)
        self._wraps = wraps
        self._keys: Sequence[str] = ()
        self._places: dict[str, int] = {}  # of the rows that can be chosen, in order

    def set_keys(self, keys: Sequence[str]) -> None:
        """Take the key of each row, "" of a heading, and redraw. `keep_chosen` has to follow."""
        self._keys = keys
        self._places = {key: at for at, key in enumerate(keys) if key}
        self.update_rows()

    def keep_chosen(self, first: bool = False) -> None:
        """Show the chosen row; if it is gone, or with `first`, the first row is chosen."""
        if first or self.chosen not in self._places:
            self.chosen = next(iter(self._places), "")
        self._show_chosen()

    @property
    def count(self) -> int:
        return len(self._keys)

    @property
    def number(self) -> int:
        """The number of the chosen row, from 1; 0 if there is none."""
        return [*self._places].index(self.chosen) + 1 if self.chosen in self._places else 0

    def watch_chosen(self, old: str, new: str) -> None:
        for key in (old, new):
            if key in self._places:
                self.refresh_line(self._places[key] + self.HEAD)
        self._show_chosen()
        if new:
            self.post_message(self.Chosen(new))

    def _show_chosen(self) -> None:
        if not self.size.height or self.chosen not in self._places:
            return
        at = self._places[self.chosen]
        # If the row is the first of a group, show the heading above it too.
        top = at - 1 if at and not self._keys[at - 1] else at
        self.scroll_to_region(
            Region(0, top, 1, at - top + 1 + self.HEAD), animate=False, force=True, x_axis=False
        )

    def on_resize(self) -> None:
        self._show_chosen()

    def action_move(self, by: int) -> None:
        if keys := [*self._places]:
            at = (keys.index(self.chosen) if self.chosen in keys else 0) + by
            if self._wraps and abs(by) == 1:
                at %= len(keys)
            self.chosen = keys[max(0, min(len(keys) - 1, at))]

    def on_click(self, event: events.Click) -> None:
        at = event.y + self.scroll_offset.y - self.HEAD
        if event.y >= self.HEAD and at < self.count and (key := self._keys[at]):
            if key == self.chosen:
                self.post_message(self.Opened())
            self.chosen = key

    def cursor_style(self, key: str) -> RichStyle | None:
        """The style of the row at the cursor; None for any other."""
        if key != self.chosen:
            return None
        return self.look("chosen" if self.has_focus else "chosen-blurred")


class RowList(CursorList):
    """Rows with a text on the left and one on the right."""

    def __init__(self, empty: str = "", *, wraps: bool = False, id: str | None = None) -> None:
        super().__init__(empty, wraps=wraps, id=id)
        self.rows: tuple[Row, ...] = ()
        self._middle_at = 0  # cells from the left

    def set_rows(self, rows: Sequence[Row], empty: str = "") -> None:
        """Show `rows`; the chosen key stays, or the first row is chosen if it is gone."""
        rows = tuple(rows)
        self.set_empty_text(empty)
        if rows != self.rows:
            self.rows = rows
            names = [cell_len(row.lead + clean_line(row.left)) for row in rows if row.middle]
            self._middle_at = max(names, default=0) + 5
            self.styles.height = max(1, len(rows))  # as high as its rows, up to max-height
            self.set_keys([row.key for row in rows])
        self.keep_chosen()

    def draw_empty(self, width: int, height: int) -> list[Strip]:
        return [strip_of([(clean_line(self._empty, width), self.look("dim"))])]

    def row(self, number: int, width: int) -> Strip:
        row = self.rows[number]
        if row.is_heading:
            return strip_of([(clean_line(row.left, width), self.look("heading"))])
        base = self.rich_style
        # The left text has priority, but leaves _MIN_RIGHT cells for the right one.
        room = max(1, width - 5 - cell_len(row.lead))
        right = shorten(row.right, max(_MIN_RIGHT, room - cell_len(clean_line(row.left))))
        left = clean_line(row.left, max(1, room - cell_len(right)))
        right = clean_line(right, max(0, room - cell_len(left)))
        styles = (self.look(row.mark_kind), self.look("text"), self.look("dim"))
        if (cursor := self.cursor_style(row.key)) is not None:
            styles = (cursor, cursor, cursor + RichStyle(bold=False))
            base = cursor
        parts = [(f" {row.mark} ", styles[0]), (row.lead, styles[2]), (left, styles[1])]
        used = sum(cell_len(text) for text, _ in parts)
        free = width - self._middle_at - cell_len(right) - 3
        if row.middle and free >= _MIN_MIDDLE and used < self._middle_at:
            middle = clean_line(row.middle, free)
            parts += [(" " * (self._middle_at - used), base), (middle, styles[2])]
            used = self._middle_at + cell_len(middle)
        gap = max(1, width - used - cell_len(right) - 1)
        strip = strip_of([*parts, (" " * gap, base), (right, styles[2]), (" ", base)])
        return strip.crop(0, width)


def shorten(text: str, room: int) -> str:
    """Shorten `text` to `room` cells by leaving out its last parts."""
    text = clean_line(text)
    while cell_len(text) > room and (at := max(map(text.rfind, _JOINTS))) > 0:
        text = text[:at].rstrip(",")
    return clean_line(text, room)


# --- Widgets that show a trace ----------------------------------------------------------------


class Moment(NamedTuple):
    """The step of a trace that a view shows, and how."""

    step: int
    frame: Any  # of the step; None if there is none
    part: Part
    clip_frame: int
    playing: bool
    empty: str  # shown if the trace has not started


class TraceView(Protocol):
    """A widget that shows a trace beside others: the `view` of its kind."""

    def show_trace(self, trace: Trace[Any], moment: Moment) -> None: ...

    def scroll_text(self, by: int) -> None: ...


# --- A timeline with a playhead ---------------------------------------------------------------


class Timeline(Widget):
    """`left ━━━━●━━──── right`: up to the playhead, computed, not computed yet."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "timeline--past", "timeline--ahead", "timeline--future", "timeline--head",
        "timeline--label",
    }  # fmt: skip

    position: reactive[int] = reactive(0)
    computed: reactive[int] = reactive(0)
    total: reactive[int] = reactive(0)
    left: reactive[str] = reactive("")
    right: reactive[str] = reactive("")

    @dataclass(eq=False)
    class Clicked(Message):
        """The user clicked the bar at `step`."""

        step: int

    def __init__(self, left: str, right: str) -> None:
        super().__init__()
        self.set_reactive(Timeline.left, left)
        self.set_reactive(Timeline.right, right)

    def follow(self, trace: Trace[Any] | None) -> None:
        """Show the progress of a trace; None for none."""
        self.total = trace.total if trace is not None else 0
        self.computed = trace.computed if trace is not None else 0
        self.position = trace.position if trace is not None else 0

    @property
    def _bar_width(self) -> int:
        return max(2, self.size.width - len(self.left) - len(self.right) - 2)

    def _column(self, step: int) -> int:
        return round((self._bar_width - 1) * step / self.total) if self.total else 0

    def on_click(self, event: events.Click) -> None:
        column = event.x - len(self.left) - 1
        if self.total and 0 <= column < self._bar_width:
            self.post_message(self.Clicked(round(column / (self._bar_width - 1) * self.total)))

    def render_line(self, y: int) -> Strip:
        if y:
            return Strip.blank(self.size.width, self.rich_style)
        head = self._column(self.position)
        ahead = max(0, self._column(self.computed) - head)
        rest = self._bar_width - head - ahead - 1

        def part(text: str, name: str) -> Segment:
            return Segment(text, self.get_component_rich_style(f"timeline--{name}"))

        segments = [
            part(f"{self.left} ", "label"),
            part("━" * head, "past"),
            part("●", "head"),
            part("━" * ahead, "ahead"),
            part("─" * rest, "future"),
            part(f" {self.right}", "label"),
        ]
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)


# --- A one-line input that Esc cancels --------------------------------------------------------


CLOSING_KEYS = ("enter", "escape")


class LineInput(Input):
    """Enter posts Input.Submitted, Esc LineInput.Cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False)]
    hints: tuple[tuple[str, str], ...] = (("⏎", "use"), ("esc", "cancel"))
    """The keys of the line and what they do, for the footer."""

    class Cancelled(Message):
        """Esc was pressed."""

    _closing_key = False  # whether the last key was Enter or Esc

    def on_focus(self) -> None:
        self.post_message(KeysChanged())

    def on_blur(self) -> None:
        self.post_message(KeysChanged())

    async def on_key(self, event: events.Key) -> None:
        """Run the bindings of the line at once.

        Textual would first send the key through the whole app, so that letters typed after a
        backspace would be inserted before it deletes.
        """
        bindings = own_bindings(self)
        if not event.is_printable and event.key in bindings.key_to_bindings:
            event.stop()
            event.prevent_default()
            for binding in bindings.get_bindings_for_key(event.key):
                await self.run_action(binding.action)
            self._closing_key = event.key in CLOSING_KEYS

    @on(KeyAnswered)
    def _follow_answer(self, event: KeyAnswered) -> None:
        """After Enter or Esc, let the widgets around the line handle first what was posted."""
        if self._closing_key:
            self._closing_key = False
            event.stop()
            self.post_message(KeyAnswered())

    def action_cancel(self) -> None:
        self.post_message(self.Cancelled())


class Completer(Suggester):
    """Completes what is typed by a function, which returns None if nothing begins like it."""

    def __init__(self, complete: Callable[[str], str | None], on_thread: bool = False) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete
        self._in_thread = on_thread

    async def get_suggestion(self, value: str) -> str | None:
        if self._in_thread:
            return await asyncio.to_thread(self._complete, value)
        return self._complete(value)


class SearchLine(LineInput):
    """A line for a regular expression, hidden until it is opened.

    The text applies at once: each change posts Typed. Enter keeps it; Esc clears it or, with
    `restores`, brings the earlier text back. Both return the focus to where it was.
    """

    hints = (("⏎", "keep"), ("esc", "clear"))
    DEFAULT_CSS = """
    SearchLine { display: none; background: $panel; padding: 0 1; &.-open { display: block; } }
    """

    @dataclass(eq=False)
    class Typed(Message):
        """The text has changed."""

        text: str

    def __init__(
        self, placeholder: str = "type to filter", *, restores: bool = False,
        id: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(placeholder=placeholder, compact=True, id=id)
        self._restores = restores
        self._initial = ""  # the text when it was opened
        self._focused_before: Widget | None = None

    def open(self, text: str | None = None) -> None:
        """Show and focus the line, with this text if given."""
        if text is not None:
            self.value = text
        self._initial = self.value
        if self.screen.focused is not self:
            self._focused_before = self.screen.focused
        self.add_class("-open")
        self.screen.set_focus(self)  # at once: keys may follow

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close()

    def action_cancel(self) -> None:
        self.value = self._initial if self._restores else ""
        self._close()

    def _close(self) -> None:
        self.remove_class("-open")
        self.screen.set_focus(self._focused_before)


class FindLine(SearchLine):
    """A line for text to find: Enter, ↓ and ↑ post Stepped, Esc clears it."""

    hints = (("⏎", "next match"), ("↑", "previous"), ("esc", "close"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "step(1)", "Next", show=False),
        Binding("up,shift+enter", "step(-1)", "Previous", show=False),
    ]

    @dataclass(eq=False)
    class Stepped(Message):
        """Go to the next match, or with -1 to the one before."""

        by: int

    def __init__(self) -> None:
        super().__init__("text to find")

    async def action_submit(self) -> None:
        self.action_step(1)

    def action_step(self, by: int) -> None:
        self.post_message(self.Stepped(by))


class FilterLine(LineInput):
    """A line that filters a list: Enter opens the row that is chosen, ↓ and ↑ go to the list."""

    hints = (("⏎", "open"), ("↓", "to the list"), ("esc", "clear"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "leave(1)", "Next", show=False),
        Binding("up", "leave(-1)", "Previous", show=False),
    ]

    @dataclass(eq=False)
    class Left(Message):
        """Go to the next row of the list, or with -1 to the one before."""

        by: int

    def action_leave(self, by: int) -> None:
        self.post_message(self.Left(by))


def escape_newlines(text: str) -> str:
    """Return a prompt on one line, with new lines as \\n."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def unescape_newlines(text: str) -> str:
    """Return what was typed, with \\n, \\t and \\\\ replaced by their meaning."""
    meanings = {"n": "\n", "t": "\t", "\\": "\\"}
    return re.sub(r"\\(.)", lambda match: meanings.get(match[1], match[0]), text, flags=re.DOTALL)


# --- Colours for Rich and Textual ----------------------------------------------------

_MODES: dict[str | None, ColourMode] = {
    "truecolor": "truecolor",
    "256": "256",
    "standard": "16",
    "windows": "16",
}


def colour_mode(app: App[Any]) -> ColourMode:
    """Return the colours of the terminal: `ascii` with NO_COLOR, or if it has none."""
    if app.no_color:
        return "ascii"
    return _MODES.get(app.console.color_system, "ascii")


@lru_cache(maxsize=8192)
def run_style(fg: int | None, bg: int | None, palette: bool, ground: RichStyle) -> RichStyle:
    """Return the style of a run of image cells; `ground` replaces colours that are None."""
    return ground + RichStyle(color=_colour(fg, palette), bgcolor=_colour(bg, palette))


def _colour(colour: int | None, palette: bool) -> Color | None:
    if colour is None:
        return None
    if not palette:
        return Color.from_triplet(ColorTriplet(colour >> 16, colour >> 8 & 255, colour & 255))
    plain = Color.from_ansi(colour)
    # Without a triplet, Textual's ANSI filter would turn it into truecolour, which takes more
    # bytes in the terminal.
    kind = ColorType.STANDARD if colour < 16 else ColorType.EIGHT_BIT
    return Color(plain.name, kind, colour, plain.get_truecolor())


# --- The base of widgets that draw all lines at once and repaint those that changed -----------


class LineWidget(Widget):
    """A widget made of strips, which are kept until something changes.

    Subclasses implement `draw`, and call `redraw` when their contents have changed. `empty` is the
    text that they show without contents. The component classes of a subclass are those that have a
    rule in its DEFAULT_CSS.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"line-widget--empty"}
    DEFAULT_CSS = """
    LineWidget {
        width: 1fr;
        height: 1fr;
        & > .line-widget--empty { color: $text-muted; }
    }
    """

    def __init_subclass__(cls, **options: Any) -> None:
        css = cls.__dict__.get("DEFAULT_CSS", "")
        cls.COMPONENT_CLASSES = set(re.findall(r"> \.([\w-]+)", css))
        super().__init_subclass__(**options)

    def __init__(self, empty: str = "", *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._empty = empty
        self._strips: list[Strip] = []
        self._stale = True

    def draw(self, width: int, height: int) -> list[Strip]:
        """Return at most `height` strips of at most `width` cells; missing lines are blank."""
        raise NotImplementedError

    def clear(self, empty: str | None = None) -> None:
        """Remove the contents; `empty` is the new text to show without any, if given."""
        if empty is not None:
            self._empty = empty
        self.redraw()

    def redraw(self) -> bool:
        """Draw again and repaint the lines that differ; return whether any does. Of these the
        driver sends the cells that do."""
        resized = len(self._strips) != self.size.height  # the Resize event comes later
        if not self.is_mounted or not self.size or self._stale or resized:
            self._stale = True
            self.refresh()
            return True
        before, self._strips = self._strips, self._draw_all()
        changed = [
            Region(0, y, self.size.width, 1)
            for y, (old, new) in enumerate(zip(before, self._strips, strict=True))
            if old != new
        ]
        if changed:
            self.refresh(*changed)
        return bool(changed)

    def _draw_all(self) -> list[Strip]:
        width, height = self.size
        base = self.rich_style
        strips = [
            strip.adjust_cell_length(width, base) for strip in self.draw(width, height)[:height]
        ]
        blank = Strip.blank(width, base)
        return strips + [blank] * (height - len(strips))

    def render_line(self, y: int) -> Strip:
        if self._stale or len(self._strips) != self.size.height:
            self._strips, self._stale = self._draw_all(), False
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    def notify_style_update(self) -> None:
        """Draw again after a change of the theme or of a class."""
        super().notify_style_update()
        self._stale = True

    def on_resize(self) -> None:
        self._stale = True

    def style(self, component: str) -> RichStyle:
        """Return the style of a component class, with foreground and background."""
        return self.get_component_rich_style(component)

    def message(self, text: str, width: int, height: int) -> list[Strip]:
        """Return strips with `text` in the middle, for a widget without contents."""
        style = self.style("line-widget--empty")
        return message_strips(text, style, self.rich_style, width, height)


def strip_of(parts: Iterable[tuple[str, RichStyle]]) -> Strip:
    """Return a strip of styled texts; empty ones are left out."""
    return Strip([Segment(text, style) for text, style in parts if text])


def message_strips(
    text: str, style: RichStyle, base: RichStyle, width: int, height: int
) -> list[Strip]:
    """Return `text`, its lines wrapped and centred, in `width` × `height` cells of style `base`."""
    wrapped = (textwrap.wrap(clean_line(line), max(width - 2, 1)) for line in text.split("\n"))
    lines = [part for parts in wrapped for part in parts][:height]
    above = [Strip.blank(width, base)] * ((height - len(lines)) // 2)
    return above + [
        strip_of([(" " * ((width - cell_len(line)) // 2), base), (line, style)]) for line in lines
    ]


# --- A progress bar with step, percent and time left ------------------------------------------

_MIN_BAR = 8
_DONE, _REST = "▄", "▁"
_ETA_FROM = 5  # steps; before, their speed says little


class StepBar(LineWidget):
    """`step 1,240/4,000 ▄▄▄▄▄▄▄▄▁▁▁▁▁▁▁▁▁▁ 31 %  ETA ~4 min`, on one line of any width.

    Without a known end it is a counter.
    """

    DEFAULT_CSS = """
    StepBar {
        height: 1;
        & > .step-bar--label { color: $text-muted; }
        & > .step-bar--value { text-style: bold; }
        & > .step-bar--done { color: $primary; }
        & > .step-bar--rest { color: $foreground 20%; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def set(self, step: int, steps: int, eta: float = -1.0) -> None:
        """Show the progress; `eta` is in seconds, negative if unknown; `steps` 0: no end."""
        self._state = (max(step, 0), max(steps, 0), eta)
        self.redraw()

    def clear(self, empty: str | None = None) -> None:
        """Empty the bar."""
        self._state: tuple[int, int, float] | None = None
        super().clear(empty)

    def draw(self, width: int, height: int) -> list[Strip]:
        if self._state is None:
            return []
        step, steps, eta = self._state
        label, value = self.style("step-bar--label"), self.style("step-bar--value")
        base = self.rich_style
        before = [("step ", label), (count(step), value)]
        # Without room, the last of these are left out.
        after: list[list[tuple[str, RichStyle]]] = []
        share = min(step / steps, 1.0) if steps else 0.0
        if steps:
            before.append((f"/{count(steps)}", label))
            after.append([(f" {int(share * 100)} %", base)])
        if eta >= 0 and step >= _ETA_FROM:
            after.append([("  ETA ", label), (f"~{about(eta)}", base)])
        before.append((" ", base))

        def room() -> int:
            return width - sum(cell_len(text) for group in (before, *after) for text, _ in group)

        while room() < _MIN_BAR and after:
            after.pop()
        cells = max(room(), 0) if steps else 0
        done = round(share * cells)
        # A high and a low block, so that the bar can be read without colour.
        bar = [
            (_DONE * done, self.style("step-bar--done")),
            (_REST * (cells - done), self.style("step-bar--rest")),
        ]
        return [strip_of([*before, *bar, *(part for group in after for part in group)])]
