"""The Canvas pane: an image is denoised step by step, forwards and backwards."""

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

from genui.base import numbers
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.protocol import FROM_DATA, SAMPLERS, Axis, Failed, ImageFrame, Nearest, Neighbours
from genui.protocol.edits import draft_step, inputs_at, steps_to_take
from genui.protocol.settings import AXIS_NAMES, format_axis, format_grid, parse_axes
from genui.ui import keys
from genui.ui.generate.actions import Actions, SoundActions
from genui.ui.generate.look import PART_NAMES, ImageLook, ImagePart, Layout
from genui.ui.generate.maps import TITLES as MAP_TITLES
from genui.ui.generate.maps import MapActions
from genui.ui.generate.pane import PLAYS_LIVE, GenerationView, Inspector, PaneKind, Parts, TracePane
from genui.ui.generate.prompt import CaptionScreen, PromptLine
from genui.ui.settings import describe_model, format_step, varied_along
from genui.ui.traces.compare import ClipHead, Column, part_after
from genui.ui.traces.controller import LABEL_CELLS, parse_whole_number
from genui.ui.traces.image import ImageController, halfway, last_noise_step, parse_opening
from genui.ui.traces.trees import Lost, ShownTrace, TraceReply, adds_noise
from genui.ui.widgets.bars import Line
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.dialogs import Field, FormScreen, make_value_screen
from genui.ui.widgets.image import ImageView, Waveform
from genui.ui.widgets.settings import Option
from genui.ui.widgets.timeline import Timeline

with late_imports():
    from genui.formats import audio
    from genui.formats import image as image_files
    from genui.render import image as render_image
    from genui.ui import drafts, windows

if TYPE_CHECKING:
    import numpy as np


# --- What panes of images share -------------------------------------------------------------

WORTH_SAYING = 5.0  # seconds that are left of a slow image or grid
WIDE = 60  # cells of a border with room for whole sentences


class TraceImageView(GenerationView):
    """A view of images, with a caption, an upper and a lower border."""

    @on(ImageView.Resized)
    def _paint_resized(self, event: ImageView.Resized) -> None:
        """Draw the caption, whose width has changed too, and the scale in the border."""
        event.stop()
        self.pane.paint()

    def show_large(self, frame: ImageFrame | None) -> ImageView:
        """Show the image of the step large, or how to begin."""
        image = self.query_one(".large", ImageView)
        if frame is None:
            image.clear(self.pane.empty_text())
        else:
            image.show_frame(frame, "x")
        return image

    def show_caption(
        self, caption: str, trace: ShownTrace[Any] | None, *measures: tuple[str, str]
    ) -> None:
        """Show the caption and, at the right, the time left, measures of the step and its number.

        Without room for all, the measures but the first are left out first, then that, then the
        time.
        """
        line, end = self.query_one(".caption", Line), Content("")
        caption, width = clean_line(caption), line.size.width
        if trace is not None and trace.frame is not None:
            step = (str(trace.position), "bold $foreground"), (f"/{trace.total}", "$text-muted")
            seconds = trace.seconds_left(time.monotonic())
            left = [(f"~{numbers.about(seconds)} left  ", "$text-muted")]
            left = left if seconds > WORTH_SAYING else []
            for before in ((*left, *measures), (*left, *measures[:1]), left, ()):
                end = Content.assemble(*before, *step)
                if cell_len(caption) + end.cell_length < width:
                    break
        else:
            prompt = clean_line(self.pane.controller.prompt)
            caption = f"“{prompt}”" if prompt else ""
        caption = clean_line(caption, max(4, width - end.cell_length - 1))
        gap = max(1, width - cell_len(caption) - end.cell_length)
        line.show(Content.assemble((caption, "bold"), " " * gap, end))

    def show_border(self, image: ImageView, details: str, grid: str, usual: str) -> None:
        """Show the model in the upper border, with `details` and the scale of `image` if
        full-screen; in the lower one the branch and grid or, without both, `usual`."""
        pane, model = self.pane, self.pane.controller.model
        if model is None:
            pane.set_title()
            pane.set_subtitle()
            return
        name = clean_line(model.name, 16), "bold"
        if not pane.zoomed:
            pane.set_title(name, describe_model(model))
            pane.set_subtitle(self.branch_text(clean_line(grid, 30)) or usual)
            return
        scale = f" · {image.scale_text}" if image.scale_text else ""
        origin = (f" · {pane.origin}" if pane.origin else "", "$warning")
        title = Content.assemble(name, origin, f"{format_step(model)}{details}{scale}")
        lower = PLAYS_LIVE if pane.origin else self.branch_text(grid) or usual
        set_border(self, title=title, subtitle=Content(lower))

    def show_sound(self, frame: ImageFrame | None, key: str) -> None:
        """Show the waveform of the step, if it has sound, and the key that plays it."""
        wave = self.query_one(Waveform)
        if frame is None or not frame.sound:
            wave.show(b"", 0)
            return
        shown = keys.display(keys.find_key(key), getattr(self.app, "user_keys", {}))
        wave.show(frame.sound, frame.rate, f"{shown} hear")

    def branch_text(self, grid: str = "") -> str:
        """`branch 2 of 3 · re-noised to step 8` if there are several; `grid` replaces the label."""
        place = self.pane.branch_place()
        if place is None:
            return grid
        at, count, label = place
        return f"branch {at} of {count} · {grid or clean_line(label, 32)}"


class ImageInspector(Inspector):
    """The settings; painted only full-screen."""

    def compose(self) -> ComposeResult:
        yield self.pane.tuning.panel

    def paint(self) -> None:
        if self.pane.zoomed:
            self.paint_step()

    def paint_step(self) -> None:
        """Draw the details of the shown step."""
        self.pane.tuning.paint()


def show_curve(
    box: Vertical,
    name: str,
    values: list[tuple[int, float]],
    step: int | None,
    text: str,
    last: int | None = None,
) -> None:
    """Plot (step, value) pairs with the cursor at `step`, and `text` in the lower border.

    The axis ends at step `last`, if that is known, so that it does not move.
    """
    curve = box.query_one(Curve)
    if step is None or len(values) < 2:
        curve.clear()
        set_border(box, subtitle="")
        return
    import numpy as np

    steps, measured = np.array(values, np.float64).T
    curve.set_series({name: (steps.astype(np.int64), measured)})
    view = (float(steps[0]), float(max(last, step))) if last is not None else None
    curve.set(view=view, cursor=float(step))
    set_border(box, subtitle=text)


def ask_grid(
    pane: TracePane,
    use: Callable[[tuple[Axis, ...]], None],
    usual: tuple[str, str],
    examples: tuple[str, str],
    hint: str,
    parse: Callable[[list[str]], tuple[Axis, ...]],
) -> None:
    """Ask what varies along x and y, and `use` the grid, which is generated as one batch."""
    if not pane.controller.has_model():
        return
    now = [format_axis(axis) for axis in pane.controller.opening.grid]
    along_x, along_y = (*now, "", "")[:2] if now else usual
    fields = (
        Field("along x →", along_x, f"none, or e.g. {examples[0]}"),
        Field("along y ↓", along_y, f"none, or e.g. {examples[1]}"),
    )
    pane.ask(FormScreen("Grid", fields, hint, parse, "generate"), use)


# --- The view of the Canvas -------------------------------------------------------------------

TITLES: dict[ImagePart, str] = {"x": "xₜ noisy", "denoised": "x̂₀ predicted", "noise": "ε noise"}
PARTS: tuple[ImagePart, ...] = ("x", "denoised", "noise")
WORTH_HIDING = 1.1  # how much larger an image must get for the inspector to be hidden
SHORT = 20  # lines below which three images have nothing under them
ARRANGEMENTS = (16, 8, 4, 2, 1)  # frames in a row; the one that shows them largest is used
CLIP_KEYS = ", . frames · ; play/pause"
HEAR = "canvas.roll"


class CanvasView(TraceImageView):
    """Caption, image and timeline: one image of the step large, or all three side by side.

    A clip plays by itself, a frame at a time, or all its frames are side by side.
    """

    def __init__(
        self,
        pane: TracePane,
        controller: ImageController,
        agreement: "AgreementActions",
        maps: MapActions,
    ) -> None:
        super().__init__(pane)
        self._controller = controller
        self.agreement, self.maps = agreement, maps
        self.part: ImagePart = "denoised"
        self._was_zoomed = False
        self.clip = ClipHead()

    def compose(self) -> ComposeResult:
        yield PromptLine("caption", "e.g. white rocket on blue")
        yield Line(classes="caption")
        yield ImageView(classes="large")
        with Horizontal(classes="three"):
            for part in PARTS:
                with Vertical(classes=f"view -{part}"):
                    yield Static(TITLES[part], classes="view-title", markup=False)
                    yield ImageView()
        yield Waveform()
        yield LabelBars()
        yield Timeline("noise  ", "image")

    def fit(self, size: Size) -> None:
        super().fit(size)
        self.pane.set_class(size.height < SHORT, "-short")

    # --- which images are shown -------------------------------------------------------

    @property
    def three(self) -> bool:
        """Whether all three images are side by side."""
        return self.pane.zoomed and self.pane.has_class("-three")

    @property
    def spread(self) -> bool:
        """Whether all frames of the clip are side by side."""
        return self.pane.zoomed and self.pane.has_class("-spread") and self.frames > 1

    @property
    def looks_inside(self) -> bool:
        """Whether maps are in place of the one large image."""
        trace, one = self._controller.trace, self.layout_name == "one" and self.frames == 1
        on_worker = trace is not None and trace.on_worker
        return self.maps.view != "off" and self.pane.zoomed and one and on_worker

    @property
    def frames(self) -> int:
        """The number of frames of the shown step: 1 for an image, 0 before there is a step."""
        frame = self._controller.frame
        return frame.images if frame is not None else 0

    @property
    def frame_index(self) -> int:
        """The shown frame of a clip; 0 for an image."""
        return self.clip.at % max(1, self.frames)

    def show_part(self, part: ImagePart) -> None:
        """Show that image of the step large."""
        self.part = part
        self.pane.paint()
        self.call_after_refresh(self.pane.paint)

    @property
    def layout_name(self) -> Layout:
        """How the images are laid out."""
        return "spread" if self.spread else "three" if self.three else "one"

    def lay_out(self, layout: Layout) -> None:
        """Full-screen: one image, all three, or all frames of a clip."""
        self.pane.set_class(layout == "three", "-three")
        self.pane.set_class(layout == "spread" and self.frames > 1, "-spread")
        if not self.pane.zoomed:
            self.pane.action_zoom()
        self.call_after_refresh(self._controller.refresh)

    @property
    def animated(self) -> bool:
        return not self.spread and self.clip.is_moving(self.frames)

    def animate_step(self) -> bool:
        return not self.spread and self.clip.tick(self.frames)

    def restart_animation(self) -> None:
        self.clip.restart()

    # --- drawing ------------------------------------------------------------------------

    def paint(self) -> None:
        trace, frame = self._controller.trace, self._controller.frame
        if self._was_zoomed and not self.pane.zoomed:
            self.part = "denoised"  # on Home, the result; the other images are a look inside
        self._was_zoomed = self.pane.zoomed
        grid = trace.request.grid if trace is not None else ()
        self.pane.set_class(bool(grid), "-grid")
        for part, image in self._images():
            image.label(*(axis.values for axis in grid))
            if frame is None:
                image.clear(self.pane.empty_text() if part == self.part else " ")
            else:
                self._show_in(image, frame, part)
        self._give_room()
        self.show_sound(frame, HEAR)
        self._paint_timeline(frame)
        self.paint_caption()
        self._paint_border()

    def _give_room(self) -> None:
        """Full-screen, hide the inspector if it makes the image clearly smaller."""
        image, pane = self.query_one(".large", ImageView), self.pane
        width = pane.inspector.styles.width
        if not pane.zoomed or self.three or width is None:
            pane.remove_class("-wide")
            return
        if not image.has_image:
            return
        rows, whole = image.size.height, pane.size.width - self.gutter.width
        gain = image.gain(whole - int(width.value), whole, rows)
        pane.set_class(gain > WORTH_HIDING, "-wide")

    def paint_animated(self) -> None:
        frame = self._controller.frame
        if frame is not None:
            for part, image in self._images():
                self._show_in(image, frame, part)
            if self.pane.zoomed and not self.three:
                self.pane.query_one(CanvasInspector).show_others(frame)
            self._paint_timeline(frame)

    def _images(self) -> list[tuple[ImagePart, ImageView]]:
        """The shown images of the step and their widgets."""
        if not self.three:
            return [(self.part, self.query_one(".large", ImageView))]
        return [(part, self.query_one(f".-{part} ImageView", ImageView)) for part in PARTS]

    def _show_in(self, image: ImageView, frame: ImageFrame, part: ImagePart) -> None:
        """Show the current frame of the clip, or all frames, or maps in place of the image."""
        if self.looks_inside:
            self.maps.show_in(image, frame)
            return
        if not self.spread:
            image.show_frame(frame, part, self.frame_index)
            return
        image.show(tile_largest(image_files.clip_pixels(frame, part), *image.size))

    def _paint_timeline(self, frame: ImageFrame | None) -> None:
        trace, timeline = self._controller.trace, self.query_one(Timeline)
        noising = trace is not None and adds_noise(trace.request, trace.position)
        # As wide as "σ 0.043", so that the bar does not move.
        clean = "sound" if frame is not None and frame.sound else "image"
        start = clean if noising else "noise  "
        timeline.left = f"σ {frame.sigma:<5.2g}" if frame is not None else start
        timeline.right = "noise  " if noising else clean
        if self.frames > 1:
            timeline.right = self.clip.text(self.frames)
        timeline.follow(trace)

    def paint_caption(self) -> None:
        """Show the caption at this step, which image is large, and the step."""
        caption, trace = "", self._controller.trace
        if trace is not None:
            varied = varied_along(trace.request.grid).get("caption")
            prompt = inputs_at(trace.request, trace.position)[0]
            caption = f"captions {varied}" if varied else f"“{prompt}”" if prompt else ""
        what = "step" if self.three else PART_NAMES[self.part]
        word = self.agreement.word()
        measures = [(f"{word} · ", "$foreground")] if word else []
        self.show_caption(caption, trace, *measures, (f"{what} ", "$text-muted"))

    def _paint_border(self) -> None:
        controller = self._controller
        settings, trace = controller.settings, controller.trace
        _, image = self._images()[0]
        what = "the three images" if self.three else TITLES[self.part]
        if self.spread:
            what = f"{what}, all {self.frames} frames"
        elif self.looks_inside:
            what = MAP_TITLES[self.maps.view]
        grid = ""
        if trace is not None and trace.request.grid:
            # With the values if the image has no room for them.
            labelled = self.pane.zoomed and not image.labelled
            grid = format_grid(trace.request.grid, with_values=labelled)
        if self.pane.zoomed:
            usual = CLIP_KEYS if self.frames > 1 else ""
        else:
            sampler = SAMPLERS[settings.sampler].title.replace("DPM-Solver++", "dpm++")
            usual = f"{sampler} · cfg {settings.guidance:g} · seed {controller.seed}"
        self.show_border(image, f" · {what}", grid, usual)


def tile_largest(clip: "np.ndarray", cols: int, rows: int) -> "np.ndarray":
    """Tile frames uint8 [T, H, W, 3] so that they are largest in `cols` × `rows` cells."""

    def size(sheet: "np.ndarray") -> float:
        return render_image.fit(sheet.shape[1], sheet.shape[0], cols, rows).across

    return max((image_files.tile_clip(clip, across) for across in ARRANGEMENTS), key=size)


# --- Beside the large image: the two others, the noise schedule and the settings --------------

NARROW = 38  # cells of a border with room for few words


class CanvasInspector(ImageInspector):
    """The other images of the step, σ of every step, and the settings."""

    def __init__(self, pane: TracePane, controller: ImageController, view: CanvasView) -> None:
        super().__init__(pane)
        self._controller = controller
        self._view = view

    def compose(self) -> ComposeResult:
        with Horizontal(classes="others"):
            for _ in PARTS[1:]:
                with Vertical(classes="box other"):
                    yield ImageView()
        with Vertical(classes="box schedule"):
            yield Curve("The noise level of each step shows here", legend=False, log_y=True)
        yield self.pane.tuning.panel

    def on_mount(self) -> None:
        set_border(self.query_one(".schedule"), title="Noise schedule")

    def paint_step(self) -> None:
        if not self._view.three:
            self.show_others(self._controller.frame)
        self._show_schedule(self._controller.trace)
        self.pane.tuning.paint()

    def show_others(self, frame: ImageFrame | None) -> None:
        """Show the images of the step that are not the large one, at the same frame of a clip."""
        others: list[ImagePart] = [part for part in PARTS if part != self._view.part]
        for box, part in zip(self.query(".other"), others, strict=True):
            image = box.query_one(ImageView)
            if frame is None:
                image.clear(" ")
            else:
                image.show_frame(frame, part, self._view.frame_index)
            # Without the size, which is in the border of the large image.
            _, at, scale = image.scale_text.partition(" at ")
            set_border(box, title=TITLES[part], subtitle=f"at {scale}" if at else "")

    def _show_schedule(self, trace: ShownTrace[ImageFrame] | None) -> None:
        """Plot σ of every computed step of this branch, with its edits."""
        box = self.query_one(".schedule", Vertical)
        frame = trace.frame if trace is not None else None
        text, step = "", None
        if frame is not None:
            step = frame.step
            wide = frame.sigma > 0 and box.size.width >= NARROW
            log = f" · log₁₀ {math.log10(frame.sigma):.2f}" if wide else ""
            text = f"σ {frame.sigma:.3g}{log} at step {step}"
        frames = trace.frames if trace is not None else []
        last = trace.total if trace is not None else None
        show_curve(box, "σ", [(f.step, f.sigma) for f in frames if f.sigma > 0], step, text, last)


# --- Keys -------------------------------------------------------------------------------------


_FROM = "Pure noise, your own image or a training image, with a strength"
_AWAY = "The caption that guidance steers away from. It has no effect at guidance 1"
GRID_HELP = "Several images at once: seeds or captions, or one setting along x and another along y"


class CanvasActions(Actions):
    """The start of a trace, edits midway, and the view."""

    def __init__(
        self,
        pane: TracePane,
        controller: ImageController,
        view: CanvasView,
        sound: "CanvasSound",
    ) -> None:
        super().__init__(pane)
        self._controller = controller
        self._view = view
        self._sound = sound
        self._drafts: tuple[object, Sequence[Column]] | None = None  # the inputs, and these

    def options(self) -> list[Option]:
        """The view of a step, the start of a trace, and the grid."""
        opening = self._controller.opening
        start = "noise"
        if opening.forward:
            start = f"{opening.title}, adding noise"
        elif opening.init is not None:
            start = f"{opening.title}, {opening.strength:g}"
        grid = format_grid(opening.grid, with_values=False) or "none"
        negative = clean_line(self._controller.settings.negative, 20) or "none"
        return [
            *self.rows(self._look, "view", "layout", "inside", "agreement", take=self._take),
            Option("image", "starts from", start, _FROM, open=self.action_image),
            Option("grid", "grid", grid, GRID_HELP, open=self.action_grid),
            Option("negative", "negative prompt", negative, _AWAY, open=self.action_negative),
        ]

    def _look(self) -> ImageLook:
        view = self._view
        agreement = "on" if view.agreement.shown else "off"
        return ImageLook(view.part, view.layout_name, view.maps.view, agreement)

    def _take(self, name: str, value: Any) -> None:
        if name == "layout":
            self._view.lay_out(value)
        elif name == "inside":
            self._view.maps.view = value
            self._view.lay_out("one")
        elif name == "agreement":
            self._view.agreement.shown = value == "on"
            self.pane.paint()
        else:
            self._show_large(value)

    # --- starting -----------------------------------------------------------------------

    def action_image(self) -> None:
        """Ask for an image to start from, and a strength."""
        controller = self._controller
        if not controller.has_model():
            return
        now = controller.opening
        path = now.init if isinstance(now.init, str) and now.init != FROM_DATA else ""
        fields = (
            Field("image", path, "a path, or empty for the nearest training image"),
            Field("strength", f"{now.strength:g}"),
        )
        hint = (
            "Strength, above 0 and up to 1: the share of the schedule that is re-noised. 0.3 keeps "
            "most of the image, 0.8 little. The nearest training image is the one named most like "
            "the caption. Type noise to start from pure noise again."
        )
        window = FormScreen("From an image", fields, hint, parse_opening, "generate")
        self.pane.ask(window, controller.open)

    def action_forward_process(self) -> None:
        """Run the forward process from the finished image or a training image, or end it."""
        if self._controller.has_model():
            self._view.show_part(self._controller.toggle_forward())

    def action_grid(self) -> None:
        """Ask what varies along x and y, and generate the grid as one batch."""
        usual = "seed 1..4", "guidance 1, 2, 4, 8"
        hint = (
            f"One setting ({', '.join(AXIS_NAMES)}) and its values, e.g. seed 1..4, sampler heun, "
            "ddim or caption red heart; blue star. Up to 16 a side and 64 in all. "
            "Leave both empty to close the grid, or press u afterwards."
        )
        ask_grid(
            self.pane,
            self._controller.open_grid,
            usual,
            usual,
            hint,
            lambda lines: parse_axes(*lines),
        )

    def action_drafts(self) -> None:
        """Stop other seeds at the shown step, or else after a third of the steps; show those of
        the same caption and settings again."""
        pane, controller, trace = self.pane, self._controller, self._controller.trace
        if not controller.has_model():
            return
        if controller.opening.grid or controller.opening.forward:
            pane.say("drafts are single images that are denoised: u goes back to one")
            return
        inputs = replace(controller.request(), seed=0)
        steps = steps_to_take(inputs, controller.total_steps)
        if steps < 2:
            pane.say("one step is too few for drafts: choose more steps")
            return
        controller.pause()
        if self._drafts is None or self._drafts[0] != inputs:
            stop_at = draft_step(steps)
            if trace is not None and 0 < trace.position < steps:
                stop_at = trace.position
            count = drafts.count_fitting(*pane.app.size)
            self._drafts = inputs, controller.continuations(count, stop_at=stop_at)

        def done(taken: Column | None) -> None:
            self._drafts = inputs, window.columns
            controller.take_column(taken)

        window = drafts.DraftsScreen(pane, self._drafts[1])
        pane.app.push_screen(window, done)

    # --- edits --------------------------------------------------------------------------

    def action_negative(self) -> None:
        """Ask for a negative prompt: from this step on, or from the start at either end."""
        controller = self._controller
        if not controller.has_model():
            return

        def use(text: str) -> None:
            if controller.change(replace(controller.settings, negative=text)):
                label = f"not “{text}”" if text else "no negative prompt"
                controller.apply(clean_line(label, LABEL_CELLS))

        hint = f"{_AWAY}. If it is empty, guidance compares with no caption, as usual."
        now = controller.settings.negative
        self.pane.ask(make_value_screen("Negative prompt", now, hint, str.strip, "generate"), use)

    def action_recaption(self) -> None:
        """Ask for another caption from this step on."""
        controller = self._controller
        trace = controller.ensure_trace()
        if trace is None:
            return
        if controller.varies("caption"):
            self.pane.say("the caption varies along this grid: change the grid in the settings")
            return
        step, restarts = trace.position, trace.position == 0 or trace.finished

        def use(caption: str) -> None:
            if controller.trace is not trace:
                return
            self.pane.clear_line()
            if restarts:
                controller.prompt = caption
                controller.start_over(play=True)
            else:
                controller.recaption(trace, caption, step)

        title = "Caption from the start" if restarts else f"Caption from step {step} on"
        hint = (
            "starts again from noise" if restarts else "the steps before keep the earlier caption"
        )
        self.pane.ask(CaptionScreen(title, controller.prompt, hint, controller.model), use)

    def action_add_noise(self) -> None:
        """Ask how far to go back, and denoise again from there."""
        trace = self._controller.noisable()
        if trace is not None:
            self._ask_back(trace, "Add noise", b"")

    def action_mask(self) -> None:
        """Paint a mask on the predicted image, then ask how far to go back."""
        trace = self._controller.noisable()
        frame = trace.frame if trace is not None else None
        if trace is None or frame is None:
            return
        if trace.request.grid:
            self.pane.say("a mask needs a single image: u goes back from the grid")
            return
        size = self.pane.app.size
        if size.width < windows.SMALLEST.width or size.height < windows.SMALLEST.height:
            needed = f"{windows.SMALLEST.width}×{windows.SMALLEST.height}"
            self.pane.say(f"painting a mask needs {needed} cells: make the terminal larger")
            return

        def use(mask: bytes) -> None:
            if self._controller.trace is trace:
                self._ask_back(trace, "Draw the masked part again", mask)

        trace.pause()
        pixels = image_files.clip_pixels(frame, "denoised")[self._view.frame_index]
        self.pane.ask(windows.MaskScreen(image_files.shrink(pixels)), use)

    def _ask_back(self, trace: ShownTrace[ImageFrame], title: str, mask: bytes) -> None:
        """Ask up to the level of which step noise is added, and fork."""
        step, last = trace.position, last_noise_step(trace)

        def parse(text: str) -> int:
            return parse_whole_number(text, 0, last, "step")

        def use(to: int) -> None:
            self._controller.add_noise(trace, step, to, mask)

        hint = f"noise up to the level of a step from 0, which is pure noise, to {last}"
        window = make_value_screen(title, str(halfway(trace)), hint, parse, "generate")
        self.pane.ask(window, use)

    # --- what is shown ------------------------------------------------------------------

    def action_swap(self, by: int) -> None:
        """Show the next image of the step large, or the one before: predicted, noisy or noise."""
        self._show_large(part_after(self._view.part, by))

    def _show_large(self, part: ImagePart) -> None:
        self.pane.remove_class("-three")
        self._view.show_part(part)

    def action_frame(self, by: int) -> None:
        """Pause the clip at the frame after, or before."""
        if self._is_clip():
            self._view.clip.step(by, self._view.frames)
            self._controller.refresh()

    def action_roll(self) -> None:
        """Play the clip or the sound, or pause it."""
        frame = self._controller.frame
        if self._view.frames <= 1 and (frame is None or frame.sound):
            self._sound.action_hear()
        elif self._is_clip():
            self._view.clip.toggle(self._view.frames)
            self._controller.refresh()

    def _is_clip(self) -> bool:
        """Whether a clip is shown; else says why not."""
        if self._view.frames > 1:
            return True
        self.pane.say("this is one image: it has no frames to play")
        return False


class AgreementActions(Actions):
    """Whether several seeds give one picture of the shown caption, or many: a word beside it.

    The worker compares them beside the generation. One request is under way at a time.
    """

    def __init__(self, pane: TracePane) -> None:
        super().__init__(pane)
        self.shown = False
        self._words: dict[tuple[str, str], str] = {}  # by model and caption
        self._pending: tuple[str, str] | None = None

    def word(self) -> str:
        """The word for the shown caption, which is requested if it is not known; "" for none."""
        trace = self.pane.controller.trace
        if not self.shown or trace is None or trace.frame is None or not trace.on_worker:
            return ""
        asked = trace.request.model, inputs_at(trace.request, trace.position)[0]
        if asked not in self._words and self._pending is None:
            self._pending = asked
            self.pane.session.put(Nearest(trace=trace.id, step=trace.position))
        return self._words.get(asked, "comparing seeds …")

    def handle(self, reply: TraceReply) -> None:
        if self._pending is None or not isinstance(reply, Neighbours | Failed | Lost):
            return
        asked, self._pending = self._pending, None
        if not isinstance(reply, Lost):  # else it is asked again
            agreement = reply.agreement if isinstance(reply, Neighbours) else None
            self._words[asked] = agreement.word if agreement is not None else "seeds: not compared"
        self.pane.paint()


class CanvasSound(SoundActions):
    """Plays the sound of the predicted spectrogram, whichever image is shown."""

    def action_hear(self) -> None:
        """Play the sound of this step, or stop it."""
        if self.speaker.playing:
            self.speaker.stop()
            return
        frame = self.pane.controller.frame
        if frame is None or not frame.sound:
            self.pane.say("there is no sound: models of audio generate it")
            return

        def wav() -> bytes:
            import numpy as np

            return audio.encode_wav(np.frombuffer(frame.sound, "<i2"), frame.rate, "")

        self.hear(wav)


def _build(pane: TracePane) -> Parts:
    controller = ImageController(pane.session, pane)
    agreement, maps = AgreementActions(pane), MapActions(pane)
    view = CanvasView(pane, controller, agreement, maps)
    inspector = CanvasInspector(pane, controller, view)
    sound = CanvasSound(pane)
    actions = CanvasActions(pane, controller, view, sound), sound, agreement, maps
    return Parts(controller, view, inspector, actions)


CANVAS = PaneKind("canvas", "Canvas", "image-pane canvas-pane", _build, setting="guidance")
