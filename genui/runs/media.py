"""Samples, names, steps and numbers that scripts log, and notes on stderr for their authors."""

import csv
import io
import math
import os
import sys
import time
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genui.base.errors import GenuiError
from genui.base.files import append_line, atomic_write, sanitize
from genui.base.late import late_imports
from genui.base.text import align_columns
from genui.runs.layout import RunDir
from genui.runs.writer import RESERVED, json_number

if TYPE_CHECKING:
    import numpy as np

with late_imports():
    from PIL import Image as Pillow
    from PIL import ImageSequence, PngImagePlugin
MAX_NOTES = 50
"""The number of lines on stderr."""


class Notes:
    """Notes on stderr for the author of a script, one line on each subject. Never raises."""

    def __init__(self) -> None:
        self._subjects: set[str] = set()

    def note(self, about: str, line: str) -> None:
        """Prints `genui: line`, unless there was a line `about` the same before."""
        if about in self._subjects or len(self._subjects) >= MAX_NOTES:
            return
        self._subjects.add(about)
        try:
            # One write, so that lines of several processes do not mix.
            sys.stderr.write(f"genui: {sanitize(line, 500)}\n")
            sys.stderr.flush()
        except Exception:  # closed, replaced by something odd, or None under pythonw
            return


# --- Media that a training script logs, as files in the samples/ of a run -----------------------
# The classes take the arguments of wandb's (https://docs.wandb.ai/models/ref/python/data-types).
# numpy and Pillow are imported only when they are needed.

LARGEST = 1 << 20
"""Bytes of a text or an image; the app does not show larger samples."""

MAX_MEDIA = 64
"""Images in a tile; more images would be too small to see."""

_LARGEST_FILE = 64 << 20  # bytes of a sound, a video or a table
_LARGEST_SIDE = 2048  # pixels of one image
_LARGEST_TILE = 4096  # pixels of a side of several images
_LARGEST_VIDEO = 128 << 20  # pixels of all its frames
_CHANNELS = (1, 3, 4)
_TILING = 0.1  # seconds a step may spend on its images; then they wait for the next second
_STRIP = 8  # frames of a video that are shown side by side


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


class Audio:
    """A sound to be logged: samples [N] or [N, channels], or the path of a WAV file.

    Floats are -1..1, integers of 16 bits. It is kept as a WAV file and shown as a spectrogram.
    """

    def __init__(
        self,
        data_or_path: Any,
        sample_rate: int | None = None,
        caption: str | None = None,
        **ignored: Any,
    ) -> None:
        """`sample_rate` is in samples a second, 16,000 by default; a file has its own kind."""
        self.data = data_or_path
        self.sample_rate = sample_rate
        self.caption = caption


class Video:
    """A video to be logged: frames [T, C, H, W] or [B, T, C, H, W], or the path of a GIF.

    It is kept as a GIF, and some of its frames are shown side by side.
    """

    def __init__(
        self,
        data_or_path: Any,
        caption: str | None = None,
        fps: int | None = None,
        **ignored: Any,
    ) -> None:
        """`fps` is in frames a second, 4 by default as in wandb."""
        self.data = data_or_path
        self.caption = caption
        self.fps = fps


class Table:
    """Rows to be logged; kept as CSV and shown as text. Its methods are those of wandb.Table."""

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        **ignored: Any,
    ) -> None:
        """`data` (or `rows`) is a list of rows, an array or a dataframe."""
        source: Any = next((each for each in (dataframe, data, rows) if each is not None), [])
        if hasattr(source, "columns") and hasattr(source, "itertuples"):  # pandas
            columns = list(source.columns) if columns is None else columns
            source = source.itertuples(index=False)
        self.data: list[list[Any]] = [list(row) for row in source]
        widest = max(map(len, self.data), default=3)
        default = ["Input", "Output", "Expected"] if widest == 3 else range(widest)
        self.columns: list[Any] = list(default if columns is None else columns)

    def add_data(self, *data: Any) -> None:
        self.data.append(list(data))

    add_row = add_data

    def add_column(self, name: str, data: Any, optional: bool = False) -> None:
        """Adds a column with one value a row; the first column makes the rows."""
        values = list(data)
        if not self.data:
            self.data, self.columns = [[] for _ in values], []
        for row, value in zip(self.data, values, strict=False):
            row.append(value)
        self.columns.append(name)

    def get_column(self, name: str, convert_to: str | None = None) -> Any:
        """The values of a column as a list, or with `convert_to="numpy"` as an array."""
        index = self.columns.index(name)
        values = [row[index] if index < len(row) else None for row in self.data]
        if convert_to != "numpy":
            return values
        import numpy as np

        return np.array(values)

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """The rows with their numbers."""
        yield from enumerate(self.data)

    def get_dataframe(self) -> Any:
        """The table as a pandas DataFrame. Raises ImportError without pandas."""
        from importlib import import_module

        return import_module("pandas").DataFrame(self.data, columns=self.columns)


class Histogram:
    """How often values occur: `histogram` has the counts, `bins` their N + 1 edges."""

    MAX_LENGTH = 512

    def __init__(
        self,
        sequence: Any = None,
        np_histogram: Any = None,
        num_bins: int = 64,
    ) -> None:
        """`sequence` holds numbers; those that are not finite are left out; or `np_histogram` is
        what numpy.histogram returns. Raises ValueError for anything else."""
        if np_histogram is None:
            import numpy as np

            values = np.asarray(_on_cpu(sequence if sequence is not None else [])).ravel()
            # In float64: numpy refuses bins that are too narrow for a smaller type.
            finite = values[np.isfinite(values)].astype(np.float64)
            np_histogram = np.histogram(finite, bins=min(max(1, num_bins), self.MAX_LENGTH))
        counts, edges = np_histogram
        self.histogram: list[float] = [float(count) for count in counts]
        self.bins: list[float] = [float(edge) for edge in edges]
        if len(self.bins) != len(self.histogram) + 1 or len(self.histogram) > self.MAX_LENGTH:
            raise ValueError(f"a histogram has at most {self.MAX_LENGTH} counts and an edge more")


Media = Image | Text | Audio | Video | Table | Histogram


def media_in(value: Any) -> list[Media]:
    """The media in a value that is a medium or a list of media; else an empty list."""
    values = value if isinstance(value, list | tuple) else [value]
    media = [Text(one) if isinstance(one, str) else one for one in values]
    return media if all(isinstance(one, Media) for one in media) else []


class Samples:
    """The sample files of a run; samples can be added to the newest step."""

    def __init__(self, run: RunDir, say: Callable[[str, str], None]) -> None:
        """`say` is called with (about, line) if something cannot be written."""
        self._run = run
        self._print_line = say
        self._step = -1
        self._images: list[Image] = []
        self._tiling = 0.0  # seconds that the images of this step have taken
        self._texts: dict[str, list[Text]] = {}
        self._characters = 0  # of these texts
        self._changed: set[str] = set()  # ".png" and ".txt" if they have more than their file
        self._counts: dict[str, int] = {}  # files of this step, by suffix

    def add(self, step: int, name: str, media: Sequence[Media]) -> None:
        """Adds the media that were logged under that name for that step: images and texts to the
        files of `write`, others in files of their own."""
        if step != self._step:
            self.write(whole=True)
            self._step, self._images, self._texts, self._counts = step, [], {}, {}
            self._characters, self._tiling = 0, 0.0
        for one in media:
            try:
                self._add(name, one)
            except GenuiError as error:
                self._print_line("samples", str(error))
            except Exception as error:
                self._print_line("samples", f"a sample of step {self._step} is left out: {error}")

    def _add(self, name: str, one: Media) -> None:
        match one:
            case Image():
                self._add_image(one)
            case Text():
                self._add_text(name, one)
            case Histogram():
                self._write_histogram(name, one)
            case Table():
                self._add_text(name, Text(format_table(one)))
                for cell in (cell for row in one.data for cell in row):
                    if isinstance(cell, Image):
                        self._add_image(cell)
                self._write_file(".csv", encode_csv(one))
            case Audio():
                self._write_file(".wav", encode_sound(one))
            case Video():
                frames = _open_video(one)
                every = max(1, -(-len(frames) // _STRIP))
                self._add_image(Image(_side_by_side(frames[::every]), one.caption))
                self._write_file(".gif", encode_gif(frames, one.fps or 4))

    def _add_image(self, image: Image) -> None:
        """Adds an image if there is room: a script may log many at one step."""
        if len(self._images) < MAX_MEDIA:
            self._images.append(image)
            self._changed.add(".png")

    def _add_text(self, name: str, text: Text) -> None:
        """Adds a text if there is room."""
        if self._characters < LARGEST:
            text = Text(str(text.text)[:LARGEST])
            self._characters += len(text.text)
            self._texts.setdefault(name, []).append(text)
            self._changed.add(".txt")

    def write(self, whole: bool = False) -> None:
        """Writes the images and texts of the newest step, whole or not at all. Never raises.

        All its images are one file. If a script logs many singly, each would write those before it
        again: after some time the rest is left to a later call, the last of which is `whole`.
        """
        changed, self._changed = self._changed, set()
        if ".png" in changed and self._tiling > _TILING and not whole:
            changed.remove(".png")
            self._changed.add(".png")
        try:
            if ".png" in changed:
                start = time.perf_counter()
                self._save(".png", tile(self._images))
                self._tiling += time.perf_counter() - start
            if ".txt" in changed:
                self._save(".txt", format_texts(self._texts))
        except GenuiError as error:
            self._changed |= changed
            self._print_line("samples", str(error))
        except Exception as error:
            self._images = []  # the faulty one would spoil the others of its step
            self._print_line("samples", f"the image of step {self._step} is left out: {error}")

    def _write_file(self, suffix: str, data: bytes) -> None:
        """One file of its own: step-N.wav, step-N.2.wav …"""
        if len(data) > _LARGEST_FILE:
            raise ValueError(f"{len(data) >> 20} MiB of {suffix[1:]}; at most 64 are kept")
        self._counts[suffix] = number = self._counts.get(suffix, 0) + 1
        self._save(suffix if number == 1 else f".{number}{suffix}", data)

    def _write_histogram(self, name: str, histogram: Histogram) -> None:
        """A line in histograms.jsonl."""
        record = {
            "step": self._step,
            "time": round(time.time(), 3),
            "name": name,
            "bins": histogram.bins,
            "counts": histogram.histogram,
        }
        append_line(self._run.histograms, record)

    def _save(self, suffix: str, data: bytes) -> None:
        atomic_write(self._run.sample(self._step, suffix), data, durable=False)


def encode_csv(table: Table) -> bytes:
    """The table as CSV, UTF-8, with a heading."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([_cell(name) for name in table.columns])
    writer.writerows([[_cell(cell) for cell in row] for row in table.data])
    return file.getvalue().encode(errors="replace")


_WIDEST = 40  # characters of a cell that are shown
_MAX_ROWS = 200


def format_table(table: Table) -> str:
    """The first rows in aligned columns."""
    cells = [[_cell(name) for name in table.columns]]
    cells += [[_cell(cell) for cell in row] for row in table.data[:_MAX_ROWS]]
    cells = [[" ".join(cell.split())[:_WIDEST] for cell in row] for row in cells]
    hidden = len(table.data) - _MAX_ROWS
    return "\n".join(align_columns(cells) + ([f"… and {hidden:,} more rows"] if hidden > 0 else []))


def _cell(value: Any) -> str:
    """A value of a table as text."""
    if isinstance(value, Image | Audio | Video):
        return str(value.caption or f"[{type(value).__name__.lower()}]")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def encode_sound(sound: Audio) -> bytes:
    """A sound as a WAV file with 16 bits a sample. Raises ValueError if it is not one."""
    if isinstance(sound.data, str | os.PathLike):
        with open(sound.data, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
        if data[:4] != b"RIFF":
            raise ValueError(f"{os.fspath(sound.data)} is not a WAV file")
        return data
    import numpy as np

    samples = np.asarray(_on_cpu(sound.data))
    if samples.ndim not in (1, 2) or not samples.size or samples.dtype.kind not in "if":
        raise ValueError(f"a sound {list(samples.shape)} of {samples.dtype}; give [N] floats")
    if samples.ndim == 2 and samples.shape[0] < samples.shape[1] and samples.shape[0] <= 8:
        samples = samples.T  # [channels, N], as torchaudio has it
    if samples.dtype.kind == "f":
        samples = np.rint(np.clip(np.nan_to_num(samples), -1, 1) * 32767)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        out.setsampwidth(2)
        out.setframerate(int(sound.sample_rate or 16_000))
        out.writeframes(np.clip(samples, -32768, 32767).astype("<i2").tobytes())
    return file.getvalue()


def encode_gif(frames: Sequence["Pillow.Image"], fps: int) -> bytes:
    """The frames as an animated GIF, repeated without end."""
    file = io.BytesIO()
    options: dict[str, Any] = {"duration": 1000 // max(1, min(50, fps)), "loop": 0}
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


_MAX_FRAMES = 500


def _open_video(video: Video) -> list["Pillow.Image"]:
    """The frames, RGB, of the first video of a batch. Raises ValueError if they are too many
    pixels, of which a GIF could have any number."""
    if isinstance(video.data, str | os.PathLike):
        with Pillow.open(video.data) as opened:
            frames = []
            for frame, _ in zip(ImageSequence.Iterator(opened), range(_MAX_FRAMES), strict=False):
                _check_video(len(frames) + 1, frame.width * frame.height)
                frames.append(frame.convert("RGB"))
            return frames
    import numpy as np

    array = np.asarray(_on_cpu(video.data))
    array = array[0] if array.ndim == 5 else array
    if array.ndim != 4 or not array.size:
        raise ValueError(f"a video {list(array.shape)}; give [T, 3, H, W]")
    _check_video(min(len(array), _MAX_FRAMES), array[0].size // min(array[0].shape))
    return [Pillow.fromarray(_to_rgb(frame)) for frame in array[:_MAX_FRAMES]]


def _check_video(frames: int, pixels: int) -> None:
    """Raises ValueError if so many frames of so many pixels are too many."""
    if frames * pixels > _LARGEST_VIDEO:
        most = _LARGEST_VIDEO >> 20
        raise ValueError(f"a video of over {most} megapixels; log fewer or smaller frames")


def _side_by_side(frames: Sequence["Pillow.Image"]) -> "Pillow.Image":
    width, height = frames[0].size
    strip = Pillow.new("RGB", (width * len(frames), height))
    for index, frame in enumerate(frames):
        strip.paste(frame, (index * width, 0))
    return strip


def _on_cpu(data: Any) -> Any:
    """A tensor of torch off the graph and off the GPU; other values as they are."""
    if not hasattr(data, "detach"):
        return data
    data = data.detach().cpu()
    return data.float() if "bfloat16" in str(data.dtype) else data  # numpy has none


def tile(images: Sequence[Image]) -> bytes:
    """A PNG of the first MAX_MEDIA images in rows, made smaller until it is under LARGEST.

    Raises ValueError, TypeError or OSError for anything but an image.
    """
    images = images[:MAX_MEDIA]
    side = min(_LARGEST_SIDE, _LARGEST_TILE // math.ceil(math.sqrt(len(images))))
    frames = [frame for image in images for frame in _open_frames(image, side)][:MAX_MEDIA]
    columns = math.ceil(math.sqrt(len(frames)))
    for frame in frames:  # a batch has several
        frame.thumbnail((_LARGEST_TILE // columns, _LARGEST_TILE // columns))
    width = max(frame.width for frame in frames)
    height = max(frame.height for frame in frames)
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
    info = PngImagePlugin.PngInfo()
    if captions:
        info.add_itxt("Description", captions.encode(errors="replace").decode())
    file = io.BytesIO()
    sheet.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def _open_frames(image: Image, side: int) -> list["Pillow.Image"]:
    """One image, or every one of a batch, of at most `side` pixels across and down."""
    data = image.data
    if isinstance(data, Pillow.Image):
        frames = [data]
    elif isinstance(data, str | os.PathLike):
        with Pillow.open(data) as opened:
            opened.draft("RGB", (side, side))
            opened.load()
            frames = [opened]
    else:
        frames = [Pillow.fromarray(array) for array in arrays_of(data)]
    whole = [frame.convert("RGB") for frame in frames]
    for frame in whole:
        frame.thumbnail((side, side))
    return whole


def arrays_of(data: Any) -> list["np.ndarray"]:
    """uint8 arrays [H, W, 3] of an array or a tensor of any library."""
    import numpy as np

    array = np.asarray(_on_cpu(data))
    if array.size == 0:
        raise ValueError(f"an empty array {list(array.shape)}")
    if array.dtype.kind not in "buif":
        raise ValueError(f"an array of {array.dtype}")
    return [_to_rgb(part) for part in (array[:MAX_MEDIA] if array.ndim == 4 else [array])]


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

_MAX_NAMES = 10_000
_LONGEST_NAME = 200
_DEEPEST = 8


class Names(dict[Any, str]):
    """The metric name of every key that a script logs, computed once."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        """`say` is called with (about, line) if a key cannot be the name."""
        super().__init__()
        self._print_line = say

    def __missing__(self, key: str) -> str:
        name = key[:_LONGEST_NAME].encode(errors="replace").decode()
        if name in RESERVED:
            self._print_line(
                f"name {name}", f"the metric name '{name}' is reserved: logged as 'logged/{name}'"
            )
            name = f"logged/{name}"
        if len(self) < _MAX_NAMES:
            self[key] = name
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
