"""The commands of the shell by name: their summaries and parsers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from genui import __version__
from genui.base.late import late_imports

with late_imports():
    from genui.cli import parser as cli_parser
    from genui.protocol import kinds

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from genui.base.command import Command

EXAMPLES = """\
examples:
  genui                                        open the app
  genui tour                                   learn it in five minutes
  genui generate shakespeare --prompt 'ROMEO:'
  genui generate icons --prompt 'red heart on black'
  genui train shakespeare --set steps=500
  genui inspect last --follow
  genui help                                   the manual, by topic
"""


class Commands:
    """The commands of genui itself, and those of kinds of models (`Kind.commands`)."""

    def __init__(self, own: "Mapping[str, Command]") -> None:
        self._own = own

    def find(self, name: str) -> "Command | None":
        """Find a command; plug-ins are loaded only if none that is built in has the name."""
        if name in self._own:
            return self._own[name]
        return next((k.commands[name] for k in kinds.KINDS.values() if name in k.commands), None)

    def summaries(self) -> dict[str, str]:
        """Return every command with its summary: those of genui, then those of its kinds. Loads no
        plug-in."""
        commands = dict(self._own)
        for kind in kinds.KINDS.list_built_in():
            commands |= kind.commands
        return {name: command.summary for name, command in commands.items()}

    def parser(self, name: str) -> "ArgumentParser":
        """Return the parser of one command, with the command's name in `args.command`."""
        command = self.find(name)
        assert command is not None
        configure, run = command.opens()
        parser = cli_parser.Parser(
            prog=f"genui {name}",
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
        )
        configure(parser)
        parser.set_defaults(run=run, command=name)
        return parser

    def overall_parser(self) -> "ArgumentParser":
        """Return the parser of `genui --help` and `--version`; each command has its own."""
        commands = self.summaries()
        width = max(map(len, commands))
        listed = [f"  {name:{width}}  {summary}" for name, summary in commands.items()]
        parser = cli_parser.Parser(
            prog="genui",
            description="A laboratory for generative models in a terminal. "
            "Without a command it opens the app.",
            epilog="\n".join(["commands:", *listed, "", EXAMPLES]),
        )
        parser.add_argument(
            "--plugin",
            metavar="FILE",
            help="run a Python file that adds recipes, datasets and more (genui help extend)",
        )
        parser.add_argument("--version", action="version", version=f"genui {__version__}")
        parser.add_argument(
            "command",
            metavar="COMMAND",
            nargs="?",
            help="one of the commands below; each has its own --help",
        )
        return parser
