"""What a picture begins from: noise, another picture, a grid of settings, or no noise at all."""

from abc import abstractmethod
from pathlib import PurePath
from typing import NamedTuple

from msgspec.structs import replace

from genui import protocol
from genui.errors import MisuseError
from genui.grids import axis_text, parse_axes
from genui.protocol import FROM_DATA, Axis, ImageSettings, Picture
from genui.render.sanitise import clean_line
from genui.runs.catalog import ModelInfo
from genui.ui import messages
from genui.ui.panes.picture_pane import PicturePane
from genui.ui.screens.form import Field, FormScreen
from genui.ui.widgets.picture import View

SIDE = 32
LABEL_CELLS = 32  # of a branch's words


class Opening(NamedTuple):
    """What a trace begins from other than pure noise."""

    init: Picture | str | None = None
    strength: float = 0.6
    forward: bool = False
    grid: tuple[Axis, ...] = ()
    name: str = ""  # of the picture, as a person calls it


class CanvasOpenings(PicturePane[ImageSettings]):
    """The actions of Canvas that begin a trace otherwise than from pure noise."""

    opening = Opening()

    # --- beginning --------------------------------------------------------------------

    def request(self) -> protocol.Start:
        opening = self.opening
        return replace(
            super().request(),
            init=opening.init,
            strength=opening.strength,
            forward=opening.forward,
            grid=opening.grid,
        )

    def start_over(self, play: bool) -> None:
        """Again as it began: from noise, from a picture, as a grid or a forward process."""
        if self.model is None:
            self.paint()
        else:
            self.begin(self.request(), self._label(), play)

    def _label(self) -> str:
        """What makes a trace that begins now differ, in few words."""
        opening = self.opening
        if opening.grid:
            words = f"grid of {' × '.join(axis.name for axis in opening.grid)}"
        elif opening.forward:
            words = f"forward from {opening.name}"
        elif opening.init is not None:
            words = f"from {opening.name}, {opening.strength:g}"
        else:
            words = f"seed {self.seed}"
        return clean_line(words, LABEL_CELLS)

    def _take(self, model: ModelInfo) -> None:
        super()._take(model)
        if not model.guided:
            self.settings = replace(self.settings, autoguidance=1)
        self.opening = Opening()

    def _follow_shown(self) -> None:
        super()._follow_shown()
        if self.trace is not None:
            start = self.trace.request
            name = self.opening.name if start.init == self.opening.init else ""
            if start.init is not None and not name:
                name = _name(start.init) if isinstance(start.init, str) else "a picture"
            self.opening = Opening(start.init, start.strength, start.forward, start.grid, name)

    def _open(self, opening: Opening) -> None:
        self.opening = opening
        self.post_message(messages.Acted())
        self.start_over(play=True)

    def action_image(self) -> None:
        """Ask for a picture to begin from, and how much of it to drown."""
        if not self._has_model():
            return
        now = self.opening
        path = now.init if isinstance(now.init, str) and now.init != FROM_DATA else ""
        fields = (
            Field("picture", path, "a path, or empty for the nearest training picture"),
            Field("strength", f"{now.strength:g}"),
        )
        hint = (
            "Strength, above 0 and up to 1, is the share of the steps that the picture is drowned "
            "for: 0.3 keeps most of it, 0.8 little. The nearest training picture is the one whose "
            "name is most like the caption. Type noise to begin from pure noise again."
        )

        def done(opening: Opening | None) -> None:
            if opening is not None:
                self._open(opening)

        self.app.push_screen(FormScreen("From a picture", fields, hint, _opening), done)

    def action_drown(self) -> None:
        """The forward process, of the finished picture or a training picture; and back."""
        if not self._has_model():
            return
        trace, frame = self.trace, self._frame
        if self.opening.forward:
            self._look_at("guess")
            self._open(Opening())
            self._tell("from pure noise again")
            return
        finished = trace is not None and frame is not None and frame.sigma == 0
        if finished and frame is not None and (frame.width, frame.height) == (SIDE, SIDE):
            init: Picture | str = Picture(width=SIDE, height=SIDE * frame.pictures, rgb=frame.guess)
            name = "this picture"
        else:
            init, name = FROM_DATA, "a training picture"
        self._look_at("x")
        self._open(Opening(init, forward=True, name=name))
        self._tell(f"{name} drowns in noise: f denoises from any step, u leaves the process")

    def action_grid(self) -> None:
        """Ask what varies along either side, and draw all of it as one batch."""
        if not self._has_model():
            return
        now = [axis_text(axis) for axis in self.opening.grid]
        along_x, along_y = (*now, "", "")[:2] if now else ("seed 1..4", "guidance 1, 2, 4, 8")
        fields = (
            Field("along x →", along_x, "none, or as in  seed 1..4"),
            Field("along y ↓", along_y, "none, or as in  guidance 1, 2, 4, 8"),
        )
        hint = (
            "seed, caption, guidance, eta or sampler, and its values: seed 1..4, "
            "sampler heun, ddim, caption red heart; blue star. "
            "Up to 16 a side and 64 in all; none on both sides ends the grid."
        )

        def parse(lines: list[str]) -> tuple[Axis, ...]:
            return parse_axes(*lines)

        def done(grid: tuple[Axis, ...] | None) -> None:
            if grid is not None:
                self._open(_with_grid(self.opening, grid))

        self.app.push_screen(FormScreen("Grid", fields, hint, parse), done)

    # --- for subclasses ---------------------------------------------------------------

    @abstractmethod
    def _look_at(self, view: View) -> None:
        """Show that picture large."""


def _with_grid(opening: Opening, grid: tuple[Axis, ...]) -> Opening:
    """The same beginning with another grid, or none; a forward process is left."""
    return Opening(grid=grid) if opening.forward else opening._replace(grid=grid)


def _opening(lines: list[str]) -> Opening:
    """What the window of `i` says. Raises MisuseError for a strength that cannot be."""
    path, text = lines[0].strip(), lines[1].strip()
    if path == "noise":
        return Opening()
    try:
        strength = float(text)
    except ValueError:
        strength = 0.0
    if not 0 < strength <= 1:
        raise MisuseError(f"strength '{clean_line(text, 20)}': expected a number above 0, up to 1")
    init = path or FROM_DATA
    return Opening(init, strength, name=_name(init))


def _name(init: str) -> str:
    return "a training picture" if init == FROM_DATA else PurePath(init).name
