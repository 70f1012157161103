"""The prompt of a pane of traces: what it is at first, and typing another."""

from abc import abstractmethod
from typing import ClassVar

from textual import on

from genui.runs.catalog import ModelInfo
from genui.ui import messages
from genui.ui.media import recipe_of
from genui.ui.panes.labelling import Labelling
from genui.ui.panes.line_input import LineInput, escape_newlines, unescape_newlines
from genui.ui.trace import F


class Prompting(Labelling[F]):
    """Mixed into the pane that owns a tree of traces; most have a LineInput."""

    prompt = ""
    blank: ClassVar[str] = ""  # the first prompt, where no recipe has a better one

    @abstractmethod
    def start_over(self, play: bool) -> None:
        """A new trace with the prompt, seed and settings as they are now."""

    def default_prompt(self, model: ModelInfo) -> str:
        """A prompt this model answers well."""
        recipe = recipe_of(model)
        return next(iter(recipe.prompts if recipe is not None else ()), self.blank)

    @property
    def _input(self) -> LineInput:
        return self.query_one("LineInput", LineInput)

    def action_edit(self) -> None:
        """Type another prompt."""
        self._input.value = escape_newlines(self.prompt)
        self.add_class("-editing")
        self.screen.set_focus(self._input)

    @on(LineInput.Submitted)
    def _prompt_typed(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.prompt = unescape_newlines(event.value)
        self._leave_input()
        self.post_message(messages.Acted())
        self.start_over(play=True)

    @on(LineInput.Cancelled)
    def _leave_input(self) -> None:
        self.remove_class("-editing")
        self.screen.set_focus(self)
