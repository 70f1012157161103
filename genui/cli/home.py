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
from genui.cli.command import Runs

if TYPE_CHECKING:
    import argparse


def run_home() -> int:
    """Opens the app, or prints its lists as plain text."""
    if has_terminal():
        before_textual()
        from genui.ui import app

        return app.run()
    overview()
    return 0


def configure_tour(parser: "argparse.ArgumentParser") -> None:
    parser.epilog = (
        "The app opens, and two lines at its foot say what to try. A sentence gives way to the\n"
        "next once what it names has happened. F2 skips it, F3 leaves the tour at any moment; in\n"
        "the app F2 starts it. All of it is real: its training is a run of your own, which it\n"
        "stops again, and which `genui rm` removes.\n\n"
        "examples:\n"
        "  genui tour          in a terminal of 80×24 or larger"
    )


def run_tour(_: "argparse.Namespace") -> int:
    """Opens the app with the tour. Raises MisuseError if this is no terminal."""
    if not has_terminal():
        raise MisuseError("tour: this is not a terminal; `genui help start` is the tour to read")
    before_textual()
    from genui.ui import app

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


def overview() -> None:
    """Prints the models, the runs, and how to open the app."""
    from genui.cli import models, runs
    from genui.cli.output import say

    say("MODELS")
    models.listing()
    say()
    say("RUNS")
    runs.listing()
    say()
    say("This is not a terminal: run `genui` in one (120×40 or larger is best) to open the app,")
    say("or see `genui --help` for what the shell can do.")


COMMANDS = {"tour": Runs(configure_tour, run_tour)}
