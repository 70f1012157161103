"""A terminal driver that knows what the terminal has taken.

Textual's own driver queues writes and, at quit, sends all of them before it gives the
terminal back: 28 s on a 100 KiB/s link with a picture moving. This one sends only the
cells that changed, counts bytes, says how many wait, lets little more than a screen of
them wait, and drops them at quit.
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
"""Above this many waiting bytes a repaint is skipped, and made up for once they are gone."""

BUSY = 8 * 1024
"""Above this many waiting bytes another frame would only wait behind the last."""

_CHUNK = 2048
# Terminal modes are set in short writes, repaints come in long ones.
_SHORTEST_REPAINT = 256
_CLOSE_SECONDS = 0.5
# Ends what a cut-off write may have left open: a sequence, a style, a synchronised update.
_WHOLE_AGAIN = "\x18\x1b[0m\x1b[?2026l"


class MeteredWriter(WriterThread):
    """Writes in small pieces on a thread of its own, and never makes the app wait."""

    def __init__(self, file: IO[str], drained: Callable[[], None]) -> None:
        """`drained` is called on this thread when skipped repaints can be made up for."""
        super().__init__(file)
        self._fd = file.fileno()
        self._cells = Cells(0, 0)  # what the terminal shows once all that waits is written
        self._changed = Condition()
        self._waiting: deque[memoryview] = deque()
        self._in_flight = 0
        self._queued = 0
        self._skipped = False
        self._closing = False
        self._drained = drained
        self.written = 0
        """Bytes the terminal has taken."""

    @property
    def pending(self) -> int:
        """Bytes the terminal has not taken yet."""
        return self._queued + self._in_flight

    def write(self, text: str) -> None:
        """Queue what `text` changes; skip it where it is a repaint and too much waits already."""
        with self._changed:
            if self.pending > MOST_PENDING and len(text) >= _SHORTEST_REPAINT:
                self._skipped = True
                return
            data = self._news(text).encode("utf-8", "replace")
            if not data:
                return
            self._waiting.append(memoryview(data))
            self._queued += len(data)
            self._changed.notify()

    def forget(self) -> None:
        """The terminal may show anything: send the next repaint whole."""
        with self._changed:
            self._cells.forget()

    def _news(self, text: str) -> str:
        """What of `text` the terminal does not show yet; all of it where its size is new."""
        try:
            size = os.get_terminal_size(self._fd)
        except OSError:  # not a terminal
            return text
        if self._cells.size != size:
            self._cells = Cells(*size)
        return self._cells.update(text)

    def drop(self) -> None:
        """Forget what waits here and in the kernel, and leave the terminal in a known state."""
        with self._changed:
            if not self.pending:
                return
            self._waiting.clear()
            self._queued = 0
            self._skipped = False
            self._cells.forget()
            with suppress(termios.error):  # not a terminal: the kernel holds nothing back
                termios.tcflush(self._fd, termios.TCOFLUSH)
        self.write(_WHOLE_AGAIN)

    def stop(self) -> None:
        """Write what waits and end; a terminal that takes nothing has half a second."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self.join(_CLOSE_SECONDS)

    def run(self) -> None:
        """Write until stopped. A terminal that has gone away ends it quietly."""
        with suppress(OSError):
            while piece := self._take():
                self._send(piece)
                with self._changed:
                    self._in_flight = 0
                    made_up = self._skipped and not self._waiting
                    if made_up:
                        self._skipped = False
                if made_up:
                    self._drained()

    def _take(self) -> memoryview | None:
        """The next piece to write; None when there is none and none will come."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            head = self._waiting.popleft()
            piece, rest = head[:_CHUNK], head[_CHUNK:]
            if rest:
                self._waiting.appendleft(rest)
            self._queued -= len(piece)
            self._in_flight = len(piece)
            return piece

    def _send(self, piece: memoryview) -> None:
        while piece:
            # A write to a full terminal blocks where `drop` cannot reach it; waiting does not.
            select.select([], [self._fd], [])
            sent = os.write(self._fd, piece)
            self.written += sent
            piece = piece[sent:]


class MeteredDriver(LinuxDriver):
    """Textual's driver for POSIX terminals with a `MeteredWriter`."""

    _written_before = 0  # by the writers of earlier spells in application mode

    @property
    def bytes_written(self) -> int:
        """Bytes the terminal has taken since the app began."""
        writer = self._writer_thread
        return self._written_before + (writer.written if isinstance(writer, MeteredWriter) else 0)

    @property
    def pending_bytes(self) -> int:
        """Bytes waiting for the terminal."""
        writer = self._writer_thread
        return writer.pending if isinstance(writer, MeteredWriter) else 0

    @property
    def busy(self) -> bool:
        """Another frame should be skipped: the terminal has not taken the last one."""
        return self.pending_bytes > BUSY

    def forget(self) -> None:
        """The terminal was resized and may show anything: send the next repaint whole."""
        if isinstance(self._writer_thread, MeteredWriter):
            self._writer_thread.forget()

    def start_application_mode(self) -> None:
        super().start_application_mode()
        if self._writer_thread is not None:
            self._writer_thread.stop()
            self._writer_thread = MeteredWriter(self._writer_thread._file, self._repaint)
            self._writer_thread.start()

    def run_input_thread(self) -> None:
        try:
            super().run_input_thread()
        except OSError:  # the terminal is gone, with or without a SIGHUP
            self._app.call_later(self._app.exit)

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
