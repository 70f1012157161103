"""What text and music share: a model's tokens chosen one by one, edited, and read again."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar, Generic, TypeVar

import numpy as np

from genui.engine.device import Machine
from genui.engine.generate.reader import Reader
from genui.engine.generate.token_frame import TokenState
from genui.engine.generate.token_list import TokenList
from genui.engine.models.language_model import LanguageModel
from genui.errors import MisuseError
from genui.protocol import (
    Edit,
    SetSeed,
    SetSettings,
    Start,
    Started,
    TextSettings,
    WriteText,
    WriteToken,
)

S = TypeVar("S", bound=TokenState)


class TokenGenerator(ABC, Generic[S]):
    """A language model that writes; `step` is one token. Fulfils `trace.Generator`."""

    medium: ClassVar[str]
    writer: ClassVar[str]  # what such a model is called: "a text model"
    edits: ClassVar[str]  # which edits it takes, as the end of a sentence

    def __init__(self, model: LanguageModel, machine: Machine, family: str = "transformer") -> None:
        self.model, self.machine, self.family = model.eval(), machine, family
        self._reader = Reader(self.model, machine)

    def read(self, token_ids: TokenList, prompt: int) -> np.ndarray:
        """Logits float32 [V] after `token_ids`, the first `prompt` of which were given."""
        return self._reader.logits(token_ids, prompt)

    def started(self, request: Start, state: S, prompt: str, note: str) -> Started:
        """What a person should know of a trace's first state."""
        return Started(
            trace=request.trace,
            model=request.model,
            family=self.family,
            medium=self.medium,
            prompt=prompt,
            total_steps=self.total(state),
            note=note,
        )

    def frame(self, state: S) -> None:
        """Nothing: a token is seen as it is written."""

    def note(self, state: S) -> str:
        """Nothing: `begin` tells what was not read or not understood."""
        return ""

    def finished(self, state: S) -> bool:
        return state.step >= self.total(state)

    @abstractmethod
    def total(self, state: S) -> int:
        """How many tokens there will be."""

    def edit(self, state: S, edit: Edit) -> S:
        """Other settings, another seed or tokens by hand, from the next token on.

        What was still to be written by hand gives way to what is new. Raises MisuseError for
        edits of pictures, past the end, and for what cannot be written there.
        """
        self.check_editable(state)
        match edit:
            case SetSettings(settings=settings):
                return replace(state, settings=self.check_settings(settings))
            case SetSeed(seed=seed):
                return replace(state, seed=seed)
            case WriteText(text=text):
                written = self.parse(state, text)
            case WriteToken(token=token):
                written = (token,)
            case _:
                tag = type(edit).__struct_config__.tag
                raise MisuseError(f"'{tag}' is an edit of pictures; {self.edits}")
        self.check_written(state, written)
        return replace(state, written=written, written_from=state.step)

    def check_settings(self, settings: object) -> TextSettings:
        """The settings. Raises MisuseError for those of another medium."""
        if not isinstance(settings, TextSettings):
            raise MisuseError(f"{self.writer} needs text settings")
        return settings

    @abstractmethod
    def check_editable(self, state: S) -> None:
        """Raises MisuseError where nothing more can be written."""

    @abstractmethod
    def check_written(self, state: S, written: tuple[int, ...]) -> None:
        """Raises MisuseError where these tokens cannot follow."""

    @abstractmethod
    def parse(self, state: S, text: str) -> tuple[int, ...]:
        """The tokens of what a person wrote to follow. Raises MisuseError where there are none."""

    @abstractmethod
    def spelled(self, token_ids: list[int]) -> tuple[str, ...]:
        """What was read as a person reads it, each token by itself."""
