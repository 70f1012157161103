"""The training of captioned diffusion models by the objective of EDM (Karras et al. 2022), and the
task of images. A medium adds its data, and its other losses besides denoising."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, Self, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.data.captions import Vocabulary, use_one_word
from genui.engine.data.image_datasets import find_reference, load_images, load_own
from genui.engine.data.images import CaptionedImages
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.device import Machine, autocast, to_device
from genui.engine.models import frozen
from genui.engine.models.denoisers import EDMDenoiser, build_image_denoiser
from genui.engine.models.frozen import load_frozen
from genui.engine.sample.diffusion import IMAGES, DiffusionGenerator, DiffusionParts
from genui.engine.sample.media import to_rgb
from genui.engine.train.batches import IndexSkip, augment
from genui.engine.train.checkpoint import load_weights
from genui.engine.train.task import WHOLE, PerStep, Player, Sample, Share, png
from genui.formats import image
from genui.protocol import ImageSettings
from genui.recipes import DiffusionRecipe, EDMRecipe, Recipe, recipe_from_dict
from genui.runs.models import ModelInfo
from genui.runs.recomputed import Example

# --- A task on captioned data, of any medium and objective ------------------------------------


@dataclass(frozen=True)
class Corpus:
    """Captioned data, its vocabulary, and a description."""

    name: str
    fingerprint: str
    licence: str
    vocabulary: Vocabulary
    words: int  # of the longest caption
    captions: tuple[str, ...]  # of the samples
    data_line: str
    examples: int  # number of training examples
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)  # additional metadata of checkpoints


R = TypeVar("R", bound=Recipe)


class CaptionedTask(Generic[R]):
    """The base of tasks on captioned data: the recipe, the corpus, and the metadata of both."""

    unit = "img"

    def __init__(self, recipe: R, device: torch.device, corpus: Corpus) -> None:
        self._recipe, self._device = recipe, device
        self._vocabulary, self._captions = corpus.vocabulary, corpus.captions
        self._words = corpus.words
        self.data_line, self.notes = corpus.data_line, corpus.notes
        self.units_per_step = recipe.batch
        self.units_per_epoch = corpus.examples  # sampled with replacement: once on average
        self.extra: dict[str, Any] = {
            "words": list(corpus.vocabulary.words),
            **corpus.extra,
            "captions": list(corpus.captions),
            "dataset": corpus.name,
            "fingerprint": corpus.fingerprint,
            "licence": corpus.licence,
        }

    def _token_ids(self, captions: list[str]) -> Tensor:
        """Captions as token ids int64 [B, L]."""
        return self._tensor(self._vocabulary.encode(captions, self._words))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return to_device(array, self._device)


def image_corpus(
    recipe: Recipe, words: int, images: CaptionedImages, extra: Mapping[str, Any] | None
) -> Corpus:
    """The corpus of captioned images; `words` words of a caption are read. If a checkpoint's
    `extra` is given the vocabulary is the one its weights were trained with."""
    captions = images.captions
    vocabulary = Vocabulary(tuple(extra["words"])) if extra else Vocabulary.build(captions)
    own = recipe.prompts if images.name == recipe.dataset else ()
    return Corpus(
        name=images.name,
        fingerprint=images.fingerprint,
        licence=images.licence,
        vocabulary=vocabulary,
        words=words,
        captions=own or tuple(captions[i] for i in images.train[:8]),
        data_line=f"{images.line}, {len(vocabulary.words):,} words",
        examples=len(images.train),
        notes=images.notes + (_unknown_words(vocabulary, captions) if extra else ()),
    )


def _unknown_words(vocabulary: Vocabulary, captions: tuple[str, ...]) -> tuple[str, ...]:
    """A note on the words that a vocabulary made for other data lacks, if there are any."""
    unknown = sorted({word for caption in captions for word in vocabulary.unknown(caption)})
    if not unknown:
        return ()
    return (
        f"{len(unknown)} words of these captions are not in the vocabulary the model came with "
        f"and all count as one: {', '.join(unknown[:8])}",
    )


# --- Denoising: loss, evaluation and samples of every medium ----------------------------------

EVALUATION_SIGMAS = (0.1, 0.25, 0.6, 1.5, 4.0, 10.0)
SAMPLE_SETTINGS = ImageSettings(steps=12)
AGAIN = 4
"""Times that an example which seems unusual is measured again."""

D = TypeVar("D", bound=EDMRecipe)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B examples."""

    captions: list[str]
    arrays: np.ndarray  # float32 [B, C, H, W] in -1 to 1
    canvas: np.ndarray | None = None  # target of the canvas loss, [B, …]
    indices: np.ndarray | None = None  # int64 [B], in the dataset
    whole_captions: list[str] | None = None  # if `captions` are shortened

    def rows(self, rows: slice) -> Self:
        """Some of the examples."""
        parts = {name: None if each is None else each[rows] for name, each in vars(self).items()}
        return replace(self, **parts)


class Noisy(NamedTuple):
    """The arguments of `EDMDenoiser.loss`."""

    clean: Tensor  # [B, C, H, W]
    noise: Tensor  # [B, C, H, W], standard normal
    sigma: Tensor  # [B]
    token_ids: Tensor  # [B, L]

    def rows(self, rows: slice) -> "Noisy":
        """Some of the examples."""
        return Noisy(*(each[rows] for each in self))


class More(NamedTuple):
    """The data of a step besides its noisy examples."""

    captions: Sequence[str] = ()  # of additional canvases
    canvas: np.ndarray | None = None  # their targets
    generated: tuple[Tensor, Tensor] | None = None  # clean arrays and token ids for DDO


class DiffusionTask(CaptionedTask[D]):
    """EDM's denoising loss on captioned arrays. A subclass provides the data of its medium."""

    evaluated = 48  # examples of an evaluation, four times as many on all held-out data
    sigmas = EVALUATION_SIGMAS

    def __init__(
        self, recipe: D, device: torch.device, corpus: Corpus, parts: DiffusionParts[D]
    ) -> None:
        super().__init__(recipe, device, corpus)
        self._medium = parts.medium(recipe, self.extra)
        self._step = PerStep(self._draw)
        torch.manual_seed(recipe.seed)
        self.model = parts.build(recipe, corpus.vocabulary.size).to(device)

    @abstractmethod
    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> Batch | None:
        """`count` random examples, trained or held out, without augmentation; None if there are
        none."""

    def _training_batch(self, rng: np.random.Generator) -> Batch:
        batch = self._batch(self._recipe.batch, False, rng)
        assert batch is not None  # no dataset is empty
        return batch

    @abstractmethod
    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        """Generated arrays [B, C, H, W] as files; `parts` is how many arrays each caption has."""

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        batch, noisy, more = self._step(step)
        rows = share.rows(len(batch.captions))
        return self._objective(batch.rows(rows), noisy.rows(rows), more, share)

    def _draw(self, step: int) -> tuple[Batch, Noisy, More]:
        rng = np.random.default_rng((self._recipe.seed, step))
        batch = self._training_batch(rng)
        token_ids = self._drop_captions(batch, rng)
        clean = self._augment(self._clean(batch), rng)
        noise, sigma = draw_noise(clean, self._recipe, rng)
        return batch, Noisy(clean, noise, sigma, token_ids), self._draw_more(rng)

    def _draw_more(self, rng: np.random.Generator) -> More:
        return More()

    def examples(self, step: int) -> list[Example]:
        batch, noisy, _ = self._step(step)
        places = [""] * len(batch.captions)
        if batch.indices is not None:
            places = [str(index) for index in batch.indices.tolist()]
        return [
            Example(
                row=row,
                source=self._describe_source(place),
                place=place,
                text=caption,
                image=self._picture(noisy.clean[row]),
            )
            for row, (caption, place) in enumerate(zip(batch.captions, places, strict=True))
        ]

    def _describe_source(self, place: str) -> str:
        """Where an example comes from; `place` is its index, if it has one."""
        return f"{self.extra['dataset']} {place}".rstrip()

    def _picture(self, clean: Tensor) -> bytes:
        """A training array [C, H, W] as PNG; nothing if it is no image."""
        return b""

    def measure_examples(self, step: int) -> dict[str, NDArray[np.float64]]:
        """The denoising loss of each example as it was trained; also without its caption, and the
        logarithm of how many times as large it is with it, both with the same noise."""
        batch, noisy, _ = self._step(step)
        return self._measure(batch.whole_captions or batch.captions, noisy)

    def measure_again(self, step: int, rows: list[int]) -> Iterator[dict[str, NDArray[np.float64]]]:
        """Measure some examples with other noise and σ, AGAIN times."""
        batch, noisy, _ = self._step(step)
        captions = [(batch.whole_captions or batch.captions)[row] for row in rows]
        own = Noisy(*(each[rows] for each in noisy))
        for number in range(AGAIN):
            rng = np.random.default_rng((self._recipe.seed, step, number))
            noise, sigma = draw_noise(own.clean, self._recipe, rng)
            yield self._measure(captions, own._replace(noise=noise, sigma=sigma))

    def _measure(self, captions: list[str], noisy: Noisy) -> dict[str, NDArray[np.float64]]:
        """`captions` are the whole ones, `noisy` has those that were trained."""
        trained, whole = noisy.token_ids, self._token_ids(captions)
        with_caption = self.model.loss(*noisy._replace(token_ids=whole))
        without = self.model.loss(*noisy._replace(token_ids=torch.zeros_like(whole)))
        dropped = (trained == 0).all(dim=1)
        loss = torch.where(dropped, without, with_caption)
        shortened = ~dropped & (trained != whole).any(dim=1)
        if shortened.any():
            loss[shortened] = self.model.loss(*(each[shortened] for each in noisy))
        measures = {
            "loss": loss,
            "sigma": noisy.sigma,
            "without_caption": without,
            "caption_effect": (with_caption / without).log(),
        }
        return {name: each.double().cpu().numpy() for name, each in measures.items()}

    def _objective(self, batch: Batch, noisy: Noisy, more: More, share: Share) -> Tensor:
        """The loss to minimise: by default the denoising loss alone.

        `batch` and `noisy` are those of the share, `more` is of the whole step.
        """
        return self._mean(self.model.loss(*noisy), share)

    def _mean(self, losses: Tensor, share: Share) -> Tensor:
        """The part of the batch's mean loss that the losses [b] of a share make up."""
        return share.scale(losses.mean(), len(losses), self._recipe.batch)

    def _drop_captions(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        """Token ids [B, L], a random share of them set to no caption for guidance."""
        token_ids = self._token_ids(batch.captions)
        token_ids[torch.from_numpy(rng.random(len(token_ids)) < self._recipe.caption_dropout)] = 0
        return token_ids

    def _augment(self, clean: Tensor, rng: np.random.Generator) -> Tensor:
        return clean

    def _canvas_loss(self, batch: Batch, more: More, share: Share) -> Tensor:
        """The canvas's mean squared error on the batch and on additional captions, which are
        cheap."""
        assert batch.canvas is not None
        assert more.canvas is not None
        rows = share.rows(len(more.captions))
        target = self._tensor(np.concatenate((batch.canvas, more.canvas[rows])))
        captions = [*batch.captions, *more.captions[rows]]
        predicted = self.model.draw_canvas(self._token_ids(captions))
        total = self._recipe.batch + len(more.captions)
        return share.scale(F.mse_loss(predicted, target), len(captions), total)

    def _clean(self, batch: Batch) -> Tensor:
        """The arrays in the shape of the network."""
        return self._tensor(batch.arrays)

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """EDM's loss summed over fixed noise levels, on the same examples every time.

        `seen_loss` is on trained examples, `val_loss` on held-out ones, if there are any.
        """
        assert isinstance(model, EDMDenoiser)
        count = self.evaluated * (4 if whole else 1)
        metrics = {}
        for name, held_out in (("seen_loss", False), ("val_loss", True)):
            rng = np.random.default_rng(0)
            batch = self._batch(count, held_out, rng)
            if batch is not None:
                clean, token_ids = self._clean(batch), self._token_ids(batch.captions)
                metrics[name] = denoising_error(model, clean, token_ids, rng, machine, self.sigmas)
        return metrics

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """Samples of the sample captions from fixed seeds."""
        assert isinstance(model, EDMDenoiser)
        generator = DiffusionGenerator(model, self._vocabulary, machine, self._medium)
        parts = [self._medium.parts(caption) for caption in self._captions]
        captions = [part for each in parts for part in each]
        seeds = [self._recipe.seed + i for i in range(len(captions))]
        arrays = generator.denoised(captions, seeds, SAMPLE_SETTINGS)
        files = self._sample_files(arrays, [len(each) for each in parts])
        return tuple(replace(file, count=len(parts)) for file in files)


def draw_noise(clean: Tensor, recipe: EDMRecipe, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw standard normal noise of the shape of clean [B, …], and log-normal σ [B]."""
    noise = to_device(rng.standard_normal(tuple(clean.shape), np.float32), clean.device)
    log_sigma = recipe.log_sigma_mean + recipe.log_sigma_std * rng.standard_normal(len(clean))
    return noise, to_device(np.exp(log_sigma).astype(np.float32), clean.device)


def denoising_error(
    model: EDMDenoiser,
    clean: Tensor,
    token_ids: Tensor,
    rng: np.random.Generator,
    machine: Machine,
    sigmas: tuple[float, ...] = EVALUATION_SIGMAS,
) -> float:
    """EDM's mean loss on clean [B, …], summed over fixed noise levels."""
    total = 0.0
    for sigma in sigmas:
        noise = torch.from_numpy(rng.standard_normal(tuple(clean.shape), np.float32))
        level = torch.full((len(clean),), sigma, device=clean.device)
        with autocast(machine):
            total += float(model.loss(clean, noise.to(clean.device), level, token_ids).mean())
    return total


# --- Direct discriminative optimisation (DDO) -------------------------------------------------
# A denoiser trained by likelihood covers more than the data: its samples are too smooth. DDO (Zheng
# et al. 2025, "Direct Discriminative Optimization: Your Likelihood-Based Visual Generative Model is
# Secretly a GAN Discriminator") takes the ratio of its likelihood to that of a frozen reference
# model as a discriminator between real images and images generated by the reference. Training this
# discriminator trains the model. The loss starts at 2 ln 2, if the model starts as the reference.


class Contrast:
    """The generated images `recipe.against`, and the frozen model that generated them."""

    def __init__(
        self, recipe: DiffusionRecipe, vocabulary: Vocabulary, device: torch.device
    ) -> None:
        self._scale = recipe.against_scale
        model = find_reference(recipe)
        self.images = load_own(recipe.against)
        self.note = f"against {len(self.images.train):,} images that {model.name} drew"
        self._reference = _load_reference(model, vocabulary).to(device)
        self._metrics: dict[str, float] = {}

    def loss(self, model: EDMDenoiser, both: Noisy) -> Tensor:
        """-ln σ(r of real) - ln σ(-r of generated), averaged over pairs.

        `both` are B real images followed by B generated ones; a pair shares its noise and σ.
        r estimates ln p(x) / p_reference(x) at one noise level: `against_scale` times the
        difference of the reference's denoising loss and the model's.
        """
        with torch.no_grad():
            reference_loss = self._reference.loss(*both)
        model_loss = model.loss(*both)
        real, drawn = (self._scale * (reference_loss - model_loss)).chunk(2)
        ahead = (real - drawn).detach()
        self._metrics = {
            "real_gain": float(real.detach().mean()) / self._scale,
            "drawn_gain": float(drawn.detach().mean()) / self._scale,
            "told_apart": float((ahead > 0).float().mean() + (ahead == 0).float().mean() / 2),
        }
        return F.softplus(-real).mean() + F.softplus(drawn).mean()

    def metrics(self) -> Mapping[str, float]:
        """Of the last loss: how much the error fell on real and on generated images, and the share
        of pairs in which it fell more on the real one (0.5 if they cannot be told apart)."""
        return self._metrics


def twice(x: Tensor) -> Tensor:
    """Repeat [B, …] for real and generated images: [2B, …]."""
    return torch.cat((x, x))


def _load_reference(model: ModelInfo, vocabulary: Vocabulary) -> EDMDenoiser:
    """Load the reference model. Raises MisuseError if it has another vocabulary."""
    tensors, described = load_weights(model.path)
    recipe = recipe_from_dict(described["recipe"])
    assert isinstance(recipe, DiffusionRecipe)  # find_reference makes sure of it
    if tuple(described["words"]) != vocabulary.words:
        raise MisuseError(
            f"against: {model.name} knows other words; start from it: --from {model.name}"
        )
    own, _ = frozen.split_guide(tensors)
    return load_frozen(lambda: build_image_denoiser(recipe, vocabulary.size), own)


# --- Images -----------------------------------------------------------------------------------

COLUMNS = 4  # of the sample


class ImageTask(DiffusionTask[DiffusionRecipe]):
    """Captioned images: the denoising loss and, if the network has a canvas, the canvas's loss.

    If the recipe names generated images to train against, DDO replaces the denoising loss.
    """

    def __init__(
        self,
        recipe: DiffusionRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        self._images = load_images(recipe.dataset, recipe.data, True, preparation)
        corpus = image_corpus(recipe, recipe.caption_words, self._images, extra)
        super().__init__(recipe, device, corpus, IMAGES)
        self._skip = IndexSkip(recipe.skip, self._images.train)
        if recipe.border and recipe.data:
            self.notes += (
                f"the outer {recipe.border} pixels of every image are left black; "
                "--set border=0 draws them too",
            )
        self._contrast = Contrast(recipe, self._vocabulary, device) if recipe.against else None
        if self._contrast:
            self.notes += (self._contrast.note,)

    @property
    def players(self) -> tuple[Player, ...]:
        """The whole model, with the metrics of DDO if it is used."""
        metrics = self._contrast.metrics if self._contrast else dict
        return (Player("", self.model, self.loss, metrics),)

    def _training_batch(self, rng: np.random.Generator) -> Batch:
        drawn = rng.choice(self._images.train, self._recipe.batch)
        batch = self._examples(self._images, self._skip.replace(drawn, rng), rng)
        shortened = self._shorten(batch.captions, drawn, rng)
        return replace(batch, captions=shortened, whole_captions=batch.captions)

    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> Batch | None:
        indices = self._images.held_out if held_out else self._images.train
        if not len(indices):
            return None
        return self._examples(self._images, rng.choice(indices, count), rng)

    def _examples(
        self, images: CaptionedImages, indices: np.ndarray, rng: np.random.Generator
    ) -> Batch:
        batch = images.batch(indices, rng)
        return Batch(
            captions=batch.captions, arrays=batch.rgb, canvas=batch.canvas, indices=indices
        )

    def _shorten(
        self, captions: list[str], indices: np.ndarray, rng: np.random.Generator
    ) -> list[str]:
        """Replace the name in some of these images' captions by one of its words; an image that
        stands in for one that is left out keeps its name."""
        if not self._recipe.one_word:
            return captions
        names = [self._images.captions[i] for i in indices]
        return use_one_word(captions, names, self._recipe.one_word, rng, self._images.names)

    def _clean(self, batch: Batch) -> Tensor:
        """Images as [B, channels, 32, 32]."""
        clean = super()._clean(batch)
        return clean.mean(dim=1, keepdim=True) if self._recipe.channels == 1 else clean

    def _describe_source(self, place: str) -> str:
        return self._images.describe_source(int(place))

    def _picture(self, clean: Tensor) -> bytes:
        return png(to_rgb(clean[None])[0])

    def _augment(self, clean: Tensor, rng: np.random.Generator) -> Tensor:
        return augment(clean, rng, self._recipe.shift, self._recipe.zoom, self._recipe.flip)

    def _draw_more(self, rng: np.random.Generator) -> More:
        more = More()
        if self._contrast:
            images = self._contrast.images
            drawn = self._examples(images, rng.choice(images.train, self._recipe.batch), rng)
            more = more._replace(generated=(self._clean(drawn), self._drop_captions(drawn, rng)))
        if self._recipe.canvas_batch:
            drawn = rng.choice(self._images.train, self._recipe.canvas_batch)
            captions, canvas = self._images.canvas_batch(self._skip.replace(drawn, rng), rng)
            more = more._replace(captions=self._shorten(captions, drawn, rng), canvas=canvas)
        return more

    def _objective(self, batch: Batch, noisy: Noisy, more: More, share: Share) -> Tensor:
        if self._contrast:
            assert more.generated is not None
            rows = share.rows(self._recipe.batch)
            clean, token_ids = (each[rows] for each in more.generated)
            both = Noisy(
                torch.cat((noisy.clean, clean)),
                twice(noisy.noise),
                twice(noisy.sigma),
                torch.cat((noisy.token_ids, token_ids)),
            )
            loss = self._contrast.loss(self.model, both)
            loss = share.scale(loss, len(clean), self._recipe.batch)
        else:
            loss = self._mean(self.model.loss(*noisy), share)
        if self._recipe.canvas_batch:
            loss = loss + self._canvas_loss(batch, more, share)
        return loss

    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        return (Sample(".png", png(image.sheet(list(to_rgb(arrays)), COLUMNS))),)
