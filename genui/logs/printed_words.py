"""The meaning of words in a line: metrics, steps, epochs, settings, phases and units, by name.

It handles one name at a time, and neither numbers nor lines.
"""

import re
from functools import lru_cache
from typing import NamedTuple

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
STEPS_OF_LINES = frozenset(("episode", "trial"))
"""Steps at the beginning of a line; in a record they are values."""
_STEP_BEFORE = frozenset(
    ("global", "train", "training", "trainer", "current", "cur", "opt", "optim", "optimizer", "env",
     "learning", "completed", "at", "in", "after", "for", "the", "valid", "val", "eval", "test",
     "validation", "evaluation", "dev", "saved", "checkpoint", "_", "")
)  # fmt: skip
_SHORT = {"ep.": "epoch", "up.": "update", "it.": "iter", "iter.": "iter"}
_METRICS = (
    "lr|acc|ppl|nll|kl|elbo|bpb|bpc|bpd|mse|mae|rmse|f1|auc|iou|ap|map|fid|psnr|ssim|bleu|rouge|wer"
    "|cer|mfu|err|reward|score|precision|recall|entropy|r2|inertia|merror|logloss|mape|wps|tps|dice"
    "|top1|top5|xent|cost|fps"
)
KNOWN = re.compile(
    r"loss|perplexity|accuracy|learning.?rate|grad.?norm|/s(?:ec)?(?:$|/)|per_sec|throughput|tflop"
    rf"|(?<![a-z])(?:{_METRICS})(?![a-z])",
    re.IGNORECASE,
)
"""Found in the name of a well-known metric."""
_OF_INTEREST = _STEP_WORDS | _WEAK_STEPS | STEPS_OF_LINES | set(re.findall("[a-z]+", _METRICS)) | {
    "loss", "losses", "perplexity", "accuracy", "learning", "grad", "error", "global", "epoch",
    "epochs", "episodic", "tok", "tokens", "throughput",
}  # fmt: skip
_WORDS = re.compile("[a-z]+")
_SETTING = re.compile(
    r"^(?:local_|world_)?(?:device|cuda|gpus?|rank)$"
    r"|(?:^|[_./-])(?:eta|elapsed|remaining|remaining_time|port|pid|seed|version|v_num"
    r"|\w*size|shape|dims?|layers?|heads?|params?|parameters|workers?|epochs|steps|iters"
    r"|iterations|warmup|dropout|betas?|python|torch|line|code|id|threads|num_\w+|n_\w+|max_(?!mem)\w+)$",
    re.IGNORECASE,
)
_RECORD_SETTING = re.compile(
    r"^(?:v_num|pid|port|rank|local_rank|seed|version|lineno|eta|remaining(?:[_ ]time)?)$", re.I
)
_CLOCK = frozenset(("time", "ts", "timestamp", "_timestamp", "created", "asctime"))
_DATE = 1e9  # a "time" beyond it is a date
_HELD_OUT = re.compile(
    r"(?<![a-z])(?:val|valid|validation|eval|evaluation|test|dev|train)(?![a-z])", re.IGNORECASE
)
PHASES = {
    "train": "train", "training": "train", "valid": "val", "val": "val", "validation": "val",
    "validating": "val", "eval": "val", "evaluation": "val", "evaluating": "val", "dev": "val",
    "sanity": "val", "test": "test", "testing": "test", "predicting": "test",
}  # fmt: skip
_TIME_UNITS = frozenset(("ms", "us", "µs", "sec", "secs", "seconds", "s", "min", "h"))
_FACTORS = {
    "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "sec": 1.0, "secs": 1.0, "seconds": 1.0, "s": 1.0,
    "GFLOPS": 1e-3, "TFLOPS": 1.0, "PFLOPS": 1e3, "min": 60.0, "h": 3600.0,
    "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9,
}  # fmt: skip


class Traits(NamedTuple):
    """The meaning of a name for its number."""

    known: bool  # a well-known metric
    step: int  # 4, 3: counts from the beginning by its name, 2: a step, 1: perhaps one, 0: none
    epoch: bool
    setting: bool
    clock: bool

    def is_setting(self, value: float) -> bool:
        """Whether the number is a setting, an address or a date, and no metric."""
        return self.setting or self.is_date(value)

    def is_date(self, value: float) -> bool:
        return self.clock and value > _DATE


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
    elif lower in _WEAK_STEPS or (lower in STEPS_OF_LINES and not record):
        step = 1
    epoch = words[-1] == "epoch" and _STEP_BEFORE.issuperset(words[:-1])
    setting = (_RECORD_SETTING if record else _SETTING).search(name) is not None
    return Traits(
        known=KNOWN.search(name) is not None,
        step=step,
        epoch=epoch,
        setting=setting and not step,
        clock=lower.rpartition("/")[2] in _CLOCK,
    )


def may_interest(template: str) -> bool:
    """Whether a word of a long line, or a bar in it, says that its numbers may be of interest."""
    words = _WORDS.findall(template.lower())
    bar = "%|" in template or "\u2588" in template
    return bar or not _OF_INTEREST.isdisjoint(words) or "loss" in template


def convert_unit(unit: str, name: str) -> tuple[float, str]:
    """(what a number with that unit is multiplied by, the unit then): seconds of ms, none of
    thousands. The unit of memory is kept: 10.1GB is 10.1 GB."""
    first, _, rest = unit.partition("/")
    factor = _FACTORS.get(first, 1.0)
    if (unit[-1:] in "Bb" and len(unit) > 1) or (unit in "MGB" and "mem" in name.lower()):
        factor = 1.0
    if first in _TIME_UNITS:
        first = "s"
    elif first.upper().endswith("FLOPS"):
        first = "TFLOPS"
    elif factor != 1.0:
        first = ""
    return factor, f"{first}/{rest}" if rest else first


def as_held_out(name: str) -> str:
    """The name of a metric of held-out data."""
    return name if _HELD_OUT.search(name) else f"val/{name}"
