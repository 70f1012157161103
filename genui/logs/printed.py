"""Metrics from the output of a training script, and the recorder of `command | genui watch -`.

`read_line` finds the numbers in one line. A pair is a word and a number: `loss: 2.31`, `lr=3e-4`,
`'loss': tensor(0.53)`, `mfu 3%`. Other text that looks like a pair (clock times, versions,
addresses, shapes, file names, settings) is left out. A line counts only if it has a step or epoch,
or a well-known metric.
"""

import codecs
import math
import os
import re
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from genui.base.errors import GenuiError
from genui.base.files import cannot_write, write_all
from genui.runs.api import Run
from genui.runs.layout import RunDir, create_script_run, read_info
from genui.runs.writer import one_line

LONGEST = 16 * 1024
"""Characters of a line that are searched; lines with metrics are shorter."""

_NUMBER = (
    r"[+-]?+(?:\d{1,3}+(?:,\d{3})++(?![\d,])|\d++(?:\.\d*+)?+(?:[eE][+-]?+\d++)?+"
    r"|\.\d++(?:[eE][+-]?+\d++)?+|(?:nan|inf(?:inity)?+)\b)"
)
# A name is tried only at its first character and no quantifier backtracks, so the time is linear in
# the length of the line.
_PAIR = re.compile(
    r"(?<![\w./@%'-])['\"]?+(?P<name>[^\W\d][\w./@%-]{0,79}+)['\"]?+"
    r"(?:[ \t]?+\((?P<of>[A-Za-z][\w ]{0,15}+)\)(?=[ \t]{0,4}[:=]))?+"
    r"(?P<sep>[ \t]{0,16}+[:=]?+[ \t]{0,16}+)(?P<open>[\[(#]?+)[ \t]{0,8}+"
    r"(?:(?:np\.|numpy\.|torch\.|jnp\.)?+(?:tensor|array|Array|float\d*+|int\d*+)\(|['\"])?+"
    rf"(?P<number>{_NUMBER})"
    r"(?:[ \t]{0,4}+(?:/|of\b)[ \t]{0,4}+(?P<total>\d[\d,]{0,14}+(?:\.\d++)?+))?+"
    r"(?P<unit>%(?!\|)|[ \t]?+(?:ms|us|µs|sec|secs|seconds|s|min|h)(?:/[a-z]{1,9}+)?+(?!\w)"
    r"|[kKMGB](?!\w)|[ \t]?+[A-Za-z]{0,9}+/s(?:ec)?+(?![ \t]{0,4}[\w:=])|[KMG]i?+B(?!\w))?+"
    r"(?!\w|[.:/-]\w|%\|)",
    re.IGNORECASE,
)
_BAR = re.compile(r"(?<![\w./-])(\d{1,15}+)[ ]?+/[ ]{0,8}+(\d{1,15}+)(?![\w./-])")
_RATE = re.compile(
    r"(?<![\w.=:])(\d++(?:\.\d*+)?+)[ \t]?+"
    r"(?:(it|iter|tok|tokens|img|images|samples|steps?)/s(?:ec)?+|(m?s)/(it|iter|step))(?!\w)"
)
_ROUND = re.compile(r"\s{0,8}+\[(\d{1,15}+)\]\s")  # XGBoost, LightGBM
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*+[ -/]*+[@-~]|\x1b\][^\x07\x1b]*+(?:\x07|\x1b\\)?+|[\x00-\x08\x0b-\x1f\x7f]"
)
_PHASE = re.compile(
    r"[^A-Za-z]{0,64}+(?:(?:INFO|DEBUG|WARNING|WARN|root|__main__|main)\b[^A-Za-z]{0,64}+){0,3}+"
    r"(validation|valid|val|evaluation|eval|test|dev)\b(?![_/.=-]|[ \t]{1,4}\d++\.\d)",
    re.IGNORECASE,
)

_GLOBAL = frozenset(("global_step", "trainer/global_step", "_step"))
_STEPS = _GLOBAL | {"step", "iter", "iteration", "it", "update", "batch"}
_PREFIXES = (
    frozenset(("train", "training", "val", "valid", "validation", "eval", "test", "dev"))
    | {"avg", "average", "mean", "min", "max", "best", "total", "running", "smoothed"}
    | {"grad", "gradient", "learning", "generator", "discriminator"}
)
_PLACES = _STEPS | {"epoch"}
_GAPS = ("  ", "- ", ": ", "] ", ", ", "| ", "; ", ") ")
_HELD_OUT = re.compile(r"(?<![a-z])(?:val|valid|validation|eval|evaluation|test|dev|train)", re.I)
_KNOWN = re.compile(
    r"loss|perplexity|accuracy|learning.?rate|grad.?norm|/s(?:ec)?$"
    r"|(?<![a-z])(?:lr|acc|ppl|nll|kl|elbo|bp[bcd]|mse|mae|rmse|f1|auc|iou|m?ap|fid|psnr|ssim|bleu"
    r"|rouge|wer|cer|mfu|err|reward|score|precision|recall|entropy|r2)(?![a-z])",
    re.IGNORECASE,
)
_SETTING = re.compile(
    r"(?:^|[_./-])(?:eta|elapsed|remaining|device|cuda|gpus?|rank|port|pid|seed|version|v_num"
    r"|\w*size|shape|dims?|layers?|heads?|params?|parameters|workers?|epochs|steps|iters"
    r"|iterations|warmup|dropout|betas?|python|torch|line|code|id|threads|num_\w+|n_\w+|max_\w+)$",
    re.IGNORECASE,
)
_LAST_WORD = re.compile(r"([A-Za-z]{1,16}+) \Z")
_SPELLED = ("NaN", "Infinity", "-Infinity")
_CLOCK = frozenset(("time", "ts", "timestamp", "_timestamp", "created", "asctime"))
_EPOCH_SECONDS = 1e9  # a "time" beyond it is a date

_FACTORS = {
    "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "sec": 1.0, "secs": 1.0, "seconds": 1.0, "s": 1.0,
    "min": 60.0, "h": 3600.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9,
}  # fmt: skip


class _Traits(NamedTuple):
    """What a name says about its number."""

    known: bool  # a well-known metric
    place: bool  # a step or epoch
    setting: bool
    clock: bool

    def is_setting(self, value: float) -> bool:
        """Whether the number is a setting, an address or a date, and no metric."""
        return self.setting or (self.clock and value > _EPOCH_SECONDS)


@lru_cache(maxsize=4096)  # a log repeats few names in every line
def _traits(name: str) -> _Traits:
    return _Traits(
        known=_KNOWN.search(name) is not None,
        place=name.lower() in _PLACES,
        setting=_SETTING.search(name) is not None,
        clock=name.rpartition("/")[2].lower() in _CLOCK,
    )


@dataclass
class Line:
    """The numbers in one line."""

    metrics: dict[str, float] = field(default_factory=dict)
    step: int | None = None  # as printed: in the training, or in the epoch
    whole: bool = False  # the step counts from the beginning of the training, by its name
    epoch: float | None = None
    bar: tuple[int, int] | None = None  # n of total in a progress bar
    held_out: bool = False  # the line is about validation or test data


_has_number = re.compile(r"\d|\bnan\b|\binf", re.IGNORECASE).search


def read_line(text: str) -> Line | None:
    """The position and the metrics in a line; None if it has neither. Never raises."""
    text = text[:LONGEST]
    if not _has_number(text):
        return None
    if not text.isprintable():
        text = _ESCAPES.sub("", text)
    text = text.strip()
    line = _from_json(text) if text.startswith("{") and text.endswith("}") else None
    if line is None:
        line = _from_text(text)
    return line if line.metrics or line.step is not None or line.epoch is not None else None


def _from_json(text: str) -> Line | None:
    try:
        record = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None  # perhaps a Python dict
    if not isinstance(record, dict):
        return None
    line = Line()
    known = _add_record(line, record)
    if not known and line.step is None and line.epoch is None:
        line.metrics.clear()
    return line


def _add_record(line: Line, record: dict[str, Any], prefix: str = "") -> bool:
    """Adds the numbers of a JSON object; returns whether one of them is a well-known metric."""
    known = False
    for key, cell in record.items():
        name = prefix + key
        if isinstance(cell, dict) and not prefix:
            known = _add_record(line, cell, f"{key}/") or known
        if isinstance(cell, bool) or not (isinstance(cell, int | float) or cell in _SPELLED):
            continue
        try:
            value = float(cell)
        except OverflowError:  # an integer too large for a float
            continue
        traits = _traits(name)
        if traits.place:
            _set_position(line, name, value)
        elif not traits.is_setting(value):
            line.metrics[name] = value
            known = known or traits.known
    return known


def _set_position(line: Line, name: str, value: float) -> None:
    word = name.lower()
    if not 0 <= value < 2**53:
        return
    if word == "epoch":
        line.epoch = value
    elif line.step is None or word in _GLOBAL:
        line.step, line.whole = int(value), word in _GLOBAL


def _from_text(text: str) -> Line:
    line = Line(held_out=_PHASE.match(text) is not None)
    metrics: dict[str, float] = {}
    known, taken = False, set[int]()
    for match in _PAIR.finditer(text):
        taken.add(match.start("number"))
        traits = _traits(match["name"])
        value = _value(match, traits)
        if value is None:
            continue
        if traits.place:
            _place(line, match, value, text)
        elif _is_pair(match, traits, text) and not traits.is_setting(value):
            known = known or traits.known
            metrics.setdefault(_full_name(match, text), value)
    slashed = "/" in text
    for match in _BAR.finditer(text) if slashed else ():
        n, total = int(match[1]), int(match[2])
        if match.start() not in taken and 0 < total >= n:
            line.bar = (n, total)
            break
    if line.step is None and (match := _ROUND.match(text)):
        line.step = int(match[1])
    if metrics and (known or line.step is not None or line.epoch is not None or line.bar):
        line.metrics = {
            f"val/{name}" if line.held_out and not _HELD_OUT.search(name) else name: value
            for name, value in metrics.items()
        }
        if slashed:
            _add_rate(line, text)
    return line


def _value(match: re.Match[str], traits: _Traits) -> float | None:
    """The number of a pair in its base unit; None if it is unusable."""
    number, total, unit = match["number"], match["total"], match["unit"]
    value = float(number.replace(",", "") if "," in number else number)
    if math.isinf(value) and number[-1].isdecimal():  # too large for a float
        return None
    if total and not traits.place:  # Accuracy: 9890/10000
        whole = float(total.replace(",", ""))
        return value / whole if whole and 0 <= value <= whole else None
    if unit:
        value *= _FACTORS.get(unit.strip().partition("/")[0], 1.0)
    return value


def _place(line: Line, match: re.Match[str], value: float, text: str) -> None:
    """Sets the position, unless the pair is a length: `12 steps/s`, `max step 500`."""
    before = text[max(0, match.start() - 18) : match.start()].split()
    length = before and before[-1].lower() in ("total", "max", "per", "num", "every")
    if not match["unit"] and not length:
        _set_position(line, match["name"], value)


def _is_pair(match: re.Match[str], traits: _Traits, text: str) -> bool:
    """Whether name and number belong together, by the characters between and before them."""
    sep, number = match["sep"], match["number"]
    known = traits.known
    if match["open"] and not known:
        return False
    if "=" in sep or (":" in sep and (known or sep != ":")):
        return True
    exact = bool(match["unit"]) or not number.lstrip("+-").isdecimal()
    if ":" in sep:  # rmse:0.5, but not main:42
        return exact
    if not sep or not (known or exact):
        return False
    start = match.start()
    return known or not start or text[start - 1] in ",;|([\t" or text[start - 2 : start] in _GAPS


def _full_name(match: re.Match[str], text: str) -> str:
    """The name with the words around it: `train loss` is train_loss, `loss (val)` loss_val."""
    name, start = match["name"], match.start()
    if match["of"]:
        name = f"{name}_{match['of']}"
    while start > 1 and text[start - 1] == " " and text[start - 2].isalpha():
        word = _LAST_WORD.search(text, max(0, start - 18), start)
        if word is None or word[1].lower() not in _PREFIXES:
            break
        name, start = f"{word[1]}_{name}", word.start()
    return name


def _add_rate(line: Line, text: str) -> None:
    """Adds a rate without a name: `12.3it/s`, `1.5s/it`, `20ms/step`."""
    match = _RATE.search(text)
    if match is None:
        return
    number = float(match[1])
    if match[2]:
        line.metrics.setdefault(f"{match[2]}/s", number)
    elif number:
        line.metrics.setdefault(f"{match[4]}/s", 1 / (number * _FACTORS[match[3]]))


# --- From a stream to metrics with steps --------------------------------------------------------
# `Lines` splits the stream into lines as a terminal shows them, `read_line` finds the numbers in
# one, and `PrintedLog` decides which step they belong to.

_BREAK = re.compile(r"\r\n|\n|\r")


class Printed(NamedTuple):
    """One line as a terminal shows it."""

    text: str
    stays: bool  # it ends in a line feed, so no progress bar draws over it


class Lines:
    """Splits text that comes in pieces of any size, at line feeds and at the carriage returns of
    progress bars; bytes that are not UTF-8 become U+FFFD."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def take(self, data: bytes, final: bool = False) -> list[Printed]:
        """The lines that `data` completes; with `final` also the text after the last line end.

        A line longer than LONGEST is returned in parts.
        """
        text = self._rest + self._decode(data, final)
        lines: list[Printed] = []
        start = 0
        for end in _BREAK.finditer(text):
            if end[0] == "\r" and end.end() == len(text) and not final:
                break  # perhaps the first half of \r\n
            lines.append(Printed(text[start : end.start()], end[0] != "\r"))
            start = end.end()
        self._rest = text[start:]
        if len(self._rest) > LONGEST or (final and self._rest):
            lines.append(Printed(self._rest, True))
            self._rest = ""
        return lines


class PrintedLog:
    """Gives every line with metrics its step.

    That is the step in the line (step, iteration, global_step …) or its position in a progress bar
    (120/1000), continued if either restarts in the next epoch; else its epoch, if the log has
    nothing finer; else the last known step. A metric that is repeated without a new step is one
    step later.
    """

    def __init__(self) -> None:
        self._step = 0
        self._finer = False  # than epochs
        self._counters: dict[str, _Counter] = {}
        self._logged: set[str] = set()  # metrics of the current step
        self._fractional = False  # epochs such as 0.01, 0.02, which are no steps

    def take(self, text: str) -> tuple[int, dict[str, float]] | None:
        """(step, metrics) of a line; None if it has no metric. Never raises."""
        line = read_line(text)
        if line is None:
            return None
        if "time" in line.metrics:  # a record has a "time" of its own
            line.metrics["seconds"] = line.metrics.pop("time")
        step = self._place(line)
        if not line.metrics:
            if step is not None:
                self._move(step)
            return None
        if step is None:
            step = self._step + (not self._logged.isdisjoint(line.metrics))
        if line.epoch is not None and step != line.epoch:
            line.metrics.setdefault("epoch", line.epoch)
        self._move(step)
        self._logged.update(line.metrics)
        return step, line.metrics

    def _place(self, line: Line) -> int | None:
        """The step of a line; None if it has none."""
        if line.step is not None:
            self._finer = True
            return line.step if line.whole else self._count("step", line.step, 0)
        if line.bar is not None and line.metrics and not line.held_out:
            self._finer = True
            return self._count("bar", *line.bar)
        if line.epoch is None:
            return None
        self._fractional = self._fractional or not line.epoch.is_integer()
        return None if self._finer or self._fractional else int(line.epoch)

    def _count(self, kind: str, n: int, total: int) -> int:
        return self._counters.setdefault(kind, _Counter()).at(n, total)

    def _move(self, step: int) -> None:
        if step != self._step:
            self._step = step
            self._logged.clear()


class _Counter:
    """Continues a count that restarts in every epoch."""

    def __init__(self) -> None:
        self._before = 0  # steps of earlier epochs
        self._first = -1
        self._last = -1
        self._stride = 1

    def at(self, n: int, total: int) -> int:
        """The step for a count `n`; `total` is the length of an epoch, 0 if it is unknown."""
        if self._first < 0:
            self._first = n
        elif n < self._last and (n == self._first or 2 * n < self._last or self._last == total):
            # A restart, and not lines of several processes out of order.
            self._before += total if total >= self._last else self._last + self._stride
        elif n > self._last:
            self._stride = n - self._last
        self._last = n
        return self._before + n


# --- The recorder: the end of the pipe in `command | genui watch -` -----------------------------
# The recorder is a process with a session of its own. The app only watches the run's folder, so
# quitting the app or a dropped connection does not close the pipe of the command.

CHUNK = 64 * 1024  # the capacity of a pipe


def create(name: str = "", project: str = "") -> RunDir:
    """The folder of a new run for the output. Raises GenuiError if it cannot be written."""
    return create_script_run(name or project or "piped", project, {})


def record(folder: RunDir, source: int, echo: int | None = None) -> None:
    """Reads the file descriptor `source` to its end into the run, and ends the run.

    Lines go to the console log and their metrics to the metrics. Every byte is copied to the
    descriptor `echo`, if given, while somebody reads it. Raises GenuiError if the folder cannot be
    written.
    """
    info = read_info(folder)
    with Run(folder, info.name, info.project) as run:
        lines, log = Lines(), PrintedLog()
        while True:
            data = os.read(source, CHUNK)
            if data and echo is not None:
                try:
                    write_all(echo, data)
                except OSError:
                    echo = None  # the reader has ended, which must not end the command
            _write(run, log, lines.take(data, final=not data))
            if not data:
                break
        run.end("finished")


def _write(run: Run, log: PrintedLog, lines: list[Printed]) -> None:
    if console := [line.text for line in lines if line.stays and line.text.strip()]:
        run.say("\n".join(console))
    for line in lines:
        if point := log.take(line.text):
            step, metrics = point
            run.log(metrics, step=step)


def detach(folder: RunDir) -> None:
    """Hands standard input to a recorder in the background, which outlives this process.

    It forks, so call it before any thread is started. Raises GenuiError if the run's console log
    cannot be opened.
    """
    try:
        console = os.open(folder.console, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(folder.console, error) from None
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(console)
        os.waitpid(child, 0)
        return
    # The second fork: init, not this process, collects the recorder when it ends.
    code = 1
    try:
        os.setsid()
        if os.fork() == 0:
            os.dup2(console, 1)
            os.dup2(console, 2)
            _serve(folder)
        code = 0
    finally:
        os._exit(code)


def _serve(folder: RunDir) -> None:
    """Records until the command ends; after an error the rest of its output is still read."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        record(folder, 0)
    except KeyboardInterrupt:
        return
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr, flush=True)
    except Exception as error:
        print(f"genui: no longer recording: {one_line(error)}", file=sys.stderr, flush=True)
    with suppress(OSError):
        while os.read(0, CHUNK):
            pass
