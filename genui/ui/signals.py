"""Signals that ask the app to end: it leaves as by its own key, with the terminal given back."""

import asyncio
import signal
import sys
from functools import partial
from typing import Any

from textual.app import App


def leave_on_signals(app: App[Any]) -> None:
    """End `app` on SIGTERM and on SIGHUP, a lost terminal, with the exit code of shells.

    To be called in the app's event loop. Trainers have sessions of their own and hear
    nothing of it; the worker ends with the app.
    """
    if sys.platform == "win32":
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, partial(app.exit, return_code=128 + number))
