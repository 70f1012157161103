"""What the walk through all keys and the monkey share: inputs, a home, and the app they press.

As a program it is that app, for a real terminal: `fingers.py fake`, or `real` for the real worker.

Trainers are stand-ins that hold the lock of their run for some seconds; a form measures no
training. Nothing outside the throw-away home can be written.
"""

import asyncio
import faulthandler
import os
import signal
import string
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from harness import Terminal, home

# isort: split
import stage  # the tests' stage of the app, once it can be found
from acting import idle, key_event
from fake_lab_worker import FakeLab
from fake_music_worker import FakeMusic
from fake_pipes import Fake
from fake_process import in_process
from fake_walk_worker import FakeWalk
from fake_worker import FakeWorker
from private_textual import ANSI_SEQUENCES_KEYS
from textual import events
from textual.geometry import Size
from textual.worker import Worker, WorkerState

from genui import protocol
from genui.kinds.gan.walk import LatentSettings
from genui.kinds.lab.messages import LabSettings
from genui.ui import app, keys, new_run, windows
from genui.ui.app import GenuiApp
from genui.ui.session import Launch, launch_worker
from genui.ui.textual_parts import IDLE, is_closing, is_ending
from genui.ui.watchdog import describe_tasks, stalls_file
from genui.ui.widgets.panes import Pane

TRAINING_SECONDS = "20"
FAULTS, STACKS = "faults.txt", "stacks.txt"  # in the home
SIZE = (120, 40)
KEY_SECONDS = 0.02  # between keys in a terminal
SLOW = 300.0  # seconds until all keys before are answered on a machine that is busy
LEAVE_TOUR = "f3"  # the only thing that Esc does not leave
ESCAPES = 12  # presses of Esc that leave every window
PRINTABLE = [c for c in string.printable + "éß字€" if c.isprintable()]
ARROWS = ["up", "down", "left", "right", "home", "end", "pageup", "pagedown"]
CONTROL = [f"ctrl+{letter}" for letter in "abdefghklnoprstuvwxyz"]  # ^c and ^q are the app's own
FUNCTION = [f"f{n}" for n in range(1, 13)]
OTHERS = ["enter", "escape", "tab", "shift+tab", "space", "backspace", "delete", "insert"]
OF_THE_TABLE = sorted({key for row in keys.list_keys() for key in row.keys.split(",") if key})


class Input(NamedTuple):
    """A key by its name, or a click or turn of the wheel at a share of the screen, a paste, a
    resize, bytes that are no key, or a pause in seconds."""

    kind: str
    value: Any

    def __str__(self) -> str:
        return self.value if self.kind == "key" else f"{self.kind} {self.value!r}"


def all_keys() -> list[str]:
    """Every key of the table and every printable one, without repeats."""
    shifted = [f"shift+{key}" for key in ARROWS]
    listed = [*OF_THE_TABLE, *PRINTABLE, *ARROWS, *shifted, *CONTROL, *FUNCTION, *OTHERS]
    return list({key_event(key).key: key for key in listed}.values())


# --- As events of an app in this process, and as bytes of a terminal --------------------------


def to_events(one: Input, size: tuple[int, int]) -> list[events.Event]:
    match one.kind:
        case "key":
            return [key_event(one.value)]
        case "paste":
            return [events.Paste(one.value)]
        case "resize":
            return [events.Resize(Size(*one.value), Size(*one.value))]
        case "click" | "wheel":
            x, y = (int(part * most) for part, most in zip(one.value, size, strict=True))
            at = (None, x, y, 0, 0, int(one.kind == "click"), False, False, False, x, y)
            if one.kind == "wheel":
                return [events.MouseScrollDown(*at)]
            return [events.MouseMove(*at), events.MouseDown(*at), events.MouseUp(*at)]
    return []


_BYTES = {
    **{key: chars for chars, names in reversed([*ANSI_SEQUENCES_KEYS.items()])
       if isinstance(names, tuple) and len(names) == 1 for key in [names[0].value]},
    "escape": "\x1b[27u",  # as kitty has it: the parser need not wait for the rest of a sequence
    "enter": "\r", "tab": "\t", "space": " ", "backspace": "\x7f",
}  # fmt: skip


def to_bytes(one: Input, size: tuple[int, int]) -> bytes:
    """What a terminal sends; nothing for a resize."""
    match one.kind:
        case "key":
            event = key_event(one.value)
            return (_BYTES.get(event.key) or event.character or "").encode()
        case "paste":
            return f"\x1b[200~{one.value}\x1b[201~".encode()
        case "click" | "wheel":
            x, y = (int(part * most) + 1 for part, most in zip(one.value, size, strict=True))
            if one.kind == "wheel":
                return f"\x1b[<65;{x};{y}M".encode()
            return f"\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m".encode()
        case "junk":
            return one.value
    return b""


# --- A home and the app -----------------------------------------------------------------------


class Everything(Fake):
    """One fake worker for all panes: of text, images and music, of walks, and of the Lab."""

    def __init__(self) -> None:
        super().__init__()
        self._worker = FakeWorker()
        self._of_kind = {LabSettings: FakeLab(), LatentSettings: FakeWalk()}
        self._music = FakeMusic()
        self._of_trace: dict[int, Fake] = {}

    def answer(self, request: protocol.Request) -> None:
        fake: Fake = self._of_trace.get(getattr(request, "trace", -1), self._worker)
        match request:
            case protocol.Start():
                writer = self._music if request.model == "chorales" else self._worker
                fake = self._of_kind.get(type(request.settings), writer)
            case protocol.Fork():
                fake = self._of_trace[request.parent]
        if isinstance(request, protocol.Start | protocol.Fork):
            self._of_trace[request.trace] = fake
        fake.answer(request)
        self.replies += fake.take_replies()


@contextmanager
def busy_home() -> Iterator[Path]:
    """A home with runs in several states; the current folder is in it."""
    with home() as folder:
        stage.make_run(name="plays", step=300, steps=300, state="finished")
        stage.make_run(name="cut", step=200, steps=400)
        stage.make_run(name="broken", step=50, state="failed", error="NaN", checkpoint=False)
        stage.make_run("icons", name="pictures", step=200, steps=400)
        here = folder / "here"
        here.mkdir()
        os.chdir(here)
        yield folder


def count_runs(folder: Path) -> int:
    """How many runs are on the disk, those that can be brought back among them."""
    return sum(1 for _ in (folder / "data" / "runs").glob("**/run.json"))


faults: list[str] = []
"""What went wrong in this process besides what ends the app, once each."""


def note_fault(text: str) -> None:
    """Also in a file, for who has this process in a terminal."""
    if text not in faults:
        faults.append(text)
        with open(Path(os.environ["GENUI_HOME"], FAULTS), "a") as file:
            file.write(f"{text}\n")


def _watch_workers() -> None:
    """Note what ends a worker of Textual's, which otherwise nobody is told."""
    run = Worker._run

    async def watched(worker: Worker[Any], app: Any) -> None:
        await run(worker, app)
        if worker.state is WorkerState.ERROR and worker.error is not None:
            note_fault("".join(traceback.format_exception(worker.error)))

    Worker._run = watched  # type: ignore[method-assign]


def _forbid_writing(folder: Path) -> None:
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    allowed = str(folder), "/dev/", "/proc/"

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(args[0], str) or not (args[2] or 0) & writes:
            return
        if not os.path.abspath(args[0]).startswith(allowed):
            raise PermissionError(13, "outside the throw-away home", args[0])

    sys.addaudithook(audit)


def _note_of_thread(args: threading.ExceptHookArgs) -> None:
    if not isinstance(args.exc_value, OSError):  # the terminal was closed
        note_fault("".join(traceback.format_exception(args.exc_value)))


def prepare(folder: Path) -> None:
    """Stand-ins for what takes the machine; faults are noted."""
    from genui.runs import launch

    launch.foreground = lambda run: ["sleep", TRAINING_SECONDS]
    new_run.PLANNER = ("true",)
    windows.MetricsScreen.__init__.__defaults__ = (("true",),)
    os.environ["BROWSER"] = "true"
    _watch_workers()
    threading.excepthook = _note_of_thread
    _forbid_writing(folder)


def make_launch(worker: str) -> Launch:
    """What starts the worker: the real one, or the fake one in this process."""
    return launch_worker if worker == "real" else in_process(Everything)


class Hand:
    """Presses keys in an app in this process, and checks what they leave."""

    def __init__(self, app: GenuiApp, folder: Path) -> None:
        self.app, self.folder = app, folder
        self.size = SIZE
        self._layout: dict[str, Any] = {}

    @property
    def gone(self) -> bool:
        """Whether the app has ended, as after `q`, or is about to."""
        return is_ending(self.app) or not self.app.is_running or not self.app.screen_stack

    async def press(self, *burst: Input) -> None:
        """All at once, then wait until nothing is left to do."""
        for one in burst:
            if one.kind == "pause":
                await asyncio.sleep(one.value)
            if one.kind == "resize":
                self.size = one.value
            for event in to_events(one, self.size):
                self.app.post_message(event)
        await self.settle()

    async def settle(self) -> None:
        faulthandler.dump_traceback_later(
            60, exit=True, file=sys.__stderr__ or 2
        )  # a hang shows where it is
        await idle(2)
        loop = asyncio.get_running_loop()
        end = loop.time() + 5
        while not self.gone and self.app._queued_keys and loop.time() < end:
            await asyncio.sleep(0.02)
            await idle(1)
        faulthandler.cancel_dump_traceback_later()

    async def go_home(self) -> None:
        """Esc and then 1, as a user does who is lost."""
        app = self.app
        for turn in range(ESCAPES):
            if self.gone or app.screen in (app.home, *app.home.screens.values(), app.home.board):
                break
            await self.press(Input("key", "escape"))
            await asyncio.sleep(0.02 * turn)  # a page of the manual is parsed on a thread
        await self.press(*[Input("key", "escape")] * 3)
        await self.press(Input("key", LEAVE_TOUR))
        for _ in range(2):
            if not self.gone and not (app.screen is app.home and app.home.view == "home"):
                await self.press(Input("key", "1"))
        await self.press(Input("key", "1"))

    async def check(self) -> str:
        """What is wrong with the app once it is home again; "" if nothing is."""
        app = self.app
        await self.go_home()
        if self.gone:
            return "" if not app.return_code else "it has ended"
        if app.screen is not app.home or app.home.view != "home":
            return f"Esc and 1 do not lead home from {app.screen_stack!r}\n{pending()}"
        await self.press(Input("resize", SIZE))
        await self.press(Input("key", "escape"))
        self._layout = self._layout or self._measure()
        if not await self._until(lambda: self._measure() == self._layout):
            return f"the layout was {self._layout}, is {self._measure()}"
        await self.press(Input("key", "question_mark"))
        if not await self._until(
            lambda: isinstance(app.screen, windows.Window) and bool(app.screen.query(".help"))
        ):
            return f"? does not open the help: {app.screen!r}, focus {app.focused!r}"
        await self.press(Input("key", "escape"))
        if not await self._until(lambda: app.screen is app.home):
            return f"Esc does not leave the help: {app.screen!r}"
        return ""

    async def _until(self, true: Callable[[], bool]) -> bool:
        """Wait until something is true: a busy machine lays out late, and answers late."""
        for _ in range(100):
            if true():
                return True
            await asyncio.sleep(0.1)
            await self.settle()
        return False

    def _measure(self) -> dict[str, Any]:
        """Where the panes and lines of Home are; one of those that share a place as the Canvas."""
        app = self.app
        shown = [pane for pane in app.home.query(Pane) if not pane.has_class("-hidden")]
        places = {("canvas" if "slot" in p.classes else str(p.id)): p.region for p in shown}
        lines = {line: app.home.query_one(f"#{line}").region for line in ("header", "footer")}
        return places | lines


def pending() -> str:
    """What the tasks wait for that do more than to take the next message."""
    return "\n".join(describe_tasks(IDLE))


def describe(burst: Iterable[Input]) -> str:
    return " ".join(map(str, burst))


class Far:
    """Presses keys in an app in a real terminal: what is sent together is one write."""

    def __init__(self, folder: Path, worker: str) -> None:
        self.folder = folder
        self.size = SIZE
        program = [sys.executable, __file__, worker]
        self.terminal = Terminal(program, size=SIZE, env={"GENUI_HOME": str(folder)})
        self.terminal.until(lambda text: "─ Models " in text)

    @property
    def gone(self) -> bool:
        return self.terminal.process.poll() is not None

    def press(self, *burst: Input) -> None:
        for one in burst:
            if one.kind == "resize":
                self.size = one.value
                self.terminal.resize(*one.value)
            if one.kind == "pause":
                time.sleep(one.value)
        data = b"".join(to_bytes(one, self.size) for one in burst)
        with suppress(OSError):  # it has ended
            self.terminal.press(data.decode(errors="surrogateescape"))
        time.sleep(KEY_SECONDS * len(burst))

    def check(self) -> str:
        """What is wrong with the app once it is home again; "" if nothing is, or if it is gone."""
        if self.terminal.cooked:  # it is ending, and ^S may have stopped its last words
            self.press(Input("junk", b"\x11"))
            time.sleep(1)
        self.press(Input("junk", b"\x1b[201~"))  # ends a paste that junk may have begun
        for turn in range(ESCAPES):
            self.press(Input("key", "escape"))
            time.sleep(0.02 * turn)
        self.press(Input("key", LEAVE_TOUR), Input("key", "1"), Input("key", "1"))
        self.press(Input("resize", (119, 39)))
        self.press(Input("resize", SIZE))
        try:
            self.press(Input("key", "question_mark"))
            self.terminal.until(lambda text: "Keys of" in text, SLOW)
            self.press(Input("key", "escape"))
            self.terminal.until(lambda text: "Keys of" not in text, SLOW)
        except AssertionError as error:
            if self.terminal.ended:
                self.terminal.wait()
                return ""
            self.terminal.signal(signal.SIGUSR1)
            time.sleep(1)
            paths = self.folder / STACKS, stalls_file()
            stacks = "\n".join(path.read_text()[-20_000:] for path in paths if path.exists())
            return f"it does not answer: {error}\n{stacks}"
        return ""

    def end(self) -> str:
        """End it; what it said if it had ended by itself, other than as `q` does."""
        fault = ""
        # It was ending already when a later Ctrl+C reached it as a signal.
        if self.gone and (code := self.terminal.wait()) not in (0, -signal.SIGINT):
            fault = f"exit code {code}: {self.terminal.output[-6000:].decode(errors='replace')}"
        self.terminal.__exit__(None, None, None)
        return fault


class Watched(GenuiApp):
    """The app in a terminal, which writes how it is into a file when it gets SIGUSR1."""

    def __init__(self, tour: bool = False) -> None:
        super().__init__(make_launch(sys.argv[1]), tour)
        self._keys: deque[str] = deque(maxlen=40)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self._keys.append(event.key)
        await super().on_event(event)

    def on_load(self) -> None:
        super().on_load()
        stacks = Path(os.environ["GENUI_HOME"], STACKS)

        def write(number: int, frame: Any) -> None:
            ending = is_ending(self), is_closing(self), self.message_queue_size
            state = self.screen_stack, self.focused, self._queued_keys, ending, list(self._keys)
            stacks.write_text(f"{state}\n{pending()}\n{''.join(traceback.format_stack(frame))}")

        signal.signal(signal.SIGUSR1, write)


if __name__ == "__main__":
    prepare(Path(os.environ["GENUI_HOME"]))
    app.GenuiApp = Watched
    sys.exit(app.run())
