"""The header of a GGUF file: what it says, and one line for what is damaged or hostile."""

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genui.base.errors import MisuseError
from genui.hub import formats
from genui.kinds.open_text.gguf import describe, read_gguf, recognise


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    axes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + axes + struct.pack("<IQ", kind, offset)


LLAMA = entry("general.architecture", 8, text("llama"))
NAMES = entry("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("b"))


def build(
    entries: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    data: int = 4096,
    head: bytes = b"GGUF" + struct.pack("<I", 3),
    counts: tuple[int, int] | None = None,
) -> bytes:
    """A file; `counts` are claimed in place of the numbers of tensors and entries."""
    entries = [LLAMA, NAMES] if entries is None else entries
    tensors = [tensor("token_embd.weight", (32, 4))] if tensors is None else tensors
    claimed = counts or (len(tensors), len(entries))
    header = head + struct.pack("<QQ", *claimed) + b"".join([*entries, *tensors])
    return header + bytes(-len(header) % 32) + bytes(data)


def test_a_file_is_described_without_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    entries = [
        LLAMA,
        entry("general.name", 8, text("Tiny\x1b[2J")),
        entry("general.license", 8, text("mit")),
        entry("llama.context_length", 4, struct.pack("<I", 2048)),
        entry("tokenizer.chat_template", 8, text("{{ messages }}")),
        NAMES,
    ]
    path.write_bytes(build(entries, [tensor("a", (64, 4), 8), tensor("b", (32,), 0, 512)]))
    model = formats.describe(path)
    assert model.format == formats.format_of(path) == "gguf"
    assert model.name == "Tiny\N{REPLACEMENT CHARACTER}[2J"
    assert (model.parameters, model.stored, model.context) == (64 * 4 + 32, "Q8_0", 2048)
    assert (model.licence, model.chat, model.size) == ("mit", True, path.stat().st_size)


def test_arrays_and_shapes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(build())
    file = read_gguf(path)
    assert file.metadata["tokenizer.ggml.tokens"] == ["a", "b"]
    assert file.tensors["token_embd.weight"].shape == (4, 32)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "not GGUF": (b"GGUX" + bytes(100), "does not begin"),
    "empty": (b"GGUF", "truncated"),
    "version 1": (build(head=b"GGUF" + struct.pack("<I", 1)), "version 1"),
    "big-endian": (build(head=b"GGUF" + struct.pack(">I", 3)), "big-endian"),
    "many tensors": (build(counts=(1 << 60, 2)), "claims"),
    "many entries": (build(counts=(1, 1 << 62)), "claims"),
    "a long key": (build([struct.pack("<Q", 1 << 63)]), "truncated"),
    "a long text": (build([entry("k", 8, struct.pack("<Q", 1 << 50))]), "truncated"),
    "a long array": (build([entry("k", 9, struct.pack("<IQ", 4, 1 << 61))]), "claims"),
    "many entries in a large file": (
        build([entry("k", 9, struct.pack("<IQ", 0, 1 << 23))], data=1 << 24), "more than",
    ),
    "a long array of texts": (build([entry("k", 9, struct.pack("<IQ", 8, 1 << 40))]), "claims"),
    "nested arrays": (build([entry("k", 9, struct.pack("<IQ", 9, 4))]), "type 9"),
    "an unknown type": (build([entry("k", 77, b"")]), "type 77"),
    "an alignment of 0": (
        build([LLAMA, entry("general.alignment", 4, bytes(4))]),
        "alignment",
    ),
    "an alignment as text": (
        build([LLAMA, entry("general.alignment", 8, text("x"))]),
        "alignment",
    ),
    "no axes": (build(tensors=[tensor("a", ())]), "0 axes"),
    "many axes": (build(tensors=[text("a") + struct.pack("<I", 1 << 31) + bytes(64)]), "axes"),
    "an empty axis": (build(tensors=[tensor("a", (32, 0))]), "shape"),
    "part of a block": (build(tensors=[tensor("a", (33, 4), 8)]), "shape"),
    "a huge shape": (build(tensors=[tensor("a", (1 << 40, 1 << 40))]), "truncated"),
    "an unknown quantisation": (build(tensors=[tensor("a", (32, 4), 99)]), "type 99"),
    "beyond the end": (build(tensors=[tensor("a", (32, 4), 0, 1 << 40)]), "truncated"),
    "no tensors": (build(tensors=[]), "no tensors"),
    "another architecture": (
        build([entry("general.architecture", 8, text("mamba\n"))]),
        "mamba",
    ),
    "a mixture of experts": (
        build([LLAMA, entry("llama.expert_count", 4, struct.pack("<I", 8))]),
        "mixture of experts",
    ),
    "one part of several": (
        build([LLAMA, entry("split.count", 2, struct.pack("<H", 3))]),
        "llama-gguf-split",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_damaged_or_hostile_file_is_one_line(tmp_path: Path, case: str) -> None:
    path = tmp_path / "bad.gguf"
    content, fault = HOSTILE[case]
    path.write_bytes(content)
    with pytest.raises(MisuseError, match=fault) as caught:
        describe(path)
    line = str(caught.value)
    assert "bad.gguf: " in line
    assert "; " in line
    assert line.isprintable()


def test_a_file_cut_anywhere_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    whole = build(data=512)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(MisuseError, match=r"truncated|claims|begin"):
            read_gguf(path)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_other_bytes_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(build(data=512))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, 200))] = data.draw(st.integers(0, 255))
    path = tmp_path / "other.gguf"
    path.write_bytes(content)
    with suppress(MisuseError):
        describe(path)
        read_gguf(path)


def test_what_is_no_gguf_file_is_not_recognised(tmp_path: Path) -> None:
    missing, folder = tmp_path / "missing.gguf", tmp_path
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGU")
    assert not any(map(recognise, (missing, folder, other)))
