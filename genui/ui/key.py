"""A row of the table of keys, and the parts of the app that rows are for."""

from typing import Literal, NamedTuple

PaneName = Literal["models", "training", "text", "canvas", "lab", "roll", "walk"]
Scope = PaneName | Literal["app", "board", "points"]

TITLES: dict[Scope, str] = {
    "app": "Everywhere",
    "models": "Models",
    "training": "Training",
    "text": "Text",
    "canvas": "Canvas",
    "roll": "Roll",
    "walk": "Walk",
    "board": "Training screen",
    "lab": "Lab",
    "points": "Setting points in the Lab",
}


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


_NAMES = {
    "slash": "/", "comma": ",", "full_stop": ".", "question_mark": "?", "exclamation_mark": "!",
    "asterisk": "*", "semicolon": ";",
    "plus": "+", "equals_sign": "=", "minus": "-",
    "left_square_bracket": "[", "right_square_bracket": "]",
    "less_than_sign": "<", "greater_than_sign": ">", "pageup": "PgUp", "pagedown": "PgDn",
    "backspace": "⌫", "delete": "Del",
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
