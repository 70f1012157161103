"""The shipped model of Python beside its baselines: prediction, functions and gaps.

    python tests/bench/bench_code.py [--model python] [--functions 200] [--gaps 400] [--json]

- Bits a byte of the held-out modules, beside `xz -9e` that has read the training text first.
- How many of 200 top-level functions do not parse (as the app writes code: temperature 0.5,
  top-p 0.9, repetition penalty 1.1, DRY 0.8, held to Python's grammar, to its end or for 1,000
  tokens), beside the same without DRY and grammar.
- How often the likeliest tokens for a gap are the identifier of a held-out module
  that stood there, beside always naming the most frequent identifier of the training modules.
  The identifiers are drawn from all occurrences; keywords, builtins and single letters are none.
"""

import argparse
import sys

import numpy as np
from harness import Figure, machine, report

from genui.engine.data.text import load_text
from genui.engine.load import find_and_load
from genui.engine.metrics import language
from genui.engine.sample.text import TextGenerator
from genui.engine.train.language import encode_documents, held_out_loss

BATCH = 16
MAX_BROKEN = 20.0  # % of the functions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="python", help="a model of code, or a run (python)")
    parser.add_argument("--functions", type=int, default=200, metavar="N", help="(200)")
    parser.add_argument("--gaps", type=int, default=400, metavar="N", help="(400)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    before = machine()
    generator = find_and_load(args.model)
    assert isinstance(generator, TextGenerator)
    data = load_text("python")
    held = "".join(data.validation).encode()
    tokens = encode_documents(generator.tokenizer, data.validation)
    nats = held_out_loss(generator.model, tokens, generator.machine, BATCH)
    xz = language.xz_bits_per_byte("".join(data.train).encode(), held)
    figures = [
        Figure(
            "held-out modules",
            nats * len(tokens) / len(held) / np.log(2),
            "bits/byte",
            peer=xz,
            peer_name="xz -9e that has read the training text",
            limit=xz,
        )
    ]
    broken, free = (
        [
            not language.parses(source)
            for source in language.functions(generator, args.functions, how)
        ]
        for how in (language.USUAL, language.FREE)
    )
    figures.append(
        Figure(
            f"of {args.functions} functions do not parse",
            100 * float(np.mean(broken)),
            "%",
            peer=100 * float(np.mean(free)),
            peer_name="without the grammar and DRY",
            limit=MAX_BROKEN,
        )
    )
    if generator.tokenizer.gap is not None:
        masked = language.masked_identifiers(data.validation, args.gaps)
        usual = language.most_frequent(data.train)
        figures.append(
            Figure(
                f"{len(masked)} identifiers restored",
                100 * float(np.mean(language.restore_names(generator, masked))),
                "%",
                peer=100 * float(np.mean([one.name == usual for one in masked])),
                peer_name=f"always '{usual}'",
            )
        )
    report(before, figures, args.json)
    if any(figure.limit is not None and figure.value > figure.limit for figure in figures):
        sys.exit(1)


if __name__ == "__main__":
    main()
