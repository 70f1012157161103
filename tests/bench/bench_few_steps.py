"""How many denoising steps are enough: the shipped diffusion models at few steps and at many.

    python -m tests.bench few_steps [MODEL …] [--images 128] [--sheets FOLDER]   (10 to 15 minutes)
    python -m tests.bench few_steps --samplers [MODEL …] [--images 8]

Each model draws the same captions from the same seeds, with its default sampler and guidance, at
each number of steps. A line has:

- the mean squared error to 50 steps of Heun's method from the same seeds, on values from -1 to 1,
  and the same over the error of 20 steps;
- how good the samples are, by what the model's card measures: captions retrieved, colours and the
  error to the true image (icons, emoji); the label and the features of fashion-labels (fashion);
  motion, icon and colours by tracking (video); digit and voice by the shipped classifiers (voice).

`±` is the standard error of the difference to 20 steps over the same seeds. The Fréchet distance of
fashion is to as many images of 20 steps from other seeds, in features of fashion-labels, so the
data set is not needed. A number of steps is enough if its quality equals that of 20 and nobody can
tell the two apart on the sheets: that is the default of `genui.protocol.kinds`.

`--sheets` writes one PNG a model: a row of samples for every number of steps. `--samplers` prints
the errors of every sampler at fewer steps, at the last noise level 0.03 that every number of steps
once had, and at the one that it has now.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from harness import home, machine, report_machine
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genui import protocol
from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import as_floats
from genui.engine.load import find_and_load
from genui.engine.metrics import images
from genui.engine.metrics.classifiers import ImageClassifier
from genui.engine.metrics.distance import frechet_distance
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.media import to_rgb
from genui.kinds.speech import metrics as speech
from genui.kinds.speech.classifier import SoundClassifier
from genui.kinds.speech.medium import FINAL_ROUNDS, SpeechMedium, sound_of
from genui.kinds.video import metrics as clips
from genui.kinds.video.data import load_clips
from genui.kinds.video.medium import to_clips
from genui.protocol import ImageSettings
from genui.recipes import DiffusionRecipe, find_recipe

STEPS = (6, 8, 10, 12, 16, 20)
MANY = 20
REFERENCE = ImageSettings(sampler="heun", steps=50, sigma_min=0.03)
COMPARED = 64  # images of the mean squared error
BATCH = 32
SHOWN = 16  # images of a row of a sheet

Scores = dict[str, NDArray[np.float64]]
"""A name to a value for each sample, or to a single value of all of them."""
Judge = Callable[[Tensor], Scores]


class Examination(NamedTuple):
    """The captions of a model, and what judges the samples [N, C, H, W] of them."""

    captions: list[str]
    judge: Judge


# --- What judges the samples of each model ----------------------------------------------------


def examine_captioned(model: str, count: int) -> Examination:
    """Icons and emoji: the nearest image of the set, its colours and the error to the true one."""
    recipe = find_recipe(model)
    assert isinstance(recipe, DiffusionRecipe)
    data = load_images(recipe.dataset, recipe.data)
    rng = np.random.default_rng(0)
    chosen = rng.choice(data.train, count, replace=len(data.train) < count)
    batch = data.batch(chosen, rng)

    def judge(x: Tensor) -> Scores:
        rgb = as_floats(to_rgb(x))
        each = list(zip(batch.captions, chosen, rgb, strict=True))
        right = [images.rank_of(data, *one) == 0 for one in each]
        colours = [images.colours_are_right(caption, one) for caption, _, one in each]
        errors = ((rgb - batch.rgb) ** 2).mean(axis=(1, 2, 3))
        return {
            "caption": np.array(right, float),
            "colours": np.array(colours, float),
            "true image": errors.astype(float),
        }

    return Examination(batch.captions, judge)


def examine_labelled(generator: DiffusionGenerator, model: str, count: int) -> Examination:
    """Fashion: its label by the shipped classifier, and the distance to other images of it."""
    classifier = ImageClassifier.load(f"{model}-labels")
    names = [classifier.labels[i % len(classifier.labels)] for i in range(count)]
    targets = np.arange(count) % len(classifier.labels)
    others = draw(generator, names, ImageSettings(steps=MANY), first_seed=count)
    features = classifier.features(to_rgb(others))

    def judge(x: Tensor) -> Scores:
        rgb = to_rgb(x)
        right = classifier.probabilities(rgb).argmax(1) == targets
        distance = frechet_distance(classifier.features(rgb), features)
        return {"label": right.astype(float), "Fréchet": np.array([distance])}

    return Examination(names, judge)


def examine_clips(count: int) -> Examination:
    """Video: the figure is tracked."""
    data = load_clips()
    scenes = data.scenes(count, np.random.default_rng(0))

    def judge(x: Tensor) -> Scores:
        tracked = clips.track_clips(data, scenes, to_clips(x))
        return {
            "motion": np.array([one.motion_is_right for one in tracked], float),
            "icon": np.array([one.icon_is_right for one in tracked], float),
            "colours": np.array([one.colours_are_right for one in tracked], float),
        }

    return Examination([scene.caption for scene in scenes], judge)


def examine_speech(generator: DiffusionGenerator, count: int) -> Examination:
    """Voice: the digit and the voice that the shipped classifiers hear."""
    assert isinstance(generator.medium, SpeechMedium)
    captions = speech.spoken_captions(generator.medium.voices, count)
    named = (("digit", speech.DIGIT_CLASSIFIER, 0), ("voice", speech.VOICE_CLASSIFIER, -1))

    def judge(x: Tensor) -> Scores:
        mels = x[:, 0].float().cpu().numpy()
        sounds = [sound_of(mel[None], [slice(0, 1)], FINAL_ROUNDS) for mel in mels]
        scores = {}
        for name, ref, word in named:
            classifier = SoundClassifier.load(ref)
            heard = classifier.probabilities(sounds).argmax(1)
            right = [
                classifier.labels[label] == caption.split()[word]
                for label, caption in zip(heard, captions, strict=True)
            ]
            scores[name] = np.array(right, float)
        return scores

    return Examination(captions, judge)


def examine(model: str, generator: DiffusionGenerator, count: int) -> Examination:
    match model:
        case "fashion":
            return examine_labelled(generator, model, count)
        case "video":
            return examine_clips(count)
        case "voice":
            return examine_speech(generator, count)
    return examine_captioned(model, count)


MODELS = ("icons", "emoji", "fashion", "video", "voice")


# --- The table of numbers of steps ------------------------------------------------------------


def draw(
    generator: DiffusionGenerator,
    captions: Sequence[str],
    settings: ImageSettings,
    first_seed: int = 0,
) -> Tensor:
    """Finished arrays [N, C, H, W], one for each caption and seed."""
    parts = []
    for at in range(0, len(captions), BATCH):
        part = list(captions[at : at + BATCH])
        seeds = list(range(first_seed + at, first_seed + at + len(part)))
        parts.append(generator.denoised(part, seeds, settings))
    return torch.cat(parts)


def table(model: str, count: int, sheets: Path | None) -> Iterator[str]:
    """A line for each number of steps, the most first."""
    generator = load(model)
    captions, judge = examine(model, generator, count)
    goal = draw(generator, captions[:COMPARED], REFERENCE)
    many: Scores = {}
    many_error = 0.0
    rows: list[Tensor] = [goal]
    for steps in reversed(STEPS):
        begun = time.process_time()
        x = draw(generator, captions, ImageSettings(steps=steps))
        cost = (time.process_time() - begun) / count
        error = float((x[: len(goal)] - goal).square().mean())
        scores = judge(x)
        if steps == MANY:
            many, many_error = scores, error
        parts = [f"{name} {_compare(value, many[name])}" for name, value in scores.items()]
        yield (
            f"{model:<8}{steps:>4} steps  error {error:.5f} ({error / many_error:4.1f} ×)  "
            f"{'  '.join(parts)}  {1000 * cost:.0f} ms of CPU each"
        )
        rows.append(x)
    if sheets is not None:
        write_sheet(generator, rows, sheets / f"{model}.png")


def _compare(scores: NDArray[np.float64], many: NDArray[np.float64]) -> str:
    """The mean, and the standard error of its difference to that of many steps."""
    mean = f"{scores.mean():.4f}" if scores.mean() < 0.2 else f"{scores.mean():.3f}"
    if len(scores) < 2:
        return mean
    return f"{mean} ± {(scores - many).std() / np.sqrt(len(scores)):.4f}"


def write_sheet(generator: DiffusionGenerator, rows: Sequence[Tensor], path: Path) -> None:
    """The first samples of each row, enlarged: 50 steps of Heun's method, then the most first."""
    if generator.medium.medium == "audio":
        drawn = [to_rgb(x[:SHOWN].flip(2).expand(-1, 3, -1, -1)) for x in rows]
    elif generator.medium.medium == "video":
        drawn = [to_clips(x[:SHOWN])[:, 8] for x in rows]
    else:
        drawn = [to_rgb(x[:SHOWN]) for x in rows]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in drawn])
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(sheet)
    image.resize((image.width * 3, image.height * 3), Image.Resampling.NEAREST).save(path)


def load(model: str) -> DiffusionGenerator:
    generator = find_and_load(model, batches=True)
    assert isinstance(generator, DiffusionGenerator)
    return generator


# --- The table of samplers --------------------------------------------------------------------

FEWER = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12)


def _followers() -> list[str]:
    """The samplers that add no noise, so that they go where the reference goes."""
    return [name for name, row in protocol.SAMPLERS.items() if row.noise != "full"]


def samplers_table(model: str, count: int) -> Iterator[str]:
    """A line for each number of steps and sampler: the last σ and the error, once and now."""
    generator = load(model)
    captions = examine(model, generator, count).captions
    goal = draw(generator, captions, REFERENCE)

    def error(settings: ImageSettings) -> float:
        return float((draw(generator, captions, settings) - goal).square().mean())

    yield f"{'model':<9}{'sampler':<10}{'steps':>5}{'σ then':>8}{'σ now':>7}{'then':>10}{'now':>10}"
    for sampler, steps in itertools.product(_followers(), FEWER):
        now = ImageSettings(sampler=sampler, steps=steps)
        then = replace(now, sigma_min=0.03)
        yield (
            f"{model:<9}{sampler:<10}{steps:>5}{then.lowest_sigma:>8.2f}{now.lowest_sigma:>7.2f}"
            f"{error(then):>10.4f}{error(now):>10.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="few denoising steps against many")
    parser.add_argument("models", metavar="MODEL", nargs="*", help=", ".join(MODELS))
    parser.add_argument("--images", type=int, metavar="N", help="(128; with --samplers 8)")
    parser.add_argument("--sheets", metavar="FOLDER", type=Path, help="write PNGs to look at")
    parser.add_argument("--samplers", action="store_true", help="every sampler at fewer steps")
    args = parser.parse_args()
    if unknown := set(args.models) - set(MODELS):
        parser.error(f"{min(unknown)}: name {', '.join(MODELS)}")
    report_machine(machine())
    with home():
        for model in args.models or MODELS:
            if args.samplers:
                lines = samplers_table(model, args.images or 8)
            else:
                lines = table(model, args.images or 128, args.sheets)
            for line in lines:
                print(line, flush=True)


if __name__ == "__main__":
    main()
