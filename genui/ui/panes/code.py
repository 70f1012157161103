"""What a pane of text does where the text is code: colours its words and tries to parse it."""

import time

from genui.render.parsing import Parsing, parsing, position
from genui.ui.panes.attending import AttendingPane
from genui.ui.widgets.code import CodeProse

PAUSE = 10
"""So many times as long as parsing took, until it is tried again: a tenth of the app's time."""


class CodePane(AttendingPane):
    """A pane of text that knows Python. Colours by kind and by surprise take turns."""

    checked: Parsing | None = None  # how what is shown stands as Python; None where it is none
    _by_surprise = False  # whether code too is coloured by how surprising it was
    _checked_text = ""
    _check_due = 0.0  # in monotonic seconds

    @property
    def highlighted(self) -> bool:
        """Whether words are coloured by their kind."""
        return self._is_code and not self._by_surprise

    @property
    def _is_code(self) -> bool:
        return self.model is not None and self.model.medium == "code"

    def action_highlight(self) -> None:
        """Code by the kind of its words, or by how surprising its tokens were."""
        if not self._is_code:
            self._tell("only code is coloured by the kind of its words")
            return
        self._by_surprise = not self._by_surprise
        self.paint()

    def check_code(self, prose: CodeProse) -> None:
        """Parse what is shown up to the playhead, and colour it."""
        if not self._is_code:
            self.checked = None
            prose.highlight(False)
            return
        text = prose.text
        trace, now = self.trace, time.monotonic()
        moving = trace is not None and trace.playing
        if text != self._checked_text and (now >= self._check_due or not moving):
            self._checked_text, self.checked = text, parsing(text)
            self._check_due = now + PAUSE * (time.monotonic() - now)
        found = self.checked
        broken = position(self._checked_text, found) if found and found.state == "breaks" else None
        prose.highlight(self.highlighted, broken)
