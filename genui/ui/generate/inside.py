"""Looking inside a text model: attention, layers and parts of the token at the cursor, the sources
of its passage, and edits of layers."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, get_args

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.base.schema import next_of
from genui.base.text import clean, clean_line
from genui.protocol import (
    Ablate,
    Attend,
    Attention,
    Contribution,
    Failed,
    Layers,
    LogitBase,
    Nearest,
    Neighbours,
    Patch,
    Quote,
    ReadLayers,
    ReadTokens,
    Request,
    Steer,
    TextFrame,
    TextSettings,
    Tokens,
)
from genui.protocol.edits import LAYER_EDITS, parse_layer_edit
from genui.protocol.settings import LayerEdit
from genui.ui.generate.actions import Actions
from genui.ui.generate.look import InsideView, TextLook
from genui.ui.generate.pane import TracePane
from genui.ui.traces.controller import TraceController
from genui.ui.traces.trees import Branch, Lost, ShownTrace, TraceReply
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.candidates import AttentionList, Heads, levels, token_text
from genui.ui.widgets.dialogs import ChooseScreen, make_value_screen
from genui.ui.widgets.inputs import unescape_newlines
from genui.ui.widgets.layers import LayerList, PartList
from genui.ui.widgets.lists import ListRow
from genui.ui.widgets.settings import Option

TextController = TraceController[TextFrame, TextSettings]

LABEL_CELLS = 16  # of a token or text in a branch's label

VIEWS: tuple[InsideView, ...] = get_args(InsideView)
"""The views of the token at the cursor, in the order of the keys."""


PASSAGE, PASSAGE_HERE = 2, 4
"""The levels of the tokens of a passage, and of the one at the cursor, as those of attention."""


def label_text(text: str) -> str:
    """A token or text as a branch's label shows it, without the spaces around it."""
    return token_text(text.strip(" ") or text, LABEL_CELLS).replace("·", " ")


# --- What is shown in place of the odds -------------------------------------------------------


class InsideActions(Actions):
    """The attention, the layers or the parts of the token at the cursor, in place of its odds.

    One request is under way at a time; the next is for the playhead's position at that moment.
    """

    def __init__(self, pane: TracePane, controller: TextController) -> None:
        super().__init__(pane)
        self._controller = controller
        self._view: InsideView = "odds"  # that the keys turned on
        self.head = 0  # 0 is the average, then come the heads
        self._layer: int | None = None  # the selected one, 0 for the input; None for the last
        self._part = 0  # the selected one of `parts`
        self._over: LogitBase = "other"  # what a part raised the written token's logit over
        self._heads: Heads | None = None  # the last reply
        self._layers: Layers | None = None  # the last reply
        self._sources: Neighbours | None = None  # the last reply
        self._pending = False  # whether a request is under way

    @property
    def view(self) -> InsideView:
        """The view; anything but the odds full-screen only."""
        return self._view if self.pane.zoomed else "odds"

    @property
    def heads(self) -> Heads | None:
        """The attention of the token at the cursor; None if it is not shown or not known yet."""
        heads = self._heads
        fits = heads is not None and self._is_current(heads.attention)
        return heads if fits and self.view == "attention" else None

    @property
    def sources(self) -> Neighbours | None:
        """The passages of the whole text; None if they are not shown or not known yet."""
        found, trace = self._sources, self._controller.trace
        if found is None or trace is None or self.view != "sources":
            return None
        return found if (found.trace, found.step) == (trace.id, trace.computed_by_worker) else None

    @property
    def passage(self) -> Quote | None:
        """The passage of the token at the cursor; None if it is in none."""
        trace, found = self._controller.trace, self.sources
        if trace is None or found is None:
            return None
        at = trace.position
        return next((quote for quote in found.quotes if quote.first <= at <= quote.last), None)

    @property
    def is_shading(self) -> bool:
        """Whether the shades of the text show the view."""
        return self.view in ("attention", "sources")

    @property
    def shades(self) -> tuple[list[int], Sequence[str] | None] | None:
        """The levels of the tokens and the prompt's tokens, as `Prose.shade` takes them; None if
        they are not known yet."""
        if (heads := self.heads) is not None:
            return levels(heads.weights(self.head)), heads.prompt
        if (found := self.sources) is None:
            return None
        shades = [0] * found.step
        for quote in found.quotes:
            level = PASSAGE_HERE if quote is self.passage else PASSAGE
            shades[quote.first - 1 : quote.last] = [level] * (quote.last - quote.first + 1)
        return shades, None

    @property
    def layers(self) -> Layers | None:
        """The layers of the token at the cursor; None if they are not known yet."""
        layers = self._layers
        fits = layers is not None and self._is_current(layers) and layers.over == self._over
        return layers if fits else None

    @property
    def parts(self) -> list[Contribution]:
        """What the heads and feed-forwards added to the token's logit, the largest first."""
        parts = self.layers.contributions() if self.layers is not None else []
        return sorted(parts, key=lambda part: -abs(part.value))

    @property
    def selected_part(self) -> Contribution | None:
        """The selected part, or the head whose attention is shown."""
        if self.view == "parts" and (parts := self.parts):
            return parts[min(self._part, len(parts) - 1)]
        if self.view == "attention" and self.head and self._heads is not None:
            layer, head = divmod(self.head - 1, self._heads.attention.heads)
            return Contribution(layer + 1, head + 1, 0.0)
        return None

    @property
    def selected_layer(self) -> int | None:
        """The layer that is selected in any view; None if there is none."""
        if self.view == "layers" and self.layers is not None:
            return self._selected_layer(self.layers) or None
        part = self.selected_part
        return part.layer if part is not None else None

    def _is_current(self, reply: Attention | Layers) -> bool:
        trace = self._controller.trace
        return trace is not None and (reply.trace, reply.step) == (trace.id, trace.position)

    # --- keys ---------------------------------------------------------------------------

    def action_look(self, view: InsideView) -> None:
        """Show a view of the token at the cursor, or the odds again."""
        self._show("odds" if self.view == view else view)

    def action_inside(self, by: int) -> None:
        """Show the next view of the token at the cursor, or the one before."""
        self._show(next_of(VIEWS, self.view, by))

    def _show(self, view: InsideView) -> None:
        trace = self._controller.ensure_trace()
        if trace is None:
            return
        self._view = view
        if view != "odds":
            trace.pause()
            if not self.pane.zoomed:
                self.pane.action_zoom()
        self._controller.refresh()

    def walk(self, by: int) -> bool:
        """Select the next head, layer, part or passage, or the one before; whether one is
        shown."""
        match self.view:
            case "odds":
                return False
            case "attention":
                count = self._heads.count if self._heads is not None else 1
                self.head = max(0, min(self.head + by, count - 1))
            case "layers":
                if self.layers is not None and (count := len(self.layers.layers)):
                    at = self._selected_layer(self.layers) + by
                    self._layer = max(0, at) if at < count - 1 else None
            case "parts":
                self._part = max(0, min(self._part + by, len(self.parts) - 1))
            case "sources":
                self._go_to_passage(by)
        self.pane.paint()
        return True

    def _go_to_passage(self, by: int) -> None:
        """Move the cursor to the beginning of the next passage, or of the one before."""
        trace, found = self._controller.trace, self.sources
        if trace is not None and found is not None:
            begins = sorted((quote.first for quote in found.quotes), reverse=by < 0)
            ahead = (at for at in begins if (at - trace.position) * by > 0)
            self._controller.seek(next(ahead, trace.position))

    def enter(self) -> bool:
        """Show the attention of the selected head; False if the odds are shown."""
        if self.view == "odds":
            return False
        part, layers = self.selected_part, self.layers
        if self.view == "parts" and part is not None and layers is not None and part.head:
            self.head = 1 + (part.layer - 1) * len(layers.heads[0]) + part.head - 1
            self._show("attention")
        elif self.view == "parts":
            self.pane.say("choose a head with ↑ ↓: Enter shows its attention")
        else:
            self.pane.say("[ and ] go to the candidates: Enter forks with one")
        return True

    def options(self) -> list[Option]:
        names = ("inside", "over") if self.view == "parts" else ("inside",)
        return self.rows(self._look, *names, take=self._take)

    def _look(self) -> TextLook:
        return TextLook(inside=self.view, over=self._over)

    def _take(self, name: str, value: Any) -> None:
        if name == "inside":
            self._show(value)
        else:
            self._over = value
            self._controller.refresh()

    # --- drawing ------------------------------------------------------------------------

    def paint(self, box: Widget) -> bool:
        """Show the view in the box of the odds, or request it; False for the odds themselves."""
        view = self.view
        for name in VIEWS[1:]:
            box.set_class(name == view, f"-{name}")
        match view:
            case "odds":
                return False
            case "attention":
                self._paint_attention(box, box.query_one(AttentionList))
            case "layers":
                self._paint_layers(box, box.query_one(LayerList))
            case "parts":
                self._paint_parts(box, box.query_one(PartList))
            case "sources":
                self._paint_sources(box, box.query_one(".passage", Static))
        return True

    def _paint_attention(self, box: Widget, shown: AttentionList) -> None:
        heads = self.heads
        if heads is not None:
            attention = heads.attention
            shown.clear(attention.fault)
            shown.show(attention.texts, heads.weights(self.head), attention.first)
        elif reason := self._request(Attend):
            shown.clear(reason)
        name = self._heads.name(self.head) if self._heads is not None else "average"
        self._set_border(box, f"Attention · {name}", name, "↑↓ heads")

    def _paint_layers(self, box: Widget, shown: LayerList) -> None:
        if (layers := self.layers) is not None and layers.layers:
            shown.show(layers, self._selected_layer(layers))
        elif reason := self._reason(layers):
            shown.clear(reason)
        self._set_border(box, f"Layers{self._of_token()}", "layers", "↑↓ layers")

    def _paint_parts(self, box: Widget, shown: PartList) -> None:
        if (layers := self.layers) is not None and (parts := self.parts):
            shown.show(layers, parts, min(self._part, len(parts) - 1))
        elif reason := self._reason(layers):
            shown.clear(reason)
        part = self.selected_part
        hint = "⏎ its attention" if part is not None and part.head else "↑↓ parts"
        self._set_border(box, f"Added to the logit{self._of_token()}", "added to its logit", hint)

    def _paint_sources(self, box: Widget, shown: Static) -> None:
        found, quote = self.sources, self.passage
        if quote is not None:
            shown.update(describe_passage(quote))
        elif found is not None and found.fault:
            shown.update(clean_line(found.fault, 200))
        elif found is not None:
            count = numbers.quantity(len(found.quotes), "passage")
            shown.update(clean_line(f"{count} in {found.data}: {found.measured}", 300))
        else:
            shown.update(self._request(Nearest, whole=True) or "reading the training text …")
        self._set_border(box, "Whose words are these?", "whose words", "↑↓ passages")

    def _selected_layer(self, layers: Layers) -> int:
        """The index of the selected layer in `layers.layers`."""
        last = len(layers.layers) - 1
        return last if self._layer is None else min(self._layer, last)

    def _of_token(self) -> str:
        return f" of ‘{token_text(self.layers.token)}’" if self.layers is not None else ""

    def _set_border(self, box: Widget, title: str, short: str, hint: str) -> None:
        title = title if len(title) <= box.size.width - 6 else short.capitalize()
        set_border(box, title=title, subtitle=f"{hint} · [ ] views")

    def _reason(self, layers: Layers | None) -> str:
        """Request the layers. Returns why there are none to show, or "" if a reply will come."""
        if layers is not None:
            return clean_line(layers.fault, 200)
        return self._request(partial(ReadLayers, over=self._over))

    def _request(self, view: Callable[..., Request], whole: bool = False) -> str:
        """Request a view of the token, or of the whole text, from the worker. Returns why that is
        not possible, or ""."""
        trace = self._controller.trace
        if trace is None or trace.frame is None:
            return "No token at the cursor: press →"
        if trace.playing:
            return f"Press space to pause: then the {self.view} {self._verb} shown"
        if not trace.on_worker:
            return "The worker does not have this text yet: press space to continue"
        if not self._pending:
            self._pending = True
            step = trace.computed_by_worker if whole else trace.position
            self.pane.session.put(view(trace=trace.id, step=step))
        return ""

    @property
    def _verb(self) -> str:
        return "is" if self.view == "attention" else "are"

    def handle(self, reply: TraceReply) -> None:
        if isinstance(reply, Attention | Layers | Neighbours | Failed | Lost):
            self._pending = False
        if isinstance(reply, Attention):
            self._heads = Heads(reply)
            self.head = min(self.head, self._heads.count - 1)
            self.pane.paint()
        elif isinstance(reply, Layers):
            self._layers = reply
            self.pane.paint()
        elif isinstance(reply, Neighbours):
            self._sources = reply
            self.pane.paint()


def describe_passage(quote: Quote) -> Content:
    """The source of a passage, how usual so long a one is, and the training text around it."""
    usual, before = "", clean(quote.before).rpartition("\n")[2]
    if quote.usual is not None:
        usual = f"; {quote.usual:.0%} of held-out passages have one as long"
    return Content.assemble(
        (f"{clean_line(quote.where)}\n", "bold"),
        (f"{len(quote.text)} characters{usual}\n\n", "$text-muted"),
        (f"…{before}", "$text-muted"),
        (clean(quote.text), "bold underline"),
        (f"{clean(quote.after)}…", "$text-muted"),
    )


# --- Edits of layers, from the palette --------------------------------------------------------

_BRANCH = re.compile(r"#(\d{1,6})")


class LayerEditActions(Actions):
    """Ablates, steers and patches: the token at the cursor is written again with the edit."""

    def __init__(self, pane: TracePane, controller: TextController, inside: InsideActions) -> None:
        super().__init__(pane)
        self._controller = controller
        self._inside = inside
        self._patched: tuple[ShownTrace[TextFrame], Branch[TextFrame]] | None = None
        """The layer and position to patch, and the chat whose tokens are requested."""

    def action_ablate(self) -> None:
        """Ask for a head or a feed-forward to remove."""
        part = self._inside.selected_part or next(iter(self._inside.parts), None)
        self._ask("ablate", part.address if part is not None else "1.1")

    def action_steer(self) -> None:
        """Ask for two texts, whose difference is added to a layer."""
        self._ask("steer", f"{self._inside.selected_layer or 1}:2:|")

    def action_patch(self) -> None:
        """Choose a branch, then a layer and a position that take its values."""
        trace = self._trace()
        if trace is None:
            return
        controller = self._controller
        rows = [
            ListRow(str(branch.number), controller.branch_label(branch))
            for branch in controller.tree.branches
            if branch.trace is not trace and branch.trace.request.model == trace.request.model
        ]
        empty = "No other branch from this model: e and f make one"
        window = ChooseScreen("Patch from", rows, "choose", empty)
        self.pane.ask(window, self._patch_from)

    def _patch_from(self, number: str) -> None:
        branch, trace = self._controller.tree.find(int(number)), self._controller.trace
        if branch is None or trace is None:
            return
        before, request = branch.trace.frames[: _step_of(trace)], branch.trace.request
        if not request.chat:
            token_ids = tuple(frame.token for frame in before)
            self._ask_patch(trace, branch, request.prompt, token_ids)
        elif branch.trace.on_worker:
            self._patched = trace, branch
            self.pane.session.put(ReadTokens(trace=branch.trace.id, step=len(before)))
        else:
            self.pane.say("the worker does not have this chat yet: show it and press space")

    def handle(self, reply: TraceReply) -> None:
        """Continue with a patch from a chat, now that the tokens of the template are known."""
        match self._patched, reply:
            case (trace, branch), Tokens() if reply.trace == branch.trace.id:
                self._patched = None
                if trace is self._controller.trace:
                    self._ask_patch(trace, branch, "", reply.token_ids)
            case _, Lost():
                self._patched = None

    def _ask_patch(
        self,
        trace: ShownTrace[TextFrame],
        branch: Branch[TextFrame],
        text: str,
        token_ids: tuple[int, ...],
    ) -> None:
        """Ask for a layer and a position that take the values of a branch, whose tokens up to the
        cursor are those of `text`, then `token_ids`."""
        layer = self._inside.selected_layer or 1
        hint = "LAYER:POSITION; from 0, or from the end below 0: −1 is the token before the cursor"

        def parse(typed: str) -> LayerEdit:
            edit = parse_layer_edit("patch", f"{typed.strip().replace('−', '-')}:-")
            assert isinstance(edit, Patch)
            return Patch(layer=edit.layer, position=edit.position, text=text, token_ids=token_ids)

        title = f"Patch from {clean_line(self._controller.branch_label(branch), 30)}"
        window = make_value_screen(title, f"{layer}:-1", hint, parse, "patch")
        self.pane.ask(window, partial(self._fork, trace))

    def _ask(self, name: str, value: str) -> None:
        """Ask for an edit as it is typed in the shell."""
        trace = self._trace()
        if trace is None:
            return

        def parse(text: str) -> LayerEdit:
            edit = parse_layer_edit(name, unescape_newlines(text.strip()))
            if isinstance(edit, Steer):
                towards, away = (self._text_of(text) for text in (edit.towards, edit.away))
                edit = Steer(layer=edit.layer, strength=edit.strength, towards=towards, away=away)
            return edit

        hint = LAYER_EDITS[name]
        if name == "steer":
            hint += "; #2 is the text of branch 2"
        window = make_value_screen(name.capitalize(), value, hint, parse, name)
        self.pane.ask(window, partial(self._fork, trace))

    def _text_of(self, text: str) -> str:
        """The text of a branch that is named by its number from 1, such as #2; else the text."""
        if not (match := _BRANCH.fullmatch(text.strip())):
            return text
        branches: list[Branch[TextFrame]] = self._controller.tree.branches
        at = int(match[1]) - 1
        if not 0 <= at < len(branches):
            raise MisuseError(f"no branch {match[1]}: b lists {len(branches)}")
        trace = branches[at].trace
        return trace.request.prompt + "".join(frame.text for frame in trace.frames)

    def _trace(self) -> ShownTrace[TextFrame] | None:
        """The shown trace, paused; None, and a line, without a token to write again."""
        trace = self._controller.ensure_frame("edit")
        if trace is not None and trace.playing:
            trace.pause()
            self._controller.refresh()
        return trace

    def _fork(self, trace: ShownTrace[TextFrame], edit: LayerEdit) -> None:
        """Write the token at the cursor again, with the edit."""
        if self._controller.trace is trace:
            self.pane.clear_line()
            self._controller.fork(edit, describe_edit(edit), step=_step_of(trace))


def _step_of(trace: ShownTrace[TextFrame]) -> int:
    """The step before the token at the cursor."""
    return max(trace.position - 1, 0)


def describe_edit(edit: LayerEdit) -> str:
    """An edit of a layer as the label of its branch."""
    match edit:
        case Ablate(layer=layer, head=head):
            return f"layer {layer} without " + ("feed-forward" if head is None else f"head {head}")
        case Steer(layer=layer, strength=strength, towards=towards):
            by = f"{strength:g}".replace("-", "−")
            return f"steered ×{by} to ‘{label_text(towards)}’ at layer {layer}"
        case Patch(layer=layer, position=position):
            return f"layer {layer} patched at {position}".replace("-", "−")
