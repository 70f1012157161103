"""Speech: spectrograms and their inversion, and datasets of recordings of single words."""

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

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import files_below, read_regular, show
from genui.base.text import clean_line
from genui.engine.data.captions import (
    caption_from_name,
    open_folder,
    shorten_notes,
    split_words,
    with_captions,
)
from genui.engine.data.dataset import Dataset, dataset_table, find_dataset
from genui.engine.data.download import MAX_BYTES, check_reachable, fetch, is_downloaded, shared
from genui.engine.data.images import hold_out_images
from genui.engine.data.preparation import QUIET, Preparation, Report
from genui.formats.audio import decode_wav, resample, to_pcm
from genui.kinds.speech.recipe import MEL_FRAMES, SoundClassifierRecipe, VoiceRecipe

# --- Short-time Fourier transform at 8 kHz, and its inverse -----------------------------------
# 50 ms Hann windows every 12.5 ms, as in Tacotron (Wang et al. 2017, §3.4). A hop of a quarter
# window lets Griffin–Lim recover the phases.

SAMPLE_RATE = 8000  # Hz
WINDOW = 400  # samples
HOP = 100  # samples
SIZE = 512  # of the transform; windows are zero-padded
BINS = SIZE // 2 + 1

_PAD = (WINDOW - HOP) // 2  # so that N · HOP samples have N frames
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)

Samples = NDArray[np.float32]
Spectra = NDArray[np.complex64]


def stft(samples: Samples) -> Spectra:
    """[…, frames · HOP] in -1 to 1 to […, frames, BINS]. The ends are padded with silence."""
    padded = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(_PAD, _PAD)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=-1)[..., ::HOP, :]
    return np.fft.rfft(windows * _HANN, SIZE).astype(np.complex64)


def istft(spectra: Spectra) -> Samples:
    """[…, frames, BINS] to […, frames · HOP]: the samples whose transform is nearest.

    Least-squares estimate by weighted overlap-add (Griffin & Lim 1984, eq. 6).
    """
    frames = spectra.shape[-2]
    windows = np.fft.irfft(spectra, SIZE)[..., :WINDOW].astype(np.float32) * _HANN
    total = _overlap_add(windows)
    weight = _overlap_add(np.broadcast_to(_HANN**2, (frames, WINDOW)))
    samples = np.divide(total, np.maximum(weight, 1e-3), dtype=np.float32)
    return samples[..., _PAD : _PAD + frames * HOP]


def _overlap_add(windows: Samples) -> Samples:
    """Overlap-add: […, frames, WINDOW] to […, (frames - 1) · HOP + WINDOW]."""
    frames, overlap = windows.shape[-2], WINDOW // HOP
    total = np.zeros((*windows.shape[:-2], frames + overlap - 1, HOP), np.float32)
    parts = windows.reshape(*windows.shape[:-1], overlap, HOP)
    for i in range(overlap):
        total[..., i : i + frames, :] += parts[..., i, :]
    return total.reshape(*total.shape[:-2], -1)


# --- Log-mel spectrograms [MELS, MEL_FRAMES] in -1 to 1 ---------------------------------------
# The mel scale is HTK's (Young et al., The HTK Book, eq. 5.13): 2595 · log₁₀(1 + f/700).

MELS = 64
SAMPLES = MEL_FRAMES * HOP  # a second
LOUDEST_DB = 25.0  # the level of the value 1, for takes normalised by `prepare`
RANGE_DB = 70.0  # from -1, which is silence, to 1

Mels = NDArray[np.float32]


def log_mel(samples: Samples) -> Mels:
    """[…, SAMPLES] in -1 to 1 to […, MELS, MEL_FRAMES] in -1 to 1, low frequencies first."""
    magnitude = np.abs(stft(samples))
    power = magnitude**2 @ filters().T
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    scaled = 2 * (decibels - LOUDEST_DB) / RANGE_DB + 1
    return np.clip(scaled, -1, 1).swapaxes(-1, -2).astype(np.float32)


def power_of(mels: Mels) -> Mels:
    """Undo the scaling and the logarithm: […, MELS, T] in -1 to 1 to mel power […, T, MELS]."""
    decibels = (np.clip(mels, -1, 1) - 1) / 2 * RANGE_DB + LOUDEST_DB
    power = 10 ** (decibels / 10)
    power[mels <= -1 + 1e-3] = 0  # the floor means silence
    return power.swapaxes(-1, -2).astype(np.float32)


@cache
def filters() -> Mels:
    """The mel filter bank [MELS, BINS]: triangles from 0 to 4 kHz, each normalised to sum 1."""
    edges = _hertz(np.linspace(0, _mel(SAMPLE_RATE / 2), MELS + 2))
    bins = np.arange(BINS) * SAMPLE_RATE / SIZE
    low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid))
    triangles = np.maximum(triangles, 0)
    # A triangle narrower than a bin may contain none: it gets the nearest.
    empty = triangles.sum(1) == 0
    triangles[empty, np.abs(bins - mid[empty]).argmin(1)] = 1
    return (triangles / triangles.sum(1, keepdims=True)).astype(np.float32)


def _mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)


# --- Log-mel spectrogram to sound: magnitudes by least squares, phases by Griffin–Lim ---------
# Deterministic: phases start at zero and the number of iterations is fixed.

ROUNDS = 32  # Griffin–Lim iterations
MOMENTUM = 0.99  # Perraudin et al. 2013, §4
NNLS_ROUNDS = 30


def vocode(mels: Mels, rounds: int = ROUNDS) -> Samples:
    """[…, MELS, T] in -1 to 1 to samples […, T · HOP], about -1 to 1.

    The fast Griffin–Lim algorithm (Perraudin, Balazs & Søndergaard 2013, algorithm 2).
    """
    magnitude = np.sqrt(linear_power(mels))
    previous = accelerated = magnitude.astype(np.complex64)
    for _ in range(rounds):
        consistent = stft(istft(_with_phase(magnitude, accelerated)))
        accelerated = consistent + MOMENTUM * (consistent - previous)
        previous = consistent
    return istft(_with_phase(magnitude, accelerated))


def linear_power(mels: Mels) -> Samples:
    """Estimate the power […, T, BINS] of a log-mel spectrogram […, MELS, T].

    Non-negative least squares by multiplicative updates (Lee & Seung 2001, theorem 1), starting
    from the mel power spread evenly over each band.
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
    """Weights [MELS, BINS] with columns of sum 1: a bin is the mean of the bands it belongs to."""
    weights = filters() / filters().max(axis=1, keepdims=True)
    totals: Mels = np.maximum(weights.sum(axis=0), 1e-6)
    return weights / totals


@cache
def _gram() -> Mels:
    return filters().T @ filters()


def _with_phase(magnitude: Samples, phases: np.ndarray) -> np.ndarray:
    size = np.abs(phases)
    unit = np.divide(phases, size, out=np.ones_like(phases), where=size > 1e-12)
    return magnitude * unit


# --- Takes: recordings of single words, at most a second, captioned like "four jackson" -------

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_TAKES = 5  # takes 0 to 4 of each digit and speaker are the test set
LATEST = 6  # augmentation: at most so many frames of silence before a word
PHASES = 2  # augmentation: offsets of the windows within a hop
SILENT = 1e-3  # RMS, of full scale; a recording that is never louder is refused
TRIMMED_DB = 45.0  # below the loudest window; quieter ends are trimmed
LOUDNESS = 0.25  # RMS of the loudest window of MOMENT samples, after normalisation
MOMENT = 400  # samples
_AT_ONCE = 64  # takes whose mels are computed together
MAX_SECONDS = 30.0  # of a recording; the rest is ignored
MAX_TAKE_BYTES = 32 << 20  # of its file: half a minute at any usual sample rate

FSDD = "fsdd.zip"
FSDD_URL = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/"
    "26eb9aaf76e81b692f806f9140c2d2777410d7a1.zip"
)
FSDD_BYTES = 16_317_530
"""The size of the archive; GitHub may pack it anew."""
FSDD_SHA256 = "1f8d5e32795f4e1021eafba03ea51f452ce6166c1a5380050875adbf8b660252"
"""Digest of the recordings, sorted by name, because copies of the archive differ in packing."""


class Take(NamedTuple):
    """One recording: its caption, and samples [N] at SAMPLE_RATE, trimmed and normalised."""

    caption: str
    samples: Samples


class Batch(NamedTuple):
    """B training examples."""

    captions: list[str]
    mels: Mels  # [B, 1, MELS, FRAMES] in -1 to 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Speech:
    """Captioned takes, split into trained and held-out ones."""

    name: str
    licence: str
    takes: tuple[Take, ...]
    train: NDArray[np.int64]  # indices
    held_out: NDArray[np.int64]  # indices
    notes: tuple[str, ...] = ()  # what was left out or changed, one line each

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when any take or caption does."""
        digest = hashlib.sha256()
        for take in self.takes:
            digest.update(f"{take.caption}\n".encode() + to_pcm(take.samples).tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words of the captions, in alphabetical order."""
        return tuple(sorted({word for take in self.takes for word in split_words(take.caption)}))

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """These takes, each with a random delay and a random offset of its windows."""
        phases = rng.integers(PHASES, size=len(indices))
        room = MEL_FRAMES - self._lengths[indices]
        delays = rng.integers(np.minimum(room, LATEST) + 1)
        mels = np.full((len(indices), 1, MELS, MEL_FRAMES), -1, np.float32)
        for row, index, phase, delay in zip(mels, indices, phases, delays, strict=True):
            row[0, :, delay:] = self._mels(int(phase))[index, :, : MEL_FRAMES - delay]
        return Batch([self.takes[i].caption for i in indices], mels)

    def mels(self, indices: NDArray[np.int64]) -> Mels:
        """These takes without augmentation, [B, MELS, MEL_FRAMES] in -1 to 1."""
        return self._mels(0)[indices].astype(np.float32)

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """Frames that contain sound, [N]."""
        return np.array([min(MEL_FRAMES, len(take.samples) // HOP + 3) for take in self.takes])

    def _mels(self, phase: int) -> NDArray[np.float16]:
        """All takes, [N, MELS, MEL_FRAMES], delayed by `phase` / PHASES of a hop; computed once."""
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


def load_speech(dataset: str, data: str = "", preparation: Preparation = QUIET) -> Speech:
    """Load a dataset of recordings, or the user's own folder `data`.

    Raises MisuseError for an unknown name or an unusable folder, GenuiError if the download or its
    checksum fails.
    """
    if data:
        return load_speech_folder(data)
    row = find_dataset(SPEECH_DATASETS, dataset, "recordings")
    takes, test = row.read(preparation=preparation)
    return Speech(
        name=row.title or row.name,
        licence=row.licence,
        takes=tuple(takes),
        train=np.flatnonzero(~np.asarray(test)),
        held_out=np.flatnonzero(test),
    )


@dataclass(frozen=True, kw_only=True)
class SpeechDataset(Dataset):
    """A dataset of takes. `load()` returns the takes, and for each whether it is a test take."""

    title: str = ""  # the name on screen, if it is not `name`


def read_fsdd() -> tuple[list[Take], list[bool]]:
    """Read the Free Spoken Digit Dataset: its takes, and for each whether it is a test take."""
    path = shared(FSDD) or paths.downloads_dir() / FSDD
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


def download_fsdd(report: Report) -> None:
    """Download the dataset, unless it is here. Raises GenuiError if it cannot be had."""
    if shared(FSDD) is None:
        fetch(FSDD, FSDD_URL, FSDD_SHA256, _digest, report)


def check_fsdd() -> int:
    """The number of bytes to download. Raises GenuiError if there is no network for it."""
    if shared(FSDD) or is_downloaded(FSDD):
        return 0
    check_reachable(FSDD, FSDD_URL)
    return FSDD_BYTES


def random_takes() -> tuple[list[Take], list[bool]]:
    """Random takes of the same length, to measure the speed of a training."""
    rng = np.random.default_rng(0)
    speakers = ("jackson", "george", "theo", "lucas", "nicolas", "yweweler")
    takes = [
        Take(f"{digit} {speaker}", rng.uniform(-0.5, 0.5, SAMPLES // 2).astype(np.float32))
        for digit in DIGITS
        for speaker in speakers
        for _ in range(2)
    ]
    return takes, [index % 5 == 0 for index in range(len(takes))]


SPEECH_DATASETS = dataset_table(
    SpeechDataset,
    (
        SpeechDataset(
            name="fsdd",
            title="Free Spoken Digit Dataset",
            summary="3,000 takes of ten digits by six speakers",
            licence="CC BY-SA 4.0",
            load=read_fsdd,
            check=check_fsdd,
            download=download_fsdd,
            stand_in=random_takes,
        ),
    ),
)


def prepare(samples: Samples, rate: int) -> Samples:
    """Resample to SAMPLE_RATE, trim silence, keep at most the loudest second, and normalise.

    Raises ValueError, whose message does not name the file, if the recording is silent.
    """
    samples = resample(samples, rate, SAMPLE_RATE)
    samples = samples - samples.mean()
    loudness = _loudness(samples)
    if loudness.max() < SILENT:
        raise ValueError("is silence; record it louder")
    audible = np.flatnonzero(loudness > loudness.max() * 10 ** (-TRIMMED_DB / 20))
    samples = samples[audible[0] * HOP : audible[-1] * HOP + MOMENT]
    if len(samples) > SAMPLES:
        sums = np.concatenate(([0.0], np.cumsum(samples.astype(np.float64) ** 2)))
        start = int((sums[SAMPLES:] - sums[:-SAMPLES]).argmax())
        samples = samples[start : start + SAMPLES]
    return (samples * (LOUDNESS / loudness.max())).astype(np.float32)


def read_take(path: Path) -> tuple[Samples, str]:
    """Read one recording of a word; returns prepared samples, and a note on changes or "".

    Raises MisuseError, naming the file, if it cannot be used.
    """
    shown = clean_line(str(path))
    try:
        wav = read_regular(path, MAX_TAKE_BYTES, "name a WAV file of one word", MisuseError)
        sound = decode_wav(wav, MAX_SECONDS)
        samples = prepare(sound.samples, sound.rate)
    except ValueError as reason:
        raise MisuseError(f"{shown}: {reason}") from None
    changes = []
    if sound.rate != SAMPLE_RATE:
        changes.append(f"{sound.rate:,} Hz resampled to {SAMPLE_RATE:,}")
    if len(sound.samples) > sound.rate and len(samples) == SAMPLES:
        changes.append("cut to its loudest second")
    return samples, f"{clean_line(path.name)}: {', '.join(changes)}" if changes else ""


def check_speech(recipe: VoiceRecipe, preparation: Preparation = QUIET) -> str:
    """Load the recordings of a recipe and describe them in one line."""
    speech = load_speech(recipe.dataset, recipe.data, preparation)
    return "; ".join((f"{speech.name}: {len(speech.takes):,} takes", *speech.notes[:2]))


def _loudness(samples: Samples) -> Samples:
    """The root mean square of windows of MOMENT samples, one every HOP."""
    padded = np.pad(samples, (0, max(0, MOMENT - len(samples))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, MOMENT)[::HOP]
    return np.sqrt((windows**2).mean(axis=1))


def pad_take(samples: Samples, delay: int = 0) -> Samples:
    """A take padded to a second, [SAMPLES], that begins after `delay` samples of silence."""
    padded = np.zeros(SAMPLES, np.float32)
    samples = samples[: SAMPLES - delay]
    padded[delay : delay + len(samples)] = samples
    return padded


def _recordings(archive: bytes) -> list[tuple[str, bytes]]:
    """(name without suffix, bytes) of every WAV in a ZIP archive, sorted by name."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        names = [name for name in file.namelist() if name.endswith(".wav")]
        return sorted((Path(name).stem, file.read(name)) for name in names)


def _digest(archive: bytes) -> str:
    """SHA-256 of the recordings in an archive, independent of their folder and order."""
    digest = hashlib.sha256()
    try:
        for name, wav in _recordings(archive):
            digest.update(f"{name}\n".encode() + wav)
    except zipfile.BadZipFile:
        return ""
    return digest.hexdigest()


# --- The user's own folder of recordings. Nothing in it is trusted ----------------------------
# Captions come from `metadata.jsonl` or from `take.txt` beside `take.wav`, as for images, else from
# names like `4_anna_0.wav` or `four_anna_0.wav`: digit, speaker and number of the take.

SUFFIXES = (".wav",)
MAX_TAKES = 20_000
_NAMED = re.compile(r"([0-9]|[a-z]+)_([^_]+)(?:_[^_]*)?", re.IGNORECASE)


def load_speech_folder(path: str | os.PathLike[str]) -> Speech:
    """Load every usable recording in a folder and its sub-folders, with its caption.

    `notes` lists the recordings that were left out or changed, and the number of used ones. Raises
    MisuseError if the path is not a folder or nothing in it can be used.
    """
    folder = open_folder(path, "recordings need a folder, such as one with 4_anna_0.wav")
    files = files_below(folder, SUFFIXES)
    if not files:
        raise MisuseError(f"{show(folder)}: no recordings in it; looked for {', '.join(SUFFIXES)}")
    notes: list[str] = []
    takes: list[Take] = []
    for file, caption in with_captions(folder, files[:MAX_TAKES], notes, caption_of_name):
        try:
            samples, changes = read_take(file)
        except MisuseError as reason:
            notes.append(str(reason))
            continue
        takes.append(Take(caption, samples))
        notes += filter(None, [changes])
    if not takes:
        raise MisuseError(f"{show(folder)}: none of its {len(files)} recordings works: {notes[0]}")
    if len(takes) < len(files):
        notes.insert(0, f"{len(takes)} of {len(files)} recordings are used")
    trained, held_out = hold_out_images(len(takes))
    return Speech(
        name=clean_line(folder.resolve().name, 60) or "folder",
        licence="the user's own",
        takes=tuple(takes),
        train=trained,
        held_out=held_out,
        notes=shorten_notes(notes),
    )


def caption_of_name(path: Path, folder: Path) -> str:
    """The caption in a recording's name: "four anna" of 4_anna_0.wav. Other names are read like
    those of images."""
    match = _NAMED.fullmatch(path.stem)
    if match is None:
        return caption_from_name(path, folder)
    digit, speaker = match[1].lower(), " ".join(split_words(match[2]))
    if digit.isdecimal():
        digit = DIGITS[int(digit)]
    if digit in DIGITS and speaker:
        return f"{digit} {speaker}"
    return caption_from_name(path, folder)


# --- Labelled takes: the label is the digit or the speaker ------------------------------------


@dataclass(frozen=True, eq=False)
class LabelledSpeech:
    """Takes with labels."""

    speech: Speech
    labels: tuple[str, ...]
    targets: NDArray[np.int64]  # [N], the index of each take's label


def load_labelled_speech(
    recipe: SoundClassifierRecipe, preparation: Preparation = QUIET
) -> LabelledSpeech:
    """Load a recipe's takes, labelled by the word of the caption that it asks for.

    Raises MisuseError if a caption has no such word or all have the same one, and whatever
    `load_speech` raises.
    """
    speech = load_speech(recipe.dataset, recipe.data, preparation)
    label_of_take = []
    for take in speech.takes:
        words = split_words(take.caption)
        label = next((w for w in words if (w in DIGITS) == (recipe.asks == "digit")), "")
        if not label:
            raise MisuseError(
                f"{speech.name}: “{take.caption}” names no {recipe.asks}; "
                "name takes like 4_anna_0.wav"
            )
        label_of_take.append(label)
    others = sorted(set(label_of_take) - set(DIGITS))
    labels = (*(digit for digit in DIGITS if digit in label_of_take), *others)
    if len(labels) < 2:
        raise MisuseError(
            f"{speech.name}: every take has the one label {label_of_take[0]!r}; "
            "add takes of another"
        )
    targets = np.array([labels.index(label) for label in label_of_take])
    return LabelledSpeech(speech, labels, targets)


def check_labelled_speech(recipe: SoundClassifierRecipe, preparation: Preparation = QUIET) -> str:
    """Load the takes of a recipe and describe them in one line."""
    data = load_labelled_speech(recipe, preparation)
    line = f"{data.speech.name}: {len(data.targets):,} takes, {len(data.labels)} labels"
    return "; ".join((line, *data.speech.notes[:2]))
