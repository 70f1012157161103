"""Where traces differ, how much two images do, and what another model is asked. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from genui import protocol
from genui.base.text import clean_line
from genui.protocol import Failed, Frame, Idle, ImageFrame, Started, TextFrame
from genui.ui.traces.trees import Frames, Lost, Trace, TraceReply, Worker, other_weights

Part = Literal["denoised", "x", "noise"]
PARTS: dict[Part, str] = {
    "denoised": "predicted x₀, the clean image",
    "x": "noisy image",
    "noise": "noise that the model sees",
}


class Gap(NamedTuple):
    """How far apart two images are."""

    share: float  # of the pixels: those that differ at all
    mean: float  # absolute difference of a colour value, 0 to 255


def same(one: Frame, other: Frame) -> bool:
    """Whether two frames came to the same: the token and its text, or the noisy image's bytes."""
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
    """How far apart that part of two frames is; None for images of different sizes."""
    sizes = [(frame.images, frame.width, frame.height) for frame in (one, other)]
    if sizes[0] != sizes[1]:
        return None
    from genui.formats.image import clip_pixels, difference

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
    differs_at: int | None = None  # the first step that is not the same in all

    @property
    def traces(self) -> list[Trace[Any]]:
        return [column.trace for column in self.columns]

    @property
    def _going(self) -> list[Trace[Any]]:
        """Those that nothing is wrong with; the others hold nobody up."""
        return [column.trace for column in self.columns if not column.fault] or self.traces

    @property
    def images(self) -> bool:
        """Whether the columns show images, not text."""
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
        """Look where they begin to differ, among what has come."""
        self.differs_at = parting([trace.frames for trace in self.traces])

    @property
    def in_common(self) -> int:
        """The last step that has come in all of them."""
        return in_common([trace.frames for trace in self.traces])


# --- Traces that a window owns while it is open -----------------------------------------------


class Columns:
    """Takes the replies about its traces for `window`, and gives the traces back to `pane`."""

    def __init__(
        self, session: Worker, window: Any, pane: Any, columns: Sequence[Column], part: Part
    ) -> None:
        self._session = session
        self._window = window
        self._pane = pane
        self.columns: tuple[Column, ...] = tuple(columns)
        self.part: Part = part  # which image of a step all of them show
        self.clip = ClipHead()  # and which frame of a clip
        self.is_open = True

    def take_over(self) -> None:
        """From now on the replies go to the window."""
        for column in self.columns:
            self._session.hand_over(column.trace.id, self._window)

    def ask(self, trace: Trace[Any]) -> None:
        """Ask for what the trace needs next; nothing once the window is left."""
        if self.is_open:
            self._session.ask(self._window, trace)

    def close(self, taken: Column | None) -> None:
        """The window is left, maybe with one of the columns."""
        self.is_open = False
        self.give_back(self.columns, taken)

    def give_back(self, columns: Iterable[Column], taken: Column | None = None) -> None:
        """The pane's own traces, and what is taken, go to the pane; the others are closed."""
        for column in columns:
            trace = column.trace
            if column.branch is not None or column is taken:
                self._session.hand_over(trace.id, self._pane)
                if trace.computing:
                    self._session.ask(self._pane, trace)  # to stop there
            elif trace.id:
                self._session.forget(trace.id)
                trace.lose()

    def take(self, reply: TraceReply, now: float) -> str | None:
        """A reply; None where it is about no column, else a line to be said, or "".

        `now` is in seconds.
        """
        if isinstance(reply, Lost):
            for column in self.columns:
                column.trace.lose()
            return ""
        column = next((c for c in self.columns if c.trace.id == reply.trace), None)
        if column is None:
            return None
        line = ""
        match reply:
            case Started():
                line = other_weights(column.trace.fingerprint, reply)
                column.trace.begin(reply)
            case Frames():
                column.trace.receive(reply.frames, now)
            case Idle():
                column.trace.idle(reply)
            case Failed():
                column.trace.lose()
                column.fault = clean_line(reply.message)
        return line

    def next_part(self) -> None:
        """The predicted image, the noisy image or the noise: the next of them."""
        parts = tuple(PARTS)
        self.part = parts[(parts.index(self.part) + 1) % len(parts)]

    def frames(self, places: Sequence[int]) -> int:
        """Frames of the clips at these steps, one a column; 1 of images."""
        shown = [column.frame_at(at) for column, at in zip(self.columns, places, strict=True)]
        return max((f.images for f in shown if isinstance(f, ImageFrame)), default=1)


# --- The frame of a clip that is shown, and whether the clip goes on by itself ----------------

ROUNDS = 20
"""Times that a clip plays by itself after the last key: then it rests, and nothing is sent."""


@dataclass
class ClipHead:
    """A place among the frames of a clip. An image is a clip of one frame, and stands still."""

    at: int = 0
    held: bool = False
    _rounds: int = ROUNDS

    def moving(self, frames: int) -> bool:
        """Whether the next tick shows another frame."""
        return frames > 1 and not self.held and self._rounds > 0

    def tick(self, frames: int) -> bool:
        """A frame on, and from the last to the first; whether it moved."""
        if not self.moving(frames):
            return False
        self.at = (self.at + 1) % frames
        if self.at == 0:
            self._rounds -= 1
        return True

    def step(self, by: int, frames: int) -> None:
        """Hold the clip, and go that many frames on or back, round and round."""
        self.held = True
        self.at = (self.at + by) % frames

    def hold(self, held: bool) -> None:
        """Hold the clip, or let it go on."""
        self.held = held
        self._rounds = ROUNDS

    def again(self) -> None:
        """Something new is shown: as many rounds as at first, from where it is."""
        self._rounds = ROUNDS

    def words(self, frames: int) -> str:
        """`frame  7/16 ▸`, or with ‖ where it stands; as wide at every frame."""
        mark = "▸" if self.moving(frames) else "‖"
        return f"frame {self.at % frames + 1:>{len(str(frames))}}/{frames} {mark}"
