"""A plug-in of genui: patterns as a dataset of images, sums as one of text, a recipe for each, and
a sampler.

Nothing here imports torch: the app reads these rows too, and it has none.
"""

import numpy as np

from genui.engine.data.dataset import Dataset
from genui.engine.data.images import SIDE, ImageDataset, RawImages
from genui.engine.data.text import TextDataset
from genui.protocol.settings import Sampler
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


def midpoint(step, denoise):  # a Step of genui.engine.sample.samplers, and (x, σ) to denoised
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
