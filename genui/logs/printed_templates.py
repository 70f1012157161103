"""How the numbers of a template are read: which are metrics, and which a position.

A pair is a name and a number: `loss: 2.31`, `lr=3e-4`, `mfu 3%`. Other text that looks like a pair
(clock times, versions, addresses, shapes, file names, settings) is left out. A template is analysed
once; in lines that repeat it only the numbers are read.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from genui.logs.printed_names import Left, read_field, read_name
from genui.logs.printed_result import Line, Look
from genui.logs.printed_tokens import INT, JUNK, REAL, number_of, skip_head, whole_number
from genui.logs.printed_words import (
    PHASES,
    STEPS_OF_LINES,
    Traits,
    as_held_out,
    convert_unit,
    traits,
)

_NO_NAMES = frozenset(
    ("to", "from", "of", "in", "at", "is", "was", "by", "for", "with", "and", "or", "than", "after",
     "took", "about", "over", "under", "within", "the", "a", "are", "on", "every", "until")
)  # fmt: skip
"""Words before a number that name nothing: val_loss improved from 0.5 to 0.4."""
_LENGTHS = frozenset(("total", "max", "per", "num", "every", "warmup", "n", "micro", "max_"))
PHASE_WORDS = "|".join(sorted(PHASES, key=len, reverse=True))
_PHASE = re.compile(
    rf"[^A-Za-z\x11\x12]{{0,64}}+(?:(?:epoch|iter)\()?({PHASE_WORDS})\b"
    rf"(?![_/.=-]|'s|[ \t]{{0,4}}\x12|[ \t]{{0,4}}[:=][ \t]{{0,4}}\x12)",
    re.IGNORECASE,
)
_PHASE_INSIDE = re.compile(
    rf"(?<!\w)[\[|;,] ?({PHASE_WORDS}) ?[\]|:](?![ ]{{0,4}}(?:n/a|none\b))",
    re.IGNORECASE,
)
_TITLE = re.compile(r"([^\x10-\x12|\[\]]{0,60})(?:[\x11\x12 :/]{0,12}?)[\x11\x12]%\|")
_TOTAL = re.compile(r"[ ]{0,8}+(?:/|of\b)[ ]{0,8}+(?=[\x11\x12])")
_UNIT = re.compile(
    r"%(?!\|| ?\u2588)|[ \t]?[GTP]FLOPS(?!\w)"
    r"|[ \t]?(?:ms|us|µs|sec|secs|seconds|s|min|h)(?:/[a-z]{1,9}+)?+(?!\w)"
    r"|[kKMGB](?!\w)|[KMGT]i?+B(?!\w)"
    r"|[ \t]?[A-Za-z]{0,9}+/s(?:ec)?+(?:/(?:gpu|device|chip))?+(?![\w/])(?![ \t]{0,4}[:=])",
    re.IGNORECASE,
)
_RATE = re.compile(
    r"[ \t]?(?:((?:it|iter|tok|token|img|image|sample|example|word|step|frame)s?)/s(?:ec)?+"
    r"|(m?s)/(it|iter|step))(?!\w)(?![ \t]{0,4}[:=])"
)
_NO_NUMBER = re.compile(
    r"[\w\x11\x12]|\.[0-9]|[.:-][\w\x11\x12]|/[\w\x11\x12](?!\w*=)|%\||% ?\u2588"
    r"| (?:day|hour|minute)s?\b"
)
_POSTFIX = re.compile(r"(epoch|batch|iter(?:ation)?|step)\b|it(?= ?\[)")
_WORD = re.compile(r"[^\W\d][\w./@%'-]{0,79}$")
_AFTER = re.compile(
    r" ([A-Za-z][\w@./%-]{0,30}+(?: [A-Za-z][\w@./%-]{0,30}+){0,3}+)(?=[ \t]{0,4}(?:[,;|)]|$))"
)

_MEAN = re.compile(r",[ ]{0,4}\x12[ ](?:avg|mean|average)[ ]([A-Za-z]\w{0,20})")
"""2.31, 2.40 avg loss"""
_RESULT = re.compile(r"[ ]?=[ ]?[\x11\x12]")
"""HellaSwag: 25/100 = 0.25"""
_VALUE_ALONE = re.compile(r"epoch[ ]?\x11(?:/\x11)?[ ]?[:=-][ ]?\x12%?", re.IGNORECASE)
_WORD_SETTING = re.compile(r"\w=['\"]?[A-Za-z/][\w./'\"-]*+(?=[,;)\] ]|$)")
_MANY_SETTINGS = 3
_GROUP = re.compile(r"([A-Za-z][\w-]{0,40}+)[:=] ?\(\w{1,40}=$")
_AMOUNT = re.compile(r"\b(?:number|count|amount) of\b", re.IGNORECASE)


class _Metric(NamedTuple):
    number: int
    name: str
    factor: float
    total: int  # the index of the number it is a part of: Accuracy: 9890/10000; or -1
    traits: Traits


class _Place(NamedTuple):
    level: int  # as Traits.step
    number: int
    total: int


@dataclass(slots=True)
class Plan:
    """How the numbers of a template are read; indexes refer to its numbers."""

    metrics: list[_Metric] = field(default_factory=list)
    rates: list[tuple[int, str, float]] = field(default_factory=list)  # factor 0: per second
    step: _Place | None = None
    epoch: tuple[int, int] | None = None
    bars: list[tuple[int, int]] = field(default_factory=list)
    lead: tuple[int, str] | None = None
    phase: str = ""
    glyphs: bool = False  # a bar is drawn
    look: Look = field(default_factory=Look)

    def read(self, numbers: list[str]) -> Line | None:
        """The line with these numbers; None if it has neither a metric nor a position."""
        line = Line(phase=self.phase, look=self.look)
        self._read_position(line, numbers)
        known = False
        metrics = line.metrics
        for index, name, factor, total, about in self.metrics:
            text = numbers[index]
            value = float(text) if "," not in text else float(text.replace(",", ""))
            if about.clock and about.is_date(value):
                continue
            if value - value != 0.0 and text[-1].isdigit():  # too large for a float
                continue
            if total >= 0:
                end = number_of(numbers[total])
                if not end or not 0 <= value <= end:
                    continue
                value /= end
            elif factor != 1.0:
                value *= factor
            known = known or about.known
            metrics.setdefault(name, value)
        if metrics:
            line.weak = not known and not line.placed
            for index, name, factor in self.rates:
                value = number_of(numbers[index])
                if value is not None and (not factor or value):
                    metrics.setdefault(name, value if not factor else 1 / (value * factor))
        return line if metrics or line.placed else None

    def _read_position(self, line: Line, numbers: list[str]) -> None:
        if self.step is not None:
            n = whole_number(numbers[self.step.number])
            if n is not None:
                line.step, line.whole = n, self.step.level >= 3
                if self.step.total >= 0:
                    line.total = whole_number(numbers[self.step.total]) or 0
        if self.epoch is not None:
            epoch = number_of(numbers[self.epoch[0]])
            if epoch is not None and 0 <= epoch < 2**53:
                line.epoch, line.says_epoch = epoch, True
                if self.epoch[1] >= 0:
                    line.epochs = whole_number(numbers[self.epoch[1]]) or 0
        for index, total in self.bars:
            n = whole_number(numbers[index])
            end = 0 if total < 0 else whole_number(numbers[total])
            if n is not None and end is not None and (total < 0 or 0 < end >= n):
                line.bar = (n, end)
                line.redrawn = self.glyphs
                break
        if self.lead is not None and (n := whole_number(numbers[self.lead[0]])) is not None:
            line.lead = (self.lead[1], n)


def analyse(template: str) -> Plan | None:
    """How the numbers of a template are read; None if it has neither a metric nor a position."""
    return _Analysis(template).plan()


class _Names:
    """The names in a line, and the words that stand once before several of them."""

    def __init__(self) -> None:
        self.prefix = ""  # of a phase inside the line
        self.prefixes: set[str] = set()
        self._group = ""  # the name before parentheses: accuracy: (train=0.5, test=0.4)
        self._phase = ""  # in the newest name

    def read_gap(self, text: str, end: int, at: int) -> None:
        """Reads the text between two numbers."""
        for inside in _PHASE_INSIDE.finditer(text, end, at + 1):
            self.prefix = PHASES[inside[1].lower()] + "/"
            self.prefixes.add(self.prefix)
        gap = text[end:at]
        if group := _GROUP.search(gap[-60:]):
            self._group = f"{group[1]}/"
        elif ")" in gap:
            self._group = ""

    def make(self, left: Left, metrics: list[_Metric]) -> str:
        """The name of a metric, with the phase of the name before if the line has it already:
        train_loss, acc, val_loss and val_acc for `train loss 1 acc 2 val loss 3 acc 4`."""
        name = self.prefix + self._group + left.name
        first = left.words[0].lower()
        if len(left.words) > 1 and first in PHASES:
            self._phase = first
        elif self._phase and any(metric.name == name for metric in metrics):
            return f"{self._phase}_{name}"
        return name


class _Number(NamedTuple):
    """A number of a template, or n/total, and the text around it."""

    nth: int  # among the numbers of the template
    total: int  # the index of the total; or -1
    at: int  # its place in the template
    kind: str  # its mask
    gap: str  # the text between it and the number before
    left: Left
    unit: str
    stop: int  # where its text ends, with the unit

    @property
    def after(self) -> int:
        """The index of the next number."""
        return max(self.nth, self.total) + 1


class _Analysis:
    """Finds the names and positions of the numbers in a template."""

    def __init__(self, template: str) -> None:
        self._text, self._start, self._at = skip_head(template)
        self._plan = Plan()
        self._names = _Names()
        self._named_bar: tuple[int, int, _Metric] | None = None
        self._settings = 0  # pairs that are settings by their names
        self._batch = False  # the step is called batch
        self._pairs = 0

    def plan(self) -> Plan | None:
        text, plan = self._text, self._plan
        match = _PHASE.match(text, self._start)
        plan.phase = PHASES[match[1].lower()] if match else ""
        plan.glyphs = "%|" in text or "\u2588" in text
        index, end = 0, self._start
        while index < len(self._at):
            if self._at[index] < self._start:
                index += 1
            else:
                index, end = self._read(index, max(end, self._start))
        if self._named_bar is not None:
            n, total, metric = self._named_bar
            if plan.step is None and not plan.bars:
                plan.bars.append((n, total))
            else:
                plan.metrics.append(metric)
        self._drop_weak_step()
        if plan.phase in ("val", "test"):
            plan.metrics = [m._replace(name=as_held_out(m.name)) for m in plan.metrics]
        if self._names.prefixes == {"train/"}:  # the whole line is of the training
            plan.metrics = [m._replace(name=m.name.removeprefix("train/")) for m in plan.metrics]
        placed = plan.step or plan.epoch or plan.bars
        if plan.epoch and not plan.metrics and _VALUE_ALONE.fullmatch(text, self._start):
            plan.metrics.append(_Metric(len(self._at) - 1, "value", 1.0, -1, traits("value")))
        if not placed and len(_WORD_SETTING.findall(text)) >= _MANY_SETTINGS:
            return None  # a line of arguments
        plan.look.single = len(plan.metrics) == 1 and not placed and self._is_single()
        plan.look.summary = text.startswith("* ", self._start)
        plan.look.drawn = "%|" in text
        if title := _TITLE.match(text):
            plan.look.title = title[1].strip(" :").lower()
        if plan.look.single:
            plan.lead = None
        return plan if plan.metrics or placed else None

    def _is_single(self) -> bool:
        rest = self._text[self._at[-1] + 1 :]
        if re.search("[,;.] ", self._text[self._start : self._at[-1]]):
            return False
        return len([i for i in self._at if self._text[i] != JUNK]) == 1 and len(rest) < 12

    def _read(self, index: int, end: int) -> tuple[int, int]:
        """Reads one number, or n/total; returns the next index and where its text ends."""
        text, at = self._text, self._at[index]
        if text[at] == JUNK:
            return index + 1, at + 1
        total, stop = -1, at + 1
        slash = _TOTAL.match(text, stop) if text[at] == INT else None
        if slash and text[slash.end()] == INT:
            total, stop = index + 1, slash.end() + 1
        gap = text[end:at]
        self._names.read_gap(text, end, at)
        number = _Number(index, total, at, text[at], gap, read_name(gap[-160:]), "", stop)
        if postfix := _POSTFIX.match(text, stop):  # 1epoch, 100batch, 120it [
            self._read_postfix(number, postfix[1])
            return number.after, postfix.end()
        if unit := _UNIT.match(text, stop):
            number = number._replace(unit=unit[0].strip(), stop=unit.end())
        if _NO_NUMBER.match(text, number.stop):
            if total < 0 or _NO_NUMBER.match(text, at + 1, at + 2):
                return index + 1, at + 1
        elif total >= 0:
            self._read_ratio(number)
        elif not self._read_bracket(number):
            self._read_value(number)
        return number.after, number.stop

    def _read_value(self, number: _Number) -> None:
        left, behind = number.left, self._text[number.stop : number.stop + 1]
        if left.opener == "[" and left.sep == "=" and behind == "]":
            left = left._replace(opener="")  # an array of one number
        if left.sep == " " and behind in ("", "\t"):
            left = read_field(number.gap, left)
        if left.name:
            self._read_pair(number._replace(left=left))
            if left.name.lower() in PHASES:  # val: 0.5, which says nothing about the next
                self._names.prefix = ""
        else:
            self._read_unnamed(number)

    def _read_postfix(self, number: _Number, word: str | None) -> None:
        if word == "epoch":
            self._plan.epoch = self._plan.epoch or (number.nth, -1)
        elif word:
            self._place(2, number.nth)
        else:
            self._plan.bars.append((number.nth, -1))

    def _place(self, level: int, index: int, total: int = -1) -> None:
        if self._plan.step is None or level > self._plan.step.level:
            self._plan.step = _Place(level, index, total)

    def _read_bracket(self, number: _Number) -> bool:
        """[10] and [1, 2000] at the beginning, Epoch: [0][10/100], Train: 0 [10/100]."""
        plan, index, gap = self._plan, number.nth, number.gap.rstrip(" ")
        if number.kind != INT or plan.metrics or plan.step is not None:
            return False
        behind = self._text[number.stop :]
        opened = gap.endswith("[")
        before = gap[:-1].strip() if opened else ""
        if opened and not before and re.match(r"\](?:\s|$)", behind):
            self._place(2, index)
            return True
        if plan.epoch is not None:
            return False
        if opened and not before and re.match(r",[ ]{0,8}\x11\]", behind):
            plan.epoch = (index, -1)
            self._place(2, index + 1)
            return True
        if re.match(r"\]?[ ]{0,4}\[[ ]{0,8}\x11[ ]{0,4}/", behind):
            words = before if opened else number.gap.strip(" :")
            if _PHASE.match(words + " ") or opened or _WORD.search(words.lower()) is None:
                plan.epoch = (index, -1)
                return True
        return False

    def _read_ratio(self, number: _Number) -> None:
        plan, left, about = self._plan, number.left, traits(number.left.name)
        place = (number.nth, number.total)
        if about.epoch:
            plan.epoch = plan.epoch or place
        elif about.step and not number.unit:
            self._place(max(about.step, 2), *place)
        elif number.unit not in ("", "%"):
            return
        elif not left.name or left.opener == "[" or left.words[-1].lower() in PHASES:
            if plan.bars and plan.epoch is None and self._text[: number.at].rstrip()[-2:] == "][":
                plan.epoch = plan.bars.pop()  # [epoch 0/300][10/1251]
            plan.bars.append(place)
        elif left.sep not in (":", "=") and not about.known:
            plan.bars.append(place)
        else:
            metric = _Metric(number.nth, self._names.prefix + left.name, 1.0, number.total, about)
            if about.known or _RESULT.match(self._text, number.stop):
                plan.metrics.append(metric._replace(traits=about._replace(known=True)))
            elif not about.setting:
                self._named_bar = self._named_bar or (*place, metric)

    def _read_pair(self, number: _Number) -> None:
        plan, left, unit = self._plan, number.left, number.unit
        before = [word.lower() for word in left.words[:-1]]
        about, last = traits(left.name), traits(left.words[-1])
        if before and before[-1] in ("at", "after", "for", "in") and (last.step or last.epoch):
            about = last  # validation loss at iteration 10
        length = not _LENGTHS.isdisjoint(before)
        if about.epoch:
            if not unit and not length:
                plan.epoch = plan.epoch or (number.nth, -1)
            return
        if left.name.lower() in STEPS_OF_LINES and not self._begins(number.at):
            about = about._replace(step=0)
        if about.step >= 3 or (about.step and number.kind == INT):
            if not unit and not length:
                self._place(about.step, number.nth)
                self._batch = left.name.lower() == "batch" and left.sep in (":", "=")
            return
        self._settings += about.setting
        self._keep_lead(number, about)
        if not _is_pair(number, about):
            return
        setting = last.setting and left.words[-1].lower() not in ("gpu", "device")
        if not setting and (before or not about.setting):
            name = self._names.make(left, plan.metrics)
            factor, shown = convert_unit(unit, name) if unit else (1.0, "")
            plan.metrics.append(_Metric(number.nth, name, factor, -1, about))
            if shown:
                plan.look.units[name] = shown
        if unit and (rate := _RATE.match(self._text, number.at + 1)):
            self._keep_rate(number.nth, rate)

    def _begins(self, at: int) -> bool:
        """Whether a line begins with the number there, as of an episode or a trial."""
        return self._text[self._start : at].strip(" \t:=#").lower() in STEPS_OF_LINES

    def _keep_lead(self, number: _Number, about: Traits) -> None:
        """Keeps the first number of a line as a possible step."""
        plan, left = self._plan, number.left
        first = not self._pairs and plan.lead is None and plan.step is None and not plan.bars
        self._pairs += 1
        plain = number.kind == INT and not number.unit and left.sep and not left.opener
        if not first or not plain or about.known or about.setting:
            return
        if not _AMOUNT.search(self._text, self._start, number.at):
            plan.lead = (number.nth, left.name)

    def _read_unnamed(self, number: _Number) -> None:
        """A rate (12.3it/s), a number before its name (0.5 avg loss), or one that leads a line."""
        text, plan, at, gap = self._text, self._plan, number.at, number.gap
        if not re.search(r"[\w.=:(]$", gap) and (rate := _RATE.match(text, at + 1)):
            self._keep_rate(number.nth, rate)
            return
        if gap.strip(" ") and gap.rstrip(" ")[-1:] not in ",;|:":
            return
        real, behind = number.kind == REAL, text[number.stop :]
        if at == self._start and number.kind == INT and re.match(r":(?:\s|$)", behind):
            plan.lead = (number.nth, "")
        elif words := _AFTER.match(behind):
            name = "_".join(words[1].split(" "))
            about = traits(name)
            known = about.known or name.lower().endswith("rate")
            if known and (number.unit == "%" or (real and not number.unit)):
                about = about._replace(known=True)
                plan.metrics.append(_Metric(number.nth, name, 1.0, -1, about))
        elif real and (mean := _MEAN.match(behind)):
            plan.metrics.append(_Metric(number.nth, mean[1], 1.0, -1, traits(mean[1])))

    def _keep_rate(self, index: int, match: re.Match[str]) -> None:
        if match[1]:
            self._plan.rates.append((index, f"{match[1]}/s", 0.0))
        else:
            self._plan.rates.append((index, f"{match[3]}/s", convert_unit(match[2], "")[0]))

    def _drop_weak_step(self) -> None:
        """`steps: 10` is a step only at the beginning of a line with a metric, `batch=16` only
        where no setting is beside it."""
        plan = self._plan
        if self._batch and self._settings and plan.epoch is None:
            plan.step = None  # epochs=2, batch=16, lr=0.01
        if plan.step is not None and plan.step.level == 1:
            first = min((m.number for m in plan.metrics), default=-1) > plan.step.number
            sure = plan.epoch or self._begins(self._at[plan.step.number])
            if not first or not (sure or any(m.traits.known for m in plan.metrics)):
                plan.step = None


def _is_pair(number: _Number, about: Traits) -> bool:
    """Whether name and number belong together, by the characters between and before them."""
    left, known = number.left, about.known
    if left.opener and not known:
        return False
    exact = bool(number.unit) or number.kind == REAL
    if left.sep == "=" or (left.sep == ":" and (known or left.spaced)):
        return True
    if left.sep == " " and left.name.lower() in _NO_NAMES:
        return False
    if left.sep == ":":  # rmse:0.5, but not main:42
        return exact
    if not left.sep or not (known or exact):
        return False
    return known or left.bounded
