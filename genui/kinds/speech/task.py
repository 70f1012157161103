"""The training of captioned recordings of single words."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genui.engine.data.captions import Vocabulary
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.train.diffusion import Batch, Corpus, DiffusionTask
from genui.engine.train.task import Sample, png
from genui.formats.audio import encode_wav, to_pcm
from genui.kinds.speech.data import SAMPLE_RATE, load_speech
from genui.kinds.speech.medium import FINAL_ROUNDS, SPEECH, draw_mels, find_voices, sound_of
from genui.kinds.speech.recipe import VoiceRecipe


class VoiceTask(DiffusionTask[VoiceRecipe]):
    """Spectrograms of captioned recordings of single words."""

    unit = "take"

    def __init__(
        self,
        recipe: VoiceRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        self._speech = speech = load_speech(recipe.dataset, recipe.data, preparation)
        known = tuple(extra["words"]) if extra else ()
        # New words are appended to those of the checkpoint, whose ids stay the same.
        new = tuple(word for word in speech.words if word not in known)
        vocabulary = Vocabulary(known + new)
        trained = [speech.takes[i].caption for i in speech.train]
        known_voices = tuple(extra.get("voices", ())) if extra else ()
        voices = tuple(dict.fromkeys(find_voices(trained) + known_voices))
        own = recipe.sample_captions if not recipe.data else ()
        corpus = Corpus(
            name=speech.name,
            fingerprint=speech.fingerprint,
            licence=speech.licence,
            vocabulary=vocabulary,
            words=recipe.caption_words,
            captions=own or tuple(dict.fromkeys(trained))[:6],
            data_line=(
                f"{speech.name}: {len(speech.train):,} takes to train on, "
                f"{len(speech.held_out):,} held out, {len(vocabulary.words):,} words"
            ),
            examples=len(speech.train),
            notes=speech.notes + ((f"new words: {', '.join(new[:8])}",) if extra and new else ()),
            extra={"voices": list(voices)},
        )
        super().__init__(recipe, device, corpus, SPEECH)

    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> Batch | None:
        indices = self._speech.held_out if held_out else self._speech.train
        if not len(indices):
            return None
        batch = self._speech.batch(rng.choice(indices, count), rng)
        return Batch(captions=batch.captions, arrays=batch.mels)

    def _picture(self, clean: Tensor) -> bytes:
        return png(draw_mels(clean[None], 1))

    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        """The spectrograms as a sheet, and one recording of all of them."""
        mels = arrays[:, 0].cpu().numpy()
        sound = sound_of(mels, [slice(i, i + 1) for i in range(len(mels))], FINAL_ROUNDS)
        wav = encode_wav(to_pcm(sound), SAMPLE_RATE, "")
        return Sample(".png", png(draw_mels(arrays, max(parts)))), Sample(".wav", wav)
