"""WAV files: bytes to samples and back, with a text inside.

RIFF/WAVE as the Multimedia Programming Interface 1.0 (IBM & Microsoft 1991) describes it;
the text is the `ICMT` of a `LIST`/`INFO` chunk, where players look for comments.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.formats.kinds import saves_of
from genui.formats.recipe import TraceRecipe, recipe_text, to_json
from genui.formats.sample import Difference, Sample
from genui.protocol import Frame
from genui.protocol.kinds import kind_of_trace

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
_NAMES = {2: "ADPCM", 6: "A-law", 7: "µ-law", 0x11: "IMA ADPCM", 0x55: "MP3"}
_STREAMED = (0, 0xFFFFFFFF)  # the size of a data chunk if the writer could not seek back to set it
HIGHEST_RATE = 768_000
MAX_CHANNELS = 64


class Sound(NamedTuple):
    """The content of a WAV file."""

    samples: NDArray[np.float32]  # [N] in -1 to 1, the mean of the channels
    rate: int  # samples a second
    text: str  # the comment, or ""


class _Format(NamedTuple):
    coding: int
    channels: int
    rate: int
    bits: int


def encode_wav(pcm: NDArray[np.int16], rate: int, text: str) -> bytes:
    """Samples int16 [N], or [N, 2] for left and right, as a WAV file with a text inside."""
    channels = 1 if pcm.ndim == 1 else pcm.shape[1]
    block = 2 * channels
    chunks = _chunk(b"fmt ", struct.pack("<HHIIHH", PCM, channels, rate, rate * block, block, 16))
    if text:
        comment = _chunk(b"ICMT", text.encode() + b"\0")
        chunks += _chunk(b"LIST", b"INFO" + comment)
    chunks += _chunk(b"data", np.ascontiguousarray(pcm, "<i2").tobytes())
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def decode_wav(data: bytes, most_seconds: float = float("inf")) -> Sound:
    """The samples, rate and text of a WAV file: 8, 16, 24 or 32 bits or float, any channels.

    Raises ValueError, a reason without the file's name, if it is not a WAV file, is truncated,
    has no sound, or lasts longer than `most_seconds`.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("is not a WAV file; convert it to WAV")
    form, text, body = None, "", None
    for name, start, size in _chunks(data):
        whole = data[start : start + size]
        if name == b"fmt ":
            form = _format(whole)
        elif name == b"LIST" and whole[:4] == b"INFO":
            text = text or _comment(whole[4:])
        elif name == b"data" and body is None:
            streamed = size in _STREAMED
            if not streamed and start + size > len(data):
                there = len(data) - start
                raise ValueError(f"is truncated: it has {there:,} of {size:,} bytes of sound")
            body = data[start:] if streamed else whole
    if form is None:
        raise ValueError("is not a complete WAV file: it has no format chunk")
    if not body:
        raise ValueError("has no sound")
    block = form.channels * form.bits // 8
    seconds = len(body) / block / form.rate
    if seconds > most_seconds:
        raise ValueError(f"lasts {seconds:,.1f} s; cut it to at most {most_seconds:g} s")
    samples = _samples(body[: len(body) // block * block], form)
    if not len(samples):
        raise ValueError("has no sound")
    if not np.isfinite(samples).all():
        raise ValueError("has samples that are not numbers; write it again")
    return Sound(samples.reshape(-1, form.channels).mean(axis=1), form.rate, text)


def to_pcm(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples in -1 to 1 as 16 bits; louder samples are clipped."""
    return np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def _chunk(name: bytes, body: bytes) -> bytes:
    """A chunk, padded to an even length that its size does not include."""
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _chunks(data: bytes, start: int = 12) -> Iterator[tuple[bytes, int, int]]:
    """(name, start of its body, declared size) of each chunk."""
    while start + 8 <= len(data):
        name, size = data[start : start + 4], struct.unpack_from("<I", data, start + 4)[0]
        yield name, start + 8, size
        if name == b"data" and size in _STREAMED:
            return
        start += 8 + size + size % 2


def _format(body: bytes) -> _Format:
    if len(body) < 16:
        raise ValueError("is not a complete WAV file: it has no format chunk")
    coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if coding == EXTENSIBLE and len(body) >= 26:
        coding = struct.unpack_from("<H", body, 24)[0]  # the beginning of the sub-format
    widths = {PCM: (8, 16, 24, 32), FLOAT: (32, 64)}.get(coding)
    if widths is None:
        named = _NAMES.get(coding, f"coding {coding}")
        raise ValueError(f"is encoded as {named}; convert it to 16-bit PCM")
    if bits not in widths or not 1 <= channels <= MAX_CHANNELS or not 1 <= rate <= HIGHEST_RATE:
        claims = f"{bits} bits a sample, {channels} channels and {rate:,} samples a second"
        raise ValueError(f"says it has {claims}; convert it to 16-bit PCM")
    return _Format(coding, channels, rate, bits)


def _samples(body: bytes, form: _Format) -> NDArray[np.float32]:
    """Samples in -1 to 1, channels interleaved."""
    if form.coding == FLOAT:
        with np.errstate(over="ignore"):  # infinite beyond float32, which the caller refuses
            return np.frombuffer(body, f"<f{form.bits // 8}").astype(np.float32)
    if form.bits == 8:  # the only unsigned width
        return np.frombuffer(body, np.uint8).astype(np.float32) / np.float32(128) - np.float32(1)
    if form.bits == 24:
        narrow = np.frombuffer(body, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(narrow), 4), np.uint8)
        wide[:, 1:] = narrow
        return wide.reshape(-1).view("<i4").astype(np.float32) / np.float32(2**31)
    return np.frombuffer(body, f"<i{form.bits // 8}").astype(np.float32) / np.float32(
        2 ** (form.bits - 1)
    )


def _comment(body: bytes) -> str:
    for name, start, size in _chunks(body, 0):
        if name == b"ICMT":
            return body[start : start + size].split(b"\0")[0].decode("utf-8", "replace")
    return ""


# --- Resampling -------------------------------------------------------------------------------


def resample(samples: NDArray[np.float32], rate: int, to: int) -> NDArray[np.float32]:
    """float32 [N] at `rate` to float32 [N · to / rate] at `to`, by their spectrum, without the
    frequencies that `to` has no room for."""
    if rate == to or not len(samples):
        return samples
    count = max(1, round(len(samples) * to / rate))
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    return (np.fft.irfft(spectrum, count) * (count / len(samples))).astype(np.float32)


# --- Sound as it is saved: a WAV with the recipe in its comment -------------------------------

REST = 0.5  # seconds between samples


def encode_sound(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    """The sound of each sample's last frame, or of the frame at the last step of the view, or
    as the kind plays it. Raises GenuiError if there is none.
    """
    text = to_json(recipe)
    play = saves_of(kind_of_trace(samples[0].kind, recipe.settings)).encode_sound
    if play is not None:
        return play(samples, recipe)
    frames = [_frame(sample.frames, recipe.view.steps) for sample in samples]
    sample_rate = frames[0].rate
    rest = np.zeros(round(REST * sample_rate), np.int16)
    pieces = [piece for frame in frames for piece in (rest, np.frombuffer(frame.sound, "<i2"))][1:]
    return encode_wav(np.concatenate(pieces), sample_rate, text)


def decode_sound(data: bytes, name: str) -> tuple[Sound, str]:
    """The sound and the recipe of a WAV. Raises GenuiError if it cannot be decoded."""
    try:
        sound = decode_wav(data)
    except ValueError as reason:
        raise GenuiError(f"{name}: {reason}") from None
    return sound, recipe_text(sound.text)


def compare_sounds(saved: Sound, again: Sound, samples: Sequence[Sample]) -> Difference | None:
    """The second from which on they differ, and the largest difference, in 16 bits."""
    one, other = (np.rint(sound.samples * 32768).astype(np.int32) for sound in (saved, again))
    shorter = min(len(one), len(other))
    gaps = np.abs(one[:shorter] - other[:shorter])
    if (len(one), saved.rate) == (len(other), again.rate) and not gaps.any():
        return None
    second = (int((gaps > 0).argmax()) if gaps.any() else shorter) / saved.rate
    largest = int(gaps.max(initial=0))
    line = f"differs from second {second:.3f} on, by {largest:,} of 32,768 at most"
    return Difference(line, {"second": second, "largest": largest})


def _frame(frames: Sequence[Frame], steps: Sequence[int]) -> Frame:
    for frame in reversed(frames):
        is_shown = not steps or frame.step == steps[-1]
        if is_shown and frame.sound and frame.rate:
            return frame
    raise GenuiError("there is no sound to write: .wav is for models that speak or play")
