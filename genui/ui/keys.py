"""Every key of the app, in one table.

The bindings, the footer, the help panel and the manual's page are all made from `TABLE`, so
they cannot disagree. A user remaps a key by its id in `keys.toml`.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path

from textual.binding import Binding

from genui import paths
from genui.errors import MisuseError, did_you_mean
from genui.ui.key import TITLES as TITLES
from genui.ui.key import Key, Scope
from genui.ui.key import readable as readable
from genui.ui.key_table import TABLE

HOME_SCOPES: tuple[Scope, ...] = ("app", "models", "training", "text", "canvas", "roll", "walk")
"""Of the main screen."""

KEYMAP_FILE = "keys.toml"


# Moving in a list is the list's own business: arrows, as everywhere, and these beside them.
_LIST_KEYS = {"j": "down", "k": "up"}


def list_bindings(by: str, first: str, last: str) -> list[Binding]:
    """The keys of a list: the action `by` moves so many rows, `first` and `last` to the ends."""
    rows = {"down": f"{by}(1)", "up": f"{by}(-1)"}
    ends = {"pagedown": "page(1)", "pageup": "page(-1)", "home": first, "end": last}
    letters = {letter: rows[arrow] for letter, arrow in _LIST_KEYS.items()}
    return [Binding(key, act, show=False) for key, act in (rows | letters | ends).items()]


_ALWAYS_SHOWN = ("app.help", "app.quit")
_ON_OTHER_SCREENS = (
    *("app.home", "app.text", "app.canvas", "app.training", "app.lab", "app.back"),
    *("app.palette", "app.help", "app.manual", "app.quit"),
)


def of_pane(pane: Scope) -> list[Key]:
    """The rows of one pane, in the table's order."""
    return [key for key in TABLE if key.pane == pane]


def common(pane: Scope) -> list[Key]:
    """The rows for everywhere that hold there: other screens than the main one have other keys
    for some."""
    rows = of_pane("app")
    if pane not in ("board", "lab", "points"):
        return rows
    own = {word for key in of_pane(pane) for word in key.keys.split(",")}
    there = [key for key in rows if key.id in _ON_OTHER_SCREENS]
    return [key for key in there if own.isdisjoint(key.keys.split(","))]


def bindings(pane: Scope) -> list[Binding]:
    """Textual's bindings for that pane's widget; those of a screen, with those for everywhere."""
    own = of_pane(pane)
    if pane == "board":
        own = own + common(pane)
    return bound(own)


def bound(rows: Iterable[Key]) -> list[Binding]:
    """Textual's bindings for these rows."""
    return [
        Binding(
            key.keys,
            key.action,
            key.description,
            key_display=key.shown,
            tooltip=key.tooltip,
            id=key.id,
        )
        for key in rows
    ]


def footer(pane: Scope) -> list[Key]:
    """What the footer offers while that pane has the focus, most useful first."""
    everywhere = [key for key in common(pane) if key.footer]
    own = [] if pane == "app" else [key for key in of_pane(pane) if key.footer]
    return own + everywhere


def pinned(key: Key) -> bool:
    """Whether the footer keeps this key however narrow the terminal is."""
    return key.id in _ALWAYS_SHOWN


def shown_after(key: Key, keymap: dict[str, str]) -> str:
    """The key as a person reads it, after the user's remapping."""
    return keymap.get(key.id, key.shown)


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
