"""Beside a walk's picture: where it is, what the discriminator scores along it, the settings."""

import random
from abc import abstractmethod
from typing import ClassVar

import msgspec
from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content

from genui import protocol
from genui.base.errors import MisuseError
from genui.base.schema import settings_of
from genui.base.text import clean_line
from genui.protocol import BASES, Axis, ImageFrame, LatentSettings, Seed
from genui.protocol.edits import in_force, own_step
from genui.protocol.settings import axis_text, grid_words, parse_axes
from genui.runs.models import ModelInfo
from genui.ui import keys, messages
from genui.ui.generate.image import ROOMY, PicturePane
from genui.ui.keys import PaneName
from genui.ui.messages import ViewName
from genui.ui.session import Session
from genui.ui.settings import (
    at_step,
    changed_label,
    latent_lines,
    settings_content,
    which,
)
from genui.ui.traces.controller import Trace
from genui.ui.widgets.base import Line, LineInput, SettingLines, Timeline, set_border
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.dialogs import Field, FormScreen, ValueScreen
from genui.ui.widgets.image import Bearings, ImageView

NARROW = 40  # cells of a border that holds only few words


class WalkInspector(Vertical):
    """Shown while the pane fills the screen; told everything, it asks nothing."""

    def __init__(self) -> None:
        super().__init__(classes="inspector")

    def compose(self) -> ComposeResult:
        with Vertical(classes="box bearings"):
            yield Bearings()
        with Vertical(classes="box score"):
            yield Curve("The score at each step shows here", legend=False)
        with Vertical(classes="box settings"):
            yield SettingLines(classes="settings-lines")

    def on_mount(self) -> None:
        set_border(self.query_one(".score"), title="Discriminator's score")
        set_border(self.query_one(".settings"), title="Settings", subtitle="+ − change")

    def show_place(self, frame: ImageFrame | None, settings: LatentSettings) -> None:
        """Where the step is along each direction."""
        walked = settings.direction if settings.to is None else 0
        self.query_one(Bearings).show(frame.along if frame is not None else (), walked)
        box = self.query_one(".bearings")
        title = f"Directions by {settings_of(LatentSettings)['basis'].show(settings.basis)}"
        set_border(box, title=title, subtitle="standard deviations")

    def show_score(self, trace: Trace[ImageFrame] | None) -> None:
        """The score of every step there is a frame of."""
        curve, box = self.query_one(Curve), self.query_one(".score")
        frame = trace.frame if trace is not None else None
        known = [(f.step, f.score) for f in trace.frames if f.score is not None] if trace else []
        if frame is None or frame.score is None or len(known) < 2:
            curve.clear()
            set_border(box, subtitle="")
            return
        import numpy as np

        steps, scores = np.array(known, np.float64).T
        curve.set_series({"score": (steps.astype(np.int64), scores)})
        curve.cursor = float(frame.step)
        means = " · higher is more real" if box.size.width >= NARROW else ""
        set_border(box, subtitle=f"{frame.score:+.2f} at step {frame.step}{means}")

    def show_settings(self, content: Content) -> None:
        self.query_one(SettingLines).show(content)


# --- What is done in a walk through latent space: directions, seeds and captions --------------

LABEL_CELLS = 32  # of a branch's words
LEAST_MOVES = 10  # to a seed that a walk turns to midway


class WalkMoves(PicturePane[LatentSettings]):
    """The actions of a walk. A walk that nothing was changed in begins anew and stays in its
    place; one that has turned off goes on from there, as a branch."""

    grid: tuple[Axis, ...] = ()

    @property
    @abstractmethod
    def directions(self) -> int:
        """How many directions there are; 0 while that is not known."""

    # --- beginning --------------------------------------------------------------------

    def request(self) -> protocol.Start:
        return replace(super().request(), grid=self.grid)

    def start_over(self, play: bool) -> None:
        """From the seed's own picture: a path to another seed plays, else the keys walk."""
        if self.model is None:
            self.paint()
            return
        self._begin_at(own_step(self.settings), self._label())

    def _label(self) -> str:
        settings = self.settings
        if self.grid:
            return f"grid of {' × '.join(axis.name for axis in self.grid)}"
        if settings.to is not None:
            return f"seed {self.seed} to {settings.to}"
        return f"seed {self.seed}, direction {settings.direction}"

    def _begin_at(self, step: int, label: str) -> None:
        """A new trace, shown at that step."""
        plays = self.settings.to is not None
        self.begin(self.request(), clean_line(label, LABEL_CELLS), play=plays)
        if self.trace is not None and not plays:
            self.trace.seek(step)
            self._moved()

    def _take(self, model: ModelInfo) -> None:
        super()._take(model)
        self.grid = ()
        self.settings = replace(self.settings, direction=1, at=())

    def _follow_shown(self) -> None:
        super()._follow_shown()
        if self.trace is not None:
            self.grid = self.trace.request.grid

    def _apply(self) -> None:
        """The settings hold for the whole walk, or from here on where it has turned off."""
        trace = self.trace
        if trace is None or trace.request.edits:
            super()._apply()
            return
        share = trace.position / max(1, trace.total)
        before = trace.request.settings
        assert isinstance(before, LatentSettings)
        label = changed_label(before, self.settings)
        self._begin_at(round(share * self.settings.steps), label)

    # --- directions -------------------------------------------------------------------

    def action_turn(self, by: int) -> None:
        """Walk along the next direction, through this very point."""
        if self.directions:
            self._walk_along((self.settings.direction - 1 + by) % self.directions + 1)
        elif self._needed() is not None:
            self._tell("the first picture is still to come: then its directions are known")

    def action_direction(self) -> None:
        """Ask for the number of a direction."""

        def parse(text: str) -> int:
            count = self.directions or 64
            if text.strip().isdecimal() and 1 <= int(text) <= count:
                return int(text)
            raise MisuseError(f"{clean_line(text, 20)!r}: a number from 1 to {count}")

        def done(number: int | None) -> None:
            if number is not None:
                self._walk_along(number)

        hint = "1 is the strongest; the walk goes through this very point"
        now = str(self.settings.direction)
        self.app.push_screen(ValueScreen("Direction", now, hint, parse), done)

    def _walk_along(self, number: int) -> None:
        """Along that direction: through this point, or from it on where the walk has turned."""
        trace = self._needed()
        if trace is None:
            return
        label = f"direction {number} from {trace.position}"
        if trace.request.edits or self.settings.to is not None:
            steps = trace.position + self.settings.steps // 2
            self.settings = replace(self.settings, direction=number, to=None, steps=steps)
            self.fork(protocol.SetSettings(self.settings), label)
            return
        self.settings = replace(self.settings, direction=number, at=self._here(trace))
        self._begin_at(own_step(self.settings), label)

    def _here(self, trace: Trace[ImageFrame]) -> tuple[float, ...]:
        """How far along each direction the playhead is from the seed's point."""
        settings = self.settings
        moved = (trace.position - own_step(settings)) * 2 * settings.reach / settings.steps
        at = [*settings.at, *[0.0] * (settings.direction - len(settings.at))]
        at[settings.direction - 1] = round(at[settings.direction - 1] + moved, 6)
        return tuple(at)

    def action_basis(self) -> None:
        """Directions found in another way, from the seed's point."""
        if self._needed() is not None:
            following = BASES[(BASES.index(self.settings.basis) + 1) % len(BASES)]
            self.settings = replace(self.settings, basis=following, direction=1, at=())
            self._begin_at(own_step(self.settings), f"directions by {following}")

    # --- seeds ------------------------------------------------------------------------

    def action_reseed(self) -> None:
        """Another seed's picture, and what is around it."""
        self.settings = replace(self.settings, at=())
        super().action_reseed()

    def action_fork(self) -> None:
        """From here on to a random seed, as a branch."""
        if self._needed() is not None:
            self._go_to(random.randrange(1, 10_000))

    def action_interpolate(self) -> None:
        """Ask for a seed, and walk to its picture."""

        def done(seed: int | None) -> None:
            if seed is not None and self._needed() is not None:
                self._go_to(seed)

        hint = "the walk goes from here to that seed's picture, along an arc"
        usual = str(random.randrange(1, 10_000))
        self.app.push_screen(ValueScreen("Walk to a seed", usual, hint, _seed), done)

    def _go_to(self, seed: int) -> None:
        """To a seed's picture: as a new walk from the seed's own, as a branch from elsewhere."""
        trace = self.trace
        if trace is None:
            return
        at_home = not trace.request.edits and trace.position == own_step(self.settings)
        if at_home:
            self.settings = replace(self.settings, to=seed)
            self._begin_at(0, f"seed {self.seed} to {seed}")
            return
        steps = trace.position + max(LEAST_MOVES, self.settings.steps // 2)
        self.settings = replace(self.settings, to=seed, steps=min(steps, 1000))
        self.fork(protocol.SetSettings(self.settings), f"to seed {seed}")

    def action_blend(self) -> None:
        """Ask for seeds, and mix them in."""

        def parse(text: str) -> tuple[int, ...]:
            seeds = tuple(_seed(part) for part in text.replace(",", " ").split())
            if len(seeds) > 15:
                raise MisuseError(f"{len(seeds)} seeds: at most 15 are mixed in")
            return seeds

        def done(seeds: tuple[int, ...] | None) -> None:
            if seeds is not None and self._needed() is not None:
                self.settings = replace(self.settings, blend=seeds, at=(), to=None)
                label = f"seed {self.seed} with {', '.join(map(str, seeds))}"
                self._begin_at(own_step(self.settings), label if seeds else self._label())

        hint = f"seeds mixed with {self.seed} in equal parts, as in 7, 12; nothing for none"
        now = ", ".join(map(str, self.settings.blend))
        self.app.push_screen(ValueScreen("Blend", now, hint, parse), done)

    # --- captions and grids -------------------------------------------------------------

    def action_recaption(self) -> None:
        """Ask for another caption from this step on."""
        trace = self._needed()
        if trace is None:
            return
        step = trace.position

        def done(caption: str | None) -> None:
            if caption is not None and self.trace is trace:
                self.prompt = caption
                label = clean_line(f"“{caption}”", LABEL_CELLS)
                self.fork(protocol.SetPrompt(caption), label, step=step)

        title = f"Caption from step {step} on"
        hint = "the walk goes on under it"
        self.app.push_screen(ValueScreen(title, self.prompt, hint, str.strip), done)

    def action_grid(self) -> None:
        """Ask which seeds and captions to walk with at once."""
        if not self._has_model():
            return
        now = [axis_text(axis) for axis in self.grid]
        along_x, along_y = (*now, "", "")[:2] if now else ("seed 1..4", "")
        fields = (
            Field("along x →", along_x, "none, or as in  seed 1..6"),
            Field("along y ↓", along_y, "none, or as in  caption sneaker; ankle boot"),
        )
        hint = "seed or caption, and its values: all of them walk at once. None ends the grid."

        def parse(lines: list[str]) -> tuple[Axis, ...]:
            axes = parse_axes(*lines)
            for axis in axes:
                if axis.name not in ("seed", "caption"):
                    raise MisuseError(f"a walk has no {axis.name}: vary seed or caption")
            return axes

        def done(grid: tuple[Axis, ...] | None) -> None:
            if grid is not None:
                self.grid = grid
                self.post_message(messages.Acted())
                self.start_over(play=False)

        self.app.push_screen(FormScreen("Grid", fields, hint, parse), done)


def _seed(text: str) -> int:
    try:
        return msgspec.convert(text.strip(), Seed, strict=False)
    except msgspec.ValidationError:
        raise MisuseError(f"seed {clean_line(text, 20)!r}: expected a whole number") from None


# --- The Walk pane: a picture of a GAN, and the ways through latent space that lead from it ---


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
            yield ImageView(classes="large")
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
        picture = self.query_one(".large", ImageView)
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
        self.query_one(".large", ImageView).sharpen()

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
        main, picture = self.query_one(".main"), self.query_one(".large", ImageView)
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
