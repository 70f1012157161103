"""What the parts of the app hear while the app is being taken down: nothing.

Textual takes a screen down part by part, and each still works off its queue on
the way. A message from the worker or the watcher would then be handled by a part whose
children are gone; and where the app ends before its screen is composed, they never come.
"""

from typing import Any

from textual import events, messages
from textual.app import App
from textual.message import Message
from textual.message_pump import MessagePump

_STILL_HEARD = (
    events.Unmount, events.Callback, messages.CloseMessages, messages.ExitApp, messages.Prune,
)  # fmt: skip


def leaving(app: App[Any]) -> bool:
    """Whether the app has been told to end."""
    return app._exit or not app.is_running


class DeafWhenLeaving(MessagePump):
    """Mixed into the app, its screens and every widget that looks up its children."""

    async def _dispatch_message(self, message: Message) -> None:
        if isinstance(message, _STILL_HEARD) or not leaving(self.app):
            await super()._dispatch_message(message)
