"""Safetensors headers: whole, truncated, foreign and hostile."""

import json
import os
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_makers import a_run, add_checkpoint, checkpoint_bytes, safetensors

from genui.base.errors import GenuiError, MisuseError
from genui.runs.layout import checkpoint_steps
from genui.runs.models import newest_checkpoint, read_header

TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
OURS = {"genui": json.dumps({"format": 1, "recipe": {"family": "transformer", "medium": "text"}})}


def test_a_whole_header(tmp_path: Path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(checkpoint_bytes(120, fingerprint="abc", val=1.5))
    header = read_header(path)
    assert (header.step, header.recipe.family, header.dataset) == (
        120,
        "transformer",
        "shakespeare",
    )
    assert (header.fingerprint, header.metadata["val"]) == ("abc", 1.5)
    assert header.parameters == 6  # counted from the shapes where not said


BAD = {
    "empty": (b"", "truncated"),
    "short": (b"\x00\x01", "truncated"),
    "cut in header": (checkpoint_bytes()[:40], "truncated inside its header"),
    "cut in data": (checkpoint_bytes()[:-1], "truncated"),
    "data too long": (checkpoint_bytes() + b"x", "damaged"),
    "huge header": (struct.pack("<Q", 2**63) + b"{}", "not safetensors"),
    "text": (b"To be, or not to be, that is the question", "not safetensors"),
    "not json": (safetensors(b"\x00\x01\x02"), "not that of a safetensors"),
    "a list": (safetensors([1, 2]), "not that of a safetensors"),
    "deep": (safetensors(b'{"a":' * 50_000), "not that of a safetensors"),
    "foreign": (safetensors({"w": TENSOR}, bytes(8)), "not written by genui"),
    "negative shape": (safetensors({"w": TENSOR | {"shape": [-1]}}, bytes(8)), "not that of"),
    "many dimensions": (safetensors({"w": TENSOR | {"shape": [2**61] * 99}}), "not that of"),
    "claims much": (safetensors({"w": TENSOR | {"data_offsets": [0, 2**61]}}), "truncated"),
    "metadata not text": (safetensors({"__metadata__": {"genui": 3}}), "not that of"),
    "metadata not json": (safetensors({"__metadata__": {"genui": "{"}}), "metadata is damaged"),
    "no recipe": (safetensors({"__metadata__": {"genui": '{"format":1}'}}), "is damaged"),
    "newer": (checkpoint_bytes(format=2), "format 2"),
    "family": (checkpoint_bytes(recipe={"family": "\x1b[2J" * 99}), "family"),
    "recipe": (safetensors({"__metadata__": OURS}), "does not fit family"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line_naming_it_and_the_fault(tmp_path: Path, case: str):
    content, fault = BAD[case]
    path = tmp_path / "bad\nname.safetensors"
    path.write_bytes(content)
    with pytest.raises(MisuseError, match=fault) as caught:
        read_header(path)
    assert str(caught.value).isprintable()
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value)) < 600


@given(st.data())
def test_a_file_with_a_byte_changed_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    content = bytearray(checkpoint_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    path.write_bytes(content)
    with suppress(MisuseError):
        assert read_header(path).step >= 0


def test_what_is_no_file_is_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MisuseError, match="not a regular file"):
        read_header(tmp_path / "pipe")
    with pytest.raises(GenuiError, match="cannot read"):
        read_header(tmp_path / "absent")
    with pytest.raises(GenuiError):
        read_header(tmp_path)


def test_a_runs_checkpoints_in_order_of_steps():
    run = a_run()
    assert checkpoint_steps(run) == []
    assert newest_checkpoint(run) is None
    for step in (100, 123_456_789, 200):
        add_checkpoint(run, step)
    (run.checkpoints / "step-x.safetensors").touch()
    (run.checkpoints / ".step-00000900.safetensors.12.aside").touch()
    assert checkpoint_steps(run) == [100, 200, 123_456_789]


def test_the_newest_whole_checkpoint_is_taken():
    run = a_run()
    add_checkpoint(run, 100)
    add_checkpoint(run, 200)
    add_checkpoint(run, 300, checkpoint_bytes(300)[:-5])
    newest = newest_checkpoint(run)
    assert newest is not None
    assert newest.step == 200
