"""Traces side by side: where they differ, how much two images do, and a shared timeline.

Nothing here draws or sends anything by itself.
"""

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


class Difference(NamedTuple):
    """How much two images differ."""

    share: float  # of the pixels, those that differ at all
    mean: float  # absolute difference of a colour value, 0 to 255

    @property
    def words(self) -> str:
        """`12.5 % of pixels differ, mean difference 3.4 of 255`."""
        if not self.share:
            return "no pixel differs"
        share = f"{100 * self.share:.3g} % of pixels differ"
        return f"{share}, mean difference {self.mean:.3g} of 255"


def differing_step(columns: Sequence[Sequence[Frame]]) -> int | None:
    """The first step at which the traces are not all the same; None where they are so far.

    Each is its frames in order, all from the same first step on.
    """
    # A branch shares the frames of its parent, so most are the same object.
    for frames in zip(*columns, strict=False):
        first = frames[0]
        others = (frame for frame in frames[1:] if frame is not first)
        if any(frame.identity != first.identity for frame in others):
            return first.step
    return None


def image_difference(one: Any, other: Any, part: Part) -> Difference | None:
    """How much that part of two ImageFrames differs; None for images of different sizes."""
    sizes = [(frame.images, frame.width, frame.height) for frame in (one, other)]
    if sizes[0] != sizes[1]:
        return None
    from genui.formats.image import clip_pixels, difference

    measures = difference([*clip_pixels(one, part)], [*clip_pixels(other, part)])
    assert measures is not None, "equal sizes can be compared"
    return Difference(measures[0], measures[2])


def token_words(frames: Sequence[Frame | None]) -> str:
    """`: ‘the’ and ‘my’` for two tokens; "" for anything else."""
    texts = [frame.text for frame in frames if isinstance(frame, TextFrame)]
    if len(frames) != 2 or len(texts) != 2:
        return ""
    one, other = (clean_line(repr(text)[1:-1], 16) or "␣" for text in texts)
    return f": ‘{one}’ and ‘{other}’"


def for_model(trace: Trace[Any], model: str) -> protocol.Start:
    """The request of the same trace from another model: prompt, seed, settings and edits.

    A token that was chosen by hand becomes its text.
    """
    edits = []
    for at in trace.request.edits:
        index = at.step + 1 - trace.first  # of the frame that the token became
        if isinstance(at.edit, protocol.WriteToken) and index < len(trace.frames):
            at = replace(at, edit=protocol.WriteText(trace.frames[index].text))
        edits.append(at)
    return replace(trace.request, model=model, edits=tuple(edits))


# --- Traces that move along one timeline together ---------------------------------------------


@dataclass
class Column:
    """A trace and its label; `branch` is its number where it is a branch of the pane."""

    trace: Trace[Any]
    label: str
    branch: int | None = None
    fault: str = ""  # why it stopped

    def frame_at(self, step: int) -> Frame | None:
        """Its frame at that step, or its last where it ends before."""
        index = min(step, self.trace.computed) - self.trace.first
        return self.trace.frames[index] if 0 <= index < len(self.trace.frames) else None


@dataclass
class SharedTimeline:
    """The columns, the step that is shown in all of them, and the step to go to."""

    columns: tuple[Column, ...]
    goal: int = 0
    playing: bool = False
    position: int = 0
    differs_at: int | None = None  # the first step that is not the same in all

    @property
    def traces(self) -> list[Trace[Any]]:
        return [column.trace for column in self.columns]

    @property
    def _usable(self) -> list[Trace[Any]]:
        """Those without a fault; the others are not waited for."""
        return [column.trace for column in self.columns if not column.fault] or self.traces

    @property
    def images(self) -> bool:
        """Whether the columns show images, not text."""
        return self.columns[0].trace.first == 0

    @property
    def total(self) -> int:
        """The last step of the longest."""
        return max(trace.total for trace in self._usable)

    @property
    def available(self) -> int:
        """The last step that can be shown in all of them; one that has ended stays at its end."""
        short = [trace.computed for trace in self._usable if trace.computed < trace.total]
        return min(short, default=self.total)

    # --- what the user does -------------------------------------------------------------

    def play(self) -> None:
        """Play, or pause; from the end, again from the start."""
        self.playing = not self.playing
        if self.playing and self.position >= self.total:
            self.position = 0
        for column in self.columns:
            column.fault = ""  # try again
        self.goal = self.total if self.playing else self.position

    def step(self, by: int) -> None:
        """Move by that many steps."""
        self.seek((self.position if self.playing or by < 0 else self.goal) + by)

    def seek(self, step: int) -> None:
        """Go to that step and stop there, as soon as all have it."""
        self.playing = False
        self.goal = max(0, min(step, self.total))
        self.position = min(self.goal, self.available)

    def pause(self) -> None:
        """Stop here."""
        self.playing = False
        self.goal = self.position

    # --- new frames -----------------------------------------------------------------------

    def set_goals(self) -> Iterator[Trace[Any]]:
        """Set the goal of each trace, and yield those that the worker can be asked for."""
        if self.playing:
            self.goal = self.total
        for column in self.columns:
            trace = column.trace
            if column.fault:
                continue
            trace.goal = min(self.goal, trace.total)
            if not trace.frames and not trace.first:
                trace.goal = max(1, trace.goal)  # for the noise that it starts from
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
        """Find the first step at which they differ."""
        self.differs_at = differing_step([trace.frames for trace in self.traces])

    @property
    def in_common(self) -> int:
        """The last step that all of them have a frame of; 0 where one has none."""
        return min((t.frames[-1].step if t.frames else 0 for t in self.traces), default=0)


# --- Traces that a window owns while it is open -----------------------------------------------


class Columns:
    """Receives the replies about its traces for `window`, and returns the traces to `pane`."""

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
        """Have the replies sent to the window."""
        for column in self.columns:
            self._session.hand_over(column.trace.id, self._window)

    def ask(self, trace: Trace[Any]) -> None:
        """Send what the trace needs next, while the window is open."""
        if self.is_open:
            self._session.ask(self._window, trace)

    def close(self, taken: Column | None) -> None:
        """Return the traces; one of the columns may have been taken."""
        self.is_open = False
        self.give_back(self.columns, taken)

    def give_back(self, columns: Iterable[Column], taken: Column | None = None) -> None:
        """Return the pane's own traces and the taken one to the pane; close the others."""
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
        """Apply a reply. Returns a line for the user, or ""; None where no column is meant.

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
        """The next view: the predicted x₀, the noisy image or the noise."""
        parts = tuple(PARTS)
        self.part = parts[(parts.index(self.part) + 1) % len(parts)]

    def frames(self, places: Sequence[int]) -> int:
        """Frames of the clips at these steps, one a column; 1 for images."""
        shown = [column.frame_at(at) for column, at in zip(self.columns, places, strict=True)]
        return max((f.images for f in shown if isinstance(f, ImageFrame)), default=1)


# --- The frame of a clip that is shown, and whether the clip plays -----------------------------

ROUNDS = 20
"""Times that a clip plays after the last key; then it stops, and nothing is sent."""


@dataclass
class ClipHead:
    """A place among the frames of a clip. An image is a clip of one frame, and never moves."""

    at: int = 0
    held: bool = False
    _rounds: int = ROUNDS

    def moving(self, frames: int) -> bool:
        """Whether the next tick shows another frame."""
        return frames > 1 and not self.held and self._rounds > 0

    def tick(self, frames: int) -> bool:
        """The next frame; after the last comes the first. Returns whether it moved."""
        if not self.moving(frames):
            return False
        self.at = (self.at + 1) % frames
        if self.at == 0:
            self._rounds -= 1
        return True

    def step(self, by: int, frames: int) -> None:
        """Pause the clip, and move by that many frames, round and round."""
        self.held = True
        self.at = (self.at + by) % frames

    def hold(self, held: bool) -> None:
        """Pause the clip, or play it."""
        self.held = held
        self._rounds = ROUNDS

    def again(self) -> None:
        """Something new is shown: play as many rounds as at first."""
        self._rounds = ROUNDS

    def words(self, frames: int) -> str:
        """`frame  7/16 ▸`, or with ‖ where it is paused; of one width."""
        mark = "▸" if self.moving(frames) else "‖"
        return f"frame {self.at % frames + 1:>{len(str(frames))}}/{frames} {mark}"
