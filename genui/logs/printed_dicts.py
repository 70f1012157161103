"""Dicts over several lines, as pprint breaks them, joined to one."""

import re

from genui.logs.printed_line import LONGEST

_OPENS = re.compile(r"\{\s*['\"][^{}]{1,400},\s*+$")
_GOES_ON = re.compile(r"\s+['\"}\w\[(-]|['\"}]")
_MOST = 200  # lines


class OpenDict:
    """Holds the lines of a dict until it is closed."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = self._length = 0

    def may_hold(self, text: str) -> bool:
        """Whether a line must be taken; it is read as it is otherwise."""
        return bool(self._lines) or "{" in text

    def take(self, text: str) -> list[str]:
        """The lines to read now: none while a dict is open, the joined one that closes it, or, if
        that was no dict, all that were held."""
        if not self._lines:
            if not _OPENS.search(text[-500:]):
                return [text]
        elif not _GOES_ON.match(text) or self._length > LONGEST or len(self._lines) >= _MOST:
            return [*self.finish(), text]
        self._lines.append(text)
        self._length += len(text)
        self._depth += text.count("{") - text.count("}")
        if self._depth > 0:
            return []
        lines = self.finish()
        return [" ".join([lines[0], *(line.strip() for line in lines[1:])])]

    def finish(self) -> list[str]:
        """The lines that are held."""
        lines, self._lines, self._depth, self._length = self._lines, [], 0, 0
        return lines
