"""Voices of piper: an ONNX file and its JSON, described without onnxruntime.

The network is VITS (Kim, Kong & Son 2021) as https://github.com/OHF-Voice/piper1-gpl exports it:
inputs `input` (phoneme ids), `input_lengths`, `scales` and, with several speakers, `sid`. The file
is a Protocol Buffers message; of it only names, shapes and lengths are read.
"""

import math
import mmap
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import open_regular, read_regular, sanitize, show
from genui.hub.formats import OpenModel

SUFFIX = ".onnx"
INPUTS = {"input", "input_lengths", "scales"}
LARGEST_CONFIG = 4 << 20  # bytes

_MODEL_GRAPH, _GRAPH_INITIALIZER, _GRAPH_INPUT = 7, 5, 11  # field numbers of onnx.proto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


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
    """The files that decide what a voice says."""
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
        stored="F32",
        licence=_licence(path.with_name("MODEL_CARD")),
        summary=sanitize(f"a voice{language}, {config.rate / 1000:g} kHz{speakers}", 80),
    )


def read_config(path: Path) -> VoiceConfig:
    """The JSON beside a voice. Raises MisuseError, one line, if it is damaged."""
    file = config_file(path)
    try:
        body = read_regular(file, LARGEST_CONFIG, "use the voice's own JSON", MisuseError)
        config = msgspec.json.decode(body, type=VoiceConfig)
    except FileNotFoundError:
        raise _unfit(path, f"{file.name} is missing", "copy it beside the voice") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = sanitize(str(error)).replace("`", "'")
        raise MisuseError(f"{show(file)}: is no voice's JSON ({reason}); copy it again") from None
    ids = [number for numbers in config.phoneme_id_map.values() for number in numbers]
    known = all(mark in config.phoneme_id_map for mark in "_^$")
    if not known or not all(0 <= number < 1 << 16 for number in ids):
        raise _unfit(path, "its JSON has no table of phonemes", "copy it again")
    if not 4000 <= config.rate <= 192_000:
        raise _unfit(path, f"its JSON says {config.rate} samples a second", "copy it again")
    return config


def _licence(card: Path) -> str:
    """The licence that a model card beside the voice states."""
    with suppress(GenuiError, OSError, UnicodeError):
        text = read_regular(card, 1 << 20, "").decode()
        if match := re.search(r"licen[cs]e[^:\n]*:\s*(\S[^\n]*)", text, re.IGNORECASE):
            return sanitize(match[1].strip(), 80)
    return ""


def _unfit(path: Path, fault: str, remedy: str) -> MisuseError:
    return MisuseError(f"{show(path)}: {fault}; {remedy}")


# --- The graph, as far as it is read ------------------------------------------------------------


def _count_parameters(path: Path) -> int:
    """The number of weights. Raises MisuseError if the file is cut or has other inputs."""
    irregular = _unfit(path, "it is not a regular file", "give the path of a voice")
    damaged = _unfit(path, "it is damaged or cut", "copy it again")
    try:
        with open_regular(path, irregular) as file, _mapped(file.fileno()) as data:
            names: set[str] = set()
            count = 0
            for field, begin, end in _fields(data, 0, len(data)):
                if field != _MODEL_GRAPH:
                    continue
                for inner, start, stop in _fields(data, begin, end):
                    if inner == _GRAPH_INITIALIZER:
                        count += _elements(data, start, stop)
                    elif inner == _GRAPH_INPUT:
                        names.add(_name(data, start, stop))
    except (ValueError, IndexError, UnicodeError):
        raise damaged from None
    if not names:
        raise damaged
    if not names >= INPUTS or not names <= {*INPUTS, "sid"}:
        some = sanitize(", ".join(sorted(names)[:6]), 100)
        raise _unfit(path, f"its inputs are {some}", "genui speaks with voices of piper alone")
    return count


def _mapped(descriptor: int) -> mmap.mmap:
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field, begin, end) of each field that has bytes; others are passed over.

    Raises ValueError if a field reaches beyond the end.
    """
    while at < end:
        tag, at = _varint(data, at, end)
        match tag & 7:
            case 0:
                _, at = _varint(data, at, end)
            case 1:
                at += 8
            case 5:
                at += 4
            case 2:
                size, at = _varint(data, at, end)
                if size > end - at:
                    raise ValueError("beyond the end")
                yield tag >> 3, at, at + size
                at += size
            case _:
                raise ValueError("no such type")
    if at != end:
        raise ValueError("beyond the end")


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("no number")


def _elements(data: mmap.mmap, at: int, end: int) -> int:
    """The number of elements of a TensorProto, whose field 1 has its dimensions."""
    shape: list[int] = []
    while at < end:
        tag, at = _varint(data, at, end)
        if tag >> 3 == 1 and tag & 7 == _VARINT:
            size, at = _varint(data, at, end)
            shape.append(size)
            continue
        if tag & 7 == _BYTES:
            size, at = _varint(data, at, end)
            if tag >> 3 == 1:  # packed
                stop = at + size
                while at < stop:
                    each, at = _varint(data, at, min(stop, end))
                    shape.append(each)
                continue
            at += size
        elif tag & 7 == _VARINT:
            _, at = _varint(data, at, end)
        else:
            at += {_FIXED64: 8, _FIXED32: 4}[tag & 7] if tag & 7 in (_FIXED64, _FIXED32) else end
    if at != end:
        raise ValueError("beyond the end")
    return math.prod(shape)


def _name(data: mmap.mmap, at: int, end: int) -> str:
    """The name of a ValueInfoProto, its field 1."""
    for field, begin, stop in _fields(data, at, end):
        if field == 1:
            return data[begin:stop].decode()
    return ""
