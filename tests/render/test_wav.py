"""WAV files: what is written comes back, and what is no WAV is told apart in words."""

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.formats.audio import decode_wav, encode_wav, to_pcm

TONE = (0.5 * np.sin(np.arange(400) / 5)).astype(np.float32)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A RIFF file of these chunks."""
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def form(coding: int, bits: int, channels: int = 1, rate: int = 8000) -> bytes:
    block = channels * bits // 8
    return struct.pack("<HHIIHH", coding, channels, rate, rate * block, block, bits)


def coded(coding: int, bits: int) -> bytes:
    """TONE in that coding."""
    if coding == 3:
        return TONE.astype(f"<f{bits // 8}").tobytes()
    if bits == 8:
        return (TONE * 127 + 128).astype(np.uint8).tobytes()
    whole = (TONE.astype(np.float64) * (2 ** (bits - 1) - 1)).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()


@given(st.lists(st.integers(-32768, 32767), min_size=1), st.text(max_size=80))
def test_sixteen_bits_and_the_text_come_back_exactly(values: list[int], text: str) -> None:
    pcm = np.array(values, np.int16)
    text = text.replace("\0", "").encode("utf-8", "replace").decode()
    found = decode_wav(encode_wav(pcm, 8000, text))
    np.testing.assert_array_equal(found.samples * 32768, pcm)
    assert (found.rate, found.text) == (8000, text)


@pytest.mark.parametrize(("coding", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
def test_every_usual_coding_is_read(coding: int, bits: int) -> None:
    found = decode_wav(riff((b"fmt ", form(coding, bits)), (b"data", coded(coding, bits))))
    np.testing.assert_allclose(found.samples, TONE, atol=0.02)  # a step of eight bits, and its end


def test_an_extensible_header_names_its_coding_further_on() -> None:
    head = form(0xFFFE, 16) + struct.pack("<HHIH", 22, 16, 0, 1) + bytes(14)
    found = decode_wav(riff((b"fmt ", head), (b"data", coded(1, 16))))
    np.testing.assert_allclose(found.samples, TONE, atol=1e-3)


def test_channels_are_averaged() -> None:
    pcm = np.array([[100, 300], [-100, -300]], np.int16)
    found = decode_wav(encode_wav(pcm, 44100, ""))
    np.testing.assert_allclose(found.samples * 32768, [200, -200])


def test_a_streamed_file_holds_what_follows() -> None:
    data = bytearray(encode_wav(to_pcm(TONE), 8000, "recipe"))
    at = data.rindex(b"data")
    data[at + 4 : at + 8] = b"\xff\xff\xff\xff"  # its writer could not go back
    found = decode_wav(bytes(data))
    assert (len(found.samples), found.text) == (len(TONE), "recipe")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is not a WAV file"),
        (b"ID3\x03" * 20, "is not a WAV file"),
        (b"RIFF\0\0\0\0AVI ", "is not a WAV file"),
        (riff((b"data", b"\0\0")), "has no format chunk"),
        (riff((b"fmt ", form(1, 16)[:9]), (b"data", b"\0\0")), "has no format chunk"),
        (riff((b"fmt ", form(1, 16))), "has no sound"),
        (riff((b"fmt ", form(1, 16)), (b"data", b"")), "has no sound"),
        (riff((b"fmt ", form(1, 16)), (b"data", b"\0")), "has no sound"),
        (riff((b"fmt ", form(7, 8)), (b"data", b"\0\0")), "µ-law; convert it to 16-bit PCM"),
        (riff((b"fmt ", form(1, 12)), (b"data", b"\0\0")), "has 12 bits a sample"),
        (riff((b"fmt ", form(1, 16, channels=0)), (b"data", b"\0\0")), "0 channels"),
        (riff((b"fmt ", form(1, 16, rate=0)), (b"data", b"\0\0")), "0 samples a second"),
        (riff((b"fmt ", form(3, 32)), (b"data", b"\xff" * 8)), "are not numbers"),
        (riff((b"fmt ", form(3, 64)), (b"data", struct.pack("<d", 1e300))), "are not numbers"),
        (encode_wav(to_pcm(TONE), 8000, "")[:-90], "is truncated: it has 710 of 800 bytes"),
    ],
)
def test_what_cannot_be_heard_is_told(data: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        decode_wav(data)


def test_an_hour_is_refused_by_its_length() -> None:
    hour = riff((b"fmt ", form(1, 8)), (b"data", bytes(8000 * 3600)))
    with pytest.raises(ValueError, match=r"lasts 3,600.0 s; cut it to at most 30 s"):
        decode_wav(hour, 30)


@given(st.data())
def test_no_change_to_a_file_raises_anything_else(data: st.DataObject) -> None:
    whole = bytearray(encode_wav(to_pcm(TONE[:40]), 8000, "a text"))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(0, len(whole))) :]
    with contextlib.suppress(ValueError):
        found = decode_wav(bytes(whole), 60)
        assert found.samples.ndim == 1
        assert np.isfinite(found.samples).all()
