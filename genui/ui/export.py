"""The window that exports a trace to a file."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Label, Static

from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean_line
from genui.ui.generate.look import ImagePart
from genui.ui.traces.compare import PARTS
from genui.ui.traces.export import Export, Format, default_name, formats
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.dialogs import Window
from genui.ui.widgets.inputs import LineInput
from genui.ui.widgets.lists import ListRow, RowList

POLL = 0.1  # seconds between checks of the trace


class ExportScreen(Window[Path | None]):
    """Dismissed with the file that was written, or None.

    `export` makes the Export of the trace in its current state. `finish` requests the missing
    steps from the worker, and is called until they are computed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", show=False),
        Binding("enter", "write", "Write", show=False),
        Binding("tab", "app.focus_next", "Next", show=False, priority=True),
        Binding("a", "sign", "Sign", show=False),
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("n", "answer(False)", "No", show=False),
    ]

    def __init__(
        self,
        trace: ShownTrace[Any],
        part: ImagePart,
        export: Callable[[], Export],
        finish: Callable[[], None],
    ) -> None:
        super().__init__()
        self._part = PARTS[part]
        self._trace = trace
        self._export = export
        self._finish = finish
        self._formats = {form.key: form for form in formats(trace)}
        self._step = trace.position  # finishing moves the playhead
        self._answer: Callable[[bool], None] | None = None  # set while a question is shown
        self._incomplete = False  # write even if steps are missing
        self._finishing = False
        self._requested = False  # missing steps have been requested
        self._writing = False
        self._sign = False  # formats that have room for a signature
        self._hint = ""  # the line below the file name

    def compose(self) -> ComposeResult:
        with Vertical(classes="window export"):
            yield RowList(id="formats")
            with Horizontal(classes="field"):
                yield Label("file")
                yield LineInput(id="file", compact=True)
            yield Static(classes="hint", markup=False)
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        self.set_titles("Export", "↑↓ format · tab file name · a sign · ⏎ write · esc cancel")
        rows = self.query_one(RowList)
        rows.set_rows(
            [
                ListRow(
                    form.key,
                    form.text.format(part=self._part, step=self._step),
                    lead=f"{form.key:<7}",
                )
                for form in self._formats.values()
            ]
        )
        self._name_for(self.form)
        self._write_hint()
        rows.focus()
        self.set_interval(POLL, self._poll)

    @property
    def form(self) -> Format:
        """The format under the cursor."""
        return self._formats[self.query_one(RowList).chosen]

    @property
    def missing(self) -> bool:
        """Whether steps are not computed yet."""
        return self._trace.computed < self._trace.total

    def _name_for(self, form: Format) -> None:
        """Set the suffix of the file name to that of the format; the stem stays as it was typed."""
        line = self.query_one("#file", LineInput)
        suffixes = [known.suffix for known in self._formats.values()]
        stem, suffix = os.path.splitext(line.value)
        if not line.value:
            line.value = default_name(self._trace, form)
        elif suffix in suffixes:
            line.value = stem + form.suffix

    def _write_hint(self) -> None:
        """Show the contents of the file."""
        trace = self._trace
        progress = f"{trace.computed:,} of {trace.total:,} steps"
        if self._finishing:
            line = f"finishing: {progress}"
        elif self.missing:
            line = f"{progress} are computed"
        else:
            line = "it contains its recipe: genui replay repeats it"
        if self._sign:
            suffix = self.form.suffix
            mark = "signed" if self.form.can_sign else f"a {suffix} cannot be signed"
            line = f"{mark} · {line}"
        if line != self._hint:
            self._hint = line
            self.query_one(".hint", Static).update(line)

    def show_fault(self, line: str) -> None:
        """Show a fault, or the current question."""
        self.query_one(".fault").set_class(self._answer is not None, "-asks")
        super().show_fault(clean_line(line))

    # --- keys -------------------------------------------------------------------------

    @on(RowList.Chosen)
    def _chosen(self) -> None:
        self._drop_question()
        self._name_for(self.form)

    @on(LineInput.Changed)
    def _typed(self) -> None:
        if self._answer is not None:
            self._drop_question()
        elif not self._writing:
            self.show_fault("")

    @on(LineInput.Submitted)
    def _submitted(self) -> None:
        self.action_write()

    def action_leave(self) -> None:
        """Drop the question, or close the window."""
        if self._answer is not None:
            self._drop_question()
            return
        if self._finishing:
            self._finishing = False  # a poll that is due would request the steps again
            self._trace.seek(self._step)
        self.leave()

    def _ask(self, question: str, then: Callable[[bool], None]) -> None:
        """Ask below the file name; the list gets the focus, so that y and n are not typed."""
        self.query_one(RowList).focus()
        self._answer = then
        self.show_fault(question)

    def _drop_question(self) -> None:
        if self._answer is not None:
            self._answer = None
            self.show_fault("")

    def action_answer(self, yes: bool) -> None:
        then = self._answer
        if then is not None:
            self._drop_question()
            then(yes)

    def action_sign(self) -> None:
        """Sign the file, or not."""
        self._sign = not self._sign
        self._write_hint()

    def action_write(self) -> None:
        """Check, ask if needed, and write."""
        if self._writing or self._finishing:
            return
        if self._answer is not None:
            return  # Enter is not an answer: pressed twice it would overwrite a file
        if self.missing and not self._incomplete:
            self._ask("y computes the rest first · n writes these", self._finish_first)
        else:
            self._write(overwrite=False)

    def _finish_first(self, yes: bool) -> None:
        if yes:
            self._finishing, self._requested = True, False
            self._poll()
        else:
            self._incomplete = True
            self._write(overwrite=False)

    def _poll(self) -> None:
        """While missing steps are being computed, show the progress; then write."""
        if not self._finishing:
            self._write_hint()  # more steps may arrive
            return
        lost = self._requested and not self._trace.id
        if lost or not self.missing:
            self._finishing = False
            self._trace.seek(self._step)
        self._write_hint()
        if lost:
            self.show_fault("the worker stopped before the end; ⏎ tries again")
        elif not self.missing:
            self._write(overwrite=False)
        else:
            self._finish()
            self._requested = True

    def _overwrite(self, yes: bool) -> None:
        if yes:
            self._write(overwrite=True)
        else:
            self.query_one("#file").focus()

    # --- writing ----------------------------------------------------------------------

    @work(exit_on_error=False)
    async def _write(self, overwrite: bool) -> None:
        form = self.form
        path = Path(self.query_one("#file", LineInput).value.strip())
        self._writing = True
        export, sign = self._export(), self._sign and form.can_sign
        try:
            path = path.expanduser()
            await asyncio.to_thread(export.write, form, path, overwrite, sign)
        except FileExistsError:
            self._ask(f"{path} exists. y overwrites it", self._overwrite)
        except (GenuiError, MisuseError) as error:
            self.show_fault(str(error))
        except RuntimeError as error:  # from expanduser: no such user
            self.show_fault(f"{path}: {error}")
        else:
            self.leave(path)
        finally:
            self._writing = False
