"""The pane of texts by discrete diffusion, in the place of the Canvas: a denoising timeline."""

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size
from textual.widgets import Static

from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.kinds.text_diffusion.page import Page, PageLook, words_of
from genui.kinds.text_diffusion.settings import (
    GIVEN,
    UNDECIDED,
    CanvasFrame,
    Erase,
    Pin,
    TextDiffusionSettings,
)
from genui.protocol import Edit, EditAt, Start
from genui.ui.generate.actions import Actions
from genui.ui.generate.pane import GenerationView, Inspector, PaneKind, Parts, TracePane
from genui.ui.generate.prompt import PromptLine
from genui.ui.settings import describe_model
from genui.ui.traces.controller import TraceController
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.dialogs import make_value_screen
from genui.ui.widgets.inputs import escape_newlines, unescape_newlines
from genui.ui.widgets.settings import Option
from genui.ui.widgets.timeline import Timeline


class Controller(TraceController[CanvasFrame, TextDiffusionSettings]):
    """A text that starts again with other settings has its pins from the beginning."""

    def find_lasting(self, request: Start) -> tuple[EditAt, ...]:
        return tuple(replace(at, step=0) for at in request.edits if isinstance(at.edit, Pin))


MOST_LISTED = 24
"""Tokens of a step that are listed with their probabilities."""

LEGENDS = {
    "sure": "▁ to █: its probability when decided",
    "order": "0 to 9: the tenth of the steps",
}


class PageView(GenerationView):
    """The line of the prompt, the page and the timeline; full-screen with a cursor on a word."""

    def __init__(self, pane: TracePane, controller: Controller) -> None:
        super().__init__(pane)
        self.controller = controller
        self.look = PageLook()
        self.word = 0  # the number of the word at the cursor

    def compose(self) -> ComposeResult:
        yield PromptLine("prompt", "the prompt; <FILL> is a gap, \\n is a new line")
        yield Page()
        yield LabelBars()
        yield Timeline("", "")

    def fit(self, size: Size) -> None:
        self.pane.paint()

    def copy_text(self) -> str:
        frame = self.controller.frame
        return frame.page if frame is not None else ""

    @property
    def cursor(self) -> tuple[int, int] | None:
        """The places of the word at the cursor, its first and its last."""
        frame = self.controller.frame
        words = words_of(frame) if frame is not None and self.pane.zoomed else []
        return words[min(self.word, len(words) - 1)] if words else None

    def paint(self) -> None:
        page, trace, frame = self.query_one(Page), self.controller.trace, self.controller.frame
        if trace is None or frame is None:
            page.clear(self.pane.empty_text())
        else:
            page.show_frame(frame, trace.total, self.look.signs, self.cursor)
        self.query_one(Timeline).follow(trace)
        self._paint_border()

    def _paint_border(self) -> None:
        pane, model = self.pane, self.controller.model
        if model is None:
            pane.set_title()
            pane.set_subtitle()
            return
        pane.set_title((clean_line(model.name, 24), "bold"), describe_model(model))
        trace, frame = self.controller.trace, self.controller.frame
        parts = [f"step {trace.position}/{trace.total}"] if trace is not None else []
        if frame is not None:
            parts.append(f"{frame.decided.count(UNDECIDED)} undecided")
        if (place := pane.branch_place()) is not None:
            parts.append(f"branch {place[0]} of {place[1]}")
        pane.set_subtitle(" · ".join(parts))


class PageInspector(Inspector):
    """What the step decided, and the settings."""

    def __init__(self, pane: TracePane, view: PageView) -> None:
        super().__init__(pane)
        self._view = view

    def compose(self) -> ComposeResult:
        with Vertical(classes="box decided"):
            yield Static(classes="decided-text", markup=False)
        yield self.pane.tuning.panel

    def paint(self) -> None:
        if not self.pane.zoomed:
            return
        frame, box = self._view.controller.frame, self.query_one(".decided", Vertical)
        set_border(box, title=f"Step {frame.step}" if frame is not None else "Step")
        lines = [LEGENDS[self._view.look.signs]]
        if frame is not None:
            lines += describe_step(frame, self._view.cursor)
        self.query_one(".decided-text", Static).update("\n".join(lines))
        self.pane.tuning.paint()


def describe_step(frame: CanvasFrame, cursor: tuple[int, int] | None) -> list[str]:
    """What a step decided, and how the word at the cursor was decided."""
    now = [at for at, step in enumerate(frame.decided) if step == frame.step > GIVEN]
    listed = ", ".join(f"‘{_show(frame, at)}’ {frame.sure[at]:.0%}" for at in now[:MOST_LISTED])
    lines = [f"block: places {frame.block[0] + 1} to {frame.block[1]}"] if frame.block[1] else []
    lines.append(f"decided now: {listed or 'nothing'}")
    if cursor is not None:
        places = range(cursor[0], cursor[1] + 1)
        word = "".join(_show(frame, at) for at in places)
        steps = sorted({frame.decided[at] for at in places if frame.decided[at] != GIVEN})
        when = f"step {', '.join(map(str, steps))}" if steps else "given"
        lines.append(f"‘{word}’, places {cursor[0] + 1} to {cursor[1] + 1}: {when}")
    return lines


def _show(frame: CanvasFrame, place: int) -> str:
    return escape_newlines(frame.texts[place]) or "·"


class PageActions(Actions):
    """Moving the cursor, pinning and erasing text, and the signs under it."""

    def __init__(self, pane: TracePane, controller: Controller, view: PageView) -> None:
        super().__init__(pane)
        self._controller = controller
        self._view = view

    def options(self) -> list[Option]:
        def take(name: str, value: str) -> None:
            self._view.look = replace(self._view.look, **{name: value})
            self.pane.paint()

        return self.rows(lambda: self._view.look, "signs", take=take)

    def action_scroll_text(self, by: int) -> None:
        """Scroll by so many lines."""
        self._view.query_one(Page).scroll_text(by)

    def action_signs(self) -> None:
        """Show the other signs under the text."""
        signs = "order" if self._view.look.signs == "sure" else "sure"
        self._view.look = PageLook(signs)
        self.pane.paint()

    def action_choose(self, by: int) -> None:
        """Full-screen, move the cursor to another word; else scroll."""
        frame = self._controller.frame
        if not self.pane.zoomed or frame is None:
            self.action_scroll_text(by)
            return
        last = max(0, len(words_of(frame)) - 1)
        self._view.word = max(0, min(self._view.word + by, last))
        self.pane.paint()

    def action_enter(self) -> None:
        """Fill the screen; full-screen, pin what is typed in place of the word at the cursor."""
        if not self.pane.zoomed:
            self.pane.action_zoom()
            return
        found = self._find_word("pin")
        if found is None:
            return
        frame, (first, last) = found
        word = "".join(frame.texts[first : last + 1])

        def parse(text: str) -> Edit:
            if not text:
                raise MisuseError("nothing was typed; Esc cancels")
            return Pin(place=first + 1, text=unescape_newlines(text))

        hint = "kept, over what stands from this place on; the rest is decided with it in sight"
        self.pane.ask(make_value_screen("Pin", word, hint, parse, "pin"), self._fork)

    def action_erase(self) -> None:
        """Erase the word at the cursor: it is decided again, from the text on both sides."""
        if (found := self._find_word("erase")) is not None:
            first, last = found[1]
            self._fork(Erase(first=first + 1, last=last + 1))

    def action_erase_span(self) -> None:
        """Ask for a span of places, and erase it."""
        if self._controller.ensure_frame("erase") is not None:
            hint = "first and last place, such as 12-40"
            window = make_value_screen("Erase", "", hint, Erase.parse_value, "erase")
            self.pane.ask(window, self._fork)

    def _find_word(self, verb: str) -> tuple[CanvasFrame, tuple[int, int]] | None:
        """The frame and the word at the cursor; without one tell the user, and return None."""
        trace, cursor = self._controller.ensure_frame(verb), self._view.cursor
        if trace is None or trace.frame is None:
            return None
        if cursor is None:
            self.pane.say(f"no word to {verb} at the cursor: press z, then ↑ ↓ choose one")
            return None
        return trace.frame, cursor

    def _fork(self, edit: Edit) -> None:
        tag = type(edit).__struct_config__.tag
        self._controller.fork(edit, clean_line(f"{tag} {edit.format_value()}", 32))


def _build(pane: TracePane) -> Parts:
    controller = Controller(pane.session, pane, TextDiffusionSettings(), blank="\n")
    view = PageView(pane, controller)
    inspector = PageInspector(pane, view)
    return Parts(controller, view, inspector, (PageActions(pane, controller, view),))


PAGE = PaneKind("page", "Page", "image-pane page-pane", _build, setting="block", fps=15)
