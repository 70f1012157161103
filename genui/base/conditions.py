"""Conditions on values with names, as of `--until` and the filter of runs: `loss<2 and acc>=90%`.

A comparison is a name, a sign and a number or text; several are joined by and, or, not and
parentheses.
"""

import math
import operator
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from genui.base.errors import MisuseError
from genui.base.text import clean_line

Value = float | str


Test = Callable[[Any], bool]
"""Tests anything with a method `get`: a mapping of names to values, or a row of a table."""

# --- Numbers ---------------------------------------------------------------------------------

_NUMBER = re.compile(
    r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)(k|M|G|B|T|%|s|min|h|d)?", re.IGNORECASE
)
_UNITS = {
    "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12, "%": 0.01,
    "s": 1, "min": 60, "h": 3600, "d": 86400,
}  # fmt: skip
_NAMED = {"nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf}


def parse_number(text: str) -> float | None:
    """The number that a text is: `1e-4`, `10k`, `2M`, `50%`, `nan`, `3h`; None if it is none."""
    if text.lower() in _NAMED:
        return _NAMED[text.lower()]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    try:
        value = float(match[1].replace("_", ""))
    except ValueError:
        return None
    return value * _UNITS[match[2].lower()] if match[2] else value


# --- A comparison ----------------------------------------------------------------------------

_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def compile_pattern(text: str, example: str = r"/run-\d+/") -> re.Pattern[str]:
    """A regular expression, ignoring case. Raises MisuseError, one line with the example."""
    try:
        return re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        line = f"'{clean_line(text, 40)}' is not a regular expression"
        raise MisuseError(f"{line} ({clean_line(str(error), 60)}): e.g. {example}") from None


def text_of(value: Value) -> str:
    """A value as a regular expression is searched in it."""
    return value if isinstance(value, str) else f"{value:g}"


def _equal(value: Value, number: float | None, text: str) -> bool:
    if isinstance(value, str):
        return value.casefold() == text
    if number is None:
        return False
    if math.isnan(number) or math.isnan(value):
        return math.isnan(number) and math.isnan(value)
    return value == number or math.isclose(value, number, rel_tol=1e-9)


def _meets(sign: str, right: str) -> Callable[[Value], bool]:
    """Whether a value is on the left of that sign and text. Raises MisuseError."""
    number, text = parse_number(right), right.casefold()
    if order := _ORDERS.get(sign):
        return lambda value: isinstance(value, int | float) and order(value, number or 0.0)
    wanted = not sign.startswith("!")
    if sign.endswith("~"):
        pattern = compile_pattern(right)
        return lambda value: (pattern.search(text_of(value)) is not None) == wanted
    return lambda value: _equal(value, number, text) == wanted


# --- The language ----------------------------------------------------------------------------

_DEEPEST = 50  # parentheses in each other
_LONGEST = 2000  # characters
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<open>\() | (?P<close>\)) |
    (?P<op><=|>=|==|!=|!~|<|>|=|~) |
    (?P<logic>&&?|\|\|?|!) |
    (?P<regex>/(?:[^/\\]|\\.)*(?:/|\Z)) |
    (?P<quoted>"[^"]*"|'[^']*') |
    (?P<word>(?:[^\s()<>=!~"'&|])+) |
    (?P<quote>["'])
    )""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A part of a text: a sign, a word, a regular expression between slashes, and so on."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def bare(self) -> str:
        """The text without its quotes."""
        return self.text[1:-1] if self.kind == "quoted" else self.text


class Conditions:
    """Comparisons of named values, parsed from text; an empty one holds for all values.

        lr>1e-4 and (val_loss<1.5 or 90%<=acc<=1) not seed=3

    Those side by side must all hold. Raises MisuseError, one line, if the text is none.
    """

    title = "condition"
    example = "e.g. val_loss<1.5 and acc>=90%"

    def __init__(self, text: str = "") -> None:
        self.text = text.strip()
        self.keys: dict[str, None] = {}  # the names that are compared, in order
        if len(text) > _LONGEST:
            raise MisuseError(f"a {self.title} has at most {_LONGEST:,} characters")
        self._tokens = self._split()
        self._at = 0
        self._test: Test | None = None
        if self._tokens:
            self._test = self._any(0)
            if self._at < len(self._tokens):  # only a parenthesis ends an expression
                raise self._fault("')' without '('")

    def matches(self, values: Any) -> bool:
        """Whether the conditions hold for these values, which are as for a `Test`."""
        return self._test is None or self._test(values)

    def _split(self) -> list[Token]:
        tokens: list[Token] = []
        at = 0
        while match := _TOKEN.match(self.text, at):
            kind = match.lastgroup or ""
            if kind == "quote":
                raise self._fault("a quotation mark is not closed")
            tokens.append(Token(kind, match[kind], match.start(kind), match.end()))
            at = match.end()
        return tokens

    # Each of these reads one rule of the grammar:
    #     any = all {"or" all}; all = one {["and"] one}; one = {"not"} term

    def _any(self, depth: int) -> Test:
        tests = [self._all(depth)]
        while self._take_logic("or", "|", "||"):
            tests.append(self._all(depth))
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _all(self, depth: int) -> Test:
        tests = [self._one(depth)]
        while (token := self._peek()) is not None:
            if token.kind == "close" or self._is_logic(token, "or", "|", "||"):
                break
            self._take_logic("and", "&", "&&")
            tests.append(self._one(depth))
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _one(self, depth: int) -> Test:
        negated = False
        while self._take_logic("not", "!"):
            negated = not negated
        test = self._term(depth)
        return (lambda row: not test(row)) if negated else test

    def _term(self, depth: int) -> Test:
        token = self._peek()
        if token is None:
            raise self._fault("it ends too early")
        self._at += 1
        if token.kind == "open":
            if depth >= _DEEPEST:
                raise self._fault("too many parentheses")
            test = self._any(depth + 1)
            if (end := self._peek()) is None or end.kind != "close":
                raise self._fault("')' is missing")
            self._at += 1
            return test
        if token.kind not in ("word", "quoted", "regex"):
            raise self._fault(f"'{token.text}' needs something before it")
        following = self._peek()
        if token.kind != "regex" and following is not None and following.kind == "op":
            return self._comparisons(token.bare)
        return self._read_word(token)

    def _read_word(self, token: Token) -> Test:
        """The test that a word is which nothing is compared with, or a regular expression."""
        raise self._fault(f"'{clean_line(token.text, 30)}' is compared with nothing")

    def _comparisons(self, left: str) -> Test:
        """One comparison, or several as in `1e-5 < lr < 1e-3`."""
        tests: list[Test] = []
        while (token := self._peek()) is not None and token.kind == "op":
            self._at += 1
            value = self._peek()
            if value is None or value.kind not in ("word", "quoted", "regex"):
                raise self._fault(f"'{left} {token.text}' needs a value")
            self._at += 1
            right = value.text[1:].removesuffix("/") if value.kind == "regex" else value.bare
            tests.append(self._compare(left, token.text, right))
            left = right
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _compare(self, left: str, sign: str, right: str) -> Test:
        """The test of one comparison; the number may stand on the left."""
        if sign in _FLIPPED and parse_number(left) is not None and parse_number(right) is None:
            left, sign, right = right, _FLIPPED[sign], left
        number = parse_number(right)
        if sign in _FLIPPED and (number is None or math.isnan(number)):
            raise self._fault(f"'{left} {sign}' needs a number, not '{clean_line(right, 30)}'")
        name, meets = self._name(left), _meets(sign, right)
        self.keys[name] = None
        return lambda row: (value := row.get(name)) is not None and meets(value)

    def _name(self, text: str) -> str:
        """The name of the value that is called so."""
        return text

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take_logic(self, *words: str) -> bool:
        token = self._peek()
        if token is None or not self._is_logic(token, *words):
            return False
        self._at += 1
        return True

    def _is_logic(self, token: Token, *words: str) -> bool:
        return token.kind in ("logic", "word") and token.text.lower() in words

    def _fault(self, why: str) -> MisuseError:
        line = clean_line(self.text, 40)
        return MisuseError(f"'{line}' is not a {self.title}: {why}; {self.example}")


# --- Conditions on metrics, of `--until` -----------------------------------------------------

_ALONE = re.compile(r"(?P<name>.*?\S)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[^<>=]+)", re.DOTALL)
_JOINED = re.compile(r"[<>]|^[(!\"']|^not\b|\b(?:and|or)\b|&&|\|\|", re.IGNORECASE)


class MetricConditions(Conditions):
    """The same of metrics: where one is compared alone, its name may have any characters."""

    def _split(self) -> list[Token]:
        match = _ALONE.fullmatch(self.text)
        if match is None or _JOINED.search(match["name"]):
            return super()._split()
        parts = {
            "quoted": f'"{match["name"]}"',
            "op": match["sign"],
            "word": match["bound"].strip(),
        }
        return [Token(kind, text, 0, 0) for kind, text in parts.items()]


def parse_condition(text: str, label: str = "") -> MetricConditions:
    """Parse `val_loss<1.5`. Raises MisuseError, one line that begins with `label`, for anything
    else."""
    with suppress(MisuseError):
        if text.strip():
            return MetricConditions(text)
    raise MisuseError(f"{label}{text}: write a condition such as 'val_loss<1.5'")
