"""How the printed lines of a log are read: the user's choices, in a form."""

from genui.base.errors import MisuseError
from genui.logs.printed_choice import COUNT, Choice, key_of_file, key_of_run
from genui.ui.watcher import RunView
from genui.ui.widgets.dialogs import Field, FormScreen

NOTES = "printed lines"
"""The field of a config in which the notes of the reader are."""

HINT = (
    "step: its name in the lines, 'count' to number the records, empty to find it\n"
    "metrics: names with * and ?, empty for all"
)


def key_of(view: RunView | None) -> str | None:
    """The key of the choice about the printed lines of a run; None if it is read from no lines."""
    if view is None:
        return None
    info = view.summary.info
    if view.summary.format == "text":
        return key_of_file(view.summary.run.path)
    printed = view.summary.native and info.kind == "script" and NOTES in view.config
    return key_of_run(info.project, info.name) if printed else None


def unsure(view: RunView) -> bool:
    """Whether the reader was unsure of the steps."""
    notes = view.config.get(NOTES)
    return isinstance(notes, list) and any("unsure" in str(note) for note in notes)


def describe(choice: Choice) -> str:
    step = {"": "found", COUNT: "counted"}.get(choice.step, choice.step)
    return f"{step}, {', '.join(choice.metrics)}" if choice.metrics else step


def form(choice: Choice) -> FormScreen[Choice]:
    fields = [
        Field("step", choice.step, "found in the lines"),
        Field("metrics", ", ".join(choice.metrics), "all"),
    ]
    return FormScreen("Printed lines", fields, HINT, parse, "read again")


def parse(lines: list[str]) -> Choice:
    """The choice in the lines of the form. Raises MisuseError."""
    step, names = (line.strip() for line in lines)
    if any(char in step for char in "*?,"):
        raise MisuseError(f"step: {step} is not one name; the metrics are in the next line")
    return Choice(step, tuple(name.strip() for name in names.split(",") if name.strip()))
