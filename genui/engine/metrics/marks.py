"""What becomes of a watermark: of a text as written, edited, and rewritten, with its price; of an
image as drawn, as a JPEG, with noise, and cut."""

import io
from collections.abc import Callable, Mapping, Sequence
from itertools import count as numbered

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image

from genui.base.errors import MisuseError
from genui.base.shares import ShareTable, count_row
from genui.base.watermarks import FOUND, find_key
from genui.engine.load import find_and_load
from genui.engine.loaders import load_tokenizer
from genui.engine.metrics.noise_watermark import invert, measure
from genui.engine.metrics.real import edit_texts
from genui.engine.metrics.shares import write_frames
from genui.engine.metrics.table import ReportProgress, draw_images
from genui.engine.sample.diffusion import Prompts
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.watermark import count_text
from genui.protocol import ImageSettings, TextSettings
from genui.runs.models import find_model

Chances = dict[str, list[list[float]]]
"""For each row of the table, and each column, the p of each sample."""


def find_marks(models: Sequence[str], count: int, progress: ReportProgress) -> ShareTable:
    """Count in how many samples of a model the watermark of the key that its settings name is
    found. A second model rewrites texts.

    Raises MisuseError for a model that carries none, for one too many, and without the key.
    """
    model, *others = models
    info = find_model(model)
    is_image = isinstance(info.defaults, ImageSettings)
    if info.kind is None or not info.kind.watermarks or len(others) > (0 if is_image else 1):
        raise MisuseError(f"{model}: name a model of images, or one of text and one that rewrites")
    return (_find_in_images if is_image else _find_in_texts)(models, count, progress)


def _count_found(
    what: str, columns: Mapping[str, object], chances: Chances, *notes: str
) -> ShareTable:
    return ShareTable(
        title=f"Is the watermark found (p < {FOUND:g})? {what}",
        columns=tuple(columns),
        rows=tuple(
            count_row(label, ([p < FOUND for p in ps] for ps in row))
            for label, row in chances.items()
        ),
        notes=notes,
    )


# --- Text ---------------------------------------------------------------------------------------

TOKENS = 300
EDITS = (0.1, 0.3)
PASSAGE = 40  # characters; every second one is rewritten
COLUMNS: Mapping[str, tuple[str, str]] = {
    "unmarked": ("none", "green"),
    "green": ("green", "green"),
    "tournament": ("tournament", "tournament"),
}
"""The watermark that texts are written with, and the one that is looked for."""


def _find_in_texts(models: Sequence[str], count: int, progress: ReportProgress) -> ShareTable:
    model, *others = models
    info = find_model(model)
    usual = info.defaults
    assert isinstance(usual, TextSettings)
    key, tokenizer = find_key(usual.watermark_key), load_tokenizer(info)
    chances: Chances = {}
    bits = []
    for title, (written, sought) in COLUMNS.items():
        settings = replace(usual, watermark=written, tokens=TOKENS)
        texts, means = list[str](), list[float]()
        for frames in write_frames(model, ["\n"] * count, settings):
            progress(title, len(texts), count)
            texts.append("".join(frame.text for frame in frames))
            means.append(float(np.mean([frame.surprisal for frame in frames])))
        bits.append(f"{title} {np.mean(means):.2f} ± {np.std(means) / count**0.5:.2f}")
        versions = {"as written": texts}
        for share in EDITS:
            versions[f"{share:.0%} edited"] = edit_texts(texts, "".join(texts), share)
        if others:
            versions[f"half by {others[0]}"] = rewrite(texts, others[0])
        for label, ones in versions.items():
            tokens = [tokenizer.encode_array(text).astype(np.int32) for text in ones]
            counts = [count_text(one, key, replace(usual, watermark=sought)) for one in tokens]
            chances.setdefault(label, []).append([one.p for one in counts])
    return _count_found(
        f"{TOKENS} tokens of {model}, usual settings",
        COLUMNS,
        chances,
        f"bits a token under the model, with the standard error: {', '.join(bits)}",
    )


def rewrite(texts: Sequence[str], model: str) -> list[str]:
    """Every second passage of the texts is replaced by what another model writes at its place, of
    about its length. Raises MisuseError for a model that writes no text."""
    generator = find_and_load(model)
    if not isinstance(generator, TextGenerator):
        raise MisuseError(f"{model}: writes no text, so that it cannot rewrite one")
    settings, seeds = TextSettings(temperature=1, top_p=1, tokens=PASSAGE), numbered()

    def replaced(text: str) -> str:
        new = ""
        for at in range(0, len(text), 2 * PASSAGE):
            new += text[at : at + PASSAGE]
            if at + PASSAGE < len(text):
                new += generator.write(new, next(seeds), settings)[:PASSAGE]
        return new

    return [replaced(text) for text in texts]


# --- Images -------------------------------------------------------------------------------------

Pixels = NDArray[np.uint8]
JPEG_QUALITY, NOISE, KEPT = 75, 0.05, 0.9


def _save_as_jpeg(pixels: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(file))


def _add_noise(pixels: Pixels) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 255 * NOISE, pixels.shape)
    return (pixels + noise).round().clip(0, 255).astype(np.uint8)


def _cut(pixels: Pixels) -> Pixels:
    """The middle, enlarged to the whole size."""
    image = Image.fromarray(pixels)
    (width, height), edge = image.size, (1 - KEPT) / 2
    box = edge * width, edge * height, (1 - edge) * width, (1 - edge) * height
    return np.asarray(image.resize(image.size, Image.Resampling.BICUBIC, box))


DAMAGES: Mapping[str, Callable[[Pixels], Pixels]] = {
    "as drawn": lambda pixels: pixels,
    f"JPEG {JPEG_QUALITY}": _save_as_jpeg,
    f"noise {NOISE}": _add_noise,
    f"middle {KEPT:.0%}": _cut,
}
"""What is done to the pixels of an image as the model draws it."""

WATERMARKS = {"unmarked": "none", "marked": "noise"}
"""The columns."""


def _find_in_images(models: Sequence[str], count: int, progress: ReportProgress) -> ShareTable:
    [model] = models
    usual, prompts = find_model(model).defaults, Prompts(model, 0)
    key, captions = find_key(usual.watermark_key), [prompts.at(number) for number in range(count)]
    chances: Chances = {}
    for title, watermark in WATERMARKS.items():
        settings = replace(usual, watermark=watermark)
        drawn = draw_images(model, captions, settings, title, progress)
        for label, damage in DAMAGES.items():
            ps = []
            for number, pixels in enumerate(drawn):
                progress(f"{title}, {label}", number, count)
                ps.append(measure(invert(model, damage(pixels)), key))
            chances.setdefault(label, []).append(ps)
    return _count_found(f"{count} images of {model}", WATERMARKS, chances)
