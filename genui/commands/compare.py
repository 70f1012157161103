"""`genui compare`: two generations in step, and the step at which they part."""

import argparse
from typing import Any

from genui.commands import output
from genui.commands.generate import add_start
from genui.commands.parser import add_json
from genui.commands.request import Asked, asked
from genui.commands.samples import Generated, generate
from genui.errors import MisuseError
from genui.protocol import ImageFrame, TextSettings
from genui.ui.compare import Gap, gap, gap_words, parting, token_words


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Two models begin from the same prompt, seed and settings; a saved file is generated\n"
        "again from its recipe, with its edits.\n\n"
        "examples:\n"
        "  genui compare emoji icons --prompt 'cat on black' --seed 7\n"
        "  genui compare heart.png other.png\n"
        "  genui compare run@400 run@1200 --prompt $'ROMEO:\\n'\n"
        "  genui compare fashion fashion-gan --probes"
    )
    for name in ("one", "other"):
        parser.add_argument(
            name, metavar="MODEL", help="a model, RUN@STEP, or a file that carries a recipe"
        )
    parser.add_argument(
        "--probes", action="store_true", help="measure both on their data instead (genui probes)"
    )
    add_start(parser)
    add_json(parser, "as JSON")


def run(args: argparse.Namespace) -> int:
    if args.probes:
        from genui.commands import probes

        return probes.table_of([args.one, args.other], as_json=args.json)
    one = _asked(args, args.one)
    if one.drawn is not None:
        args.seed = str(one.drawn)
        output.note(f"--seed {one.drawn}")
    other = _asked(args, args.other)
    kinds = [asked.kind.settings for asked in (one, other)]
    if (kinds[0] is TextSettings) != (kinds[1] is TextSettings):
        raise MisuseError(f"{args.one} and {args.other}: one draws and the other writes")
    made = [generate(asked.starts[0]) for asked in (one, other)]
    facts = _facts(made)
    if args.json:
        output.emit(facts)
        return 0
    _show(args, made, kinds[0] is not TextSettings)
    output.say(_words(facts, made))
    return 0


def _asked(args: argparse.Namespace, model: str) -> Asked:
    return asked(argparse.Namespace(**vars(args), model=model))


def _facts(made: list[Generated]) -> dict[str, Any]:
    """Where they part, how long each is, and how far apart two pictures are in the end."""
    facts: dict[str, Any] = {
        "part_at": parting([one.frames for one in made]),
        "steps": [one.frames[-1].step for one in made],
        "fingerprints": [one.started.fingerprint for one in made],
    }
    last = [one.frames[-1] for one in made]
    if isinstance(last[0], ImageFrame) and isinstance(last[1], ImageFrame):
        found = gap(last[0], last[1], "x")
        if found is not None:
            facts |= {"differing_pixels": found.share, "mean_difference": found.mean}
    else:
        facts["texts"] = [one.text for one in made]
    return facts


def _show(args: argparse.Namespace, made: list[Generated], pictures: bool) -> None:
    if pictures:
        from genui.commands.terminal import draw
        from genui.render.film import sheet
        from genui.saved.write import last_picture

        drawn = [last_picture(one.sample) for one in made]
        if drawn[0].shape == drawn[1].shape:
            draw(sheet(drawn, 2))
        else:
            for picture in drawn:
                draw(picture)
        return
    for name, one in zip((args.one, args.other), made, strict=True):
        output.say(f"--- {name}, seed {one.start.seed}")
        print(one.text)
    output.say("---")


def _words(facts: dict[str, Any], made: list[Generated]) -> str:
    """`they part at step 12: ‘e’ and ‘a’`."""
    at = facts["part_at"]
    if at is None:
        both = facts["steps"]
        if both[0] == both[1]:
            return f"identical, {both[0]} steps"
        return f"identical up to step {min(both)}, where one of them ends"
    words = f"they part at step {at}"
    if "mean_difference" not in facts:
        first = made[0].frames[0].step
        return f"{words}{token_words([one.frames[at - first] for one in made])}"
    found = Gap(facts["differing_pixels"], facts["mean_difference"])
    return f"{words}; in the end {gap_words(found)}"
