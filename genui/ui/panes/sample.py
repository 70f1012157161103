"""What the model makes from one fixed seed: text, or as many pictures as there is room for."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from genui.render import numbers
from genui.render.sanitise import clean, clean_line
from genui.ui import messages
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.samples import Sample, load_sample
from genui.ui.widgets.picture import Picture

CELL = 32  # pixels; samples of pictures are a grid of 32×32
EMPTY = "The first sample shows here"


class SampleView(DeafWhenLeaving, Vertical):
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
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        yield Static(classes="sample-step")
        yield Static(EMPTY, classes="sample-text", markup=False)
        yield Picture(" ")

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

    def on_resize(self) -> None:
        self._drawn = None
        self._draw()

    def _draw(self) -> None:
        sample = self._past or self._newest
        place = list(self._files).index(sample.step) if sample and sample.step in self._files else 0
        now = (sample and sample.step, id(sample), place, len(self._files))
        if now == self._drawn:
            return
        self._drawn = now
        text = self.query_one(".sample-text", Static)
        self.set_class(sample is not None and sample.picture is not None, "-picture")
        if sample is None:
            self.query_one(".sample-step", Static).update("")
            text.update(EMPTY)
            return
        which = f"  {place + 1} of {len(self._files)}" if len(self._files) > 1 else ""
        label = Content.assemble(
            ("at step ", "$text-muted"),
            (numbers.count(sample.step), "bold $accent" if self._past else "bold"),
            (which, "$text-muted"),
        )
        self.query_one(".sample-step", Static).update(label)
        if sample.picture is None:
            text.update(clean(sample.text))
            return
        room = self.content_size
        height = 2 * (room.height - 1)  # pixels, two to a row
        whole = room.width >= CELL and height >= CELL
        side = CELL if whole else CELL // 2  # as many at half the size as fit, if not one whole
        columns, rows = max(1, room.width // side), max(1, height // side)
        self.query_one(Picture).show(sample.picture[: rows * CELL, : columns * CELL])
