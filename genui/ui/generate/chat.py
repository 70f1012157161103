"""Chats in the Text pane: the model's template, the next message, and the template's own tokens."""

import random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from genui.base.text import clean_line
from genui.protocol import (
    EditAt,
    SendMessage,
    SetSeed,
    SetSettings,
    Start,
    TextFrame,
    TextSettings,
    WriteText,
)
from genui.protocol.edits import inputs_at
from genui.runs.models import ModelInfo
from genui.ui.generate.actions import Actions
from genui.ui.traces.controller import LABEL_CELLS, TraceController
from genui.ui.widgets.settings import Option

if TYPE_CHECKING:
    from genui.ui.generate.pane import TracePane


class ChatController(TraceController[TextFrame, TextSettings]):
    """A controller of text, whose traces are chats while `chat` is on: the default for models that
    have a chat template."""

    chat = False
    system = ""  # the system prompt of the next chat

    @property
    def is_continued(self) -> bool:
        """Whether the line of the prompt takes the next message of the shown chat."""
        trace = self.trace
        return trace is not None and trace.request.chat and trace.position > 0

    # --- the inputs -----------------------------------------------------------------------

    def use_model(self, model: ModelInfo) -> None:
        if self.model is None or self.model.name != model.name:
            self.chat, self.system = model.chat, ""
        super().use_model(model)

    def default_prompt(self, model: ModelInfo) -> str:
        return "" if model.chat else super().default_prompt(model)

    def request(self) -> Start:
        system = self.system if self.chat else ""
        return replace(super().request(), chat=self.chat, system=system)

    def _use_inputs_of_shown(self) -> None:
        super()._use_inputs_of_shown()
        if self.trace is not None:
            self.chat, self.system = self.trace.request.chat, self.trace.request.system

    def refusal(self, setting: str) -> str:
        if setting == "highlight" and not self.syntax:
            return "only models of code have syntax colours"
        return super().refusal(setting)

    @property
    def line_label(self) -> str:
        return "message" if self.chat else ""

    @property
    def line_text(self) -> str:
        return "" if self.is_continued else super().line_text

    @property
    def start_hint(self) -> str:
        asks = self.chat and not self.prompt.strip()
        return "Press e and write a message" if asks else super().start_hint

    def take_line(self, text: str) -> None:
        """Say the next message at the playhead, or begin with this text."""
        if not self.is_continued:
            super().take_line(text)
        elif text.strip():
            self.send_message(text)
        else:
            self.listener.say("the message is empty: write at least one character")

    # --- what the user does -----------------------------------------------------------------

    def start_over(self, play: bool) -> None:
        """As in TraceController; a chat begins with a message, which is asked for."""
        if not self.chat or self.prompt.strip():
            super().start_over(play)
            return
        self.pause()
        self.tree.shown = None
        self.listener.repaint()
        if self.model is not None:
            self.listener.ask_prompt()

    def read_text(self, text: str, label: str) -> None:
        """Show a text as if it had been written after an empty prompt: each token with its
        surprise. The model writes nothing."""
        settings = replace(self.settings, tokens=1, grammar="none")
        request = replace(
            super().request(), prompt="", settings=settings,
            edits=(EditAt(step=0, edit=WriteText(text)),),
        )  # fmt: skip
        self.remember_shown()
        self.pause()
        # A token has a byte at least; the worker reports how many there are.
        self.tree.add(self._new_trace(request, len(text.encode())), label)
        self._go(play=True)

    def send_message(self, message: str) -> None:
        """Continue with the user's next message at the playhead, as a branch, and play."""
        trace = self.trace
        assert trace is not None, "nothing is shown to continue"
        changed = self.settings != inputs_at(trace.request)[2]
        then = SetSettings(self.settings) if changed else None
        self._answer(message, clean_line(f"“{message}”", LABEL_CELLS), trace.position, then)

    def _answer(
        self, message: str, label: str, step: int, then: SetSettings | SetSeed | None
    ) -> None:
        self.fork(SendMessage(message), label, play=False, step=step, then=then)
        if self.trace is not None:
            self.trace.total = step + self.settings.tokens  # until the worker reports it
            self.play()

    def reseed(self) -> None:
        """Answer the last message again with another seed; before any, begin again."""
        edits = self.trace.request.edits if self.trace is not None else ()
        said = [at for at in edits if isinstance(at.edit, SendMessage)]
        if not said or not self.chat:
            super().reseed()
            return
        self.seed = random.randrange(1, 10_000)
        self.listener.clear_line()
        at = said[-1]
        assert isinstance(at.edit, SendMessage)
        label = f"“{clean_line(at.edit.text, LABEL_CELLS - 14)}” · seed {self.seed}"
        self._answer(at.edit.text, label, at.step, SetSeed(self.seed))

    def apply(self, label: str) -> None:
        """As in TraceController; after an answer, settings hold from the next message on."""
        if self.is_continued and self.trace is not None and self.trace.finished:
            self.listener.say(
                "applies from the next message: e writes it, r answers the last one again"
            )
            self.refresh()
        else:
            super().apply(label)


class ChatActions(Actions):
    """The settings of a chat, and whether the template's own tokens are shown."""

    def __init__(self, pane: "TracePane", controller: ChatController) -> None:
        super().__init__(pane)
        self._controller = controller
        self.shows_template = False

    def options(self) -> list[Option]:
        controller = self._controller
        if controller.model is None or not controller.model.chat:
            return []
        chat = Option(
            "chat", "chat", "on" if controller.chat else "off",
            "Chat with the model's template, or plain text; a change restarts",
            lambda _: self.action_chat(),
        )  # fmt: skip
        system = Option(
            "system", "system prompt", clean_line(controller.system, 24) or "none",
            "How the model should answer; a change restarts the chat",
            use=self._set_system, text=controller.system,
        )  # fmt: skip
        return [chat, system] if controller.chat else [chat]

    def action_chat(self) -> None:
        """Switch between a chat and plain text."""
        controller = self._controller
        if controller.model is None or not controller.model.chat:
            self.pane.say("this model has no chat template")
            return
        controller.chat = not controller.chat
        controller.start_over(play=True)

    def _set_system(self, text: str) -> None:
        self._controller.system = text.strip()
        self._controller.start_over(play=True)

    def action_template(self) -> None:
        """Show the tokens of the template and special ones, or hide them."""
        trace = self._controller.trace
        if trace is None or not trace.request.chat:
            self.pane.say("only a chat has a template: choose a model that has one")
            return
        self.shows_template = not self.shows_template
        self.pane.paint()
