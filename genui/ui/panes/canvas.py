"""The Canvas pane: noise becoming a picture, step by step, forwards and back."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from genui.edits import in_force
from genui.grids import grid_words
from genui.protocol import SAMPLERS, Axis, ImageFrame, ImageSettings
from genui.render.sanitise import clean_line
from genui.ui import keys, schedule
from genui.ui.chrome import Line
from genui.ui.frame import set_border
from genui.ui.key import PaneName
from genui.ui.media import at_step, which
from genui.ui.messages import ViewName
from genui.ui.panes.canvas_inspector import (
    LONG_WORDS,
    SHORT_WORDS,
    VIEWS,
    WORDS,
    CanvasInspector,
)
from genui.ui.panes.canvas_sound import CanvasSound
from genui.ui.panes.line_input import LineInput
from genui.ui.panes.picture_pane import ROOMY
from genui.ui.panes.timeline import Timeline
from genui.ui.session import Session
from genui.ui.settings import Line as Setting
from genui.ui.settings import image_lines, settings_content
from genui.ui.widgets.label_bars import LabelBars
from genui.ui.widgets.picture import Picture, View
from genui.ui.widgets.waveform import Waveform

CYCLE: tuple[View, ...] = ("guess", "x", "noise")  # what `o` goes round
SHORT = 20  # lines within which three pictures stand alone
CLIP_KEYS = ", . frames · ; play or hold · p all of them"


class CanvasPane(CanvasSound):
    """Caption, picture, timeline and, zoomed, the other pictures, the schedule and the settings."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("canvas")]
    pane: ClassVar[PaneName] = "canvas"
    view: ClassVar[ViewName] = "canvas"
    heading: ClassVar[str] = "Canvas"

    def __init__(self, session: Session) -> None:
        super().__init__(session, ImageSettings(), touched="guidance")
        self.shown: View = "guess"

    def compose(self) -> ComposeResult:
        with Vertical(classes="main"):
            yield LineInput(placeholder="a caption, as in: red heart on black", compact=True)
            yield Line(classes="caption")
            yield Picture(classes="large")
            with Horizontal(classes="three"):
                for view in VIEWS:
                    with Vertical(classes=f"view -{view}"):
                        yield Static(SHORT_WORDS[view], classes="view-title", markup=False)
                        yield Picture()
            yield Waveform()
            yield LabelBars()
            yield Timeline("noise  ", "picture")
        yield CanvasInspector()

    def on_resize(self, event: events.Resize) -> None:
        """Three pictures on a short terminal leave no room for what is below them."""
        self.set_class(event.size.height < SHORT, "-short")

    def total_steps(self) -> int:
        return self.settings.steps

    # --- keys -------------------------------------------------------------------------

    def action_swap(self) -> None:
        """The guess, the noisy picture or the noise, large."""
        self.remove_class("-three")
        self._look_at(CYCLE[(CYCLE.index(self.shown) + 1) % len(CYCLE)])

    def action_layout(self) -> None:
        """One picture large, all three side by side or all frames of a clip, full-screen."""
        spread = self._three and self.frames > 1
        self.set_class(not (self._three or self.spread), "-three")
        self.set_class(spread, "-spread")
        if not self.zoomed:
            self.action_zoom()
        self.call_after_refresh(self._moved)

    def action_sampler(self) -> None:
        """The next sampler in the protocol's list."""
        names = list(SAMPLERS)
        following = names[(names.index(self.settings.sampler) + 1) % len(names)]
        self._set(msgspec.structs.replace(self.settings, sampler=following))

    def _look_at(self, view: View) -> None:
        self.shown = view
        self.paint()
        self.call_after_refresh(self.paint)

    # --- drawing ----------------------------------------------------------------------

    @property
    def _three(self) -> bool:
        return self.zoomed and self.has_class("-three")

    def paint(self) -> None:
        trace, frame = self.trace, self._frame
        self.set_class(trace is not None and bool(trace.request.grid), "-grid")
        for view, picture in self._pictures():
            labels = [axis.values for axis in trace.request.grid] if trace is not None else []
            picture.label(*labels)
            if frame is None:
                picture.clear(self.empty_text() if view == self.shown else " ")
            else:
                self.show_in(picture, frame, view)
        self.show_sound(frame)
        self._paint_timeline(frame)
        self.query_one(".caption", Line).show(self._caption_line())
        self.paint_labels()
        self._paint_border()
        self.settle()

    def paint_drift(self) -> None:
        """The clip went on: its frame and the number of it, and nothing else."""
        frame = self._frame
        if frame is None:
            return
        for view, picture in self._pictures():
            self.show_in(picture, frame, view)
        if self.zoomed and not self._three:
            self.query_one(CanvasInspector).show_others(frame, self.shown, self.moment)
        self._paint_timeline(frame)

    def paint_inspector(self) -> None:
        inspector = self.query_one(CanvasInspector)
        if not self._three:
            inspector.show_others(self._frame, self.shown, self.moment)
        inspector.show_schedule(self.trace)
        inspector.show_settings(settings_content(self._setting_lines(), self._touched))

    def sharpen(self) -> None:
        frame = self._frame
        for view, picture in self._pictures():
            if view == "guess" or (frame is not None and frame.sigma == 0):  # noise gains nothing
                picture.sharpen()

    def _pictures(self) -> list[tuple[View, Picture]]:
        """What is seen of the step in the main part."""
        if not self._three:
            return [(self.shown, self.query_one(".large", Picture))]
        return [(view, self.query_one(f".-{view} Picture", Picture)) for view in VIEWS]

    def _paint_timeline(self, frame: ImageFrame | None) -> None:
        trace, timeline = self.trace, self.query_one(Timeline)
        rising = trace is not None and schedule.rises(trace.request, trace.position)
        # As wide as "σ 0.043", so that the bar keeps its place.
        start = "picture" if rising else "noise  "
        timeline.left = f"σ {frame.sigma:<5.2g}" if frame is not None else start
        timeline.right = "noise  " if rising else "picture"
        if self.frames > 1:
            timeline.right = self.clip.words(self.frames)
        timeline.follow(trace)

    def _caption_line(self) -> Content:
        """The caption in force and, at the right, which picture it is and at which step."""
        trace = self.trace
        if trace is None or trace.frame is None:
            return self.waiting_line()
        prompt = in_force(trace.request, trace.position)[0]
        varied = _varied(trace.request.grid).get("caption")
        words = f"captions {varied}" if varied else f"“{prompt}”"
        what = "step" if self._three else WORDS[self.shown]
        return self.captioned(words, trace, (f"{what} ", "$text-muted"))

    # --- words in the border ----------------------------------------------------------

    def _paint_border(self) -> None:
        if self.model is None:
            self.set_title()
            self.set_subtitle()
            return
        name = clean_line(self.model.name, 16)
        if not self.zoomed:
            self.set_title((name, "bold"), which(self.model))
            short = SAMPLERS[self.settings.sampler].title.replace("DPM-Solver++", "dpm++")
            usual = f"{short} · cfg {self.settings.guidance:g} · seed {self.seed}"
            self.set_subtitle(self.branch_words(clean_line(self._grid_words(), 30)) or usual)
            return
        _, picture = self._pictures()[0]
        main = self.query_one(".main")
        words = LONG_WORDS if main.size.width >= ROOMY else SHORT_WORDS
        what = "the three pictures" if self._three else words[self.shown]
        if self.spread:
            what = f"{words[self.shown]}, all {self.frames} frames"
        scale = f" · {picture.scale_text}" if picture.scale_text else ""
        set_border(
            main, title=Content.assemble((name, "bold"), f"{at_step(self.model)} · {what}{scale}")
        )
        below = self.branch_words(self._grid_words())
        if not below and self.frames > 1:
            below = CLIP_KEYS
        set_border(main, subtitle=Content(below))

    def _grid_words(self) -> str:
        """What varies along the sides; with the values where the picture has no room for them."""
        trace = self.trace
        if trace is None or not trace.request.grid:
            return ""
        _, picture = self._pictures()[0]
        return grid_words(trace.request.grid, with_values=self.zoomed and not picture.labelled)

    def _setting_lines(self) -> list[Setting]:
        """The settings; η where the sampler has it, autoguidance where the model has a guide,
        and what the trace begins from."""
        opening = self.opening
        varied = _varied(opening.grid)
        has = {
            "eta": SAMPLERS[self.settings.sampler].noise == "eta" or "eta" in varied,
            "autoguidance": self.model is not None and self.model.guided,
        }
        lines = [
            line._replace(value=varied.get(line.label, line.value))
            for line in image_lines(self.settings, self.seed, self.prompt)
            if has.get(line.name, True)
        ]
        if opening.forward:
            lines.append(Setting("u", "drowns", opening.name))
        elif opening.init is not None:
            lines.append(Setting("i", "from", f"{opening.name}, {opening.strength:g}"))
        if opening.grid:
            lines.append(Setting("w", "grid", grid_words(opening.grid, with_values=False)))
        return lines


def _varied(grid: Sequence[Axis]) -> dict[str, str]:
    """Where the settings that vary along a grid do, in words."""
    return {axis.name: words for axis, words in zip(grid, ("along x →", "along y ↓"), strict=False)}
