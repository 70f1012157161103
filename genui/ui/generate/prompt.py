"""The line in which a prompt or caption is typed: its label, completion, and the words that the
model knows."""

import difflib
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Label, Static

from genui.base.errors import GenuiError
from genui.base.text import clean_line, split_words
from genui.runs.models import ModelInfo, read_header
from genui.ui.editor import edit_text
from genui.ui.messages import ShowStatus
from genui.ui.widgets.dialogs import Window
from genui.ui.widgets.inputs import Completer, LineInput, escape_newlines, unescape_newlines

MAX_LISTED = 80  # words; a wider terminal has no room for more
RECALLED = 50  # lines
NEAR = 0.75  # the least likeness of a word that is suggested in place of an unknown one


class Vocabulary(NamedTuple):
    """The words that captions of a model may have. Empty for a model of other prompts."""

    words: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()  # examples of its recipe
    digits: bool = False  # whether a number is read digit by digit


def read_vocabulary(model: ModelInfo | None) -> Vocabulary:
    """The vocabulary in the header of a model's file; empty if it has none or cannot be read."""
    if model is None:
        return Vocabulary()
    try:
        return _read(model.path, model.path.stat().st_mtime_ns)
    except (OSError, GenuiError):
        return Vocabulary()


@lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> Vocabulary:
    header = read_header(path)
    words = tuple(str(word) for word in header.metadata.get("words", ()))
    recipe = header.recipe
    return Vocabulary(words, recipe.prompts, recipe.READS_DIGITS) if words else Vocabulary()


def complete_caption(value: str, vocabulary: Vocabulary) -> str | None:
    """The caption with its last word completed, if a word begins like it; an example is first."""
    start = _last_word(value)
    if not start:
        return None
    for caption in vocabulary.captions:
        if caption.startswith(value) and caption != value:
            return caption
    word = next((word for word in _beginning(start, vocabulary) if word != start), None)
    return value + word[len(start) :] if word else None


def unknown_words(value: str, vocabulary: Vocabulary, typing: bool = False) -> list[str]:
    """The words that are not in the model's vocabulary. While `typing`, the last may be
    unfinished."""
    known = frozenset(vocabulary.words)
    if not known:
        return []
    words = list(split_words(value))
    if typing and words and words[-1] == _last_word(value) and _beginning(words[-1], vocabulary):
        words.pop()
    if vocabulary.digits:
        words = [word for word in words if not word.isdecimal()]
    return list(dict.fromkeys(word for word in words if word not in known))


def describe_unknown(value: str, vocabulary: Vocabulary, typing: bool = False) -> str:
    """`not in this model's vocabulary: hart; did you mean 'heart'?`; "" if all words are known."""
    unknown = unknown_words(value, vocabulary, typing)
    if not unknown:
        return ""
    length = len(unknown[0])
    words = [word for word in vocabulary.words if abs(len(word) - length) < 2]
    near = difflib.get_close_matches(unknown[0], words, n=1, cutoff=NEAR)
    remedy = f"; did you mean '{near[0]}'?" if near else ""
    return f"not in this model's vocabulary: {', '.join(unknown)}{remedy}"


def describe_words(value: str, vocabulary: Vocabulary) -> str:
    """The known words that begin like an unfinished last one, else all: `1,333 words: red …`."""
    if not vocabulary.words:
        return ""
    start = _last_word(value)
    words = _beginning(start, vocabulary)
    if words == [start]:  # it is finished
        start, words = "", _beginning("", vocabulary)
    listed = " ".join(words[:MAX_LISTED])
    return listed if start else f"{len(words):,} words: {listed}"


def _last_word(value: str) -> str:
    """The word at the end of what was typed; "" after a space."""
    words = split_words(value)
    return words[-1] if words and value[-1:].isalnum() else ""


def _beginning(start: str, vocabulary: Vocabulary) -> list[str]:
    """The known words that begin so: those of examples first, single characters last."""
    examples = frozenset(word for caption in vocabulary.captions for word in split_words(caption))
    words = [word for word in vocabulary.words if word.startswith(start)]
    return sorted(words, key=lambda word: (word not in examples, len(word) < 3, word))


class RecallLine(LineInput):
    """↑ and ↓ recall what was typed in it before, and Ctrl+O opens the text in $EDITOR.

    With `joins` the lines of the editor become one; else a new line is written as \\n.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+o", "edit", "In $EDITOR", show=False),
        Binding("up", "recall(-1)", "The line before", show=False),
        Binding("down", "recall(1)", "The next line", show=False),
    ]

    def __init__(self, placeholder: str, joins: bool = False) -> None:
        super().__init__(placeholder=placeholder, compact=True)
        self._joins = joins
        self._lines: list[str] = []
        self._draft = ""  # what was being typed when ↑ was pressed
        self._at = 0  # the line that is shown; the number of lines for the draft

    @property
    def has_lines(self) -> bool:
        """Whether there is something to recall."""
        return bool(self._lines)

    def restart(self, value: str) -> None:
        """Begin a new line with this text."""
        self.value, self._at = value, len(self._lines)

    def remember(self, value: str) -> None:
        if value and value not in self._lines[-1:]:
            self._lines = [*self._lines[-RECALLED + 1 :], value]

    def action_recall(self, by: int) -> None:
        """Show the line before, or the next."""
        at = self._at + by
        if not 0 <= at <= len(self._lines):
            return
        if self._at == len(self._lines):
            self._draft = self.value
        self._at = at
        self.value = self._lines[at] if at < len(self._lines) else self._draft
        self.cursor_position = len(self.value)

    def action_edit(self) -> None:
        """Edit the text in $EDITOR; the saved text takes its place."""
        try:
            text = edit_text(self.app, unescape_newlines(self.value))
        except GenuiError as error:
            self.post_message(ShowStatus(str(error)))
            return
        self.value = escape_newlines(" ".join(text.split()) if self._joins else text)
        self.cursor_position = len(self.value)


class PromptLine(Vertical):
    """A labelled line for a prompt or caption. Hidden unless its pane has the class `-editing`."""

    def __init__(self, label: str, placeholder: str) -> None:
        super().__init__()
        self._label = label
        self._placeholder = placeholder
        self._vocabulary = Vocabulary()

    def compose(self) -> ComposeResult:
        with Horizontal(classes="prompt-row"):
            yield Label(f"{self._label} ", markup=False)
            yield RecallLine(self._placeholder, joins=self._label == "caption")
        yield Static(classes="prompt-words", markup=False)

    @property
    def input(self) -> LineInput:
        """Where the text is typed."""
        return self.query_one(RecallLine)

    def open(self, value: str, model: ModelInfo | None, label: str = "") -> None:
        """Begin to edit a prompt of a model; `label` takes the place of the line's own."""
        self.query_one(Label).update(f"{label or self._label} ")
        self._vocabulary = read_vocabulary(model)
        line, has_words = self.query_one(RecallLine), bool(self._vocabulary.words)
        complete = partial(complete_caption, vocabulary=self._vocabulary)
        line.suggester = Completer(complete) if has_words else None
        line.placeholder = f"the {label}; \\n is a new line" if label else self._placeholder
        line.restart(value)
        completes = (("→", "complete"),) if has_words else ()
        recalls = (("↑", "recall"),) if line.has_lines else ()
        editor = ("^o", "$EDITOR")
        line.hints = (("⏎", "generate"), *completes, *recalls, ("esc", "cancel"), editor)
        self._describe(value)
        self.screen.set_focus(line)

    @on(LineInput.Submitted)
    def _remember(self, event: LineInput.Submitted) -> None:
        self.query_one(RecallLine).remember(event.value)

    @on(LineInput.Changed)
    def _typed(self, event: LineInput.Changed) -> None:
        event.stop()
        self._describe(event.value)

    def _describe(self, value: str) -> None:
        """Say which words are unknown, or which are known."""
        unknown = describe_unknown(value, self._vocabulary, typing=True)
        words = self.query_one(".prompt-words", Static)
        words.update(clean_line(unknown or describe_words(value, self._vocabulary), 600))
        words.display = bool(self._vocabulary.words)
        words.set_class(bool(unknown), "-fault")


class CaptionScreen(Window[str | None]):
    """Asks for another caption. Dismissed with it, or None by Esc."""

    def __init__(self, title: str, value: str, hint: str, model: ModelInfo | None) -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._hint = hint
        self._model = model

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield PromptLine("caption", "e.g. white rocket on blue")
            yield Static(self._hint, classes="hint", markup=False)

    def on_mount(self) -> None:
        self.set_titles(self._title, "ctrl+o editor · → completes · ⏎ generate · esc cancel")
        self.query_one(PromptLine).open(self._value, self._model)
        self.begin_typing()

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        self.leave(event.value.strip())
