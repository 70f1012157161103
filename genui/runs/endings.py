"""Why a training has ended: a table of signatures, and the choice among them.

Nothing here reads a file or asks the system: `genui.runs.why` collects what was printed. What the
kernel and Slurm say of a process is a text too.
"""

import math
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from msgspec import Struct

from genui.base.text import clean_line
from genui.runs.processes import LOST


class Output(NamedTuple):
    """The last lines that one process has printed, or a note that another one wrote about it."""

    name: str  # of the file
    lines: tuple[str, ...]
    rank: int | None = None
    written: float = 0.0  # unix time of the last write; 0 if it is not known


class Ending(Struct, frozen=True, kw_only=True):
    """Why a training has ended."""

    name: str  # of the signature; "unknown" if none fits
    cause: str
    remedy: str = ""
    rank: int | None = None  # of the process at fault, if there are several
    frame: str = ""  # the last line of the user's own code in the traceback
    evidence: list[tuple[str, str]] = []


@dataclass(frozen=True, kw_only=True)
class Signature:
    """An ending that is known by a text or an exit status."""

    name: str
    cause: str
    """One line; `{asked}` is the group of that name in the pattern."""
    remedy: str
    patterns: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    outside: bool = False
    """Whether another program prints the text: it also explains a process that a signal ended."""
    follows: bool = False
    """Whether it is what the others see after one has ended: the cause is elsewhere, if known."""
    on_full_disk: bool = False
    """Whether the text speaks for it only if the disk has little room now."""
    ends_hung: bool = False
    """Whether it also ends the others that hang since one has failed: that is the cause then."""


SIGNATURES: tuple[Signature, ...] = (
    Signature(
        name="time-limit",
        cause="the job reached its time limit",
        remedy="resume it, with a longer --time if the queue allows one",
        patterns=(r"CANCELLED AT \S+ DUE TO TIME LIMIT", r"JobState=(?:TIMEOUT|DEADLINE)"),
        outside=True,
        ends_hung=True,
    ),
    Signature(
        name="preemption",
        cause="another job took its place (preemption)",
        remedy="resume it; jobs of a partition of higher priority are not preempted",
        patterns=(r"CANCELLED AT \S+ DUE TO PREEMPTION", r"JobState=PREEMPTED"),
        outside=True,
    ),
    Signature(
        name="preemption",
        cause="the job was put back in the queue: for another job (preemption), or by hand",
        remedy="resume it, unless Slurm has started it again",
        patterns=(r"CANCELLED AT \S+ DUE TO JOB REQUEUE", r"JobState=REQUEUED"),
        outside=True,
    ),
    Signature(
        name="node-failure",
        cause="a node of the job failed",
        remedy="resume it; if it happens again, exclude the node (sbatch --exclude)",
        patterns=(r"CANCELLED AT \S+ DUE TO NODE FAILURE", r"JobState=(?:NODE|BOOT)_FAIL"),
        outside=True,
    ),
    Signature(
        name="kernel-oom",
        cause="the kernel killed a process: the memory was full",
        remedy="ask for more memory, or use less: a smaller batch, fewer workers of the loader",
        patterns=(
            r"[Dd]etected \d+ oom[-_]kill event",
            r"killed by the cgroup out-of-memory",
            r": task \d+: Out Of Memory",
            r"[Oo]ut of memory: Killed process",
            r"JobState=OUT_OF_MEMORY",
            r"^oom_kill \d+$",
        ),
        outside=True,
    ),
    Signature(
        name="scancel",
        cause="the job was cancelled (scancel)",
        remedy="resume it if it was cancelled by mistake",
        patterns=(
            r"\*\*\* JOB \S+ .*CANCELLED AT \S+ (?:DUE to SIGNAL \w+ )?\*\*\*",
            r"JobState=CANCELLED",
        ),
        outside=True,
        ends_hung=True,
    ),
    Signature(
        name="cuda-memory",
        cause="the GPU's memory was full: {asked} asked for, {free} free",
        remedy="use a smaller batch or context, bf16, or more micro-batches",
        patterns=(
            r"CUDA out of memory\. Tried to allocate (?P<asked>[\d.]+ \w+)"
            r".*?(?:of which|already allocated;) (?P<free>[\d.]+ \w+) (?:is )?free",
            r"CUDA (?:error: )?out of memory",
        ),
    ),
    Signature(
        name="disk-full",
        cause="the disk was full, or the quota used up: {what}",
        remedy="free some space, or write to a folder with room (GENUI_HOME for genui's runs)",
        patterns=(r"(?P<what>No space left on device|Disk quota exceeded)",),
    ),
    Signature(
        name="disk-full",
        cause="the disk was full: torch.save could not write the whole file",
        remedy="free some space; the file that was cut off is of no use",
        patterns=(r"unexpected pos \d+ vs \d+", r"PytorchStreamWriter failed"),
        on_full_disk=True,
    ),
    Signature(
        name="memory",
        cause="the memory was full: {asked} bytes asked for",
        remedy="use a smaller batch or context, or ask for more memory (ulimit -v is the limit)",
        patterns=(
            r"DefaultCPUAllocator: .*you tried to allocate (?P<asked>\d+)",
            r"^(?:\w+\.)*_?(?:Array)?MemoryError\b",
            r"Cannot allocate memory",
        ),
    ),
    Signature(
        name="nan",
        cause="the loss or the gradient was no longer a number: {value}",
        remedy="use a lower learning rate, or clip the gradient",
        patterns=(
            r"(?P<value>(?i:loss|gradient norm) (?:became|is) (?i:nan|-?inf)\b.*)",
            r"(?P<value>Function '\w+' returned nan values.*)",
        ),
    ),
    Signature(
        name="import",
        cause="an import failed: {what}",
        remedy="install it in this environment, or correct the name",
        patterns=(
            r"^(?:ModuleNotFoundError|ImportError): (?P<what>.+)",
            r"(?P<what>No module named .+)",
        ),
    ),
    Signature(
        name="syntax",
        cause="{what}",
        remedy="correct the line that it names",
        patterns=(r"^(?P<what>(?:Syntax|Indentation|Tab)Error: .+)",),
    ),
    Signature(
        name="shared-memory",
        cause="the shared memory (/dev/shm) was full, which workers of a data loader use",
        remedy="start the container with a larger --shm-size or --ipc=host, or use fewer workers",
        patterns=(
            r"out of shared memory",
            r"[Uu]nable to (?:open|write to|allocate) shared memory",
        ),
    ),
    Signature(
        name="segfault",
        cause="a segmentation fault: native code used memory that is not its own",
        remedy="run it with python -X faulthandler, which prints the line of Python",
        patterns=(r"Segmentation fault|: Bus error", r"killed by SIGSEGV"),
        codes=(-signal.SIGSEGV, -signal.SIGBUS),
        outside=True,
    ),
    Signature(
        name="nccl-watchdog",
        cause="rank {rank} waited {ms} ms in {op}, number {seq}: another rank did not arrive",
        remedy="look at the ranks that print no such line; TORCH_NCCL_TRACE_BUFFER_SIZE=2000 "
        "records what each did",
        patterns=(
            r"\[Rank (?P<rank>\d+)\] Watchdog caught collective operation timeout: "
            r"WorkNCCL\(\w+=(?P<seq>\d+), OpType=(?P<op>\w+).*?ran for (?P<ms>\d+)",
        ),
        outside=True,
        follows=True,
    ),
    Signature(
        name="ctrl-c",
        cause="it was interrupted (Ctrl-C)",
        remedy="resume it, or start it again",
        patterns=(r"^KeyboardInterrupt\b",),
        codes=(-signal.SIGINT,),
    ),
    Signature(
        name="parent",
        cause="its parent died, and its processes ended with it",
        remedy="resume it; who ended the parent is not known",
        codes=(LOST,),
    ),
    Signature(
        name="abort",
        cause="native code called abort(): {what}",
        remedy="the lines before the abort say why",
        patterns=(r"^\s*what\(\):\s*(?P<what>.+)",),
        codes=(-signal.SIGABRT,),
        follows=True,
    ),
    Signature(
        name="sigkill",
        cause="SIGKILL ended it; who sent it is not known",
        remedy="ask those who run the machine: the kernel, Slurm, timeout and users all send it",
        patterns=(r"killed by SIGKILL",),
        codes=(-signal.SIGKILL,),
        outside=True,
    ),
    Signature(
        name="hangup",
        cause="its terminal was closed (SIGHUP)",
        remedy="start it in tmux, or with genui run, which goes on without the terminal",
        patterns=(r"got signal: 1\b", r"killed by SIGHUP"),
        codes=(-signal.SIGHUP,),
        outside=True,
    ),
    Signature(
        name="sigterm",
        cause="SIGTERM ended it; who sent it is not known",
        remedy="resume it; Slurm sends it before a time limit, torchrun when another rank failed",
        patterns=(r"got signal: 15\b", r"killed by SIGTERM"),
        codes=(-signal.SIGTERM,),
        outside=True,
        follows=True,
    ),
    Signature(
        name="step-cancelled",
        cause="a step of the job was ended: by scancel, a signal, or since a task of it had failed",
        remedy="look at the task that ended first",
        patterns=(
            r"\*\*\* STEP \S+ .*CANCELLED AT \S+ \*\*\*",
            r"srun: error: .*: tasks? \S+: (?:Killed|Terminated)",
        ),
        outside=True,
        follows=True,
    ),
    Signature(
        name="lost-connection",
        cause="the connection to another rank was lost",
        remedy="look at the rank that ended first; the one that reports it is not at fault",
        patterns=(
            r"\bgloo/.*(?:Connection (?:closed|reset) by peer|Timed out waiting)",
            r"NCCL error.*remote process exited or there was a network error",
            r"Connection closed by remote peer",
        ),
        follows=True,
    ),
)
"""The endings that are known, in the order in which they are looked for."""

_PREFIX = re.compile(
    r"(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S* )?(?:(?P<task>\d+): )?"
    r"(?:\[(?:rank|default)(?P<rank>\d+)\]: ?)?(?:  +\| ?)?"
)
"""What stands before a line: by the trainer, `srun --label`, torch or torchrun, and in a group of
exceptions."""

_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n(?P<frames>(?:[ \t].*\n|\n)*)(?P<what>[\w.]+(?::.*|$))",
    re.M,
)
_FRAME = re.compile(r'^\s+File "(?P<file>[^"\n]+)", line (?P<line>\d+), in (?P<name>.+)$', re.M)
_LIBRARY = re.compile(r"/(?:site|dist)-packages/|/lib/python\d[.\d]*/|^<frozen|/genui/[a-z_]+/")
_WRAPPER = re.compile(r"\b(?:ChildFailedError|CalledProcessError|SignalException)\b")
_ASIDE = re.compile(r"Exception (?:ignored|in thread)|Error in atexit")
"""How the line before a traceback begins that does not say why the process has ended."""

_CAUSED = "The above exception was the direct cause of the following exception:"
_ERROR = re.compile(
    r"\s*(?:[\w.]*(?:Error|Exception|Interrupt)\b|what\(\)|\S*python[\d.]*: )"
    r"|.*\b(?:error|failed): "
)
"""A line that tells of an error also without a traceback."""

_LONGEST_ROOT = 1000  # characters of torchrun's note
_MOST_NAMED = 8  # ranks in a sentence

_LINES_AFTER = 60
"""The most lines that are printed after the exception that ended a process: torchrun's, wandb's."""

_NAMED_RANK = re.compile(r"\brank (\d+) on \S+ (?:was|failed|ended|is)\b")


class _Root(NamedTuple):
    """The rank that failed first, by torchrun, and its exit status."""

    rank: int
    code: int


def _find_root(text: str) -> _Root | None:
    """torchrun's last note of the rank that failed first. It has ended the others itself."""
    at = text.rfind("Root Cause")
    note = text[at : at + _LONGEST_ROOT] if at >= 0 else ""
    rank = re.search(r"\brank\s*:\s*(\d+)", note)
    code = re.search(r"\bexitcode\s*:\s*(-?\d+)", note)
    return _Root(int(rank[1]), int(code[1])) if rank and code else None


@dataclass(frozen=True)
class _Text:
    """The text of one process, without what is written before its lines."""

    rank: int | None
    written: float = 0.0
    whole: str = ""
    raised: str = ""  # from its last traceback that is not about another process, or its errors
    what: str = ""  # the exception of that
    frame: str = ""
    begin: int = -1  # of that traceback in `whole`

    @classmethod
    def read(cls, lines: Sequence[str], rank: int | None, written: float) -> "_Text":
        whole = "\n".join(lines)
        blocks = list(_TRACEBACK.finditer(whole))
        blocks = [each for each in blocks if whole.count("\n", each.end()) <= _LINES_AFTER]
        last = _choose_traceback(whole, blocks)
        if last is None:
            errors = [line for line in lines[-_LINES_AFTER:-1] if _ERROR.match(line)]
            return cls(rank, written, whole, "\n".join([*errors, *lines[-1:]]))
        begin = _begin_of_chain(whole, blocks, blocks.index(last))
        frames = list(_FRAME.finditer(last["frames"]))
        users = [each for each in frames if not _LIBRARY.search(each["file"])] or frames
        frame = "{file}:{line}, in {name}".format(**users[-1].groupdict()) if users else ""
        what = last["what"].strip()
        return cls(rank, written, whole, whole[begin:], what, frame, last.start())

    @property
    def has_raised(self) -> bool:
        """Whether an exception of its own ended it."""
        return bool(self.what) and not _is_about_another(self.what)

    @property
    def has_failed(self) -> bool:
        """Whether that exception is an error."""
        return self.has_raised and not self.what.startswith(("KeyboardInterrupt", "SystemExit"))


def _choose_traceback(whole: str, blocks: Sequence[re.Match[str]]) -> re.Match[str] | None:
    """The traceback that ended a process: the last, but not one that Python prints aside, or that
    is about another process, if there is a better one. None if there is none."""
    aside = {
        each: match[0]
        for each in blocks
        if (match := _ASIDE.match(whole[: each.start()].rstrip("\n").rpartition("\n")[2]))
    }
    own = [each for each in blocks if each not in aside]
    threads = [each for each, words in aside.items() if words.endswith("thread")]
    for group in (own, threads):
        if causes := [each for each in group if not _is_about_another(each["what"])]:
            return causes[-1]
    return own[-1] if own else None


def _begin_of_chain(whole: str, blocks: Sequence[re.Match[str]], at: int) -> int:
    """Where the exceptions begin that are the direct causes of that of a block."""
    while at and whole[blocks[at - 1].end() : blocks[at].start()].rstrip().endswith(_CAUSED):
        at -= 1
    return blocks[at].start()


def _is_about_another(what: str) -> bool:
    """Whether an exception only says that another process has ended."""
    rows = (row for row in SIGNATURES if row.follows and not row.codes)
    return bool(_WRAPPER.search(what)) or any(_search(row.patterns, what) for row in rows)


def _search(patterns: Sequence[str], text: str) -> re.Match[str] | None:
    """The last place of the first pattern that the text has."""
    for pattern in patterns:
        if found := list(re.finditer(pattern, text, re.M)):
            return found[-1]
    return None


def _split(outputs: Sequence[Output]) -> Iterator[_Text]:
    """The texts of the processes; a file that several have printed to gives one for each."""
    for output in outputs:
        parts: dict[int | None, list[str]] = {}
        prefixes = [match for line in output.lines if (match := _PREFIX.match(line)) is not None]
        is_labelled = all(prefix["task"] is not None for prefix in prefixes)
        for line, prefix in zip(output.lines, prefixes, strict=True):
            own = prefix["rank"] or (prefix["task"] if is_labelled else None)
            rank = output.rank if own is None else int(own)
            parts.setdefault(rank, []).append(line[prefix.end() :])
        for rank, lines in parts.items():
            yield _Text.read(lines, rank, output.written)


def decide(
    outputs: Sequence[Output], code: int | None = None, is_disk_full: bool = False
) -> Ending:
    """Choose the ending that the outputs and the exit status speak for, which is -N after signal N;
    its name is "unknown" if they do for none.

    What only says that another process has ended comes last, whoever printed it first.
    """
    texts = list(_split(outputs))
    root = next(filter(None, (_find_root(text.whole) for text in texts)), None)
    first = root.rank if root else None
    if root and root.code < 0:
        code = root.code
    is_killed = code is not None and code < 0 and code != -signal.SIGABRT
    best: tuple[tuple[Any, ...], Ending] | None = None
    for place, signature in enumerate(SIGNATURES):
        for text, groups in _matches(signature, texts, is_killed):
            order = signature.follows, place, text.rank != first, not text.frame, text.written
            is_valid = is_disk_full or not signature.on_full_disk
            if is_valid and (best is None or order < best[0]):
                best = order, _describe(signature, groups, text, texts)
        order = signature.follows, place, True, True, math.inf
        if code in signature.codes and (best is None or order < best[0]):
            best = order, _describe(signature, {}, _Text(first), texts)
    raised = [text for text in texts if text.has_raised]
    if raised and not is_killed and (best is None or best[0][0]):
        text = min(raised, key=lambda each: (each.rank != first, each.written))
        return Ending(
            name="exception",
            cause=clean_line(text.what, 300),
            remedy="look at the last line of your own code" if text.frame else "",
            rank=text.rank,
            frame=text.frame,
        )
    if best is not None:
        return best[1]
    status = "its last lines name no error, and nobody has kept its exit status"
    if code is not None:
        status = f"its exit status is {describe_status(code)}"
    return Ending(name="unknown", cause=f"why it ended is not known: {status}")


def describe_status(code: int) -> str:
    """`1`, or for -9 `137 (SIGKILL)`: the status as shells have it."""
    return str(code) if code >= 0 else f"{128 - code} ({signal_name(-code)})"


def signal_name(number: int) -> str:
    """`SIGKILL`; `signal 99` if there is none of that number."""
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _matches(
    signature: Signature, texts: Sequence[_Text], is_killed: bool
) -> Iterator[tuple[_Text, dict[str, str | None]]]:
    """The texts that a signature fits, each with the groups of its pattern."""
    if is_killed and not signature.outside:  # no exception ends a process by a signal
        return
    for text in texts:
        match = _search(signature.patterns, text.whole if signature.outside else text.raised)
        if match is None or (signature.outside and _went_on(text, match)):
            continue
        if signature.ends_hung and not is_killed and _failed_before(texts, text, match):
            continue
        named = _NAMED_RANK.search(match.string[: match.end() + 1].rpartition("\n")[2])
        rank = int(named[1]) if named else text.rank
        if rank is None and (root := _find_root(text.whole)) is not None:
            rank = root.rank
        yield replace(text, rank=rank), match.groupdict()


def _failed_before(texts: Sequence[_Text], text: _Text, match: re.Match[str]) -> bool:
    """Whether another rank has failed, or this process before a place of its text."""
    failed = (each for each in texts if each.has_failed)
    return any(each.rank != text.rank or each.begin < match.start() for each in failed)


def _went_on(text: _Text, match: re.Match[str]) -> bool:
    """Whether a process has printed more since another program told of its end: a job that was put
    back in the queue prints to the same file."""
    if text.begin < match.end():
        return text.whole.count("\n", match.end()) > _LINES_AFTER
    between = text.whole[match.end() : text.begin].split("\n")[1:]
    return any(line and not line.startswith(("srun", "slurmstepd")) for line in between)


def _describe(
    signature: Signature, groups: dict[str, str | None], text: _Text, texts: Sequence[_Text]
) -> Ending:
    """The ending of a signature. What its cause names and the text does not have is left out."""
    known = {name: clean_line(value, 200) for name, value in groups.items() if value}
    head = signature.cause.partition(": ")[0]
    try:
        cause = signature.cause.format(**known)
    except KeyError:
        cause = head if "{" not in head else signature.name
    rank = text.rank
    if signature.follows:  # the one that reports it is not the one at fault
        rank, quiet = _find_quiet(texts)
        cause += quiet
    return Ending(
        name=signature.name, cause=cause, remedy=signature.remedy, rank=rank, frame=text.frame
    )


def _find_quiet(texts: Sequence[_Text]) -> tuple[int | None, str]:
    """The rank that printed no error, or of several the one that was silent first, and a sentence
    of it; None if that is not known."""
    quiet = [each for each in texts if each.rank is not None and not _tells(each)]
    if not quiet:
        return None, ""
    begin = min(each.written for each in quiet)
    first = next(each.rank for each in quiet if each.written == begin)
    if sum(each.rank is not None and each.written == begin for each in texts) == 1:
        return first, f"; rank {first} was silent first, and printed no error"
    if len(quiet) == 1:
        return first, f"; rank {first} printed no error"
    ranks = ", ".join(str(each.rank) for each in quiet[:_MOST_NAMED])
    more = f" and {len(quiet) - _MOST_NAMED} more" if len(quiet) > _MOST_NAMED else ""
    return None, f"; ranks {ranks}{more} printed no error"


def _tells(text: _Text) -> bool:
    """Whether the process has printed why it or another one has ended."""
    return bool(text.what) or any(_search(row.patterns, text.whole) for row in SIGNATURES)
