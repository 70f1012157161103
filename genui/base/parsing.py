"""Whether Python that is still being written parses, where it stops, and what may follow."""

import ast
import codeop
import keyword
import re
import token
import warnings
from dataclasses import dataclass
from typing import Literal

MOST_CHARACTERS = 20_000
"""A longer text takes longer to read than there is between two tokens."""


@dataclass(frozen=True)
class Parsing:
    """How a text stands as Python. Lines and columns count from 1."""

    state: Literal["parses", "unfinished", "breaks", "unchecked"]
    line: int = 0  # of a break: where; of what is unfinished: the last
    column: int = 0  # of a break
    why: str = ""  # of a break, as the interpreter says it

    @property
    def words(self) -> str:
        """For a person: `parses`, `unfinished at line 7`, `breaks at line 4: invalid syntax`."""
        match self.state:
            case "parses":
                return "parses"
            case "unfinished":
                return f"unfinished at line {self.line}"
            case "breaks":
                return f"breaks at line {self.line}: {self.why}"
        return "too long to parse live"


def parsing(source: str) -> Parsing:
    """How `source` stands. A last line without its newline is still being written, and what
    begins a block, a bracket or a string may still end it: that is unfinished, not broken.
    """
    if len(source) > MOST_CHARACTERS:
        return Parsing("unchecked")
    whole = _read(source)
    if whole.state == "parses" or source.endswith("\n"):
        return whole
    head = source[: source.rfind("\n") + 1]
    before = _read(head)
    return before if before.state == "breaks" else Parsing("unfinished", head.count("\n") + 1)


def viable(source: str) -> bool:
    """Whether `source` is the beginning of some Python, however it may go on.

    It may end anywhere, in the middle of a word, a number, an operator or a string. True of
    what is too long to read between two tokens.
    """
    if len(source) > MOST_CHARACTERS:
        return True
    line = source[source.rfind("\n") + 1 :]
    if not line.strip():  # how far the next line is indented is still open
        return _read(source[: len(source) - len(line)]).state != "breaks"
    if _continues(source) or (source.endswith("\\") and _continues(source[:-1])):
        return True
    found = _read(source)
    if found.why.startswith("unterminated") and found.line == source.count("\n") + 1:
        return True  # a string in one line, which is not over yet
    last = _LAST.search(source)
    if last is None:
        return False
    word = last[0]
    if word[0].isdigit():
        return _continues(source + "0")  # 0x, 1e
    if word.isidentifier():  # it may become a keyword, or stop being one
        longer = [one for one in _KEYWORDS if one.startswith(word) and one != word]
        return any(_continues(source + end) for end in ("_", *(w[len(word) :] for w in longer)))
    return any(
        _continues(source[: -len(part)] + operator)
        for part in {word[-1:], word[-2:]}
        for operator in token.EXACT_TOKEN_TYPES
        if operator.startswith(part) and operator != part
    )


_LAST = re.compile(r"(\w+|[^\w\s]+)\Z")
_KEYWORDS = (*keyword.kwlist, *keyword.softkwlist)


def _continues(source: str) -> bool:
    """Whether more may follow in the same line: the parser reaches its end, which is left open
    by a backslash, without having met anything wrong."""
    return _read(source + " \\").state != "breaks"


def position(source: str, found: Parsing) -> int:
    """Where in `source` the break is, as a number of characters from its beginning."""
    lines = source.split("\n")
    line = min(max(found.line, 1), len(lines)) - 1
    column = min(max(found.column - 1, 0), max(len(lines[line]) - 1, 0))
    return sum(len(text) + 1 for text in lines[:line]) + column


def _read(source: str) -> Parsing:
    """As the interpreter's parser says, which tells what is incomplete from what is wrong."""
    flags = ast.PyCF_ONLY_AST | codeop.PyCF_ALLOW_INCOMPLETE_INPUT  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings
            compile(source, "<text>", "exec", flags)
    except SyntaxError as error:
        last = source.rstrip("\n").count("\n") + 1
        if error.msg == "incomplete input":
            return Parsing("unfinished", last)
        line = min(error.lineno or last, last)
        return Parsing("breaks", line, error.offset or 1, error.msg.partition(" (")[0])
    except (ValueError, RecursionError, MemoryError) as error:
        return Parsing("breaks", 1, 1, str(error) or "too deep to read")
    return Parsing("parses")
