"""The Roll pane: four voices written note by note, with the odds of each note beside them."""

from pathlib import Path
from typing import Any, ClassVar

from msgspec.structs import replace
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from genui import protocol
from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.formats import score
from genui.protocol import TextFrame, TextSettings, notes
from genui.protocol.registry import KINDS
from genui.ui import keys, messages
from genui.ui.generate.text import TextPane
from genui.ui.keys import PaneName
from genui.ui.messages import ViewName
from genui.ui.session import Session
from genui.ui.settings import token_lines
from genui.ui.sound import Speaker
from genui.ui.widgets.dialogs import ValueScreen
from genui.ui.widgets.roll import Roll

LEGEND = (
    ("S soprano ", "$error"),
    ("A alto ", "$warning"),
    ("T tenor ", "$success"),
    ("B bass", "$primary"),
    ("  ·  ", ""),
)
LEGEND_CELLS = sum(len(text) for text, _ in LEGEND)


class RollPane(TextPane, inherit_bindings=False):
    """A piano roll in place of prose; all else is as in the Text pane, a note a token."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("roll")]
    pane: ClassVar[PaneName] = "roll"
    view: ClassVar[ViewName] = "roll"
    heading: ClassVar[str] = "Roll"
    blank: ClassVar[str] = ""
    lines = staticmethod(token_lines)
    asks: ClassVar[str] = "a key, a metre, upbeat: G minor, 3/4, upbeat"
    inserts: ClassVar[tuple[str, str]] = (
        "Notes of your own",
        "one a step, in the order they are written: C4 or F#3, - holds, rest is silence",
    )

    def __init__(self, session: Session) -> None:
        usual = KINDS["transformer", "music"].defaults
        super().__init__(session, usual if isinstance(usual, TextSettings) else None)
        self.given: str | None = None  # as `Start.init`: a MIDI file, or what was read from one
        self._speaker = Speaker()

    def compose_view(self) -> ComposeResult:
        yield Static(classes="caption", markup=False)
        yield Roll()

    def request(self) -> protocol.Start:
        return replace(super().request(), init=self.given)

    def _follow_shown(self) -> None:
        super()._follow_shown()
        if self.trace is not None:
            init = self.trace.request.init
            self.given = init if isinstance(init, str) else None

    # --- keys -------------------------------------------------------------------------

    def action_scroll_text(self, by: int) -> None:
        """Other bars, without moving the playhead."""
        self.query_one(Roll).scroll_bars(1 if by > 0 else -1)

    def action_melody(self) -> None:
        """Ask for a MIDI file to harmonise."""
        if not self._has_model():
            return
        hint = "a MIDI file: its highest part is harmonised; nothing: no melody is given"
        path = ""
        if self.given is not None and not self.given.startswith(score.GIVEN):
            path = self.given
        self.app.push_screen(ValueScreen("Melody", path, hint, _file), self._melody_named)

    def _melody_named(self, path: str | None) -> None:
        if path is not None:
            self.given = path or None
            self.post_message(messages.Acted())
            label = f"round {clean_line(Path(path).name, 30)}" if path else f"seed {self.seed}"
            self.begin(self.request(), label)

    def action_listen(self) -> None:
        """Hear what is written up to the playhead, or be silent."""
        if self._speaker.playing:
            self._speaker.stop()
            return
        trace = self.trace
        if trace is None or not trace.position:
            self._tell("no note is written yet: press space first")
            return
        self._hear(trace.request.init, trace.seen_prompt, trace.frames[: trace.position])

    @work(group="sound", exclusive=True, exit_on_error=False)
    async def _hear(self, init: Any, prompt: str, frames: list[TextFrame]) -> None:
        def wav() -> bytes:
            from genui.formats import midi

            return midi.encode("wav", [midi.piece_of(init, prompt, frames)], "")

        if line := await self._speaker.hear(wav):
            self._tell(line)

    def on_unmount(self) -> None:
        self._speaker.stop()

    def words(self, text: str) -> str:
        """What was typed to insert. Raises MisuseError where it is no notes."""
        for word in text.split():
            notes.parse_token(word)
        if not text.split():
            raise MisuseError("nothing was typed; Esc leaves the piece as it is")
        return text

    # --- drawing ----------------------------------------------------------------------

    def paint_view(self) -> None:
        roll, caption = self.query_one(Roll), self.query_one(".caption", Static)
        trace = self.trace
        if trace is None or not (trace.started or trace.frames):
            caption.update(clean_line(self.prompt))
            roll.clear(self.empty_text())
            return
        # Held, what was written already is still there to go forward into.
        held = self.zoomed and not trace.playing
        frames = trace.frames if held else trace.frames[: trace.position]
        init = trace.request.init
        if roll.show_frames(init, trace.seen_prompt, frames, trace.position):
            caption.update(self._caption(roll))

    def _caption(self, roll: Roll) -> str:
        """What the piece is, and what of it is given."""
        given = ""
        if self.given is not None and roll.grid is not None:
            voices = [notes.VOICES[voice] for voice in sorted(roll.grid.leads)]
            given = f" · {' and '.join(voices)} given"
        return notes.spell_opening(roll.opening) + given

    def odds_title(self, step: int) -> str:
        roll = self.query_one(Roll)
        if roll.grid is None:
            return super().odds_title(step)
        voice, sixteenth = roll.grid.slot(step)
        bar = (roll.opening.begins + sixteenth) // roll.opening.bar
        number = bar + (0 if roll.opening.begins else 1)
        return f"{notes.VOICES[voice].capitalize()}, bar {number}"

    def bits_per_token(self) -> float:
        trace = self.trace
        here = trace.frames[: trace.position] if trace is not None else []
        chosen = [frame.surprisal for frame in here if not frame.forced]
        return sum(chosen) / len(chosen) if chosen else 0.0

    def legend(self, room: int) -> tuple[tuple[str, str], ...]:
        return LEGEND if self.zoomed and room > LEGEND_CELLS else ()


def _file(text: str) -> str:
    """The path of a file that is there, or nothing. Raises MisuseError."""
    if not text.strip():
        return ""
    path = Path(text.strip()).expanduser().absolute()
    if not path.is_file():
        raise MisuseError(f"{clean_line(str(path), 60)}: no such file")
    return str(path)
