"""The driver on a real terminal: a pseudo-terminal read as slowly as a poor link."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pyte
import pytest
from pseudo_terminal import environment, start_in_terminal
from waiting import PATIENCE

from genui.ui.driver import MAX_PENDING, MeteredWriter
from genui.ui.terminal import choose_driver, get_metered_driver

APP = """
import numpy as np
from textual.app import App
from genui.ui.terminal import choose_driver, get_metered_driver
from genui.ui.textual_parts import writer_of
from genui.ui.widgets.image import ImageView

class Flood(App):
    BINDINGS = [("q", "quit", "quit")]
    CSS = "ImageView { width: 64; height: 32; }"
    frames = 0

    def __init__(self):
        super().__init__(driver_class=choose_driver())

    def compose(self):
        yield ImageView()

    def on_mount(self):
        self.set_interval(1 / 30, self.frame)

    def frame(self):
        self.frames += 1
        image = np.random.default_rng(self.frames).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        self.query_one(ImageView).show(image)

app = Flood()
app.run()
driver = get_metered_driver(app)
print("METERED", driver is not None and driver.bytes_written > 100_000)
driver.suspend_application_mode()  # by a Ctrl+Z too late
driver.resume_application_mode()
print("ENDED", writer_of(driver) is None)
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a pseudo-terminal: the one to read, the one to write."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def take(fd: int, until: bytes) -> bytes:
    """What arrives, up to and with `until`."""
    data = b""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and until not in data:
        if select.select([fd], [], [], 0.02)[0]:
            data += os.read(fd, 65536)
    return data


def fill(writer: MeteredWriter) -> None:
    """Wait until the kernel's buffer is full, which nobody reads."""
    written = -1
    while written != writer.written or not written:
        written = writer.written
        time.sleep(0.2)


def test_quitting_leaves_a_slow_terminal_at_once_and_as_it_was() -> None:
    process, fd = start_in_terminal([sys.executable, "-c", APP], (100, 40), environment({}))
    data = b""
    asked: int | None = None
    while True:
        try:
            piece = os.read(fd, 1024)
        except OSError:
            break
        data += piece
        if asked is None:
            time.sleep(len(piece) / (100 * 1024))  # the link: 100 KiB/s
            if len(data) > 150_000:
                os.write(fd, b"q")
                asked = len(data)
    os.close(fd)
    assert process.wait() == 0, data[-2000:].decode(errors="replace")
    assert asked is not None
    # What was queued is dropped: at most the frames drawn until the key was seen, where
    # Textual's own driver would send the thirty it keeps.
    assert len(data) - asked < 300_000
    assert b"METERED True" in data
    assert b"ENDED True" in data
    left = data[data.rindex(b"\x1b[?1049l") :]
    assert b"\x1b[?25h" in left
    # Where nothing waited there was nothing to begin anew.
    restored = data[max(data.rfind(b"\x1b[?2026l"), asked) :]
    for mode in (b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?2004l", b"\x1b[<u"):
        assert mode in restored


def test_it_counts_what_is_taken_and_what_waits(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    with os.fdopen(os.dup(theirs), "w") as file:
        writer = MeteredWriter(file, lambda: None)
        writer.write("é" * 1000)
        assert (writer.pending, writer.written) == (2000, 0)
        writer.start()
        assert take(ours, until=b"\xa9" * 1) != b""
        writer.stop()
        assert (writer.pending, writer.written) == (0, 2000)


def test_it_tells_for_how_long_it_has_been_behind(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = terminal
    clock = SimpleNamespace(monotonic=lambda: 10.0)
    monkeypatch.setattr("genui.ui.driver.time", clock)
    with os.fdopen(os.dup(theirs), "w") as file:
        writer = MeteredWriter(file, lambda: None)
        assert writer.behind == 0.0
        writer.write("a")
        clock.monotonic = lambda: 13.0
        writer.write("b")
        assert writer.behind == 3.0
        writer.start()
        take(ours, until=b"b")
        writer.stop()
        assert writer.behind == 0.0


def test_repaints_are_skipped_behind_a_full_queue_and_asked_for_again(
    terminal: tuple[int, int],
) -> None:
    ours, theirs = terminal
    drained = threading.Event()
    with os.fdopen(os.dup(theirs), "w") as file:
        writer = MeteredWriter(file, drained.set)
        writer.write("a" * (MAX_PENDING + 1))
        writer.write("b" * 1000)
        writer.write("\x1b[?25l")
        assert writer.pending == MAX_PENDING + 1 + 6
        writer.start()
        data = take(ours, until=b"\x1b[?25l")
        assert drained.wait(PATIENCE)
        writer.stop()
    assert data.count(b"a") == MAX_PENDING + 1
    assert b"b" not in data


def test_dropping_forgets_what_waits_and_leaves_no_style_behind(
    terminal: tuple[int, int],
) -> None:
    ours, theirs = terminal
    with os.fdopen(os.dup(theirs), "w") as file:
        writer = MeteredWriter(file, lambda: None)
        writer.start()
        writer.write("\x1b[31m" + "x" * 200_000)
        fill(writer)
        writer.drop()
        writer.write("done")
        data = take(ours, until=b"done")
        writer.stop()
    assert len(data) < 10_000
    screen = pyte.Screen(100, 40)
    pyte.ByteStream(screen).feed(b"\x1b[2J\x1b[H" + data[data.index(b"\x1b[0m") :])
    assert screen.buffer[0][0].data == "d"
    assert screen.buffer[0][0].fg == "default"


def test_after_dropping_nothing_begins_within_a_sequence(terminal: tuple[int, int]) -> None:
    """What was being written when the queue was dropped is not written to its end."""
    ours, theirs = terminal
    sequence = b"\x1b[38;2;10;20;130m"
    with os.fdopen(os.dup(theirs), "w") as file:
        writer = MeteredWriter(file, lambda: None)
        writer.start()
        writer.write(sequence.decode() * 9000)
        fill(writer)
        writer.drop()
        writer.write("done")
        data = take(ours, until=b"done")
        writer.stop()
    before, cancel, after = data.partition(b"\x18")
    assert (cancel + after).endswith(b"\x18\x1b\\\x1b[0m\x1b[?2026ldone")
    whole, rest = divmod(len(before), len(sequence))
    assert before == sequence * whole + sequence[:rest]


def test_stopping_does_not_wait_for_a_terminal_that_takes_nothing(
    terminal: tuple[int, int],
) -> None:
    ours, theirs = terminal
    with os.fdopen(os.dup(theirs), "w") as file:
        writer = MeteredWriter(file, lambda: None)
        writer.start()
        writer.write("x" * 200_000)
        stopper = threading.Thread(target=writer.stop)
        stopper.start()
        stopper.join(PATIENCE)
        assert not stopper.is_alive()
        writer.drop()
        take(ours, until=b"\x1b[?2026l")
        writer.join(PATIENCE)
        assert not writer.is_alive()


def test_without_a_terminal_textual_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with os.fdopen(read) as stdin, os.fdopen(write, "w") as stderr:
        monkeypatch.setattr(sys, "__stdin__", stdin)
        monkeypatch.setattr(sys, "__stderr__", stderr)
        assert choose_driver() is None


async def test_an_app_without_the_driver_has_no_meter() -> None:
    from textual.app import App

    app: App[None] = App()
    async with app.run_test():
        assert get_metered_driver(app) is None
