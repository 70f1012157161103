"""What the trainer printed: the newest line in view, all of it a scroll away, and a search."""

import asyncio
import re
from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content

from genui.errors import GenuiError
from genui.render import numbers
from genui.render.sanitise import clean_line
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.board.console_file import NO_LINES, ConsoleFile, Lines
from genui.ui.board.console_lines import ConsoleLines
from genui.ui.board.console_text import Found
from genui.ui.board.searched import SearchedPanel
from genui.ui.frame import set_border
from genui.ui.looking import RunView

EMPTY = "Nothing printed yet"
FOREIGN = "A log of another tool: what its script printed is not in it"


class ConsolePanel(SearchedPanel):
    """Follows console.log of the first of the runs that has one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "step_hit(1)", "Next hit", show=False),
        Binding("N", "step_hit(-1)", "Previous hit", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        self._lines = ConsoleLines(EMPTY)
        super().__init__(self._lines, id=id, classes=classes)
        self._run: RunDir | None = None
        self._file: ConsoleFile | None = None
        self._seen: object = None  # of the last view: another means that the file grew
        self._reading = False
        self._again = False  # it grew while it was read
        self._pattern: re.Pattern[str] | None = None
        self._fault = ""  # of what is typed
        self._hits: list[Found] = []
        self._hit = -1

    def on_mount(self) -> None:
        self.border_title = "Console"
        self.tell()

    # --- following ----------------------------------------------------------------------

    def show(self, views: Sequence[RunView], cursor: float | None) -> None:
        """The console does not move with the cursor: its lines have times, not steps."""
        own = next((view for view in views if view.summary.format == "genui"), None)
        if own is None:
            self._follow(None, FOREIGN if views else EMPTY)
            return
        if own.summary.run != self._run:
            self._follow(own.summary.run, EMPTY)
            name = clean_line(own.summary.info.name, 24)
            set_border(self, title=f"Console  {name}" if len(views) > 1 else "Console")
        if self._seen is not own.console:
            self._seen = own.console
            self._read()

    def _follow(self, run: RunDir | None, empty: str) -> None:
        self._lines.say_empty(empty)
        if run == self._run:
            return
        self._run, self._seen = run, None
        self._file = ConsoleFile(run.console) if run is not None else None
        self._take(NO_LINES)

    def _read(self) -> None:
        if self._reading:
            self._again = True
        elif self._file is not None:
            self._reading = True
            self._read_on(self._file)

    @work(group="console", exit_on_error=False)
    async def _read_on(self, file: ConsoleFile) -> None:
        """Take in what there is, a piece after another."""
        try:
            while file is self._file:
                self._again = False
                new = await asyncio.to_thread(file.read)
                if new is not None and file is self._file:
                    self._take(new)
                if not (self._again or (new is not None and new.more)):
                    break
        except GenuiError as error:
            self.post_message(messages.Say(clean_line(str(error))))
        finally:
            self._reading = False
        if file is not self._file:
            self._read()

    def _take(self, new: Lines) -> None:
        lines = self._lines
        first = 0 if new.fresh else len(lines.text.texts)
        lines.text.take(new)
        if new.fresh:
            self._hits, self._hit = [], -1
            lines.found, lines.here = {}, -1
        lines.changed()
        if self._pattern is not None and len(lines.text.texts) > first:
            self._find(self._pattern, first)

    # --- searching ----------------------------------------------------------------------

    def typed(self, text: str) -> None:
        try:
            # As in most pagers: small letters find capitals too.
            flags = re.IGNORECASE if text == text.lower() else 0
            pattern = re.compile(text, flags) if text else None
        except (re.error, RecursionError, OverflowError) as error:
            self._fault = clean_line(str(error), 40)
            self.tell()
            return
        self._pattern, self._fault, self._hits, self._hit = pattern, "", [], -1
        self._lines.found, self._lines.here = {}, -1
        self._lines.refresh()
        self.tell()
        if pattern is not None:
            self._find(pattern, 0)

    @work(group="search", exit_on_error=False)
    async def _find(self, pattern: re.Pattern[str], first: int) -> None:
        text = self._lines.text
        hits = await asyncio.to_thread(text.find, pattern, first)
        if pattern is not self._pattern:
            return  # another one has been typed since
        lines = self._lines
        self._hits = [hit for hit in self._hits if hit.line < first] + hits
        lines.found = {hit.line: hit for hit in self._hits}
        if self._hit < 0 and self._hits:
            # The last one at or above what is in view: in a console the newest matter.
            self.step_hit(-1)
        else:
            lines.refresh()
            self.tell()

    def action_step_hit(self, by: int) -> None:
        """The next hit, or the one before."""
        if self._pattern is None:
            self.action_search()
        else:
            self.step_hit(by)

    def step_hit(self, by: int) -> None:
        """Go to the next hit or the one before, round the ends."""
        if not self._hits:
            self.tell()
            return
        if self._hit < 0:
            self._hit = 0 if by > 0 else len(self._hits) - 1
        else:
            self._hit = (self._hit + by) % len(self._hits)
        self._lines.go_to(self._hits[self._hit].line)
        self.tell()

    def tell(self) -> None:
        if self._fault:
            words = Content.assemble((f"not a regular expression: {self._fault}", "$text-error"))
        elif self._pattern is None:
            words = Content("/ search · esc leave" if self.has_focus_within else "i search, scroll")
        elif not self._hits:
            words = Content("no hit · / search")
        else:
            at, count = numbers.count(self._hit + 1), numbers.count(len(self._hits))
            words = Content(f"hit {at} of {count} · n N next, previous")
        set_border(self, subtitle=words)
