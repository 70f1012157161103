"""Models and runs on disk as the app finds them, with nothing in the weights."""

import dataclasses
import io
import json
import math
import os
import time
from pathlib import Path

import numpy as np
from PIL import Image

from genui.base.text import split_words
from genui.recipes import RECIPES
from genui.runs.layout import RunDir, Status, create_run, write_status

CARDS = {
    "shakespeare": {
        "summary": "plays, a character at a time",
        "quality": {"validation": "1.44 nats/char"},
        "trained": {"minutes": 22, "machine": "2 cores"},
        "data": {"name": "tiny-shakespeare", "licence": "public domain"},
        "limitations": "Invents words now and then.",
        "sample": "ROMEO:\nI am here, my lord\nand gone",
    },
    "shakespeare-gru": {"summary": "plays of pythons, by a recurrent network"},
    "speakers": {"summary": "who speaks", "quality": {"accuracy": "45 %"}},
    "python-or-prose": {"summary": "Python, or English", "quality": {"accuracy": "95 %"}},
    "fashion-labels": {"summary": "which garment", "quality": {"accuracy": "92 %"}},
    "fashion-gan": {"summary": "clothing in grey", "quality": {"coverage": "0.8"}},
    "python": {"summary": "Python source", "quality": {"parses": "81 % parse"}},
    "emoji": {
        "summary": "colour emoji by name",
        "quality": {"retrieved first": "98 %"},
        "trained": {"minutes": 34, "machine": "2 cores"},
        "data": {"name": "Noto Color Emoji, 1,231 images", "licence": "OFL-1.1"},
        "limitations": "For its shapes such a model is a very good memory.",
    },
    "chorales": {"summary": "four voices after Bach", "quality": {"test loss": "0.42 nats"}},
    "voice": {"summary": "spoken digits", "quality": {"digit heard": "98 %"}},
    "video": {"summary": "icons in motion, 16 frames", "quality": {"motion": "95 %"}},
    "icons": {"summary": "icons, one colour on another", "quality": {"colours": "100 of 100"}},
}


def safetensors(recipe_name: str, step: int) -> bytes:
    """A whole, well-formed file with one small tensor."""
    captions = getattr(RECIPES[recipe_name], "sample_captions", ())
    metadata = {
        "format": 1,
        "recipe": dataclasses.asdict(RECIPES[recipe_name]),
        "step": step,
        "parameters": 4_750_000,
        "fingerprint": "0" * 16,
        "dataset": RECIPES[recipe_name].dataset,
        "words": sorted({word for caption in captions for word in split_words(caption)}),
    }
    header = {
        "__metadata__": {"genui": json.dumps(metadata)},
        "weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(8)


def ship(folder: Path, *names: str) -> None:
    """Puts shipped models into `folder`."""
    for name in names:
        place = folder / name
        place.mkdir(parents=True)
        (place / "model.safetensors").write_bytes(safetensors(name, 2400))
        (place / "card.json").write_text(json.dumps({"name": name, **CARDS.get(name, {})}))


def make_run(
    recipe: str = "shakespeare",
    name: str = "plays-2",
    state: str = "stopped",
    step: int = 1240,
    steps: int = 4000,
    error: str = "",
    checkpoint: bool = True,
) -> RunDir:
    """A run with metrics, a sample, a console and a checkpoint, and no trainer."""
    run = create_run(RECIPES[recipe], {"steps": str(steps)}, name)
    rng = np.random.default_rng(1)
    with run.metrics.open("w") as file:
        for at in range(1, step + 1):
            loss = 1.3 + 2.9 * math.exp(-at / 180) + 0.08 * rng.normal()
            record: dict[str, float] = {
                "step": at,
                "time": time.time() - (step - at) * 0.1,
                "loss": loss,
                "lr": 3e-3 * min(1, at / 50),
                "grad_norm": 0.4 + abs(rng.normal()) * 0.3,
            }
            if at % 100 == 0:
                record["val_loss"] = 1.6 + 2.6 * math.exp(-at / 200)
            file.write(json.dumps(record) + "\n")
    run.console.write_text("12:03:58 eval val 1.712 (best) in 2.1 s\n12:03:58 step 1,200 saved\n")
    if RECIPES[recipe].medium == "image":
        pixels = np.tile(rng.integers(40, 220, (2, 4, 1, 1, 3)), (1, 1, 32, 32, 1))
        grid = pixels.transpose(0, 2, 1, 3, 4).reshape(64, 128, 3).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(grid).save(buffer, "PNG")
        run.sample(max(1, step // 100 * 100), ".png").write_bytes(buffer.getvalue())
    else:
        text = "KING RICHARD:\nWhat say you to the wind that stands,\nAnd so my lord shall be.\n"
        run.sample(max(1, step // 100 * 100), ".txt").write_text(text)
    if checkpoint:
        run.checkpoint(step).write_bytes(safetensors(recipe, step))
    set_state(run, state, step, steps, error)
    return run


def set_state(run: RunDir, state: str, step: int, steps: int, error: str = "") -> None:
    """Rewrites status.json; live states need the lock too."""
    write_status(
        run,
        Status(
            state=state,  # type: ignore[arg-type]
            step=step,
            steps=steps,
            pid=os.getpid(),
            host=os.uname().nodename,
            heartbeat=time.time(),
            steps_per_s=10.0,
            units_per_s=5800.0,
            unit="tok/s",
            mfu=0.41,
            eta=252.0,
            val=1.712,
            loss=1.604,
            error=error,
        ),
    )
