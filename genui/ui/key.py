"""A row of the table of keys, and the parts of the app that rows are for."""

from typing import Literal, NamedTuple

PaneName = Literal["models", "training", "text", "canvas", "lab", "roll", "walk"]
Scope = PaneName | Literal["app", "board", "points"]


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
