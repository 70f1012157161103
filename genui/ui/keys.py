"""The table of keys, from which bindings, the footer, help and a page of the manual are made."""

import textwrap
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from genui.base import paths
from genui.base.errors import MisuseError, did_you_mean
from genui.base.files import read_toml
from genui.base.schema import Setting, ordered
from genui.protocol.kinds import KINDS
from genui.protocol.settings import (
    ImageSettings,
    TextSettings,
)
from genui.runs.table_state import TABLE_SETTINGS
from genui.ui.generate.look import ImageLook, TextLook
from genui.ui.training.state import VIEW_SETTINGS

if TYPE_CHECKING:
    from textual.binding import Binding

PaneName = str
"""The id of a pane: of Home, and of each kind of model (`Kind.pane`)."""
Scope = str
"""Where keys are heard: a pane, a screen, or a mode of it."""

_TITLES: dict[Scope, str] = {
    "app": "Everywhere",
    "models": "Models",
    "training": "Training",
}
_OTHER_TITLES: dict[Scope, str] = {
    "board": "Training screen",
    "runs": "Table of runs",
    "settings": "Settings",
    "tour": "Tour",
}


@dataclass(frozen=True)
class Key:
    """A row of the table: `keys` for Textual, `description` in the footer, `tooltip` in full.

    Without keys, the action is in the palette; a user may bind it by its id.
    """

    id: str  # SCOPE.NAME; NAME alone for a row that several scopes share
    keys: str
    description: str
    tooltip: str
    _: KW_ONLY
    action: str = ""  # NAME if empty
    shown: str = ""  # in the footer; the first of `keys` if empty
    footer: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "action", self.action or self.id.rpartition(".")[2])
        object.__setattr__(self, "shown", self.shown or _shorten(self.keys))

    @property
    def pane(self) -> Scope:
        return self.id.partition(".")[0]


def unbound(id: str, action: str, description: str, tooltip: str) -> Key:
    """Make a row without a key."""
    return Key(id, "", description, tooltip, action=action, footer=False)


_NAMES = {
    "slash": "/", "comma": ",", "full_stop": ".", "question_mark": "?", "exclamation_mark": "!",
    "asterisk": "*", "semicolon": ";",
    "plus": "+", "equals_sign": "=", "minus": "-",
    "left_square_bracket": "[", "right_square_bracket": "]",
    "less_than_sign": "<", "greater_than_sign": ">", "pageup": "PgUp", "pagedown": "PgDn",
    "backspace": "⌫", "delete": "Del",
    "left": "←", "right": "→", "up": "↑", "down": "↓", "escape": "Esc", "enter": "Enter",
    "space": "Space", "tab": "Tab", "home": "Home", "end": "End",
    "f1": "F1", "f2": "F2", "f3": "F3",
}  # fmt: skip


def format_keys(keys: str) -> list[str]:
    """Format `"shift+left,H"` as `["Shift+←", "H"]`; no keys as an empty list."""
    split = map(_split_key, filter(None, keys.split(",")))
    return [
        "+".join([*(modifier.title() for modifier in modifiers), name]) for modifiers, name in split
    ]


def _shorten(keys: str) -> str:
    """Return the first key as the footer shows it: `^s` of `ctrl+s`, `⇧→` of `shift+right,L`."""
    modifiers, name = _split_key(keys.partition(",")[0])
    marks = "".join({"ctrl": "^", "shift": "⇧"}[modifier] for modifier in modifiers)
    return marks + {"Enter": "⏎"}.get(name, name if len(name) == 1 else name.lower())


def _split_key(key: str) -> tuple[list[str], str]:
    """Split `shift+left` into its modifiers and the name of its key: `["shift"], "←"`."""
    *modifiers, last = key.split("+")
    return modifiers, _NAMES.get(last, last)


# --- The grammar ------------------------------------------------------------------------------

GRAMMAR: Mapping[str, str] = MappingProxyType({
    "tab": "the next pane", "shift+tab": "the previous pane", "1": "Home", "2": "Text",
    "3": "Canvas", "4": "Training", "5": "the screen of a kind",
    "h,left": "left, or a step back", "l,right": "right, or a step forward",
    "k,up": "up", "j,down": "down", "home,end": "the ends",
    "space": "play or pause what is highlighted", "e": "edit the prompt, or the name of a run",
    "r": "reseed", "f": "fork here", "b": "branches", "v": "variations", "c": "compare",
    "enter,z": "open", "escape": "back", "slash": "search or filter",
    "y": "copy", "x": "export", "s": "settings", "n": "new run", "o": "the table of runs",
    "u,ctrl+z": "undo", "ctrl+s": "save", "m": "the messages",
    "question_mark": "the keys of this pane",
    "f1": "the manual", "ctrl+p": "every action by name", "q": "quit",
    "ctrl+g": "a pane or field by its letter",
})  # fmt: skip
"""Keys that mean the same everywhere. A pane may leave one out, but has no other use for it; an
action without such a key is in the palette. A few more keys have one meaning each: `i` details,
`d` delete, `w` why, `*` favourite, `F` favourites, `V` verify, `G` generate from a run, `D` drafts,
`;` play what moves or sounds, `[` `]` the previous and next view, `,` `.` the previous and next
sample, frame or hit, `F2` `F3` the tour."""


# --- Rows of several panes: the same key does the same in all of them --------------------------

_SHARED: Mapping[str, Key] = {row.id: row for row in (
    Key("settings", "s", "settings",
        "The settings: ↑↓ chooses one, ←→ changes it, Enter takes a typed value"),
    Key("branches", "b", "branches",
        "Every branch as a tree: go to one, fold, star, name, compare or remove it", footer=False),
    Key("variations", "v", "variations",
        "Variations of this sample, nearer or farther: choose one and continue with it",
        footer=False),
    Key("nearest", "", "nearest",
        "Is it copied? The training data most like it", footer=False),
    Key("shares", "", "what it draws most",
        "Bias: what the data contain beside what the model draws", action="probe('shares')",
        footer=False),
    Key("real", "", "real or generated",
        "What a detector flags as generated: real examples, then this model's samples",
        action="probe('real')", footer=False),
    Key("labels", "", "labels",
        "Label it live with the next classifier, then with none", footer=False),
    Key("favourite", "asterisk", "favourite",
        "Save this sample as a favourite; F lists them", footer=False),
    Key("compare", "c", "compare",
        "This branch beside another, or beside another model, on one timeline", footer=False),
    Key("save", "ctrl+s", "save",
        "Save the branches with the model, to open again", footer=False),
    Key("more", "plus,equals_sign", "more",
        "Raise the setting chosen in the settings", action="nudge(1)", footer=False),
    Key("less", "minus", "less",
        "Lower the setting chosen in the settings", action="nudge(-1)", footer=False),
    Key("zoom", "z", "zoom",
        "Full-screen, or back"),
    Key("prompt", "e", "prompt",
        "Edit the prompt", action="edit"),
    Key("caption", "e", "caption",
        "Edit the caption", action="edit"),
    Key("reseed", "r", "reseed",
        "Generate again with another seed"),
    Key("export", "x", "export",
        "Write it to a replayable file", footer=False),
    Key("fork", "f", "fork",
        "Continue from here with another seed, as a branch"),
    unbound("attention", "look('attention')", "attention",
        "What the token at the cursor attended to, or back to its candidates"),
    unbound("layers", "look('layers')", "layers",
        "What each layer predicts for the token at the cursor: its likeliest tokens, and the "
        "first layer to settle on the final one"),
    unbound("parts", "look('parts')", "added to the logit",
        "How much each attention head and feed-forward added to the logit of the cursor's token"),
    Key("head", "right_square_bracket", "look inside",
        "Look inside at the token at the cursor, in turn: attention, layers, parts of its logit, "
        "whose words these are, candidates", action="inside(1)",
        footer=False),
    Key("head_before", "left_square_bracket", "look inside, back",
        "The previous view: whose words these are, parts of the logit, layers, attention, "
        "candidates",
        action="inside(-1)", footer=False),
    Key("ablate", "", "ablate",
        "Remove an attention head or a feed-forward and rewrite the token at the cursor, as a "
        "branch", footer=False),
    Key("pause", "space", "pause/resume",
        "Pause the run, resume it, or continue a stopped one from its checkpoint"),
    Key("stop", "ctrl+x", "stop",
        "Write a checkpoint and stop the run (asks first)"),
    unbound("resume", "resume", "resume",
        "Continue a stopped or dead run from its checkpoint; without one, start it again"),
)}  # fmt: skip
"""By name, rows that several panes share, without their scope."""


def shared(pane: PaneName, *names: str, unit: str = "token", **tooltips: str) -> list[Key]:
    """Make rows that several panes share; those in `tooltips` with a pane's own."""
    rows = [_SHARED[name] for name in names]
    rows += [replace(_SHARED[name], tooltip=tooltip) for name, tooltip in tooltips.items()]
    return [
        replace(row, id=f"{pane}.{row.id}", tooltip=row.tooltip.replace("token", unit))
        for row in rows
    ]


def timeline(
    pane: PaneName,
    play: str,
    step: str,
    *,
    start: tuple[str, str],
    end: tuple[str, str],
    one: str = "",
    ten: tuple[str, str] | None = None,
    by: int = 10,
    arrow: str = "←→",
) -> list[Key]:
    """Make the rows that play a trace and move its playhead.

    `play` is the verb, `step` the name of a step, in full `one` step. `start` and `end` are the
    name and tooltip of the keys to either end, `ten` the name of `by` steps and these steps in
    full; None for no such keys. The footer shows `arrow` for both directions.
    """
    whole = one or step
    rows = [
        Key(f"{pane}.play", "space", "play/pause", f"{play}, or pause"),
        Key(f"{pane}.forward", "right,l", step, f"One {whole} forward",
            action="step(1)", shown=arrow),
        Key(f"{pane}.back", "left,h", f"{step} back", f"One {whole} back",
            action="step(-1)", footer=False),
    ]  # fmt: skip
    if ten is not None:
        name, steps = ten
        rows += [
            Key(f"{pane}.forward10", "shift+right,L", name, f"{steps} forward",
                action=f"step({by})", shown=f"⇧{arrow}", footer=False),
            Key(f"{pane}.back10", "shift+left,H", f"{name.partition(' ')[0]} back", f"{steps} back",
                action=f"step(-{by})", footer=False),
        ]  # fmt: skip
    return [
        *rows,
        Key(f"{pane}.start", "home", *start, action="ends(-1)", footer=False),
        Key(f"{pane}.end", "end", *end, action="ends(1)", footer=False),
    ]


def setting_key(pane: Scope, one: Setting, action: str = "setting", unit: str = "token") -> Key:
    """Make the row without a key of a setting."""
    title = f"{one.title[0].upper()}{one.title[1:]}"
    about = f"{one.description[0].lower()}{one.description[1:]}"
    return unbound(
        f"{pane}.{one.about.id or one.name}",
        f"{action}('{one.name}')",
        one.title,
        f"{title}: {about}".replace("token", unit),
    )


def settings_keys(
    pane: PaneName, settings: type, without: Container[str] = (), unit: str = "token"
) -> list[Key]:
    """Make a row without a key for each setting of a panel, except those in `without`."""
    shown = [one for one in ordered(settings) if one.adjustable and one.name not in without]
    return [setting_key(pane, one, unit=unit) for one in shown]


MESSAGES = Key("app.messages", "m", "messages",
    "The last messages, each in full", footer=False)  # fmt: skip
JUMP = Key("app.jump", "ctrl+g", "jump",
    "Jump to a pane or field: each shows a letter, which focuses it",
    action="app.jump")  # fmt: skip

TRACE_KEYS: tuple[Key, ...] = (
    # text
    *timeline("text", "Generate", "token", ten=("ten tokens", "Ten tokens"), arrow="→",
        start=("prompt", "Back to the prompt"), end=("last token", "Generate to the last token")),
    Key("text.enter", "enter", "open/fork",
        "Full-screen; there, fork with the chosen candidate", footer=False),
    *shared("text", "zoom", "fork", "branches",
        prompt="Edit the prompt (\\n is a new line; <FILL> in code is a gap to be filled); in a "
        "chat, write the next message",
        reseed="Generate again with another seed; in a chat, answer the last message again"),
    *shared("text", "settings"),
    *settings_keys("text", TextSettings),
    *shared("text", "more", "less"),
    Key("text.up", "up,k", "candidate above",
        "The likelier candidate for the token at the cursor; in Home, scroll up",
        action="choose(-1)", footer=False),
    Key("text.down", "down,j", "candidate below",
        "The less likely candidate; in Home, scroll down", action="choose(1)", footer=False),
    Key("text.page_up", "pageup", "scroll up",
        "Scroll the text up", action="scroll_text(-8)", footer=False),
    Key("text.page_down", "pagedown", "scroll down",
        "Scroll the text down", action="scroll_text(8)", footer=False),
    Key("text.search", "slash", "search",
        "Search the text: Enter or ↓ goes to the next match, ↑ to the one before", footer=False),
    Key("text.template", "less_than_sign", "template",
        "Show a chat's template and special tokens dim, or hide them", footer=False),
    unbound("text.chat", "chat", "chat",
        "Chat with the model's template, or plain text"),
    unbound("text.insert", "insert", "insert",
        "Insert your own text at the cursor, as a branch, and continue"),
    unbound("text.score", "score", "score",
        "Score a file: its text as a branch, each token coloured by surprise"),
    *shared("text", "attention", "layers", "parts", "head", "head_before", "ablate"),
    unbound("text.steer", "steer", "steer",
        "Steer a layer by the difference of two texts and rewrite the token at the cursor, as a "
        "branch"),
    unbound("text.patch", "patch", "patch",
        "Patch a layer with another branch's values and rewrite the token at the cursor, as a "
        "branch"),
    unbound("text.side", "side_by_side", "side by side",
        "Several continuations of the prompt on one timeline, from several seeds"),
    *shared("text", "variations", "shares", "real"),
    unbound("text.nearest", "look('sources')", "whose words",
        "Whose words are these? Passages found word for word in the training text, with their "
        "sources"),
    *settings_keys("text", TextLook, without=("inside",)),
    *shared("text", "labels", "favourite", "compare", "save",
        export="Write a replayable text, cast or trace file"),
    # canvas
    *timeline("canvas", "Denoise", "step", one="denoising step", ten=("ten", "Ten steps"),
        start=("noise", "Back to pure noise"), end=("image", "To the finished image")),
    Key("canvas.zoom", "enter,z", "open",
        "Full-screen: the noisy image, schedule and settings"),
    *shared("canvas", fork="Continue from here with other noise, as a branch"),
    *shared("canvas", "branches", "caption", reseed="Generate again from other noise"),
    Key("canvas.view", "right_square_bracket", "next view",
        "Enlarge the step's next image: predicted x₀, noisy image or noise",
        action="swap(1)", footer=False),
    Key("canvas.view_before", "left_square_bracket", "view before",
        "Enlarge the step's previous image", action="swap(-1)", footer=False),
    *shared("canvas", "settings"),
    *settings_keys("canvas", ImageSettings),
    *settings_keys("canvas", ImageLook, without=("view",)),
    Key("canvas.frame", "full_stop", "next frame",
        "Clips: pause at the next frame", action="frame(1)", footer=False),
    Key("canvas.frame_before", "comma", "previous frame",
        "Clips: pause at the previous frame", action="frame(-1)", footer=False),
    Key("canvas.roll", "semicolon", "play clip",
        "Play the clip or the sound of this step, or pause it", footer=False),
    unbound("canvas.hear", "hear", "hear",
        "Play the sound of this step, or stop it"),
    Key("canvas.drafts", "D", "drafts",
        "Stop many seeds early on one sheet, mark the promising ones and finish only those",
        footer=False),
    unbound("canvas.recaption", "recaption", "caption from here",
        "Another caption from this step on, as a branch"),
    unbound("canvas.noise", "add_noise", "add noise",
        "Add noise back, to the level of a step, and denoise again"),
    unbound("canvas.image", "image", "from a file",
        "Start from your own image, with a strength"),
    unbound("canvas.mask", "mask", "mask",
        "Paint a mask and redraw only that part"),
    unbound("canvas.drown", "forward_process", "forward process",
        "The forward process: watch noise being added; then f denoises from there"),
    unbound("canvas.negative", "negative", "negative prompt",
        "What guidance steers the image away from, from this step on"),
    unbound("canvas.grid", "grid", "grid",
        "A grid of seeds, or of one setting along x and another along y"),
    *shared("canvas", "shares", "real"),
    *shared("canvas", "variations", "nearest", "labels", "favourite", "compare", "save",
        export="Write a replayable PNG, GIF, APNG, WAV, filmstrip, cast or trace file"),
    *shared("canvas", "more", "less"),
)  # fmt: skip


# --- The table --------------------------------------------------------------------------------

_OTHER_ROWS = ("axis", "side")  # settings of the curves that have other rows

APP_KEYS: tuple[Key, ...] = (
    # models
    Key("models.open", "enter", "open",
        "Generate with the model, or show the run's curves", action="open_row"),
    Key("models.play", "space", "play",
        "Play the highlighted model; show the highlighted run", action="open_row"),
    Key("models.filter", "slash", "filter",
        "Filter the rows by a regular expression"),
    Key("models.generate", "G", "generate",
        "Generate from the run's newest checkpoint", action="generate_row", footer=False),
    Key("models.details", "i", "details",
        "The model's whole card, or only the essentials", footer=False),
    Key("models.edit", "e", "rename run",
        "Rename the run, tag it, or add a note", action="edit_run", footer=False),
    Key("models.delete", "d,delete", "delete run",
        "Delete the run (asks first); u brings it back until genui closes", action="delete_run",
        footer=False),
    Key("models.zoom", "z", "zoom",
        "Fill the screen with this pane", footer=False),
    # training
    *shared("training", "pause"),
    Key("training.zoom", "enter,z", "open",
        "Every curve, the newest sample and the console"),
    Key("training.checkpoint", "ctrl+s", "checkpoint",
        "Write a checkpoint now"),
    *shared("training", "stop", "resume"),
    Key("training.generate", "G", "generate",
        "Generate from the run's newest checkpoint"),
    Key("training.earlier", "comma", "earlier sample",
        "The previous sample, with its step marked on the curve", action="sample(-1)",
        footer=False),
    Key("training.later", "full_stop", "later sample",
        "The next sample, up to the newest", action="sample(1)", footer=False),
    unbound("training.log", "log", "log axis",
        "Loss on a logarithmic axis, or back"),
    *TRACE_KEYS,
    # the Settings panel
    Key("settings.more", "right,l", "change",
        "Raise the chosen setting by a step, or take its next choice", action="change(1)",
        shown="←→"),
    Key("settings.less", "left,h", "lower",
        "Lower the chosen setting by a step, or take its previous choice", action="change(-1)",
        footer=False),
    Key("settings.type", "enter", "type",
        "Type a value, or open the window where it is set"),
    Key("settings.leave", "escape,s", "back",
        "Back from the settings to the pane"),
    # the Training screen
    *shared("board", "pause"),
    Key("board.checkpoint", "ctrl+s", "checkpoint",
        "Write a checkpoint now", footer=False),
    unbound("board.rate", "rate", "learning rate",
        "Change the learning rate"),
    *shared("board", "stop"),
    Key("board.branch", "n", "run from here",
        "Start another run from this checkpoint, with changed settings"),
    Key("board.right", "right,l", "cursor",
        "Cursor one column right: every curve shows its value there", action="cursor(1)",
        shown="←→"),
    Key("board.left", "left,h", "cursor left",
        "Cursor one column left", action="cursor(-1)", footer=False),
    Key("board.right10", "shift+right,L", "ten right",
        "Cursor ten columns right", action="cursor(10)", footer=False),
    Key("board.left10", "shift+left,H", "ten left",
        "Cursor ten columns left", action="cursor(-10)", footer=False),
    Key("board.start", "home", "first",
        "Cursor to the first visible point", action="ends(-1)", footer=False),
    Key("board.end", "end", "last",
        "Cursor to the last visible point; press again to follow the newest step",
        action="ends(1)", footer=False),
    Key("board.zoom_in", "plus,equals_sign", "zoom",
        "Zoom in at the cursor, or at the newest step", action="zoom(1)", shown="+-", footer=False),
    Key("board.zoom_out", "minus", "zoom out",
        "Zoom out", action="zoom(-1)", footer=False),
    Key("board.pan_left", "less_than_sign", "pan left",
        "Pan to the left", action="pan(-1)", footer=False),
    Key("board.pan_right", "greater_than_sign", "pan right",
        "Pan to the right", action="pan(1)", footer=False),
    Key("board.everything", "0", "fit all",
        "Fit all: show the whole x axis", footer=False),
    unbound("board.follow", "follow", "follow",
        "Follow the newest step, without a cursor"),
    unbound("board.smooth", "nudge('smoothing')", "smooth",
        "Smoothing: off, .5, .9, .97, .99; raw curve faint behind"),
    unbound("board.axis", "nudge('axis')", "x axis",
        "The x axis: steps, time, tokens or epochs, if they are known"),
    *(setting_key("board", one) for one in VIEW_SETTINGS.values() if one.name not in _OTHER_ROWS),
    Key("board.settings", "s", "settings",
        "Smoothing, axes, the panel and the learning rate: ↑↓ chooses, ←→ changes"),
    Key("board.runs", "o", "runs",
        "The table of runs: sort, filter and overlay them"),
    Key("board.side", "tab", "next panel",
        "The next panel beside the curves: sample, console, config, system, norms or layers",
        action="next_side(1)"),
    Key("board.side_before", "shift+tab", "previous panel",
        "The previous panel", action="next_side(-1)", footer=False),
    unbound("board.wider", "nudge('panel_width')", "wider panel",
        "Widen the panel beside the curves, or drag its border"),
    unbound("board.narrower", "nudge('panel_width', -1)", "narrower panel",
        "Narrow the panel beside the curves"),
    Key("board.into", "i", "details",
        "Focus the console, config, system or norms: arrows scroll, / searches, Esc returns",
        footer=False),
    Key("board.filter", "slash", "filter",
        "Filter the metrics by a regular expression", footer=False),
    Key("board.open", "enter,z", "open",
        "Show the chosen curve alone, or all curves"),
    Key("board.next", "down,j", "next curve",
        "The next curve", action="choose(1)", footer=False),
    Key("board.previous", "up,k", "previous curve",
        "The previous curve", action="choose(-1)", footer=False),
    Key("board.page_down", "pagedown", "next page",
        "The next page of curves", action="page(1)", footer=False),
    Key("board.page_up", "pageup", "previous page",
        "The previous page of curves", action="page(-1)", footer=False),
    unbound("board.pin", "pin", "pin",
        "Pin the chosen curve to the front, or unpin it"),
    Key("board.first", "right_square_bracket", "next run",
        "Make the next run the first, which the keys control", action="turn(1)", footer=False),
    Key("board.last", "left_square_bracket", "previous run",
        "Make the previous run the first, which the keys control", action="turn(-1)",
        footer=False),
    Key("board.earlier", "comma", "earlier sample",
        "Cursor to the previous sample", action="sample(-1)", footer=False),
    Key("board.later", "full_stop", "later sample",
        "Cursor to the next sample", action="sample(1)", footer=False),
    Key("board.play", "semicolon", "play",
        "Play the samples from the first to the newest", footer=False),
    Key("board.why", "w", "why",
        "Why the loss jumped at the cursor: recompute the step, with the loss of each "
        "example", footer=False),
    unbound("board.stacks", "stacks", "stacks",
        "Where each process of the run is now, by its Python stack: why it hangs"),
    unbound("board.evaluate", "evaluate", "evaluate",
        "Evaluate and sample now"),
    *shared("board", "resume"),
    Key("board.generate", "G", "generate",
        "Generate from the run's newest checkpoint", footer=False),
    Key("board.alerts", "exclamation_mark", "alerts",
        "Every alert so far: NaN, divergence, spike, stall, crash, finish; Enter goes to its step",
        action="app.alerts", footer=False),
    unbound("board.bell", "app.ringing", "bell",
        "Turn the bell and the notifications on or off"),
    # the list of runs on the Training screen
    Key("runs.open", "enter,z", "show",
        "Show the run's curves: with the others if it is overlaid, or else with those pinned"),
    Key("runs.show", "space", "overlay",
        "Overlay the run's curves on the others, or remove them", action="toggle_run"),
    Key("runs.sort", "right,l", "sort",
        "Sort by the next column, its best value first", action="change(1)", shown="←→"),
    Key("runs.sort_before", "left,h", "column before",
        "Sort by the previous column; before the first, newest run first",
        action="change(-1)", footer=False),
    Key("runs.ascending", "less_than_sign", "smallest first",
        "The smallest value first", action="order(-1)", footer=False),
    Key("runs.descending", "greater_than_sign", "largest first",
        "The largest value first", action="order(1)", footer=False),
    Key("runs.search", "slash", "filter",
        "Filter the runs by name, tag, config and metrics: lr>1e-4 and val_loss<1.5"),
    Key("runs.pin", "asterisk", "pin",
        "Pin the run to the top, whatever the filter, or unpin it", footer=False),
    Key("runs.settings", "s", "settings",
        "Sorting, groups, columns and the chart: ↑↓ chooses, ←→ changes", action="screen.settings"),
    *(setting_key("runs", one, "screen.setting") for one in TABLE_SETTINGS.values()),
    unbound("runs.all", "all", "overlay all",
        "Overlay every run that matches the filter"),
    unbound("runs.sweep", "sweep", "sweep",
        "Only the run's sweep, best first; again: all runs"),
    unbound("runs.stop_sweep", "control_sweep('stop')", "stop sweep",
        "Stop the run's sweep, with all its trials (asks first)"),
    unbound("runs.resume_sweep", "control_sweep('resume')", "resume sweep",
        "Resume the run's sweep: interrupted and waiting trials"),
    Key("runs.edit", "e", "rename",
        "Rename the run, tag it, or add a note", action="edit_run"),
    Key("runs.delete", "d,delete", "delete",
        "Delete the run (asks first); u brings it back until genui closes", action="delete_run"),
    Key("runs.close", "escape,o", "close",
        "Close the table", action="screen.runs", footer=False),
    # the tour
    Key("tour.skip", "f2", "skip",
        "The next step of the tour", action="app.tour_skip"),
    Key("tour.leave", "f3", "leave",
        "Leave the tour; nothing else changes", action="app.tour_leave"),
    # everywhere
    Key("app.new_run", "n", "new run",
        "Train a recipe, on your own data if you like"),
    Key("app.runs", "o", "runs",
        "The table of runs: show one, or several together", footer=False),
    Key("app.next", "tab", "next pane",
        "The next pane", action="next_pane(1)"),
    Key("app.previous", "shift+tab", "previous pane",
        "The previous pane", action="next_pane(-1)", footer=False),
    Key("app.home", "1", "home",
        "All panes at once; there, the list of models and runs", footer=False),
    Key("app.text", "2", "text",
        "Text full-screen", action="view('text')", footer=False),
    Key("app.canvas", "3", "canvas",
        "Canvas full-screen", action="view('canvas')", footer=False),
    Key("app.training", "4", "training",
        "Training full-screen", action="view('training')", footer=False),
    Key("app.back", "escape", "back",
        "Back to all panes", footer=False),
    Key("app.palette", "ctrl+p", "palette",
        "Every action, model, recipe and theme, by name", action="app.command_palette"),
    JUMP,
    Key("app.search", "slash", "search",
        "Search the models and runs", footer=False),
    Key("app.copy", "y", "copy",
        "Copy what is shown", footer=False),
    Key("app.undo", "u,ctrl+z", "undo",
        "Undo the last action", footer=False),
    Key("app.favourites", "F", "favourites",
        "Open a favourite again", footer=False),
    Key("app.verify", "V", "verify",
        "Verify a file: its signer, whether its recipe generates it, and your watermarks",
        footer=False),
    MESSAGES,
    Key("app.help", "question_mark", "help",
        "The keys of this pane"),
    Key("app.manual", "f1", "manual",
        "The manual, at this pane's page", footer=False),
    Key("app.tour", "f2", "tour",
        "Take the tour: five minutes in the app, one step at a time", action="app.tour",
        footer=False),
    Key("app.quit", "q,ctrl+q", "quit",
        "Close the app; training continues"),
)  # fmt: skip
"""The rows of the app itself, each with an id of its own."""


def list_keys() -> tuple[Key, ...]:
    """Return the rows of the table: rows of the app, then rows of the panes of kinds, which may
    share a row. If two rows have the same id, the first counts: a kind replaces no key of
    another."""
    return _rows_with(tuple(KINDS))


@lru_cache(maxsize=2)
def _rows_with(kinds: tuple[tuple[str, str], ...]) -> tuple[Key, ...]:
    rows = {row.id: row for row in APP_KEYS}
    for kind in map(KINDS.__getitem__, kinds):
        for row in kind.keys() if kind.keys else ():
            if isinstance(row, Key):
                rows.setdefault(row.id, row)
    return tuple(rows.values())


@lru_cache(maxsize=2)
def _rows_by_scope(kinds: tuple[tuple[str, str], ...]) -> Mapping[Scope, Sequence[Key]]:
    scopes: dict[Scope, list[Key]] = {}
    for row in _rows_with(kinds):
        scopes.setdefault(row.pane, []).append(row)
    return scopes


def find_key(id: str) -> Key:
    """Return the row with that id. Raises KeyError if there is none."""
    for key in of_pane(id.partition(".")[0]):
        if key.id == id:
            return key
    raise KeyError(id)


def titles() -> dict[Scope, str]:
    """Return the title of each scope, in the order of the page of keys."""
    panes: dict[Scope, str] = {}
    for kind in KINDS.values():
        panes |= ({kind.pane: kind.title} if kind.pane else {}) | dict(kind.modes)
    return _TITLES | panes | _OTHER_TITLES


_KEY_PAGE_WIDTH = 90  # columns, which fit in a window of the app


def keys_markdown(keymap: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the manual's page of keys, a block for each pane; `keymap` has a user's own, by id."""
    lines = ["# Keys", "", "Every key of the app, by pane: the key, its id, and what it does.", ""]
    lines += ["To give an action other keys, name its id in `keys.toml` in the state folder that"]
    lines += ['`genui doctor` prints, one on each line: `"app.quit" = "ctrl+q"`.', ""]
    for pane, title in titles().items():
        rows = [
            (" ".join(format_keys(keymap.get(key.id, key.keys))) or "^p", key.id, key.tooltip)
            for key in of_pane(pane)
        ]
        first, second = (max(len(row[i]) for row in rows) for i in (0, 1))
        lines += [f"## {title}", "", "```text"]
        for shown, name, tooltip in rows:
            lines += textwrap.wrap(
                tooltip,
                _KEY_PAGE_WIDTH,
                initial_indent=f"{shown:{first}}  {name:{second}}  ",
                subsequent_indent=" " * (first + second + 4),
                break_on_hyphens=False,
            )
        lines += ["```", ""]
    return "\n".join(lines)


# --- Rows, bindings and the footer, from the table --------------------------------------------
# A user remaps a key by its id in `keys.toml`.


def list_views() -> list[Key]:
    """List the rows that open a view: the header has them in this order."""
    return [key for key in of_pane("app") if key.id == "app.home" or key.action.startswith("view(")]


def home_scopes() -> tuple[Scope, ...]:
    """The scopes of the main screen."""
    in_canvas = (kind.pane for kind in KINDS.values() if kind.replaces_canvas)
    return "app", "models", "training", "text", *dict.fromkeys(in_canvas)


KEYMAP_FILE = "keys.toml"


def list_bindings() -> "list[Binding]":
    """Make the bindings of a list: `move` by rows, and to the ends, and `page`."""
    from textual.binding import Binding  # the command line reads the table without Textual

    actions = {"down,j": "move(1)", "up,k": "move(-1)"}
    actions |= {"home": "move(-1000000)", "end": "move(1000000)"}
    actions |= {"pagedown": "page(1)", "pageup": "page(-1)"}
    return [Binding(key, action, show=False) for key, action in actions.items()]


_ALWAYS_SHOWN = ("app.help", "app.quit")
_MAX_IN_FOOTER = 7  # keys besides those
_ON_OTHER_SCREENS = (
    *("app.home", "app.back", "app.copy", "app.undo", "app.palette", "app.jump"),
    *("app.messages", "app.help", "app.manual", "app.quit"),
)
"""Besides those that open another view."""


def of_pane(pane: Scope) -> list[Key]:
    """Return the rows of a pane, in the order of the table."""
    return list(_rows_by_scope(tuple(KINDS)).get(pane, ()))


def common(pane: Scope) -> list[Key]:
    """Return the rows for everywhere that apply to a pane; its own keys take precedence."""
    rows = of_pane("app")
    if pane == "app":
        return rows
    if pane not in home_scopes():
        views = tuple(key for key in rows if key.action.startswith("view("))
        rows = [key for key in rows if key in views or key.id in _ON_OTHER_SCREENS]
    own = {name for key in of_pane(pane) for name in key.keys.split(",")}
    return [key for key in rows if own.isdisjoint(key.keys.split(","))]


def bindings(pane: Scope) -> "list[Binding]":
    """Make the bindings of a pane; the Training screen also has those for everywhere."""
    return make_bindings(of_pane(pane) + (common(pane) if pane == "board" else []))


def make_bindings(rows: Iterable[Key], priority: bool = False) -> "list[Binding]":
    """Make Textual bindings from rows; one without a key has its id as a key that nobody sends."""
    from textual.binding import Binding  # the command line reads the table without Textual

    return [
        Binding(
            key.keys or f"unbound.{key.id}",
            key.action,
            key.description,
            key_display=key.shown,
            tooltip=key.tooltip,
            priority=priority,
            id=key.id,
        )
        for key in rows
    ]


def footer(pane: Scope) -> list[Key]:
    """Return the keys of the footer while a pane has the focus, most useful first."""
    everywhere = [key for key in common(pane) if key.footer]
    own = [] if pane == "app" else [key for key in of_pane(pane) if key.footer]
    others = [key for key in everywhere if not is_always_shown(key)]
    return (own + others)[:_MAX_IN_FOOTER] + [key for key in everywhere if is_always_shown(key)]


def is_always_shown(key: Key) -> bool:
    """Return whether the footer shows this key however narrow the terminal is."""
    return key.id in _ALWAYS_SHOWN


def display(key: Key, keymap: Mapping[str, str]) -> str:
    """Return the key as the footer shows it, remapped by the user's keymap."""
    return keymap.get(key.id, key.shown)


def explain(key: Key, keymap: Mapping[str, str]) -> str:
    """Return the sentence and the key of an action, as a tip under the mouse."""
    shown = " ".join(format_keys(keymap.get(key.id, key.keys)))
    return f"{key.tooltip} · {shown}" if shown else key.tooltip


def load_keymap(path: Path | None = None) -> dict[str, str]:
    """Read the user's own keys, by id, from `keys.toml` in the state folder; empty if missing.

    Raises MisuseError, one line, if the file cannot be read or names an unknown id or key.
    """
    path = path or paths.state_dir() / KEYMAP_FILE
    table = read_toml(path, "keys stay as they are") or {}
    known = {key.id for key in list_keys()}
    keymap = dict(_flatten(table))
    for name, value in keymap.items():
        if name not in known:
            near = did_you_mean(name, known, lists="genui help keys")
            raise MisuseError(f"{path}: no key is called '{name}'; {near}")
        if not value:
            raise MisuseError(f'{path}: {name}: expected a key in quotes, as in {name} = "f5"')
        for key in map(str.strip, value.split(",")):
            if not _is_key(key):
                raise MisuseError(
                    f"{path}: {name}: no key is called '{key}'; write f5, ctrl+s, shift+left or ?"
                )
    return keymap


def _is_key(key: str) -> bool:
    """Whether Textual knows a key by this name."""
    from textual.keys import Keys  # the command line reads the table without Textual

    if len(key) == 1:
        return True
    *modifiers, last = key.split("+")
    is_known = last in _NAMES or last in {key.value for key in Keys} or len(last) == 1
    own = {"ctrl", "shift", "alt", "super", "hyper", "meta"}
    return is_known and last == last.lower() and own.issuperset(modifiers)


def _flatten(table: dict[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten the nested tables that TOML makes of `text.play = "x"` to ids."""
    pairs: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            pairs += _flatten(value, f"{prefix}{name}.")
        else:
            pairs.append((prefix + name, value if isinstance(value, str) else ""))
    return pairs


def bind_actions(widget: object, *groups: object) -> None:
    """Make the methods `action_NAME` of `groups` actions of the widget, for its key bindings."""
    for group in groups:
        for name in dir(group):
            if name.startswith("action_"):
                setattr(widget, name, getattr(group, name))
