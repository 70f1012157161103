"""The tour: the app explained in the app, a sentence at a time.

Its steps are BEGINNING, the steps of kinds of models (`Kind.tour`), and ENDING. A step is over when
its action has happened; this is observed in the state of the app, not in the keys: nothing is
simulated, and every key works as always.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen

from genui.protocol.kinds import KINDS
from genui.ui import keys
from genui.ui.generate.pane import TracePane
from genui.ui.home_panes import CURVES, TrainingPane, tab_of
from genui.ui.lifecycle import is_usable
from genui.ui.widgets.bars import FooterLine, Line, clickable

if TYPE_CHECKING:
    from genui.ui.app import GenuiApp

TICK = 0.2  # seconds between two looks at the app
PAUSE = 1.0  # seconds for which a step that is done is marked, before the next one
AWAY = 5.0  # seconds in another place until the sentence says the way back


# --- The state of the app for the tour ----------------------------------------------------------


class Shown(NamedTuple):
    """The shown trace of a pane; -1 for its branch if there is none."""

    branch: int = -1
    forked: bool = False  # whether the branch is a fork of another
    step: int = 0
    farthest: int = 0  # the last step of this branch that was shown in this step of the tour
    playing: bool = False
    finished: bool = False
    seed: int = 0
    settings: Any = None  # of the next trace

    @property
    def went_back(self) -> bool:
        """Whether the playhead stands before a step that was shown."""
        return not self.playing and self.step < self.farthest


class Scene(NamedTuple):
    """The state of the app at one time."""

    pane: str = "models"  # or "board" for the Training screen, "screen" for that of a kind
    full: bool = False  # whether the pane fills the screen
    window: str = ""  # the class of the window in front; "" for none
    demo: bool = False
    traces: Mapping[str, Shown] = {}
    """By the id of the pane; "canvas" has that of the pane in its place."""
    runs: frozenset[str] = frozenset()
    alive: bool = False  # whether the watched run is
    points: int = 0  # of its loss
    sampled: bool = False
    cursor: bool = False  # whether there is one in the curves of the Training screen

    def trace(self, pane: str) -> Shown:
        return self.traces.get(pane, Shown())


def look(app: "GenuiApp", before: Scene) -> Scene:
    """Observe the app; `before` is the last state."""
    home, board = app.home, app.home.board
    screen = app.screen
    own = {home, board, *home.screens.values()}
    window = "" if screen in own else type(screen).__name__
    pane = "screen" if home.visible_screen else "board" if board else tab_of(home.current)
    run = board.board.runs.first if board is not None else home.query_one(TrainingPane).run
    loss = next((run.series[name] for name in CURVES if name in run.series), None) if run else None
    panes = home.query(TracePane)
    traces = {pane.pane: _shown(pane, before.trace(pane.pane)) for pane in panes}
    return Scene(
        pane=pane,
        full=home.view != "home",
        window=window,
        demo=home.demo.playing,
        traces=traces | {"canvas": traces[home.slot]},
        runs=frozenset(one.run.id for one in home.runs),
        alive=run is not None and run.summary.alive,
        points=len(loss[0]) if loss is not None else 0,
        sampled=run is not None and bool(run.sample_files),
        cursor=board is not None and board.board.cursor_step is not None,
    )


def _shown(pane: TracePane, before: Shown) -> Shown:
    controller = pane.controller
    branch, trace = controller.tree.shown, controller.trace
    if branch is None or trace is None:
        return Shown(settings=controller.settings)
    same = branch.number == before.branch
    return Shown(
        branch=branch.number,
        forked=branch.parent >= 0,
        step=trace.position,
        farthest=max(trace.position, before.farthest if same else 0),
        playing=trace.playing,
        finished=trace.finished,
        seed=controller.seed,
        settings=controller.settings,
    )


# --- The steps ----------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a step can be done, and the way there."""

    way: str
    holds: Callable[[Scene], bool]


ANYWHERE = Place("", lambda _: True)
HOME = Place("{app.home} first: ", lambda now: now.pane not in ("board", "screen"))
MODELS = Place("{app.home} goes to the list. ", lambda now: now.pane == "models")
TRAINING = Place("{app.training} for Training: ", lambda now: now.pane in ("training", "board"))


class Step(NamedTuple):
    """A sentence with keys by their ids in braces, and what must happen: `done(now, start)`.

    In another `place` the sentence begins with the way to its own. A step that does not `apply`
    when its turn comes is left out.
    """

    sentence: str
    done: Callable[[Scene, Scene], bool]
    place: Place = ANYWHERE
    applies: Callable[[Scene], bool] = lambda _: True


CLOSE = "Esc closes this. "


def has_begun(now: Shown, start: Shown) -> bool:
    """Whether another trace has begun in a pane."""
    return now.branch != start.branch and now.step > 0


BEGINNING = (
    Step(
        "A demo by shipped models: recorded, then live if this machine is idle. Any key ends it: "
        "try {app.home}.",
        lambda now, start: not now.demo,
        applies=lambda now: now.demo,
    ),
)
ENDING = (
    Step(
        "Now train a model: {app.new_run}, then Ctrl+s. shakespeare-quick needs no download "
        "and takes a minute or two.",
        lambda now, start: now.alive and not now.runs <= start.runs,
        place=HOME,
    ),
    Step(
        "It trains in its own process and continues if you quit. A curve and a first sample "
        "appear soon.",
        lambda now, start: now.points > 1 and now.sampled,
        applies=lambda now: now.alive,
    ),
    Step(
        "{app.training} shows every curve, {board.side} the samples and the console. "
        "{board.left} moves the cursor to an earlier step.",
        lambda now, start: now.cursor,
        applies=lambda now: now.points > 1,
    ),
    Step(
        "{training.stop} stops it and keeps a checkpoint: {board.resume} resumes it, "
        "{training.generate} writes with it, {models.delete} in the list deletes it.",
        lambda now, start: not now.alive,
        place=TRAINING,
        applies=lambda now: now.alive,
    ),
    Step(
        "{app.palette} finds any command here by a word of its description.",
        lambda now, start: now.window == "PaletteScreen",
    ),
    Step(
        "{app.help} lists the keys that work here, {app.manual} opens the manual.",
        lambda now, start: now.window in ("HelpScreen", "ManualScreen"),
    ),
)


def list_steps() -> list[Step]:
    """Return the steps, those of kinds in the order of their places."""
    offers = dict.fromkeys(kind.tour for kind in KINDS.values() if kind.tour is not None)
    of_kinds = [step for offer in offers for step in offer() if isinstance(step, Step)]
    return [*BEGINNING, *of_kinds, *ENDING]


END = (
    "That was the tour. In a shell, genui pull lists models to fetch; some can chat. "
    "{app.manual} manual, {app.quit} quits."
)


# --- Sentences and the strip --------------------------------------------------------------------

Part = str | tuple[str, str]

_KEY = re.compile(r"\{([\w.]+)\}")


def show_keys(sentence: str, keymap: Mapping[str, str]) -> list[Part]:
    """The parts of a sentence for `Content.assemble`, with its keys as the user has them."""
    parts = list[Part](_KEY.split(sentence))
    for at in range(1, len(parts), 2):
        parts[at] = (_first_key(keys.find_key(str(parts[at])), keymap), "bold $primary")
    return parts


def _first_key(row: keys.Key, keymap: Mapping[str, str]) -> str:
    """The key of a row as the user has it, or as the footer shows it if there is none."""
    return next(iter(keys.format_keys(keymap.get(row.id, row.keys))), row.shown)


class TourStrip(Horizontal):
    """Two lines above the footer: how far the tour is, its sentence, and its keys."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = [Line(classes=f"tour-{name}") for name in ("at", "text", "keys")]

    def compose(self) -> ComposeResult:
        yield from self._lines

    def show(self, *contents: Content) -> None:
        """Show how far, the sentence and the keys; nothing for those that are left out."""
        for at, line in enumerate(self._lines):
            line.show(contents[at] if at < len(contents) else Content(""))


# --- The tour -----------------------------------------------------------------------------------


class Tour:
    """Shows one step after the other, on whichever screen is in front."""

    def __init__(self, app: "GenuiApp") -> None:
        self._app = app
        self._left = list_steps()  # from the current one on
        self._count = 0  # of the steps that are over
        self._done_at: float | None = None  # when the current step was done
        self._here_at = 0.0  # when the user was last in the place of the current step
        self._strips: dict[Screen[Any], TourStrip] = {}
        self._start = self.now = look(app, Scene())
        app.home.clear_line()  # of the hint, which says the same
        self._turn()
        self._timer = app.set_interval(TICK, self._tick)
        self._paint()

    def skip(self) -> None:
        """Go to the next step; at the end, close the tour."""
        if not self._left:
            self.stop()
            return
        self._next()
        self._tick()

    def stop(self) -> None:
        """Remove the strip; the app stays as it is."""
        self._timer.stop()
        for screen, strip in self._strips.items():
            screen.remove_class("-tour")
            if strip.is_attached:
                strip.remove()
        self._strips.clear()
        self._app.tour = None

    def _tick(self) -> None:
        app = self._app
        if not app.is_running or not is_usable(app.home):
            return
        self.now = look(app, self.now)
        if self._left and self._left[0].place.holds(self.now):
            self._here_at = time.monotonic()
        if self._done_at is not None:
            if time.monotonic() - self._done_at >= PAUSE:
                self._next()
        elif self._left and self._left[0].done(self.now, self._start):
            self._done_at = time.monotonic()
        self._paint()

    def _next(self) -> None:
        self._left.pop(0)
        self._count += 1
        self._turn()

    def _turn(self) -> None:
        """Begin with the next step that applies."""
        while self._left and not self._left[0].applies(self.now):
            self._left.pop(0)
        self._done_at, self._here_at = None, 0.0
        now = self.now
        traces = {pane: one._replace(farthest=one.step) for pane, one in now.traces.items()}
        self._start = self.now = now._replace(traces=traces)

    # --- the strip ------------------------------------------------------------------------

    def _paint(self) -> None:
        front = self._app.screen
        for screen, strip in list(self._strips.items()):
            if screen is not front:
                strip.show()  # the one of the screen in front has the sentence
                if not strip.is_attached:
                    del self._strips[screen]
        if (strip := self._strip_of(front)) is None:
            return
        done = self._done_at is not None or not self._left
        number = f"{self._count + 1}/{self._count + len(self._left)}\n" if self._left else ""
        style = "bold $text-success" if done else "bold $accent"
        strip.show(
            Content.assemble((f"{number}{'✓' if done else '▸'}", style)),
            Content.assemble(*show_keys(self._sentence(), self._app.user_keys)),
            Content.assemble(*self._keys()),
        )

    def _sentence(self) -> str:
        now, step = self.now, self._left[0] if self._left else None
        place = step.place if step is not None else ANYWHERE
        if self._done_at is not None:
            way = ""
        elif now.window and now.window == self._start.window:
            way = CLOSE
        elif time.monotonic() - self._here_at > AWAY and not place.holds(now):
            way = place.way
        else:
            way = ""
        return way + (step.sentence if step is not None else END)

    def _keys(self) -> list[Any]:
        verbs = {"tour.skip": "skip", "tour.leave": "leave"} if self._left else {}
        parts = []
        for name, verb in (verbs or {"tour.leave": "close"}).items():
            row = keys.find_key(name)
            key = _first_key(row, self._app.user_keys)
            parts += [clickable(f"{key} ", "bold $primary", row.action)]
            parts += [clickable(f"{verb}\n", "$text-muted", row.action)]
        return parts

    def _strip_of(self, screen: Screen[Any]) -> TourStrip | None:
        """The strip of a screen, mounted above its footer; None if it has no place yet."""
        strip = self._strips.get(screen)
        if strip is None and screen.is_mounted:
            footer = next(iter(screen.query(FooterLine)), None)
            if footer is None and not screen.is_modal:
                return None
            strip = self._strips[screen] = TourStrip()
            screen.add_class("-tour")
            screen.mount(strip, before=footer)
        return strip
