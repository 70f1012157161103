"""Programs that import genui from a folder, in forks of one process that has imported torch and
Textual: to start each anew takes seconds.

That process, this module as a program, has not imported genui, and has no threads, so that a fork
of it is whole.
"""

import json
import os
import subprocess
import sys
import traceback
from importlib import import_module
from os import _exit
from pathlib import Path
from typing import Any

import psutil


class FreshGenui:
    """The process that forks. Leaving its `with` block ends it."""

    def __init__(self) -> None:
        # NumPy would start threads as it is imported.
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def __enter__(self) -> "FreshGenui":
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.communicate()

    def run(self, program: str, root: Path, folder: Path) -> str:
        """What a program prints with the genui that lies in `root`, run in `folder` and with a home
        there. Fails where it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"program": program, "root": str(root), "folder": str(folder)}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        code = json.loads(self._process.stdout.readline())
        printed, failed = ((folder / name).read_text() for name in ("printed", "errors"))
        assert code == 0, failed
        return printed


# --- In the process that forks ----------------------------------------------------------------


def _serve() -> None:
    for name in ("numpy", "PIL.PngImagePlugin", "textual.app", "torch"):
        import_module(name)
    assert "genui" not in sys.modules
    for line in sys.stdin:
        assert psutil.Process().num_threads() == 1, "a process that forks must have no threads"
        pid = os.fork()
        if not pid:
            code = 1
            try:
                code = _run(**json.loads(line))
            finally:
                _exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(program: str, root: str, folder: str) -> int:
    os.chdir(folder)
    for number, name in ((1, "printed"), (2, "errors")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ |= {"PYTHONPATH": root, "GENUI_HOME": f"{folder}/home"}
    os.environ |= {"GENUI_FIND_MODELS": "no", "GENUI_QUIET": "1"}
    sys.path.insert(0, root)
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        exec(compile(program, "program", "exec"), names)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    _serve()
