"""The Roll pane: a model writes four voices note by note, with the odds of each note."""

import os
from pathlib import Path

from textual.app import ComposeResult
from textual.widgets import Static

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.kinds.music import chorale, keys, score
from genui.kinds.music.roll import Roll
from genui.protocol import TextSettings
from genui.protocol.kinds import KINDS
from genui.ui.generate.actions import SoundActions
from genui.ui.generate.inside import InsideActions, LayerEditActions, TextController
from genui.ui.generate.pane import PaneKind, Parts, TracePane
from genui.ui.generate.text import TextActions, TextInspector, TextView
from genui.ui.traces.controller import Opening
from genui.ui.traces.export import Format
from genui.ui.widgets.dialogs import make_value_screen
from genui.ui.widgets.settings import Option

with late_imports():
    from genui.kinds.music import midi


class RollView(TextView):
    """A piano roll in place of the text; a note is a token."""

    placeholder = "a key, a metre, upbeat: G minor, 3/4, upbeat"
    colours = (
        ("S soprano ", "$error"),
        ("A alto ", "$warning"),
        ("T tenor ", "$success"),
        ("B bass", "$primary"),
        ("  ·  ", ""),
    )

    def compose_trace(self) -> ComposeResult:
        yield Static(classes="caption", markup=False)
        yield Roll()

    def scroll_text(self, by: int) -> None:
        self.query_one(Roll).scroll_text(by)

    def paint_trace(self) -> None:
        roll, caption = self.query_one(Roll), self.query_one(".caption", Static)
        trace = self.controller.trace
        if trace is None or not (trace.started or trace.frames):
            caption.update(clean_line(self.controller.prompt))
            roll.clear(self.pane.empty_text())
            return
        frames = trace.frames if self.has_cursor else trace.frames[: trace.position]
        source = trace.request.init, trace.model_prompt
        if roll.show_frames(*source, frames, trace.position, ended=trace.finished):
            caption.update(self._caption(roll))

    def _caption(self, roll: Roll) -> str:
        """The key and metre of the piece, and the voices that are given."""
        given = ""
        if self.controller.opening.init is not None and roll.grid is not None:
            voices = [chorale.VOICES[voice] for voice in sorted(roll.grid.leads)]
            given = f" · {' and '.join(voices)} given"
        return chorale.spell_opening(roll.opening) + given

    def odds_title(self, step: int) -> str:
        roll = self.query_one(Roll)
        if roll.grid is None:
            return super().odds_title(step)
        voice, sixteenth = roll.grid.slot(step)
        bar = (roll.opening.begins + sixteenth) // roll.opening.bar
        number = bar + (0 if roll.opening.begins else 1)
        return f"{chorale.VOICES[voice].capitalize()}, bar {number}"

    @property
    def bits_per_token(self) -> float:
        """The mean surprisal of the notes that the model chose; 0 without any."""
        trace = self.controller.trace
        frames = trace.frames[: trace.position] if trace is not None else []
        chosen = [frame.surprisal for frame in frames if not frame.forced]
        return sum(chosen) / len(chosen) if chosen else 0.0

    @property
    def shows_legend(self) -> bool:
        return self.pane.zoomed


class RollActions(TextActions):
    """As in the Text pane, but notes are inserted."""

    insert_dialog = (
        "Insert notes",
        "one a step, in order: C4 or F#3, - holds the note before, rest is silence",
    )

    def parse_insertion(self, text: str) -> str:
        """The notes to insert, as typed. Raises MisuseError if they are not notes."""
        for word in text.split():
            chorale.parse_token(word)
        if not text.split():
            raise MisuseError("nothing was typed; Esc cancels")
        return text


class MusicActions(SoundActions):
    """Harmonises a melody, and plays the piece."""

    def __init__(self, pane: TracePane, controller: TextController) -> None:
        super().__init__(pane)
        self._controller = controller

    def options(self) -> list[Option]:
        opening = self._controller.opening
        value = "none" if opening.init is None else clean_line(opening.title, 24)
        if isinstance(opening.init, str) and opening.init.startswith(score.GIVEN):
            value = score.describe_given(opening.init).partition(",")[0]
        help = "A MIDI file to harmonise: its highest part is the melody"
        return [Option("melody", "melody", value, help, open=self.action_melody)]

    def action_melody(self) -> None:
        """Ask for a MIDI file to harmonise."""
        if not self._controller.has_model():
            return
        hint = "a MIDI file, whose highest part is harmonised; empty for no melody"
        given = self._controller.opening.init
        path = given if isinstance(given, str) and not given.startswith(score.GIVEN) else ""
        self.pane.ask(
            make_value_screen("Melody", path, hint, _parse_path, "harmonise"), self.use_melody
        )

    def use_melody(self, path: str) -> None:
        """Harmonise the melody of that file; "" for no melody."""
        controller = self._controller
        controller.opening = Opening(path or None)
        self.pane.clear_line()
        seed = controller.new_label()
        controller.begin(f"harmonising {clean_line(Path(path).name, 30)}" if path else seed)

    def action_listen(self) -> None:
        """Play the piece up to the playhead, or stop it."""
        if self.speaker.playing:
            self.speaker.stop()
            return
        trace = self._controller.trace
        if trace is None or not trace.position:
            self.pane.say("no note is written yet: press space first")
            return
        init, prompt = trace.request.init, trace.model_prompt
        frames = trace.frames[: trace.position]

        def wav() -> bytes:
            return midi.play_piece(midi.piece_of(init, prompt, frames))

        self.hear(wav)


def _parse_path(text: str) -> str:
    """The absolute path of a file, or "". Raises MisuseError if there is no such file."""
    if not text.strip():
        return ""
    path = os.path.abspath(os.path.expanduser(text.strip()))
    if not os.path.isfile(path):
        raise MisuseError(f"{clean_line(path, 60)}: no such file")
    return path


class RollController(TextController):
    """A melody that is given has its own key, metre and upbeat."""

    def take_line(self, text: str) -> None:
        super().take_line(text)
        if self.opening.init is not None:
            self.listener.say("the melody has its own key, metre and upbeat: yours are not used")


def _build(pane: TracePane) -> Parts:
    usual = KINDS["transformer", "music"].defaults
    assert isinstance(usual, TextSettings)
    controller = RollController(pane.session, pane, usual, first=1, steps="tokens")
    inside = InsideActions(pane, controller)
    view = RollView(pane, controller, inside)
    looking = inside, LayerEditActions(pane, controller, inside)
    actions = *looking, RollActions(pane, controller, view), MusicActions(pane, controller)
    return Parts(controller, view, TextInspector(pane, controller, view), actions)


ROLL = PaneKind(
    "roll",
    "Roll",
    "text-pane roll-pane",
    _build,
    setting="temperature",
    without=keys.OF_WORDS,
    fps=15,
    catch_up=0.2,
)

PIECES = (
    Format("mid", ".mid", "a MIDI file, a track a voice", "score"),
    Format("wav", ".wav", "the piece played by a small synthesiser", "sound"),
    Format("gm", ".wav", "the same with General MIDI instruments; needs fluidsynth", "orchestra"),
    Format("trace", ".trace", "the branches, to open again; no notes", "tree"),
)
