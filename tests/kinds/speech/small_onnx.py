"""A voice of piper in miniature: an ONNX file of a few hundred bytes, and its JSON.

Its sound has a sample for each phoneme id: the id, and noise times the first of the scales.
"""

import json
import struct
from collections.abc import Iterable
from pathlib import Path

LETTERS = "abcdefghijklmnopqrstuvwxyz ,.!?"
FLOAT, INT64 = 1, 7


def write_voice(path: Path, rate: int = 8000, inputs: Iterable[str] = ()) -> Path:
    """Write a voice that speaks letters; `inputs` are its inputs, if they differ."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_model(tuple(inputs) or ("input", "input_lengths", "scales")))
    table = {"_": [0], "^": [1], "$": [2]} | {c: [i + 3] for i, c in enumerate(LETTERS)}
    config = {
        "audio": {"sample_rate": rate},
        "phoneme_type": "text",
        "phoneme_id_map": table,
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
    }
    path.with_name(f"{path.name}.json").write_text(json.dumps(config))
    path.with_name("MODEL_CARD").write_text("# Model card\n\n* License: CC0\n")
    return path


def _model(inputs: tuple[str, ...]) -> bytes:
    nodes = [
        _node("Cast", ["input"], "ids", _bytes(1, b"to") + _int(3, FLOAT) + _int(20, 2)),
        _node("RandomNormalLike", ["ids"], "noise"),
        _node("Gather", ["scales", "first"], "scale"),
        _node("Mul", ["noise", "scale"], "scaled"),
        _node("Mul", ["scaled", "loudness"], "louder"),
        _node("Add", ["ids", "louder"], "output"),
    ]
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, b"voice")
    graph += _bytes(5, _tensor("first", INT64, struct.pack("<q", 0)))
    graph += _bytes(5, _tensor("loudness", FLOAT, struct.pack("<f", 10)))
    for name in inputs:
        kind = FLOAT if name == "scales" else INT64
        axes = ["one", "length"] if name == "input" else ["n_" + name]
        graph += _bytes(11, _value(name, kind, axes))
    graph += _bytes(12, _value("output", FLOAT, ["one", "length"]))
    return _int(1, 8) + _bytes(8, _bytes(1, b"") + _int(2, 13)) + _bytes(7, graph)


def _node(kind: str, inputs: list[str], output: str, attribute: bytes = b"") -> bytes:
    body = b"".join(_bytes(1, name.encode()) for name in inputs) + _bytes(2, output.encode())
    body += _bytes(3, output.encode()) + _bytes(4, kind.encode())
    return body + (_bytes(5, attribute) if attribute else b"")


def _tensor(name: str, kind: int, data: bytes) -> bytes:
    return _int(1, 1) + _int(2, kind) + _bytes(8, name.encode()) + _bytes(9, data)


def _value(name: str, kind: int, axes: list[str]) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, axis.encode())) for axis in axes)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _int(1, kind) + _bytes(2, shape)))


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])
