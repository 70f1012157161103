"""Is it copying? A sample beside what of the training data is most like it."""

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from genui.protocol import ImageFrame, Neighbour, Neighbours, Quote
from genui.render.flow import Flow
from genui.render.sanitise import clean, clean_line
from genui.ui.frame import set_border
from genui.ui.screens.window import Window
from genui.ui.trace import Trace
from genui.ui.widgets.picture import Picture

MOST = 6  # pictures in the strip
CONTEXT = 4  # lines of the text above the quotation


class NearestScreen(Window[None]):
    """Opened at once and filled by `show`: pictures in a strip, the chosen one large beside the
    sample; of a text its longest quotation, marked in it and where it is from."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l,tab,down,j", "choose(1)", "The next", show=False),
        Binding("left,h,shift+tab,up,k", "choose(-1)", "The one before", show=False),
        *(Binding(str(n), f"pick({n - 1})", f"Number {n}", show=False) for n in range(1, MOST + 1)),
        Binding("enter,z", "alone", "The training picture alone", show=False),
        Binding("pageup", "scroll_text(-8)", "Scroll up", show=False),
        Binding("pagedown", "scroll_text(8)", "Scroll down", show=False),
        Binding("escape,q,N", "leave", "Leave", show=False),
    ]

    def __init__(self, trace: Trace[Any], step: int) -> None:
        super().__init__()
        self._trace = trace
        self._step = step
        self.found: Neighbours | None = None
        self._words_now = "looking through the training data …"
        self.chosen = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="nearest"):
            yield Static(classes="what", markup=False)
            if self._trace.first:
                yield Static(classes="source box")
                with VerticalScroll(classes="texts", can_focus=False):
                    yield Static(classes="written box")
            else:
                with Horizontal(classes="large"):
                    with Vertical(classes="box sample"):
                        yield Picture()
                    with Vertical(classes="box trained"):
                        yield Picture(" ")
                with Horizontal(classes="strip"):
                    for _ in range(MOST):
                        with Vertical(classes="box near"):
                            yield Picture(" ")
            yield Static(classes="keys", markup=False)

    def on_mount(self) -> None:
        keys = (
            "PgUp PgDn scroll" if self._trace.first else "← → choose · ⏎ the training picture alone"
        )
        self.query_one(".keys", Static).update(f"{keys} · esc leave")
        if not self._trace.first:
            frame = self._trace.frame
            set_border(self.query_one(".sample"), title="the sample")
            if isinstance(frame, ImageFrame):
                self._show_sample(self.query_one(".sample Picture", Picture), frame)
        self._paint()

    def show(self, found: Neighbours) -> None:
        """What came of the asking, maybe before the window is open."""
        self.found, self._words_now = found, self._words(found)
        self._paint()

    def fail(self, line: str) -> None:
        """It cannot be known."""
        self._words_now = clean_line(line)
        self._paint()

    def _words(self, found: Neighbours) -> str:
        if found.fault:
            return clean_line(found.fault)
        where = clean_line(f"{found.data} · {found.measured}")
        if found.quote is not None:
            steps = f"tokens {found.quote.first}–{found.quote.last}"
            if self._trace.medium != "music":
                steps = f"{len(found.quote.text)} characters, {steps}"
            return f"longest run {steps}, of {where}"
        if found.pictures:
            return f"nearest in {where}"
        return f"no run of it stands in {where}"

    # --- keys -------------------------------------------------------------------------

    def action_choose(self, by: int) -> None:
        """Another of the training pictures; of a text, scroll."""
        if self._trace.first:
            self.action_scroll_text(by)
        elif self._pictures:
            self.action_pick((self.chosen + by) % len(self._pictures))

    def action_pick(self, index: int) -> None:
        """That one large."""
        if index < len(self._pictures):
            self.chosen = index
            self._paint()

    def action_alone(self) -> None:
        """The training picture alone, as large as the screen, or the sample beside it again."""
        if not self._trace.first:
            self.query_one(".nearest").toggle_class("-alone")
            self.call_after_refresh(self._paint)

    def action_scroll_text(self, by: int) -> None:
        for texts in self.query(".texts"):
            texts.scroll_relative(y=by, animate=False)

    def action_leave(self) -> None:
        self.leave(None)

    # --- drawing ----------------------------------------------------------------------

    def _show_sample(self, picture: Picture, frame: ImageFrame) -> None:
        """As the training examples are shown: of a clip four frames."""
        if frame.pictures == 1:
            picture.show_frame(frame, "guess")
            return
        import numpy as np

        from genui.render.film import four

        clip = np.frombuffer(frame.guess, np.uint8)
        shown = four(clip.reshape(frame.pictures, frame.height, frame.width, 3))
        picture.show(shown.tobytes(), shown.shape[1], shown.shape[0])

    @property
    def _pictures(self) -> tuple[Neighbour, ...]:
        return self.found.pictures[:MOST] if self.found is not None else ()

    def _paint(self) -> None:
        if not self.usable:
            return
        self.query_one(".what", Static).update(self._words_now)
        if self._trace.first:
            self._show_text(self.found.quote if self.found is not None else None)
        else:
            self._show_pictures()

    def _show_pictures(self) -> None:
        for index, box in enumerate(self.query(".near")):
            box.display = index < len(self._pictures) or not self._pictures
            if index < len(self._pictures):
                near = self._pictures[index]
                chosen = index == self.chosen
                box.set_class(chosen, "-chosen")
                box.query_one(Picture).show(near.rgb, near.width, near.height)
                mark = "▸ " if chosen else ""
                set_border(
                    box, title=f"{mark}{near.distance:.3g}", subtitle=clean_line(near.caption)
                )
        if self._pictures:
            near, box = self._pictures[self.chosen], self.query_one(".trained")
            box.query_one(Picture).show(near.rgb, near.width, near.height)
            title = clean_line(f"{near.caption} · {near.distance:.3g} from the sample")
            set_border(box, title=title, subtitle="a training picture")

    def _show_text(self, quote: Quote | None) -> None:
        """The text with the quotation marked, and where it stands."""
        frames = self._trace.frames[: self._step]
        texts = [clean(frame.text) for frame in frames]
        first, last = (quote.first - 1, quote.last) if quote is not None else (0, 0)
        written = Content.assemble(
            (clean(self._trace.seen_prompt), "bold"),
            "".join(texts[:first]),
            ("".join(texts[first:last]), "reverse"),
            "".join(texts[last:]),
        )
        box, source = self.query_one(".written", Static), self.query_one(".source", Static)
        box.update(written)
        set_border(box, title="the text")
        if quote is not None:
            flow = Flow(max(1, box.size.width - 2))
            flow.extend([(clean(self._trace.seen_prompt), 0), ("".join(texts[:first]), 0)])
            self.query_one(".texts").scroll_to(y=max(0, len(flow) - CONTEXT), animate=False)
        source.display = quote is not None
        if quote is not None:
            around = ("…", quote.before), quote.text, (quote.after, "…")
            source.update(
                Content.assemble(
                    (clean("".join(around[0])), "$text-muted"),
                    (clean(around[1]), "reverse"),
                    (clean("".join(around[2])), "$text-muted"),
                )
            )
            set_border(source, title=f"the training text, {clean_line(quote.where)}")
