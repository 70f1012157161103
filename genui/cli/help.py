"""`genui help`: the manual, one page for each topic.

The pages are the Markdown files of `genui/help` and of the kinds. The pages of keys and commands
are generated from the tables of the app and the shell, so they are never out of date.
"""

import argparse
import functools
import re
import sys
from itertools import chain

from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.late import late_imports
from genui.base.manual import Passage, find_passages, list_passages
from genui.cli import output
from genui.cli.commands import Commands
from genui.cli.parser import HelpFormatter
from genui.protocol.manual import read_page, replace_links, topics

with late_imports():
    from genui.ui import keys

WIDEST = 100  # columns of text

_MARKS = re.compile(r"\*\*|`")


def configure_help(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "topic", metavar="TOPIC", nargs="?", help="a page of the manual, or a command's name"
    )
    parser.add_argument(
        "--search", metavar="WORDS", nargs="+", help="find passages with all of these words"
    )
    parser.epilog = (
        "Without TOPIC the topics are listed. In the app F1 shows the same pages.\n\n"
        "examples:\n"
        "  genui help                        the topics\n"
        "  genui help images\n"
        "  genui help generate               a command: every option and examples\n"
        "  genui help --search guidance grid\n"
        "  genui help keys | less"
    )


def run_help(commands: Commands, args: argparse.Namespace) -> int:
    if args.search and args.topic:
        raise MisuseError("help: give a TOPIC or --search WORDS, not both")
    if args.search:
        words = " ".join(args.search)
        passages = chain.from_iterable(
            list_passages(topic, page(commands, topic)) for topic in topics()
        )
        found = find_passages(passages, words)
        if not found:
            raise GenuiError(f"help: no passage has all of '{words}'; genui help lists the topics")
        _print_passages(found)
    elif args.topic:
        _print_page(page(commands, args.topic))
    else:
        output.print_table(("TOPIC", ""), topics().items())
        output.note("genui help TOPIC prints a page; genui help --search WORDS finds passages")
    return 0


def page(commands: Commands, topic: str) -> str:
    """A page as Markdown: of a topic, or of a command.

    Raises MisuseError, one line with the nearest names, for any other word.
    """
    if topic == "keys":
        return keys.keys_markdown()
    if topic == "commands":
        return commands_markdown(commands)
    if topic in topics():
        return read_page(topic)
    if topic in commands.summaries():
        return command_markdown(commands, topic)
    known = {*topics(), *commands.summaries()}
    raise MisuseError(f"no topic '{topic}': {did_you_mean(topic, known)}; genui help lists them")


def commands_markdown(commands: Commands) -> str:
    """Every command with its options and examples, read from the parsers."""
    pages = (command_markdown(commands, name) for name in commands.summaries())
    return "\n".join([read_page("commands"), *pages])


def command_markdown(commands: Commands, name: str) -> str:
    """One command: its summary, options and examples, as in its --help."""
    parser = commands.parser(name)
    description, parser.description = parser.description, None
    parser.usage = argparse.SUPPRESS
    parser.formatter_class = functools.partial(
        HelpFormatter, width=min(WIDEST, output.columns()) - 4
    )
    body = parser.format_help().strip()
    return "\n".join([f"## genui {name}", "", description or "", "", "```text", body, "```", ""])


def _for_shell(text: str) -> str:
    """The text with links to other pages as the commands that print them."""
    return replace_links(text, lambda link: f"`genui help {link[2]}`")


def _print_page(text: str) -> None:
    """Prints Markdown, rendered if stdout is a terminal."""
    text = _for_shell(text)
    if not sys.stdout.isatty():
        print(text.rstrip())
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    on_any_ground = Theme({"markdown.code": "bold cyan", "markdown.code_block": "cyan"})
    console = Console(width=min(WIDEST, output.columns()), theme=on_any_ground)
    console.print(Markdown(text, code_theme="ansi_dark", hyperlinks=False))


def _print_passages(passages: list[Passage]) -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    for passage in passages:
        print(f"{bold}{passage.topic}{plain}: {passage.headings}")
        for line in _MARKS.sub("", _for_shell(passage.text)).splitlines():
            print(f"  {line}")
        print()
