"""The Text pane: a model writing, token by token, with the odds of each token beside it."""

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from genui.protocol import TextFrame, TextSettings
from genui.recipes import TransformerRecipe
from genui.render import numbers
from genui.render.sanitise import clean_line
from genui.runs.catalog import ModelInfo
from genui.ui import keys
from genui.ui.keys import PaneName
from genui.ui.media import recipe_of
from genui.ui.messages import ViewName
from genui.ui.panes.line_input import LineInput
from genui.ui.panes.trace_pane import TracePane
from genui.ui.session import Session
from genui.ui.settings import settings_content, text_lines
from genui.ui.widgets.candidates import Candidates
from genui.ui.widgets.prose import Prose


class TextPane(TracePane[TextFrame, TextSettings]):
    """Prompt, streamed text, the next token's distribution and, zoomed, the settings."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("text")]
    pane: ClassVar[PaneName] = "text"
    view: ClassVar[ViewName] = "text"
    heading: ClassVar[str] = "Text"
    first_step: ClassVar[int] = 1
    paints_a_second: ClassVar[float] = 15
    catch_up: ClassVar[float] = 0.2

    def __init__(self, session: Session) -> None:
        super().__init__(session, TextSettings(), touched="temperature")
        self._painted: object = None  # the trace in the prose

    def compose(self) -> ComposeResult:
        prose = Prose()
        prose.can_focus = False  # the pane has the keys
        with Vertical(classes="main"):
            yield LineInput(placeholder="the prompt; \\n is a new line", compact=True)
            yield prose
        with Vertical(classes="inspector"):
            with Vertical(classes="box odds"):
                yield Candidates()
            with Vertical(classes="box settings"):
                yield Static(classes="settings-lines")

    def on_mount(self) -> None:
        self.query_one(".odds").border_title = "Next token"
        self.query_one(".settings").border_title = "Settings"
        self.query_one(".settings").border_subtitle = "+ − change"
        super().on_mount()

    def default_prompt(self, model: ModelInfo) -> str:
        recipe = recipe_of(model)
        return recipe.sample_prompt if isinstance(recipe, TransformerRecipe) else "\n"

    def total_steps(self) -> int:
        return self.settings.tokens

    def action_scroll_text(self, by: int) -> None:
        """Scroll, without moving the playhead."""
        self.query_one(Prose).scroll_relative(y=by, animate=False)

    def on_resize(self) -> None:
        self.query_one(Candidates).detail = self.zoomed and self.size.height >= 34

    # --- drawing ----------------------------------------------------------------------

    def paint(self) -> None:
        self._paint_prose()
        self._paint_odds()
        self._paint_border()
        lines = text_lines(self.settings, self.seed)
        self.query_one(".settings-lines", Static).update(settings_content(lines, self._touched))

    def _paint_prose(self) -> None:
        prose = self.query_one(Prose)
        trace = self.trace
        if trace is None or not (trace.started or trace.frames):
            self._painted = None
            prose.writing = False
            prose.clear(self.empty_text())
            return
        if self._painted is not trace:
            self._painted = trace
            prose.begin(trace.seen_prompt)
        written = prose.token_count
        if written > trace.position:
            prose.truncate(trace.position)
        elif written < trace.position:
            prose.append_frames(trace.frames[written : trace.position])
        prose.writing = trace.playing or trace.computing

    def _paint_odds(self) -> None:
        odds = self.query_one(Candidates)
        frame = self.trace.frame if self.trace is not None else None
        if frame is None:
            odds.clear()
        else:
            room = odds.size.width >= 64  # the note is cut where there is less
            note = f"T {self.settings.temperature:g} · seed {self.seed}" if room else ""
            odds.show_frame(frame, note=note)

    def _paint_border(self) -> None:
        if self.model is None:
            self.set_title()
            self.set_subtitle()
            return
        size = numbers.short(self.model.parameters)
        step = f" @{numbers.count(self.model.step)}" if self.model.source == "run" else ""
        self.set_title((clean_line(self.model.name, 24), "bold"), (f"{step} · {size}", ""))
        trace = self.trace
        if trace is None or not trace.started:
            self.set_subtitle()
            return
        parts = [f"{numbers.count(trace.position)}/{numbers.count(trace.total)} tok"]
        if trace.playing and (rate := trace.rate(time.monotonic())) > 0:
            parts.append(f"{numbers.short(rate)} tok/s")
        bits = self.query_one(Prose).bits_per_token
        if bits > 0:
            parts.append(f"{bits:.1f} bits/tok")
        self.set_subtitle(" · ".join(parts))
