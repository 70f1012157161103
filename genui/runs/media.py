"""Samples, names, steps and numbers that scripts log, and notes on stderr for their authors."""

import io
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genui.base.errors import GenuiError
from genui.base.files import atomic_write, sanitize
from genui.runs.layout import RunDir
from genui.runs.writer import RESERVED, json_number

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image as Pillow

MOST_NOTES = 50
"""The number of lines on stderr."""


class Notes:
    """Notes on stderr for the author of a script, one line on each subject. Never raises."""

    def __init__(self) -> None:
        self._subjects: set[str] = set()

    def say(self, about: str, line: str) -> None:
        """Prints `genui: line`, unless there was a line `about` the same before."""
        if about in self._subjects or len(self._subjects) >= MOST_NOTES:
            return
        self._subjects.add(about)
        try:
            # One write, so that lines of several processes do not mix.
            sys.stderr.write(f"genui: {sanitize(line, 500)}\n")
            sys.stderr.flush()
        except Exception:  # closed, replaced by something odd, or None under pythonw
            return


# --- Images and texts that a training script logs, as files in the samples/ of a run ---------
# numpy and Pillow are imported only when an image is written.

LARGEST = 1 << 20
"""Bytes; the app does not show larger samples."""

MOST_MEDIA = 64
"""Images in a tile; more would be too small to see."""

_LARGEST_SIDE = 2048  # pixels of one image
_CHANNELS = (1, 3, 4)


class Image:
    """An image to be logged: an array, a tensor, a PIL image or the path of a file.

    Arrays are [H, W], [H, W, C] or [C, H, W] with 1, 3 or 4 channels, or a batch of the latter
    two; floats are 0..1 (or 0..255, if one is over 2), integers 0..255, bools black and white.
    The data are not checked before they are logged.
    """

    def __init__(self, data_or_path: Any, caption: str | None = None, **ignored: Any) -> None:
        """`ignored` are other arguments of wandb.Image."""
        self.data = data_or_path
        self.caption = caption


class Text:
    """A text to be logged, for example generated text. A plain string works too."""

    def __init__(self, text: Any) -> None:
        self.text = text


def media_in(value: Any) -> list[Image | Text]:
    """The images and texts in a value that is one or a list of them; else an empty list."""
    values = value if isinstance(value, list | tuple) else [value]
    media = [Text(one) if isinstance(one, str) else one for one in values]
    return media if all(isinstance(one, Image | Text) for one in media) else []


class Samples:
    """The sample files of a run; samples can be added to the newest step."""

    def __init__(self, run: RunDir, say: Callable[[str, str], None]) -> None:
        """`say` is called with (about, line) if something cannot be written."""
        self._run = run
        self._say = say
        self._step = -1
        self._images: list[Image] = []
        self._texts: dict[str, list[Text]] = {}

    def add(self, step: int, name: str, media: Sequence[Image | Text]) -> None:
        """Adds what was logged under that name for that step."""
        if step != self._step:
            self._step, self._images, self._texts = step, [], {}
        for one in media:
            if isinstance(one, Image):
                self._images.append(one)
            else:
                self._texts.setdefault(name, []).append(one)

    def write(self) -> None:
        """Writes the files of the newest step, whole or not at all. Never raises."""
        try:
            if self._images:
                self._save(".png", tile(self._images))
            if self._texts:
                self._save(".txt", format_texts(self._texts))
        except GenuiError as error:
            self._say("samples", str(error))
        except Exception as error:
            self._images = []  # the faulty one would spoil the others of its step
            self._say("samples", f"the image of step {self._step} is left out: {error}")

    def _save(self, suffix: str, data: bytes) -> None:
        atomic_write(self._run.sample(self._step, suffix), data, durable=False)


def tile(images: Sequence[Image]) -> bytes:
    """A PNG of the first MOST_MEDIA images side by side, made smaller until it is under LARGEST.

    Raises ValueError, TypeError or OSError for anything but an image.
    """
    from PIL import Image as Pillow

    frames = [frame for image in images[:MOST_MEDIA] for frame in _open_frames(image)][:MOST_MEDIA]
    width = max(frame.width for frame in frames)
    height = max(frame.height for frame in frames)
    columns = math.ceil(math.sqrt(len(frames)))
    rows = math.ceil(len(frames) / columns)
    sheet = Pillow.new("RGB", (columns * width, rows * height))
    for index, frame in enumerate(frames):
        row, column = divmod(index, columns)
        sheet.paste(frame, (column * width, row * height))
    captions = "\n".join(str(image.caption) for image in images if image.caption)
    while len(data := _png(sheet, captions)) > LARGEST and min(sheet.size) > 1:
        sheet = sheet.resize((sheet.width // 2, sheet.height // 2), Pillow.Resampling.BOX)
    return data


def format_texts(texts: Mapping[str, Sequence[Text]]) -> bytes:
    """The texts of one step as UTF-8; each with a heading if there are several."""
    parts = [(name, str(text.text)) for name, some in texts.items() for text in some]
    if len(parts) == 1:
        whole = parts[0][1]
    else:
        whole = "\n".join(f"[{name}]\n{text}\n" for name, text in parts)
    data = whole.encode(errors="replace")
    return data if len(data) <= LARGEST else data[: LARGEST - 4].decode(errors="ignore").encode()


def _png(sheet: "Pillow.Image", captions: str) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if captions:
        info.add_itxt("Description", captions.encode(errors="replace").decode())
    file = io.BytesIO()
    sheet.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def _open_frames(image: Image) -> list["Pillow.Image"]:
    """One image, or every one of a batch."""
    from PIL import Image as Pillow

    data = image.data
    if isinstance(data, Pillow.Image):
        frames = [data]
    elif isinstance(data, str | os.PathLike):
        with Pillow.open(data) as opened:
            opened.draft("RGB", (_LARGEST_SIDE, _LARGEST_SIDE))
            opened.load()
            frames = [opened]
    else:
        frames = [Pillow.fromarray(array) for array in _arrays(data)]
    whole = [frame.convert("RGB") for frame in frames]
    for frame in whole:
        frame.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    return whole


def _arrays(data: Any) -> list["np.ndarray"]:
    """uint8 arrays [H, W, 3] of an array or a tensor of any library."""
    import numpy as np

    if hasattr(data, "detach"):  # torch: off the graph and off the GPU
        data = data.detach().cpu()
        if "bfloat16" in str(data.dtype):  # numpy has none
            data = data.float()
    array = np.asarray(data)
    if array.size == 0:
        raise ValueError(f"an empty array {list(array.shape)}")
    if array.dtype.kind not in "buif":
        raise ValueError(f"an array of {array.dtype}")
    return [_to_rgb(part) for part in (array[:MOST_MEDIA] if array.ndim == 4 else [array])]


def _to_rgb(array: "np.ndarray") -> "np.ndarray":
    import numpy as np

    if array.ndim == 2:
        array = array[:, :, None]
    elif array.ndim == 3 and array.shape[0] in _CHANNELS and array.shape[2] not in _CHANNELS:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in _CHANNELS:
        raise ValueError(f"an array {list(array.shape)}; give [H, W], [H, W, 3] or [3, H, W]")
    if array.dtype.kind == "b":
        array = array * np.uint8(255)
    elif array.dtype.kind == "f":
        array = np.nan_to_num(array.astype(np.float32), nan=0.0)
        scale = 1.0 if array.max() > 2 else 255.0
        array = np.rint(np.clip(array * scale, 0, 255))
    pixels = np.clip(array, 0, 255).astype(np.uint8)[:, :, :3]
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


# --- Names, steps and numbers of metrics.jsonl from what scripts log ---------------------------

BEYOND = 2**63
"""The first integer that is too large for a step and for JSON readers."""

_MOST_NAMES = 10_000
_LONGEST_NAME = 200
_DEEPEST = 8


class Names:
    """The metric name of every key that a script logs, computed once."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        """`say` is called with (about, line) if a key cannot be the name."""
        self.known: dict[Any, str] = {}
        self._say = say

    def __getitem__(self, key: str) -> str:
        name = self.known.get(key)
        if name is None:
            name = self._name(key)
            if len(self.known) < _MOST_NAMES:
                self.known[key] = name
        return name

    def _name(self, key: str) -> str:
        name = key[:_LONGEST_NAME].encode(errors="replace").decode()
        if name in RESERVED:
            self._say(
                f"name {name}", f"the metric name '{name}' is reserved: logged as 'logged/{name}'"
            )
            return f"logged/{name}"
        return name


def flatten(
    values: Mapping[Any, Any], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """Every value under its path: {"val": {"loss": 1}} gives ("val/loss", 1)."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from flatten(value, f"{name}/", depth + 1)
        else:
            yield name, value


def json_value(value: Any) -> float | int | str | None:
    """A number as its value in JSON; None for anything else.

    Values with `.item()`, such as a numpy scalar or a tensor of one number, and values that
    float() takes without parsing a text are numbers too.
    """
    if not isinstance(value, int | float):
        try:
            value = value.item() if hasattr(value, "item") else value.__float__()
        except Exception:
            return None
    if isinstance(value, int):  # bools are 0 and 1: a curve is drawn of them
        whole = int(value)
        if -BEYOND <= whole < BEYOND:
            return whole
        try:
            value = float(whole)
        except OverflowError:
            return None
    return json_number(float(value)) if isinstance(value, float) else None


def as_step(value: object) -> int | None:
    """A value as a step, 0 or more; None for anything else."""
    step = json_value(value)
    if isinstance(step, str) or step is None or not 0 <= step < BEYOND:
        return None
    return int(step)
