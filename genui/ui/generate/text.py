"""The Text pane: a model writes token by token, with the odds of each token beside the text."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar

from msgspec.structs import replace
from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.message import Message
from textual.widgets import Static

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.base.python_syntax import SyntaxCheck, check_syntax, find_break
from genui.base.text import clean_line
from genui.protocol import TextFrame, TextSettings, WriteText, WriteToken
from genui.protocol.edits import inputs_at
from genui.ui.generate.actions import Actions
from genui.ui.generate.chat import ChatActions, ChatController
from genui.ui.generate.inside import InsideActions, LayerEditActions, TextController, label_text
from genui.ui.generate.look import TextLook
from genui.ui.generate.pane import GenerationView, Inspector, PaneKind, Parts, TracePane
from genui.ui.generate.prompt import PromptLine
from genui.ui.generate.score import ScoreActions
from genui.ui.settings import describe_model
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.candidates import AttentionList, Candidates, LabelBars
from genui.ui.widgets.dialogs import make_value_screen
from genui.ui.widgets.inputs import SearchLine, unescape_newlines
from genui.ui.widgets.layers import LayerList, PartList
from genui.ui.widgets.prose import CodeProse
from genui.ui.widgets.settings import Option

MARGIN = 6  # cells of a border without text
LEGEND = (
    ("expected ", "$success"),
    ("unsure ", "$warning"),
    ("surprising", "$error underline"),
    ("  ·  ", ""),
)

MARKS_LEGEND = (
    ("marked", "$success underline"),
    (" ", ""),
    ("unmarked", "$error"),
    ("  ·  ", ""),
)


# --- Code: coloured by syntax, and checked ----------------------------------------------------

PAUSE = 10
"""The pause after a parse, as a multiple of its duration: at most a tenth of the time is spent."""


class FindLine(SearchLine):
    """A line for text to find: Enter, ↓ and ↑ post Stepped, Esc clears it."""

    hints = (("⏎", "next match"), ("↑", "previous"), ("esc", "close"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "step(1)", "Next", show=False),
        Binding("up,shift+enter", "step(-1)", "Previous", show=False),
    ]

    @dataclass(eq=False)
    class Stepped(Message):
        """Go to the next match, or with -1 to the one before."""

        by: int

    def __init__(self) -> None:
        super().__init__("text to find")

    async def action_submit(self) -> None:
        self.action_step(1)

    def action_step(self, by: int) -> None:
        self.post_message(self.Stepped(by))


def has_watermark(controller: TextController) -> bool:
    """Whether the shown text ends with a watermark; its marks are shown then."""
    trace = controller.trace
    return trace is not None and inputs_at(trace.request)[2].watermark != "none"


class CodeCheck:
    """The syntax check of the text up to the playhead as Python."""

    def __init__(self, controller: TextController) -> None:
        self._controller = controller
        self.result: SyntaxCheck | None = None  # None for models that do not write code
        self.look = TextLook()
        self._text = ""
        self._due = 0.0  # in monotonic seconds

    @property
    def is_code(self) -> bool:
        return self._controller.syntax == "python"

    @property
    def highlighted(self) -> bool:
        """Whether the text is coloured by syntax."""
        wanted = self.look.highlight == "syntax"
        return self.is_code and wanted and not has_watermark(self._controller)

    def check(self, prose: CodeProse) -> None:
        """Parse the shown text, and colour it."""
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


class TextView(GenerationView):
    """The line of the prompt and the text; with a cursor while it is full-screen and paused."""

    placeholder = "the prompt; \\n is a new line"
    colours = LEGEND
    unit = "tok"

    def __init__(
        self,
        pane: TracePane,
        controller: TextController,
        inside: InsideActions,
        chat: ChatActions | None = None,
    ) -> None:
        super().__init__(pane)
        self.controller = controller
        self.inside = inside
        self._chat = chat
        self.code = CodeCheck(controller)

    def compose(self) -> ComposeResult:
        yield PromptLine("prompt", self.placeholder)
        yield from self.compose_trace()
        yield LabelBars()

    def compose_trace(self) -> ComposeResult:
        """The widgets that show the trace."""
        yield FindLine()
        prose = CodeProse()
        prose.can_focus = False  # so that the pane gets the keys
        yield prose

    def fit(self, size: Size) -> None:
        self.pane.paint()

    def scroll_text(self, by: int) -> None:
        """Scroll, without moving the playhead."""
        self.query_one(CodeProse).scroll_text(by)

    @on(FindLine.Typed)
    def _find(self, event: FindLine.Typed) -> None:
        event.stop()
        self._say_hit(event.text, self.query_one(CodeProse).find(event.text))

    @on(FindLine.Stepped)
    def _go_to_hit(self, event: FindLine.Stepped) -> None:
        event.stop()
        text = self.query_one(FindLine).value
        self._say_hit(text, self.query_one(CodeProse).go_to_hit(event.by))

    def _say_hit(self, text: str, place: tuple[int, int]) -> None:
        number, count = place
        if not text:
            self.pane.clear_line()
        elif count:
            self.pane.say(f"match {number} of {count}")
        else:
            self.pane.say(f"no “{clean_line(text, 40)}” in this text")

    def copy_text(self) -> str:
        return self.query_one(CodeProse).text

    @property
    def has_cursor(self) -> bool:
        """Whether there is a cursor; the text after it is shown too."""
        trace = self.controller.trace
        return self.pane.zoomed and trace is not None and not trace.playing

    # --- drawing ------------------------------------------------------------------------

    def paint(self) -> None:
        self.paint_trace()
        self._paint_border()

    def paint_trace(self) -> None:
        """Draw the text up to the playhead; with a cursor, all of it."""
        prose = self.query_one(CodeProse)
        trace = self.controller.trace
        if trace is None or not (trace.started or trace.frames or trace.model_prompt):
            self.code.result = None
            prose.writing = False
            prose.clear(self.pane.empty_text())
            return
        template = self._chat is not None and self._chat.shows_template
        prose.begin_trace(trace, template, has_watermark(self.controller))
        cursor = self.has_cursor
        frames = trace.frames if cursor else trace.frames[: trace.position]
        prose.show_tail(trace, len(frames))
        prose.show_frames(frames)
        prose.writing = trace.playing or trace.computing
        prose.point(trace.position if cursor else None)
        self.code.check(prose)
        if not (cursor and self.inside.is_shading) or trace.frame is None:
            prose.shade(None)
        elif (shades := self.inside.shades) is not None:  # else they stay until the reply arrives
            prose.shade(*shades)

    def odds_title(self, step: int) -> str:
        return f"Token {numbers.count(step)}" if self.pane.zoomed else "Next token"

    @property
    def bits_per_token(self) -> float:
        """The mean surprisal of the shown text."""
        return self.query_one(CodeProse).bits_per_token

    @property
    def shows_legend(self) -> bool:
        """Whether the border explains the colours."""
        return self.pane.zoomed and not self.inside.is_shading and not self.code.highlighted

    def _paint_border(self) -> None:
        pane, model = self.pane, self.controller.model
        if model is None:
            pane.set_title()
            pane.set_subtitle()
            return
        name = clean_line(model.name, 24)
        pane.set_title((name, "bold"), (describe_model(model), ""), (self._branch_text(name), ""))
        trace = self.controller.trace
        if trace is None or not trace.started:
            pane.set_subtitle()
            return
        parts = [f"{numbers.count(trace.position)}/{numbers.count(trace.total)} {self.unit}"]
        if trace.playing and (rate := trace.steps_per_s(time.monotonic())) > 0:
            parts.append(f"{numbers.short(rate)} {self.unit}/s")
        bits = self.bits_per_token
        if bits > 0:
            parts.append(f"{bits:.1f} bits/{self.unit}")
        legend = self.colours
        if has_watermark(self.controller) and trace.frame is not None:
            legend = MARKS_LEGEND
            parts.insert(1, f"marks: p {trace.frame.chance:.2g} by chance")
            room = self.size.width - MARGIN - sum(cell_len(text) for text, _ in legend)
            while len(parts) > 2 and cell_len(" · ".join(parts)) > room:
                parts.pop()
        line = " · ".join(parts)
        room = self.size.width - cell_len(line)
        if self.code.result is not None:
            syntax = self.code.result.text
            if room - cell_len(syntax) < MARGIN:  # a syntax error matters more than the speed
                line = parts[0]
            room += cell_len(" · ".join(parts)) - cell_len(line) - 3
            syntax = clean_line(syntax, max(room - MARGIN, 10))
            line, room = f"{syntax} · {line}", room - cell_len(syntax)
        fits = room - MARGIN >= sum(cell_len(text) for text, _ in legend)
        pane.set_subtitle(*(legend if fits and self.shows_legend else ()), line)

    def _branch_text(self, name: str) -> str:
        """Which branch is shown, of how many; with its label if there is room for it."""
        place = self.pane.branch_place()
        if place is None:
            return ""
        at, count, label = place
        place_text = f" · branch {at} of {count} · "
        room = self.size.width - cell_len(f"{self.pane.heading}  {name}{place_text}") - 16
        if room < min(cell_len(label), 12):
            return f" · branch {at}/{count}"
        return place_text + clean_line(label, min(room, 32))


class TextInspector(Inspector):
    """The next token's odds, or a look inside at the token at the cursor; full-screen, settings."""

    def __init__(self, pane: TracePane, controller: TextController, view: TextView) -> None:
        super().__init__(pane)
        self._controller = controller
        self._view = view
        self._odds_frame: TextFrame | None = None  # the frame in the candidates

    def compose(self) -> ComposeResult:
        with Vertical(classes="box odds"):
            yield Candidates()
            yield AttentionList()
            yield LayerList()
            yield PartList()
            yield Static(classes="passage", markup=False)
        yield self.pane.tuning.panel

    def paint(self) -> None:
        self.paint_odds()
        self.pane.tuning.paint()

    def paint_odds(self) -> None:
        """Draw the odds of the token, or how the network computed it."""
        odds, box = self.query_one(Candidates), self.query_one(".odds")
        inside, zoomed = self._view.inside, self.pane.zoomed
        if inside.paint(box):
            return
        controller = self._controller
        trace, frame = controller.trace, controller.frame
        odds.table = zoomed
        if frame is not self._odds_frame or not zoomed:
            self._odds_frame, odds.selected = frame, None
        if trace is None or frame is None:
            odds.clear()
            set_border(box, title="Next token", subtitle="")
            return
        room = odds.size.width >= 64  # else the note would be cut
        note = f"T {controller.settings.temperature:g} · seed {controller.seed}" if room else ""
        odds.show_frame(frame, note, _is_greedy(trace, frame.step))
        hint = self._hint(frame, odds.selected) if zoomed else ""
        set_border(box, title=self._view.odds_title(frame.step), subtitle=hint)

    def _hint(self, frame: TextFrame, selected: int | None) -> str:
        if selected is None or frame.candidates[selected].token == frame.token:
            return "↑↓ choose"
        return f"⏎ fork with ‘{label_text(frame.candidates[selected].text)}’"


# --- Keys -------------------------------------------------------------------------------------


class TextActions(Actions):
    """Choosing another token, inserting text at the cursor, and scrolling."""

    insert_dialog = (  # its title and hint
        "Insert text",
        "inserted after the token at the cursor; the model continues; \\n is a new line",
    )

    def __init__(self, pane: TracePane, controller: TextController, view: TextView) -> None:
        super().__init__(pane)
        self.controller = controller
        self._view = view
        self.action_scroll_text = view.scroll_text

    def action_search(self) -> None:
        self.pane.query_one(FindLine).open("")

    def options(self) -> list[Option]:
        code = self._view.code

        def take(name: str, value: Any) -> None:
            code.look = replace(code.look, **{name: value})
            self.pane.paint()

        return self.rows(lambda: code.look, "highlight", take=take) if code.is_code else []

    def action_choose(self, by: int) -> None:
        """Full-screen, select another candidate for the token at the cursor, or walk its heads,
        layers or parts; else scroll."""
        if not self.pane.zoomed:
            self._view.scroll_text(by)
            return
        if self._view.inside.walk(by):
            return
        frame = self._frame_at_cursor()
        if frame is not None:
            inspector = self.pane.query_one(TextInspector)
            inspector.paint_odds()  # the playhead may have moved since the last paint
            odds, last = self.pane.query_one(Candidates), len(frame.candidates) - 1
            taken = (n for n, c in enumerate(frame.candidates) if c.token == frame.token)
            at = odds.selected if odds.selected is not None else next(taken, 0)
            odds.selected = max(0, min(at + by, last))
            inspector.paint_odds()

    def action_enter(self) -> None:
        """Fill the screen; full-screen, fork with the selected candidate."""
        if not self.pane.zoomed:
            self.pane.action_zoom()
            return
        if self._view.inside.enter():
            return
        frame, at = self._frame_at_cursor(), self.pane.query_one(Candidates).selected
        if frame is None:
            return
        candidate = frame.candidates[at] if at is not None else None
        if candidate is None or candidate.token == frame.token:
            self.pane.say("choose another candidate with ↑ ↓: Enter forks with it")
            return
        label = f"‘{label_text(candidate.text)}’ at {frame.step}"
        self.pane.clear_line()
        self.controller.fork(WriteToken(candidate.token), label, step=frame.step - 1)

    def action_insert(self) -> None:
        """Ask for text to insert at the cursor, and continue from there."""
        trace = self.controller.ensure_trace()
        if trace is None:
            return
        self._pause(trace)
        title, hint = self.insert_dialog
        self.pane.ask(
            make_value_screen(title, "", hint, self.parse_insertion, "insert"), self._write
        )

    def parse_insertion(self, text: str) -> str:
        """The text to insert, as typed. Raises MisuseError if it is empty."""
        if not text:
            raise MisuseError("nothing was typed; Esc cancels")
        return unescape_newlines(text)

    def _write(self, text: str) -> None:
        controller = self.controller
        controller.fork(WriteText(text), f"wrote ‘{label_text(text)}’", play=False)
        if controller.trace is not None:
            # Room for the whole text at the end too: a token has a byte at least.
            least = controller.trace.position + len(text.encode())
            controller.trace.total = max(controller.trace.total, least)
            controller.play()

    def _frame_at_cursor(self) -> TextFrame | None:
        """Pause, and return the frame at the playhead; without one say so, and return None."""
        trace = self.controller.ensure_trace()
        if trace is None:
            return None
        self._pause(trace)
        if trace.frame is None:
            self.pane.say("no token at the cursor: press →")
        return trace.frame

    def _pause(self, trace: ShownTrace[Any]) -> None:
        if trace.playing:
            trace.pause()
            self.controller.refresh()


def _is_greedy(trace: ShownTrace[TextFrame], step: int) -> bool:
    """Whether the settings at that step always take the likeliest token."""
    return inputs_at(trace.request, step - 1)[2].is_greedy


def _build(pane: TracePane) -> Parts:
    controller = ChatController(
        pane.session, pane, TextSettings(), first=1, steps="tokens", blank="\n"
    )
    inside, chat = InsideActions(pane, controller), ChatActions(pane, controller)
    view = TextView(pane, controller, inside, chat)
    inspector = TextInspector(pane, controller, view)
    score = ScoreActions(pane, controller)
    actions = inside, LayerEditActions(pane, controller, inside), chat, score
    return Parts(controller, view, inspector, (*actions, TextActions(pane, controller, view)))


TEXT = PaneKind("text", "Text", "text-pane", _build, setting="temperature", fps=15, catch_up=0.2)
