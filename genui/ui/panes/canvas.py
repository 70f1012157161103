"""The Canvas pane: noise becoming a picture, step by step, forwards and back."""

import math
from typing import ClassVar, Literal

import msgspec
from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from genui.protocol import SAMPLERS, ImageFrame, ImageSettings
from genui.recipes import DiffusionRecipe
from genui.render import numbers
from genui.render.sanitise import clean_line
from genui.runs.catalog import ModelInfo
from genui.ui import keys
from genui.ui.keys import PaneName
from genui.ui.media import recipe_of
from genui.ui.messages import ViewName
from genui.ui.panes.line_input import LineInput
from genui.ui.panes.pane import set_border
from genui.ui.panes.timeline import Timeline
from genui.ui.panes.trace_pane import TracePane
from genui.ui.session import Session
from genui.ui.settings import SAMPLER_NAMES, image_lines, settings_content
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.picture import Picture

WORDS = {"guess": "guess", "x": "noisy"}
LONG_WORDS = {"guess": "x̂₀ the guess of the clean picture", "x": "xₜ the noisy picture"}


class CanvasPane(TracePane[ImageFrame, ImageSettings]):
    """Caption, picture, timeline and, zoomed, the other picture, the schedule and the settings."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("canvas")]
    pane: ClassVar[PaneName] = "canvas"
    view: ClassVar[ViewName] = "canvas"
    heading: ClassVar[str] = "Canvas"
    first_step: ClassVar[int] = 0
    paints_a_second: ClassVar[float] = 10
    catch_up: ClassVar[float] = 4.0

    def __init__(self, session: Session) -> None:
        super().__init__(session, ImageSettings(), touched="guidance")
        self.shown: Literal["guess", "x"] = "guess"

    def compose(self) -> ComposeResult:
        with Vertical(classes="main"):
            yield LineInput(placeholder="a caption, as in: red heart on black", compact=True)
            yield Static(classes="caption")
            yield Picture()
            yield Timeline("noise  ", "picture")
        with Vertical(classes="inspector"):
            with Vertical(classes="box other"):
                yield Picture()
            with Vertical(classes="box schedule"):
                yield Curve("The noise left at each step shows here", legend=False, log_y=True)
            with Vertical(classes="box settings"):
                yield Static(classes="settings-lines")

    def on_mount(self) -> None:
        self.query_one(".settings").border_title = "Settings"
        self.query_one(".settings").border_subtitle = "+ − change"
        super().on_mount()

    def default_prompt(self, model: ModelInfo) -> str:
        recipe = recipe_of(model)
        if isinstance(recipe, DiffusionRecipe) and recipe.sample_captions:
            return recipe.sample_captions[0]
        return ""

    def total_steps(self) -> int:
        return self.settings.steps

    # --- keys -------------------------------------------------------------------------

    def action_swap(self) -> None:
        """The guess, or the noisy picture."""
        self.shown = "x" if self.shown == "guess" else "guess"
        self.paint()

    def action_sampler(self) -> None:
        """The next sampler in the protocol's list."""
        following = SAMPLERS[(SAMPLERS.index(self.settings.sampler) + 1) % len(SAMPLERS)]
        self._set(msgspec.structs.replace(self.settings, sampler=following))

    @on(Timeline.Sought)
    def _sought(self, event: Timeline.Sought) -> None:
        if self.trace is not None:
            self.trace.seek(event.step)
            self._moved()

    # --- drawing ----------------------------------------------------------------------

    def paint(self) -> None:
        trace = self.trace
        frame = trace.frame if trace is not None else None
        picture = self.query_one(".main Picture", Picture)
        if frame is None:
            picture.clear(self.empty_text())
        else:
            picture.show_frame(frame, self.shown)
        timeline = self.query_one(Timeline)
        # As wide as "σ 0.043", so that the bar keeps its place.
        timeline.left = f"σ {frame.sigma:<5.2g}" if frame is not None else "noise  "
        timeline.total = trace.total if trace is not None else 0
        timeline.computed = trace.computed if trace is not None else 0
        timeline.position = trace.position if trace is not None else 0
        self.query_one(".caption", Static).update(self._caption_line())
        self._paint_border()
        if self.zoomed:
            self._paint_inspector(frame)

    def _caption_line(self) -> Content:
        """The caption and, at the right, which picture it is and at which step."""
        trace = self.trace
        if trace is None or trace.frame is None:
            caption = f"“{clean_line(self.prompt)}”" if self.prompt else ""
            return Content.assemble((caption, "bold"))
        end = Content.assemble(
            (f"{WORDS[self.shown]} ", "$text-muted"),
            (str(trace.position), "bold $foreground"),
            (f"/{trace.total}", "$text-muted"),
        )
        width = self.query_one(".caption").size.width
        caption = clean_line(f"“{trace.prompt}”", max(4, width - end.cell_length - 1))
        gap = max(1, width - cell_len(caption) - end.cell_length)
        return Content.assemble((caption, "bold"), " " * gap, end)

    def _paint_border(self) -> None:
        if self.model is None:
            self.set_title()
            self.set_subtitle()
            return
        size = numbers.short(self.model.parameters)
        self.set_title((clean_line(self.model.name, 16), "bold"), f" · {size}")
        short = SAMPLER_NAMES[self.settings.sampler].replace("DPM-Solver++", "dpm++")
        self.set_subtitle(f"{short} · cfg {self.settings.guidance:g} · seed {self.seed}")

    def _paint_inspector(self, frame: ImageFrame | None) -> None:
        main, other = self.query_one(".main"), self.query_one(".other")
        hidden: Literal["guess", "x"] = "x" if self.shown == "guess" else "guess"
        set_border(main, title=LONG_WORDS[self.shown])
        set_border(main, subtitle=main.query_one(Picture).scale_text)
        set_border(other, title=LONG_WORDS[hidden], subtitle="o swaps them")
        picture = other.query_one(Picture)
        if frame is None:
            picture.clear(" ")
        else:
            picture.show_frame(frame, hidden)
        self._paint_schedule(frame)
        lines = image_lines(self.settings, self.seed, self.prompt)
        self.query_one(".settings-lines", Static).update(settings_content(lines, self._touched))

    def _paint_schedule(self, frame: ImageFrame | None) -> None:
        curve, box = self.query_one(Curve), self.query_one(".schedule")
        trace = self.trace
        known = [f for f in trace.frames if f.sigma > 0] if trace is not None else []
        set_border(box, title="Noise schedule")
        if frame is None or len(known) < 2:
            curve.clear()
            set_border(box, subtitle="")
            return
        import numpy as np

        steps = np.array([f.step for f in known], np.int64)
        sigmas = np.array([f.sigma for f in known], np.float64)
        curve.set_series({"σ": (steps, sigmas)})
        curve.cursor = float(frame.step)
        log = f" · log₁₀ {math.log10(frame.sigma):.2f}" if frame.sigma > 0 else ""
        set_border(box, subtitle=f"σ {frame.sigma:.3g}{log} at step {frame.step}")
