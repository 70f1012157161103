"""Speech: spectrograms and back, recordings of single words, and the dataset of them."""

import hashlib
import io
import os
import re
import zipfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import read_regular
from genui.base.text import clean_line
from genui.engine.data.captions import split_words
from genui.engine.data.dataset import Dataset, dataset_table, find_dataset
from genui.engine.data.download import MAX_BYTES, fetch, shared
from genui.engine.data.image_files import (
    caption_from_name,
    open_folder,
    read_captioned,
    shorten_notes,
)
from genui.engine.data.images import hold_out_images
from genui.formats.audio import decode_wav, resample, to_pcm
from genui.recipes.classifier import SoundClassifierRecipe
from genui.recipes.diffusion import VoiceRecipe

# --- Short-time Fourier transform of speech at 8 kHz, and back --------------------------------
# 50 ms Hann windows every 12.5 ms, as Tacotron has them (Wang et al. 2017, §3.4): a hop of a
# quarter window, from which Griffin–Lim recovers phases.

SAMPLE_RATE = 8000  # samples a second
WINDOW = 400  # samples
HOP = 100  # samples
SIZE = 512  # of the transform; the window is padded with zeros
BINS = SIZE // 2 + 1

_PAD = (WINDOW - HOP) // 2  # so that N frames belong to N · HOP samples
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)

Samples = NDArray[np.float32]
Spectra = NDArray[np.complex64]


def stft(samples: Samples) -> Spectra:
    """[…, frames · HOP] in -1 to 1 to […, frames, BINS]; beyond the ends is silence."""
    padded = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(_PAD, _PAD)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=-1)[..., ::HOP, :]
    return np.fft.rfft(windows * _HANN, SIZE).astype(np.complex64)


def istft(spectra: Spectra) -> Samples:
    """[…, frames, BINS] to the samples […, frames · HOP] whose transform is nearest.

    Least squares: overlapping windows weighted by themselves (Griffin & Lim 1984, eq. 6).
    """
    frames = spectra.shape[-2]
    windows = np.fft.irfft(spectra, SIZE)[..., :WINDOW].astype(np.float32) * _HANN
    total = _overlap_add(windows)
    weight = _overlap_add(np.broadcast_to(_HANN**2, (frames, WINDOW)))
    samples = np.divide(total, np.maximum(weight, 1e-3), dtype=np.float32)
    return samples[..., _PAD : _PAD + frames * HOP]


def _overlap_add(windows: Samples) -> Samples:
    """[…, frames, WINDOW] added up at every HOP: […, (frames - 1) · HOP + WINDOW]."""
    frames, share = windows.shape[-2], WINDOW // HOP
    total = np.zeros((*windows.shape[:-2], frames + share - 1, HOP), np.float32)
    pieces = windows.reshape(*windows.shape[:-1], share, HOP)
    for i in range(share):
        total[..., i : i + frames, :] += pieces[..., i, :]
    return total.reshape(*total.shape[:-2], -1)


# --- Log-mel spectrograms: a sound as an image [MELS, FRAMES] in -1 to 1, and its magnitudes back
# Mels are HTK's (Young et al., The HTK Book, eq. 5.13): 2595 · log₁₀(1 + f/700).

MELS = 64
MEL_FRAMES = 80
SAMPLES = MEL_FRAMES * HOP  # a second
LOUDEST_DB = 25.0  # what 1 stands for, of sounds as loud as `levelled` makes them
RANGE_DB = 70.0  # from -1, silence, to 1

Mels = NDArray[np.float32]


def log_mel(samples: Samples) -> Mels:
    """[…, SAMPLES] in -1 to 1 to the log of its power, low mels first: […, MELS, FRAMES]."""
    magnitude = np.abs(stft(samples))
    power = magnitude**2 @ filters().T
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    scaled = 2 * (decibels - LOUDEST_DB) / RANGE_DB + 1
    return np.clip(scaled, -1, 1).swapaxes(-1, -2).astype(np.float32)


def power_of(mels: Mels) -> Mels:
    """The inverse of the scale alone: […, MELS, T] in -1 to 1 to mel power […, T, MELS]."""
    decibels = (np.clip(mels, -1, 1) - 1) / 2 * RANGE_DB + LOUDEST_DB
    power = 10 ** (decibels / 10)
    power[mels <= -1 + 1e-3] = 0  # the floor stands for silence
    return power.swapaxes(-1, -2).astype(np.float32)


@cache
def filters() -> Mels:
    """Triangles on the mel scale from 0 to 4 kHz, each of weight 1: [MELS, BINS]."""
    edges = _hertz(np.linspace(0, _mel(SAMPLE_RATE / 2), MELS + 2))
    bins = np.arange(BINS) * SAMPLE_RATE / SIZE
    low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid))
    triangles = np.maximum(triangles, 0)
    # A triangle narrower than a bin may hold none: it takes its nearest.
    empty = triangles.sum(1) == 0
    triangles[empty, np.abs(bins - mid[empty]).argmin(1)] = 1
    return (triangles / triangles.sum(1, keepdims=True)).astype(np.float32)


def _mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)


# --- From a log-mel spectrogram to sound: magnitudes by least squares, phases by Griffin–Lim --
# Everything starts from zero phases and takes a fixed number of rounds: the same spectrogram
# always sounds the same.

ROUNDS = 32
MOMENTUM = 0.99  # Perraudin et al. 2013, §4
NNLS_ROUNDS = 30


def vocode(mels: Mels, rounds: int = ROUNDS) -> Samples:
    """[…, MELS, T] in -1 to 1 to samples […, T · HOP], about -1 to 1.

    The fast Griffin–Lim algorithm (Perraudin, Balazs & Søndergaard 2013, algorithm 2).
    """
    magnitude = np.sqrt(linear_power(mels))
    before = current = magnitude.astype(np.complex64)
    for _ in range(rounds):
        consistent = stft(istft(_with_phase(magnitude, current)))
        current = consistent + MOMENTUM * (consistent - before)
        before = consistent
    return istft(_with_phase(magnitude, current))


def linear_power(mels: Mels) -> Samples:
    """[…, MELS, T] to the power […, T, BINS] ≥ 0 whose mels these are, nearly.

    Non-negative least squares by multiplicative updates (Lee & Seung 2001, theorem 1), from
    the mel power spread over each band.
    """
    target = power_of(mels)
    weights = filters()  # [MELS, BINS]
    power = target @ _spread()
    numerator = target @ weights
    for _ in range(NNLS_ROUNDS):
        power *= numerator / np.maximum(power @ _gram(), 1e-12)
    return power


@cache
def _spread() -> Mels:
    """[MELS, BINS], columns summing to 1: a bin is the mean of the bands that hold it."""
    weights = filters() / filters().max(axis=1, keepdims=True)
    return weights / np.maximum(weights.sum(axis=0), 1e-6)


@cache
def _gram() -> Mels:
    return filters().T @ filters()


def _with_phase(magnitude: Samples, phases: np.ndarray) -> np.ndarray:
    size = np.abs(phases)
    unit = np.divide(phases, size, out=np.ones_like(phases), where=size > 1e-12)
    return magnitude * unit


# --- Takes of spoken words, each a second at most, with captions such as "four jackson" -------
# The Free Spoken Digit Dataset, or the user's own recordings.

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
    """One recording: its caption, and samples [N] at SAMPLE_RATE, levelled and trimmed."""

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
        room = MEL_FRAMES - self._lengths[indices]
        late = rng.integers(np.minimum(room, LATEST) + 1)
        mels = np.full((len(indices), 1, MELS, MEL_FRAMES), -1, np.float32)
        for row, index, phase, frames in zip(mels, indices, phases, late, strict=True):
            row[0, :, frames:] = self._mels(int(phase))[index, :, : MEL_FRAMES - frames]
        return Batch([self.takes[i].caption for i in indices], mels)

    def mels(self, indices: NDArray[np.int64]) -> Mels:
        """These takes from their first sample on: [B, MELS, FRAMES] in -1 to 1."""
        return self._mels(0)[indices].astype(np.float32)

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """Frames with sound in them."""
        return np.array([min(MEL_FRAMES, len(take.samples) // HOP + 3) for take in self.takes])

    def _mels(self, phase: int) -> NDArray[np.float16]:
        """[N, MELS, FRAMES], the windows begun a share of a hop earlier."""
        if phase not in self._computed:
            mels = np.empty((len(self.takes), MELS, MEL_FRAMES), np.float16)
            for start in range(0, len(self.takes), _AT_ONCE):
                takes = self.takes[start : start + _AT_ONCE]
                samples = [pad_take(take.samples, phase * HOP // PHASES) for take in takes]
                mels[start : start + len(takes)] = log_mel(np.stack(samples))
            self._computed[phase] = mels
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
        return load_speech_folder(data)
    row = find_dataset(SPEECH_DATASETS, dataset, "recordings")
    takes, test = row.read()
    return Speech(
        name=row.title or row.name,
        licence=row.licence,
        takes=tuple(takes),
        train=np.flatnonzero(~np.asarray(test)),
        held_out=np.flatnonzero(test),
    )


@dataclass(frozen=True, kw_only=True)
class SpeechDataset(Dataset):
    """A dataset of captioned takes. `load()` returns them, and whether each is of the test set."""

    title: str = ""  # what it is called, where that is not its name


SPEECH_DATASETS = dataset_table(
    SpeechDataset,
    (
        SpeechDataset(
            name="fsdd",
            title="Free Spoken Digit Dataset",
            summary="3,000 takes of ten digits by six speakers",
            licence="CC BY-SA 4.0",
            load="genui.engine.data.speech:read_fsdd",
        ),
    ),
)


def read_fsdd() -> tuple[list[Take], list[bool]]:
    """Every take of the Free Spoken Digit Dataset, and whether it is of the test set."""
    path = shared(FSDD) or fetch(FSDD, FSDD_URL, FSDD_SHA256, _digest)
    try:
        recordings = _recordings(read_regular(path, MAX_BYTES, "delete it or copy it again"))
    except (OSError, zipfile.BadZipFile) as error:
        raise GenuiError(f"{path}: cannot be read ({error}); delete it or copy it again") from None
    takes: list[Take] = []
    test: list[bool] = []
    for name, wav in recordings:
        digit, speaker, number = name.split("_")
        sound = decode_wav(wav)
        takes.append(Take(f"{DIGITS[int(digit)]} {speaker}", prepare(sound.samples, sound.rate)))
        test.append(int(number) < TEST_TAKES)
    return takes, test


def prepare(samples: Samples, rate: int) -> Samples:
    """At SAMPLE_RATE, its ends of silence cut, its loudest second where it is longer, levelled.

    Raises ValueError, a reason without the file's name, where there is nothing to hear.
    """
    samples = resample(samples, rate, SAMPLE_RATE)
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
        samples = prepare(sound.samples, sound.rate)
    except ValueError as reason:
        raise MisuseError(f"{shown}: {reason}") from None
    changes = []
    if sound.rate != SAMPLE_RATE:
        changes.append(f"{sound.rate:,} Hz made {SAMPLE_RATE:,}")
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


def pad_take(samples: Samples, late: int = 0) -> Samples:
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


# --- A user's own folder of recordings. Nothing in it is trusted ------------------------------
# Captions come from `metadata.jsonl` or a `take.txt` beside `take.wav` as for images, else from
# names such as `4_anna_0.wav` or `four_anna_0.wav`: the digit, who says it, and which take it is.

SUFFIXES = (".wav",)
MOST_TAKES = 20_000
_NAMED = re.compile(r"([0-9]|[a-z]+)_([^_]+)(?:_[^_]*)?", re.IGNORECASE)


def load_speech_folder(path: str | os.PathLike[str]) -> Speech:
    """Every usable recording in the folder and its sub-folders, with its caption.

    What is left out or cut is listed in `notes`, and how many were used. Raises MisuseError
    where the path is no folder or nothing in it can be used.
    """
    folder = open_folder(path, "recordings need a folder, such as one with 4_anna_0.wav")
    notes: list[str] = []

    def samples_of(file: Path) -> Samples:
        samples, changes = read_take(file)
        if changes:
            notes.append(changes)
        return samples

    usable, files = read_captioned(
        folder, SUFFIXES, "recordings", MOST_TAKES, samples_of, notes, caption_of_name
    )
    takes = tuple(Take(caption, samples) for samples, caption in usable)
    if len(takes) < files:
        notes.insert(0, f"{len(takes)} of {files} recordings are used")
    trained, held_out = hold_out_images(len(takes))
    return Speech(
        name=clean_line(folder.resolve().name, 60) or "folder",
        licence="the user's own",
        takes=takes,
        train=trained,
        held_out=held_out,
        notes=shorten_notes(notes),
    )


def caption_of_name(path: Path, folder: Path) -> str:
    """The name "4_anna_0" says "four anna"; any other what it says as an image's does."""
    named = _NAMED.fullmatch(path.stem)
    if named is None:
        return caption_from_name(path, folder)
    said, who = named[1].lower(), " ".join(split_words(named[2]))
    if said.isdecimal():
        said = DIGITS[int(said)]
    return f"{said} {who}" if said in DIGITS and who else caption_from_name(path, folder)


# --- Takes of speech with a label each: the digit that is said, or who says it ----------------


@dataclass(frozen=True, eq=False)
class LabelledSpeech:
    """Takes and the number of the label of each."""

    speech: Speech
    labels: tuple[str, ...]
    targets: NDArray[np.int64]  # a label's number for each take


def load_labelled_speech(recipe: SoundClassifierRecipe) -> LabelledSpeech:
    """The takes of a recipe's data with the word of the caption that it asks for.

    Raises MisuseError where a caption has no such word or all have the same one, and what
    `load_speech` raises.
    """
    speech = load_speech(recipe.dataset, recipe.data)
    named = [_label(take.caption, recipe.asks == "digit") for take in speech.takes]
    bare = next(
        (t.caption for t, label in zip(speech.takes, named, strict=True) if not label), None
    )
    if bare is not None:
        raise MisuseError(
            f"{speech.name}: “{bare}” names no {recipe.asks}; name takes like 4_anna_0.wav"
        )
    labels = tuple(sorted(set(named), key=_order))
    if len(labels) < 2:
        raise MisuseError(
            f"{speech.name}: every take has the one label {named[0]!r}; add takes of another"
        )
    return LabelledSpeech(speech, labels, np.array([labels.index(label) for label in named]))


def check_labelled_speech(recipe: SoundClassifierRecipe) -> str:
    """One line describing the takes a recipe would train on, having read them."""
    data = load_labelled_speech(recipe)
    return f"{data.speech.name}: {len(data.targets):,} takes, {len(data.labels)} labels"


def _label(caption: str, digit: bool) -> str:
    return next((word for word in split_words(caption) if (word in DIGITS) == digit), "")


def _order(label: str) -> tuple[int, str]:
    """Digits by their number, and others by the alphabet."""
    return (DIGITS.index(label) if label in DIGITS else len(DIGITS)), label
