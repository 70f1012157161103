"""What `genui watch` was asked to show, found again whenever the app looks."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from genui.errors import MisuseError
from genui.render.sanitise import clean_line
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, list_runs, summarise
from genui.runs.logs import FoundLogs, find_logs


class Sought(NamedTuple):
    """`runs` as they were found, `find` to look again."""

    key: str  # under which it is remembered how they were looked at
    runs: Sequence[RunSummary]
    find: Callable[[], list[RunSummary]]
    listing: bool  # whether the list of all is shown beside the first
    note: str = ""  # what was not looked at


def seek(paths: Sequence[Path] | None, run: RunDir | None) -> Sought:
    """One run of ours, or the logs found in `paths`, or all of ours.

    Raises GenuiError where a path may not be read, MisuseError where there is no log in it.
    """
    if run is not None:
        return Sought(run.id, [summarise(run)], list_runs, listing=False)
    if paths:
        key = "\n".join(str(path.absolute()) for path in paths)
        find = partial(_logs_in, tuple(paths))
        found = find()
        return Sought(key, found, find, len(found) > 1, found.note)
    runs = list_runs()
    return Sought("", runs, list_runs, len(runs) > 1)


def _logs_in(paths: Sequence[Path]) -> FoundLogs:
    """Every log in those files and folders, the one written last first.

    A folder without any may get one later: it is looked at again.
    """
    found, notes = FoundLogs(), []
    for path in paths:
        try:
            here = find_logs(path)
        except MisuseError:
            if not path.is_dir():
                raise
            continue
        found += here
        if here.note:
            notes.append(f"{clean_line(str(path))}: {here.note}")
    found.sort(key=lambda one: one.age)
    found.note = "; ".join(notes)
    return found
