"""`genui` alone and `genui tour`: the app in a terminal; without one, a plain listing.

Little is imported here, so that the app starts fast.
"""

import gc
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from genui.base.config import Config, load_config
from genui.base.errors import MisuseError
from genui.base.late import late_imports

with late_imports():
    from genui.cli import models, output, runs
    from genui.ui import app

if TYPE_CHECKING:
    import argparse


def run_home() -> int:
    """Opens the app, or prints its lists as plain text."""
    if has_terminal():
        before_textual()
        return app.run()
    print_overview()
    return 0


def configure_tour(parser: "argparse.ArgumentParser") -> None:
    parser.epilog = (
        "The app opens with two lines at its foot that say what to try. Do it, and the next step\n"
        "follows. F2 skips a step, F3 leaves the tour; F2 in the app starts it. Everything is\n"
        "real: the training is a run of your own, which you stop, and `genui rm` removes it.\n\n"
        "examples:\n"
        "  genui tour          in a terminal of 80×24 or larger"
    )


def run_tour(_: "argparse.Namespace") -> int:
    """Opens the app with the tour. Raises MisuseError if this is no terminal."""
    if not has_terminal():
        raise MisuseError("tour: this is not a terminal; read the tour in `genui help start`")
    before_textual()
    return app.run(tour=True)


def before_textual() -> None:
    """Sets the frame rate, which Textual reads when it is imported: call it before.

    The app is painted at most this often, so a key waits half a frame on average; animations have
    slower clocks of their own. Garbage collection is off until the app has started: imports create
    none.
    """
    gc.disable()
    fps = Config().fps
    with suppress(MisuseError):  # the app says what is wrong with the settings
        fps = load_config().fps
    os.environ.setdefault("TEXTUAL_FPS", str(fps))


def has_terminal() -> bool:
    """Whether stdin and stdout are a terminal for a full-screen app."""
    return (
        sys.stdin is not None  # None if it was closed
        and sys.stdin.isatty()
        and sys.stdout.isatty()
        and os.environ.get("TERM", "") != "dumb"
    )


def print_overview() -> None:
    """Prints the models, the runs, and how to open the app."""
    output.print_line("MODELS")
    models.print_models()
    output.print_line()
    output.print_line("RUNS")
    runs.print_runs()
    output.print_line()
    output.print_line(
        "This is not a terminal: run `genui` in one (120×40 or larger is best) to open the app,"
    )
    output.print_line("or see `genui --help` for what the shell can do.")
