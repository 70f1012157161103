"""A command of the shell. It imports nothing: `genui` alone opens the app fast."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable


class Command(NamedTuple):
    """A command of the shell."""

    summary: str
    opens: "Callable[[], tuple[Callable[[ArgumentParser], None], Callable[[Namespace], int]]]"
    """Returns the function that adds its options and examples, and the one that runs it and returns
    the exit code."""
