"""Python stacks as text, and the groups of ranks whose stacks are in the same place.

`parse_stack` reads what faulthandler writes and what `py-spy dump` prints.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from genui.base.numbers import count
from genui.base.text import clean_line


class Frame(NamedTuple):
    """A call in a stack."""

    function: str
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.function} ({self.file.rpartition('/')[2]}:{self.line})"


class RankStack(NamedTuple):
    """The stack of the main thread of a rank, innermost call first."""

    rank: int
    frames: tuple[Frame, ...] = ()
    step: int | None = None  # the last that it has recorded
    note: str = ""  # why there is no stack, as words after "is": "gone"
    remedy: str = ""  # the command to run then


_FAULTHANDLER_HEAD = re.compile(
    r"((?:Current t|T)hread 0x\w+|Stack)\b.*\(most recent call first\):"
)
_FAULTHANDLER_FRAME = re.compile(r'  File "(.*)", line (\d+|\?\?\?) in (.*)')
_PY_SPY_HEAD = re.compile(r"Thread \S+ \([^)]*\)(?:: \"(.*)\")?$")
_PY_SPY_FRAME = re.compile(r"    (.+) \((.+):(\d+)\)")
_LONGEST = 300  # characters of a name or a path
_MOST_FRAMES = 200


def parse_stack(text: str) -> tuple[Frame, ...]:
    """The stack of the main thread, innermost call first; () if the text has none.

    If the text has several stacks of it, the last one counts.
    """
    chosen: list[Frame] = []
    frames: list[Frame] = []
    is_main = False
    for line in text.splitlines():
        if head := _FAULTHANDLER_HEAD.match(line) or _PY_SPY_HEAD.match(line):
            name = head[1] or ""
            frames = []
            # faulthandler writes the main thread last.
            is_last = name.startswith("Thread 0x")
            is_main = name == "MainThread" or name == "Stack" or name.startswith("Current")
            if is_main or is_last or not chosen:
                chosen = frames
        elif len(frames) < _MOST_FRAMES and (frame := _parse_frame(line)) is not None:
            frames.append(frame)
    return tuple(chosen)


def _parse_frame(line: str) -> Frame | None:
    if match := _FAULTHANDLER_FRAME.fullmatch(line):
        file, number, function = match.groups()
    elif match := _PY_SPY_FRAME.fullmatch(line):
        function, file, number = match.groups()
    else:
        return None
    number = int(number[:9]) if number.isdecimal() else 0
    return Frame(clean_line(function, _LONGEST), clean_line(file, _LONGEST), number)


# --- What a rank does ---------------------------------------------------------------------------


class Doing(NamedTuple):
    """What a rank does: "in DataLoader.__next__", or "in all_reduce", for which it waits."""

    what: str
    waits: bool = False


_KNOWN: tuple[tuple[str, str, Doing], ...] = (
    # file, function, what it means; {} is the function
    (r"torch/utils/data/dataloader\.py", "__next__", Doing("DataLoader.__next__")),
    (
        r"torch/distributed/\w+\.py",
        r"(monitored_)?barrier|(all_)?(reduce|gather|to_all)\w*|reduce_scatter\w*|broadcast\w*"
        r"|scatter\w*|i?send|i?recv|init_process_group|rendezvous",
        Doing("{}", waits=True),
    ),
    (r"torch/cuda/\w+\.py", "synchronize", Doing("cuda.synchronize", waits=True)),
    (r"torch/(serialization|distributed/checkpoint/\w+)\.py", r"save\w*", Doing("torch.{}")),
    (r"safetensors/\w+\.py", r"save\w*", Doing("safetensors.{}")),
    (r"torch/(autograd/\w+|_tensor)\.py", "backward", Doing("backward")),
    (r"torch/optim/\w+\.py", "step", Doing("optimizer.step")),
)
"""Calls that say more than the line in the user's code which led to them."""

_LIBRARY = re.compile(r"/(site|dist)-packages/(?!genui/)|/lib/python[\d.]+/(?!\w+-packages/)|^<")


def find_doing(frames: Sequence[Frame]) -> Doing:
    """What a rank does, by the innermost call that is known, or else its own place."""
    for frame in frames:
        for file, function, doing in _KNOWN:
            if re.search(f"(^|/){file}$", frame.file) and re.fullmatch(function, frame.function):
                return doing._replace(what=doing.what.format(frame.function))
    return Doing(own_place(frames))


def own_place(frames: Sequence[Frame]) -> str:
    """The innermost call in code that is no library's: `load_batch (data.py:17)`."""
    own = (frame for frame in frames if not _LIBRARY.search(frame.file))
    return next(own, frames[0]).place if frames else ""


# --- Groups -------------------------------------------------------------------------------------


class Group(NamedTuple):
    """Ranks that do the same."""

    doing: Doing
    note: str  # why their stacks are not known; "" if they are
    stacks: tuple[RankStack, ...]  # by rank


def group_stacks(stacks: Iterable[RankStack]) -> list[Group]:
    """The ranks in groups, the largest first, so that those that differ stand out.

    If all do the same, they are divided by the line in the user's own code.
    """
    ranks = sorted(stacks, key=lambda one: one.rank)
    groups = _divide(ranks, by_place=False)
    return _divide(ranks, by_place=True) if len(groups) == 1 and groups[0].doing.waits else groups


def _divide(ranks: Sequence[RankStack], by_place: bool) -> list[Group]:
    groups: dict[tuple[Doing, str, str], list[RankStack]] = {}
    for one in ranks:
        key = find_doing(one.frames), own_place(one.frames) if by_place else "", one.note
        groups.setdefault(key, []).append(one)
    if by_place and len(groups) > 1:
        groups = {
            (doing._replace(what=f"{doing.what} of {place}"), place, note): members
            for (doing, place, note), members in groups.items()
        }
    found = [Group(doing, note, tuple(members)) for (doing, _, note), members in groups.items()]
    return sorted(found, key=lambda group: (-len(group.stacks), group.stacks[0].rank))


_MOST_GROUPS = 4
_MOST_LISTED = 15


def describe_groups(groups: Sequence[Group]) -> str:
    """`63 ranks wait in all_reduce at step 410, rank 17 is in DataLoader.__next__`."""
    alone = _is_alone(groups)
    parts: list[str] = []
    before = ""
    for group in groups[:_MOST_GROUPS]:
        step = _steps_of(group)
        parts.append(describe_group(group, alone) + (step if step != before else ""))
        before = step
    if (more := len(groups) - _MOST_GROUPS) > 0:
        parts.append(f"and {more} more groups")
    return ", ".join(parts)


def describe_group(group: Group, alone: bool = False) -> str:
    """`63 ranks wait in all_reduce`; with `alone` there is only one rank."""
    ranks = [one.rank for one in group.stacks]
    several = len(ranks) > 1
    who = "the process" if alone else f"rank {ranks[0]}"
    if several:
        names = f"{', '.join(map(str, ranks[:-1]))} and {ranks[-1]}"
        who = f"ranks {names}" if len(ranks) <= 3 else f"{count(len(ranks))} ranks"
    verb = "are" if several else "is"
    if group.note:
        return f"{who} {verb} {group.note}"
    if group.doing.waits:
        verb = "wait" if several else "waits"
    return f"{who} {verb} in {group.doing.what}"


def _is_alone(groups: Sequence[Group]) -> bool:
    return sum(len(group.stacks) for group in groups) == 1


def list_groups(groups: Sequence[Group]) -> list[str]:
    """The groups in lines: what each does, the stack of its first rank, and what shows more."""
    lines: list[str] = []
    for group in groups:
        if lines:
            lines.append("")
        one = group.stacks[0]
        lines.append(describe_group(group, _is_alone(groups)) + _steps_of(group))
        lines += [f"    {frame.place}" for frame in one.frames[:_MOST_LISTED]]
        if (more := len(one.frames) - _MOST_LISTED) > 0:
            lines.append(f"    and {more} more calls")
        lines += [
            f"    run: {remedy}"
            for remedy in dict.fromkeys(s.remedy for s in group.stacks)
            if remedy
        ]
    return lines


def _steps_of(group: Group) -> str:
    """` at step 410`; "" if it is not known."""
    steps = [one.step for one in group.stacks if one.step is not None]
    if not steps:
        return ""
    first, last = min(steps), max(steps)
    return f" at step {count(first)}" + (f"–{count(last)}" if last > first else "")
