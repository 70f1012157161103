"""A one-line input that can be left with Esc."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class LineInput(Input):
    """Enter submits (Input.Submitted), Esc gives up (LineInput.Cancelled)."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False)]

    class Cancelled(Message):
        """Esc was pressed."""

        def __init__(self, input: "LineInput") -> None:
            super().__init__()
            self.input = input

        @property
        def control(self) -> "LineInput":
            return self.input

    def take(self, event: events.Key) -> bool:
        """Write or do what a key means that went elsewhere, in the order of the typing.

        Keys typed at once after the one that brings the line up are sent to what had the
        focus then. False: the key means nothing here.
        """
        if not event.is_printable and event.key not in self._bindings.key_to_bindings:
            return False
        self.post_message(event.copy())
        return True

    async def on_key(self, event: events.Key) -> None:
        """Act on a key of ours at once.

        Textual sends it round the whole app first, so that letters typed after it, which
        need no binding, would be written before a backspace deletes.
        """
        if not event.is_printable and event.key in self._bindings.key_to_bindings:
            event.stop()
            event.prevent_default()
            for binding in self._bindings.get_bindings_for_key(event.key):
                await self.run_action(binding.action)

    def action_cancel(self) -> None:
        self.post_message(self.Cancelled(self))


def escape_newlines(text: str) -> str:
    """A prompt on one line: a new line as \\n."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def unescape_newlines(text: str) -> str:
    """What was typed, with \\n, \\t and \\\\ as they are meant."""
    result: list[str] = []
    characters = iter(text)
    for character in characters:
        if character != "\\":
            result.append(character)
            continue
        following = next(characters, "")
        result.append({"n": "\n", "t": "\t", "\\": "\\"}.get(following, "\\" + following))
    return "".join(result)
