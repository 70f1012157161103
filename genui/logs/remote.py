"""Logs on other hosts, read over the system's `ssh`: `genui watch user@host:PATH`.

A copy of the log files is kept in the cache folder and grows as they grow, so every reader works as
on files of this machine. The other host needs a POSIX shell with find, ls, tail and head; nothing
is installed or written there. One ssh process is one shell, which reads commands from its standard
input; a reply ends with a random line, so it may have any length. Each second it asks for `ls` of
the files that grow, and for the bytes after those that are here. A lost link is made again, and the
last piece is read again.
"""

import json
import os
import re
import secrets
import select
import shlex
import subprocess
import tempfile
import threading
import time
from calendar import timegm
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import atomic_write, cannot_write, try_lock, write_all, writing
from genui.base.text import clean_line
from genui.logs import queue
from genui.logs.formats import FORMATS
from genui.runs.hosts import ssh_command
from genui.runs.listing import RunSummary

POLL = 1.0  # seconds between two looks at the files that grow
SEARCH = 10.0  # seconds between two searches for new files
CHUNK = 64 * 1024  # bytes of a file at once, at first
MAX_CHUNK = 4 << 20
MAX_FILES = 5_000
MAX_POLLED = 200  # files that are looked at each second, those that changed last
LARGEST = 8 << 30  # bytes of a file
_SMALL = 4 << 20  # bytes of a file that is not appended to
_LONGEST_NAME, _LONGEST_PART = 2_000, 200  # bytes of a copy's name, and between its slashes
_LONGEST_QUEUE = 4 << 20  # bytes of what Slurm says
_SLURM_PATIENCE = 5  # seconds for a command of Slurm
_ANSWERED = "answered"  # after the output of a command that succeeds
_NEW_JOBS = 10  # jobs whose files are asked for at once
_LONGEST_REPLY = 128 << 20  # bytes; a listing of 20,000 long paths is 80 MB
_PATIENCE = 20.0  # seconds without a byte
_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds before each attempt to connect again

_CONFIG = re.compile(r".*\.(json|ya?ml|toml)")
_REPLACED = re.compile(rf"{_CONFIG.pattern}|.*\.(png|wav|gif|db|sqlite3?)")
_UNSET = ("CDPATH", "TIME_STYLE", "QUOTING_STYLE", "LS_BLOCK_SIZE", "BLOCK_SIZE")
_PRUNED = ("node_modules", "site-packages", "__pycache__", ".git", "checkpoints")


class Place(NamedTuple):
    """A path on another host."""

    host: str  # "host" or "user@host", as ssh takes it
    path: str

    def __str__(self) -> str:
        return f"{self.host}:{self.path}"


_PLACE = re.compile(r"((?:[A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9][\w.-]*):(.+)", re.DOTALL)


def parse_place(word: str) -> Place | None:
    """`user@host:PATH`, as scp takes it; None for anything else, also for a file of that name."""
    match = _PLACE.fullmatch(word)
    if match is None or os.path.lexists(word):
        return None
    return Place(match[1], match[2])


# --- A shell on the other host ----------------------------------------------------------------


class LinkLostError(GenuiError):
    """The shell has ended, or does not answer."""


class Shell:
    """A POSIX shell at the other end of one ssh process. Every method raises LinkLostError."""

    def __init__(self, host: str, ask: bool) -> None:
        """With `ask` ssh may ask for a password or about a host's key, on the terminal."""
        options = ["-T", "-C", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]
        if not ask:
            options += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        command = [*ssh_command(), *options, "--", host, "exec sh"]
        patience = float("inf") if ask else _PATIENCE
        self.host = host
        self.received = 0  # bytes of replies
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the shell
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=not ask,  # Ctrl+C in the app is not for ssh
                bufsize=0,
            )
        except OSError as error:
            raise LinkLostError(f"cannot start {command[0]}: {error.strerror}") from None
        self._buffer = bytearray()
        try:
            # These would change the output or the effect of GNU's `ls` and `cd`.
            self.run(f"unset {' '.join(_UNSET)}; export LC_ALL=C TZ=UTC0", patience)
        except LinkLostError:
            self.close()
            raise

    def run(self, command: str, patience: float = _PATIENCE, limit: int = _LONGEST_REPLY) -> bytes:
        """The output of the command, at most `limit` bytes; a host that sends more is not heard on.
        Its standard input is empty and its errors are dropped."""
        mark = secrets.token_hex(16)
        # Quoted in two parts: the shell's echo of the command is not taken for its end.
        say = f"printf '\\n%s%s\\n' {mark[:16]} {mark[16:]}"
        line = f"{{ {command}; }} </dev/null 2>/dev/null; {say}\n"
        assert self._process.stdin is not None
        try:
            write_all(self._process.stdin.fileno(), line.encode(errors="surrogateescape"))
        except OSError:
            raise self._lost() from None
        end = f"\n{mark}\n".encode()
        start = 0
        while (at := self._buffer.find(end, start)) < 0:
            start = max(0, len(self._buffer) - len(end))
            if start > limit:
                break
            self._buffer += self._receive(patience)
        if at < 0 or at > limit:
            raise LinkLostError(f"{clean_line(self.host)}: sends more than was asked for")
        reply = bytes(self._buffer[:at])
        del self._buffer[: at + len(end)]
        return reply

    def _receive(self, patience: float) -> bytes:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        timeout = None if patience == float("inf") else patience
        ready, _, _ = select.select([fd], [], [], timeout)
        data = os.read(fd, 1 << 16) if ready else b""
        if not data:
            raise self._lost()
        self.received += len(data)
        return data

    def _lost(self) -> LinkLostError:
        """The end, with the last line of ssh."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        self._errors.seek(0)
        lines = self._errors.read()[-2000:].decode(errors="replace").strip().splitlines()
        reason = clean_line(lines[-1], 200) if lines else "the connection was lost"
        return LinkLostError(f"{clean_line(self.host)}: {reason}")

    def kill(self) -> None:
        """Ends ssh, so that a call in progress raises LinkLostError."""
        with suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """Ends ssh. No other thread may be using the shell."""
        self.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()


# --- Files there, and their copies here -------------------------------------------------------


@dataclass
class RemoteFile:
    """A log file on the other host, as `ls` shows it."""

    path: str  # there
    name: str  # here, relative to the copy
    inode: int
    size: int
    changed: float  # unix time, to the minute


_LINE = re.compile(rb" *(\d+) +-\S+ +\d+ +\S+ +\S+ +(\d+) +(\w{3}) +(\d+) +(\d{4}|\d\d:\d\d) (.+)")


def parse_listing(reply: bytes, root: str, now: float) -> Iterator[RemoteFile]:
    """The files of `ls -lin` below `root`; other lines, and paths that lead outside, are skipped.

    Without a `root` a file is called by the last part of its path. A name that is too long for a
    copy is skipped too.
    """
    prefix = root.rstrip("/") + "/"
    for line in reply.split(b"\n"):
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        path = os.fsdecode(match[6])
        if root and not path.startswith(prefix):
            continue  # a name with a line break
        # `find` of BSD and macOS prints two slashes after the folder that it is given.
        name = path[len(prefix) :].lstrip("/") if root else os.path.basename(path)
        name = os.path.normpath(name)
        parts = os.fsencode(name).split(b"/")
        if name.startswith("..") or name == "." or max(map(len, parts)) > _LONGEST_PART:
            continue
        if len(os.fsencode(name)) > _LONGEST_NAME:
            continue
        month, day, last = (match[group].decode() for group in (3, 4, 5))
        changed = _parse_time(month, day, last, now)
        yield RemoteFile(path, name, int(match[1]), int(match[2]), changed)


def _parse_time(month: str, day: str, last: str, now: float) -> float:
    """The time of `ls` in UTC: "Nov 27 17:20" within half a year, else "Nov 27 2025"."""
    try:
        if ":" not in last:
            return float(timegm(time.strptime(f"{last} {month} {day}", "%Y %b %d")))
        this = time.gmtime(now).tm_year
        text, form = f"{month} {day} {last}", "%Y %b %d %H:%M"
        moment = timegm(time.strptime(f"{this} {text}", form))
        return float(
            moment if moment < now + 86_400 else timegm(time.strptime(f"{this - 1} {text}", form))
        )
    except (ValueError, OverflowError):
        return now


def quote(path: str) -> str:
    """A path for the shell there; `~/` is its home, and no path is taken for an option."""
    if path == "~" or path.startswith("~/"):
        return '"$HOME"' + (shlex.quote(path[1:]) if len(path) > 1 else "")
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


class Copy:
    """The copy of the logs at a place, brought up to date by `update`."""

    def __init__(self, place: Place) -> None:
        """Raises GenuiError if the cache cannot be written."""
        self.place = place
        self.root = _folder_of(place)
        self.fetched = 0  # bytes of files
        self.note = ""  # which files are left out
        self._files: dict[str, RemoteFile] = {}  # by name, as last listed
        self._inodes: dict[str, int] = {}  # of what is here
        self._saved: dict[str, int] = {}  # those in .inodes
        self._seen: dict[str, tuple[int, int, float]] = {}  # replaced files: as last fetched
        self._chunk = CHUNK
        self._there = place.path
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._owned = False

    def own(self) -> bool:
        """Whether this process updates the copy: false while another one does."""
        if not self._owned:
            if not try_lock(self._lock):
                return False
            self._owned = True
            with suppress(OSError, ValueError):
                saved = json.loads((self.root / ".inodes").read_text())
                self._inodes = {str(name): int(inode) for name, inode in saved.items()}
        return True

    def close(self) -> None:
        """Lets another process update the copy."""
        os.close(self._lock)

    def path_of(self, there: str) -> Path:
        """Where the copy of a file of the other host is, or would be if it were below the place."""
        there = os.path.normpath("/" + there.lstrip("/"))  # no ".." leads out of the copy
        below = there.removeprefix(f"{self._there}/") if self._there else os.path.basename(there)
        return self.root / (below if below != there else f".elsewhere{there}")

    def search(self, shell: Shell) -> None:
        """Looks for all log files below the place. Raises LinkLostError and GenuiError."""
        where = quote(self.place.path)
        self._there = os.fsdecode(
            shell.run(f"cd {where} && pwd || echo").rstrip(b"\n").rpartition(b"\n")[2]
        )
        if self._there:  # a folder
            shell.run("cd")  # back home
            pruned = " -o ".join(f"-name {name}" for name in _PRUNED)
            command = (
                f"find {shlex.quote(self._there)}/ \\( {pruned} \\) -prune -o -type f "
                f"-exec ls -lin {{}} + | head -n {4 * MAX_FILES}"
            )
        else:
            command = f"ls -lLin {where}"  # the target of a link, such as latest.log
        files = list(parse_listing(shell.run(command), self._there, time.time()))
        if not files and not self._there:
            raise GenuiError(f"{clean_line(str(self.place))}: there is no such file or folder")
        if self._there:
            files = [file for file in files if _is_log(file.name)]
        now = time.time()
        files = sorted(
            (self._keep_time(file, now) for file in files),
            key=lambda file: file.changed,
            reverse=True,
        )
        self._files = {file.name: file for file in files[:MAX_FILES]}
        self._note_left_out()

    def look(self, shell: Shell) -> None:
        """Updates the sizes of the files that changed last."""
        newest = sorted(self._files.values(), key=lambda file: file.changed, reverse=True)
        polled = newest[:MAX_POLLED]
        if not polled:
            return
        names = " ".join(quote(file.path) for file in polled)
        now = time.time()
        for file in parse_listing(shell.run(f"ls -lLin {names}"), self._there, now):
            self._files[file.name] = self._keep_time(file, now)
        self._note_left_out()

    def _note_left_out(self) -> None:
        """Notes which files are not fetched; a large config, as that of a tokenizer, is not
        missed."""
        is_full = len(self._files) >= MAX_FILES
        notes = [f"only the newest {MAX_FILES:,} files are read"] if is_full else []
        names = [clean_line(file.name) for file in self._files.values() if _is_too_large(file)]
        names = [name for name in names if _is_known(name) or not _CONFIG.fullmatch(name)]
        if names:
            some = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
            notes.append(f"too large to be read over ssh: {some}; copy what you need")
        self.note = f"{clean_line(str(self.place))}: {'; '.join(notes)}" if notes else ""

    def _keep_time(self, file: RemoteFile, now: float) -> RemoteFile:
        """The file with the time of its last change, which `ls` gives to the minute."""
        before = self._files.get(file.name)
        if before is not None and (before.inode, before.size) == (file.inode, file.size):
            file.changed = max(before.changed, file.changed)
        elif before is not None:
            file.changed = now
        return file

    def fetch(self, shell: Shell, budget_s: float = float("inf")) -> bool:
        """Fetches the missing part of each file, for about so long. Returns whether all is here.

        Raises LinkLostError, and GenuiError if the cache cannot be written.
        """
        deadline = time.monotonic() + budget_s
        missing = [file for file in self._files.values() if self._lacks(file)]
        missing.sort(key=lambda file: (file.size - self._size(file), file.name))
        while missing:
            for file in list(missing):
                if not self._fetch_some(shell, file):
                    missing.remove(file)
                if time.monotonic() > deadline:
                    self._save()
                    return False
        self._save()
        return True

    @property
    def lacking(self) -> int:
        """Bytes that are still to be fetched."""
        files = [file for file in self._files.values() if self._lacks(file)]
        return sum(max(0, file.size - self._size(file)) for file in files)

    def _lacks(self, file: RemoteFile) -> bool:
        if _is_too_large(file):
            return False
        if _is_replaced(file.name):
            return self._seen.get(file.name) != _state(file)
        return self._inodes.get(file.name) != file.inode or self._size(file) != file.size

    def _fetch_some(self, shell: Shell, file: RemoteFile) -> bool:
        """Fetches the next bytes of a file. Returns whether there are more."""
        if _is_replaced(file.name):
            data = shell.run(f"head -c {_SMALL} {quote(file.path)}", limit=_SMALL)
            self._seen[file.name] = _state(file)
            self._write(self.root / file.name, file, data, whole=True)
            return False
        anew = self._inodes.get(file.name) != file.inode or self._size(file) > file.size
        start = 0 if anew else self._size(file)
        began = time.monotonic()
        try:
            command = f"tail -c +{start + 1} {quote(file.path)} | head -c {self._chunk}"
            data = shell.run(command, limit=self._chunk)
        except LinkLostError:
            self._chunk = max(CHUNK // 4, self._chunk // 2)
            raise
        taken = time.monotonic() - began
        if len(data) == self._chunk:  # half a second of the link at once
            self._chunk = min(MAX_CHUNK, self._chunk * 2) if taken < 0.25 else self._chunk
            self._chunk = max(CHUNK // 4, self._chunk // 2) if taken > 1.0 else self._chunk
        self._take(file, start, data)
        return bool(data) and start + len(data) < file.size and file.name in self._files

    def _take(self, file: RemoteFile, start: int, data: bytes) -> None:
        """Adds data that begin at byte `start` to the copy; 0 begins it anew."""
        self._inodes[file.name] = file.inode
        self._write(self.root / file.name, file, data, whole=start == 0)
        # It has grown since it was listed. Else it would seem to have shrunk.
        file.size = max(file.size, start + len(data))

    def _write(self, copy: Path, file: RemoteFile, data: bytes, whole: bool) -> None:
        self.fetched += len(data)
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            if copy.is_dir():
                raise IsADirectoryError
            if whole:
                atomic_write(copy, data, durable=False)
            else:
                with open(copy, "ab") as out:
                    out.write(data)
            os.utime(copy, (file.changed, file.changed))
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            del self._files[file.name]  # the host names a file and a folder so: the first counts
        except OSError as error:
            raise cannot_write(copy, error) from None

    def _size(self, file: RemoteFile) -> int:
        try:
            return (self.root / file.name).stat().st_size
        except OSError:
            return 0

    def _save(self) -> None:
        if self._inodes != self._saved:
            atomic_write(self.root / ".inodes", json.dumps(self._inodes).encode(), durable=False)
            self._saved = dict(self._inodes)


def _is_log(name: str) -> bool:
    return _is_known(name) or _is_replaced(name) or name.endswith(".txt")  # a sample


def _is_known(name: str) -> bool:
    """Whether a reader of logs knows files of that name."""
    return any(row.file.fullmatch(os.path.basename(name)) for row in FORMATS.values())


def _is_replaced(name: str) -> bool:
    return _REPLACED.fullmatch(os.path.basename(name)) is not None


def _is_too_large(file: RemoteFile) -> bool:
    return file.size > _SMALL and (file.size > LARGEST or _is_replaced(file.name))


def _state(file: RemoteFile) -> tuple[int, int, float]:
    return file.inode, file.size, file.changed


def _folder_of(place: Place) -> Path:
    """The folder of the copy, of a name that can be read."""
    tidy = re.sub(r"[^A-Za-z0-9._@-]+", "_", place.path).strip("_")[-80:] or "root"
    digits = sha256(str(place).encode(errors="surrogateescape")).hexdigest()[:8]
    key = f"{digits}-{tidy}"
    return paths.cache_dir() / "remote" / re.sub(r"[^A-Za-z0-9._@-]", "_", place.host)[:80] / key


# --- Fetching once, and following -------------------------------------------------------------


def fetch_once(
    place: Place,
    show: Callable[[str], None] = lambda line: None,
    note: Callable[[str], None] = lambda line: None,
) -> Path:
    """The copy of the logs at the place, complete; `show` gets lines of progress, and `note` which
    files are left out.

    Raises GenuiError if the host cannot be reached, or has nothing there.
    """
    with closing(Copy(place)) as copy:
        if copy.own():
            with closing(Shell(place.host, ask=True)) as shell:
                copy.search(shell)
                _fetch_rest(copy, shell, show)
        if copy.note:
            note(copy.note)
        return copy.root


def _fetch_rest(copy: Copy, shell: Shell, show: Callable[[str], None]) -> None:
    while not copy.fetch(shell, budget_s=0.5):
        show(f"{copy.place}: {copy.lacking / 1e6:,.1f} MB to read")


class Follower:
    """Keeps the copy of a place up to date on its own thread, until the process ends."""

    def __init__(self, place: Place, show: Callable[[str], None] | None = None) -> None:
        """Connects and lists the files; with `show` all of them are fetched, and it gets lines of
        progress. Raises GenuiError if that is not possible."""
        self.copy = Copy(place)
        self.line = ""  # the fault of the link; "" while it works
        self.updated = 0.0  # monotonic: all that was there then is here
        self._jobs = queue.Jobs()  # in Slurm's queue there
        self._shell: Shell | None = None
        self._stopping = threading.Event()
        if self.copy.own():
            self._shell = Shell(place.host, ask=True)
            self.copy.search(self._shell)
            if show is None:
                self.copy.fetch(self._shell, budget_s=1.0)
            else:
                _fetch_rest(self.copy, self._shell, show)
        self._thread = threading.Thread(target=self._follow, name="ssh", daemon=True)
        self._thread.start()

    @property
    def root(self) -> Path:
        return self.copy.root

    @property
    def note(self) -> str:
        """Which files are left out; "" if none is."""
        return self.copy.note

    def stop(self) -> None:
        """Ends the thread; another process may then update the copy."""
        self._stopping.set()
        if (shell := self._shell) is not None:
            shell.kill()
        self._thread.join(_PATIENCE)
        self._close()
        self.copy.close()

    def _follow(self) -> None:
        attempt, searched, looked = 0, time.monotonic(), 0.0
        asked = -queue.EVERY  # Slurm, by the monotonic clock
        while not self._stopping.is_set():
            if not self.copy.own():  # until the other process ends
                self.updated = time.monotonic() - 2 * POLL  # by the other process
                self._stopping.wait(POLL)
                continue
            try:
                if self._shell is None:
                    self._shell = Shell(self.copy.place.host, ask=False)
                    searched = 0.0
                whole = self.copy.fetch(self._shell, budget_s=POLL)
                if whole:
                    self.updated = looked
                looked = time.monotonic()
                if looked - searched > SEARCH:
                    self.copy.search(self._shell)
                    searched = looked
                else:
                    self.copy.look(self._shell)
                self.line, attempt = "", 0
                if looked - asked >= queue.EVERY:
                    self._ask_slurm(self._shell)
                    asked = looked
                if whole:
                    self._stopping.wait(POLL)
            except LinkLostError as error:
                self._close()
                wait = _WAITS[min(attempt, len(_WAITS) - 1)]
                attempt += 1
                self.line = f"{error}; connecting again in {wait:g} s"
                self._stopping.wait(wait)
            except (GenuiError, OSError, ValueError) as error:
                # Removed there, or a full disk here: it may come right again.
                self.line = clean_line(str(error))
                self._stopping.wait(SEARCH)

    def _ask_slurm(self, shell: Shell) -> None:
        """Ask for the user's jobs, if Slurm is there: with time limits, since the logs wait.
        Raises LinkLostError."""

        def ask(command: Sequence[str]) -> str:
            words = ["timeout", f"{_SLURM_PATIENCE}", *command]
            line = f"{shlex.join(words)} && printf {_ANSWERED}"
            reply = shell.run(line, limit=_LONGEST_QUEUE).decode(errors="replace")
            if not reply.endswith(_ANSWERED):
                raise GenuiError(f"{clean_line(shell.host)}: {command[0]} does not answer")
            return reply.removesuffix(_ANSWERED)

        if shell.run("command -v squeue").strip():
            self._jobs.ask(ask, _NEW_JOBS)

    def add_jobs(self, runs: Sequence[RunSummary]) -> list[RunSummary]:
        """The runs, and after them the user's jobs on the other host, as `queue.join_jobs`."""
        outputs = {job: str(self.copy.path_of(path)) for job, path in self._jobs.outputs.items()}
        return queue.join_jobs(runs, self._jobs.known, outputs)

    def _close(self) -> None:
        if self._shell is not None:
            self._shell.close()
            self._shell = None
