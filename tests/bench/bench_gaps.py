"""How many gaps of held-out text models fill exactly, by what they see.

    python -m tests.bench gaps masked-shakespeare shakespeare [--gaps 200]
    python -m tests.bench gaps masked-python python

The gaps are of 1, 3 and 5 characters, with 100 characters of the first model's held-out text on
each side. A model of discrete diffusion decides the surest token first, with both sides in sight;
a model that was trained with gaps (`fim_rate`) reads both sides first and then writes; any other
reads the left side only and is given the number of tokens. All take the likeliest tokens. Printed
are the shares and the seconds of processor time a gap.
"""

import argparse
import time
from collections.abc import Sequence

import torch
from harness import machine, report_machine

from genui.engine.data.text import load_training_text
from genui.engine.load import find_and_load
from genui.engine.sample.text import TextGenerator
from genui.kinds.text_diffusion.metrics import LENGTHS, Gap, cut_gaps, share_filled
from genui.kinds.text_diffusion.sample import TextDiffusionGenerator
from genui.protocol import FILL, Start, TextSettings
from genui.recipes import TextRecipe
from genui.runs.models import find_model, read_header


@torch.inference_mode()
def share_continued(generator: TextGenerator, gaps: Sequence[Gap]) -> float:
    """The share that a model of the next token fills which sees the left side only."""
    right = 0
    for gap in gaps:
        token_ids = generator.tokenizer.encode(gap.before)
        target = generator.tokenizer.encode(gap.middle)
        for _ in target:
            logits = generator.model(torch.tensor([token_ids]))  # type: ignore[operator]
            token_ids.append(int(logits[0, -1].argmax()))
        right += token_ids[-len(target) :] == target
    return right / len(gaps)


def share_in_the_middle(generator: TextGenerator, gaps: Sequence[Gap]) -> float:
    """The share that a model fills which was trained with gaps, and ends them itself."""
    right = 0
    for gap in gaps:
        settings = TextSettings(temperature=0, tokens=16)
        prompt = f"{gap.before}{FILL}{gap.after}"
        start = Start(trace=0, model="", prompt=prompt, seed=0, settings=settings)
        state, started = generator.begin(start)
        text = started.prompt
        while not generator.finished(state):
            state, frame = generator.step(state)
            text += frame.text
        right += text == gap.before + gap.middle
    return right / len(gaps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--gaps", type=int, default=200)
    args = parser.parse_args()
    report_machine(machine())
    recipe = read_header(find_model(args.models[0]).path).recipe
    assert isinstance(recipe, TextRecipe)
    text = "\n".join(load_training_text(recipe).validation)
    for name in args.models:
        generator = find_and_load(name)
        if isinstance(generator, TextDiffusionGenerator):
            sees, fill = "both sides", lambda gaps, of=generator: share_filled(of, gaps)
        elif isinstance(generator, TextGenerator) and generator.tokenizer.gap is not None:
            sees, fill = "both", lambda gaps, of=generator: share_in_the_middle(of, gaps)
        else:
            assert isinstance(generator, TextGenerator)
            sees, fill = "left side", lambda gaps, of=generator: share_continued(of, gaps)
        for length in LENGTHS:
            begun = time.process_time()
            share = fill(cut_gaps(text, length, args.gaps))
            seconds = (time.process_time() - begun) / args.gaps
            print(f"{name:24} {sees:10} {length} characters  {share:6.1%}  {seconds:.3f} s a gap")


if __name__ == "__main__":
    main()
