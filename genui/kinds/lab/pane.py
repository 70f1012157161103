"""The Lab: small networks that learn points in the plane, shown one training step at a time."""

import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from genui import protocol
from genui.base.errors import MisuseError
from genui.base.files import show
from genui.base.numbers import count
from genui.base.numbers import value as format_value
from genui.kinds.lab import points
from genui.kinds.lab.families import FAMILIES, family_of, ref_of
from genui.kinds.lab.files import last_plane_step, scene_of
from genui.kinds.lab.messages import EDGE, Inspect, Inspection, LabSettings, Plane, PointsFrame
from genui.kinds.lab.points import MAX_CLASSES, MAX_POINTS, Fit, Point, fit_to_plane, is_points
from genui.kinds.lab.scene import MARKS, Floats, Scene, decode_places
from genui.kinds.lab.shapes import NAMES
from genui.kinds.lab.view import PlaneView
from genui.protocol import Failed
from genui.protocol.edits import inputs_at
from genui.runs.models import ModelInfo, find_model
from genui.ui import keys, messages
from genui.ui.generate.actions import Actions
from genui.ui.generate.pane import GenerationView, Inspector, PaneKind, Parts, TracePane
from genui.ui.home import arrange, too_small
from genui.ui.keys import Scope
from genui.ui.lifecycle import is_usable
from genui.ui.messages import ViewName
from genui.ui.screens import Command, Copyable, PaneScreen
from genui.ui.session import Session
from genui.ui.settings import describe_change
from genui.ui.traces.controller import Listener, TraceController
from genui.ui.traces.export import TREE, Format
from genui.ui.traces.trees import Lost, ShownTrace, TraceReply, Worker
from genui.ui.widgets.bars import FooterLine, HeaderLine, StatusLine
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.dialogs import make_value_screen
from genui.ui.widgets.settings import Option
from genui.ui.widgets.timeline import Timeline

# --- Families, data and settings --------------------------------------------------------------

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The noise levels that `t` cycles through."""

LAYERS: dict[str, tuple[str, ...]] = {
    "everything": (),
    "samples": ("surface", "chances", "arrows", "means"),
    "surface": ("samples", "arrows", "means"),
    "arrows": ("samples", "surface", "chances"),
}
"""The layers, in the order of the keys: a name, and the parts of a scene that it hides."""


def data_name(prompt: str) -> str:
    """The name of the data, or the number of the user's points."""
    if not is_points(prompt):
        return prompt
    return f"your {prompt.count(chr(10))} points"


# --- The planes of the steps: those in frames, and those requested for a noise level ----------

CACHED = 32  # requested planes

Place = tuple[int, int, float]
"""The number of a trace, a step and a noise level."""


class PlaneCache:
    """Finds the plane of a step: in its frame, or among those requested from the worker."""

    def __init__(self) -> None:
        self._planes: OrderedDict[Place, Plane] = OrderedDict()
        self.pending: Place | None = None  # requested, without a reply yet

    def store(self, place: Place, plane: Plane) -> None:
        self.pending = None
        self._planes[place] = plane
        while len(self._planes) > CACHED:
            self._planes.popitem(last=False)

    def exact(self, trace: ShownTrace[PointsFrame], noise: float) -> Plane | None:
        """The plane of the current step; None if it is not known."""
        frame = trace.frame
        if noise == 0 and frame is not None and frame.plane is not None:
            return frame.plane
        return self._planes.get((trace.id, trace.position, noise))

    def latest(self, trace: ShownTrace[PointsFrame], noise: float) -> Plane | None:
        """The last known plane up to the current step, shown until the exact one arrives."""
        if noise > 0:
            steps = [
                step for number, step, level in self._planes if (number, level) == (trace.id, noise)
            ]
            before = max((step for step in steps if step <= trace.position), default=None)
            return None if before is None else self._planes[trace.id, before, noise]
        for frame in reversed(trace.frames[: trace.position + 1]):
            if frame.plane is not None:
                return frame.plane
        return None

    def next_request(self, trace: ShownTrace[PointsFrame], noise: float) -> Place | None:
        """The plane to request from the worker now, marked as pending; None if there is none."""
        computed = trace.on_worker and trace.frames
        if not computed or self.pending is not None or self.exact(trace, noise) is not None:
            return None
        if noise == 0 and trace.playing:
            return None  # the frames bring the planes
        self.pending = (trace.id, trace.position, noise)
        return self.pending


# --- Particles that move from noise to data by the network at the current step -----------------

LEVELS_PER_S = 8.0
END_TICKS = 12  # for which the samples stay at the end


class Particles:
    """The paths of particles from noise to samples, and a timer that moves them."""

    def __init__(self, reply: Inspection, timer: Timer) -> None:
        self.trace = reply.trace  # its number
        self._paths = decode_places(reply.paths).reshape(reply.levels, -1, 2)
        self._timer = timer
        self._tick = 0

    def tick(self) -> bool:
        """Move to the next level. Returns False at the end, with the timer stopped."""
        self._tick += 1
        if self._tick < len(self._paths) + END_TICKS:
            return True
        self.stop()
        return False

    def stop(self) -> None:
        self._timer.stop()

    @property
    def at(self) -> int:
        return min(self._tick, len(self._paths) - 1)

    @property
    def noise(self) -> float:
        """The current noise level, from 1 at the start to 0 at the end."""
        return 1 - self.at / (len(self._paths) - 1)

    @property
    def places(self) -> Floats:
        """The particles, float [N, 2], as shares of the plane."""
        return self._paths[self.at]


# --- The controller: a family, its data and settings ------------------------------------------


class LabController(TraceController[PointsFrame, LabSettings]):
    """Controls trainings of small networks; a training step is a step of the trace."""

    def __init__(self, session: Worker, listener: Listener) -> None:
        super().__init__(session, listener, LabSettings())
        self.add_models(find_model(ref_of(family)) for family in FAMILIES)
        self.model = self.models[ref_of("flow")]
        self.prompt = NAMES[0]
        self.own: list[Point] = []  # the user's points

    @property
    def family(self) -> str:
        return self.model.family if self.model is not None else next(iter(FAMILIES))

    @property
    def own_text(self) -> str:
        return points.to_text(self.own) if self.own else ""

    @property
    def title(self) -> str:
        return f"{FAMILIES[self.family].title} · {data_name(self.prompt)}"

    def default_prompt(self, model: ModelInfo) -> str:
        return self.prompt

    def new_label(self) -> str:
        return f"{self.title} · seed {self.seed}"

    def apply(self, label: str) -> None:
        """Fork with the new settings from the current step on. Start over at the first step, or if
        the width has changed."""
        trace = self.trace
        if trace is None:
            return
        before = inputs_at(trace.request)[2]
        if trace.position == 0 or self.settings.width != before.width:
            self.start_over(play=True)
        else:
            label = describe_change(before, self.settings, joint=" ")
            self.fork(protocol.SetSettings(self.settings), label)

    def next_family(self, by: int = 1) -> None:
        """Switch to the next family or the one before, on the same data."""
        families = tuple(FAMILIES)
        at = families.index(self.family)
        self.model = self.models[ref_of(families[(at + by) % len(families)])]
        self._train_choice()

    def next_data(self, by: int = 1) -> None:
        """Switch to the next data or those before; the user's points come last, if any."""
        choices = [*NAMES, *([self.own_text] if self.own_text else [])]
        at = choices.index(self.prompt) if self.prompt in choices else -1
        self.prompt = choices[(at + by) % len(choices)]
        self._train_choice()

    def _train_choice(self) -> None:
        """Start over with this choice; before the first training, only show it."""
        self.listener.clear_line()
        if self.trace is None:
            self.listener.repaint()
        else:
            self.start_over(play=True)

    def train_on(self, own: list[Point]) -> None:
        self.own = own
        self.prompt = self.own_text
        self.start_over(play=True)


# --- The noise level of the plane, and the particles ------------------------------------------


class PlaneActions(Actions):
    """Requests the plane of the current step, and moves particles."""

    def __init__(self, pane: TracePane, controller: LabController) -> None:
        super().__init__(pane)
        self._controller = controller
        self.noise = 0.0  # the level of the plane
        self.particles: Particles | None = None
        self.cache = PlaneCache()
        self._paths_pending = False

    def plane(self, trace: ShownTrace[PointsFrame]) -> Plane | None:
        """The plane of the current step; if it is missing, request it and return a near one."""
        family = family_of(trace.request.model)
        noise = self.noise if FAMILIES[family].noisy else 0.0
        place = self.cache.next_request(trace, noise)
        if place is not None:
            number, step, level = place
            self.pane.session.put(Inspect(trace=number, step=step, noise=level))
        return (
            self.cache.exact(trace, noise)
            or self.cache.latest(trace, noise)
            or self.cache.latest(trace, 0.0)
        )

    def handle(self, reply: TraceReply) -> None:
        if isinstance(reply, Failed | Lost):
            self.cache.pending = None
            self._paths_pending = False
        if not isinstance(reply, Inspection):
            return
        trace = self._controller.trace
        if not reply.levels:
            self.cache.store((reply.trace, reply.step, reply.noise), reply.plane)
            self.pane.paint()
        elif self._paths_pending and trace is not None and trace.id == reply.trace:
            self._paths_pending = False
            timer = self.pane.set_interval(1 / LEVELS_PER_S, self._move_particles)
            self.particles = Particles(reply, timer)
            self.pane.paint()

    def options(self) -> list[Option]:
        """The noise level, of families that have one."""
        if not FAMILIES[self._controller.family].noisy:
            return []
        return [Option("noise", "noise level", f"{self.noise:g}", NOISE_HELP, self.action_noise)]

    def action_noise(self, by: int = 1) -> None:
        """Show the next noise level, or the one before."""
        if self._has_noise("noise levels"):
            self.noise = LEVELS[(LEVELS.index(self.noise) + by) % len(LEVELS)]
            self.pane.paint()

    def _has_noise(self, feature: str) -> bool:
        """Whether the family has noise levels; if not, tell the user that it lacks the feature."""
        lab = FAMILIES[self._controller.family]
        if not lab.noisy:
            self.pane.say(f"{lab.title} has no {feature}: diffusion and the flows do")
        return lab.noisy

    def action_particles(self) -> None:
        """Start particles that move from noise to data, or stop them."""
        if self.particles is not None:
            self.stop_particles()
            self.pane.paint()
            return
        trace = self._controller.ensure_trace()
        if trace is None or not self._has_noise("particles"):
            return
        self._controller.pause()
        if not (trace.on_worker and trace.frames):
            self.pane.say("this step is not computed yet: space trains, then ; again")
            return
        self._paths_pending = True
        self.pane.session.put(Inspect(trace=trace.id, step=trace.position, paths=True))

    def _move_particles(self) -> None:
        if self.particles is not None and not self.particles.tick():
            self.particles = None
        self.pane.paint()

    def stop_particles(self) -> None:
        """Stop the particles and show the plane again."""
        if self.particles is not None:
            self.particles.stop()
            self.particles = None

    def handle_key(self, key: str) -> None:
        """Stop the particles at any key but their own and the keys of the layers."""
        if key not in ("semicolon", "left_square_bracket", "right_square_bracket"):
            self.stop_particles()


# --- Setting points with a cursor -------------------------------------------------------------


class PointsEditor(PlaneView, can_focus=True):
    """Edits the user's points with a cursor, and posts them as Done."""

    @dataclass(eq=False)
    class Done(Message):
        """The user has finished with these points."""

        points: list[Point]

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("points")]

    def __init__(self) -> None:
        super().__init__(classes="editor")
        self.points: list[Point] = []
        self.label = 0
        self._fit = Fit()  # from the data to the plane
        self._column = self._row = -1

    def open(self, points: list[Point]) -> None:
        """Edit these points, with the cursor in the middle."""
        self.points = list(points)
        self._fit = fit_to_plane(points) if points else Fit()
        self._column = self._row = -1
        self.paint()

    @property
    def place(self) -> tuple[float, float]:
        """The cursor, in the middle of a cell, as shares of the plane."""
        columns, rows = self.cells
        if not columns:  # not on the screen yet
            return 0.5, 0.5
        if self._column < 0:
            self._column, self._row = columns // 2, rows // 2
        self._column = max(0, min(self._column, columns - 1))
        self._row = max(0, min(self._row, rows - 1))
        return (self._column + 0.5) / columns, 1 - (self._row + 0.5) / rows

    def paint(self) -> None:
        """Draw the points and the cursor, with their number and the next class in the border."""
        in_plane = [self._fit.place(point) for point in self.points]
        shares = [((x / EDGE + 1) / 2, (y / EDGE + 1) / 2) for x, y, _ in in_plane]
        labels = np.array([point.label for point in in_plane], np.uint8)
        self.show(Scene(np.array(shares).reshape(-1, 2), labels), self.place)
        count = len(self.points)
        total = "no points yet" if not count else "1 point" if count == 1 else f"{count:,} points"
        if isinstance(self.parent, Widget):
            title = Content.assemble(("Setting points", "bold"), f" · {total}")
            set_border(
                self.parent, title, f"next: class {MARKS[self.label]} · [ ] class · esc trains"
            )

    def on_resize(self) -> None:
        if self.display:
            self.call_after_refresh(self.paint)

    # --- keys -------------------------------------------------------------------------

    def action_move(self, right: int, up: int) -> None:
        _ = self.place  # puts a new cursor in the middle
        self._column += right
        self._row -= up
        self.paint()

    def action_set(self) -> None:
        if len(self.points) >= MAX_POINTS:
            self.post_message(messages.ShowStatus(f"{MAX_POINTS:,} points is the limit", "note"))
            return
        self.points.append(Point(*self._cursor_in_data(), self.label))
        self.post_message(messages.Acted())
        self.paint()

    def _cursor_in_data(self) -> tuple[float, float]:
        across, up = self.place
        return self._fit.to_data((2 * across - 1) * EDGE, (2 * up - 1) * EDGE)

    def action_remove(self) -> None:
        if not self.points:
            self.post_message(messages.ShowStatus("no point is set yet: ⏎ sets one", "note"))
            return
        x, y = self._cursor_in_data()
        nearest = min(self.points, key=lambda point: (point.x - x) ** 2 + (point.y - y) ** 2)
        self.points.remove(nearest)
        self.paint()

    def action_next_class(self, by: int) -> None:
        """Set the next points of the next class, or of the class before."""
        self.label = (self.label + by) % MAX_CLASSES
        self.paint()

    def action_clear(self) -> None:
        self.points = []
        self._fit = Fit()
        self.paint()

    def action_done(self) -> None:
        """Finish, and train on the points."""
        self.post_message(self.Done(list(self.points)))

    def on_click(self, event: events.Click) -> None:
        columns, rows = self.cells
        self._column = event.x - (self.size.width - columns) // 2
        self._row = event.y - (self.size.height - rows) // 2
        self.action_set()


# --- The user's points, set by keys or read from a file ---------------------------------------


class OwnPoints(Actions):
    """Opens and closes the editor, which covers the plane, and reads files of points."""

    def __init__(
        self, pane: TracePane, controller: LabController, planes: PlaneActions, editor: PointsEditor
    ) -> None:
        super().__init__(pane)
        self._controller = controller
        self._planes = planes
        self._editor = editor

    def action_points(self) -> None:
        self._controller.pause()
        self._planes.stop_particles()
        self.pane.add_class("-editing-points")
        self._editor.open(self._controller.own)
        self.pane.screen.set_focus(self._editor)
        self._editor.call_after_refresh(self._editor.paint)
        self.pane.post_message(messages.KeysChanged())

    def finish_editing(self, own: list[Point]) -> None:
        """Close the editor, and train on the points if they have changed."""
        controller, pane = self._controller, self.pane
        pane.remove_class("-editing-points")
        pane.screen.set_focus(pane)
        pane.post_message(messages.KeysChanged())
        changed, controller.own = own != controller.own, own
        if not own:
            pane.paint()
        elif len({point[:2] for point in own}) < points.LEAST_POINTS:
            pane.say("set points in two places or more: e continues, ⏎ sets one")
        elif changed or controller.prompt != controller.own_text:
            controller.train_on(own)

    def action_open(self) -> None:
        """Ask for a CSV file and train on its points."""

        def parse(text: str) -> Path:
            if not text.strip():
                raise MisuseError("give the name of a CSV file")
            return Path(os.path.expanduser(text.strip()))

        def read(path: Path) -> None:
            def done(own: list[Point]) -> None:
                self.pane.say(f"{len(own):,} points read from {show(path)}")
                self._controller.train_on(own)

            def fail(line: str) -> None:
                self.pane.say(line, "error")

            self.run("csv", lambda: points.read_csv(path), done, fail, exclusive=True)

        hint = "a CSV with one point per line: x,y or x,y,class; up to 5,000 points"
        self.pane.ask(make_value_screen("Points from a CSV", "", hint, parse, "open"), read)


# --- The losses of a training, and its divergence from the true density -----------------------

DIVERGENCE = "divergence"

Series = dict[str, tuple[np.ndarray, np.ndarray]]
"""Name to (x, values), the argument of `Curve.set_series`."""


class Curves:
    """Collects the losses and divergences from the frames of a trace."""

    def __init__(self) -> None:
        self._trace: ShownTrace[PointsFrame] | None = None
        self._read = 0  # frames
        self._series: dict[str, tuple[list[float], list[float]]] = {}

    def take(self, trace: ShownTrace[PointsFrame] | None) -> None:
        """Read the new frames of a trace; all frames of another trace than before."""
        if trace is not self._trace:
            self._trace, self._read, self._series = trace, 0, {}
        if trace is None:
            return
        for frame in trace.frames[self._read :]:
            measured = dict(frame.measures)
            if frame.divergence is not None:
                measured[DIVERGENCE] = frame.divergence
            for name, value in measured.items():
                steps, values = self._series.setdefault(name, ([], []))
                steps.append(frame.step)
                values.append(value)
        self._read = len(trace.frames)

    @property
    def losses(self) -> Series:
        return {name: self._arrays(name) for name in self._series if name != DIVERGENCE}

    @property
    def divergence(self) -> Series:
        """Empty if the true density is not known."""
        return {DIVERGENCE: self._arrays(DIVERGENCE)} if DIVERGENCE in self._series else {}

    def _arrays(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        steps, values = self._series[name]
        return np.array(steps, np.float64), np.array(values, np.float64)


# --- The Lab's pane -------------------------------------------------------------------------

SHORT = 26  # lines; a shorter pane has no curve of the divergence
MIN_SIDE = 36  # columns beside the plane


class LabView(GenerationView):
    """The plane at the current step, and the timeline."""

    def __init__(self, pane: TracePane, controller: LabController, planes: PlaneActions) -> None:
        super().__init__(pane, classes="plane-box box")
        self.controller = controller
        self.planes = planes
        self.editor = PointsEditor()
        self.points = OwnPoints(pane, controller, planes, self.editor)
        self.layer_name = "everything"  # a name in LAYERS

    def compose(self) -> ComposeResult:
        yield PlaneView(classes="plane")
        yield self.editor
        yield Timeline("step", "trained")

    def fit(self, size: Size) -> None:
        """Make the plane the largest square that leaves room for the inspector."""
        self.pane.set_class(size.height < SHORT, "-short")
        square = 2 * (size.height - 3) + 2
        self.styles.width = max(12, min(square, size.width - MIN_SIDE))
        self.call_after_refresh(self.pane.paint)

    @property
    def editing(self) -> bool:
        """Whether points are being set."""
        return self.pane.has_class("-editing-points")

    @on(PointsEditor.Done)
    def _points_set(self, event: PointsEditor.Done) -> None:
        event.stop()
        self.points.finish_editing(event.points)

    def paint(self) -> None:
        trace = self.controller.trace
        scene = self._scene(trace)
        plane = self.query_one(".plane", PlaneView)
        if scene is None:
            plane.clear(self._empty_text())
        else:
            plane.show(scene)
        timeline = self.query_one(Timeline)
        total = count(trace.total if trace is not None else self.controller.settings.steps)
        step = count(trace.position if trace is not None else 0)
        timeline.left = f"step {step:>{len(total)}} of {total}"  # padded: the bar does not move
        timeline.follow(trace)
        if not self.editing:
            title = Content.assemble((self.controller.title, "bold"))
            set_border(self, title, self._legend(trace, scene))

    def _scene(self, trace: ShownTrace[PointsFrame] | None) -> Scene | None:
        planes = self.planes
        if planes.particles is not None and (trace is None or trace.id != planes.particles.trace):
            planes.stop_particles()  # they belong to another training
        if trace is None or not trace.frames:
            return None
        plane = planes.plane(trace)
        if plane is None:
            return None
        scene = scene_of(plane, trace.frames[0])
        if planes.particles is not None:
            return Scene(scene.data, scene.classes, planes.particles.places)
        return scene.without(*LAYERS[self.layer_name])

    def _empty_text(self) -> str:
        """The keys that start a training, or how long one has been starting."""
        controller = self.controller
        if controller.trace is not None and controller.trace.loading:
            return f"starting … {controller.waited_s:.0f} s"
        data = data_name(controller.prompt)
        return (
            f"Press space to train {FAMILIES[controller.family].title} on {data}. "
            "s: model, data and other settings · e: draw points"
        )

    def _legend(self, trace: ShownTrace[PointsFrame] | None, scene: Scene | None) -> str:
        """The meaning of the marks in the plane."""
        planes = self.planes
        if scene is None or trace is None:
            return ""
        if planes.particles is not None:
            return f"∴ particles at noise {planes.particles.noise:.2f} · any key stops"
        family = family_of(trace.request.model)
        classes = int(scene.classes.max()) + 1 if len(scene.classes) else 1
        parts = [f"{MARKS[:classes]} data"]
        if len(scene.samples):
            parts.append("∴ samples")
        if len(scene.arrows):
            parts.append(f"→ {FAMILIES[family].arrows}")
        if scene.chances is not None:
            parts.append("┄ boundary")
        if scene.surface is not None or scene.chances is not None:
            parts.append(f"░ {FAMILIES[family].surface}")
        if planes.noise and FAMILIES[family].noisy:
            parts.append(f"noise {planes.noise:g}")
        return " · ".join(parts)


class LabInspector(Inspector):
    """The losses, the divergence from the true density, and the settings."""

    def __init__(self, pane: TracePane, controller: LabController, view: LabView) -> None:
        super().__init__(pane, classes="lab-side")
        self._controller = controller
        self._view = view
        self._curves = Curves()

    def compose(self) -> ComposeResult:
        with Vertical(classes="loss-box box"):
            yield Curve("No steps yet", readout=True)
        with Vertical(classes="divergence-box box"):
            yield Curve("No steps yet", readout=True)
        yield self.pane.tuning.panel

    def paint(self) -> None:
        controller = self._controller
        self._curves.take(controller.trace)
        self._paint_curves(controller.trace)
        self._paint_titles(controller.trace)
        self.pane.tuning.paint()

    def _paint_curves(self, trace: ShownTrace[PointsFrame] | None) -> None:
        loss, divergence = self.query(Curve)
        pairs = ((loss, self._curves.losses), (divergence, self._curves.divergence))
        for curve, series in pairs:
            if not curve.is_on_screen:
                continue
            if not series:
                trained = trace is not None and trace.computed > 0
                curve.clear("the true density is not known" if trained else "no steps yet")
                continue
            curve.set_series(series, dict.fromkeys(series, "line"))
            curve.set(cursor=float(trace.position) if trace is not None else None)

    def _paint_titles(self, trace: ShownTrace[PointsFrame] | None) -> None:
        rate = trace.steps_per_s(time.monotonic()) if trace is not None and trace.playing else 0.0
        pace = f" · {count(round(rate))} steps/s" if rate >= 1 else ""
        bits = self._bits(trace) if self.pane.has_class("-short") else ""
        title = f"Loss · {bits}{pace}" if bits else f"Loss{pace}"
        set_border(self.query_one(".loss-box"), title=title)
        floor = trace.frames[0].floor if trace is not None and trace.frames else None
        name = FAMILIES[self._controller.family].divergence
        if floor is not None:
            name += f" · exact samples: {floor:.3f}"
        set_border(self.query_one(".divergence-box"), title="Divergence, bits", subtitle=name)

    def _bits(self, trace: ShownTrace[PointsFrame] | None) -> str:
        """The last divergence up to the current step."""
        series = self._curves.divergence
        if trace is None or not series:
            return ""
        steps, values = series[DIVERGENCE]
        at = int(np.searchsorted(steps, trace.position, side="right")) - 1
        return f"{format_value(float(values[at]))} bits off" if at >= 0 else ""


FAMILY_HELP = "The network that learns: its family and objective"
DATA_HELP = "What it learns: four shapes, or your points (e sets them)"
LAYERS_HELP = "What is drawn: everything, or only the samples, the surface or the arrows"
NOISE_HELP = "The noise level at which the surface and the arrows are drawn"


class LabActions(Actions):
    """The rows of the settings for the family, the data and the layers."""

    def __init__(self, pane: TracePane, controller: LabController, view: LabView) -> None:
        super().__init__(pane)
        self._controller = controller
        self._view = view

    def options(self) -> list[Option]:
        """The family, the data and the layers."""
        controller, layers = self._controller, self._view.layer_name
        family, data = FAMILIES[controller.family].title, data_name(controller.prompt)
        return [
            Option("family", "family", family, FAMILY_HELP, controller.next_family, first=True),
            Option("data", "data", data, DATA_HELP, controller.next_data, first=True),
            Option("layers", "layers", layers, LAYERS_HELP, self.action_layers),
        ]

    def action_layers(self, by: int) -> None:
        """Draw the next layers of LAYERS, or those before."""
        names = [*LAYERS]
        self._view.layer_name = names[(names.index(self._view.layer_name) + by) % len(names)]
        self.pane.paint()


def _build(pane: TracePane) -> Parts:
    controller = LabController(pane.session, pane)
    planes = PlaneActions(pane, controller)
    view = LabView(pane, controller, planes)
    actions = planes, view.points, LabActions(pane, controller, view)
    return Parts(controller, view, LabInspector(pane, controller, view), actions)


PLANES = (
    Format("gif", ".gif", "the training, moving, 256 colours", "animation"),
    Format("apng", ".apng", "the training, moving, all colours", "animation"),
    Format("png", ".png", "the plane as last computed, up to step {step}",
        "frame", still=True, find_step=last_plane_step),
    Format("csv", ".csv", "the samples of that step, x,y a line", "frame", still=True,
        find_step=last_plane_step),
    TREE,
)  # fmt: skip

LAB_PANE = PaneKind(
    "lab",
    "Lab",
    "lab-pane",
    _build,
    setting="learning_rate",
    catch_up=0.5,
    compares=False,
    kept=False,
)


# --- The Lab's screen -------------------------------------------------------------------------


class LabScreen(PaneScreen):
    """The Lab's pane between the header and the footer."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.make_bindings(keys.common("lab"))]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.lab = TracePane(LAB_PANE, session)
        assert isinstance(self.lab.view, LabView)
        self.view = self.lab.view

    def compose(self) -> ComposeResult:
        yield HeaderLine()
        yield self.lab
        yield Static(id="lab-tiny", markup=False)
        yield StatusLine()
        yield FooterLine()

    def on_mount(self) -> None:
        self._fit(self.app.size.width, self.app.size.height)
        self.set_focus(self.lab)
        self.update_bars()

    def on_resize(self, event: events.Resize) -> None:
        self._fit(*event.size)

    def _fit(self, width: int, height: int) -> None:
        """Show a text instead of the pane if the terminal is too small."""
        tiny = arrange(width, height) == "tiny"
        self.set_class(tiny, "-tiny")
        if tiny:
            self.query_one("#lab-tiny", Static).update(too_small(width, height))

    def on_screen_resume(self) -> None:
        """Paint what arrived while the screen was closed."""
        if is_usable(self) and not self.view.editing:
            self.set_focus(self.lab)
            self.lab.paint()

    def open_saved(self, path: Path) -> None:
        self.call_after_refresh(self.lab.files.open_saved, path)

    # --- the lines around -----------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        return "points" if self.view.editing else self.lab.scope

    def update_bars(self) -> None:
        if not is_usable(self):
            return
        self.query_one(HeaderLine).set("lab")
        self.query_one(FooterLine).set(self.scope, False)

    async def press(self, key: keys.Key) -> None:
        panel = self.lab.tuning.panel
        namespace = {"lab": self.lab, "points": self.view.editor, "settings": panel}
        await self.app.run_action(key.action, namespace.get(key.pane, self))

    def copyables(self) -> list[Copyable]:
        return self.lab.copyables()

    async def action_undo(self) -> None:
        """Undo the last action in the Lab; if there is none, the last action elsewhere."""
        if line := self.lab.controller.undo():
            self.say(line, "note")
        else:
            await super().action_undo()

    # --- leaving ----------------------------------------------------------------------------

    def action_home(self) -> None:
        self.action_view("home")

    def action_view(self, view: ViewName) -> None:
        if view != "lab" and self.is_active:
            self.view.planes.stop_particles()
            self.lab.controller.pause()
            self.dismiss(view)

    def action_back(self) -> None:
        self.action_view("home")

    # --- the palette ------------------------------------------------------------------------

    def commands(self) -> Iterator[Command]:
        scopes: tuple[Scope, ...] = ("points", "lab") if self.view.editing else ("lab",)
        for scope in scopes:
            yield from self.list_key_commands(scope, keys.of_pane(scope))
        yield from self.list_key_commands("app", keys.common("lab"))
        yield from self.list_theme_commands()
