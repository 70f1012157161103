"""Why a training has ended: a table of signatures, and the choice among them.

Nothing here reads a file or asks the system: what is known of an ending is an `Evidence`, which
`genui.runs.why` collects.
"""

import math
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from msgspec import Struct

from genui.base.text import clean_line


class Output(NamedTuple):
    """The last lines that one process has printed, or a note that another one wrote about it."""

    name: str  # of the file
    lines: tuple[str, ...]
    rank: int | None = None
    written: float = 0.0  # unix time of the last write; 0 if it is not known


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of the end of a training."""

    outputs: tuple[Output, ...] = ()
    code: int | None = None
    """The exit status, -N after signal N; None if nobody has kept it."""
    is_parent: bool = False
    """Whether the status is that of the parent of several processes, which they end with."""
    killed_for_memory: str = ""
    """What says that the kernel has killed one of its processes for memory; "" if nothing does."""
    slurm: str = ""
    """The state of its job, as Slurm has it."""
    free: int | None = None
    """The free bytes of the disk of its folder, now."""


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
    """An ending that is known by a text, an exit status, or the state of a job of Slurm."""

    name: str
    cause: str
    """One line; `{asked}` is the group of that name in the pattern."""
    remedy: str
    patterns: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    slurm: tuple[str, ...] = ()
    proof: Callable[[Evidence], bool] | None = None
    """What must hold besides."""
    outside: bool = False
    """Whether another program prints the text: it also explains a process that a signal ended."""
    follows: bool = False
    """Whether it is what the others see after one has ended: the cause is elsewhere, if known."""


_LITTLE = 1 << 30
"""Bytes of free space below which a checkpoint that was cut off is put down to a full disk."""


def _is_full(evidence: Evidence) -> bool:
    return evidence.free is not None and evidence.free < _LITTLE


SIGNATURES: tuple[Signature, ...] = (
    Signature(
        name="time-limit",
        cause="the job reached its time limit",
        remedy="resume it, with a longer --time if the queue allows one",
        patterns=(r"CANCELLED AT \S+ DUE TO TIME LIMIT",),
        slurm=("TIMEOUT", "DEADLINE"),
        outside=True,
    ),
    Signature(
        name="preemption",
        cause="another job took its place (preemption)",
        remedy="resume it; a queue that is not preempted is slower to start",
        patterns=(r"CANCELLED AT \S+ DUE TO (?:PREEMPTION|JOB REQUEUE)",),
        slurm=("PREEMPTED", "REQUEUED"),
        outside=True,
    ),
    Signature(
        name="node-failure",
        cause="a node of the job failed",
        remedy="resume it; if it happens again, exclude the node (sbatch --exclude)",
        patterns=(r"CANCELLED AT \S+ DUE TO NODE FAILURE", r"Node failure on (?P<node>\S+)"),
        slurm=("NODE_FAIL", "BOOT_FAIL"),
        outside=True,
    ),
    Signature(
        name="kernel-oom",
        cause="the kernel killed it: the memory was full",
        remedy="ask for more memory, or use less: a smaller batch, fewer workers of the loader",
        patterns=(
            r"[Dd]etected \d+ oom[-_]kill event",
            r"Some of your processes may have been killed by the cgroup out-of-memory",
            r"error: \S+: task \d+: Out Of Memory",
            r"Out of memory: Killed process",
        ),
        slurm=("OUT_OF_MEMORY",),
        outside=True,
    ),
    Signature(
        name="kernel-oom",
        cause="the kernel killed it: the memory was full",
        remedy="ask for more memory, or use less: a smaller batch, fewer workers of the loader",
        patterns=(r"killed by (?:signal: )?(?:SIGKILL|Killed)", r"exitcode\s*: -9\b"),
        codes=(-9,),
        proof=lambda evidence: bool(evidence.killed_for_memory),
        outside=True,
    ),
    Signature(
        name="scancel",
        cause="the job was cancelled (scancel)",
        remedy="resume it if it was cancelled by mistake",
        patterns=(r"slurmstepd: .*\*\*\* (?:JOB|STEP) \S+ .*CANCELLED AT \S+ \*\*\*",),
        slurm=("CANCELLED",),
        outside=True,
    ),
    Signature(
        name="cuda-memory",
        cause="the GPU's memory was full: {asked} asked for, {free} free",
        remedy="use a smaller batch or context, bf16, or more micro-batches",
        patterns=(
            r"CUDA out of memory\. Tried to allocate (?P<asked>[\d.]+ \w+)"
            r".*?(?:of which|already allocated;) (?P<free>[\d.]+ \w+) (?:is )?free",
            r"CUDA out of memory",
            r"CUDA error: out of memory",
        ),
    ),
    Signature(
        name="cuda-error",
        cause="the GPU reported an error: {error}",
        remedy="run it with CUDA_LAUNCH_BLOCKING=1 to see the operation; an index out of range is "
        "the usual cause",
        patterns=(r"CUDA error: (?P<error>[^\n]+)", r"(?P<error>CUBLAS_STATUS_\w+)"),
    ),
    Signature(
        name="disk-full",
        cause="the disk was full",
        remedy="free some space, or set GENUI_HOME to a folder with room",
        patterns=(r"No space left on device", r"\[Errno 28\]"),
    ),
    Signature(
        name="disk-full",
        cause="the disk quota was used up",
        remedy="free some space of your own, or ask for a larger quota",
        patterns=(r"Disk quota exceeded", r"\[Errno 122\]"),
    ),
    Signature(
        name="disk-full",
        cause="the disk was full: torch.save could not write the whole file",
        remedy="free some space; the file that was cut off is of no use",
        patterns=(r"inline_container\.cc:\d+\] \. unexpected pos", r"PytorchStreamWriter failed"),
        proof=_is_full,
    ),
    Signature(
        name="cut-off-file",
        cause="torch.save could not write the whole file; there is room on the disk now",
        remedy="check that the disk was not full, nor your quota used up",
        patterns=(r"inline_container\.cc:\d+\] \. unexpected pos", r"PytorchStreamWriter failed"),
    ),
    Signature(
        name="file-size",
        cause="a file became larger than the limit (ulimit -f)",
        remedy="raise the limit: ulimit -f unlimited",
        patterns=(r"\[Errno 27\] File too large",),
        codes=(-25,),
    ),
    Signature(
        name="open-files",
        cause="too many files were open",
        remedy="raise the limit (ulimit -n 65536), or use fewer workers of the loader",
        patterns=(r"\[Errno 24\] Too many open files",),
    ),
    Signature(
        name="memory",
        cause="the memory was full: {asked} bytes asked for",
        remedy="use a smaller batch or context, or ask for more memory (ulimit -v is the limit)",
        patterns=(
            r"DefaultCPUAllocator: can't allocate memory: you tried to allocate (?P<asked>\d+)",
            r"DefaultCPUAllocator: not enough memory: you tried to allocate (?P<asked>\d+)",
            r"^(?:\[rank\d+\]: ?)?MemoryError\b",
            r"numpy\S*MemoryError",
            r"\[Errno 12\] Cannot allocate memory",
        ),
    ),
    Signature(
        name="shared-memory",
        cause="the shared memory of the data loader was full",
        remedy="give it more (docker run --shm-size=8g), or use fewer workers",
        patterns=(r"killed by signal: Bus error", r"insufficient shared memory \(shm\)"),
        codes=(-7,),
    ),
    Signature(
        name="loader-killed",
        cause="a worker of the data loader was killed; who did it is not known",
        remedy="look at the memory: each worker has a copy of what it loads",
        patterns=(
            r"DataLoader worker \(pid.*?\) (?:is killed by signal|exited unexpectedly)",
            r"(?s:utils/data/dataloader\.py.*ConnectionResetError)",
        ),
    ),
    Signature(
        name="no-cuda",
        cause="this torch has no CUDA, or there is no GPU",
        remedy="set the device to cpu, or install a torch with CUDA",
        patterns=(r"Torch not compiled with CUDA enabled", r"No CUDA GPUs are available"),
    ),
    Signature(
        name="nan",
        cause="the loss or the gradient was no longer a number: {value}",
        remedy="use a lower learning rate, or clip the gradient",
        patterns=(
            r"(?P<value>(?:loss|gradient norm) became (?:nan|-?inf)\b.*)",
            r"(?P<value>Function '\w+' returned nan values.*)",
            r"(?i:(?P<value>loss is (?:nan|inf)\b.*))",
        ),
    ),
    Signature(
        name="import",
        cause="an import failed: {what}",
        remedy="install it in this environment, or correct the name",
        patterns=(
            r"^(?:\[rank\d+\]: ?)?(?:\w+\.)*(?:ModuleNotFoundError|ImportError): (?P<what>.+)",
            r"(?P<what>No module named [^\n]+)$",
        ),
    ),
    Signature(
        name="segfault",
        cause="a segmentation fault: native code used memory that is not its own",
        remedy="run it with python -X faulthandler, which prints the line of Python; then check "
        "the versions of torch and of compiled packages",
        patterns=(r"Segmentation fault", r"killed by SIGSEGV", r"exitcode\s*: -11\b"),
        codes=(-11,),
        outside=True,
    ),
    Signature(
        name="mismatch",
        cause="the ranks did not call the same collective",
        remedy="make all ranks call the same collectives, in the same order, with the same shapes",
        patterns=(r"Is there a distributed collective mismatch in your code\?",),
    ),
    Signature(
        name="nccl-watchdog",
        cause="rank {rank} waited {ms} ms in {op}, number {seq}: another rank did not arrive",
        remedy="look at the ranks that printed no such line, and at the one that completed the "
        "fewest; TORCH_NCCL_TRACE_BUFFER_SIZE=2000 records what each did",
        patterns=(
            r"\[Rank (?P<rank>\d+)\] Watchdog caught collective operation timeout: "
            r"WorkNCCL\((?:SeqNum|OpId)=(?P<seq>\d+), OpType=(?P<op>\w+).*?Timeout\(ms\)=\d+\) "
            r"ran for (?P<ms>\d+)",
        ),
        outside=True,
        follows=True,
    ),
    Signature(
        name="nccl-error",
        cause="NCCL failed: {error}",
        remedy="run it with NCCL_DEBUG=INFO, and look at the other ranks and the network",
        patterns=(r"NCCL error[^\n]*?: (?P<error>[^\n]+)", r"(?P<error>ncclInternalError\b.*)"),
        outside=True,
        follows=True,
    ),
    Signature(
        name="address-in-use",
        cause="the port of the job is taken",
        remedy="end the earlier job, or give another port (--master-port)",
        patterns=(r"EADDRINUSE", r"Address already in use"),
    ),
    Signature(
        name="parent",
        cause="the parent of its processes was ended by {name}, and they ended with it",
        remedy="resume it; who sent the signal is not known",
        codes=(-1, -2, -9, -15),
        proof=lambda evidence: evidence.is_parent,
    ),
    Signature(
        name="ctrl-c",
        cause="it was interrupted (Ctrl-C)",
        remedy="resume it, or start it again",
        patterns=(r"^(?:\[rank\d+\]: ?)?KeyboardInterrupt\b",),
        codes=(-2,),
    ),
    Signature(
        name="abort",
        cause="native code called abort(): {what}",
        remedy="the line before the abort says why",
        patterns=(r"(?P<what>terminate called after throwing an instance of [^\n]+)",),
        codes=(-6,),
        follows=True,
    ),
    Signature(
        name="parent",
        cause="its parent died, and it ended with it",
        remedy="resume it",
        codes=(75,),
    ),
    Signature(
        name="sigkill",
        cause="SIGKILL ended it; who sent it is not known",
        remedy="ask the owner of the machine: the kernel, Slurm, timeout and users all send it",
        patterns=(r"killed by SIGKILL", r"exitcode\s*: -9\b", r"Signal 9 \(SIGKILL\)"),
        codes=(-9,),
        outside=True,
    ),
    Signature(
        name="hangup",
        cause="its terminal was closed (SIGHUP)",
        remedy="start it in tmux, or with genui run, which goes on without the terminal",
        patterns=(r"SignalException: Process \d+ got signal: 1\b", r"killed by SIGHUP"),
        codes=(-1,),
        outside=True,
    ),
    Signature(
        name="sigterm",
        cause="SIGTERM ended it; who sent it is not known",
        remedy="resume it; Slurm sends it before a time limit, torchrun when another rank failed",
        patterns=(r"got signal: 15\b", r"killed by SIGTERM", r"exitcode\s*: -15\b"),
        codes=(-15,),
        outside=True,
        follows=True,
    ),
    Signature(
        name="signal",
        cause="a signal ended it: {name}",
        remedy="",
        codes=tuple(-number for number in (3, 4, 5, 8, 10, 12, 13, 14, 16, 24, 31)),
    ),
    Signature(
        name="gloo",
        cause="the connection to another rank was lost",
        remedy="look at the rank that ended first; the one that reports it is not at fault",
        patterns=(
            r"gloo/transport/tcp/\S+\] (?:Read error|Connection closed by peer|Timed out waiting)",
            r"gloo\S* .*(?:Connection (?:reset|closed) by peer|Timed out waiting)",
            r"(?:Connection closed by peer|Connection reset by peer)\b",
        ),
        follows=True,
    ),
    Signature(
        name="timeout",
        cause="timeout(1) ended it",
        remedy="give it more time",
        codes=(124,),
    ),
)
"""The endings that are known, in the order in which they are looked for."""

_PREFIX = re.compile(
    r"(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S* )?(?:\d+: )?(?:\[(?:rank|default)(?P<rank>\d+)\]: ?)?"
)
"""What the trainer, `srun --label`, torch and torchrun write before a line."""

_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n(?P<frames>(?:[ \t].*\n|\n)*)(?P<what>\S.*)"
)
_FRAME = re.compile(r'^\s+File "(?P<file>[^"\n]+)", line (?P<line>\d+), in (?P<name>.+)$', re.M)
_LIBRARY = re.compile(r"/(?:site|dist)-packages/|/lib/python\d[.\d]*/|^<|/genui/[a-z_]+/")
_WRAPPER = re.compile(r"\b(?:ChildFailedError|CalledProcessError|SignalException)\b")
_ROOT = re.compile(r"(?s)Root Cause.*?rank\s*:\s*(?P<rank>\d+).*?exitcode\s*:\s*(?P<code>-?\d+)")
_NAMED_RANK = re.compile(r"\brank (\d+) on \S+ (?:was|failed|ended|is)\b")


@dataclass(frozen=True)
class _Text:
    """The text of one process, without what is written before its lines."""

    rank: int | None
    written: float
    whole: str
    raised: str  # from its last traceback that is not about another process
    what: str  # the exception of that
    frame: str

    @classmethod
    def read(cls, lines: Sequence[str], rank: int | None, written: float) -> "_Text":
        whole = "\n".join(lines)
        blocks = list(_TRACEBACK.finditer(whole))
        own = [each for each in blocks if not _is_about_another(each["what"])] or blocks[-1:]
        if not own:
            return cls(rank, written, whole, whole, "", "")
        last = own[-1]
        frames = list(_FRAME.finditer(last["frames"]))
        users = [each for each in frames if not _LIBRARY.search(each["file"])] or frames
        frame = "{file}:{line}, in {name}".format(**users[-1].groupdict()) if users else ""
        return cls(rank, written, whole, whole[last.start() :], last["what"].strip(), frame)


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
        for line in output.lines:
            prefix = _PREFIX.match(line)
            assert prefix is not None  # it may be empty
            rank = output.rank if prefix["rank"] is None else int(prefix["rank"])
            parts.setdefault(rank, []).append(line[prefix.end() :])
        for rank, lines in parts.items():
            yield _Text.read(lines, rank, output.written)


def decide(evidence: Evidence) -> Ending:
    """Choose the ending that the evidence speaks for; its name is "unknown" if none does.

    What only says that another process has ended comes last, whoever printed it first.
    """
    texts = list(_split(evidence.outputs))
    root = next(filter(None, (_ROOT.search(text.whole) for text in texts)), None)
    first = int(root["rank"]) if root else None
    best: tuple[tuple[Any, ...], Ending] | None = None
    for place, signature in enumerate(SIGNATURES):
        if signature.proof is not None and not signature.proof(evidence):
            continue
        for text, groups in _matches(signature, texts, evidence):
            order = signature.follows, place, text.rank != first, not text.frame, text.written
            if best is None or order < best[0]:
                best = order, _describe(signature, groups, text, texts)
    raised = [text for text in texts if text.what and not _is_about_another(text.what)]
    if raised and not _is_killed(evidence) and (best is None or best[0][0]):
        text = min(raised, key=lambda each: (each.rank != first, each.written))
        return Ending(
            name="exception",
            cause=clean_line(text.what, 300),
            remedy="the last line of your own code is where to look" if text.frame else "",
            rank=text.rank,
            frame=text.frame,
        )
    if best is not None:
        return best[1]
    status = "nobody has kept its exit status"
    if evidence.code is not None:
        status = f"its exit status is {evidence.code}"
    return Ending(name="unknown", cause=f"why it ended is not known: {status}")


def _is_killed(evidence: Evidence) -> bool:
    """Whether a signal ended it, which no exception causes; abort() follows one of C++."""
    return evidence.code is not None and evidence.code < 0 and evidence.code != -signal.SIGABRT


def _matches(
    signature: Signature, texts: Sequence[_Text], evidence: Evidence
) -> Iterator[tuple[_Text, dict[str, str | None]]]:
    """The texts that a signature fits, each with the groups of its pattern."""
    for text in texts:
        if signature.outside:
            match = _search(signature.patterns, text.whole)
        else:
            match = None if _is_killed(evidence) else _search(signature.patterns, text.raised)
        if match is not None:
            named = _NAMED_RANK.search(match.string[: match.end() + 1].rpartition("\n")[2])
            named = named or (_ROOT.search(text.whole) if text.rank is None else None)
            rank = int(named[1]) if named else text.rank
            yield replace(text, rank=rank), match.groupdict()
    if evidence.code in signature.codes or evidence.slurm.startswith(signature.slurm or ("\0",)):
        name = signal_name(-(evidence.code or 0))
        yield _Text(None, math.inf, "", "", "", ""), {"name": name}


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
        quiet = [each for each in texts if each.rank is not None and not _tells(each)]
        rank = min(quiet, key=lambda each: each.written).rank if quiet else None
        if rank is not None:
            cause += f"; rank {rank} was silent first, and printed no error"
    return Ending(
        name=signature.name, cause=cause, remedy=signature.remedy, rank=rank, frame=text.frame
    )


def _tells(text: _Text) -> bool:
    """Whether the process has printed why it or another one has ended."""
    return bool(text.what) or any(_search(row.patterns, text.whole) for row in SIGNATURES)


def signal_name(number: int) -> str:
    """`SIGKILL`; `signal 99` if there is none of that number."""
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
