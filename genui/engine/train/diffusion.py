"""Training captioned diffusion models by one objective (EDM; Karras et al. 2022): images, clips and
spoken words. A medium says where its examples come from and what is learned beside denoising."""

import io
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.data.captions import Vocabulary, use_one_word
from genui.engine.data.clips import FPS, Clips, describe, load_clips, vocabulary_captions
from genui.engine.data.image_files import find_reference, load_folder
from genui.engine.data.images import CaptionedImages, load_images
from genui.engine.data.speech import SAMPLE_RATE, Speech, load_speech
from genui.engine.device import Machine, autocast
from genui.engine.models import frozen
from genui.engine.models.denoisers import EDMDenoiser, VideoDenoiser, build_denoiser
from genui.engine.models.frozen import load_frozen
from genui.engine.models.video_dit import CHANNELS, PLACE_UNIT, pose_numbers
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.media import (
    FINAL_ROUNDS,
    ImageMedium,
    Medium,
    SpeechMedium,
    VideoMedium,
    sound_of,
    to_clips,
    to_rgb,
    voices_of,
)
from genui.engine.train.checkpoint import load_weights
from genui.engine.train.optimizer import augment
from genui.engine.train.task import Player, Sample, png
from genui.formats import image
from genui.formats.audio import encode_wav, to_pcm
from genui.protocol import ImageSettings
from genui.recipes import DiffusionRecipe, GanRecipe, VideoRecipe, VoiceRecipe, recipe_from_dict
from genui.render.image import apply_colour_map
from genui.runs.models import ModelInfo

# --- A task on captioned data of any medium and objective -------------------------------------


@dataclass(frozen=True)
class Corpus:
    """Captioned data, the vocabulary of its captions, and how both are described."""

    data: CaptionedImages | Clips | Speech
    vocabulary: Vocabulary
    captions: tuple[str, ...]  # of the samples
    data_line: str
    examples: int  # to train on
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)  # what else a checkpoint keeps


R = TypeVar("R", DiffusionRecipe, GanRecipe, VideoRecipe, VoiceRecipe)


class CaptionedTask(Generic[R]):
    """The recipe and the corpus of a task, and what is logged and kept of them."""

    unit = "img"

    def __init__(self, recipe: R, device: torch.device, corpus: Corpus) -> None:
        self._recipe, self._device = recipe, device
        self._vocabulary, self._captions = corpus.vocabulary, corpus.captions
        self.data_line, self.notes = corpus.data_line, corpus.notes
        self.units_per_step = recipe.batch
        self.units_per_epoch = corpus.examples  # drawn at random: seen once on average
        self.extra: dict[str, Any] = {
            "words": list(corpus.vocabulary.words),
            **corpus.extra,
            "captions": list(corpus.captions),
            "dataset": corpus.data.name,
            "fingerprint": corpus.data.fingerprint,
            "licence": corpus.data.licence,
        }

    def _token_ids(self, captions: list[str]) -> Tensor:
        """Captions as token ids int64 [B, L]."""
        return self._tensor(self._vocabulary.encode(captions, self._recipe.caption_words))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def image_corpus(
    recipe: DiffusionRecipe | GanRecipe, images: CaptionedImages, extra: Mapping[str, Any] | None
) -> Corpus:
    """Captioned images. The words are those of a checkpoint's `extra` where it is given: they
    are what its weights know."""
    captions = images.captions
    vocabulary = Vocabulary(tuple(extra["words"])) if extra else Vocabulary.build(captions)
    own = recipe.sample_captions if not recipe.data else ()
    return Corpus(
        data=images,
        vocabulary=vocabulary,
        captions=own or tuple(captions[i] for i in images.train[:8]),
        data_line=(
            f"{images.name}: {len(images.train):,} images to train on, "
            f"{len(images.held_out):,} held out, {len(vocabulary.words):,} words"
        ),
        examples=len(images.train),
        notes=images.notes + (_unknown_words(vocabulary, captions) if extra else ()),
    )


def _unknown_words(vocabulary: Vocabulary, captions: tuple[str, ...]) -> tuple[str, ...]:
    """A note on the words that a vocabulary made for other data does not have, if there are any."""
    unknown = sorted({word for caption in captions for word in vocabulary.unknown(caption)})
    if not unknown:
        return ()
    return (
        f"{len(unknown)} words of these captions are not in the vocabulary the model came with "
        f"and all count as one: {', '.join(unknown[:8])}",
    )


# --- Denoising: the loss, the evaluation and the samples of every medium ----------------------

EVALUATION_SIGMAS = (0.1, 0.25, 0.6, 1.5, 4.0, 10.0)
SAMPLE_SETTINGS = ImageSettings(steps=12)

D = TypeVar("D", DiffusionRecipe, VideoRecipe, VoiceRecipe)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Examples: their captions, their arrays float32 [B, C, H, W] in -1 to 1, and what else the
    data says of them."""

    captions: list[str]
    arrays: np.ndarray
    canvas: np.ndarray | None = None  # what captions alone are to draw, [B, …]
    poses: np.ndarray | None = None  # of clips, [B, 16, 4]


class Noisy(NamedTuple):
    """Examples under noise, as `EDMDenoiser.loss` takes them."""

    clean: Tensor  # [B, C, H, W]
    noise: Tensor  # the same, standard normal
    sigma: Tensor  # [B]
    token_ids: Tensor  # [B, L]


class DiffusionTask(CaptionedTask[D]):
    """EDM's denoising loss on captioned arrays. A subclass knows its medium's data."""

    evaluated = 48  # examples of an evaluation; of a whole one four times as many
    sigmas = EVALUATION_SIGMAS  # that are evaluated

    def __init__(self, recipe: D, device: torch.device, corpus: Corpus, medium: Medium) -> None:
        super().__init__(recipe, device, corpus)
        self._medium = medium
        torch.manual_seed(recipe.seed)
        self.model = build_denoiser(recipe, corpus.vocabulary.size).to(device)

    @abstractmethod
    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> Batch | None:
        """So many examples, trained or held out, as they are; None where there are none."""

    def _training_batch(self, rng: np.random.Generator) -> Batch:
        """The examples of a step."""
        batch = self._batch(self._recipe.batch, False, rng)
        assert batch is not None  # no data set is empty
        return batch

    @abstractmethod
    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        """Generated arrays [B, C, H, W] as files; `parts` is how many belong to each caption."""

    def loss(self, step: int) -> Tensor:
        rng = np.random.default_rng((self._recipe.seed, step))
        batch = self._training_batch(rng)
        token_ids = self._captions_of(batch, rng)
        clean = self._augment(self._clean(batch), rng)
        noise, sigma = noise_for(clean, self._recipe, rng)
        return self._objective(batch, Noisy(clean, noise, sigma, token_ids), rng)

    def _objective(self, batch: Batch, noisy: Noisy, rng: np.random.Generator) -> Tensor:
        """What is minimised: the denoising error, where a medium says nothing else."""
        return self.model.loss(*noisy).mean()

    def _captions_of(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        """Token ids [B, L], some of them dropped: for classifier-free guidance."""
        token_ids = self._token_ids(batch.captions)
        drop_captions(token_ids, self._recipe.caption_dropout, rng)
        return token_ids

    def _augment(self, clean: Tensor, rng: np.random.Generator) -> Tensor:
        return clean

    def _canvas_loss(self, batch: Batch, captions: list[str], canvas: np.ndarray) -> Tensor:
        """The canvas's squared error for this batch and for more captions, which cost little."""
        assert batch.canvas is not None
        target = self._tensor(np.concatenate((batch.canvas, canvas)))
        drawn = self.model.draw_canvas(self._token_ids(batch.captions + captions))
        return F.mse_loss(drawn, target)

    def _clean(self, batch: Batch) -> Tensor:
        """The arrays as the network has them."""
        return self._tensor(batch.arrays)

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """EDM's loss summed over six fixed noise levels, on the same examples every time.

        `seen_loss` is on trained examples, `val_loss` on those held out, where there are any.
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
        """The sample captions from fixed seeds."""
        assert isinstance(model, EDMDenoiser)
        generator = DiffusionGenerator(model, self._vocabulary, machine, self._medium)
        parts = [self._medium.parts(caption) for caption in self._captions]
        captions = [part for each in parts for part in each]
        seeds = [self._recipe.seed + i for i in range(len(captions))]
        arrays = generator.denoised(captions, seeds, SAMPLE_SETTINGS)
        return self._sample_files(arrays, [len(each) for each in parts])


def drop_captions(token_ids: Tensor, share: float, rng: np.random.Generator) -> None:
    """Make about that share of the captions [B, L] none, in place."""
    token_ids[torch.from_numpy(rng.random(len(token_ids)) < share)] = 0


def noise_for(
    clean: Tensor, recipe: DiffusionRecipe | VideoRecipe | VoiceRecipe, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Noise of the shape of clean [B, …], and how much of it each is to have, σ [B]."""
    noise = torch.from_numpy(rng.standard_normal(tuple(clean.shape), np.float32))
    log_sigma = recipe.log_sigma_mean + recipe.log_sigma_std * rng.standard_normal(len(clean))
    sigma = torch.from_numpy(np.exp(log_sigma).astype(np.float32))
    return noise.to(clean.device), sigma.to(clean.device)


def denoising_error(
    model: EDMDenoiser,
    clean: Tensor,
    token_ids: Tensor,
    rng: np.random.Generator,
    machine: Machine,
    sigmas: tuple[float, ...] = EVALUATION_SIGMAS,
) -> float:
    """EDM's loss of clean [B, …] under noise from `rng`, summed over fixed noise levels."""
    total = 0.0
    for sigma in sigmas:
        noise = torch.from_numpy(rng.standard_normal(tuple(clean.shape), np.float32))
        level = torch.full((len(clean),), sigma, device=clean.device)
        with autocast(machine):
            total += float(model.loss(clean, noise.to(clean.device), level, token_ids).mean())
    return total


# --- Training a denoiser against what a model drew: direct discriminative optimisation (DDO) --
# A denoiser that has learned all it can by likelihood covers the data and more: what it draws is
# smoother than the data. Here the ratio of its likelihood to that of the model which drew the
# images, the reference, is a discriminator of real from drawn (Zheng et al. 2025, "Direct
# Discriminative Optimization: Your Likelihood-Based Visual Generative Model is Secretly a GAN
# Discriminator"), and to train that discriminator is to train the model. The loss begins at 2 ln 2,
# where both models are the same.


class Contrast:
    """The images of `recipe.against` and the model that drew them, which stays as it was."""

    def __init__(
        self, recipe: DiffusionRecipe, vocabulary: Vocabulary, device: torch.device
    ) -> None:
        self._scale = recipe.against_scale
        model = find_reference(recipe)
        self.images = load_folder(recipe.against)
        self.note = f"against {len(self.images.train):,} images that {model.name} drew"
        self._reference = _load_reference(model, vocabulary).to(device)
        self._metrics: dict[str, float] = {}

    def loss(self, model: EDMDenoiser, both: Noisy) -> Tensor:
        """-ln σ(r of real) - ln σ(-r of drawn), averaged over pairs.

        `both` are B real images and, after them, as many drawn ones, in pairs that share
        their noise and σ. r is ln p(x) / p_reference(x), estimated from one noise level: how much
        smaller the denoising error is than the reference's, in units of 1 / `against_scale`.
        """
        with torch.no_grad():
            before = self._reference.loss(*both)
        now = model.loss(*both)
        real, drawn = (self._scale * (before - now)).chunk(2)
        ahead = (real - drawn).detach()
        self._metrics = {
            "real_gain": float(real.detach().mean()) / self._scale,
            "drawn_gain": float(drawn.detach().mean()) / self._scale,
            "told_apart": float((ahead > 0).float().mean() + (ahead == 0).float().mean() / 2),
        }
        return F.softplus(-real).mean() + F.softplus(drawn).mean()

    def metrics(self) -> Mapping[str, float]:
        """Of the last loss: how much the error fell on real and on drawn images, and the share
        of pairs in which it fell more on the real one (0.5: they cannot be told apart)."""
        return self._metrics


def twice(x: Tensor) -> Tensor:
    """[B, …] twice over: the same for the drawn images as for the real ones."""
    return torch.cat((x, x))


def _load_reference(model: ModelInfo, vocabulary: Vocabulary) -> EDMDenoiser:
    """The model that drew the images. Raises MisuseError where it has another vocabulary."""
    tensors, described = load_weights(model.path)
    recipe = recipe_from_dict(described["recipe"])
    assert isinstance(recipe, DiffusionRecipe)  # find_reference has looked
    if tuple(described["words"]) != vocabulary.words:
        raise MisuseError(
            f"against: {model.name} knows other words; start from it: --from {model.name}"
        )
    own, _ = frozen.split_guide(tensors)
    return load_frozen(lambda: build_denoiser(recipe, vocabulary.size), own)


# --- Images -----------------------------------------------------------------------------------

COLUMNS = 4  # of the sample


class ImageTask(DiffusionTask[DiffusionRecipe]):
    """Captioned images, and beside the denoising loss the canvas's squared error on more captions.

    Where the recipe names images that a model drew, their contrast takes the place of the
    denoising loss.
    """

    def __init__(
        self, recipe: DiffusionRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        self._images = load_images(recipe.dataset, recipe.data)
        corpus = image_corpus(recipe, self._images, extra)
        super().__init__(recipe, device, corpus, ImageMedium(recipe))
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
        """The whole model, and the metrics of its contrast with what was drawn."""
        metrics = self._contrast.metrics if self._contrast else dict
        return (Player("", self.model, self.loss, metrics),)

    def _training_batch(self, rng: np.random.Generator) -> Batch:
        chosen = rng.choice(self._images.train, self._recipe.batch)
        batch = self._examples(self._images, chosen, rng)
        return replace(batch, captions=self._shorten(batch.captions, chosen, rng))

    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> Batch | None:
        indices = self._images.held_out if held_out else self._images.train
        if not len(indices):
            return None
        return self._examples(self._images, rng.choice(indices, count), rng)

    def _examples(
        self, images: CaptionedImages, indices: np.ndarray, rng: np.random.Generator
    ) -> Batch:
        batch = images.batch(indices, rng)
        return Batch(captions=batch.captions, arrays=batch.rgb, canvas=batch.canvas)

    def _shorten(
        self, captions: list[str], indices: np.ndarray, rng: np.random.Generator
    ) -> list[str]:
        """The captions of these images, some of them with one word of a name for all of it."""
        if not self._recipe.one_word:
            return captions
        names = [self._images.captions[i] for i in indices]
        return use_one_word(captions, names, self._recipe.one_word, rng, self._images.names)

    def _clean(self, batch: Batch) -> Tensor:
        """Images [B, 3, 32, 32] as [B, channels, 32, 32]."""
        clean = super()._clean(batch)
        return clean.mean(dim=1, keepdim=True) if self._recipe.channels == 1 else clean

    def _augment(self, clean: Tensor, rng: np.random.Generator) -> Tensor:
        return augment(clean, rng, self._recipe.shift, self._recipe.zoom, self._recipe.flip)

    def _objective(self, batch: Batch, noisy: Noisy, rng: np.random.Generator) -> Tensor:
        if self._contrast:
            images = self._contrast.images
            drawn = self._examples(images, rng.choice(images.train, len(noisy.clean)), rng)
            both = Noisy(
                torch.cat((noisy.clean, self._clean(drawn))),
                twice(noisy.noise),
                twice(noisy.sigma),
                torch.cat((noisy.token_ids, self._captions_of(drawn, rng))),
            )
            loss = self._contrast.loss(self.model, both)
        else:
            loss = self.model.loss(*noisy).mean()
        if self._recipe.canvas_batch:
            chosen = rng.choice(self._images.train, self._recipe.canvas_batch)
            names, canvas = self._images.canvas_batch(chosen)
            names = self._shorten(names, chosen, rng)
            loss = loss + self._canvas_loss(batch, names, canvas)
        return loss

    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        return (Sample(".png", png(image.sheet(list(to_rgb(arrays)), COLUMNS))),)


# --- Clips ------------------------------------------------------------------------------------

SHOWN_FRAMES = (0, 5, 10, 15)  # of each clip, on the sheet
POSE_SIGMA = 1.5  # at which the poses are measured
ENLARGED = 3  # times, so that the animation is seen

CANVAS_WEIGHT = 4.0  # of its squared error on alphas from 0 to 1
POSE_WEIGHT = 0.5


class VideoTask(DiffusionTask[VideoRecipe]):
    """Captioned clips; beside the denoising loss the canvas's squared error and the poses'."""

    unit = "clip"
    evaluated = 24
    sigmas = (0.2, 0.6, 1.5, 4.0, 10.0, 25.0)

    def __init__(
        self, recipe: VideoRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        self._clips = clips = load_clips()
        corpus = Corpus(
            data=clips,
            vocabulary=(
                Vocabulary(tuple(extra["words"]))
                if extra
                else Vocabulary.build(vocabulary_captions())
            ),
            captions=recipe.sample_captions,
            data_line=describe(clips),
            # Where and how fast is drawn anew each time: an epoch is every trained pair once.
            examples=len(clips.trained),
        )
        super().__init__(recipe, device, corpus, VideoMedium(recipe))

    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> Batch:
        batch = self._clips.batch(self._clips.scenes(count, rng, held_out), rng)
        return Batch(
            captions=batch.captions, arrays=batch.clips, canvas=batch.shapes, poses=batch.poses
        )

    def _clean(self, batch: Batch) -> Tensor:
        """Clips [B, 16, 3, 32, 32] as [B, 48, 32, 32]."""
        return super()._clean(batch).flatten(1, 2)

    def _objective(self, batch: Batch, noisy: Noisy, rng: np.random.Generator) -> Tensor:
        assert isinstance(self.model, VideoDenoiser)
        assert batch.poses is not None
        poses = self._tensor(batch.poses)
        denoising, posing = self.model.losses(*noisy, poses)
        scenes = self._clips.scenes(self._recipe.canvas_batch, rng)
        captions = self._clips.captions(scenes, rng)
        canvas = CANVAS_WEIGHT * self._canvas_loss(batch, captions, self._clips.shapes(scenes))
        return denoising.mean() + POSE_WEIGHT * posing.mean() + canvas

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """As every medium, and of held-out clips `pose_error` and `canvas_error`.

        They are in pixels (how far the figure's centre is misjudged at σ = 1.5) and the root
        mean square of alpha.
        """
        metrics = super().evaluate(model, machine, whole)
        count = self.evaluated * (4 if whole else 1)
        batch = self._batch(count, True, np.random.default_rng(0))
        return metrics | self._figure_errors(model, machine, batch)

    def _figure_errors(self, model: nn.Module, machine: Machine, batch: Batch) -> dict[str, float]:
        assert isinstance(model, VideoDenoiser)
        assert batch.poses is not None
        assert batch.canvas is not None
        clean, token_ids = self._clean(batch), self._token_ids(batch.captions)
        rng = np.random.default_rng(1)
        noise = self._tensor(rng.standard_normal((len(clean), CHANNELS, 32, 32), np.float32))
        with autocast(machine):
            prediction = model.predict(clean + POSE_SIGMA * noise, POSE_SIGMA, token_ids)
        wanted = pose_numbers(self._tensor(batch.poses))
        errors = (prediction.poses[1] - wanted)[..., :2].float() * PLACE_UNIT
        canvas = self._tensor(batch.canvas)
        return {
            "pose_error": float(errors.square().sum(-1).mean().sqrt()),
            "canvas_error": float((prediction.canvas.float() - canvas).square().mean().sqrt()),
        }

    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        """Four frames of each clip as a sheet, and all of them in motion."""
        clips = to_clips(arrays)
        return (Sample(".png", clip_sheet(clips)), Sample(".gif", animation(clips)))


def clip_sheet(clips: np.ndarray, columns: int = 2) -> bytes:
    """A PNG of clips uint8 [N, 16, 32, 32, 3], each as four of its frames in a row."""
    frames = _whole_rows(clips, columns)[:, SHOWN_FRAMES]
    images = list(frames.reshape(-1, *frames.shape[2:]))
    return png(image.sheet(images, columns * len(SHOWN_FRAMES)))


def animation(clips: np.ndarray, columns: int = 4) -> bytes:
    """A GIF of clips uint8 [N, 16, 32, 32, 3] playing side by side, over and over."""
    whole = _whole_rows(clips, columns)
    frames = np.stack([image.sheet(list(images), columns) for images in whole.swapaxes(0, 1)])
    large = frames.repeat(ENLARGED, 1).repeat(ENLARGED, 2)
    first, *rest = (Image.fromarray(frame) for frame in large)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, duration=1000 // FPS, loop=0)
    return file.getvalue()


def _whole_rows(clips: np.ndarray, columns: int) -> np.ndarray:
    """As many clips as fill rows of so many; fewer than one row's are all kept."""
    return clips[: len(clips) - len(clips) % columns] if len(clips) > columns else clips


# --- Spoken words -----------------------------------------------------------------------------


class VoiceTask(DiffusionTask[VoiceRecipe]):
    """Spectrograms of captioned recordings, a word each."""

    unit = "take"

    def __init__(
        self, recipe: VoiceRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        self._speech = speech = load_speech(recipe.dataset, recipe.data)
        known = tuple(extra["words"]) if extra else ()
        # New words come after those the weights know, whose numbers stay: a voice of one's own.
        new = tuple(word for word in speech.words if word not in known)
        vocabulary = Vocabulary(known + new)
        trained = [speech.takes[i].caption for i in speech.train]
        known_voices = tuple(extra.get("voices", ())) if extra else ()
        voices = tuple(dict.fromkeys(voices_of(trained) + known_voices))
        own = recipe.sample_captions if not recipe.data else ()
        corpus = Corpus(
            data=speech,
            vocabulary=vocabulary,
            captions=own or tuple(dict.fromkeys(trained))[:6],
            data_line=(
                f"{speech.name}: {len(speech.train):,} takes to train on, "
                f"{len(speech.held_out):,} held out, {len(vocabulary.words):,} words"
            ),
            examples=len(speech.train),
            notes=speech.notes + ((f"new words: {', '.join(new[:8])}",) if extra and new else ()),
            extra={"voices": list(voices)},
        )
        super().__init__(recipe, device, corpus, SpeechMedium(recipe, voices))

    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> Batch | None:
        indices = self._speech.held_out if held_out else self._speech.train
        if not len(indices):
            return None
        batch = self._speech.batch(rng.choice(indices, count), rng)
        return Batch(captions=batch.captions, arrays=batch.mels)

    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        """The spectrograms of the captions, and all of them spoken."""
        mels = arrays[:, 0].cpu().numpy()
        sheet = image.sheet(list(apply_colour_map(mels[:, ::-1])), columns=max(parts))
        spoken = sound_of(mels, [slice(i, i + 1) for i in range(len(mels))], FINAL_ROUNDS)
        return (
            Sample(".png", png(sheet)),
            Sample(".wav", encode_wav(to_pcm(spoken), SAMPLE_RATE, "")),
        )
