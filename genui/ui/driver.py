"""A terminal driver that limits and counts its output.

Textual's driver queues writes without limit and sends them all before it quits, which took 28 s
with an animated image over a 100 KiB/s link. This driver sends only changed cells, counts written
and pending bytes, queues little more than a screenful, and drops the queue at quit.
"""

import os
import select
import termios
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Condition
from typing import IO

from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver

from genui.ui.terminal import Cells

MOST_PENDING = 64 * 1024
"""With more pending bytes a repaint is skipped; the app repaints once they are written."""

BUSY = 8 * 1024
"""With more pending bytes no new frame is drawn."""

_CHUNK = 2048
_OSC = "\x1b]"  # begins a command to the terminal, such as copying to its clipboard
_MIN_REPAINT = 256  # characters; shorter writes set terminal modes
_CLOSE_SECONDS = 0.5
# Ends an escape sequence, a style and a synchronised update that were interrupted.
_RESET = "\x18\x1b[0m\x1b[?2026l"


class MeteredWriter(WriterThread):
    """Writes in small pieces on its own thread; `write` never blocks."""

    def __init__(self, file: IO[str], drained: Callable[[], None]) -> None:
        """`drained` is called on this thread when the queue is empty after a skipped repaint."""
        super().__init__(file)
        self._fd = file.fileno()
        self._cells = Cells(0, 0)  # the contents of the terminal once the queue is written
        self._changed = Condition()
        self._pieces: deque[memoryview] = deque()
        self._in_flight = 0
        self._queued = 0
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
            if self.pending > MOST_PENDING and repaint:
                self._skipped = True
                return
            data = self._diff(text).encode("utf-8", "replace")
            if not data:
                return
            self._pieces.append(memoryview(data))
            self._queued += len(data)
            self._changed.notify()

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
            self._cells = Cells(*size)
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

    @property
    def bytes_written(self) -> int:
        """The number of bytes written to the terminal since the app started."""
        writer = self._writer_thread
        return self._written_before + (writer.written if isinstance(writer, MeteredWriter) else 0)

    @property
    def pending_bytes(self) -> int:
        """The number of bytes not written to the terminal yet."""
        writer = self._writer_thread
        return writer.pending if isinstance(writer, MeteredWriter) else 0

    @property
    def busy(self) -> bool:
        """Whether the last frame is still being written, so that the next should be skipped."""
        return self.pending_bytes > BUSY

    def forget(self) -> None:
        """Send the next repaint in full, after a resize."""
        if isinstance(self._writer_thread, MeteredWriter):
            self._writer_thread.forget()

    def start_application_mode(self) -> None:
        super().start_application_mode()
        if self._writer_thread is not None:
            self._writer_thread.stop()
            self._writer_thread = MeteredWriter(self._writer_thread._file, self._repaint)
            self._writer_thread.start()

    def run_input_thread(self) -> None:
        while not self.exit_event.is_set():
            try:
                super().run_input_thread()
            except OSError:  # the terminal is gone, with or without a SIGHUP
                self._app.call_later(self._app.exit)
                return
            except (ValueError, OverflowError):
                continue  # not UTF-8, or the code of no character: what follows is read anew

    def stop_application_mode(self) -> None:
        if isinstance(self._writer_thread, MeteredWriter):
            self._writer_thread.drop()
        super().stop_application_mode()

    def close(self) -> None:
        self._written_before = self.bytes_written
        super().close()
        self._writer_thread = None

    def _repaint(self) -> None:
        self._app.call_later(self._app.refresh)
