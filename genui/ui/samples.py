"""What a run made at each evaluation, always from the same seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genui.runs.layout import RunDir

if TYPE_CHECKING:
    import numpy as np

LARGEST = 1 << 20  # bytes


@dataclass(frozen=True)
class Sample:
    """One of them: a text, a picture, often of several, or both."""

    step: int
    text: str = ""
    picture: "np.ndarray | None" = None  # uint8 [H, W, 3]


def sample_files(run: RunDir) -> Mapping[int, Path]:
    """Step to file, in ascending order; of a text and a picture the text. Raises OSError."""
    files = (path for path in run.samples.iterdir() if path.suffix in {".txt", ".png"})
    return dict(sorted((step, path) for path in files if (step := _step_of(path)) >= 0))


def load_sample(path: Path, step: int) -> Sample | None:
    """The sample of a step, with the text or picture beside `path` too, if there is one.

    None where the file is no sample. Raises OSError.
    """
    found = _load(path, step)
    beside = path.with_suffix(".png" if path.suffix == ".txt" else ".txt")
    if found is None or not beside.exists():
        return found
    other = _load(beside, step)
    if other is None:
        return found
    picture = found.picture if found.picture is not None else other.picture
    return Sample(step, found.text or other.text, picture)


def _load(path: Path, step: int) -> Sample | None:
    if path.stat().st_size > LARGEST:
        return None
    if path.suffix == ".txt":
        return Sample(step, text=path.read_text(encoding="utf-8", errors="replace"))
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return Sample(step, picture=np.asarray(image.convert("RGB")))
    except (UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return None


def _step_of(path: Path) -> int:
    """`step-00001200.png` is of step 1200; other names are of none, -1."""
    _, _, digits = path.stem.rpartition("-")
    return int(digits) if digits.isdecimal() else -1
