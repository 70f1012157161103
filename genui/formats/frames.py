"""Frames kept in a saved trace, so that they can be shown without the model.

They are packed with the worker's first reply about the trace. The noise that an image model
predicts is left out.
"""

import lzma
from collections.abc import Sequence

import msgspec

from genui.base.errors import GenuiError
from genui.formats.recipe import Digests, result_of
from genui.protocol import Frame, Started
from genui.protocol.kinds import decode_tagged

MAX_PACKED = 2 << 20
"""Bytes of packed frames that a file may hold."""
MAX_BYTES = 32 << 20
"""Bytes of frames, unpacked."""

_Kept = tuple[Started, list[Frame]]


def pack_frames(started: Started, frames: Sequence[Frame], effort: int = 0) -> bytes:
    """The frames of a trace that began as `started`; empty if they are too large to be kept.

    `effort` is the preset of LZMA, 0 to 9: a higher one takes longer and packs smaller.
    """
    data = msgspec.msgpack.encode((started, [frame.strip() for frame in frames]))
    packed = lzma.compress(data, preset=effort) if len(data) <= MAX_BYTES else b""
    return packed if len(packed) <= MAX_PACKED else b""


def unpack_frames(packed: bytes, result: Digests | None, name: str) -> _Kept:
    """Unpack the data of `pack_frames`: how the trace began, and its frames.

    Raises GenuiError, one line that begins with `name`, if there are none or they are damaged, too
    large, or not those of that result.
    """
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=4 * MAX_BYTES)
    try:
        data = unpacker.decompress(packed, MAX_BYTES)
        started, frames = msgspec.msgpack.decode(data, type=_Kept, dec_hook=decode_tagged)
    except (lzma.LZMAError, EOFError, ValueError):  # of msgspec, or an unknown kind of frame
        raise _not_kept(name) from None
    if not all(frame.is_whole for frame in frames) or result_of(frames) != result:
        raise _not_kept(name)
    return started, frames


def _not_kept(name: str) -> GenuiError:
    return GenuiError(f"{name}: keeps no frames, or they are damaged; play it again")
