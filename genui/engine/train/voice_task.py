"""Training a captioned diffusion model to speak (Karras et al. 2022)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genui.engine.data.captions import Vocabulary
from genui.engine.data.speech import load_speech
from genui.engine.device import Machine
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.sound_medium import SoundMedium, voices_of
from genui.engine.generate.spoken import FINAL_ROUNDS, sound_of
from genui.engine.models.dit import Denoiser
from genui.engine.models.mel_dit import MelDiT, mel_dit_config
from genui.engine.sound.stft import RATE
from genui.engine.train.denoising import denoising_error, drop_captions, noise_for
from genui.engine.train.task import Sample, png
from genui.protocol import ImageSettings
from genui.recipes.voice import VoiceRecipe
from genui.render.cubehelix import coloured
from genui.render.film import sheet
from genui.render.wav import encode_wav, to_pcm

EVALUATION_TAKES = 48
SAMPLE_SETTINGS = ImageSettings(steps=12)


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
        mels = generator.denoised(words, seeds, SAMPLE_SETTINGS)[:, 0].cpu().numpy()
        picture = sheet(list(coloured(mels[:, ::-1])), columns=max(map(len, parts)))
        spoken = sound_of(mels, [slice(i, i + 1) for i in range(len(mels))], FINAL_ROUNDS)
        return (
            Sample(".png", png(picture)),
            Sample(".wav", encode_wav(to_pcm(spoken), RATE, "")),
        )

    def _words(self, captions: list[str]) -> Tensor:
        words = self._vocabulary.encode(captions, self._recipe.caption_words)
        return torch.from_numpy(words).to(self._device)
