"""Syntax checks of unfinished Python: if it parses, where it breaks, if more text could complete
it."""

import ast
import codeop
import keyword
import re
import token
import warnings
from dataclasses import dataclass
from typing import Literal

MAX_CHARACTERS = 20_000
"""Longer texts are not checked: parsing would take longer than sampling a token."""


@dataclass(frozen=True)
class SyntaxCheck:
    """The result of a syntax check. Lines and columns count from 1."""

    state: Literal["parses", "unfinished", "breaks", "unchecked"]
    line: int = 0  # where it breaks, or the last line of an unfinished text
    column: int = 0  # of a break
    why: str = ""  # the message of the interpreter for a break

    @property
    def text(self) -> str:
        """As text: `parses`, `unfinished at line 7`, `breaks at line 4: invalid syntax`."""
        match self.state:
            case "parses":
                return "parses"
            case "unfinished":
                return f"unfinished at line {self.line}"
            case "breaks":
                return f"breaks at line {self.line}: {self.why}"
        return "too long to parse live"


def check_syntax(source: str) -> SyntaxCheck:
    """Check `source`. A last line without a newline is unfinished, not broken, as is an open block,
    bracket or string.
    """
    if len(source) > MAX_CHARACTERS:
        return SyntaxCheck("unchecked")
    whole = _compile(source)
    if whole.state == "parses" or source.endswith("\n"):
        return whole
    head = source[: source.rfind("\n") + 1]
    before = _compile(head)
    return before if before.state == "breaks" else SyntaxCheck("unfinished", head.count("\n") + 1)


def may_continue(source: str) -> bool:
    """Whether `source` is a prefix of valid Python.

    It may end anywhere, also inside a word, a number, an operator or a string. True of a text that
    is too long to check.
    """
    if len(source) > MAX_CHARACTERS:
        return True
    line = source[source.rfind("\n") + 1 :]
    if not line.strip():  # the indentation may still change
        return _compile(source[: len(source) - len(line)]).state != "breaks"
    if _continues(source) or (source.endswith("\\") and _continues(source[:-1])):
        return True
    result = _compile(source)
    if result.why.startswith("unterminated") and result.line == source.count("\n") + 1:
        return True  # an open string of one line
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
    """Whether more may follow in the same line: ended by a backslash it has no syntax error."""
    return _compile(source + " \\").state != "breaks"


def find_break(source: str, result: SyntaxCheck) -> int:
    """The index in `source` of the character at the break."""
    lines = source.split("\n")
    line = min(max(result.line, 1), len(lines)) - 1
    column = min(max(result.column - 1, 0), max(len(lines[line]) - 1, 0))
    return sum(len(text) + 1 for text in lines[:line]) + column


def _compile(source: str) -> SyntaxCheck:
    """Parse with the interpreter, which distinguishes incomplete from invalid input."""
    flags = ast.PyCF_ONLY_AST | codeop.PyCF_ALLOW_INCOMPLETE_INPUT  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings
            compile(source, "<text>", "exec", flags)
    except SyntaxError as error:
        last = source.rstrip("\n").count("\n") + 1
        if error.msg == "incomplete input":
            return SyntaxCheck("unfinished", last)
        line = min(error.lineno or last, last)
        return SyntaxCheck("breaks", line, error.offset or 1, error.msg.partition(" (")[0])
    except (ValueError, RecursionError, MemoryError) as error:
        return SyntaxCheck("breaks", 1, 1, str(error) or "too deep to read")
    return SyntaxCheck("parses")
