"""Whether a text is copied: its longest run that stands word for word in the training text."""

from functools import lru_cache

import numpy as np

from genui.engine.data.text import load_text
from genui.engine.generate.text import TextGenerator, TextState
from genui.engine.generate.trace import Trace
from genui.engine.probes.verbatim import SHORTEST, Verbatim
from genui.protocol import Neighbours, Quote
from genui.recipes import TextRecipe
from genui.render.sanitise import clean

AROUND = 60  # bytes shown before and after the run, where it stands in the training text


@lru_cache(maxsize=2)
def training_text(dataset: str, data: str) -> tuple[str, Verbatim]:
    """What was trained on, in a few words, and its index; errors as `load_text` has them."""
    text = load_text(dataset, data)
    index = Verbatim([document.encode("utf-8", "replace") for document in text.train])
    count = sum(map(len, text.train))
    part = "" if index.whole else f", of which the first {len(index.data) >> 20} MB were read"
    return f"{text.name}, {count:,} characters{part}", index


def nearest_text(recipe: TextRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The longest run of what was written (not of the prompt) that the training text has.

    `count` is of pictures. Raises MisuseError or GenuiError where the data cannot be read.
    """
    generator, state = trace.generator, trace.state(step)
    assert isinstance(generator, TextGenerator)
    assert isinstance(state, TextState)
    data, index = training_text(recipe.dataset, recipe.data)
    pieces = [
        generator.tokenizer.token_bytes(t) for t in state.token_ids.since(state.prompt).tolist()
    ]
    run = index.longest(b"".join(pieces))
    measured = f"word for word; runs under {SHORTEST} bytes are not looked for"
    if not run.length:
        return Neighbours(trace=0, step=0, data=data, measured=measured)
    ends = np.cumsum([len(piece) for piece in pieces])
    first = int(np.searchsorted(ends, run.start, "right"))
    last = int(np.searchsorted(ends, run.start + run.length, "left"))
    end = run.place + run.length
    text, line = index.where(run.place)
    many = len(index.starts) > 1
    quote = Quote(
        text=_shown(index.data[run.place : end]),
        first=first + 1,
        last=last + 1,
        where=f"line {line:,}" + (f" of document {text:,} of {len(index.starts):,}" * many),
        before=_shown(index.data[max(0, run.place - AROUND) : run.place].rpartition(b"\0")[2]),
        after=_shown(index.data[end : end + AROUND].partition(b"\0")[0]),
    )
    return Neighbours(trace=0, step=0, data=data, measured=measured, quote=quote)


def _shown(raw: bytes) -> str:
    """Bytes of UTF-8, cut anywhere, as text that is safe to show."""
    return clean(raw.decode("utf-8", "ignore"))
