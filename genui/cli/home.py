"""`genui` alone: the app where there is a terminal, a plain listing where there is none.

Little is imported here, so that the app's first frame is soon there.
"""

import gc
import os
import sys


def run_home() -> int:
    """Open the app, or say in plain text what it would list."""
    if has_terminal():
        before_textual()
        from genui.ui import app

        return app.run()
    overview()
    return 0


def before_textual() -> None:
    """To be called before Textual is imported, which reads its frame rate once.

    It paints at most this often; a key waits for half of a frame on average. What moves by
    itself has slower clocks of its own, so nothing is painted more often. Until the app has
    begun nobody looks for garbage either: all that is imported stays.
    """
    gc.disable()
    os.environ.setdefault("TEXTUAL_FPS", "120")


def has_terminal() -> bool:
    """Whether a full-screen app can be drawn and answered here."""
    return (
        sys.stdin is not None  # None where it was closed
        and sys.stdin.isatty()
        and sys.stdout.isatty()
        and os.environ.get("TERM", "") != "dumb"
    )


def overview() -> None:
    """Models, then runs, then how to open the app."""
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
