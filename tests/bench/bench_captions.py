"""A sheet of 24 images that nobody chose, each beside the nearest training image.

    python -m tests.bench captions icons-128 [--out sheet.png] [--speed]

The captions are those of a fixed random draw: half name training images, in random colours, half
held-out ones, which no training image shows; a model whose data hold nothing out has the former
alone. Seeds are 1 to 24, all are drawn with the usual settings, and none is left out. Below each
image is its caption, and below its neighbour the name of that with their distance: the root mean
square of the colours' differences, 0 to 255, in the colours of the caption.

--speed also times one image in this process once the model is loaded, 12 steps, each with its
frame, and says how large it is as a PNG and its steps as a GIF.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from harness import Figure, machine, report
from msgspec.structs import replace

from genui.engine.data.image_datasets import IMAGE_DATASETS, load_images
from genui.engine.load import find_and_load, open_trace
from genui.engine.metrics.copying import nearest
from genui.formats.image import Card, Pixels, contact_sheet, gif, pixels, png
from genui.protocol import ImageFrame, Start
from genui.protocol.kinds import KINDS
from genui.recipes import Recipe
from genui.runs.models import find_model, read_header

COUNT = 24
COLUMNS = 6  # pairs of images
REPEATS = 5


def choose_captions(recipe: Recipe) -> list[str]:
    """COUNT captions of the recipe's data, half of them held out, by a fixed random draw."""
    side = IMAGE_DATASETS[recipe.dataset].side
    images, rng = load_images(recipe.dataset, recipe.data, side=side), np.random.default_rng(0)
    held = rng.permutation(images.held_out)[: COUNT // 2]
    trained = rng.permutation(images.train)[: COUNT - len(held)]
    return images.batch(np.concatenate((trained, held)), rng).captions


def draw_pair(model: str, caption: str, seed: int) -> list[Card]:
    """An image and the training image nearest to it."""
    info = find_model(model)
    settings = KINDS[info.family, info.medium].defaults
    trace = open_trace(Start(trace=1, model=model, prompt=caption, seed=seed, settings=settings))
    last = trace.started.total_steps
    list(trace.advance(0, last))
    frame = trace.generator.frame(trace.state(last))
    assert isinstance(frame, ImageFrame)
    (near,) = nearest(trace, last, 1).images
    rgb = np.frombuffer(near.rgb, np.uint8).reshape(near.height, near.width, 3)
    return [
        Card(f"{seed}: {caption}", pixels(frame, "denoised")),
        Card(f"{near.caption}, {near.distance:.0f}", rgb),
    ]


def measure_speed(model: str, caption: str) -> list[Figure]:
    """Seconds of an image with the model loaded, the median of REPEATS, and the sizes of files."""
    info, times = find_model(model), []
    settings = KINDS[info.family, info.medium].defaults
    frames: list[Pixels] = []
    find_and_load(model)
    for seed in range(REPEATS):
        start = Start(trace=1, model=model, prompt=caption, seed=seed, settings=settings)
        began = time.perf_counter()
        trace = open_trace(replace(start, seed=seed))
        steps = list(trace.advance(0, trace.started.total_steps))
        times.append(time.perf_counter() - began)
        frames = [pixels(each, "x") for each in steps if isinstance(each, ImageFrame)]
    return [
        Figure("an image, model loaded", statistics.median(times), "s", limit=1.5),
        Figure("PNG", len(png(frames[-1], "")) / 1000, "kB"),
        Figure("GIF of its steps", len(gif(frames, "")) / 1000, "kB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="A sheet of images beside training images")
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    before, recipe = machine(), read_header(find_model(options.model).path).recipe
    captions = choose_captions(recipe)
    cards = []
    for seed, caption in enumerate(captions, 1):
        print(f"{seed} of {COUNT}: {caption}", file=sys.stderr)
        cards += draw_pair(options.model, caption, seed)
    options.out.write_bytes(png(contact_sheet(cards, 2 * COLUMNS), ""))
    print(f"wrote {options.out}")
    if options.speed:
        report(before, measure_speed(options.model, captions[0]), as_json=False)


if __name__ == "__main__":
    main()
