"""The recorded takes that spoken words are most like, as spectrograms."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.speech import Speech, load_speech, placed
from genui.engine.generate.diffusion_state import DiffusionState
from genui.engine.generate.trace import Trace
from genui.engine.sound.mel import FRAMES, MELS, log_mel
from genui.errors import MisuseError
from genui.protocol import Neighbour, Neighbours
from genui.recipes.voice import VoiceRecipe
from genui.render.cubehelix import coloured
from genui.render.sanitise import clean_line

AT_ONCE = 200  # takes
MEASURED = "root mean square of the log-mel differences, −1 to 1"


def nearest_takes(recipe: VoiceRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """Of the first word as the model hears it at `step`.

    Raises MisuseError for a trace of several requests at once, MisuseError or GenuiError where
    the recordings cannot be read.
    """
    state = trace.state(step)
    assert isinstance(state, DiffusionState)
    if trace.request.grid:
        raise MisuseError("one sound is compared, and not a grid: speak one")
    speech = _speech(recipe.dataset, recipe.data)
    word = state.denoised[0, 0].float().cpu().numpy()  # [MELS, FRAMES]
    takes = _spectrograms(recipe.dataset, recipe.data)
    distances = np.sqrt(((takes - word) ** 2).mean(axis=(1, 2)))
    order = np.argsort(distances, kind="stable")[:count]
    return Neighbours(
        trace=0,
        step=0,
        data=f"{clean_line(speech.name)}, {len(speech.train):,} takes",
        measured=MEASURED,
        pictures=tuple(
            Neighbour(
                caption=clean_line(speech.takes[speech.train[i]].caption),
                distance=float(distances[i]),
                width=FRAMES,
                height=MELS,
                rgb=coloured(takes[i][::-1].astype(np.float32)).tobytes(),
            )
            for i in order
        ),
    )


@lru_cache(maxsize=1)
def _spectrograms(dataset: str, data: str) -> NDArray[np.float16]:
    """Of the training takes, [N, MELS, FRAMES]; only as they begin, which is a fraction of what
    training looks at."""
    speech = _speech(dataset, data)
    found = np.empty((len(speech.train), MELS, FRAMES), np.float16)
    for at in range(0, len(found), AT_ONCE):
        takes = [speech.takes[i] for i in speech.train[at : at + AT_ONCE]]
        found[at : at + len(takes)] = log_mel(np.stack([placed(t.samples) for t in takes]))
    return found


@lru_cache(maxsize=1)
def _speech(dataset: str, data: str) -> Speech:
    return load_speech(dataset, data)
