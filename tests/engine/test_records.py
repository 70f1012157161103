"""The records that Home plays keep what their models generate."""

from pathlib import Path

import numpy as np
import pytest

from genui.engine.load import stream
from genui.engine.replay import prepare
from genui.formats import codec
from genui.formats.frames import unpack_frames
from genui.formats.trees import SavedTree
from genui.protocol import Frame, ImageFrame, TextFrame
from genui.protocol.kinds import weights_folders

RECORDS = sorted(
    (path for folder in weights_folders() for path in (folder / "records").glob("*.trace")),
    key=lambda path: path.stem,
)


def test_there_is_a_small_record_for_each_pane_of_home() -> None:
    assert {path.stem for path in RECORDS} >= {"canvas", "text"}
    assert sum(path.stat().st_size for path in RECORDS) < 3 << 19


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_the_frames_of_a_record_are_those_of_its_model(path: Path) -> None:
    """`genui replay` compares the digests (tests/net); this compares what Home shows."""
    file = codec.read(path)
    prepare(file.recipe, str(path))
    assert isinstance(file.content, SavedTree)
    _, kept = unpack_frames(file.content.frames, file.result, str(path))
    again = [one for one in stream(file.start) if isinstance(one, Frame)]
    assert len(kept) == len(again)
    for one, other in zip(kept, again, strict=True):
        if isinstance(one, TextFrame) and isinstance(other, TextFrame) and one.text != other.text:
            assert one.step > 1  # another processor rounds differently
            return
        assert difference(one, other) < 0.1


def difference(one: Frame, other: Frame) -> float:
    """How much two frames of one step differ: of images the mean colour as a share, of texts the
    surprisal in bits, of others the largest of their numbers."""
    match one, other:
        case ImageFrame(), ImageFrame():
            a, b = (np.frombuffer(frame.denoised, np.uint8).astype(float) for frame in (one, other))
            return float(np.abs(a - b).mean()) / 255
        case TextFrame(), TextFrame():
            assert [c.text for c in one.candidates[:1]] == [c.text for c in other.candidates[:1]]
            return abs(one.surprisal - other.surprisal)
    facts, others = one.facts(), other.facts()
    assert facts.keys() == others.keys()
    return max(abs(facts[name] - others[name]) for name in facts)
