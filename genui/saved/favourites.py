"""Favourites: saved traces whose file says so in its name, `… .favourite.trace`.

Such a file is a trace like any other; renaming it makes it one or not.
"""

from pathlib import Path

from genui.errors import GenuiError
from genui.saved.tree import SUFFIX, Listed, SavedTree, list_trees, save_tree

MARK = ".favourite"


def is_favourite(path: Path) -> bool:
    """Whether a file is marked as one."""
    return path.name.endswith(MARK + SUFFIX)


def save_favourite(tree: SavedTree) -> Path:
    """Write a trace as a favourite beside its model. Raises GenuiError where the disk refuses."""
    return save_tree(tree, mark=MARK)


def list_favourites() -> list[Listed]:
    """The favourites of every model, newest first; one that cannot be read says why."""
    return [listed for listed in list_trees() if is_favourite(listed.path)]


def drop_favourite(path: Path) -> None:
    """Remove the file of a favourite.

    Raises GenuiError for a file that is none, or where the disk refuses.
    """
    if not is_favourite(path):
        raise GenuiError(f"{path}: is no favourite; it stays")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise GenuiError(f"{path}: cannot be removed ({error.strerror})") from None
