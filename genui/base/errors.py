"""Errors for the user.

Each is one line that names the file or the argument, the fault and the remedy. The command line
prints it and exits with `exit_code`; the app shows it in its status line. Any other exception
that reaches the user is a defect.
"""

import difflib
import re
import shlex
import sys
from collections.abc import Iterable

from genui.base.text import clean_line

_MOST_NAMES, _SOME_NAMES = 14, 10  # of a list; of one that is longer
_NEAR = 0.7  # ratio of difflib: equal letters, twice, of all letters


INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 + SIGINT, as shells count."""


class GenuiError(Exception):
    """A failure (exit code 1). Quotations of files and servers in its message are made safe for a
    terminal, on one line."""

    exit_code = 1

    def __init__(self, *args: object) -> None:
        super().__init__(
            *(clean_line(a) if isinstance(a, str) and not a.isprintable() else a for a in args)
        )


def describe_bug(error: Exception) -> str:
    """The line for an exception that is no GenuiError."""
    return (
        f"unexpected {type(error).__name__}: {error}; this is a bug; please report it "
        "with `genui doctor` (GENUI_DEBUG=1 shows where)"
    )


class MisuseError(GenuiError):
    """A wrong name, value or file in the request (exit code 2)."""

    exit_code = 2


class TooLargeError(MisuseError):
    """The request does not fit into the memory of this machine."""


class UnsupportedError(MisuseError):
    """A model that genui's own network cannot compute; another program may."""


def install(extra: str) -> str:
    """The command that installs the packages of an optional part, by the pip of this Python.

    It names the packages themselves, as the metadata of this package lists them: by the name of
    this package an index may have somebody else's.
    """
    from importlib.metadata import PackageNotFoundError, requires  # late: 15 ms, for a fault alone

    try:
        listed = [each.partition(";") for each in requires("genui") or ()]
    except PackageNotFoundError:
        return f"install what pyproject.toml lists under {extra}"
    mark = re.compile(rf"extra *== *['\"]{extra}['\"]")
    packages = [name.strip() for name, _, marker in listed if mark.search(marker)]
    return shlex.join([sys.executable or "python3", "-m", "pip", "install", *packages])


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "", lists: str = "") -> str:
    """`did you mean 'x'?` for the nearest known name.

    If none is near: `otherwise`, or the list of the names. Only some names of a long list are
    given, then how many more there are and, if given, the command that `lists` them. Near are a
    name that begins with the word, and one that differs by a typing error or two.
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=_NEAR)
    near = near or [name for name in names if len(word) > 1 and name.startswith(word)]
    if near:
        return f"did you mean '{near[0]}'?"
    if otherwise or not names:
        return otherwise or "none is known"
    if len(names) <= _MOST_NAMES:
        return f"known: {', '.join(names)}"
    more = f"known: {', '.join(names[:_SOME_NAMES])} and {len(names) - _SOME_NAMES:,} more"
    return f"{more}: {lists} lists them" if lists else more
