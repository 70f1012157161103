"""The numbers in one printed line: what each is called, and which step they belong to.

A line is a template and its numbers: `iter 10: loss 2.31` is `iter #: loss #` with 10 and 2.31. A
template is analysed once; the lines that repeat it only have their numbers read. A pair is a name
and a number: `loss: 2.31`, `lr=3e-4`, `'loss': tensor(0.53)`, `mfu 3%`. Other text that looks like
a pair (clock times, versions, addresses, shapes, file names, settings) is left out. A line counts
only if it has a position (a step, an epoch, a progress bar) or a well-known metric; of others the
numbers are `weak`, and the log decides.
"""

import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

LONGEST = 16 * 1024
"""Characters of a line that are searched; lines with metrics are shorter."""

_MAX_NUMBERS = 512
_MAX_PLANS = 4096
_MAX_ITEMS = 512
_LONGEST_TEMPLATE = 1000  # characters of a template that is remembered

_INT, _REAL, _JUNK = "\x11", "\x12", "\x10"  # masks of numbers: whole, other, and of no interest
_N = "[\x11\x12]"

# No quantifier backtracks over more than a few characters, so the time is linear in the length.
_VALUE = (
    r"[+-]?+(?:[0-9]{1,3}+(?:,[0-9]{3})++(?![,0-9])"
    r"|[0-9]++(?:\.(?:[0-9]++|(?![ \t]|$)))?+(?:[eE][+-]?+[0-9]++)?+"
    r"|\.[0-9]++(?:[eE][+-]?+[0-9]++)?+|(?<!of )(?:nan|inf(?:inity)?+)(?!\w))"
)
_NUMBER = re.compile(rf"(?:(?<=[^ ] ) *+)?+(?<![\w.@])({_VALUE})", re.IGNORECASE)
_IDS = re.compile(
    r"(?<![\w.])(?:(?=[a-f-]{0,40}[0-9])(?=[0-9-]{0,40}[a-f])[0-9a-f-]{8,}+(?!\w)"
    r"|[0-9]{1,4}+(?:\.[0-9]{1,6}+){2,}+)"
)
"""Ids and addresses, of which each would make a new template."""
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*+[ -/]*+[@-~]|\x1b\][^\x07\x1b]*+(?:\x07|\x1b\\)?+|[\x00-\x08\x0b-\x1f\x7f]"
)
_GLYPHS = re.compile("[\u2500-\u257f\u2580-\u259f\u25a0\u25b0\u25b1#=>]{2,}+|\u2588")
"""Parts of progress bars, whose lengths would make a new template each."""

_BAR_END = re.compile(r"[0-9][a-z]{0,9}+ \[[0-9:]{2,12}+(?:<[0-9:?]{1,12}+)?+,[^\[\]]{0,200}+\]")

# --- words -----------------------------------------------------------------------------------

_GLOBAL = frozenset(
    ("global_step", "trainer/global_step", "_step", "num_updates", "total_timesteps",
     "time/total_timesteps", "training_iteration", "num_timesteps", "total_steps",
     "current_step", "current_steps")
)  # fmt: skip
"""Steps that count from the beginning of the training; those with total are lengths out of records,
and in a record beside another."""
_STEP_WORDS = frozenset(
    ("step", "iter", "iteration", "it", "update", "batch", "round", "timestep", "minibatch")
)
_WEAK_STEPS = frozenset(("steps", "iters", "iterations", "updates", "timesteps"))
_STEPS_OF_LINES = frozenset(("episode", "trial"))
"""Steps at the beginning of a line; in a record they are values."""
_STEP_BEFORE = frozenset(
    ("global", "train", "training", "trainer", "current", "cur", "opt", "optim", "optimizer", "env",
     "learning", "completed", "at", "in", "after", "for", "the", "valid", "val", "eval", "test",
     "validation", "evaluation", "dev", "saved", "checkpoint", "_", "")
)  # fmt: skip
_NO_NAMES = frozenset(
    ("to", "from", "of", "in", "at", "is", "was", "by", "for", "with", "and", "or", "than", "after",
     "took", "about", "over", "under", "within", "the", "a", "are", "on", "every", "until")
)  # fmt: skip
"""Words before a number that name nothing: val_loss improved from 0.5 to 0.4."""
_SHORT = {"ep.": "epoch", "up.": "update", "it.": "iter", "iter.": "iter"}
_LENGTHS = frozenset(("total", "max", "per", "num", "every", "warmup", "n", "micro", "max_"))
_PREFIXES = (
    frozenset(("train", "training", "val", "valid", "validation", "eval", "test", "dev"))
    | {"avg", "average", "mean", "min", "max", "best", "total", "running", "smoothed"}
    | {"grad", "gradient", "learning", "generator", "discriminator", "peak"}
)
_HELD_OUT = re.compile(
    r"(?<![a-z])(?:val|valid|validation|eval|evaluation|test|dev|train)(?![a-z])|(?<![a-z])"
    r"(?:val|valid|eval|test|dev|train)[_/]", re.IGNORECASE,
)  # fmt: skip
_KNOWN = re.compile(
    r"loss|perplexity|accuracy|learning.?rate|grad.?norm|/s(?:ec)?(?:$|/)|per_sec|throughput|tflop"
    r"|(?<![a-z])(?:lr|acc|ppl|nll|kl|elbo|bp[bcd]|mse|mae|rmse|f1|auc|iou|m?ap|fid|psnr|ssim|bleu"
    r"|rouge|wer|cer|mfu|err|reward|score|precision|recall|entropy|r2|inertia|merror|logloss|mape"
    r"|wps|tps|dice|top[15]|xent|cost)(?![a-z])",
    re.IGNORECASE,
)
_KNOWN_END = re.compile(f"(?:{_KNOWN.pattern})$", re.IGNORECASE)
_SETTING = re.compile(
    r"^(?:local_|world_)?(?:device|cuda|gpus?|rank)$"
    r"|(?:^|[_./-])(?:eta|elapsed|remaining|remaining_time|port|pid|seed|version|v_num"
    r"|\w*size|shape|dims?|layers?|heads?|params?|parameters|workers?|epochs|steps|iters"
    r"|iterations|warmup|dropout|betas?|python|torch|line|code|id|threads|num_\w+|n_\w+|max_(?!mem)\w+)$",
    re.IGNORECASE,
)
_WORDS_OF_INTEREST = frozenset(
    re.findall(
        r"\w+",
        """
        loss losses perplexity accuracy learning grad lr acc ppl nll kl elbo bpb bpc bpd mse mae f
        rmse auc iou map ap fid psnr ssim bleu rouge wer cer mfu err error reward score precision
        recall entropy r step steps global epoch epochs iter iters iteration iterations it update
        updates batch round timesteps timestep trial episode episodic tok tokens throughput fps tps
        wps xent cost dice
        """,
    )
)
_RECORD_SETTING = re.compile(
    r"^(?:v_num|pid|port|rank|local_rank|seed|version|lineno|eta|remaining(?:[_ ]time)?)$", re.I
)
_CLOCK = frozenset(("time", "ts", "timestamp", "_timestamp", "created", "asctime"))
_EPOCH_SECONDS = 1e9  # a "time" beyond it is a date
_SPELLED = {"nan": math.nan, "infinity": math.inf, "-infinity": -math.inf}

_TIME_UNITS = frozenset(("ms", "us", "µs", "sec", "secs", "seconds", "s", "min", "h"))
_FACTORS = {
    "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "sec": 1.0, "secs": 1.0, "seconds": 1.0, "s": 1.0,
    "GFLOPS": 1e-3, "TFLOPS": 1.0, "PFLOPS": 1e3, "min": 60.0, "h": 3600.0,
    "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9,
}  # fmt: skip


class Traits(NamedTuple):
    """What a name says about its number."""

    known: bool  # a well-known metric
    step: int  # 4, 3: counts from the beginning by its name, 2: a step, 1: perhaps one, 0: none
    epoch: bool
    setting: bool
    clock: bool

    def is_setting(self, value: float) -> bool:
        """Whether the number is a setting, an address or a date, and no metric."""
        return self.setting or (self.clock and value > _EPOCH_SECONDS)


@lru_cache(maxsize=4096)  # a log repeats few names in every line
def traits(name: str, record: bool = False) -> Traits:
    """`record` is for a name in a dict or a table, where lengths are counters too."""
    lower = name.lower()
    words = re.split(r"[_/ ]", _SHORT.get(lower, lower))
    # In a phase of its own a counter may be named for it: valid_num_updates.
    bare = re.sub(r"^(?:train|valid|val|eval|test|dev)(?:_inner)?[_/]", "", lower)
    step = 0
    if bare in _GLOBAL and (record or not bare.startswith("total")):
        step = 3 if "total" in bare else 4
    elif words[-1] in _STEP_WORDS and _STEP_BEFORE.issuperset(words[:-1]):
        step = 2
    elif lower in _WEAK_STEPS or (lower in _STEPS_OF_LINES and not record):
        step = 1
    epoch = words[-1] == "epoch" and _STEP_BEFORE.issuperset(words[:-1])
    setting = (_RECORD_SETTING if record else _SETTING).search(name) is not None
    return Traits(
        known=_KNOWN.search(name) is not None,
        step=step,
        epoch=epoch,
        setting=setting and not step,
        clock=lower.rpartition("/")[2] in _CLOCK,
    )


# --- the result --------------------------------------------------------------------------------


@dataclass(slots=True)
class Line:
    """The numbers in one line."""

    metrics: dict[str, float] = field(default_factory=dict)
    step: int | None = None  # as printed: in the training, or in the epoch
    total: int = 0
    whole: bool = False  # the step counts from the beginning of the training, by its name
    epoch: float | None = None
    epochs: int = 0  # how many, if it is printed: epoch 3/10
    says_epoch: bool = False  # in its text; in a dict or a table the epoch is a value among others
    bar: tuple[int, int] | None = None  # n of total in a progress bar; total 0 is unknown
    phase: str = ""  # "train", "val" or "test", if the line begins with it
    summary: bool = False  # it begins with a star, as summaries of an evaluation do
    lead: tuple[str, int] | None = None  # the first number, if whole and of an unknown name
    weak: bool = False  # nothing says that its numbers are metrics
    single: bool = False  # one name and its number, and nothing else
    record: bool = False  # a dict
    row: bool = False  # of a table
    title: str = ""  # what is written before a progress bar
    drawn: bool = False  # the progress bar is one of tqdm
    redrawn: bool = False  # a state of a bar, over which the next is drawn, and no record
    anew: bool = False  # the first row of a table that repeats an earlier header
    units: dict[str, str] = field(default_factory=dict)  # of metrics, shared by lines; not changed

    @property
    def held_out(self) -> bool:
        """Whether the line is about validation or test data."""
        return self.phase in ("val", "test")

    def add_phase(self) -> None:
        """Names the metrics of held-out data as such."""
        if self.held_out:
            self.metrics = {
                name if _HELD_OUT.search(name) else f"val/{name}": value
                for name, value in self.metrics.items()
            }

    @property
    def placed_by_step(self) -> bool:
        """Whether the line says its step itself."""
        return self.step is not None or self.bar is not None

    @property
    def placed(self) -> bool:
        return self.step is not None or self.bar is not None or self.epoch is not None


_may_matter = re.compile(r"[0-9]|\bnan\b|\binf", re.IGNORECASE).search
_LEADS = re.compile(
    r"\s{0,8}(?:[\w./@-]{0,40}+[:=\[]\s?[0-9]|[0-9]{1,9}:\s|[A-Za-z][\w./@-]{0,40}+ {1,8}[0-9])"
)
_LONG = 120
"""Characters; a longer line is read only if a word of it is well known."""
_FEW_NUMBERS = 6
"""A line with more is analysed only if a word of it is well known."""
_WORDS = re.compile("[a-z]+")
_BRACE = re.compile(r"\{\s*['\"]")
_OF_SETTINGS = re.compile(
    r"(?:param(?:eter)?s|arg(?:ument)?s|config|settings)['\"]?[ ]?[:=]?[ ]?$", re.I
)
"""The words before a dict of settings."""
_PLANS: "dict[str, _Plan | None]" = {}


def clean(text: str) -> str:
    """The text without escape codes and control characters, cut to LONGEST."""
    text = text[:LONGEST]
    return text if text.isprintable() else _ESCAPES.sub("", text)


def split_bar(text: str) -> tuple[str, str]:
    """(a progress bar of tqdm, what was printed behind it); ("", text) if nothing was."""
    match = _BAR_END.search(text[:LONGEST])
    if match is None or not (rest := text[match.end() :]).strip() or rest[0] in " ,":
        return "", text
    return text[: match.end()], rest


def read_line(text: str) -> Line | None:
    """The position and the metrics in a line; None if it has neither. Never raises."""
    line = read_any(text)
    return None if line is None or line.weak else line


def read_any(text: str) -> Line | None:
    """The same, also with weak metrics."""
    return read_clean(clean(text))


def read_clean(text: str) -> Line | None:
    """The same of a text that was cleaned."""
    if not _may_matter(text):
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
    return None if plan is None else plan.line(numbers)


def _plan_of(text: str) -> "tuple[_Plan | None, list[str]]":
    if len(text) > _LONG and not _may_interest(text) and not _LEADS.match(text):
        return None, []
    if not text.isascii() or "==" in text or "##" in text:
        text = _GLYPHS.sub("\u2588", text)
    template, numbers = _split_numbers(text)
    try:
        return _PLANS[template], numbers
    except KeyError:
        pass
    without_ids = _IDS.sub("\x0e", text)
    if without_ids != text:
        template, numbers = _split_numbers(without_ids)
        if template in _PLANS:
            return _PLANS[template], numbers
    if not numbers or len(numbers) > _MAX_NUMBERS:
        return None, numbers
    plan = None
    if len(numbers) <= _FEW_NUMBERS or _may_interest(template) or _LEADS.match(text):
        plan = _analyse(template)
    if len(template) <= _LONGEST_TEMPLATE:
        if len(_PLANS) >= _MAX_PLANS:
            _PLANS.clear()
        _PLANS[template] = plan
    return plan, numbers


def _may_interest(template: str) -> bool:
    words = _WORDS.findall(template.lower())
    bar = "%|" in template or "\u2588" in template
    return bar or not _WORDS_OF_INTEREST.isdisjoint(words) or "loss" in template


def _split_numbers(text: str) -> tuple[str, list[str]]:
    parts = _NUMBER.split(text.strip())
    numbers = parts[1::2]
    parts[1::2] = [_INT if number.isdigit() or "," in number else _REAL for number in numbers]
    return "".join(parts), numbers


def unit_after(unit: str, factor: float) -> str:
    """The unit of a value that was multiplied: seconds of ms, none of thousands."""
    unit, _, rest = unit.partition("/")
    if unit in _TIME_UNITS:
        unit = "s"
    elif unit.upper().endswith("FLOPS"):
        unit = "TFLOPS"
    elif factor != 1.0:
        unit = ""
    return f"{unit}/{rest}" if rest else unit


def named_numbers(text: str) -> dict[str, float]:
    """Every number in a line that has a name, also steps and settings."""
    result: dict[str, float] = {}
    for match in _NAMED.finditer(clean(text)):
        value = number_of(match[2])
        if value is not None:
            result.setdefault(match[1].strip("\"'"), value)
    return result


def number_of(text: str) -> float | None:
    """A number as printed, with thousands separators; None if it is too large for a float."""
    value = float(text.replace(",", "") if "," in text else text)
    return None if math.isinf(value) and text[-1].isdigit() else value


# --- records: dicts of JSON or Python --------------------------------------------------------

_ITEM = re.compile(
    r"(?P<q>['\"])(?P<key>[^'\"\n]{1,120}+)(?P=q)\s*+:\s*+(?:(?P<open>\{)"
    r"|(?:(?:[A-Za-z]{1,8}+\.)?+(?:tensor|array|Array|float\d*+|int\d*+)\(|['\"])?+\s*+"
    r"(?P<number>[\x11\x12])(?:/(?P<total>\x11))?+(?=\s*+[,)}\]'\"]|\.?$))|(?P<close>\})",
    re.IGNORECASE,
)  # in a template


def _from_record(head: str, body: str) -> Line | None:
    line = Line(record=True)
    if head.strip() and (before := _from_text(head)):
        line.step, line.total, line.whole = before.step, before.total, before.whole
        line.epoch, line.bar, line.phase = before.epoch, before.bar, before.phase
        line.title, line.says_epoch = before.title, before.says_epoch
        if before.step is not None:
            line.metrics, line.units = before.metrics, before.units
    elif head.strip():
        line.phase = _phase_of(head)
    items: Any = None
    if body[1:].lstrip()[:1] == '"':
        with suppress(msgspec.DecodeError, RecursionError, UnicodeError):
            items = _flat(msgspec.json.decode(body), "", 6)
    if items is None:
        items = _python_items(body)
    known, level = False, 0
    for name, value, total in items:
        about = traits(name, record=True)
        if about.epoch:
            if value >= 0:
                line.epoch = value
        elif about.step and value.is_integer() and 0 <= value < 2**53:
            if about.step > level:
                line.step, line.total, level = int(value), total, about.step
                line.whole = about.step >= 3
        elif about.step:  # a part of an epoch
            continue
        elif not about.is_setting(value) and not total:
            line.metrics[name] = value
            known = known or about.known
    line.weak = not known and not line.placed
    line.add_phase()
    return line if line.metrics or line.placed else None


def _flat(record: Any, prefix: str, depth: int) -> Any:
    """(name, value, total) of the numbers in a JSON object, nested ones with slashes."""
    for key, cell in record.items() if isinstance(record, dict) else ():
        name = f"{prefix}{key}"
        if isinstance(cell, dict) and depth:
            yield from _flat(cell, f"{name}/", depth - 1)
        elif isinstance(cell, str):
            if match := _WRITTEN.fullmatch(cell):
                value = number_of(match[1])
                if value is not None:
                    yield _without_total(name), value, int(match[2] or 0)
        elif isinstance(cell, int | float) and not isinstance(cell, bool):
            try:
                yield name, float(cell), 0
            except OverflowError:  # an integer too large for a float
                continue


_NAMED = re.compile(
    rf"(?<![\w./@%-])([^\W\d][\w./@%-]{{0,79}}+['\"]?+)[ \t]{{0,16}}+[:=]?+[ \t]{{0,16}}+['\"]?+"
    rf"({_VALUE})(?!\w)",
    re.IGNORECASE,
)
_WRITTEN = re.compile(rf"\s*({_VALUE})(?:/([0-9]{{1,15}}))?\s*", re.IGNORECASE)


def _python_items(body: str) -> Any:
    """The same of a dict as Python prints it."""
    template, numbers = _split_numbers(body)
    items = _items_of(template) if len(numbers) <= _MAX_NUMBERS else []
    for name, index, total in items:
        value = number_of(numbers[index])
        if value is not None:
            yield name, value, 0 if total < 0 else int(float(numbers[total]))


@lru_cache(maxsize=_MAX_ITEMS)
def _items_of(template: str) -> list[tuple[str, int, int]]:
    """(name, index of its number, index of its total or -1) in the template of a dict."""
    at = {place: index for index, place in enumerate(_mask_places(template))}
    items: list[tuple[str, int, int]] = []
    prefixes: list[str] = []
    for match in _ITEM.finditer(template):
        if match["close"]:
            if prefixes:
                prefixes.pop()
        elif match["open"]:
            prefixes.append(match["key"] + "/")
        else:
            total = at[match.start("total")] if match["total"] else -1
            name = "".join(prefixes[-6:]) + match["key"]
            items.append((_without_total(name), at[match.start("number")], total))
    return items


def _mask_places(template: str) -> Any:
    return (place for place, char in enumerate(template) if char in (_INT, _REAL))


def _without_total(name: str) -> str:
    """`global_step/max_steps` is global_step."""
    return re.sub(r"/(?:max|total|num)_\w+$", "", name)


# --- templates ---------------------------------------------------------------------------------

_DATES = re.compile(
    rf"\x11-\x11-\x11(?:T[0-9]{{2}}:\x11:{_N}(?:Z|[+-][\x11:]{{0,8}})?)?+(?![\w\x11-])"
    rf"|\x11/\x11/\x11|(?<![^\[])\x11/\x11(?= \x11:\x11)"
    rf"|(?<![\w:.])(?:\x11 days?,? )?{_N}(?::{_N}){{1,2}}(?:[.,]\x11)?"
)
_LEVELS = "INFO|DEBUG|WARNING|WARN|ERROR|NOTICE|TRACE|info|debug|warning"
_HEAD = re.compile(
    r"[ \t]{1,64}+"
    r"|\[[^\[\]\x10]{0,60}+\x10[^\[\]]{0,100}+\]:?"  # [2024-05-01 12:00:00 name]
    r"|\x10(?:[\x10 :,./+-]|[TZ](?![a-z])){0,60}+"
    r"|[IWEFD][0-9]{4}(?= )|\x11(?= [\w./-]{1,80}:\x11\])"  # absl
    r"|\[[\w.-]{1,40}+\](?= \x10)|\[titan\]"
    rf"|\[?(?:{_LEVELS})\b(?:[^\[\]\x10-\x12]{{0,80}}(?:\x11)?)?\]"
    rf"|(?:{_LEVELS})\b[ ]{{0,8}}[:|-]?|(?:root|__main__|main|absl|tensorflow)[ ]?[:|-]"
    r"|\[[A-Za-z_][\w.]{0,60}+(?:[:.][\w\x11]{1,60}+){1,3}\]"  # [logging.py:96:log_dist]
    r"|\[(?:PID|RANK|GPU|HOST|process)[ :=]?\x11\]"
    r"|\([\w.]{1,60}+[: ]\x11\):?"  # (main.py 220):
    r"|[\w./-]{1,80}+:[\w<>]{1,60}+:\x11(?= [-|])"  # loguru
    r"|[\w./-]{0,80}?\.(?:py|cc|cpp|cu|h|rs|go):\x11(?:\]|:|(?= [-|]))"  # absl
    rf"|[\w.]{{1,60}}+ - (?=(?:{_LEVELS})\b)"
    r"|[-|>]{1,3}+(?= )",
    re.IGNORECASE,
)
_PHASES = {
    "train": "train", "training": "train", "valid": "val", "val": "val", "validation": "val",
    "validating": "val", "eval": "val", "evaluation": "val", "evaluating": "val", "dev": "val",
    "sanity": "val", "test": "test", "testing": "test", "predicting": "test",
}  # fmt: skip
_PHASE_WORDS = "|".join(sorted(_PHASES, key=len, reverse=True))
_PHASE = re.compile(
    rf"[^A-Za-z\x11\x12]{{0,64}}+(?:(?:epoch|iter)\()?({_PHASE_WORDS})\b"
    rf"(?![_/.=-]|'s|[ \t]{{0,4}}\x12|[ \t]{{0,4}}[:=][ \t]{{0,4}}\x12)",
    re.IGNORECASE,
)
_PHASE_INSIDE = re.compile(
    rf"(?<!\w)[\[|;,] ?({_PHASE_WORDS}) ?[\]|:](?![ ]{{0,4}}(?:n/a|none\b))",
    re.IGNORECASE,
)
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
_WRAPPER = re.compile(
    r"(?:(?:np|numpy|torch|jnp)\.)?(?:tensor|array|Array|float[0-9]*|int[0-9]*)\($|['\"]$"
)
_OF = re.compile(r"[ \t]?\(([A-Za-z%][\w /%]{0,15})\)$")
_WORD = re.compile(r"[^\W\d][\w./@%'-]{0,79}$")
_NAME = re.compile(r"[^\W\d][\w./@%'-]{0,79}")
_LAST_WORD = re.compile(r"(?<![\w./@%'-])[^\W\d][\w./@%'-]{0,79}$")
_BOUND = re.compile(r"[,;|│┃\t{}()\[\]<>•·*?\u2588\x10-\x12\"]|  |[-–:=.!] ")
_AFTER = re.compile(
    r" ([A-Za-z][\w@./%-]{0,30}+(?: [A-Za-z][\w@./%-]{0,30}+){0,3}+)(?=[ \t]{0,4}(?:[,;|)]|$))"
)


_VALUE_ALONE = re.compile(r"epoch[ ]?\x11(?:/\x11)?[ ]?[:=-][ ]?\x12%?", re.IGNORECASE)
_WORD_SETTING = re.compile(r"\w=['\"]?[A-Za-z/][\w./'\"-]*+(?=[,;)\] ]|$)")
_MANY_SETTINGS = 3
_PROSE = frozenset(("from", "than"))
_GROUP = re.compile(r"([A-Za-z][\w-]{0,40}+)[:=] ?\(\w{1,40}=$")
_AMOUNT = re.compile(r"\b(?:number|count|amount) of\b", re.IGNORECASE)


def _phase_of(text: str) -> str:
    """The phase in the text before a record: `| valid | {`."""
    match = re.search(rf"(?:^|[\[|( ])({_PHASE_WORDS})(?:_\w+)?[ \]|):]*$", text[-60:], re.I)
    return _PHASES[match[1].lower()] if match else ""


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
class _Plan:
    """How the numbers of a template are read; indexes are those of its numbers."""

    metrics: list[_Metric] = field(default_factory=list)
    rates: list[tuple[int, str, float]] = field(default_factory=list)  # factor 0: per second
    step: _Place | None = None
    epoch: tuple[int, int] | None = None
    bars: list[tuple[int, int]] = field(default_factory=list)
    phase: str = ""
    summary: bool = False
    lead: tuple[int, str] | None = None
    single: bool = False
    title: str = ""
    drawn: bool = False
    glyphs: bool = False  # a bar is drawn
    units: dict[str, str] = field(default_factory=dict)

    def line(self, numbers: list[str]) -> Line | None:
        line = Line(
            phase=self.phase, summary=self.summary, single=self.single, title=self.title,
            drawn=self.drawn, units=self.units,
        )  # fmt: skip
        if self.step is not None:
            n = _whole(numbers[self.step.number])
            if n is not None:
                line.step, line.whole = n, self.step.level >= 3
                if self.step.total >= 0:
                    line.total = _whole(numbers[self.step.total]) or 0
        if self.epoch is not None:
            epoch = number_of(numbers[self.epoch[0]])
            if epoch is not None and 0 <= epoch < 2**53:
                line.epoch, line.says_epoch = epoch, True
                if self.epoch[1] >= 0:
                    line.epochs = _whole(numbers[self.epoch[1]]) or 0
        for index, total in self.bars:
            n = _whole(numbers[index])
            end = 0 if total < 0 else _whole(numbers[total])
            if n is not None and end is not None and (total < 0 or 0 < end >= n):
                line.bar = (n, end)
                line.redrawn = self.glyphs
                break
        if self.lead is not None and (n := _whole(numbers[self.lead[0]])) is not None:
            line.lead = (self.lead[1], n)
        known = False
        metrics = line.metrics
        for index, name, factor, total, about in self.metrics:
            text = numbers[index]
            value = float(text) if "," not in text else float(text.replace(",", ""))
            if about.clock and value > _EPOCH_SECONDS:
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


def _whole(text: str) -> int | None:
    """A position as printed; None if it is no whole number or absurdly large."""
    value = number_of(text)
    return int(value) if value is not None and 0 <= value < 2**53 and value % 1 == 0 else None


def _junk(match: re.Match[str]) -> str:
    return match[0].replace(_INT, _JUNK).replace(_REAL, _JUNK)


def _analyse(template: str) -> _Plan | None:
    return _Analysis(template).plan()


class _Left(NamedTuple):
    """What stands before a number."""

    name: str
    words: list[str]
    sep: str  # ":" or "=", " " or ""
    spaced: bool  # there is space after the separator
    opener: str  # "[", "(" or "#"
    bounded: bool  # the name begins a part of the line


class _Analysis:
    """Finds the names and positions of the numbers in a template."""

    def __init__(self, template: str) -> None:
        text = self._text = _DATES.sub(_junk, template.strip())
        self._at = [i for i, char in enumerate(text) if char in "\x10\x11\x12"]
        start = 0
        for _ in range(24):
            match = _HEAD.match(text, start)
            if match is None:
                break
            start = match.end()
        self._start = start
        self._plan = _Plan()
        self._named_bar: tuple[int, int, _Metric] | None = None
        self._prefix = ""  # of a phase inside the line
        self._prefixes: set[str] = set()
        self._group = ""  # the name before parentheses: accuracy: (train=0.5, test=0.4)
        self._settings = 0  # pairs that are settings by their names
        self._batch = False  # the step is called batch
        self._named = ""  # the phase in the newest name
        self._pairs = 0

    def plan(self) -> _Plan | None:
        text, plan = self._text, self._plan
        match = _PHASE.match(text, self._start)
        phase = _PHASES[match[1].lower()] if match else ""
        plan.phase = phase
        plan.summary = text.startswith("* ", self._start)
        self._title(text)
        index, end = 0, self._start
        while index < len(self._at):
            if self._at[index] < end and self._at[index] < self._start:
                index += 1
                continue
            index, end = self._number(index, max(end, self._start))
        if self._named_bar is not None:
            n, total, metric = self._named_bar
            if plan.step is None and not plan.bars:
                plan.bars.append((n, total))
            else:
                plan.metrics.append(metric)
        self._drop_weak_step()
        if phase in ("val", "test"):
            plan.metrics = [
                m if _HELD_OUT.search(m.name) else m._replace(name=f"val/{m.name}")
                for m in plan.metrics
            ]
        if self._prefixes == {"train/"}:  # the whole line is of the training
            plan.metrics = [m._replace(name=m.name.removeprefix("train/")) for m in plan.metrics]
        placed = plan.step or plan.epoch or plan.bars
        if plan.epoch and not plan.metrics and _VALUE_ALONE.fullmatch(text, self._start):
            plan.metrics.append(_Metric(len(self._at) - 1, "value", 1.0, -1, traits("value")))
        if not placed and len(_WORD_SETTING.findall(text)) >= _MANY_SETTINGS:
            return None  # a line of arguments
        plan.single = len(plan.metrics) == 1 and not placed and self._is_single()
        if plan.single:
            plan.lead = None
        if plan.metrics or placed:
            return plan
        return None

    def _title(self, text: str) -> None:
        bar = re.match(r"([^\x10-\x12|\[\]]{0,60})(?:[\x11\x12 :/]{0,12}?)[\x11\x12]%\|", text)
        self._plan.drawn = "%|" in text
        self._plan.glyphs = "%|" in text or "\u2588" in text
        if bar:
            self._plan.title = bar[1].strip(" :").lower()

    def _is_single(self) -> bool:
        rest = self._text[self._at[-1] + 1 :]
        if re.search("[,;.] ", self._text[self._start : self._at[-1]]):
            return False
        return len([i for i in self._at if self._text[i] != _JUNK]) == 1 and len(rest) < 12

    def _number(self, index: int, end: int) -> tuple[int, int]:
        """Reads one number, or n/total; returns the next index and where its text ends."""
        text, at = self._text, self._at[index]
        kind = text[at]
        if kind == _JUNK:
            return index + 1, at + 1
        total, after = -1, at + 1
        if kind == _INT and (slash := _TOTAL.match(text, after)):
            total, after = index + 1, slash.end() + 1
            if text[after - 1] != _INT:
                total, after = -1, at + 1
        following = index + 2 if total >= 0 else index + 1
        gap = text[end:at]
        for inside in _PHASE_INSIDE.finditer(text, end, at + 1):
            self._prefix = _PHASES[inside[1].lower()] + "/"
            self._prefixes.add(self._prefix)
        if group := _GROUP.search(gap[-60:]):
            self._group = f"{group[1]}/"
        elif ")" in gap:
            self._group = ""
        left = _parse_left(gap[-160:])
        if postfix := _POSTFIX.match(text, after):  # 1epoch, 100batch, 120it [
            self._postfix(postfix, index)
            return following, postfix.end()
        unit_match = _UNIT.match(text, after)
        unit = unit_match[0].strip() if unit_match else ""
        stop = unit_match.end() if unit_match else after
        if _NO_NUMBER.match(text, stop):
            if total < 0 or _NO_NUMBER.match(text, at + 1, at + 2):
                return index + 1, at + 1
            return following, stop
        if total >= 0:
            self._ratio(index, total, left, unit, stop)
            return following, stop
        if self._bracket(index, gap, stop):
            return following, stop
        if left.opener == "[" and left.sep == "=" and text[stop : stop + 1] == "]":
            left = left._replace(opener="")  # an array of one number
        if left.sep == " " and text[stop : stop + 1] in ("", "\t"):
            left = _whole_field(gap, left)
        if left.name:
            self._pair(index, left, unit, stop)
            if left.name.lower() in _PHASES:  # val: 0.5, which says nothing about the next
                self._prefix = ""
        else:
            self._unnamed(index, gap, unit, stop)
        return following, stop

    def _postfix(self, match: re.Match[str], index: int) -> None:
        if match[1] == "epoch":
            self._plan.epoch = self._plan.epoch or (index, -1)
        elif match[1]:
            self._place(_Place(2, index, -1))
        else:
            self._plan.bars.append((index, -1))

    def _place(self, place: _Place) -> None:
        if self._plan.step is None or place.level > self._plan.step.level:
            self._plan.step = place

    def _bracket(self, index: int, gap: str, stop: int) -> bool:
        """[10] and [1, 2000] at the beginning, Epoch: [0][10/100], Train: 0 [10/100]."""
        text, plan = self._text, self._plan
        first = not plan.metrics and plan.step is None
        if text[self._at[index]] != _INT or not first:
            return False
        opened = gap.rstrip(" ").endswith("[")
        before = gap.rstrip(" ")[:-1].strip() if opened else ""
        if opened and not before and re.match(r"\]\s", text[stop : stop + 2] + " "):
            self._place(_Place(2, index, -1))
            return True
        pair = re.match(r",[ ]{0,8}\x11\]", text[stop : stop + 12])
        if opened and not before and pair and plan.epoch is None:
            plan.epoch = (index, -1)
            self._place(_Place(2, index + 1, -1))
            return True
        if plan.epoch is None and re.match(r"\]?[ ]{0,4}\[[ ]{0,8}\x11[ ]{0,4}/", text[stop:]):
            words = before if opened else gap.strip(" :")
            if _PHASE.match(words + " ") or opened or _WORD.search(words.lower()) is None:
                plan.epoch = (index, -1)
                return True
        return False

    def _ratio(self, index: int, total: int, left: _Left, unit: str, stop: int) -> None:
        plan, text = self._plan, self._text
        about = traits(left.name) if left.name else None
        if about and about.epoch:
            plan.epoch = plan.epoch or (index, total)
            return
        if about and about.step and not unit:
            self._place(_Place(max(about.step, 2), index, total))
            return
        if unit and unit != "%":
            return
        bracket = left.opener == "["
        if not left.name or bracket or left.words[-1].lower() in _PHASES:
            if plan.bars and plan.epoch is None and text[: self._at[index]].rstrip()[-2:] == "][":
                plan.epoch = plan.bars.pop()  # [epoch 0/300][10/1251]
            plan.bars.append((index, total))
            return
        if left.sep not in (":", "=") and not (about and about.known):
            plan.bars.append((index, total))
            return
        result = re.match(r"[ ]?=[ ]?[\x11\x12]", text[stop : stop + 4])  # HellaSwag: 25/100 = 0.25
        about = traits(left.name)
        metric = _Metric(index, self._prefix + left.name, 1.0, total, about)
        if about.known or result:
            plan.metrics.append(metric._replace(traits=about._replace(known=True)))
        elif not about.setting:
            self._named_bar = self._named_bar or (index, total, metric)

    def _pair(self, index: int, left: _Left, unit: str, stop: int) -> None:
        plan, kind = self._plan, self._text[self._at[index]]
        about = traits(left.name)
        if len(left.words) > 1 and left.words[-2].lower() in ("at", "after", "for", "in"):
            last = traits(left.words[-1])  # validation loss at iteration 10
            about = last if last.step or last.epoch else about
        length = len(left.words) > 1 and not _LENGTHS.isdisjoint(
            word.lower() for word in left.words[:-1]
        )
        if about.epoch:
            if not unit and not length:
                plan.epoch = plan.epoch or (index, -1)
            return
        if left.name.lower() in _STEPS_OF_LINES and not self._begins(index):
            about = about._replace(step=0)
        if about.step >= 3 or (about.step and kind == _INT):
            if not unit and not length:
                self._place(_Place(about.step, index, -1))
                self._batch = left.name.lower() == "batch" and left.sep in (":", "=")
            return
        self._settings += about.setting
        if not self._is_pair(left, about, kind, unit):
            self._lead(index, left, about, kind, unit)
            return
        name = self._prefix + self._group + left.name
        self._lead(index, left, about, kind, unit)
        last = traits(left.words[-1]).setting and left.words[-1].lower() not in ("gpu", "device")
        if not last and not (about.setting and len(left.words) == 1):
            factor = _FACTORS.get(unit.partition("/")[0], 1.0) if unit else 1.0
            if (unit[-1:] in "Bb" and len(unit) > 1) or (unit in "MGB" and "mem" in name.lower()):
                factor = 1.0  # of memory the unit is kept: 10.1GB is 10.1
            name = self._distinct(name, left)
            plan.metrics.append(_Metric(index, name, factor, -1, about))
            if unit and (shown := unit_after(unit, factor)):
                plan.units[name] = shown
        if unit and (rate := _RATE.match(self._text, self._at[index] + 1)):
            self._rate(index, rate)

    def _begins(self, index: int) -> bool:
        """Whether a line begins with that number, as of an episode or a trial."""
        before = self._text[self._start : self._at[index]].strip(" \t:=#")
        return before.lower() in _STEPS_OF_LINES

    def _distinct(self, name: str, left: _Left) -> str:
        """The name, with the phase of the name before if the line has it already: of `train loss 1
        acc 2 val loss 3 acc 4` train_loss, acc, val_loss and val_acc."""
        first = left.words[0].lower()
        if len(left.words) > 1 and first in _PHASES:
            self._named = first
        elif self._named and any(metric.name == name for metric in self._plan.metrics):
            return f"{self._named}_{name}"
        return name

    def _lead(self, index: int, left: _Left, about: Traits, kind: str, unit: str) -> None:
        """Keeps the first number of a line as a possible step."""
        plan = self._plan
        first = not self._pairs and plan.lead is None and plan.step is None and not plan.bars
        self._pairs += 1
        plain = kind == _INT and not unit and left.sep and not left.opener
        amount = _AMOUNT.search(self._text, self._start, self._at[index]) is not None
        if first and plain and not amount and not about.known and not about.setting:
            plan.lead = (index, left.name)

    def _is_pair(self, left: _Left, about: Traits, kind: str, unit: str) -> bool:
        """Whether name and number belong together, by the characters between and before them."""
        known = about.known
        if left.opener and not known:
            return False
        exact = bool(unit) or kind == _REAL
        if left.sep == "=" or (left.sep == ":" and (known or left.spaced)):
            return True
        if left.sep == " " and left.name.lower() in _NO_NAMES:
            return False
        if left.sep == ":":  # rmse:0.5, but not main:42
            return exact
        if not left.sep or not (known or exact):
            return False
        return known or left.bounded

    def _unnamed(self, index: int, gap: str, unit: str, stop: int) -> None:
        """A rate (12.3it/s), a number before its name (0.5 avg loss), or one that leads a line."""
        text, plan, at = self._text, self._plan, self._at[index]
        if not re.search(r"[\w.=:(]$", gap) and (rate := _RATE.match(text, at + 1)):
            self._rate(index, rate)
            return
        bounded = not gap.strip(" ") or gap.rstrip(" ")[-1:] in ",;|:"
        if not bounded:
            return
        if at == self._start and text[at] == _INT and re.match(r":\s", text[stop : stop + 2]):
            plan.lead = (index, "")
            return
        words = _AFTER.match(text, stop)
        if words and (text[at] == _REAL or unit == "%") and unit in ("", "%"):
            name = "_".join(words[1].split(" "))
            about = traits(name)
            if about.known or name.lower().endswith("rate"):
                factor = _FACTORS.get(unit, 1.0) if unit else 1.0
                plan.metrics.append(_Metric(index, name, factor, -1, about._replace(known=True)))
            return
        rest = re.match(r",[ ]{0,4}[\x12][ ](?:avg|mean|average)[ ]([A-Za-z]\w{0,20})", text[stop:])
        if rest and text[at] == _REAL:  # 2.31, 2.40 avg loss
            plan.metrics.append(_Metric(index, rest[1], 1.0, -1, traits(rest[1])))

    def _rate(self, index: int, match: re.Match[str]) -> None:
        if match[1]:
            self._plan.rates.append((index, f"{match[1]}/s", 0.0))
        else:
            self._plan.rates.append((index, f"{match[3]}/s", _FACTORS[match[2]]))

    def _drop_weak_step(self) -> None:
        """`steps: 10` is a step only at the beginning of a line with a metric, `batch=16` only
        where no setting is beside it."""
        plan = self._plan
        if self._batch and self._settings and plan.epoch is None:
            plan.step = None  # epochs=2, batch=16, lr=0.01
        if plan.step is not None and plan.step.level == 1:
            first = min((m.number for m in plan.metrics), default=-1) > plan.step.number
            sure = plan.epoch or self._begins(plan.step.number)
            if not first or not (sure or any(m.traits.known for m in plan.metrics)):
                plan.step = None


def _parse_left(text: str) -> _Left:
    """The name before a number, with the words around it: `train loss` is train_loss, `loss (val)`
    loss_val, `| grad norm:` grad_norm."""
    text = _WRAPPER.sub("", text)
    spaced = text[-1:] in (" ", "\t")
    text = text.rstrip(" \t")
    opener = ""
    if text[-1:] in ("[", "(", "#"):
        opener, text = text[-1], text[:-1].rstrip(" \t")
    sep = " " if spaced else ""
    if text[-1:] in (":", "="):
        sep, text = text[-1], text[:-1].rstrip(" \t")
    elif opener and not sep:
        sep = ""
    of = ""
    if (sep in (":", "=") or text[-1:] == ")") and (match := _OF.search(text)):
        of, text = match[1], text[: match.start()]
    text = text.rstrip("'\"")
    word = _LAST_WORD.search(text[-81:])
    if word is None:
        return _Left("", [], sep, spaced, opener, False)
    start = len(text) - len(word[0])
    words = [word[0]]
    bound = 0
    for match in _BOUND.finditer(text):
        bound = match.end()
    region = [part for part in text[bound:].split(" ") if part]
    explicit = sep in (":", "=")
    if explicit and "with" in region[:-1]:  # finished with value: 0.5
        region = region[region.index("with") + 1 :]
    elif not (
        explicit or traits(word[0]).step or _PROSE.isdisjoint(region[:-1])
    ):  # start training from score 0.5
        return _Left("", [], sep, spaced, opener, False)
    whole = explicit or _KNOWN_END.search(text[bound:].rstrip(" ")) is not None
    if 1 < len(region) <= 5 and whole and all(_NAME.fullmatch(part) for part in region):
        words = region
        bounded = True
    else:
        while len(words) < 4:
            before = text[: len(text) - sum(map(len, words)) - len(words) + 1]
            if before[-1:] != " " or not (more := _LAST_WORD.search(before[:-1][-20:])):
                break
            if more[0].lower() not in _PREFIXES:
                break
            words.insert(0, more[0])
        start = len(text) - sum(map(len, words)) - len(words) + 1
        bounded = (
            not text[:start]
            or text[start - 1] in ",;|([\t"
            or bool(re.search(r"  $|[-:\],|;)\x10-\x12] $", text[:start]))
        )
    return _Left(_join(words, of), words, sep, spaced, opener, bounded)


def _whole_field(gap: str, left: _Left) -> _Left:
    """The name of a number between tabs, of several words: time lapse 0.5."""
    words = gap.rpartition("\t")[2].split() if "\t" in gap else []
    if 1 < len(words) <= 4 and all(map(_NAME.fullmatch, words)):
        return left._replace(name=_join(words, ""), words=words, bounded=True)
    return left


def _join(words: list[str], of: str) -> str:
    if len(words) > 1 and words[0].lower() == "validation":
        name = "val/" + "_".join(words[1:])
    elif words[0].endswith("'s") and len(words) > 1:  # LightGBM: training's l2
        name = f"{words[0][:-2]}/" + "_".join(words[1:])
    else:
        name = "_".join(words)
    return f"{name}_{of.strip().replace(' ', '_')}" if of else name
