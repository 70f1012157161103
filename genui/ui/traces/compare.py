"""Comparisons of traces: where they differ, how much two images differ, and a shared timeline."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from genui import protocol
from genui.base.late import late_imports
from genui.base.schema import next_of
from genui.base.text import clean_line
from genui.protocol import Failed, Frame, Idle, Loading, Started
from genui.ui.generate.look import ImagePart
from genui.ui.traces.trees import Frames, Lost, ShownTrace, TraceReply, Worker, weights_warning

with late_imports():
    from genui.formats import image

PARTS: dict[ImagePart, str] = {
    "denoised": "predicted x₀, without noise",
    "x": "xₜ, with noise",
    "noise": "predicted noise",
}
"""The images of a step, in the order of the keys `[` and `]`."""


def part_after(part: ImagePart, by: int = 1) -> ImagePart:
    """The part that follows in the order of PARTS; with `by` -1, the one before."""
    return next_of(tuple(PARTS), part, by)


class Difference(NamedTuple):
    """How much two images differ."""

    share: float  # of the pixels that differ at all, 0 to 1
    mean: float  # absolute difference of the colour values, 0 to 255

    @property
    def text(self) -> str:
        """`12.5 % of pixels differ, mean difference 3.4 of 255`."""
        if not self.share:
            return "no pixel differs"
        share = f"{100 * self.share:.3g} % of pixels differ"
        return f"{share}, mean difference {self.mean:.3g} of 255"


def differing_step(columns: Sequence[Sequence[Frame]]) -> int | None:
    """The first step at which the traces are not all equal; None if there is none so far.

    A column holds the frames of one trace in order, from the same first step in all columns.
    """
    # A branch shares the frames of its parent, so most frames are the same object.
    for frames in zip(*columns, strict=False):
        first = frames[0]
        others = (frame for frame in frames[1:] if frame is not first)
        if any(frame.identity != first.identity for frame in others):
            return first.step
    return None


def image_difference(one: Any, other: Any, part: ImagePart) -> Difference | None:
    """The difference of that part of two ImageFrames; None for images of different sizes."""
    sizes = [(frame.images, frame.width, frame.height) for frame in (one, other)]
    if sizes[0] != sizes[1]:
        return None
    measures = image.difference([*image.clip_pixels(one, part)], [*image.clip_pixels(other, part)])
    assert measures is not None, "equal sizes can be compared"
    return Difference(measures[0], measures[2])


def describe_tokens(frames: Sequence[Frame | None]) -> str:
    """`: ‘the’ and ‘my’` for two tokens; "" for anything else."""
    texts = [frame.text for frame in frames if frame is not None and frame.token_ids]
    if len(frames) != 2 or len(texts) != 2:
        return ""
    one, other = (clean_line(repr(text)[1:-1], 16) or "␣" for text in texts)
    return f": ‘{one}’ and ‘{other}’"


def request_for_model(trace: ShownTrace[Any], model: str) -> protocol.Start:
    """The request of the trace for another model, with the same prompt, seed, settings and edits.

    A token that the user chose becomes text, which any vocabulary can encode.
    """
    edits = []
    for at in trace.request.edits:
        index = at.step + 1 - trace.first  # of the token's frame
        if isinstance(at.edit, protocol.WriteToken) and index < len(trace.frames):
            at = replace(at, edit=protocol.WriteText(trace.frames[index].text))
        edits.append(at)
    return replace(trace.request, model=model, edits=tuple(edits))


# --- Traces on a shared timeline --------------------------------------------------------------


@dataclass
class Column:
    """A trace in a comparison."""

    trace: ShownTrace[Any]
    label: str
    branch: int | None = None  # its number, if it is a branch of the pane
    fault: str = ""  # why it stopped
    stop_at: int | None = None  # a step to pause at; None: it is computed to the end
    marked: bool = False  # by the user, to be finished

    @property
    def goal(self) -> int:
        """The step that it is computed up to."""
        total = self.trace.total
        return total if self.stop_at is None else min(self.stop_at, total)

    @property
    def place(self) -> int:
        """The last step that is computed, up to its goal."""
        return min(self.trace.computed, self.goal)

    def frame_at(self, step: int) -> Frame | None:
        """The frame at that step, or the last one if the trace ends before."""
        index = min(step, self.trace.computed) - self.trace.first
        return self.trace.frames[index] if 0 <= index < len(self.trace.frames) else None


@dataclass
class SharedTimeline:
    """The columns of a comparison, the step shown in all of them, and the step to go to."""

    columns: tuple[Column, ...]
    goal: int = 0
    playing: bool = False
    position: int = 0
    differs_at: int | None = None  # the first step that is not equal in all

    @property
    def traces(self) -> list[ShownTrace[Any]]:
        return [column.trace for column in self.columns]

    @property
    def _usable(self) -> list[ShownTrace[Any]]:
        """The traces without a fault; the others do not hold them up."""
        return [column.trace for column in self.columns if not column.fault] or self.traces

    @property
    def shows_images(self) -> bool:
        """Whether the columns show images, not text."""
        trace = self.columns[0].trace
        return trace.first == 0 and all(frame.page is None for frame in trace.frames[:1])

    @property
    def total(self) -> int:
        """The last step of the longest trace."""
        return max(trace.total for trace in self._usable)

    @property
    def available(self) -> int:
        """The last step that can be shown in all columns; a finished trace stays at its end."""
        short = [trace.computed for trace in self._usable if trace.computed < trace.total]
        return min(short, default=self.total)

    # --- what the user does -------------------------------------------------------------

    def play(self) -> None:
        """Play, or pause; from the end, play again from the start."""
        self.playing = not self.playing
        if self.playing and self.position >= self.total:
            self.position = 0
        for column in self.columns:
            column.fault = ""  # so it is tried again
        self.goal = self.total if self.playing else self.position

    def step(self, by: int) -> None:
        """Move by that many steps."""
        self.seek((self.position if self.playing or by < 0 else self.goal) + by)

    def seek(self, step: int) -> None:
        """Go to that step and stop there, as soon as all traces have it."""
        self.playing = False
        self.goal = max(0, min(step, self.total))
        self.position = min(self.goal, self.available)

    def pause(self) -> None:
        """Stop at the playhead."""
        self.playing = False
        self.goal = self.position

    # --- new frames -----------------------------------------------------------------------

    def set_goals(self) -> Iterator[ShownTrace[Any]]:
        """Set the goal of each trace without a fault, and yield the trace."""
        if self.playing:
            self.goal = self.total
        for column in self.columns:
            trace = column.trace
            if column.fault:
                continue
            trace.goal = min(self.goal, trace.total)
            if not trace.frames and not trace.first:
                trace.goal = max(1, trace.goal)  # to get the first frame, of pure noise
            yield trace

    def tick(self, ticks_to_catch_up: float) -> bool:
        """Move the playhead towards the newest frame. Returns whether it moved."""
        before, available = self.position, self.available
        if not self.playing:
            self.position = max(before, min(self.goal, available))
        else:
            if available > before:
                self.position += max(1, round((available - before) / ticks_to_catch_up))
            self.playing = self.position < self.total
        return self.position != before

    def compare(self) -> None:
        """Find the first step at which the traces differ."""
        self.differs_at = differing_step([trace.frames for trace in self.traces])

    @property
    def common_steps(self) -> int:
        """The last step that has a frame in all traces; 0 if one has none."""
        return min((t.frames[-1].step if t.frames else 0 for t in self.traces), default=0)


# --- The traces of an open window -------------------------------------------------------------


class Columns:
    """The columns of `window`, which gets their replies until they are given back to `pane`."""

    def __init__(
        self, session: Worker, window: Any, pane: Any, columns: Sequence[Column], part: ImagePart
    ) -> None:
        self._session = session
        self._window = window
        self._pane = pane
        self.columns: tuple[Column, ...] = tuple(columns)
        self.part: ImagePart = part  # the image of a step that all columns show
        self.clip = ClipHead()  # the frame of a clip that all columns show
        self.is_open = True

    def take_over(self) -> None:
        """Have the replies about started traces sent to the window."""
        for column in self.columns:
            self._session.hand_over(column.trace.id, self._window)

    def ask(self, trace: ShownTrace[Any]) -> None:
        """Send the next request of the trace, while the window is open."""
        if self.is_open:
            self._session.ask(self._window, trace)

    def close(self, taken: Column | None) -> None:
        """Give all columns back; `taken` is the one that the user chose, if any."""
        self.is_open = False
        self.give_back(self.columns, taken)

    def give_back(self, columns: Iterable[Column], taken: Column | None = None) -> None:
        """Give the pane its branches and the chosen column; close the other traces."""
        for column in columns:
            trace = column.trace
            if column.branch is not None or column is taken:
                self._session.hand_over(trace.id, self._pane)
                if trace.computing:
                    self._session.ask(self._pane, trace)  # stops at the goal of the pane
            elif trace.id:
                self._session.forget(trace.id)
                trace.lose()

    def handle(self, reply: TraceReply, now: float) -> str | None:
        """Apply a reply that arrived at `now`, in seconds.

        Returns a line for the user or ""; None if the reply is about none of the columns.
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
                line = weights_warning(column.trace.fingerprint, reply)
                column.trace.begin(reply)
            case Loading():
                column.trace.report_load(reply, now)
            case Frames():
                column.trace.receive(reply.frames, now)
            case Idle():
                column.trace.idle(reply)
            case Failed():
                column.trace.lose()
                column.fault = clean_line(reply.message)
        return line

    def next_part(self, by: int = 1) -> None:
        """Show the next image of the step, or the one before: predicted x₀, noisy or the noise."""
        self.part = part_after(self.part, by)

    def frames(self, steps: Sequence[int]) -> int:
        """The most frames of a clip at these steps, one for each column; 1 for images."""
        shown = [column.frame_at(at) for column, at in zip(self.columns, steps, strict=True)]
        return max([1, *(frame.images for frame in shown if frame is not None)])


# --- The playhead of a clip -------------------------------------------------------------------

ROUNDS = 20
"""How often a clip repeats after the last key; then it stops, and sends nothing to the terminal."""


@dataclass
class ClipHead:
    """The shown frame of a clip with `frames` frames. An image has one frame, and never moves."""

    at: int = 0
    paused: bool = False
    _rounds: int = ROUNDS

    def is_moving(self, frames: int) -> bool:
        """Whether the next tick shows another frame."""
        return frames > 1 and not self.paused and self._rounds > 0

    def tick(self, frames: int) -> bool:
        """Go to the next frame, and from the last to the first. Returns whether it moved."""
        if not self.is_moving(frames):
            return False
        self.at = (self.at + 1) % frames
        if self.at == 0:
            self._rounds -= 1
        return True

    def step(self, by: int, frames: int) -> None:
        """Pause, and move by that many frames, round the ends."""
        self.paused = True
        self.at = (self.at + by) % frames

    def toggle(self, frames: int) -> None:
        """Pause, or play."""
        self.paused = self.is_moving(frames)
        self.restart()

    def restart(self) -> None:
        """Repeat another ROUNDS times from now."""
        self._rounds = ROUNDS

    def text(self, frames: int) -> str:
        """`frame  7/16 ▸`, or ‖ while it stands still; always of one width."""
        mark = "▸" if self.is_moving(frames) else "‖"
        return f"frame {self.at % frames + 1:>{len(str(frames))}}/{frames} {mark}"


class Moment(NamedTuple):
    """The step of a trace that a view shows, and how."""

    step: int
    frame: Any  # of the step; None if there is none
    part: ImagePart
    clip_frame: int
    playing: bool
    empty: str  # shown if the trace has not started


class TraceView(Protocol):
    """A widget that shows a trace beside others: the `view` of its kind."""

    def show_trace(self, trace: ShownTrace[Any], moment: Moment) -> None: ...

    def scroll_text(self, by: int) -> None: ...
