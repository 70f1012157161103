"""Texts by discrete diffusion in the shell."""

from collections.abc import Sequence

from genui.cli import output
from genui.cli.generation import Generation


def print_pages(generations: Sequence[Generation]) -> None:
    """Prints each text, under its seed if there are several; undecided places are low lines."""
    for one in generations:
        if len(generations) > 1:
            output.print_line(f"--- seed {one.start.seed}")
        for line in one.text.split("\n"):
            output.print_line(line)
