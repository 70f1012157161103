"""Every key of the app, in one table.

The bindings, the footer, the help panel and the README's table are all made from
`TABLE`, so they cannot disagree. A user remaps a key by its id in `keys.toml`.
"""

import tomllib
from pathlib import Path
from typing import Literal, NamedTuple

from textual.binding import Binding

from genui import paths
from genui.errors import MisuseError, did_you_mean

PaneName = Literal["models", "training", "text", "canvas"]
Scope = PaneName | Literal["app"]

TITLES: dict[Scope, str] = {
    "app": "Everywhere",
    "models": "Models",
    "training": "Training",
    "text": "Text",
    "canvas": "Canvas",
}

KEYMAP_FILE = "keys.toml"


class Key(NamedTuple):
    """One row of the table: `keys` as Textual takes them, `shown` as the footer has them."""

    id: str
    pane: Scope
    keys: str
    shown: str
    action: str
    description: str
    tooltip: str
    footer: bool = True


TABLE: tuple[Key, ...] = (
    # models
    Key("models.open", "models", "enter", "⏎", "open_row", "open",
        "Generate with the model, or show the run's curves"),
    Key("models.filter", "models", "slash", "/", "filter", "filter",
        "Show only the rows that match a regular expression"),
    Key("models.generate", "models", "g", "g", "generate_row", "generate",
        "Generate from the newest checkpoint of the run", False),
    Key("models.zoom", "models", "z", "z", "zoom", "zoom",
        "Fill the screen with this pane", False),
    # training
    Key("training.pause", "training", "space,p", "space", "pause", "pause/resume",
        "Pause the run, or let it go on"),
    Key("training.zoom", "training", "enter,z", "⏎", "zoom", "open",
        "Every curve, the newest sample and the console"),
    Key("training.checkpoint", "training", "c", "c", "checkpoint", "checkpoint",
        "Write a checkpoint now"),
    Key("training.stop", "training", "x", "x", "stop", "stop",
        "Stop the run after a last checkpoint (asks first)"),
    Key("training.resume", "training", "u,R", "u", "resume", "resume",
        "Continue a stopped or dead run from its checkpoint"),
    Key("training.generate", "training", "g", "g", "generate", "generate",
        "Generate from the run's newest checkpoint"),
    Key("training.earlier", "training", "comma", ",", "sample(-1)", "earlier sample",
        "The sample before, with its step marked on the curve", False),
    Key("training.later", "training", "full_stop", ".", "sample(1)", "later sample",
        "The sample after, up to the newest", False),
    Key("training.log", "training", "y", "y", "log", "log axis",
        "Loss on a logarithmic axis, or back", False),
    # text
    Key("text.play", "text", "space", "space", "play", "play/pause",
        "Write, or hold"),
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
        "Write to the last token", False),
    Key("text.enter", "text", "enter", "⏎", "enter", "open/fork",
        "Full-screen; there, fork with the candidate that is chosen"),
    Key("text.zoom", "text", "z", "z", "zoom", "zoom",
        "Full-screen, or back"),
    Key("text.fork", "text", "f", "f", "fork", "fork",
        "Go on from here with another seed, as a branch"),
    Key("text.branches", "text", "b", "b", "branches", "branches",
        "Every branch: go to one, compare, save or export it"),
    Key("text.prompt", "text", "e", "e", "edit", "prompt",
        "Edit the prompt (\\n is a new line)"),
    Key("text.reseed", "text", "r", "r", "reseed", "reseed",
        "Write again with another seed"),
    Key("text.temperature", "text", "t", "t", "setting('temperature')", "temperature",
        "0 is greedy, 1 is the model's own odds"),
    Key("text.top_k", "text", "k", "k", "setting('top_k')", "top-k",
        "Keep only the k likeliest tokens; 0 is off"),
    Key("text.top_p", "text", "p", "p", "setting('top_p')", "top-p",
        "Keep the likeliest that make up this share; 1 is off"),
    Key("text.tokens", "text", "m", "m", "setting('tokens')", "tokens",
        "How many tokens to write", False),
    Key("text.more", "text", "plus,equals_sign", "+", "nudge(1)", "more",
        "Raise the setting touched last", False),
    Key("text.less", "text", "minus", "-", "nudge(-1)", "less",
        "Lower the setting touched last", False),
    Key("text.min_p", "text", "u", "u", "setting('min_p')", "min-p",
        "Drop tokens less likely than this share of the likeliest; 0 is off", False),
    Key("text.repetition", "text", "y", "y", "setting('repetition_penalty')", "repetition",
        "How much less likely what was written becomes; 1 is off", False),
    Key("text.up", "text", "up", "↑", "choose(-1)", "candidate above",
        "The likelier candidate for the token at the cursor; in Home, scroll up", False),
    Key("text.down", "text", "down,j", "↓", "choose(1)", "candidate below",
        "The less likely candidate; in Home, scroll down", False),
    Key("text.page_up", "text", "pageup", "pgup", "scroll_text(-8)", "scroll up",
        "Scroll the text up", False),
    Key("text.page_down", "text", "pagedown", "pgdn", "scroll_text(8)", "scroll down",
        "Scroll the text down", False),
    Key("text.insert", "text", "i", "i", "insert", "insert",
        "Write your own words at the cursor, as a branch, and let it go on", False),
    Key("text.attention", "text", "a", "a", "attention", "attention",
        "Which tokens the one at the cursor looked at, or back to the odds", False),
    Key("text.head", "text", "right_square_bracket", "]", "head(1)", "next head",
        "The next head of the attention; first comes the average of all", False),
    Key("text.head_before", "text", "left_square_bracket", "[", "head(-1)", "head before",
        "The head of the attention before this one", False),
    Key("text.side", "text", "w", "w", "side_by_side", "side by side",
        "Several continuations of the prompt in step, from several seeds", False),
    Key("text.compare", "text", "v", "v", "compare", "compare",
        "This branch beside another, or beside another model, in step", False),
    Key("text.save", "text", "ctrl+s", "^s", "save", "save",
        "Save the branches with the model, to open again", False),
    Key("text.export", "text", "x", "x", "export", "export",
        "Write a text, a cast or a trace file that replays", False),
    # canvas
    Key("canvas.play", "canvas", "space", "space", "play", "play/pause",
        "Let noise become a picture, or hold"),
    Key("canvas.forward", "canvas", "right,l", "←→", "step(1)", "step",
        "One denoising step forward"),
    Key("canvas.back", "canvas", "left,h", "←", "step(-1)", "step back",
        "One denoising step back", False),
    Key("canvas.forward10", "canvas", "shift+right,L", "⇧←→", "step(10)", "ten",
        "Ten steps forward"),
    Key("canvas.back10", "canvas", "shift+left,H", "⇧←", "step(-10)", "ten back",
        "Ten steps back", False),
    Key("canvas.start", "canvas", "home", "home", "ends(-1)", "noise",
        "Back to pure noise", False),
    Key("canvas.end", "canvas", "end", "end", "ends(1)", "picture",
        "To the finished picture", False),
    Key("canvas.zoom", "canvas", "enter,z", "⏎", "zoom", "open",
        "Full-screen: the noisy picture, schedule and settings"),
    Key("canvas.fork", "canvas", "f", "f", "fork", "fork",
        "Go on from here with other noise, as a branch"),
    Key("canvas.branches", "canvas", "b", "b", "branches", "branches",
        "Every branch: go to one, compare, save or export it"),
    Key("canvas.caption", "canvas", "e", "e", "edit", "caption",
        "Edit the caption"),
    Key("canvas.reseed", "canvas", "r", "r", "reseed", "reseed",
        "Draw again from other noise"),
    Key("canvas.view", "canvas", "o", "o", "swap", "guess/noisy",
        "Which picture is large: the guess, the noisy one or the noise"),
    Key("canvas.sampler", "canvas", "s", "s", "sampler", "sampler",
        "The next sampler"),
    Key("canvas.guidance", "canvas", "g", "g", "setting('guidance')", "guidance",
        "How strongly the caption pulls; 1 is not at all"),
    Key("canvas.eta", "canvas", "d", "d", "setting('eta')", "eta",
        "DDIM's share of fresh noise a step", False),
    Key("canvas.layout", "canvas", "p", "p", "layout", "three/one",
        "All three pictures side by side, or one large", False),
    Key("canvas.recaption", "canvas", "c", "c", "recaption", "caption from here",
        "Another caption from this step on, as a branch", False),
    Key("canvas.noise", "canvas", "a", "a", "add_noise", "add noise",
        "Add noise back, to the level of a step, and denoise again", False),
    Key("canvas.image", "canvas", "i", "i", "image", "from a file",
        "Start from a picture of yours, with a strength", False),
    Key("canvas.mask", "canvas", "m", "m", "mask", "mask",
        "Paint what may change, and draw only that again", False),
    Key("canvas.drown", "canvas", "u", "u", "drown", "forward process",
        "Watch a picture drown in noise; then f denoises from there", False),
    Key("canvas.grid", "canvas", "w", "w", "grid", "grid",
        "A grid of seeds, or of one setting along x and another along y", False),
    Key("canvas.compare", "canvas", "v", "v", "compare", "compare",
        "This branch beside another, or beside another model, in step", False),
    Key("canvas.save", "canvas", "ctrl+s", "^s", "save", "save",
        "Save the branches with the model, to open again", False),
    Key("canvas.export", "canvas", "x", "x", "export", "export",
        "Write a PNG, GIF, APNG, filmstrip, cast or trace file that replays", False),
    Key("canvas.steps", "canvas", "t", "t", "setting('steps')", "steps",
        "How many denoising steps", False),
    Key("canvas.more", "canvas", "plus,equals_sign", "+", "nudge(1)", "more",
        "Raise the setting touched last", False),
    Key("canvas.less", "canvas", "minus", "-", "nudge(-1)", "less",
        "Lower the setting touched last", False),
    # everywhere
    Key("app.new_run", "app", "n", "n", "new_run", "new run",
        "Train a recipe, on your own data if you like"),
    Key("app.next", "app", "tab", "tab", "next_pane(1)", "next pane",
        "The next pane"),
    Key("app.previous", "app", "shift+tab", "⇧tab", "next_pane(-1)", "previous pane",
        "The pane before", False),
    Key("app.home", "app", "1", "1", "view('home')", "home",
        "All panes at once", False),
    Key("app.text", "app", "2", "2", "view('text')", "text",
        "Text full-screen", False),
    Key("app.canvas", "app", "3", "3", "view('canvas')", "canvas",
        "Canvas full-screen", False),
    Key("app.training", "app", "4", "4", "view('training')", "training",
        "Training full-screen", False),
    Key("app.back", "app", "escape", "esc", "back", "back",
        "Back to all panes", False),
    Key("app.palette", "app", "ctrl+p", "^p", "app.command_palette", "palette",
        "Every action, model, recipe and theme, by name", False),
    Key("app.help", "app", "question_mark,f1", "?", "help", "help",
        "The keys of this pane"),
    Key("app.quit", "app", "q,ctrl+q", "q", "quit", "quit",
        "Close the app; training goes on"),
)  # fmt: skip

# Moving in a list is the list's own business: arrows, as everywhere, and these beside them.
LIST_KEYS = (
    ("j", "down", "The row below"),
    ("k", "up", "The row above"),
)

_ALWAYS_SHOWN = ("app.help", "app.quit")


def of_pane(pane: Scope) -> list[Key]:
    """The rows of one pane, in the table's order."""
    return [key for key in TABLE if key.pane == pane]


def bindings(pane: Scope) -> list[Binding]:
    """Textual's bindings for that pane's widget or, for "app", for the main screen."""
    return [
        Binding(
            key.keys,
            key.action,
            key.description,
            key_display=key.shown,
            tooltip=key.tooltip,
            id=key.id,
        )
        for key in of_pane(pane)
    ]


def footer(pane: Scope) -> list[Key]:
    """What the footer offers while that pane has the focus, most useful first."""
    common = [key for key in of_pane("app") if key.footer]
    own = [] if pane == "app" else [key for key in of_pane(pane) if key.footer]
    return own + common


def pinned(key: Key) -> bool:
    """Whether the footer keeps this key however narrow the terminal is."""
    return key.id in _ALWAYS_SHOWN


def shown_after(key: Key, keymap: dict[str, str]) -> str:
    """The key as a person reads it, after the user's remapping."""
    return keymap.get(key.id, key.shown)


def keys_markdown() -> str:
    """The README's table of keys."""
    lines = []
    panes: tuple[Scope, ...] = ("app", "models", "training", "text", "canvas")
    for pane in panes:
        lines += [f"**{TITLES[pane]}**", "", "| key | | id |", "|---|---|---|"]
        lines += [f"| {_keys_text(key)} | {key.tooltip} | `{key.id}` |" for key in of_pane(pane)]
        lines.append("")
    return "\n".join(lines)


_NAMES = {
    "slash": "/", "comma": ",", "full_stop": ".", "question_mark": "?",
    "plus": "+", "equals_sign": "=", "minus": "-",
    "left_square_bracket": "[", "right_square_bracket": "]",
    "left": "←", "right": "→", "up": "↑", "down": "↓", "escape": "Esc", "enter": "Enter",
    "space": "Space", "tab": "Tab", "home": "Home", "end": "End", "f1": "F1",
}  # fmt: skip


def readable(keys: str) -> list[str]:
    """`"shift+left,H"` to `["Shift+←", "H"]`."""
    words = []
    for key in keys.split(","):
        *modifiers, last = key.split("+")
        words.append("+".join([*(m.title() for m in modifiers), _NAMES.get(last, last)]))
    return words


def _keys_text(key: Key) -> str:
    return " ".join(f"`{word}`" for word in readable(key.keys))


def load_keymap(path: Path | None = None) -> dict[str, str]:
    """The user's own keys, id to key, from `keys.toml` in the state folder; empty without one.

    Raises MisuseError, one line, for a file that cannot be read or names an unknown id.
    """
    path = path or paths.state_dir() / KEYMAP_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise MisuseError(f"{path}: cannot be read ({error}); keys stay as they are") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MisuseError(f"{path}: not TOML ({error}); keys stay as they are") from None
    known = {key.id for key in TABLE}
    keymap = dict(_flatten(table))
    for name, value in keymap.items():
        if name not in known:
            raise MisuseError(f"{path}: no key is called '{name}'; {did_you_mean(name, known)}")
        if not value:
            raise MisuseError(f'{path}: {name}: expected a key in quotes, as in {name} = "f5"')
    return keymap


def _flatten(table: dict[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """TOML reads `text.play = "x"` as nested tables; ids are flat."""
    pairs: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            pairs += _flatten(value, f"{prefix}{name}.")
        else:
            pairs.append((prefix + name, value if isinstance(value, str) else ""))
    return pairs
