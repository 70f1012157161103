"""Hugging Face's trainer_state.json: the log so far, written whole at every checkpoint.

Each checkpoint folder has one, and at the end the output folder too; the newest is read. A file
that is just being written is read the next time.
"""

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from genui.base.errors import GenuiError
from genui.base.files import cannot_read, open_regular, show
from genui.logs.base import CHUNK, Reader
from genui.logs.records import Record, decode_record
from genui.logs.series_store import SeriesStore
from genui.logs.text import columns, parse_step

NAME = "trainer_state.json"

_LARGEST = 256 * 1024 * 1024  # bytes; a larger file is not a log
_CONFIG = ("max_steps", "num_train_epochs", "train_batch_size", "logging_steps", "eval_steps",
          "save_steps", "best_metric", "best_model_checkpoint", "trial_name")  # fmt: skip
_RESERVED = frozenset({"step"})


class TrainerStateTail(Reader):
    """The log history in a trainer_state.json, or in the newest below an output folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._torn = False  # the newest file is not whole
        self._seen: tuple[object, ...] = ()

    @property
    def bad_lines(self) -> int:
        return self._damaged + self._torn

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """Reads the newest file if it has changed; True if anything is new.

        Raises GenuiError if it cannot be read or another program wrote it.
        """
        self.progress = 1.0
        newest = newest_state(self.path)
        if newest is None:
            return False
        path, seen = newest
        if seen == self._seen:
            return False
        with open_regular(path, GenuiError(f"{show(path)} is not a regular file")) as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise GenuiError(
                f"{show(path)} is too large for a trainer_state.json: name another file"
            )
        self._seen = seen
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
        self._take(state, history)
        return True

    def _take(self, state: Record, history: list[Any]) -> None:
        records = [
            record
            for record in history
            if isinstance(record, dict) and parse_step(record.get("step")) is not None
        ]
        self._damaged = len(history) - len(records)
        self._collected = SeriesStore()
        if records:
            steps = np.array([parse_step(record["step"]) for record in records], np.int64)
            no_times = np.full(len(records), np.nan)
            self._collected.add(columns(records, steps, no_times, _RESERVED))
        self.config = {name: state[name] for name in _CONFIG if state.get(name) is not None}
        reached, max_steps = (
            parse_step(state.get("global_step")),
            parse_step(state.get("max_steps")),
        )
        self.ended = "finished" if reached and max_steps and reached >= max_steps else ""


def newest_state(path: Path) -> tuple[Path, tuple[object, ...]] | None:
    """The file to read, given a file or an output folder, and what tells it from another.

    None where there is none. Raises GenuiError where the folder may not be read.
    """
    candidates = [path]
    try:
        with os.scandir(path) as entries:
            folders = [Path(e.path) for e in entries if e.name.startswith("checkpoint-")]
        candidates = [path / NAME, *(folder / NAME for folder in folders)]
    except (NotADirectoryError, FileNotFoundError):
        pass
    except OSError as error:
        raise cannot_read(path, error) from None
    states: list[tuple[int, Path, tuple[object, ...]]] = []
    for candidate in candidates:
        try:
            about = candidate.stat()
        except OSError:
            continue
        if stat.S_ISREG(about.st_mode):
            seen = (candidate, about.st_ino, about.st_size, about.st_mtime_ns)
            states.append((about.st_mtime_ns, candidate, seen))
    if not states:
        return None
    _, newest, seen = max(states, key=lambda item: item[:2])
    return newest, seen
