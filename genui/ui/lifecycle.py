"""Keeps late messages from a widget that is being removed.

Textual removes the widgets of a screen one by one, and each still handles its message queue. A
late message from the worker or the watcher could reach a widget whose children are already removed
or, if the app ends early, not composed yet; so could a key or a reply for a screen that was just
dismissed. A class with `guard` ignores such messages.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, TypeVar

from textual import events, messages
from textual.dom import DOMNode
from textual.message import Message
from textual.screen import Screen
from textual.worker import Worker

from genui.ui.textual_parts import filter_messages, is_closing, is_ending

T = TypeVar("T", bound=DOMNode)


class KeyAnswered(Message):
    """Follows a key from the widget that it was sent to up to the app: all have handled it."""


_ALWAYS_HANDLED = (
    events.Unmount, events.Callback, events.ScreenSuspend, messages.CloseMessages,
    messages.ExitApp, messages.Prune, KeyAnswered,
)  # fmt: skip


def guard(cls: type[T]) -> type[T]:
    """Class decorator of the app, its screens and all widgets that query their children: ignores
    messages and actions while the children are missing.

    A worker that is not a thread takes no step once they are removed.
    """
    check, run = cls.check_action, cls.run_worker

    def check_action(self: T, action: str, parameters: tuple[object, ...]) -> bool | None:
        return is_usable(self) and check(self, action, parameters)

    def run_worker(
        self: T, work: Any, *args: Any, thread: bool = False, **options: Any
    ) -> Worker[Any]:
        if not thread:
            work = partial(_work_while_there, self, work)
        return run(self, work, *args, thread=thread, **options)

    cls.check_action, cls.run_worker = check_action, run_worker  # type: ignore[method-assign]
    return filter_messages(cls, _takes)


def is_usable(node: DOMNode) -> bool:
    """Whether the children of a node with `guard` can be queried: they are mounted, and not being
    removed.

    Functions that are called from outside (by a timer or the command palette) must check this;
    handlers of messages and actions need not.
    """
    return _is_assembled(node) and not _is_removed(node)


def _is_assembled(node: DOMNode) -> bool:
    return getattr(node, "_assembled", False)


def _is_removed(node: DOMNode) -> bool:
    if is_ending(node.app) or not node.app.is_running or is_closing(node):
        return True
    if not isinstance(node, Screen) or not _is_assembled(node):
        return False
    return node not in node.app.screen_stack and not node.app.is_screen_installed(node)


def _takes(node: Any, message: Message) -> bool:
    """Whether a message is handled: the event of mounting says that the children are there."""
    if isinstance(message, events.Mount):
        node._assembled = True
    return isinstance(message, _ALWAYS_HANDLED) or not _is_removed(node)


async def _work_while_there(
    node: DOMNode, work: Callable[[], Any] | Coroutine[Any, Any, Any]
) -> Any:
    """Run a worker's function or coroutine until it ends or the children are removed."""
    steps: Any = work() if callable(work) else work
    return await _cancel_when(lambda: _is_removed(node), steps)


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
