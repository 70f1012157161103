"""genui: a laboratory for generative models in a terminal.

For your own training script, as with wandb and trackio:

    import genui

    run = genui.init(project="digits", config={"lr": 3e-4})
    for step in range(1000):
        run.log({"loss": loss}, step=step)
    run.finish()

Importing this package is cheap: it imports neither torch nor textual, and of its own parts
only what is used.
"""

TYPE_CHECKING = False  # as in typing, whose import would cost more than this whole file
if TYPE_CHECKING:
    from typing import Any

    from genui.engine.train.watch import watch
    from genui.runs.api import Config, Run, alert, define_metric, finish, init, log
    from genui.runs.compat import AlertLevel, Error
    from genui.runs.media import Audio, Histogram, Image, Table, Text, Video

    run: Run | None
    config: Config
    summary: Config

__version__ = "0.2.0"

__all__ = [
    "AlertLevel",
    "Audio",
    "Error",
    "Histogram",
    "Image",
    "Run",
    "Table",
    "Text",
    "Video",
    "alert",
    "define_metric",
    "finish",
    "init",
    "log",
    "watch",
]

_PUBLIC = {
    "runs.api": ("Config", "Run", "alert", "define_metric", "finish", "init", "log"),
    "runs.compat": ("AlertLevel", "Error"),
    "runs.media": ("Audio", "Histogram", "Image", "Table", "Text", "Video"),
    "engine.train.watch": ("watch",),
}
_HOMES = {name: module for module, names in _PUBLIC.items() for name in names}
"""Public name to the module of genui that has it. `watch` alone imports torch."""

_CURRENT = {"run": "current", "config": "current_config", "summary": "current_summary"}
"""What changes from run to run, and the function of genui.runs.api that tells it."""


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name in _HOMES:
        module = import_module(f"genui.{_HOMES[name]}")
        found = getattr(module, name)
        if name == "init":  # a run knows no readers of logs
            module.register_follower(
                lambda run: import_module("genui.logs.event_files").follow(run)
            )
        globals()[name] = found  # not asked again
        return found
    if name in _CURRENT:
        return getattr(import_module("genui.runs.api"), _CURRENT[name])()
    if not name.startswith("_"):
        from genui.runs.compat import NAMES

        if name in NAMES:
            return import_module("genui.runs.api").ignored(name)
    raise AttributeError(f"module 'genui' has no attribute '{name}'")
