"""`genui generate`: text as it is written, a picture as it stands in the terminal or a file."""

import argparse
import base64
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from genui import __version__
from genui.commands import export, output
from genui.commands.parser import add_json
from genui.commands.settings import OPTIONS, seed_from, settings_for
from genui.errors import GenuiError, MisuseError
from genui.protocol import SAMPLERS, Frame, ImageFrame, Start, Started, TextFrame
from genui.recipes import DiffusionRecipe, TransformerRecipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from genui.runs.catalog import ModelInfo

MOST = 64  # samples of one command


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Without --seed one is drawn and printed on stderr, so that any sample can be repeated.\n"
        "A PNG carries its recipe: `genui show FILE` prints it.\n\n"
        "examples:\n"
        "  genui generate shakespeare --prompt $'JULIET:\\n' --temperature 0.7\n"
        "  genui generate icons --prompt 'green cat on white' --seed 7 -n 4 --out cats.png\n"
        "  genui generate last --prompt 'def '          the newest checkpoint of your newest run"
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a name that `genui models` lists, a run, RUN@STEP, or a .safetensors file",
    )
    parser.add_argument("--prompt", metavar="TEXT", help="the text to go on from, or the caption")
    parser.add_argument("--seed", metavar="N", help="the same seed gives the same sample")
    parser.add_argument(
        "-n",
        dest="count",
        metavar="COUNT",
        type=int,
        default=1,
        help=f"samples, from seeds N, N+1, … (at most {MOST})",
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="write to a .png or .txt file")
    add_json(parser, "one JSON line a sample")
    text = parser.add_argument_group("text models")
    text.add_argument("--tokens", metavar="N", help="how many to write")
    text.add_argument("--temperature", metavar="T", help="0 takes the likeliest token each time")
    text.add_argument("--top-k", metavar="K", help="only the K likeliest tokens (0: all)")
    text.add_argument("--top-p", metavar="P", help="only the likeliest that reach P together")
    image = parser.add_argument_group("picture models")
    image.add_argument("--steps", metavar="N", help="denoising steps")
    image.add_argument("--sampler", metavar="NAME", help=", ".join(SAMPLERS))
    image.add_argument("--guidance", metavar="G", help="how hard the caption pulls (1: as trained)")


def run(args: argparse.Namespace) -> int:
    from genui.runs.catalog import find_model

    model = find_model(args.model)
    given = {name: value for name in OPTIONS if (value := getattr(args, name)) is not None}
    settings = settings_for(model.medium, model.ref, given)
    if not 1 <= args.count <= MOST:
        raise MisuseError(f"-n {args.count}: between 1 and {MOST}")
    if args.out is not None:
        export.check_target(args.out, model.medium)
    if args.seed is None:
        seed = secrets.randbelow(1_000_000)
        output.note(f"--seed {seed}")
    else:
        seed = seed_from(args.seed)
    prompt = _default_prompt(model) if args.prompt is None else args.prompt
    ref = _pinned(model)
    starts = [
        Start(trace=i, model=ref, prompt=prompt, seed=seed + i, settings=settings)
        for i in range(args.count)
    ]
    if model.medium == "image":
        _pictures(model, starts, args.out, args.json)
    else:
        _texts(model, starts, args.out, args.json)
    return 0


def _default_prompt(model: "ModelInfo") -> str:
    """What the model's own recipe samples with while it trains."""
    from genui.runs.checkpoints import read_header

    recipe = read_header(model.path).recipe
    if isinstance(recipe, DiffusionRecipe):
        return next(iter(recipe.sample_captions), "")
    return recipe.sample_prompt if isinstance(recipe, TransformerRecipe) else ""


def _pinned(model: "ModelInfo") -> str:
    """The model by a name that still means these weights when the run has trained on."""
    if model.source != "run":
        return model.ref
    run = model.path.parent.parent.name
    return f"{run}@{model.step}"


def _recipe(model: "ModelInfo", starts: list[Start]) -> dict[str, Any]:
    """What makes these samples again."""
    return {
        "genui": __version__,
        "model": starts[0].model,
        "step": model.step,
        "parameters": model.parameters,
        "prompt": starts[0].prompt,
        "seed": starts[0].seed,
        "count": len(starts),
        "settings": msgspec.structs.asdict(starts[0].settings),
    }


def _frames(start: Start) -> Iterator[Started | Frame]:
    """The trace, with what the model has to say about the prompt as a remark."""
    from genui.engine.generate import stream

    for message in stream(start):
        if isinstance(message, Started) and message.note and start.trace == 0:
            output.note(message.note)
        yield message


# --- text ---------------------------------------------------------------------------


def _texts(model: "ModelInfo", starts: list[Start], out: Path | None, as_json: bool) -> None:
    written: list[str] = []
    for start in starts:
        live = out is None and not as_json
        if live and len(starts) > 1:
            output.say(f"--- seed {start.seed}")
        text = _write(start, live)
        written.append(text)
        if as_json:
            output.emit({**_recipe(model, [start]), "text": text}, indent=False)
    if out is not None:
        heads = [f"--- seed {s.seed}\n" if len(starts) > 1 else "" for s in starts]
        body = "".join(f"{head}{text}\n" for head, text in zip(heads, written, strict=True))
        export.write(out, body.encode())
        output.note(f"wrote {out}")


def _write(start: Start, live: bool) -> str:
    """One sample, prompt included; shown token by token where `live`."""
    from genui.render.sanitise import clean

    parts: list[str] = []
    try:
        for message in _frames(start):
            if isinstance(message, Started):
                parts.append(clean(message.prompt))
            elif isinstance(message, TextFrame):
                parts.append(clean(message.text))
            if live:
                sys.stdout.write(parts[-1])
                sys.stdout.flush()
    finally:
        if live and parts and not parts[-1].endswith("\n"):
            print(flush=True)
    return "".join(parts)


# --- pictures -----------------------------------------------------------------------


def _pictures(model: "ModelInfo", starts: list[Start], out: Path | None, as_json: bool) -> None:
    pictures: list[NDArray[np.uint8]] = []
    for start in starts:
        pictures.append(_draw(start, len(starts)))
        if as_json:
            data = export.png(pictures[-1], recipe := _recipe(model, [start]))
            recipe["png_base64"] = base64.b64encode(data).decode()
            output.emit(recipe, indent=False)
    if out is not None:
        sheet = export.grid(pictures, export.COLUMNS)
        export.write(out, export.png(sheet, _recipe(model, starts)))
        output.note(f"wrote {out}")
    elif not as_json:
        _print(pictures)


def _draw(start: Start, of: int) -> "NDArray[np.uint8]":
    """One finished picture, [H, W, 3], with its progress on stderr."""
    import numpy as np

    live = sys.stderr.isatty()
    total, last = 0, None
    for message in _frames(start):
        if isinstance(message, Started):
            total = message.total_steps
        elif isinstance(message, ImageFrame):
            last = message
            if live:
                which = f"picture {start.trace + 1}/{of}  " if of > 1 else ""
                sys.stderr.write(f"\r\x1b[K{which}step {last.step}/{total}")
                sys.stderr.flush()
    if live:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
    if last is None:
        raise GenuiError(f"{start.model}: no picture came; `genui doctor` says what is installed")
    return np.frombuffer(last.x, np.uint8).reshape(last.height, last.width, 3)


def _print(pictures: "list[NDArray[np.uint8]]") -> None:
    """The pictures in the terminal, as many in a row as fit."""
    from genui.commands.terminal import columns, draw

    across = max(1, columns() // pictures[0].shape[1])
    draw(export.grid(pictures, across))
