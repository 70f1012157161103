"""Faults a person can act on.

Anything genui refuses, it refuses with one of these: one line that names the file
or the word at fault, what is wrong with it, and what to do. The command line prints
the line and exits with `exit_code`; the app shows it in its status line. Any other
exception reaching a person is a defect.
"""

import difflib
from collections.abc import Iterable


class GenuiError(Exception):
    """Something failed while doing what was asked (exit code 1)."""

    exit_code = 1


class MisuseError(GenuiError):
    """What was asked cannot be done as asked: a wrong name, value or file (exit code 2)."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known word, or the whole list where none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(names)}" if names else "none is known"
