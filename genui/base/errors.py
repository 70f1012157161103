"""Errors for the user.

Each is one line that names the file or the argument, the fault and the remedy. The command line
prints it and exits with `exit_code`; the app shows it in its status line. Any other exception
that reaches the user is a defect.
"""

import difflib
from collections.abc import Iterable


class GenuiError(Exception):
    """A failure (exit code 1)."""

    exit_code = 1


class MisuseError(GenuiError):
    """A wrong name, value or file in the request (exit code 2)."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the most similar known name, or the whole list if none is similar."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(names)}" if names else "none is known"
