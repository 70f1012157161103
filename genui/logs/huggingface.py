"""Hugging Face's trainer_state.json: the log so far, written whole at every checkpoint.

Each checkpoint folder has one, and at the end the output folder too; the newest is read. A file
that is just being written is read the next time.
"""

import stat
from pathlib import Path
from typing import Any

import numpy as np

from genui.base.errors import GenuiError
from genui.base.files import list_names, open_regular, show
from genui.base.growing import CHUNK
from genui.logs.base import LogReader
from genui.logs.records import Record, decode_record, parse_step
from genui.logs.series_store import SeriesStore, columns

NAME = "trainer_state.json"

_LARGEST = 256 * 1024 * 1024  # bytes; a larger file is not a log
_CONFIG = ("max_steps", "num_train_epochs", "train_batch_size", "logging_steps", "eval_steps",
          "save_steps", "best_metric", "best_model_checkpoint", "trial_name")  # fmt: skip
_RESERVED = frozenset({"step"})


class TrainerStateTail(LogReader):
    """The log history in a trainer_state.json, or in the newest below an output folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._torn = False  # the newest file is incomplete
        self._stamp: tuple[object, ...] = ()

    @property
    def bad_lines(self) -> int:
        return self.damaged + self._torn

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """As `Tail.read`; the newest file is read whole if it has changed."""
        self.progress = 1.0
        newest = newest_state(self.path)
        if newest is None:
            return False
        path, stamp = newest
        if stamp == self._stamp:
            return False
        with open_regular(path, GenuiError(f"{show(path)} is not a regular file")) as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise GenuiError(
                f"{show(path)} is too large for a trainer_state.json: name another file"
            )
        self._stamp = stamp
        state = decode_record(text)
        if state is None:
            if text.strip() and not text.lstrip().startswith(b"{"):
                raise GenuiError(f"{show(path)} is not a trainer_state.json: name another file")
            self._torn = True
            return True
        self._torn = False
        history = state.get("log_history")
        if not isinstance(history, list):
            raise GenuiError(f"{show(path)} has no log_history: name a file of a Trainer")
        self._add(state, history)
        return True

    def _add(self, state: Record, history: list[Any]) -> None:
        records = [
            record
            for record in history
            if isinstance(record, dict) and parse_step(record.get("step")) is not None
        ]
        self.damaged = len(history) - len(records)
        self.store = SeriesStore()
        if records:
            steps = np.array([parse_step(record["step"]) for record in records], np.int64)
            no_times = np.full(len(records), np.nan)
            self.store.add(columns(records, steps, no_times, _RESERVED))
        self.config = {name: state[name] for name in _CONFIG if state.get(name) is not None}
        step, max_steps = map(parse_step, (state.get("global_step"), state.get("max_steps")))
        self.ended = "finished" if step and max_steps and step >= max_steps else ""


def newest_state(path: Path) -> tuple[Path, tuple[object, ...]] | None:
    """The newest file of an output folder, or `path` itself if it is a file, and a stamp that
    changes when it is rewritten; None if there is none. Raises GenuiError if the folder cannot be
    read."""
    folder = path.parent if path.name == NAME and not path.exists() else path
    below = [folder / name for name in list_names(folder) if name.startswith("checkpoint-")]
    candidates = [path, folder / NAME, *(one / NAME for one in below)]
    states: list[tuple[int, Path, tuple[object, ...]]] = []
    for candidate in candidates:
        try:
            about = candidate.stat()
        except OSError:
            continue
        if stat.S_ISREG(about.st_mode):
            stamp = (candidate, about.st_ino, about.st_size, about.st_mtime_ns)
            states.append((about.st_mtime_ns, candidate, stamp))
    return max(states, key=lambda item: item[:2])[1:] if states else None
