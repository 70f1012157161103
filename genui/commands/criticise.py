"""`genui criticise`: a model with a critic, which sifts what it draws by the thousand."""

import argparse
import json
import os
from pathlib import Path

from genui.commands import output
from genui.commands.export import check_file
from genui.commands.parser import Parser
from genui.commands.progress import Progress
from genui.errors import MisuseError

SUFFIX = ".safetensors"


def configure(parser: Parser) -> None:
    parser.epilog = (
        "The critic is logistic regression between real and drawn pictures, a caption at a time,\n"
        "on what the classifiers see in real ones that they never learned from. A folder that the\n"
        "model draws is then sifted by it (genui generate --rejection; Azadi et al. 2019).\n\n"
        "examples:\n"
        "  genui train fashion-labels --name first --set half=first\n"
        "  genui train fashion-labels --name second --set half=second\n"
        "  genui generate MODEL -n 30000 --rejection 0 --out pool/\n"
        "  genui criticise MODEL --drawn pool/ --by first second --out sifted.safetensors"
    )
    parser.add_argument("model", metavar="MODEL", help="RUN, RUN@STEP, a shipped model or a file")
    parser.add_argument(
        "--drawn", metavar="FOLDER", nargs="+", required=True, help="pictures that it drew"
    )
    parser.add_argument(
        "--by",
        metavar="CLASSIFIER",
        nargs="+",
        required=True,
        help="classifiers that each learned from a half of the same data",
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help=f"where to write it: {SUFFIX}"
    )
    parser.add_argument("--force", action="store_true", help="replace what is there")


def run(args: argparse.Namespace) -> int:
    check_file(args.out, "--out", (SUFFIX,), "a model")
    if os.path.lexists(args.out) and not args.force:
        raise MisuseError(f"--out {args.out}: is there already; --force replaces it")
    from genui.engine.criticise import criticised
    from genui.engine.train.checkpoint import write_tensors

    progress = Progress()
    try:
        tensors, described = criticised(
            args.model,
            args.drawn,
            args.by,
            lambda done, of: progress.show(f"looked at {done:,} of {of:,} pictures"),
        )
    finally:
        progress.clear()
    write_tensors(args.out, tensors, {"genui": json.dumps(described)})
    told = described["critic"]
    output.note(
        f"wrote {args.model} with a critic of {len(told['captions'])} captions, fitted to "
        f"{told['drawn']:,} drawn pictures: genui generate {args.out} -n 1000 --out made/ uses it"
    )
    return 0
