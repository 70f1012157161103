"""Sound as it is saved: a WAV with the recipe in its comment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genui.errors import GenuiError
from genui.protocol import Frame, ImageFrame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REST = 0.5  # seconds between samples


@dataclass(frozen=True, eq=False)
class SoundFile:
    """What a saved WAV is heard as."""

    pcm: Any  # int32 [N], in -32768 to 32767
    rate: int  # samples a second


def encode(samples: Sequence[Sequence[Frame]], text: str, steps: Sequence[int] = ()) -> bytes:
    """The sound of each sample's last frame, or of that at the last of `steps`, in a WAV.

    Raises GenuiError where there is none.
    """
    import numpy as np

    from genui.render.wav import encode_wav

    heard = [_frame(frames, steps) for frames in samples]
    rate = heard[0].rate
    rest = np.zeros(round(REST * rate), np.int16)
    pieces = [piece for frame in heard for piece in (rest, _pcm(frame))][1:]
    return encode_wav(np.concatenate(pieces), rate, text)


def decode(data: bytes) -> tuple[SoundFile, str]:
    """The sound and the text of a WAV. Raises ValueError, a reason, where it is none."""
    import numpy as np

    from genui.render.wav import decode_wav

    samples, rate, text = decode_wav(data)
    return SoundFile(np.rint(samples * 32768).astype(np.int32), rate), text


def difference(one: SoundFile, other: SoundFile) -> tuple[float, int] | None:
    """From which second on two sounds differ, and by how much at most; None where nowhere."""
    import numpy as np

    count = min(len(one.pcm), len(other.pcm))
    apart = np.abs(one.pcm[:count] - other.pcm[:count])
    if (len(one.pcm), one.rate) == (len(other.pcm), other.rate) and not apart.any():
        return None
    at = int((apart > 0).argmax()) if apart.any() else count
    return at / one.rate, int(apart.max(initial=0))


def _frame(frames: Sequence[Frame], steps: Sequence[int]) -> ImageFrame:
    for frame in reversed(frames):
        wanted = not steps or frame.step == steps[-1]
        if wanted and isinstance(frame, ImageFrame) and frame.sound and frame.rate:
            return frame
    raise GenuiError("there is no sound here to write: a WAV is of a model that speaks")


def _pcm(frame: ImageFrame) -> "NDArray[np.int16]":
    import numpy as np

    return np.frombuffer(frame.sound, "<i2")
