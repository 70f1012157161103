"""What keeps late messages from a widget that is being removed.

Textual removes the widgets of a screen one by one, and each still handles its message queue. A
late message from the worker or the watcher could reach a widget whose children are already removed
or, if the app ends early, not composed yet; so could a key or a reply for a screen that was just
dismissed. `LifecycleGuard` ignores such messages.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any

from textual import events, messages
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.worker import Worker

from genui.ui.textual_parts import filter_messages, is_closing, is_ending

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
