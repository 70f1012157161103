"""The Walk pane: an image of a GAN, and the ways through latent space that lead from it."""

import random

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from genui.base.schema import settings_of
from genui.base.text import clean_line
from genui.protocol import LatentSettings
from genui.protocol.edits import inputs_at
from genui.protocol.settings import format_grid
from genui.ui.generate.actions import Actions
from genui.ui.generate.image import (
    ROOMY,
    ImageInspector,
    TraceImageView,
    ask_grid,
    show_values,
)
from genui.ui.generate.pane import PaneKind, Parts, TracePane
from genui.ui.settings import at_step, latent_lines, which
from genui.ui.traces.latent import (
    LatentController,
    parse_direction,
    parse_grid,
    parse_seed,
    parse_seeds,
)
from genui.ui.widgets.base import Line, LineInput, SettingLines, Timeline, set_border
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.dialogs import ValueScreen
from genui.ui.widgets.image import Bearings, ImageView

NARROW = 40  # cells of a border that holds only few words
MOST_DIRECTIONS = 64  # where it is not known how many there are


class WalkView(TraceImageView):
    """Caption, image and timeline."""

    def __init__(self, pane: TracePane, controller: LatentController) -> None:
        super().__init__(pane)
        self._controller = controller

    def compose(self) -> ComposeResult:
        yield LineInput(placeholder="a caption, e.g. sneaker", compact=True)
        yield Line(classes="caption")
        yield ImageView(classes="large")
        yield LabelBars()
        yield Timeline("", "")

    def paint(self) -> None:
        trace, frame = self._controller.trace, self._controller.frame
        image = self.query_one(".large", ImageView)
        image.label(*([axis.values for axis in trace.request.grid] if trace is not None else []))
        if frame is None:
            image.clear(self.pane.empty_text())
        else:
            image.show_frame(frame, "x")
        self._paint_timeline()
        self._paint_caption()
        self._paint_border()
        self.settle()

    def _paint_timeline(self) -> None:
        """Ends as far from the seed as they are, or the seeds that the path goes between."""
        controller, timeline = self._controller, self.query_one(Timeline)
        trace, settings = controller.trace, controller.settings_here
        if settings.to is not None:
            turned = trace is not None and bool(trace.request.edits)
            timeline.left = "here" if turned else f"seed {controller.seed}"
            timeline.right = f"seed {settings.to}"
        else:
            timeline.left, timeline.right = f"−{settings.reach:g}σ", f"+{settings.reach:g}σ"
        timeline.follow(trace)

    def _paint_caption(self) -> None:
        """The caption in force and, at the right, the discriminator's score and the step."""
        trace, frame = self._controller.trace, self._controller.frame
        caption = f"“{inputs_at(trace.request, trace.position)[0]}”" if trace is not None else ""
        score = "none" if frame is None or frame.score is None else f"{frame.score:+.2f}"
        measures = ("score ", "$text-muted"), (score, "bold $accent"), ("  step ", "$text-muted")
        self.show_caption(caption, trace, *measures)

    def _paint_border(self) -> None:
        pane, model = self.pane, self._controller.model
        if model is None:
            pane.set_title()
            pane.set_subtitle()
            return
        name = clean_line(model.name, 16)
        if not pane.zoomed:
            pane.set_title((name, "bold"), which(model))
            pane.set_subtitle(self.branch_words() or self._way())
            return
        image = self.query_one(".large", ImageView)
        scale = f" · {image.scale_text}" if image.scale_text else ""
        way = f" · {self._way()}" if self.size.width >= ROOMY else ""
        title = Content.assemble((name, "bold"), f"{at_step(model)}{way}{scale}")
        set_border(self, title=title, subtitle=Content(self.branch_words()))

    def _way(self) -> str:
        """`direction 2 · seed 7`, or `seed 7 → 12`."""
        controller = self._controller
        settings, grid = controller.settings_here, controller.opening.grid
        blended = f" +{len(settings.blend)}" if settings.blend else ""
        seed = f"seed {controller.seed}{blended}"
        if grid:
            return format_grid(grid, with_values=False)
        if settings.to is not None:
            return f"{seed} → {settings.to}"
        return f"direction {settings.direction} · {seed}"


class WalkInspector(ImageInspector):
    """Where the walk is, what the discriminator scores along it, and the settings."""

    def __init__(self, pane: TracePane, controller: LatentController) -> None:
        super().__init__(pane)
        self._controller = controller

    def compose(self) -> ComposeResult:
        with Vertical(classes="box bearings"):
            yield Bearings()
        with Vertical(classes="box score"):
            yield Curve("The score at each step shows here", legend=False)
        with Vertical(classes="box settings"):
            yield SettingLines(classes="settings-lines")

    def on_mount(self) -> None:
        set_border(self.query_one(".score"), title="Discriminator's score")

    def paint_step(self) -> None:
        controller = self._controller
        self._show_place()
        self._show_score()
        grid = controller.opening.grid
        self.show_settings(
            latent_lines(controller.settings, controller.seed, controller.prompt, grid)
        )

    def _show_place(self) -> None:
        """Where the step is along each direction."""
        settings, frame = self._controller.settings_here, self._controller.frame
        walked = settings.direction if settings.to is None else 0
        self.query_one(Bearings).show(frame.along if frame is not None else (), walked)
        title = f"Directions by {settings_of(LatentSettings)['basis'].show(settings.basis)}"
        set_border(self.query_one(".bearings"), title=title, subtitle="standard deviations")

    def _show_score(self) -> None:
        """The score of every step there is a frame of."""
        box, trace = self.query_one(".score", Vertical), self._controller.trace
        frame = trace.frame if trace is not None else None
        known = [(f.step, f.score) for f in trace.frames if f.score is not None] if trace else []
        words, step = "", None
        if frame is not None and frame.score is not None:
            step = frame.step
            means = " · higher is more real" if box.size.width >= NARROW else ""
            words = f"{frame.score:+.2f} at step {step}{means}"
        show_values(box, "score", known, step, words)


class WalkActions(Actions):
    """Directions, seeds, captions and grids."""

    def __init__(self, pane: TracePane, controller: LatentController) -> None:
        super().__init__(pane)
        self._controller = controller
        self.action_turn, self.action_basis = controller.turn, controller.next_basis

    def action_direction(self) -> None:
        """Ask for the number of a direction."""
        controller = self._controller

        def parse(text: str) -> int:
            return parse_direction(text, controller.directions or MOST_DIRECTIONS)

        def done(number: int | None) -> None:
            if number is not None:
                controller.walk_along(number)

        hint = "1 is the strongest; the walk passes through this point"
        now = str(controller.settings.direction)
        self.pane.app.push_screen(ValueScreen("Direction", now, hint, parse), done)

    def action_interpolate(self) -> None:
        """Ask for a seed, and walk to its image."""

        def done(seed: int | None) -> None:
            if seed is not None:
                self._controller.walk_to(seed)

        hint = "the walk goes from here to that seed's image, along an arc"
        usual = str(random.randrange(1, 10_000))
        self.pane.app.push_screen(ValueScreen("Walk to a seed", usual, hint, parse_seed), done)

    def action_blend(self) -> None:
        """Ask for seeds, and mix them in."""
        controller = self._controller

        def done(seeds: tuple[int, ...] | None) -> None:
            if seeds is not None:
                controller.blend(seeds)

        hint = f"seeds mixed with {controller.seed} in equal parts, e.g. 7, 12; empty for none"
        now = ", ".join(map(str, controller.settings.blend))
        self.pane.app.push_screen(ValueScreen("Blend", now, hint, parse_seeds), done)

    def action_recaption(self) -> None:
        """Ask for another caption from this step on."""
        controller = self._controller
        trace = controller.needed()
        if trace is None:
            return
        step = trace.position

        def done(caption: str | None) -> None:
            if caption is not None:
                controller.recaption(trace, caption, step)

        title, hint = f"Caption from step {step} on", "the walk continues with it"
        self.pane.app.push_screen(ValueScreen(title, controller.prompt, hint, str.strip), done)

    def action_grid(self) -> None:
        """Ask which seeds and captions to walk with at once."""
        ask_grid(
            self.pane,
            self._controller,
            usual=("seed 1..4", ""),
            examples=("seed 1..6", "caption sneaker; ankle boot"),
            hint="seed or caption, and its values: all of them walk at once. None ends the grid.",
            parse=parse_grid,
        )


def _build(pane: TracePane) -> Parts:
    controller = LatentController(pane.session, pane)
    view, inspector = WalkView(pane, controller), WalkInspector(pane, controller)
    return Parts(controller, view, inspector, (WalkActions(pane, controller),))


WALK = PaneKind("walk", "Walk", "image-pane walk-pane", _build, "truncation")
