"""Metrics of discrete diffusion on text: bounds, gaps and the variety of words."""

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genui.engine.data.text import load_training_text
from genui.engine.train.language import encode_documents
from genui.kinds.text_diffusion.recipe import TextDiffusionRecipe
from genui.kinds.text_diffusion.sample import TextDiffusionGenerator, write
from genui.kinds.text_diffusion.settings import TextDiffusionSettings
from genui.kinds.text_diffusion.task import measure_bound
from genui.protocol import FILL

BLOCKS = (1, 4, 16, 64)
GAPS, LENGTHS = 200, (1, 3, 5)
AROUND = 100
"""Characters of held-out text on each side of a gap."""
SAMPLES = 8


def measure_text_diffusion(
    generator: TextDiffusionGenerator, recipe: TextDiffusionRecipe
) -> dict[str, str]:
    """Bounds on the held-out text by block length, gaps filled exactly, and distinct words."""
    data = load_training_text(recipe)
    held = encode_documents(generator.tokenizer, data.validation)
    text = "\n".join(data.validation)

    def bound(length: int) -> float:
        nats = measure_bound(generator.model, held, generator.machine, recipe.noise, length)
        return nats * len(held) / len(text)

    nats = bound(recipe.context)
    shorter = ", ".join(f"{length} {bound(length):.3f}" for length in BLOCKS)
    gaps = {length: cut_gaps(text, length, GAPS) for length in LENGTHS}
    both, left = (
        ", ".join(f"{share_filled(generator, of, sides):.0%}" for of in gaps.values())
        for sides in (True, False)
    )
    return {
        "bound": f"at most {nats:.3f} nats/char, {nats / np.log(2):.3f} bits, {recipe.context} "
        "tokens a block",
        "by block length": f"at most, in nats/char: {shorter}; 1 is exact",
        "gaps": f"{both} of {GAPS} gaps of 1, 3 and 5 characters filled exactly; with the left "
        f"side only {left}",
        "distinct words": measure_variety(generator, recipe.sample_prompt, text),
    }


def measure_variety(generator: TextDiffusionGenerator, prompt: str, held: str) -> str:
    """The share of distinct words in samples by order, beside as much held-out text."""
    settings, begun, shares, size = TextDiffusionSettings(), time.monotonic(), {}, 0
    for order in ("random", "confidence"):
        texts = [
            write(generator, prompt, seed, TextDiffusionSettings(order=order))
            for seed in range(SAMPLES)
        ]
        shares[order], size = distinct(texts), sum(map(len, texts))
    seconds = (time.monotonic() - begun) / (2 * SAMPLES)
    listed = ", ".join(f"by {order} {share:.0%}" for order, share in shares.items())
    return (
        f"{listed}, held-out {distinct([held[:size]]):.0%}; {SAMPLES} texts of {settings.tokens} "
        f"tokens in {settings.steps} steps, {seconds:.1f} s each"
    )


def distinct(texts: Sequence[str]) -> float:
    """The share of the words of texts that are different ones."""
    words = re.findall(r"[\w']+", " ".join(texts).lower())
    return len(set(words)) / max(1, len(words))


# --- Gaps -------------------------------------------------------------------------------------


class Gap(NamedTuple):
    """A held-out passage: what stands before a gap, in it and after it."""

    before: str
    middle: str
    after: str


def cut_gaps(text: str, length: int, count: int) -> list[Gap]:
    """`count` gaps of so many characters at random places of a text."""
    rng = np.random.default_rng((0, length))
    starts = rng.integers(AROUND, len(text) - AROUND - length, size=count)
    return [
        Gap(text[at - AROUND : at], text[at : at + length], text[at + length :][:AROUND])
        for at in starts.tolist()
    ]


def share_filled(
    generator: TextDiffusionGenerator, gaps: Sequence[Gap], both_sides: bool = True
) -> float:
    """The share of gaps that are filled exactly, with the surest token first, one at a step; with
    the left side only, from left to right."""
    right = 0
    for gap in gaps:
        tokens, after = len(generator.tokenizer.encode(gap.middle)), gap.after * both_sides
        settings = TextDiffusionSettings(
            gap=tokens,
            steps=tokens,
            temperature=0,
            order="confidence",
            block=256 if both_sides else 1,
        )
        text = write(generator, gap.before + FILL + after, 0, settings)
        right += text == gap.before + gap.middle + after
    return right / len(gaps)
