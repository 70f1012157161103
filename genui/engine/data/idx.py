"""IDX, the array format of MNIST's files, plain or gzipped. Nothing in such a file is trusted.

Two zero bytes, a byte for the type, a byte for the number of dimensions, their sizes as
big-endian 32-bit integers, then the values (LeCun et al., http://yann.lecun.com/exdb/mnist).
"""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genui.errors import MisuseError
from genui.runs.disk import read_regular

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"
MOST_BYTES = 256 * 2**20  # unpacked


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, with that many dimensions.

    Raises MisuseError naming the file where it is missing, truncated, of another type or shape,
    or longer than it says.
    """
    body = read_regular(path, MOST_BYTES, "fetch it again", MisuseError)
    if body.startswith(GZIP_MAGIC):
        try:
            with gzip.open(io.BytesIO(body)) as file:
                body = file.read(MOST_BYTES + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise MisuseError(
                f"{path}: its gzip stream is cut off or broken; fetch it again"
            ) from None
    if len(body) > MOST_BYTES:
        raise MisuseError(f"{path}: unpacks to more than {MOST_BYTES >> 20} MiB; not read")
    if len(body) < 4 or body[:2] != b"\0\0":
        raise MisuseError(f"{path}: no IDX file (it begins with {body[:4].hex(' ') or 'nothing'})")
    if body[2] != UNSIGNED_BYTE:
        raise MisuseError(f"{path}: IDX type 0x{body[2]:02x}; only unsigned bytes (0x08) are read")
    if body[3] != dimensions:
        raise MisuseError(f"{path}: an IDX array of {body[3]} dimensions; {dimensions} are needed")
    start = 4 + 4 * dimensions
    if len(body) < start:
        raise MisuseError(f"{path}: cut off within its header; fetch it again")
    shape = struct.unpack(f">{dimensions}I", body[4:start])
    wanted = math.prod(shape)
    if len(body) - start != wanted:
        sizes = "×".join(map(str, shape))
        raise MisuseError(
            f"{path}: says {sizes} = {wanted:,} bytes and holds {len(body) - start:,}; "
            "fetch it again"
        )
    return np.frombuffer(body, np.uint8, offset=start).reshape(shape)
