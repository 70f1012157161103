"""A plug-in of genui: patterns as a dataset of images, sums as one of text, a recipe for each, a
sampler, the reader of a log, and a file type.

Nothing here imports torch: the app reads these rows too, and it has none.
"""

import re

import numpy as np

from genui.base.errors import GenuiError
from genui.base.growing import LineFile
from genui.engine.data.dataset import Dataset
from genui.engine.data.image_datasets import ImageDataset
from genui.engine.data.image_files import SIDE
from genui.engine.data.images import RawImages
from genui.engine.data.text import TextDataset
from genui.formats.codec import Codec
from genui.formats.image import compare_images, shown_images
from genui.formats.recipe import to_json
from genui.logs.base import Format, LineReader
from genui.logs.records import parse_step
from genui.logs.series_store import columns
from genui.protocol.samplers import Sampler
from genui.recipes import DiffusionRecipe, Recipe, TransformerRecipe

# --- a dataset of images ------------------------------------------------------------

PERIODS = {"narrow": 4, "middling": 8, "wide": 16}  # pixels
DIRECTIONS = {"level": (0, 1), "upright": (1, 0), "rising": (1, 1), "falling": (1, -1)}


def read_patterns() -> RawImages:
    """White stripes on nothing, in every direction and of every width."""
    y, x = np.mgrid[:SIDE, :SIDE]
    names, alphas = [], []
    for width, period in PERIODS.items():
        for direction, (along_x, along_y) in DIRECTIONS.items():
            names.append(f"{width} {direction} stripes")
            alphas.append((along_x * x + along_y * y) % period < period // 2)
    rgba = np.full((len(names), SIDE, SIDE, 4), 255, np.uint8)
    rgba[..., 3] = 255 * np.array(alphas)
    return RawImages(rgba, tuple(names))


# --- a dataset of text --------------------------------------------------------------


def read_sums() -> str:
    """A sum a line: `17+25=42`."""
    rng = np.random.default_rng(0)
    return "".join(f"{a}+{b}={a + b}\n" for a, b in rng.integers(0, 100, (4000, 2)))


DATASETS: list[Dataset] = [
    ImageDataset(
        name="patterns",
        summary="stripes of three widths in four directions, in any two of ten colours",
        licence="CC0-1.0",
        load=read_patterns,
        scheme="figure-ground",
    ),
    TextDataset(
        name="sums", summary="sums of two numbers under 100", licence="CC0-1.0", load=read_sums
    ),
]

RECIPES: list[Recipe] = [
    DiffusionRecipe(
        name="patterns",
        dataset="patterns",
        summary="stripes, one colour on another",
        steps=300,
        layers=2,
        width=64,
        caption_width=32,
        caption_words=6,
        canvas_batch=0,
        sample_captions=("red wide level stripes on black", "blue narrow rising stripes on white"),
    ),
    TransformerRecipe(
        name="sums",
        dataset="sums",
        summary="sums of two numbers, a character at a time",
        steps=500,
        layers=2,
        width=64,
        heads=2,
        context=64,
        sample_prompt="17+25=",
        sample_tokens=40,
    ),
]


# --- a sampler ----------------------------------------------------------------------


def midpoint(step, denoise):  # a Step of genui.protocol.samplers, and (x, σ) to denoised
    """Second order, by the slope half-way in log σ (Karras et al. 2022, algorithm 3 with α = ½)."""
    if step.sigma_next == 0:
        return step.denoised
    slope = (step.x - step.denoised) / step.sigma
    middle = (step.sigma * step.sigma_next) ** 0.5
    x = step.x + (middle - step.sigma) * slope
    slope = (x - denoise(x, middle)) / middle
    return step.x + (step.sigma_next - step.sigma) * slope


MIDPOINT = Sampler(title="midpoint", function=midpoint)
SAMPLERS = {"midpoint": MIDPOINT}
"""What `genui --plugin genui_patterns.py` takes; a package names the sampler in pyproject.toml."""


# --- a reader of logs ---------------------------------------------------------------


class LogfmtTail(LineReader):
    """Lines such as `step=20 loss=1.25 lr=0.001`; a file that grows is followed."""

    def add_lines(self, file: LineFile, lines: bytes) -> None:
        texts = [line for line in lines.decode(errors="replace").splitlines() if line.strip()]
        records = [r for r in map(parse, texts) if parse_step(r.get("step")) is not None]
        self.damaged += len(texts) - len(records)
        if records:
            steps = np.array([parse_step(record["step"]) for record in records], np.int64)
            no_times = np.full(len(records), np.nan)
            self.store.add(columns(records, steps, no_times, {"step"}))


def parse(line: str) -> dict[str, float]:
    """The numbers of a line by name; whatever else is in it is left out."""
    record = {}
    for part in line.split():
        name, sign, value = part.partition("=")
        try:
            if sign:
                record[name] = float(value)
        except ValueError:
            continue
    return record


LOGS = [
    Format(
        name="logfmt",
        title="lines of name=value (*.logfmt)",
        reader=LogfmtTail,
        file=re.compile(r".+\.logfmt"),
        begins=lambda head: head.startswith(b"step="),
    )
]


# --- a file type --------------------------------------------------------------------


def encode_ppm(samples, recipe, rate):
    """The image that the view shows as a Netpbm file, with the recipe as its comment."""
    image = shown_images(samples, recipe)[0]
    height, width, _ = image.shape
    return f"P6\n# {to_json(recipe)}\n{width} {height}\n255\n".encode() + image.tobytes()


def decode_ppm(data, name):
    """[image [H, W, 3]] and the recipe; a fault is one line that begins with the file's name."""
    try:
        _, comment, size, _, pixels = data.split(b"\n", 4)
        width, height = map(int, size.split())
        image = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    except ValueError:
        raise GenuiError(f"{name}: is no image of ours; write or copy it again") from None
    return [image], comment.removeprefix(b"# ")


PPM = Codec(
    suffix=".ppm",
    title="a Netpbm image",
    encode=encode_ppm,
    decode=decode_ppm,
    difference=compare_images,
    media=("image",),
)
CODECS = [PPM]
