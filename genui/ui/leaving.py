"""What the parts of the app hear before they are there and while they are taken down: nothing.

Textual takes a screen down part by part, and each still works off its queue on
the way. A message from the worker or the watcher would then be handled by a part whose
children are gone; and where the app ends before its screen is composed, they never come.
The same holds for a screen that was dismissed while a key or an answer was under way to it.
"""

from typing import TYPE_CHECKING, Any

from textual import events, messages
from textual.app import App
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen

if TYPE_CHECKING:
    from textual.dom import DOMNode as _Node
else:
    _Node = MessagePump  # Textual takes its styles from the first base that is a DOMNode

_STILL_HEARD = (
    events.Unmount, events.Callback, events.ScreenSuspend, messages.CloseMessages,
    messages.ExitApp, messages.Prune,
)  # fmt: skip


def leaving(app: App[Any]) -> bool:
    """Whether the app has been told to end."""
    return app._exit or not app.is_running


class DeafWhenLeaving(_Node):
    """Mixed into the app, its screens and every widget that looks up its children."""

    _assembled = False

    @property
    def usable(self) -> bool:
        """Whether its children can be looked up: they are there, and not being taken down.

        What is called from elsewhere (a worker's answer, a timer, a command of the palette)
        asks this first; messages and actions need not.
        """
        return self._assembled and not self._taken_down

    @property
    def _taken_down(self) -> bool:
        if leaving(self.app) or self._pruning or self._closing:
            return True
        if not isinstance(self, Screen) or not self._assembled:
            return False
        return self not in self.app.screen_stack and not self.app.is_screen_installed(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No action of a part whose children are not there."""
        return self.usable and super().check_action(action, parameters)

    async def _dispatch_message(self, message: Message) -> None:
        if isinstance(message, events.Mount):
            self._assembled = True
        if isinstance(message, _STILL_HEARD) or not self._taken_down:
            await super()._dispatch_message(message)
