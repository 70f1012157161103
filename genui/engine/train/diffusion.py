"""What tasks that train a denoiser have in common (Karras et al. 2022), whatever it denoises."""

import io
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.data.captions import Vocabulary, in_one_word
from genui.engine.data.clips import FPS, ClipBatch, describe, load_clips, vocabulary_captions
from genui.engine.data.image_files import drawn_by, load_folder
from genui.engine.data.images import CaptionedImages, load_images
from genui.engine.data.speech import RATE, load_speech
from genui.engine.device import Machine, autocast
from genui.engine.models import frozen
from genui.engine.models.denoisers import picture_denoiser
from genui.engine.models.dit import Denoiser, DiT, MelDiT, Network, mel_dit_config
from genui.engine.models.frozen import load_frozen
from genui.engine.models.video_dit import (
    CHANNELS,
    PLACE_UNIT,
    VideoDenoiser,
    VideoDiT,
    pose_numbers,
    video_dit_config,
)
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.media import (
    FINAL_ROUNDS,
    PictureMedium,
    SoundMedium,
    VideoMedium,
    sound_of,
    to_clips,
    voices_of,
)
from genui.engine.train.checkpoint import load_weights
from genui.engine.train.optimizer import augment
from genui.engine.train.task import Sample, Side, png
from genui.formats import image
from genui.formats.audio import encode_wav, to_pcm
from genui.formats.image import sheet as video_sheet
from genui.protocol import ImageSettings
from genui.recipes import DiffusionRecipe, GanRecipe, VideoRecipe, VoiceRecipe, recipe_from_dict
from genui.render.image import coloured
from genui.runs.models import ModelInfo

EVALUATION_SIGMAS = (0.1, 0.25, 0.6, 1.5, 4.0, 10.0)


def drop_captions(words: Tensor, share: float, rng: np.random.Generator) -> None:
    """Make about that share of the captions [B, L] none, in place: for classifier-free guidance."""
    words[torch.from_numpy(rng.random(len(words)) < share)] = 0


def noise_for(
    clean: Tensor, recipe: DiffusionRecipe | VideoRecipe | VoiceRecipe, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Noise of the shape of clean [B, …], and how much of it each is to have, σ [B]."""
    noise = torch.from_numpy(rng.standard_normal(tuple(clean.shape), np.float32))
    log_sigma = recipe.log_sigma_mean + recipe.log_sigma_std * rng.standard_normal(len(clean))
    sigma = torch.from_numpy(np.exp(log_sigma).astype(np.float32))
    return noise.to(clean.device), sigma.to(clean.device)


def denoising_error(
    model: Denoiser[Any],
    clean: Tensor,
    words: Tensor,
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
            total += float(model.loss(clean, noise.to(clean.device), level, words).mean())
    return total


# --- What tasks on captioned pictures have in common, whatever objective they train by --------

R = TypeVar("R", DiffusionRecipe, GanRecipe)


class CaptionedPicturesTask(Generic[R]):
    """The pictures of a recipe, the words of their captions, and what is to be said of them.

    The words are those of `extra` where it is given: they are what a checkpoint's weights know.
    """

    unit = "img"

    def __init__(self, recipe: R, device: torch.device, extra: dict[str, Any] | None) -> None:
        pictures = load_images(recipe.dataset, recipe.data)
        vocabulary = (
            Vocabulary(tuple(extra["words"])) if extra else Vocabulary.build(pictures.captions)
        )
        self._recipe, self._device = recipe, device
        self._pictures, self._vocabulary = pictures, vocabulary
        self.data_line = (
            f"{pictures.name}: {len(pictures.train):,} pictures to train on, "
            f"{len(pictures.held_out):,} held out, {len(vocabulary.words):,} words"
        )
        self.notes = pictures.notes + (_left_out(vocabulary, pictures.captions) if extra else ())
        self.units_per_step = recipe.batch
        self.units_per_epoch = len(pictures.train)  # drawn at random: seen once on average
        captions = recipe.sample_captions if not recipe.data else ()
        self._captions = captions or tuple(pictures.captions[i] for i in pictures.train[:8])
        self.extra = {
            "words": list(vocabulary.words),
            "captions": list(self._captions),
            "dataset": pictures.name,
            "fingerprint": pictures.fingerprint,
            "licence": pictures.licence,
        }

    def _words(self, captions: list[str]) -> Tensor:
        words = self._vocabulary.encode(captions, self._recipe.caption_words)
        return torch.from_numpy(words).to(self._device)


def _left_out(vocabulary: Vocabulary, captions: tuple[str, ...]) -> tuple[str, ...]:
    """A note on the words a vocabulary made for other data does not know, where there are any."""
    unknown = sorted({word for caption in captions for word in vocabulary.unknown(caption)})
    if not unknown:
        return ()
    return (
        f"{len(unknown)} words of these captions are not in the vocabulary the model came with "
        f"and all count as one: {', '.join(unknown[:8])}",
    )


# --- Training a denoiser against what a model drew: direct discriminative optimisation (DDO) --
# A denoiser that has learned all it can by likelihood covers the data and more: what it draws is
# smoother than the data. Here the ratio of its likelihood to that of the model which drew the
# pictures, the reference, is a discriminator of real from drawn (Zheng et al. 2025, "Direct
# Discriminative Optimization: Your Likelihood-Based Visual Generative Model is Secretly a GAN
# Discriminator"), and to train that discriminator is to train the model. The loss begins at 2 ln 2,
# where both models are the same.


class Contrast:
    """The pictures of `recipe.against` and the model that drew them, which stays as it was."""

    def __init__(
        self, recipe: DiffusionRecipe, vocabulary: Vocabulary, device: torch.device
    ) -> None:
        self._scale = recipe.against_scale
        model = drawn_by(recipe)
        self.pictures = load_folder(recipe.against)
        self.told = f"{len(self.pictures.train):,} pictures that {model.name} drew"
        self._reference = _reference(model, vocabulary).to(device)
        self._found: dict[str, float] = {}

    def loss(
        self, model: Denoiser[Network], arrays: Tensor, words: Tensor, noise: Tensor, sigma: Tensor
    ) -> Tensor:
        """-ln σ(r of real) - ln σ(-r of drawn), averaged over pairs.

        `arrays` [2B, C, H, W] are B real pictures and as many drawn ones, in pairs that share
        their noise and σ. r is ln p(x) / p_reference(x), estimated from one noise level: how much
        smaller the denoising error is than the reference's, in units of 1 / `against_scale`.
        """
        with torch.no_grad():
            before = self._reference.loss(arrays, noise, sigma, words)
        now = model.loss(arrays, noise, sigma, words)
        real, drawn = (self._scale * (before - now)).chunk(2)
        ahead = (real - drawn).detach()
        self._found = {
            "real_gain": float(real.detach().mean()) / self._scale,
            "drawn_gain": float(drawn.detach().mean()) / self._scale,
            "told_apart": float((ahead > 0).float().mean() + (ahead == 0).float().mean() / 2),
        }
        return F.softplus(-real).mean() + F.softplus(drawn).mean()

    def measured(self) -> Mapping[str, float]:
        """Of the last loss: how much the error fell on real and on drawn pictures, and the share
        of pairs in which it fell more on the real one (0.5: they cannot be told apart)."""
        return self._found


def paired(x: Tensor) -> Tensor:
    """The same for the drawn pictures as for the real ones: [B, …] twice over."""
    return torch.cat((x, x))


def _reference(model: ModelInfo, vocabulary: Vocabulary) -> Denoiser[Network]:
    """The model that drew the pictures. Raises MisuseError where it knows other words."""
    tensors, described = load_weights(model.path)
    recipe = recipe_from_dict(described["recipe"])
    assert isinstance(recipe, DiffusionRecipe)  # drawn_by has looked
    if tuple(described["words"]) != vocabulary.words:
        raise MisuseError(
            f"against: {model.name} knows other words; start from it: --from {model.name}"
        )
    own, _ = frozen.apart(tensors)
    return load_frozen(lambda: picture_denoiser(recipe, vocabulary.size), own)


# --- Training a captioned diffusion model to denoise (Karras et al. 2022) ---------------------

EVALUATION_PICTURES = 48
IMAGE_SAMPLE_SETTINGS = ImageSettings(steps=12)
COLUMNS = 4  # of the sample


class PictureTask(CaptionedPicturesTask[DiffusionRecipe]):
    """EDM's denoising loss, and beside it the canvas's squared error on further captions.

    Where the recipe names pictures that a model drew, their contrast takes the place of the former.
    """

    def __init__(
        self, recipe: DiffusionRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        super().__init__(recipe, device, extra)
        if recipe.border and recipe.data:
            self.notes += (
                f"the outer {recipe.border} pixels of every picture are left black; "
                "--set border=0 draws them too",
            )
        self._contrast = Contrast(recipe, self._vocabulary, device) if recipe.against else None
        if self._contrast:
            self.notes += (f"against {self._contrast.told}",)
        torch.manual_seed(recipe.seed)
        self.model = picture_denoiser(recipe, self._vocabulary.size).to(device)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The whole model, and what there is to know of its contrast with what was drawn."""
        measured = self._contrast.measured if self._contrast else dict
        return (Side("", self.model, self.loss, measured),)

    def loss(self, step: int) -> Tensor:
        recipe, pictures = self._recipe, self._pictures
        rng = np.random.default_rng((recipe.seed, step))
        chosen = rng.choice(pictures.train, recipe.batch)
        batch = pictures.batch(chosen, rng)
        captions = self._said(batch.captions, chosen, rng)
        words = self._words(captions)
        drop_captions(words, recipe.caption_dropout, rng)
        clean = self._clean(batch.rgb)
        clean = augment(clean, rng, recipe.shift, recipe.zoom, recipe.flip)
        noise, sigma = noise_for(clean, recipe, rng)
        if self._contrast:
            drawn = self._drawn(self._contrast.pictures, rng)
            pairs = (torch.cat(pair) for pair in zip((clean, words), drawn, strict=True))
            loss = self._contrast.loss(self.model, *pairs, *map(paired, (noise, sigma)))
        else:
            loss = self.model.loss(clean, noise, sigma, words).mean()
        if recipe.canvas_batch:
            loss = loss + self._canvas_loss(captions, batch.canvas, rng)
        return loss

    def _drawn(self, pictures: CaptionedImages, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """As many pictures that a model drew as a step has real ones, and their words."""
        batch = pictures.batch(rng.choice(pictures.train, self._recipe.batch), rng)
        words = self._words(batch.captions)
        drop_captions(words, self._recipe.caption_dropout, rng)
        return self._clean(batch.rgb), words

    def _said(
        self, captions: list[str], indices: np.ndarray, rng: np.random.Generator
    ) -> list[str]:
        """The captions of these pictures, some of them with one word of a name for all of it."""
        if not self._recipe.one_word:
            return captions
        names = [self._pictures.captions[i] for i in indices]
        return in_one_word(captions, names, self._recipe.one_word, rng, self._pictures.names)

    def _clean(self, rgb: np.ndarray) -> Tensor:
        """Pictures [B, 3, 32, 32] as the network has them: [B, channels, 32, 32]."""
        clean = torch.from_numpy(rgb).to(self._device)
        return clean.mean(dim=1, keepdim=True) if self._recipe.channels == 1 else clean

    def _canvas_loss(
        self, captions: list[str], canvas: np.ndarray, rng: np.random.Generator
    ) -> Tensor:
        """The canvas of this batch's captions and of `canvas_batch` more, which cost little."""
        pictures, recipe = self._pictures, self._recipe
        chosen = rng.choice(pictures.train, recipe.canvas_batch)
        names, theirs = pictures.canvas_batch(chosen)
        more = self._said(names, chosen, rng)
        target = torch.from_numpy(np.concatenate((canvas, theirs))).to(self._device)
        network = self.model.network
        assert isinstance(network, DiT)  # the recipe's check says so
        drawn = network.draw_canvas(self._words(captions + more))
        return F.mse_loss(drawn.float(), target)

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """EDM loss summed over six fixed noise levels, on the same pictures every time.

        `seen_loss` is on trained pictures, `val_loss` on those held out, where there are any.
        """
        pictures = self._pictures
        found = {}
        count = EVALUATION_PICTURES * (4 if whole else 1)
        for name, indices in (("seen_loss", pictures.train), ("val_loss", pictures.held_out)):
            if len(indices):
                found[name] = self._denoising_error(model, machine, indices, count)
        return found

    def _denoising_error(
        self, model: nn.Module, machine: Machine, indices: np.ndarray, count: int
    ) -> float:
        assert isinstance(model, Denoiser)
        rng = np.random.default_rng(0)
        batch = self._pictures.batch(rng.choice(indices, count), rng)
        words = self._words(batch.captions)
        return denoising_error(model, self._clean(batch.rgb), words, rng, machine)

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        assert isinstance(model, Denoiser)
        medium = PictureMedium(self._recipe)
        generator = DiffusionGenerator(model, self._vocabulary, machine, medium)
        seeds = [self._recipe.seed + i for i in range(len(self._captions))]
        rgb = generator.draw(list(self._captions), seeds, IMAGE_SAMPLE_SETTINGS)
        return (Sample(".png", png(video_sheet(list(rgb), COLUMNS))),)


# --- Training a captioned diffusion model of clips to denoise (Karras et al. 2022) ------------

VIDEO_EVALUATION_SIGMAS = (0.2, 0.6, 1.5, 4.0, 10.0, 25.0)
EVALUATION_CLIPS = 24
VIDEO_SAMPLE_SETTINGS = ImageSettings(steps=12)
SHOWN_FRAMES = (0, 5, 10, 15)  # of each clip, on the sheet
POSE_SIGMA = 1.5  # at which the poses are measured
ENLARGED = 3  # times, so that the animation is seen

CANVAS_WEIGHT = 4.0  # of its squared error on alphas from 0 to 1
POSE_WEIGHT = 0.5


class VideoTask:
    """EDM's denoising loss, beside it the canvas's squared error and the poses'."""

    unit = "clip"

    def __init__(
        self, recipe: VideoRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        clips = load_clips()
        vocabulary = (
            Vocabulary(tuple(extra["words"])) if extra else Vocabulary.build(vocabulary_captions())
        )
        self._recipe, self._device = recipe, device
        self._clips, self._vocabulary = clips, vocabulary
        self.data_line = describe(clips)
        self.notes: tuple[str, ...] = ()
        self.units_per_step = recipe.batch
        # Where and how fast is drawn anew each time: an epoch is every trained pair once.
        self.units_per_epoch = len(clips.trained)
        self.extra = {
            "words": list(vocabulary.words),
            "captions": list(recipe.sample_captions),
            "dataset": clips.name,
            "fingerprint": clips.fingerprint,
            "licence": clips.licence,
        }
        torch.manual_seed(recipe.seed)
        network = VideoDiT(video_dit_config(recipe, vocabulary.size))
        self.model = VideoDenoiser(network, recipe.sigma_data).to(device)

    def _words(self, captions: list[str]) -> Tensor:
        words = self._vocabulary.encode(captions, self._recipe.caption_words)
        return torch.from_numpy(words).to(self._device)

    def _clean(self, batch: ClipBatch) -> Tensor:
        return torch.from_numpy(batch.clips).to(self._device).flatten(1, 2)

    def loss(self, step: int) -> Tensor:
        recipe, clips = self._recipe, self._clips
        rng = np.random.default_rng((recipe.seed, step))
        scenes = clips.scenes(recipe.batch, rng)
        batch = clips.batch(scenes, rng)
        words = self._words(batch.captions)
        drop_captions(words, recipe.caption_dropout, rng)
        clean = self._clean(batch)
        noise, sigma = noise_for(clean, recipe, rng)
        poses = torch.from_numpy(batch.poses).to(self._device)
        denoising, posing = self.model.losses(clean, noise, sigma, words, poses)
        return denoising.mean() + POSE_WEIGHT * posing.mean() + self._canvas_loss(batch, rng)

    def _canvas_loss(self, batch: ClipBatch, rng: np.random.Generator) -> Tensor:
        """The canvas of this batch's captions and of `canvas_batch` more, which cost little."""
        scenes = self._clips.scenes(self._recipe.canvas_batch, rng)
        captions = batch.captions + self._clips.captions(scenes, rng)
        shapes = np.concatenate((batch.shapes, self._clips.shapes(scenes)))
        drawn = self.model.network.draw_canvas(self._words(captions)).float()
        return CANVAS_WEIGHT * F.mse_loss(drawn, torch.from_numpy(shapes).to(self._device))

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """EDM loss summed over six fixed noise levels, on the same clips every time.

        `seen_loss` is on trained pairs of icon and motion and of colours, `val_loss` on pairs
        held out; `pose_error` and `canvas_error` are on the latter, in pixels (how far the
        figure's centre is misjudged at σ = 1.5) and as root mean square of alpha.
        """
        assert isinstance(model, VideoDenoiser)
        count = EVALUATION_CLIPS * (4 if whole else 1)
        found = {}
        for name, held_out in (("seen_loss", False), ("val_loss", True)):
            rng = np.random.default_rng(0)
            batch = self._clips.batch(self._clips.scenes(count, rng, held_out), rng)
            words, clean = self._words(batch.captions), self._clean(batch)
            found[name] = denoising_error(
                model, clean, words, rng, machine, VIDEO_EVALUATION_SIGMAS
            )
        return found | self._figure_errors(model, machine, batch)

    def _figure_errors(
        self, model: VideoDenoiser, machine: Machine, batch: ClipBatch
    ) -> dict[str, float]:
        words, clean = self._words(batch.captions), self._clean(batch)
        rng = np.random.default_rng(1)
        noise = torch.from_numpy(rng.standard_normal((len(clean), CHANNELS, 32, 32), np.float32))
        noisy = clean + POSE_SIGMA * noise.to(self._device)
        level = torch.full((len(clean),), POSE_SIGMA, device=self._device).log() / 4
        c_in = (POSE_SIGMA**2 + model.sigma_data**2) ** -0.5
        with autocast(machine):
            seen = model.network.see(c_in * noisy, level, words)
        wanted = pose_numbers(torch.from_numpy(batch.poses).to(self._device))
        astray = (seen.poses[1] - wanted)[..., :2].float() * PLACE_UNIT
        shapes = torch.from_numpy(batch.shapes).to(self._device)
        return {
            "pose_error": float(astray.square().sum(-1).mean().sqrt()),
            "canvas_error": float((seen.canvas.float() - shapes).square().mean().sqrt()),
        }

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """Four frames of each clip as a sheet, and all of them in motion."""
        assert isinstance(model, VideoDenoiser)
        generator = DiffusionGenerator(model, self._vocabulary, machine, VideoMedium())
        captions = list(self._recipe.sample_captions)
        seeds = [self._recipe.seed + i for i in range(len(captions))]
        clips = to_clips(generator.denoised(captions, seeds, VIDEO_SAMPLE_SETTINGS))
        return (Sample(".png", sheet(clips)), Sample(".gif", animation(clips)))


def sheet(clips: np.ndarray, columns: int = 2) -> bytes:
    """A PNG of clips uint8 [N, 16, 32, 32, 3], each as four of its frames in a row."""
    frames = _whole_rows(clips, columns)[:, SHOWN_FRAMES]
    pictures = list(frames.reshape(-1, *frames.shape[2:]))
    return png(image.sheet(pictures, columns * len(SHOWN_FRAMES)))


def animation(clips: np.ndarray, columns: int = 4) -> bytes:
    """A GIF of clips uint8 [N, 16, 32, 32, 3] playing side by side, over and over."""
    whole = _whole_rows(clips, columns)
    frames = np.stack([image.sheet(list(pictures), columns) for pictures in whole.swapaxes(0, 1)])
    large = frames.repeat(ENLARGED, 1).repeat(ENLARGED, 2)
    first, *rest = (Image.fromarray(frame) for frame in large)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, duration=1000 // FPS, loop=0)
    return file.getvalue()


def _whole_rows(clips: np.ndarray, columns: int) -> np.ndarray:
    """As many clips as fill rows of so many; fewer than one row's are all kept."""
    return clips[: len(clips) - len(clips) % columns] if len(clips) > columns else clips


# --- Training a captioned diffusion model to speak (Karras et al. 2022) -----------------------

EVALUATION_TAKES = 48
VOICE_SAMPLE_SETTINGS = ImageSettings(steps=12)


class VoiceTask:
    """EDM's denoising loss on spectrograms of spoken words."""

    unit = "take"

    def __init__(
        self, recipe: VoiceRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        speech = load_speech(recipe.dataset, recipe.data)
        known = tuple(extra["words"]) if extra else ()
        # New words come after those the weights know, whose numbers stay: a voice of one's own.
        new = tuple(word for word in speech.words if word not in known)
        vocabulary = Vocabulary(known + new)
        self._recipe, self._device = recipe, device
        self._speech, self._vocabulary = speech, vocabulary
        self.data_line = (
            f"{speech.name}: {len(speech.train):,} takes to train on, "
            f"{len(speech.held_out):,} held out, {len(vocabulary.words):,} words"
        )
        told = (f"new words: {', '.join(new[:8])}",) if extra and new else ()
        self.notes = speech.notes + told
        self.units_per_step = recipe.batch
        self.units_per_epoch = len(speech.train)  # drawn at random: heard once on average
        trained = [speech.takes[i].caption for i in speech.train]
        before = tuple(extra.get("voices", ())) if extra else ()
        voices = dict.fromkeys(voices_of(trained) + before)
        self._medium = SoundMedium(recipe, tuple(voices))
        captions = recipe.sample_captions if not recipe.data else ()
        self._captions = captions or tuple(dict.fromkeys(trained))[:6]
        self.extra = {
            "words": list(vocabulary.words),
            "voices": list(voices),
            "captions": list(self._captions),
            "dataset": speech.name,
            "fingerprint": speech.fingerprint,
            "licence": speech.licence,
        }
        torch.manual_seed(recipe.seed)
        self.model = Denoiser(
            MelDiT(mel_dit_config(recipe, vocabulary.size)), recipe.sigma_data
        ).to(device)

    def loss(self, step: int) -> Tensor:
        recipe, speech = self._recipe, self._speech
        rng = np.random.default_rng((recipe.seed, step))
        batch = speech.batch(rng.choice(speech.train, recipe.batch), rng)
        words = self._words(batch.captions)
        drop_captions(words, recipe.caption_dropout, rng)
        clean = torch.from_numpy(batch.mels).to(self._device)
        noise, sigma = noise_for(clean, recipe, rng)
        return self.model.loss(clean, noise, sigma, words).mean()

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """EDM loss summed over six fixed noise levels, on the same takes every time.

        `seen_loss` is on trained takes, `val_loss` on takes held out, where there are any.
        """
        speech = self._speech
        count = EVALUATION_TAKES * (4 if whole else 1)
        return {
            name: self._denoising_error(model, machine, indices, count)
            for name, indices in (("seen_loss", speech.train), ("val_loss", speech.held_out))
            if len(indices)
        }

    def _denoising_error(
        self, model: nn.Module, machine: Machine, indices: np.ndarray, count: int
    ) -> float:
        assert isinstance(model, Denoiser)
        rng = np.random.default_rng(0)
        batch = self._speech.batch(rng.choice(indices, count), rng)
        words, clean = self._words(batch.captions), torch.from_numpy(batch.mels).to(self._device)
        return denoising_error(model, clean, words, rng, machine)

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """The spectrograms of the recipe's captions, and all of them spoken."""
        assert isinstance(model, Denoiser)
        generator = DiffusionGenerator(model, self._vocabulary, machine, self._medium)
        parts = [self._medium.parts(caption) for caption in self._captions]
        words = [word for each in parts for word in each]
        seeds = [self._recipe.seed + i for i in range(len(words))]
        mels = generator.denoised(words, seeds, VOICE_SAMPLE_SETTINGS)[:, 0].cpu().numpy()
        picture = video_sheet(list(coloured(mels[:, ::-1])), columns=max(map(len, parts)))
        spoken = sound_of(mels, [slice(i, i + 1) for i in range(len(mels))], FINAL_ROUNDS)
        return (
            Sample(".png", png(picture)),
            Sample(".wav", encode_wav(to_pcm(spoken), RATE, "")),
        )

    def _words(self, captions: list[str]) -> Tensor:
        words = self._vocabulary.encode(captions, self._recipe.caption_words)
        return torch.from_numpy(words).to(self._device)
