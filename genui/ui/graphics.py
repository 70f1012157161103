"""Images in pixels: which protocol a terminal has for them, and where they are on the screen.

A view that shows an image fills its cells with markers: characters of a private use area, one for
each cell of the image. Textual composes them like any text, so that after each repaint `Cells`
knows from the markers where an image is and which parts of it are covered. `Images` then paints the
images whose place or data changed. A widget that covers an image needs no care: kitty draws it
above, and in the other protocols it is written after the image.

Textual is not imported here: `genui doctor` asks the terminal too.
"""

import os
import random
import re
import select
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Literal, NamedTuple

from genui.base.calls import run_program
from genui.base.late import late_imports

with late_imports():
    from genui.render import pixels

if TYPE_CHECKING:
    import numpy as np

    from genui.render.pixels import Encoded

Protocol = Literal["kitty", "iterm2", "sixel"]
PROTOCOLS: tuple[Protocol, ...] = ("kitty", "iterm2", "sixel")

# --- Which protocol ---------------------------------------------------------------------------

DEVICE = "\x1b[c"  # DA1, which every terminal answers: the last query, whose answer ends them
_KITTY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"  # may an image of one pixel be shown?
SIXEL = "\x1b[?1;1;0S\x1b[16t" + DEVICE  # colours (XTSMGRAPHICS) and size of a cell (XTWINOPS)
_LEAST_COLOURS, _MAX_COLOURS = 2, 256
_SIXEL = "4"  # the attribute in the answer to DA1
_ANSWER_TIMEOUT = 1.0  # seconds; the app has more patience
_TMUX_TIMEOUT = 2.0
_TMUX_FACTS = (
    "#{client_termname} #{client_termtype}",
    "#{allow-passthrough}",
    "#{client_termfeatures}",
)
# Text terminals without images that print or act on what they do not know.
_NEVER_ASKED = ("", "dumb", "linux", "cons25", "vt52", "vt100", "ansi")


class Choice(NamedTuple):
    """A protocol, None for half-blocks, and why.

    Before it is certain, `query` is to be asked from the terminal, or tmux.
    """

    protocol: Protocol | None
    reason: str
    query: str = ""
    ask_tmux: bool = False


def choose_protocol(env: Mapping[str, str], setting: str, colours: str) -> Choice:
    """Choose by the setting `images`, the colours of the terminal and its environment."""
    if setting != "auto":
        reason = f"by the setting images = {setting}"
        return next(
            (Choice(name, reason) for name in PROTOCOLS if name == setting), Choice(None, reason)
        )
    if colours not in ("truecolor", "256"):
        return Choice(None, "the terminal has few colours")
    term, program = env.get("TERM", ""), env.get("TERM_PROGRAM", "")
    if env.get("TMUX"):
        return Choice(None, "tmux", ask_tmux=True)
    if env.get("STY") or term.startswith("screen"):
        return Choice(None, "GNU screen passes no images on")
    if term in _NEVER_ASKED or program == "Apple_Terminal":
        return Choice(None, f"{program or f'TERM={term}'} has no images")
    for name in ("kitty", "ghostty"):
        if name in term or program == name:
            reason = f"TERM={term}" if name in term else f"TERM_PROGRAM={program}"
            return Choice("kitty", reason, _KITTY + DEVICE)
    for name in ("KITTY_WINDOW_ID", "KONSOLE_VERSION"):
        if env.get(name):
            return Choice("kitty", name, _KITTY + DEVICE)
    if program in ("iTerm.app", "WezTerm", "mintty"):
        return Choice("iterm2", f"TERM_PROGRAM={program}")
    if env.get("LC_TERMINAL") == "iTerm2":  # which ssh passes on
        return Choice("iterm2", "LC_TERMINAL=iTerm2")
    return Choice(None, "not known", DEVICE)


def is_asked(env: Mapping[str, str]) -> bool:
    """Whether the terminal can be asked something: it answers, or at least ignores it."""
    if env.get("STY") and not env.get("TMUX"):
        return False
    return env.get("TERM", "") not in _NEVER_ASKED


def settle(choice: Choice, replies: str) -> Choice:
    """Return the choice after the replies to its query, which end with that to DA1."""
    if choice.protocol == "kitty" and "\x1b_Gi=31;OK" in replies:
        return Choice("kitty", f"{choice.reason}, and the terminal answers for it")
    attributes = re.search(r"\x1b\[\?([\d;]*)c", replies)
    if attributes and _SIXEL in attributes[1].split(";")[1:]:
        return Choice("sixel", "the terminal answers for it")
    return Choice(None, "the terminal answers for no protocol")


def read_sixel(replies: str) -> tuple[int, tuple[int, int] | None]:
    """Return the number of colours and the size of a cell in pixels from the replies to SIXEL."""
    colours = re.search(r"\x1b\[\?1;0;(\d+)S", replies)
    cell = re.search(r"\x1b\[6;(\d+);(\d+)t", replies)
    return (
        min(max(int(colours[1]), _LEAST_COLOURS), _MAX_COLOURS) if colours else _MAX_COLOURS,
        (int(cell[2]), int(cell[1])) if cell and "0" not in cell.groups() else None,
    )


def choose_in_tmux() -> Choice:
    """Choose by the terminal that tmux runs in, and whether images may pass; asks tmux."""
    facts = ask_tmux(*_TMUX_FACTS)
    return settle_in_tmux(facts) if facts else Choice(None, "tmux does not answer")


def ask_tmux(*facts: str) -> str:
    """The values of these in tmux, a line each; "" if it does not answer.

    Starts a process: do not call it on the event loop.
    """
    pane = os.environ.get("TMUX_PANE")
    command = ["tmux", "display-message", "-p", *(["-t", pane] if pane else [])]
    with suppress(OSError, subprocess.SubprocessError):
        return run_program([*command, "\n".join(facts)], _TMUX_TIMEOUT).stdout
    return ""


def wrap_for_tmux(sequence: str) -> str:
    """A sequence that tmux passes on to its terminal."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def settle_in_tmux(facts: str) -> Choice:
    """Choose by the values of `_TMUX_FACTS`, one a line."""
    terminal, passes, features = (*facts.split("\n"), "", "", "")[:3]
    if any(name in terminal.lower() for name in ("kitty", "ghostty")):
        if passes in ("on", "all"):
            return Choice("kitty", f"tmux in {terminal.strip()}, which passes them on")
        return Choice(None, "tmux passes no images on: set -g allow-passthrough on")
    if "sixel" in features.split(","):
        return Choice("sixel", f"tmux in {terminal.strip()} shows them")
    return Choice(None, f"tmux in {terminal.strip() or 'no terminal'} shows none")


def choose_for_terminal(env: Mapping[str, str], setting: str, colours: str) -> Choice:
    """Choose for the terminal of a command of the shell, which is asked if it is there."""
    choice = choose_protocol(env, setting, colours)
    if choice.ask_tmux:
        return choose_in_tmux()
    if not choice.query:
        return choice
    replies = _ask_terminal(choice.query)
    return settle(choice, replies) if replies else Choice(None, "the terminal does not answer")


def _ask_terminal(query: str) -> str:
    """Send a query to the terminal, and return its replies; "" without a terminal or an answer."""
    try:
        import termios  # late: Windows has none
        import tty
    except ImportError:
        return ""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):  # the streams of the app
        return ""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    replies = Replies()
    replies.expect(time.monotonic())
    answer, end = "", time.monotonic() + _ANSWER_TIMEOUT
    try:
        tty.setcbreak(fd)
        os.write(sys.stderr.fileno(), query.encode())
        while not answer and select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
            typed = os.read(fd, 4096).decode(errors="replace")
            answer = replies.take(typed, time.monotonic())[1]
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)
    return answer


# --- Replies of the terminal ------------------------------------------------------------------

_REPLY = re.compile(
    r"\x1b_G[^\x1b]*\x1b\\"  # kitty
    r"|\x1b\]11;[^\x07\x1b]*(?:\x07|\x1b\\)"  # the background
    r"|\x1bP[01]\$r[^\x1b]*\x1b\\"  # DECRQSS
    r"|\x1b\[\?[\d;]*[cS]"  # DA1, XTSMGRAPHICS
    r"|\x1b\[>[\d;]*c"  # DA2
    r"|\x1b\[6;\d+;\d+t"  # the size of a cell
)
_BEGINNING = re.compile(
    r"\x1b(?:_(?:G(?:[^\x1b]*\x1b?)?)?"
    r"|\](?:1(?:1(?:;[^\x07\x1b]*\x1b?)?)?)?"
    r"|P(?:[01](?:\$(?:r[^\x1b]*\x1b?)?)?)?"
    r"|\[(?:[?>][\d;]*|6(?:;\d*){0,2})?)?\Z",
)
_KEY_WAIT = 0.1  # seconds for which Esc may be the start of a reply; as long as Textual's own
_REPLY_WAIT = 2.0  # seconds for which the start of a reply waits for its end
_PATIENCE = 10.0  # seconds after which Esc is only a key


class Replies:
    """Removes the terminal's replies from the typed text.

    Textual would take them for keys. Text that may be the start of a reply waits for the rest; a
    key that may be one, such as Esc, only for a moment, and until the last reply has come.
    """

    def __init__(self) -> None:
        self._held = ""
        self._held_at = 0.0
        self._asked = False  # a reply may still come
        self._waiting = False  # the last one is still expected
        self._asked_at = 0.0
        self._text = ""

    def expect(self, now: float) -> None:
        """Expect the replies to a query that ends with DA1, sent at `now`, in seconds."""
        self._asked = self._waiting = True
        self._asked_at = now
        self._text = ""

    def take(self, typed: str, now: float) -> tuple[str, str]:
        """Return the rest of `typed`, and all replies once the last has come, "" before."""
        if not self._asked:
            return typed, ""
        if typed and not self._held:
            self._held_at = now
        text, self._held = self._held + typed, ""
        done = ""
        for reply in _REPLY.findall(text):
            self._text += reply
            if reply.startswith("\x1b[?") and reply.endswith("c") and self._waiting:
                done, self._waiting = self._text, False
        text = _REPLY.sub("", text)
        beginning = _BEGINNING.search(text)  # of a reply
        if beginning is None:
            return text, done
        could_be_key = len(beginning[0]) <= 2
        if could_be_key and not (self._waiting and now - self._asked_at < _PATIENCE):
            return text, done
        if now - self._held_at < (_KEY_WAIT if could_be_key else _REPLY_WAIT):
            self._held = beginning[0]
        elif could_be_key:
            return text, done
        return text[: beginning.start()], done


# --- Where images are -------------------------------------------------------------------------

_FIRST, _LAST = 0x100000, 0x10EEED  # of Supplementary Private Use Area-B
FIRST_MARKER, LAST_MARKER = chr(_FIRST), chr(_LAST)

Origin = tuple[int, int]  # column and line of the first cell, from 0
Rectangle = tuple[int, int, int, int]  # column, line, columns, lines


@dataclass(eq=False)
class Placement:
    """An image of `cols` × `rows` cells, marked by the characters from `first` on.

    `layer` is the place of its screen among those that lie on top of each other.
    """

    number: int
    first: int
    cols: int
    rows: int
    layer: int = 0
    data: str = ""
    version: int = 0

    @cached_property
    def markers(self) -> list[str]:
        """The characters of each line."""
        starts = range(self.first, self.first + self.cols * self.rows, self.cols)
        return ["".join(map(chr, range(at, at + self.cols))) for at in starts]

    def update(self, data: str) -> None:
        """Show other data with the next paint."""
        self.data = data
        self.version += 1


class Shown(NamedTuple):
    """A placement as the terminal shows it; `image` is its id in kitty's protocol, 0 in others."""

    origin: Origin | None  # None: unknown
    version: int
    image: int


class Images:
    """The images of the screen, and those that the terminal shows.

    Without a `protocol` there are none, and views draw half-blocks.
    """

    def __init__(self) -> None:
        self.protocol: Protocol | None = None
        self.in_tmux = False
        self.cell: tuple[int, int] = (10, 20)  # the width and height of a cell in pixels
        self.colours = 256  # of a sixel image
        self._placements: list[Placement] = []  # by their markers
        self._shown: dict[int, Shown] = {}  # by the number of the placement
        self._numbers = count()
        self._first_id = random.randrange(1, 1 << 23)  # other programs choose ids too

    # --- from the views ---------------------------------------------------------------

    @property
    def aspect(self) -> float:
        """The height of a cell divided by its width."""
        return self.cell[1] / self.cell[0]

    def encode(self, rgb: "np.ndarray", cols: int, rows: int, budget: int) -> "Encoded | None":
        """Encode `rgb`, uint8 [H, W, 3], for so many cells; None if it exceeds the budget."""
        size = cols * self.cell[0], rows * self.cell[1]
        budget -= budget // _SHARE_OF_COMMANDS
        if self.protocol == "sixel":
            return pixels.encode_sixel(rgb, size, budget, self.colours)
        if self._is_virtual:
            return pixels.encode_stretched_png(rgb, size, budget)
        png = pixels.encode_png(rgb, size, budget)
        if png is None or self.protocol == "kitty":
            return png
        options = f"inline=1;width={cols};height={rows};preserveAspectRatio=0"
        return png._replace(data=f"\x1b]1337;File={options}:{png.data}\x07")

    def place(self, cols: int, rows: int, layer: int = 0) -> Placement | None:
        """Return a new placement; None if its markers do not suffice."""
        if self._is_virtual and max(cols, rows) > len(_DIACRITICS):
            return None
        first, at = _FIRST, 0
        for at, other in enumerate(self._placements):
            if other.first - first >= cols * rows:
                break
            first, at = other.first + other.cols * other.rows, at + 1
        if first + cols * rows > _LAST:
            return None
        placement = Placement(next(self._numbers), first, cols, rows, layer)
        self._placements.insert(at, placement)
        return placement

    def remove(self, placement: Placement) -> None:
        """Remove a placement; it disappears with the next paint."""
        if placement in self._placements:
            self._placements.remove(placement)

    # --- from the cells of the terminal -----------------------------------------------

    def __bool__(self) -> bool:
        """Whether there are images, or the terminal still shows some."""
        return bool(self._placements or self._shown)

    def find(self, marker: str) -> tuple[Placement, int, int] | None:
        """Return the placement of a marker, and its column and line in it; None for no marker."""
        code = ord(marker[0]) if marker else 0
        at = bisect_right(self._placements, code, key=lambda one: one.first) - 1
        if at < 0:
            return None
        placement = self._placements[at]
        row, col = divmod(code - placement.first, placement.cols)
        return (placement, col, row) if row < placement.rows else None

    def foreground(self, marker: str) -> str:
        """Return the SGR colour of the cell of a marker, "" for none."""
        place = self.find(marker) if self._is_virtual else None
        if place is None:
            return ""
        image = self._first_id + 2 * place[0].number
        return f"38;2;{image >> 16 & 255};{image >> 8 & 255};{image & 255}"

    def text(self, marker: str) -> str:
        """Return the text in the cell of a marker."""
        place = self.find(marker) if self._is_virtual else None
        if place is None:
            return " "
        return f"{_PLACEHOLDER}{_DIACRITICS[place[2]]}{_DIACRITICS[place[1]]}"

    def forget(self) -> None:
        """Paint all images again: the contents of the terminal are unknown."""
        self._shown = {n: shown._replace(origin=None) for n, shown in self._shown.items()}

    def paint(
        self, origins: Mapping[Placement, Origin], damaged: set[Placement], size: tuple[int, int]
    ) -> tuple[str, list[Rectangle]]:
        """Return what shows the images that changed, and the rectangles that this overwrites.

        `origins` has the placements that are on the screen, of `size` columns and lines. Cells of
        the `damaged` ones were written. In kitty's protocol nothing is overwritten.
        """
        numbers = {placement.number for placement in origins}
        gone = [number for number in self._shown if number not in numbers]
        sent = [self._delete(self._shown.pop(number).image) for number in gone]
        painted: list[Rectangle] = []
        for placement in sorted(origins, key=lambda one: one.layer):
            area = (*origins[placement], placement.cols, placement.rows)
            before = self._shown.get(placement.number)
            if (
                not placement.data
                or not self._fits(area, size)
                or (
                    before is not None
                    and before[:2] == (origins[placement], placement.version)
                    and (placement not in damaged or self.protocol == "kitty")
                    and not any(_overlap(area, other) for other in painted)
                )
            ):
                continue
            sent.append(self._show(placement, origins[placement], before))
            if self.protocol != "kitty":
                painted.append(area)
        return "".join(sent), painted

    def leave(self) -> str:
        """Return what removes all images before the terminal is given back."""
        sent = "".join(self._delete(shown.image) for shown in self._shown.values())
        self._shown.clear()
        return sent

    def _fits(self, area: Rectangle, size: tuple[int, int]) -> bool:
        """Whether an image is wholly on the screen. Below one that ends in the last line, the
        cursor would scroll the screen."""
        x, y, cols, rows = area
        lines = size[1] if self.protocol == "kitty" else size[1] - 1
        return x >= 0 and y >= 0 and x + cols <= size[0] and y + rows <= lines

    def _show(self, placement: Placement, origin: Origin, before: Shown | None) -> str:
        """Return what shows a placement, and remember it."""
        move = f"\x1b[{origin[1] + 1};{origin[0] + 1}H"
        if self.protocol != "kitty":
            self._shown[placement.number] = Shown(origin, placement.version, 0)
            return move + placement.data
        image = self._first_id + 2 * placement.number
        if before is not None and before.image == image and not self._is_virtual:
            image += 1  # the old image stays until the new one is complete
        self._shown[placement.number] = Shown(origin, placement.version, image)
        if self._is_virtual:
            is_sent = before is not None and before.origin and before.version == placement.version
            return "" if is_sent else self._send(placement, image, "U=1")
        shown = move + self._send(placement, image, f"p=1,C=1,z={_BELOW_CELLS + placement.layer}")
        return shown if before is None else shown + self._delete(before.image)

    # --- kitty ------------------------------------------------------------------------

    @property
    def _is_virtual(self) -> bool:
        """Whether cells of text hold the place of an image, as in tmux, which moves them."""
        return self.in_tmux and self.protocol == "kitty"

    def _send(self, placement: Placement, image: int, where: str) -> str:
        size = f"c={placement.cols},r={placement.rows}"
        return self._command(f"a=T,f=100,i={image},{size},{where}", placement.data)

    def _delete(self, image: int) -> str:
        return self._command(f"a=d,d=I,i={image}") if image else ""

    def _command(self, control: str, data: str = "") -> str:
        """Return a command of kitty's protocol that is not answered, in pieces."""
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)] or [""]
        sent = ""
        for number, piece in enumerate(pieces):
            keys = f"{control},q=2" if number == 0 else "q=2"
            if len(pieces) > 1:
                keys += f",m={int(number < len(pieces) - 1)}"
            command = f"\x1b_G{keys};{piece}\x1b\\"
            sent += wrap_for_tmux(command) if self.in_tmux else command
        return sent


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )


# https://sw.kovidgoyal.net/kitty/graphics-protocol
_SHARE_OF_COMMANDS = 50  # one part in so many of the sent bytes is not data
_PIECE = 4096  # bytes of data in a command, at most
_BELOW_CELLS = -2_000_000_000  # so low, an image is covered by cells with a background
_PLACEHOLDER = "\U0010eeee"
# Row and column n of a placeholder are the nth of these combining characters.
_DIACRITIC_CODES = """
    305 30D-30E 310 312 33D-33F 346 34A-34C 350-352 357 35B 363-36F 483-487 592-595 597-599 59C-5A1
    5A8-5A9 5AB-5AC 5AF 5C4 610-617 657-65B 65D-65E 6D6-6DC 6DF-6E2 6E4 6E7-6E8 6EB-6EC 730 732-733
    735-736 73A 73D 73F-741 743 745 747 749-74A 7EB-7F1 7F3 816-819 81B-823 825-827 829-82D 951
    953-954 F82-F83 F86-F87 135D-135F 17DD 193A 1A17 1A75-1A7C 1B6B 1B6D-1B73 1CD0-1CD2 1CDA-1CDB
    1CE0 1DC0-1DC1 1DC3-1DC9 1DCB-1DCC 1DD1-1DE6 1DFE 20D0-20D1 20D4-20D7 20DB-20DC 20E1 20E7 20E9
    20F0 2CEF-2CF1 2DE0-2DFF A66F A67C-A67D A6F0-A6F1 A8E0-A8F1 AAB0 AAB2-AAB3 AAB7-AAB8 AABE-AABF
    AAC1 FE20-FE26
"""


def _list_diacritics() -> str:
    codes: list[int] = []
    for part in _DIACRITIC_CODES.split():
        first, _, last = part.partition("-")
        codes += range(int(first, 16), int(last or first, 16) + 1)
    return "".join(map(chr, codes))


_DIACRITICS = _list_diacritics()
