"""Runs on a W&B server, by URL: `genui watch https://wandb.ai/ENTITY/PROJECT/runs/ID`.

The library `wandb` reads them, with the key of `wandb login`; nothing is sent to any other server,
and nothing is changed there. A copy of the history is kept in the cache folder and grows as the run
does, so it is read as any log. Console, system metrics, images and tables are not fetched.
"""

import math
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError, install
from genui.base.files import (
    LARGEST_JSON,
    atomic_write,
    drop_torn_line,
    last_record,
    read_json,
    try_lock,
    writing,
)
from genui.base.growing import FileStamp, LineFile
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.logs.base import About, Format, LineReader, Log
from genui.logs.records import decode_lines, flatten, known_time, number_or_text, parse_step

with late_imports():  # numpy
    from genui.logs import series_store

HISTORY, ABOUT = "history.wandb-url", "about.json"
"""Files of a copy: lines of {"wandb_step", "time", "metrics"}, and what else is known."""

_POLL, _POLL_ENDED = 10.0, 60.0  # seconds between two looks at a run; at one that has ended
_PUBLIC_HOSTS = {"wandb.ai", "www.wandb.ai", "api.wandb.ai"}
_PUBLIC_API = "https://api.wandb.ai"
_ENDS = {"finished": "finished", "failed": "failed", "crashed": "failed", "killed": "stopped"}
_LINES = 1000  # of the history, written at once
_LONGEST_REASON = 200  # characters


class RunUrl(NamedTuple):
    """A run on a server of W&B."""

    server: str  # "https://api.wandb.ai"
    entity: str
    project: str
    id: str

    @property
    def host(self) -> str:
        return urlsplit(self.server).netloc

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.project}/{self.id}"


def parse_run_url(word: str) -> RunUrl | None:
    """The run that a URL names; None if `word` is no URL. Raises MisuseError if it names no run."""
    if not re.match(r"https?://", word):
        return None
    with suppress(ValueError):
        url = urlsplit(word)
        parts = url.path.strip("/").split("/")
        if len(parts) >= 4 and parts[2] == "runs":  # …/runs/ID/overview is the same run
            parts = [*parts[:2], parts[3]]
        if url.hostname and len(parts) == 3 and all(map(_is_plain, parts)):
            public = url.hostname in _PUBLIC_HOSTS
            return RunUrl(_PUBLIC_API if public else f"{url.scheme}://{url.netloc}", *parts)
    line = clean_line(word, 100)
    raise MisuseError(f"{line}: name a run, as in https://wandb.ai/ENTITY/PROJECT/runs/ID")


def _is_plain(part: str) -> bool:
    return re.fullmatch(r"[\w.~%-]+", part) is not None and part not in (".", "..")


# --- The copy, and the thread that updates it -------------------------------------------------


class RunCopy:
    """The copy of a run, brought up to date by `fetch`."""

    def __init__(self, url: RunUrl) -> None:
        """Raises GenuiError if `wandb` is not installed, refuses the server or finds no key."""
        self.url = url
        self.root = paths.cache_dir() / "wandb" / url.host / url.entity / url.project / url.id
        self.ended = False
        self._api = _call(url, lambda: _import_api()(overrides={"base_url": url.server}))
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def fetch(self) -> None:
        """Adds new data; nothing while another process does. Raises GenuiError."""
        if not try_lock(self._lock):
            return
        _call(self.url, self._api.flush)  # or else it answers as before
        run = _call(self.url, lambda: self._api.run(self.url.path))
        known = _call(self.url, lambda: _describe(run))
        with writing(self.root):
            self._append(run)
            atomic_write(self.root / ABOUT, msgspec.json.encode(known))
        self.ended = known.state in _ENDS

    def _append(self, run: Any) -> None:
        path = self.root / HISTORY
        drop_torn_line(path)
        known = last_record(path).get("wandb_step")
        last = known if isinstance(known, int) else -1
        newest = _call(self.url, lambda: int(run.lastHistoryStep))  # -1 if it is not known
        if last < 0 or 0 <= newest < last:  # there is none, it is damaged, or it was begun again
            last = -1
            path.unlink(missing_ok=True)
        scan = _call(self.url, lambda: iter(run.scan_history(min_step=last + 1)))
        with open(path, "ab") as file:
            lines: list[bytes] = []
            while (row := _call(self.url, lambda: next(scan, None))) is not None:
                step = row.get("_step")
                if isinstance(step, int | float) and last < step < 2**53:
                    last = int(step)
                    lines.append(_line(last, row))
                if len(lines) >= _LINES:
                    file.write(b"".join(lines))
                    lines = []
            file.write(b"".join(lines))

    def close(self) -> None:
        """Lets another process update the copy."""
        os.close(self._lock)


class RunFollower:
    """Keeps the copy of a run up to date on its own thread, until the process ends."""

    def __init__(self, url: RunUrl, poll_s: float = _POLL) -> None:
        """Fetches the run. Raises GenuiError if that is not possible."""
        self.line = ""  # the fault of the connection; "" while it works
        self.note = ""  # no file is left out
        self.updated = math.inf  # a state is never here before the history up to it
        self._copy = RunCopy(url)
        self._copy.fetch()
        self._poll_s = poll_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="wandb", daemon=True)
        self._thread.start()

    @property
    def root(self) -> Path:
        return self._copy.root

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._copy.close()

    def _follow(self) -> None:
        while not self._stopping.wait(_POLL_ENDED if self._copy.ended else self._poll_s):
            try:
                self._copy.fetch()
                self.line = ""
            except GenuiError as error:
                self.line = str(error)


def fetch_once(url: RunUrl) -> Path:
    """The folder of the copy, brought up to date. Raises GenuiError."""
    with closing(RunCopy(url)) as copy:
        copy.fetch()
        return copy.root


def _import_api() -> Callable[..., Any]:
    os.environ.setdefault("WANDB_SILENT", "true")  # it would write on the app, and ask for a key
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # which is sent elsewhere
    with suppress(ImportError):
        # Late: an extra. A folder `wandb` of runs is an empty module too.
        if (api := getattr(import_module("wandb"), "Api", None)) is not None:
            return api
    raise GenuiError(f"the library wandb is missing: {install('wandb')}")


def _call(url: RunUrl, function: Callable[[], Any]) -> Any:
    """The result of a function of the library; any error of it as a GenuiError of one line."""
    try:
        return function()
    except GenuiError as error:
        raise GenuiError(f"{url.host}/{url.path}: {error}") from None
    except Exception as error:
        if os.environ.get("GENUI_DEBUG"):
            raise
        reason = clean_line(str(error), _LONGEST_REASON) or type(error).__name__
        raise GenuiError(f"{url.host}/{url.path}: {reason}") from None


def _describe(run: Any) -> "_Known":
    """The facts about a run for a list and the config."""
    about = About(
        name=str(run.name or ""),
        id=str(run.id),
        project=str(run.project),
        tags=tuple(map(str, run.tags or ())),
        note=str(run.notes or ""),
        created=known_time(str(run.created_at)),
        summary=_plain(run.summary_metrics or {}),
    )
    return _Known(about, str(run.state), _plain(run.config))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without W&B's own and without media, as they are in JSON."""
    kept = {key: value for key, value in values.items() if not _is_own(key, value)}
    return msgspec.json.decode(msgspec.json.encode(kept, enc_hook=str))


def _is_own(key: str, value: object) -> bool:
    return key.startswith("_") or (isinstance(value, dict) and "_type" in value)


def _line(step: int, row: Mapping[str, Any]) -> bytes:
    """A line of the copy; numbers that JSON does not have are texts."""
    metrics = {key: value for key, value in row.items() if not _is_own(key, value)}
    numbers = {
        key: repr(value) if isinstance(value, float) and value - value != 0 else value
        for key, value in flatten(metrics).items()
    }
    line = {"wandb_step": step, "time": row.get("_timestamp"), "metrics": numbers}
    return msgspec.json.encode(line, enc_hook=str) + b"\n"


# --- The format -------------------------------------------------------------------------------


class _Known(msgspec.Struct):
    """The content of about.json."""

    about: About = About()
    state: str = ""
    config: dict[str, Any] = {}


def _read_about(folder: Path) -> _Known:
    """The known facts besides the history; nothing if the file is damaged."""
    with suppress(GenuiError):
        return read_json(folder / ABOUT, _Known, "remove it", LARGEST_JSON)
    return _Known()


class WandbUrl(Format):
    """Copies of runs on a server of W&B."""

    def logs(self, path: Path, root: Path) -> list[Log]:
        (log,) = super().logs(path, root)
        known = _read_about(path.parent)
        return [log.with_about(known.about, _ENDS.get(known.state, ""))]

    def files(self, path: Path) -> Iterable[Path]:
        return [path, path.parent / ABOUT]  # which is written at each look, also without news


class WandbUrlTail(LineReader):
    """The history in a copy, and what else is known of the run."""

    def __init__(self, path: Path) -> None:
        self._stamp = FileStamp(path.parent / ABOUT)
        super().__init__(path)

    def forget(self) -> None:
        super().forget()
        self._stamp.forget()

    def add_lines(self, file: LineFile, lines: bytes) -> None:
        import numpy as np

        records, damaged = decode_lines(lines)
        numbers = [parse_step(one.get("wandb_step")) for one in records]
        good = [
            (step, one.get("time"), one["metrics"])
            for step, one in zip(numbers, records, strict=True)
            if step is not None and isinstance(one.get("metrics"), dict)
        ]
        self.damaged += damaged + len(records) - len(good)
        if good:
            all_steps, times, metrics = zip(*good, strict=True)
            steps, when = np.array(all_steps, np.int64), series_store.times_of(times)
            self.store.add(series_store.columns(metrics, steps, when, (), number_or_text))

    def read_beside(self) -> bool:
        if not self._stamp.changed():
            return False
        known = _read_about(self.path.parent)
        before, self.about = self.about, known.about
        changed = self.set_state(known.config, _ENDS.get(known.state, ""))
        return changed or self.about != before
