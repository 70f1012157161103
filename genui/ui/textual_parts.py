"""The undocumented parts of Textual that genui uses, each in a function of its own.

Textual may change these parts in any release: `pyproject.toml` names the releases that are known to
have them, and `tests/ui/test_textual_parts.py` says which part another one lacks, and what for it
is needed here. No other file uses a private part of Textual.
"""

from collections.abc import Callable
from typing import IO, Any, Literal, TypeVar

from textual._styles_cache import StylesCache
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.binding import BindingsMap
from textual.command import CommandPalette
from textual.content import Content
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers._writer_thread import WriterThread
from textual.message import Message
from textual.message_pump import MessagePump
from textual.widget import Widget

T = TypeVar("T")

__all__ = ["WriterThread", "XTermParser"]

IDLE = ("_get_message", "Timer._run")
"""The coroutines of tasks that wait for messages or for their time, by their names."""


# --- The life cycle of widgets and the app ----------------------------------------------------


def is_ending(app: App[Any]) -> bool:
    """Whether the app has been told to end; its widgets may still handle messages."""
    return app._exit


def is_closing(node: DOMNode) -> bool:
    """Whether a widget or screen is being removed, with its children."""
    return node._pruning or node._closing


def filter_messages(cls: type[T], takes: Callable[[Any, Message], bool]) -> type[T]:
    """Let the instances of a class handle only the messages that `takes(instance, message)` allows.
    Textual asks (`check_message_enabled`) when a message is sent, which is too early."""

    async def handle(self: Any, message: Message) -> None:
        if takes(self, message):
            await MessagePump._dispatch_message(self, message)

    cls._dispatch_message = handle  # type: ignore[attr-defined]
    return cls


def filter_errors(cls: type[T]) -> type[T]:
    """Class decorator: an app ends by the errors of its handlers that its `takes_error(error)`
    allows, and ignores the others."""

    def handle(self: Any, error: Exception) -> None:
        if self.takes_error(error):
            App._handle_exception(self, error)

    cls._handle_exception = handle  # type: ignore[attr-defined]
    return cls


def show_busy_while(usable: Callable[[Any], bool]) -> Callable[[type[T]], type[T]]:
    """Class decorator: a palette that is closed does not look for the widget that shows that a
    search takes long; Textual's does after a search that ended as it closed."""

    def decorate(cls: type[T]) -> type[T]:
        async def show(self: Any) -> None:
            if usable(self):
                await CommandPalette._watch__show_busy(self)

        cls._watch__show_busy = show  # type: ignore[attr-defined]
        return cls

    return decorate


# --- Keys -------------------------------------------------------------------------------------


def own_bindings(node: DOMNode) -> BindingsMap:
    """Return the key bindings of a widget."""
    return node._bindings


def set_bindings(node: DOMNode, bindings: BindingsMap) -> None:
    """Replace the key bindings of one widget; its class keeps its own."""
    node._bindings = bindings


# --- Drawing ----------------------------------------------------------------------------------


def free_drawn_lines() -> None:
    """Keep no widget alive by the lines it has drawn.

    Textual remembers the inner and outer styles of the last 1,024 borders by an instance of the
    cache, which has the lines of its widget; without the instance it remembers as much.
    """
    cached = vars(StylesCache)["get_inner_outer"]
    if not isinstance(cached, classmethod):
        StylesCache.get_inner_outer = classmethod(cached)  # type: ignore[method-assign]


def border_text(widget: Widget, side: Literal["title", "subtitle"]) -> Content | None:
    """Return the title or subtitle of a border; Textual's properties return it as markup."""
    return getattr(widget, f"_border_{side}")


def put_border_text(widget: Widget, side: Literal["title", "subtitle"], text: Content) -> None:
    """Set the title or subtitle of a border without a repaint; Textual's properties repaint all of
    the widget."""
    setattr(widget, f"_border_{side}", text or None)


# --- Styles -----------------------------------------------------------------------------------


def selector_names(node: DOMNode) -> set[str]:
    """Return the names of a node that rules ask for: types, id and classes, with their signs."""
    return node._selector_names


def style_flags(node: DOMNode) -> tuple[bool, bool, bool, bool]:
    """Return whether the styles of a node depend on the mouse, on the focus below it, on its
    place among its neighbours, and on whether that is odd or even."""
    return (
        node._has_hover_style,
        node._has_focus_within,
        node._has_order_style,
        node._has_odd_or_even,
    )


def set_style_flags(node: DOMNode, flags: tuple[bool, bool, bool, bool]) -> None:
    node._has_hover_style, node._has_focus_within = flags[:2]
    node._has_order_style, node._has_odd_or_even = flags[2:]


def styled_parts(node: DOMNode) -> list[DOMNode] | None:
    """Return the nodes that stand for the component classes of a node; None if some have no
    styles yet."""
    parts = [part for style in node._component_styles.values() if (part := style.node) is not None]
    return parts if len(parts) == len(node._get_component_classes()) else None


def style_parts(sheet: Stylesheet, node: DOMNode) -> None:
    """Set the styles of the component classes of a node."""
    sheet._process_component_classes(node)


# --- The driver -------------------------------------------------------------------------------


def driver_of(app: App[Any]) -> Driver | None:
    """Return what writes to the app's terminal; None before the app starts."""
    return app._driver


def writer_of(driver: Any) -> WriterThread | None:
    """Return the thread that writes for a `LinuxDriver`; None while there is none."""
    return driver._writer_thread


def set_writer(driver: Any, writer: WriterThread | None) -> None:
    """Let another thread write for a `LinuxDriver`, or none."""
    driver._writer_thread = writer


def file_of(writer: WriterThread) -> IO[str]:
    """Return the file that a thread writes to."""
    return writer._file
