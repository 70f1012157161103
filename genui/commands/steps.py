"""What every step of a trace was, and what a token attended to, for scripts and for reading."""

from typing import Any

import msgspec

from genui.commands import output
from genui.errors import MisuseError
from genui.protocol import Attention, Frame, ImageFrame, Start, TextFrame

STRONGEST = 12  # tokens that a person is shown


def facts(frame: Frame) -> dict[str, Any]:
    """A step as JSON: of a token its candidates and how the choice fell, of a picture its σ, of
    a walk where it is and the discriminator's score."""
    if isinstance(frame, TextFrame):
        told = msgspec.structs.asdict(frame)
        del told["trace"]
        return told | {"candidates": [msgspec.structs.asdict(c) for c in frame.candidates]}
    if isinstance(frame, ImageFrame) and frame.score is not None:
        return {"step": frame.step, "score": frame.score, "along": frame.along}
    if isinstance(frame, ImageFrame):
        return {"step": frame.step, "sigma": frame.sigma}
    return {"step": frame.step, **dict(frame.measures)}


def show_attention(start: Start, text: str, as_json: bool) -> None:
    """What the token of a step looked at: the strongest on average, or as JSON every head.

    Raises MisuseError for a step that the trace does not have, and for a model of pictures.
    """
    step = _step(text)
    from genui.engine.generate.attention import attention
    from genui.engine.generate.load import open_trace

    trace = open_trace(start)
    frames = list(trace.advance(0, step))
    told = attention(trace, step)
    weights = _weights(told)
    if as_json:
        output.emit({"step": step, "first": told.first, "tokens": told.texts, "weights": weights})
        return
    chosen = frames[-1]
    assert isinstance(chosen, TextFrame)
    output.note(f"what {chosen.text!r}, token {step}, looked at; average of all heads")
    heads = [head for layer in weights for head in layer]
    average = [sum(each) / len(heads) for each in zip(*heads, strict=True)]
    order = sorted(range(len(average)), key=lambda at: -average[at])[:STRONGEST]
    rows = [
        (repr(told.texts[at]), str(at - len(average)), f"{100 * average[at]:.1f} %") for at in order
    ]
    output.table(("token", "back", "share"), rows, right=(1, 2))


def _step(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 100_000:
        raise MisuseError(f"--attention {text}: give the step of a token, 1 or more")
    return int(text)


def _weights(told: Attention) -> list[list[list[float]]]:
    """[layers][heads][tokens]."""
    import numpy as np

    shape = (told.layers, told.heads, len(told.texts))
    return np.frombuffer(told.weights, np.float16).reshape(shape).astype(float).tolist()
