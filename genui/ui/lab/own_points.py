"""The part of the Lab's pane that has points of one's own: set by keys, or from a file."""

import asyncio
from pathlib import Path

from textual import on, work
from textual.message import Message

from genui import points
from genui.errors import GenuiError, MisuseError
from genui.points import Point
from genui.protocol import LabSettings
from genui.runs.disk import shown
from genui.ui import messages
from genui.ui.lab.editor import PointsEditor
from genui.ui.lab.watching import Watching
from genui.ui.session import Session


class OwnPoints(Watching):
    """Owns the editor, which is shown over the plane while points are set."""

    class Editing(Message):
        """Points are being set, or no longer."""

        def __init__(self, now: bool) -> None:
            super().__init__()
            self.now = now

    def __init__(self, session: Session, settings: LabSettings, touched: str) -> None:
        super().__init__(session, settings, touched)
        self.editor = PointsEditor()
        self.own: list[Point] = []

    @property
    def own_text(self) -> str:
        """The points as a prompt; "" where there are none."""
        return points.to_text(self.own) if self.own else ""

    # --- by keys --------------------------------------------------------------------------

    @property
    def editing(self) -> bool:
        return self.has_class("-editing-points")

    def action_points(self) -> None:
        """Set points."""
        self._hold()
        self.stop_particles()
        self.add_class("-editing-points")
        self.editor.begin(self.own)
        self.screen.set_focus(self.editor)
        self.call_after_refresh(self.editor.paint)
        self.post_message(self.Editing(True))

    @on(PointsEditor.Done)
    def _points_set(self, event: PointsEditor.Done) -> None:
        event.stop()
        self.remove_class("-editing-points")
        self.screen.set_focus(self)
        self.post_message(self.Editing(False))
        changed, self.own = event.points != self.own, event.points
        if not self.own:
            self.paint()
        elif len({point[:2] for point in self.own}) < points.LEAST_POINTS:
            self._tell("set points at two places or more: p goes on setting, ⏎ sets one")
        elif changed or self.prompt != self.own_text:
            self._train_on_own()

    def _train_on_own(self) -> None:
        self.prompt = self.own_text
        self.start_over(play=True)

    # --- from a file ----------------------------------------------------------------------

    def action_open(self) -> None:
        """Ask for a CSV."""
        from genui.ui.screens.value import ValueScreen

        def parse(text: str) -> Path:
            if not text.strip():
                raise MisuseError("give the name of a CSV file")
            return Path(text.strip())

        hint = "a CSV with a line of x,y a point, or x,y,class; up to 5,000 of them"
        self.app.push_screen(ValueScreen("Points from a CSV", "", hint, parse), self._open_csv)

    def _open_csv(self, path: Path | None) -> None:
        if path is not None:
            self._read_csv(path)

    @work(group="csv", exclusive=True, exit_on_error=False)
    async def _read_csv(self, path: Path) -> None:
        try:
            found = await asyncio.to_thread(lambda: points.read_csv(path.expanduser()))
        except RuntimeError as error:  # expanduser knows no such user
            self.post_message(messages.Say(f"{path}: {error}"))
        except GenuiError as error:
            self.post_message(messages.Say(str(error)))
        else:
            self.own = found
            self._tell(f"{len(found):,} points of {shown(path)}")
            self._train_on_own()
