"""The windows: manual, favourites, mask, nearest data and metrics."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

from genui.base.errors import GenuiError
from genui.base.files import atomic_write
from genui.base.late import late_imports
from genui.base.shares import ShareTable
from genui.base.text import align, clean, clean_line
from genui.formats.recipe import TraceRecipe
from genui.formats.trees import ListedTrace, drop_favourite, list_favourites
from genui.protocol import ImageFrame, Neighbour, Neighbours, Quote
from genui.render.shares import draw_shares
from genui.render.table import HEADS, format_row
from genui.ui import messages
from genui.ui.lifecycle import is_usable
from genui.ui.processes import read_lines
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.dialogs import Window
from genui.ui.widgets.image import ImageView, MaskPainter
from genui.ui.widgets.lists import ListRow, RowList

with late_imports():
    from genui.formats import image

if TYPE_CHECKING:
    import numpy as np

# --- Favourites -------------------------------------------------------------------------------

NO_FAVOURITES = "No favourites yet: press * in Text, in Canvas or among variations"


class FavouritesScreen(Window[tuple[Path, TraceRecipe] | None]):
    """Lists the favourites, read on a thread. Dismissed with the file and the recipe of the one to
    open, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Open", show=False),
        Binding("d,delete", "drop", "Remove", show=False),
        Binding("u,ctrl+z", "app.undo", "Bring back", show=False),
        Binding("escape,q,F", "leave", "Close", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._listed: tuple[ListedTrace, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="window branches"):
            yield RowList(empty="reading …")
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        keys = "⏎ open · d remove · `genui sheet` makes an image of all · esc close"
        self.set_titles("Favourites", keys)
        self.query_one(RowList).focus()
        self._read()

    @work(group="favourites", exclusive=True, exit_on_error=False)
    async def _read(self) -> None:
        try:
            self._listed = tuple(await asyncio.to_thread(list_favourites))
        except (GenuiError, OSError) as error:
            self._say(str(error))
        if is_usable(self):
            rows = [_row(listed) for listed in self._listed]
            self.query_one(RowList).set_rows(rows, NO_FAVOURITES)

    @property
    def _chosen(self) -> ListedTrace | None:
        key = self.query_one(RowList).chosen
        return next((listed for listed in self._listed if str(listed.path) == key), None)

    @on(RowList.Opened)
    def action_take(self) -> None:
        listed = self._chosen
        if listed is None:
            return
        if listed.tree is None:
            self._say(listed.fault)
        else:
            self.leave((listed.path, listed.tree.recipe))

    def action_drop(self) -> None:
        """Delete the favourite's file; it can be brought back until the app closes."""
        if (listed := self._chosen) is None:
            return
        try:
            content = listed.path.read_bytes()
            drop_favourite(listed.path)
        except (GenuiError, OSError) as error:
            self._say(str(error))
            return
        name = clean_line(listed.tree.name if listed.tree is not None else listed.path.name, 60)

        async def undo() -> str:
            await asyncio.to_thread(atomic_write, listed.path, content)
            if is_usable(self):
                self._say("")
                self._read()
            return f"{name} is a favourite again"

        self.app.post_message(messages.Undoable(undo))
        self._say("removed; u brings it back")
        self._read()

    def _say(self, line: str) -> None:
        if is_usable(self):
            self.query_one(".fault", Static).update(clean_line(line))


def _row(listed: ListedTrace) -> ListRow:
    tree = listed.tree
    if tree is None:
        return ListRow(str(listed.path), clean_line(listed.path.name, 60), "damaged", "✗", "bad")
    when = time.strftime("%d %B %H:%M", time.localtime(tree.created))
    model = clean_line(tree.recipe.model, 24)
    return ListRow(str(listed.path), clean_line(tree.name, 60), f"{model} · {when}", "★", "good")


# --- Painting a mask: the part of the image to draw again -------------------------------------

SMALLEST = Size(42, 23)  # of the terminal: 32×32 pixels at a cell each, the text and the border
_LINES = 6  # of the border and the text
_KEYS = (
    (("arrows", "move"), ("⇧arrows", "paint"), ("space", "paint/unpaint"), ("+ −", "brush")),
    (("⌫", "clear"), ("~", "invert"), ("⏎", "draw again"), ("esc", "cancel")),
)
_MOVES = (("left", "h", -1, 0), ("right", "l", 1, 0), ("up", "k", 0, -1), ("down", "j", 0, 1))


class MaskScreen(Window[bytes | None]):
    """Dismissed with the mask, one byte per pixel, 1 where the image may change; None on Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(f"{arrow},{letter}", f"move({dx},{dy})", show=False)
          for arrow, letter, dx, dy in _MOVES),
        *(Binding(f"shift+{arrow},{letter.upper()}", f"move({dx},{dy},True)", show=False)
          for arrow, letter, dx, dy in _MOVES),
        Binding("space", "paint", "Paint or unpaint", show=False),
        Binding("plus,equals_sign", "brush(1)", "Larger brush", show=False),
        Binding("minus", "brush(-1)", "Smaller brush", show=False),
        Binding("delete,backspace", "clear", "Clear", show=False),
        Binding("tilde", "invert", "Invert", show=False),
        Binding("enter", "done", "Done", show=False),
        Binding("escape,q", "leave", "Cancel", show=False),
    ]  # fmt: skip

    def __init__(self, rgb: np.ndarray) -> None:
        """`rgb` is the image to paint on, uint8 [H, W, 3]."""
        super().__init__()
        self._painter = MaskPainter(rgb)

    def compose(self) -> ComposeResult:
        with Vertical(classes="window mask"):
            yield self._painter
            yield Static(classes="state")
            yield Static(_keys_content(), classes="mask-keys")

    def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_title = "Mask: paint the part to draw again"
        self._fit(self.app.size)
        self._show_state()

    def on_resize(self) -> None:
        self._fit(self.app.size)

    def _fit(self, size: Size) -> None:
        """Make the painter as high as the image at its largest whole scale."""
        rows = 32 if size.height - _LINES >= 32 and size.width >= 72 else 16
        self._painter.styles.height = rows

    def _show_state(self, fault: str = "") -> None:
        painter = self._painter
        state = Content.assemble(
            (f"{painter.painted}", "bold $foreground"),
            (f" of {painter.pixels} pixels are painted", "$text-muted"),
            ("  brush ", "$text-muted"),
            (f"{painter.brush}", "bold $foreground"),
            (f"  at {painter.x},{painter.y} ", "$text-muted"),
            ("painted" if painter.painted_here else "not painted", "$foreground"),
        )
        line = Content.assemble((f"✗ {fault}", "$text-error")) if fault else state
        self.query_one(".state", Static).update(line)

    # --- keys -------------------------------------------------------------------------

    def action_move(self, dx: int, dy: int, painting: bool = False) -> None:
        self._painter.move(dx, dy, painting)
        self._show_state()

    def action_paint(self) -> None:
        self._painter.toggle()
        self._show_state()

    def action_brush(self, by: int) -> None:
        self._painter.resize_brush(by)
        self._show_state()

    def action_clear(self) -> None:
        self._painter.erase()
        self._show_state()

    def action_invert(self) -> None:
        self._painter.invert()
        self._show_state()

    def action_done(self) -> None:
        """Close with the mask, unless nothing or everything is painted."""
        painter = self._painter
        if not painter.painted:
            self._show_state("nothing is painted: move, and press space to paint")
        elif painter.painted == painter.pixels:
            self._show_state(
                "everything is painted: unpaint some, or press esc and add noise instead (ctrl+p)"
            )
        else:
            self.leave(painter.mask)


def _keys_content() -> Content:
    parts: list[str | tuple[str, str]] = []
    for line in _KEYS:
        for key, word in line:
            parts += [(key, "bold $primary"), (f" {word}  ", "$text-muted")]
        parts.append("\n")
    return Content.assemble(*parts[:-1])


# --- Is it copied? A sample and the nearest training data -------------------------------------

COUNT = 6  # images in the strip


class NearestScreen(Window[None]):
    """Shows the training data nearest to a sample; opened empty and filled by `show`.

    For an image: the nearest images in a strip, and the chosen one large beside the sample. For
    music: its longest quotation and where that is from.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l,tab,down,j", "choose(1)", "Next", show=False),
        Binding("left,h,shift+tab,up,k", "choose(-1)", "Previous", show=False),
        *(
            Binding(f"{n}", f"pick({n - 1})", f"Number {n}", show=False)
            for n in range(1, COUNT + 1)
        ),
        Binding("enter,z", "alone", "The training image alone", show=False),
        Binding("escape,q,N", "leave", "Close", show=False),
    ]

    def __init__(self, trace: ShownTrace[Any], step: int) -> None:
        super().__init__()
        self._trace = trace
        self.step = step
        self.neighbours: Neighbours | None = None
        self._line = "searching the training data …"
        self.chosen = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="nearest"):
            yield Static(classes="what", markup=False)
            if self._trace.first:
                yield Static(classes="source box", markup=False)
            else:
                with Horizontal(classes="large"):
                    with Vertical(classes="box sample"):
                        yield ImageView()
                    with Vertical(classes="box trained"):
                        yield ImageView(" ")
                with Horizontal(classes="strip"):
                    for _ in range(COUNT):
                        with Vertical(classes="box near"):
                            yield ImageView(" ")
            yield Static(classes="keys", markup=False)

    def on_mount(self) -> None:
        keys = "" if self._trace.first else "← → choose · ⏎ the training image alone · "
        self.query_one(".keys", Static).update(f"{keys}esc close")
        if not self._trace.first:
            set_border(self.query_one(".sample"), title="the sample")
            if self._trace.frame is not None:
                self._show_sample(self._trace.frame)
        self._paint()

    def show(self, neighbours: Neighbours) -> None:
        """Show the reply, which may arrive before the window is open."""
        self.neighbours, self._line = neighbours, self._summarise(neighbours)
        self._paint()

    def fail(self, line: str) -> None:
        """Show why there is no reply."""
        self._line = clean_line(line)
        self._paint()

    def _summarise(self, neighbours: Neighbours) -> str:
        if neighbours.fault:
            return clean_line(neighbours.fault)
        source = clean_line(f"{neighbours.data} · {neighbours.measured}")
        if neighbours.quotes:
            longest = neighbours.quotes[0]
            return f"longest match tokens {longest.first}–{longest.last}, in {source}"
        if neighbours.images:
            return f"nearest in {source}"
        return f"no part of it is in {source}"

    # --- keys -------------------------------------------------------------------------

    def action_choose(self, by: int) -> None:
        """Choose the next or previous training image."""
        if self._images:
            self.action_pick((self.chosen + by) % len(self._images))

    def action_pick(self, index: int) -> None:
        if index < len(self._images):
            self.chosen = index
            self._paint()

    def action_alone(self) -> None:
        """Show the training image without the sample, or both again."""
        if not self._trace.first:
            self.query_one(".nearest").toggle_class("-alone")
            self.call_after_refresh(self._paint)

    # --- drawing ----------------------------------------------------------------------

    def _show_sample(self, frame: ImageFrame) -> None:
        """Show the sample; of a clip four frames, as of the training clips."""
        view = self.query_one(".sample ImageView", ImageView)
        if frame.images == 1:
            view.show_frame(frame, "denoised")
            return
        view.show(image.four_frames(image.clip_pixels(frame, "denoised")))

    @property
    def _images(self) -> tuple[Neighbour, ...]:
        return self.neighbours.images[:COUNT] if self.neighbours is not None else ()

    def _paint(self) -> None:
        if not is_usable(self):
            return
        self.query_one(".what", Static).update(self._line)
        if self._trace.first:
            quotes = self.neighbours.quotes if self.neighbours is not None else ()
            self._show_text(quotes[0] if quotes else None)
        else:
            self._show_images()

    def _show_images(self) -> None:
        for index, box in enumerate(self.query(".near")):
            box.display = index < len(self._images) or not self._images
            if index < len(self._images):
                near = self._images[index]
                chosen = index == self.chosen
                box.set_class(chosen, "-chosen")
                self._show_near(box.query_one(ImageView), near)
                title = f"{'▸ ' if chosen else ''}{near.distance:.3g}"
                set_border(box, title=title, subtitle=clean_line(near.caption))
        if self._images:
            near, box = self._images[self.chosen], self.query_one(".trained")
            self._show_near(box.query_one(ImageView), near)
            title = clean_line(f"{near.caption} · {near.distance:.3g} from the sample")
            set_border(box, title=title, subtitle="a training image")

    def _show_near(self, view: ImageView, near: Neighbour) -> None:
        import numpy as np

        frame = self._trace.frame
        has_sound = frame is not None and bool(frame.sound)
        pixels = np.frombuffer(near.rgb, np.uint8).reshape(near.height, near.width, 3)
        view.show(pixels, spectrogram=has_sound)

    def _show_text(self, quote: Quote | None) -> None:
        """Show the quotation, and its source."""
        source = self.query_one(".source", Static)
        source.display = quote is not None
        if quote is not None:
            source.update(clean(quote.text))
            set_border(source, title=clean_line(quote.where))


# --- A table of the metrics of models of the same data ----------------------------------------

SAMPLES = 500
PROBER = (sys.executable, "-m", "genui", "probes", "--lines")
MEASURER = (*PROBER, "-n", str(SAMPLES))
"""The command that measures models, whose refs are added."""

TEXT_PROBES = ("canaries", "membership", "extraction")
"""What is asked of a text model, what takes longest last."""

NOTE = (
    "Fréchet distance, precision and recall (k 3), density and coverage (k 5) against the test "
    "set, in the features of the classifier shipped for that data; copying 0.5: nothing is copied"
)


class MetricsScreen(Window[None]):
    """Measures models in a process, which is killed when the window closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,i", "leave", "Leave", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
        Binding("down,j", "scroll(1)", "Down", show=False),
    ]

    def __init__(
        self,
        models: Sequence[str],
        measurer: Sequence[str] = MEASURER,
        probes: Sequence[str] = (),
    ) -> None:
        """Asks `probes`, one after another; without them it makes the table of images."""
        super().__init__()
        self._models = tuple(models)
        self._argv = tuple(measurer)
        self._probes = tuple(probes)
        self.rows: list[Mapping[str, Any]] = []
        self._found: list[ShareTable | str] = []  # tables of shares, or why there is none

    def compose(self) -> ComposeResult:
        with Vertical(classes="window probes"):
            yield Static("starting …", classes="progress", markup=False)
            with VerticalScroll(classes="table", can_focus=False):
                yield Static(classes="rows")
            yield Static("" if self._probes else NOTE, classes="hint", markup=False)

    def on_mount(self) -> None:
        self.set_titles("Metrics", "esc cancel")
        self._measure()

    def on_resize(self) -> None:
        self._paint()

    def action_scroll(self, by: int) -> None:
        self.query_one(".table").scroll_relative(y=by, animate=False)

    # --- measuring --------------------------------------------------------------------

    @work(group="measure", exclusive=True, exit_on_error=False)
    async def _measure(self) -> None:
        if not self._probes and not await self._run(()):
            self._say(f"measured with {SAMPLES} samples each")
        for probe in self._probes:
            self._say(f"{probe} …")
            fault = await self._run(("--probe", probe))
            if fault and fault not in self._found:
                self._found.append(fault)
                self._paint()
        if self._probes:
            self._say("measured")

    async def _run(self, options: Sequence[str]) -> str:
        """Run the measurer; returns the line that it failed with, or ""."""
        fault = await read_lines((*self._argv, *self._models, *options), self._take)
        if not fault or any(row.get("fault") for row in self.rows):
            return ""
        self._say(fault)
        return fault

    def _take(self, message: dict[str, Any]) -> None:
        """Take a line of the process: its progress, a row of the table, or a table of shares."""
        if isinstance(row := message.get("row"), dict):
            self.rows.append(row)
            self._paint()
        elif isinstance(shares := message.get("shares"), dict):
            self._found.append(msgspec.convert(shares, ShareTable))
            self._paint()
        elif "progress" in message:
            self._say(message["progress"])

    def _say(self, line: str) -> None:
        if is_usable(self):
            self.query_one(".progress", Static).update(clean_line(line))

    # --- drawing ----------------------------------------------------------------------

    def _paint(self) -> None:
        if is_usable(self):
            room = self.query_one(".table").scrollable_content_region.width
            shown = table(self.rows, room) if self.rows else _draw_found(self._found, room)
            self.query_one(".rows", Static).update(shown)


def table(rows: Sequence[Mapping[str, Any]], width: int) -> Content:
    """A table with a row for each model or, if that is wider than `width` cells, a column."""
    texts = [tuple(clean_line(cell, 24) for cell in format_row(row)) for row in rows]
    if not texts:
        return Content("")
    lines = _lines([HEADS, *texts], range(2, len(HEADS)))
    if max(map(cell_len, lines)) > width:
        lines = _lines(list(zip(HEADS, *texts, strict=True)), range(1, len(texts) + 1))
    faults = [clean_line(str(row["fault"])) for row in rows if row.get("fault")]
    return Content("\n".join([*lines, *faults]))


def _draw_found(found: Sequence[ShareTable | str], width: int) -> Content:
    """Tables of shares with their titles and notes, and why there is none."""
    lines: list[str] = []
    for each in found:
        if isinstance(each, str):
            lines += [*wrap(each, width), ""]
        else:
            notes = [line for note in each.notes for line in wrap(note, width)]
            lines += [*wrap(each.title, width), *draw_shares(each, width), *notes, ""]
    return Content("\n".join(map(clean, lines)))


def _lines(grid: Sequence[Sequence[str]], right: Container[int]) -> list[str]:
    return ["  ".join(cells).rstrip() for cells in align(grid, right)]
