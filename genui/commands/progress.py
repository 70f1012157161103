"""How far a command is, on stderr, where a person looks at it."""

import sys


class Progress:
    """One line that is painted over; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def show(self, line: str) -> None:
        """Say how far it is."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leave no line behind."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
