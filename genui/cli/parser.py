"""argparse with one-line errors, and options that many commands share."""

import argparse
import re
import textwrap
from typing import Any, NoReturn

import msgspec

from genui.base.errors import MisuseError
from genui.base.text import from_text

_REMARK = re.compile(r"(\s*\S.*?\S {2,})(\S.*)")  # an example or a name, and what it does
_MISSING = "the following arguments are required: "  # argparse
_NO_VALUE = ": expected one argument"  # argparse
_NUMBERS = {int: "a whole number", float: "a number"}


class HelpFormatter(argparse.HelpFormatter):
    """Wraps the description and epilog as well.

    An indented line stays a line; its remark, after two spaces or more, wraps under its column.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for paragraph in text.split("\n\n"):
            prose: list[str] = []
            for line in [*paragraph.splitlines(), " "]:
                if not line.startswith(" "):
                    prose.append(line)
                    continue
                # Names with hyphens are copied: they stay whole.
                lines += textwrap.wrap(" ".join(prose), width, break_on_hyphens=False)
                lines += _wrap_remark(line, width)
                prose = []
        return "\n".join(indent + line for line in lines[:-1])


def _wrap_remark(line: str, width: int) -> list[str]:
    parts = _REMARK.fullmatch(line)
    if len(line) <= width or parts is None:
        return [line.rstrip()]
    begin, remark = parts.groups()
    if begin.count("'") % 2:  # the spaces are inside a quoted word
        return [line]
    if len(begin) > width * 2 // 3:
        indent = " " * 8
        return [begin.rstrip(), *textwrap.wrap(remark, width, initial_indent=indent,
                                               subsequent_indent=indent)]  # fmt: skip
    return textwrap.wrap(remark, width, initial_indent=begin, subsequent_indent=" " * len(begin))


class Parser(argparse.ArgumentParser):
    """Takes options only by full name, raises on errors, in the words of the app."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=HelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Raises MisuseError with the fault and the command for help."""
        fault = message.removeprefix("argument ")
        if fault.startswith(_MISSING):
            names = fault.removeprefix(_MISSING)
            fault = f"{names} {'are' if ', ' in names else 'is'} missing"
        if fault.endswith(_NO_VALUE):
            option = fault.removesuffix(_NO_VALUE)
            fault = f"{option}: expected a value; write {option}='…' if it begins with a dash"
        raise MisuseError(f"{fault}; see {self.prog} --help")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """The value of an argument; a wrong number is reported as a setting's would be."""
        if action.type not in _NUMBERS:
            return super()._get_value(action, arg_string)
        try:
            return from_text(arg_string, action.type)
        except msgspec.ValidationError:
            expected = _NUMBERS[action.type]
            message = f"expected {expected}, not {arg_string!r}"
            raise argparse.ArgumentError(action, message) from None


def add_json(parser: argparse.ArgumentParser, what: str = "as JSON") -> None:
    parser.add_argument("--json", action="store_true", help=f"print {what}")


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_ref", metavar="RUN", help="a run's id, its name, the start of either, or 'last'"
    )
