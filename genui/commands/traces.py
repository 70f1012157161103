"""`genui traces`: the traces that were saved."""

import argparse
import time

from genui.commands import output
from genui.commands.parser import add_json
from genui.saved import Listed, SavedTree, list_trees


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The app saves a trace beside its model; `genui generate --trace FILE` anywhere.\n\n"
        "example:\n"
        "  genui traces --json | jq -r '.[].path'"
    )
    add_json(parser, "a JSON list")


def run(args: argparse.Namespace) -> int:
    found = list_trees()
    if args.json:
        output.emit(list(map(_as_dict, found)))
        return 0
    if not found:
        output.say("none yet: the app saves the trace you look at")
        return 0
    output.table(
        ("NAME", "MODEL", "STEPS", "BRANCHES", "SAVED", "FILE"),
        [_row(listed, listed.tree) for listed in found if listed.tree],
        right=(2, 3),
    )
    for listed in found:
        if listed.tree is None:
            output.note(listed.fault)
    return 0


def _row(listed: Listed, tree: SavedTree) -> tuple[str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(listed.changed))
    return (
        tree.name,
        tree.recipe.model,
        str(tree.steps),
        str(len(tree.branches)),
        when,
        str(listed.path),
    )


def _as_dict(listed: Listed) -> dict[str, object]:
    tree = listed.tree
    if tree is None:
        return {"path": str(listed.path), "saved": listed.changed, "fault": listed.fault}
    return {
        "path": str(listed.path),
        "saved": listed.changed,
        "name": tree.name,
        "model": tree.recipe.model,
        "fingerprint": tree.fingerprint,
        "prompt": tree.recipe.prompt,
        "steps": tree.steps,
        "branches": len(tree.branches),
    }
