"""What a saved generation carries: the recipe that makes it again, and the files it is in.

The app and the shell both write and read these files, so nothing here knows torch or Textual.
"""

from genui.formats.codec import (
    CODECS,
    Codec,
    Sample,
    SavedFile,
    encode,
    read,
)
from genui.formats.favourites import (
    Branch,
    Listed,
    SavedTree,
    branch_start,
    drop_favourite,
    is_favourite,
    list_favourites,
    list_trees,
    load_tree,
    save_favourite,
    save_tree,
    traces_dir,
)
from genui.formats.recipe import (
    FORMAT,
    MOST_BYTES,
    Machine,
    Result,
    TraceRecipe,
    View,
    from_json,
    recipe_of,
    result_of,
    to_json,
    to_start,
)
from genui.formats.text import CastFile

__all__ = [
    "CODECS",
    "FORMAT",
    "MOST_BYTES",
    "Branch",
    "CastFile",
    "Codec",
    "Listed",
    "Machine",
    "Result",
    "Sample",
    "SavedFile",
    "SavedTree",
    "TraceRecipe",
    "View",
    "branch_start",
    "drop_favourite",
    "encode",
    "from_json",
    "is_favourite",
    "list_favourites",
    "list_trees",
    "load_tree",
    "read",
    "recipe_of",
    "result_of",
    "save_favourite",
    "save_tree",
    "to_json",
    "to_start",
    "traces_dir",
]
