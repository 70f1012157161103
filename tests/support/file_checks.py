"""A reader of what a user names as data takes only regular files, and looks at their size first."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genui.base.errors import GenuiError

Read = Callable[[Path], Any]


def check_a_named_pipe_is_refused(path: Path, read: Read) -> None:
    """Refused, and not waited for."""
    os.mkfifo(path)
    with pytest.raises(GenuiError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: is no")
    assert "\n" not in str(caught.value)
    path.unlink()


def check_a_device_is_refused(path: Path, read: Read) -> None:
    """One that never ends."""
    path.symlink_to("/dev/zero")
    with pytest.raises(GenuiError, match=r"is not a regular file"):
        read(path)
    path.unlink()


def check_a_large_file_is_refused(path: Path, read: Read, limit: int) -> None:
    """Unread."""
    with path.open("wb") as file:
        file.truncate(limit + 1)
    with pytest.MonkeyPatch.context() as context:
        context.setattr("genui.base.files.open", None, raising=False)  # nothing is to be read
        with pytest.raises(GenuiError, match=f"is over {limit >> 20} MB; "):
            read(path)
    path.unlink()


def check_reader(path: Path, read: Read, limit: int) -> None:
    """All of it, with files at a path that is free."""
    check_a_named_pipe_is_refused(path, read)
    check_a_device_is_refused(path, read)
    check_a_large_file_is_refused(path, read, limit)
