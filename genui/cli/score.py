"""`genui score`: how probable a text is to a model, and how surprising each of its tokens."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from genui.base.errors import MisuseError
from genui.base.files import read_regular
from genui.base.late import late_imports
from genui.base.numbers import count, quantity, value
from genui.cli import output
from genui.cli.parser import add_json
from genui.formats.text import plain_text

with late_imports():
    from genui.engine.metrics import score

if TYPE_CHECKING:
    from genui.engine.metrics.score import Score

LARGEST = 16 << 20  # bytes
SHOWN = 20  # tokens
BIT = math.log(2)  # nats


def configure_score(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A text longer than the model's context is read in windows: before each token the model\n"
        "reads half a window or more. The Text pane shows a file in colours: Score a file in the\n"
        "palette. Discrete diffusion is scored in blocks of one token: only that is exact.\n\n"
        "examples:\n"
        "  genui score shakespeare sonnet.txt\n"
        "  genui score smollm2 notes.txt --json | jq .bits_per_character\n"
        "  genui score run@1200 notes.txt --tokens"
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a model that writes text, also by discrete diffusion"
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a text in UTF-8, up to 16 MiB")
    parser.add_argument("--tokens", action="store_true", help="every token, not the 20 rarest")
    add_json(parser, "as JSON, with every token")


def run_score(args: argparse.Namespace) -> int:
    data = read_regular(args.file, LARGEST, "name a text of up to 16 MiB")
    text = plain_text(data, str(args.file))
    if not text:
        raise MisuseError(f"{args.file}: is empty; name a text")
    with output.ProgressLine() as progress:
        progress.show(f"loading {args.model}")

        def tell(done: int, of: int) -> None:
            progress.show(f"{done:,}/{of:,} tokens")

        found = score.score_text(args.model, text, tell)
    if found.left_out:
        output.note(
            f"this model has no {found.left_out[:40]!r}: left out of the text and its probability"
        )
    if args.json:
        output.print_json(_as_dict(args.model, found))
    else:
        _print(args.model, found, args.tokens)
    return 0


def _as_dict(model: str, found: "Score") -> dict[str, object]:
    nats = float(found.nats.sum(dtype=float))
    return {
        "model": model,
        "characters": found.characters,
        "left_out": found.left_out,
        "nats": nats,
        "bits": nats / BIT,
        "bits_per_character": nats / BIT / found.characters,
        "bits_per_token": nats / BIT / len(found.token_ids),
        "perplexity": math.exp(min(nats / len(found.token_ids), 700)),
        "tokens": [
            {"token": token, "text": text, "nats": surprise}
            for token, text, surprise in zip(
                found.token_ids, found.texts, found.nats.tolist(), strict=True
            )
        ],
    }


def _print(model: str, found: "Score", everything: bool) -> None:
    """Prints the sums, then the tokens: the most surprising, or all in their order."""
    sums = _as_dict(model, found)
    length = f"{quantity(len(found.texts), 'token')}, {quantity(found.characters, 'character')}"
    output.print_facts(
        [
            ("text", length),
            ("log-probability", f"-{sums['nats']:,.1f} nats, -{sums['bits']:,.1f} bits"),
            ("a character", f"{sums['bits_per_character']:.3f} bits"),
            ("a token", f"{sums['bits_per_token']:.3f} bits, perplexity {sums['perplexity']:,.2f}"),
        ]
    )
    output.print_line()
    order = range(len(found.texts)) if everything else (-found.nats).argsort()[:SHOWN].tolist()
    rows = (
        (count(at + 1), repr(found.texts[at])[1:-1], value(float(found.nats[at]) / BIT))
        for at in order
    )
    output.print_table(("NUMBER", "TOKEN", "BITS"), rows, right=(0, 2))
