"""Giving runs a name, tags and a note, and deleting them, as the shell also can.

Also what can be copied of a run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal

from genui.base.late import late_imports
from genui.base.numbers import size
from genui.base.text import clean_line
from genui.runs import control, labels
from genui.runs.labels import Labels
from genui.runs.layout import RunDir, RunInfo, fork_step, format_origin
from genui.runs.listing import RunSummary, summarise
from genui.ui import messages
from genui.ui.lifecycle import is_usable
from genui.ui.screens import AppScreen, Copyable
from genui.ui.watcher import Watcher
from genui.ui.widgets.dialogs import ConfirmScreen, Field, FormScreen, ask

with late_imports():
    from genui.formats import command

HINT = "Put spaces between tags. An empty name restores the first one."


def parse_labels(lines: Sequence[str]) -> Labels:
    """The labels that a form's name, tags and note are. Raises MisuseError, one line."""
    name, tags, note = lines
    words = tuple(dict.fromkeys(tags.replace(",", " ").split()))
    result = Labels(name=name.strip(), tags=words, note=clean_line(note))
    labels.check_labels(result)
    return result


class RunOrganiser:
    """Edits the labels of runs and deletes runs, with dialogs on `screen`. Both can be undone.

    The disk is read and written on threads, to the end even if the screen is closed meanwhile.
    `leave` makes the screen stop showing a run.
    """

    def __init__(
        self, screen: AppScreen[Any], watcher: Watcher, leave: Callable[[RunDir], None]
    ) -> None:
        self._screen = screen
        self._watcher = watcher
        self._leave = leave

    def begin(self, event: messages.OrganiseRun) -> None:
        (self.delete if event.delete else self.edit)(event.run)

    def edit(self, run: RunSummary) -> None:
        """Ask for the name, tags and note of a run."""
        before = run.labels
        fields = [
            Field("name", run.info.name),
            Field("tags", " ".join(before.tags), "e.g. baseline wide"),
            Field("note", before.note, "what is special about it"),
        ]

        def typed(new: Labels) -> None:
            if new.name == run.info.name and not before.name:
                new = Labels(tags=new.tags, note=new.note)  # the name was not changed
            if new != before:
                self._run(self._write(run, new, before))

        title = f"Name, tags and note of {clean_line(run.info.name, 30)}"
        ask(self._screen, FormScreen(title, fields, HINT, parse_labels, "save"), typed)

    async def _write(self, run: RunSummary, new: Labels, before: Labels) -> None:
        async def undo() -> str:
            await asyncio.to_thread(labels.write_labels, run.run, before)
            self._watcher.refresh()
            return f"{clean_line(run.info.name, 40)} has its previous name, tags and note again"

        await asyncio.to_thread(labels.write_labels, run.run, new)
        self._watcher.refresh()
        self._done(f"saved for {clean_line(run.run.id)}", undo)

    def delete(self, run: RunSummary) -> None:
        """Delete a run that does not train, if the user confirms it."""
        if run.alive:
            name = clean_line(run.info.name, 40)
            self._say(f"{name} is {run.state}: stop it first (ctrl+x in Training)", "note")
        else:
            self._run(self._ask_to_delete(run))

    async def _ask_to_delete(self, run: RunSummary) -> None:
        await asyncio.to_thread(control.check_ended, run.run)
        freed = size(await asyncio.to_thread(labels.bytes_of, run.run))
        if not self._screen.is_current:
            return  # another window has been opened meanwhile, whose keys would answer

        name, step = clean_line(run.info.name, 40), f"{run.status.step:,}"
        text = (
            f"Its {step} steps, samples and checkpoints are deleted when genui closes, freeing "
            f"{freed}. Until then u brings it back."
        )
        window = ConfirmScreen(f"Delete {name}?", text, "delete", "keep it")
        ask(self._screen, window, lambda _: self._run(self._delete(run, freed)))

    async def _delete(self, run: RunSummary, freed: str) -> None:
        name = clean_line(run.info.name, 40)
        if (await asyncio.to_thread(summarise, run.run)).alive:
            self._say(f"{name} is training again: stop it first", "note")
            return
        if is_usable(self._screen):
            self._leave(run.run)
        removed = await asyncio.to_thread(labels.remove, run.run)

        async def undo() -> str:
            await asyncio.to_thread(labels.restore, removed)
            self._watcher.refresh()
            return f"{name} is back"

        self._watcher.refresh()
        self._done(f"deleted {name}: frees {freed} when genui closes; u brings it back", undo)

    def _done(self, line: str, undo: Callable[[], Awaitable[str]]) -> None:
        self._say(line, "note")
        self._screen.app.post_message(messages.Undoable(undo))

    def _say(self, line: str, kind: Literal["error", "note"] = "error") -> None:
        self._screen.app.post_message(messages.ShowStatus(line, kind))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        app = self._screen.app
        app.run_worker(messages.say_errors(app, work), group="organise", exit_on_error=False)


# --- What can be copied of a run --------------------------------------------------------------


def run_copyables(run: RunSummary) -> list[Copyable]:
    """The id of a run, the command that trains it, its error and its folder."""
    if not run.native:
        return [Copyable("path of the log", str(run.run.path))]
    offered = [Copyable("id of the run", run.run.id)]
    if run.info.recipe.get("name"):
        offered.append(Copyable("command that trains it", train_command(run.info)))
    if run.error:
        offered.append(Copyable("error", run.error))
    return [*offered, Copyable("folder", str(run.run.path))]


def train_command(info: RunInfo) -> str:
    """`genui train …` that trains a run with the same recipe, settings, name and first weights."""
    name = str(info.recipe["name"])
    words = ["genui", "train"]
    is_fork = fork_step(info.start_from) > 0
    if not (info.recipe.get("base") or is_fork):  # else what it starts from has the recipe
        words.append(command.quote(name))
    for key, value in info.overrides.items():
        words += ["--set", command.quote(f"{key}={value}")]
    if origin := format_origin(info.start_from):
        words += ["--from", command.quote(origin), *(["--keep-state"] if is_fork else [])]
    if info.name != name:
        words += ["--name", command.quote(info.name)]
    return " ".join(words)
