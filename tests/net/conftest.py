"""The safety net: what must not break while the code behind it is rearranged.

It knows only the shell, files on disk, JSON and a terminal. Of genui it imports only the table of
kinds (and nothing of other tests), so it holds whatever becomes of the modules. Prose is not
compared: names, numbers, exit codes and what is on screen are.

The old files in `old/` were made once, by commit 67d9ed5, with `python tests/net/make_old.py`,
which has the exact commands: a tiny run of each family, a run that was stopped half-way and one
that was killed, a run of a script, a saved generation of every medium and kind of file, saved
traces, a favourite, `keys.toml` and what the app remembers. Bits are promised for one version: a
saved generation that a later version makes otherwise was made anew by it (`heun.png`, `euler.png`,
and what was written by a model that is no longer shipped). `old/made.json` has the numbers that
must be found in them, and the machine. On that machine a replay must be identical; others round
differently, and there a replay must be as near as `test_net_files.py` says. Run `bits.py` to
compare two commits bit for bit.

Most commands run in forks of one process that has imported torch (`warm.py`): that takes a third
of the time. Some run in a process of their own (`genui_anew`), as does the app.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from net_shell import OLD, OLD_PLACE


@pytest.fixture(scope="session")
def made() -> dict[str, Any]:
    """What is to be found in the old files, and which machine they were made on."""
    return json.loads((OLD / "made.json").read_text())


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the old files, moved to another place, as a user's may be."""
    place = tmp_path_factory.mktemp("net") / "old"
    shutil.copytree(OLD, place)
    for run in (place / "home" / "data" / "runs").iterdir():
        info = run / "run.json"
        info.write_text(info.read_text().replace(f'"{OLD_PLACE}/', f'"{place}/'))
        for empty in ("control", "checkpoints", "samples"):  # git keeps no empty folders
            (run / empty).mkdir(exist_ok=True)
    return place


@pytest.fixture(scope="session")
def home(old: Path) -> Path:
    """The old GENUI_HOME."""
    return old / "home"
