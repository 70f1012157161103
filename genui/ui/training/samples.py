"""The Sample panel: one seed's sample at each evaluation, shown at the cursor or as a film."""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from textual import events, work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.timer import Timer
from textual.widgets import Static

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.base.text import clean, clean_line, shorten_middle
from genui.protocol.kinds import KINDS
from genui.runs.layout import RunDir
from genui.ui import keys
from genui.ui.lifecycle import guard
from genui.ui.messages import Pointed, ShowStatus
from genui.ui.terminal import may_animate
from genui.ui.training.rows import SidePanel
from genui.ui.training.snapshot import (
    Snapshot,
    all_without_samples,
    at_or_before,
    neighbours,
    sample_steps,
    step_beside,
)
from genui.ui.watcher import RunView, Sample, load_sample
from genui.ui.widgets.bars import Line, clickable
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.image import ImageView

with late_imports():
    from genui.render import image as render_image

if TYPE_CHECKING:
    import numpy as np

# --- One sample -------------------------------------------------------------------------------

CELL = 32  # pixels that an image of a grid is shown at
NO_SAMPLE = "The first sample shows here"
NO_SAMPLES = "No samples"
MIN_SAME = 0.5  # share of unchanged words from which the others are marked
MARKED, MOST_CHANGED = "changed words", "most words changed"
_WORD = re.compile(r"\s+|[^\s]+")


@guard
class SampleBody(Vertical):
    """A sample under a line with its run and step."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Sample | None, Content, Content] = None, Content(""), Content(NO_SAMPLE)

    def compose(self) -> ComposeResult:
        yield Static(classes="sample-step")
        yield ImageView(" ")
        with VerticalScroll(classes="sample-room", can_focus=False):
            yield Static(classes="sample-text", markup=False)

    def show_one(self, sample: Sample | None, label: Content, text: Content) -> None:
        """Show a label, the image of a sample, if it has one, and a text."""
        self._shown = sample, label, text
        self._draw()

    def on_resize(self) -> None:
        self._draw()  # another number of images may fit

    def _draw(self) -> None:
        sample, label, text = self._shown
        image = sample.image if sample is not None else None
        self.set_class(image is not None, "-image")
        self.set_class(sample is not None and bool(sample.text), "-text")
        self.query_one(".sample-step", Static).update(label)
        self.query_one(".sample-text", Static).update(text)
        if sample is not None and image is not None:
            image = self._crop(image, sample.cell) if sample.is_grid else image
            self.query_one(ImageView).show(image, spectrogram=render_image.is_spectrogram(image))

    def _crop(self, image: "np.ndarray", cell: int) -> "np.ndarray":
        """Crop a grid of images, uint8 [H, W, 3], of that side, to as many whole ones as fit."""
        if not cell or image.shape[0] % cell or image.shape[1] % cell:
            return image  # no grid of a known side: it is scaled down instead
        room = self.content_size
        rows = (room.height - 1) * (3 if self.has_class("-text") else 5) // 5
        height = 2 * rows  # pixels, two to a row
        # If not even one image fits, as many as fit at half the size.
        side = CELL if room.width >= CELL and height >= CELL else CELL // 2
        columns, rows = max(1, room.width // side), max(1, height // side)
        return image[: rows * cell, : columns * cell]


def _cell_of(view: RunView) -> int:
    """The side of the images in the samples of a run."""
    recipe = view.summary.info.recipe
    kind = KINDS.get((recipe.get("family", ""), recipe.get("medium", "")))
    return kind.cell if kind is not None else CELL


def mark_changes(text: str, before: str) -> Content:
    """Mark the words of `text` that differ from `before`; none unless most words are the same."""
    words, words_before = _WORD.findall(text), _WORD.findall(before)
    blocks = SequenceMatcher(None, words_before, words, autojunk=False).get_matching_blocks()
    same = [word for _, at, size in blocks for word in words[at : at + size] if word.strip()]
    if len(same) < MIN_SAME * len(text.split()):
        return Content(text)
    parts: list[str | tuple[str, str]] = []
    at = 0
    for _, start, size in blocks:
        if start > at:
            parts.append(("".join(words[at:start]), "bold underline $accent"))
        parts.append("".join(words[start : start + size]))
        at = start + size
    return Content.assemble(*parts)


# --- The history of samples as a film -----------------------------------------------------------

MAX_FRAMES = 300  # of a film: one minute


def film_steps(steps: Sequence[int], start: float | None) -> list[int]:
    """The steps of the samples to play from `start` on, or from the first if `start` is at the
    newest: at most MAX_FRAMES, evenly spaced, the newest among them."""
    current = at_or_before(steps, start)
    first = current if current is not None and current < steps[-1] else steps[0]
    rest = [step for step in steps if step >= first]
    stride = max(-(-len(rest) // MAX_FRAMES), 1)
    return rest[::-1][::stride][::-1]


# --- The panel --------------------------------------------------------------------------------

FRAMES_PER_S = 5
MIN_ROWS = 5  # of each sample, if there are several
MAX_RUNS = 6
ROOMY = 12  # rows of the panel from which one stays empty
_CACHE_SIZE = 64  # samples of at most a megabyte

NONE_OWN = "No sample yet. This run makes one every {} steps (--set sample_every=N)."
NONE_SCRIPT = 'No sample yet. A script makes one with run.log({"sample": genui.Image(image)}).'
NO_FOREIGN_SAMPLES = "A log of another tool: it has no samples."


class _PlaceLine(Line):
    """`step 768 of 1,240  ◂ 704  832 ▸`; a click on a neighbour goes there."""

    def action_go(self, by: int) -> None:
        if isinstance(panel := self.parent, SamplesPanel):
            panel.go(by)


class SamplesPanel(SidePanel):
    """The samples of the runs at the cursor, one below the other.

    To go to another sample, the panel posts Pointed; its owner moves the cursor.
    """

    DEFAULT_CSS = """
    SamplesPanel {
        & > Line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > .samples-none { height: 1fr; display: none; color: $text-muted; text-wrap: wrap; }
        &.-none > .samples-none { display: block; }
        &.-none > .samples-place { display: none; }
        &.-roomy > .samples-place { margin: 0 0 1 0; }
        & SampleBody { height: 1fr; }
        &.-one SampleBody .sample-step { display: none; }
    }
    """

    def __init__(self, marks: bool = True, console: bool = False) -> None:
        """With `marks`, words that changed are marked, and the title explains it; with `console`
        the last lines of a run stand in for samples that it does not make."""
        super().__init__()
        self._marks = marks
        self._stands_in = console
        self._views: Sequence[RunView] = ()
        self._cursor: float | None = None
        self._steps: list[int] = []  # that have a sample
        self._requested: object = None  # the samples that are shown or being loaded
        self._loading = False
        self._note = ""  # on what differs from the sample before
        self._cache: OrderedDict[tuple[RunDir, int, int], Sample] = OrderedDict()
        self._film: list[int] = []  # the steps that are still to be played
        self._timer: Timer | None = None
        self._started_at = self._painted_at = 0.0

    def compose(self) -> ComposeResult:
        yield _PlaceLine(classes="samples-place")
        yield Line(classes="samples-none", markup=False)
        yield SampleBody()

    def on_mount(self) -> None:
        self.border_title = "Sample"

    # --- showing ------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        """Show the newest samples at or before the cursor."""
        old, views = self._views, snapshot.views
        if [id(view.sample_files) for view in views] != [id(view.sample_files) for view in old]:
            self._steps = sample_steps(views) if views else []
        self._views, self._cursor = views, snapshot.cursor
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        """Draw the line with the step at once, then load the samples if they have changed."""
        self.set_class(not self._steps, "-none")
        self.set_class(self.size.height >= ROOMY and len(self._views) < 2, "-roomy")
        self.query_one(".samples-place", Line).show(self._place())
        self.write_border()
        if not self._steps:
            text = _why_no_samples(self._views)
            if self._stands_in and all_without_samples(self._views):
                lines = self._views[0].console[-max(1, self.size.height) :]
                text = "\n".join(clean_line(line, max(1, self.size.width)) for line in lines)
            self.query_one(".samples-none", Line).show(Content(text))
        views = self._list_fitting_runs()
        steps = [at_or_before(list(view.sample_files), self._cursor) for view in views]
        requested = [
            (view.summary.run, step, len(view.sample_files[step]) if step is not None else 0)
            for view, step in zip(views, steps, strict=True)
        ]
        if requested != self._requested:
            self._requested = requested
            if not self._loading:
                self._loading = True
                self._load()

    def _list_fitting_runs(self) -> list[RunView]:
        """The first runs with samples, as many as have room."""
        with_samples = [view for view in self._views if view.sample_files]
        return with_samples[: max(1, min(MAX_RUNS, (self.size.height - 1) // MIN_ROWS))]

    def _place(self) -> Content:
        """`step 768 of 1,240  ◂ 704  832 ▸`, on a narrow panel without the newest step."""
        if not self._steps:
            return Content("")
        current = at_or_before(self._steps, self._cursor)
        before, after = neighbours(self._steps, self._cursor)
        newest = max(self._steps[-1], *(view.summary.status.step for view in self._views))
        step: list[tuple[str, str]] = [("step ", "$text-muted")]
        end = ""
        if current is None:
            step.append((f"before the first, at {numbers.count(self._steps[0])}", "$text-muted"))
        else:
            style = "bold" if self._cursor is None else "bold $accent"
            step.append((numbers.count(current), style))
            end = f" of {numbers.count(newest)}"
        links: list[tuple[str, Style]] = [("   ", Style())]
        if before is not None:
            links.append(self._link(f"◂ {numbers.count(before)}", "go(-1)", "board.earlier"))
            links.append(("  ", Style()))
        if after is not None:
            links.append(self._link(f"{numbers.count(after)} ▸", "go(1)", "board.later"))
        line = Content.assemble(*step, (end, "$text-muted"), *links)
        fits = line.cell_length <= self.content_size.width
        return line if fits else Content.assemble(*step, *links)

    def _link(self, text: str, action: str, key: str) -> tuple[str, Style]:
        keymap = self.query_one(".samples-place", Line).keymap
        return clickable(text, "$primary", action, keys.explain(keys.find_key(key), keymap))

    def write_border(self) -> None:
        title = "Sample" if self._cursor is None else "Sample at the cursor"
        count = sum(1 for view in self._views if view.sample_files)
        hidden = count - len(self._list_fitting_runs())
        if hidden > 0:
            title += f"  {hidden} more {'run does' if hidden == 1 else 'runs do'} not fit"
        subtitle = ", . earlier, later" if len(self._steps) > 1 else ""
        if self.playing:
            subtitle = f"▶ {numbers.count(len(self._film))} left · any key stops"
        style = "bold underline $accent" if self._note == MARKED else "$text-muted"
        note = ("  ", (self._note, style)) if self._note else ()
        set_border(self, title=Content.assemble(title, *note), subtitle=subtitle)

    @work(group="samples", exit_on_error=False)
    async def _load(self) -> None:
        """Load and show the requested samples, and again if others were requested meanwhile."""
        try:
            done: object = None
            while done != self._requested:
                done = self._requested
                await self._load_once()
        finally:
            self._loading = False

    async def _load_once(self) -> None:
        """Read the samples on a thread, then show them all at once."""
        cursor = self._cursor
        samples: list[tuple[Sample | None, Content, Content]] = []
        notes = set[str]()
        for view in self._list_fitting_runs():
            steps = list(view.sample_files)
            step = at_or_before(steps, cursor)
            before = neighbours(steps, step)[0] if step is not None and self._marks else None
            sample, old = await self._sample(view, step), await self._sample(view, before)
            text = Content(clean(sample.text) if sample is not None else NO_SAMPLE)
            if sample and old and sample.text and old.text not in ("", sample.text):
                text = await asyncio.to_thread(mark_changes, text.plain, old.text)
                notes.add(MARKED if text.spans else MOST_CHANGED)
            samples.append((sample, self._label(view, sample), text))
        self._note = MARKED if MARKED in notes else next(iter(notes), "")
        self.write_border()
        await self._set_body_count(len(samples))
        self.set_class(len(self._views) < 2, "-one")
        for body, shown in zip(self.query(SampleBody), samples, strict=False):
            body.show_one(*shown)

    async def _set_body_count(self, count: int) -> None:
        """Mount or remove bodies; one stays, hidden, if `count` is 0."""
        bodies = list(self.query(SampleBody))
        for body in bodies[max(count, 1) :]:
            await body.remove()
        missing = [SampleBody() for _ in range(count - len(bodies))]
        if missing:
            await self.mount(*missing)
        for body in self.query(SampleBody):
            body.display = count > 0

    def _label(self, view: RunView, sample: Sample | None) -> Content:
        name = (shorten_middle(view.summary.info.name, 24), "bold")
        if sample is None:
            return Content.assemble(name, ("  no sample so far", "$text-muted"))
        return Content.assemble(name, (f"  step {numbers.count(sample.step)}", "$text-muted"))

    async def _sample(self, view: RunView, step: int | None) -> Sample | None:
        """The sample of a step; None if there is none."""
        if step is None:
            return None
        media = view.sample_files[step]
        key = (view.summary.run, step, len(media))  # a step may get more of them
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        cell = _cell_of(view)
        sample = self._cache[key] = await asyncio.to_thread(load_sample, media, step, cell)
        while len(self._cache) > _CACHE_SIZE:
            self._cache.popitem(last=False)
        return sample

    # --- going to another sample, and playing ---------------------------------------------

    def go(self, by: int) -> None:
        """Go to an earlier or a later sample; at the last one, follow the newest."""
        try:
            self.post_message(Pointed(step_beside(self._steps, self._cursor, by)))
        except MisuseError as error:
            self.post_message(ShowStatus(str(error), "note"))

    @property
    def playing(self) -> bool:
        return bool(self._film)

    def play(self) -> None:
        """Play from the cursor, or from the first sample; any key stops, also this one again."""
        if self.playing:
            self.stop()
        elif len(self._steps) > 1:
            self._film = film_steps(self._steps, self._cursor)
            self._started_at = self._painted_at = time.monotonic()
            self._timer = self.set_interval(1 / FRAMES_PER_S, self._show_frame)
            self._show_frame()
        else:
            line = "there is one sample so far" if self._steps else "this run has no samples yet"
            self.post_message(ShowStatus(line, "note"))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer, self._film = None, []
        self.write_border()

    def _show_frame(self) -> None:
        if getattr(self.app, "last_key_at", 0.0) > self._started_at or not self._film:
            self.stop()
            return
        if not may_animate(self.app, self._painted_at):
            return  # the terminal has not taken the last frame
        self._painted_at = time.monotonic()
        step = self._film.pop(0)
        self.post_message(Pointed(None if step == self._steps[-1] else step))
        if not self._film:
            self.stop()

    def on_unmount(self, event: events.Unmount) -> None:
        if self._timer is not None:
            self._timer.stop()


def _why_no_samples(views: Sequence[RunView]) -> str:
    if not views:
        return ""
    summary = views[0].summary
    if not summary.native:
        return NO_FOREIGN_SAMPLES
    if summary.info.kind == "script":
        return NONE_SCRIPT
    if not summary.alive:
        return NO_SAMPLES
    if not summary.status.step:
        return NO_SAMPLE  # one is made before the first step
    return NONE_OWN.format(clean_line(str(summary.info.recipe.get("sample_every", "so many")), 12))
