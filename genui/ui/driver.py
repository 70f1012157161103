"""A terminal driver that limits and counts its output.

Textual's driver queues writes without limit and sends them all before it quits, which took 28 s
with an animated image over a 100 KiB/s link. This driver sends only changed cells, counts written
and pending bytes, queues little more than a screenful, and drops the queue at quit.
"""

import asyncio
import fcntl
import os
import select
import struct
import termios
import time
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Condition
from typing import IO, Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.events import AppFocus, Key
from textual.message import Message

from genui.render.colours import ColourMode
from genui.ui.cells import Cells
from genui.ui.facts import list_queries
from genui.ui.graphics import (
    DEVICE,
    SIXEL,
    Images,
    Replies,
    choose_in_tmux,
    choose_protocol,
    read_sixel,
    settle,
)
from genui.ui.textual_parts import IDLE, WriterThread, XTermParser, file_of, set_writer, writer_of
from genui.ui.watchdog import Watchdog

MAX_PENDING = 64 * 1024
"""With more pending bytes a repaint is skipped; the app repaints once they are written."""

BUSY = 8 * 1024
"""With more pending bytes no new frame is drawn."""

FACTS_WAIT = 0.2  # seconds in which a terminal may report its colours
_CHUNK = 2048
_OSC = "\x1b]"  # begins a command to the terminal, such as copying to its clipboard
_MIN_REPAINT = 256  # characters; shorter writes set terminal modes
_CLOSE_SECONDS = 0.5
_INPUT_WAIT = 0.1  # seconds, as in Textual
_MAX_INPUT = 4096  # bytes
# Ends an escape sequence, a string, a style and a synchronised update that were interrupted.
_RESET = "\x18\x1b\\\x1b[0m\x1b[?2026l"
_SYNC_START, _SYNC_END = "\x1b[?2026h", "\x1b[?2026l"


class MeteredWriter(WriterThread):
    """Writes in small pieces on its own thread; `write` never blocks."""

    def __init__(
        self, file: IO[str], drained: Callable[[], None], images: Images | None = None
    ) -> None:
        """`drained` is called on this thread when the queue is empty after a skipped repaint."""
        super().__init__(file)
        self._fd = file.fileno()
        self._images = Images() if images is None else images
        self._cells = Cells(0, 0)  # the contents of the terminal once the queue is written
        self._changed = Condition()
        self._pieces: deque[memoryview] = deque()
        self._in_flight = 0
        self._queued = 0
        self._pending_since = 0.0  # (monotonic)
        self._skipped = False
        self._closing = False
        self._drained = drained
        self.written = 0
        """Bytes written to the terminal."""

    @property
    def pending(self) -> int:
        """The number of bytes not written yet."""
        return self._queued + self._in_flight

    def write(self, text: str) -> None:
        """Queue the changes in `text`; skip a repaint if too much is pending."""
        with self._changed:
            repaint = len(text) >= _MIN_REPAINT and not text.startswith(_OSC)
            if self.pending > MAX_PENDING and repaint:
                self._skipped = True
                return
            self._enqueue(self._diff(text))

    def send(self, text: str) -> None:
        """Queue `text` as it is, which must not change the screen."""
        with self._changed:
            self._enqueue(text)

    def paint(self) -> None:
        """Queue the images that changed; if too much is pending, with the next repaint."""
        with self._changed:
            if self.pending > MAX_PENDING:
                self._skipped = True
            elif text := self._cells.paint():
                self._enqueue(_SYNC_START + text + _SYNC_END)

    def _enqueue(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        if not data:
            return
        if not self.pending:
            self._pending_since = time.monotonic()
        self._pieces.append(memoryview(data))
        self._queued += len(data)
        self._changed.notify()

    @property
    def behind(self) -> float:
        """For how many seconds there has been something to write without a break."""
        with self._changed:
            return time.monotonic() - self._pending_since if self.pending else 0.0

    def forget(self) -> None:
        """Send the next repaint in full: the contents of the terminal are unknown."""
        with self._changed:
            self._cells.forget()

    def _diff(self, text: str) -> str:
        """Return the changes in `text`, or all of it if the terminal was resized."""
        try:
            size = os.get_terminal_size(self._fd)
        except OSError:  # not a terminal
            return text
        if self._cells.size != size:
            self._cells = Cells(*size, self._images)
        return self._cells.update(text)

    def drop(self) -> None:
        """Drop the output that is pending here and in the kernel, and reset the terminal."""
        with self._changed:
            if not self.pending:
                return
            self._pieces.clear()
            self._queued = self._in_flight = 0
            self._skipped = False
            self._cells.forget()
            with suppress(termios.error):  # not a terminal
                termios.tcflush(self._fd, termios.TCOFLUSH)
        self.write(_RESET)

    def stop(self) -> None:
        """Write the queue and end the thread, within half a second."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self.join(_CLOSE_SECONDS)

    def run(self) -> None:
        """Write until stopped or the terminal is closed."""
        with suppress(OSError):
            while piece := self._next_piece():
                self._send(piece)
                with self._changed:
                    self._in_flight = 0
                    repaint = self._skipped and not self._pieces
                    if repaint:
                        self._skipped = False
                if repaint:
                    self._drained()

    def _next_piece(self) -> memoryview | None:
        """Wait for the next piece to write; None at the end."""
        with self._changed:
            while not self._pieces:
                if self._closing:
                    return None
                self._changed.wait()
            head = self._pieces.popleft()
            piece, rest = head[:_CHUNK], head[_CHUNK:]
            if rest:
                self._pieces.appendleft(rest)
            self._queued -= len(piece)
            self._in_flight = len(piece)
            return piece

    def _send(self, piece: memoryview) -> None:
        while piece:
            # Wait here, because `drop` cannot interrupt a write that blocks.
            select.select([], [self._fd], [])
            with self._changed:
                if not self._in_flight:  # dropped: the rest might begin inside a sequence
                    return
            sent = os.write(self._fd, piece)
            self.written += sent
            piece = piece[sent:]


class MeteredDriver(LinuxDriver):
    """Textual's driver for POSIX terminals, with a `MeteredWriter`."""

    _written_before = 0  # by earlier writers: there is one each time application mode starts
    _is_suspended = False

    def __init__(self, app: App[Any], *, debug: bool = False, **options: Any) -> None:
        super().__init__(app, debug=debug, **options)
        self._owner = app
        self._reports_keys = debug
        self.images = Images()
        self.watchdog = Watchdog(app, IDLE)
        self._replies = Replies()
        self._answer: tuple[asyncio.AbstractEventLoop, asyncio.Future[str]] | None = None

    @property
    def _writer(self) -> MeteredWriter | None:
        writer = writer_of(self)
        return writer if isinstance(writer, MeteredWriter) else None

    @property
    def bytes_written(self) -> int:
        """The number of bytes written to the terminal since the app started."""
        writer = self._writer
        return self._written_before + (writer.written if writer is not None else 0)

    @property
    def busy(self) -> bool:
        """Whether the last frame is still being written, so that the next should be skipped."""
        return self._writer is not None and self._writer.pending > BUSY

    @property
    def behind(self) -> float:
        """For how many seconds the terminal has been written to without a break."""
        return self._writer.behind if self._writer is not None else 0.0

    def paint_images(self) -> None:
        """Show the images whose data changed."""
        if self._writer is not None:
            self._writer.paint()

    async def choose_images(
        self,
        setting: str,
        colours: ColourMode,
        background: bool,
        learn: Callable[[str], ColourMode],
    ) -> None:
        """Query the features of the terminal, in one round, and choose the protocol of `images`.

        `learn` gets the replies, with those on the background if asked for, and returns the
        colours; replies that come later than FACTS_WAIT are not used for that.
        """
        choice = choose_protocol(os.environ, setting, "truecolor")
        queries = list_queries(os.environ, colours, background)
        answer = None
        if queries or choice.query:
            answer = asyncio.ensure_future(self.ask(queries + (choice.query or DEVICE)))
            await asyncio.wait({answer}, timeout=FACTS_WAIT)
            if answer.done():
                colours = learn(answer.result())
        choice = choose_protocol(os.environ, setting, colours)
        self.images.in_tmux = bool(os.environ.get("TMUX"))
        if choice.query and answer is not None:
            choice = settle(choice, await answer)
        elif choice.ask_tmux:
            choice = await asyncio.to_thread(choose_in_tmux)
        cell = self._measure_cell()
        if choice.protocol == "sixel":
            self.images.colours, answered = read_sixel(await self.ask(SIXEL))
            cell = cell or answered
            if cell is None:
                return
        self.images.cell = cell or self.images.cell
        self.images.protocol = choice.protocol

    async def ask(self, query: str) -> str:
        """Send a query that ends with DA1, and return the terminal's replies."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        self._answer = loop, answer
        self._replies.expect(time.monotonic())
        if self._writer is not None:
            self._writer.send(query)
        return await answer

    def _measure_cell(self) -> tuple[int, int] | None:
        """Return the width and height of a cell in pixels; None if it is not known."""
        size = fcntl.ioctl(self.fileno, termios.TIOCGWINSZ, bytes(8))
        lines, columns, width, height = struct.unpack("HHHH", size)
        if not (columns and lines and width >= columns and height >= lines):
            return None
        return width // columns, height // lines

    def forget(self) -> None:
        """Send the next repaint in full, after a resize."""
        if self.images.protocol and (cell := self._measure_cell()):
            self.images.cell = cell
        if self._writer is not None:
            self._writer.forget()

    def start_application_mode(self) -> None:
        super().start_application_mode()
        if (textuals := writer_of(self)) is not None:
            textuals.stop()
            writer = MeteredWriter(file_of(textuals), self._repaint, self.images)
            set_writer(self, writer)
            writer.start()

    def run_input_thread(self) -> None:
        """Read typed text, as Textual does, without the replies to queries."""
        parser = XTermParser(self._reports_keys)
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        try:
            while not self.exit_event.is_set():
                typed = ""
                if select.select([self.fileno], [], [], _INPUT_WAIT)[0]:
                    data = os.read(self.fileno, _MAX_INPUT)
                    if not data:
                        raise OSError("end of input")
                    typed = decode(data)
                typed, answer = self._replies.take(typed, time.monotonic())
                if answer:
                    self._give_answer(answer)
                try:
                    for message in parser.feed(typed) if typed else ():
                        self.process_message(message)
                    for message in parser.tick():
                        self.process_message(message)
                except (ValueError, OverflowError):  # the code of no character
                    parser = XTermParser(self._reports_keys)
                self.watchdog.look()
        except OSError:  # the terminal is gone, with or without a SIGHUP
            self._owner.call_later(self._owner.exit)

    def process_message(self, message: Message) -> None:
        if isinstance(message, AppFocus) and self.images.in_tmux:
            # tmux does not pass on data that are sent while another window is shown.
            self._owner.call_later(self._paint_all_images)
        if isinstance(message, Key):
            self.watchdog.receive()
        super().process_message(message)

    def _paint_all_images(self) -> None:
        self.images.forget()
        self.paint_images()

    def _give_answer(self, text: str) -> None:
        if self._answer is not None:
            loop, answer = self._answer
            self._answer = None
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(lambda: answer.done() or answer.set_result(text))

    def stop_application_mode(self) -> None:
        if self._writer is not None:
            self._writer.drop()
            self._writer.send(self.images.leave())
        super().stop_application_mode()

    def suspend_application_mode(self) -> None:
        """As Textual's; nothing after the end of the app, when Ctrl+Z is a signal again."""
        self._is_suspended = self._writer is not None
        if self._is_suspended:
            super().suspend_application_mode()
            self.watchdog.forget()

    def resume_application_mode(self) -> None:
        if self._is_suspended:
            self._is_suspended = False
            self.watchdog.forget()
            super().resume_application_mode()

    def close(self) -> None:
        self._written_before = self.bytes_written
        super().close()
        set_writer(self, None)

    def _repaint(self) -> None:
        self._owner.call_later(self._owner.refresh)
