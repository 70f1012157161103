"""Recipes and frames as they are saved."""

import hashlib
import json
from pathlib import Path

import msgspec
import numpy as np

from genui.formats import codec
from genui.formats import recipe as saved
from genui.formats.codec import Sample
from genui.formats.recipe import ExportView, Machine
from genui.protocol import (
    AddNoise,
    Axis,
    EditAt,
    ImageFrame,
    ImageSettings,
    RgbImage,
    SetSeed,
    Start,
    Started,
    TextFrame,
    TextSettings,
)

MACHINE = Machine(device="cpu", precision="fp32", threads=1, processor="a", torch="2.13")
SIDE = 4
START = Start(
    trace=3,
    model="icons",
    prompt="red heart — ♥",
    seed=7,
    settings=ImageSettings(steps=2, guidance=1.1),
    edits=(
        EditAt(step=1, edit=AddNoise(to=0, mask=bytes([0, 1] * 8))),
        EditAt(step=2, edit=SetSeed(9)),
    ),
    init="/some/image.png",
    strength=0.3,
    grid=(Axis(name="guidance", values=("1", "2")),),
)
STARTED = Started(
    trace=3,
    model="icons",
    family="diffusion",
    medium="image",
    prompt=START.prompt,
    total_steps=2,
    init=RgbImage(width=2, height=1, rgb=b"abcdef"),
    fingerprint="0123456789abcdef",
)


def image_frames(seed: int = 0) -> list[ImageFrame]:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, SIDE * SIDE * 3)).astype(np.uint8)
    return [
        ImageFrame(
            trace=3, step=i, sigma=1.0, width=SIDE, height=SIDE, x=x.tobytes(), denoised=x.tobytes()
        )
        for i, x in enumerate(pixels)
    ]


def text_frames(*texts: str) -> list[TextFrame]:
    return [
        TextFrame(trace=0, step=i, token=i, text=text, surprisal=1.0, entropy=1.0, candidates=())
        for i, text in enumerate(texts, 1)
    ]


def image_recipe(view: ExportView | None = None) -> saved.TraceRecipe:
    result = saved.result_of(image_frames())
    return saved.recipe_of(START, STARTED, MACHINE, result, view=view)


def text_recipe(*texts: str) -> saved.TraceRecipe:
    start = Start(trace=0, model="plays", prompt="A", seed=1, settings=TextSettings())
    result = saved.result_of(text_frames(*texts))
    return saved.recipe_of(start, msgspec.structs.replace(STARTED, init=None), MACHINE, result)


def written(tmp_path: Path, kind: str, view: ExportView | None = None) -> Path:
    path = tmp_path / f"x.{kind}"
    samples = [Sample(7, "A", image_frames())]
    path.write_bytes(codec.encode(path.suffix, samples, image_recipe(view)))
    return path


def as_once_written(text: str | bytes) -> str:
    """A recipe, or a trace, as an earlier version wrote and sealed it: with `rejection`."""
    fields = json.loads(text)
    recipe = fields.get("recipe", fields)
    recipe["settings"]["rejection"] = 2.0
    for sealed in (recipe, fields):
        data = msgspec.json.encode(sealed | {"digest": ""})
        sealed["digest"] = hashlib.sha256(data).hexdigest()
    return json.dumps(fields)
