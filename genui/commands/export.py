"""Writing what was generated to a file that says how it was made."""

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genui.errors import GenuiError, MisuseError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIX = {"image": ".png"}  # every other medium is text
CHUNK = "genui"  # the PNG tEXt chunk that holds the recipe
COLUMNS = 4  # pictures side by side in a grid


def check_target(target: Path, medium: str) -> None:
    """Refuse a file that could not be written, before anything is generated.

    Raises MisuseError for an extension of another medium, a folder that is not there or a
    path that is a folder, and GenuiError where the folder takes no file.
    """
    wanted = SUFFIX.get(medium, ".txt")
    if target.suffix.lower() != wanted:
        what = "a picture" if medium == "image" else "text"
        raise MisuseError(f"--out {target}: {what} is written as {wanted}; end the name in it")
    if target.is_dir():
        raise MisuseError(f"--out {target}: is a folder; name a file in it")
    folder = target.parent
    if not folder.is_dir():
        raise MisuseError(f"--out {target}: there is no folder {folder}; make it first")
    try:
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise GenuiError(
            f"--out {target}: cannot write in {folder} ({error.strerror}); choose another folder"
        ) from None


def grid(pictures: "Sequence[NDArray[np.uint8]]", columns: int) -> "NDArray[np.uint8]":
    """Equal [H, W, 3] pictures side by side, at most `columns` a row; gaps stay black."""
    import numpy as np

    height, width, _ = pictures[0].shape
    across = min(columns, len(pictures))
    down = math.ceil(len(pictures) / across)
    sheet = np.zeros((down * height, across * width, 3), np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // across * height, i % across * width
        sheet[y : y + height, x : x + width] = picture
    return sheet


def png(picture: "NDArray[np.uint8]", recipe: dict[str, Any]) -> bytes:
    """[H, W, 3] as a PNG that carries `recipe`."""
    import io

    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text(CHUNK, json.dumps(recipe))  # ASCII, as a tEXt chunk must be
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def write(target: Path, data: bytes) -> None:
    """The whole file or none of it. Raises GenuiError where the disk refuses."""
    from genui.runs.disk import atomic_write

    atomic_write(target, data)
