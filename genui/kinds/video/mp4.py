"""Clips as MP4, by ffmpeg if it is installed; the recipe is the file's comment.

The comment is read without ffmpeg, so the recipe can be shown on any machine.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genui.base.errors import GenuiError
from genui.formats import image
from genui.formats.codec import Codec
from genui.formats.recipe import TraceRecipe, recipe_text, to_json
from genui.formats.sample import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECONDS = 60  # time limit of ffmpeg
QUALITY = "10"  # libx264's constant rate factor: visually lossless
MAX_FRAMES = 4096  # decoded of one file
MAX_DECODED = 256 * 1024 * 1024  # bytes of ffmpeg's output


def ffmpeg() -> str:
    """The path of ffmpeg. Raises GenuiError if it is not installed."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise GenuiError(
            ".mp4: needs ffmpeg, which is not installed (as in: apt install ffmpeg); "
            "or end the name in .gif or .apng"
        )
    return program


def encode(frames: "Sequence[NDArray[np.uint8]]", text: str, rate: float) -> bytes:
    """Frames uint8 [H, W, 3] as H.264 at `rate` frames a second, with the text as the comment.

    A side with an odd number of pixels is padded by one. Raises GenuiError if ffmpeg is missing or
    fails.
    """
    height, width, _ = frames[0].shape
    with tempfile.TemporaryDirectory(prefix="genui-") as folder:
        # In a file: some recipes are longer than a command line may be.
        comment = Path(folder, "comment.txt")
        comment.write_text(f";FFMETADATA1\ncomment={_escaped(text)}\n", encoding="utf-8")
        target = Path(folder, "clip.mp4")
        shape = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}")
        looks = ("-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-threads", "1")
        _run(
            [
                *(ffmpeg(), "-v", "error", "-y", *shape, "-r", f"{rate:g}", "-i", "pipe:0"),
                *("-i", str(comment), "-map_metadata", "1", *looks),
                *("-crf", QUALITY, "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(target)),
            ],
            b"".join(frame.tobytes() for frame in frames),
        )
        return target.read_bytes()


def decode(data: bytes) -> "list[NDArray[np.uint8]]":
    """The frames of an MP4, uint8 [H, W, 3].

    Raises GenuiError if ffmpeg is missing, and ValueError, a reason without the file's name, if
    the file is damaged or too large.
    """
    with tempfile.TemporaryDirectory(prefix="genui-") as folder:
        target = Path(folder, "frames.apng")  # in a pipe it would lack the number of frames
        command = [
            *(ffmpeg(), "-v", "error", "-protocol_whitelist", "pipe", "-f", "mov", "-i", "pipe:0"),
            *("-protocol_whitelist", "file", "-frames:v", str(MAX_FRAMES)),
            *("-fs", str(MAX_DECODED), "-f", "apng", str(target)),
        ]
        try:
            _run(command, data)
            return image.read(target.read_bytes()).frames
        except (GenuiError, OSError) as error:
            raise ValueError(str(error)) from None


def encode_mp4(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    """The images of the view as a clip."""
    images = image.shown_images(samples, recipe)
    return encode(images, to_json(recipe), rate or image.rate_of(recipe))


def decode_mp4(data: bytes, name: str) -> "tuple[list[NDArray[np.uint8]], str]":
    """The frames, none without ffmpeg, and the recipe of an MP4. Raises GenuiError if it is
    damaged."""
    try:
        recipe = recipe_text(comment(data))
        return decode(data) if recipe and shutil.which("ffmpeg") else [], recipe
    except ValueError as error:
        raise GenuiError(f"{name}: cannot be read: {error}; write or copy it again") from None


def comment(data: bytes) -> str:
    """The comment in an MP4's metadata, or "". Raises ValueError if the file is not an MP4, or ends
    in it."""
    if data[4:8] != b"ftyp":
        raise ValueError("no MP4")
    found = _COMMENT.search(data)
    if found is None:
        return ""
    end = found.start(1) + int.from_bytes(found[1], "big")
    if end > len(data):
        raise ValueError("damaged or truncated")
    return data[found.end() : end].decode("utf-8", "replace")


_COMMENT = re.compile(rb"\xa9cmt(.{4})data\x00\x00\x00\x01.{4}", re.DOTALL)
"""The beginning of the box of a comment in UTF-8, with the size of its data, as iTunes and ffmpeg
write it (QuickTime File Format, "Metadata")."""


def _escaped(text: str) -> str:
    """Escapes the special characters of ffmpeg's metadata files."""
    return "".join(f"\\{c}" if c in "=;#\\\n" else c for c in text)


def _run(command: list[str], data: bytes) -> None:
    """Runs ffmpeg with `data` as its input. Raises GenuiError with its last line if it fails."""
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or f"took over {SECONDS} s"
        raise GenuiError(f"ffmpeg: {reason}; write a .gif or .apng instead") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["failed"]
        raise GenuiError(f"ffmpeg: {lines[-1][:160]}; write a .gif or .apng instead")


CODEC = Codec(
    suffix=".mp4",
    title="a clip for players",
    encode=encode_mp4,
    decode=decode_mp4,
    difference=image.compare_images,
    shows="animation",
    lossy=True,
    check_installed=ffmpeg,
    media_type="video/mp4",
)
