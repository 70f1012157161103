"""What a model made at each evaluation from one seed: at the cursor, or played as a film."""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events, work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.timer import Timer
from textual.widgets import Static

from genui.base import numbers
from genui.base.text import clean, clean_line
from genui.ui.messages import Pointed
from genui.ui.terminal import may_animate
from genui.ui.training.model import Snapshot, at_or_before, beside, sample_steps
from genui.ui.training.rows import SidePanel
from genui.ui.watcher import RunView, Sample, load_sample
from genui.ui.widgets.base import LifecycleGuard, Line, clickable, set_border
from genui.ui.widgets.image import ImageView

if TYPE_CHECKING:
    import numpy as np

# --- One sample -------------------------------------------------------------------------------

CELL = 32  # pixels; samples of images are a grid of 32×32
NO_SAMPLE = "The first sample shows here"
LEAST_SAME = 0.3  # of the words, for the others to be marked
_WORD = re.compile(r"\s+|[^\s]+")


class SampleBody(LifecycleGuard, Vertical):
    """One sample, under a line that names its run and step."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Sample | None, Content, str] | None = None

    def compose(self) -> ComposeResult:
        yield Static(classes="sample-step")
        yield ImageView(" ")
        with VerticalScroll(classes="sample-room", can_focus=False):
            yield Static(NO_SAMPLE, classes="sample-text", markup=False)

    def show_one(self, sample: Sample | None, label: Content, before: str = "") -> None:
        """This sample; of a text the words that are not in `before` stand out."""
        shown = self._shown
        same = shown is not None and shown[0] is sample and shown[1].is_same(label)
        if not same or shown is None or shown[2] != before:
            self._shown = (sample, label, before)
            self._put(sample, label, before)

    def on_resize(self) -> None:
        if self._shown is not None:  # there may be room for more of an image, or less
            self._put(*self._shown)

    def _put(self, sample: Sample | None, label: Content, before: str) -> None:
        self.set_class(sample is not None and sample.image is not None, "-image")
        self.set_class(sample is not None and bool(sample.text), "-text")
        self.query_one(".sample-step", Static).update(label)
        text = self.query_one(".sample-text", Static)
        if sample is None:
            text.update(NO_SAMPLE)
            return
        text.update(mark_changes(clean(sample.text), before) if before else clean(sample.text))
        if sample.image is not None:
            self.query_one(ImageView).show(self._fitting(sample.image))

    def _fitting(self, image: "np.ndarray") -> "np.ndarray":
        """As many whole images of a grid, uint8 [H, W, 3], as there is room for."""
        if image.shape[0] % CELL or image.shape[1] % CELL:
            return image  # of somebody else's making: all of it, as small as it must be
        room = self.content_size
        rows = (room.height - 1) * (3 if self.has_class("-text") else 5) // 5
        height = 2 * rows  # pixels, two to a row
        whole = room.width >= CELL and height >= CELL
        side = CELL if whole else CELL // 2  # as many at half the size as fit, if not one whole
        columns, rows = max(1, room.width // side), max(1, height // side)
        return image[: rows * CELL, : columns * CELL]


def mark_changes(text: str, before: str) -> Content:
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


# --- A history of samples as a film ------------------------------------------------------------

LONGEST = 300
"""Frames of a film, a minute of it: of more samples, as many at even distances are shown."""


def film_steps(steps: Sequence[int], start: float | None) -> list[int]:
    """What is played from the cursor on, or from the first sample where the cursor is at the
    newest: LONGEST at most, the newest among them."""
    shown = at_or_before(steps, start)
    first = shown if shown is not None and shown < steps[-1] else steps[0]
    rest = [step for step in steps if step >= first]
    stride = max(-(-len(rest) // LONGEST), 1)
    return rest[::-1][::stride][::-1]


# --- The panel --------------------------------------------------------------------------------

FRAMES_A_SECOND = 5
LEAST_ROWS = 5  # of a run's sample where several lie one under the other
MOST_RUNS = 6
ROOMY = 12  # rows in which one may be left empty
_KEPT = 64  # samples that are held: a megabyte each at the very most

NONE_OWN = "No sample yet. This run makes one every {} steps (--set sample_every=N)."
NONE_SCRIPT = 'No sample yet. A script makes one with run.log({"sample": genui.Image(image)}).'
NO_FOREIGN_SAMPLES = "A log of another tool: genui reads no samples from it."


class _PlaceLine(Line):
    """`step 768 of 1,240  ◂ 704  832 ▸`, of which the neighbours can be clicked."""

    def action_go(self, by: int) -> None:
        if isinstance(panel := self.parent, SamplesPanel):
            panel.go(by)


class SamplesPanel(SidePanel):
    """The samples of one run, or of several at the same step, one under the other.

    Walking and playing move the cursor of whoever shows it: they post Pointed.
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

    def __init__(self) -> None:
        super().__init__()
        self._views: Sequence[RunView] = ()
        self._cursor: float | None = None
        self._steps: list[int] = []  # at which there is a sample
        self._loaded: object = None  # which samples were asked for last
        self._loading = False
        self._cache: OrderedDict[tuple[Path, int], Sample | None] = OrderedDict()
        self._film: list[int] = []  # what is still to be played
        self._timer: Timer | None = None
        self._began = self._painted = 0.0

    def compose(self) -> ComposeResult:
        yield _PlaceLine(classes="samples-place")
        yield Line(classes="samples-none", markup=False)
        yield SampleBody()

    def on_mount(self) -> None:
        self.border_title = "Sample"

    # --- showing ------------------------------------------------------------------------

    def show(self, shown: Snapshot) -> None:
        """The newest samples at or before the cursor."""
        files = tuple(id(view.sample_files) for view in shown.views)
        if files != tuple(id(view.sample_files) for view in self._views):
            self._steps = sample_steps(shown.views) if shown.views else []
        self._views, self._cursor = shown.views, shown.cursor
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        """The line that says which step, at once; then the samples, where they are others."""
        self.set_class(not self._steps, "-none")
        self.set_class(self.size.height >= ROOMY and len(self._views) < 2, "-roomy")
        self.query_one(".samples-place", Line).show(self._place())
        self._write_border()
        if not self._steps:
            self.query_one(".samples-none", Line).show(Content(_why_no_samples(self._views)))
        wanted = self._samples_needed()
        if wanted != self._loaded:
            self._loaded = wanted
            if not self._loading:
                self._loading = True
                self._load()

    def _samples_needed(self) -> tuple[object, ...]:
        """Which samples belong on the screen, by run, step, and what is known of the newest."""
        return tuple(
            (view.summary.run, at_or_before(list(view.sample_files), self._cursor))
            for view in self._fitting()
        )

    def _fitting(self) -> list[RunView]:
        """The runs there is room for, those without a sample last."""
        with_samples = [view for view in self._views if view.sample_files]
        room = max(1, min(MOST_RUNS, (self.size.height - 1) // LEAST_ROWS))
        return with_samples[:room]

    def _place(self) -> Content:
        """`step 768 of 1,240  ◂ 704  832 ▸`, on a narrow panel without the newest step."""
        if not self._steps:
            return Content("")
        shown = at_or_before(self._steps, self._cursor)
        before, after = beside(self._steps, self._cursor)
        newest = max(self._steps[-1], *(view.summary.status.step for view in self._views))
        step: list[tuple[str, str]] = [("step ", "$text-muted")]
        end = ""
        if shown is None:
            step.append((f"before the first, at {numbers.count(self._steps[0])}", "$text-muted"))
        else:
            step.append((numbers.count(shown), "bold" if self._cursor is None else "bold $accent"))
            end = f" of {numbers.count(newest)}"
        links: list[tuple[str, Style]] = [("   ", Style())]
        if before is not None:
            links += [
                clickable(f"◂ {numbers.count(before)}", "$primary", "go(-1)"),
                ("  ", Style()),
            ]
        if after is not None:
            links.append(clickable(f"{numbers.count(after)} ▸", "$primary", "go(1)"))
        line = Content.assemble(*step, (end, "$text-muted"), *links)
        fits = line.cell_length <= self.content_size.width
        return line if fits else Content.assemble(*step, *links)

    def _write_border(self) -> None:
        title = "Sample" if self._cursor is None else "Sample at the cursor"
        hidden = sum(1 for view in self._views if view.sample_files) - len(self._fitting())
        if hidden > 0:
            title += f"  {hidden} more {'run does' if hidden == 1 else 'runs do'} not fit"
        set_border(self, title=title)
        words = ", . earlier, later" if len(self._steps) > 1 else ""
        if self.playing:
            words = f"▶ {numbers.count(len(self._film))} left · any key stops"
        set_border(self, subtitle=words)

    @work(group="samples", exit_on_error=False)
    async def _load(self) -> None:
        """Read what is to be shown, on a thread, and show it all at once; then what is by then."""
        try:
            done: object = None
            while done != self._loaded:
                done = self._loaded
                await self._read()
        finally:
            self._loading = False

    async def _read(self) -> None:
        cursor = self._cursor
        samples: list[tuple[RunView, Sample | None, Sample | None]] = []
        for view in self._fitting():
            steps = list(view.sample_files)
            step = at_or_before(steps, cursor)
            before = beside(steps, step)[0] if step is not None else None
            both = await self._sample(view, step), await self._sample(view, before)
            samples.append((view, *both))
        await self._make_room(len(samples))
        self.set_class(len(self._views) < 2, "-one")
        for body, (view, sample, before) in zip(self.query(SampleBody), samples, strict=False):
            body.show_one(sample, self._label(view, sample), before.text if before else "")

    async def _make_room(self, count: int) -> None:
        """As many bodies as there are runs to show, of which there is one at least."""
        bodies = list(self.query(SampleBody))
        for body in bodies[max(count, 1) :]:
            await body.remove()
        missing = [SampleBody() for _ in range(count - len(bodies))]
        if missing:
            await self.mount(*missing)
        for body in self.query(SampleBody):
            body.display = count > 0

    def _label(self, view: RunView, sample: Sample | None) -> Content:
        name = (clean_line(view.summary.info.name, 24), "bold")
        if sample is None:
            return Content.assemble(name, ("  no sample by then", "$text-muted"))
        return Content.assemble(name, (f"  step {numbers.count(sample.step)}", "$text-muted"))

    async def _sample(self, view: RunView, step: int | None) -> Sample | None:
        """The sample of a step; None where there is none, or it cannot be read."""
        if step is None:
            return None
        newest = view.sample
        if newest is not None and newest.step == step:
            return newest
        key = (view.sample_files[step], step)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        try:
            sample = await asyncio.to_thread(load_sample, *key)
        except OSError:
            return None  # the run was removed meanwhile; its view tells
        self._cache[key] = sample
        while len(self._cache) > _KEPT:
            self._cache.popitem(last=False)
        return sample

    # --- walking and playing --------------------------------------------------------------

    def go(self, by: int) -> None:
        """To an earlier or a later sample; from the last of them the newest is followed."""
        before, after = beside(self._steps, self._cursor)
        step = before if by < 0 else after
        if step is not None:
            self._point(step)

    def _point(self, step: int) -> None:
        self.post_message(Pointed(None if step == self._steps[-1] else step))

    @property
    def playing(self) -> bool:
        """Whether the film is on."""
        return bool(self._film)

    def play(self) -> None:
        """The history from the cursor on, or from its beginning; again, or any key, stops."""
        if self.playing:
            self.stop()
        elif len(self._steps) > 1:
            self._film = film_steps(self._steps, self._cursor)
            self._began = self._painted = time.monotonic()
            self._timer = self.set_interval(1 / FRAMES_A_SECOND, self._next)
            self._next()

    def stop(self) -> None:
        """Hold the film where it is."""
        if self._timer is not None:
            self._timer.stop()
        self._timer, self._film = None, []
        self._write_border()

    def _next(self) -> None:
        if getattr(self.app, "last_key_at", 0.0) > self._began or not self._film:
            self.stop()
            return
        if not may_animate(self.app, self._painted):
            return  # the terminal has not taken the last frame
        self._painted = time.monotonic()
        self._point(self._film.pop(0))
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
    return NONE_OWN.format(clean_line(str(summary.info.recipe.get("sample_every", "so many")), 12))
