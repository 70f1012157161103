"""Stopping a sweep, and going on with it, from the table of runs."""

import asyncio
from collections.abc import Callable

from textual.widget import Widget

from genui.base.errors import GenuiError
from genui.base.text import clean_line
from genui.runs.layout import RunDir
from genui.runs.listing import find_sweep
from genui.ui import messages
from genui.ui.widgets.dialogs import ConfirmScreen


def ask_to_stop(host: Widget, name: str) -> None:
    """Stop the sweep with its trials, if the user confirms it. The host shows what became of it."""

    def answered(yes: bool | None) -> None:
        if yes:
            _work(host, name, _stop)

    text = "Its trials write checkpoints first, from which it can be resumed."
    host.app.push_screen(
        ConfirmScreen(f"Stop the sweep {clean_line(name, 40)}?", text, "stop", "keep training"),
        answered,
    )


def resume_sweep(host: Widget, name: str) -> None:
    """Go on with the sweep. The host shows what became of it."""
    _work(host, name, _resume)


def _work(host: Widget, name: str, act: Callable[[str], str]) -> None:
    async def work() -> None:
        line = await asyncio.to_thread(act, name)
        host.post_message(messages.Say(clean_line(line), "note"))

    worker = messages.saying_errors(host, work())
    host.run_worker(worker, group="commands", exit_on_error=False)


def _stop(name: str) -> str:
    from genui.runs import sweep  # imports all recipes: only when needed

    sweep.stop(_find(name))
    return f"sweep {name} stops: its trials write their checkpoints"


def _resume(name: str) -> str:
    from genui.runs import sweep  # imports all recipes: only when needed

    left = sweep.resume(_find(name))
    return f"sweep {name} goes on: {left} of its trials are left"


def _find(name: str) -> RunDir:
    folder = find_sweep(name)
    if folder is None:
        raise GenuiError(f"the folder of sweep {name} is gone: its trials are ordinary runs")
    return folder
