"""The first curves of `genui watch`, read and drawn by a child while its parent imports Textual.

NumPy, the first part of a log and its curves take about as long as Textual takes: one after
the other they were half of the time to the first chart. The child is a fork, made before
anything large was imported, so it costs a page table. It is asked over a pipe and answers in
milliseconds; once the parent has read the log itself it ends. Where it is not ready in
time, or anything goes wrong in it, the parent does as it would without.
"""

import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

ANSWER = 0.25  # seconds that a chart may take; then the parent goes on without
_LARGEST = 1 << 20  # bytes of a message


class EarlyLine(Struct, frozen=True):
    """What the title of a curve tells of one of its lines."""

    label: str
    part: str
    kind: Literal["line", "smoothed", "marks"]
    values: tuple[float, ...]  # the last


class EarlyPlot(Struct, frozen=True):
    metrics: tuple[str, ...]
    lines: tuple[EarlyLine, ...]


class Page(Struct, frozen=True):
    """The first thing that is said: what there is to draw."""

    chosen: int
    plots: tuple[EarlyPlot, ...]


class Ask(Struct, frozen=True):
    plot: int
    width: int
    height: int


class Drawn(Struct, frozen=True):
    """A chart: its lines of (text, look) and its caption; no lines where there is no room."""

    lines: list[list[tuple[str, str]]]
    caption: str


class Early:
    """The parent's end."""

    def __init__(self, link: socket.socket, child: int) -> None:
        self._link, self._child = link, child
        self.page: Page | None = None

    def ready(self) -> bool:
        """Whether the child has something to draw; never waits. It is closed where not."""
        if self.page is None:
            self.page = self._receive(Page, 0.0)
            if self.page is None or not self.page.plots:
                self.close()
                return False
        return True

    def draw(self, plot: int, width: int, height: int) -> Drawn | None:
        """That plot in so many cells; None where the child has gone or is late.

        It is let go then: a late answer would be taken for that to the next question.
        """
        drawn = None
        with suppress(OSError):
            self._link.send(msgspec.msgpack.encode(Ask(plot, width, height)))
            drawn = self._receive(Drawn, ANSWER)
        if drawn is None:
            self.close()
        return drawn

    def close(self) -> None:
        """Let the child go."""
        self.page = None
        self._link.close()
        if self._child:
            with suppress(OSError):
                os.kill(self._child, signal.SIGKILL)  # whatever it is at, nobody wants it
                os.waitpid(self._child, 0)
            self._child = 0

    def _receive(self, kind: type[Any], patience: float) -> Any:
        try:
            self._link.settimeout(patience)
            return msgspec.msgpack.decode(self._link.recv(_LARGEST), type=kind)
        except (OSError, ValueError):  # nothing there yet, nobody there, or not what was asked
            return None


def begin(paths: Sequence[Path] | None) -> Early | None:
    """Start a child on what `genui watch` was asked for; None where that gains nothing.

    To be called before threads are started.
    """
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        return None  # elsewhere a fork is no safe place to import NumPy in
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
        child = os.fork()
    except OSError:
        return None
    if child:
        theirs.close()
        return Early(ours, child)
    code = 1
    try:
        ours.close()
        _be_quiet()
        _serve(theirs, paths)
        code = 0
    finally:
        os._exit(code)  # nothing of the parent's is to be flushed or cleaned up twice


def _be_quiet() -> None:
    """The terminal and its signals are the parent's alone."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _serve(link: socket.socket, paths: Sequence[Path] | None) -> None:
    """Say what there is to draw, then draw what is asked for until nobody asks any more."""
    from genui.render.curves import Curves, Look
    from genui.ui.board.board import series_of
    from genui.ui.board.opening import opened
    from genui.ui.board.view_state import looked_at
    from genui.ui.looking import RunLook
    from genui.ui.sought import seek

    sought = seek(paths, None)
    board = opened(sought.key, sought.runs[:1], sought.runs)
    for one in board.runs:
        view = RunLook(one).read()
        if view is not None:
            board.receive(view)
    plots = board.plots()
    lines = [board.lines(plot) for plot in plots]
    said = tuple(
        EarlyPlot(
            plot.metrics,
            tuple(EarlyLine(x.label, x.part, x.kind, (float(x.values[-1]),)) for x in its),
        )
        for plot, its in zip(plots, lines, strict=True)
    )
    link.send(msgspec.msgpack.encode(Page(board.chosen(), said)))
    look = Look(**looked_at(board.state), overlaps=board.overlaps(), legend=False)
    while asked := link.recv(_LARGEST):
        ask = msgspec.msgpack.decode(asked, type=Ask)
        curves = Curves()
        curves.set_series(*series_of(lines[ask.plot]))
        chart = curves.chart(ask.width, ask.height, look)
        drawn = Drawn(chart.lines, chart.caption) if chart else Drawn([], "")
        link.send(msgspec.msgpack.encode(drawn))
