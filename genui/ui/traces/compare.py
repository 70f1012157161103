"""Where traces part, how far apart two pictures are, and what another model is asked. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from genui import protocol
from genui.base.text import clean_line
from genui.protocol import Frame, ImageFrame, TextFrame
from genui.ui.traces.controller import Trace

Part = Literal["guess", "x", "noise"]
PARTS: dict[Part, str] = {
    "guess": "guess of the clean picture",
    "x": "noisy picture",
    "noise": "noise that the model sees",
}


class Gap(NamedTuple):
    """How far apart two pictures are."""

    share: float  # of the pixels: those that differ at all
    mean: float  # absolute difference of a colour value, 0 to 255


def same(one: Frame, other: Frame) -> bool:
    """Whether two frames came to the same: the token and its text, or the noisy picture's bytes."""
    return one.identity == other.identity


def parting(columns: Sequence[Sequence[Frame]]) -> int | None:
    """The first step at which the traces are not all the same; None where they are so far.

    Each is its frames in order, all from the same first step on.
    """
    # A branch shares the very frames of its parent, so most are the same object.
    for frames in zip(*columns, strict=False):
        first = frames[0]
        if any(frame is not first and not same(first, frame) for frame in frames[1:]):
            return first.step
    return None


def in_common(columns: Sequence[Sequence[Frame]]) -> int:
    """The last step that all of them have a frame of; 0 where one has none."""
    return min((frames[-1].step if frames else 0 for frames in columns), default=0)


def gap(one: ImageFrame, other: ImageFrame, part: Part) -> Gap | None:
    """How far apart that part of two frames is; None for pictures of different sizes."""
    sizes = [(frame.pictures, frame.width, frame.height) for frame in (one, other)]
    if sizes[0] != sizes[1]:
        return None
    from genui.formats.codec import clip_pixels
    from genui.formats.image import difference

    found = difference([*clip_pixels(one, part)], [*clip_pixels(other, part)])
    assert found is not None, "equal sizes can be compared"
    return Gap(found[0], found[2])


def gap_words(found: Gap) -> str:
    """`12.5 % of pixels differ, mean difference 3.4 of 255`."""
    if not found.share:
        return "no pixel differs"
    share = 100 * found.share
    return f"{share:.3g} % of pixels differ, mean difference {found.mean:.3g} of 255"


def token_words(frames: Sequence[Frame | None]) -> str:
    """`: ‘the’ and ‘my’`, of two tokens that differ; else nothing."""
    texts = [frame.text for frame in frames if isinstance(frame, TextFrame)]
    if len(frames) != 2 or len(texts) != 2:
        return ""
    one, other = (clean_line(repr(text)[1:-1], 16) or "␣" for text in texts)
    return f": ‘{one}’ and ‘{other}’"


def for_model(trace: Trace[Any], model: str) -> protocol.Start:
    """What asks `model` for the same: prompt, seed, settings and edits.

    A token that was chosen by hand is asked for as its text.
    """
    edits = []
    for at in trace.request.edits:
        index = at.step + 1 - trace.first  # of the frame that the token became
        if isinstance(at.edit, protocol.WriteToken) and index < len(trace.frames):
            at = replace(at, edit=protocol.WriteText(trace.frames[index].text))
        edits.append(at)
    return replace(trace.request, model=model, edits=tuple(edits))


# --- Traces that move along one timeline together. Pure: it asks nobody and draws nothing -----


@dataclass
class Column:
    """A trace and what it is called; `branch` is its number where it is one of the pane's."""

    trace: Trace[Any]
    label: str
    branch: int | None = None
    fault: str = ""  # why it could not go on

    def frame_at(self, step: int) -> Frame | None:
        """Its frame at that step, or its last where it ends before."""
        index = min(step, self.trace.computed) - self.trace.first
        return self.trace.frames[index] if 0 <= index < len(self.trace.frames) else None


@dataclass
class InStep:
    """The columns, the step that is shown in all of them, and the one to get to."""

    columns: tuple[Column, ...]
    goal: int = 0
    playing: bool = False
    position: int = 0
    parts_at: int | None = None  # the first step that is not the same in all

    @property
    def traces(self) -> list[Trace[Any]]:
        return [column.trace for column in self.columns]

    @property
    def _going(self) -> list[Trace[Any]]:
        """Those that nothing is wrong with; the others hold nobody up."""
        return [column.trace for column in self.columns if not column.fault] or self.traces

    @property
    def pictures(self) -> bool:
        """Whether the columns show pictures, not text."""
        return self.columns[0].trace.first == 0

    @property
    def total(self) -> int:
        """The last step of the longest."""
        return max(trace.total for trace in self._going)

    @property
    def available(self) -> int:
        """The last step that can be shown in all of them; one that has ended waits at its end."""
        short = [trace.computed for trace in self._going if trace.computed < trace.total]
        return min(short, default=self.total)

    # --- what the user does -------------------------------------------------------------

    def play(self) -> None:
        """Play on, or hold; from the end, again from the start."""
        self.playing = not self.playing
        if self.playing and self.position >= self.total:
            self.position = 0
        for column in self.columns:
            column.fault = ""  # it may go better this time
        self.goal = self.total if self.playing else self.position

    def step(self, by: int) -> None:
        """Move by that many steps."""
        self.seek((self.position if self.playing or by < 0 else self.goal) + by)

    def seek(self, step: int) -> None:
        """Go to that step and stay there; forward as soon as all have it."""
        self.playing = False
        self.goal = max(0, min(step, self.total))
        self.position = min(self.goal, self.available)

    def hold(self) -> None:
        """Stay here."""
        self.playing = False
        self.goal = self.position

    # --- what comes -----------------------------------------------------------------------

    def aim(self) -> Iterator[Trace[Any]]:
        """The traces that can go on, each told how far: the worker is to be asked for it."""
        if self.playing:
            self.goal = self.total
        for column in self.columns:
            trace = column.trace
            if column.fault:
                continue
            trace.goal = min(self.goal, trace.total)
            if not trace.frames and not trace.first:
                trace.goal = max(1, trace.goal)  # the noise it begins from is to be seen
            yield trace

    def tick(self, ticks_to_catch_up: float) -> bool:
        """Move on by a tick's share of what is behind. Returns whether it moved."""
        before, available = self.position, self.available
        if not self.playing:
            self.position = max(before, min(self.goal, available))
        else:
            if available > before:
                self.position += max(1, round((available - before) / ticks_to_catch_up))
            self.playing = self.position < self.total
        return self.position != before

    def compare(self) -> None:
        """Look where they part, among what has come."""
        self.parts_at = parting([trace.frames for trace in self.traces])

    @property
    def in_common(self) -> int:
        """The last step that has come in all of them."""
        return in_common([trace.frames for trace in self.traces])
