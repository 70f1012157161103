"""Which trial of a search printed a line: Ray Tune prints the results of all in one log."""

import re

_MOST = 4096
_OF_TRIAL = re.compile(
    r"(?:[│|] )?(?:Trial (?=\S*\d)([\w.-]{1,80})"
    r" (?:started|finished|completed|errored|result|config)\b|Result for ([\w.-]{1,80}):$)"
)
_GOES_ON = re.compile(r"\s|[│╭├╰]|$")


class Trials:
    """Follows the headings `Trial NAME …` and `Result for NAME:`, and the lines below them."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self._current: str | None = None

    def other(self, text: str) -> str:
        """The name of the trial that a line is of; "" for the first trial and all other lines."""
        if not self._known and text[:1] not in "TR│|":
            return ""
        match = _OF_TRIAL.match(text)
        if match is not None:
            name = match[1] or match[2]
            if name in self._known or len(self._known) < _MOST:
                self._known[name] = None
                self._current = name
        elif not _GOES_ON.match(text):
            self._current = None
        first = next(iter(self._known), None)
        return self._current if self._current is not None and self._current != first else ""
