"""The settings of a pane that several kinds of models are asked in: each kind keeps its own."""

from typing import Generic

from genui.kinds import KINDS
from genui.protocol import Settings
from genui.runs.catalog import ModelInfo
from genui.ui.settings import S


class UsualSettings(Generic[S]):
    """What each kind of model was asked with last; `first` is what the pane begins with."""

    def __init__(self, first: S) -> None:
        self._first = first
        self._last: dict[Settings, S] = {}  # by what a kind is usually asked with

    def for_model(self, model: ModelInfo, before: ModelInfo | None, now: S) -> S:
        """The settings for a model, which were `now` for the one before.

        They stay as they are, but for a model of a kind that is usually asked otherwise.
        """
        was, usual = self._usual(before), self._usual(model)
        if usual == was:
            return now
        self._last[was] = now
        return self._last.get(usual, usual)

    def _usual(self, model: ModelInfo | None) -> S:
        kind = KINDS.get((model.family, model.medium)) if model is not None else None
        usual = kind.defaults if kind is not None else None
        return usual if isinstance(usual, type(self._first)) else self._first
