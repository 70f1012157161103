"""The Lab's pane: a network that learns points, watched in the plane a training step at a time."""

import time
from typing import ClassVar

import numpy as np
from msgspec.structs import replace
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from genui import protocol
from genui.edits import in_force
from genui.protocol import LabSettings, PointsFrame
from genui.render.numbers import count
from genui.render.numbers import value as spelled
from genui.render.plane import MARKS
from genui.render.sanitise import clean_line
from genui.render.scene import Scene
from genui.runs.catalog import ModelInfo
from genui.saved.plane import scene_of
from genui.ui import keys, messages
from genui.ui.frame import set_border
from genui.ui.key import PaneName
from genui.ui.lab import words
from genui.ui.lab.curves import Curves
from genui.ui.lab.own_points import OwnPoints
from genui.ui.messages import ViewName
from genui.ui.panes.timeline import Timeline
from genui.ui.session import Session
from genui.ui.settings import changed_label, settings_content
from genui.ui.trace import Trace
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.plane import PlaneView

SHORT = 26  # lines below which the divergence has no curve of its own
LEAST_SIDE = 36  # columns beside the plane
LEAST_RATE, MOST_RATE = 1e-6, 1.0


class LabPane(OwnPoints):
    """The plane, the curves beside it, and what is trained; every step is kept or comes again."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("lab")]
    pane: ClassVar[PaneName] = "lab"
    view: ClassVar[ViewName] = "lab"
    heading: ClassVar[str] = "Lab"
    first_step: ClassVar[int] = 0
    paints_a_second: ClassVar[float] = 10
    catch_up: ClassVar[float] = 0.5

    def __init__(self, session: Session) -> None:
        super().__init__(session, LabSettings(), touched="learning_rate")
        families = [words.family_model(family) for family in words.FAMILIES]
        self.know(families)
        self.model: ModelInfo | None = self.known[protocol.LAB + "flow"]
        self.prompt = words.DATA[0]
        self.drawn = "everything"
        self._curves = Curves()
        self._settings_shown = Content("")

    def compose(self) -> ComposeResult:
        with Horizontal(classes="lab-body"):
            with Vertical(classes="plane-box box"):
                yield PlaneView(classes="plane")
                yield self.editor
                yield Timeline("step", "trained")
            with Vertical(classes="lab-side"):
                with Vertical(classes="loss-box box"):
                    yield Curve("No steps yet", readout=True)
                with Vertical(classes="divergence-box box"):
                    yield Curve("No steps yet", readout=True)
                with Vertical(classes="settings-box box"):
                    yield Static(classes="lab-settings", markup=False)

    def on_resize(self, event: events.Resize) -> None:
        """The plane is as large a square as leaves room for what is beside it."""
        width, height = event.size
        self.set_class(height < SHORT, "-short")
        square = 2 * (height - 3) + 2
        self.query_one(".plane-box").styles.width = max(12, min(square, width - LEAST_SIDE))
        self.call_after_refresh(self.paint)

    # --- what a TracePane asks ----------------------------------------------------------

    def default_prompt(self, model: ModelInfo) -> str:
        return self.prompt

    def total_steps(self) -> int:
        return self.settings.steps

    def start_over(self, play: bool) -> None:
        """A new training of the family on the data, with the seed and settings as they are."""
        self.stop_particles()
        self.begin(self.request(), f"{self._what()} · seed {self.seed}", play)

    def _what(self) -> str:
        assert self.model is not None
        return f"{self.model.name} · {words.data_name(self.prompt)}"

    def _compare_with(self, other: object) -> None:
        """Branches are compared by going from one to the other."""
        self._tell("in the Lab go from branch to branch: b, then ⏎ shows one at its own step")

    def _apply(self) -> None:
        """Settings hold from here on, as a fork; before the first step, and of a width that is
        another, the training begins again."""
        trace = self.trace
        if trace is None:
            return
        before = in_force(trace.request)[2]
        if trace.position == 0 or self.settings.width != before.width:
            self.start_over(play=True)
            return
        label = changed_label(before, self.settings, joint=" ")
        self.fork(protocol.SetSettings(self.settings), label)

    # --- keys -------------------------------------------------------------------------

    @property
    def family(self) -> str:
        """The family that is chosen."""
        return self.model.family if self.model is not None else words.FAMILIES[0]

    def action_family(self) -> None:
        """The next family, on the same data."""
        at = words.FAMILIES.index(self.family)
        self.model = self.known[protocol.LAB + words.FAMILIES[(at + 1) % len(words.FAMILIES)]]
        self._chosen_anew()

    def action_data(self) -> None:
        """The next data; points of one's own come last, where there are some."""
        offered = [*words.DATA, *([self.own_text] if self.own_text else [])]
        at = offered.index(self.prompt) if self.prompt in offered else -1
        self.prompt = offered[(at + 1) % len(offered)]
        self._chosen_anew()

    def _chosen_anew(self) -> None:
        """Train what is chosen now; before anything was trained, only say what that is."""
        self.post_message(messages.Acted())
        if self.trace is None:
            self.paint()
        else:
            self.start_over(play=True)

    def action_rate(self, direction: int) -> None:
        """Twice the learning rate, or half of it."""
        rate = self.settings.learning_rate * (2.0 if direction > 0 else 0.5)
        if LEAST_RATE <= rate <= MOST_RATE:
            self._touched = "learning_rate"
            self._set(replace(self.settings, learning_rate=float(f"{rate:.3g}")))

    def action_layers(self) -> None:
        """What is drawn of what there is."""
        names = [*words.LAYERS]
        self.drawn = names[(names.index(self.drawn) + 1) % len(names)]
        self.paint()

    # --- drawing ----------------------------------------------------------------------

    def paint(self) -> None:
        trace = self.trace
        scene = self._scene(trace)
        plane = self.query_one(".plane", PlaneView)
        if scene is None:
            plane.clear(self.empty_text())
        else:
            plane.show(scene)
        self._paint_timeline(trace)
        self._paint_curves(trace)
        self._paint_words(trace, scene)
        lines = words.setting_lines(
            self.family, self.prompt, self.settings, self.seed, self.noise, self.drawn
        )
        content = settings_content(lines, self._touched)
        if not content.is_same(self._settings_shown):  # it costs a layout
            self._settings_shown = content
            self.query_one(".lab-settings", Static).update(content)

    def _scene(self, trace: Trace[PointsFrame] | None) -> Scene | None:
        if trace is None or not trace.frames:
            return None
        plane = self.sight(trace)
        if plane is None:
            return None
        scene = scene_of(plane, trace.frames[0])
        if self.particles is not None:
            return Scene(scene.data, scene.classes, self.particles.places)
        return scene.without(*words.LAYERS[self.drawn])

    def empty_text(self) -> str:
        """What to press."""
        if self.trace is not None and self.trace.loading:
            return f"starting … {time.monotonic() - self._asked_at:.0f} s"
        data = words.data_name(self.prompt)
        return (
            f"space trains: {words.TITLES[self.family]} on {data}. m another family, d other "
            "data, p sets points of your own, o opens a CSV"
        )

    def _paint_timeline(self, trace: Trace[PointsFrame] | None) -> None:
        timeline = self.query_one(Timeline)
        total = count(trace.total if trace is not None else self.settings.steps)
        here = count(trace.position if trace is not None else 0)
        timeline.left = f"step {here:>{len(total)}} of {total}"  # so the bar keeps its place
        timeline.follow(trace)

    def _paint_curves(self, trace: Trace[PointsFrame] | None) -> None:
        self._curves.take(trace)
        loss, divergence = self.query(Curve)
        pairs = ((loss, self._curves.losses), (divergence, self._curves.divergence))
        for curve, series in pairs:
            if not curve.is_on_screen:
                continue
            if not series:
                told = trace is not None and trace.computed > 0
                curve.clear("the true density is not known" if told else "no steps yet")
                continue
            curve.set_series(series, dict.fromkeys(series, "line"))
            curve.cursor = float(trace.position) if trace is not None else None

    # --- words in the borders -----------------------------------------------------------

    def _paint_words(self, trace: Trace[PointsFrame] | None, scene: Scene | None) -> None:
        if not self.editing:
            what = Content.assemble((self._what(), "bold"))
            set_border(self.query_one(".plane-box"), what, self._legend(trace, scene))
        rate = trace.rate(time.monotonic()) if trace is not None and trace.playing else 0.0
        pace = f" · {count(round(rate))} steps/s" if rate >= 1 else ""
        bits = f" · {self._bits()}" if self.has_class("-short") and self._bits() else ""
        set_border(self.query_one(".loss-box"), title=Content(f"Loss{bits}{pace}"))
        floor = trace.frames[0].floor if trace is not None and trace.frames else None
        unit = words.divergence_words(self.family, floor)
        box = self.query_one(".divergence-box")
        set_border(box, title=Content("Divergence, bits"), subtitle=Content(unit))
        branches = self.traces.branches
        label = clean_line(self.traces.shown.label, 40) if self.traces.shown is not None else ""
        many = f"{len(branches)} branches · {label}" if len(branches) > 1 else ""
        settings = self.query_one(".settings-box")
        set_border(settings, title=Content("Settings"), subtitle=Content(many))

    def _bits(self) -> str:
        """The divergence that was measured last before the step shown."""
        trace, series = self.trace, self._curves.divergence
        if trace is None or not series:
            return ""
        steps, values = series["divergence"]
        at = int(np.searchsorted(steps, trace.position, side="right")) - 1
        return f"{spelled(float(values[at]))} bits off" if at >= 0 else ""

    def _legend(self, trace: Trace[PointsFrame] | None, scene: Scene | None) -> str:
        """What the marks are, of those that are drawn."""
        if scene is None or trace is None:
            return ""
        if self.particles is not None:
            return f"∴ particles at noise {self.particles.noise:.2f} · any key ends"
        family = trace.request.model.removeprefix(protocol.LAB)
        classes = int(scene.classes.max()) + 1 if len(scene.classes) else 1
        parts = [f"{MARKS[:classes]} data"]
        if len(scene.samples):
            parts.append("∴ samples")
        if len(scene.arrows):
            parts.append(f"→ {words.ARROWS.get(family, '')}")
        if scene.chances is not None:
            parts.append("┄ boundary")
        if scene.surface is not None or scene.chances is not None:
            parts.append(f"░ {words.SURFACES[family]}")
        if self.noise and family in words.NOISY:
            parts.append(f"noise {self.noise:g}")
        return " · ".join(parts)
