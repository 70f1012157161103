"""What the token at the cursor looked at: asked for, walked head by head, and shown."""

import time
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.base.parsing import Parsing, parsing, position
from genui.base.text import clean_line
from genui.protocol import TextFrame, TextSettings, WriteText, WriteToken
from genui.protocol.edits import in_force
from genui.protocol.registry import KINDS
from genui.ui import keys, messages
from genui.ui.generate.pane import TracePane
from genui.ui.keys import PaneName
from genui.ui.messages import ViewName
from genui.ui.session import Session
from genui.ui.settings import settings_content, text_lines, which
from genui.ui.traces.controller import Trace
from genui.ui.widgets.base import LineInput, set_border, unescape_newlines
from genui.ui.widgets.candidates import (
    AttentionList,
    Candidates,
    Heads,
    LabelBars,
    levels,
    token_text,
)
from genui.ui.widgets.dialogs import ValueScreen
from genui.ui.widgets.prose import CodeProse


class AttendingPane(TracePane[TextFrame, TextSettings]):
    """A pane of text that can show the attention of the token at the playhead.

    One question is under way at a time: a cursor that is moved on quickly is asked for
    where it comes to rest.
    """

    attending = False  # whether attention is shown in place of the odds, full-screen
    head = 0  # 0 is the average, then head by head
    _heads: Heads | None = None  # the last answer
    _asked: tuple[int, int] | None = None  # the trace and step under way

    @property
    def heads(self) -> Heads | None:
        """The attention of the token at the cursor, where it is shown and known."""
        trace, heads = self.trace, self._heads
        if trace is None or heads is None or not (self.attending and self.zoomed):
            return None
        told = heads.attention
        return heads if (told.trace, told.step) == (trace.id, trace.position) else None

    def action_attention(self) -> None:
        """What the token at the cursor looked at, or back to the odds."""
        trace = self._needed()
        if trace is None:
            return
        self.attending = not (self.attending and self.zoomed)
        if self.attending:
            trace.pause()
            if not self.zoomed:
                self.action_zoom()
        self._moved()

    def action_head(self, by: int) -> None:
        """The next head of the attention, or the one before."""
        if self._heads is None or not self.attending:
            self._tell("press a first: [ ] walk through its heads")
            return
        self.head = (self.head + by) % self._heads.count
        self.paint()

    def paint_attention(self, box: Widget) -> None:
        """Ask for what is not known yet, and show what is."""
        shown, heads = box.query_one(AttentionList), self.heads
        if heads is not None:
            told = heads.attention
            shown.clear(told.fault)
            shown.show(told.texts, heads.weights(self.head), told.first)
        elif reason := self._ask():
            shown.clear(reason)
        name = self._heads.name(self.head) if self._heads is not None else "average"
        title = f"Attention · {name}"
        short = name.capitalize() if cell_len(title) > box.size.width - 2 else title
        set_border(box, title=short, subtitle="[ ] heads · a the odds")

    def _ask(self) -> str:
        """Ask the worker; returns why it cannot know, or "" where the answer will come."""
        trace = self.trace
        if trace is None or trace.frame is None:
            return "No token is at the cursor: press → for one"
        if trace.playing:
            return "Press space to hold it: then the token at the cursor tells"
        if not trace.at_hand:
            return "The worker does not have this text yet: press space to go on"
        if self._asked is None:
            self._asked = (trace.id, trace.position)
            self._session.attend(*self._asked)
        return ""

    @on(messages.AttentionArrived)
    def _attention_arrived(self, event: messages.AttentionArrived) -> None:
        self._asked = None
        self._heads = Heads(event.attention)
        self.head = min(self.head, self._heads.count - 1)
        self.paint()

    @on(messages.TraceFailed)
    @on(messages.TraceLost)
    def _no_answer(self) -> None:
        self._asked = None


# --- What a pane of text does where the text is code: colours its words and tries to parse it -

PAUSE = 10
"""So many times as long as parsing took, until it is tried again: a tenth of the app's time."""


class CodePane(AttendingPane):
    """A pane of text that knows Python. Colours by kind and by surprise take turns."""

    checked: Parsing | None = None  # how what is shown stands as Python; None where it is none
    _by_surprise = False  # whether code too is coloured by how surprising it was
    _checked_text = ""
    _check_due = 0.0  # in monotonic seconds

    @property
    def highlighted(self) -> bool:
        """Whether words are coloured by their kind."""
        return self._is_code and not self._by_surprise

    @property
    def _is_code(self) -> bool:
        kind = KINDS.get((self.model.family, self.model.medium)) if self.model else None
        return kind is not None and kind.syntax == "python"

    def action_highlight(self) -> None:
        """Code by the kind of its words, or by how surprising its tokens were."""
        if not self._is_code:
            self._tell("only code is coloured by the kind of its words")
            return
        self._by_surprise = not self._by_surprise
        self.paint()

    def check_code(self, prose: CodeProse) -> None:
        """Parse what is shown up to the playhead, and colour it."""
        if not self._is_code:
            self.checked = None
            prose.highlight(False)
            return
        text = prose.text
        trace, now = self.trace, time.monotonic()
        moving = trace is not None and trace.playing
        if text != self._checked_text and (now >= self._check_due or not moving):
            self._checked_text, self.checked = text, parsing(text)
            self._check_due = now + PAUSE * (time.monotonic() - now)
        found = self.checked
        broken = position(self._checked_text, found) if found and found.state == "breaks" else None
        prose.highlight(self.highlighted, broken)


# --- The Text pane: a model writing, token by token, with the odds of each token beside it ----

LABEL_CELLS = 16  # of a branch's words
MARGIN = 6  # cells of a border that stay free of words
LEGEND = (
    ("expected ", "$success"),
    ("unsure ", "$warning"),
    ("surprising", "$error underline"),
    ("  ·  ", ""),
)
LEGEND_CELLS = sum(cell_len(text) for text, _ in LEGEND)


class TextPane(CodePane):
    """Prompt, streamed text, the next token's distribution and, zoomed, the settings.

    Zoomed and held, the token at the playhead is under a cursor: its odds are a table to fork
    from, or give way to what it looked at.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("text")]
    pane: ClassVar[PaneName] = "text"
    view: ClassVar[ViewName] = "text"
    heading: ClassVar[str] = "Text"
    first_step: ClassVar[int] = 1
    paints_a_second: ClassVar[float] = 15
    catch_up: ClassVar[float] = 0.2
    blank: ClassVar[str] = "\n"
    unit: ClassVar[str] = "tok"
    lines = staticmethod(text_lines)
    asks: ClassVar[str] = "the prompt; \\n is a new line"
    inserts: ClassVar[tuple[str, str]] = (
        "Your own words",
        "written after the token at the cursor, then the model goes on; \\n is a new line",
    )

    def __init__(self, session: Session, settings: TextSettings | None = None) -> None:
        super().__init__(session, settings or TextSettings(), touched="temperature")
        self._painted: Trace[TextFrame] | None = None  # the trace in the prose
        self._odds_of: TextFrame | None = None  # the frame in the candidates

    def compose(self) -> ComposeResult:
        with Vertical(classes="main"):
            yield LineInput(placeholder=self.asks, compact=True)
            yield from self.compose_view()
            yield LabelBars()
        with Vertical(classes="inspector"):
            with Vertical(classes="box odds"):
                yield Candidates()
                yield AttentionList()
            with Vertical(classes="box settings"):
                yield Static(classes="settings-lines")

    def compose_view(self) -> ComposeResult:
        """What the trace is seen in."""
        prose = CodeProse()
        prose.can_focus = False  # the pane has the keys
        yield prose

    def on_mount(self) -> None:
        self.query_one(".settings").border_title = "Settings"
        self.query_one(".settings").border_subtitle = "+ − change"
        super().on_mount()

    def total_steps(self) -> int:
        return self.settings.tokens

    # --- keys -------------------------------------------------------------------------

    def action_scroll_text(self, by: int) -> None:
        """Scroll, without moving the playhead."""
        self.query_one(CodeProse).scroll_relative(y=by, animate=False)

    def action_choose(self, by: int) -> None:
        """Zoomed, another candidate for the token at the cursor; else scroll."""
        if not self.zoomed or self.attending:
            self.action_scroll_text(by)
            return
        frame = self._at_cursor()
        if frame is not None:
            self._paint_odds()  # the playhead may have come further than was painted
            odds, last = self.query_one(Candidates), len(frame.candidates) - 1
            taken = (n for n, c in enumerate(frame.candidates) if c.token == frame.token)
            at = odds.selected if odds.selected is not None else next(taken, 0)
            odds.selected = max(0, min(at + by, last))
            self._paint_odds()

    def action_enter(self) -> None:
        """Zoom; zoomed, fork with the candidate that is selected."""
        if not self.zoomed:
            self.action_zoom()
            return
        frame, at = self._at_cursor(), self.query_one(Candidates).selected
        if frame is None:
            return
        candidate = frame.candidates[at] if at is not None and not self.attending else None
        if candidate is None or candidate.token == frame.token:
            self._tell("choose another candidate with ↑ ↓: Enter forks with it")
            return
        label = f"‘{_word(candidate.text)}’ at {frame.step}"
        self.post_message(messages.Acted())
        self.fork(WriteToken(candidate.token), label, step=frame.step - 1)

    def action_insert(self) -> None:
        """Ask for words to go on with from the cursor."""
        trace = self._needed()
        if trace is None:
            return
        self._hold_at_cursor(trace)

        def done(text: str | None) -> None:
            if text is not None:
                self._write(text)

        title, hint = self.inserts
        self.app.push_screen(ValueScreen(title, "", hint, self.words), done)

    def words(self, text: str) -> str:
        """What was typed to insert. Raises MisuseError where it is nothing."""
        return _words(text)

    def _write(self, text: str) -> None:
        self.fork(WriteText(text), f"wrote ‘{_word(text)}’", play=False)
        if self.trace is not None:
            # At the end it goes on as far as the words do; a token has a byte at least.
            least = self.trace.position + len(text.encode())
            self.trace.total = max(self.trace.total, least)
            self.action_play()

    def _at_cursor(self) -> TextFrame | None:
        """The frame at the playhead, held there; None (and a word to the user) without one."""
        trace = self._needed()
        if trace is None:
            return None
        self._hold_at_cursor(trace)
        if trace.frame is None:
            self._tell("no token is at the cursor: press → for one")
        return trace.frame

    def _hold_at_cursor(self, trace: Trace[TextFrame]) -> None:
        if trace.playing:
            trace.pause()
            self._moved()

    # --- drawing ----------------------------------------------------------------------

    def on_resize(self) -> None:
        self.paint()

    def paint(self) -> None:
        self.paint_view()
        self._paint_odds()
        self.paint_labels()
        self._paint_border()
        lines = self.lines(self.settings, self.seed)
        self.query_one(".settings-lines", Static).update(settings_content(lines, self._touched))

    def paint_view(self) -> None:
        """Draw what was written, up to the playhead or, held, all of it."""
        prose = self.query_one(CodeProse)
        trace = self.trace
        if trace is None or not (trace.started or trace.frames or trace.seen_prompt):
            self._painted = None
            self.checked = None
            prose.writing = False
            prose.clear(self.empty_text())
            return
        if self._painted is not trace:
            self._change_text(prose, trace)
        # Held, what was written already is still there to go forward into.
        held = self.zoomed and not trace.playing
        end = len(trace.frames) if held else trace.position
        written = prose.token_count
        if written > end:
            prose.truncate(end)
        elif written < end:
            prose.append_frames(trace.frames[written:end])
        prose.writing = trace.playing or trace.computing
        prose.point(trace.position if held else None)
        self.check_code(prose)
        heads = self.heads
        if not (held and self.attending) or trace.frame is None:
            prose.shade(None)
        elif heads is not None:  # else the shades stay as they are until the answer comes
            prose.shade(levels(heads.weights(self.head)), heads.prompt)

    def _change_text(self, prose: CodeProse, trace: Trace[TextFrame]) -> None:
        """To that of another trace; what a fork shares with it stays as it is."""
        before, self._painted = self._painted, trace
        given = trace.seen_prompt, trace.seen_suffix
        if before is None or (before.seen_prompt, before.seen_suffix) != given:
            prose.begin(*given)
            return
        pairs = zip(before.frames[: prose.token_count], trace.frames, strict=False)
        shared = 0
        for old, new in pairs:
            if old is not new:
                break
            shared += 1
        prose.truncate(shared)

    def _paint_odds(self) -> None:
        """The next token's odds, or what the token looked at."""
        odds, box = self.query_one(Candidates), self.query_one(".odds")
        attending = self.attending and self.zoomed
        box.set_class(attending, "-attending")
        if attending:
            self.paint_attention(box)
            return
        trace = self.trace
        frame = trace.frame if trace is not None else None
        odds.table = self.zoomed
        if frame is not self._odds_of or not self.zoomed:
            self._odds_of, odds.selected = frame, None
        if trace is None or frame is None:
            odds.clear()
            set_border(box, title="Next token", subtitle="")
            return
        room = odds.size.width >= 64  # the note is cut where there is less
        note = f"T {self.settings.temperature:g} · seed {self.seed}" if room else ""
        odds.show_frame(frame, note, _greedy(trace, frame.step))
        hint = self._odds_hint(frame, odds.selected)
        set_border(box, title=self.odds_title(frame.step), subtitle=hint)

    def odds_title(self, step: int) -> str:
        """What the odds are of."""
        return f"Token {numbers.count(step)}" if self.zoomed else "Next token"

    def _odds_hint(self, frame: TextFrame, selected: int | None) -> str:
        if not self.zoomed:
            return ""
        if selected is None or frame.candidates[selected].token == frame.token:
            return "↑↓ choose"
        return f"⏎ fork with ‘{_word(frame.candidates[selected].text)}’"

    def _paint_border(self) -> None:
        if self.model is None:
            self.set_title()
            self.set_subtitle()
            return
        name = clean_line(self.model.name, 24)
        self.set_title((name, "bold"), (which(self.model), ""), (self._branch(name), ""))
        trace = self.trace
        if trace is None or not trace.started:
            self.set_subtitle()
            return
        parts = [f"{numbers.count(trace.position)}/{numbers.count(trace.total)} {self.unit}"]
        if trace.playing and (rate := trace.rate(time.monotonic())) > 0:
            parts.append(f"{numbers.short(rate)} {self.unit}/s")
        bits = self.bits_per_token()
        if bits > 0:
            parts.append(f"{bits:.1f} bits/{self.unit}")
        line = " · ".join(parts)
        room = self.query_one(".main").size.width - cell_len(line)
        if self.checked is not None:
            words = self.checked.words
            if room - cell_len(words) < MARGIN:  # where it breaks matters more than how fast
                line = parts[0]
            room += cell_len(" · ".join(parts)) - cell_len(line) - 3
            words = clean_line(words, max(room - MARGIN, 10))
            line, room = f"{words} · {line}", room - cell_len(words)
        self.set_subtitle(*self.legend(room), line)

    def bits_per_token(self) -> float:
        """The mean surprisal of what is seen."""
        return self.query_one(CodeProse).bits_per_token

    def legend(self, room: int) -> tuple[tuple[str, str], ...]:
        """What the colours mean, where there is room for it."""
        told = self.zoomed and not self.attending and not self.highlighted
        return LEGEND if told and room > LEGEND_CELLS else ()

    def _branch(self, name: str) -> str:
        """Which branch is shown, of how many; with its label where there is room for it."""
        shown, branches = self.traces.shown, self.traces.branches
        if shown is None or len(branches) < 2:
            return ""
        at, label = branches.index(shown) + 1, clean_line(shown.label, 32)
        long = f" · branch {at} of {len(branches)} · {label}"
        room = self.query_one(".main").size.width - cell_len(f"{self.heading}  {name}") - 16
        return long if cell_len(long) <= room else f" · branch {at}/{len(branches)}"


def _word(text: str) -> str:
    """A token or words as a label has them: without the space before and after."""
    return token_text(text.strip(" ") or text, LABEL_CELLS).replace("·", " ")


def _words(text: str) -> str:
    """What was typed. Raises MisuseError where it is nothing."""
    if not text:
        raise MisuseError("nothing was typed; Esc leaves the text as it is")
    return unescape_newlines(text)


def _greedy(trace: Trace[TextFrame], step: int) -> bool:
    """Whether the likeliest token was taken at a step, by the settings as they were there."""
    return in_force(trace.request, step - 1)[2].temperature == 0
