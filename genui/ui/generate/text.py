"""The Text pane: a model writes token by token, with the odds of each token beside the text."""

import time
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Static

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.base.python_syntax import SyntaxCheck, check_syntax, find_break
from genui.base.text import clean_line
from genui.protocol import Attention, Failed, TextFrame, TextSettings, WriteText, WriteToken
from genui.protocol.edits import inputs_at
from genui.protocol.registry import KINDS
from genui.ui.generate.actions import Actions
from genui.ui.generate.pane import Inspector, PaneKind, Parts, TracePane, View
from genui.ui.settings import settings_content, token_lines, which
from genui.ui.traces.controller import TraceController
from genui.ui.traces.trees import Lost, Trace, TraceReply
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

TextController = TraceController[TextFrame, TextSettings]

LABEL_CELLS = 16  # of a branch's label
MARGIN = 6  # cells of a border that stay free of text
LEGEND = (
    ("expected ", "$success"),
    ("unsure ", "$warning"),
    ("surprising", "$error underline"),
    ("  ·  ", ""),
)


# --- What the token at the cursor looked at: asked for, and walked head by head ---------------


class AttentionActions(Actions):
    """The attention of the token at the playhead, which takes the place of its odds.

    One question is under way at a time: a cursor that is moved on quickly is asked for
    where it comes to rest.
    """

    def __init__(self, pane: TracePane, controller: TextController) -> None:
        super().__init__(pane)
        self._controller = controller
        self._on = False
        self.head = 0  # 0 is the average, then head by head
        self._heads: Heads | None = None  # the last answer
        self._pending: tuple[int, int] | None = None  # the trace and step under way

    @property
    def on(self) -> bool:
        """Whether it is shown: full-screen only."""
        return self._on and self.pane.zoomed

    @property
    def heads(self) -> Heads | None:
        """The attention of the token at the cursor, where it is shown and known."""
        trace, heads = self._controller.trace, self._heads
        if trace is None or heads is None or not self.on:
            return None
        attention = heads.attention
        return heads if (attention.trace, attention.step) == (trace.id, trace.position) else None

    def action_attention(self) -> None:
        """What the token at the cursor looked at, or back to the odds."""
        trace = self._controller.needed()
        if trace is None:
            return
        self._on = not self.on
        if self._on:
            trace.pause()
            if not self.pane.zoomed:
                self.pane.action_zoom()
        self._controller.moved()

    def action_head(self, by: int) -> None:
        """The next head of the attention, or the one before."""
        if self._heads is None or not self._on:
            self.pane.say("press a first: [ and ] change the head")
            return
        self.head = (self.head + by) % self._heads.count
        self.pane.paint()

    def paint(self, box: Widget) -> None:
        """Ask for what is not known yet, and show what is."""
        shown, heads = box.query_one(AttentionList), self.heads
        if heads is not None:
            attention = heads.attention
            shown.clear(attention.fault)
            shown.show(attention.texts, heads.weights(self.head), attention.first)
        elif reason := self._ask():
            shown.clear(reason)
        name = self._heads.name(self.head) if self._heads is not None else "average"
        title = f"Attention · {name}"
        short = name.capitalize() if cell_len(title) > box.size.width - 2 else title
        set_border(box, title=short, subtitle="[ ] heads · a odds")

    def _ask(self) -> str:
        """Ask the worker; returns why it cannot know, or "" where the answer will come."""
        trace = self._controller.trace
        if trace is None or trace.frame is None:
            return "No token at the cursor: press →"
        if trace.playing:
            return "Press space to pause: then the attention is shown"
        if not trace.at_hand:
            return "The worker does not have this text yet: press space to continue"
        if self._pending is None:
            self._pending = (trace.id, trace.position)
            self.pane.session.attend(*self._pending)
        return ""

    def take(self, reply: TraceReply) -> None:
        if isinstance(reply, Attention | Failed | Lost):
            self._pending = None
        if isinstance(reply, Attention):
            self._heads = Heads(reply)
            self.head = min(self.head, self._heads.count - 1)
            self.pane.paint()


# --- Where the text is code: its words are coloured by kind, and it is parsed -----------------

PAUSE = 10
"""So many times as long as parsing took, until it is tried again: a tenth of the app's time."""


class CodeCheck:
    """How the text up to the playhead stands as Python. Colours by kind and by surprise take
    turns."""

    def __init__(self, controller: TextController) -> None:
        self._controller = controller
        self.result: SyntaxCheck | None = None  # None where it is no code
        self.by_surprise = False  # whether code too is coloured by how surprising it was
        self._text = ""
        self._due = 0.0  # in monotonic seconds

    @property
    def is_code(self) -> bool:
        """Whether the model writes code."""
        model = self._controller.model
        kind = KINDS.get((model.family, model.medium)) if model is not None else None
        return kind is not None and kind.syntax == "python"

    @property
    def highlighted(self) -> bool:
        """Whether words are coloured by their kind."""
        return self.is_code and not self.by_surprise

    def check(self, prose: CodeProse) -> None:
        """Parse what is shown, and colour it."""
        if not self.is_code:
            self.result = None
            prose.highlight(False)
            return
        text = prose.text
        trace, now = self._controller.trace, time.monotonic()
        moving = trace is not None and trace.playing
        if text != self._text and (now >= self._due or not moving):
            self._text, self.result = text, check_syntax(text)
            self._due = now + PAUSE * (time.monotonic() - now)
        result = self.result
        broken = find_break(self._text, result) if result and result.state == "breaks" else None
        prose.highlight(self.highlighted, broken)


# --- The view and the inspector ---------------------------------------------------------------


class TextView(View):
    """The prompt's line and the streamed text; full-screen and held, with a cursor."""

    placeholder = "the prompt; \\n is a new line"
    colours = LEGEND  # what the colours mean
    unit = "tok"

    def __init__(
        self, pane: TracePane, controller: TextController, attention: AttentionActions
    ) -> None:
        super().__init__(pane)
        self.controller = controller
        self.attention = attention
        self.code = CodeCheck(controller)
        self._painted: Trace[TextFrame] | None = None  # the trace in the prose

    def compose(self) -> ComposeResult:
        yield LineInput(placeholder=self.placeholder, compact=True)
        yield from self.compose_trace()
        yield LabelBars()

    def compose_trace(self) -> ComposeResult:
        """What the trace is seen in."""
        prose = CodeProse()
        prose.can_focus = False  # the pane has the keys
        yield prose

    def fit(self, size: Size) -> None:
        self.pane.paint()

    def scroll_text(self, by: int) -> None:
        """Scroll, without moving the playhead."""
        self.query_one(CodeProse).scroll_text(by)

    @property
    def held_at_cursor(self) -> bool:
        """Whether there is a cursor; what was written after it stays in sight."""
        trace = self.controller.trace
        return self.pane.zoomed and trace is not None and not trace.playing

    # --- drawing ------------------------------------------------------------------------

    def paint(self) -> None:
        self.paint_trace()
        self._paint_border()

    def paint_trace(self) -> None:
        """Draw what was written, up to the playhead or, held, all of it."""
        prose = self.query_one(CodeProse)
        trace = self.controller.trace
        if trace is None or not (trace.started or trace.frames or trace.model_prompt):
            self._painted = None
            self.code.result = None
            prose.writing = False
            prose.clear(self.pane.empty_text())
            return
        if self._painted is not trace:
            self._change_text(prose, trace)
        held = self.held_at_cursor
        prose.show_frames(trace.frames if held else trace.frames[: trace.position])
        prose.writing = trace.playing or trace.computing
        prose.point(trace.position if held else None)
        self.code.check(prose)
        heads = self.attention.heads
        if not (held and self.attention.on) or trace.frame is None:
            prose.shade(None)
        elif heads is not None:  # else the shades stay as they are until the answer comes
            prose.shade(levels(heads.weights(self.attention.head)), heads.prompt)

    def _change_text(self, prose: CodeProse, trace: Trace[TextFrame]) -> None:
        """To that of another trace; what a fork shares with it stays as it is."""
        before, self._painted = self._painted, trace
        given = trace.model_prompt, trace.model_suffix
        if before is None or (before.model_prompt, before.model_suffix) != given:
            prose.begin(*given)
            return
        pairs = zip(before.frames[: prose.token_count], trace.frames, strict=False)
        shared = 0
        for old, new in pairs:
            if old is not new:
                break
            shared += 1
        prose.truncate(shared)

    def odds_title(self, step: int) -> str:
        """What the odds of that step are of."""
        return f"Token {numbers.count(step)}" if self.pane.zoomed else "Next token"

    @property
    def bits_per_token(self) -> float:
        """The mean surprisal of what is seen."""
        return self.query_one(CodeProse).bits_per_token

    @property
    def shows_legend(self) -> bool:
        """Whether the colours need to be explained."""
        return self.pane.zoomed and not self.attention.on and not self.code.highlighted

    def _paint_border(self) -> None:
        pane, model = self.pane, self.controller.model
        if model is None:
            pane.set_title()
            pane.set_subtitle()
            return
        name = clean_line(model.name, 24)
        pane.set_title((name, "bold"), (which(model), ""), (self._branch(name), ""))
        trace = self.controller.trace
        if trace is None or not trace.started:
            pane.set_subtitle()
            return
        parts = [f"{numbers.count(trace.position)}/{numbers.count(trace.total)} {self.unit}"]
        if trace.playing and (rate := trace.rate(time.monotonic())) > 0:
            parts.append(f"{numbers.short(rate)} {self.unit}/s")
        bits = self.bits_per_token
        if bits > 0:
            parts.append(f"{bits:.1f} bits/{self.unit}")
        line = " · ".join(parts)
        room = self.size.width - cell_len(line)
        if self.code.result is not None:
            words = self.code.result.text
            if room - cell_len(words) < MARGIN:  # where it breaks matters more than how fast
                line = parts[0]
            room += cell_len(" · ".join(parts)) - cell_len(line) - 3
            words = clean_line(words, max(room - MARGIN, 10))
            line, room = f"{words} · {line}", room - cell_len(words)
        fits = room > sum(cell_len(text) for text, _ in self.colours)
        pane.set_subtitle(*(self.colours if fits and self.shows_legend else ()), line)

    def _branch(self, name: str) -> str:
        """Which branch is shown, of how many; with its label where there is room for it."""
        place = self.pane.branch_place()
        if place is None:
            return ""
        at, count, label = place
        long = f" · branch {at} of {count} · {clean_line(label, 32)}"
        room = self.size.width - cell_len(f"{self.pane.heading}  {name}") - 16
        return long if cell_len(long) <= room else f" · branch {at}/{count}"


class TextInspector(Inspector):
    """The next token's odds, or what the token at the cursor looked at; full-screen, settings."""

    def __init__(
        self,
        pane: TracePane,
        controller: TextController,
        view: TextView,
        without: str = "",
    ) -> None:
        """`without` is a setting that is not shown."""
        super().__init__(pane)
        self._controller = controller
        self._view = view
        self._without = without
        self._odds_of: TextFrame | None = None  # the frame in the candidates

    def compose(self) -> ComposeResult:
        with Vertical(classes="box odds"):
            yield Candidates()
            yield AttentionList()
        with Vertical(classes="box settings"):
            yield Static(classes="settings-lines")

    def on_mount(self) -> None:
        set_border(self.query_one(".settings"), title="Settings", subtitle="+ − change")

    def paint(self) -> None:
        self.paint_odds()
        controller = self._controller
        lines = token_lines(controller.settings, controller.seed, self._without)
        content = settings_content(lines, self.pane.tuning.touched)
        self.query_one(".settings-lines", Static).update(content)

    def paint_odds(self) -> None:
        """The next token's odds, or what the token looked at."""
        odds, box = self.query_one(Candidates), self.query_one(".odds")
        attention, zoomed = self._view.attention, self.pane.zoomed
        box.set_class(attention.on, "-attending")
        if attention.on:
            attention.paint(box)
            return
        controller = self._controller
        trace, frame = controller.trace, controller.frame
        odds.table = zoomed
        if frame is not self._odds_of or not zoomed:
            self._odds_of, odds.selected = frame, None
        if trace is None or frame is None:
            odds.clear()
            set_border(box, title="Next token", subtitle="")
            return
        room = odds.size.width >= 64  # the note is cut where there is less
        note = f"T {controller.settings.temperature:g} · seed {controller.seed}" if room else ""
        odds.show_frame(frame, note, _greedy(trace, frame.step))
        hint = self._hint(frame, odds.selected) if zoomed else ""
        set_border(box, title=self._view.odds_title(frame.step), subtitle=hint)

    def _hint(self, frame: TextFrame, selected: int | None) -> str:
        if selected is None or frame.candidates[selected].token == frame.token:
            return "↑↓ choose"
        return f"⏎ fork with ‘{_label(frame.candidates[selected].text)}’"


# --- Keys -------------------------------------------------------------------------------------


class TextActions(Actions):
    """Choosing another token, writing at the cursor, and scrolling."""

    inserts = (
        "Insert text",
        "inserted after the token at the cursor; the model continues; \\n is a new line",
    )

    def __init__(self, pane: TracePane, controller: TextController, view: TextView) -> None:
        super().__init__(pane)
        self.controller = controller
        self._view = view

    def action_scroll_text(self, by: int) -> None:
        """Scroll, without moving the playhead."""
        self._view.scroll_text(by)

    def action_highlight(self) -> None:
        """Code by the kind of its words, or by how surprising its tokens were."""
        code = self._view.code
        if not code.is_code:
            self.pane.say("only models of code have syntax colours")
            return
        code.by_surprise = not code.by_surprise
        self.pane.paint()

    def action_choose(self, by: int) -> None:
        """Zoomed, another candidate for the token at the cursor; else scroll."""
        if not self.pane.zoomed or self._view.attention.on:
            self._view.scroll_text(by)
            return
        frame = self._at_cursor()
        if frame is not None:
            inspector = self.pane.query_one(TextInspector)
            inspector.paint_odds()  # the playhead may have come further than was painted
            odds, last = self.pane.query_one(Candidates), len(frame.candidates) - 1
            taken = (n for n, c in enumerate(frame.candidates) if c.token == frame.token)
            at = odds.selected if odds.selected is not None else next(taken, 0)
            odds.selected = max(0, min(at + by, last))
            inspector.paint_odds()

    def action_enter(self) -> None:
        """Zoom; zoomed, fork with the candidate that is selected."""
        if not self.pane.zoomed:
            self.pane.action_zoom()
            return
        frame, at = self._at_cursor(), self.pane.query_one(Candidates).selected
        if frame is None:
            return
        shown = at is not None and not self._view.attention.on
        candidate = frame.candidates[at] if shown and at is not None else None
        if candidate is None or candidate.token == frame.token:
            self.pane.say("choose another candidate with ↑ ↓: Enter forks with it")
            return
        label = f"‘{_label(candidate.text)}’ at {frame.step}"
        self.pane.acted()
        self.controller.fork(WriteToken(candidate.token), label, step=frame.step - 1)

    def action_insert(self) -> None:
        """Ask for words to go on with from the cursor."""
        trace = self.controller.needed()
        if trace is None:
            return
        self._hold(trace)

        def done(text: str | None) -> None:
            if text is not None:
                self._write(text)

        title, hint = self.inserts
        self.pane.app.push_screen(ValueScreen(title, "", hint, self.parse_insertion), done)

    def parse_insertion(self, text: str) -> str:
        """What was typed to insert. Raises MisuseError where it is nothing."""
        if not text:
            raise MisuseError("nothing was typed; Esc cancels")
        return unescape_newlines(text)

    def _write(self, text: str) -> None:
        controller = self.controller
        controller.fork(WriteText(text), f"wrote ‘{_label(text)}’", play=False)
        if controller.trace is not None:
            # At the end it goes on as far as the words do; a token has a byte at least.
            least = controller.trace.position + len(text.encode())
            controller.trace.total = max(controller.trace.total, least)
            controller.play()

    def _at_cursor(self) -> TextFrame | None:
        """The frame at the playhead, held there; None (and a line to the user) without one."""
        trace = self.controller.needed()
        if trace is None:
            return None
        self._hold(trace)
        if trace.frame is None:
            self.pane.say("no token at the cursor: press →")
        return trace.frame

    def _hold(self, trace: Trace[Any]) -> None:
        if trace.playing:
            trace.pause()
            self.controller.moved()


def _label(text: str) -> str:
    """A token or words as a label has them: without the space before and after."""
    return token_text(text.strip(" ") or text, LABEL_CELLS).replace("·", " ")


def _greedy(trace: Trace[TextFrame], step: int) -> bool:
    """Whether the likeliest token was taken at a step, by the settings as they were there."""
    return inputs_at(trace.request, step - 1)[2].temperature == 0


def mean_surprisal(frames: Sequence[TextFrame]) -> float:
    """In bits, of the tokens that the model chose; 0 where there are none."""
    chosen = [frame.surprisal for frame in frames if not frame.forced]
    return sum(chosen) / len(chosen) if chosen else 0.0


def _build(pane: TracePane) -> Parts:
    controller = TextController(
        pane.session, pane, TextSettings(), first=1, steps="tokens", blank="\n"
    )
    attention = AttentionActions(pane, controller)
    view = TextView(pane, controller, attention)
    inspector = TextInspector(pane, controller, view)
    return Parts(controller, view, inspector, (attention, TextActions(pane, controller, view)))


TEXT = PaneKind(
    "text", "Text", "text-pane", _build, "temperature", paints_a_second=15, catch_up=0.2
)
