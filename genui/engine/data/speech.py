"""Takes of spoken words, each a second at most, with captions such as "four jackson".

The Free Spoken Digit Dataset, or the user's own recordings.
"""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.captions import split_words
from genui.engine.data.download import MAX_BYTES, fetch, shared
from genui.engine.sound.mel import FRAMES, MELS, SAMPLES, Mels, log_mel
from genui.engine.sound.stft import HOP, RATE, Samples
from genui.errors import GenuiError, MisuseError
from genui.recipes.voice import VoiceRecipe
from genui.render.resample import resampled
from genui.render.sanitise import clean_line
from genui.render.wav import decode_wav, to_pcm
from genui.runs.disk import read_regular

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_TAKES = 5  # takes 0 to 4 of each digit and speaker are the test split
LATEST = 6  # frames of silence before a word, at most, while training
PHASES = 2  # positions of the windows that a take is heard at while training
SILENT = 1e-3  # of full scale: what never gets louder is no take
TRIMMED_DB = 45.0  # below the loudest moment: silence at the ends
LOUDNESS = 0.25  # of the loudest moment of a take: its root mean square over MOMENT
MOMENT = 400  # samples
_AT_ONCE = 64  # takes whose mels are computed together
MOST_SECONDS = 30.0  # of a take before it is cut
MOST_BYTES = 32 << 20  # of its file: half a minute at any rate that is met

FSDD = "fsdd.zip"
FSDD_URL = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/"
    "26eb9aaf76e81b692f806f9140c2d2777410d7a1.zip"
)
FSDD_SHA256 = "1f8d5e32795f4e1021eafba03ea51f452ce6166c1a5380050875adbf8b660252"
"""Of the recordings, sorted by name: how they are packed differs from copy to copy."""


class Take(NamedTuple):
    """One recording: its caption, and samples [N] at RATE, levelled and trimmed."""

    caption: str
    samples: Samples


class Batch(NamedTuple):
    """B training examples."""

    captions: list[str]
    mels: Mels  # [B, 1, MELS, FRAMES] in -1 to 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Speech:
    """Captioned takes, and which of them are never trained on."""

    name: str
    licence: str
    takes: tuple[Take, ...]
    train: NDArray[np.int64]  # indices
    held_out: NDArray[np.int64]  # indices
    notes: tuple[str, ...] = ()  # what was left out or cut, one line each

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when any take or caption does."""
        digest = hashlib.sha256()
        for take in self.takes:
            digest.update(f"{take.caption}\n".encode() + to_pcm(take.samples).tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Every word of the captions, in alphabetical order."""
        return tuple(sorted({word for take in self.takes for word in split_words(take.caption)}))

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """These takes, each begun a little later and its windows placed as `rng` has it."""
        phases = rng.integers(PHASES, size=len(indices))
        room = FRAMES - self._lengths[indices]
        late = rng.integers(np.minimum(room, LATEST) + 1)
        mels = np.full((len(indices), 1, MELS, FRAMES), -1, np.float32)
        for row, index, phase, frames in zip(mels, indices, phases, late, strict=True):
            row[0, :, frames:] = self._mels(int(phase))[index, :, : FRAMES - frames]
        return Batch([self.takes[i].caption for i in indices], mels)

    def mels(self, indices: NDArray[np.int64]) -> Mels:
        """These takes from their first sample on: [B, MELS, FRAMES] in -1 to 1."""
        return self._mels(0)[indices].astype(np.float32)

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """Frames with sound in them."""
        return np.array([min(FRAMES, len(take.samples) // HOP + 3) for take in self.takes])

    def _mels(self, phase: int) -> NDArray[np.float16]:
        """[N, MELS, FRAMES], the windows begun a share of a hop earlier."""
        if phase not in self._computed:
            found = np.empty((len(self.takes), MELS, FRAMES), np.float16)
            for start in range(0, len(self.takes), _AT_ONCE):
                takes = self.takes[start : start + _AT_ONCE]
                samples = [placed(take.samples, phase * HOP // PHASES) for take in takes]
                found[start : start + len(takes)] = log_mel(np.stack(samples))
            self._computed[phase] = found
        return self._computed[phase]

    @cached_property
    def _computed(self) -> dict[int, NDArray[np.float16]]:
        return {}


def load_speech(dataset: str, data: str = "") -> Speech:
    """The spoken digits, or the user's own folder of recordings where `data` names one.

    Raises MisuseError for an unknown name or an unusable folder, GenuiError where the
    download or its checksum fails.
    """
    if data:
        from genui.engine.data.speech_folder import load_speech_folder

        return load_speech_folder(data)
    if dataset == "fsdd":
        return load_fsdd()
    raise MisuseError(f"no recordings '{dataset[:40]}': there is fsdd, or --data FOLDER of WAVs")


def load_fsdd() -> Speech:
    """The Free Spoken Digit Dataset: 3,000 takes of ten digits by six speakers."""
    path = shared(FSDD) or fetch(FSDD, FSDD_URL, FSDD_SHA256, _digest)
    try:
        recordings = _recordings(read_regular(path, MAX_BYTES, "delete it or copy it again"))
    except (OSError, zipfile.BadZipFile) as error:
        raise GenuiError(f"{path}: cannot be read ({error}); delete it or copy it again") from None
    takes, test = [], []
    for name, wav in recordings:
        digit, speaker, number = name.split("_")
        sound = decode_wav(wav)
        takes.append(Take(f"{DIGITS[int(digit)]} {speaker}", prepared(sound.samples, sound.rate)))
        test.append(int(number) < TEST_TAKES)
    return Speech(
        name="Free Spoken Digit Dataset",
        licence="CC BY-SA 4.0",
        takes=tuple(takes),
        train=np.flatnonzero(~np.array(test)),
        held_out=np.flatnonzero(test),
    )


def prepared(samples: Samples, rate: int) -> Samples:
    """At RATE, its ends of silence cut, its loudest second where it is longer, levelled.

    Raises ValueError, a reason without the file's name, where there is nothing to hear.
    """
    samples = resampled(samples, rate, RATE)
    samples = samples - samples.mean()
    loudness = _loudness(samples)
    if loudness.max() < SILENT:
        raise ValueError("is silence; record it louder")
    heard = np.flatnonzero(loudness > loudness.max() * 10 ** (-TRIMMED_DB / 20))
    samples = samples[heard[0] * HOP : heard[-1] * HOP + MOMENT]
    if len(samples) > SAMPLES:
        sums = np.concatenate(([0.0], np.cumsum(samples.astype(np.float64) ** 2)))
        begin = int((sums[SAMPLES:] - sums[:-SAMPLES]).argmax())
        samples = samples[begin : begin + SAMPLES]
    return (samples * (LOUDNESS / loudness.max())).astype(np.float32)


def read_take(path: Path) -> tuple[Samples, str]:
    """One recording of a word, prepared, and what was done to it.

    Raises MisuseError naming the file where it cannot be used.
    """
    shown = clean_line(str(path))
    try:
        wav = read_regular(path, MOST_BYTES, "name a WAV file of one word", MisuseError)
        sound = decode_wav(wav, MOST_SECONDS)
        samples = prepared(sound.samples, sound.rate)
    except ValueError as reason:
        raise MisuseError(f"{shown}: {reason}") from None
    changes = []
    if sound.rate != RATE:
        changes.append(f"{sound.rate:,} Hz made {RATE:,}")
    if len(sound.samples) > sound.rate and len(samples) == SAMPLES:
        changes.append("its loudest second taken")
    return samples, f"{clean_line(path.name)}: {', '.join(changes)}" if changes else ""


def check_speech(recipe: VoiceRecipe) -> str:
    """One line describing the recordings a recipe would train on, having read them."""
    speech = load_speech(recipe.dataset, recipe.data)
    line = f"{speech.name}: {len(speech.takes):,} takes"
    return f"{line}; {'; '.join(speech.notes[:2])}" if speech.notes else line


def _loudness(samples: Samples) -> Samples:
    """The root mean square over each MOMENT, one every HOP."""
    padded = np.pad(samples, (0, max(0, MOMENT - len(samples))))
    moments = np.lib.stride_tricks.sliding_window_view(padded, MOMENT)[::HOP]
    return np.sqrt((moments**2).mean(axis=1))


def placed(samples: Samples, late: int = 0) -> Samples:
    """A take in a whole second, [SAMPLES], begun `late` samples after the beginning."""
    whole = np.zeros(SAMPLES, np.float32)
    there = samples[: SAMPLES - late]
    whole[late : late + len(there)] = there
    return whole


def _recordings(archive: bytes) -> list[tuple[str, bytes]]:
    """(name without its suffix, bytes) of every WAV in an archive, sorted by name."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        names = [name for name in file.namelist() if name.endswith(".wav")]
        return sorted((Path(name).stem, file.read(name)) for name in names)


def _digest(archive: bytes) -> str:
    """SHA-256 of the recordings in an archive, whatever folder and order they are packed in."""
    digest = hashlib.sha256()
    try:
        for name, wav in _recordings(archive):
            digest.update(f"{name}\n".encode() + wav)
    except zipfile.BadZipFile:
        return ""
    return digest.hexdigest()
