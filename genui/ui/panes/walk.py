"""The Walk pane: a picture of a GAN, and the ways through latent space that lead from it."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content

from genui.edits import in_force
from genui.grids import grid_words
from genui.protocol import LatentSettings
from genui.render.sanitise import clean_line
from genui.ui import keys
from genui.ui.chrome import Line
from genui.ui.frame import set_border
from genui.ui.key import PaneName
from genui.ui.media import at_step, which
from genui.ui.messages import ViewName
from genui.ui.panes.line_input import LineInput
from genui.ui.panes.picture_pane import ROOMY
from genui.ui.panes.timeline import Timeline
from genui.ui.panes.walk_inspector import WalkInspector
from genui.ui.panes.walk_moves import WalkMoves
from genui.ui.session import Session
from genui.ui.settings import latent_lines, settings_content
from genui.ui.widgets.label_bars import LabelBars
from genui.ui.widgets.picture import Picture


class LatentPane(WalkMoves):
    """Caption, picture, timeline and, zoomed, the directions, the score and the settings."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("walk")]
    pane: ClassVar[PaneName] = "walk"
    view: ClassVar[ViewName] = "walk"
    heading: ClassVar[str] = "Walk"

    def __init__(self, session: Session) -> None:
        super().__init__(session, LatentSettings(), touched="truncation")

    def compose(self) -> ComposeResult:
        with Vertical(classes="main"):
            yield LineInput(placeholder="a caption, as in: sneaker", compact=True)
            yield Line(classes="caption")
            yield Picture(classes="large")
            yield LabelBars()
            yield Timeline("", "")
        yield WalkInspector()

    def total_steps(self) -> int:
        return self.settings.steps

    @property
    def directions(self) -> int:
        frame = self._frame
        return len(frame.along) if frame is not None else 0

    # --- drawing ----------------------------------------------------------------------

    def paint(self) -> None:
        trace, frame = self.trace, self._frame
        picture = self.query_one(".large", Picture)
        picture.label(*([axis.values for axis in trace.request.grid] if trace is not None else []))
        if frame is None:
            picture.clear(self.empty_text())
        else:
            picture.show_frame(frame, "x")
        self._paint_timeline()
        self.query_one(".caption", Line).show(self._caption_line())
        self._paint_border()
        self.paint_labels()
        self.settle()

    def sharpen(self) -> None:
        self.query_one(".large", Picture).sharpen()

    def paint_inspector(self) -> None:
        inspector = self.query_one(WalkInspector)
        inspector.show_place(self._frame, self._in_force())
        inspector.show_score(self.trace)
        lines = latent_lines(self.settings, self.seed, self.prompt, self.grid)
        inspector.show_settings(settings_content(lines, self._touched))

    def _in_force(self) -> LatentSettings:
        """The settings at the playhead."""
        trace = self.trace
        return in_force(trace.request, trace.position)[2] if trace is not None else self.settings

    def _paint_timeline(self) -> None:
        """Ends as far from the seed as they are, or the seeds that the path goes between."""
        trace, timeline, settings = self.trace, self.query_one(Timeline), self._in_force()
        if settings.to is not None:
            turned = trace is not None and bool(trace.request.edits)
            timeline.left = "here" if turned else f"seed {self.seed}"
            timeline.right = f"seed {settings.to}"
        else:
            timeline.left, timeline.right = f"−{settings.reach:g}σ", f"+{settings.reach:g}σ"
        timeline.follow(trace)

    def _caption_line(self) -> Content:
        """The caption in force and, at the right, the discriminator's score and the step."""
        trace, frame = self.trace, self._frame
        if trace is None or frame is None:
            return self.waiting_line()
        score = f"{frame.score:+.2f}" if frame.score is not None else "none"
        told = ("score ", "$text-muted"), (score, "bold $accent"), ("  step ", "$text-muted")
        prompt = in_force(trace.request, trace.position)[0]
        return self.captioned(f"“{prompt}”", trace, *told)

    # --- words in the border ----------------------------------------------------------

    def _paint_border(self) -> None:
        if self.model is None:
            self.set_title()
            self.set_subtitle()
            return
        name = clean_line(self.model.name, 16)
        if not self.zoomed:
            self.set_title((name, "bold"), which(self.model))
            self.set_subtitle(self.branch_words() or self._way())
            return
        main, picture = self.query_one(".main"), self.query_one(".large", Picture)
        scale = f" · {picture.scale_text}" if picture.scale_text else ""
        way = f" · {self._way()}" if main.size.width >= ROOMY else ""
        title = Content.assemble((name, "bold"), f"{at_step(self.model)}{way}{scale}")
        set_border(main, title=title)
        set_border(main, subtitle=Content(self.branch_words()))

    def _way(self) -> str:
        """`direction 2 · seed 7`, or `seed 7 → 12`."""
        settings = self._in_force()
        seed = f"seed {self.seed}" + (f" +{len(settings.blend)}" if settings.blend else "")
        if self.grid:
            return grid_words(self.grid, with_values=False)
        if settings.to is not None:
            return f"{seed} → {settings.to}"
        return f"direction {settings.direction} · {seed}"
