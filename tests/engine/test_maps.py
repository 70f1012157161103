"""Maps over an image: the attention of its places to each word, and channels."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.engine.sample.trace import Trace
from genui.protocol import Axis, ImageSettings, Maps, ReadMaps, Start
from genui.protocol.messages import MapView

if TYPE_CHECKING:
    from genui.engine.sample.diffusion import DiffusionGenerator

START = Start(trace=1, model="tiny", prompt="cat, dog", seed=1, settings=ImageSettings(steps=3))


def _trace(generator: "DiffusionGenerator", start: Start = START) -> Trace:
    trace = Trace(generator, start)
    list(trace.advance(0, 3))
    return trace


def _maps(trace: Trace, step: int, view: MapView) -> tuple[Maps, np.ndarray]:
    maps = trace.answer(ReadMaps(trace=1, step=step, view=view))
    values = np.frombuffer(maps.values, np.float16)
    return maps, values.reshape(len(maps.names), maps.side, maps.side).astype(np.float32)


@pytest.mark.parametrize("step", [0, 2, 3])
def test_each_place_has_a_share_of_attention_for_each_word(
    image_generator: "DiffusionGenerator", step: int
) -> None:
    maps, shares = _maps(_trace(image_generator), step, "words")
    assert maps.names == ("cat", "dog")
    assert maps.side == 32 // 8
    assert (shares > 0).all()
    assert shares.sum(0).max() < 1  # the rest goes to other places and to words that are not there
    assert np.ptp(shares) > 0


def test_looking_inside_changes_no_bits(image_generator: "DiffusionGenerator") -> None:
    looked, other = _trace(image_generator), _trace(image_generator)
    _maps(looked, 1, "words")
    frames = [trace.generator.frame(trace.state(3)) for trace in (looked, other)]
    assert frames[0] == frames[1]


def test_channels_are_those_of_the_prediction(image_generator: "DiffusionGenerator") -> None:
    trace = _trace(image_generator)
    maps, values = _maps(trace, 3, "channels")
    assert maps.names == ("1", "2", "3")
    denoised = trace.state(3).denoised[0].numpy() / (2 * image_generator.model.sigma_data)
    np.testing.assert_allclose(values, denoised.clip(-1, 1), atol=1e-3)


def test_a_grid_is_refused(image_generator: "DiffusionGenerator") -> None:
    trace = _trace(image_generator, replace(START, grid=(Axis(name="seed", values=("1", "2")),)))
    with pytest.raises(MisuseError, match="draw one"):
        _maps(trace, 1, "words")
