"""The Walk pane: walks through the latent space of a GAN, from the image of a seed."""

import random
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.strip import Strip

from genui.base.schema import settings_of
from genui.kinds.gan.controller import LatentController, parse_grid, parse_seeds
from genui.kinds.gan.walk import LatentSettings
from genui.protocol.edits import inputs_at
from genui.protocol.settings import SEED, format_grid
from genui.ui.generate.actions import Actions
from genui.ui.generate.image import WIDE, ImageInspector, TraceImageView, ask_grid, show_curve
from genui.ui.generate.pane import PaneKind, Parts, TracePane
from genui.ui.generate.prompt import CaptionScreen, PromptLine
from genui.ui.traces.controller import parse_whole_number
from genui.ui.traces.export import IMAGES, Format
from genui.ui.widgets.bars import Line
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.image import ImageView
from genui.ui.widgets.lines import LineWidget, strip_of
from genui.ui.widgets.settings import Option
from genui.ui.widgets.timeline import Timeline

NARROW = 40  # cells of a border with room for few words
MAX_DIRECTIONS = 64  # before the first frame, which has their number


class WalkView(TraceImageView):
    """Caption, image and timeline."""

    def __init__(self, pane: TracePane, controller: LatentController) -> None:
        super().__init__(pane)
        self._controller = controller

    def compose(self) -> ComposeResult:
        yield PromptLine("caption", "e.g. sneaker")
        yield Line(classes="caption")
        yield ImageView(classes="large")
        yield LabelBars()
        yield Timeline("", "")

    def paint(self) -> None:
        trace, frame = self._controller.trace, self._controller.frame
        axes = [axis.values for axis in trace.request.grid] if trace is not None else []
        self.query_one(".large", ImageView).label(*axes)
        image = self.show_large(frame)
        self._paint_timeline()
        self.paint_caption()
        details = f" · {self._path_text()}" if self.size.width >= WIDE else ""
        self.show_border(image, details, "", "" if self.pane.zoomed else self._path_text())

    def _paint_timeline(self) -> None:
        """Label the ends: with their distance from the seed, or the seeds of the path. A walk that
        turned off has one way before the fork and another one after it."""
        controller, timeline = self._controller, self.query_one(Timeline)
        trace, settings = controller.trace, controller.settings
        first = trace.request.settings if trace is not None else settings
        last = inputs_at(trace.request)[2] if trace is not None else settings
        seed = f"seed {last.to}"
        if last != first:
            ends = "start", f"direction {last.direction}" if last.to is None else seed
        elif last.to is None:
            ends = _format_offset(last, 0), _format_offset(last, last.steps)
        else:
            ends = f"seed {controller.seed}", seed
        timeline.left, timeline.right = ends
        timeline.follow(trace)

    def paint_caption(self) -> None:
        """Show the caption at this step and, at the right, the discriminator's score."""
        trace, frame = self._controller.trace, self._controller.frame
        prompt = inputs_at(trace.request, trace.position)[0] if trace is not None else ""
        caption = f"“{prompt}”" if prompt else ""
        score = "none" if frame is None or frame.score is None else f"{frame.score:+.2f}"
        measures = ("score ", "$text-muted"), (score, "bold $accent"), ("  step ", "$text-muted")
        self.show_caption(caption, trace, *measures)

    def _path_text(self) -> str:
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


def _format_offset(settings: LatentSettings, step: int) -> str:
    return f"{settings.offset(step):+.3g}σ".replace("-", "−")


# --- The position of a walk in latent space ---------------------------------------------------

SPAN = 4.0  # standard deviations to either side
_NAME = 4  # cells before a bar
_VALUE = 6  # cells after it


class DirectionBars(LineWidget):
    """The position along each direction, `●`, from -4 to 4 standard deviations of the latents.

    The current direction of the walk has a `▸` and a heavier line.
    """

    DEFAULT_CSS = """
    DirectionBars {
        & > .directions--name { color: $text-muted; }
        & > .directions--current { color: $text-primary; text-style: bold; }
        & > .directions--line { color: $border-blurred; }
        & > .directions--place { color: $accent; text-style: bold; }
        & > .directions--value { color: $foreground; }
    }
    """

    def __init__(self) -> None:
        super().__init__("The position of the walk shows here")
        self._positions: tuple[float, ...] = ()
        self._current = 0

    def show(self, positions: Sequence[float], current: int) -> None:
        """Show the position along each direction; `current` counts from 1, 0 is none."""
        if (tuple(positions), current) != (self._positions, self._current):
            self._positions, self._current = tuple(positions), current
            self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._positions:
            return self.message(self._empty, width, height)
        return [self._draw_bar(number, at, width) for number, at in enumerate(self._positions, 1)]

    def _draw_bar(self, number: int, at: float, width: int) -> Strip:
        """Return `▸2 ━━━━━━┿━━●━━━ +1.3`."""
        cells = max(5, width - _NAME - _VALUE)
        current = number == self._current
        place = round((cells - 1) * (min(max(at, -SPAN), SPAN) + SPAN) / (2 * SPAN))
        rule = ["━" if current else "─"] * cells
        rule[cells // 2] = "┿" if current else "┼"
        mark = "◂" if at < -SPAN else "▸" if at > SPAN else "●"
        name = self.style("directions--current" if current else "directions--name")
        line = name if current else self.style("directions--line")
        return strip_of(
            [
                (f"{'▸' if current else ' '}{number:<2} ", name),
                ("".join(rule[:place]), line),
                (mark, self.style("directions--place")),
                ("".join(rule[place + 1 :]), line),
                (f"{at:+.1f}".rjust(_VALUE), self.style("directions--value")),
            ]
        )


# --- The pane ---------------------------------------------------------------------------------


class WalkInspector(ImageInspector):
    """The position along each direction, the score along the walk, and the settings."""

    def __init__(self, pane: TracePane, controller: LatentController) -> None:
        super().__init__(pane)
        self._controller = controller

    def compose(self) -> ComposeResult:
        with Vertical(classes="box directions"):
            yield DirectionBars()
        with Vertical(classes="box score"):
            yield Curve("The score at each step shows here", legend=False)
        yield self.pane.tuning.panel

    def on_mount(self) -> None:
        set_border(self.query_one(".score"), title="Discriminator's score")

    def paint_step(self) -> None:
        self._show_directions()
        self._show_score()
        self.pane.tuning.paint()

    def _show_directions(self) -> None:
        """Show where the step is along each direction."""
        settings, frame = self._controller.settings_here, self._controller.frame
        walked = settings.direction if settings.to is None else 0
        self.query_one(DirectionBars).show(frame.along if frame is not None else (), walked)
        title = f"Directions by {settings_of(LatentSettings)['basis'].show(settings.basis)}"
        set_border(self.query_one(".directions"), title=title, subtitle="standard deviations")

    def _show_score(self) -> None:
        """Plot the discriminator's score of every computed step."""
        box, trace = self.query_one(".score", Vertical), self._controller.trace
        frame = trace.frame if trace is not None else None
        known = [(f.step, f.score) for f in trace.frames if f.score is not None] if trace else []
        text, step = "", None
        if frame is not None and frame.score is not None:
            step = frame.step
            means = " · higher is more real" if box.size.width >= NARROW else ""
            text = f"{frame.score:+.2f} at step {step}{means}"
        show_curve(box, "score", known, step, text)


DIRECTION = "The direction of the walk, through this point; 1 is the strongest"
BASIS = "Directions found in the first layer (SeFa), or in its activations (PCA)"
TO = "The walk goes from here to that seed's image, along an arc"
BLEND = "Seeds mixed with the seed in equal parts, such as 7, 12; empty for none"
GRID_HELP = "A grid of seeds and captions, walked at once"


class WalkActions(Actions):
    """Changes the direction, seeds, caption and grid of a walk."""

    def __init__(self, pane: TracePane, controller: LatentController) -> None:
        super().__init__(pane)
        self._controller = controller
        self.action_turn = controller.turn

    def options(self) -> list[Option]:
        """The way through the latent space, the seeds that are mixed in, and the grid."""
        controller, settings = self._controller, self._controller.settings
        grid = format_grid(controller.opening.grid, with_values=False) or "none"
        basis = settings_of(LatentSettings)["basis"]
        seeds = ", ".join(map(str, settings.blend))
        most = controller.directions or MAX_DIRECTIONS
        direction = f"{settings.direction}" if settings.to is None else "to a seed"
        return [
            Option(
                *("direction", "direction", direction, DIRECTION, controller.turn),
                lambda text: controller.walk_along(parse_whole_number(text, 1, most)),
                f"{settings.direction}",
                first=True,
            ),
            Option(
                "basis",
                "basis",
                basis.show(settings.basis),
                BASIS,
                lambda _: controller.next_basis(),
            ),
            Option(
                *("to", "walk to seed", "none" if settings.to is None else f"{settings.to}", TO),
                use=lambda text: controller.walk_to(SEED.parse(text, f"seed {text.strip()!r}")),
                text=str(random.randrange(1, 10_000)),
            ),
            Option(
                *("blend", "blended with", seeds or "none", BLEND),
                use=lambda text: controller.blend(parse_seeds(text)),
                text=seeds,
            ),
            Option("grid", "grid", grid, GRID_HELP, open=self.action_grid),
        ]

    def action_recaption(self) -> None:
        """Ask for another caption from this step on."""
        controller = self._controller
        trace = controller.ensure_trace()
        if trace is None:
            return
        step = trace.position

        def use(caption: str) -> None:
            controller.recaption(trace, caption, step)

        title, hint = f"Caption from step {step} on", "the walk continues with it"
        self.pane.ask(CaptionScreen(title, controller.prompt, hint, controller.model), use)

    def action_grid(self) -> None:
        """Ask for the seeds and captions of a grid, and walk with all of them."""
        ask_grid(
            self.pane,
            self._controller.open_grid,
            usual=("seed 1..4", ""),
            examples=("seed 1..6", "caption sneaker; ankle boot"),
            hint="seed or caption, and its values: all of them walk at once. u goes back.",
            parse=parse_grid,
        )


def _build(pane: TracePane) -> Parts:
    controller = LatentController(pane.session, pane)
    view, inspector = WalkView(pane, controller), WalkInspector(pane, controller)
    return Parts(controller, view, inspector, (WalkActions(pane, controller),))


WALK = PaneKind(
    "walk",
    "Walk",
    "image-pane walk-pane",
    _build,
    setting="truncation",
    without=frozenset({"basis"}),
)
WALKS = (
    Format("png", ".png", "the image at step {step}", "frame", still=True, shrink=1),
    Format("film", ".png", "a filmstrip, ten steps of the walk", "film", shrink=4),
    *IMAGES[2:],
)
