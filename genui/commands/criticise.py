"""`genui criticise`: a model with a critic, which sifts what it draws by the thousand."""

import argparse

from genui.commands import output
from genui.commands.model_file import add_out, check_out
from genui.commands.parser import Parser
from genui.commands.progress import Progress


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
    add_out(parser)


def run(args: argparse.Namespace) -> int:
    check_out(args)
    from genui.engine.criticise import criticised
    from genui.engine.train.checkpoint import write_model

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
    write_model(args.out, tensors, described)
    told = described["critic"]
    output.note(
        f"wrote {args.model} with a critic of {len(told['captions'])} captions, fitted to "
        f"{told['drawn']:,} drawn pictures: genui generate {args.out} -n 1000 --out made/ uses it"
    )
    return 0
