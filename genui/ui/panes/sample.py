"""What the model makes from one fixed seed: text, or as many pictures as there is room for."""

import asyncio
import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from genui.render import numbers
from genui.render.sanitise import clean, clean_line
from genui.ui import messages
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.samples import Sample, load_sample
from genui.ui.widgets.picture import Picture

if TYPE_CHECKING:
    import numpy as np

CELL = 32  # pixels; samples of pictures are a grid of 32×32
EMPTY = "The first sample shows here"
LEAST_SAME = 0.3  # of the words, for the others to be marked
_WORD = re.compile(r"\s+|[^\s]+")


class SampleBody(DeafWhenLeaving, Vertical):
    """One sample, under a line that says which."""

    def __init__(self, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._shown: tuple[Sample | None, Content, str] | None = None

    def compose(self) -> ComposeResult:
        yield Static(classes="sample-step")
        yield Picture(" ")
        with VerticalScroll(classes="sample-room", can_focus=False):
            yield Static(EMPTY, classes="sample-text", markup=False)

    def show_one(self, sample: Sample | None, label: Content, before: str = "") -> None:
        """This sample; of a text the words that are not in `before` stand out."""
        shown = self._shown
        same = shown is not None and shown[0] is sample and shown[1].is_same(label)
        if not same or shown is None or shown[2] != before:
            self._shown = (sample, label, before)
            self._put(sample, label, before)

    def on_resize(self) -> None:
        if self._shown is not None:  # there may be room for more of a picture, or less
            self._put(*self._shown)

    def _put(self, sample: Sample | None, label: Content, before: str) -> None:
        self.set_class(sample is not None and sample.picture is not None, "-picture")
        self.set_class(sample is not None and bool(sample.text), "-text")
        self.query_one(".sample-step", Static).update(label)
        text = self.query_one(".sample-text", Static)
        if sample is None:
            text.update(EMPTY)
            return
        text.update(marked(clean(sample.text), before) if before else clean(sample.text))
        if sample.picture is not None:
            self.query_one(Picture).show(self._fitting(sample.picture))

    def _fitting(self, picture: "np.ndarray") -> "np.ndarray":
        """As many whole pictures of a grid, uint8 [H, W, 3], as there is room for."""
        if picture.shape[0] % CELL or picture.shape[1] % CELL:
            return picture  # of somebody else's making: all of it, as small as it must be
        room = self.content_size
        rows = (room.height - 1) * (3 if self.has_class("-text") else 5) // 5
        height = 2 * rows  # pixels, two to a row
        whole = room.width >= CELL and height >= CELL
        side = CELL if whole else CELL // 2  # as many at half the size as fit, if not one whole
        columns, rows = max(1, room.width // side), max(1, height // side)
        return picture[: rows * CELL, : columns * CELL]


class SampleView(SampleBody):
    """The newest sample of a run, or an earlier one that was gone back to."""

    class Walked(Message):
        """Another sample is shown: of this step, or None where the newest is followed again."""

        def __init__(self, step: int | None) -> None:
            super().__init__()
            self.step = step

    def __init__(self, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._files: Mapping[int, Path] = {}
        self._newest: Sample | None = None
        self._past: Sample | None = None

    def on_mount(self) -> None:
        self.border_title = "Sample"
        self.border_subtitle = ", . earlier / later"

    def show(self, newest: Sample | None, files: Mapping[int, Path]) -> None:
        """The samples there are now; an earlier one that is looked at stays."""
        self._newest, self._files = newest, files
        if self._past is not None and self._past.step not in files:
            self._walk_to(None)
        self._draw()

    def clear(self) -> None:
        """Those of another run will follow."""
        self._walk_to(None)
        self.show(None, {})

    def go(self, by: int) -> None:
        """To an earlier or a later sample; from the last of them the newest is followed."""
        shown = self._past or self._newest
        steps = list(self._files)
        if shown is None or shown.step not in steps:
            return
        at = steps.index(shown.step) + by
        if at >= len(steps) - 1:
            self._walk_to(None)
        elif at >= 0:
            self._load(self._files[steps[at]], steps[at])

    @work(exclusive=True, exit_on_error=False)
    async def _load(self, path: Path, step: int) -> None:
        try:
            sample = await asyncio.to_thread(load_sample, path, step)
        except OSError as error:
            fault = str(error.strerror)
        else:
            if sample is not None:
                self._walk_to(sample)
                return
            fault = "not a sample that can be shown"
        self.post_message(messages.Say(clean_line(f"{path}: {fault}")))

    def _walk_to(self, past: Sample | None) -> None:
        self._past = past
        self.post_message(self.Walked(past.step if past is not None else None))
        self._draw()

    def _draw(self) -> None:
        sample = self._past or self._newest
        if sample is None:
            self.show_one(None, Content(""))
            return
        place = list(self._files).index(sample.step) + 1 if sample.step in self._files else 1
        which = f"  {place} of {len(self._files)}" if len(self._files) > 1 else ""
        label = Content.assemble(
            ("at step ", "$text-muted"),
            (numbers.count(sample.step), "bold $accent" if self._past else "bold"),
            (which, "$text-muted"),
        )
        self.show_one(sample, label)


def marked(text: str, before: str) -> Content:
    """`text` with the words in bold that `before` did not have in their place.

    Where little is the same everything is new, and nothing is marked.
    """
    words, known = _WORD.findall(text), _WORD.findall(before)
    blocks = SequenceMatcher(None, known, words, autojunk=False).get_matching_blocks()
    if sum(block.size for block in blocks) < LEAST_SAME * len(words):
        return Content(text)
    parts: list[str | tuple[str, str]] = []
    at = 0
    for _, start, size in blocks:
        if start > at:
            parts.append(("".join(words[at:start]), "bold $accent"))
        parts.append("".join(words[start : start + size]))
        at = start + size
    return Content.assemble(*parts)
