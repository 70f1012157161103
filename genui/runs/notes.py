"""What a training script is told, on stderr: one line, once."""

import sys

from genui.runs.disk import plain

MOST = 50
"""Lines; a script with more faults than that has been told enough."""


class Notes:
    """Remembers what has been said. Never raises, whatever became of stderr."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, about: str, line: str) -> None:
        """Prints `genui: line`, unless something was said `about` the same before."""
        if about in self._said or len(self._said) >= MOST:
            return
        self._said.add(about)
        try:
            # One write, so that lines of several processes do not mix.
            sys.stderr.write(f"genui: {plain(line, 500)}\n")
            sys.stderr.flush()
        except Exception:  # closed, replaced by something odd, or None under pythonw
            return
