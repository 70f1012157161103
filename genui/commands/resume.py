"""`genui resume`: a paused run goes on, a stopped or dead one is started again."""

import argparse

from genui.commands import output
from genui.commands.parser import add_run
from genui.commands.steer import add_wait, ask


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A run that was stopped, failed or was killed goes on from its newest checkpoint\n"
        "and gives the same losses as one never interrupted.\n\n"
        "example:\n"
        "  genui resume last"
    )
    add_run(parser)
    add_wait(parser)


def run(args: argparse.Namespace) -> int:
    from genui.runs import launch
    from genui.runs.listing import find_run, summarise

    found = find_run(args.run_ref)
    summary = summarise(found)
    if summary.state == "paused":
        ask(found, "resume", args.wait)
    elif summary.state in ("running", "starting"):
        output.say(f"{found.id}: already {summary.state}")
    else:
        launch.resume(found)
        output.say(f"{found.id}: restarted; `genui inspect {found.id} --follow` watches it")
    return 0
