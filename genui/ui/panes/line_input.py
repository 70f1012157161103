"""A one-line input that can be left with Esc."""

from typing import ClassVar

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
