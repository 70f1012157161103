"""The Canvas pane: noise becomes an image, step by step, forwards and back."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.timer import Timer
from textual.widgets import Static

from genui.base.text import clean_line
from genui.protocol import FROM_DATA, SAMPLERS, Axis, ImageFrame
from genui.protocol.edits import inputs_at
from genui.protocol.settings import AXIS_NAMES, format_axis, format_grid, parse_axes
from genui.ui import keys
from genui.ui.generate.actions import Actions, Listening
from genui.ui.generate.pane import Inspector, PaneKind, Parts, TracePane, View
from genui.ui.settings import Line as Setting
from genui.ui.settings import at_step, image_lines, settings_content, which
from genui.ui.terminal import get_metered_driver
from genui.ui.traces.compare import ClipHead, Part
from genui.ui.traces.image import ImageController, parse_opening
from genui.ui.traces.trees import Trace, rises
from genui.ui.widgets.base import Line, LineInput, SettingLines, Timeline, set_border
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.dialogs import Field, FormScreen, ValueScreen
from genui.ui.widgets.image import ImageView, Waveform

if TYPE_CHECKING:
    import numpy as np

    from genui.ui.traces.latent import LatentController

# --- What the Canvas and the Walk share: the image is drawn first, then what is beside it -----

REST = 0.5  # seconds without a move, after which an image is drawn finer
ROOMY = 60  # cells of a border with room for whole sentences


class TraceImageView(View):
    """A view of images. `paint` ends with `settle`: what stands still is drawn finer."""

    _rested: Timer | None = None

    def sharpen(self) -> None:
        """Draw finer what stands still."""
        self.query_one(".large", ImageView).sharpen()

    def settle(self) -> None:
        """The image is drawn; finer, once nothing has moved for a while."""
        if self._rested is not None:
            self._rested.stop()
        self._rested = self.set_timer(REST, self._rest_over)

    def _rest_over(self) -> None:
        if self.animated:
            return
        driver = get_metered_driver(self.app)
        if driver is not None and driver.busy:
            self._rested = self.set_timer(REST, self._rest_over)
        else:
            self.sharpen()

    def show_caption(
        self, caption: str, trace: Trace[ImageFrame] | None, *measures: tuple[str, str]
    ) -> None:
        """The caption and, at the right, what is measured of the step, and its number."""
        line = self.query_one(".caption", Line)
        if trace is None or trace.frame is None:
            prompt = self.pane.controller.prompt
            line.show(Content.assemble((f"“{clean_line(prompt)}”" if prompt else "", "bold")))
            return
        end = Content.assemble(
            *measures,
            (str(trace.position), "bold $foreground"),
            (f"/{trace.total}", "$text-muted"),
        )
        width = line.size.width
        caption = clean_line(caption, max(4, width - end.cell_length - 1))
        gap = max(1, width - cell_len(caption) - end.cell_length)
        line.show(Content.assemble((caption, "bold"), " " * gap, end))

    def branch_words(self, grid: str = "") -> str:
        """`branch 2 of 3 · noise back to 8` where there are several, and what a grid varies."""
        place = self.pane.branch_place()
        if place is None:
            return grid
        at, count, label = place
        return f"branch {at} of {count} · {grid or clean_line(label, 32)}"


class ImageInspector(Inspector):
    """Painted after the image, and only full-screen: a key is answered by the image."""

    _due = False

    def on_mount(self) -> None:
        set_border(self.query_one(".settings"), title="Settings", subtitle="+ − change")

    def paint(self) -> None:
        if self.pane.zoomed and not self._due:
            self._due = True
            self.call_after_refresh(self._paint_now)

    def _paint_now(self) -> None:
        self._due = False
        if self.pane.zoomed:
            self.paint_step()

    def paint_step(self) -> None:
        """Draw what belongs to the step that is shown."""

    def show_settings(self, lines: list[Setting]) -> None:
        """The settings, one a line."""
        content = settings_content(lines, self.pane.tuning.touched)
        self.query_one(SettingLines).show(content)


def show_values(
    box: Vertical, name: str, values: list[tuple[int, float]], step: int | None, words: str
) -> None:
    """A curve of what is measured of the steps, with the cursor at one and words about it."""
    curve = box.query_one(Curve)
    if step is None or len(values) < 2:
        curve.clear()
        set_border(box, subtitle="")
        return
    import numpy as np

    steps, measured = np.array(values, np.float64).T
    curve.set_series({name: (steps.astype(np.int64), measured)})
    curve.cursor = float(step)
    set_border(box, subtitle=words)


def ask_grid(
    pane: TracePane,
    controller: "ImageController | LatentController",
    usual: tuple[str, str],
    examples: tuple[str, str],
    hint: str,
    parse: Callable[[list[str]], tuple[Axis, ...]],
) -> None:
    """Ask what varies along either side, and draw all of it as one batch."""
    if not controller.has_model():
        return
    now = [format_axis(axis) for axis in controller.opening.grid]
    along_x, along_y = (*now, "", "")[:2] if now else usual
    fields = (
        Field("along x →", along_x, f"none, or e.g. {examples[0]}"),
        Field("along y ↓", along_y, f"none, or e.g. {examples[1]}"),
    )

    def done(grid: tuple[Axis, ...] | None) -> None:
        if grid is not None:
            controller.open_grid(grid)

    pane.app.push_screen(FormScreen("Grid", fields, hint, parse), done)


# --- The view of the Canvas -------------------------------------------------------------------

LONG_TITLES: dict[Part, str] = {
    "x": "xₜ the noisy image",
    "denoised": "x̂₀ predicted, the clean image",
    "noise": "ε the predicted noise",
}
TITLES: dict[Part, str] = {"x": "xₜ noisy", "denoised": "x̂₀ predicted", "noise": "ε noise"}
WORDS: dict[Part, str] = {"denoised": "predicted", "x": "noisy", "noise": "noise"}
PARTS: tuple[Part, ...] = ("x", "denoised", "noise")
CYCLE: tuple[Part, ...] = ("denoised", "x", "noise")  # what `o` goes round
SHORT = 20  # lines within which three images stand alone
ARRANGEMENTS = (16, 8, 4, 2, 1)  # frames in a row, of those the one that shows them largest
CLIP_KEYS = ", . frames · ; play/pause · p all frames"
HEAR = "canvas.hear"


class CanvasView(TraceImageView):
    """Caption, image and timeline; one image of the step large, or all three side by side.

    Of a clip a frame is shown, which goes on by itself, or all frames side by side.
    """

    def __init__(self, pane: TracePane, controller: ImageController) -> None:
        super().__init__(pane)
        self._controller = controller
        self.part: Part = "denoised"
        self.clip = ClipHead()

    def compose(self) -> ComposeResult:
        yield LineInput(placeholder="a caption, e.g. red heart on black", compact=True)
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
        """Three images on a short terminal leave no room for what is below them."""
        self.pane.set_class(size.height < SHORT, "-short")

    # --- which images are seen --------------------------------------------------------

    @property
    def three(self) -> bool:
        """Whether all three images are side by side."""
        return self.pane.zoomed and self.pane.has_class("-three")

    @property
    def spread(self) -> bool:
        """Whether all frames of the clip lie side by side."""
        return self.pane.zoomed and self.pane.has_class("-spread") and self.frames > 1

    @property
    def frames(self) -> int:
        """Frames of what is shown: one of an image, none before there is any."""
        frame = self._controller.frame
        return frame.images if frame is not None else 0

    @property
    def moment(self) -> int:
        """Which frame of a clip is shown; of an image the only one."""
        return self.clip.at % max(1, self.frames)

    def look_at(self, part: Part) -> None:
        """Show that image large."""
        self.part = part
        self.pane.paint()
        self.call_after_refresh(self.pane.paint)

    def next_layout(self) -> None:
        """One image large, all three side by side or all frames of a clip, full-screen."""
        spread = self.three and self.frames > 1
        self.pane.set_class(not (self.three or self.spread), "-three")
        self.pane.set_class(spread, "-spread")
        if not self.pane.zoomed:
            self.pane.action_zoom()
        self.call_after_refresh(self._controller.moved)

    @property
    def animated(self) -> bool:
        return not self.spread and self.clip.moving(self.frames)

    def animate_step(self) -> bool:
        return not self.spread and self.clip.tick(self.frames)

    def held(self) -> None:
        self.clip.again()

    # --- drawing ------------------------------------------------------------------------

    def paint(self) -> None:
        trace, frame = self._controller.trace, self._controller.frame
        self.pane.set_class(trace is not None and bool(trace.request.grid), "-grid")
        for part, image in self._images():
            labels = [axis.values for axis in trace.request.grid] if trace is not None else []
            image.label(*labels)
            if frame is None:
                image.clear(self.pane.empty_text() if part == self.part else " ")
            else:
                self._show_in(image, frame, part)
        self._show_sound(frame)
        self._paint_timeline(frame)
        self._paint_caption(trace)
        self._paint_border()
        self.settle()

    def paint_animated(self) -> None:
        """The clip went on: its frame and the number of it, and nothing else."""
        frame = self._controller.frame
        if frame is not None:
            for part, image in self._images():
                self._show_in(image, frame, part)
            if self.pane.zoomed and not self.three:
                self.pane.query_one(CanvasInspector).show_others(frame)
            self._paint_timeline(frame)

    def sharpen(self) -> None:
        frame = self._controller.frame
        for part, image in self._images():
            if part == "denoised" or (
                frame is not None and frame.sigma == 0
            ):  # noise gains nothing
                image.sharpen()

    def _images(self) -> list[tuple[Part, ImageView]]:
        """What is seen of the step."""
        if not self.three:
            return [(self.part, self.query_one(".large", ImageView))]
        return [(part, self.query_one(f".-{part} ImageView", ImageView)) for part in PARTS]

    def _show_in(self, image: ImageView, frame: ImageFrame, part: Part) -> None:
        """The frame of the clip that is on, or all of them."""
        if not self.spread:
            image.show_frame(frame, part, self.moment)
            return
        from genui.formats.image import clip_pixels

        image.show(arranged(clip_pixels(frame, part), *image.size))

    def _show_sound(self, frame: ImageFrame | None) -> None:
        """The waveform of a step, or none."""
        wave = self.query_one(Waveform)
        if frame is None or not frame.sound:
            wave.show(b"", 0)
            return
        key = next(key for key in keys.TABLE if key.id == HEAR)
        shown = keys.shown_after(key, getattr(self.screen, "user_keys", {}))
        wave.show(frame.sound, frame.rate, f"{shown} hear")

    def _paint_timeline(self, frame: ImageFrame | None) -> None:
        trace, timeline = self._controller.trace, self.query_one(Timeline)
        rising = trace is not None and rises(trace.request, trace.position)
        # As wide as "σ 0.043", so that the bar keeps its place.
        start = "image" if rising else "noise  "
        timeline.left = f"σ {frame.sigma:<5.2g}" if frame is not None else start
        timeline.right = "noise  " if rising else "image"
        if self.frames > 1:
            timeline.right = self.clip.words(self.frames)
        timeline.follow(trace)

    def _paint_caption(self, trace: Trace[ImageFrame] | None) -> None:
        """The caption in force and, at the right, which image it is and at which step."""
        caption = ""
        if trace is not None:
            varied = _varied(trace.request.grid).get("caption")
            prompt = inputs_at(trace.request, trace.position)[0]
            caption = f"captions {varied}" if varied else f"“{prompt}”"
        what = "step" if self.three else WORDS[self.part]
        self.show_caption(caption, trace, (f"{what} ", "$text-muted"))

    # --- the border -----------------------------------------------------------------------

    def _paint_border(self) -> None:
        pane, controller = self.pane, self._controller
        model = controller.model
        if model is None:
            pane.set_title()
            pane.set_subtitle()
            return
        name = clean_line(model.name, 16)
        if not pane.zoomed:
            settings = controller.settings
            pane.set_title((name, "bold"), which(model))
            short = SAMPLERS[settings.sampler].title.replace("DPM-Solver++", "dpm++")
            usual = f"{short} · cfg {settings.guidance:g} · seed {controller.seed}"
            pane.set_subtitle(self.branch_words(clean_line(self._grid_words(), 30)) or usual)
            return
        _, image = self._images()[0]
        titles = LONG_TITLES if self.size.width >= ROOMY else TITLES
        what = "the three images" if self.three else titles[self.part]
        if self.spread:
            what = f"{titles[self.part]}, all {self.frames} frames"
        scale = f" · {image.scale_text}" if image.scale_text else ""
        title = Content.assemble((name, "bold"), f"{at_step(model)} · {what}{scale}")
        below = self.branch_words(self._grid_words())
        if not below and self.frames > 1:
            below = CLIP_KEYS
        set_border(self, title=title, subtitle=Content(below))

    def _grid_words(self) -> str:
        """What varies along the sides; with the values where the image has no room for them."""
        trace = self._controller.trace
        if trace is None or not trace.request.grid:
            return ""
        _, image = self._images()[0]
        labelled = self.pane.zoomed and not image.labelled
        return format_grid(trace.request.grid, with_values=labelled)


def arranged(clip: "np.ndarray", cols: int, rows: int) -> "np.ndarray":
    """Frames uint8 [T, H, W, 3] side by side as they are largest in `cols` × `rows` cells."""
    from genui.formats.image import tile_clip
    from genui.render.image import fit

    def size(sheet: "np.ndarray") -> float:
        room = fit(sheet.shape[1], sheet.shape[0], cols, rows)
        return room.scale / room.shrink

    return max((tile_clip(clip, across) for across in ARRANGEMENTS), key=size)


def _varied(grid: Sequence[Axis]) -> dict[str, str]:
    """Where the settings that vary along a grid do."""
    return {axis.name: along for axis, along in zip(grid, ("along x →", "along y ↓"), strict=False)}


# --- Beside the large image: the two others, the noise schedule and the settings ------------

NARROW = 38  # cells of a border that holds only few words


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
        with Vertical(classes="box settings"):
            yield SettingLines(classes="settings-lines")

    def on_mount(self) -> None:
        set_border(self.query_one(".schedule"), title="Noise schedule")

    def paint_step(self) -> None:
        if not self._view.three:
            self.show_others(self._controller.frame)
        self._show_schedule(self._controller.trace)
        self.show_settings(self._setting_lines())

    def show_others(self, frame: ImageFrame | None) -> None:
        """The images of the step that are not the large one; of a clip those of a moment."""
        others: list[Part] = [part for part in PARTS if part != self._view.part]
        for box, part in zip(self.query(".other"), others, strict=True):
            image = box.query_one(ImageView)
            if frame is None:
                image.clear(" ")
            else:
                image.show_frame(frame, part, self._view.moment)
            scale = image.scale_text  # without the size, which the large image tells
            scale = scale[scale.index("at") :] if scale else ""
            set_border(box, title=TITLES[part], subtitle=scale)

    def _show_schedule(self, trace: Trace[ImageFrame] | None) -> None:
        """σ of every step there is a frame of: as this branch has it, edits and all."""
        box = self.query_one(".schedule", Vertical)
        frame = trace.frame if trace is not None else None
        words, step = "", None
        if frame is not None:
            step = frame.step
            roomy = frame.sigma > 0 and box.size.width >= NARROW
            log = f" · log₁₀ {math.log10(frame.sigma):.2f}" if roomy else ""
            words = f"σ {frame.sigma:.3g}{log} at step {step}"
        frames = trace.frames if trace is not None else []
        show_values(box, "σ", [(f.step, f.sigma) for f in frames if f.sigma > 0], step, words)

    def _setting_lines(self) -> list[Setting]:
        """The settings; η where the sampler has it, autoguidance where the model has a guide,
        and what the trace begins from."""
        controller = self._controller
        opening, settings = controller.opening, controller.settings
        varied = _varied(opening.grid)
        has = {
            "eta": SAMPLERS[settings.sampler].noise == "eta" or "eta" in varied,
            "autoguidance": controller.model is not None and controller.model.guided,
        }
        lines = [
            line._replace(value=varied.get(line.label, line.value))
            for line in image_lines(settings, controller.seed, controller.prompt)
            if has.get(line.name, True)
        ]
        if opening.forward:
            lines.append(Setting("u", "adds noise", f"to {opening.title}"))
        elif opening.init is not None:
            lines.append(Setting("i", "from", f"{opening.title}, {opening.strength:g}"))
        if opening.grid:
            lines.append(Setting("w", "grid", format_grid(opening.grid, with_values=False)))
        return lines


# --- Keys -------------------------------------------------------------------------------------


class CanvasActions(Actions):
    """What a trace begins from, how it is edited midway, and what is looked at."""

    def __init__(self, pane: TracePane, controller: ImageController, view: CanvasView) -> None:
        super().__init__(pane)
        self._controller = controller
        self._view = view

    # --- beginning ----------------------------------------------------------------------

    def action_image(self) -> None:
        """Ask for an image to begin from, and how much noise to add to it."""
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
            "most of the image, 0.8 little. The nearest training image is the one whose name is "
            "most like the caption. Type noise to start from pure noise again."
        )

        def done(opening: object) -> None:
            if opening is not None:
                controller.open(opening)  # type: ignore[arg-type]

        self.pane.app.push_screen(FormScreen("From an image", fields, hint, parse_opening), done)

    def action_forward_process(self) -> None:
        """The forward process, of the finished image or a training image; and back."""
        if self._controller.has_model():
            self._view.look_at(self._controller.toggle_forward())

    def action_grid(self) -> None:
        """Ask what varies along either side, and draw all of it as one batch."""
        ask_grid(
            self.pane,
            self._controller,
            usual=("seed 1..4", "guidance 1, 2, 4, 8"),
            examples=("seed 1..4", "guidance 1, 2, 4, 8"),
            hint=f"{', '.join(AXIS_NAMES)}, and its values: seed 1..4, "
            "sampler heun, ddim, caption red heart; blue star. "
            "Up to 16 a side and 64 in all; none on both sides ends the grid.",
            parse=lambda lines: parse_axes(*lines),
        )

    # --- edits --------------------------------------------------------------------------

    def action_recaption(self) -> None:
        """Ask for another caption from this step on."""
        controller = self._controller
        trace = controller.needed()
        if trace is None:
            return
        if controller.varies("caption"):
            self.pane.say("the caption varies along this grid: w changes it")
            return
        step, ends = trace.position, trace.position == 0 or trace.finished

        def done(caption: str | None) -> None:
            if caption is None or controller.trace is not trace:
                return
            self.pane.acted()
            if ends:
                controller.prompt = caption
                controller.start_over(play=True)
            else:
                controller.recaption(trace, caption, step)

        title = "Caption from the start" if ends else f"Caption from step {step} on"
        hint = (
            "the steps before keep the earlier caption" if not ends else "starts again from noise"
        )
        self.pane.app.push_screen(ValueScreen(title, controller.prompt, hint, str.strip), done)

    def action_add_noise(self) -> None:
        """Ask how far to go back, and denoise again from there."""
        trace = self._controller.noisable()
        if trace is not None:
            self._ask_back(trace, "Add noise", b"")

    def action_mask(self) -> None:
        """Paint what may change on the predicted image, then ask how far to go back."""
        trace = self._controller.noisable()
        frame = trace.frame if trace is not None else None
        if trace is None or frame is None:
            return
        if trace.request.grid:
            self.pane.say("a mask needs a single image: w ends the grid")
            return
        from genui.formats.image import clip_pixels
        from genui.ui.windows import SMALLEST, MaskScreen

        size = self.pane.app.size
        if size.width < SMALLEST.width or size.height < SMALLEST.height:
            needed = f"{SMALLEST.width}×{SMALLEST.height}"
            self.pane.say(f"painting a mask needs {needed} cells: make the terminal larger")
            return

        def done(mask: bytes | None) -> None:
            if mask is not None and self._controller.trace is trace:
                self._ask_back(trace, "Draw the masked part again", mask)

        trace.pause()
        self.pane.app.push_screen(
            MaskScreen(clip_pixels(frame, "denoised")[self._view.moment]), done
        )

    def _ask_back(self, trace: Trace[ImageFrame], title: str, mask: bytes) -> None:
        """Ask for the step whose noise comes back, and fork with it."""
        step, back = trace.position, self._controller.noise_steps(trace)

        def done(to: int | None) -> None:
            if to is not None:
                self._controller.add_noise(trace, step, to, mask)

        window = ValueScreen(title, str(back.usual), back.hint, back.parse)
        self.pane.app.push_screen(window, done)

    # --- looking ------------------------------------------------------------------------

    def action_swap(self) -> None:
        """The predicted, the noisy image or the noise, large."""
        self.pane.remove_class("-three")
        self._view.look_at(CYCLE[(CYCLE.index(self._view.part) + 1) % len(CYCLE)])

    def action_layout(self) -> None:
        """One image large, all three side by side or all frames of a clip, full-screen."""
        self._view.next_layout()

    def action_frame(self, by: int) -> None:
        """Hold the clip at the frame after, or before."""
        if self._is_clip():
            self._view.clip.step(by, self._view.frames)
            self._controller.moved()

    def action_roll(self) -> None:
        """Hold the clip, or let it go on."""
        if self._is_clip():
            self._view.clip.hold(self._view.clip.moving(self._view.frames))
            self._controller.moved()

    def _is_clip(self) -> bool:
        if self._view.frames > 1:
            return True
        self.pane.say("an image has no frames: models of video generate clips")
        return False


class Sound(Listening):
    """The sound of a step is that of the predicted spectrogram, whichever image is shown."""

    def action_hear(self) -> None:
        """Hear this step, or be silent."""
        if self.speaker.playing:
            self.speaker.stop()
            return
        frame = self.pane.controller.frame
        if frame is None or not frame.sound:
            self.pane.say("there is no sound: models of audio, such as voice, generate it")
            return
        sound, rate = frame.sound, frame.rate

        def wav() -> bytes:
            import numpy as np

            from genui.formats.audio import encode_wav

            return encode_wav(np.frombuffer(sound, "<i2"), rate, "")

        self.hear(wav)


def _build(pane: TracePane) -> Parts:
    controller = ImageController(pane.session, pane)
    view = CanvasView(pane, controller)
    inspector = CanvasInspector(pane, controller, view)
    actions = CanvasActions(pane, controller, view), Sound(pane)
    return Parts(controller, view, inspector, actions)


CANVAS = PaneKind("canvas", "Canvas", "image-pane canvas-pane", _build, "guidance")
