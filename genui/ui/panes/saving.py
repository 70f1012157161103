"""What Text and Canvas do with a tree of branches and the disk: save, open again and export."""

import asyncio
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from textual import work

from genui import protocol
from genui.errors import GenuiError
from genui.render.sanitise import clean_line
from genui.runs.catalog import ModelInfo
from genui.runs.disk import shown as shown_path
from genui.ui import messages
from genui.ui.panes.pane import Pane
from genui.ui.session import Session
from genui.ui.trace import F, Trace
from genui.ui.tree import Branch, Tree

if TYPE_CHECKING:
    from genui.ui.compare import Part

NO_MODEL = "no model is chosen yet: pick one in Models and press Enter"
NOTHING = "nothing is begun yet: press space, then there is something to {}"


class Saving(Pane, Generic[F]):
    """Mixed into the pane that owns a tree of traces. What reads files is imported when used."""

    traces: Tree[F]
    model: ModelInfo | None
    seed: int
    first_step: ClassVar[int]
    _session: Session

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.known: dict[str, ModelInfo] = {}  # by ref: those that branches are of
        self.catalogue: tuple[ModelInfo, ...] = ()  # of this medium

    # --- what the pane has --------------------------------------------------------------

    @property
    @abstractmethod
    def trace(self) -> Trace[F] | None: ...
    @abstractmethod
    def request(self) -> protocol.Start: ...
    @abstractmethod
    def total_steps(self) -> int: ...
    @abstractmethod
    def show_branch(self, number: int) -> None: ...
    @abstractmethod
    def _needed(self) -> Trace[F] | None: ...
    @abstractmethod
    def _hold(self) -> None: ...
    @abstractmethod
    def _moved(self) -> None: ...
    @abstractmethod
    def _follow_shown(self) -> None: ...
    @abstractmethod
    def _forget_dropped(self) -> None: ...

    def _tell(self, line: str) -> None:
        """A note to the user."""
        self.post_message(messages.Say(line, "note"))

    def know(self, models: Iterable[ModelInfo]) -> None:
        """Remember which models there are names for."""
        self.known.update((model.ref, model) for model in models)

    def set_catalogue(self, models: Sequence[ModelInfo]) -> None:
        """The models of this medium that are on disk now."""
        self.catalogue = tuple(models)
        self.know(models)

    @property
    def shown_part(self) -> "Part":
        """Which picture of a step the pane shows."""
        part = getattr(self, "shown", "x")
        return part if part in ("guess", "x", "noise") else "x"

    # --- save and open --------------------------------------------------------------------

    def action_save(self) -> None:
        """The tree of what is shown, beside its model."""
        if self.traces.shown is None:
            self._tell(NOTHING.format("save"))
        else:
            self._save([self.traces.shown])

    def _trees(self) -> Iterable[Branch[F]]:
        """A branch of every tree: of that which is shown the one that is."""
        from genui.ui import keeping

        shown = self.traces.shown
        for root in keeping.roots(self.traces):
            mine = shown is not None and keeping.root_of(self.traces, shown) is root
            yield shown if mine and shown is not None else root

    @work(group="save", exit_on_error=False)
    async def _save(self, branches: list[Branch[F]]) -> None:
        """Write the trees of these branches."""
        from genui.saved import save_tree
        from genui.ui import keeping

        machine = keeping.machine_of(self._session.ready)
        trees = [
            (keeping.saved_tree(self.traces, branch, machine), tuple(branch.trace.frames))
            for branch in branches
        ]

        def write() -> list[Path]:
            return [save_tree(keeping.with_result(tree, frames)) for tree, frames in trees]

        try:
            files = await asyncio.to_thread(write)
        except GenuiError as error:
            self.post_message(messages.Say(str(error)))
            return
        count = sum(len(tree.branches) for tree, _ in trees)
        what = "1 branch" if count == 1 else f"{count} branches"
        where = shown_path(files[0] if len(files) == 1 else files[0].parent)
        self._tell(f"saved {what} in {where} · ^p Open saved trace")

    @work(group="open", exclusive=True, exit_on_error=False)
    async def open_saved(self, path: Path) -> None:
        """Show a saved tree beside what is here, as it was left."""
        from genui.ui import keeping

        try:
            saved, model = await asyncio.to_thread(keeping.opened, path)
        except GenuiError as error:
            self.post_message(messages.Say(str(error)))
            return
        self._hold()
        self.know([model])
        keeping.graft(saved, self.traces)
        self._forget_dropped()
        self._follow_shown()
        count = len(saved.branches)
        what = "1 branch" if count == 1 else f"{count} branches, b lists them"
        self._tell(f"opened {clean_line(saved.name, 60)}: {what}")
        self._moved()

    # --- export ---------------------------------------------------------------------------

    def action_export(self) -> None:
        """What is shown, to a file that replays."""
        shown = self.traces.shown
        if shown is None or not (shown.trace.started or shown.trace.frames):
            self._tell(NOTHING.format("export"))
        else:
            self._export(shown)

    def _export(self, branch: Branch[F]) -> None:
        from genui.ui import keeping
        from genui.ui.exporting import Export
        from genui.ui.screens.export import ExportScreen

        trace: Trace[Any] = branch.trace
        step = trace.position

        def export() -> Export:
            machine = keeping.machine_of(self._session.ready)
            tree = keeping.saved_tree(self.traces, branch, machine)
            return Export(trace, tree, machine, step, self.shown_part)

        def finish() -> None:
            trace.seek(trace.total)
            self._session.ask(self, trace)

        def done(path: Path | None) -> None:
            if path is not None:
                name = shown_path(path)
                self._tell(f"wrote {name} · genui replay {name} makes it again and compares")
            self._moved()

        self.app.push_screen(ExportScreen(trace, self.shown_part, export, finish), done)


def other_weights(expected: str, started: protocol.Started) -> str:
    """The one line for a trace that other weights go on with; empty where they are the same."""
    if not expected or expected == started.fingerprint:
        return ""
    return (
        f"{clean_line(started.model, 40)} has other weights now ({started.fingerprint}) than "
        f"this was made with ({clean_line(expected, 16)}): its steps will differ"
    )
