"""argparse with one-line errors, and options that many commands share."""

import argparse
from typing import Any, NoReturn

from genui.base.errors import MisuseError


class Parser(argparse.ArgumentParser):
    """Takes options only by full name, preserves line breaks in examples, raises on errors."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options
        )

    def error(self, message: str) -> NoReturn:
        """Raises MisuseError with the fault and the command for help."""
        raise MisuseError(f"{message}; see {self.prog} --help")


def add_json(parser: argparse.ArgumentParser, what: str = "as JSON") -> None:
    """Adds `--json`, for scripts."""
    parser.add_argument("--json", action="store_true", help=f"print {what}")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds the argument RUN."""
    parser.add_argument(
        "run_ref", metavar="RUN", help="a run's id, its name, the start of either, or 'last'"
    )
