"""Speech with voices of piper (VITS), through onnxruntime: a step is a sentence.

VITS speaks a sentence at once. Its noise comes from the graph's own random numbers, which are
seeded for each sentence from (seed, step), so that going back and forking repeat the same bits.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genui.base.errors import GenuiError, MisuseError, install
from genui.base.files import sanitize
from genui.base.text import clean
from genui.engine.device import Machine
from genui.engine.loading import LoadProgress
from genui.engine.sample.trace import Generator, expect_settings
from genui.formats.audio import to_pcm
from genui.hub.open_model import OpenModel
from genui.kinds.speech.piper import VoiceConfig, read_config
from genui.kinds.speech.settings import VoiceSettings
from genui.protocol import Edit, Frame, ImageFrame, SetSeed, SetSettings, Start, Started
from genui.protocol.kinds import PRETRAINED
from genui.render.image import build_colour_map, draw_spectrogram

MAX_SENTENCES = 24
MAX_PHONEMES = 1000  # of a sentence; the memory grows with it
COLUMNS_A_SECOND, MAX_COLUMNS = 80, 480  # of the spectrogram
PHONEMIZER = "pip install piper-tts (GPL-3.0, with espeak-ng)"

Samples = NDArray[np.float32]


def load(model: OpenModel, machine: Machine, progress: LoadProgress) -> "VoiceGenerator":
    """The generator of a voice. Raises GenuiError if onnxruntime is missing or refuses the file."""
    try:
        import onnxruntime  # late: an extra
    except ImportError:
        raise GenuiError(f"a voice needs onnxruntime: {install('onnx')}") from None
    onnxruntime.set_default_logger_severity(3)  # errors
    return VoiceGenerator(model.path, read_config(model.path), machine)


@dataclass(frozen=True, kw_only=True)
class VoiceState:
    """The immutable state after `step` sentences."""

    sentences: tuple[tuple[int, ...], ...]
    """The phoneme ids of each sentence."""
    unknown: str
    """Phonemes that are not in the voice's table."""
    seed: int
    settings: VoiceSettings
    step: int = 0
    samples: Samples = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    """All that was spoken so far, in -1 to 1."""


class VoiceGenerator(Generator):
    """Speaks with one voice."""

    family = PRETRAINED

    def __init__(self, path: Path, config: VoiceConfig, machine: Machine) -> None:
        self._config = config
        self.machine = replace(machine, device="cpu", precision="fp32")
        # From bytes, so that the file cannot name others (ONNX's external data).
        self._model = path.read_bytes()
        self._session()  # raises for a damaged file

    @property
    def computed_by(self) -> str:
        """The library and its version, for `load.precision_of`."""
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    def begin(self, request: Start) -> tuple[VoiceState, Started]:
        """The silent state. Raises MisuseError if there is nothing to say, or too much."""
        settings = expect_settings(request.settings, VoiceSettings)
        if request.init is not None or request.grid:
            raise MisuseError("a voice starts from text alone")
        self._check_speaker(settings)
        text = clean(request.prompt)
        phonemes = phonemize(text, self._config)
        table = self._config.phoneme_id_map
        sentences = tuple(_to_ids(sentence, table) for sentence in phonemes)
        if not sentences:
            raise MisuseError("there is nothing to say: give words as the prompt")
        if len(sentences) > MAX_SENTENCES or max(map(len, sentences)) > 2 * MAX_PHONEMES:
            raise MisuseError(
                f"the text has {len(sentences)} sentences: at most {MAX_SENTENCES} are spoken at "
                f"once, of {MAX_PHONEMES:,} phonemes each"
            )
        unknown = dict.fromkeys(p for each in phonemes for p in each if p not in table)
        state = VoiceState(
            sentences=sentences, unknown=" ".join(unknown), seed=request.seed, settings=settings
        )
        return state, self.describe_start(request, state, text, "audio")

    def step(self, state: VoiceState) -> tuple[VoiceState, Frame]:
        """Speak the next sentence."""
        pause = np.zeros(round(state.settings.pause * self._config.rate), np.float32)
        pieces = [state.samples, pause] if state.step else []
        spoken = self._speak(state)
        samples = np.concatenate([*pieces, spoken])
        state = replace(state, step=state.step + 1, samples=samples)
        return state, self._frame(state)

    def edit(self, state: VoiceState, edit: Edit) -> VoiceState:
        match edit:
            case SetSeed(seed=seed):
                return replace(state, seed=seed)
            case SetSettings(settings=VoiceSettings() as settings):
                self._check_speaker(settings)
                return replace(state, settings=settings)
        raise MisuseError("a voice has no such edit: change its seed or its settings")

    def frame(self, state: VoiceState) -> Frame | None:
        return self._frame(state) if state.step else None

    def note(self, state: VoiceState) -> str:
        """Phonemes that are left out."""
        return f"not spoken: {sanitize(state.unknown, 80)}" if state.unknown else ""

    def total(self, state: VoiceState) -> int:
        return len(state.sentences)

    # --- the network ----------------------------------------------------------------------

    def _speak(self, state: VoiceState) -> Samples:
        """The next sentence, float32 [N] in -1 to 1."""
        import onnxruntime

        ids, settings = state.sentences[state.step], state.settings
        key = np.random.SeedSequence((state.seed, state.step)).generate_state(1)[0]
        onnxruntime.set_seed(int(key) & 0x7FFF_FFFF)  # read when a session is made
        session = self._session()
        inputs: dict[str, Any] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(
                [settings.noise_scale, 1 / settings.speed, settings.noise_w], np.float32
            ),
        }
        if any(each.name == "sid" for each in session.get_inputs()):
            inputs["sid"] = np.array([settings.speaker], np.int64)
        try:
            (sound, *_) = session.run(None, inputs)
        except Exception as error:  # onnxruntime's have no common base
            raise GenuiError(f"onnxruntime cannot run this voice ({_one_line(error)})") from None
        samples = np.asarray(sound, np.float32).reshape(-1)
        if not np.isfinite(samples).all():
            raise GenuiError("the voice gives numbers that are no sound: use another voice")
        loudest = float(np.abs(samples).max(initial=0))
        return samples if loudest < 1e-8 else samples / loudest

    def _session(self) -> Any:
        """A session with the random numbers of the seed set last."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Optimising the graph takes longer than speaking a sentence.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = max(1, torch.get_num_threads())
        options.inter_op_num_threads = 1
        try:
            return onnxruntime.InferenceSession(
                self._model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise GenuiError(f"onnxruntime cannot load this voice ({_one_line(error)})") from None

    def _check_speaker(self, settings: VoiceSettings) -> None:
        if settings.speaker >= max(1, self._config.num_speakers):
            raise MisuseError(
                f"speaker {settings.speaker}: this voice has {self._config.num_speakers}, from 0"
            )

    def _frame(self, state: VoiceState) -> ImageFrame:
        """The spectrogram and the sound of all sentences so far."""
        seconds = len(state.samples) / self._config.rate
        columns = max(1, min(MAX_COLUMNS, round(seconds * COLUMNS_A_SECOND)))
        image = draw_spectrogram(state.samples, columns, colours=build_colour_map())
        return ImageFrame(
            trace=0,  # set by the trace
            step=state.step,
            sigma=0.0,
            width=image.shape[1],
            height=image.shape[0],
            x=image.tobytes(),
            denoised=image.tobytes(),
            sound=to_pcm(state.samples).tobytes(),
            rate=self._config.rate,
        )


def _one_line(error: Exception) -> str:
    return sanitize(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)


# --- Phonemes -----------------------------------------------------------------------------------

_RAW = re.compile(r"\[\[(.*?)\]\]")


def phonemize(text: str, config: VoiceConfig) -> list[list[str]]:
    """The phonemes of each sentence.

    Text in [[double brackets]] is phonemes already. Voices of `phoneme_type` "text" speak
    characters; others need espeak-ng, which comes with piper-tts. Raises MisuseError without it.
    """
    sentences: list[list[str]] = []
    for i, part in enumerate(_RAW.split(text)):
        if i % 2:
            sentences.append(list(unicodedata.normalize("NFD", part.strip())))
        elif part.strip():
            sentences += _read(part.strip(), config)
    return [sentence for sentence in sentences if "".join(sentence).strip()]


@cache
def _phonemizer() -> Any:
    """The user's own piper, if it is there. Raises ImportError if it is not."""
    return import_module("piper.phonemize_espeak").EspeakPhonemizer()


def _read(text: str, config: VoiceConfig) -> list[list[str]]:
    """Phonemes of text, by espeak-ng."""
    if config.phoneme_type == "text":
        return [list(unicodedata.normalize("NFD", text))]
    if config.phoneme_type != "espeak":
        raise MisuseError(
            f"this voice reads {sanitize(config.phoneme_type, 20)}, which genui cannot: give "
            "phonemes, as in [[həlˈoʊ]]"
        )
    try:
        phonemizer = _phonemizer()
    except ImportError:
        raise MisuseError(
            f"text is spoken with espeak-ng: {PHONEMIZER}; or give phonemes, as in [[həlˈoʊ]]"
        ) from None
    try:
        return phonemizer.phonemize(config.espeak.voice or "en-us", text)
    except Exception as error:
        raise GenuiError(f"espeak-ng cannot read the text ({_one_line(error)})") from None


def _to_ids(phonemes: Sequence[str], table: dict[str, list[int]]) -> tuple[int, ...]:
    """Phoneme ids with the marks of begin and end, and one of padding after each."""
    ids = [*table["^"], *table["_"]]
    for phoneme in phonemes:
        if phoneme in table:
            ids += [*table[phoneme], *table["_"]]
    return (*ids, *table["$"])
