"""What runs a command of the shell. It imports nothing, since the app is opened through it."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable


class Runs(NamedTuple):
    """What runs a command."""

    configure: "Callable[[ArgumentParser], None]"
    """Adds its options and examples."""
    run: "Callable[[Namespace], int]"
    """Runs it and returns the exit code."""
