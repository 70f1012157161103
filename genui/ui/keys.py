"""The table of keys, from which bindings, the footer, help and a page of the manual are made."""

import textwrap
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

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


class Key(NamedTuple):
    """A row of the table: `keys` for Textual, `shown` in the footer.

    Without keys, the action is in the palette; a user may bind it by its id.
    """

    id: str
    pane: Scope
    keys: str
    shown: str
    action: str
    description: str
    tooltip: str
    footer: bool = True


def unbound(id: str, action: str, description: str, tooltip: str) -> Key:
    """Make a row without a key."""
    pane = id.partition(".")[0]
    return Key(id, pane, "", "", action, description, tooltip, footer=False)


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
    names = []
    for key in filter(None, keys.split(",")):
        *modifiers, last = key.split("+")
        names.append("+".join([*(m.title() for m in modifiers), _NAMES.get(last, last)]))
    return names


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
})  # fmt: skip
"""Keys that mean the same everywhere. A pane may leave one out, but has no other use for it; an
action without such a key is in the palette. A few more keys have one meaning each: `i` details,
`d` delete, `*` favourite, `F` favourites, `G` generate from a run, `;` play what moves or sounds,
`[` `]` the previous and next view, `,` `.` the previous and next sample, frame or hit, `F2` `F3`
the tour."""


# --- The panes that generate: the same key does the same in all of them -----------------------

_SHARED: dict[str, tuple[str, str, str, str, str, bool]] = {
    "settings": ("s", "s", "settings", "settings",
        "The settings: ↑↓ chooses one, ←→ changes it, Enter takes a typed value", True),
    "branches": ("b", "b", "branches", "branches",
        "Every branch as a tree: go to one, fold, star, name, compare or remove it", False),
    "variations": ("v", "v", "variations", "variations",
        "Variations of this sample, nearer or farther, to choose one and continue with it", False),
    "nearest": ("", "", "nearest", "nearest",
        "Is it copied? The training data that is most like it", False),
    "labels": ("", "", "labels", "labels",
        "Label it with a classifier, live: the next one, then none", False),
    "favourite": ("asterisk", "*", "favourite", "favourite",
        "Save this sample as a favourite; F lists them", False),
    "compare": ("c", "c", "compare", "compare",
        "This branch beside another, or beside another model, on one timeline", False),
    "save": ("ctrl+s", "^s", "save", "save",
        "Save the branches with the model, to open again", False),
    "more": ("plus,equals_sign", "+", "nudge(1)", "more",
        "Raise the setting that is chosen in the settings", False),
    "less": ("minus", "-", "nudge(-1)", "less",
        "Lower the setting that is chosen in the settings", False),
    "zoom": ("z", "z", "zoom", "zoom",
        "Full-screen, or back", True),
    "fork": ("f", "f", "fork", "fork",
        "Continue from here with another seed, as a branch", True),
    "attention": ("", "", "attention", "attention",
        "Which tokens the one at the cursor attended to, or back to its candidates", False),
    "layers": ("", "", "layers", "layers",
        "What each layer makes of the token at the cursor: its likeliest tokens, and the layer "
        "from which on they lead with the final one", False),
    "parts": ("", "", "parts", "added to the logit",
        "What each attention head and feed-forward added to the logit of the token at the cursor",
        False),
    "head": ("right_square_bracket", "]", "inside(1)", "look inside",
        "Look inside at the token at the cursor: attention, layers, what contributed to its logit, "
        "then its candidates again", False),
    "head_before": ("left_square_bracket", "[", "inside(-1)", "look inside, back",
        "The view before: what contributed to the logit, layers, attention, or the candidates",
        False),
    "ablate": ("", "", "ablate", "ablate",
        "Take away an attention head or a feed-forward: the token at the cursor is written again, "
        "as a branch", False),
}  # fmt: skip
"""By name, the rest of a row after its pane."""


def shared(pane: PaneName, *names: str, unit: str = "token") -> list[Key]:
    """Make rows that several panes share."""
    rows = [Key(f"{pane}.{name}", pane, *_SHARED[name]) for name in names]
    return [row._replace(tooltip=row.tooltip.replace("token", unit)) for row in rows]


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
    pane: PaneName, settings: type, without: str = "", unit: str = "token"
) -> list[Key]:
    """Make a row without a key for each setting of a panel, except `without`."""
    shown = [one for one in ordered(settings) if one.adjustable and one.name != without]
    return [setting_key(pane, one, unit=unit) for one in shown]


MESSAGES = Key("app.messages", "app", "m", "m", "messages", "messages",
    "The last messages, each in full", False)  # fmt: skip

TRACE_KEYS: tuple[Key, ...] = (
    # text
    Key("text.play", "text", "space", "space", "play", "play/pause",
        "Generate, or pause"),
    Key("text.forward", "text", "right,l", "→", "step(1)", "token",
        "One token forward"),
    Key("text.back", "text", "left,h", "←", "step(-1)", "token back",
        "One token back", False),
    Key("text.forward10", "text", "shift+right,L", "⇧→", "step(10)", "ten tokens",
        "Ten tokens forward", False),
    Key("text.back10", "text", "shift+left,H", "⇧←", "step(-10)", "ten back",
        "Ten tokens back", False),
    Key("text.start", "text", "home", "home", "ends(-1)", "prompt",
        "Back to the prompt", False),
    Key("text.end", "text", "end", "end", "ends(1)", "last token",
        "Generate to the last token", False),
    Key("text.enter", "text", "enter", "⏎", "enter", "open/fork",
        "Full-screen; there, fork with the candidate that is chosen", False),
    *shared("text", "zoom", "fork", "branches"),
    Key("text.prompt", "text", "e", "e", "edit", "prompt",
        "Edit the prompt (\\n is a new line; <FILL> in code is a gap to be filled); in a chat, "
        "write the next message"),
    Key("text.reseed", "text", "r", "r", "reseed", "reseed",
        "Generate again with another seed; in a chat, answer the last message again"),
    *shared("text", "settings"),
    *settings_keys("text", TextSettings),
    *shared("text", "more", "less"),
    Key("text.up", "text", "up,k", "↑", "choose(-1)", "candidate above",
        "The likelier candidate for the token at the cursor; in Home, scroll up", False),
    Key("text.down", "text", "down,j", "↓", "choose(1)", "candidate below",
        "The less likely candidate; in Home, scroll down", False),
    Key("text.page_up", "text", "pageup", "pgup", "scroll_text(-8)", "scroll up",
        "Scroll the text up", False),
    Key("text.page_down", "text", "pagedown", "pgdn", "scroll_text(8)", "scroll down",
        "Scroll the text down", False),
    Key("text.search", "text", "slash", "/", "search", "search",
        "Search the text: Enter or ↓ goes to the next match, ↑ to the one before", False),
    Key("text.template", "text", "less_than_sign", "<", "template", "template",
        "A chat's template and special tokens: show them dim, or hide them", False),
    unbound("text.chat", "chat", "chat",
        "A chat by the model's template, or plain text"),
    unbound("text.insert", "insert", "insert",
        "Insert your own text at the cursor, as a branch, and continue"),
    *shared("text", "attention", "layers", "parts", "head", "head_before", "ablate"),
    unbound("text.steer", "steer", "steer",
        "Add the difference of two texts to a layer: the token at the cursor is written again, as "
        "a branch"),
    unbound("text.patch", "patch", "patch",
        "Put the values of another branch into a layer: the token at the cursor is written again, "
        "as a branch"),
    unbound("text.side", "side_by_side", "side by side",
        "Several continuations of the prompt on one timeline, from several seeds"),
    *shared("text", "variations", "nearest"),
    unbound("text.highlight", "highlight", "syntax",
        "Colour code by syntax, or by how surprising its tokens were"),
    *shared("text", "labels", "favourite", "compare", "save"),
    Key("text.export", "text", "x", "x", "export", "export",
        "Write a text, a cast or a trace file that replays", False),
    # canvas
    Key("canvas.play", "canvas", "space", "space", "play", "play/pause",
        "Denoise, or pause"),
    Key("canvas.forward", "canvas", "right,l", "←→", "step(1)", "step",
        "One denoising step forward"),
    Key("canvas.back", "canvas", "left,h", "←", "step(-1)", "step back",
        "One denoising step back", False),
    Key("canvas.forward10", "canvas", "shift+right,L", "⇧←→", "step(10)", "ten",
        "Ten steps forward", False),
    Key("canvas.back10", "canvas", "shift+left,H", "⇧←", "step(-10)", "ten back",
        "Ten steps back", False),
    Key("canvas.start", "canvas", "home", "home", "ends(-1)", "noise",
        "Back to pure noise", False),
    Key("canvas.end", "canvas", "end", "end", "ends(1)", "image",
        "To the finished image", False),
    Key("canvas.zoom", "canvas", "enter,z", "⏎", "zoom", "open",
        "Full-screen: the noisy image, schedule and settings"),
    Key("canvas.fork", "canvas", "f", "f", "fork", "fork",
        "Continue from here with other noise, as a branch"),
    *shared("canvas", "branches"),
    Key("canvas.caption", "canvas", "e", "e", "edit", "caption",
        "Edit the caption"),
    Key("canvas.reseed", "canvas", "r", "r", "reseed", "reseed",
        "Generate again from other noise"),
    Key("canvas.view", "canvas", "right_square_bracket", "]", "swap(1)", "next view",
        "The next image of the step, large: the predicted x₀, the noisy one, the noise", False),
    Key("canvas.view_before", "canvas", "left_square_bracket", "[", "swap(-1)", "view before",
        "The image of the step before that", False),
    *shared("canvas", "settings"),
    *settings_keys("canvas", ImageSettings),
    unbound("canvas.layout", "setting('layout')", "three/one",
        "All three images side by side, or one large; of a clip also all its frames"),
    Key("canvas.frame", "canvas", "full_stop", ".", "frame(1)", "next frame",
        "Clips: pause at the next frame", False),
    Key("canvas.frame_before", "canvas", "comma", ",", "frame(-1)", "previous frame",
        "Clips: pause at the previous frame", False),
    Key("canvas.roll", "canvas", "semicolon", ";", "roll", "play clip",
        "Play the clip or the sound of this step, or pause it", False),
    unbound("canvas.hear", "hear", "hear",
        "Play the sound of this step, or stop it"),
    unbound("canvas.recaption", "recaption", "caption from here",
        "Another caption from this step on, as a branch"),
    unbound("canvas.noise", "add_noise", "add noise",
        "Add noise back, to the level of a step, and denoise again"),
    unbound("canvas.image", "image", "from a file",
        "Start from an image of yours, with a strength"),
    unbound("canvas.mask", "mask", "mask",
        "Paint a mask, and draw only that part again"),
    unbound("canvas.drown", "forward_process", "forward process",
        "The forward process: watch noise being added; then f denoises from there"),
    unbound("canvas.negative", "negative", "negative prompt",
        "What guidance steers the image away from, from this step on"),
    unbound("canvas.grid", "grid", "grid",
        "A grid of seeds, or of one setting along x and another along y"),
    *shared("canvas", "variations", "nearest", "labels", "favourite", "compare", "save"),
    Key("canvas.export", "canvas", "x", "x", "export", "export",
        "Write a PNG, GIF, APNG, WAV, filmstrip, cast or trace file that replays", False),
    *shared("canvas", "more", "less"),
)  # fmt: skip


# --- The table --------------------------------------------------------------------------------

_OTHER_ROWS = ("axis", "side")  # settings of the curves that have other rows

APP_KEYS: tuple[Key, ...] = (
    # models
    Key("models.open", "models", "enter", "⏎", "open_row", "open",
        "Generate with the model, or show the run's curves"),
    Key("models.play", "models", "space", "space", "open_row", "play",
        "Play the highlighted model; show the highlighted run"),
    Key("models.filter", "models", "slash", "/", "filter", "filter",
        "Filter the rows by a regular expression"),
    Key("models.generate", "models", "G", "G", "generate_row", "generate",
        "Generate from the run's newest checkpoint", False),
    Key("models.details", "models", "i", "i", "details", "details",
        "The model's whole card, or only the essentials", False),
    Key("models.edit", "models", "e", "e", "edit_run", "rename run",
        "Rename the run, tag it, or add a note", False),
    Key("models.delete", "models", "d,delete", "d", "delete_run", "delete run",
        "Delete the run (asks first); u brings it back until genui closes", False),
    Key("models.zoom", "models", "z", "z", "zoom", "zoom",
        "Fill the screen with this pane", False),
    # training
    Key("training.pause", "training", "space", "space", "pause", "pause/resume",
        "Pause the run, resume it, or continue a stopped one from its checkpoint"),
    Key("training.zoom", "training", "enter,z", "⏎", "zoom", "open",
        "Every curve, the newest sample and the console"),
    Key("training.checkpoint", "training", "ctrl+s", "^s", "checkpoint", "checkpoint",
        "Write a checkpoint now"),
    Key("training.stop", "training", "ctrl+x", "^x", "stop", "stop",
        "Stop the run after a last checkpoint (asks first)"),
    unbound("training.resume", "resume", "resume",
        "Continue a stopped or dead run from its checkpoint; without one, start it again"),
    Key("training.generate", "training", "G", "G", "generate", "generate",
        "Generate from the run's newest checkpoint"),
    Key("training.earlier", "training", "comma", ",", "sample(-1)", "earlier sample",
        "The previous sample, with its step marked on the curve", False),
    Key("training.later", "training", "full_stop", ".", "sample(1)", "later sample",
        "The next sample, up to the newest", False),
    unbound("training.log", "log", "log axis",
        "Loss on a logarithmic axis, or back"),
    *TRACE_KEYS,
    # the Settings panel
    Key("settings.more", "settings", "right,l", "←→", "change(1)", "change",
        "Raise the chosen setting by a step, or take its next choice"),
    Key("settings.less", "settings", "left,h", "←", "change(-1)", "lower",
        "Lower the chosen setting by a step, or take its previous choice", False),
    Key("settings.type", "settings", "enter", "⏎", "type", "type",
        "Type a value, or open the window where it is set"),
    Key("settings.leave", "settings", "escape,s", "esc", "leave", "back",
        "Back to what the settings are of"),
    # the Training screen
    Key("board.pause", "board", "space", "space", "pause", "pause/resume",
        "Pause the run, resume it, or continue a stopped one from its checkpoint"),
    Key("board.checkpoint", "board", "ctrl+s", "^s", "checkpoint", "checkpoint",
        "Write a checkpoint now", False),
    unbound("board.rate", "rate", "learning rate",
        "Change the learning rate"),
    Key("board.stop", "board", "ctrl+x", "^x", "stop", "stop",
        "Stop the run after a last checkpoint (asks first)"),
    Key("board.branch", "board", "n", "n", "branch", "run from here",
        "Start another run from this checkpoint, with changed settings"),
    Key("board.right", "board", "right,l", "←→", "cursor(1)", "cursor",
        "The cursor a column to the right: every curve shows its value there"),
    Key("board.left", "board", "left,h", "←", "cursor(-1)", "cursor left",
        "The cursor a column to the left", False),
    Key("board.right10", "board", "shift+right,L", "⇧→", "cursor(10)", "ten right",
        "The cursor ten columns to the right", False),
    Key("board.left10", "board", "shift+left,H", "⇧←", "cursor(-10)", "ten left",
        "The cursor ten columns to the left", False),
    Key("board.start", "board", "home", "home", "ends(-1)", "first",
        "The cursor to the first visible point", False),
    Key("board.end", "board", "end", "end", "ends(1)", "last",
        "The cursor to the last visible point; again: follow the newest step, without a cursor",
        False),
    Key("board.zoom_in", "board", "plus,equals_sign", "+-", "zoom(1)", "zoom",
        "Zoom in at the cursor, or at the newest step", False),
    Key("board.zoom_out", "board", "minus", "-", "zoom(-1)", "zoom out",
        "Zoom out", False),
    Key("board.pan_left", "board", "less_than_sign", "<", "pan(-1)", "pan left",
        "Pan to the left", False),
    Key("board.pan_right", "board", "greater_than_sign", ">", "pan(1)", "pan right",
        "Pan to the right", False),
    Key("board.everything", "board", "0", "0", "everything", "fit all",
        "Fit all: show the whole x axis", False),
    unbound("board.follow", "follow", "follow",
        "Follow the newest step, without a cursor"),
    unbound("board.smooth", "nudge('smoothing')", "smooth",
        "Smoothing: off, .5, .9, .97, .99, the raw curve faint behind"),
    unbound("board.axis", "nudge('axis')", "x axis",
        "The x axis: steps, time, tokens or epochs, if they are known"),
    *(setting_key("board", one) for one in VIEW_SETTINGS.values() if one.name not in _OTHER_ROWS),
    Key("board.settings", "board", "s", "s", "settings", "settings",
        "Smoothing, axes, the panel and the learning rate: ↑↓ chooses, ←→ changes"),
    Key("board.runs", "board", "o", "o", "runs", "runs",
        "The table of runs: sort, filter and overlay them"),
    Key("board.side", "board", "tab", "tab", "next_side(1)", "next panel",
        "The next panel beside the curves: sample, console, config, system or layers"),
    Key("board.side_before", "board", "shift+tab", "⇧tab", "next_side(-1)", "previous panel",
        "The panel before that", False),
    unbound("board.wider", "nudge('panel_width')", "wider panel",
        "The panel beside the curves wider; the mouse drags its border"),
    unbound("board.narrower", "nudge('panel_width', -1)", "narrower panel",
        "The panel beside the curves narrower"),
    Key("board.into", "board", "i", "i", "into", "details",
        "Focus the console, config or system: arrows scroll, / searches, Esc returns", False),
    Key("board.filter", "board", "slash", "/", "filter", "filter",
        "Filter the metrics by a regular expression", False),
    Key("board.open", "board", "enter,z", "⏎", "open", "open",
        "Show the chosen curve alone, or all curves"),
    Key("board.next", "board", "down,j", "↓", "choose(1)", "next curve",
        "The next curve", False),
    Key("board.previous", "board", "up,k", "↑", "choose(-1)", "previous curve",
        "The previous curve", False),
    Key("board.page_down", "board", "pagedown", "pgdn", "page(1)", "next page",
        "The next page of curves", False),
    Key("board.page_up", "board", "pageup", "pgup", "page(-1)", "previous page",
        "The previous page of curves", False),
    unbound("board.pin", "pin", "pin",
        "Pin the chosen curve to the front, or unpin it"),
    Key("board.first", "board", "right_square_bracket", "]", "turn(1)", "next run",
        "Make the next run the first one, which the keys control", False),
    Key("board.last", "board", "left_square_bracket", "[", "turn(-1)", "previous run",
        "Make the previous run the first one, which the keys control", False),
    Key("board.earlier", "board", "comma", ",", "sample(-1)", "earlier sample",
        "The cursor to the previous sample", False),
    Key("board.later", "board", "full_stop", ".", "sample(1)", "later sample",
        "The cursor to the next sample", False),
    Key("board.play", "board", "semicolon", ";", "play", "play",
        "Play the history: the samples from the first to the newest", False),
    unbound("board.evaluate", "evaluate", "evaluate",
        "Evaluate now, with a sample"),
    unbound("board.resume", "resume", "resume",
        "Continue a stopped or dead run from its checkpoint; without one, start it again"),
    Key("board.generate", "board", "G", "G", "generate", "generate",
        "Generate from the run's newest checkpoint", False),
    Key("board.alerts", "board", "exclamation_mark", "!", "app.alerts", "alerts",
        "Every alert so far: NaN, divergence, stall, crash, finish; Enter goes to its step", False),
    unbound("board.bell", "app.ringing", "bell",
        "Turn the bell and the notifications on or off"),
    # the list of runs on the Training screen
    Key("runs.open", "runs", "enter,z", "⏎", "open", "show",
        "Show the run's curves: with the others if it is overlaid, or else with those pinned"),
    Key("runs.show", "runs", "space", "space", "toggle_run", "overlay",
        "Overlay the run's curves on the others, or remove them"),
    Key("runs.sort", "runs", "right,l", "←→", "change(1)", "sort",
        "Sort by the next column, its best value first"),
    Key("runs.sort_before", "runs", "left,h", "←", "change(-1)", "column before",
        "Sort by the column before; before the first one, the newest run is first", False),
    Key("runs.ascending", "runs", "less_than_sign", "<", "order(-1)", "smallest first",
        "The smallest value first", False),
    Key("runs.descending", "runs", "greater_than_sign", ">", "order(1)", "largest first",
        "The largest value first", False),
    Key("runs.search", "runs", "slash", "/", "search", "filter",
        "Filter the runs by name, tag, config and metrics: lr>1e-4 and val_loss<1.5"),
    Key("runs.pin", "runs", "asterisk", "*", "pin", "pin",
        "Pin the run to the top, whatever the filter, or unpin it", False),
    Key("runs.settings", "runs", "s", "s", "screen.settings", "settings",
        "Sorting, groups, columns and the chart: ↑↓ chooses, ←→ changes"),
    *(setting_key("runs", one, "screen.setting") for one in TABLE_SETTINGS.values()),
    unbound("runs.all", "all", "overlay all",
        "Overlay every run that matches the filter"),
    unbound("runs.sweep", "sweep", "sweep",
        "Only the sweep of the run, the best first; then all runs again"),
    unbound("runs.stop_sweep", "control_sweep('stop')", "stop sweep",
        "Stop the sweep of the run, with all its trials (asks first)"),
    unbound("runs.resume_sweep", "control_sweep('resume')", "resume sweep",
        "Go on with the sweep of the run: trials that were cut short, and those that wait"),
    Key("runs.edit", "runs", "e", "e", "edit_run", "rename",
        "Rename the run, tag it, or add a note"),
    Key("runs.delete", "runs", "d,delete", "d", "delete_run", "delete",
        "Delete the run (asks first); u brings it back until genui closes"),
    Key("runs.close", "runs", "escape,o", "esc", "screen.runs", "close",
        "Close the table", False),
    # the tour
    Key("tour.skip", "tour", "f2", "f2", "app.tour_skip", "skip",
        "The next sentence of the tour"),
    Key("tour.leave", "tour", "f3", "f3", "app.tour_leave", "leave",
        "Leave the tour; all else stays as it is"),
    # everywhere
    Key("app.new_run", "app", "n", "n", "new_run", "new run",
        "Train a recipe, on your own data if you like"),
    Key("app.runs", "app", "o", "o", "runs", "runs",
        "The table of runs: show one, or several together", False),
    Key("app.next", "app", "tab", "tab", "next_pane(1)", "next pane",
        "The next pane"),
    Key("app.previous", "app", "shift+tab", "⇧tab", "next_pane(-1)", "previous pane",
        "The previous pane", False),
    Key("app.home", "app", "1", "1", "home", "home",
        "All panes at once; there, the list of models and runs", False),
    Key("app.text", "app", "2", "2", "view('text')", "text",
        "Text full-screen", False),
    Key("app.canvas", "app", "3", "3", "view('canvas')", "canvas",
        "Canvas full-screen", False),
    Key("app.training", "app", "4", "4", "view('training')", "training",
        "Training full-screen", False),
    Key("app.back", "app", "escape", "esc", "back", "back",
        "Back to all panes", False),
    Key("app.palette", "app", "ctrl+p", "^p", "app.command_palette", "palette",
        "Every action, model, recipe and theme, by name"),
    Key("app.search", "app", "slash", "/", "search", "search",
        "Search the models and runs", False),
    Key("app.copy", "app", "y", "y", "copy", "copy",
        "Copy what is shown", False),
    Key("app.undo", "app", "u,ctrl+z", "u", "undo", "undo",
        "Undo what was done last", False),
    Key("app.favourites", "app", "F", "F", "favourites", "favourites",
        "The favourites, to open again", False),
    MESSAGES,
    Key("app.help", "app", "question_mark", "?", "help", "help",
        "The keys of this pane"),
    Key("app.manual", "app", "f1", "f1", "manual", "manual",
        "The manual, open at the page of this pane", False),
    Key("app.tour", "app", "f2", "f2", "app.tour", "tour",
        "Take the tour: five minutes in the app itself, a sentence at a time", False),
    Key("app.quit", "app", "q,ctrl+q", "q", "quit", "quit",
        "Close the app; training continues"),
)  # fmt: skip
"""The rows of the app itself, each with an id of its own."""


def list_keys() -> tuple[Key, ...]:
    """Return the rows of the table: those of the app, then those of the panes of kinds."""
    return _rows_with(tuple(KINDS))


@lru_cache(maxsize=2)
def _rows_with(kinds: tuple[tuple[str, str], ...]) -> tuple[Key, ...]:
    rows = list(APP_KEYS)
    for kind in map(KINDS.__getitem__, kinds):
        rows += [row for row in (kind.keys() if kind.keys else ()) if isinstance(row, Key)]
    return tuple({row.id: row for row in rows}.values())


def find_key(id: str) -> Key:
    """Return the row with that id. Raises KeyError if there is none."""
    for key in list_keys():
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

_VIEWS = (
    ("1", "Home", "home"),
    ("2", "Text", "text"),
    ("3", "Canvas", "canvas"),
    ("4", "Training", "training"),
)


def list_views() -> list[tuple[str, str, str]]:
    """List the views of the header: the digit, the name and the id of each."""
    own = [
        (find_key(f"app.{pane}").shown, title, pane)
        for pane, title in {k.pane: k.title for k in KINDS.values() if k.has_screen}.items()
    ]
    return [*_VIEWS, *own]


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
    *("app.home", "app.back", "app.copy", "app.undo", "app.palette"),
    *("app.messages", "app.help", "app.manual", "app.quit"),
)
"""Besides those that open another view."""


def of_pane(pane: Scope) -> list[Key]:
    """Return the rows of a pane, in the order of the table."""
    return [key for key in list_keys() if key.pane == pane]


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


def display(key: Key, keymap: dict[str, str]) -> str:
    """Return the key as the footer shows it, remapped by the user's keymap."""
    return keymap.get(key.id, key.shown)


def load_keymap(path: Path | None = None) -> dict[str, str]:
    """Read the user's own keys, by id, from `keys.toml` in the state folder; empty if missing.

    Raises MisuseError, one line, if the file cannot be read or names an unknown id.
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
    return keymap


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
