"""`genui resume`: a paused run goes on, a stopped or dead one is started again."""

import argparse

from genui.commands import output
from genui.commands.change import learning_rate
from genui.commands.parser import add_run
from genui.commands.steer import add_wait, ask


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A run that was stopped, failed or was killed goes on from its newest checkpoint\n"
        "and gives the same losses as one never interrupted.\n\n"
        "examples:\n"
        "  genui resume last\n"
        "  genui resume last --set learning_rate=1e-4   after a loss that became NaN"
    )
    add_run(parser)
    parser.add_argument(
        "--set",
        metavar="learning_rate=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="go on at another learning rate",
    )
    add_wait(parser)


def run(args: argparse.Namespace) -> int:
    from genui.runs import launch
    from genui.runs.listing import find_run, summarise

    found = find_run(args.run_ref)
    rate = learning_rate(found, args.settings) if args.settings else None
    summary = summarise(found)
    if summary.alive and rate is not None:
        ask(found, "rate", args.wait, rate)
    if summary.state == "paused":
        ask(found, "resume", args.wait)
    elif summary.state in ("running", "starting"):
        output.say(f"{found.id}: already {summary.state}")
    else:
        launch.resume(found, rate)
        output.say(f"{found.id}: restarted; `genui inspect {found.id} --follow` watches it")
    return 0
