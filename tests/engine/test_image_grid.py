"""Many images as one batch, a setting along either side."""

from typing import Any

import numpy as np
import pytest
import torch

from genui.base.errors import MisuseError
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.trace import Trace
from genui.protocol import (
    SAMPLERS,
    AddNoise,
    Axis,
    Edit,
    ImageFrame,
    ImageSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Start,
)

STEPS = 4


def axis(name: str, *values: str) -> Axis:
    return Axis(name=name, values=values)  # type: ignore[arg-type]


def asked(*axes: Axis, **settings: object) -> Start:
    chosen = ImageSettings(**({"steps": STEPS} | settings))  # type: ignore[arg-type]
    return Start(trace=1, model="m", prompt="cat", seed=1, settings=chosen, grid=axes)


def end(trace: Trace) -> ImageFrame:
    frame = list(trace.advance(0, 100))[-1]
    assert isinstance(frame, ImageFrame)
    return frame


def cells(frame: ImageFrame) -> np.ndarray:
    """[down, along, 32, 32, 3] of the predicted image."""
    image = np.frombuffer(frame.denoised, np.uint8).reshape(frame.height, frame.width, 3)
    return image.reshape(frame.height // 32, 32, frame.width // 32, 32, 3).swapaxes(1, 2)


def test_each_cell_is_the_image_of_its_own_settings(
    image_generator: DiffusionGenerator,
) -> None:
    """Up to the rounding that a batch of another shape brings."""
    x, y = axis("sampler", *SAMPLERS), axis("seed", "1", "7", "9")
    frame = end(Trace(image_generator, asked(x, y, guidance=3.0)))
    assert (frame.width, frame.height) == (len(SAMPLERS) * 32, 3 * 32)
    for column, sampler in enumerate(SAMPLERS):
        for row, seed in enumerate((1, 7, 9)):
            alone = Start(
                trace=2,
                model="m",
                prompt="cat",
                seed=seed,
                settings=ImageSettings(steps=STEPS, guidance=3.0, sampler=sampler),
            )
            (expected,) = cells(end(Trace(image_generator, alone)))[0]
            found = cells(frame)[row, column]
            assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("seed", ("1", "2", "3")),
        ("caption", ("cat", "dog", "")),
        ("guidance", ("1", "2.5", "8")),
        ("eta", ("0", "0.5", "1")),
        ("sampler", ("euler", "heun", "ddpm")),
    ],
)
def test_every_axis_matters(
    image_generator: DiffusionGenerator, name: str, values: tuple[str, ...]
) -> None:
    trace = Trace(image_generator, asked(axis(name, *values), sampler="ddim"))
    (row,) = cells(end(trace))
    assert len({cell.tobytes() for cell in row}) == 3


def test_samplers_that_move_alike_share_their_evaluations(
    image_generator: DiffusionGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    evaluate = image_generator._evaluate

    def counted(x: torch.Tensor, *inputs: Any, **also: Any) -> torch.Tensor:
        sizes.append(len(x))
        return evaluate(x, *inputs, **also)

    monkeypatch.setattr(image_generator, "_evaluate", counted)
    x, y = axis("sampler", "heun", "euler"), axis("eta", "0", "0.5", "1")
    trace = Trace(image_generator, asked(x, y))
    sizes.clear()
    list(trace.advance(0, 1))
    # Heun's own for its three, then one for all six; each with and without the caption.
    assert sizes == [2 * 3, 2 * 6]


@pytest.mark.parametrize(
    "edit",
    [
        SetSettings(ImageSettings(steps=STEPS, guidance=6.0)),
        SetSettings(ImageSettings(steps=9)),
        SetPrompt("dog"),
        AddNoise(to=0),
        AddNoise(to=0, mask=bytes(1023) + b"\x01"),
    ],
    ids=["guidance", "steps", "caption", "noise", "mask"],
)
def test_an_edit_reaches_every_cell(image_generator: DiffusionGenerator, edit: Edit) -> None:
    trace = Trace(image_generator, asked(axis("seed", "1", "2", "3")))
    list(trace.advance(0, 2))
    forked = trace.fork(2, 2, edit)
    changed = list(forked.advance(2, 99))[-1]
    assert isinstance(changed, ImageFrame)
    assert (cells(changed) != cells(end(trace))).any(axis=(2, 3, 4)).all()


@pytest.mark.parametrize(
    ("varied", "edit"),
    [
        (axis("seed", "1", "2"), SetSeed(5)),
        (axis("caption", "cat", "dog"), SetPrompt("dog")),
        (axis("guidance", "1", "2"), SetSettings(ImageSettings(steps=STEPS, guidance=9))),
        (axis("sampler", "ddim", "heun"), SetSettings(ImageSettings(steps=STEPS, sampler="ddpm"))),
    ],
)
def test_what_varies_cannot_be_set_for_all(
    image_generator: DiffusionGenerator, varied: Axis, edit: Edit
) -> None:
    trace = Trace(image_generator, asked(varied))
    with pytest.raises(MisuseError, match=f"{varied.name} varies along this grid"):
        trace.fork(2, 0, edit)


def test_an_unknown_word_of_any_caption_is_told(image_generator: DiffusionGenerator) -> None:
    trace = Trace(image_generator, asked(axis("caption", "cat", "zebra")))
    assert "zebra" in trace.started.note


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ((axis("seed", "1", "x"),), "seed 'x'"),
        ((axis("seed", "-1"),), "seed '-1'"),
        ((axis("seed", str(2**63)),), "seed '9223372036854775808'"),
        ((axis("guidance", "2", "21"),), "guidance '21'"),
        ((axis("guidance", "nan"),), "guidance 'nan'"),
        ((axis("eta", "1.5"),), "eta '1.5'"),
        ((axis("sampler", "hein"),), "sampler 'hein'.*did you mean 'heun'"),
        ((axis("seed", "1"), axis("seed", "2")), "seed is on both axes"),
        (
            (
                axis("seed", *map(str, range(13))),
                axis("guidance", *map(str, range(5))),
            ),
            "65 images: at most 64",
        ),
    ],
)
def test_a_grid_that_cannot_be_drawn_says_why(
    image_generator: DiffusionGenerator, axes: tuple[Axis, ...], message: str
) -> None:
    with pytest.raises(MisuseError, match=message) as raised:
        Trace(image_generator, asked(*axes))
    assert "\n" not in str(raised.value)


def test_a_value_that_does_not_fit_is_no_escape_to_the_terminal(
    image_generator: DiffusionGenerator,
) -> None:
    with pytest.raises(MisuseError) as raised:
        Trace(image_generator, asked(axis("seed", "\x1b[31m" + "9" * 500 + "x")))
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 120
