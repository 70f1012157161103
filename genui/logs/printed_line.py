"""The numbers in one printed line: their names, and the step that they belong to.

A line counts only if it has a position (a step, an epoch, a progress bar) or a well-known metric;
the numbers of others are `weak`, and the log decides.
"""

import re

from genui.logs.printed_dicts import read_dict
from genui.logs.printed_result import Line
from genui.logs.printed_templates import PHASE_WORDS, Plan, analyse
from genui.logs.printed_tokens import clean, has_numbers, split_numbers, without_glyphs, without_ids
from genui.logs.printed_words import PHASES, may_interest

_MAX_NUMBERS = 512
_MAX_PLANS = 4096
_LONGEST_TEMPLATE = 1000  # characters of a template that is remembered
_LEADS = re.compile(
    r"\s{0,8}(?:[\w./@-]{0,40}+[:=\[]\s?[0-9]|[0-9]{1,9}:\s|[A-Za-z][\w./@-]{0,40}+ {1,8}[0-9])"
)
_LONG = 120
"""Characters; a longer line is read only if a word of it is well known."""
_FEW_NUMBERS = 6
"""A line with more is analysed only if a word of it is well known."""
_BRACE = re.compile(r"\{\s*['\"]")
_OF_SETTINGS = re.compile(
    r"(?:param(?:eter)?s|arg(?:ument)?s|config|settings)['\"]?[ ]?[:=]?[ ]?$", re.I
)
"""The words before a dict of settings."""
_PHASE_BEFORE = re.compile(rf"(?:^|[\[|( ])({PHASE_WORDS})(?:_\w+)?[ \]|):]*$", re.IGNORECASE)
"""The phase in the text before a dict: `| valid | {`."""
_PLANS: dict[str, Plan | None] = {}


def read_any(text: str) -> Line | None:
    """The position and the metrics in a line, also weak ones; None if it has neither. Never
    raises."""
    return read_clean(clean(text))


def read_clean(text: str) -> Line | None:
    """The same of a text that was cleaned."""
    if not has_numbers(text):
        return None
    if "{" in text and (brace := _BRACE.search(text)):
        start, end = brace.start(), text.rfind("}") + 1
        if end > start and _OF_SETTINGS.search(text, 0, start):
            return _from_text(text[:start] + text[end:])
        if end > start:
            return _from_record(text[:start], text[start:end])
    return _from_text(text)


def _from_text(text: str) -> Line | None:
    plan, numbers = _plan_of(text)
    return None if plan is None else plan.read(numbers)


def _plan_of(text: str) -> tuple[Plan | None, list[str]]:
    if len(text) > _LONG and not may_interest(text) and not _LEADS.match(text):
        return None, []
    text = without_glyphs(text)
    template, numbers = split_numbers(text)
    try:
        return _PLANS[template], numbers
    except KeyError:
        pass
    bare = without_ids(text)
    if bare != text:
        template, numbers = split_numbers(bare)
        if template in _PLANS:
            return _PLANS[template], numbers
    if not numbers or len(numbers) > _MAX_NUMBERS:
        return None, numbers
    plan = None
    if len(numbers) <= _FEW_NUMBERS or may_interest(template) or _LEADS.match(text):
        plan = analyse(template)
    if len(template) <= _LONGEST_TEMPLATE:
        if len(_PLANS) >= _MAX_PLANS:
            _PLANS.clear()
        _PLANS[template] = plan
    return plan, numbers


def _from_record(head: str, body: str) -> Line | None:
    line = Line(record=True)
    if head.strip() and (before := _from_text(head)):
        line.step, line.total, line.whole = before.step, before.total, before.whole
        line.epoch, line.says_epoch, line.bar = before.epoch, before.says_epoch, before.bar
        line.phase, line.look.title = before.phase, before.look.title
        if before.step is not None:
            line.metrics, line.look.units = before.metrics, before.look.units
    elif phase := _PHASE_BEFORE.search(head[-60:]):
        line.phase = PHASES[phase[1].lower()]
    read_dict(body, line)
    line.add_phase()
    return line if line.metrics or line.placed else None
