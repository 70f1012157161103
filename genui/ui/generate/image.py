"""What Canvas and Walk share: the picture is drawn first, then what is beside it, then finer."""

import math
import random
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from msgspec.structs import replace
from rich.cells import cell_len
from textual import events, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from genui import protocol
from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.protocol import (
    FROM_DATA,
    SAMPLERS,
    AddNoise,
    Axis,
    Denoise,
    ImageFrame,
    ImageSettings,
    Picture,
    edits,
)
from genui.protocol.edits import in_force
from genui.protocol.settings import NAMES, axis_text, grid_words, parse_axes
from genui.runs.models import ModelInfo
from genui.ui import keys, messages
from genui.ui.generate.pane import TracePane
from genui.ui.keys import PaneName
from genui.ui.messages import ViewName
from genui.ui.session import Session
from genui.ui.settings import Line as Setting
from genui.ui.settings import S, at_step, image_lines, settings_content, which
from genui.ui.sound import Speaker
from genui.ui.terminal import metered
from genui.ui.traces import controller
from genui.ui.traces.controller import ClipHead, Trace
from genui.ui.widgets.base import Line, LineInput, SettingLines, Timeline, set_border
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.dialogs import Field, FormScreen, ValueScreen
from genui.ui.widgets.image import ImageView, View, Waveform

if TYPE_CHECKING:
    import numpy as np

REST = 0.5  # seconds without a move, after which a picture is drawn finer
ROOMY = 60  # cells of a border with room for whole sentences


class PicturePane(TracePane[ImageFrame, S]):
    """A pane of pictures; `paint` ends with `settle`."""

    first_step: ClassVar[int] = 0
    paints_a_second: ClassVar[float] = 10
    catch_up: ClassVar[float] = 4.0

    _rested: Timer | None = None
    _inspecting = False  # what is beside the picture is to be painted

    @property
    def _frame(self) -> ImageFrame | None:
        """The step that is shown."""
        return self.trace.frame if self.trace is not None else None

    # --- for subclasses ---------------------------------------------------------------

    @abstractmethod
    def paint_inspector(self) -> None:
        """Draw what is beside the picture, full-screen."""

    @abstractmethod
    def sharpen(self) -> None:
        """Draw finer what stands still."""

    # --- after the picture ------------------------------------------------------------

    def settle(self) -> None:
        """The picture is drawn: a key is answered by it, and all else comes after."""
        if self.zoomed and not self._inspecting:
            self._inspecting = True
            self.call_after_refresh(self._inspect)
        if self._rested is not None:
            self._rested.stop()
        self._rested = self.set_timer(REST, self._rest_over)

    def _inspect(self) -> None:
        self._inspecting = False
        if self.zoomed:
            self.paint_inspector()

    def _rest_over(self) -> None:
        """Finer, once the terminal has taken all else."""
        if self.drifting:
            return
        driver = metered(self.app)
        if driver is not None and driver.busy:
            self._rested = self.set_timer(REST, self._rest_over)
        else:
            self.sharpen()

    # --- words ------------------------------------------------------------------------

    def waiting_line(self) -> Content:
        """The caption, before there is a picture."""
        return Content.assemble((f"“{clean_line(self.prompt)}”" if self.prompt else "", "bold"))

    def captioned(self, words: str, trace: Trace[ImageFrame], *told: tuple[str, str]) -> Content:
        """The caption in words and, at the right, what is told of the step, and its number."""
        end = Content.assemble(
            *told,
            (str(trace.position), "bold $foreground"),
            (f"/{trace.total}", "$text-muted"),
        )
        width = self.query_one(".caption").size.width
        caption = clean_line(words, max(4, width - end.cell_length - 1))
        gap = max(1, width - cell_len(caption) - end.cell_length)
        return Content.assemble((caption, "bold"), " " * gap, end)

    def branch_words(self, grid: str = "") -> str:
        """`branch 2 of 3 · noise back to 8` where there are several, and what a grid varies."""
        branches, shown = self.traces.branches, self.traces.shown
        if shown is None or len(branches) < 2:
            return grid
        at = next((i for i, b in enumerate(branches, 1) if b is shown), len(branches))
        return f"branch {at} of {len(branches)} · {grid or clean_line(shown.label, 32)}"


# --- What a picture begins from: noise, another picture, a grid of settings, or no noise at all

SIDE = 32
LABEL_CELLS = 32  # of a branch's words


class Opening(NamedTuple):
    """What a trace begins from other than pure noise."""

    init: Picture | str | None = None
    strength: float = 0.6
    forward: bool = False
    grid: tuple[Axis, ...] = ()
    name: str = ""  # of the picture, as a person calls it


class CanvasOpenings(PicturePane[ImageSettings]):
    """The actions of Canvas that begin a trace otherwise than from pure noise."""

    opening = Opening()

    # --- beginning --------------------------------------------------------------------

    def request(self) -> protocol.Start:
        opening = self.opening
        return replace(
            super().request(),
            init=opening.init,
            strength=opening.strength,
            forward=opening.forward,
            grid=opening.grid,
        )

    def start_over(self, play: bool) -> None:
        """Again as it began: from noise, from a picture, as a grid or a forward process."""
        if self.model is None:
            self.paint()
        else:
            self.begin(self.request(), self._label(), play)

    def _label(self) -> str:
        """What makes a trace that begins now differ, in few words."""
        opening = self.opening
        if opening.grid:
            words = f"grid of {' × '.join(axis.name for axis in opening.grid)}"
        elif opening.forward:
            words = f"forward from {opening.name}"
        elif opening.init is not None:
            words = f"from {opening.name}, {opening.strength:g}"
        else:
            words = f"seed {self.seed}"
        return clean_line(words, LABEL_CELLS)

    def _take(self, model: ModelInfo) -> None:
        super()._take(model)
        if not model.guided:
            self.settings = replace(self.settings, autoguidance=1)
        self.opening = Opening()

    def _follow_shown(self) -> None:
        super()._follow_shown()
        if self.trace is not None:
            start = self.trace.request
            name = self.opening.name if start.init == self.opening.init else ""
            if start.init is not None and not name:
                name = _name(start.init) if isinstance(start.init, str) else "a picture"
            self.opening = Opening(start.init, start.strength, start.forward, start.grid, name)

    def _open(self, opening: Opening) -> None:
        self.opening = opening
        self.post_message(messages.Acted())
        self.start_over(play=True)

    def action_image(self) -> None:
        """Ask for a picture to begin from, and how much of it to drown."""
        if not self._has_model():
            return
        now = self.opening
        path = now.init if isinstance(now.init, str) and now.init != FROM_DATA else ""
        fields = (
            Field("picture", path, "a path, or empty for the nearest training picture"),
            Field("strength", f"{now.strength:g}"),
        )
        hint = (
            "Strength, above 0 and up to 1, is the share of the steps that the picture is drowned "
            "for: 0.3 keeps most of it, 0.8 little. The nearest training picture is the one whose "
            "name is most like the caption. Type noise to begin from pure noise again."
        )

        def done(opening: Opening | None) -> None:
            if opening is not None:
                self._open(opening)

        self.app.push_screen(FormScreen("From a picture", fields, hint, _opening), done)

    def action_drown(self) -> None:
        """The forward process, of the finished picture or a training picture; and back."""
        if not self._has_model():
            return
        trace, frame = self.trace, self._frame
        if self.opening.forward:
            self._look_at("guess")
            self._open(Opening())
            self._tell("from pure noise again")
            return
        finished = trace is not None and frame is not None and frame.sigma == 0
        if finished and frame is not None and (frame.width, frame.height) == (SIDE, SIDE):
            init: Picture | str = Picture(width=SIDE, height=SIDE * frame.pictures, rgb=frame.guess)
            name = "this picture"
        else:
            init, name = FROM_DATA, "a training picture"
        self._look_at("x")
        self._open(Opening(init, forward=True, name=name))
        self._tell(f"{name} drowns in noise: f denoises from any step, u leaves the process")

    def action_grid(self) -> None:
        """Ask what varies along either side, and draw all of it as one batch."""
        if not self._has_model():
            return
        now = [axis_text(axis) for axis in self.opening.grid]
        along_x, along_y = (*now, "", "")[:2] if now else ("seed 1..4", "guidance 1, 2, 4, 8")
        fields = (
            Field("along x →", along_x, "none, or as in  seed 1..4"),
            Field("along y ↓", along_y, "none, or as in  guidance 1, 2, 4, 8"),
        )
        hint = (
            f"{', '.join(NAMES)}, and its values: seed 1..4, "
            "sampler heun, ddim, caption red heart; blue star. "
            "Up to 16 a side and 64 in all; none on both sides ends the grid."
        )

        def parse(lines: list[str]) -> tuple[Axis, ...]:
            return parse_axes(*lines)

        def done(grid: tuple[Axis, ...] | None) -> None:
            if grid is not None:
                self._open(_with_grid(self.opening, grid))

        self.app.push_screen(FormScreen("Grid", fields, hint, parse), done)

    # --- for subclasses ---------------------------------------------------------------

    @abstractmethod
    def _look_at(self, view: View) -> None:
        """Show that picture large."""


def _with_grid(opening: Opening, grid: tuple[Axis, ...]) -> Opening:
    """The same beginning with another grid, or none; a forward process is left."""
    return Opening(grid=grid) if opening.forward else opening._replace(grid=grid)


def _opening(lines: list[str]) -> Opening:
    """What the window of `i` says. Raises MisuseError for a strength that cannot be."""
    path, text = lines[0].strip(), lines[1].strip()
    if path == "noise":
        return Opening()
    try:
        strength = float(text)
    except ValueError:
        strength = 0.0
    if not 0 < strength <= 1:
        raise MisuseError(f"strength '{clean_line(text, 20)}': expected a number above 0, up to 1")
    init = path or FROM_DATA
    return Opening(init, strength, name=_name(init))


def _name(init: str) -> str:
    return "a training picture" if init == FROM_DATA else PurePath(init).name


# --- What is done to a picture on its way: forks from a step ----------------------------------


class CanvasEdits(CanvasOpenings):
    """The actions of Canvas that ask, and then fork from the playhead."""

    @property
    def moment(self) -> int:
        """Which frame of a clip is shown; of a picture the only one."""
        return 0

    # --- forks ------------------------------------------------------------------------

    def action_fork(self) -> None:
        """From here on with other random numbers; of a forward process, back from here."""
        trace = self._needed()
        if trace is None:
            return
        if controller.rises(trace.request, trace.position):
            self._denoise(trace)
            return
        if trace.position == 0:
            self.action_reseed()
            return
        seeds = any(axis.name == "seed" for axis in self.opening.grid)
        draws = self._draws() and not trace.finished
        if seeds and draws:
            self._tell("the seed varies along this grid: a adds other noise to all of it")
            return
        if not seeds:
            self.seed = random.randrange(1, 10_000)
        if draws:
            self.fork(protocol.SetSeed(self.seed), f"seed {self.seed}")
            return
        # Without noise of its own on the way a sampler ignores the seed: only noise added
        # back can lead elsewhere.
        to = self._middle(trace)
        noise = AddNoise(to=to)
        first = noise if seeds else protocol.SetSeed(self.seed)
        self.fork(first, f"noise back to {to}, seed {self.seed}", then=None if seeds else noise)
        why = "it is finished" if trace.finished else "this sampler draws no noise on the way"
        self._tell(f"{why}: other noise was added, back to step {to}, and denoised again")

    def _draws(self) -> bool:
        """Whether the sampler draws random numbers after the first step."""
        settings = self.settings
        noise = SAMPLERS[settings.sampler].noise
        return noise == "full" or (noise == "eta" and settings.eta > 0)

    def _denoise(self, trace: Trace[ImageFrame]) -> None:
        step = trace.position
        if step == 0:
            self._tell("there is no noise yet to take away: go a step forward first")
            return
        self.fork(Denoise(), f"denoise from {step}")

    def action_recaption(self) -> None:
        """Ask for another caption from this step on."""
        trace = self._needed()
        if trace is None:
            return
        if any(axis.name == "caption" for axis in self.opening.grid):
            self._tell("the caption varies along this grid: w changes it")
            return
        step, ends = trace.position, trace.position == 0 or trace.finished

        def done(caption: str | None) -> None:
            if caption is None or self.trace is not trace:
                return
            self.prompt = caption
            self.post_message(messages.Acted())
            if ends:
                self.start_over(play=True)
            else:
                label = clean_line(f"“{caption}”", LABEL_CELLS)
                self.fork(protocol.SetPrompt(caption), label, step=step)

        title = "Caption from the start" if ends else f"Caption from step {step} on"
        hint = "up to this step it was drawn to the caption before" if not ends else "draws again"
        self.app.push_screen(ValueScreen(title, self.prompt, hint, str.strip), done)

    def action_add_noise(self) -> None:
        """Ask how far to go back, and denoise again from there."""
        trace = self._noisable()
        if trace is not None:
            self._ask_back(trace, "Add noise", b"")

    def action_mask(self) -> None:
        """Paint what may change on the guess, then ask how far to go back."""
        trace = self._noisable()
        frame = trace.frame if trace is not None else None
        if trace is None or frame is None:
            return
        if trace.request.grid:
            self._tell("a mask is painted on one picture: this is a grid; w ends it")
            return
        from genui.formats.codec import clip_pixels
        from genui.ui.windows import SMALLEST, MaskScreen

        size = self.app.size
        if size.width < SMALLEST.width or size.height < SMALLEST.height:
            needed = f"{SMALLEST.width}×{SMALLEST.height}"
            self._tell(f"painting a mask needs {needed} cells: make the terminal larger")
            return

        def done(mask: bytes | None) -> None:
            if mask is not None and self.trace is trace:
                self._ask_back(trace, "Draw the masked part again", mask)

        trace.pause()
        self.app.push_screen(MaskScreen(clip_pixels(frame, "guess")[self.moment]), done)

    def _noisable(self) -> Trace[ImageFrame] | None:
        """The trace, where noise can be added back at the playhead; else says why not."""
        trace = self._needed()
        if trace is None or trace.frame is None:
            return None
        if controller.rises(trace.request, trace.position):
            self._tell("the forward process adds noise by itself: f denoises from here")
            return None
        if edits.place(trace.request, trace.position) == 0:
            self._tell("this is pure noise still: go some steps forward first")
            return None
        return trace

    def _ask_back(self, trace: Trace[ImageFrame], title: str, mask: bytes) -> None:
        """Ask for the step whose noise comes back, and fork with it."""
        step = trace.position
        steps = edits.steps_at(trace.request, step)
        here = edits.place(trace.request, step)
        last = min(here, steps - 1)
        levels = controller.known_levels((b.trace for b in self.traces.branches), steps)

        def parse(text: str) -> int:
            text = text.strip()
            if not (text.isascii() and text.isdigit() and int(text) <= last):
                shown = clean_line(text, 20)
                raise MisuseError(f"step '{shown}': expected a step from 0 to {last}")
            return int(text)

        def done(to: int | None) -> None:
            if to is None or self.trace is not trace:
                return
            label = f"mask, noise back to {to}" if mask else f"noise back to {to}"
            self.fork(AddNoise(to=to, mask=mask), label, step=step)

        middle = self._middle(trace)
        known = ", ".join(_level_words(at, levels) for at in sorted({0, middle, last}))
        hint = f"noise up to the level of a step from 0 to {last}: {known}"
        self.app.push_screen(ValueScreen(title, str(middle), hint, parse), done)

    def _middle(self, trace: Trace[ImageFrame]) -> int:
        """Half the way back to pure noise."""
        return edits.place(trace.request, trace.position) // 2

    # --- settings ---------------------------------------------------------------------

    def action_setting(self, name: str) -> None:
        """Ask for a value; η and autoguidance only where there is such a choice."""
        if name == "eta" and SAMPLERS[self.settings.sampler].noise != "eta":
            self._tell("eta is of DPM++ and DDIM: press s until the sampler is one of them")
            return
        if name == "autoguidance" and not (self.model and self.model.guided):
            who = self.model.name if self.model else "no model"
            self._tell(f"{clean_line(who, 24)} has no weaker copy of itself to be led away from")
            return
        super().action_setting(name)


def _level_words(step: int, levels: dict[int, float]) -> str:
    """`step 10 has σ 3.1`, kept on one line, as far as it is known."""
    has = f" has σ {levels[step]:.2g}" if step in levels else ""
    pure = " is pure noise" if step == 0 and not has else ""
    return f"step {step}{has or pure}".replace(" ", "\N{NO-BREAK SPACE}")


# --- What Canvas does with the frames of a clip: they play, are stepped through, lie side by side

ARRANGEMENTS = (16, 8, 4, 2, 1)  # frames in a row, of those the one that shows them largest


class CanvasClips(CanvasEdits):
    """A clip goes on by itself while the playhead of the denoising moves or stands."""

    def __init__(self, session: Session, settings: ImageSettings, touched: str) -> None:
        super().__init__(session, settings, touched)
        self.clip = ClipHead()

    @property
    def frames(self) -> int:
        """Frames of what is shown: one of a picture, none before there is any."""
        return self._frame.pictures if self._frame is not None else 0

    @property
    def moment(self) -> int:
        return self.clip.at % max(1, self.frames)

    @property
    def spread(self) -> bool:
        """Whether all frames of the clip lie side by side."""
        return self.zoomed and self.has_class("-spread") and self.frames > 1

    @property
    def drifting(self) -> bool:
        return not self.spread and self.clip.moving(self.frames)

    def drift(self) -> bool:
        return not self.spread and self.clip.tick(self.frames)

    def _moved(self) -> None:
        self.clip.again()
        super()._moved()

    # --- keys -------------------------------------------------------------------------

    def action_frame(self, by: int) -> None:
        """Hold the clip at the frame after, or before."""
        if self._is_clip():
            self.clip.step(by, self.frames)
            self._moved()

    def action_roll(self) -> None:
        """Hold the clip, or let it go on."""
        if self._is_clip():
            self.clip.hold(self.clip.moving(self.frames))
            self._moved()

    def _is_clip(self) -> bool:
        if self.frames > 1:
            return True
        self._tell("a picture has no frames to step through: models of video draw clips")
        return False

    # --- drawing ----------------------------------------------------------------------

    def show_in(self, picture: ImageView, frame: ImageFrame, view: View) -> None:
        """The frame of the clip that is on, or all of them."""
        if not self.spread:
            picture.show_frame(frame, view, self.moment)
            return
        from genui.formats.codec import clip_pixels

        picture.show(arranged(clip_pixels(frame, view), *picture.size))


def arranged(clip: "np.ndarray", cols: int, rows: int) -> "np.ndarray":
    """Frames uint8 [T, H, W, 3] side by side as they are largest in `cols` × `rows` cells."""
    from genui.formats.codec import flat
    from genui.render.image import fit

    def size(sheet: "np.ndarray") -> float:
        room = fit(sheet.shape[1], sheet.shape[0], cols, rows)
        return room.scale / room.shrink

    return max((flat(clip, across) for across in ARRANGEMENTS), key=size)


# --- What Canvas does with sound: draws its waveform below the spectrogram, and lets it be heard

HEAR = "canvas.hear"


class CanvasSound(CanvasClips):
    """The sound of a step is that of the guess, whichever picture is shown."""

    def __init__(self, session: Session, settings: ImageSettings, touched: str) -> None:
        super().__init__(session, settings, touched)
        self._speaker = Speaker()

    def on_unmount(self) -> None:
        self._speaker.stop()

    @property
    def speaking(self) -> bool:
        """Whether a player is at it."""
        return self._speaker.playing

    def action_hear(self) -> None:
        """Hear the guess of this step, or be silent."""
        if self.speaking:
            self._speaker.stop()
            return
        frame = self._frame
        if frame is None or not frame.sound:
            self._tell("there is no sound here: models of audio speak, as voice does")
            return
        self._hear(frame.sound, frame.rate)

    @work(group="sound", exclusive=True, exit_on_error=False)
    async def _hear(self, sound: bytes, rate: int) -> None:
        def wav() -> bytes:
            import numpy as np

            from genui.formats.audio import encode_wav

            return encode_wav(np.frombuffer(sound, "<i2"), rate, "")

        if line := await self._speaker.hear(wav):
            self._tell(line)

    def show_sound(self, frame: ImageFrame | None) -> None:
        """The waveform of a step, or none."""
        wave = self.query_one(Waveform)
        if frame is None or not frame.sound:
            wave.show(b"", 0)
            return
        key = next(key for key in keys.TABLE if key.id == HEAR)
        shown = keys.shown_after(key, getattr(self.screen, "user_keys", {}))
        wave.show(frame.sound, frame.rate, f"{shown} hear")


# --- Beside the large picture: the two others, the noise schedule and the settings ------------

WORDS: dict[View, str] = {"guess": "guess", "x": "noisy", "noise": "noise"}
LONG_WORDS: dict[View, str] = {
    "x": "xₜ the noisy picture",
    "guess": "x̂₀ the guess of the clean picture",
    "noise": "ε the predicted noise",
}
SHORT_WORDS: dict[View, str] = {"x": "xₜ noisy", "guess": "x̂₀ guess", "noise": "ε noise"}
VIEWS: tuple[View, ...] = ("x", "guess", "noise")
NARROW = 38  # cells of a border that holds only few words


class CanvasInspector(Vertical):
    """Shown while the pane fills the screen; told everything, it asks nothing."""

    def __init__(self) -> None:
        super().__init__(classes="inspector")

    def compose(self) -> ComposeResult:
        with Horizontal(classes="others"):
            for _ in VIEWS[1:]:
                with Vertical(classes="box other"):
                    yield ImageView()
        with Vertical(classes="box schedule"):
            yield Curve("The noise left at each step shows here", legend=False, log_y=True)
        with Vertical(classes="box settings"):
            yield SettingLines(classes="settings-lines")

    def on_mount(self) -> None:
        set_border(self.query_one(".settings"), title="Settings", subtitle="+ − change")
        set_border(self.query_one(".schedule"), title="Noise schedule")

    def show_others(self, frame: ImageFrame | None, shown: View, moment: int = 0) -> None:
        """The pictures of the step that are not the large one; of a clip those of a moment."""
        others: list[View] = [view for view in VIEWS if view != shown]
        for box, view in zip(self.query(".other"), others, strict=True):
            picture = box.query_one(ImageView)
            if frame is None:
                picture.clear(" ")
            else:
                picture.show_frame(frame, view, moment)
            set_border(box, title=SHORT_WORDS[view], subtitle=_scale(picture))

    def show_schedule(self, trace: Trace[ImageFrame] | None) -> None:
        """σ of every step there is a frame of: as this branch has it, edits and all."""
        curve, box = self.query_one(Curve), self.query_one(".schedule")
        frame = trace.frame if trace is not None else None
        known = [f for f in trace.frames if f.sigma > 0] if trace is not None else []
        if frame is None or len(known) < 2:
            curve.clear()
            set_border(box, subtitle="")
            return
        import numpy as np

        steps = np.array([f.step for f in known], np.int64)
        sigmas = np.array([f.sigma for f in known], np.float64)
        curve.set_series({"σ": (steps, sigmas)})
        curve.cursor = float(frame.step)
        roomy = frame.sigma > 0 and box.size.width >= NARROW
        log = f" · log₁₀ {math.log10(frame.sigma):.2f}" if roomy else ""
        set_border(box, subtitle=f"σ {frame.sigma:.3g}{log} at step {frame.step}")

    def show_settings(self, content: Content) -> None:
        self.query_one(SettingLines).show(content)


def _scale(picture: ImageView) -> str:
    """`at 1/2`, without the size, which the large picture tells."""
    text = picture.scale_text
    return text[text.index("at") :] if text else ""


# --- The Canvas pane: noise becoming a picture, step by step, forwards and back ---------------

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
            yield ImageView(classes="large")
            with Horizontal(classes="three"):
                for view in VIEWS:
                    with Vertical(classes=f"view -{view}"):
                        yield Static(SHORT_WORDS[view], classes="view-title", markup=False)
                        yield ImageView()
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

    def _pictures(self) -> list[tuple[View, ImageView]]:
        """What is seen of the step in the main part."""
        if not self._three:
            return [(self.shown, self.query_one(".large", ImageView))]
        return [(view, self.query_one(f".-{view} ImageView", ImageView)) for view in VIEWS]

    def _paint_timeline(self, frame: ImageFrame | None) -> None:
        trace, timeline = self.trace, self.query_one(Timeline)
        rising = trace is not None and controller.rises(trace.request, trace.position)
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
